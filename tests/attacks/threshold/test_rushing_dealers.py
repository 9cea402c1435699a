"""Claim: whoever deals last cannot cancel the others, and can bias Y only by a known point, which is harmless."""

from __future__ import annotations

import pytest

from salus import labels
from salus.abpre.keys import SecretKey, check_key, key_gen
from salus.abpre.opening import decapsulate
from salus.abpre.parameters import MasterKey, PublicParameters
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import g1_proofs
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import seal_box
from salus.abpre.threshold.committee import UNSIGNED
from salus.abpre.threshold.groups import OPRF, Z, group_of
from salus.abpre.threshold.hand_over import fix_scalar
from salus.groups.bls12_381 import G1, G2, Fr, decode_g1, decode_g2, decode_gt, g1_sum, pairing, random_fr
from support.consultation_world import refusal, weaken
from support.threshold_world import NETWORK, Holders, altered, make_holders, resigned


@pytest.fixture
def holders() -> Holders:
    return make_holders(4, "rushing")


def cancelling(own: al.AlphaDeal, others: list[al.AlphaDeal]) -> al.AlphaDeal:
    """ElGamal is malleable: one's own deal minus the others', element by element."""

    def minus(decode, mine: bytes, theirs: list[bytes]) -> bytes:
        result = decode(mine)
        for one in theirs:
            result = result - decode(one)
        return result.encode()

    C = []
    for k, mine in enumerate(own.C):
        element = decode_gt(mine)
        for other in others:
            element = element / decode_gt(other.C[k])
        C.append(element.encode())
    return altered(
        own,
        C=tuple(C),
        R1=minus(decode_g1, own.R1, [o.R1 for o in others]),
        R2=minus(decode_g2, own.R2, [o.R2 for o in others]),
        c=tuple(minus(decode_g1, mine, [o.c[j] for o in others]) for j, mine in enumerate(own.c)),
    )


def test_a_dealer_that_subtracts_the_others_would_know_alpha(holders, monkeypatch):
    random, committee = holders.world.random, holders.committee
    rusher = holders.node(4).member
    others = [holders.alpha_deal(i) for i in (1, 2)]
    a = random_fr(random)
    own = al.deal_point(NETWORK, committee, rusher, al.FRESH, G1.generator().mul(a), al.gt_comb().pow(a), random)
    deal = resigned(rusher, cancelling(own, others), labels.SIG_ALPHA_DEAL, random)
    assert refusal(holders.check_alpha, deal) == "bad-deal"
    assert al.equation_holds(NETWORK, committee, al.CheckedAlphaDeal.decode_unchecked(deal)), "the equation alone accepts it"

    weaken(monkeypatch, g1_proofs.verify_logarithm, lambda *parts: None)
    holders.fix_alpha([holders.check_alpha(d) for d in (*others, deal)])
    assert al.gt_comb().pow(a) == holders.alpha.Y, "alpha is what one dealer chose"
    k = bytes(32)
    assert decapsulate(holders.parameters, key_gen(MasterKey(G1.generator().mul(a)), ["role:x"], random),
                       holders.capsule("role:x", k)) == k  # fmt: skip


def test_a_proof_of_r_is_not_good_for_another_dealer_committee_or_content(holders):
    random, committee = holders.world.random, holders.committee
    deal, other = holders.alpha_deal(1), holders.alpha_deal(2)
    thief = holders.node(3).member
    taken = resigned(thief, altered(deal, dealer=thief.name), labels.SIG_ALPHA_DEAL, random)
    assert refusal(holders.check_alpha, taken) == "bad-deal"
    later = holders.world.holders(2, [s.name for s in committee.seats])
    moved = resigned(holders.node(1).member, altered(deal, epoch=2), labels.SIG_ALPHA_DEAL, random)
    assert refusal(later.check_alpha, moved) == "bad-deal"
    for change in ({"C": other.C}, {"R1": other.R1}, {"R2": other.R2}, {"c": other.c}, {"possession": other.possession}):
        mixed = resigned(holders.node(1).member, altered(deal, **change), labels.SIG_ALPHA_DEAL, random)
        assert refusal(holders.check_alpha, mixed) == "bad-deal"


def test_the_last_dealer_can_bias_Y_and_gains_nothing(holders):
    """It tries until four bits of Y are zero. Keys and Y^s under that Y are those under the other, moved by a known point."""
    random = holders.world.random
    first = [holders.alpha_deal(i) for i in (1, 2)]
    before = decode_gt(first[0].C[0]) * decode_gt(first[1].C[0])
    tries = 0
    while True:
        d = random_fr(random)
        tries += 1
        if (before * al.gt_comb().pow(d)).encode()[-1] % 16 == 0:
            break
    dealer = holders.node(3).member
    last = al.deal_point(NETWORK, holders.committee, dealer, al.FRESH, G1.generator().mul(d), al.gt_comb().pow(d), random)
    holders.fix_alpha([holders.check_alpha(deal) for deal in (*first, last)])
    assert holders.alpha.Y.encode()[-1] % 16 == 0
    # What a key and an encapsulation under Y are worth is what they were worth under Y without the last deal.
    delta = G1.generator().mul(d)
    key = holders.key("role:x")
    moved = SecretKey(key.K - delta, key.L, key.parts)
    check_key(PublicParameters(before), moved)
    s = random_fr(random)
    assert holders.alpha.Y.pow(s) == before.pow(s) * pairing([(delta, G2.generator().mul(s))])


def test_commitments_in_G1_would_be_the_master_key(holders):
    """Feldman's commitments in G1 instead of GT: everyone adds the constant ones up and issues keys."""
    random = holders.world.random
    secrets = [random_fr(random) for _ in range(3)]
    deals = [
        al.deal_point(
            NETWORK, holders.committee, holders.node(i).member, al.FRESH, G1.generator().mul(a), al.gt_comb().pow(a), random
        )
        for i, a in zip((1, 2, 3), secrets, strict=True)
    ]
    holders.fix_alpha([holders.check_alpha(deal) for deal in deals])
    published = [G1.generator().mul(a).encode() for a in secrets]
    master = MasterKey(g1_sum([decode_g1(C0) for C0 in published]))
    k = bytes(range(32))
    assert decapsulate(holders.parameters, key_gen(master, ["role:x"], random), holders.capsule("role:x", k)) == k
    # What is published is gt^a: in GT, so no key can be made of it.
    assert all(
        len(deal.C[0]) == 576 and decode_gt(deal.C[0]) == al.gt_comb().pow(a) for deal, a in zip(deals, secrets, strict=True)
    )


@pytest.mark.parametrize("purpose", [Z, OPRF])
def test_a_scalar_deal_that_cancels_the_others_cannot_box_its_shares(holders, purpose):
    """The commitments can be subtracted, the shares cannot: every honest node complains, and without that the key is known."""
    random, committee, group = holders.world.random, holders.committee, group_of(purpose)
    others = [holders.scalar_deal(purpose, i) for i in (1, 2)]
    own = [group.random_scalar(random) for _ in range(holders.t)]
    commitments = []
    for k, f in enumerate(own):
        point = group.base_mul(f)
        for other in others:
            point = point - group.decode_point(other.commitments[k], "F")
        commitments.append(point.encode())
    rusher = holders.node(4).member
    values = group.share(own, committee.indices())
    boxes = tuple(
        seal_box(seat.Er, sd.share_context(NETWORK, committee, purpose, 0, rusher.name, seat.index), v.encode(), random)
        for seat, v in zip(committee.seats, values, strict=True)
    )
    draft = sd.ScalarDeal(purpose, committee.epoch, 0, rusher.name, tuple(commitments), boxes, UNSIGNED)
    deal = sd.sign_scalar_deal(NETWORK, draft, rusher, random)
    holders.check_scalar(deal)
    for index in (1, 2, 3):
        node = holders.node(index)
        assert refusal(sd.open_dealt_share, NETWORK, committee, deal, node.name, node.secret) == "bad-share"
        complaint = sd.complain(NETWORK, committee, deal, node.member, node.secret, random)
        assert sd.judge_complaint(NETWORK, committee, deal, complaint) == rusher.name
    sharing = fix_scalar(committee, [*others, deal])
    assert sharing.public_key() == group.base_mul(own[0]).encode(), "without the complaints its key would stand"


def test_a_dealer_counts_once(holders):
    checked = [holders.check_alpha(holders.alpha_deal(i)) for i in (1, 2, 1)]
    assert refusal(al.fix_alpha, holders.committee, checked) == "bad-deal"
    assert refusal(al.fix_alpha, holders.committee, checked[:2]) == "bad-deal"
    deals = [holders.scalar_deal(Z, i) for i in (1, 2, 1)]
    assert refusal(fix_scalar, holders.committee, deals) == "bad-deal"
    assert refusal(fix_scalar, holders.committee, [*deals[:2], holders.scalar_deal(OPRF, 3)]) == "bad-deal"


def test_zero_is_no_randomness(holders):
    """r = 0 would publish f(i)*g1; the identity is refused on decoding."""
    deal = holders.alpha_deal(1)
    node = holders.node(1).member
    for change in ({"R1": bytes([0xC0]) + bytes(47)}, {"R2": bytes([0xC0]) + bytes(95)}):
        draft = altered(deal, **change)
        finished = al.finish_alpha_deal(NETWORK, holders.committee, draft, Fr.from_int(0), node, holders.world.random)
        assert refusal(holders.check_alpha, finished) in ("bad-point", "bad-deal")
