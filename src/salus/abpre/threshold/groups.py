"""The two groups in which a scalar is shared: G1 for z, ristretto255 for the OPRF key. One protocol serves both.

Scalars and points stay opaque native objects of their own group; nothing here mixes the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from salus.abpre.hashing import table_g1
from salus.errors import Refused
from salus.groups import bls12_381 as bls
from salus.groups import ristretto255 as ristretto
from salus.groups import sharing
from salus.symmetric import Random

S = TypeVar("S", ristretto.Scalar, bls.Fr)
P = TypeVar("P", ristretto.Point, bls.G1)

Z: Final = "z"
"""The committee key: a scalar of BLS12-381, public in G1 alone."""
OPRF: Final = "oprf"
"""The key of the keyword function: a scalar of ristretto255."""


class ScalarGroup(msgspec.Struct, Generic[S, P], frozen=True):
    """A group of prime order with what sharing one of its scalars needs.

    :ivar name: for errors and contexts. :ivar point_bytes: size of an encoded point.
    :ivar share: values of the polynomial with these coefficients at these indices; constant time.
    :ivar lagrange: coefficients of public indices at 0. :ivar combine: multi-scalar sum of public values.
    """

    name: str
    point_bytes: int
    decode_scalar: Callable[[bytes, str], S]
    decode_point: Callable[[bytes, str], P]
    random_scalar: Callable[[Random], S]
    base_mul: Callable[[S], P]
    small: Callable[[int], S]
    share: Callable[[Sequence[S], Sequence[int]], list[S]]
    lagrange: Callable[[Sequence[int]], list[S]]
    combine: Callable[[Sequence[S], Sequence[P]], P]

    def powers(self, at: int, count: int) -> list[S]:
        """``at^0 .. at^(count - 1)`` modulo the order."""
        step, result = self.small(at), [self.small(1)]
        while len(result) < count:
            result.append(result[-1] * step)
        return result

    def public_share(self, commitments: Sequence[P], index: int) -> P:
        """``sum F_k*i^k``: what the share of ``index`` times the generator must be."""
        return self.combine(self.powers(index, len(commitments)), commitments)

    def weighted(self, weights: Sequence[S], scalars: Sequence[S]) -> S:
        """``sum w_i*s_i``."""
        total = self.small(0)
        for weight, scalar in zip(weights, scalars, strict=True):
            total = total + weight * scalar
        return total

    def __repr__(self) -> str:
        return f"ScalarGroup({self.name})"


RISTRETTO: Final = ScalarGroup(
    "ristretto255",
    ristretto.POINT_BYTES,
    ristretto.decode_scalar,
    ristretto.decode_point,
    ristretto.random_scalar,
    ristretto.base_mul,
    ristretto.Scalar.from_int,
    sharing.shamir_share,
    lambda indices: sharing.lagrange_coefficients(indices, 0),
    ristretto.msm_vartime,
)
BLS_G1: Final = ScalarGroup(
    "bls12-381-g1",
    bls.G1_BYTES,
    bls.decode_fr,
    bls.decode_g1,
    bls.random_fr,
    lambda scalar: table_g1().mul(scalar),
    bls.Fr.from_int,
    bls.fr_shamir_share,
    lambda indices: bls.fr_lagrange_coefficients(indices, 0),
    bls.g1_msm_vartime,
)
_GROUPS: Final[dict[str, ScalarGroup[Any, Any]]] = {Z: BLS_G1, OPRF: RISTRETTO}
PURPOSES: Final = tuple(_GROUPS)
"""What is shared as a scalar."""


def group_of(purpose: str) -> ScalarGroup[Any, Any]:
    """The group of a shared scalar.

    :raises Refused: ``bad-encoding`` for another purpose than :data:`PURPOSES`.
    """
    group = _GROUPS.get(purpose)
    if group is None:
        raise Refused("bad-encoding", f"no scalar is shared for {purpose[:64]!r}")
    return group
