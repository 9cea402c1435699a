"""Silent and lying nodes and check nodes: the others serve, and what the liar signed names it on the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from salus.abpre.threshold import scalar_deals
from salus.abpre.threshold.alpha import PointShare
from salus.abpre.threshold.committee import UNSIGNED
from salus.abpre.threshold.key_issuing import demand_partial
from salus.abpre.threshold.scalar_deals import ScalarShare
from salus.codec import encode
from salus.errors import Refused
from salus.groups.bls12_381 import random_fr
from salus.ledger import sharing_api as m
from salus.ledger.kinds.misbehaviour import RECORDS
from salus.ledger.kinds.sharing.committee_state import find_epoch, scalar_public
from salus.ledger.kinds.sharing.keys import find_demand
from salus.ledger.kinds.sharing.messages.keys import KeyMissing
from salus.ledger.kinds.sharing.messages.shares import FalseVerdict
from salus.ledger.kinds.sharing.share_state import SHARE_REQUESTS
from salus.network.embedded import EmbeddedNetwork
from salus.node.sharing import committee_duties, transforming
from support.embedded import Clock, found_network
from support.sharing_network import Sharing, altered, wait

READER = "st-anne/board"


def convictions(world: Sharing, node: str) -> int:
    record = RECORDS.get(world.view, node.encode())
    return 0 if record is None else record.convictions


def reader_of(world: Sharing) -> Any:
    world.grant(READER, "role:doctor")
    return world.institution(READER)


def test_a_node_that_is_down_changes_nothing(world: Sharing) -> None:
    reader = reader_of(world)
    world.network.stop_node(world.network.nodes[3].name)
    key = world.key(reader, "role:doctor@2025")
    owner = world.owner()
    delegation = world.delegate(owner, world.key(owner))
    rid = world.put(owner)
    (share,), box = world.request(reader, [(rid, delegation)])
    world.granted(share)
    assert world.open(share, box, key).key == b"k" * 32


def test_a_silent_node_posts_its_partial_key_on_demand(world: Sharing) -> None:
    reader = reader_of(world)
    core, box = world.ask_key(reader, "role:doctor@2025")
    silent = world.node(2).name
    digest = core.digest(world.id)
    world.commit(demand_partial(world.id, core, silent, box, world.random))
    found = wait(world.network, lambda: (d := find_demand(world.view, digest, silent, 0)) and d.posted)
    assert len(world.collect(core, box, [found, *world.issued(core)[:2]]).used) == 3


def test_a_node_that_ignores_a_demand_is_marked_missing(tmp_path: Path) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        world = Sharing(network)
        reader = reader_of(world)
        core, box = world.ask_key(reader, "role:doctor@2025")
        silent = world.node(3).name
        network.stop_node(silent)
        world.commit(demand_partial(world.id, core, silent, box, world.random))
        missing = KeyMissing(core.digest(world.id), silent)
        with pytest.raises(Refused) as refusal:
            world.commit(missing)
        assert refusal.value.reason == "in-time"
        clock.advance(11 * 60_000)
        world.commit(missing)
        assert convictions(world, silent) == 1
        # started again, it posts what it owes all the same
        network.start_node(silent)
        wait(network, lambda: (d := find_demand(world.view, core.digest(world.id), silent, 0)) and d.posted)


def test_a_false_partial_key_names_its_node(world: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(world)
    liar, other = world.node(1), world.node(2)
    held = other.sharing.around.shares._alpha[1]
    own = liar.sharing.around.shares._alpha[1]
    liar.sharing.around.shares._alpha[1] = PointShare(1, own.index, held.S)
    core, box = world.ask_key(reader, "role:doctor@2025")
    collected = world.collect(core, box, world.issued(core))
    assert collected.key is not None
    (evidence,) = collected.evidence
    world.commit(evidence)
    assert convictions(world, liar.name) == 1


def test_a_false_partial_names_its_node_and_the_reader_gets_the_record(world: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(world)
    key = world.key(reader, "role:doctor@2025")
    owner = world.owner()
    delegation = world.delegate(owner, world.key(owner))
    rid = world.put(owner)
    liar = world.node(0)
    honest = transforming.make_partial

    def lie(committee: Any, target: Any, share: ScalarShare, c: bytes, node: Any, random: Any) -> Any:
        if node.name == liar.name:
            share = ScalarShare(share.purpose, share.epoch, share.index, random_fr(random))
        return honest(committee, target, share, c, node, random)

    monkeypatch.setattr(transforming, "make_partial", lie)
    (share,), box = world.request(reader, [(rid, delegation)])
    world.granted(share)
    opened = world.open(share, box, key)
    assert opened.key == b"k" * 32
    (evidence,) = opened.evidence
    world.commit(evidence)
    assert convictions(world, liar.name) == 1


def test_a_dealer_of_a_false_share_is_convicted_and_the_epoch_starts_without_its_deal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = committee_duties.make_scalar_deal
    lied: list[str] = []

    def lie(network: bytes, committee: Any, purpose: str, dealer: Any, random: Any) -> Any:
        deal = honest(network, committee, purpose, dealer, random)
        if dealer.name != "st-anne/node-0":
            return deal
        lied.append(purpose)
        boxes = list(deal.boxes)
        seat = committee.seats[1]
        ctx = scalar_deals.share_context(network, committee, purpose, 0, dealer.name, seat.index)
        boxes[1] = scalar_deals.seal_box(seat.Er, ctx, bytes(31) + b"\1", random)
        return scalar_deals.sign_scalar_deal(network, altered(deal, boxes=tuple(boxes), signature=UNSIGNED), dealer, random)

    monkeypatch.setattr(committee_duties, "make_scalar_deal", lie)
    with found_network(tmp_path / "home", now_ms=Clock(), nodes=4, random=None) as network:
        world = Sharing(network)
        assert sorted(lied) == ["oprf", "z"]
        assert convictions(world, "st-anne/node-0") == 2
        record = find_epoch(world.view, 1)
        assert record is not None
        assert all(ref.out == (ref.dealer == "st-anne/node-0") for phase in record.scalars for ref in phase.deals)
        index = world.committee.seat_of("st-anne/node-0").index
        assert index not in scalar_public(world.view, 1, "z").sharing.dealers
        assert all(node.sharing.around.shares.holds(1) == ("keys", "alpha", "z", "oprf") for node in network.nodes)


def test_a_false_verdict_is_refused_the_next_check_node_takes_over_and_the_liar_is_named(world: Sharing) -> None:
    reader = reader_of(world)
    owner = world.owner()
    delegation = world.delegate(owner, world.key(owner))
    rid = world.put(owner)
    told: dict[str, Any] = {}
    for check in world.network.checks.running:

        def lie(tx_hash: bytes, height: int, outcomes: tuple[str, ...], check: Any = check) -> Any:
            false = not told or check.name in told
            verdict = type(check).sign(check, tx_hash, height, ("suspended",) if false else outcomes)
            if false:
                told[check.name] = verdict
            return verdict

        check.sign = lie  # type: ignore[method-assign]
    (share,), _ = world.request(reader, [(rid, delegation)])
    granted = world.granted(share)
    ((liar, verdict),) = told.items()
    judge = SHARE_REQUESTS.need(world.view, granted.request).judged_by
    assert judge in world.network.checks.names
    assert judge != liar
    world.commit(FalseVerdict(verdict, None))
    assert convictions(world, liar) == 1


def test_a_check_node_that_is_down_is_passed_over(world: Sharing) -> None:
    reader = reader_of(world)
    owner = world.owner()
    delegation = world.delegate(owner, world.key(owner))
    rid = world.put(owner)
    for name in world.network.checks.names[:2]:
        world.network.checks.stop(name)
    (share,), _ = world.request(reader, [(rid, delegation)])
    assert SHARE_REQUESTS.need(world.view, world.granted(share).request).judged_by == world.network.checks.names[2]
    started = world.network.checks.start(world.network.checks.names[0])
    started.attend(world.network.now_ms())
    assert started.follower.height == world.node(0).application.info().height


def test_two_different_verdicts_of_one_check_node_convict_it(world: Sharing) -> None:
    """A general node that compares what it is told puts the evidence on the ledger itself."""
    draft = world.record(world.owner())
    desk = world.node(0).sharing.acceptance
    check = world.network.checks.running[0]
    check.follower.follow()
    told = [check.sign(bytes(32), 3, (outcome,)) for outcome in ("valid", "suspended")]
    for verdict in told:
        assert desk._read_verdict(bytes(32), check.name, verdict.encode()) == verdict
    assert check.name in m.SharingStatus.decode(world.call(world.node(0).name, m.STATUS, m.SharingStatusRequest())).liars
    wait(world.network, lambda: convictions(world, check.name) == 1)
    assert encode(draft.rid)


def test_a_refusal_that_is_false_is_noticed_and_the_next_check_node_is_asked(network: EmbeddedNetwork, world: Sharing) -> None:
    draft = world.record(world.owner())
    first: list[str] = []
    for check in network.checks.running:

        def lie(tx_hash: bytes, height: int, outcomes: tuple[str, ...], check: Any = check) -> Any:
            if not first or first[0] == check.name:
                first[:] = [check.name]
                outcomes = ("suspended",)
            return type(check).sign(check, tx_hash, height, outcomes)

        check.sign = lie  # type: ignore[method-assign]
    node = network.nodes[0]
    world.call(node.name, m.ACCEPT, m.AcceptRequest(draft.encode()))
    tx_hash = node.application.transaction(draft.encode()).hash
    wait(network, lambda: node.application.position(tx_hash))
    accepted = m.Acceptance.decode(world.call(node.name, m.ACCEPTANCE, m.AcceptanceRequest(tx_hash)))
    assert accepted.verdict is not None
    assert accepted.verdict.node != first[0]
    assert node.sharing.status().liars == (first[0],)
