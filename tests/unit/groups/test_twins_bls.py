"""BLS12-381 of the extension against the plain-integer twin, on random and on awkward input."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.groups import bls12_381 as bls
from salus.groups import reference_bls as twin
from salus.groups.bls12_381 import Fr, G2Prepared, Gt, GtComb

R = bls.ORDER
U = -twin.X
SMALL = [0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 2**64, 2**128 - 1, 2**128]
POWERS = [U, U + 1, U - 1, U**2, U**2 - 1, U**3, U**3 + U, R - U, R - U**2]
edge = st.sampled_from([*SMALL, *POWERS, R - 1, R - 2, (R - 1) // 2, 7 * 2**252, 14 * 2**252 % R, 2**254])
short = st.one_of(st.integers(-40, 40), st.integers(0, 2**128 - 1))
scalars = st.one_of(edge, short, st.integers(0, R - 1))
few = settings(max_examples=15)
indices = st.lists(st.one_of(st.integers(1, 40), st.integers(1, 2**64 - 1)), min_size=1, max_size=8, unique=True)


def F(n: int) -> Fr:
    return Fr.decode((n % R).to_bytes(32, "big"))


def number(scalar: Fr) -> int:
    return int.from_bytes(scalar.encode(), "big")


class Curve(NamedTuple):
    """One of the two groups on a curve, ours and the twin's."""

    name: str
    group: Any
    parts: int
    comb: Any
    mul_batch: Callable[..., list[Any]]
    mul_batch_vartime: Callable[..., list[Any]]
    mul_one_scalar: Callable[..., list[Any]]
    add_batch: Callable[..., list[Any]]
    sum: Callable[..., Any]
    msm: Callable[..., Any]
    msm_vartime: Callable[..., Any]
    msm_groups_vartime: Callable[..., list[Any]]
    decode_batch: Callable[..., list[Any]]
    encode_batch: Callable[..., list[bytes]]
    interpolate: Callable[..., Any]

    def point(self, n: int) -> Any:
        return self.group.generator().mul(F(n))

    def twin(self, n: int) -> twin.Point:
        generator = twin.decode_uncompressed(self.group.generator().encode_uncompressed())
        return twin.multiply(n % R, generator)

    def encoded(self, n: int) -> bytes:
        return twin.encode(self.twin(n), self.parts)


def _curve(name: str, parts: int) -> Curve:
    functions = [getattr(bls, f"{name.lower()}_{field}") for field in Curve._fields[4:]]
    return Curve(name, getattr(bls, name), parts, getattr(bls, f"{name}Comb"), *functions)


CURVES = [_curve("G1", 1), _curve("G2", 2)]
each_curve = pytest.mark.parametrize("curve", CURVES, ids=lambda c: c.name)


@given(a=scalars, b=scalars)
def test_scalar_arithmetic(a: int, b: int) -> None:
    assert number(F(a) + F(b)) == (a + b) % R
    assert number(F(a) - F(b)) == (a - b) % R
    assert number(F(a) * F(b)) == a * b % R
    assert number(-F(a)) == -a % R
    assert (F(a) == F(b)) == ((a - b) % R == 0)
    assert F(a).is_zero() == (a % R == 0)
    if a % R:
        assert number(F(a).invert()) == pow(a, -1, R)
    else:
        with pytest.raises(ValueError, match="inverse"):
            F(a).invert()


@given(st.one_of(st.binary(min_size=64, max_size=64), st.sampled_from([bytes(64), b"\xff" * 64, bytes(32) + b"\xff" * 32])))
def test_wide_reduction(data: bytes) -> None:
    assert number(Fr.reduce(data)) == int.from_bytes(data, "big") % R


@given(st.integers(-(2**127), 2**128 - 1))
def test_integers(n: int) -> None:
    assert number(Fr.from_int(n)) == n % R


@given(st.one_of(st.integers(0, 2**256 - 1), st.integers(R - 2, R + 2)))
def test_canonical_scalars_only(n: int) -> None:
    data = n.to_bytes(32, "big")
    if n < R:
        assert Fr.decode(data).encode() == data
    else:
        with pytest.raises(ValueError, match="order"):
            Fr.decode(data)


@each_curve
@few
@given(a=scalars, b=scalars)
def test_points(curve: Curve, a: int, b: int) -> None:
    point, other = curve.point(a), curve.point(b)
    assert point.encode() == curve.encoded(a)
    assert point.mul(F(b)).encode() == curve.encoded(a * b) == curve.comb(point).mul(F(b)).encode()
    assert point.mul((b % R).to_bytes(32, "big")).encode() == curve.encoded(a * b)
    assert (point + other).encode() == curve.encoded(a + b)
    assert (point - other).encode() == curve.encoded(a - b)
    assert (-point).encode() == curve.encoded(-a)
    assert curve.group.decode_with_identity(point.encode()) == point
    assert twin.decode(point.encode(), curve.parts) == curve.twin(a)
    assert curve.point(0) == curve.group.identity()


@each_curve
def test_tables_on_every_digit(curve: Curve) -> None:
    """Every value of a window in every place, the carries between them, and the doubling in the last place."""
    rng = random.Random(381)
    values = [k * 64**place for place in range(42) for k in (1, 31, 32, 33, 63)] + [R - 1 - k for k in range(40)]
    values += (
        [k * 2**252 + d for k in range(1, 8) for d in (-1, 0, 1)] + [14 * 2**252 % R] + [rng.randrange(R) for _ in range(50)]
    )
    base = curve.point(rng.randrange(R))
    expected = [p.encode() for p in curve.mul_batch([F(v) for v in values], [base] * len(values))]
    assert curve.encode_batch(curve.comb(base).mul_batch([F(v) for v in values])) == expected


@each_curve
@few
@given(terms=st.lists(st.tuples(scalars, st.integers(0, 30)), max_size=5), cut=st.integers(0, 5))
def test_sums_of_multiples(curve: Curve, terms: list[tuple[int, int]], cut: int) -> None:
    numbers, logarithms = [a for a, _ in terms], [k for _, k in terms]
    twins = [curve.twin(k) for k in logarithms]
    ours, points = [F(a) for a in numbers], [curve.point(k) for k in logarithms]
    expected = twin.encode(twin.sum_of_multiples(numbers, twins), curve.parts)
    assert curve.msm(ours, points).encode() == curve.msm_vartime(ours, points).encode() == expected
    products = [curve.encoded(a * k) for a, k in terms]
    assert curve.encode_batch(curve.mul_batch(ours, points)) == products
    assert [p.encode() for p in curve.mul_batch_vartime(ours, points)] == products
    groups = [(ours[:cut], points[:cut]), (ours[cut:], points[cut:]), ([], [])]
    parts = [curve.encoded(sum(a * k for a, k in part)) for part in (terms[:cut], terms[cut:], [])]
    assert [p.encode() for p in curve.msm_groups_vartime(groups)] == parts
    assert curve.sum(points).encode() == curve.encoded(sum(logarithms))


@each_curve
@pytest.mark.parametrize("count", [11, 12, 25, 200, 1100])
def test_long_sums(curve: Curve, count: int) -> None:
    """Equal and opposite points, identities, zeros and small scalars among many, where additions share inversions."""
    rng = random.Random(count)
    kinds: list[Callable[[], int]] = [
        lambda: rng.randrange(R),
        lambda: rng.getrandbits(128),
        lambda: rng.randrange(-20, 20) % R,
        lambda: rng.choice([0, 1, R - 1, U, U * U, R - U]),
    ]
    numbers = [rng.choice(kinds)() for _ in range(count)]
    logarithms = [rng.choice([rng.randrange(6), R - rng.randrange(1, 6), rng.randrange(R)]) for _ in range(count)]
    scalars, points = [F(a) for a in numbers], curve.comb(curve.group.generator()).mul_batch([F(k) for k in logarithms])
    expected = curve.encoded(sum(a * k for a, k in zip(numbers, logarithms, strict=True)))
    assert curve.msm_vartime(scalars, points).encode() == curve.msm(scalars, points).encode() == expected
    assert curve.msm_groups_vartime([(scalars, points)] * 2)[1].encode() == expected
    assert curve.mul_batch_vartime(scalars, points) == curve.mul_batch(scalars, points)


@each_curve
@pytest.mark.parametrize("sizes", [[3, 0, 4, 0, 4] + [0] * 100, [1] * 100, [0, 1, 2, 30] + [1] * 100])
def test_many_sums(curve: Curve, sizes: list[int]) -> None:
    """As many sums at once as share inversions, with fewer terms than sums, and more."""
    rng = random.Random(len(sizes))
    terms = [[(rng.randrange(R), rng.randrange(R)) for _ in range(size)] for size in sizes]
    groups = [([F(a) for a, _ in some], [curve.point(k) for _, k in some]) for some in terms]
    expected = [curve.encoded(sum(a * k for a, k in some)) for some in terms]
    assert [p.encode() for p in curve.msm_groups_vartime(groups)] == expected


@each_curve
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_batches_of_additions_and_encodings(curve: Curve, items: list[tuple[int, int]]) -> None:
    a, b = ([curve.point(item[k]) for item in items] for k in range(2))
    sums = curve.add_batch(a, b)
    assert curve.encode_batch(sums) == [curve.point(x + y).encode() for x, y in items]
    assert [p.encode() for p in sums] == curve.encode_batch(sums)
    assert curve.mul_one_scalar(F(7), a) == [curve.point(7 * x) for x, _ in items]
    present = [p for p in sums if not p.is_identity()]
    assert curve.decode_batch(curve.encode_batch(present)) == present


@few
@given(coefficients=st.lists(scalars, min_size=1, max_size=8), at=indices, place=st.integers(0, 99))
def test_sharing(coefficients: list[int], at: list[int], place: int) -> None:
    def f(x: int) -> int:
        return sum(a * pow(x, k, R) for k, a in enumerate(coefficients)) % R

    polynomial = [F(a) for a in coefficients]
    shares = bls.fr_shamir_share(polynomial, at)
    assert [number(s) for s in shares] == [f(i) for i in at]
    assert number(bls.fr_poly_eval(polynomial, F(place))) == f(place)
    lagrange = bls.fr_lagrange_coefficients(at, place)
    assert [number(c) for c in lagrange] == twin.lagrange(at, place)
    expected = sum(c * f(i) for c, i in zip(twin.lagrange(at, place), at, strict=True)) % R
    if len(at) >= len(coefficients):
        assert expected == f(place)
    assert number(bls.fr_interpolate(at, shares, place)) == number(bls.fr_inner_product(lagrange, shares)) == expected
    for curve in CURVES:
        assert curve.interpolate(at, [curve.point(f(i)) for i in at], place) == curve.point(expected)
    table = GtComb(_e(1, 1))
    assert bls.gt_interpolate(at, table.pow_batch(shares), place) == table.pow(F(expected))


def _e(a: int, b: int) -> Gt:
    return bls.pairing([(CURVES[0].point(a), CURVES[1].point(b))])


@pytest.fixture(scope="module")
def base() -> twin.Fp12:
    return twin.target(CURVES[0].twin(1), CURVES[1].twin(1))


@pytest.mark.parametrize(("a", "b"), [(3, 5), (R - 2, 7)])
def test_pairings(base: twin.Fp12, a: int, b: int) -> None:
    """Three implementations of a pairing with lines known ahead, without, and in integers; and all of its encodings."""
    expected = twin.target(CURVES[0].twin(a), CURVES[1].twin(b))
    assert expected == twin.pow12(base, a * b % R)
    p, q = CURVES[0].point(a), CURVES[1].point(b)
    assert (
        bls.multi_pairing([(p, q)]).encode() == bls.multi_pairing([(p, G2Prepared(q))]).encode() == twin.encode_target(expected)
    )
    assert twin.decode_target(_e(a, b).encode()) == expected
    assert G2Prepared(q).point() == q


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 40])
def test_products_of_pairings(count: int) -> None:
    """With and without known lines, in any mixture; factors with an identity are one."""
    rng = random.Random(count)
    logarithms = [(rng.randrange(R), rng.randrange(R)) for _ in range(count - 1)] + [(0, 5)]
    pairs = [(CURVES[0].point(a), CURVES[1].point(b)) for a, b in logarithms]
    mixed: Sequence[tuple[bls.G1, bls.G2 | G2Prepared]] = [(p, G2Prepared(q) if rng.random() < 0.5 else q) for p, q in pairs]
    prepared = [(p, G2Prepared(q)) for p, q in pairs]
    expected = _e(1, 1).pow(F(sum(a * b for a, b in logarithms)))
    assert bls.multi_pairing(pairs) == bls.multi_pairing(mixed) == bls.multi_pairing(prepared) == expected
    assert bls.multi_pairing([(pairs[0][0], G2Prepared(bls.G2.identity()))]).is_one()


@few
@given(terms=st.lists(st.tuples(scalars, st.integers(0, 9)), max_size=4))
def test_powers(base: twin.Fp12, terms: list[tuple[int, int]]) -> None:
    expected = twin.ONE
    for e, k in terms:
        expected = twin.mul12(expected, twin.pow12(base, e * k % R))
    elements, exponents = [_e(1, k) for _, k in terms], [F(e) for e, _ in terms]
    for product in (bls.gt_multi_pow(elements, exponents), bls.gt_multi_pow_vartime(elements, exponents)):
        assert product.encode() == twin.encode_target(expected)
    for element, exponent, (e, k) in zip(elements, exponents, terms, strict=True):
        assert element.pow(exponent) == _e(e * k, 1) == GtComb(element).pow(exponent) == element.inverse().pow(-exponent)
        assert (element / element).is_one()
        assert Gt.decode_with_one(element.encode()) == element
    assert Gt.one().is_one()


def test_power_tables_on_every_digit() -> None:
    values = [k * U**i * 32**place for i in range(4) for place in range(13) for k in (1, 15, 16, 17, 31)] + [R - 1, R - 2, 0]
    values = [v for v in values if v < R]
    element = _e(1, 99)
    assert GtComb(element).pow_batch([F(v) for v in values]) == [element.pow(F(v)) for v in values]
    assert [element.pow(F(v)) for v in values[::9]] == [_e(99, v) for v in values[::9]]


@given(st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_products_of_a_few_powers_agree(bases: list[int], exponents: list[int]) -> None:
    pairs = list(zip(bases, exponents, strict=False))
    elements = GtComb(_e(1, 1)).pow_batch([F(b) for b, _ in pairs])
    expected = GtComb(_e(1, 1)).pow(F(sum(b * (e - 2) for b, e in pairs)))
    numbers = [Fr.from_int(e - 2) for _, e in pairs]
    assert bls.gt_multi_pow(elements, numbers) == bls.gt_multi_pow_vartime(elements, numbers) == expected
