"""Consultations: the request, and its one answer, a reply or a decline (docs/protocol/consultation.md).

Here are the public checks; opening a request's sealed sender is the nodes' secret check, against the same state.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Label, Message, Name
from salus.consultation.appointments import Decline, check_decline
from salus.consultation.receipts import UploadReceipt
from salus.consultation.registration import CLOUD, DOCTOR, SUITE
from salus.consultation.reply import ConsultationReply, make_t0_reply, reply_body
from salus.consultation.request import ConsultationRequest, RequestContext
from salus.errors import REASONS, Refused, refuse_unless
from salus.ledger.epoch_state import accepted_epoch
from salus.ledger.expiry import expiring
from salus.ledger.expiry import live as unexpired
from salus.ledger.kinds.parties import Party, live_party
from salus.ledger.kinds.slots import SLOTS, TAKEN, Slot, open_slot, slot_key
from salus.ledger.quarters import spent_until_ms
from salus.ledger.signatures import AnyClaim, Claim, PointClaim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction

NULLIFIER: Final = "nullifier"
"""Kind of expiring values: raw key nf."""
ONE_TIME_KEY: Final = "one-time-key"
"""Kind of expiring values: raw key A or A_D; both share this one set."""
LONGEST_BODY_BYTES: Final = 1 << 40
"""A body of a terabyte and more is nobody's record."""


class Request(Message, frozen=True):
    """A committed request: what later checks need of it, as it was looked up when it was admitted.

    :ivar height, time_ms: of its block.
    """

    KIND = "state.request"
    doctor: Name
    sn: int
    A: Bytes32
    epoch: int
    pk_BC: Bytes32  # noqa: N815 - the name in the protocol
    W_D: Bytes32
    E_sn: Bytes32
    height: int
    time_ms: int

    def context(self) -> RequestContext:
        """The form that the consultation protocol takes."""
        return RequestContext(self.epoch, self.pk_BC, self.W_D, self.E_sn)


class Answer(Message, frozen=True):
    """The one answer to a request.

    :ivar tx_hash: the reply or decline. :ivar declined: reason code of a decline, empty for a reply.
    """

    KIND = "state.answer"
    tx_hash: Bytes32
    declined: Label | None
    height: int
    time_ms: int


REQUESTS: Final = Table("request", Request)
ANSWERS: Final = Table("answer", Answer, shared=False)


def request_context(view: StateView, request: ConsultationRequest, time_ms: int) -> RequestContext:
    """What a request not yet committed is about, looked up in the state: for the nodes' secret check.

    :raises Refused: ``wrong-epoch``, ``unknown-party``, ``revoked``, ``unknown-slot``, ``slot-taken``, ``slot-closed``.
    """
    return _find(view, request, time_ms)[1]


def _find(view: StateView, request: ConsultationRequest, time_ms: int) -> tuple[Slot, RequestContext]:
    epoch = accepted_epoch(view, request.epoch, time_ms)
    slot = open_slot(view, live_party(view, DOCTOR, request.ID_D), request.sn)
    assert epoch.pk_BC is not None
    return slot, RequestContext(request.epoch, epoch.pk_BC, slot.W_D, slot.E)


class _Request:
    """Request, public checks: valid_until, epoch, slot, nf and A unseen, upload receipt."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ConsultationRequest]) -> list[AnyClaim]:
        request = tx.message
        now, constants = context.time_ms, context.constants
        refuse_unless(request.valid_until_ms >= now, "expired")
        refuse_unless(request.valid_until_ms <= now + constants.valid_until_max_ms, "too-far-ahead")
        # what was seen before is named first: a replay is one, whatever became of its slot
        refuse_unless(unexpired(view, NULLIFIER, request.nf, now) is None, "used-credential")
        point = _one_time_key_claim(view, request.A, now)
        context.looked_up = (tx.hash, _find(view, request, now))
        keep_until = request.valid_until_ms + constants.retention_ms
        return [point, _upload_claim(view, context, request.U, request.digest, request.size_bytes, keep_until)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ConsultationRequest]) -> None:
        request, now = tx.message, context.time_ms
        known = context.looked_up
        slot, found = known[1] if known is not None and known[0] == tx.hash else _find(state, request, now)
        _spend(state, context, NULLIFIER, request.nf)
        _spend(state, context, ONE_TIME_KEY, request.A)
        raw = slot_key(request.ID_D, request.sn)
        SLOTS.put(state, raw, replace(slot, status=TAKEN, h1=tx.hash))
        record = Request(
            request.ID_D, request.sn, request.A, found.epoch, found.pk_BC, found.W_D, found.E_sn, context.height, now
        )
        REQUESTS.put(state, tx.hash, record)


class _Reply:
    """Reply, step 6: once per request, only from that request's doctor."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ConsultationReply]) -> list[AnyClaim]:
        reply = tx.message
        request, party = _unanswered(view, reply.h1, reply.ID_D, reply.sn)
        point = _one_time_key_claim(view, reply.A_D, context.time_ms)
        keep_until = context.time_ms + context.constants.retention_ms
        upload = _upload_claim(view, context, reply.U, reply.digest, reply.size_bytes, keep_until)
        t0 = make_t0_reply(context.network, reply.ID_D, request.W_D, reply.sn, reply.h1, reply.A_D)
        fields = (context.network, reply.ID_D, party.W)
        signature = Claim(labels.SIG_REPLY, SUITE, party.W, fields, reply_body(t0, reply), reply.M_k1, what=reply.ID_D)
        return [point, upload, signature]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ConsultationReply]) -> None:
        _spend(state, context, ONE_TIME_KEY, tx.message.A_D)
        ANSWERS.put(state, tx.message.h1, Answer(tx.hash, None, context.height, context.time_ms))


class _Decline:
    """Appointments, step 4."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[Decline]) -> list[Claim]:
        decline = tx.message
        _, party = _unanswered(view, decline.h1, decline.doctor, decline.sn)
        refuse_unless(decline.reason in REASONS, "bad-encoding", "a decline gives one of the registered reasons")
        check_decline(context.network, decline, party.W)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Decline]) -> None:
        answer = Answer(tx.hash, tx.message.reason, context.height, context.time_ms)
        ANSWERS.put(state, tx.message.h1, answer)


def _unanswered(view: StateView, h1: bytes, doctor: str, sn: int) -> tuple[Request, Party]:
    """The committed request that a doctor answers, and the doctor.

    :raises Refused: ``unknown-request``, ``wrong-doctor``, ``wrong-request``, ``already-answered``, ``revoked``.
    """
    request = REQUESTS.get(view, h1)
    if request is None:
        raise Refused("unknown-request", h1.hex())
    refuse_unless(request.doctor == doctor, "wrong-doctor")
    refuse_unless(request.sn == sn, "wrong-request")
    refuse_unless(ANSWERS.get(view, h1) is None, "already-answered")
    party = live_party(view, DOCTOR, doctor)
    refuse_unless(party.W == request.W_D, "revoked", f"the request was sealed to an earlier key of {doctor}")
    return request, party


def _one_time_key_claim(view: StateView, key: bytes, now_ms: int) -> PointClaim:
    """A one-time key is unseen; that it is a point is verified with the signatures."""
    refuse_unless(unexpired(view, ONE_TIME_KEY, key, now_ms) is None, "used-key")
    return PointClaim(key, "one-time key")


def _spend(state: Overlay, context: BlockContext, kind: str, raw: bytes) -> None:
    """Keep nf or a one-time key until the grace of this block's quarter ends."""
    due_ms = spent_until_ms(context.time_ms, context.constants)
    state.put(kind, raw, expiring(due_ms))
    context.expire(due_ms, kind, raw)


def _upload_claim(
    view: StateView, context: BlockContext, receipt: UploadReceipt, digest: bytes, size_bytes: int, keep_until_ms: int
) -> Claim:
    """Upload receipt (receipts, step 2): signed by a live cloud, and kept long enough."""
    cloud = live_party(view, CLOUD, receipt.cloud)
    refuse_unless(receipt.keep_until_ms >= keep_until_ms, "bad-receipt", f"the body must be kept until {keep_until_ms}")
    refuse_unless(size_bytes < LONGEST_BODY_BYTES, "too-large", f"a body of {size_bytes} bytes")
    fields = (context.network, cloud.name, cloud.W)
    message: Any = (context.network, digest, size_bytes, receipt.keep_until_ms)
    return Claim(labels.SIG_UPLOAD, SUITE, cloud.W, fields, message, receipt.signature, "bad-receipt", cloud.name)


KINDS: Final = (
    KindSpec(ConsultationRequest, _Request(), anonymous=True),
    KindSpec(ConsultationReply, _Reply()),
    KindSpec(Decline, _Decline()),
)
