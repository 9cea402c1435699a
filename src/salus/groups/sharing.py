"""Secret sharing over the scalars of ristretto255 (Shamir), interpolation of scalars and points, polynomials.

Indices are positive, distinct integers; index 0 is the secret's own and refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from salus._native import (
    Point,
    Scalar,
    interpolate_point,
    interpolate_scalar,
    lagrange_coefficients,
    poly_eval,
    poly_from_roots,
    shamir_share,
)
from salus.errors import refuse_unless
from salus.groups.ristretto255 import random_scalar
from salus.symmetric import Random

__all__ = [
    "MAX_SHARES",
    "Point",
    "Scalar",
    "interpolate_point",
    "interpolate_scalar",
    "lagrange_coefficients",
    "poly_eval",
    "poly_from_roots",
    "shamir_share",
    "share_secret",
]

MAX_SHARES: Final = 4096
"""Most shares of one secret; the work of interpolation is quadratic in it."""


def share_secret(secret: Scalar, threshold: int, indices: Sequence[int], random: Random) -> tuple[list[Scalar], list[Scalar]]:
    """Split ``secret`` so that any ``threshold`` of the shares give it back and fewer tell nothing.

    :param threshold: shares needed, 1 <= threshold <= len(indices).
    :param indices: positive and distinct; the share of index i is f(i).
    :return: the shares in the order of ``indices``, and the coefficients of f (``[0]`` is the secret; wipe or commit to them).
    :raises Refused: ``bad-encoding`` for a threshold out of range.
    """
    refuse_unless(1 <= threshold <= len(indices) <= MAX_SHARES, "bad-encoding", f"threshold {threshold} of {len(indices)} shares")
    coefficients = [secret, *(random_scalar(random) for _ in range(threshold - 1))]
    return shamir_share(coefficients, indices), coefficients
