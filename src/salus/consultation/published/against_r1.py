"""The key-cancelling equations of :mod:`.forgery`, tried on suite r1: the same adversary, refused.

In r1 no key comes from W + A: shared secrets are hashed side by side, and a request is a signature under s. What the equations
give is therefore refused at once, by the nodes with ``bad-seal`` (they derive theta*A, not c*pk_BC) and by the doctor likewise;
a forged reply fails the doctor's signature. The demonstration and the attack tests send these and show the refusals.
"""

from __future__ import annotations

from typing import NamedTuple

from salus import labels
from salus.consultation.credentials import Credential
from salus.consultation.envelope import EnvelopeDraft, make_t0, pack_sender
from salus.consultation.published.forgery import cancelling_key
from salus.consultation.receipts import UploadReceipt
from salus.consultation.registration import SUITE, Domain
from salus.consultation.reply import ConsultationReply, derive_reply_keys, make_t0_reply, reply_mac
from salus.consultation.request import ConsultationRequest, RequestContext, RequestDraft, own_fields
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import Point, Scalar, decode_point
from salus.symmetric import Random, kdf, seal, xor


class Victim(NamedTuple):
    """The public parts of a patient's credential, as a node's or doctor's insider could have seen them.

    :ivar P, Q, W: 32 bytes each. :ivar pid: 92 bytes.
    """

    P: bytes
    Q: bytes
    W: bytes
    pid: bytes
    quarter: int

    @classmethod
    def of(cls, credential: Credential) -> Victim:
        """The public parts of a credential."""
        return cls(credential.P, credential.Q, credential.W, credential.pid, credential.quarter)


class BodyReference(NamedTuple):
    """What a transaction says about its body, honestly uploaded by the forger.

    :ivar digest: 32 bytes. :ivar U: the cloud's receipt for it.
    """

    digest: bytes
    size_bytes: int
    U: UploadReceipt


def forge_request(
    domain: Domain,
    victim: Victim,
    ID_D: str,
    sn: int,
    context: RequestContext,
    valid_until_ms: int,
    body: BodyReference,
    random: Random,
) -> ConsultationRequest:
    """Transaction 1 of suite r1 by the cancelling equations: A = c*P0 - W, every secret taken as c times a public point."""
    c, A = cancelling_key(decode_point(victim.W, "W"), random)
    return request_with(domain, victim, c, A, c, ID_D, sn, context, valid_until_ms, body, random)


def request_with(
    domain: Domain,
    victim: Victim,
    a: Scalar,
    A: Point,
    s: Scalar,
    ID_D: str,
    sn: int,
    context: RequestContext,
    valid_until_ms: int,
    body: BodyReference,
    random: Random,
) -> ConsultationRequest:
    """Transaction 1 of suite r1 in the victim's name, with ``a`` taken for A's logarithm and ``s`` for the victim's key.

    With ``A = a*P0`` the seals open and only the proof of knowledge of the key stands in the way.
    """
    pretended = Credential(victim.P, victim.Q, victim.pid, victim.quarter, 0, s)
    pretended.W = victim.W
    draft = EnvelopeDraft(domain, pretended, context.epoch, valid_until_ms, a, random(32))
    draft.A = A.encode()
    own = own_fields(ID_D, sn, context)
    kind = ConsultationRequest.KIND
    draft.t0 = make_t0(kind, domain.network, context.epoch, context.pk_BC, draft.A, valid_until_ms, own)
    where = (draft.t0, draft.cm, draft.nf)
    key = kdf(labels.NODE_SEAL, SUITE, [decode_point(context.pk_BC, "pk_BC").mul(a).encode()], where)
    draft.S = seal(key, pack_sender(draft.sender), where)
    request, _ = RequestDraft(domain, pretended, ID_D, sn, context, draft).finish(
        body.digest, body.size_bytes, body.U, bytes(32), random
    )
    return request


def forge_reply(
    network: bytes,
    request: ConsultationRequest,
    victim: Victim,
    doctor_W: bytes,
    body: BodyReference,
    random: Random,
) -> ConsultationReply:
    """Transaction 2 of suite r1 by the cancelling equations: A_D = c*P0 - W_D, signed with c in place of s_D."""
    W_D = decode_point(doctor_W, "W_D")
    c, A_D = cancelling_key(W_D, random)
    return reply_with(network, request, victim, doctor_W, c, A_D, c, body, random)


def reply_with(
    network: bytes,
    request: ConsultationRequest,
    victim: Victim,
    doctor_W: bytes,
    a: Scalar,
    A_D: Point,
    s: Scalar,
    body: BodyReference,
    random: Random,
) -> ConsultationReply:
    """Transaction 2 of suite r1 in a doctor's name, with ``a`` taken for A_D's logarithm and ``s`` for the doctor's key."""
    h1, A_bytes = request.tx_hash(), A_D.encode()
    t0 = make_t0_reply(network, request.ID_D, doctor_W, request.sn, h1, A_bytes)
    W, A = decode_point(victim.W, "W"), decode_point(request.A, "A")
    keys = derive_reply_keys(W.mul(a), A.mul(a), W.mul(s), t0, victim.W)
    PID2 = xor(victim.pid, keys.k_pid)
    M_k2 = reply_mac(keys.k_mac, t0, PID2, body.digest, body.size_bytes)
    content = (t0, PID2, body.digest, body.size_bytes, M_k2, body.U.to_value())
    fields = (network, request.ID_D, doctor_W)
    M_k1 = schnorr_sign(labels.SIG_REPLY, SUITE, s, fields, content, random)
    return ConsultationReply(PID2, request.ID_D, A_bytes, body.digest, body.size_bytes, M_k1, M_k2, request.sn, h1, body.U)
