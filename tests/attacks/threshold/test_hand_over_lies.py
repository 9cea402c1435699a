"""Claim: no old member moves a key when it hands its share over, and old shares are worth nothing with new ones."""

from __future__ import annotations

import pytest

from salus import labels
from salus.abpre.opening import re_decrypt_with
from salus.abpre.rekeys import transform
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import hand_over as ho
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.groups import OPRF, Z, group_of
from salus.groups.bls12_381 import G1, G2, Fr, decode_g1, fr_interpolate, fr_lagrange_coefficients, g1_interpolate, pairing
from support.consultation_world import refusal
from support.threshold_world import HOSPITAL, NETWORK, SCOPE, Holders, World, altered, names, resigned

DEALERS = (1, 3, 4)
"""Member 2 is silent."""
SCALARS = [Z, OPRF]


class HandOver:
    """4 to 7 members, two of whom stay."""

    def __init__(self) -> None:
        self.world = World("liars in a hand-over")
        self.old = self.world.holders(1, names(4)).deal_all()
        self.new = self.world.holders(2, names(7, 2))

    def alpha(self, i: int) -> al.AlphaDeal:
        old = self.old
        return al.reshare_alpha(NETWORK, self.new.committee, old.node(i).member, old.points[i], old.alpha, self.world.random)

    def check_alpha(self, deal: al.AlphaDeal) -> al.CheckedAlphaDeal:
        return ho.check_alpha_hand_over(NETWORK, self.old.committee, self.old.alpha, self.new.committee, deal)

    def scalar(self, purpose: str, i: int) -> sd.ScalarDeal:
        share = self.old.shares[purpose][i]
        return sd.reshare_scalar(NETWORK, self.new.committee, self.old.node(i).member, share, self.world.random)

    def check_scalar(self, purpose: str, deal: sd.ScalarDeal) -> None:
        ho.check_scalar_hand_over(NETWORK, self.old.committee, self.old.scalars[purpose], self.new.committee, deal)


@pytest.fixture(scope="module")
def case() -> HandOver:
    return HandOver()


def test_a_liar_that_deals_another_point_would_move_the_master_key(case):
    old, new, random = case.old, case.new, case.world.random
    node = old.node(1).member
    step, power = G1.generator(), al.gt_comb().pow(Fr.from_int(1))
    lie = al.deal_point(NETWORK, new.committee, node, 1, old.points[1].S + step, old.alpha.share(1) * power, random)
    assert refusal(case.check_alpha, lie) == "bad-deal"
    # Its equation holds, so without the comparison of C_0 with the old Y_1 it would count.
    passed = al.check_dealt_point(NETWORK, new.committee, lie, node.W, None)
    deals = [passed, *(case.check_alpha(case.alpha(i)) for i in (3, 4))]
    dealers = list(DEALERS)
    moved = al.combine_alpha(new.committee, 1, dealers, deals, fr_lagrange_coefficients(dealers, 0))
    assert al.AlphaPublic(moved).Y != old.alpha.Y, "every capsule and every key would be lost"
    assert refusal(ho.hand_over_alpha, old.committee, old.alpha, new.committee, deals) == "bad-deal", (
        "noticed once more at the end"
    )


def test_a_liar_that_keeps_C_0_and_deals_other_shares_is_refused(case):
    old, new = case.old, case.new
    lie = al.deal_point(
        NETWORK, new.committee, old.node(1).member, 1, old.points[1].S + G1.generator(), old.alpha.share(1), case.world.random
    )
    assert refusal(case.check_alpha, lie) == "bad-deal"


@pytest.mark.parametrize("purpose", SCALARS)
def test_a_liar_that_deals_another_scalar_would_move_the_key(case, purpose):
    old, new, group = case.old, case.new, group_of(purpose)
    node = old.node(1).member
    value = old.shares[purpose][1].value + group.small(1)
    lie = sd.deal_scalar(NETWORK, new.committee, purpose, node, 1, value, case.world.random)
    assert refusal(case.check_scalar, purpose, lie) == "bad-deal"
    sd.check_dealt_scalar(NETWORK, new.committee, lie, node.W, None)
    deals = [lie, *(case.scalar(purpose, i) for i in (3, 4))]
    weights = group.lagrange(DEALERS)
    moved = group.combine(weights, [group.decode_point(d.commitments[0], "F_0") for d in deals])
    assert moved != old.scalars[purpose].key
    assert refusal(ho.hand_over_scalar, old.committee, old.scalars[purpose], new.committee, deals) == "bad-deal"


@pytest.mark.parametrize("purpose", SCALARS)
def test_a_bad_share_in_a_hand_over_is_complained_about(case, purpose):
    """F_0 is right, the value in one box is not."""
    old, new, random = case.old, case.new, case.world.random
    honest, node = case.scalar(purpose, 1), old.node(1).member
    seat = new.committee.seats[4]
    ctx = sd.share_context(NETWORK, new.committee, purpose, 1, node.name, seat.index)
    boxes = list(honest.boxes)
    boxes[4] = sd.seal_box(seat.Er, ctx, group_of(purpose).random_scalar(random).encode(), random)
    lie = resigned(node, altered(honest, boxes=tuple(boxes)), labels.SIG_SCALAR_DEAL, random)
    case.check_scalar(purpose, lie)
    victim = new.node(seat.index)
    assert refusal(sd.open_dealt_share, NETWORK, new.committee, lie, victim.name, victim.secret) == "bad-share"
    complaint = sd.complain(NETWORK, new.committee, lie, victim.member, victim.secret, random)
    assert sd.judge_complaint(NETWORK, new.committee, lie, complaint) == node.name
    left = [case.scalar(purpose, i) for i in (2, 3, 4)]
    sharing = ho.hand_over_scalar(old.committee, old.scalars[purpose], new.committee, left)
    assert sharing.public_key() == old.scalars[purpose].sharing.public_key(), "any t_old that are left hand the key over"


def test_old_and_new_shares_do_not_mix():
    case = HandOver()
    new = case.old.hand_over_to(case.new, list(DEALERS))
    chosen = [1, 3, 4, 6, 7]
    right = g1_interpolate(chosen, [new.points[j].S for j in chosen])
    assert pairing([(right, G2.generator())]) == case.old.alpha.Y
    mixed = g1_interpolate(chosen, [case.old.points[1].S, *(new.points[j].S for j in chosen[1:])])
    assert pairing([(mixed, G2.generator())]) != case.old.alpha.Y
    for purpose in SCALARS:
        group = group_of(purpose)
        value = group.weighted(group.lagrange(chosen), [new.shares[purpose][j].value for j in chosen])
        assert group.base_mul(value) == case.old.scalars[purpose].key
        shares = [case.old.shares[purpose][1].value, *(new.shares[purpose][j].value for j in chosen[1:])]
        assert group.base_mul(group.weighted(group.lagrange(chosen), shares)) != case.old.scalars[purpose].key
    for share in case.old.shares[Z].values():
        share.wipe()
    assert refusal(lambda: case.old.shares[Z][1].value) == "erased"
    assert refusal(case.old.shares[Z][1].export_secret) == "erased"


def test_fewer_than_t_old_deals_hand_nothing_over(case):
    old, new = case.old, case.new
    deals = [case.check_alpha(case.alpha(i)) for i in (1, 3)]
    assert refusal(ho.hand_over_alpha, old.committee, old.alpha, new.committee, deals) == "bad-deal"
    again = [*deals, case.check_alpha(case.alpha(3))]
    assert refusal(ho.hand_over_alpha, old.committee, old.alpha, new.committee, again) == "bad-deal"
    # Two of degree t - 1 = 2 at other weights give another key.
    guess = al.combine_alpha(new.committee, 1, [1, 3], deals, fr_lagrange_coefficients([1, 3], 0))
    assert al.AlphaPublic(guess).Y != old.alpha.Y
    for purpose in SCALARS:
        few = [case.scalar(purpose, i) for i in (1, 3)]
        assert refusal(ho.hand_over_scalar, old.committee, old.scalars[purpose], new.committee, few) == "bad-deal"
        assert refusal(ho.hand_over_scalar, old.committee, old.scalars[purpose], new.committee, [*few, few[0]]) == "bad-deal"


def test_a_deal_of_a_hand_over_is_for_one_old_and_one_new_committee(case):
    old, new, random = case.old, case.new, case.world.random
    deal, node = case.alpha(1), old.node(1).member
    stranger = new.node(7).member
    for change, signer in (
        ({"previous": 0}, node),
        ({"previous": 3}, node),
        ({"dealer": stranger.name}, stranger),
        ({"epoch": 3}, node),
    ):
        lie = resigned(signer, altered(deal, **change), labels.SIG_ALPHA_DEAL, random)
        assert refusal(case.check_alpha, lie) in ("bad-deal", "not-a-member")
    # A fresh deal is no hand-over, and the other way round; an old member's deal is not another's.
    fresh = al.make_alpha_deal(NETWORK, new.committee, new.node(1).member, random)
    assert refusal(case.check_alpha, fresh) == "bad-deal"
    assert refusal(new.check_alpha, deal) == "bad-deal"
    other = case.alpha(3)
    taken = al.deal_point(NETWORK, new.committee, node, 1, old.points[3].S, old.alpha.share(3), random)
    assert refusal(case.check_alpha, taken) == "bad-deal", "C_0 must be the dealer's own Y_i"
    case.check_alpha(other)
    scalar = case.scalar(Z, 1)
    assert refusal(new.check_scalar, scalar) == "bad-deal"
    assert refusal(case.check_scalar, OPRF, scalar) == "bad-deal"
    assert refusal(case.check_scalar, Z, new.scalar_deal(Z, 1)) == "bad-deal"


def test_t_members_of_this_or_any_later_committee_who_kept_c_open_that_scope():
    """What cannot be prevented, said: pooled shares of z give rk1 of a delegation, before and after a hand-over; fewer do not."""
    case = HandOver()
    owner, reader = case.old.key(SCOPE), case.old.key(HOSPITAL)
    k = bytes(range(32))
    capsule = case.old.capsule(SCOPE, k)
    delegation, c, _ = case.old.delegate(owner)
    delta = case.old.delta(reader, delegation)
    new = case.old.hand_over_to(case.new, list(DEALERS))

    def opened_by(holders: Holders, chosen: list[int]) -> str | None:
        z = fr_interpolate(chosen, [holders.shares[Z][i].value for i in chosen])
        rk1 = decode_g1(c) - delegation.P.mul(z)
        A4 = transform(rk1, delegation.rk2, delegation.rk3, {SCOPE: delegation.R}, capsule)
        return refusal(re_decrypt_with, holders.parameters, capsule, A4, delta)

    for holders, chosen in ((case.old, [1, 2, 3]), (new, [1, 2, 3, 4, 5])):
        assert opened_by(holders, chosen) is None
        assert opened_by(holders, chosen[:-1]) == "bad-transformation"


@pytest.mark.parametrize("purpose", SCALARS)
def test_a_bad_share_that_nobody_complains_about_leaves_its_member_without_one(case, purpose):
    """The key does not move, but one seat fewer can serve: as many bad shares as the committee bears faults."""
    old, new, random = case.old, case.new, case.world.random
    honest, node, seat = case.scalar(purpose, 1), old.node(1).member, new.committee.seats[4]
    ctx = sd.share_context(NETWORK, new.committee, purpose, 1, node.name, seat.index)
    boxes = list(honest.boxes)
    boxes[4] = sd.seal_box(seat.Er, ctx, group_of(purpose).random_scalar(random).encode(), random)
    lie = resigned(node, altered(honest, boxes=tuple(boxes)), labels.SIG_SCALAR_DEAL, random)
    deals = [lie, case.scalar(purpose, 3), case.scalar(purpose, 4)]
    public = sd.ScalarPublic(ho.hand_over_scalar(old.committee, old.scalars[purpose], new.committee, deals))
    assert public.sharing.public_key() == old.scalars[purpose].sharing.public_key()
    for other in new.committee.seats:
        keeper = new.node(other.index)
        opened = (NETWORK, new.committee, public, deals, other.name, keeper.secret)
        assert refusal(ho.open_scalar_share, *opened) == ("bad-share" if other == seat else None)


def test_shares_that_were_only_passed_on_would_mix():
    """A hand-over without a new polynomial: who left and who came have shares of one sharing, and t of them together suffice."""
    case = HandOver()
    left, came = [1], [3, 4]  # fewer than t of either committee
    passed_on = {i: case.old.points[i].S for i in (1, 3, 4)}
    together = g1_interpolate([*left, *came], [case.old.points[1].S, passed_on[3], passed_on[4]])
    assert pairing([(together, G2.generator())]) == case.old.alpha.Y
    new = case.old.hand_over_to(case.new, list(DEALERS))
    for chosen in ([1, 3, 4], [1, 2, 3]):
        mixed = g1_interpolate(chosen, [case.old.points[1].S, *(new.points[j].S for j in chosen[1:])])
        assert pairing([(mixed, G2.generator())]) != case.old.alpha.Y
