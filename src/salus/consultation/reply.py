"""Transaction 2: the doctor's reply, and the patient's checking up.

The doctor's side is :class:`ReplyDraft`, the nodes' :func:`open_reply` (then a batch, or :func:`verify_reply`), the patient's
:func:`check_reply`. Steps: docs/protocol/consultation.md, "reply" and "check-up".
"""

from __future__ import annotations

import msgspec

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Name
from salus.consultation.credentials import PID_BYTES, Pid
from salus.consultation.envelope import Value
from salus.consultation.receipts import UploadReceipt
from salus.consultation.registration import SUITE, MemberKey
from salus.consultation.request import ConsultationRequest, OpenedRequest, PendingRequest, RequestKeys, tx_hash
from salus.errors import refuse_unless
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import (
    Point,
    Scalar,
    base_mul,
    decode_point,
    decode_scalar,
    double_base_mul_vartime,
    hash_to_scalar,
    mul_one_point,
    mul_one_scalar,
    random_scalar,
)
from salus.symmetric import Random, kdf, mac, mac_matches, xor


class ConsultationReply(Message, frozen=True):
    """Transaction 2. Field names are the protocol's.

    :ivar PID2: dynamic pseudonym, 92 bytes. :ivar A_D: the doctor's one-time key. :ivar digest, size_bytes: of the body C_D.
    :ivar M_k1: the doctor's signature. :ivar M_k2: MAC for the patient. :ivar h1: hash of the request. :ivar U: upload receipt.
    """

    KIND = "consultation.reply"

    PID2: Pid
    ID_D: Name
    A_D: Bytes32
    digest: Bytes32
    size_bytes: int
    M_k1: Bytes64
    M_k2: Bytes32
    sn: int
    h1: Bytes32
    U: UploadReceipt

    def tx_hash(self) -> bytes:
        """The ledger's hash of this transaction."""
        return tx_hash(self.encode())


def make_t0_reply(network: bytes, ID_D: str, W_D: bytes, sn: int, h1: bytes, A_D: bytes) -> Value:
    """``t0' = (suite, kind, network, ID_D, W_D, sn, h1, A_D)`` (reply, step 1)."""
    return (SUITE, ConsultationReply.KIND, network, ID_D, W_D, sn, h1, A_D)


def reply_body(t0: Value, reply: ConsultationReply) -> Value:
    """``body' = (t0', PID2, digest(C_D), size, M_k2, U')`` (reply, step 5)."""
    return (t0, reply.PID2, reply.digest, reply.size_bytes, reply.M_k2, reply.U.to_value())


def derive_reply_keys(aW: Point, aA: Point, sW: Point, t0: Value, W: bytes) -> RequestKeys:
    """``KDF("reply", a_D*W || a_D*A || s_D*W; t0', W)`` (reply, step 2)."""
    out = kdf(labels.REPLY, SUITE, [aW.encode(), aA.encode(), sW.encode()], (t0, W), 64 + PID_BYTES)
    return RequestKeys(out[:32], out[32:64], out[64:])


def reply_mac(k_mac: bytes, t0: Value, PID2: bytes, digest: bytes, size_bytes: int) -> bytes:
    """``M_k2 = HMAC(k_mac', t0', PID2, digest(C_D), size)`` (reply, step 4)."""
    return mac(k_mac, t0, PID2, digest, size_bytes)


class ReplyDraft:
    """A reply under way at the doctor: :meth:`begin`, encrypt and upload the body, :meth:`finish`.

    Holds a_D; keep it until the storage receipt of the reply is checked, then :meth:`wipe` it together with the slot's key.

    :ivar body_key, body_context: for :mod:`salus.records`; the context is ``(t0', PID2)``.
    """

    __slots__ = ("A_D", "PID2", "_a", "body_context", "body_key", "doctor", "keys", "network", "opened", "t0")

    def __init__(self, network: bytes, doctor: MemberKey, opened: OpenedRequest, a: Scalar) -> None:
        self.network = network
        self.doctor = doctor
        self.opened = opened
        self._a: Scalar | None = a
        # step 1
        self.A_D = base_mul(a).encode()
        self.t0 = make_t0_reply(network, doctor.name, doctor.W_bytes, opened.request.sn, opened.h1, self.A_D)
        # step 2
        W = decode_point(opened.W, "W")
        aW, aA = mul_one_scalar(a, [W, decode_point(opened.request.A, "A")])
        self.keys = derive_reply_keys(aW, aA, W.mul(doctor.s), self.t0, opened.W)
        self.PID2 = xor(opened.pid, self.keys.k_pid)
        # step 3
        self.body_key = self.keys.k_enc
        self.body_context: Value = (self.t0, self.PID2)

    @classmethod
    def begin(cls, network: bytes, doctor: MemberKey, opened: OpenedRequest, random: Random) -> ReplyDraft:
        """Steps 1 and 2 with fresh a_D.

        :raises Refused: ``not-your-request``.
        """
        refuse_unless(doctor.name == opened.request.ID_D, "not-your-request")
        return cls(network, doctor, opened, random_scalar(random))

    def finish(self, digest: bytes, size_bytes: int, U: UploadReceipt, random: Random) -> ConsultationReply:
        """Steps 4 and 5: the MAC, the signature, the transaction."""
        M_k2 = reply_mac(self.keys.k_mac, self.t0, self.PID2, digest, size_bytes)
        body = (self.t0, self.PID2, digest, size_bytes, M_k2, U.to_value())
        M_k1 = schnorr_sign(
            labels.SIG_REPLY, SUITE, self.doctor.s, (self.network, self.doctor.name, self.doctor.W_bytes), body, random
        )
        return ConsultationReply(
            self.PID2, self.doctor.name, self.A_D, digest, size_bytes, M_k1, M_k2, self.opened.request.sn, self.opened.h1, U
        )

    @property
    def a_D(self) -> Scalar:
        """The one-time secret (opens the storage receipt).

        :raises Refused: ``erased``.
        """
        refuse_unless(self._a is not None, "erased", "the reply's one-time key was erased")
        assert self._a is not None
        return self._a

    def wipe(self) -> None:
        """Forget a_D and the reply's keys (reply, step 7)."""
        self._a = None
        self.keys = RequestKeys(b"", b"", b"")
        self.body_key = b""

    def __repr__(self) -> str:
        return f"ReplyDraft({self.doctor.name}, sn={self.opened.request.sn})"


class OpenedReply(msgspec.Struct, frozen=True):
    """A reply decoded for verification; its signature is *not verified* yet."""

    reply: ConsultationReply
    W: Point
    R: Point
    z: Scalar
    c: Scalar


class VerifiedReply(msgspec.Struct, frozen=True):
    """A reply that its doctor provably signed."""

    reply: ConsultationReply


def open_reply(network: bytes, reply: ConsultationReply, W_D: bytes | Point) -> OpenedReply:
    """Decode a reply's signature and compute its challenge (reply, step 6).

    :param W_D: the doctor's public key, looked up.
    :raises Refused: ``bad-point``, ``bad-scalar``.
    """
    W = decode_point(W_D, "W_D") if isinstance(W_D, bytes) else W_D
    decode_point(reply.A_D, "A_D")
    encoded = W.encode()
    t0 = make_t0_reply(network, reply.ID_D, encoded, reply.sn, reply.h1, reply.A_D)
    R, z = reply.M_k1[:32], reply.M_k1[32:]
    c = hash_to_scalar(labels.SIG_REPLY, SUITE, network, reply.ID_D, encoded, R, reply_body(t0, reply))
    return OpenedReply(reply, W, decode_point(R, "M_k1: R"), decode_scalar(z, "M_k1: z"), c)


def verify_opened_reply(opened: OpenedReply) -> VerifiedReply:
    """``z*P0 = R + c*W_D`` (reply, step 6); :mod:`.batch` does the same for many at once.

    :raises Refused: ``bad-signature``.
    """
    refuse_unless(double_base_mul_vartime(-opened.c, opened.W, opened.z) == opened.R, "bad-signature", "M_k1 does not verify")
    return VerifiedReply(opened.reply)


def verify_reply(network: bytes, reply: ConsultationReply, W_D: bytes | Point) -> VerifiedReply:
    """Everything of a reply that a node can check without the ledger's state (reply, step 6).

    :raises Refused: ``bad-signature``, ``bad-point``, ``bad-scalar``.
    """
    return verify_opened_reply(open_reply(network, reply, W_D))


def check_reply_matches(reply: ConsultationReply, request: ConsultationRequest, request_hash: bytes) -> None:
    """The reply answers this committed request and comes from its doctor (reply, step 6).

    :raises Refused: ``wrong-request``, ``wrong-doctor``.
    """
    refuse_unless(reply.h1 == request_hash and reply.sn == request.sn, "wrong-request")
    refuse_unless(reply.ID_D == request.ID_D, "wrong-doctor")


class CheckedReply(msgspec.Struct, frozen=True):
    """A reply that the patient checked; the body is still to be fetched and opened with the key here.

    :ivar body_key, body_context: for :mod:`salus.records`.
    """

    reply: ConsultationReply
    payload_digest: bytes
    body_key: bytes
    body_context: Value

    def check_payload(self, request_digest: bytes) -> None:
        """The diagnosis is about this patient's own payload (check-up, step 5).

        :param request_digest: H2(m_PA) as the reply's header has it.
        :raises Refused: ``wrong-request``.
        """
        refuse_unless(mac_matches(request_digest, self.payload_digest), "wrong-request", "about another payload")

    def __repr__(self) -> str:
        return f"CheckedReply({self.reply.ID_D}, sn={self.reply.sn})"


def check_reply(network: bytes, pending: PendingRequest, reply: ConsultationReply, proven_tx_hash: bytes) -> CheckedReply:
    """The patient's check of a reply (check-up, steps 1 to 4); several at once: :func:`salus.consultation.batch.check_replies`.

    :param proven_tx_hash: hash of the transaction whose inclusion under a certified header the caller has verified.
    :raises Refused: ``not-committed``, ``wrong-request``, ``wrong-doctor``, ``bad-pseudonym``, ``bad-mac``, ``bad-signature``,
        ``erased``, ``bad-point``, ``bad-scalar``.
    """
    checked, opened = match_reply(network, pending, reply, proven_tx_hash)
    verify_opened_reply(opened)
    return checked


def match_reply(
    network: bytes, pending: PendingRequest, reply: ConsultationReply, proven_tx_hash: bytes
) -> tuple[CheckedReply, OpenedReply]:
    """:func:`check_reply` without the signature's equation: the first part counts only once the second is verified.

    :raises Refused: as :func:`check_reply`.
    """
    # step 1
    refuse_unless(reply.tx_hash() == proven_tx_hash, "not-committed")
    # step 2
    refuse_unless(reply.h1 == pending.h1 and reply.sn == pending.sn, "wrong-request")
    refuse_unless(reply.ID_D == pending.ID_D, "wrong-doctor")
    # step 3
    credential = pending.credential
    t0 = make_t0_reply(network, reply.ID_D, pending.W_D, reply.sn, reply.h1, reply.A_D)
    sA, aA = mul_one_point([credential.s, pending.a], decode_point(reply.A_D, "A_D"))
    W_D = decode_point(pending.W_D, "W_D")
    keys = derive_reply_keys(sA, aA, W_D.mul(credential.s), t0, credential.W)
    refuse_unless(mac_matches(xor(reply.PID2, keys.k_pid), credential.pid), "bad-pseudonym")
    M_k2 = reply_mac(keys.k_mac, t0, reply.PID2, reply.digest, reply.size_bytes)
    refuse_unless(mac_matches(M_k2, reply.M_k2), "bad-mac")
    # step 4
    opened = open_reply(network, reply, W_D)
    return CheckedReply(reply, pending.payload_digest, keys.k_enc, (t0, reply.PID2)), opened
