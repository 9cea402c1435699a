"""One replica at work: the pure replica, its vote log and its application; bytes in, bytes out.

The runner knows no socket and no thread. Whoever drives it delivers encoded messages, calls :meth:`ReplicaRunner.work`
when there is something to do or the timer is due, and carries :attr:`ReplicaRunner.outbox` to the peers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from salus.consensus.interface import Application
from salus.consensus.pbft.crypto import Signer, Verifier
from salus.consensus.pbft.durable import MAX_LOG_BYTES, VoteLog
from salus.consensus.pbft.events import (
    Action,
    BlocksRead,
    Broadcast,
    Checked,
    CheckTransactions,
    CommitBlock,
    Event,
    FinaliseBlock,
    Finalised,
    Halt,
    Persist,
    Persisted,
    PrepareProposal,
    ProposalPrepared,
    ReadBlocks,
    Received,
    Restored,
    RestoreSnapshot,
    Send,
    SetTimer,
    SnapshotTaken,
    Stored,
    Submitted,
    TakeSnapshot,
    Tick,
    Validated,
    ValidateProposal,
)
from salus.consensus.pbft.records import decode_record, live_records
from salus.consensus.pbft.replica import start, step
from salus.consensus.pbft.restart import restore_state
from salus.consensus.pbft.rules import Rules
from salus.consensus.pbft.state import Config, State
from salus.errors import ConsensusError, Refused, StorageError

MAX_BATCH_MESSAGES: Final = 256
"""Messages taken in one step, so that their signatures are one batch and no batch delays the timer for long."""
MAX_INBOX: Final = 16_384
"""Messages waiting; beyond that new ones are dropped, and come again."""
MAX_INBOX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of them: their signatures are not checked yet, so anyone may have sent them. Ten of the largest blocks."""

Listener = Callable[[Action], None]


def _ignore(_action: Action) -> None:
    """News nobody listens to."""


class ReplicaRunner:
    """One replica with its storage and application.

    :param application: called from the thread that calls :meth:`work`, one call at a time.
    :param log: the vote log, opened.
    :param now_ms: the clock, UTC milliseconds.
    :param listener: hears the news (answers, receipts, commits, complaints, ..) as they happen.
    :raises DamagedFile: if vote log and block store do not fit together.
    """

    def __init__(
        self,
        config: Config,
        signer: Signer,
        application: Application,
        log: VoteLog,
        now_ms: Callable[[], int],
        verifier: Verifier | None = None,
        rules: Rules | None = None,
        listener: Listener = _ignore,
    ) -> None:
        self.name = config.name
        self.outbox: deque[tuple[str | None, bytes]] = deque()
        self.listener = listener
        self.error = ""
        self._application = application
        self._log = log
        self._now_ms = now_ms
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._events: deque[Event] = deque()
        self._unsynced = 0
        self._requests = 0
        self._timer_ms = 0
        self._ticked_ms = 0
        info = application.info()
        stored = application.block_record(info.height) if info.height else None
        records = [decode_record(data) for data in log.records]
        log.records = []
        self.state: State = restore_state(
            config, signer, verifier or Verifier(), rules or Rules(), now_ms(), info, stored, records
        )
        # What a cut log keeps is in memory: reading it back would cost a large network more the more it does.
        self._live = live_records(records, self.state.height)
        self._live_height = self.state.height
        self.state, actions = start(self.state)
        self._perform(actions)

    # --- what the driver calls ---

    @property
    def timer_ms(self) -> int:
        """When :meth:`work` is due even without messages (UTC milliseconds)."""
        return self._timer_ms

    def due(self, now_ms: int) -> bool:
        """Whether the timer is due, or the clock went back and timers must be set anew."""
        return not self.error and (now_ms >= self._timer_ms or now_ms < self._ticked_ms)

    @property
    def busy(self) -> bool:
        """Whether there is something to do now."""
        return not self.error and bool(self._inbox or self._events or self._unsynced)

    @property
    def height(self) -> int:
        """The last committed height."""
        return self.state.last.height

    def deliver(self, data: bytes) -> None:
        """An encoded message from another replica."""
        if len(self._inbox) < MAX_INBOX and self._inbox_bytes + len(data) <= MAX_INBOX_BYTES:
            self._inbox.append(data)
            self._inbox_bytes += len(data)

    def submit(self, transactions: Sequence[bytes]) -> int:
        """Transactions from this node's clients; the answer comes as an ``Answer`` with this number."""
        self._requests += 1
        self._events.append(Submitted(self._requests, tuple(transactions)))
        return self._requests

    def work(self) -> None:
        """Do everything there is to do now; then :attr:`outbox` holds what is to be sent."""
        if self.error:
            return
        now = self._ticked_ms = self._now_ms()
        self._events.appendleft(Tick(now))
        if self._inbox:
            count = min(len(self._inbox), MAX_BATCH_MESSAGES)
            taken = tuple(self._inbox.popleft() for _ in range(count))
            self._inbox_bytes -= sum(map(len, taken))
            self._events.append(Received(taken))
        try:
            while self._events and not self.error:
                self._step(self._events.popleft())
                if not self._events and self._unsynced and not self.error:
                    token, self._unsynced = self._unsynced, 0
                    self._log.sync()
                    self._events.append(Persisted(token))
            self._cut_log()
        except (StorageError, ConsensusError) as error:
            self._stop(str(error))

    # --- inside ---

    def _step(self, event: Event) -> None:
        self.state, actions = step(self.state, event)
        self._perform(actions)

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if self.error:
                return
            kind = type(action)
            call = self._CALLS.get(kind)
            if call is not None:
                call(self, action)
            else:
                if isinstance(action, Halt):
                    self._stop(action.error)
                self.listener(action)

    def _stop(self, error: str) -> None:
        self.error = error
        self.state.halted = error
        self._events.clear()
        self._inbox.clear()
        self._inbox_bytes = 0

    def _cut_log(self) -> None:
        if self._live_height != self.state.height:
            self._live_height = self.state.height
            self._live = live_records(self._live, self._live_height)
        if self._log.size_bytes > MAX_LOG_BYTES and not self._unsynced and not self.error:
            self._log.rewrite([record.encode() for record in self._live])

    def _persist(self, action: Persist) -> None:
        self._log.append(action.record.encode())
        self._live.append(action.record)
        self._unsynced = action.token

    def _send(self, action: Send) -> None:
        self.outbox.append((action.to, action.data))

    def _broadcast(self, action: Broadcast) -> None:
        self.outbox.append((None, action.data))

    def _set_timer(self, action: SetTimer) -> None:
        self._timer_ms = action.at_ms

    def _check(self, action: CheckTransactions) -> None:
        results = self._application.check_transactions(action.transactions, action.time_ms)
        self._events.append(Checked(action.check, tuple(results)))

    def _prepare(self, a: PrepareProposal) -> None:
        chosen = self._application.prepare_proposal(
            a.height, a.time_ms, a.proposer, a.missed, a.misbehaviour, a.transactions, a.max_bytes
        )
        self._events.append(ProposalPrepared(a.height, a.view, tuple(chosen)))

    def _validate(self, action: ValidateProposal) -> None:
        verdict = self._application.validate_proposal(action.block, secret_checks=action.secret_checks)
        self._events.append(Validated(action.block.height, action.view, action.block_id, verdict))

    def _finalise(self, action: FinaliseBlock) -> None:
        try:
            result = self._application.finalise_block(action.block)
        except Refused as refusal:
            raise ConsensusError(f"{self.name} cannot apply decided block {action.block.height}: {refusal}") from None
        self._events.append(Finalised(action.block.height, result))

    def _commit(self, action: CommitBlock) -> None:
        self._application.commit(action.record, action.certificate)
        self._events.append(Stored(action.height))

    def _read(self, action: ReadBlocks) -> None:
        blocks: list[tuple[bytes, bytes]] = []
        size = 0
        for height in range(action.height, action.height + action.count):
            found = self._application.block_record(height)
            if found is None or (blocks and size + len(found[0]) > action.max_bytes):
                break
            blocks.append(found)
            size += len(found[0])
        self._events.append(BlocksRead(action.peer, action.height, tuple(blocks)))

    def _snapshot(self, action: TakeSnapshot) -> None:
        current = self._application.info().height == action.height
        self._events.append(SnapshotTaken(action.height, self._application.snapshot() if current else b""))

    def _restore(self, action: RestoreSnapshot) -> None:
        error = ""
        before = self._application.info().height
        try:
            self._application.restore(action.data, action.application_hash, action.height, action.time_ms)
        except Refused as refusal:
            error = str(refusal)
        except StorageError as failure:
            hint = f"; it holds blocks up to {before}, and its peers have pruned those after: remove its ledger, keep its votes"
            raise StorageError(f"{self.name} cannot take a snapshot: {failure}{hint if before else ''}") from failure
        self._events.append(Restored(action.height, error))

    _CALLS: Final[dict[type, Any]] = {
        Persist: _persist,
        Send: _send,
        Broadcast: _broadcast,
        SetTimer: _set_timer,
        CheckTransactions: _check,
        PrepareProposal: _prepare,
        ValidateProposal: _validate,
        FinaliseBlock: _finalise,
        CommitBlock: _commit,
        ReadBlocks: _read,
        TakeSnapshot: _snapshot,
        RestoreSnapshot: _restore,
    }
