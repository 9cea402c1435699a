"""BLS12-381: the pairing groups of the comparison tables and of record sharing, through blst.

Elements are opaque native objects; decoded ones are canonical, in the subgroup and not the identity.
"""

from __future__ import annotations

from typing import Final

from salus._native import G1, G2, Gt, pairing
from salus.errors import Refused
from salus.symmetric import Random

__all__ = [
    "G1",
    "G1_BYTES",
    "G2",
    "G2_BYTES",
    "GT_BYTES",
    "ORDER",
    "Gt",
    "decode_g1",
    "decode_g2",
    "pairing",
    "random_multiplier",
]

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""The order r of all three groups, a prime."""
G1_BYTES: Final = 48
G2_BYTES: Final = 96
GT_BYTES: Final = 576
_DRAWS_AT_MOST: Final = 256
"""A 255-bit string is below the order with probability 0.9; a source that misses this often is broken."""


def decode_g1(data: bytes, what: str = "") -> G1:
    """The element of a compressed 48-byte encoding: canonical, on the curve, in the subgroup, not the identity.

    :param what: name of the field, for the error.
    :raises Refused: ``bad-point``.
    """
    try:
        return G1.decode(data)
    except ValueError as error:
        raise Refused("bad-point", f"{what}: {error}" if what else str(error)) from None


def decode_g2(data: bytes, what: str = "") -> G2:
    """The element of a compressed 96-byte encoding, as :func:`decode_g1`.

    :raises Refused: ``bad-point``.
    """
    try:
        return G2.decode(data)
    except ValueError as error:
        raise Refused("bad-point", f"{what}: {error}" if what else str(error)) from None


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
