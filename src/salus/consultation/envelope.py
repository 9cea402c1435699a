"""The anonymous envelope: a member speaks without saying who it is, and at most once for each credential.

Independent of what it carries: the caller gives the transaction's kind, its own public fields and its body as codec values.
Steps: docs/protocol/consultation.md, "envelope".
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from salus import labels
from salus.codec import Bytes32, Message, Size
from salus.consultation.credentials import Credential
from salus.consultation.registration import PATIENT, SUITE, Domain, alpha
from salus.errors import refuse_unless
from salus.groups.ristretto255 import (
    Point,
    Scalar,
    base_mul,
    decode_point,
    decode_scalar,
    double_base_mul_vartime,
    hash_to_point,
    hash_to_scalar,
    msm_vartime,
    random_scalar,
    require_point,
)
from salus.symmetric import Random, h2, kdf, seal, unseal

SENDER_BYTES: Final = 32 + 32 + 32 + 8 + 32
"""P, Q, hp, quarter, g: the plaintext of S."""
SIGNATURE_BYTES: Final = 4 * 32
"""I, R1, R2, z: the plaintext of M1."""
SealedSender = Annotated[bytes, Size(SENDER_BYTES + 16, SENDER_BYTES + 16)]
SealedSignature = Annotated[bytes, Size(SIGNATURE_BYTES + 16, SIGNATURE_BYTES + 16)]
Value = tuple[Any, ...]


class Envelope(Message, frozen=True):
    """What every anonymous transaction carries, whatever its kind.

    :ivar epoch: epoch of the shared value that S is sealed to.
    :ivar valid_until_ms: block time after which no block may hold it.
    :ivar A: one-time key a*P0. :ivar cm: commitment to the sender. :ivar nf: nullifier of the credential.
    :ivar S: the sender, sealed to the nodes. :ivar M1: the signature of knowledge, sealed under g.
    """

    KIND = "envelope"

    epoch: int
    valid_until_ms: int
    A: Bytes32
    cm: Bytes32
    nf: Bytes32
    S: SealedSender
    M1: SealedSignature


class Statement(msgspec.Struct, frozen=True):
    """An envelope with everything that its signature covers; ``t0`` and ``content`` are codec values.

    :ivar t0: ``(suite, kind, network, epoch, pk_BC, A, valid_until, own fields...)``.
    :ivar content: ``(t0, cm, nf, H2("S", S), body)``.
    """

    domain: Domain
    envelope: Envelope
    t0: Value
    content: Value


class Sender(msgspec.Struct, frozen=True):
    """The opened, not yet verified sender: public parts of a credential and g."""

    P: bytes
    Q: bytes
    hp: bytes
    quarter: int
    g: bytes

    def __repr__(self) -> str:
        return "Sender()"


class OpenedEnvelope(msgspec.Struct, frozen=True):
    """An envelope whose seals opened and whose commitment and nullifier match; its signature is *not verified* yet."""

    statement: Statement
    sender: Sender
    P: Point
    Q: Point
    B: Point
    I: Point  # noqa: E741
    R1: Point
    R2: Point
    z: Scalar
    c: Scalar
    alpha: Scalar

    def __repr__(self) -> str:
        return "OpenedEnvelope()"


class VerifiedEnvelope(msgspec.Struct, frozen=True):
    """An envelope whose sender provably signed it. The credential's quarter and revocation are the ledger's to check.

    :ivar hp: digest of the credential's pid. :ivar quarter: its quarter. :ivar nf, A: as on the wire.
    """

    hp: bytes
    quarter: int
    nf: bytes
    A: bytes

    def __repr__(self) -> str:
        return "VerifiedEnvelope()"


def make_t0(kind: str, network: bytes, epoch: int, pk_BC: bytes, A: bytes, valid_until_ms: int, own: Value) -> Value:
    """``t0``: what fixes the place and time of one anonymous transaction (envelope, before step 1).

    :param own: the kind's own public fields, codec values.
    """
    return (SUITE, kind, network, epoch, pk_BC, A, valid_until_ms, *own)


def make_statement(domain: Domain, envelope: Envelope, kind: str, pk_BC: bytes, own: Value, body: Value) -> Statement:
    """Put an envelope together with what it is about (envelope, step 4).

    :param pk_BC: the epoch's public key as the ledger has it, 32 bytes.
    """
    t0 = make_t0(kind, domain.network, envelope.epoch, pk_BC, envelope.A, envelope.valid_until_ms, own)
    return Statement(domain, envelope, t0, make_content(t0, envelope.cm, envelope.nf, envelope.S, body))


def make_content(t0: Value, cm: bytes, nf: bytes, S: bytes, body: Value) -> Value:
    """``content = (t0, cm, nf, H2("S", S), body)`` (envelope, step 4)."""
    return (t0, cm, nf, h2(labels.SEALED, SUITE, S), body)


def commitment(P: bytes, Q: bytes, hp: bytes, quarter: int, g: bytes) -> bytes:
    """``cm = H2("cm", P, Q, hp, quarter, g)`` (envelope, step 1)."""
    return h2(labels.COMMITMENT, SUITE, P, Q, hp, quarter, g)


def nullifier_base(network: bytes, P: bytes, Q: bytes, hp: bytes, quarter: int) -> Point:
    """``B = hash_to_group("nullifier", network, P, Q, hp, quarter)`` (envelope, step 2)."""
    return hash_to_point(labels.NULLIFIER, SUITE, network, P, Q, hp, quarter)


def nullifier(I: bytes) -> bytes:  # noqa: E741
    """``nf = H2("nf", I)`` (envelope, step 2)."""
    return h2(labels.NULLIFIER_HASH, SUITE, I)


def challenge(network: bytes, sender: Sender, I: bytes, R1: bytes, R2: bytes, content: Value) -> Scalar:  # noqa: E741
    """``c = H1("sig", network, role, P, Q, hp, quarter, I, R1, R2, content)`` (envelope, step 5)."""
    return hash_to_scalar(
        labels.SIG, SUITE, network, PATIENT, sender.P, sender.Q, sender.hp, sender.quarter, I, R1, R2, content
    )  # fmt: skip


class Topic(msgspec.Struct, frozen=True):
    """What a sender is about to send: all of t0 that does not depend on the sender's own randomness.

    :ivar kind: the transaction's kind, e.g. ``"consultation.request"``.
    :ivar pk_BC: the epoch's public key, 32 bytes. :ivar valid_until_ms: block time.
    :ivar own: the kind's own public fields, codec values.
    """

    kind: str
    epoch: int
    pk_BC: bytes  # noqa: N815
    valid_until_ms: int
    own: Value


class EnvelopeDraft:
    """A sender's envelope under way; holds a and g, which are secret.

    Made by :meth:`begin`; then :attr:`t0`, :attr:`cm` and :attr:`S` are fixed, the body is made, and :meth:`sign` ends it.
    """

    __slots__ = ("A", "I", "S", "_B", "a", "cm", "credential", "domain", "epoch", "nf", "sender", "t0", "valid_until_ms")

    def __init__(self, domain: Domain, credential: Credential, epoch: int, valid_until_ms: int, a: Scalar, g: bytes) -> None:
        self.domain = domain
        self.credential = credential
        self.epoch = epoch
        self.valid_until_ms = valid_until_ms
        self.a = a
        self.sender = Sender(credential.P, credential.Q, credential.hp, credential.quarter, g)
        # step 1
        self.A = base_mul(a).encode()
        self.cm = commitment(credential.P, credential.Q, credential.hp, credential.quarter, g)
        # step 2
        self._B = nullifier_base(domain.network, credential.P, credential.Q, credential.hp, credential.quarter)
        self.I = self._B.mul(credential.s).encode()
        self.nf = nullifier(self.I)
        self.t0: Value = ()
        self.S = b""

    @classmethod
    def begin(cls, domain: Domain, credential: Credential, topic: Topic, random: Random) -> EnvelopeDraft:
        """Steps 1 to 3 with fresh a and g."""
        return cls.begin_with(domain, credential, topic, random_scalar(random), random(32))

    @classmethod
    def begin_with(cls, domain: Domain, credential: Credential, topic: Topic, a: Scalar, g: bytes) -> EnvelopeDraft:
        """:meth:`begin` with given a and g, for test vectors: reusing either in two envelopes gives both away."""
        draft = cls(domain, credential, topic.epoch, topic.valid_until_ms, a, g)
        draft.t0 = make_t0(topic.kind, domain.network, topic.epoch, topic.pk_BC, draft.A, topic.valid_until_ms, topic.own)
        # step 3
        context = (draft.t0, draft.cm, draft.nf)
        key = kdf(labels.NODE_SEAL, SUITE, [decode_point(topic.pk_BC, "pk_BC").mul(a).encode()], context)
        draft.S = seal(key, pack_sender(draft.sender), context)
        return draft

    def sign(self, body: Value, random: Random) -> Envelope:
        """Steps 4 and 5: sign the body and seal the signature."""
        content = make_content(self.t0, self.cm, self.nf, self.S, body)
        who, s = self.sender, self.credential.s
        k = hash_to_scalar(labels.NONCE, SUITE, s.encode(), random(32), who.P, who.Q, who.hp, who.quarter, self.I, content)
        R1, R2 = base_mul(k).encode(), self._B.mul(k).encode()
        z = k + challenge(self.domain.network, who, self.I, R1, R2, content) * s
        M1 = seal(kdf(labels.KDF_SIG, SUITE, [who.g], content), self.I + R1 + R2 + z.encode(), content)
        return Envelope(self.epoch, self.valid_until_ms, self.A, self.cm, self.nf, self.S, M1)

    def __repr__(self) -> str:
        return "EnvelopeDraft()"


def pack_sender(sender: Sender) -> bytes:
    """Plaintext of S: P || Q || hp || quarter (8 bytes, big-endian) || g."""
    return sender.P + sender.Q + sender.hp + sender.quarter.to_bytes(8, "big") + sender.g


def unpack_sender(plaintext: bytes) -> Sender:
    """Inverse of :func:`pack_sender`.

    :raises Refused: ``bad-encoding`` for another length.
    """
    refuse_unless(len(plaintext) == SENDER_BYTES, "bad-encoding", "a sealed sender has 136 bytes")
    quarter = int.from_bytes(plaintext[96:104], "big")
    return Sender(plaintext[:32], plaintext[32:64], plaintext[64:96], quarter, plaintext[104:])


def open_sender(statement: Statement, shared: Point) -> Sender:
    """Open S (envelope, step 6) and compare the commitment (step 7).

    :param shared: ``theta*A``: what only the nodes of the epoch (and the sender) can compute.
    :raises Refused: ``bad-seal``, ``bad-commitment``.
    """
    envelope = statement.envelope
    context = (statement.t0, envelope.cm, envelope.nf)
    key = kdf(labels.NODE_SEAL, SUITE, [shared.encode()], context)
    sender = unpack_sender(unseal(key, envelope.S, context, "bad-seal"))
    check_commitment(envelope.cm, sender)
    return sender


def check_commitment(cm: bytes, sender: Sender) -> None:
    """``cm`` commits to this sender (envelope, step 7).

    :raises Refused: ``bad-commitment``.
    """
    refuse_unless(commitment(sender.P, sender.Q, sender.hp, sender.quarter, sender.g) == cm, "bad-commitment")


def open_signature(statement: Statement, sender: Sender) -> OpenedEnvelope:
    """Open M1 with g (envelope, step 8), decode it and compare the nullifier (step 9).

    :raises Refused: ``bad-proof``, ``bad-nullifier``, ``bad-point``, ``bad-scalar``.
    """
    envelope, content = statement.envelope, statement.content
    plaintext = unseal(kdf(labels.KDF_SIG, SUITE, [sender.g], content), envelope.M1, content, "bad-proof")
    return read_signature(statement, sender, plaintext)


def read_signature(statement: Statement, sender: Sender, plaintext: bytes) -> OpenedEnvelope:
    """Decode M1's plaintext and compare the nullifier (envelope, step 9); shared with evidence, which shows the plaintext.

    :raises Refused: ``bad-encoding``, ``bad-nullifier``, ``bad-point``, ``bad-scalar``.
    """
    refuse_unless(len(plaintext) == SIGNATURE_BYTES, "bad-encoding", "a sealed signature has 128 bytes")
    network = statement.domain.network
    I, R1, R2, z = (plaintext[i : i + 32] for i in range(0, SIGNATURE_BYTES, 32))  # noqa: E741
    opened = OpenedEnvelope(
        statement=statement,
        sender=sender,
        P=decode_point(sender.P, "P"),
        Q=decode_point(sender.Q, "Q"),
        B=nullifier_base(network, sender.P, sender.Q, sender.hp, sender.quarter),
        I=decode_point(I, "I"),
        R1=decode_point(R1, "R1"),
        R2=decode_point(R2, "R2"),
        z=decode_scalar(z, "z"),
        c=challenge(network, sender, I, R1, R2, statement.content),
        alpha=alpha(PATIENT, sender.hp, sender.quarter, sender.P, sender.Q, statement.domain.Pub_bytes),
    )
    refuse_unless(nullifier(I) == statement.envelope.nf, "bad-nullifier")
    return opened


def verify_opened(opened: OpenedEnvelope) -> VerifiedEnvelope:
    """Verify the signature of one envelope (envelope, step 10); :mod:`.batch` does the same for many at once.

    :raises Refused: ``bad-proof``, ``bad-point`` (W is the identity).
    """
    W = require_point(opened.P + opened.statement.domain.Pub.mul(opened.alpha) + opened.Q, "W")
    refuse_unless(double_base_mul_vartime(-opened.c, W, opened.z) == opened.R1, "bad-proof", "z*P0 = R1 + c*W does not hold")
    right = msm_vartime([opened.z, -opened.c], [opened.B, opened.I])
    refuse_unless(right == opened.R2, "bad-proof", "z*B = R2 + c*I does not hold")
    return accept(opened)


def accept(opened: OpenedEnvelope) -> VerifiedEnvelope:
    """The verified form of an envelope; only :func:`verify_opened` and :mod:`.batch` call it, after the equations held."""
    envelope = opened.statement.envelope
    return VerifiedEnvelope(opened.sender.hp, opened.sender.quarter, envelope.nf, envelope.A)


def open_envelope(statement: Statement, theta: Scalar) -> OpenedEnvelope:
    """Everything a node opens (envelope, steps 6 to 9); verify the result with :func:`verify_opened` or in a batch.

    :param theta: the epoch's shared value.
    :raises Refused: ``bad-seal``, ``bad-commitment``, ``bad-proof``, ``bad-nullifier``, ``bad-point``, ``bad-scalar``.
    """
    shared = decode_point(statement.envelope.A, "A").mul(theta)
    return open_signature(statement, open_sender(statement, shared))
