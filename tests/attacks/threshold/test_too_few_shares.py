"""Claim: fewer than t shares tell nothing: for every other secret there is a sharing that gives exactly the shares seen."""

from __future__ import annotations

import pytest

from salus.abpre.keys import key_gen
from salus.abpre.opening import decapsulate
from salus.abpre.parameters import MasterKey
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.groups import OPRF, Z, group_of
from salus.groups.bls12_381 import G1, G2, Fr, decode_g1, g1_interpolate, pairing, random_fr
from support.consultation_world import SeededRandom, refusal
from support.threshold_world import dealt

RANDOM = SeededRandom("too few")


def basis(places: list[int], at: int, small):
    """Lagrange coefficients of places (0 allowed) at a place, by the definition; ``small`` makes scalars."""
    out = []
    for i in places:
        top = bottom = small(1)
        for j in places:
            if j != i:
                top = top * (small(at) - small(j))
                bottom = bottom * (small(i) - small(j))
        out.append(top * bottom.invert())
    return out


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("purpose", [Z, OPRF])
def test_any_other_scalar_is_as_likely(n, purpose):
    """2f colluders hold t - 1 shares. Through them and any guess at the secret goes one polynomial of degree t - 1."""
    holders, group = dealt(n), group_of(purpose)
    colluders = holders.committee.indices()[: holders.t - 1]
    seen = [holders.shares[purpose][i].value for i in colluders]
    for guess in (group.random_scalar(RANDOM), group.small(1), group.small(0)):
        places, values = [0, *colluders], [guess, *seen]
        again = [group.weighted(basis(places, i, group.small), values) for i in colluders]
        assert again == seen, "the guess explains every share they have"
        others = [i for i in holders.committee.indices() if i not in colluders]
        rest = [group.weighted(basis(places, i, group.small), values) for i in others]
        assert all(a != holders.shares[purpose][i].value for a, i in zip(rest, others, strict=True)), (
            "and gives the others other shares"
        )
    # With t shares a single secret is left.
    chosen = holders.committee.indices()[: holders.t]
    whole = group.weighted(group.lagrange(chosen), [holders.shares[purpose][i].value for i in chosen])
    assert group.base_mul(whole) == holders.scalars[purpose].key


@pytest.mark.parametrize("n", [4, 7, 13])
def test_2f_point_shares_give_no_key(n):
    """Whatever the colluders take for the missing share, what they put together is not alpha*g1."""
    holders = dealt(n)
    colluders = holders.committee.indices()[: holders.t - 1]
    points = [holders.points[i].S for i in colluders]
    candidates = [
        g1_interpolate(colluders, points),
        g1_interpolate([*colluders, n], [*points, points[0]]),
        g1_interpolate([*colluders, n], [*points, G1.generator()]),
        *(g1_interpolate([*colluders, n], [*points, G1.generator().mul(random_fr(RANDOM))]) for _ in range(3)),
    ]
    capsule = holders.capsule("role:x", bytes(32))
    for candidate in candidates:
        assert pairing([(candidate, G2.generator())]) != holders.alpha.Y
        assert (
            refusal(decapsulate, holders.parameters, key_gen(MasterKey(candidate), ["role:x"], RANDOM), capsule) == "bad-capsule"
        )
    right = g1_interpolate([*colluders, n], [*points, holders.points[n].S])
    assert decapsulate(holders.parameters, key_gen(MasterKey(right), ["role:x"], RANDOM), capsule) == bytes(32)


def test_the_deals_on_the_chain_add_nothing_for_an_outsider():
    """Encrypted shares, commitments in GT: an outsider with a wrong encryption key reads points that are no shares."""
    holders = dealt(4)
    sharing = holders.alpha.sharing
    for place, index in enumerate(holders.committee.indices()):
        c, R1 = decode_g1(sharing.c[place]), decode_g1(sharing.R1)
        for e in (random_fr(RANDOM), Fr.from_int(0), Fr.from_int(1)):
            assert pairing([(c - R1.mul(e), G2.generator())]) != holders.alpha.share(index)


def test_secrets_do_not_show():
    holders = dealt(4)
    for secret in (holders.points[1], holders.shares[Z][1], holders.node(1).secret):
        data = secret.export_secret()
        assert data.hex() not in repr(secret)
        assert str(int.from_bytes(data, "big")) not in repr(secret)
    share = holders.shares[Z][1]
    again = sd.ScalarShare.from_secret(holders.scalars[Z], 1, share.export_secret())
    assert again.value == share.value
    assert refusal(sd.ScalarShare.from_secret, holders.scalars[Z], 2, share.export_secret()) == "bad-share"


@pytest.mark.parametrize("purpose", [Z, OPRF])
@pytest.mark.parametrize("n", [4, 7, 13])
def test_with_a_threshold_of_f_plus_1_the_2f_colluders_would_have_the_key(n, purpose):
    """f + 1 is enough to outvote the faulty; that two coalitions of f learn nothing together takes t = 2f + 1."""
    group, f = group_of(purpose), (n - 1) // 3
    for t, known in ((f + 1, True), (2 * f + 1, False)):
        coefficients = [group.random_scalar(RANDOM) for _ in range(t)]
        value = {i: group.weighted([group.small(i**k) for k in range(t)], coefficients) for i in range(1, n + 1)}
        colluders = list(range(1, 2 * f + 1))
        guess = group.weighted(group.lagrange(colluders), [value[i] for i in colluders])
        assert (group.base_mul(guess) == group.base_mul(coefficients[0])) == known
