"""A patient's terminal: enrols, keeps credentials, asks doctors, checks their replies, erases.

Steps: docs/protocol/consultation.md. Whatever is needed to go on after an interruption is durable before the message that
needs it leaves; :meth:`PatientTerminal.resume` finishes what was under way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from salus.consultation.credentials import Credential
from salus.consultation.receipts import StorageReceipt, check_upload, open_storage_receipt
from salus.consultation.registration import quarter_of
from salus.consultation.reply import CheckedReply, ConsultationReply, check_reply
from salus.consultation.request import ConsultationRequest, PendingRequest, RequestContext, RequestDraft
from salus.errors import Refused
from salus.files import make_private_directory, read_bounded, write_atomic
from salus.ledger.client import LedgerClient
from salus.ledger.quarters import quarter_accepted
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from salus.records.digest import BodySummary
from salus.records.payload import PayloadHeader, ReplyHeader, safe_file_name
from salus.symmetric import Random
from salus.terminal.bodies import OUTGOING, BodyTransfer, Payload, Progress, no_progress
from salus.terminal.centre_client import CentreClient
from salus.terminal.membership import CREDENTIALS_A_CALL, Membership
from salus.terminal.phases import PhaseTimes
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import IN_USE, SPENT, ConsultationEntry

SENT: Final = "sent"
STORED: Final = "stored"
ANSWERED: Final = "answered"
DECLINED: Final = "declined"
FAILED: Final = "failed"
UNREADABLE: Final = "unreadable"
OPEN_STATES: Final = (SENT, STORED)

SLOT_RACES_MAX: Final = 8
"""Lost races in one request before the patient is told; each costs a credential."""
_HOUR_MS: Final = 3600 * 1000
_RETRY: Final = frozenset({"slot-taken", "slot-closed", "unknown-slot", "wrong-epoch", "used-key"})
"""Refusals after which the next slot and the next credential are tried."""


class Diagnosis(msgspec.Struct, frozen=True):
    """A checked reply.

    :ivar path: the file below ``received/``. :ivar reply_tx: hash of Transaction 2.
    """

    id: str
    doctor: str
    sn: int
    path: Path
    media_type: str
    file_name: str
    time_ms: int
    reply_tx: bytes


class PatientTerminal:
    """One patient on one device.

    :param wallet: the open wallet (role patient).
    :param now_ms: clock, UTC milliseconds. All expiry is block time; the clock says what a block made now would be stamped.
    """

    def __init__(
        self,
        wallet: Wallet,
        ledger: LedgerClient,
        centre: CentreClient,
        bodies: BodyTransfer,
        now_ms: Callable[[], int],
        random: Random,
    ) -> None:
        self._wallet = wallet
        self._ledger = ledger
        self._membership = Membership(wallet, ledger, centre, random)
        self._bodies = bodies
        self._now_ms = now_ms
        self._random = random
        self._outgoing = wallet.directory / OUTGOING
        self.times = PhaseTimes()

    # --- enrolment and credentials ---

    @property
    def enrolled(self) -> bool:
        """Whether the centre has stated this patient's enrolment key."""
        return self._membership.enrolled

    def enrol(self, code: str) -> None:
        """Enrol with the code that the centre handed out in person; see :meth:`Membership.enrol`."""
        self._membership.enrol(code)

    def renew(self, count: int = CREDENTIALS_A_CALL, quarter: int | None = None) -> int:
        """Get credentials of a quarter (this one unless given); see :meth:`Membership.renew`."""
        return self._membership.renew(quarter_of(self._time_ms) if quarter is None else quarter, count)

    # --- request ---

    def request(
        self, doctor: str, day: str, path: Path, *, measured_ms: int | None = None, progress: Progress = no_progress
    ) -> ConsultationEntry:
        """Send a file to a doctor for one of the free slots of a day (phase 6), and wait until it is stored (phases 7 and 8).

        A lost slot race means all of it again with the next slot and the next credential.

        :raises Refused: ``unknown-party``, ``no-free-slot``, ``quota`` (no credential), ``revoked``, and what nodes refuse.
        :raises TransportError: the outcome is not known yet; :meth:`resume` finds out.
        """
        lost: Refused | None = None
        for _ in range(SLOT_RACES_MAX):
            self._ledger.refresh()
            try:
                with Payload(path) as payload:
                    self._bodies.check_room(payload)
                    entry, request = self._prepare(doctor, day, payload, measured_ms, progress)
                return self._submit(entry, request)
            except Refused as refused:
                if refused.reason not in _RETRY:
                    raise
                lost = refused
        raise Refused("no-free-slot", f"{SLOT_RACES_MAX} slots in a row were lost to others ({lost}); try again later")

    def _prepare(
        self, doctor: str, day: str, payload: Payload, measured_ms: int | None, progress: Progress
    ) -> tuple[ConsultationEntry, ConsultationRequest]:
        ledger = self._ledger
        W_D = ledger.member_key("doctor", doctor)
        free = ledger.free_slots(doctor, day)
        if not free:
            raise Refused("no-free-slot", f"{doctor} has no free slot on {day}; try another day: salus doctor list")
        slot = free[int.from_bytes(self._random(8), "big") % len(free)]
        epoch = ledger.epoch()
        credential = self._take_credential()
        context = RequestContext(epoch.number, epoch.pk_BC, W_D, slot.E)
        valid_until = valid_until_ms(self._time_ms, ledger.constants.valid_until_max_ms)
        with self.times.phase("request"):
            draft = RequestDraft.begin(ledger.domain, credential, doctor, slot.sn, context, valid_until, self._random)
        header = PayloadHeader(
            credential.pid, measured_ms or self._now_ms(), payload.media_type, payload.file_name, payload.size_bytes
        )
        keep_until = valid_until + ledger.constants.retention_ms + 60_000
        with self.times.phase("upload-1"):
            sealed, receipt = self._bodies.send(header, payload, draft.body_key, draft.body_context, keep_until, progress)
            W_C = ledger.member_key("cloud", receipt.cloud)
            check_upload(ledger.network, receipt, sealed.body.digest, sealed.body.size_bytes, W_C)
        with self.times.phase("request"):
            request, pending = draft.finish(sealed.body.digest, sealed.body.size_bytes, receipt, sealed.m_pa_digest, self._random)
        id_ = request.tx_hash().hex()[:16]
        entry = ConsultationEntry(
            id=id_,
            state=SENT,
            doctor=doctor,
            day=day,
            sn=slot.sn,
            tx_hash=request.tx_hash(),
            nullifier=request.nf,
            quarter=credential.quarter,
            index=credential.index,
            deadline_ms=valid_until,
            body_digest=request.digest,
            body_size_bytes=request.size_bytes,
            file_name=safe_file_name(payload.file_name),
        )
        # all that the check-up and a repetition need is durable before the transaction leaves; what left before (the encrypted
        # body) names no credential, so an attempt that was interrupted until here has used none
        make_private_directory(self._outgoing)
        write_atomic(self._outgoing / id_, request.encode())
        self._wallet.one_time.put(_one_time(id_), pending.export_secret())
        number = (credential.quarter, credential.index)
        self._wallet.update(lambda c: c.with_credential_state(*number, IN_USE).with_consultation(entry))
        return entry, request

    @property
    def _time_ms(self) -> int:
        """About when a block made now is stamped: no blocks come while nothing happens, so the newest may be days old."""
        return max(self._ledger.time_ms, self._now_ms())

    def _take_credential(self) -> Credential:
        """An unused credential of this quarter, else of the one before while its grace lasts, else a new one."""
        quarter, constants = quarter_of(self._time_ms), self._ledger.constants
        accepted = [q for q in (quarter, quarter - 1) if quarter_accepted(q, self._time_ms, constants)]
        unused = [c for q in accepted for c in self._wallet.content.unused_credentials(q)]
        if not unused:
            self.renew(quarter=quarter)
            unused = list(self._wallet.content.unused_credentials(quarter))
        return Credential.from_secret(unused[0].secret)

    def _submit(self, entry: ConsultationEntry, request: ConsultationRequest) -> ConsultationEntry:
        try:
            with self.times.phase("chain-1"):
                committed = self._ledger.submit(request.encode())
        except Refused:
            self._close(entry, FAILED)
            raise
        with self.times.phase("storage-1"):
            return self._stored(entry, request, committed.height)

    def _stored(self, entry: ConsultationEntry, request: ConsultationRequest, height: int) -> ConsultationEntry:
        """Check the storage receipt (storage, step 5); only then is the request called stored."""
        pending = self._pending(entry.id)
        sealed = self._bodies.storage_receipt(entry.tx_hash)
        W_C = self._ledger.member_key("cloud", request.U.cloud)
        expected = StorageReceipt(
            request.PID1,
            request.A,
            request.ID_D,
            height,
            entry.tx_hash,
            request.digest,
            request.size_bytes,
            request.U.cloud,
            bytes(64),
        )
        open_storage_receipt(self._ledger.network, sealed, pending.a, W_C, entry.tx_hash, expected)
        stored = self._set_state(entry, STORED)
        (self._outgoing / entry.id).unlink(missing_ok=True)
        return stored

    # --- checking up ---

    def replies(self) -> list[ConsultationEntry]:
        """All consultations of this wallet, after a look at the ledger for replies and declines."""
        self._ledger.refresh()
        for entry in self._wallet.content.consultations:
            if entry.state in OPEN_STATES:
                self._look(entry)
        return list(self._wallet.content.consultations)

    def has_reply(self, entry: ConsultationEntry) -> bool:
        """Whether a reply to this open consultation is on the ledger."""
        answer = self._ledger.answer(entry.tx_hash)
        return answer is not None and answer.reply_tx is not None

    def _look(self, entry: ConsultationEntry) -> None:
        answer = self._ledger.answer(entry.tx_hash)
        if answer is not None and answer.declined:
            self._close(entry, DECLINED)
        elif answer is None and self._ledger.time_ms > entry.deadline_ms + self._ledger.constants.answer_ms:
            # a fixed time after valid_until: nobody answers any more (check-up, step 6)
            self._close(entry, FAILED)
        elif not self._wallet.one_time.has(_one_time(entry.id)):
            self._set_state(entry, UNREADABLE)

    def read(self, id_: str, progress: Progress = no_progress) -> Diagnosis:
        """Check the reply to a consultation and open it (phase 12); then erase the one-time keys.

        :raises Refused: ``not-committed`` while there is no reply; ``erased`` if it was read before; every check.
        """
        entry = self._wallet.content.consultation(id_)
        self._ledger.refresh()
        answer = self._ledger.answer(entry.tx_hash)
        if answer is not None and answer.declined:
            self._look(entry)
            raise Refused("already-answered", f"{entry.doctor} declined {id_}: {answer.declined}")
        self._require_keys(entry.id)
        if answer is None or answer.reply_tx is None:
            raise Refused("not-committed", f"{entry.doctor} has not replied to {id_} yet; try again later")
        found = self._ledger.transaction(answer.reply_tx)
        with self.times.phase("checking-up"):
            return self.check(entry, ConsultationReply.decode(found.raw), found.hash, progress)

    def check(
        self, entry: ConsultationEntry, reply: ConsultationReply, proven_tx: bytes, progress: Progress = no_progress
    ) -> Diagnosis:
        """Check-up, steps 2 to 6, of a reply whose inclusion was proven."""
        pending = self._pending(entry.id)
        checked: CheckedReply = check_reply(self._ledger.network, pending, reply, proven_tx)
        summary = BodySummary.of(reply.digest, reply.size_bytes)
        name = f"{entry.id}-{entry.doctor.replace('/', '_')}-reply"
        opened, path = self._bodies.receive(
            summary,
            checked.body_key,
            checked.body_context,
            ReplyHeader,
            lambda header: checked.check_payload(header.m_pa_digest),
            name,
            progress,
        )
        header = opened.header
        self._close(entry, ANSWERED)
        pending.wipe()
        return Diagnosis(
            entry.id, entry.doctor, entry.sn, path, header.media_type, header.file_name, header.time_ms, reply.tx_hash()
        )

    # --- going on after an interruption ---

    def resume(self) -> list[ConsultationEntry]:
        """Finish what was under way: requests whose outcome was not known, receipts not yet checked.

        A request that no node has seen is sent again, as the same bytes; one that is refused now has failed.
        """
        self._ledger.refresh()
        done = []
        for entry in self._wallet.content.consultations:
            if entry.state != SENT:
                continue
            placed = self._ledger.find_request(entry.tx_hash)
            path = self._outgoing / entry.id
            if placed is not None:
                found = self._ledger.transaction(entry.tx_hash)
                with contextlib.suppress(Refused):  # the cloud has no receipt for it (yet): asked again the next time
                    done.append(self._stored(entry, ConsultationRequest.decode(found.raw), found.height))
            elif self._ledger.time_ms > entry.deadline_ms:
                self._close(entry, FAILED)  # proven: it was not committed in time, and never will be
            elif path.exists():
                request = ConsultationRequest.decode(read_bounded(path, MAX_TRANSACTION_BYTES, "an outgoing request"))
                with contextlib.suppress(Refused):  # its state says so: failed
                    done.append(self._submit(entry, request))
        self._drop_orphans()
        return done

    def _drop_orphans(self) -> None:
        """What a request left that was interrupted before it was complete; it was never sent."""
        open_ = {(c.quarter, c.index) for c in self._wallet.content.consultations if c.state in OPEN_STATES}
        for entry in self._wallet.content.credentials:
            number = (entry.quarter, entry.index)
            if entry.state == IN_USE and number not in open_:
                self._wallet.update(lambda c, n=number: c.with_credential_state(*n, SPENT))  # type: ignore[misc]
        known = {_one_time(c.id) for c in self._wallet.content.consultations if c.state in OPEN_STATES}
        for name in self._wallet.one_time.names():
            if name.startswith("consultation-") and name not in known:
                self._wallet.one_time.erase(name)
        for path in self._outgoing.iterdir() if self._outgoing.is_dir() else []:
            if _one_time(path.name) not in known:
                path.unlink(missing_ok=True)

    def _close(self, entry: ConsultationEntry, state: str) -> None:
        """Erase a, g, x, y, s and everything derived from them, then say so (check-up, step 6)."""
        self._wallet.one_time.erase(_one_time(entry.id))
        (self._outgoing / entry.id).unlink(missing_ok=True)
        closed = msgspec.structs.replace(entry, state=state)
        self._wallet.update(lambda c: c.with_credential_state(entry.quarter, entry.index, SPENT).with_consultation(closed))

    def _set_state(self, entry: ConsultationEntry, state: str) -> ConsultationEntry:
        changed = msgspec.structs.replace(entry, state=state)
        self._wallet.update(lambda c: c.with_consultation(changed))
        return changed

    def _require_keys(self, id_: str) -> None:
        if not self._wallet.one_time.has(_one_time(id_)):
            raise Refused("erased", f"the one-time keys of {id_} are gone (read before, or restored from a backup)")

    def _pending(self, id_: str) -> PendingRequest:
        self._require_keys(id_)
        return PendingRequest.from_secret(self._wallet.one_time.get(_one_time(id_)))


def valid_until_ms(time_ms: int, ahead_max_ms: int) -> int:
    """Until when a request made at ``time_ms`` is valid: a full hour, or a tenth of the longest time, whichever is shorter.

    It is public and stands in two requests of one patient; in milliseconds it would tell a device by how its clock is off.

    :param ahead_max_ms: how far ahead it may lie.
    """
    step = max(1, min(_HOUR_MS, ahead_max_ms // 10))
    return (time_ms + ahead_max_ms * 9 // 10) // step * step


def _one_time(id_: str) -> str:
    return f"consultation-{id_}"
