"""The rehearsal's parties: each holds its own secrets only and calls the protocol modules."""

from __future__ import annotations

import io
from collections.abc import Sequence

from salus import labels
from salus.consultation import credentials as cr
from salus.consultation import shared_value as sv
from salus.consultation import tracing
from salus.consultation.appointments import SlotBatch, SlotKey, publish_slots
from salus.consultation.enrolment import EnrolmentKey, EnrolmentStatement, state_enrolment
from salus.consultation.envelope import VerifiedEnvelope, verify_opened
from salus.consultation.receipts import (
    SealedReceipt,
    UploadReceipt,
    check_upload,
    seal_storage_receipt,
    sign_upload,
)
from salus.consultation.registration import (
    CLOUD,
    CentreKey,
    Domain,
    KeyRequest,
    MemberKey,
    PartialKey,
    SecretValue,
    check_key_request,
    issue_partial_key,
)
from salus.consultation.rehearsal.chain import CENTRE_NAME, RETENTION_MS, TIME_TOLERANCE_MS, VALID_MS, Chain, decode_transaction
from salus.consultation.reply import ConsultationReply, ReplyDraft, check_reply
from salus.consultation.request import (
    ConsultationRequest,
    OpenedRequest,
    PendingRequest,
    RequestContext,
    RequestDraft,
    open_at_node,
    open_request,
)
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Scalar
from salus.records.body import decrypt_body
from salus.records.digest import BodySummary, digest_body
from salus.records.payload import FramedSink, PayloadHeader, ReplyHeader, encrypt_payload
from salus.symmetric import Random


class Centre:
    """The trusted centre: its secrets, and what it keeps of every issuing."""

    def __init__(self, network: bytes, random: Random) -> None:
        self.key = CentreKey.generate(random)
        self.pids = cr.PidKeys(self.key.w, network)
        self._network = network
        self._random = random
        self.enrolled: dict[str, EnrolmentStatement] = {}
        self.spent: dict[tuple[str, int, int], cr.IssuingRequest] = {}

    def register(self, request: KeyRequest) -> PartialKey:
        """Phases 2-4 for named members."""
        check_key_request(self._network, request)
        return issue_partial_key(self.key.w, request.role, request.name, 0, request.P, self._random)

    def enrol(self, identity: str, F: bytes) -> EnrolmentStatement:
        """A patient's enrolment key; one live key for an identity."""
        refuse_unless(identity not in self.enrolled, "already-registered", identity)
        statement = state_enrolment(self._network, self.key, CENTRE_NAME, identity, F, 0, self._random)
        self.enrolled[identity] = statement
        return statement

    def issue(self, identity: str, request: cr.IssuingRequest) -> cr.IssuedCredential:
        """One credential; the index is spent before the answer leaves."""
        cr.check_issuing_request(self._network, self.enrolled[identity].F, request)
        index = (identity, request.quarter, request.index)
        refuse_unless(index not in self.spent, "quota", "this index was spent")
        self.spent[index] = request
        return cr.issue_credential(self.key.w, self.pids, identity, request, self._random)

    def trace(self, domain: Domain, evidence: tracing.DoctorEvidence, context: RequestContext) -> tracing.Trace:
        """Open a pid from verified evidence and add the patient's own signature."""
        sender = tracing.verify_doctor_evidence(domain, evidence, context)
        identity = self.pids.open(evidence.pid)
        for (who, quarter, _), issuing in self.spent.items():
            if who == identity and (quarter, issuing.P) == (sender.quarter, sender.P):
                return tracing.Trace(sender.tx_hash, self.enrolled[identity], issuing)
        raise Refused("bad-evidence", "the patient never asked for that credential")


class Node:
    """A validation node: its keys and the shared values it holds."""

    def __init__(self, member: MemberKey) -> None:
        self.member = member
        self.secrets: dict[int, sv.EpochSecret] = {}
        self.theta: dict[int, Scalar] = {}

    def check_request(self, chain: Chain, request: ConsultationRequest) -> VerifiedEnvelope:
        """Public and secret checks of Transaction 1 (chaining, steps 1 and 2)."""
        context = chain.check_request(request)
        theta = self.theta.get(request.epoch)
        if theta is None:
            raise Refused("no-shared-value")
        sender = verify_opened(open_at_node(chain.domain, request, context, theta))
        chain.check_sender(sender)
        return sender

    def check(self, chain: Chain, transaction: bytes) -> None:
        """Decode and check either transaction."""
        decoded = decode_transaction(transaction)
        if isinstance(decoded, ConsultationRequest):
            self.check_request(chain, decoded)
        else:
            chain.check_reply(decoded)


class Cloud:
    """The cloud: bodies by digest, receipts."""

    def __init__(self, member: MemberKey, network: bytes, random: Random) -> None:
        self.member = member
        self.bodies: dict[bytes, bytes] = {}
        self._network = network
        self._random = random

    def upload(self, body: bytes, keep_until_ms: int) -> tuple[BodySummary, UploadReceipt]:
        """Hash and keep a body; its signed receipt."""
        summary = digest_body(io.BytesIO(body))
        self.bodies[summary.digest] = body
        size = summary.size_bytes
        return summary, sign_upload(self._network, self.member, summary.digest, size, keep_until_ms, self._random)

    def fetch(self, digest: bytes) -> bytes:
        """A body.

        :raises Refused: ``missing-body``.
        """
        if digest not in self.bodies:
            raise Refused("missing-body")
        return self.bodies[digest]

    def store(self, transaction: ConsultationRequest | ConsultationReply, height: int) -> SealedReceipt:
        """File a chained transaction whose body is here, re-hashed; the sealed storage receipt."""
        t = transaction
        digest_body(io.BytesIO(self.fetch(t.digest)))
        PID, A = (t.PID1, t.A) if isinstance(t, ConsultationRequest) else (t.PID2, t.A_D)
        return seal_storage_receipt(
            self._network, self.member, PID, A, t.ID_D, height, t.tx_hash(), t.digest, t.size_bytes, self._random
        )


class Doctor:
    """A doctor: long-term key, one-time slot keys, replies under way."""

    def __init__(self, member: MemberKey, random: Random) -> None:
        self.member = member
        self.slot_keys: dict[int, SlotKey] = {}
        self.drafts: dict[bytes, ReplyDraft] = {}
        self._random = random

    def publish(self, network: bytes, day: str, count: int) -> SlotBatch:
        """Open the next slots."""
        batch, keys = publish_slots(network, self.member, day, len(self.slot_keys), count, self._random)
        self.slot_keys.update({key.sn: key for key in keys})
        return batch

    def open(self, chain: Chain, request: ConsultationRequest, context: RequestContext) -> OpenedRequest:
        """Open and verify a request, all but its body (treatment, steps 1 to 5)."""
        refuse_unless(request.sn in self.slot_keys, "unknown-slot")
        return open_request(chain.domain, request, context, self.member, self.slot_keys[request.sn])

    def read(self, opened: OpenedRequest, body: bytes, block_time_ms: int) -> tuple[bytes, bytes]:
        """Decrypt the body and compare pid and time (treatment, steps 6 and 7): payload and H2(m_PA)."""

        def accept(header: PayloadHeader) -> None:
            opened.check_payload(header.pid, header.time_ms, block_time_ms, TIME_TOLERANCE_MS)

        request = opened.request
        payload = io.BytesIO()
        sink = FramedSink(PayloadHeader, accept, payload)
        expected = BodySummary.of(request.digest, request.size_bytes)
        decrypt_body(io.BytesIO(body), opened.body_key, opened.body_context, expected, sink)
        sink.finish()
        return payload.getvalue(), sink.digest(labels.SUITE_R1)

    def reply(
        self, network: bytes, opened: OpenedRequest, m_pa: bytes, diagnosis: bytes, cloud: Cloud, now_ms: int
    ) -> ConsultationReply:
        """Make Transaction 2 (reply, steps 1 to 5)."""
        draft = ReplyDraft.begin(network, self.member, opened, self._random)
        self.drafts[opened.h1] = draft
        header = ReplyHeader(m_pa, now_ms, "text/plain", "diagnosis.txt", len(diagnosis))
        body = io.BytesIO()
        encrypt_payload(header, io.BytesIO(diagnosis), draft.body_key, draft.body_context, body, random=self._random)
        summary, U = cloud.upload(body.getvalue(), now_ms + 2 * RETENTION_MS)
        return draft.finish(summary.digest, summary.size_bytes, U, self._random)


class Patient:
    """A patient: enrolment key, credentials, requests under way."""

    def __init__(self, identity: str, random: Random) -> None:
        self.identity = identity
        self.enrolment = EnrolmentKey.generate(random)
        self.credentials: list[cr.Credential] = []
        self.pending: dict[bytes, PendingRequest] = {}
        self._random = random

    def renew(self, domain: Domain, centre: Centre, quarter: int, indexes: Sequence[int]) -> None:
        """Get credentials from the centre."""
        for index in indexes:
            secret = SecretValue.draw(self._random)
            request = cr.request_credential(domain.network, self.enrolment, quarter, index, secret, self._random)
            answer = centre.issue(self.identity, request)
            self.credentials.append(cr.finish_credential(request, secret, answer, domain.Pub))

    def request(
        self, chain: Chain, cloud: Cloud, credential: cr.Credential, ID_D: str, sn: int, epoch: int, payload: bytes
    ) -> ConsultationRequest:
        """Make Transaction 1 (request, steps 1 to 8)."""
        now_ms = chain.now_ms()
        context = chain.context(ID_D, sn, epoch)
        draft = RequestDraft.begin(chain.domain, credential, ID_D, sn, context, now_ms + VALID_MS, self._random)
        header = PayloadHeader(credential.pid, now_ms, "application/octet-stream", "record", len(payload))
        body = io.BytesIO()
        sealed = encrypt_payload(header, io.BytesIO(payload), draft.body_key, draft.body_context, body, random=self._random)
        summary, U = cloud.upload(body.getvalue(), now_ms + VALID_MS + 2 * RETENTION_MS)
        request, pending = draft.finish(summary.digest, summary.size_bytes, U, sealed.m_pa_digest, self._random)
        self.pending[pending.h1] = pending
        return request

    def check_up(self, chain: Chain, cloud: Cloud, reply: ConsultationReply, proven: bytes) -> bytes:
        """Check a committed reply and read the diagnosis (check-up, steps 1 to 5)."""
        pending = self.pending.get(reply.h1)
        if pending is None:
            raise Refused("wrong-request")
        checked = check_reply(chain.network, pending, reply, proven)
        check_upload(chain.network, reply.U, reply.digest, reply.size_bytes, chain.W(CLOUD, reply.U.cloud))
        diagnosis = io.BytesIO()
        sink = FramedSink(ReplyHeader, lambda header: checked.check_payload(header.m_pa_digest), diagnosis)
        expected = BodySummary.of(reply.digest, reply.size_bytes)
        decrypt_body(io.BytesIO(cloud.fetch(reply.digest)), checked.body_key, checked.body_context, expected, sink)
        sink.finish()
        return diagnosis.getvalue()
