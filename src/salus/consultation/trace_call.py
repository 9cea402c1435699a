"""The asker of an approved tracing case asks the centre for the name (docs/protocol/consultation.md, "tracing", step 9)."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Name
from salus.consultation.registration import MemberKey, verify_member_signature
from salus.consultation.tracing import DoctorEvidence, SenderEvidence
from salus.groups.ristretto255 import Point
from salus.symmetric import Random


class TraceCall(Message, frozen=True):
    """Case and evidence, signed by the asker; sealed to the centre, its answer sealed back.

    :ivar evidence: the one that the case names.
    """

    KIND: ClassVar[str] = "trace.call"

    case: Bytes32
    asker: Name
    evidence: DoctorEvidence | SenderEvidence
    signature: Bytes64


def call_trace(
    network: bytes, asker: MemberKey, case: bytes, evidence: DoctorEvidence | SenderEvidence, random: Random
) -> TraceCall:
    """Ask for the name, as the one who asked for the case."""
    draft = TraceCall(case, asker.name, evidence, bytes(64))
    return replace(draft, signature=asker.sign(network, labels.SIG_TRACE, draft.to_value()[:-1], random))


def check_trace_call(network: bytes, call: TraceCall, W: bytes | Point) -> None:
    """Check the asker's signature.

    :raises Refused: ``bad-signature``.
    """
    verify_member_signature(network, labels.SIG_TRACE, call.asker, W, call.to_value()[:-1], call.signature)
