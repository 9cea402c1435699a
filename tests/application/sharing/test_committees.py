"""Epochs of sharing on the chain: keys, deals, complaints, windows, hand-over."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.epoch_keys import SharingSecret, publish_sharing_key
from salus.abpre.threshold.groups import OPRF, Z
from salus.errors import Refused
from salus.ledger.kinds.misbehaviour import CONVICTIONS, conviction_key
from salus.ledger.kinds.sharing import committee_state as cs
from salus.ledger.kinds.sharing.committees import FALSE_SHARE
from salus.ledger.kinds.sharing.messages.keys import SharingFix
from salus.ledger.kinds.sharing.succession import next_sharing_epoch
from salus.search.committee import check_token_key
from support.bad_deals import bad_deal
from support.sharing_world import DAY_MS, FAST, SharingChain, SharingWorld


@pytest.fixture
def world() -> SharingWorld:
    return SharingWorld()


@pytest.fixture
def chain(world: SharingWorld) -> SharingChain:
    return world.chain()


def test_a_committee_deals_its_keys_and_every_seat_reads_its_shares(chain: SharingChain) -> None:
    chain.set_up()
    epoch = cs.current_epoch(chain.view)
    assert (epoch.epoch, epoch.key_version, epoch.previous) == (1, 1, 0)
    assert len(chain.points) == 4
    assert len(chain.shares) == 8
    check_token_key(cs.search_key(chain.view, 1))
    assert len(chain.parameters.Y.encode()) == 576
    with pytest.raises(Refused, match="not-started"):
        next_sharing_epoch(chain.view, chain.time_ms)


def test_a_silent_seat_does_not_hold_the_others_up(chain: SharingChain, world: SharingWorld) -> None:
    chain.post_keys(nodes=world.nodes[1:])
    early = al.make_alpha_deal(world.network, chain.committee(), world.nodes[1].member, world.random)
    assert chain.reason(early, chain.time_ms + 1) == "not-started"
    chain.later(FAST.key_turn_ms)
    committee = chain.committee()
    assert [seat.index for seat in committee.seats] == [2, 3, 4]
    late = publish_sharing_key(world.network, world.nodes[0].member, world.secret(world.nodes[0], 1), world.random)
    assert chain.reason(late) == "already-done"
    chain.commit(*(al.make_alpha_deal(world.network, committee, n.member, world.random) for n in world.nodes[1:]))
    for purpose in (Z, OPRF):
        deals = [sd.make_scalar_deal(world.network, committee, purpose, n.member, world.random) for n in world.nodes[1:]]
        chain.commit(*deals)
    chain.fix()
    chain.open_shares()
    assert {name for name, _ in chain.points} == {n.member.name for n in world.nodes[1:]}


def test_whose_keys_are_taken(chain: SharingChain, world: SharingWorld) -> None:
    node, other = world.nodes[0], world.nodes[1]
    good = publish_sharing_key(world.network, node.member, world.secret(node, 1), world.random)
    theirs = publish_sharing_key(world.network, other.member, world.secret(node, 1), world.random)
    check = world.checks[0]
    cases = [
        (publish_sharing_key(world.network, node.member, SharingSecret.generate(2, world.random), world.random), "wrong-epoch"),
        (publish_sharing_key(world.network, check.member, world.secret(check, 1), world.random), "not-a-member"),
        (replace(good, E_possession=bytes(64)), "bad-possession"),
        (replace(good, signature=theirs.signature), "bad-signature"),
        (replace(good, node=other.member.name), "bad-possession"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(good)
    assert chain.reason(good) == "already-done"
    assert chain.reason(theirs) == "used-key"


def test_the_first_t_deals_fix_alpha_and_no_deal_comes_after(chain: SharingChain, world: SharingWorld) -> None:
    chain.post_keys()
    committee = chain.committee()
    deals = [al.make_alpha_deal(world.network, committee, n.member, world.random) for n in world.nodes]
    cases = [
        (replace(deals[0], dealer=world.nodes[1].member.name), "bad-signature"),
        (replace(deals[0], epoch=2), "wrong-epoch"),
        (replace(deals[0], previous=1), "bad-deal"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(deals[0])
    assert chain.reason(deals[0]) == "already-done"
    with pytest.raises(Refused, match="not-started"):
        cs.alpha_public(chain.view, 1)
    chain.commit(deals[2], deals[1])
    assert cs.alpha_public(chain.view, 1).sharing.dealers == (1, 3, 2)
    assert chain.reason(deals[3]) == "already-done"


def test_nothing_is_fixed_before_the_windows_are_over(chain: SharingChain, world: SharingWorld) -> None:
    chain.post_keys()
    fix = SharingFix(1, Z)
    assert chain.reason(fix) == "not-started"
    deals = [sd.make_scalar_deal(world.network, chain.committee(), Z, n.member, world.random) for n in world.nodes]
    chain.commit(*deals[:3])
    assert chain.reason(fix) == "not-started"
    chain.commit(deals[3])
    closes = chain.time_ms + FAST.complaint_window_ms
    assert chain.reason(fix, closes - 1) == "not-started"
    assert chain.reason(fix, closes) == ""
    chain.commit(fix, time_ms=closes)
    assert chain.reason(fix) == "already-done"
    assert chain.reason(SharingFix(1, "other")) == "bad-encoding"
    assert chain.reason(SharingFix(9, Z)) == "wrong-epoch"
    # Three deals are enough once the window for deals has passed.
    others = [sd.make_scalar_deal(world.network, chain.committee(), OPRF, n.member, world.random) for n in world.nodes]
    chain.later(FAST.deal_window_ms)
    chain.commit(*others[:3])
    assert chain.reason(others[3]) == "already-done"
    assert chain.reason(SharingFix(1, OPRF), chain.time_ms + FAST.complaint_window_ms) == ""


def test_an_upheld_complaint_takes_the_deal_out_and_names_the_dealer(chain: SharingChain, world: SharingWorld) -> None:
    chain.post_keys()
    committee, victim = chain.committee(), world.nodes[3]
    liar = world.nodes[0].member
    lie = bad_deal(chain, Z, 0, 3)
    good = [sd.make_scalar_deal(world.network, committee, Z, n.member, world.random) for n in world.nodes[1:]]
    chain.commit(lie, *good)
    secret = world.secret(victim, 1)
    with pytest.raises(Refused, match="bad-share"):
        sd.open_dealt_share(world.network, committee, lie, victim.member.name, secret)
    complaint = sd.complain(world.network, committee, lie, victim.member, secret, world.random)
    false = sd.complain(world.network, committee, good[0], victim.member, secret, world.random)
    assert chain.reason(false) == "bad-complaint"
    assert chain.reason(replace(complaint, deal=bytes(32))) == "bad-complaint"
    assert chain.reason(replace(complaint, node=world.nodes[2].member.name)) == "bad-complaint"
    assert chain.reason(complaint, chain.time_ms + FAST.complaint_window_ms) == "expired"
    chain.commit(complaint)
    assert chain.reason(complaint) == "already-done"
    assert CONVICTIONS.get(chain.view, conviction_key(liar.name, FALSE_SHARE, lie.digest())) is not None
    chain.later(FAST.complaint_window_ms)
    chain.commit(SharingFix(1, Z))
    assert cs.scalar_public(chain.view, 1, Z).sharing.dealers == (2, 3, 4)


def test_without_the_complaint_a_seat_is_left_without_a_share(chain: SharingChain, world: SharingWorld) -> None:
    chain.post_keys()
    chain.commit(*(al.make_alpha_deal(world.network, chain.committee(), n.member, world.random) for n in world.nodes[:3]))
    for purpose in (Z, OPRF):
        good = [sd.make_scalar_deal(world.network, chain.committee(), purpose, n.member, world.random) for n in world.nodes[1:]]
        chain.commit(bad_deal(chain, purpose, 0, 3), *good)
    chain.fix()
    with pytest.raises(Refused, match="bad-share"):
        chain.open_shares()


def test_a_complaint_that_leaves_too_few_deals_opens_the_collection_again(chain: SharingChain, world: SharingWorld) -> None:
    chain.post_keys()
    committee = chain.committee()
    lie = bad_deal(chain, Z, 0, 3)
    good = [sd.make_scalar_deal(world.network, committee, Z, n.member, world.random) for n in world.nodes[1:]]
    chain.later(FAST.deal_window_ms)
    chain.commit(lie, *good[:2])
    assert chain.reason(good[2]) == "already-done"
    chain.commit(sd.complain(world.network, committee, lie, world.nodes[3].member, world.secret(world.nodes[3], 1), world.random))
    chain.later(FAST.complaint_window_ms)
    assert chain.reason(SharingFix(1, Z)) == "not-started"
    again = sd.make_scalar_deal(world.network, committee, Z, world.nodes[0].member, world.random)
    assert chain.reason(again) == "already-done"
    chain.commit(good[2])
    chain.later(FAST.complaint_window_ms)
    chain.commit(SharingFix(1, Z))
    assert cs.scalar_public(chain.view, 1, Z).sharing.dealers == (2, 3, 4)


def hand_over(chain: SharingChain, dealers: range) -> None:
    """The next epoch, dealt by these seats of the old one."""
    world, old = chain.world, chain.epoch
    chain.later(FAST.epoch_length_ms)
    chain.post_keys(old + 1)
    committee, public = chain.committee(old + 1), cs.alpha_public(chain.view, old)
    nodes = [world.nodes[i].member for i in dealers]
    chain.commit(
        *(al.reshare_alpha(world.network, committee, n, chain.points[n.name, old], public, world.random) for n in nodes[:3])
    )
    for purpose in (Z, OPRF):
        shares = [chain.shares[purpose, n.name, old] for n in nodes]
        chain.commit(
            *(sd.reshare_scalar(world.network, committee, n, s, world.random) for n, s in zip(nodes, shares, strict=True))
        )
    chain.fix(old + 1)
    chain.open_shares(old + 1)


def test_the_next_epoch_takes_over_and_the_public_values_stay(chain: SharingChain) -> None:
    chain.set_up()
    before = cs.alpha_public(chain.view, 1).Y, cs.scalar_public(chain.view, 1, Z).key, cs.scalar_public(chain.view, 1, OPRF).key
    hand_over(chain, range(4))
    epoch = cs.current_epoch(chain.view)
    assert (epoch.epoch, epoch.previous, epoch.key_version) == (2, 1, 1)
    after = cs.alpha_public(chain.view, 2).Y, cs.scalar_public(chain.view, 2, Z).key, cs.scalar_public(chain.view, 2, OPRF).key
    assert before == after
    assert chain.points[chain.world.nodes[0].member.name, 1].export_secret() != (
        chain.points[chain.world.nodes[0].member.name, 2].export_secret()
    )
    # The old epoch is accepted for its grace, and its deals are gone.
    cs.accepted_epoch(chain.view, 1, chain.time_ms)
    with pytest.raises(Refused, match="wrong-epoch"):
        cs.accepted_epoch(chain.view, 1, chain.time_ms + DAY_MS)
    with pytest.raises(Refused, match="not-found"):
        cs.scalar_deals(chain.view, 1, Z)


def test_a_hand_over_moves_no_key(chain: SharingChain) -> None:
    world = chain.set_up().world
    chain.later(FAST.epoch_length_ms)
    chain.post_keys(2)
    committee = chain.committee(2)
    fresh = al.make_alpha_deal(world.network, committee, world.nodes[0].member, world.random)
    assert chain.reason(fresh) == "bad-deal"
    # The constant of another seat's share: the master key would move.
    public = cs.alpha_public(chain.view, 1)
    point = chain.points[world.nodes[1].member.name, 1]
    moved = al.deal_point(world.network, committee, world.nodes[0].member, 1, point.S, public.share(point.index), world.random)
    assert chain.reason(moved) == "bad-deal"
    share = chain.shares[Z, world.nodes[1].member.name, 1]
    assert chain.reason(sd.reshare_scalar(world.network, committee, world.nodes[0].member, share, world.random)) == "bad-deal"


def test_two_hand_overs_in_a_row(chain: SharingChain) -> None:
    chain.set_up()
    hand_over(chain, range(4))
    hand_over(chain, range(1, 4))
    assert cs.current_epoch(chain.view).epoch == 3
    assert cs.key_version(chain.view) == 1
