"""Evidence of who sent a request, compared with what the ledger stored (docs/protocol/consultation.md, "tracing").

It is shown to institutions and to the centre outside of the ledger; the ledger holds its digest only.
"""

from __future__ import annotations

import hashlib

from salus.codec import decode
from salus.consultation.tracing import (
    DoctorEvidence,
    SenderEvidence,
    TraceRequest,
    VerifiedSender,
    verify_doctor_evidence,
    verify_sender_evidence,
)
from salus.errors import refuse_unless
from salus.ledger.client import LedgerClient

EVIDENCE_BYTES_MAX = 64 * 1024
"""A request and some keys: a few kilobytes."""
Evidence = DoctorEvidence | SenderEvidence


def evidence_digest(evidence: Evidence) -> bytes:
    """What a case names: SHA-256 of the encoded evidence."""
    return hashlib.sha256(evidence.encode()).digest()


def request_of(evidence: Evidence) -> bytes:
    """Hash of the transaction that the evidence is about."""
    sender = evidence.sender if isinstance(evidence, DoctorEvidence) else evidence
    return sender.request.tx_hash()


def decode_evidence(data: bytes) -> Evidence:
    """Decode either kind of evidence.

    :raises Refused: ``bad-encoding``.
    """
    value = decode(data)
    if isinstance(value, tuple) and value and value[0] == DoctorEvidence.KIND:
        return DoctorEvidence.from_value(value)
    return SenderEvidence.from_value(value)


def verify_evidence(ledger: LedgerClient, evidence: Evidence) -> VerifiedSender:
    """Verify evidence against what the ledger stored with the request (step 2).

    :raises Refused: ``bad-evidence``, ``unknown-request``.
    """
    context = ledger.request(request_of(evidence)).context()
    if isinstance(evidence, DoctorEvidence):
        return verify_doctor_evidence(ledger.domain, evidence, context)
    return verify_sender_evidence(ledger.domain, evidence, context)


def check_case(ledger: LedgerClient, case: bytes, evidence: Evidence) -> TraceRequest:
    """The case is about this evidence.

    :raises Refused: ``bad-evidence``, ``unknown-case``.
    """
    ledger.case(case)
    opened = ledger.trace_request(case)
    same = opened.evidence == evidence_digest(evidence) and opened.tx_hash == request_of(evidence)
    refuse_unless(same, "bad-evidence", "this is not the evidence that the case names")
    return opened
