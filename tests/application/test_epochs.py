"""Epochs on the ledger: keys, turns of the dealers, acknowledgements, accusations, grace."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from salus import labels
from salus.consultation.registration import NODE
from salus.consultation.shared_value import (
    Deal,
    EpochSecret,
    Seat,
    accuse,
    acknowledge,
    deal_with,
    make_deal,
    open_deal,
    publish_epoch_key,
)
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import Scalar, base_mul, random_scalar
from salus.ledger.constants import Constants
from salus.ledger.epoch_state import STATUS, Epoch, accepted_epochs, find_epoch
from salus.ledger.kinds.misbehaviour import RECORDS
from salus.ledger.kinds.parties import PartyRevocation, key_digest
from support.ledger_world import GENESIS_MS, Chain, LedgerWorld, NodeKeys

TURN = 60_000


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("epochs", constants=Constants(epoch_length_ms=10 * TURN, epoch_grace_ms=3 * TURN, deal_turn_ms=TURN))


@pytest.fixture
def chain(world: LedgerWorld) -> Chain:
    return world.chain()


def reason(chain: Chain, raw: bytes, time_ms: int | None = None) -> str:
    now = chain.time_ms + 1000 if time_ms is None else time_ms
    (result,) = chain.application.check_transactions([raw], now)
    assert chain.application.validate_proposal(chain.input([raw], now), secret_checks=True).valid == result.accepted
    return result.reason


def epoch(chain: Chain, number: int) -> Epoch:
    record = find_epoch(chain.application.view(), number)
    assert record is not None
    return record


def by_name(world: LedgerWorld, name: str) -> NodeKeys:
    return next(n for n in world.nodes if n.member.name == name)


def seats(chain: Chain, number: int) -> list[Seat]:
    return [s.seat() for s in epoch(chain, number).seats]


def deal_in_turn(world: LedgerWorld, chain: Chain, number: int, time_ms: int | None = None) -> tuple[Deal, Scalar]:
    now = chain.time_ms + 1000 if time_ms is None else time_ms
    turn = epoch(chain, number).dealer(now, world.genesis.core.constants)
    return make_deal(world.network, number, by_name(world, turn).member, seats(chain, number), world.random)


def ack(world: LedgerWorld, node: int, deal: Deal, in_grace: tuple[int, ...] = ()) -> bytes:
    return acknowledge(world.network, world.nodes[node].member, deal, in_grace, world.random).encode()


def post_keys(world: LedgerWorld, number: int, nodes: list[int]) -> list[bytes]:
    """Fresh epoch keys of these nodes."""
    raw = []
    for i in nodes:
        world.nodes[i].epoch = EpochSecret.generate(number, world.random)
        raw.append(publish_epoch_key(world.network, world.nodes[i].member, world.nodes[i].epoch, world.random).encode())
    return raw


def test_the_first_epoch_is_open_and_closed_at_genesis(world: LedgerWorld, chain: Chain) -> None:
    record = epoch(chain, 1)
    assert [s.name for s in record.seats] == [m.name for m in world.validators.members]
    assert record.is_closed(GENESIS_MS, world.genesis.core.constants)
    assert accepted_epochs(chain.application.view(), GENESIS_MS) == []


def test_a_quorum_of_acknowledgements_starts_it(world: LedgerWorld, chain: Chain) -> None:
    deal, theta = deal_in_turn(world, chain, 1)
    chain.decide([deal.encode()])
    assert reason(chain, deal.encode()) == "already-done"
    chain.decide([ack(world, 0, deal), ack(world, 1, deal)])
    assert epoch(chain, 1).started_ms == 0
    assert reason(chain, ack(world, 1, deal)) == "already-done"
    chain.decide([ack(world, 3, deal)])
    record = epoch(chain, 1)
    assert (record.started_ms, record.pk_BC, record.ends_ms) == (chain.time_ms, base_mul(theta).encode(), 0)
    assert STATUS.need(chain.application.view(), b"").current == 1
    # The last one still says that it holds theta; dealing is over.
    chain.decide([ack(world, 2, deal)])
    assert len(epoch(chain, 1).acks) == 4
    assert reason(chain, deal_in_turn(world, chain, 1)[0].encode()) == "already-done"


def test_deals_out_of_turn_or_altered(world: LedgerWorld, chain: Chain) -> None:
    deal, _ = deal_in_turn(world, chain, 1)
    others = [n for n in world.nodes if n.member.name != deal.dealer]
    for node in others:
        other, _ = make_deal(world.network, 1, node.member, seats(chain, 1), world.random)
        assert reason(chain, other.encode()) == "not-dealer"
    short, _ = make_deal(world.network, 1, by_name(world, deal.dealer).member, seats(chain, 1)[:3], world.random)
    cases = [
        (short, "bad-deal"),
        (replace(deal, R=others[0].member.W_bytes), "bad-deal"),
        (replace(deal, T=others[0].member.W_bytes), "bad-deal"),
        (replace(deal, possession=deal.signature), "bad-deal"),
        (replace(deal, signature=deal.possession), "bad-signature"),
        (replace(deal, epoch=2), "wrong-epoch"),
        (replace(deal, coefficients=(b"\xff" * 32, *deal.coefficients[1:])), "bad-scalar"),
    ]
    for altered, expected in cases:
        assert reason(chain, altered.encode()) == expected


def test_a_silent_dealer_is_followed_by_the_next(world: LedgerWorld, chain: Chain) -> None:
    constants = world.genesis.core.constants
    order = [epoch(chain, 1).dealer(GENESIS_MS + 1 + i * TURN, constants) for i in range(5)]
    assert len(set(order[:4])) == 4
    assert order[4] == order[0]
    late = GENESIS_MS + TURN + 1
    first, _ = deal_in_turn(world, chain, 1)
    second, _ = deal_in_turn(world, chain, 1, late)
    assert (first.dealer, second.dealer) == (order[0], order[1])
    assert reason(chain, first.encode(), late) == "not-dealer"
    # A deal that gathers no quorum in its turn is replaced, and its acknowledgements with it.
    chain.decide([first.encode()])
    chain.decide([ack(world, 0, first), ack(world, 1, first)])
    chain.decide([second.encode()], late)
    assert epoch(chain, 1).acks == ()
    assert reason(chain, ack(world, 2, first)) == "bad-deal"
    chain.decide([ack(world, i, second) for i in range(3)])
    assert epoch(chain, 1).started_ms


def test_acknowledgements(world: LedgerWorld, chain: Chain) -> None:
    deal, _ = deal_in_turn(world, chain, 1)
    assert reason(chain, ack(world, 0, deal)) == "wrong-epoch"
    chain.decide([deal.encode()])
    good = acknowledge(world.network, world.nodes[0].member, deal, (), world.random)
    cases: list[tuple[Any, str]] = [
        (replace(good, deal=bytes(32)), "bad-deal"),
        (replace(good, node=world.nodes[1].member.name), "bad-signature"),
        (replace(good, node="no/body"), "unknown-party"),
        (replace(good, in_grace=(2, 1)), "bad-encoding"),
        (replace(good, epoch=2), "wrong-epoch"),
    ]
    for altered, expected in cases:
        assert reason(chain, altered.encode()) == expected
    assert reason(chain, good.encode()) == ""


def second_epoch(world: LedgerWorld, chain: Chain, nodes: list[int]) -> None:
    chain.start_epoch()
    chain.decide([], chain.time_ms + 10 * TURN)
    chain.decide(post_keys(world, 2, nodes))


def test_the_next_epoch_follows_after_its_time_and_the_old_one_is_accepted_for_its_grace(
    world: LedgerWorld, chain: Chain
) -> None:
    chain.start_epoch()
    early = post_keys(world, 2, [0])[0]
    assert reason(chain, early) == "not-started"
    started = epoch(chain, 1).started_ms
    chain.decide([], started + 10 * TURN - 2)
    assert reason(chain, early, started + 10 * TURN - 1) == "not-started"
    chain.decide([early], started + 10 * TURN)
    assert reason(chain, early) == "already-done"
    assert STATUS.need(chain.application.view(), b"").pending == 2
    # While one key is missing, the list is open for a turn, and then closed with a quorum.
    chain.decide(post_keys(world, 2, [1, 2]))
    assert reason(chain, deal_key(world, chain)) == "not-started"
    opened = epoch(chain, 2).opened_ms
    assert reason(chain, post_keys(world, 2, [3])[0], opened + TURN) == "already-done"
    chain.decide([], opened + TURN)
    deal, _ = deal_in_turn(world, chain, 2)
    assert len(deal.coefficients) == 3
    chain.decide([deal.encode()])
    missing = acknowledge(world.network, world.nodes[0].member, deal, (), world.random)
    assert reason(chain, missing.encode()) == "no-shared-value"
    assert reason(chain, ack(world, 3, deal, (1,))) == "unknown-party"
    for i in range(3):
        assert open_deal(world.network, deal, world.nodes[i].member, world.nodes[i].epoch)
    chain.decide([ack(world, i, deal, (1,)) for i in range(3)])
    view, now = chain.application.view(), chain.time_ms
    assert [e.epoch for e in accepted_epochs(view, now)] == [1, 2]
    assert epoch(chain, 1).ends_ms == now + 3 * TURN
    assert [e.epoch for e in accepted_epochs(view, now + 3 * TURN - 1)] == [1, 2]
    assert [e.epoch for e in accepted_epochs(view, now + 3 * TURN)] == [2]


def deal_key(world: LedgerWorld, chain: Chain) -> bytes:
    """A deal by the node whose turn it will be."""
    record = epoch(chain, 2)
    dealer = record.seats[2 % len(record.seats)].name
    return make_deal(world.network, 2, by_name(world, dealer).member, seats(chain, 2), world.random)[0].encode()


def test_epoch_keys(world: LedgerWorld, chain: Chain) -> None:
    second_epoch(world, chain, [0])
    secret = EpochSecret.generate(2, world.random)
    good = publish_epoch_key(world.network, world.nodes[1].member, secret, world.random)
    cases: list[tuple[Any, str]] = [
        (replace(good, E=world.nodes[2].member.W_bytes), "bad-possession"),
        (replace(good, possession=bytes(64)), "bad-possession"),
        (replace(good, signature=bytes(64)), "bad-point"),
        (replace(good, epoch=3), "wrong-epoch"),
        (replace(good, node="no/body"), "unknown-party"),
        (replace(good, node=world.nodes[2].member.name), "bad-possession"),
    ]
    for altered, expected in cases:
        assert reason(chain, altered.encode()) == expected
    assert reason(chain, good.encode()) == ""


def false_deal(world: LedgerWorld, chain: Chain, number: int = 1) -> Deal:
    """A deal that gives some node a wrong theta: dealt with a wrong key for node 3, then signed anew."""
    turn = epoch(chain, number).dealer(chain.time_ms + 1000, world.genesis.core.constants)
    wrong = [s if s.name != world.nodes[3].member.name else Seat(s.name, s.W, s.W) for s in seats(chain, number)]
    dealer = by_name(world, turn).member
    r, theta = random_scalar(world.random), random_scalar(world.random)
    return deal_with(world.network, number, dealer, wrong, r, theta, world.random)[0]


def test_a_false_deal_convicts_its_dealer_and_the_next_one_deals_at_once(world: LedgerWorld, chain: Chain) -> None:
    deal = false_deal(world, chain)
    chain.decide([deal.encode()])
    victim = world.nodes[3]
    accusation = accuse(world.network, deal, victim.member, victim.epoch, world.random)
    assert reason(chain, replace(accusation, proof_x=accusation.proof_y).encode()) == "bad-accusation"
    assert reason(chain, replace(accusation, deal=bytes(32)).encode()) == "bad-deal"
    chain.decide([accusation.encode()])
    record = RECORDS.get(chain.application.view(), deal.dealer.encode())
    assert record is not None
    assert record.convictions == 1
    assert (epoch(chain, 1).deal, epoch(chain, 1).skipped) == (None, 1)
    assert reason(chain, accusation.encode()) == "wrong-epoch"
    assert reason(chain, deal.encode()) == "not-dealer"
    following, _ = deal_in_turn(world, chain, 1)
    assert following.dealer != deal.dealer
    chain.decide([following.encode()])
    chain.decide([ack(world, i, following) for i in range(3)])
    assert epoch(chain, 1).started_ms


def test_a_false_accusation_convicts_the_accuser(world: LedgerWorld, chain: Chain) -> None:
    deal, _ = deal_in_turn(world, chain, 1)
    chain.decide([deal.encode()])
    liar = next(n for n in world.nodes if n.member.name != deal.dealer)
    accusation = accuse(world.network, deal, liar.member, liar.epoch, world.random)
    chain.decide([accusation.encode()])
    view = chain.application.view()
    assert RECORDS.get(view, deal.dealer.encode()) is None
    record = RECORDS.get(view, liar.member.name.encode())
    assert record is not None
    assert record.convictions == 1
    # Everyone knows theta now: it never serves, and the others deal again without the liar.
    left = epoch(chain, 1)
    assert (left.deal, left.acks, left.skipped, left.members) == (None, (), 1, 3)
    assert liar.member.name not in [s.name for s in left.seats]
    assert reason(chain, accusation.encode()) == "wrong-epoch"
    again = publish_epoch_key(world.network, liar.member, EpochSecret.generate(1, world.random), world.random)
    assert reason(chain, again.encode()) == "already-done"
    following, _ = deal_in_turn(world, chain, 1)
    chain.decide([following.encode()])
    chain.decide([ack(world, i, following) for i in range(4) if world.nodes[i] is not liar])
    assert epoch(chain, 1).started_ms


def test_a_dealer_convicted_after_the_start_does_not_stop_the_epoch(world: LedgerWorld, chain: Chain) -> None:
    deal = false_deal(world, chain)
    chain.decide([deal.encode()])
    chain.decide([ack(world, i, deal) for i in range(3)])
    victim = world.nodes[3]
    chain.decide([accuse(world.network, deal, victim.member, victim.epoch, world.random).encode()])
    assert RECORDS.need(chain.application.view(), deal.dealer.encode()).convictions == 1
    assert epoch(chain, 1).accepted(chain.time_ms)


def revoke_node(world: LedgerWorld, i: int) -> bytes:
    member = world.nodes[i].member
    return world.by_centre(PartyRevocation(NODE, member.name, key_digest(member.W_bytes), bytes(64)))


def test_a_revoked_node_is_followed_by_an_epoch_without_it(world: LedgerWorld, chain: Chain) -> None:
    chain.start_epoch()
    chain.decide([revoke_node(world, 2)])
    keys = post_keys(world, 2, [0, 1, 3])
    assert reason(chain, post_keys(world, 2, [2])[0]) == "revoked"
    chain.decide(keys)
    record = epoch(chain, 2)
    assert record.members == 3
    assert record.full_ms == chain.time_ms
    deal, _ = deal_in_turn(world, chain, 2)
    chain.decide([deal.encode()])
    chain.decide([ack(world, i, deal, (1,)) for i in (0, 1, 3)])
    assert STATUS.need(chain.application.view(), b"") == STATUS.message(2, 0, 0)


def test_a_node_revoked_while_an_epoch_is_dealt_voids_the_deal(world: LedgerWorld, chain: Chain) -> None:
    second_epoch(world, chain, [0, 1, 2, 3])
    deal, _ = deal_in_turn(world, chain, 2)
    chain.decide([deal.encode()])
    chain.decide([ack(world, 0, deal, (1,)), revoke_node(world, 2)])
    record = epoch(chain, 2)
    assert (record.deal, record.acks, len(record.seats)) == (None, (), 3)
    assert reason(chain, ack(world, 1, deal, (1,))) == "wrong-epoch"
    fresh, _ = deal_in_turn(world, chain, 2)
    chain.decide([fresh.encode()])
    chain.decide([ack(world, i, fresh, (1,)) for i in (0, 1, 3)])
    assert epoch(chain, 2).started_ms


def test_a_copied_R_is_refused(world: LedgerWorld, chain: Chain) -> None:
    """Without the proof of r, a dealer could copy R from an earlier deal and have a justified accusation open the other."""
    deal, _ = deal_in_turn(world, chain, 1)
    dealer = by_name(world, deal.dealer).member
    copied = replace(deal, coefficients=deal.coefficients[::-1], possession=bytes(64), signature=bytes(64))
    proof = schnorr_sign(
        labels.SIG_DEAL, labels.SUITE_R1, dealer.s, (world.network, deal.R), copied.to_value()[:-2], world.random
    )
    copied = replace(copied, possession=proof)
    signed = replace(copied, signature=dealer.sign(world.network, labels.SIG_DEAL, copied.to_value()[:-1], world.random))
    assert reason(chain, signed.encode()) == "bad-deal"
