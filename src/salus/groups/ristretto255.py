"""ristretto255 (RFC 9496): the prime-order group of every consultation protocol.

Points and scalars are opaque native objects, decoded and checked once. Scalars are constant time and wiped when they
are dropped. A name with ``vartime`` takes public inputs only.
"""

from __future__ import annotations

from typing import Any, Final

from salus._native import (
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
from salus.errors import Refused
from salus.symmetric import Random, digest64

__all__ = [
    "ORDER",
    "POINT_BYTES",
    "SCALAR_BYTES",
    "FixedBase",
    "Point",
    "Scalar",
    "base_mul",
    "base_mul_batch",
    "decode_batch",
    "decode_point",
    "decode_scalar",
    "double_base_mul_vartime",
    "encode_batch",
    "from_uniform_batch",
    "hash_to_point",
    "hash_to_scalar",
    "msm",
    "msm_vartime",
    "mul_batch",
    "mul_one_point",
    "mul_one_scalar",
    "random_scalar",
    "require_point",
]

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""The order l of the group, a prime."""
POINT_BYTES: Final = 32
SCALAR_BYTES: Final = 32
_DRAWS_AT_MOST: Final = 8
"""A reduced 64-byte string is zero with probability 2^-252; a source that gives zero this often is broken."""


def random_scalar(random: Random) -> Scalar:
    """A uniform scalar other than zero.

    :param random: source of random bytes; 64 are drawn and reduced.
    :raises Refused: ``internal`` if the source gives zeros only.
    """
    for _ in range(_DRAWS_AT_MOST):
        scalar = Scalar.reduce(random(64))
        if not scalar.is_zero():
            return scalar
    raise Refused("internal", "the source of randomness gives zeros only")


def decode_point(data: bytes, what: str = "") -> Point:
    """The group element of a canonical 32-byte encoding, other than the identity.

    :param what: name of the field, for the error.
    :raises Refused: ``bad-point``.
    """
    try:
        return Point.decode(data)
    except ValueError as error:
        raise Refused("bad-point", f"{what}: {error}" if what else str(error)) from None


def decode_scalar(data: bytes, what: str = "") -> Scalar:
    """The scalar of a canonical 32-byte little-endian encoding.

    :param what: name of the field, for the error.
    :raises Refused: ``bad-scalar``.
    """
    try:
        return Scalar.decode(data)
    except ValueError as error:
        raise Refused("bad-scalar", f"{what}: {error}" if what else str(error)) from None


def require_point(point: Point, what: str = "") -> Point:
    """``point`` itself, computed from received ones, unless it is the identity.

    :raises Refused: ``bad-point``.
    """
    if point.is_identity():
        raise Refused("bad-point", f"{what or 'a computed point'} is the identity")
    return point


def hash_to_scalar(label: str, suite: str, *fields: Any) -> Scalar:
    """``H1(label, fields...)``: SHA-512 of the encoding of (label, suite, fields...), reduced modulo the order."""
    return Scalar.reduce(digest64(label, suite, *fields))


def hash_to_point(label: str, suite: str, *fields: Any) -> Point:
    """SHA-512 of the encoding of (label, suite, fields...) through the one-way map of RFC 9496, section 4.3.4.

    Nobody knows the logarithm of the result; in particular it is never computed as a multiple of the generator.
    """
    return Point.from_uniform(digest64(label, suite, *fields))
