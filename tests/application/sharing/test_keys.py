"""Keys of attributes: who may ask for what, demands, posted boxes, missing nodes, evidence."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold.box import BoxKey, open_box
from salus.errors import Refused
from salus.ledger.kinds.misbehaviour import CONVICTIONS, RECORDS, conviction_key
from salus.ledger.kinds.sharing import keys
from salus.ledger.kinds.sharing.committee_state import alpha_public
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.messages.keys import KeyAsked, KeyMissing
from support.sharing_world import CLINIC, DAY_MS, FAST, HOSPITAL, SharingChain

DOCTOR = "role:doctor@2025"


def test_an_institution_gets_a_key_for_what_it_holds(granted: SharingChain) -> None:
    key = granted.key(granted.world.institution(HOSPITAL), DOCTOR, "dept:cardiology@2025")
    assert set(key.parts) == {DOCTOR, "dept:cardiology@2025"}


def test_nobody_gets_a_key_for_what_was_not_granted(granted: SharingChain) -> None:
    world = granted.world
    hospital, clinic = world.institution(HOSPITAL), world.institution(CLINIC)
    asked, _ = granted.ask_key(hospital, DOCTOR)
    victim = granted.owner("victim")
    box = BoxKey.generate(world.random)
    theirs = ki.make_key_request(1, HOSPITAL, [victim.attribute], box)
    more = ki.make_key_request(1, victim.attribute, [victim.attribute, DOCTOR], box)
    thief = world.scope_key("thief")
    cases = [
        (granted.ask_key(hospital, "role:doctor@2027")[0], "no-attribute"),
        (granted.ask_key(clinic, "dept:cardiology@2025")[0], "no-attribute"),
        (granted.ask_key(hospital, "role:doctor")[0], "no-attribute"),
        # An owner's scope is nobody's to be granted.
        (signed_by_member(world.network, KeyAsked(theirs, UNSIGNED), hospital, world.random), "no-attribute"),
        (signed_by_scope(KeyAsked(more, UNSIGNED), victim, world.random), "not-authorised"),
        (granted.ask_key(thief)[0], "unknown-scope"),
        (replace(asked, core=replace(asked.core, requester=CLINIC)), "bad-signature"),
        (replace(asked, core=replace(asked.core, requester="nobody/board")), "unknown-party"),
        (replace(asked, core=replace(asked.core, epoch=2)), "wrong-epoch"),
        (replace(asked, core=replace(asked.core, Er=bytes(32))), "bad-point"),
    ]
    for message, expected in cases:
        assert granted.reason(message) == expected
    granted.commit(asked)
    again, _ = granted.ask_key(hospital, DOCTOR)
    assert granted.reason(asked) == "used-key"
    assert granted.reason(again) == ""


def test_a_key_for_anothers_scope_is_signed_by_that_scope(granted: SharingChain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule that a scope asks for itself alone, any owner takes any other's key."""
    world = granted.world
    victim, thief = granted.owner("victim"), granted.owner("thief")
    core = ki.make_key_request(1, thief.attribute, [victim.attribute], BoxKey.generate(world.random))
    stolen = signed_by_scope(KeyAsked(core, UNSIGNED), thief, world.random)
    assert granted.reason(stolen) == "not-authorised"
    monkeypatch.setattr(keys, "own_attribute", lambda _: victim.attribute)
    assert granted.reason(stolen) == ""


def test_a_right_that_ended_after_the_request_ends_the_issuing(granted: SharingChain) -> None:
    world = granted.world
    asked, _ = granted.ask_key(world.institution(HOSPITAL), DOCTOR)
    granted.commit(asked)
    digest = asked.core.digest(world.network)
    assert keys.issuable(granted.view, digest, granted.time_ms).core == asked.core
    granted.commit(world.vote(world.nodes[0], HOSPITAL), world.vote(world.nodes[1], HOSPITAL))
    with pytest.raises(Refused, match="suspended"):
        keys.issuable(granted.view, digest, granted.time_ms)
    granted.commit(world.vote(world.nodes[0], HOSPITAL, 0, 2), world.revoke(HOSPITAL, ["role:doctor"], 2))
    with pytest.raises(Refused, match="no-attribute"):
        keys.issuable(granted.view, digest, granted.time_ms)
    with pytest.raises(Refused, match="expired"):
        keys.issuable(granted.view, digest, granted.time_ms + FAST.request_ms)
    with pytest.raises(Refused, match="unknown-request"):
        keys.issuable(granted.view, bytes(32), granted.time_ms)


def test_a_silent_node_posts_what_is_demanded_or_is_marked_missing(granted: SharingChain) -> None:
    world = granted.world
    asked, box = granted.ask_key(world.institution(HOSPITAL), DOCTOR)
    granted.commit(asked)
    digest = asked.core.digest(world.network)
    first, second = (seat.name for seat in granted.committee().seats[:2])
    issued = {i.node: i for i in granted.issue(asked.core, [first, second])}
    assert granted.reason(issued[first]) == "not-authorised"
    demands = {name: ki.demand_partial(world.network, asked.core, name, box, world.random) for name in (first, second)}
    stranger = ki.demand_partial(world.network, asked.core, first, BoxKey.generate(world.random), world.random)
    assert granted.reason(stranger) == "bad-signature"
    granted.commit(*demands.values())
    assert granted.reason(demands[first]) == "already-done"
    assert granted.reason(KeyMissing(digest, first)) == "in-time"
    assert granted.reason(replace(issued[first], node=second)) == "bad-signature"
    granted.commit(issued[first])
    assert granted.reason(issued[first]) == "already-done"
    granted.later(FAST.demand_ms)
    assert granted.reason(KeyMissing(digest, first)) == "already-done"
    granted.commit(KeyMissing(digest, second))
    assert granted.reason(KeyMissing(digest, second)) == "already-done"
    assert CONVICTIONS.get(granted.view, conviction_key(second, keys.MISSING, digest)) is not None
    posted = keys.find_demand(granted.view, digest, first, granted.time_ms)
    assert posted is not None
    assert posted.posted == issued[first]
    # Late is better than never.
    granted.commit(issued[second])
    late = keys.find_demand(granted.view, digest, second, granted.time_ms)
    assert late is not None
    assert (late.missing, late.posted) == (1, issued[second])
    assert granted.reason(KeyMissing(bytes(32), first)) == "unknown-request"


def test_a_bad_partial_key_convicts_its_node(granted: SharingChain) -> None:
    world, committee = granted.world, granted.committee()
    asked, box = granted.ask_key(world.institution(HOSPITAL), DOCTOR)
    granted.commit(asked)
    liar = world.node(committee.seats[0].name).member
    wrong = replace(asked.core, attributes=("role:nurse@2025",))
    good = granted.issue(asked.core, [s.name for s in committee.seats[1:]])
    # Parts for another attribute, in the box of this request.
    (other,) = granted.issue(wrong, [liar.name])
    bad = ki.seal_partial_key(world.network, asked.core, _plaintext(granted, wrong, other, box), liar, world.random)
    public = alpha_public(granted.view, 1)
    collected = kc.collect_key(world.network, committee, public, asked.core, box, [bad, *good], world.random, check_each=True)
    assert collected.key is not None
    (evidence,) = collected.evidence
    assert granted.reason(replace(evidence, partial=good[0])) == "bad-evidence"
    granted.commit(evidence)
    assert granted.reason(evidence) == "already-done"
    digest = asked.core.digest(world.network)
    assert CONVICTIONS.get(granted.view, conviction_key(liar.name, keys.FALSE_PARTIAL_KEY, digest)) is not None
    assert RECORDS.need(granted.view, liar.name.encode()).convictions == 1


def _plaintext(chain: SharingChain, core: ki.KeyRequest, issued: ki.IssuedPartial, box: BoxKey) -> bytes:
    return open_box(box.er, issued.box, ki.partial_context(chain.world.network, core, issued.node))


def test_requests_are_limited_by_period_and_forgotten_in_time(granted: SharingChain, monkeypatch: pytest.MonkeyPatch) -> None:
    world = granted.world
    owner = granted.owner()
    for _ in range(FAST.keys_a_period):
        granted.commit(granted.ask_key(owner)[0])
    last, _ = granted.ask_key(owner)
    assert granted.reason(last) == "limit"
    assert granted.reason(granted.ask_key(world.institution(HOSPITAL), DOCTOR)[0]) == ""
    assert granted.reason(last, granted.time_ms + DAY_MS) == ""
    digest = last.core.digest(world.network)
    granted.later(DAY_MS)
    granted.commit(last)
    kept_ms = FAST.request_ms + world.genesis.core.constants.evidence_window_ms
    keys.find_request(granted.view, digest, granted.time_ms + kept_ms - 1)
    with pytest.raises(Refused, match="unknown-request"):
        keys.find_request(granted.view, digest, granted.time_ms + kept_ms)
    granted.later(kept_ms + 2 * DAY_MS)
    granted.later(1000)
    assert granted.view.get(keys.KEY_REQUEST, digest) is None
