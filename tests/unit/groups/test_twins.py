"""The extension against the plain-integer twins, on random and on awkward input."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus import _native
from salus.groups import reference
from salus.groups import reference_bls as twin_bls
from salus.groups.bls12_381 import G1, G2
from salus.groups.ristretto255 import (
    FixedBase,
    Point,
    Scalar,
    base_mul,
    base_mul_batch,
    decode_batch,
    double_base_mul_vartime,
    encode_batch,
    from_uniform_batch,
    msm,
    msm_vartime,
    mul_batch,
    mul_one_point,
    mul_one_scalar,
)
from salus.groups.sharing import (
    interpolate_point,
    interpolate_scalar,
    lagrange_coefficients,
    poly_eval,
    poly_from_roots,
    shamir_share,
)

L = reference.ORDER
edge = st.sampled_from([0, 1, 2, 15, 16, L - 1, L - 2, (L - 1) // 2, 2**128, 2**128 - 1, 2**252, 2**252 - 1])
scalars = st.one_of(edge, st.integers(0, L - 1))
indices = st.lists(st.one_of(st.integers(1, 40), st.integers(1, 2**64 - 1)), min_size=1, max_size=12, unique=True)
few = settings(max_examples=15)


def S(n: int) -> Scalar:
    return Scalar.decode((n % L).to_bytes(32, "little"))


def number(scalar: Scalar) -> int:
    return int.from_bytes(scalar.encode(), "little")


@given(a=scalars, b=scalars)
def test_scalar_arithmetic(a: int, b: int) -> None:
    assert number(S(a) + S(b)) == (a + b) % L
    assert number(S(a) - S(b)) == (a - b) % L
    assert number(S(a) * S(b)) == a * b % L
    assert number(-S(a)) == -a % L
    assert (S(a) == S(b)) == (a == b)
    assert S(a).is_zero() == (a == 0)
    if a:
        assert number(S(a).invert()) == pow(a, -1, L)
    else:
        with pytest.raises(ValueError, match="inverse"):
            S(a).invert()


@given(st.binary(min_size=64, max_size=64))
def test_wide_reduction(data: bytes) -> None:
    assert number(Scalar.reduce(data)) == int.from_bytes(data, "little") % L


@given(st.integers(0, 2**256 - 1))
def test_canonical_scalars_only(n: int) -> None:
    data = n.to_bytes(32, "little")
    if n < L:
        assert Scalar.decode(data).encode() == data
    else:
        with pytest.raises(ValueError, match="canonical"):
            Scalar.decode(data)


@given(n=st.one_of(st.integers(0, 2**256 - 1), st.integers(0, reference.FIELD // 2).map(lambda n: 2 * n)))
def test_the_same_encodings_are_points(n: int) -> None:
    data = n.to_bytes(32, "little")
    try:
        expected = reference.encode(reference.decode(data))
    except ValueError:
        with pytest.raises(ValueError, match="canonical"):
            Point.decode_with_identity(data)
    else:
        assert Point.decode_with_identity(data).encode() == expected == data


@few
@given(a=scalars, b=scalars, data=st.binary(min_size=64, max_size=64))
def test_points(a: int, b: int, data: bytes) -> None:
    point, twin = Point.from_uniform(data), reference.from_uniform(data)
    assert point.encode() == reference.encode(twin)
    expected = reference.encode(reference.multiply(a, twin))
    assert point.mul(S(a)).encode() == expected == FixedBase(point).mul(S(a)).encode()
    assert base_mul(S(b)).encode() == reference.encode(reference.multiply(b, reference.GENERATOR))
    both = reference.add(reference.multiply(a, twin), reference.multiply(b, reference.GENERATOR))
    assert double_base_mul_vartime(S(a), point, S(b)).encode() == reference.encode(both)
    assert (point + base_mul(S(b))).encode() == reference.encode(reference.add(twin, reference.multiply(b, reference.GENERATOR)))
    assert (point - point).is_identity()
    assert (-point).encode() == reference.encode(reference.negate(twin))


@few
@given(st.lists(st.tuples(scalars, st.integers(0, 30)), max_size=9))
def test_multi_scalar_multiplication(terms: list[tuple[int, int]]) -> None:
    numbers = [a for a, _ in terms]
    twins = [reference.multiply(k, reference.GENERATOR) for _, k in terms]
    points = base_mul_batch([Scalar.from_int(k) for _, k in terms])
    expected = reference.encode(reference.multi_multiply(numbers, twins))
    assert msm([S(a) for a in numbers], points).encode() == expected
    assert msm_vartime([S(a) for a in numbers], points).encode() == expected


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 63, 200, 700])
def test_batches_are_their_single_calls(count: int, threads: int) -> None:
    """Whatever the number of threads, chunks and tables, a batch gives what single calls give, in order."""
    numbers = [pow(7, i + 1, L) for i in range(count)]
    wanted = [S(n) for n in numbers]
    try:
        _native.set_threads(threads)
        points = base_mul_batch(wanted)
        assert points == [base_mul(s) for s in wanted]
        G = Point.generator()
        fixed = FixedBase(G)
        assert fixed.mul_batch(wanted) == mul_one_point(wanted, G) == points
        assert mul_batch(wanted, points) == [p.mul(s) for s, p in zip(wanted, points, strict=True)]
        if count:
            assert mul_one_scalar(wanted[0], points) == [p.mul(wanted[0]) for p in points]
        encoded = encode_batch(points)
        assert encoded == [p.encode() for p in points]
        assert decode_batch(encoded) == points
        inputs = [s.encode() * 2 for s in wanted]
        assert from_uniform_batch(inputs) == [Point.from_uniform(i) for i in inputs]
        total = base_mul(S(sum(n * n for n in numbers)))
        assert msm(wanted, points) == msm_vartime(wanted, points) == total
    finally:
        _native.set_threads(0)


@given(roots=st.lists(scalars, min_size=1, max_size=8), constant=scalars, at=scalars)
def test_polynomials(roots: list[int], constant: int, at: int) -> None:
    coefficients = poly_from_roots([S(r) for r in roots], S(constant))
    assert [number(c) for c in coefficients] == reference.from_roots(roots, constant)
    assert number(poly_eval(coefficients, S(at))) == reference.evaluate([number(c) for c in coefficients], at)
    monic = [*coefficients, Scalar.from_int(1)]
    assert all(number(poly_eval(monic, S(r))) == constant for r in roots)


@given(coefficients=st.lists(scalars, min_size=1, max_size=6), places=indices, at=st.integers(0, 2**64 - 1))
def test_sharing(coefficients: list[int], places: list[int], at: int) -> None:
    shares = shamir_share([S(c) for c in coefficients], places)
    assert [number(s) for s in shares] == [reference.evaluate(coefficients, i) for i in places]
    weights = lagrange_coefficients(places, at)
    assert [number(w) for w in weights] == reference.lagrange(places, at)
    value = interpolate_scalar(places, shares, at)
    assert number(value) == sum(w * number(s) for w, s in zip(reference.lagrange(places, at), shares, strict=True)) % L
    if len(places) >= len(coefficients):
        assert number(value) == reference.evaluate(coefficients, at)
        assert number(interpolate_scalar(places, shares)) == coefficients[0] % L
    assert interpolate_point(places, base_mul_batch(shares), at) == base_mul(value)


@few
@given(a=st.integers(0, twin_bls.ORDER - 1), b=st.integers(0, twin_bls.ORDER - 1))
def test_bls12_381(a: int, b: int) -> None:
    for group, parts in ((G1, 1), (G2, 2)):
        generator = twin_bls.decode_uncompressed(group.generator().encode_uncompressed())
        P, Q = (group.generator().mul(n.to_bytes(32, "big")) for n in (a, b))
        twin_p, twin_q = twin_bls.multiply(a, generator), twin_bls.multiply(b, generator)
        assert P.encode() == twin_bls.encode(twin_p, parts)
        assert (P + Q).encode() == twin_bls.encode(twin_bls.add(twin_p, twin_q), parts)
        assert (-P).encode() == twin_bls.encode(twin_bls.negate(twin_p), parts)
        assert (P - P).is_identity()
        assert (P + P).encode() == twin_bls.encode(twin_bls.add(twin_p, twin_p), parts)
        if a:
            assert group.decode(P.encode()) == P
