"""A doctor's terminal: publishes slots, opens requests, treats in the order of sn, erases.

Steps: docs/protocol/consultation.md, "appointments", "treatment" and "reply".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from salus.codec import Bytes32, Message
from salus.consultation.appointments import SLOTS_A_BATCH_MAX, SlotBatch, SlotKey, cancel_slots, decline_request, publish_slots
from salus.consultation.envelope import open_signature, verify_opened
from salus.consultation.receipts import StorageReceipt, check_upload, open_storage_receipt
from salus.consultation.registration import MemberKey
from salus.consultation.reply import ConsultationReply, ReplyDraft
from salus.consultation.request import (
    ConsultationRequest,
    OpenedRequest,
    open_doctor_seal,
    open_request,
    request_statement,
)
from salus.consultation.tracing import DoctorEvidence, evidence_of, seal_evidence
from salus.errors import Refused, TransportError, WalletError, refuse_unless
from salus.files import make_private_directory, read_bounded, write_atomic
from salus.groups.ristretto255 import Scalar, decode_point, decode_scalar
from salus.ledger.client import CommittedTransaction, LedgerClient
from salus.ledger.evidence import Evidence
from salus.ledger.kinds.consultations import Request
from salus.ledger.kinds.slots import CANCELLED as LEDGER_CANCELLED
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from salus.records.digest import BodySummary
from salus.records.payload import PayloadHeader, ReplyHeader
from salus.symmetric import Random
from salus.terminal.bodies import OUTGOING, BodyTransfer, Payload, Progress, no_progress
from salus.terminal.phases import PhaseTimes
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import SlotEntry

PUBLISHING: Final = "publishing"
OPEN: Final = "open"
TAKEN: Final = "taken"
REPLYING: Final = "replying"
REPLIED: Final = "replied"
DECLINED: Final = "declined"
CANCELLED: Final = "cancelled"
_WAITING: Final = frozenset({TAKEN, REPLYING})
_KEEP_MARGIN_MS: Final = 60_000


class Waiting(msgspec.Struct, frozen=True):
    """A committed request that waits for this doctor.

    :ivar id: first half of its hash, for commands. :ivar height: block that holds it. :ivar time_ms: that block's time.
    """

    id: str
    sn: int
    day: str
    tx_hash: bytes
    height: int
    time_ms: int
    size_bytes: int


class Record(msgspec.Struct, frozen=True):
    """A patient's payload that the doctor opened.

    :ivar path: the file below ``received/``. :ivar digest: H2(m_PA), which the reply names.
    """

    id: str
    sn: int
    tx_hash: bytes
    path: Path
    media_type: str
    file_name: str
    measured_ms: int
    digest: bytes


class Treated(msgspec.Struct, frozen=True):
    """A committed and stored reply."""

    id: str
    sn: int
    request_tx: bytes
    reply_tx: bytes
    reply_height: int


class _PendingReply(Message, frozen=True):
    """a_D of a reply that is under way, with the transaction, until its storage receipt is checked."""

    KIND = "wallet.pending-reply"

    a_D: Bytes32  # noqa: N815 - the name in the protocol
    reply: ConsultationReply

    def __repr__(self) -> str:
        return "_PendingReply()"


class DoctorTerminal:
    """One doctor on one device.

    :param wallet: the open wallet (role doctor, enrolled).
    """

    def __init__(
        self, wallet: Wallet, ledger: LedgerClient, bodies: BodyTransfer, now_ms: Callable[[], int], random: Random
    ) -> None:
        self._wallet = wallet
        self._ledger = ledger
        self._bodies = bodies
        self._now_ms = now_ms
        self._random = random
        self._outgoing = wallet.directory / OUTGOING
        self.times = PhaseTimes()
        entry = wallet.content.member
        if entry is None:
            raise WalletError("this wallet holds no doctor's key; enrol with: salus party enrol --role doctor NAME")
        self._key = MemberKey.from_secret(entry.record, entry.secret, ledger.domain.Pub)

    @property
    def name(self) -> str:
        """The doctor's name on the ledger."""
        return self._key.name

    # --- appointments ---

    def publish(self, day: str, count: int) -> list[int]:
        """Open ``count`` slots of a day (appointments, step 1); returns their numbers.

        The secret keys are durable before the slots are published.

        :raises Refused: ``too-large``, ``bad-encoding`` for a day that is none.
        """
        refuse_unless(count >= 1, "bad-encoding", "publish at least one slot")
        sns: list[int] = []
        for start in range(0, count, SLOTS_A_BATCH_MAX):
            sns += self._publish_batch(day, min(SLOTS_A_BATCH_MAX, count - start))
        return sns

    def _publish_batch(self, day: str, count: int) -> list[int]:
        self._ledger.refresh()
        self._finish_publishing()
        first = self._ledger.next_sn(self.name)
        batch, keys = publish_slots(self._ledger.network, self._key, day, first, count, self._random)
        for key in keys:
            self._wallet.one_time.put(_slot_file(key.sn), key.export_secret())
        self._wallet.update(lambda c: c.with_slots(SlotEntry(k.sn, day, k.E, PUBLISHING, None, None) for k in keys))
        make_private_directory(self._outgoing)
        write_atomic(self._outgoing / f"slots-{first}", batch.encode())
        return self._submit_batch(batch)

    def _submit_batch(self, batch: SlotBatch) -> list[int]:
        entries = [SlotEntry(batch.first_sn + i, batch.day, E, OPEN, None, None) for i, E in enumerate(batch.keys)]
        path = self._outgoing / f"slots-{batch.first_sn}"
        try:
            self._ledger.submit(batch.encode())  # on a lost answer the file stays, and this very batch is sent again
        except Refused:
            path.unlink(missing_ok=True)
            self._forget_unpublished()
            raise
        self._wallet.update(lambda c: c.with_slots(entries))
        path.unlink(missing_ok=True)
        return [entry.sn for entry in entries]

    def _finish_publishing(self) -> None:
        """Batches whose commit was not seen are sent again, as the same bytes; secrets that were never in one are erased."""
        for path in sorted(self._outgoing.glob("slots-*")) if self._outgoing.is_dir() else []:
            batch = SlotBatch.decode(read_bounded(path, MAX_TRANSACTION_BYTES, "an outgoing batch of slots"))
            with contextlib.suppress(Refused):  # its slots are forgotten then
                self._submit_batch(batch)
        self._forget_unpublished()

    def _forget_unpublished(self) -> None:
        """Slots whose batch was refused, or never sent, are no slots; their keys are erased."""
        published = tuple(s for s in self._wallet.content.slots if s.state != PUBLISHING)
        known = {_slot_file(s.sn) for s in published if s.state != CANCELLED}
        for name in self._wallet.one_time.names():
            if name.startswith("slot-") and name not in known:
                self._wallet.one_time.erase(name)
        self._wallet.update(lambda c: c.replace(slots=published))

    def slots(self) -> list[SlotEntry]:
        """All slots, after a look at the ledger for requests that took one, and for what an interruption left unseen."""
        self._ledger.refresh()
        open_ = [s for s in self._wallet.content.slots if s.state == OPEN]
        taken = []
        for entry, on_ledger in zip(open_, self._ledger.slots(self.name, [s.sn for s in open_]), strict=True):
            if on_ledger is not None and on_ledger.h1 is not None:
                taken.append(msgspec.structs.replace(entry, state=TAKEN, request_tx=on_ledger.h1))
            elif on_ledger is not None and on_ledger.status == LEDGER_CANCELLED:
                self._erase_slot(entry.sn, CANCELLED)
        if taken:
            self._wallet.update(lambda c: c.with_slots(taken))
        waiting = {s.request_tx: s for s in self._wallet.content.slots if s.state == TAKEN and s.request_tx is not None}
        for entry, answer in zip(waiting.values(), self._ledger.answers(list(waiting)), strict=True):
            if answer is not None:
                self._erase_slot(entry.sn, DECLINED if answer.declined else REPLIED)
        return list(self._wallet.content.slots)

    def cancel(self, sns: tuple[int, ...], note: str = "") -> None:
        """Close open slots, and erase their keys (appointments, step 3).

        :raises Refused: ``slot-taken`` for a slot with a request (decline that instead), ``unknown-slot``.
        """
        message = cancel_slots(self._ledger.network, self._key, tuple(sorted(sns)), note, self._random)
        self._ledger.submit(message.encode())
        for sn in sns:
            self._erase_slot(sn, CANCELLED)

    # --- treatment ---

    def queue(self) -> list[Waiting]:
        """Requests that wait, in the order of sn."""
        waiting = []
        for entry in self.slots():
            if entry.state in _WAITING and entry.request_tx is not None:
                request = ConsultationRequest.decode(self._ledger.transaction(entry.request_tx).raw)
                placed = self._ledger.request(entry.request_tx)
                id_ = entry.request_tx.hex()[:16]
                waiting.append(
                    Waiting(id_, entry.sn, entry.day, entry.request_tx, placed.height, placed.time_ms, request.size_bytes)
                )
        return sorted(waiting, key=lambda w: w.sn)

    def open(self, id_: str, progress: Progress = no_progress) -> Record:
        """Open a request's payload into ``received/`` (treatment, steps 1 to 7).

        :raises Refused: every check of the treatment; ``unknown-request``.
        """
        placed, opened = self.opened(id_)
        return self._receive(id_, placed, opened, progress)

    def opened(self, id_: str) -> tuple[Request, OpenedRequest]:
        """A request with its sender opened and verified, its payload not fetched (treatment, steps 1 to 6)."""
        placed, request, slot = self._placed(id_)
        return placed, open_request(self._ledger.domain, request, placed.context(), self._key, slot)

    def _placed(self, id_: str) -> tuple[Request, ConsultationRequest, SlotKey]:
        entry = self._entry(id_)
        assert entry.request_tx is not None
        request = ConsultationRequest.decode(self._ledger.transaction(entry.request_tx).raw)
        slot = SlotKey.from_secret(entry.sn, self._wallet.one_time.get(_slot_file(entry.sn)))
        return self._ledger.request(entry.request_tx), request, slot

    def evidence(self, id_: str) -> Evidence:
        """Evidence of who sent a request (tracing, steps 1, 3 and 4); before the slot's key is erased.

        A request that is false in any other way still names its sender in S_D; if S_D itself is rubbish, a node opens S.

        :raises Refused: ``erased``, ``bad-evidence``, ``no-shared-value`` (S_D is rubbish and the epoch's grace is over).
        """
        placed, request, slot = self._placed(id_)
        context = placed.context()
        A = decode_point(request.A, "A")
        statement = request_statement(self._ledger.domain, request, context)
        try:
            sender, pid = open_doctor_seal(statement, request, A.mul(self._key.s), A.mul(slot.e))
        except Refused:
            return self._ledger.show_sender(seal_evidence(self._ledger.domain, request, self._key, slot, self._random))
        envelope = open_signature(statement, sender)
        verify_opened(envelope)
        return DoctorEvidence(evidence_of(envelope, request), pid)

    def _receive(self, id_: str, placed: Request, opened: OpenedRequest, progress: Progress) -> Record:
        tolerance = self._ledger.constants.measured_tolerance_ms
        request = opened.request
        summary = BodySummary.of(request.digest, request.size_bytes)

        def accept(header: PayloadHeader) -> None:
            opened.check_payload(header.pid, header.time_ms, placed.time_ms, tolerance)

        got, path = self._bodies.receive(
            summary, opened.body_key, opened.body_context, PayloadHeader, accept, f"{id_}-record", progress
        )
        header = got.header
        return Record(id_, request.sn, opened.h1, path, header.media_type, header.file_name, header.time_ms, got.m_pa_digest)

    def treat(self, id_: str, reply_file: Path, progress: Progress = no_progress) -> Treated:
        """Reply to a request (phase 9), wait until it is stored (phases 10 and 11), then erase a_D and e_sn.

        :raises Refused: ``not-your-turn`` if an earlier slot's request waits; ``already-answered``; every check of the treatment.
        :raises TransportError: the outcome is not known yet; :meth:`resume` finds out.
        """
        entry = self._entry(id_)
        if entry.state not in _WAITING:
            raise Refused("already-answered", f"slot {entry.sn} is {entry.state}; list what waits with: salus consultation queue")
        slots = self._wallet.content.slots
        earlier = [(s.sn, s.request_tx.hex()[:16]) for s in slots if s.sn < entry.sn and s.request_tx and s.state in _WAITING]
        if earlier:
            sn, first = min(earlier)
            raise Refused("not-your-turn", f"slot {sn} ({first}) comes before slot {entry.sn}: treat or decline it first")
        if entry.state == REPLYING:
            return self._finish_reply(entry)
        with self.times.phase("treatment"):
            placed, opened = self.opened(id_)
            record = self._receive(id_, placed, opened, progress)
            draft = ReplyDraft.begin(self._ledger.network, self._key, opened, self._random)
        with Payload(reply_file) as payload:
            header = ReplyHeader(record.digest, self._now_ms(), payload.media_type, payload.file_name, payload.size_bytes)
            time_ms = max(self._ledger.time_ms, self._now_ms())  # the newest block may be days old
            keep_until = time_ms + self._ledger.constants.retention_ms * 2 + _KEEP_MARGIN_MS
            with self.times.phase("upload-2"):
                sealed, receipt = self._bodies.send(header, payload, draft.body_key, draft.body_context, keep_until, progress)
                W_C = self._ledger.member_key("cloud", receipt.cloud)
                check_upload(self._ledger.network, receipt, sealed.body.digest, sealed.body.size_bytes, W_C)
        with self.times.phase("treatment"):
            reply = draft.finish(sealed.body.digest, sealed.body.size_bytes, receipt, self._random)
        self._wallet.one_time.erase(_reply_file(entry.sn))  # of an attempt that was interrupted here: it was never sent
        self._wallet.one_time.put(_reply_file(entry.sn), _PendingReply(draft.a_D.encode(), reply).encode())
        draft.wipe()
        replying = msgspec.structs.replace(entry, state=REPLYING, reply_tx=reply.tx_hash())
        self._set(replying)
        return self._finish_reply(replying)

    def _finish_reply(self, entry: SlotEntry) -> Treated:
        pending = _PendingReply.decode(self._wallet.one_time.get(_reply_file(entry.sn)))
        reply = pending.reply
        with self.times.phase("chain-2"):
            committed = self._ledger.find(reply.tx_hash()) or self._submit_reply(entry, reply)
        with self.times.phase("storage-2"):
            self._check_stored(reply, decode_scalar(pending.a_D, "a_D"), committed.height)
        # reply, step 7: from here on long-term keys open nothing of this consultation
        self._erase_slot(entry.sn, REPLIED)
        return Treated(reply.h1.hex()[:16], entry.sn, reply.h1, reply.tx_hash(), committed.height)

    def _submit_reply(self, entry: SlotEntry, reply: ConsultationReply) -> CommittedTransaction:
        try:
            return self._ledger.submit(reply.encode())
        except Refused:
            # it will never be accepted: another answer is on the ledger, or it came too late and must be made anew
            answer = self._ledger.answer(reply.h1)
            if answer is None:
                self._wallet.one_time.erase(_reply_file(entry.sn))
                self._set(msgspec.structs.replace(entry, state=TAKEN, reply_tx=None))
            else:
                self._erase_slot(entry.sn, DECLINED if answer.declined else REPLIED)
            raise

    def _check_stored(self, reply: ConsultationReply, a_D: Scalar, height: int) -> None:
        sealed = self._bodies.storage_receipt(reply.tx_hash())
        W_C = self._ledger.member_key("cloud", reply.U.cloud)
        expected = StorageReceipt(
            reply.PID2, reply.A_D, reply.ID_D, height, reply.tx_hash(), reply.digest, reply.size_bytes, reply.U.cloud, bytes(64)
        )
        open_storage_receipt(self._ledger.network, sealed, a_D, W_C, reply.tx_hash(), expected)

    def decline(self, id_: str, reason: str, note: str = "") -> None:
        """Decline a request, signed, with a reason code; then erase the slot's key (appointments, step 4)."""
        entry = self._entry(id_)
        assert entry.request_tx is not None
        message = decline_request(self._ledger.network, self._key, entry.sn, entry.request_tx, reason, note, self._random)
        self._ledger.submit(message.encode())
        self._erase_slot(entry.sn, DECLINED)

    def resume(self) -> list[Treated]:
        """Finish replies that were under way; one that is refused is to be treated again, as the queue says."""
        self._ledger.refresh()
        self._finish_publishing()
        done = []
        for entry in self._wallet.content.slots:
            if entry.state == REPLYING:
                with contextlib.suppress(Refused, TransportError):  # tried again at the next start
                    done.append(self._finish_reply(entry))
        return done

    # --- the wallet's slots ---

    def _entry(self, id_: str) -> SlotEntry:
        for entry in self.slots():
            if entry.request_tx is not None and entry.request_tx.hex().startswith(id_) and id_:
                return entry
        raise Refused("unknown-request", f"no request {id_} for {self.name}; list them with: salus consultation queue")

    def _set(self, entry: SlotEntry) -> None:
        self._wallet.update(lambda c: c.with_slots([entry]))

    def _erase_slot(self, sn: int, state: str) -> None:
        """Erase e_sn and a_D, then say so."""
        self._wallet.one_time.erase(_reply_file(sn))
        self._wallet.one_time.erase(_slot_file(sn))
        for entry in self._wallet.content.slots:
            if entry.sn == sn:
                self._set(msgspec.structs.replace(entry, state=state))


def _slot_file(sn: int) -> str:
    return f"slot-{sn}"


def _reply_file(sn: int) -> str:
    return f"reply-{sn}"
