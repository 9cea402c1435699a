"""The laws of a group of prime order, once for every group: ristretto255, G1, G2 and the pairing's target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.groups import bls12_381 as bls
from salus.groups import ristretto255 as ristretto


class Group(NamedTuple):
    """One group, written additively whatever its own notation."""

    name: str
    order: int
    multiple: Callable[[int], Any]  # of the generator, by the group's own multiplication
    scale: Callable[[int, Any], Any]
    add: Callable[[Any, Any], Any]
    negate: Callable[[Any], Any]
    is_identity: Callable[[Any], bool]


def _scalar(n: int) -> ristretto.Scalar:
    return ristretto.Scalar.decode((n % ristretto.ORDER).to_bytes(32, "little"))


def _multiplier(n: int) -> bytes:
    return (n % bls.ORDER).to_bytes(32, "big")


def _gt(n: int) -> bls.Gt:
    return bls.pairing([(bls.G1.generator().mul(_multiplier(n)), bls.G2.generator())])


RISTRETTO = Group(
    "ristretto255",
    ristretto.ORDER,
    lambda n: ristretto.base_mul(_scalar(n)),
    lambda n, p: p.mul(_scalar(n)),
    lambda a, b: a + b,
    lambda a: -a,
    lambda a: a.is_identity(),
)
CURVES = [
    Group(
        name,
        bls.ORDER,
        lambda n, g=group: g.generator().mul(_multiplier(n)),
        lambda n, p: p.mul(_multiplier(n)),
        lambda a, b: a + b,
        lambda a: -a,
        lambda a: a.is_identity(),
    )
    for name, group in (("G1", bls.G1), ("G2", bls.G2))
]
ALL = [RISTRETTO, *CURVES]
small = st.sampled_from([0, 1, 2, 3, 2**64, -1, -2])
numbers = st.one_of(small, st.integers(0, 2**256))


@pytest.mark.parametrize("group", ALL, ids=lambda g: g.name)
@given(a=numbers, b=numbers, c=numbers)
def test_group_laws(group: Group, a: int, b: int, c: int) -> None:
    A, B, C = group.multiple(a), group.multiple(b), group.multiple(c)
    zero = group.multiple(0)
    assert group.is_identity(zero)
    assert group.add(group.add(A, B), C) == group.add(A, group.add(B, C))
    assert group.add(A, B) == group.add(B, A) == group.multiple(a + b)
    assert group.add(A, zero) == A == group.add(zero, A)
    assert group.is_identity(group.add(A, group.negate(A)))
    assert group.scale(b, A) == group.multiple(a * b) == group.scale(a, B)
    assert group.scale(c, group.add(A, B)) == group.add(group.scale(c, A), group.scale(c, B))
    assert (A == B) == ((a - b) % group.order == 0)
    assert (hash(A) == hash(B)) == (A == B)


@pytest.mark.parametrize("group", ALL, ids=lambda g: g.name)
def test_order(group: Group) -> None:
    assert not group.is_identity(group.multiple(1))
    assert group.add(group.multiple(group.order - 1), group.multiple(1)) == group.multiple(0)
    assert group.multiple(group.order - 1) == group.negate(group.multiple(1))


@given(a=numbers, b=numbers, c=numbers)
def test_target_group_and_bilinearity(a: int, b: int, c: int) -> None:
    g1, g2 = bls.G1.generator(), bls.G2.generator()
    e = bls.pairing([(g1.mul(_multiplier(a)), g2.mul(_multiplier(b)))])
    assert e == _gt(a * b) == bls.pairing([(g1.mul(_multiplier(a * b)), g2)])
    assert e * _gt(c) == _gt(a * b + c) == _gt(c) * e
    assert e.is_one() == (a * b % bls.ORDER == 0)
    assert (e * _gt(-a * b)).is_one()
    assert (hash(e) == hash(_gt(c))) == (e == _gt(c))
    pairs = [(g1.mul(_multiplier(n)), g2.mul(_multiplier(m))) for n, m in ((a, b), (c, 1), (0, b), (b, 0), (a, c))]
    assert bls.pairing(pairs) == _gt(a * b + c + a * c)


def test_the_pairing_is_not_degenerate() -> None:
    assert not _gt(1).is_one()
    assert len({_gt(n).encode() for n in range(6)}) == 6


@pytest.mark.parametrize("n", [1, 2, 3, 7, 40])
def test_products_of_many_pairs(n: int) -> None:
    g1, g2 = bls.G1.generator(), bls.G2.generator()
    pairs = [(g1.mul(_multiplier(i)), g2.mul(_multiplier(i + 1))) for i in range(1, n + 1)]
    assert bls.pairing(pairs) == _gt(sum(i * (i + 1) for i in range(1, n + 1)))
    with pytest.raises(ValueError, match="pairs"):
        bls.pairing([])
