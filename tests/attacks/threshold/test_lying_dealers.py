"""Claim: a dealer that lies is refused (alpha: everyone sees it) or thrown out by whom it lied to (scalars); the rest go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from salus import labels
from salus.abpre.opening import decapsulate
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import g1_proofs
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import Box, seal_box
from salus.abpre.threshold.committee import SUITE
from salus.abpre.threshold.groups import OPRF, Z, group_of
from salus.abpre.threshold.hand_over import fix_scalar, open_scalar_share
from salus.groups.bls12_381 import G1, G2, Fr, decode_g1, decode_g2, decode_gt, random_fr
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import base_mul, random_scalar
from support.consultation_world import refusal, weaken
from support.threshold_world import NETWORK, Holders, altered, make_holders, resigned, sent

PURPOSES = [Z, OPRF]


@pytest.fixture
def holders() -> Holders:
    return make_holders(4, "lies")


# --- alpha: a lie first, honest proof and signature afterwards ---


def lying_alpha(holders: Holders, dealer: int, lie: Callable[[al.AlphaDeal], dict]) -> al.AlphaDeal:
    """A deal with some elements false, whose dealer then proves r over the false deal and signs it."""
    random, committee, node = holders.world.random, holders.committee, holders.node(dealer).member
    r, a = random_fr(random), random_fr(random)
    coefficients = [a, *(random_fr(random) for _ in range(holders.t - 1))]
    values = al.fr_shamir_share(coefficients, committee.indices())
    g1, g2 = G1.generator(), G2.generator()
    c = [g1.mul(v) + decode_g1(s.E).mul(r) for s, v in zip(committee.seats, values, strict=True)]
    honest = al.AlphaDeal(
        committee.epoch, al.FRESH, node.name, tuple(al.gt_comb().pow(f).encode() for f in coefficients),
        g1.mul(r).encode(), g2.mul(r).encode(), tuple(p.encode() for p in c), bytes(64), bytes(64),
    )  # fmt: skip
    return al.finish_alpha_deal(NETWORK, committee, replace(honest, **lie(honest)), r, node, random)


def moved_g1(data: bytes) -> bytes:
    return (decode_g1(data) + G1.generator()).encode()


def moved_gt(data: bytes) -> bytes:
    return (decode_gt(data) * al.gt_comb().pow(Fr.from_int(1))).encode()


def put(items: tuple[bytes, ...], at: int, value: bytes) -> tuple[bytes, ...]:
    return (*items[:at], value, *items[at + 1 :])


LIES: dict[str, Callable[[al.AlphaDeal], dict]] = {
    "one share": lambda d: {"c": put(d.c, 2, moved_g1(d.c[2]))},
    "two shares, errors cancelling": lambda d: {
        "c": put(put(d.c, 0, moved_g1(d.c[0])), 1, (decode_g1(d.c[1]) - G1.generator()).encode())
    },
    "shares swapped": lambda d: {"c": (d.c[1], d.c[0], *d.c[2:])},
    "R2": lambda d: {"R2": (decode_g2(d.R2) + G2.generator()).encode()},
    "a commitment": lambda d: {"C": put(d.C, 1, moved_gt(d.C[1]))},
    "the constant commitment": lambda d: {"C": put(d.C, 0, moved_gt(d.C[0]))},
    "a higher degree": lambda d: {"C": (*d.C, d.C[0])},
    "a lower degree": lambda d: {"C": d.C[:-1]},
    "a seat left out": lambda d: {"c": d.c[:-1]},
}


def test_the_honest_deal_of_this_workbench_is_accepted(holders):
    holders.check_alpha(lying_alpha(holders, 1, lambda d: {}))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_in_a_deal_of_alpha_is_refused_by_everyone(holders, lie):
    assert refusal(holders.check_alpha, lying_alpha(holders, 1, lie)) == "bad-deal"


def test_without_the_equation_a_node_would_stand_without_a_share(holders, monkeypatch):
    lie = lying_alpha(holders, 1, LIES["one share"])
    weaken(monkeypatch, al.equation_holds, lambda *parts: True)
    deals = [holders.check_alpha(d) for d in (lie, holders.alpha_deal(2), holders.alpha_deal(3))]
    public = al.AlphaPublic(al.fix_alpha(holders.committee, deals))
    outcome = [
        refusal(al.open_point_share, holders.committee, public, s.name, holders.node(s.index).secret)
        for s in holders.committee.seats
    ]
    assert outcome == [None, None, "bad-share", None]


def test_coefficients_known_beforehand_would_pass_a_lie(holders, monkeypatch):
    """With fixed z_1 and z_2, errors d*z_2 in c_1 and -d*z_1 in c_2 cancel in the sum."""
    fixed = [Fr.from_int(3), Fr.from_int(5), Fr.from_int(7), Fr.from_int(11), Fr.from_int(13)]

    def cancel(d: al.AlphaDeal) -> dict:
        g = G1.generator()
        first = decode_g1(d.c[0]) + g.mul(fixed[2])
        second = decode_g1(d.c[1]) - g.mul(fixed[1])
        return {"c": (first.encode(), second.encode(), *d.c[2:])}

    lie = lying_alpha(holders, 1, cancel)
    assert refusal(holders.check_alpha, lie) == "bad-deal"
    weaken(monkeypatch, g1_proofs.public_weights, lambda label, whole, count: fixed[:count])
    public = al.AlphaPublic(
        al.fix_alpha(holders.committee, [holders.check_alpha(d) for d in (lie, holders.alpha_deal(2), holders.alpha_deal(3))])
    )
    first = holders.committee.seats[0]
    assert refusal(al.open_point_share, holders.committee, public, first.name, holders.node(1).secret) == "bad-share"


def test_a_node_that_slept_reads_its_share_from_the_chain(holders):
    """No window, no complaint: what is checked by everyone stands, and nobody is disqualified after use."""
    checked = [holders.check_alpha(holders.alpha_deal(i)) for i in (1, 2, 4)]
    sharing = sent(al.fix_alpha(holders.committee, checked))
    public = al.AlphaPublic(sharing)
    share = al.open_point_share(holders.committee, public, holders.node(3).name, holders.node(3).secret)
    again = al.PointShare.from_secret(public, 3, share.export_secret())
    assert again.S == share.S
    assert refusal(al.PointShare.from_secret, public, 2, share.export_secret()) == "bad-share"
    assert refusal(al.open_point_share, holders.committee, public, holders.node(3).name, holders.node(2).secret) == "bad-share"
    share.wipe()
    assert refusal(share.export_secret) == "erased"


def test_throwing_a_dealer_out_after_use_would_lose_every_capsule(holders):
    """Why a deal that counts stays: without it Y is another, and no key of the others opens what was encapsulated."""
    deals = {i: holders.check_alpha(holders.alpha_deal(i)) for i in (1, 2, 3, 4)}
    holders.fix_alpha([deals[i] for i in (1, 2, 3)])
    k = bytes(32)
    capsule = holders.capsule("role:x", k)
    assert decapsulate(holders.parameters, holders.key("role:x"), capsule) == k
    holders.fix_alpha([deals[i] for i in (2, 3, 4)])
    assert refusal(decapsulate, holders.parameters, holders.key("role:x"), capsule) == "bad-capsule"


# --- scalars: what is in a box only its recipient sees ---


def lying_scalar(holders: Holders, purpose: str, dealer: int, victims: dict[int, bytes]) -> sd.ScalarDeal:
    """A deal with other contents in the boxes of some seats."""
    node = holders.node(dealer).member
    deal = holders.scalar_deal(purpose, dealer)
    boxes = list(deal.boxes)
    for place, seat in enumerate(holders.committee.seats):
        if seat.index in victims:
            ctx = sd.share_context(NETWORK, holders.committee, purpose, 0, node.name, seat.index)
            boxes[place] = seal_box(seat.Er, ctx, victims[seat.index], holders.world.random)
    return resigned(node, altered(deal, boxes=tuple(boxes)), labels.SIG_SCALAR_DEAL, holders.world.random)


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("what", ["another scalar", "no scalar"])
def test_a_bad_share_is_proven_and_its_dealer_out(holders, purpose, what):
    group, random = group_of(purpose), holders.world.random
    content = b"\xff" * 32 if what == "no scalar" else group.random_scalar(random).encode()
    lie = lying_scalar(holders, purpose, 1, {3: content})
    holders.check_scalar(lie)
    deals = [lie, *(holders.scalar_deal(purpose, i) for i in (2, 3, 4))]
    node = holders.node(3)
    assert [refusal(sd.open_dealt_share, NETWORK, holders.committee, lie, holders.node(i).name, holders.node(i).secret) for i in
            (1, 2, 3, 4)] == [None, None, "bad-share", None]  # fmt: skip
    complaint = sent(sd.complain(NETWORK, holders.committee, lie, node.member, node.secret, random))
    assert sd.judge_complaint(NETWORK, holders.committee, lie, complaint) == lie.dealer
    # The ledger fixes the first t that are left.
    holders.hold_scalar(fix_scalar(holders.committee, deals[1:]), deals[1:])
    assert len(holders.shares[purpose]) == 4


def test_a_box_that_does_not_open_at_all_convicts_its_dealer(holders):
    node, seat = holders.node(1).member, holders.committee.seats[1]
    deal = holders.scalar_deal(Z, 1)
    # Sealed properly, but to the bytes of another key: the proof of rho names seat 2, the ciphertext does not open for it.
    wrong = seal_box(holders.committee.seats[2].Er, ("x",), bytes(32), holders.world.random)
    draft = altered(deal, boxes=put(deal.boxes, 1, wrong))
    assert refusal(holders.check_scalar, resigned(node, draft, labels.SIG_SCALAR_DEAL, holders.world.random)) == "bad-box"
    rubbish = garbled(holders, seat, deal)
    lie = resigned(node, altered(deal, boxes=put(deal.boxes, 1, rubbish)), labels.SIG_SCALAR_DEAL, holders.world.random)
    holders.check_scalar(lie)
    victim = holders.node(2)
    complaint = sd.complain(NETWORK, holders.committee, lie, victim.member, victim.secret, holders.world.random)
    assert sd.judge_complaint(NETWORK, holders.committee, lie, complaint) == lie.dealer


def garbled(holders: Holders, seat, deal: sd.ScalarDeal):
    """A box with a true proof of rho over a ciphertext that is rubbish."""
    random = holders.world.random
    rho, ciphertext = random_scalar(random), random(48)
    R = base_mul(rho).encode()
    ctx = sd.share_context(NETWORK, holders.committee, deal.purpose, 0, deal.dealer, seat.index)
    return Box(R, ciphertext, schnorr_sign(labels.BOX_POSSESSION, SUITE, rho, (ctx, seat.Er, R), ciphertext, random))


@pytest.mark.parametrize("purpose", PURPOSES)
def test_without_complaints_the_victim_has_no_share(holders, purpose):
    lie = lying_scalar(holders, purpose, 1, {3: group_of(purpose).random_scalar(holders.world.random).encode()})
    deals = [lie, holders.scalar_deal(purpose, 2), holders.scalar_deal(purpose, 3)]
    sharing = fix_scalar(holders.committee, deals)
    public = sd.ScalarPublic(sharing)
    outcome = [
        refusal(open_scalar_share, NETWORK, holders.committee, public, deals, s.name, holders.node(s.index).secret)
        for s in holders.committee.seats
    ]
    assert outcome == [None, None, "bad-share", None], "a node silent for the whole window counts among the f; the others serve"


def test_a_complaint_is_bound_to_its_deal_node_and_network(holders):
    random = holders.world.random
    bad = group_of(Z).random_scalar(random).encode()
    lie, other = (lying_scalar(holders, Z, 1, {3: bad}) for _ in range(2))
    node, thief = holders.node(3), holders.node(2).member
    complaint = sd.complain(NETWORK, holders.committee, lie, node.member, node.secret, random)
    judge = lambda network, deal, c: refusal(sd.judge_complaint, network, holders.committee, deal, c)  # noqa: E731
    assert judge(NETWORK, lie, complaint) is None
    assert judge(NETWORK, other, complaint) == "bad-complaint"
    assert judge(NETWORK, other, altered(complaint, deal=other.digest())) == "bad-complaint"
    assert judge(bytes(32), lie, complaint) == "bad-complaint"
    stolen = resigned(thief, altered(complaint, node=thief.name), labels.SIG_COMPLAINT, random)
    assert judge(NETWORK, lie, stolen) == "bad-complaint"
    assert judge(NETWORK, lie, altered(complaint, signature=bytes(64))) == "bad-complaint"
