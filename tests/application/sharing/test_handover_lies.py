"""Every lie that a hand-over to a changed committee allows, told once on the ledger: refused, or proven and its teller named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus import labels
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import partials as pt
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import seal_box
from salus.abpre.threshold.epoch_keys import publish_sharing_key
from salus.abpre.threshold.groups import OPRF, Z
from salus.errors import Refused
from salus.groups.bls12_381 import G1, Fr
from salus.ledger.kinds.misbehaviour import CONVICTIONS, conviction_key
from salus.ledger.kinds.sharing import committee_state as cs
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.committees import FALSE_SHARE
from salus.ledger.kinds.sharing.messages.keys import SharingFix
from support.handing_over import Election, Seats, electing_chain, named, public_values
from support.sharing_world import FAST, HOSPITAL, SharingChain, SharingWorld, granted_world

OLD, NEW = (0, 1, 2, 3), (2, 3, 4, 5, 6, 7, 8)
"""Two of four stay; 4 seats become 7."""


class Case:
    """The new committee has posted its keys, and nobody has dealt."""

    def __init__(self, directory: Path) -> None:
        self.world = SharingWorld("lies of a hand-over", checks=7)
        self.chain: SharingChain = electing_chain(self.world)
        self.seats = Seats(self.chain, directory)
        self.seats.until(1)
        self.public = public_values(self.chain.view, 1)
        self.seats.elect(named(NEW))
        self.chain.decide(self.chain.propose(self.seats.due()))
        self.new = self.chain.committee(2)
        assert len(self.new.seats) == 7

    def member(self, place: int) -> Any:
        return self.world.node(named([place])[0]).member

    def point(self, place: int) -> al.PointShare:
        return self.chain.points[named([place])[0], 1]

    def share(self, purpose: str, place: int) -> sd.ScalarShare:
        return self.chain.shares[purpose, named([place])[0], 1]

    @property
    def alpha(self) -> al.AlphaPublic:
        return cs.alpha_public(self.chain.view, 1)

    def alpha_deal(self, place: int, **parts: Any) -> al.AlphaDeal:
        """An honest deal; with ``parts``, altered and signed again."""
        world, member = self.world, self.member(place)
        made = al.reshare_alpha(world.network, self.new, member, self.point(place), self.alpha, world.random)
        return self.resigned(made, member, labels.SIG_ALPHA_DEAL, **parts) if parts else made

    def scalar_deal(self, purpose: str, place: int, **parts: Any) -> sd.ScalarDeal:
        world, member = self.world, self.member(place)
        made = sd.reshare_scalar(world.network, self.new, member, self.share(purpose, place), world.random)
        return sd.sign_scalar_deal(world.network, replace(made, **parts), member, world.random) if parts else made

    def resigned(self, message: Any, member: Any, label: str, **parts: Any) -> Any:
        altered = replace(message, **parts)
        signature = member.sign(self.world.network, label, altered.to_value()[:-1], self.world.random)
        return replace(altered, signature=signature)

    def bad_box(self, purpose: str, place: int, victim: int) -> sd.ScalarDeal:
        """A deal that is right but for what one new member finds in its box."""
        world, deal, seat = self.world, self.scalar_deal(purpose, place), self.new.seats[victim]
        ctx = sd.share_context(world.network, self.new, purpose, 1, deal.dealer, seat.index)
        boxes = list(deal.boxes)
        boxes[victim] = seal_box(seat.Er, ctx, b"\1" + bytes(sd.SHARE_BYTES - 1), world.random)
        return sd.sign_scalar_deal(world.network, replace(deal, boxes=tuple(boxes)), self.member(place), world.random)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_lies_about_alpha_are_refused_by_everyone(case: Case) -> None:
    chain, world = case.chain, case.world
    good, other = case.alpha_deal(0), case.alpha_deal(1)
    step, power = G1.generator(), al.gt_comb().pow(Fr.from_int(1))
    point = case.point(0)
    moved = al.deal_point(world.network, case.new, case.member(0), 1, point.S + step, case.alpha.share(1) * power, world.random)
    c = list(good.c)
    c[0], c[5] = c[5], c[0]
    sign: Callable[..., Any] = lambda deal, place, **parts: case.resigned(  # noqa: E731
        deal, case.member(place), labels.SIG_ALPHA_DEAL, **parts
    )
    cases: list[tuple[str, al.AlphaDeal, str]] = [
        ("another point than its share", moved, "bad-deal"),
        ("a fresh deal", sign(good, 0, previous=0), "bad-deal"),
        ("an older sharing", sign(good, 0, previous=3), "bad-deal"),
        (
            "the share of another seat",
            sign(other, 0, dealer=good.dealer),
            "bad-deal",
        ),
        ("shares of two seats exchanged", case.alpha_deal(0, c=tuple(c)), "bad-deal"),
        ("a seat without a share", case.alpha_deal(0, c=good.c[:-1]), "bad-deal"),
        ("a polynomial of a lower degree", case.alpha_deal(0, C=good.C[:-1]), "bad-deal"),
        ("a new member deals", sign(good, 5, dealer=named([5])[0]), "not-a-member"),
        ("another node's name", replace(good, dealer=other.dealer), "bad-signature"),
        ("an epoch that nobody opened", sign(good, 0, epoch=3), "wrong-epoch"),
    ]
    for what, lie, expected in cases:
        assert chain.reason(lie) == expected, what
    chain.commit(good)
    assert chain.reason(case.alpha_deal(0)) == "already-done"
    chain.commit(other, case.alpha_deal(3))
    assert case.public[0] == cs.alpha_public(chain.view, 2).Y


def test_a_deal_to_the_old_committee_does_not_count_for_the_new_one(case: Case) -> None:
    """Else a member that stays could keep its old share, and old ones would fit new ones."""
    world, old = case.world, case.chain.committee(1)
    to_old = al.reshare_alpha(world.network, old, case.member(0), case.point(0), case.alpha, world.random)
    again = case.resigned(to_old, case.member(0), labels.SIG_ALPHA_DEAL, epoch=2, previous=1)
    assert case.chain.reason(again) == "bad-deal"
    boxed = sd.reshare_scalar(world.network, old, case.member(0), case.share(Z, 0), world.random)
    again = sd.sign_scalar_deal(world.network, replace(boxed, epoch=2, previous=1), case.member(0), world.random)
    assert case.chain.reason(again) in ("bad-deal", "bad-box")


@pytest.mark.parametrize("purpose", [Z, OPRF])
def test_lies_about_scalars_that_show_are_refused_by_everyone(case: Case, purpose: str) -> None:
    chain, world = case.chain, case.world
    good = case.scalar_deal(purpose, 0)
    theirs = sd.reshare_scalar(world.network, case.new, case.member(0), case.share(purpose, 1), world.random)
    fresh = sd.make_scalar_deal(world.network, case.new, purpose, case.member(0), world.random)
    boxes = list(good.boxes)
    boxes[0], boxes[1] = boxes[1], boxes[0]
    sign: Callable[..., Any] = lambda deal, place, **parts: case.resigned(  # noqa: E731
        deal, case.member(place), labels.SIG_SCALAR_DEAL, **parts
    )
    cases = [
        ("the share of another seat", theirs, "bad-deal"),
        ("a fresh scalar", fresh, "bad-deal"),
        (
            "a fresh scalar said to be handed over",
            sign(fresh, 0, previous=1),
            "bad-deal",
        ),
        ("boxes exchanged", case.scalar_deal(purpose, 0, boxes=tuple(boxes)), "bad-box"),
        ("a seat without a box", case.scalar_deal(purpose, 0, boxes=good.boxes[:-1]), "bad-deal"),
        ("another purpose", sign(good, 0, purpose=OPRF if purpose == Z else Z), "bad-point"),
        ("a new member deals", sign(good, 6, dealer=named([6])[0]), "not-a-member"),
    ]
    for what, lie, expected in cases:
        assert chain.reason(lie) == expected, what
    chain.commit(good)
    assert chain.reason(case.scalar_deal(purpose, 0)) == "already-done"


@pytest.mark.parametrize("purpose", [Z, OPRF])
def test_a_lie_in_a_box_is_shown_by_the_new_member_and_its_teller_convicted(case: Case, purpose: str) -> None:
    """By the new members' own duties: they look into their boxes, complain, and the three others hand over."""
    chain, seats = case.chain, case.seats
    lie = case.bad_box(purpose, 0, 4)
    chain.commit(lie)
    seats.until(2)
    assert CONVICTIONS.get(chain.view, conviction_key(lie.dealer, FALSE_SHARE, lie.digest())) is not None
    assert cs.scalar_public(chain.view, 2, purpose).sharing.dealers == (2, 3, 4)
    assert public_values(chain.view, 2) == case.public
    assert all(kinds == ("keys", "alpha", "z", "oprf") for kinds in seats.held(2).values())


def test_without_the_complaint_the_new_member_would_be_left_without_a_share(case: Case) -> None:
    chain, seats = case.chain, case.seats
    victim = case.new.seats[4].name
    chain.commit(case.bad_box(Z, 0, 4))
    seats.silent.add(victim)
    seats.until(2)
    seats.silent.remove(victim)
    seats.due()
    assert seats.held(2)[victim] == ("keys", "alpha", "oprf")
    assert public_values(chain.view, 2) == case.public


def test_lies_about_an_honest_old_member_are_refused(case: Case) -> None:
    chain, world = case.chain, case.world
    deal, other = case.scalar_deal(Z, 0), case.bad_box(Z, 1, 0)
    chain.commit(deal, other)
    new = case.new.seats[4]
    secret = case.seats.stores[new.name].secret(2)
    assert secret is not None
    node = world.node(new.name).member
    false = sd.complain(world.network, case.new, deal, node, secret, world.random)
    of_another = sd.complain(world.network, case.new, other, node, secret, world.random)
    for complaint in (false, of_another, replace(of_another, deal=deal.digest()), replace(false, node=case.new.seats[0].name)):
        assert chain.reason(complaint) == "bad-complaint"
    # An old member that has no seat any more finds nothing in boxes, and complains of nothing.
    gone = case.seats.stores[named([0])[0]].secret(1)
    assert gone is not None
    with pytest.raises(Refused, match="not-a-member"):
        sd.complain(world.network, case.new, deal, case.member(0), gone, world.random)


def test_lies_of_new_members_about_their_keys(tmp_path: Path) -> None:
    """E_2 = E_1 + x*g1 without a proof would publish a difference of shares; so would a key used twice."""
    world = SharingWorld("keys of a hand-over", checks=7)
    chain = electing_chain(world)
    seats = Seats(chain, tmp_path)
    seats.until(1)
    seats.elect(named(NEW))
    first, second = (world.node(name) for name in named(NEW[2:4]))
    honest = publish_sharing_key(world.network, first.member, world.secret(first, 2), world.random)
    chain.commit(honest)
    own = publish_sharing_key(world.network, second.member, world.secret(second, 2), world.random)
    sign: Callable[..., Any] = lambda **parts: _signed_key(world, second, replace(own, **parts))  # noqa: E731
    shifted = (G1.decode(honest.E) + G1.generator()).encode()
    copied = publish_sharing_key(world.network, second.member, world.secret(first, 2), world.random)
    left = world.node(named([0])[0])
    cases = [
        (sign(E=shifted), "bad-possession"),
        (sign(E=honest.E, E_possession=honest.E_possession), "used-key"),
        (copied, "used-key"),
        (publish_sharing_key(world.network, left.member, world.secret(left, 2), world.random), "not-a-member"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    assert chain.reason(own) == ""


def _signed_key(world: SharingWorld, node: Any, message: Any) -> Any:
    signature = node.member.sign(world.network, labels.SIG_SHARING_KEY, message.to_value()[:-1], world.random)
    return replace(message, signature=signature)


def test_nothing_is_activated_before_everything_is_fixed(case: Case) -> None:
    chain = case.chain
    assert chain.reason(SharingFix(2, Z)) == "not-started"
    chain.commit(*(case.alpha_deal(i) for i in (0, 1, 2)))
    chain.commit(*(case.scalar_deal(Z, i) for i in OLD))
    assert chain.reason(SharingFix(2, Z)) == "not-started"
    chain.later(FAST.complaint_window_ms)
    chain.commit(SharingFix(2, Z))
    assert chain.reason(SharingFix(2, OPRF)) == "not-started"
    assert cs.status(chain.view).current == 1
    chain.commit(*(case.scalar_deal(OPRF, i) for i in (1, 2, 3)))
    chain.later(FAST.complaint_window_ms)
    chain.commit(SharingFix(2, OPRF))
    assert cs.status(chain.view).current == 2


def test_partials_of_the_old_committee_are_worth_nothing_after_its_grace_and_none_with_new_ones(case: Case) -> None:
    chain, world, seats = case.chain, case.world, case.seats
    granted_world(chain)
    owner = chain.owner()
    own_key = chain.key(owner)
    rid = chain.rid(owner)
    chain.put(owner, rid=rid)
    delegation = chain.delegate(owner, own_key)
    (share,), _ = chain.judged(HOSPITAL, {rid: delegation})
    old = chain.partials(share)
    seats.until(2)
    new = chain.partials(share)
    assert chain.reason(chain.grant_of(share, [*old, new[-1]])) == "wrong-request"
    assert chain.reason(chain.grant_of(share, new[:-1])) == "no-quorum"
    # A member that stays says that its old share is its new one.
    stays = named([2])[0]
    target = ss.transformable(chain.view, world.network, share, 2, chain.time_ms)
    kept = chain.shares[Z, stays, 1]
    with pytest.raises(Refused, match="wrong-epoch"):
        pt.make_partial(chain.committee(2), target, kept, chain.c[delegation], world.node(stays).member, world.random)
    seats.over(1)
    assert chain.reason(chain.grant_of(share, old)) == "wrong-epoch"
    assert chain.reason(chain.grant_of(share, new)) == ""


@pytest.mark.parametrize("count", [1, 3, 5, 6])
def test_seats_that_are_not_3f_and_1_deal_nothing(tmp_path: Path, count: int) -> None:
    world = SharingWorld("odd", checks=7)
    chain = electing_chain(world)
    seats = Seats(chain, tmp_path)
    seats.until(1)
    chain.commit(Election(tuple(named(range(count)))))
    node = world.node(named([0])[0])
    message = publish_sharing_key(world.network, node.member, world.secret(node, 2), world.random)
    assert chain.reason(message) == "bad-committee"
    seats.step()
    assert (seats.standing.current, seats.standing.pending) == (1, 0)
