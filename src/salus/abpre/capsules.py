"""Capsules: a 32-byte key under a policy. Unverified and verified ones are different types.

Two kinds of capsule share their rows. :class:`Capsule`, type 1, holds the key of a record and can be re-encrypted;
:class:`DeltaCapsule`, type 2, holds the delta of a delegation, has no A3 and other labels, and cannot: a delegation reaches
one hop and no further. A capsule does not hold its additional data ``aad`` (what record or delegation it belongs to); whoever
checks it gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Final, Self

from salus import labels
from salus.abpre.hashing import hash_to_g1
from salus.abpre.language import parse_canonical
from salus.abpre.policy import ROWS_MAX, TEXT_CHARACTERS_MAX, Policy
from salus.codec import Bytes64, Message, Size
from salus.errors import refuse_unless
from salus.groups.bls12_381 import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    decode_g1_batch,
    decode_g2_batch,
    g1_encode_batch,
    g2_encode_batch,
)
from salus.symmetric import h2

KEY_BYTES: Final = 32
"""Bytes of what a capsule holds, and of the random b beside it."""
ROW_BYTES: Final = G1_BYTES + G2_BYTES
AAD_BYTES_MAX: Final = 32 * 1024
"""Additional data: a record's or a delegation's identifiers, and a policy's text."""

_Policy = Annotated[str, Size(1, TEXT_CHARACTERS_MAX)]
_G1 = Annotated[bytes, Size(G1_BYTES, G1_BYTES)]
_G2 = Annotated[bytes, Size(G2_BYTES, G2_BYTES)]
_Rows = Annotated[bytes, Size(ROW_BYTES, ROW_BYTES * ROWS_MAX)]


class CapsuleMessage(Message, frozen=True):
    """Encoding of :class:`Capsule`: the policy, A1, A2, A3, the rows ``B_i || C_i`` side by side, D."""

    KIND: ClassVar[str] = "abpre.capsule"

    policy: _Policy
    A1: Bytes64
    A2: _G2
    A3: _G1
    rows: _Rows
    D: _G1


class DeltaCapsuleMessage(Message, frozen=True):
    """Encoding of :class:`DeltaCapsule`: as type 1 without A3."""

    KIND: ClassVar[str] = "abpre.delta"

    policy: _Policy
    A1: Bytes64
    A2: _G2
    rows: _Rows
    D: _G1


class Rows:
    """``B_i``, ``C_i`` of each row, decoded.

    :ivar encoded: ``B_i || C_i`` side by side.
    """

    __slots__ = ("B", "C", "encoded")

    def __init__(self, B: Sequence[G1], C: Sequence[G2], encoded: bytes) -> None:
        self.B = tuple(B)
        self.C = tuple(C)
        self.encoded = encoded

    @classmethod
    def of(cls, B: Sequence[G1], C: Sequence[G2]) -> Rows:
        """Encode rows."""
        return cls(B, C, b"".join(b + c for b, c in zip(g1_encode_batch(B), g2_encode_batch(C), strict=True)))


class _Common:
    """What both types share."""

    def __init__(self, policy: Policy, A1: bytes, A2: G2, A3: G1 | None, rows: Rows, D: G1) -> None:
        refuse_unless(len(rows.B) == len(rows.C) == len(policy.rows), "bad-capsule", "a capsule has one row for each attribute")
        refuse_unless(len(A1) == 2 * KEY_BYTES, "bad-capsule", f"A1 has {2 * KEY_BYTES} bytes")
        self.policy = policy
        self.A1 = A1
        self.A2 = A2
        self._A3 = A3
        self.rows = rows
        self.D = D

    def _knowing(self, message: CapsuleMessage | DeltaCapsuleMessage) -> Self:
        """The encodings that were decoded need not be computed again."""
        self.encoded_A2, self.encoded_D = message.A2, message.D
        if isinstance(message, CapsuleMessage):
            self.encoded_A3 = message.A3
        return self

    @cached_property
    def encoded_A2(self) -> bytes:
        """A2, encoded once."""
        return self.A2.encode()

    @cached_property
    def encoded_A3(self) -> bytes:
        """A3, encoded once; empty for type 2."""
        return b"" if self._A3 is None else self._A3.encode()

    @cached_property
    def encoded_D(self) -> bytes:
        """D, encoded once."""
        return self.D.encode()


class Capsule(_Common):
    """Type 1, unverified: points decoded, nothing checked.

    ``A1 = (k || b) xor H2(Y^s)``, ``A2 = s*g2``, ``A3 = s*g~``, ``B_i = lambda_i*A - r_i*H(rho(i))``, ``C_i = r_i*g2``,
    ``D = s*H4(..)``.
    """

    def __init__(self, policy: Policy, A1: bytes, A2: G2, A3: G1, rows: Rows, D: G1) -> None:
        super().__init__(policy, A1, A2, A3, rows, D)
        self.A3 = A3

    def message(self) -> CapsuleMessage:
        """What is stored and sent."""
        return CapsuleMessage(self.policy.text, self.A1, self.encoded_A2, self.encoded_A3, self.rows.encoded, self.encoded_D)

    def encode(self) -> bytes:
        """Canonical bytes."""
        return self.message().encode()

    @classmethod
    def from_message(cls, message: CapsuleMessage) -> Capsule:
        """Decode every point: on the curve, in the subgroup, not the identity.

        :raises Refused: ``bad-policy``, ``too-large``, ``bad-point``, ``bad-capsule``.
        """
        policy = parse_canonical(message.policy)
        (A3, D, *B), (A2, *C) = _points([message.A3, message.D], message.A2, message.rows, len(policy.rows))
        return cls(policy, message.A1, A2, A3, Rows(B, C, message.rows), D)._knowing(message)

    @classmethod
    def decode(cls, data: bytes) -> Capsule:
        """Decode canonical bytes.

        :raises Refused: as :meth:`from_message`, and ``bad-encoding``.
        """
        return cls.from_message(CapsuleMessage.decode(data))


class DeltaCapsule(_Common):
    """Type 2, unverified: a delegation's delta. As type 1 without A3, its labels primed and ``D = s*H6(..)``."""

    def __init__(self, policy: Policy, A1: bytes, A2: G2, rows: Rows, D: G1) -> None:
        super().__init__(policy, A1, A2, None, rows, D)

    def message(self) -> DeltaCapsuleMessage:
        """What is stored and sent."""
        return DeltaCapsuleMessage(self.policy.text, self.A1, self.encoded_A2, self.rows.encoded, self.encoded_D)

    def encode(self) -> bytes:
        """Canonical bytes."""
        return self.message().encode()

    @classmethod
    def from_message(cls, message: DeltaCapsuleMessage) -> DeltaCapsule:
        """As :meth:`Capsule.from_message`."""
        policy = parse_canonical(message.policy)
        (D, *B), (A2, *C) = _points([message.D], message.A2, message.rows, len(policy.rows))
        return cls(policy, message.A1, A2, Rows(B, C, message.rows), D)._knowing(message)

    @classmethod
    def decode(cls, data: bytes) -> DeltaCapsule:
        """Decode canonical bytes.

        :raises Refused: as :meth:`from_message`, and ``bad-encoding``.
        """
        return cls.from_message(DeltaCapsuleMessage.decode(data))


def _points(singles: list[bytes], A2: bytes, rows: bytes, count: int) -> tuple[list[G1], list[G2]]:
    refuse_unless(len(rows) == ROW_BYTES * count, "bad-capsule", f"{count} attributes take {ROW_BYTES * count} bytes of rows")
    starts = range(0, len(rows), ROW_BYTES)
    first = decode_g1_batch([*singles, *(rows[i : i + G1_BYTES] for i in starts)], "capsule")
    return first, decode_g2_batch([A2, *(rows[i + G1_BYTES : i + ROW_BYTES] for i in starts)], "capsule")


class VerifiedCapsule:
    """A type 1 capsule that :func:`.checking.check` accepted together with its additional data."""

    __slots__ = ("aad", "capsule")

    def __init__(self, capsule: Capsule, aad: bytes) -> None:
        """For :mod:`.checking` only, and where a name says ``unchecked``."""
        self.capsule = capsule
        self.aad = aad


class VerifiedDeltaCapsule:
    """A type 2 capsule that :func:`.checking.check2` accepted together with its additional data."""

    __slots__ = ("aad", "capsule")

    def __init__(self, capsule: DeltaCapsule, aad: bytes) -> None:
        """For :mod:`.checking` only, and where a name says ``unchecked``."""
        self.capsule = capsule
        self.aad = aad


def take_unchecked(capsule: Capsule, aad: bytes) -> VerifiedCapsule:
    """Treat a capsule as checked: only for one whose :func:`.checking.check` by a quorum of nodes is proven by the ledger."""
    return VerifiedCapsule(capsule, aad)


def take_delta_unchecked(capsule: DeltaCapsule, aad: bytes) -> VerifiedDeltaCapsule:
    """As :func:`take_unchecked`, for type 2."""
    return VerifiedDeltaCapsule(capsule, aad)


def context_of(policy: Policy, aad: bytes) -> bytes:
    """32 bytes that stand for policy and additional data in the hashes of a type 1 capsule.

    :raises Refused: ``too-large`` for additional data over 32 KiB.
    """
    require_aad(aad)
    return h2(labels.ABPRE_CONTEXT, labels.SUITE_ABPRE, policy.text, aad)


def delta_context_of(policy: Policy, aad: bytes) -> bytes:
    """As :func:`context_of`, for type 2."""
    require_aad(aad)
    return h2(labels.ABPRE_CONTEXT_PRIME, labels.SUITE_ABPRE, policy.text, aad)


def require_aad(aad: bytes) -> None:
    """Refuse additional data over its bound.

    :raises Refused: ``too-large``.
    """
    refuse_unless(len(aad) <= AAD_BYTES_MAX, "too-large", f"additional data have at most {AAD_BYTES_MAX} bytes")


def h4(context: bytes, A1: bytes, A2: bytes, A3: bytes, rows: bytes) -> G1:
    """H4: the point whose multiple D binds a type 1 capsule together.

    :param context: of :func:`context_of`; the others as encoded.
    """
    return hash_to_g1(labels.ABPRE_H4, context, A1, A2, A3, rows)


def h6(context: bytes, A1: bytes, A2: bytes, rows: bytes) -> G1:
    """H6: the same for type 2.

    :param context: of :func:`delta_context_of`.
    """
    return hash_to_g1(labels.ABPRE_H6, context, A1, A2, rows)


def binding_point(capsule: Capsule, aad: bytes) -> G1:
    """The point that D of a type 1 capsule is a multiple of."""
    return h4(context_of(capsule.policy, aad), capsule.A1, capsule.encoded_A2, capsule.encoded_A3, capsule.rows.encoded)


def delta_binding_point(capsule: DeltaCapsule, aad: bytes) -> G1:
    """The point that D of a type 2 capsule is a multiple of."""
    return h6(delta_context_of(capsule.policy, aad), capsule.A1, capsule.encoded_A2, capsule.rows.encoded)
