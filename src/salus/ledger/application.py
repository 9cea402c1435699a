"""The ledger behind the engines' interface: trial application, commit, queries, snapshots."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from salus._native import MerkleMap
from salus.consensus.interface import ApplicationInfo, BlockInput, BlockVerdict, CheckResult, FinalisedBlock
from salus.errors import ConsensusError, Refused, StorageError
from salus.ledger import answers, history, snapshots
from salus.ledger.apply import AppliedBlock, BlockRun, InvalidBlock, application_hash, apply_block
from salus.ledger.committed import CommittedBlock, CommittedState, SecretChecker
from salus.ledger.decoded import DecodedTransactions
from salus.ledger.genesis import NETWORK, Genesis, initial_writes
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.merkle_log import EMPTY_LOG
from salus.ledger.merkle_map import value_digest
from salus.ledger.signatures import AnyClaim, VerifiedClaims, failing_claims
from salus.ledger.state import StateView, Write
from salus.ledger.storage.interface import BlockRow, Head, LedgerStore
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.transactions import Registry, Transaction

VERSIONS_KEPT: Final = 20
"""Versions of the map that proofs can be made against; the protocol promises sixteen. Each pins the paths it changed."""
TRIALS_KEPT: Final = 4
"""Trial results of blocks at the next height: the own proposal, and those of a few views."""


class _Finalised(msgspec.Struct, frozen=True):
    block: BlockInput
    applied: AppliedBlock
    head: Head


class LedgerApplication:
    """Implements :class:`salus.consensus.interface.Application`.

    :param store: this node's storage; an empty one is started from ``genesis``.
    :param secrets: secret checks; without them only public checks run (followers, replay).
    :param registry: transaction kinds of this release.
    :raises DamagedFile: the store does not hold what its own application hash says.
    :raises StorageError: the store belongs to another network.
    """

    def __init__(
        self,
        store: LedgerStore,
        genesis: Genesis,
        secrets: SecretChecker | None = None,
        registry: Registry = REGISTRY,
    ) -> None:
        self.genesis = genesis
        self.network = genesis.network()
        self.store = store
        self.registry = registry
        self._secrets = secrets
        self._verified = VerifiedClaims()
        self._decoded = DecodedTransactions(registry)
        self._trials: OrderedDict[BlockInput, AppliedBlock] = OrderedDict()
        self._finalised: _Finalised | None = None
        self._listeners: list[Callable[[CommittedBlock], None]] = []
        self._view: CommittedState
        head = store.head()
        if head is None:
            head = self._start()
        self._tree = answers.load_tree(store, head, VERSIONS_KEPT)
        self._set_head(head)
        self._check_network()

    @classmethod
    def open(
        cls, directory: Path, genesis: Genesis, secrets: SecretChecker | None = None, registry: Registry = REGISTRY, *,
        every_commit_durable: bool = True,
    ) -> LedgerApplication:  # fmt: skip
        """Open the ledger kept in a directory, or start it there from genesis.

        :param every_commit_durable: False for a follower, which promises nobody to keep a block (docs/adr/0261-followers.md).
        :raises DamagedFile: something on disk was altered or truncated.
        :raises StorageError: the disk is full, or the directory belongs to another network.
        """
        from salus.ledger.storage.sqlite import SqliteStore

        store = SqliteStore.open_or_create(directory, every_commit_durable=every_commit_durable)
        try:
            return cls(store, genesis, secrets, registry)
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Release the store; everything committed is durable already."""
        self.store.close()

    def listen(self, listener: Callable[[CommittedBlock], None]) -> None:
        """Call ``listener`` after every commit."""
        self._listeners.append(listener)

    # --- the engine's interface ---

    def info(self) -> ApplicationInfo:
        """The last completed commit."""
        return ApplicationInfo(self._head.height, self._head.application_hash, self._head.time_ms)

    def check_transactions(self, transactions: Sequence[bytes], time_ms: int) -> list[CheckResult]:
        """Pool admission of a batch against the committed state: public and secret checks, signatures in one batch."""
        run = BlockRun(self.registry, self.view(), self._empty_block(time_ms))
        refusals: list[Refused | None] = [None] * len(transactions)
        decoded: list[Transaction[Any] | None] = [None] * len(transactions)
        claims: list[AnyClaim] = []
        owners: list[int] = []
        for index, raw in enumerate(transactions):
            try:
                decoded[index] = tx = self._decoded.decode(raw)
                found = run.check(tx)
            except Refused as refusal:
                refusals[index] = refusal
                continue
            claims += found
            owners += [index] * len(found)
        for failing in reversed(failing_claims(claims, self._verified)):
            refusals[owners[failing]] = claims[failing].refusal()
        passing = [i for i, refusal in enumerate(refusals) if refusal is None]
        for index, secret in zip(passing, self._secret_refusals([decoded[i] for i in passing], time_ms), strict=True):
            refusals[index] = secret
        return [self._result(tx, verdict) for tx, verdict in zip(decoded, refusals, strict=True)]

    def prepare_proposal(
        self,
        height: int,
        time_ms: int,
        proposer: str,
        missed: tuple[str, ...],
        misbehaviour: tuple[bytes, ...],
        transactions: Sequence[bytes],
        max_bytes: int,
    ) -> list[bytes]:
        """Choose transactions by trial application, in the given order; those that fail are left out."""
        candidates = self._candidates(transactions, time_ms)
        while True:
            chosen, claims, owners, run = self._try_block(
                BlockInput(height, time_ms, proposer, missed, misbehaviour, ()), candidates, max_bytes
            )
            failing = {owners[i] for i in failing_claims(claims, self._verified)}
            if not failing:
                break
            # A bad signature: everything behind it was tried in a state that it changed.
            candidates = [tx for tx in candidates if tx.hash not in failing]
        block = BlockInput(height, time_ms, proposer, missed, misbehaviour, tuple(tx.raw for tx in chosen))
        self._keep_trial(block, run.finish())
        return [tx.raw for tx in chosen]

    def validate_proposal(self, block: BlockInput, *, secret_checks: bool) -> BlockVerdict:
        """Whether this replica may vote for the block."""
        if block.height != self._head.height + 1 or block.time_ms <= self._head.time_ms:
            detail = f"height {block.height} at {block.time_ms} after height {self._head.height} at {self._head.time_ms}"
            return BlockVerdict(False, "bad-time", detail)
        try:
            self._trial(block)
        except InvalidBlock as invalid:
            return BlockVerdict(False, invalid.reason, invalid.detail)
        if secret_checks:
            transactions = [self._decoded.decode(raw) for raw in block.transactions]
            for index, refusal in enumerate(self._secret_refusals(transactions, block.time_ms)):
                # Without theta this node cannot tell; those that hold it refuse a bad envelope.
                if refusal is not None and refusal.reason != "no-shared-value":
                    return BlockVerdict(False, refusal.reason, f"transaction {index}: {refusal.detail}")
        return BlockVerdict(True)

    def finalise_block(self, block: BlockInput) -> FinalisedBlock:
        """Apply a decided block; nothing is durable yet.

        :raises ConsensusError: the block does not follow, or fails public checks although a quorum decided it.
        """
        done = self._finalised
        if done is None or done.block != block:
            done = self._finalise(block)
            self._finalised = done
        applied, head = done.applied, done.head
        changed = head.application_hash != self._head.application_hash
        return FinalisedBlock(head.application_hash, applied.results, applied.validator_updates, changed)

    def commit(self, block_record: bytes, certificate: bytes) -> None:
        """Make the finalised block durable in one atomic step.

        :raises StorageError: nothing was committed (disk full); the same commit may be tried again.
        """
        done = self._finalised
        if done is None:
            raise ConsensusError("commit without a finalised block")
        applied = done.applied
        self.store.append(
            BlockRow(done.head, block_record, certificate, applied.transaction_hashes, applied.log_leaves, applied.writes)
        )
        self._finalised = None
        self._trials.clear()
        for raw in done.block.transactions:
            self._decoded.forget(raw)
        self._head = done.head
        self._view = self._view.after(done.head.height, applied.writes)
        committed = CommittedBlock(done.block, applied, done.head.application_hash)
        for listener in self._listeners:
            listener(committed)

    def kept_from(self) -> int:
        """Lowest height whose block is here whole; everything from there on is."""
        return answers.kept_from(self.store, self._head.height)

    def block_record(self, height: int) -> tuple[bytes, bytes] | None:
        """The engine's (block record, certificate), or None if unknown or pruned."""
        stored = self.store.block(height) if height > 0 else None
        return None if stored is None or stored.pruned else (stored.record, stored.certificate)

    def query(self, path: str, data: bytes) -> bytes:
        """Answer a question of :mod:`salus.ledger.queries`.

        :raises Refused: ``not-found``, ``not-committed``, ``pruned``, ``bad-encoding``.
        """
        return answers.answer(self, path, data)

    def snapshot(self) -> bytes:
        """Snapshot of the last committed state (:mod:`salus.ledger.snapshots`)."""
        return b"".join(snapshots.write(self.network, self._head, self.store.leaves()))

    def restore(self, snapshot: bytes, application_hash: bytes, height: int, time_ms: int) -> None:
        """Replace the genesis state by a snapshot; again, while no block was committed since.

        Height and time are the snapshot's own words, which the application hash does not cover; so they are compared.

        :param application_hash: as a stable checkpoint carries it for the snapshot's height.
        :param height: of the block after which it was taken, and ``time_ms`` of its certified header.
        :raises Refused: ``bad-encoding``, ``bad-proof`` if the snapshot is not of that state.
        :raises StorageError: this node has committed blocks already.
        """
        head = snapshots.check(snapshot, self.network, application_hash, height, time_ms)
        self.store.restore(head, snapshots.leaves(snapshot))
        self._tree = answers.load_tree(self.store, head, VERSIONS_KEPT)
        self._trials.clear()
        self._finalised = None
        self._set_head(head)

    def import_log(self, leaf_hashes: Iterable[bytes]) -> None:
        """Fill in the log leaves in front of the snapshot that this node started from.

        :param leaf_hashes: of the whole log from its first entry on, at least up to the snapshot.
        :raises Refused: ``bad-proof`` if they are not the leaves of this log; nothing has changed then.
        """
        history.fill_log(self.store, self._head.log, leaf_hashes)

    # --- for the node ---

    def view(self) -> StateView:
        """The committed state."""
        return self._view

    def head(self) -> Head:
        """The last committed block."""
        return self._head

    def tree(self) -> MerkleMap:
        """The map over the state, with its last versions; read-only for callers."""
        return self._tree

    def position(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, index) of a committed transaction."""
        return self.store.position(tx_hash)

    def transaction(self, raw: bytes) -> Transaction[Any]:
        """A decoded transaction.

        :raises Refused: ``bad-encoding``, ``unknown-kind``, ``too-large``.
        """
        return self._decoded.decode(raw)

    def prune(self, limit: int = 64, keep_ms: int = 0) -> int:
        """Drop bodies of at most ``limit`` blocks older than ``keep_ms`` and the evidence window; returns how many."""
        horizon = self._head.time_ms - max(keep_ms, self.genesis.core.constants.evidence_window_ms)
        low, high = 1, self._head.height
        while low < high:
            middle = (low + high) // 2
            stored = self.store.block(middle)
            if stored is None or stored.head.time_ms < horizon:
                low = middle + 1
            else:
                high = middle
        return self.store.prune(low, limit)

    # --- inside ---

    def _start(self) -> Head:
        """Commit genesis as block 0."""
        self.genesis.verify()
        writes = initial_writes(self.genesis)
        tree = MerkleMap(1)
        root = tree.update(0, _digests(writes))
        core = self.genesis.core
        head = Head(0, core.time_ms, application_hash(EMPTY_LOG.count, EMPTY_LOG.root(), root), EMPTY_LOG)
        self.store.append(BlockRow(head, self.genesis.encode(), b"", (), (), writes))
        return head

    def _check_network(self) -> None:
        network = NETWORK.need(self._view, b"")
        if network.genesis_hash != self.genesis.hash():
            raise StorageError("this ledger was started from another genesis: it belongs to another network")

    def _set_head(self, head: Head) -> None:
        self._head = head
        self._view = CommittedState(self.store, self._tree, head.height)

    def _result(self, tx: Transaction[Any] | None, refusal: Refused | None) -> CheckResult:
        if tx is None or refusal is not None:
            return CheckResult(tx.hash if tx else b"", *((refusal.reason, refusal.detail) if refusal else ("internal", "")))
        return CheckResult(tx.hash, spends=self.registry.spends(tx.message))

    def _empty_block(self, time_ms: int) -> BlockInput:
        return BlockInput(self._head.height + 1, max(time_ms, self._head.time_ms + 1), "", (), (), ())

    def _secret_refusals(self, transactions: Sequence[Transaction[Any] | None], time_ms: int) -> list[Refused | None]:
        refusals: list[Refused | None] = [None] * len(transactions)
        if self._secrets is None:
            return refusals
        places = [i for i, tx in enumerate(transactions) if tx is not None and self.registry.is_anonymous(tx.message)]
        if places:
            asked = [tx for i in places if (tx := transactions[i]) is not None]
            for place, refusal in zip(places, self._secrets.check(self._view, time_ms, asked), strict=True):
                refusals[place] = refusal
        return refusals

    def _candidates(self, transactions: Sequence[bytes], time_ms: int) -> list[Transaction[Any]]:
        """What a proposer may try: decodes, and passes the secret checks in the state in front of the block."""
        decoded: list[Transaction[Any]] = []
        for raw in transactions:
            try:
                decoded.append(self._decoded.decode(raw))
            except Refused:
                continue  # dropped: the pool took it under an older version
        refusals = self._secret_refusals(decoded, time_ms)
        return [tx for tx, refusal in zip(decoded, refusals, strict=True) if refusal is None]

    def _try_block(
        self, block: BlockInput, candidates: Sequence[Transaction[Any]], max_bytes: int
    ) -> tuple[list[Transaction[Any]], list[AnyClaim], list[bytes], BlockRun]:
        run = BlockRun(self.registry, self._view, block)
        chosen: list[Transaction[Any]] = []
        claims: list[AnyClaim] = []
        owners: list[bytes] = []
        size = sum(map(len, block.misbehaviour))
        for tx in candidates:
            if size + len(tx.raw) > max_bytes:
                continue
            try:
                found = run.add(tx)
            except Refused:
                continue  # dropped: something in front of it in this block took its place
            size += len(tx.raw)
            chosen.append(tx)
            claims += found
            owners += [tx.hash] * len(found)
        return chosen, claims, owners, run

    def _trial(self, block: BlockInput) -> AppliedBlock:
        applied = self._trials.get(block)
        if applied is None:
            applied = apply_block(self.registry, self._view, block, self._decoded.decode, self._verified)
            self._keep_trial(block, applied)
        return applied

    def _keep_trial(self, block: BlockInput, applied: AppliedBlock) -> None:
        self._trials[block] = applied
        if len(self._trials) > TRIALS_KEPT:
            self._trials.popitem(last=False)

    def _finalise(self, block: BlockInput) -> _Finalised:
        if block.height != self._head.height + 1:
            raise ConsensusError(f"block {block.height} does not follow the committed height {self._head.height}")
        if self._finalised is not None:
            raise ConsensusError(f"two blocks were decided at height {block.height}")
        try:
            applied = self._trial(block)
        except InvalidBlock as refusal:
            raise ConsensusError(f"decided block {block.height} fails public checks: {refusal}") from None
        root = self._tree.update(block.height, _digests(applied.writes))
        log = self._head.log.extended(applied.log_leaves)
        hash_after = application_hash(log.count, log.root(), root)
        return _Finalised(block, applied, Head(block.height, block.time_ms, hash_after, log))


def _digests(writes: Sequence[Write]) -> list[tuple[bytes, bytes | None]]:
    return [(key, None if value is None else value_digest(value)) for key, value in writes]


def replayed(genesis: Genesis, registry: Registry = REGISTRY) -> LedgerApplication:
    """An application in memory that keeps no blocks: to replay a chain by public checks alone."""
    return LedgerApplication(MemoryStore(keep_blocks=False), genesis, None, registry)
