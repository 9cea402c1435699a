"""Tracing: evidence that anyone can verify, approvals, and a trace that the centre cannot forge.

Steps: docs/protocol/consultation.md, "tracing". On the ledger stand who asked, who approved and when; never an identity.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Final

import msgspec
from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Name, Size
from salus.consultation.appointments import SlotKey
from salus.consultation.credentials import (
    CREDENTIALS_A_QUARTER,
    IssuingRequest,
    Pid,
    PidKeys,
    check_issuing_request,
    pid_digest,
)
from salus.consultation.enrolment import EnrolmentStatement, check_statement, enrolment_digest
from salus.consultation.envelope import (
    SIGNATURE_BYTES,
    OpenedEnvelope,
    Sender,
    Statement,
    Value,
    check_commitment,
    open_signature,
    verify_opened,
)
from salus.consultation.registration import SUITE, CentreKey, Domain, MemberKey, public_key, verify_member_signature
from salus.consultation.request import (
    ConsultationRequest,
    OpenedRequest,
    RequestContext,
    RequestKeys,
    check_request_keys,
    derive_request_keys,
    open_doctor_seal,
    request_statement,
)
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import dleq_prove, dleq_verify
from salus.groups.ristretto255 import Point, decode_point, mul_one_point
from salus.symmetric import Random

INSTITUTIONS_AT_LEAST: Final = 4
"""Fewest institutions at genesis, so that no two of them approve an opening alone."""
_UNSIGNED: Final = bytes(64)
Grounds = Annotated[str, Size(1, 1024)]
Proof = Annotated[bytes, Size(64, 64)]


# --- evidence ---


class SenderEvidence(Message, frozen=True):
    """Who sent a request, shown by its doctor or by a node that opened S: verifiable by anyone, forgeable by nobody.

    :ivar hp: digest of the pid (a node does not know the pid). :ivar g: opens the commitment and M1.
    :ivar signature: plaintext of M1: I, R1, R2, z.
    """

    KIND = "trace.sender-evidence"

    request: ConsultationRequest
    P: Bytes32
    Q: Bytes32
    hp: Bytes32
    quarter: int
    g: Bytes32
    signature: Annotated[bytes, Size(SIGNATURE_BYTES, SIGNATURE_BYTES)]


class DoctorEvidence(Message, frozen=True):
    """:class:`SenderEvidence` with the pid in place of its digest: what the centre can open."""

    KIND = "trace.doctor-evidence"

    sender: SenderEvidence
    pid: Pid


class VerifiedSender(msgspec.Struct, frozen=True):
    """A sender that provably signed the named transaction."""

    tx_hash: bytes
    P: bytes
    Q: bytes
    hp: bytes
    quarter: int


def evidence_of(opened: OpenedEnvelope, request: ConsultationRequest) -> SenderEvidence:
    """Evidence from an opened request (tracing, step 1)."""
    s = opened.sender
    signature = opened.I.encode() + opened.R1.encode() + opened.R2.encode() + opened.z.encode()
    return SenderEvidence(request, s.P, s.Q, s.hp, s.quarter, s.g, signature)


def doctor_evidence(opened: OpenedRequest) -> DoctorEvidence:
    """A doctor's evidence about a request it opened (tracing, step 1)."""
    return DoctorEvidence(evidence_of(opened.envelope, opened.request), opened.pid)


def verify_sender_evidence(domain: Domain, evidence: SenderEvidence, context: RequestContext) -> VerifiedSender:
    """Anyone verifies that this sender signed this body (tracing, step 2).

    :param context: what the ledger stored with the request.
    :raises Refused: ``bad-evidence``.
    """
    e = evidence
    try:
        statement = request_statement(domain, e.request, context)
        sender = Sender(e.P, e.Q, e.hp, e.quarter, e.g)
        check_commitment(e.request.cm, sender)
        opened = open_signature(statement, sender)
        shown = opened.I.encode() + opened.R1.encode() + opened.R2.encode() + opened.z.encode()
        refuse_unless(shown == e.signature, "bad-evidence", "M1 holds something else")
        verify_opened(opened)
    except Refused as error:
        raise Refused("bad-evidence", str(error)) from None
    return VerifiedSender(e.request.tx_hash(), e.P, e.Q, e.hp, e.quarter)


def verify_doctor_evidence(domain: Domain, evidence: DoctorEvidence, context: RequestContext) -> VerifiedSender:
    """:func:`verify_sender_evidence` and that the pid belongs to it (tracing, step 2).

    :raises Refused: ``bad-evidence``.
    """
    refuse_unless(pid_digest(evidence.pid) == evidence.sender.hp, "bad-evidence", "the pid is another sender's")
    return verify_sender_evidence(domain, evidence.sender, context)


# --- rubbish in the doctor's seal, and the words themselves ---


class SealEvidence(Message, frozen=True):
    """The doctor shows ``X = s_D*A`` and ``Y = e_sn*A`` with proofs, so that everyone can try to open S_D."""

    KIND = "trace.seal-evidence"

    request: ConsultationRequest
    X: Bytes32
    Y: Bytes32
    proof_x: Proof
    proof_y: Proof


class WordsEvidence(Message, frozen=True):
    """Also ``Z = s_D*W``: everyone can derive the request's keys and read what was sent."""

    KIND = "trace.words-evidence"

    seal: SealEvidence
    Z: Bytes32
    proof_z: Proof


class Words(msgspec.Struct, frozen=True):
    """Key and context of the body that the sender signed."""

    sender: VerifiedSender
    body_key: bytes
    body_context: Value

    def __repr__(self) -> str:
        return "Words()"


def _seal_fields(domain: Domain, request: ConsultationRequest) -> Value:
    return (SealEvidence.KIND, domain.network, request.tx_hash())


def seal_evidence(domain: Domain, request: ConsultationRequest, doctor: MemberKey, slot: SlotKey, random: Random) -> SealEvidence:
    """The doctor's evidence about S_D (tracing, step 3); before e_sn is erased.

    :raises Refused: ``erased``, ``bad-point``.
    """
    A = decode_point(request.A, "A")
    X, Y = mul_one_point([doctor.s, slot.e], A)
    fields = _seal_fields(domain, request)
    proof_x = dleq_prove(SUITE, doctor.s, doctor.W, A, X, fields, random)
    proof_y = dleq_prove(SUITE, slot.e, decode_point(slot.E, "E_sn"), A, Y, fields, random)
    return SealEvidence(request, X.encode(), Y.encode(), proof_x, proof_y)


def _check_shared(domain: Domain, evidence: SealEvidence, context: RequestContext) -> tuple[Point, Point]:
    fields = _seal_fields(domain, evidence.request)
    A, X, Y = decode_point(evidence.request.A, "A"), decode_point(evidence.X, "X"), decode_point(evidence.Y, "Y")
    try:
        dleq_verify(SUITE, decode_point(context.W_D, "W_D"), A, X, fields, evidence.proof_x)
        dleq_verify(SUITE, decode_point(context.E_sn, "E_sn"), A, Y, fields, evidence.proof_y)
    except Refused as error:
        raise Refused("bad-evidence", error.detail) from None
    return X, Y


def seal_is_rubbish(domain: Domain, evidence: SealEvidence, context: RequestContext) -> bool:
    """Anyone decides whether S_D opens to the sender that the envelope commits to (tracing, step 4).

    If it is rubbish, a node shows :class:`SenderEvidence` from S and the centre finds the identity by :func:`find_identity`.

    :raises Refused: ``bad-evidence`` if the doctor's proofs do not hold.
    """
    X, Y = _check_shared(domain, evidence, context)
    try:
        open_doctor_seal(request_statement(domain, evidence.request, context), evidence.request, X, Y)
    except Refused:
        return True
    return False


def words_evidence(domain: Domain, opened: OpenedRequest, doctor: MemberKey, slot: SlotKey, random: Random) -> WordsEvidence:
    """The doctor's evidence of the words themselves (tracing, step 5); before e_sn is erased."""
    W = decode_point(opened.W, "W")
    Z = W.mul(doctor.s)
    proof = dleq_prove(SUITE, doctor.s, doctor.W, W, Z, _seal_fields(domain, opened.request), random)
    return WordsEvidence(seal_evidence(domain, opened.request, doctor, slot, random), Z.encode(), proof)


def read_words(domain: Domain, evidence: WordsEvidence, context: RequestContext) -> Words:
    """Anyone derives the body's key from the doctor's evidence (tracing, step 5).

    :raises Refused: ``bad-evidence`` if a proof, the seal, the signature, PID1 or M2 does not hold.
    """
    request = evidence.seal.request
    X, Y = _check_shared(domain, evidence.seal, context)
    try:
        statement = request_statement(domain, request, context)
        sender, pid = open_doctor_seal(statement, request, X, Y)
        opened = open_signature(statement, sender)
        verify_opened(opened)
        keys = _words_keys(domain, evidence, context, statement, sender)
        check_request_keys(request, statement, keys, pid)
    except Refused as error:
        raise Refused("bad-evidence", str(error)) from None
    verified = VerifiedSender(request.tx_hash(), sender.P, sender.Q, sender.hp, sender.quarter)
    return Words(verified, keys.k_enc, (statement.t0, request.cm, request.S_D, request.PID1))


def _words_keys(
    domain: Domain, evidence: WordsEvidence, context: RequestContext, statement: Statement, sender: Sender
) -> RequestKeys:
    request = evidence.seal.request
    W = public_key("patient", sender.hp, sender.quarter, sender.P, sender.Q, domain.Pub)
    Z = decode_point(evidence.Z, "Z")
    dleq_verify(SUITE, decode_point(context.W_D, "W_D"), W, Z, _seal_fields(domain, request), evidence.proof_z)
    X, Y = decode_point(evidence.seal.X, "X"), decode_point(evidence.seal.Y, "Y")
    return derive_request_keys(X, Y, Z, statement.t0, request.cm, request.S_D, W.encode())


# --- case, approvals, opening: on the ledger ---


class TraceRequest(Message, frozen=True):
    """A member asks for the sender of a committed transaction; its hash is the number of the case.

    :ivar evidence: digest of the evidence shown to the institutions outside of the ledger.
    """

    KIND = "trace.request"

    asker: Name
    tx_hash: Bytes32
    evidence: Bytes32
    grounds: Grounds
    signature: Bytes64


class TraceApproval(Message, frozen=True):
    """An institution approves a case."""

    KIND = "trace.approve"

    case: Bytes32
    institution: Name
    signature: Bytes64


class TraceOpening(Message, frozen=True):
    """The centre records that it opened a case; never whom it found."""

    KIND = "trace.opening"

    case: Bytes32
    centre: Name
    signature: Bytes64


def _signed(message: Message) -> Value:
    return message.to_value()[:-1]


def ask_trace(network: bytes, asker: MemberKey, tx_hash: bytes, evidence: bytes, grounds: str, random: Random) -> TraceRequest:
    """Open a case (tracing, step 6)."""
    draft = TraceRequest(asker.name, tx_hash, evidence, grounds, _UNSIGNED)
    return replace(draft, signature=asker.sign(network, labels.SIG_TRACE, _signed(draft), random))


def check_trace_request(network: bytes, message: TraceRequest, W: bytes | Point) -> None:
    """Check the signature of a case.

    :raises Refused: ``bad-signature``.
    """
    verify_member_signature(network, labels.SIG_TRACE, message.asker, W, _signed(message), message.signature)


def approve_trace(network: bytes, institution: MemberKey, case: bytes, random: Random) -> TraceApproval:
    """An institution approves (tracing, step 7), after it has verified the evidence itself."""
    draft = TraceApproval(case, institution.name, _UNSIGNED)
    return replace(draft, signature=institution.sign(network, labels.SIG_INSTITUTION, _signed(draft), random))


def check_approval(network: bytes, message: TraceApproval, W: bytes | Point) -> None:
    """Check the signature of an approval.

    :raises Refused: ``bad-signature``.
    """
    verify_member_signature(network, labels.SIG_INSTITUTION, message.institution, W, _signed(message), message.signature)


def record_opening(network: bytes, centre: CentreKey, centre_name: str, case: bytes, random: Random) -> TraceOpening:
    """The centre puts an opening on the ledger (tracing, step 8), before it decrypts the pid."""
    draft = TraceOpening(case, centre_name, _UNSIGNED)
    return replace(draft, signature=centre.sign(network, centre_name, labels.SIG_CENTRE, _signed(draft), random))


def check_opening(network: bytes, message: TraceOpening, signing_key: bytes | Point) -> None:
    """Check the signature of an opening.

    :raises Refused: ``bad-signature``.
    """
    verify_member_signature(network, labels.SIG_CENTRE, message.centre, signing_key, _signed(message), message.signature)


def enough_approvals(approvers: Collection[str], institutions: Collection[str]) -> bool:
    """More than 2/3 of the institutions named in the state approve (tracing, step 7); others are not counted."""
    return 3 * len(set(approvers) & set(institutions)) > 2 * len(set(institutions))


# --- the trace itself, between the centre and those who asked ---


class Trace(Message, frozen=True):
    """The centre's answer: whose credential it is, and the patient's own signature that it asked for it."""

    KIND = "trace.result"

    tx_hash: Bytes32
    statement: EnrolmentStatement
    issuing: IssuingRequest


def find_identity(pids: PidKeys, identities: Iterable[str], quarter: int, hp: bytes) -> tuple[str, int]:
    """The centre recomputes hp of its patients until one matches (tracing, step 9, for evidence without a pid).

    :return: identity and credential index.
    :raises Refused: ``bad-pseudonym`` if none matches.
    """
    for identity in identities:
        for index in range(CREDENTIALS_A_QUARTER):
            if pid_digest(pids.seal(identity, quarter, index)) == hp:
                return identity, index
    raise Refused("bad-pseudonym", "no patient of this centre has that credential")


def check_trace(network: bytes, centre_name: str, signing_key: bytes, sender: VerifiedSender, trace: Trace) -> str:
    """A trace counts only with the patient's issuing signature (tracing, step 10); returns the identity.

    :param sender: from verified evidence.
    :raises Refused: ``bad-evidence``.
    """
    try:
        check_statement(network, centre_name, signing_key, trace.statement)
        check_issuing_request(network, trace.statement.F, trace.issuing)
    except Refused as error:
        raise Refused("bad-evidence", error.detail) from None
    refuse_unless(trace.tx_hash == sender.tx_hash, "bad-evidence", "the trace is of another transaction")
    same = (trace.issuing.P, trace.issuing.quarter) == (sender.P, sender.quarter)
    refuse_unless(same, "bad-evidence", "the patient asked for another credential")
    return trace.statement.identity


def convicts_centre(
    network: bytes, centre_name: str, signing_key: bytes, one: EnrolmentStatement, other: EnrolmentStatement,
    is_revoked: Callable[[bytes], bool],
) -> bool:  # fmt: skip
    """Two live enrolment keys of one identity, both signed by the centre, convict it of framing (tracing, step 11).

    :param is_revoked: whether an enrolment digest stood revoked on the ledger when the traced transaction was committed.
    """
    for statement in (one, other):
        try:
            check_statement(network, centre_name, signing_key, statement)
        except Refused:
            return False
    live = not any(is_revoked(enrolment_digest(network, s.F)) for s in (one, other))
    return one.identity == other.identity and one.F != other.F and live
