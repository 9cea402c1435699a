"""A toy application: enough state machine to find faults of the engine, small enough to run thousands of networks.

A transaction writes a key once. Its secret check fails if it says so, and a transaction can change the validator set.
The application hash chains everything that was ever applied, so any difference between two replicas shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

from salus.codec import Bytes32, Message, Name, Short, Size, decode, encode
from salus.consensus.block import Block
from salus.consensus.interface import (
    ApplicationInfo,
    BlockInput,
    BlockVerdict,
    CheckResult,
    FinalisedBlock,
    ValidatorUpdate,
)
from salus.consensus.pbft.durable import Disk, VoteLog
from salus.consensus.pbft.messages import hash_of
from salus.errors import CodecError, ConsensusError, Refused

GENESIS_HASH: Final = hashlib.sha256(b"toy genesis").digest()
BLOCKS: Final = "blocks.log"


class ToyUpdate(Message, frozen=True):
    """A validator update inside a transaction."""

    KIND = "toy.update"
    name: Name
    public_key: Bytes32
    power: int


class ToyTransaction(Message, frozen=True):
    """Write ``key`` once.

    :ivar sealed: 0 fails the secret check, anything else passes.
    :ivar updates: changes of the validator set.
    """

    KIND = "toy.put"
    key: Short
    value: Annotated[bytes, Size(0, 65536)]
    sealed: int
    updates: Annotated[tuple[ToyUpdate, ...], Size(0, 8)]


class _Trial:
    """State after a block, on top of the committed one."""

    def __init__(self, application_hash: bytes, keys: dict[bytes, bytes], updates: tuple[ValidatorUpdate, ...]) -> None:
        self.application_hash = application_hash
        self.keys = keys
        self.updates = updates


class ToyApplication:
    """See the module; implements :class:`salus.consensus.interface.Application`.

    :param disk: where its blocks are kept.
    :param keep_blocks: older blocks are pruned; None keeps all.
    :param upgrade_at: from this height on the application lacks the protocol version.
    :ivar secrets_fail: every secret check fails from now on.
    """

    def __init__(
        self, disk: Disk, keep_blocks: int | None = None, upgrade_at: int | None = None, genesis_time_ms: int = 0
    ) -> None:
        self._keep = keep_blocks
        self._upgrade_at = upgrade_at
        self._keys: dict[bytes, bytes] = {}
        self._hash = GENESIS_HASH
        self._height = 0
        self._time_ms = genesis_time_ms
        self._blocks: dict[int, tuple[bytes, bytes]] = {}
        self.secrets_fail = False
        self._trials: dict[BlockInput, _Trial] = {}
        self._finalised: tuple[BlockInput, _Trial] | None = None
        self._log = VoteLog(disk, BLOCKS)
        for entry in self._log.records:
            self._load(entry)

    # --- the interface ---

    def info(self) -> ApplicationInfo:
        """The last commit."""
        return ApplicationInfo(self._height, self._hash, self._time_ms)

    def check_transactions(self, transactions: Sequence[bytes], time_ms: int) -> list[CheckResult]:
        """Public and secret checks, each against the committed state."""
        return [self._check(data, self._keys, secret=True) for data in transactions]

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
        """Those that apply one after the other."""
        self._require_version(height)
        keys = dict(self._keys)
        chosen: list[bytes] = []
        size = 0
        for data in transactions:
            size += len(data)
            if size <= max_bytes and self._check(data, keys, secret=True).accepted:
                keys[ToyTransaction.decode(data).key] = b""
                chosen.append(data)
        return chosen

    def validate_proposal(self, block: BlockInput, *, secret_checks: bool) -> BlockVerdict:
        """Every transaction applies in order."""
        self._require_version(block.height)
        if block.height != self._height + 1 or block.time_ms <= self._time_ms:
            return BlockVerdict(False, "bad-time", "not the next block")
        try:
            self._apply(block, secret_checks)
        except Refused as refusal:
            return BlockVerdict(False, refusal.reason, refusal.detail)
        return BlockVerdict(True)

    def finalise_block(self, block: BlockInput) -> FinalisedBlock:
        """Apply to a working copy."""
        self._require_version(block.height)
        trial = self._apply(block, False)
        self._finalised = (block, trial)
        results = tuple(b"" for _ in block.transactions)
        return FinalisedBlock(trial.application_hash, results, trial.updates, trial.application_hash != self._hash)

    def commit(self, block_record: bytes, certificate: bytes) -> None:
        """Append block and certificate, fsynced; state follows from replay."""
        if self._finalised is None:
            raise ConsensusError("commit without a finalised block")
        block, trial = self._finalised
        self._log.append(encode(("block", block_record, certificate, block.missed)))
        self._log.sync()
        self._finalised = None
        self._take(block, trial, block_record, certificate)
        if self._keep is not None and self._height % self._keep == 0:
            self._log.rewrite([encode(("pruned", self.snapshot(), block_record, certificate))])
            self._blocks = {self._height: (block_record, certificate)}

    def block_record(self, height: int) -> tuple[bytes, bytes] | None:
        """Block and certificate, None if pruned or unknown."""
        return self._blocks.get(height)

    def query(self, path: str, data: bytes) -> bytes:
        """The transaction hash under a key, empty if there is none."""
        return self._keys.get(data, b"")

    def snapshot(self) -> bytes:
        """Height, time, hash and all keys."""
        return encode((self._height, self._time_ms, self._hash, tuple(sorted(self._keys.items()))))

    def restore(self, snapshot: bytes, application_hash: bytes, height: int, time_ms: int) -> None:
        """Replace the state. The toy trusts the hash in the snapshot, as its hash is a chain and not a tree."""
        found_height, found_ms, state_hash, keys = decode(snapshot)
        if (found_height, found_ms, state_hash) != (height, time_ms, application_hash):
            raise Refused("bad-body", f"the snapshot is of another state: height {found_height}, not {height}")
        self._log.rewrite([encode(("snapshot", snapshot))])
        self._restore(height, time_ms, state_hash, keys)

    # --- for the simulator ---

    def written(self) -> dict[bytes, bytes]:
        """Key -> transaction hash of everything committed."""
        return self._keys

    # --- inside ---

    def _require_version(self, height: int) -> None:
        if self._upgrade_at is not None and height >= self._upgrade_at:
            raise ConsensusError(f"height {height} needs a protocol version that this node lacks; upgrade it")

    def _check(self, data: bytes, keys: dict[bytes, bytes], *, secret: bool) -> CheckResult:
        tx_hash = hash_of(data)
        try:
            transaction = ToyTransaction.decode(data)
        except CodecError as error:
            return CheckResult(tx_hash, error.reason, error.detail)
        if transaction.key in keys:
            return CheckResult(tx_hash, "used-key", "written before")
        if secret and (transaction.sealed == 0 or self.secrets_fail):
            return CheckResult(tx_hash, "bad-seal", "the secret check fails")
        return CheckResult(tx_hash)

    def _apply(self, block: BlockInput, secret_checks: bool) -> _Trial:
        known = self._trials.get(block)
        if known is not None and not secret_checks:
            return known
        keys: dict[bytes, bytes] = {}
        updates: list[ValidatorUpdate] = []
        hasher = hashlib.sha256(self._hash)
        for data in block.transactions:
            result = self._check(data, self._keys, secret=secret_checks)
            if result.accepted and ToyTransaction.decode(data).key in keys:
                result = CheckResult(result.tx_hash, "used-key", "twice in a block")
            if not result.accepted:
                raise Refused(result.reason, result.detail)
            transaction = ToyTransaction.decode(data)
            keys[transaction.key] = result.tx_hash
            updates += [ValidatorUpdate(u.name, u.public_key, u.power) for u in transaction.updates]
            hasher.update(result.tx_hash)
        for item in (*block.misbehaviour, *(name.encode() for name in block.missed)):
            hasher.update(hashlib.sha256(item).digest())
        changed = bool(block.transactions or block.misbehaviour or block.missed)
        trial = _Trial(hasher.digest() if changed else self._hash, keys, tuple(updates))
        self._trials[block] = trial
        return trial

    def _take(self, block: BlockInput, trial: _Trial, record: bytes, certificate: bytes) -> None:
        self._keys.update(trial.keys)
        self._hash = trial.application_hash
        self._height, self._time_ms = block.height, block.time_ms
        self._blocks[block.height] = (record, certificate)
        self._trials.clear()

    def _load(self, entry: bytes) -> None:
        kind, *fields = decode(entry)
        if kind != "block":
            height, time_ms, state_hash, keys = decode(fields[0])
            self._restore(height, time_ms, state_hash, keys)
            if kind == "pruned":
                self._blocks[height] = (fields[1], fields[2])
            return
        record, certificate, missed = fields
        block = Block.decode(record)
        header = block.header
        given = BlockInput(header.height, header.time_ms, header.proposer, missed, block.misbehaviour, block.transactions)
        self._take(given, self._apply(given, False), record, certificate)

    def _restore(self, height: int, time_ms: int, state_hash: bytes, keys: tuple[tuple[bytes, bytes], ...]) -> None:
        self._height, self._time_ms, self._hash = height, time_ms, state_hash
        self._keys = dict(keys)
        self._blocks.clear()
        self._trials.clear()
        self._finalised = None
