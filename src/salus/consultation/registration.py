"""Registration (phases 1-4): long-term keys that the trusted centre helps to make but cannot use.

A user picks x and sends ``P = x*P0`` with a proof of possession; the centre answers ``Q = q*P0`` and ``y = alpha*w + q``;
the user keeps ``s = x + y``. Everyone computes ``W = P + alpha*Pub + Q = s*P0``. Steps: docs/protocol/consultation.md,
"registration". (P0 is the base point; the paper calls it P.)
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from salus import labels
from salus.codec import Bytes32, Bytes64, Label, Message, Name
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import (
    Point,
    Scalar,
    base_mul,
    decode_point,
    decode_scalar,
    hash_to_scalar,
    random_scalar,
    require_point,
)
from salus.symmetric import Random

SUITE: Final = labels.SUITE_R1
PATIENT: Final = "patient"
DOCTOR: Final = "doctor"
NODE: Final = "node"
INSTITUTION: Final = "institution"
CLOUD: Final = "cloud"
CENTRE: Final = "centre"
NAMED_ROLES: Final = (DOCTOR, NODE, INSTITUTION, CLOUD)
"""Roles whose keys stand on the ledger under a name; patients have credentials instead (:mod:`.credentials`)."""
NO_QUARTER: Final = 0
"""The quarter of every key but a patient's."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_name(name: str) -> str:
    """Return ``name`` if it has the form ``institution/local-id`` (a-z, 0-9, inner hyphens; 48 + 63 at most).

    :raises Refused: ``bad-encoding``.
    """
    refuse_unless(
        _NAME.fullmatch(name) is not None, "bad-encoding", "a name is institution/local-id in a-z, 0-9 and inner hyphens"
    )
    return name


def quarter_of(time_ms: int) -> int:
    """The quarter of a time: ``year * 4 + (month - 1) // 3`` in UTC."""
    when = datetime.fromtimestamp(time_ms / 1000, UTC)
    return when.year * 4 + (when.month - 1) // 3


class Domain:
    """One network and its centre: what every check of an anonymous sender is made against.

    :ivar network: the network's identifier, 32 bytes.
    :ivar Pub: the centre's public key; ``Pub_bytes`` its encoding.
    """

    __slots__ = ("Pub", "Pub_bytes", "network")

    def __init__(self, network: bytes, Pub: bytes) -> None:
        self.network = network
        self.Pub_bytes = Pub
        self.Pub = decode_point(Pub, "Pub")

    def __repr__(self) -> str:
        return f"Domain({self.network.hex()[:8]}..)"


def alpha(role: str, identity: str | bytes, quarter: int, P: bytes, Q: bytes, Pub: bytes) -> Scalar:
    """``alpha = H1("alpha", role, identity, quarter, P, Q, Pub)`` (registration, step 3).

    :param identity: the name, or 32 bytes ``hp = H2("pid", pid)`` for patients.
    :param quarter: the credential's quarter, 0 for named roles.
    """
    return hash_to_scalar(labels.ALPHA, SUITE, role, identity, quarter, P, Q, Pub)


def public_key(role: str, identity: str | bytes, quarter: int, P: bytes, Q: bytes, Pub: Point) -> Point:
    """``W = P + alpha*Pub + Q`` (registration, step 5).

    :raises Refused: ``bad-point`` if P or Q is not a canonical point or W is the identity.
    """
    scale = alpha(role, identity, quarter, P, Q, Pub.encode())
    return require_point(decode_point(P, "P") + Pub.mul(scale) + decode_point(Q, "Q"), "W")


def prove_possession(
    network: bytes, role: str, subject: str | bytes, quarter: int, index: int, secret: Scalar, public: bytes, random: Random
) -> bytes:
    """Schnorr proof of the logarithm of ``public`` (registration, step 2): 64 bytes.

    :param subject: the name; for a patient's credential the 32 bytes of the enrolment key F.
    :param index: the credential's index; 0 for named roles.
    """
    fields = (network, role, subject, quarter, index, public)
    return schnorr_sign(labels.POSSESSION, SUITE, secret, fields, b"", random)


def check_possession(
    network: bytes, role: str, subject: str | bytes, quarter: int, index: int, public: bytes, proof: bytes
) -> Point:
    """Check :func:`prove_possession`; returns the decoded point.

    :raises Refused: ``bad-possession``, ``bad-point``.
    """
    point = decode_point(public, "public key")
    try:
        schnorr_verify(labels.POSSESSION, SUITE, point, (network, role, subject, quarter, index, public), b"", proof)
    except Refused as error:
        raise Refused("bad-possession", error.detail) from None
    return point


class KeyRequest(Message, frozen=True):
    """What a named party sends to the centre (registration, step 2)."""

    KIND = "registration.key-request"

    role: Label
    name: Name
    P: Bytes32
    possession: Bytes64


class PartialKey(Message, frozen=True):
    """The centre's answer (registration, step 4): ``Q`` is public, ``y`` only worthless without x."""

    KIND = "registration.partial-key"

    Q: Bytes32
    y: Bytes32


class MemberRecord(Message, frozen=True):
    """A named member's public registration, as the ledger keeps it: everyone computes W from it."""

    KIND = "registration.member"

    role: Label
    name: Name
    P: Bytes32
    Q: Bytes32

    def public_key(self, Pub: Point) -> Point:
        """W of this member.

        :raises Refused: ``bad-point``, ``bad-encoding``.
        """
        refuse_unless(self.role in NAMED_ROLES, "bad-encoding", f"no such role: {self.role}")
        return public_key(self.role, check_name(self.name), NO_QUARTER, self.P, self.Q, Pub)


class SecretValue:
    """x of a registration under way; wiped when the key is finished.

    :ivar P: its public point, 32 bytes.
    """

    __slots__ = ("P", "_x")

    def __init__(self, x: Scalar) -> None:
        self._x: Scalar | None = x
        self.P = base_mul(x).encode()

    @classmethod
    def draw(cls, random: Random) -> SecretValue:
        """Fresh x (registration, step 1)."""
        return cls(random_scalar(random))

    @property
    def x(self) -> Scalar:
        """The secret.

        :raises Refused: ``erased`` after :meth:`wipe`.
        """
        if self._x is None:
            raise Refused("erased", "this registration is finished or was given up")
        return self._x

    def wipe(self) -> None:
        """Forget x (the extension wipes its memory)."""
        self._x = None

    def export_secret(self) -> bytes:
        """x, 32 bytes, for sealed storage while the answer is awaited."""
        return self.x.encode()

    @classmethod
    def from_secret(cls, data: bytes) -> SecretValue:
        """Inverse of :meth:`export_secret`."""
        return cls(decode_scalar(data, "x"))

    def __repr__(self) -> str:
        return f"SecretValue(P={self.P.hex()[:8]}..)"


def request_key(network: bytes, role: str, name: str, secret: SecretValue, random: Random) -> KeyRequest:
    """A named party's request for its partial key (registration, step 2)."""
    refuse_unless(role in NAMED_ROLES, "bad-encoding", f"no such role: {role}")
    proof = prove_possession(network, role, check_name(name), NO_QUARTER, 0, secret.x, secret.P, random)
    return KeyRequest(role, name, secret.P, proof)


def check_key_request(network: bytes, request: KeyRequest) -> None:
    """The centre's check of a request (registration, step 3).

    :raises Refused: ``bad-possession``, ``bad-point``, ``bad-encoding``.
    """
    refuse_unless(request.role in NAMED_ROLES, "bad-encoding", f"no such role: {request.role}")
    check_possession(network, request.role, check_name(request.name), NO_QUARTER, 0, request.P, request.possession)


def issue_partial_key(w: Scalar, role: str, identity: str | bytes, quarter: int, P: bytes, random: Random) -> PartialKey:
    """``Q = q*P0``, ``y = alpha*w + q`` with fresh q (registration, step 4): two answers from one q would reveal w."""
    q = random_scalar(random)
    Q = base_mul(q).encode()
    y = alpha(role, identity, quarter, P, Q, base_mul(w).encode()) * w + q
    return PartialKey(Q, y.encode())


def finish_key(
    role: str, identity: str | bytes, quarter: int, secret: SecretValue, partial: PartialKey, Pub: Point
) -> tuple[Scalar, Point]:
    """Check ``y*P0 = alpha*Pub + Q`` and return (s, W) (registration, step 5).

    :raises Refused: ``bad-partial-key``, ``bad-point``, ``bad-scalar``.
    """
    y = decode_scalar(partial.y, "y")
    Q = decode_point(partial.Q, "Q")
    expected = Pub.mul(alpha(role, identity, quarter, secret.P, partial.Q, Pub.encode())) + Q
    refuse_unless(base_mul(y) == expected, "bad-partial-key")
    s = secret.x + y
    refuse_unless(not s.is_zero(), "bad-partial-key", "the key would be zero")
    return s, require_point(base_mul(s), "W")


class MemberKey:
    """A named member's long-term key.

    :ivar role: one of :data:`NAMED_ROLES`.
    :ivar name: ``institution/local-id``.
    :ivar P, Q: the public record's points, 32 bytes each.
    :ivar W: the public key; ``W_bytes`` its encoding.
    """

    __slots__ = ("P", "Q", "W", "W_bytes", "name", "role", "s")

    def __init__(self, role: str, name: str, P: bytes, Q: bytes, s: Scalar) -> None:
        self.role = role
        self.name = name
        self.P = P
        self.Q = Q
        self.s = s
        self.W = base_mul(s)
        self.W_bytes = self.W.encode()

    @classmethod
    def finish(cls, role: str, name: str, secret: SecretValue, partial: PartialKey, Pub: Point) -> MemberKey:
        """Finish a registration and wipe x (registration, step 5).

        :raises Refused: see :func:`finish_key`.
        """
        s, _ = finish_key(role, name, NO_QUARTER, secret, partial, Pub)
        key = cls(role, name, secret.P, partial.Q, s)
        secret.wipe()
        return key

    def record(self) -> MemberRecord:
        """The public part, for the ledger."""
        return MemberRecord(self.role, self.name, self.P, self.Q)

    def sign(self, network: bytes, label: str, message: Any, random: Random) -> bytes:
        """Schnorr signature under s over ``(label, suite, network, name, W, R, message)``: R || z, 64 bytes."""
        return schnorr_sign(label, SUITE, self.s, (network, self.name, self.W_bytes), message, random)

    def export_secret(self) -> bytes:
        """s, 32 bytes, for a key file or a sealed wallet."""
        return self.s.encode()

    @classmethod
    def from_secret(cls, record: MemberRecord, secret: bytes, Pub: Point) -> MemberKey:
        """Rebuild from the public record and :meth:`export_secret`.

        :raises Refused: ``bad-partial-key`` if the secret does not belong to the record.
        """
        key = cls(record.role, record.name, record.P, record.Q, decode_scalar(secret, "s"))
        refuse_unless(record.public_key(Pub) == key.W, "bad-partial-key", f"the secret is not the one of {record.name}")
        return key

    def __repr__(self) -> str:
        return f"MemberKey({self.role} {self.name})"


def verify_member_signature(network: bytes, label: str, name: str, W: bytes | Point, message: Any, signature: bytes) -> None:
    """Check :meth:`MemberKey.sign`.

    :param W: the signer's public key, looked up under ``name``.
    :raises Refused: ``bad-signature``, ``bad-point``, ``bad-scalar``.
    """
    point = decode_point(W, "W") if isinstance(W, bytes) else W
    schnorr_verify(label, SUITE, point, (network, name, point.encode()), message, signature)


class CentreKey:
    """The trusted centre's secrets (phase 1): w for partial keys and pids, one key that signs, one that opens sealed requests.

    :ivar Pub: ``w*P0``.
    :ivar signing_key: public key of the centre's signatures.
    :ivar sealing_key: public key that enrolment requests are sealed to.
    """

    __slots__ = ("Pub", "sealing_key", "sealing_secret", "signing_key", "signing_secret", "w")

    def __init__(self, w: Scalar, signing_secret: Scalar, sealing_secret: Scalar) -> None:
        self.w = w
        self.signing_secret = signing_secret
        self.sealing_secret = sealing_secret
        self.Pub = base_mul(w)
        self.signing_key = base_mul(signing_secret)
        self.sealing_key = base_mul(sealing_secret)

    @classmethod
    def generate(cls, random: Random) -> CentreKey:
        """Fresh secrets (set-up, step 1)."""
        return cls(random_scalar(random), random_scalar(random), random_scalar(random))

    def record(self, name: str) -> CentreRecord:
        """The public part, for genesis."""
        return CentreRecord(check_name(name), self.Pub.encode(), self.signing_key.encode(), self.sealing_key.encode())

    def sign(self, network: bytes, name: str, label: str, message: Any, random: Random) -> bytes:
        """The centre's Schnorr signature: R || z, 64 bytes; verify with :func:`verify_member_signature` under ``signing_key``."""
        return schnorr_sign(label, SUITE, self.signing_secret, (network, name, self.signing_key.encode()), message, random)

    def export_secret(self) -> bytes:
        """w and the two other secrets, 96 bytes, for the centre's key file."""
        return self.w.encode() + self.signing_secret.encode() + self.sealing_secret.encode()

    @classmethod
    def from_secret(cls, data: bytes) -> CentreKey:
        """Inverse of :meth:`export_secret`.

        :raises Refused: ``bad-scalar``, ``bad-encoding``.
        """
        refuse_unless(len(data) == 96, "bad-encoding", "a centre key has 96 bytes")
        return cls(decode_scalar(data[:32], "w"), decode_scalar(data[32:64], "signing"), decode_scalar(data[64:], "sealing"))

    def __repr__(self) -> str:
        return "CentreKey()"


class CentreRecord(Message, frozen=True):
    """The centre's public keys, as genesis names them."""

    KIND = "registration.centre"

    name: Name
    Pub: Bytes32
    signing_key: Bytes32
    sealing_key: Bytes32
