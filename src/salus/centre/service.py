"""The centre's answering side: enrolment and credentials, in calls sealed to its key.

Every answer is made durable before it leaves, together with what it spends; a repeated call gets the same bytes.
Steps: docs/protocol/consultation.md, "enrolment", "registration" and "credentials".
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Final

from salus.centre.store import CentreStore, EnrolmentCode, Member, Patient
from salus.codec import encode
from salus.consultation.credentials import (
    IssuedCredential,
    IssuedCredentials,
    IssuingRequest,
    IssuingRequests,
    PidKeys,
    check_issuing_request,
    issue_credential,
)
from salus.consultation.enrolment import (
    AnswerKey,
    MemberEnrolled,
    MemberEnrolment,
    PatientEnrolment,
    SealedCall,
    check_patient_enrolment,
    open_at_centre,
    state_enrolment,
)
from salus.consultation.registration import (
    NAMED_ROLES,
    NO_QUARTER,
    PATIENT,
    CentreKey,
    MemberRecord,
    check_key_request,
    check_name,
    issue_partial_key,
    quarter_of,
)
from salus.errors import Refused, refuse_unless
from salus.symmetric import Random

ENROL_MEMBER: Final = "centre.enrol-member"
ENROL_PATIENT: Final = "centre.enrol-patient"
ISSUE: Final = "centre.issue"
TRACE: Final = "centre.trace"

CODE_VALID_MS: Final = 14 * 24 * 3600 * 1000
"""A code handed out in person is good for two weeks."""
CODE_BYTES: Final = 15
"""120 random bits: a code cannot be guessed within its validity."""

Register = Callable[[MemberRecord, bytes, str], bytes]
"""Makes the registration transaction of a member (record, proof of possession, display name), signed by the centre."""


class CentreService:
    """Serves enrolment and issuing.

    :param key: the centre's secrets.
    :param name: the centre's name in genesis.
    :param network: 32-byte network id.
    :param register: makes the ledger transaction that registers a named member.
    :param now_ms: clock, UTC milliseconds.
    """

    def __init__(
        self,
        key: CentreKey,
        name: str,
        network: bytes,
        store: CentreStore,
        register: Register,
        now_ms: Callable[[], int],
        random: Random,
    ) -> None:
        self._key = key
        self._name = name
        self._network = network
        self._store = store
        self._register = register
        self._now_ms = now_ms
        self._random = random
        self._pids = PidKeys(key.w, network)

    def new_code(self, role: str, subject: str, display_name: str) -> str:
        """Open an enrolment code, to be handed to the person it names.

        :param role: patient, doctor, node, institution or cloud.
        :param subject: the name on the ledger, or a patient's identity.
        :returns: 24 characters in groups of four.
        :raises Refused: ``bad-encoding`` for an unknown role or a malformed name.
        """
        refuse_unless(role == PATIENT or role in NAMED_ROLES, "bad-encoding", f"no such role: {role}")
        if role != PATIENT:
            check_name(subject)
        code = base64.b32encode(self._random(CODE_BYTES)).decode().lower()
        code = "-".join(code[i : i + 4] for i in range(0, len(code), 4))
        self._store.add_code(_digest(code), EnrolmentCode(role, subject, display_name, self._now_ms() + CODE_VALID_MS))
        return code

    def handle(self, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Service`."""
        makers = {ENROL_MEMBER: self._enrol_member, ENROL_PATIENT: self._enrol_patient, ISSUE: self._issue}
        make = makers.get(method)
        if make is None:
            raise Refused("not-found", f"the centre has no method {method}")
        call_digest = hashlib.sha256(method.encode() + b"\0" + body).digest()
        known = self._store.answer(call_digest)
        if known is not None:
            return known
        request, answer_key = open_at_centre(self._network, self._key, SealedCall.decode(body))
        with self._store.transaction():
            sealed = _sealed(answer_key, make(request))
            # a repeated call for credentials finds each of them kept, so the same bytes come again by themselves: were every
            # call kept, one patient could fill the disk
            if method != ISSUE:
                self._store.keep_answer(call_digest, sealed)
        return sealed

    def _enrol_member(self, body: bytes) -> bytes:
        enrolment = MemberEnrolment.decode(body)
        request = enrolment.request
        check_key_request(self._network, request)
        code = self._store.spend_code(_digest(enrolment.code), self._now_ms())
        refuse_unless(
            (code.role, code.subject) == (request.role, request.name), "bad-code", "the code is for another name or role"
        )
        # whoever holds this very x and lost the answer gets the same one, with a new code
        same_key = hashlib.sha256(encode(("member", request.role, request.name, request.P))).digest()
        known = self._store.answer(same_key)
        taken = any(m.role == request.role and m.state != "revoked" for m in self._store.members(request.name))
        if known is not None and taken:
            return known
        refuse_unless(not taken, "already-registered")
        partial = issue_partial_key(self._key.w, request.role, request.name, NO_QUARTER, request.P, self._random)
        record = MemberRecord(request.role, request.name, request.P, partial.Q)
        transaction = self._register(record, request.possession, code.display_name)
        self._store.put_member(Member(request.name, request.role, code.display_name, transaction, "pending"))
        answer = MemberEnrolled(partial).encode()
        self._store.keep_answer(same_key, answer)
        return answer

    def _enrol_patient(self, body: bytes) -> bytes:
        request = PatientEnrolment.decode(body)
        check_patient_enrolment(self._network, request)
        code = self._store.spend_code(_digest(request.code), self._now_ms())
        refuse_unless((code.role, code.subject) == (PATIENT, request.identity), "bad-code", "the code is for another person")
        live = self._store.patient_by_identity(request.identity)
        if live is not None and live.F == request.F:  # the answer got lost; the same key gets the same statement
            return self._store.statement(request.F)
        # two keys of one patient that were live at one time convict the centre, so the old one is revoked on the ledger first
        refuse_unless(live is None, "already-registered", "revoke the patient's earlier enrolment first")
        refuse_unless(not self._store.knows_enrolment_key(request.F), "revoked", "that enrolment key was revoked; draw another")
        serial = self._store.next_serial(request.identity)
        statement = state_enrolment(self._network, self._key, self._name, request.identity, request.F, serial, self._random)
        self._store.add_patient(Patient(request.identity, serial, request.F), statement.encode())
        return statement.encode()

    def _issue(self, body: bytes) -> bytes:
        asked = IssuingRequests.decode(body).requests
        patient = self._store.patient(asked[0].F)
        if patient is None:
            raise Refused("not-authorised", "this enrolment key is not live; enrol again with a new code")
        this_quarter = quarter_of(self._now_ms())
        answers = []
        for request in asked:
            check_issuing_request(self._network, patient.F, request)
            refuse_unless(
                request.quarter in (this_quarter, this_quarter + 1),
                "wrong-quarter",
                "credentials are issued for this quarter and the next",
            )
            answers.append(self._issue_one(patient.identity, request))
        return IssuedCredentials(tuple(answers)).encode()

    def _issue_one(self, identity: str, request: IssuingRequest) -> IssuedCredential:
        """The index is spent, and the answer kept, before it leaves: one index never has two credentials."""
        encoded = request.encode()
        known = self._store.issued_answer(identity, request.quarter, request.index, encoded)
        if known is not None:
            return IssuedCredential.decode(known)
        issued = issue_credential(self._key.w, self._pids, identity, request, self._random)
        self._store.spend_index(identity, request.quarter, request.index, encoded, issued.encode())
        return issued

    def open_pid(self, pid: bytes) -> str:
        """The identity behind a pid; callers check first that the ledger approved (``salus.centre.tracing``)."""
        return self._pids.open(pid)

    def revocation_digests(self, identity: str) -> tuple[bytes, ...]:
        """hp of every credential of the quarters still accepted or already issued (registration, "Revocation")."""
        this_quarter = quarter_of(self._now_ms())
        quarters = sorted(
            {
                this_quarter - 1,
                this_quarter,
                this_quarter + 1,
                *(q for q in self._store.issued_quarters(identity) if q >= this_quarter),
            }
        )
        return tuple(hp for quarter in quarters for hp in self._pids.digests(identity, quarter))


def _digest(code: str) -> bytes:
    return hashlib.sha256(b"enrolment code\0" + code.strip().lower().encode()).digest()


def _sealed(key: AnswerKey, answer: bytes) -> bytes:
    return key.seal(answer)
