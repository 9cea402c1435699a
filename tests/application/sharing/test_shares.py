"""Shares: asked for, judged by a check node, granted by t nodes, waiting for the owner, ended by whatever ends rights."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.keys import SecretKey
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.transforming import transform_and_open
from salus.consultation.registration import INSTITUTION
from salus.errors import Refused
from salus.ledger.kinds.parties import PartyRevocation, key_digest
from salus.ledger.kinds.sharing import check_nodes, lists, shares
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.committee_state import scalar_public
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.messages.records import RecordErase, RecordRepolicy
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from support.sharing_world import CLINIC, DAY_MS, FAST, HOSPITAL, POLICY, SharingChain, SharingWorld, granted_world

Owned = tuple[ScopeKey, SecretKey]


@pytest.fixture
def owned(granted: SharingChain) -> Owned:
    owner = granted.owner()
    return owner, granted.key(owner)


def consent(chain: SharingChain, owner: ScopeKey, share: bytes, delegation: bytes) -> ms.ShareConsent:
    return signed_by_scope(ms.ShareConsent(share, delegation, UNSIGNED), owner, chain.world.random)


def refusal(chain: SharingChain, owner: ScopeKey, share: bytes) -> ms.ShareRefusal:
    return signed_by_scope(ms.ShareRefusal(share, UNSIGNED), owner, chain.world.random)


def denial(chain: SharingChain, share: bytes, reason: str, seat: int = 0) -> ms.ShareDenial:
    node = chain.world.nodes[seat].member
    return signed_by_member(chain.world.network, ms.ShareDenial(share, node.name, reason, UNSIGNED), node, chain.world.random)


def test_a_share_through_a_delegation_opens_the_record(granted: SharingChain, owned: Owned) -> None:
    """The whole way: put, delegate, ask, judge, transform, grant; the reader opens the record's key."""
    chain, world = granted, granted.world
    owner, own_key = owned
    rid = chain.rid(owner)
    k = world.random(32)
    chain.put(owner, rid=rid, content=chain.content(owner, rid, k=k))
    delegation = chain.delegate(owner, own_key)
    reader = chain.key(world.institution(HOSPITAL), "role:doctor@2025", "dept:cardiology@2025")
    (share,), box = chain.judged(HOSPITAL, {rid: delegation})
    found = chain.share(share)
    assert (found.status, found.via, found.institution, found.rid) == (ss.APPROVED, ms.VIA_DELEGATION, HOSPITAL, rid)
    partials = chain.partials(share)
    grant = chain.commit(chain.grant_of(share, partials))
    assert (chain.share(share).status, chain.share(share).grant) == (ss.GRANTED, grant)
    assert ss.check_servable(chain.view, share, HOSPITAL, rid, chain.time_ms).rid == rid
    # The reader's side: the target is what the chain says, and a fresh check of the capsule agrees with it.
    target = ss.transformable(chain.view, world.network, share, 1, chain.time_ms)
    target = type(target)(
        target.network, target.epoch, target.share, target.delegation, chain.verified_capsule(rid), target.capsule_digest, box.Er
    )
    delta = chain.coins[delegation].delta
    public = scalar_public(chain.view, 1, Z)
    done = transform_and_open(chain.committee(), target, public, chain.parameters, delta, box, partials, world.random)
    assert done.key == k
    assert not done.evidence
    assert reader.parts


def test_a_share_by_policy_is_granted_with_the_verdict(granted: SharingChain, owned: Owned) -> None:
    owner, _ = owned
    open_record, own_record = granted.put(owner, POLICY), granted.put(owner)
    (first, second), _ = granted.judged(HOSPITAL, {open_record: None, own_record: None})
    assert (granted.share(first).status, granted.share(first).via) == (ss.GRANTED, ms.VIA_POLICY)
    assert (granted.share(second).status, granted.share(second).via) == (ss.WAITING, "")
    ss.check_servable(granted.view, first, HOSPITAL, open_record, granted.time_ms)
    with pytest.raises(Refused, match="not-granted"):
        ss.transformable(granted.view, granted.world.network, first, 1, granted.time_ms)
    # An institution without the attributes has to ask the owner, whatever key it may have had once.
    (third,), _ = granted.judged(CLINIC, {open_record: None})
    assert granted.share(third).status == ss.WAITING


def test_what_a_request_needs(granted: SharingChain, owned: Owned) -> None:
    chain, world = granted, granted.world
    owner, own_key = owned
    rid = chain.put(owner)
    good, box = chain.share_request(HOSPITAL, {rid: None})
    question = ms.QuestionSummary(world.nodes[0].member.name, 4, bytes(32))
    reasoned, _ = chain.share_request(HOSPITAL, {rid: None}, emergency="found unconscious", owner=owner)
    stranger, _ = chain.share_request(HOSPITAL, {rid: None}, emergency="found unconscious", owner=world.scope_key("other"))

    def signed(draft: ms.ShareRequest) -> ms.ShareRequest:
        return signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random)

    cases = [
        (replace(good, institution=CLINIC), "bad-signature"),
        (replace(good, institution="nobody/board"), "unknown-party"),
        (signed(replace(good, purpose="curiosity")), "bad-purpose"),
        (signed(replace(good, purpose=ms.EMERGENCY)), "bad-purpose"),
        (signed(replace(reasoned, purpose="treatment")), "bad-purpose"),
        (stranger, "bad-box"),
        (signed(replace(good, items=())), "bad-encoding"),
        (signed(replace(good, items=(*good.items, *good.items))), "bad-encoding"),
        (signed(replace(good, question=question)), "bad-encoding"),
        (signed(replace(good, items=(replace(good.items[0], rid=bytes(16)),))), "unknown-record"),
        (signed(replace(good, Er=bytes(32))), "bad-point"),
        (signed(replace(good, items=(), question=replace(question, node=world.checks[0].member.name))), "not-a-member"),
        (signed(replace(good, items=(), question=replace(question, count=0))), "too-large"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(good)
    again, _ = chain.share_request(HOSPITAL, {rid: chain.delegate(owner, own_key)}, box=box)
    assert chain.reason(again) == "used-key"
    asked = chain.commit(signed(replace(good, items=(), question=question, Er=BoxKey.generate(world.random).Er)))
    assert ss.SHARE_REQUESTS.need(chain.view, asked).outcomes == (ms.VALID,)
    chain.commit(chain.verdict(asked))


def test_a_named_delegation_that_does_not_hold_is_a_denial_with_its_reason(granted: SharingChain, owned: Owned) -> None:
    chain = granted
    owner, own_key = owned
    other = chain.owner("other")
    rid, foreign = chain.put(owner), chain.put(other)
    delegation, short = chain.delegate(owner, own_key), chain.delegate(owner, own_key, days=1)
    emergency = chain.delegate(owner, own_key, policy="role:emergency@2025")
    revoked = chain.delegate(owner, own_key)
    chain.commit(chain.revocation(owner, revoked))
    chain.later(DAY_MS)
    cases = [
        (CLINIC, rid, delegation, "unsatisfied"),
        (HOSPITAL, rid, short, "delegation-expired"),
        (HOSPITAL, rid, revoked, "delegation-revoked"),
        (HOSPITAL, rid, bytes(32), "unknown-delegation"),
        (HOSPITAL, foreign, delegation, "wrong-scope"),
        (CLINIC, rid, emergency, "bad-purpose"),
    ]
    for reader, record, through, expected in cases:
        (share,), _ = chain.judged(reader, {record: through})
        found = chain.share(share)
        assert (found.status, found.reason) == (ss.DENIED, expected)
        assert chain.log(found.scope)[-1].reason == expected
        with pytest.raises(Refused, match="not-granted"):
            ss.transformable(chain.view, chain.world.network, share, 1, chain.time_ms)


def test_a_delegation_turns_nothing_outside_its_scope(
    granted: SharingChain, owned: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scope: where the ledger would not look, the arithmetic still refuses."""
    chain = granted
    owner, own_key = owned
    other = chain.owner("other")
    foreign, delegation = chain.put(other), chain.delegate(owner, own_key)
    monkeypatch.setattr(ss.Delegation, "scope", property(lambda self: other.scope), raising=False)
    (share,), _ = chain.judged(HOSPITAL, {foreign: delegation})
    assert chain.share(share).status == ss.APPROVED
    with pytest.raises(Refused, match="unsatisfied"):
        chain.partials(share)


def test_an_emergency_takes_a_reason_that_only_the_owner_reads(granted: SharingChain, owned: Owned) -> None:
    chain, world = granted, granted.world
    owner, own_key = owned
    rid, delegation = chain.put(owner), chain.delegate(owner, own_key, policy="role:emergency@2025")
    request, _ = chain.share_request(CLINIC, {rid: delegation}, emergency="found unconscious", owner=owner)
    assert b"unconscious" not in request.encode()
    tx = chain.commit(request)
    chain.commit(chain.verdict(tx))
    share = ss.share_id(world.network, tx, 0)
    found = chain.share(share)
    assert (found.status, found.via, found.emergency, found.purpose) == (ss.APPROVED, ms.VIA_EMERGENCY, 1, ms.EMERGENCY)
    assert list(lists.items(chain.view, lists.INBOX, owner.scope)) == [share]
    reason = request.items[0].reason
    assert reason is not None
    assert shares.open_reason(world.network, CLINIC, rid, owner.secret, reason) == "found unconscious"
    with pytest.raises(Refused, match="bad-box"):
        shares.open_reason(world.network, HOSPITAL, rid, owner.secret, reason)
    chain.commit(chain.grant_of(share))
    assert [(e.act, e.via, e.purpose) for e in chain.log(owner.scope)][-1] == ("granted", "emergency", "emergency")
    with pytest.raises(Refused, match="bad-purpose"):
        shares.seal_reason(world.network, CLINIC, rid, owner.V, "  ", world.random)


def test_the_owner_consents_or_refuses(granted: SharingChain, owned: Owned) -> None:
    chain = granted
    owner, own_key = owned
    thief = chain.owner("thief")
    rid = chain.put(owner)
    (first,), _ = chain.judged(HOSPITAL, {rid: None})
    (second,), _ = chain.judged(CLINIC, {rid: None})
    assert list(lists.items(chain.view, lists.INBOX, owner.scope)) == [first, second]
    delegation = chain.delegate(owner, own_key)
    good = consent(chain, owner, first, delegation)
    cases = [
        (consent(chain, thief, first, delegation), "bad-signature"),
        (consent(chain, owner, second, delegation), "unsatisfied"),
        (consent(chain, owner, first, bytes(32)), "unknown-delegation"),
        (consent(chain, owner, bytes(32), delegation), "unknown-share"),
        (refusal(chain, thief, second), "bad-signature"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    assert chain.reason(good, chain.time_ms + FAST.request_ms) == "expired"
    chain.commit(good, refusal(chain, owner, second))
    assert (chain.share(first).status, chain.share(first).delegation) == (ss.APPROVED, delegation)
    assert (chain.share(second).status, chain.share(second).reason) == (ss.DENIED, "refused-by-owner")
    assert chain.reason(good) == "already-done"
    assert chain.reason(refusal(chain, owner, second)) == "already-done"
    chain.commit(chain.grant_of(first))
    assert [e.act for e in chain.log(owner.scope)][-3:] == ["consented", "refused", "granted"]


def test_a_grant_takes_t_signatures_for_this_very_share(granted: SharingChain, owned: Owned) -> None:
    chain = granted
    owner, own_key = owned
    rid, delegation = chain.put(owner), chain.delegate(owner, own_key)
    (share, other), _ = chain.judged(HOSPITAL, {rid: delegation, chain.put(owner): delegation})
    partials, others = chain.partials(share, 4), chain.partials(other)
    good = chain.grant_of(share, partials[:3])
    first = good.claims[0]
    cases = [
        (chain.grant_of(share, partials[:2]), "no-quorum"),
        (replace(good, claims=(first, first, first)), "bad-encoding"),
        (replace(good, claims=good.claims[::-1]), "bad-encoding"),
        (replace(good, share=other), "wrong-request"),
        (chain.grant_of(share, [*partials[:2], others[2]]), "wrong-request"),
        (replace(good, claims=(replace(first, boxes=bytes(32)), *good.claims[1:])), "bad-signature"),
        (replace(good, claims=(*good.claims[:2], replace(good.claims[2], node="zz/check"))), "not-a-member"),
        (replace(good, share=bytes(32)), "unknown-share"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(good)
    # The next value node brings its own: one grant stands.
    assert chain.reason(chain.grant_of(share, partials[1:])) == "already-done"


@pytest.mark.parametrize("ended", ["revoked", "expired", "erased", "attribute", "suspended", "institution"])
def test_what_ends_before_the_grant_stops_it(granted: SharingChain, owned: Owned, ended: str) -> None:
    chain, world = granted, granted.world
    owner, own_key = owned
    rid, delegation = chain.put(owner), chain.delegate(owner, own_key, days=2)
    (share,), _ = chain.judged(HOSPITAL, {rid: delegation})
    grant = chain.grant_of(share)
    expected = {
        "revoked": "delegation-revoked",
        "expired": "delegation-expired",
        "erased": "record-erased",
        "attribute": "unsatisfied",
        "suspended": "suspended",
        "institution": "revoked",
    }[ended]
    assert chain.reason(denial(chain, share, expected)) == "bad-verdict"
    if ended == "revoked":
        # In one block: the revocation in front of the grant counts.
        revocation = chain.revocation(owner, delegation)
        assert chain.propose([revocation.encode(), grant.encode()]) == [revocation.encode()]
        chain.commit(revocation)
    elif ended == "expired":
        chain.later(2 * DAY_MS)
    elif ended == "erased":
        chain.commit(signed_by_scope(RecordErase(rid, 2, UNSIGNED), owner, world.random))
    elif ended == "attribute":
        chain.commit(world.revoke(HOSPITAL, ["dept:cardiology"], 2))
    elif ended == "suspended":
        chain.commit(*(world.vote(n, HOSPITAL) for n in world.nodes[:2]))
    else:
        digest = key_digest(world.institution(HOSPITAL).W_bytes)
        chain.decide([world.by_centre(PartyRevocation(INSTITUTION, HOSPITAL, digest, UNSIGNED))])
    assert chain.reason(grant) == expected
    with pytest.raises(Refused, match=expected):
        ss.transformable(chain.view, world.network, share, 1, chain.time_ms)
    assert chain.reason(denial(chain, share, "unsatisfied" if expected != "unsatisfied" else "suspended")) == "bad-verdict"
    chain.commit(denial(chain, share, expected))
    assert (chain.share(share).status, chain.share(share).reason) == (ss.DENIED, expected)
    assert chain.log(owner.scope)[-1].act == "denied"
    assert chain.reason(grant) == "not-granted"


def test_a_grant_serves_for_its_time_and_no_suspended_reader(granted: SharingChain, owned: Owned) -> None:
    chain, world = granted, granted.world
    owner, _ = owned
    rid = chain.put(owner, POLICY)
    (share,), _ = chain.judged(HOSPITAL, {rid: None})
    now = chain.time_ms
    ss.check_servable(chain.view, share, HOSPITAL, rid, now + FAST.grant_ms - 1)
    for reader, record, when in ((CLINIC, rid, now), (HOSPITAL, bytes(16), now), (HOSPITAL, rid, now + FAST.grant_ms)):
        with pytest.raises(Refused, match="not-granted"):
            ss.check_servable(chain.view, share, reader, record, when)
    chain.commit(*(world.vote(n, HOSPITAL) for n in world.nodes[:2]))
    with pytest.raises(Refused, match="suspended"):
        ss.check_servable(chain.view, share, HOSPITAL, rid, chain.time_ms)
    request, _ = chain.share_request(HOSPITAL, {rid: None})
    assert chain.reason(request) == "suspended"


def test_after_a_re_policy_partials_of_the_old_capsule_grant_nothing(granted: SharingChain, owned: Owned) -> None:
    chain = granted
    owner, own_key = owned
    rid, delegation = chain.put(owner, POLICY), chain.delegate(owner, own_key)
    (share,), _ = chain.judged(HOSPITAL, {rid: delegation})
    old = chain.grant_of(share)
    chain.commit(signed_by_scope(RecordRepolicy(rid, 2, chain.capsule(owner, rid), UNSIGNED), owner, chain.world.random))
    assert chain.reason(old) == "wrong-request"
    chain.commit(chain.grant_of(share))


def test_whose_verdict_it_is(granted: SharingChain, owned: Owned) -> None:
    chain, world = granted, granted.world
    owner, _ = owned
    rid = chain.put(owner, POLICY)
    request, _ = chain.ask(HOSPITAL, {rid: None})
    order = check_nodes.check_order(chain.view, world.network, 1, request)
    assert sorted(order) == sorted(n.member.name for n in world.checks)
    good = chain.verdict(request)
    seat = world.nodes[0].member
    cases = [
        (chain.verdict(request, 1), "not-your-check"),
        (chain.verdict(request, 2), "not-your-check"),
        (chain.verdict(request, outcomes=(ms.WAITING,)), "bad-verdict"),
        (chain.verdict(request, outcomes=(ms.VIA_POLICY, ms.VIA_POLICY)), "bad-verdict"),
        (chain.verdict(request, height=1), "bad-verdict"),
        (replace(good, tx_hash=bytes(32)), "unknown-request"),
        (replace(good, signature=bytes(64)), "bad-signature"),
        (check_nodes.sign_verdict(world.network, seat, request, good.height, good.outcomes, world.random), "not-authorised"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    # The first is silent: after its turn the next may speak.
    assert chain.reason(chain.verdict(request, 1), chain.time_ms + FAST.check_turn_ms) == ""
    chain.commit(good)
    assert chain.reason(chain.verdict(request, 1), chain.time_ms + FAST.check_turn_ms) == "already-done"
    assert ss.SHARE_REQUESTS.need(chain.view, request).judged_by == good.node


def test_what_ends_between_request_and_verdict_is_not_let_through(granted: SharingChain, owned: Owned) -> None:
    chain, world = granted, granted.world
    owner, _ = owned
    rid = chain.put(owner, POLICY)
    request, _ = chain.ask(HOSPITAL, {rid: None})
    verdict = chain.verdict(request)
    assert verdict.outcomes == (ms.VIA_POLICY,)
    chain.commit(world.revoke(HOSPITAL, ["dept:cardiology"], 2))
    chain.commit(verdict)
    assert chain.share(ss.share_id(world.network, request, 0)).status == ss.WAITING


def test_a_network_without_check_nodes_decides_by_itself() -> None:
    chain = SharingWorld("alone", checks=0).chain().set_up()
    granted_world(chain)
    rid = chain.put(chain.owner(), POLICY)
    request, _ = chain.ask(HOSPITAL, {rid: None})
    assert chain.share(ss.share_id(chain.world.network, request, 0)).status == ss.GRANTED


def test_waiting_requests_and_readers_lists_end(granted: SharingChain, owned: Owned) -> None:
    chain = granted
    owner, _ = owned
    rid = chain.put(owner)
    (share,), _ = chain.judged(HOSPITAL, {rid: None})
    assert list(lists.items(chain.view, lists.READER_SHARES, HOSPITAL.encode())) == [share]
    assert chain.reason(denial(chain, share, "expired")) == "bad-verdict"
    chain.later(FAST.request_ms)
    assert chain.reason(refusal(chain, owner, share)) == "expired"
    chain.commit(denial(chain, share, "expired"))
    assert chain.share(share).reason == "expired"


def test_an_approved_share_is_granted_in_time_or_asked_for_again(granted: SharingChain, owned: Owned) -> None:
    chain = granted
    owner, own_key = owned
    rid, delegation = chain.put(owner), chain.delegate(owner, own_key)
    (share,), _ = chain.judged(HOSPITAL, {rid: delegation})
    grant, closes = chain.grant_of(share), ss.closes_ms(chain.view, chain.share(share))
    assert chain.reason(grant, closes - 1) == ""
    assert chain.reason(grant, closes) == "expired"
    with pytest.raises(Refused, match="expired"):
        ss.transformable(chain.view, chain.world.network, share, 1, closes)
    chain.commit(denial(chain, share, "expired"), time_ms=closes)
    assert chain.share(share).reason == "expired"


def test_shares_are_limited_by_period(granted: SharingChain, owned: Owned, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = granted
    owner, _ = owned
    rid, second = chain.put(owner), chain.put(owner)
    tight = replace(FAST, shares_a_period=2)
    monkeypatch.setattr("salus.ledger.kinds.sharing.limits.sharing_constants", lambda _: tight)
    chain.ask(HOSPITAL, {rid: None})
    assert chain.reason(chain.share_request(HOSPITAL, {rid: None, second: None})[0]) == "limit"
    assert chain.reason(chain.share_request(CLINIC, {rid: None, second: None})[0]) == ""
    chain.ask(HOSPITAL, {second: None})
    assert chain.reason(chain.share_request(HOSPITAL, {rid: None})[0]) == "limit"
    assert chain.reason(chain.share_request(HOSPITAL, {rid: None})[0], chain.time_ms + FAST.period_ms) == ""
