"""Delegation: ReKeyGen, ReEncrypt, and the check of what is public in a re-encryption key.

In the network nobody holds a whole re-encryption key: rk1 is hidden under the committee's key and the members compute
partial transformations (:mod:`salus.abpre.threshold`). The equations are these.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, ClassVar

import msgspec

from salus import labels
from salus.abpre.attributes import ATTRIBUTE_CHARACTERS_MAX
from salus.abpre.capsules import (
    KEY_BYTES,
    DeltaCapsule,
    DeltaCapsuleMessage,
    VerifiedCapsule,
    VerifiedDeltaCapsule,
)
from salus.abpre.checking import check2
from salus.abpre.encapsulation import encapsulate_delta_deterministic
from salus.abpre.hashing import attribute_points, coefficients, h5, lines_g2, table_g2, table_g_tilde
from salus.abpre.keys import SecretKey, require_attributes
from salus.abpre.opening import require_weights, row_pairs
from salus.abpre.parameters import MAX_ATTRIBUTES, PublicParameters
from salus.abpre.policy import Policy
from salus.codec import Message, Size, encode
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    GT_BYTES,
    Fr,
    G2Prepared,
    Gt,
    decode_g1_batch,
    decode_g2_batch,
    decode_gt,
    g1_encode_batch,
    g1_msm_vartime,
    g1_mul_one_scalar,
    multi_pairing,
    pairing,
    random_fr,
)
from salus.symmetric import Random

_ATTRIBUTE = Annotated[str, Size(1, ATTRIBUTE_CHARACTERS_MAX)]
_G1 = Annotated[bytes, Size(G1_BYTES, G1_BYTES)]
_G2 = Annotated[bytes, Size(G2_BYTES, G2_BYTES)]


class ReKeyMessage(Message, frozen=True):
    """Encoding of :class:`ReKey`: attributes in ascending order, ``R_x`` in the same order."""

    KIND: ClassVar[str] = "abpre.rekey"

    rk1: _G1
    rk2: _G2
    rk3: _G2
    attributes: Annotated[tuple[_ATTRIBUTE, ...], Size(1, MAX_ATTRIBUTES)]
    points: Annotated[tuple[_G1, ...], Size(1, MAX_ATTRIBUTES)]
    rk4: DeltaCapsuleMessage


class TransformedMessage(Message, frozen=True):
    """Encoding of a transformed capsule's A4."""

    KIND: ClassVar[str] = "abpre.transformed"

    A4: Annotated[bytes, Size(GT_BYTES, GT_BYTES)]


class ReKey:
    """A re-encryption key: ``rk1 = h*K + theta*g~``, ``rk2 = theta*g2``, ``rk3 = h*L``, ``R_x = h*K_x``; rk4 holds delta.

    It turns every capsule that its sub-key opens into one for the policy of rk4, and opens none.

    :ivar parts: R_x of each attribute x of the sub-key, in ascending order of x.
    """

    __slots__ = ("_lines", "parts", "rk1", "rk2", "rk3", "rk4")

    def __init__(self, rk1: G1, rk2: G2, rk3: G2, parts: Mapping[str, G1], rk4: DeltaCapsule) -> None:
        """Put together a re-encryption key; :func:`check_rekey` tells whether its public parts fit.

        :raises Refused: ``bad-attribute`` for none, more than 1,024, or one that is not canonical.
        """
        require_attributes(parts)
        self.rk1 = rk1
        self.rk2 = rk2
        self.rk3 = rk3
        self.parts = {x: parts[x] for x in sorted(parts)}
        self.rk4 = rk4
        self._lines: tuple[G2Prepared, G2Prepared] | None = None

    @property
    def lines(self) -> tuple[G2Prepared, G2Prepared]:
        """The lines of rk2 and rk3, for every capsule that is transformed; computed once."""
        if self._lines is None:
            self._lines = G2Prepared(self.rk2), G2Prepared(self.rk3)
        return self._lines

    def message(self) -> ReKeyMessage:
        """What is stored and sent."""
        points = tuple(g1_encode_batch(list(self.parts.values())))
        return ReKeyMessage(
            self.rk1.encode(), self.rk2.encode(), self.rk3.encode(), tuple(self.parts), points, self.rk4.message()
        )

    def encode(self) -> bytes:
        """Canonical bytes."""
        return self.message().encode()

    @classmethod
    def from_message(cls, message: ReKeyMessage) -> ReKey:
        """Decode the points.

        :raises Refused: ``bad-point``, ``bad-attribute``, ``bad-policy``; ``bad-encoding`` for attributes not in ascending order.
        """
        names = message.attributes
        ordered = all(a < b for a, b in pairwise(names))
        refuse_unless(ordered and len(names) == len(message.points), "bad-encoding", "attributes ascend, with one point each")
        rk1, *points = decode_g1_batch([message.rk1, *message.points], "re-encryption key")
        rk2, rk3 = decode_g2_batch([message.rk2, message.rk3], "re-encryption key")
        return cls(rk1, rk2, rk3, dict(zip(names, points, strict=True)), DeltaCapsule.from_message(message.rk4))

    @classmethod
    def decode(cls, data: bytes) -> ReKey:
        """Decode canonical bytes.

        :raises Refused: as :meth:`from_message`, and ``bad-encoding``.
        """
        return cls.from_message(ReKeyMessage.decode(data))


class Coins(msgspec.Struct, frozen=True):
    """The random choices of ReKeyGen. Secret.

    :ivar delta: 32 bytes; whoever satisfies the new policy learns it.
    :ivar b: 32 bytes, of rk4.
    :ivar theta: hides K in rk1.
    """

    delta: bytes
    b: bytes
    theta: Fr

    def __repr__(self) -> str:
        return "Coins(..)"

    @classmethod
    def draw(cls, random: Random) -> Coins:
        """Fresh ones."""
        return cls(random(KEY_BYTES), random(KEY_BYTES), random_fr(random))


def rekey_gen(parameters: PublicParameters, key: SecretKey, policy: Policy, aad: bytes, coins: Coins) -> ReKey:
    """ReKeyGen: from a sub-key to a policy. Deterministic; :meth:`Coins.draw` gives the choices.

    1. ``h = H5(delta)``; ``rk1 = h*K + theta*g~``, ``rk2 = theta*g2``, ``rk3 = h*L``, ``R_x = h*K_x``.
    2. ``rk4 = Encapsulate2(policy, delta, aad)``.

    :param key: freshly made by :func:`.keys.restrict` for every delegation: else the public parts link its delegations.
    :param policy: whom to delegate to.
    :param aad: identifies the delegation.
    """
    h = h5(coins.delta)
    K, *points = g1_mul_one_scalar(h, [key.K, *key.parts.values()])
    rk1 = K + table_g_tilde().mul(coins.theta)
    rk4 = encapsulate_delta_deterministic(parameters, policy, coins.delta, coins.b, aad)
    return ReKey(rk1, table_g2().mul(coins.theta), key.L.mul(h), dict(zip(key.parts, points, strict=True)), rk4)


def check_rekey(rekey: ReKey, aad: bytes) -> VerifiedDeltaCapsule:
    """Check what can be checked of a re-encryption key by anyone: R_x against rk3, and rk4.

    A wrong rk1 or rk2 shows when the delegatee opens what was transformed.

    :param aad: of the delegation.
    :return: rk4, verified.
    :raises Refused: ``bad-rekey``, or ``bad-capsule`` for rk4.
    """
    check_parts(rekey.rk3, rekey.parts)
    return check2(rekey.rk4, aad)


def check_parts(rk3: G2, parts: Mapping[str, G1]) -> None:
    """``e(R_x, g2) = e(H(x), rk3)`` for every x, at once with coefficients of 128 bits hashed from all of it.

    :raises Refused: ``bad-rekey``.
    """
    names, points = list(parts), list(parts.values())
    data = encode((rk3.encode(), tuple(names), tuple(g1_encode_batch(points))))
    c = coefficients(labels.ABPRE_CHECK_REKEY, data, len(names))
    left, right = g1_msm_vartime(c, points), g1_msm_vartime(c, attribute_points(names))
    if not pairing([(left, lines_g2()), (-right, rk3)]).is_one():
        raise Refused("bad-rekey", "the parts of the re-encryption key do not belong together")


def re_encrypt(rekey: ReKey, verified: VerifiedCapsule) -> Gt:
    """ReEncrypt: A4 of a type 1 capsule; ``Y^(s*h)`` if the sub-key opens it.

    :raises Refused: ``unsatisfied`` if the attributes of the re-encryption key do not satisfy the capsule's policy.
    """
    return transform(rekey.rk1, *rekey.lines, rekey.parts, verified)


def transform(rk1: G1, rk2: G2 | G2Prepared, rk3: G2 | G2Prepared, parts: Mapping[str, G1], verified: VerifiedCapsule) -> Gt:
    """:func:`re_encrypt` on the parts of a key.

    1. w with ``sum w_i*M_i = (1, 0, .., 0)`` over rows whose attributes have an R_x.
    2. ``A4 = e(rk1, A2) * e(-A3, rk2) * e(-sum w_i*B_i, rk3) * prod_x e(-R_x, sum w_i*C_i)``.

    :param rk1: rk1, or what hides it: a committee's delegation has ``rk1 + r*Z``, and its partial results take r*Z out again.
    :raises Refused: ``unsatisfied``.
    """
    capsule = verified.capsule
    weights = require_weights(capsule.policy, parts)
    B, pairs = row_pairs(capsule.policy, capsule.rows, parts, weights)
    return multi_pairing([(rk1, capsule.A2), (-capsule.A3, rk2), (-B, rk3), *pairs])


def encode_transformed(A4: Gt) -> bytes:
    """Canonical bytes of A4."""
    return TransformedMessage(A4.encode()).encode()


def decode_transformed(data: bytes) -> Gt:
    """A4 from canonical bytes: of the subgroup of order r, not one.

    :raises Refused: ``bad-encoding``, ``bad-point``.
    """
    return decode_gt(TransformedMessage.decode(data).A4, "A4")
