"""Transaction 1: a patient's request to a doctor, in an anonymous envelope.

The patient's side is :class:`RequestDraft` (the body is encrypted and uploaded between its two halves) and what it keeps is
:class:`PendingRequest`; the nodes' side is :func:`request_statement`; the doctor's is :func:`open_request`.
Steps: docs/protocol/consultation.md, "request" and "treatment".
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from salus import labels
from salus.codec import Bytes32, Message, Name, Size
from salus.consultation.appointments import SlotKey
from salus.consultation.credentials import PID_BYTES, Credential, Pid, pid_digest
from salus.consultation.envelope import (
    Envelope,
    EnvelopeDraft,
    OpenedEnvelope,
    SealedSender,
    SealedSignature,
    Sender,
    Statement,
    Topic,
    Value,
    check_commitment,
    make_statement,
    open_envelope,
    open_signature,
    verify_opened,
)
from salus.consultation.receipts import UploadReceipt
from salus.consultation.registration import SUITE, Domain, MemberKey
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point, Scalar, decode_point, decode_scalar, mul_one_point, mul_one_scalar
from salus.symmetric import Random, h2, kdf, mac, mac_matches, seal, unseal, xor

DOCTOR_PLAINTEXT_BYTES: Final = 32 + 32 + PID_BYTES + 8 + 32
"""P, Q, pid, quarter, g: the plaintext of S_D."""
SealedForDoctor = Annotated[bytes, Size(DOCTOR_PLAINTEXT_BYTES + 16, DOCTOR_PLAINTEXT_BYTES + 16)]


class ConsultationRequest(Message, frozen=True):
    """Transaction 1. Field names are the protocol's.

    :ivar PID1: dynamic pseudonym, 92 bytes. :ivar ID_D: the doctor's name. :ivar A: one-time key. :ivar digest, size_bytes:
        of the encrypted body C in the cloud. :ivar M1: sealed signature. :ivar M2: MAC for the doctor. :ivar sn: the slot.
    :ivar S, S_D: the sender, sealed to the nodes and to the doctor. :ivar cm: commitment to the sender. :ivar nf: nullifier.
    :ivar epoch: of the shared value. :ivar valid_until_ms: block time. :ivar U: the cloud's upload receipt.
    """

    KIND = "consultation.request"

    PID1: Pid
    ID_D: Name
    A: Bytes32
    digest: Bytes32
    size_bytes: int
    M1: SealedSignature
    M2: Bytes32
    sn: int
    S: SealedSender
    S_D: SealedForDoctor
    cm: Bytes32
    nf: Bytes32
    epoch: int
    valid_until_ms: int
    U: UploadReceipt

    def envelope(self) -> Envelope:
        """The anonymous envelope of this request."""
        return Envelope(self.epoch, self.valid_until_ms, self.A, self.cm, self.nf, self.S, self.M1)

    def body(self) -> Value:
        """``body = (PID1, digest(C), size, M2, S_D, U)`` (request, step 8)."""
        return (self.PID1, self.digest, self.size_bytes, self.M2, self.S_D, self.U.to_value())

    def tx_hash(self) -> bytes:
        """``h1 = H2("tx", Transaction 1)``: the ledger's hash of this transaction."""
        return tx_hash(self.encode())


def tx_hash(transaction: bytes) -> bytes:
    """The ledger's hash of an encoded transaction: ``H2("tx", bytes)`` of the ledger's suite."""
    return h2(labels.TX, labels.SUITE_LEDGER, transaction)


class RequestContext(msgspec.Struct, frozen=True):
    """What is looked up, never sent: the epoch's key, the doctor's key, the slot's key. Stored with a committed request.

    :ivar pk_BC, W_D, E_sn: points, 32 bytes each.
    """

    epoch: int
    pk_BC: bytes  # noqa: N815
    W_D: bytes
    E_sn: bytes


def own_fields(ID_D: str, sn: int, context: RequestContext) -> Value:
    """The request's own part of t0: ``(ID_D, W_D, E_sn, sn)`` (request, step 1)."""
    return (ID_D, context.W_D, context.E_sn, sn)


def request_statement(domain: Domain, request: ConsultationRequest, context: RequestContext) -> Statement:
    """What the envelope of a request is about; nodes open and verify it (envelope, steps 6 to 10).

    :raises Refused: ``wrong-epoch`` if the context is of another epoch.
    """
    refuse_unless(request.epoch == context.epoch, "wrong-epoch")
    own = own_fields(request.ID_D, request.sn, context)
    return make_statement(domain, request.envelope(), ConsultationRequest.KIND, context.pk_BC, own, request.body())


def open_at_node(domain: Domain, request: ConsultationRequest, context: RequestContext, theta: Scalar) -> OpenedEnvelope:
    """A node opens a request (envelope, steps 6 to 9); then ``verify_opened`` or a batch.

    :raises Refused: ``wrong-epoch``, ``bad-seal``, ``bad-commitment``, ``bad-proof``, ``bad-nullifier``, ``bad-point``,
        ``bad-scalar``.
    """
    return open_envelope(request_statement(domain, request, context), theta)


class RequestKeys(msgspec.Struct, frozen=True):
    """``k_enc, k_mac, k_pid`` (request, step 4)."""

    k_enc: bytes
    k_mac: bytes
    k_pid: bytes

    def __repr__(self) -> str:
        return "RequestKeys()"


def derive_request_keys(aW: Point, aE: Point, sW: Point, t0: Value, cm: bytes, S_D: bytes, W: bytes) -> RequestKeys:
    """``KDF("request", a*W_D || a*E_sn || s*W_D; t0, cm, S_D, W)`` (request, step 4)."""
    secrets = [aW.encode(), aE.encode(), sW.encode()]
    out = kdf(labels.REQUEST, SUITE, secrets, (t0, cm, S_D, W), 64 + PID_BYTES)
    return RequestKeys(out[:32], out[32:64], out[64:])


def doctor_seal_key(aW: Point, aE: Point, t0: Value, cm: bytes) -> bytes:
    """``KDF("doctor-seal", a*W_D || a*E_sn; t0, cm)`` (request, step 3)."""
    return kdf(labels.DOCTOR_SEAL, SUITE, [aW.encode(), aE.encode()], (t0, cm))


def request_mac(k_mac: bytes, t0: Value, cm: bytes, S_D: bytes, PID1: bytes, digest: bytes, size_bytes: int) -> bytes:
    """``M2 = HMAC(k_mac, t0, cm, S_D, PID1, digest(C), size)`` (request, step 6)."""
    return mac(k_mac, t0, cm, S_D, PID1, digest, size_bytes)


class RequestDraft:
    """A request under way at the patient: :meth:`begin`, encrypt and upload the body, :meth:`finish`.

    :ivar body_key: k_enc, 32 bytes, for :mod:`salus.records`.
    :ivar body_context: ``(t0, cm, S_D, PID1)``: the codec value that the body's header is bound to.
    """

    __slots__ = ("ID_D", "PID1", "S_D", "body_context", "body_key", "context", "credential", "domain", "envelope", "keys", "sn")

    def __init__(
        self, domain: Domain, credential: Credential, ID_D: str, sn: int, context: RequestContext, envelope: EnvelopeDraft
    ) -> None:
        self.domain = domain
        self.credential = credential
        self.ID_D = ID_D
        self.sn = sn
        self.context = context
        self.envelope = envelope
        a, t0, cm = envelope.a, envelope.t0, envelope.cm
        W_D, E_sn = decode_point(context.W_D, "W_D"), decode_point(context.E_sn, "E_sn")
        aW, aE = mul_one_scalar(a, [W_D, E_sn])
        # step 3
        plaintext = credential.P + credential.Q + credential.pid + credential.quarter.to_bytes(8, "big") + envelope.sender.g
        self.S_D = seal(doctor_seal_key(aW, aE, t0, cm), plaintext, (t0, cm))
        # step 4
        self.keys = derive_request_keys(aW, aE, W_D.mul(credential.s), t0, cm, self.S_D, credential.W)
        # step 5
        self.PID1 = xor(credential.pid, self.keys.k_pid)
        self.body_key = self.keys.k_enc
        self.body_context: Value = (t0, cm, self.S_D, self.PID1)

    @classmethod
    def begin(
        cls,
        domain: Domain,
        credential: Credential,
        ID_D: str,
        sn: int,
        context: RequestContext,
        valid_until_ms: int,
        random: Random,
    ) -> RequestDraft:
        """Steps 1 to 5, with fresh a and g.

        :raises Refused: ``erased`` for a wiped credential, ``bad-point`` for a context that is no point.
        """
        own = own_fields(ID_D, sn, context)
        topic = Topic(ConsultationRequest.KIND, context.epoch, context.pk_BC, valid_until_ms, own)
        draft = EnvelopeDraft.begin(domain, credential, topic, random)
        return cls(domain, credential, ID_D, sn, context, draft)

    def finish(
        self, digest: bytes, size_bytes: int, U: UploadReceipt, payload_digest: bytes, random: Random
    ) -> tuple[ConsultationRequest, PendingRequest]:
        """Steps 6 to 8: the MAC, the signature, the transaction; and what the patient keeps until the check-up.

        :param digest, size_bytes: of the encrypted body, from :mod:`salus.records`.
        :param payload_digest: H2(m_PA), from :mod:`salus.records.payload`.
        """
        e = self.envelope
        M2 = request_mac(self.keys.k_mac, e.t0, e.cm, self.S_D, self.PID1, digest, size_bytes)
        signed = e.sign((self.PID1, digest, size_bytes, M2, self.S_D, U.to_value()), random)
        request = ConsultationRequest(
            PID1=self.PID1, ID_D=self.ID_D, A=e.A, digest=digest, size_bytes=size_bytes, M1=signed.M1, M2=M2, sn=self.sn, S=e.S,
            S_D=self.S_D, cm=e.cm, nf=e.nf, epoch=e.epoch, valid_until_ms=e.valid_until_ms, U=U,
        )  # fmt: skip
        h1, W_D = request.tx_hash(), self.context.W_D
        return request, PendingRequest(h1, self.ID_D, self.sn, W_D, e.a, self.credential, payload_digest, e.valid_until_ms)

    def __repr__(self) -> str:
        return f"RequestDraft({self.ID_D}, sn={self.sn})"


class PendingRequest:
    """What a patient keeps of a request until its reply is checked: secrets included, so it lives in the sealed wallet only.

    :ivar h1: the request's transaction hash.
    :ivar payload_digest: H2(m_PA).
    """

    __slots__ = ("ID_D", "W_D", "_a", "credential", "h1", "payload_digest", "sn", "valid_until_ms")

    def __init__(
        self,
        h1: bytes,
        ID_D: str,
        sn: int,
        W_D: bytes,
        a: Scalar,
        credential: Credential,
        payload_digest: bytes,
        valid_until_ms: int,
    ) -> None:
        self.h1 = h1
        self.ID_D = ID_D
        self.sn = sn
        self.W_D = W_D
        self._a: Scalar | None = a
        self.credential = credential
        self.payload_digest = payload_digest
        self.valid_until_ms = valid_until_ms

    @property
    def a(self) -> Scalar:
        """The one-time secret.

        :raises Refused: ``erased`` after :meth:`wipe`.
        """
        if self._a is None:
            raise Refused("erased", "the one-time key of this request was erased")
        return self._a

    def wipe(self) -> None:
        """Forget a and the credential's s (check-up, step 6)."""
        self._a = None
        self.credential.wipe()

    def export_secret(self) -> bytes:
        """Encoding for the sealed wallet (never for a backup)."""
        a, credential = self.a.encode(), self.credential.export_secret()
        fields = (self.h1, self.ID_D, self.sn, self.W_D, a, credential, self.payload_digest, self.valid_until_ms)
        return _StoredPending(*fields).encode()

    @classmethod
    def from_secret(cls, data: bytes) -> PendingRequest:
        """Inverse of :meth:`export_secret`.

        :raises Refused: ``bad-encoding``, ``bad-scalar``.
        """
        s = _StoredPending.decode(data)
        credential = Credential.from_secret(s.credential)
        return cls(s.h1, s.ID_D, s.sn, s.W_D, decode_scalar(s.a, "a"), credential, s.payload_digest, s.valid_until_ms)

    def __repr__(self) -> str:
        return f"PendingRequest({self.ID_D}, sn={self.sn}, h1={self.h1.hex()[:8]}..)"


class _StoredPending(Message, frozen=True):
    KIND = "wallet.pending-request"

    h1: Bytes32
    ID_D: Name
    sn: int
    W_D: Bytes32
    a: Bytes32
    credential: Annotated[bytes, Size(1, 1024)]
    payload_digest: Bytes32
    valid_until_ms: int


class OpenedRequest(msgspec.Struct, frozen=True):
    """A request that its doctor opened and verified; the body is still to be fetched and opened with the key here.

    :ivar request, h1: the transaction and its hash. :ivar statement: what was signed.
    :ivar sender: P, Q, hp, quarter, g. :ivar pid: static pseudonym. :ivar W: the sender's public key, 32 bytes.
    :ivar body_key, body_context: for :mod:`salus.records`.
    """

    request: ConsultationRequest
    h1: bytes
    statement: Statement
    envelope: OpenedEnvelope
    sender: Sender
    pid: bytes
    W: bytes
    body_key: bytes
    body_context: Value

    def check_payload(self, pid: bytes, time_ms: int, block_time_ms: int, tolerance_ms: int) -> None:
        """Compare pid and time of the opened payload (treatment, step 7).

        :param pid, time_ms: as the payload's header has them.
        :param block_time_ms: time of the block that holds the request.
        :param tolerance_ms: genesis constant.
        :raises Refused: ``bad-pseudonym``, ``bad-time``.
        """
        refuse_unless(mac_matches(pid, self.pid), "bad-pseudonym", "the payload names another pid")
        refuse_unless(abs(time_ms - block_time_ms) <= tolerance_ms, "bad-time")

    def __repr__(self) -> str:
        return f"OpenedRequest({self.request.ID_D}, sn={self.request.sn})"


def open_request(
    domain: Domain, request: ConsultationRequest, context: RequestContext, doctor: MemberKey, slot: SlotKey
) -> OpenedRequest:
    """The doctor opens and verifies a request (treatment, steps 1 to 6).

    :raises Refused: ``not-your-request``, ``wrong-epoch``, ``erased``, ``bad-seal``, ``bad-commitment``, ``bad-proof``,
        ``bad-nullifier``, ``bad-pseudonym``, ``bad-mac``, ``bad-point``, ``bad-scalar``.
    """
    # step 1: the slot and the keys are this doctor's
    mine = doctor.name == request.ID_D and request.sn == slot.sn and doctor.W_bytes == context.W_D and context.E_sn == slot.E
    refuse_unless(mine, "not-your-request")
    statement = request_statement(domain, request, context)
    # step 2
    sA, eA = mul_one_point([doctor.s, slot.e], decode_point(request.A, "A"))
    sender, pid = open_doctor_seal(statement, request, sA, eA)
    # step 3
    envelope = open_signature(statement, sender)
    verify_opened(envelope)
    # step 4
    W = envelope.P + domain.Pub.mul(envelope.alpha) + envelope.Q
    W_bytes = W.encode()
    keys = derive_request_keys(sA, eA, W.mul(doctor.s), statement.t0, request.cm, request.S_D, W_bytes)
    check_request_keys(request, statement, keys, pid)
    context_value = (statement.t0, request.cm, request.S_D, request.PID1)
    return OpenedRequest(request, request.tx_hash(), statement, envelope, sender, pid, W_bytes, keys.k_enc, context_value)


def open_doctor_seal(statement: Statement, request: ConsultationRequest, sA: Point, eA: Point) -> tuple[Sender, bytes]:
    """Open S_D with ``s_D*A || e_sn*A`` and compare the commitment (treatment, step 2); also a judge's, in tracing.

    :raises Refused: ``bad-seal``, ``bad-encoding``, ``bad-commitment``.
    """
    t0, cm = statement.t0, request.cm
    plaintext = unseal(doctor_seal_key(sA, eA, t0, cm), request.S_D, (t0, cm), "bad-seal")
    refuse_unless(len(plaintext) == DOCTOR_PLAINTEXT_BYTES, "bad-encoding", "a doctor's seal has 196 bytes")
    pid, rest = plaintext[64 : 64 + PID_BYTES], plaintext[64 + PID_BYTES :]
    sender = Sender(plaintext[:32], plaintext[32:64], pid_digest(pid), int.from_bytes(rest[:8], "big"), rest[8:])
    check_commitment(cm, sender)
    return sender, pid


def check_request_keys(request: ConsultationRequest, statement: Statement, keys: RequestKeys, pid: bytes) -> None:
    """Compare PID1 and M2 (treatment, step 5).

    :raises Refused: ``bad-pseudonym``, ``bad-mac``.
    """
    refuse_unless(mac_matches(xor(request.PID1, keys.k_pid), pid), "bad-pseudonym")
    M2 = request_mac(keys.k_mac, statement.t0, request.cm, request.S_D, request.PID1, request.digest, request.size_bytes)
    refuse_unless(mac_matches(M2, request.M2), "bad-mac")
