"""Claim: an element of GT outside the subgroup of order r is refused on decoding; a factor -1 cannot frame an honest node."""

from __future__ import annotations

import pytest

from salus import labels
from salus.abpre.hashing import table_g1, table_g2
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold.g1_proofs import public_weights
from salus.groups.bls12_381 import GT_BYTES, Fr, decode_g1, decode_gt, fr_inner_product, fr_shamir_share, random_fr
from salus.groups.reference_bls import FIELD, ORDER, Fp12, mul12, pow12
from support.consultation_world import refusal
from support.threshold_world import NETWORK, Holders, altered, make_holders

WIDTH = 48


def to_plain(data: bytes) -> Fp12:
    """The slow twin's element: coefficients of w^k over Fp2, real part first, with u = w^6 - 1."""
    c = [int.from_bytes(data[i : i + WIDTH], "big") for i in range(0, GT_BYTES, WIDTH)]
    real, imaginary = c[0::2], c[1::2]
    return tuple([(a - b) % FIELD for a, b in zip(real, imaginary, strict=True)] + imaginary)


def negated(data: bytes) -> bytes:
    """``-1`` times an element: every coefficient negated."""
    c = [int.from_bytes(data[i : i + WIDTH], "big") for i in range(0, GT_BYTES, WIDTH)]
    return b"".join((-x % FIELD).to_bytes(WIDTH, "big") for x in c)


@pytest.fixture(scope="module")
def holders() -> Holders:
    return make_holders(4, "minus one")


def test_the_slow_twin_multiplies_the_same_group(holders):
    a, b = (al.gt_comb().pow(random_fr(holders.world.random)) for _ in range(2))
    assert mul12(to_plain(a.encode()), to_plain(b.encode())) == to_plain((a * b).encode())
    assert mul12(to_plain(negated(a.encode())), to_plain(b.encode())) == to_plain(negated((a * b).encode()))
    assert pow12(to_plain(a.encode()), ORDER) == (1,) + (0,) * 11
    minus = pow12(to_plain(negated(a.encode())), ORDER)
    assert minus == (FIELD - 1,) + (0,) * 11, "its order does not divide r"


def slow_equation(holders: Holders, deal: al.AlphaDeal, honest: al.AlphaDeal) -> bool:
    """The dealer's equation as a node computes it that takes any element of the field for one of GT.

    The left side does not depend on C; with the honest C it would be ``prod C_k^(e_k)`` for the weights of this deal.
    """
    committee = holders.committee
    z = public_weights(labels.ALPHA_DEAL_WEIGHTS, al.statement(NETWORK, committee, deal), len(committee.seats) + 1)[1:]
    exponents = [fr_inner_product(z, [Fr.from_int(i**k) for i in committee.indices()]).encode() for k in range(len(deal.C))]
    left = right = (1,) + (0,) * 11
    for true, shown, exponent in zip(honest.C, deal.C, exponents, strict=True):
        left = mul12(left, pow12(to_plain(true), int.from_bytes(exponent, "big")))
        right = mul12(right, pow12(to_plain(shown), int.from_bytes(exponent, "big")))
    return left == right


def test_a_commitment_times_minus_one_would_pass_and_frame_a_node(holders):
    """The weights are hashed from the deal, so the dealer tries until the exponent of the spoiled commitment is even."""
    random, committee, node = holders.world.random, holders.committee, holders.node(1).member
    for _ in range(64):
        r = random_fr(random)
        coefficients = [random_fr(random) for _ in range(holders.t)]
        honest = crafted(holders, r, coefficients)
        lie = al.finish_alpha_deal(
            NETWORK, committee, altered(honest, C=(honest.C[0], negated(honest.C[1]), honest.C[2])), r, node, random
        )
        if slow_equation(holders, lie, honest):
            break
    assert slow_equation(holders, lie, honest), "one in two tries succeeds"
    assert refusal(holders.check_alpha, lie) == "bad-point"
    # What the others would then believe of node 1, and what it holds: its share is right, its public share is -1 times it.
    Y_1 = mul12(mul12(to_plain(lie.C[0]), to_plain(lie.C[1])), to_plain(lie.C[2]))
    public = al.AlphaPublic(al.combine_alpha(committee, al.FRESH, [1], [holders.check_alpha(honest)], [Fr.from_int(1)]))
    al.open_point_share(committee, public, holders.node(1).name, holders.node(1).secret)
    assert to_plain(public.share(1).encode()) != Y_1
    assert to_plain(negated(public.share(1).encode())) == Y_1, "every partial key of honest node 1 would fail its check"


def crafted(holders: Holders, r: Fr, coefficients: list[Fr]) -> al.AlphaDeal:
    """An honest deal of node 1 with known coefficients."""
    committee, node = holders.committee, holders.node(1).member
    values = fr_shamir_share(coefficients, committee.indices())
    c = [table_g1().mul(v) + decode_g1(s.E).mul(r) for s, v in zip(committee.seats, values, strict=True)]
    draft = al.AlphaDeal(
        1, al.FRESH, node.name, tuple(al.gt_comb().pow(a).encode() for a in coefficients), table_g1().mul(r).encode(),
        table_g2().mul(r).encode(), tuple(p.encode() for p in c), bytes(64), bytes(64),
    )  # fmt: skip
    return al.finish_alpha_deal(NETWORK, committee, draft, r, node, holders.world.random)


def test_what_is_not_of_the_subgroup_is_not_decoded(holders):
    element = al.gt_comb().pow(random_fr(holders.world.random)).encode()
    assert decode_gt(element).encode() == element
    one = (1).to_bytes(WIDTH, "big") + bytes(GT_BYTES - WIDTH)
    bad = [
        negated(element),
        negated(one),
        one,
        bytes(GT_BYTES),
        (2).to_bytes(WIDTH, "big") + bytes(GT_BYTES - WIDTH),
        element[WIDTH : 2 * WIDTH] + element[:WIDTH] + element[2 * WIDTH :],
        FIELD.to_bytes(WIDTH, "big") + element[WIDTH:],
    ]
    for data in bad:
        assert refusal(decode_gt, data) == "bad-point"


def from_plain(f: Fp12) -> bytes:
    """Inverse of :func:`to_plain`."""
    imaginary = f[6:]
    real = [(a + b) % FIELD for a, b in zip(f[:6], imaginary, strict=True)]
    return b"".join(c.to_bytes(WIDTH, "big") for pair in zip(real, imaginary, strict=True) for c in pair)


def test_each_half_of_the_membership_test_is_needed():
    """An element of the cyclotomic subgroup whose order is not r passes ``a^(p^4)*a = a^(p^2)`` and not ``a^p = a^u``."""
    some: Fp12 = tuple(range(3, 15))
    outside = from_plain(some)
    assert to_plain(outside) == some
    # (p^6 - 1)(p^2 + 1) takes any element into the cyclotomic subgroup, of order p^4 - p^2 + 1 = r*k.
    inside = pow12(pow12(some, FIELD**6 - 1), FIELD**2 + 1)
    assert pow12(inside, FIELD**4 - FIELD**2 + 1) == (1,) + (0,) * 11
    assert pow12(inside, ORDER) != (1,) + (0,) * 11
    for f in (some, inside):
        assert refusal(decode_gt, from_plain(f)) == "bad-point"
    member = pow12(inside, (FIELD**4 - FIELD**2 + 1) // ORDER)
    assert decode_gt(from_plain(member)).encode() == from_plain(member)
