"""Public parameters and the master key."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Annotated, ClassVar, Final

from salus.codec import Message, Size
from salus.groups.bls12_381 import G1, G2, GT_BYTES, Fr, Gt, GtComb, decode_gt, pairing, random_fr
from salus.symmetric import Random

TABLES_KEPT: Final = 4
"""Tables of Y in memory, under a megabyte each: a process serves one network, a test several."""
MAX_ATTRIBUTES: Final = 1024
"""Attributes of one key: an institution's roles and certificates over many years."""


class ParametersMessage(Message, frozen=True):
    """Encoding of :class:`PublicParameters`: Y."""

    KIND: ClassVar[str] = "abpre.parameters"

    Y: Annotated[bytes, Size(GT_BYTES, GT_BYTES)]


@lru_cache(maxsize=TABLES_KEPT)
def _table_of(Y: bytes) -> GtComb:
    return GtComb(decode_gt(Y))


class PublicParameters:
    """What everybody knows of the authority: ``Y = e(g1, g2)^alpha``.

    :ivar Y: of the target group, not one.
    """

    def __init__(self, Y: Gt) -> None:
        self.Y = Y

    @cached_property
    def table_y(self) -> GtComb:
        """Table of Y for powers."""
        return _table_of(self.Y.encode())

    def message(self) -> ParametersMessage:
        """What is stored and sent."""
        return ParametersMessage(self.Y.encode())

    def encode(self) -> bytes:
        """Canonical bytes."""
        return self.message().encode()

    @classmethod
    def from_message(cls, message: ParametersMessage) -> PublicParameters:
        """Decode Y.

        :raises Refused: ``bad-point``.
        """
        return cls(decode_gt(message.Y, "Y"))

    @classmethod
    def decode(cls, data: bytes) -> PublicParameters:
        """Decode canonical bytes.

        :raises Refused: ``bad-encoding``, ``bad-point``.
        """
        return cls.from_message(ParametersMessage.decode(data))


class MasterKey:
    """``alpha*g1``: whoever holds it issues keys for any attribute. In a network nobody does; nodes hold shares of it."""

    __slots__ = ("alpha_g1",)

    def __init__(self, alpha_g1: G1) -> None:
        self.alpha_g1 = alpha_g1


def setup(random: Random) -> tuple[PublicParameters, MasterKey]:
    """Setup with one authority: for tests, and for networks of one institution.

    1. alpha uniform; ``Y = e(g1, g2)^alpha``; the master key is ``alpha*g1``.
    """
    alpha_g1 = G1.generator().mul(random_fr(random))
    return parameters_of(alpha_g1), MasterKey(alpha_g1)


def setup_deterministic(alpha: Fr) -> tuple[PublicParameters, MasterKey]:
    """:func:`setup` with a given alpha, for vectors."""
    alpha_g1 = G1.generator().mul(alpha)
    return parameters_of(alpha_g1), MasterKey(alpha_g1)


def parameters_of(alpha_g1: G1) -> PublicParameters:
    """The public parameters to ``alpha*g1``."""
    return PublicParameters(pairing([(alpha_g1, G2.generator())]))
