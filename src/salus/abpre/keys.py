"""Attribute keys: KeyGen, Restrict, and the check that a key is what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, ClassVar, Final

from salus import labels
from salus.abpre.attributes import ATTRIBUTE_CHARACTERS_MAX, canonical_attribute
from salus.abpre.hashing import attribute_points, coefficients, lines_g2, point_a, table_a, table_g2
from salus.abpre.parameters import MAX_ATTRIBUTES, MasterKey, PublicParameters
from salus.codec import Message, Size
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    Fr,
    G2Prepared,
    decode_g1_batch,
    decode_g2,
    g1_add_batch,
    g1_encode_batch,
    g1_msm_vartime,
    g1_mul_one_scalar,
    pairing,
    random_fr,
)
from salus.symmetric import Random

_ATTRIBUTE = Annotated[str, Size(1, ATTRIBUTE_CHARACTERS_MAX)]
_G1 = Annotated[bytes, Size(G1_BYTES, G1_BYTES)]
_G2 = Annotated[bytes, Size(G2_BYTES, G2_BYTES)]


class KeyMessage(Message, frozen=True):
    """Encoding of :class:`SecretKey`: attributes in ascending order, ``K_x`` in the same order. Secret."""

    KIND: ClassVar[str] = "abpre.key"

    K: _G1
    L: _G2
    attributes: Annotated[tuple[_ATTRIBUTE, ...], Size(1, MAX_ATTRIBUTES)]
    points: Annotated[tuple[_G1, ...], Size(1, MAX_ATTRIBUTES)]


class SecretKey:
    """A key for a set S of attributes: ``K = alpha*g1 + t*A``, ``L = t*g2``, ``K_x = t*H(x)`` for x in S.

    :ivar parts: K_x of each attribute x, in ascending order of x.
    """

    __slots__ = ("K", "L", "_lines", "parts")

    def __init__(self, K: G1, L: G2, parts: Mapping[str, G1]) -> None:
        """Put together a key; :func:`check_key` tells whether it is one.

        :raises Refused: ``bad-attribute`` for none, more than 1,024, or one that is not canonical.
        """
        require_attributes(parts)
        self.K = K
        self.L = L
        self.parts = {x: parts[x] for x in sorted(parts)}
        self._lines: G2Prepared | None = None

    @property
    def lines(self) -> G2Prepared:
        """The lines of L, for the pairing with it in every opening; computed once."""
        if self._lines is None:
            self._lines = G2Prepared(self.L)
        return self._lines

    @property
    def attributes(self) -> frozenset[str]:
        """S."""
        return frozenset(self.parts)

    def message(self) -> KeyMessage:
        """What is stored, sealed."""
        return KeyMessage(self.K.encode(), self.L.encode(), tuple(self.parts), tuple(g1_encode_batch(list(self.parts.values()))))

    def encode(self) -> bytes:
        """Canonical bytes. Secret."""
        return self.message().encode()

    @classmethod
    def from_message(cls, message: KeyMessage) -> SecretKey:
        """Decode the points.

        :raises Refused: ``bad-point``, ``bad-attribute``; ``bad-encoding`` for attributes that are not in ascending order.
        """
        names = message.attributes
        ordered = all(a < b for a, b in pairwise(names))
        refuse_unless(ordered and len(names) == len(message.points), "bad-encoding", "attributes ascend, with one point each")
        K, *points = decode_g1_batch([message.K, *message.points], "attribute key")
        return cls(K, decode_g2(message.L, "L"), dict(zip(names, points, strict=True)))

    @classmethod
    def decode(cls, data: bytes) -> SecretKey:
        """Decode canonical bytes.

        :raises Refused: as :meth:`from_message`, and ``bad-encoding``.
        """
        return cls.from_message(KeyMessage.decode(data))


def require_attributes(attributes: Iterable[str]) -> None:
    """Refuse a set of attributes that no key may have: empty, too large, or with one that is not canonical.

    :raises Refused: ``bad-attribute``.
    """
    names = tuple(attributes)
    refuse_unless(1 <= len(names) <= MAX_ATTRIBUTES, "bad-attribute", f"a key has 1 to {MAX_ATTRIBUTES} attributes")
    for name in names:
        canonical_attribute(name)


def key_gen(master: MasterKey, attributes: Iterable[str], random: Random) -> SecretKey:
    """KeyGen: a key for a set of attributes.

    :raises Refused: ``bad-attribute``.
    """
    return key_gen_deterministic(master, attributes, random_fr(random))


def key_gen_deterministic(master: MasterKey, attributes: Iterable[str], t: Fr) -> SecretKey:
    """:func:`key_gen` with a given t, for vectors. A t used twice merges two keys into one with the attributes of both.

    1. ``K = alpha*g1 + t*A``, ``L = t*g2``, ``K_x = t*H(x)``.
    """
    names = sorted(set(attributes))
    require_attributes(names)
    points = g1_mul_one_scalar(t, attribute_points(names))
    return SecretKey(master.alpha_g1 + table_a().mul(t), table_g2().mul(t), dict(zip(names, points, strict=True)))


def restrict(key: SecretKey, attributes: Iterable[str], random: Random) -> SecretKey:
    """Restrict: a sub-key for some of the key's attributes, freshly randomised.

    :raises Refused: ``unsatisfied`` for an attribute that the key does not have.
    """
    return restrict_deterministic(key, attributes, random_fr(random))


def restrict_deterministic(key: SecretKey, attributes: Iterable[str], t: Fr) -> SecretKey:
    """:func:`restrict` with a given t', for vectors.

    1. ``K + t'*A``, ``L + t'*g2``, ``K_x + t'*H(x)`` for x in S'.
    """
    names = sorted(set(attributes))
    require_attributes(names)
    for x in names:
        if x not in key.parts:
            raise Refused("unsatisfied", f"the key has no attribute {x}")
    fresh = g1_mul_one_scalar(t, attribute_points(names))
    parts = dict(zip(names, g1_add_batch([key.parts[x] for x in names], fresh), strict=True))
    return SecretKey(key.K + table_a().mul(t), key.L + table_g2().mul(t), parts)


def check_key(parameters: PublicParameters, key: SecretKey) -> None:
    """Refuse a key that was not made from alpha for exactly its attributes.

    1. c_x: 128 bits each, hashed from K, L, S and all K_x, so that whoever made the key cannot choose them.
    2. ``e(K + sum c_x*K_x, g2) * e(-A - sum c_x*H(x), L) = Y``.

    :raises Refused: ``bad-key``.
    """
    names = list(key.parts)
    c = coefficients(labels.ABPRE_CHECK_KEY, key.encode(), len(names))
    left = key.K + g1_msm_vartime(c, list(key.parts.values()))
    right = point_a() + g1_msm_vartime(c, attribute_points(names))
    if pairing([(left, lines_g2()), (-right, key.L)]) != parameters.Y:
        raise Refused("bad-key", "the attribute key does not verify: it was altered, or is of another network")


KEY_BYTES_MAX: Final = 160 * MAX_ATTRIBUTES
"""An encoded key is shorter."""
