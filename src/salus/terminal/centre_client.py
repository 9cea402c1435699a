"""A terminal's side of enrolment and issuing: sealed calls to the centre, repeated until an answer comes."""

from __future__ import annotations

from typing import Final

from salus.consultation.credentials import IssuedCredentials, IssuingRequests
from salus.consultation.enrolment import EnrolmentStatement, MemberEnrolled, MemberEnrolment, PatientEnrolment, seal_to_centre
from salus.consultation.registration import CentreRecord
from salus.consultation.trace_call import TraceCall
from salus.consultation.tracing import Trace
from salus.errors import TransportError
from salus.symmetric import Random
from salus.transport import Transport

ENROL_MEMBER: Final = "centre.enrol-member"
ENROL_PATIENT: Final = "centre.enrol-patient"
ISSUE: Final = "centre.issue"
TRACE: Final = "centre.trace"
TRIES: Final = 5
"""A repeated call is the same bytes, so the centre gives the same answer and spends nothing twice."""


class CentreClient:
    """Reaches the centre that genesis names.

    :param party: the centre's address for the transport.
    """

    def __init__(self, transport: Transport, party: str, network: bytes, centre: CentreRecord, random: Random) -> None:
        self._transport = transport
        self._party = party
        self._network = network
        self._centre = centre
        self._random = random

    def enrol_member(self, enrolment: MemberEnrolment) -> MemberEnrolled:
        """Enrol a named party; the centre registers its key on the ledger."""
        return MemberEnrolled.decode(self._call(ENROL_MEMBER, enrolment.encode()))

    def enrol_patient(self, enrolment: PatientEnrolment) -> EnrolmentStatement:
        """Enrol a patient."""
        return EnrolmentStatement.decode(self._call(ENROL_PATIENT, enrolment.encode()))

    def issue(self, requests: IssuingRequests) -> IssuedCredentials:
        """Get credentials."""
        return IssuedCredentials.decode(self._call(ISSUE, requests.encode()))

    def trace(self, call: TraceCall) -> Trace:
        """Ask for the name behind an approved case; check it with :func:`salus.consultation.tracing.check_trace`."""
        return Trace.decode(self._call(TRACE, call.encode()))

    def _call(self, method: str, request: bytes) -> bytes:
        call, answer_key = seal_to_centre(self._network, self._centre.sealing_key, request, self._random)
        body = call.encode()
        for attempt in range(TRIES):
            try:
                return answer_key.open(self._transport.call(self._party, method, body))
            except TransportError:
                if attempt == TRIES - 1:
                    raise
        raise TransportError(f"{self._party} does not answer {method}")
