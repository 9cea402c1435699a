"""BLS12-381: the pairing groups of the comparison tables and of record sharing, through blst.

Elements are opaque native objects; decoded ones are canonical, in the order-r subgroup and not neutral. G1 and G2 are
written additively, GT multiplicatively; GT is blst's pairing, the cube of the optimal ate pairing with the plain exponent.
Scalars (:class:`Fr`) and elements are wiped when they are dropped. Everything is constant time in its scalars, except
functions with ``vartime`` in the name, interpolation (its indices are public) and decoding.

Batch calls take sequences, (scalars, points) in this order, use all cores and release the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from salus._native import (
    G1,
    G2,
    Fr,
    G1Comb,
    G2Comb,
    G2Prepared,
    Gt,
    GtComb,
    fr_inner_product,
    fr_interpolate,
    fr_lagrange_coefficients,
    fr_poly_eval,
    fr_shamir_share,
    g1_add_batch,
    g1_decode_batch,
    g1_encode_batch,
    g1_hash_batch,
    g1_interpolate,
    g1_msm,
    g1_msm_groups_vartime,
    g1_msm_vartime,
    g1_mul_batch,
    g1_mul_batch_vartime,
    g1_mul_one_scalar,
    g1_sum,
    g2_add_batch,
    g2_decode_batch,
    g2_encode_batch,
    g2_interpolate,
    g2_msm,
    g2_msm_groups_vartime,
    g2_msm_vartime,
    g2_mul_batch,
    g2_mul_batch_vartime,
    g2_mul_one_scalar,
    g2_sum,
    gt_decode_batch,
    gt_interpolate,
    gt_multi_pow,
    gt_multi_pow_vartime,
    multi_pairing,
    multi_pairing_of_sums,
    multiples,
    pairing,
    wake_thread,
)
from salus.errors import Refused, refuse_unless
from salus.symmetric import Random, digest64

__all__ = [
    "FR_BYTES",
    "G1",
    "G1_BYTES",
    "G2",
    "G2_BYTES",
    "GT_BYTES",
    "MAX_SHARES",
    "ORDER",
    "Fr",
    "G1Comb",
    "G2Comb",
    "G2Prepared",
    "Gt",
    "GtComb",
    "decode_fr",
    "decode_g1",
    "decode_g1_batch",
    "decode_g2",
    "decode_g2_batch",
    "decode_gt",
    "fr_inner_product",
    "fr_interpolate",
    "fr_lagrange_coefficients",
    "fr_poly_eval",
    "fr_shamir_share",
    "g1_add_batch",
    "g1_decode_batch",
    "g1_encode_batch",
    "g1_hash_batch",
    "g1_interpolate",
    "g1_msm",
    "g1_msm_groups_vartime",
    "g1_msm_vartime",
    "g1_mul_batch",
    "g1_mul_batch_vartime",
    "g1_mul_one_scalar",
    "g1_sum",
    "g2_add_batch",
    "g2_decode_batch",
    "g2_encode_batch",
    "g2_interpolate",
    "g2_msm",
    "g2_msm_groups_vartime",
    "g2_msm_vartime",
    "g2_mul_batch",
    "g2_mul_batch_vartime",
    "g2_mul_one_scalar",
    "g2_sum",
    "gt_decode_batch",
    "gt_interpolate",
    "gt_multi_pow",
    "gt_multi_pow_vartime",
    "hash_to_fr",
    "multi_pairing",
    "multi_pairing_of_sums",
    "multiples",
    "pairing",
    "random_fr",
    "random_multiplier",
    "share_fr",
    "wake_thread",
]

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""The order r of all three groups, a prime."""
FR_BYTES: Final = 32
G1_BYTES: Final = 48
G2_BYTES: Final = 96
GT_BYTES: Final = 576
MAX_SHARES: Final = 4096
"""Most shares of one secret; the work of interpolation is quadratic in it."""
_DRAWS_AT_MOST: Final = 256
"""A 255-bit string is below the order with probability 0.9; a source that misses this often is broken."""


def _refused(code: str, what: str, error: ValueError) -> Refused:
    return Refused(code, f"{what}: {error}" if what else str(error))


def decode_fr(data: bytes, what: str = "") -> Fr:
    """The scalar of a canonical 32-byte big-endian encoding, below the order; zero is allowed.

    :param what: name of the field, for the error.
    :raises Refused: ``bad-scalar``.
    """
    try:
        return Fr.decode(data)
    except ValueError as error:
        raise _refused("bad-scalar", what, error) from None


def decode_g1(data: bytes, what: str = "") -> G1:
    """The element of a compressed 48-byte encoding: canonical, on the curve, in the subgroup, not the identity.

    :param what: name of the field, for the error.
    :raises Refused: ``bad-point``.
    """
    try:
        return G1.decode(data)
    except ValueError as error:
        raise _refused("bad-point", what, error) from None


def decode_g2(data: bytes, what: str = "") -> G2:
    """The element of a compressed 96-byte encoding, as :func:`decode_g1`.

    :raises Refused: ``bad-point``.
    """
    try:
        return G2.decode(data)
    except ValueError as error:
        raise _refused("bad-point", what, error) from None


def decode_gt(data: bytes, what: str = "") -> Gt:
    """The element of a 576-byte encoding: canonical, in the subgroup of order r (so no factor -1 either), not one.

    :raises Refused: ``bad-point``.
    """
    try:
        return Gt.decode(data)
    except ValueError as error:
        raise _refused("bad-point", what, error) from None


def decode_g1_batch(data: Sequence[bytes], what: str = "") -> list[G1]:
    """Every element as :func:`decode_g1` would decode it, on all cores.

    :raises Refused: ``bad-point`` if one of them is refused.
    """
    try:
        return g1_decode_batch(data)
    except ValueError as error:
        raise _refused("bad-point", what, error) from None


def decode_g2_batch(data: Sequence[bytes], what: str = "") -> list[G2]:
    """Every element as :func:`decode_g2` would decode it, on all cores.

    :raises Refused: ``bad-point`` if one of them is refused.
    """
    try:
        return g2_decode_batch(data)
    except ValueError as error:
        raise _refused("bad-point", what, error) from None


def random_fr(random: Random) -> Fr:
    """A uniform scalar other than zero.

    :param random: source of random bytes; 64 are drawn and reduced.
    :raises Refused: ``internal`` if the source gives zeros only.
    """
    for _ in range(_DRAWS_AT_MOST):
        scalar = Fr.reduce(random(64))
        if not scalar.is_zero():
            return scalar
    raise Refused("internal", "the source of randomness gives zeros only")


def hash_to_fr(label: str, suite: str, *fields: Any) -> Fr:
    """``H1(label, fields...)``: SHA-512 of the encoding of (label, suite, fields...), big-endian, reduced modulo the order."""
    return Fr.reduce(digest64(label, suite, *fields))


def share_fr(secret: Fr, threshold: int, indices: Sequence[int], random: Random) -> tuple[list[Fr], list[Fr]]:
    """Split ``secret`` so that any ``threshold`` of the shares give it back and fewer tell nothing.

    :param threshold: shares needed, 1 <= threshold <= len(indices).
    :param indices: positive and distinct; the share of index i is f(i).
    :return: the shares in the order of ``indices``, and the coefficients of f (``[0]`` is the secret).
    :raises Refused: ``bad-encoding`` for a threshold out of range.
    """
    refuse_unless(1 <= threshold <= len(indices) <= MAX_SHARES, "bad-encoding", f"threshold {threshold} of {len(indices)} shares")
    coefficients = [secret, *(random_fr(random) for _ in range(threshold - 1))]
    return fr_shamir_share(coefficients, indices), coefficients


def random_multiplier(random: Random) -> bytes:
    """A uniform multiplier in [1, r), 32 bytes big-endian, by rejection.

    :raises Refused: ``internal`` if the source never gives one.
    """
    for _ in range(_DRAWS_AT_MOST):
        data = bytearray(random(32))
        data[0] &= 0x7F
        if 0 < int.from_bytes(data, "big") < ORDER:
            return bytes(data)
    raise Refused("internal", "the source of randomness gives no multiplier below the order")
