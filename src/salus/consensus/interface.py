"""The one interface between consensus engines and the application (the ledger's state machine).

An engine orders opaque transactions into blocks; the application decides what they mean. Neither imports the other:
both know this file. The embedded PBFT engine, the simulator and an ABCI adapter all drive the same application.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class BlockInput(msgspec.Struct, frozen=True):
    """Everything ``apply_block`` may depend on.

    :ivar height: 1, 2, ..
    :ivar time_ms: block time, UTC milliseconds.
    :ivar proposer: name of the proposing node.
    :ivar missed: names of the nodes whose turn was missed before this proposal, in order (from block data only).
    :ivar misbehaviour: encoded evidence of misbehaviour.
    :ivar transactions: encoded transactions in order.
    """

    height: int
    time_ms: int
    proposer: str
    missed: tuple[str, ...]
    misbehaviour: tuple[bytes, ...]
    transactions: tuple[bytes, ...]


class ValidatorUpdate(msgspec.Struct, frozen=True):
    """A change of the validator set by block H, active at H + 2. ``power`` 0 removes."""

    name: str
    public_key: bytes
    power: int


class CheckResult(msgspec.Struct, frozen=True):
    """Answer of the pool check. ``reason`` is empty if accepted, else a code of ``salus.errors.REASONS``.

    :ivar spends: what only one committed transaction can spend; of transactions that spend the same, one waits. Empty: nothing.
    """

    tx_hash: bytes
    reason: str = ""
    detail: str = ""
    spends: bytes = b""

    @property
    def accepted(self) -> bool:
        """Whether the transaction may wait for a block."""
        return not self.reason


class BlockVerdict(msgspec.Struct, frozen=True):
    """Whether a proposed block may be voted for; ``reason`` and ``detail`` say why not."""

    valid: bool
    reason: str = ""
    detail: str = ""


class FinalisedBlock(msgspec.Struct, frozen=True):
    """What applying a block gave. ``application_hash`` is the hash *after* this block, carried by header h + 1."""

    application_hash: bytes
    results: tuple[bytes, ...]
    validator_updates: tuple[ValidatorUpdate, ...]
    state_changed: bool


class ApplicationInfo(msgspec.Struct, frozen=True):
    """The last completed commit: ``height`` 0 and the genesis hash before the first."""

    height: int
    application_hash: bytes
    last_time_ms: int


class Application(Protocol):
    """The state machine as an engine sees it. Calls come one at a time from one thread per replica."""

    def info(self) -> ApplicationInfo:
        """The last completed commit (survives restarts)."""

    def check_transactions(self, transactions: Sequence[bytes], time_ms: int) -> list[CheckResult]:
        """Pool admission of a batch against the committed state: public and secret checks."""

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
        """Choose and order transactions for a block by trial application; those that fail are left out."""

    def validate_proposal(self, block: BlockInput, *, secret_checks: bool) -> BlockVerdict:
        """Whether a replica may vote for the block. ``secret_checks`` is false for a re-proposal with a prepared certificate."""

    def finalise_block(self, block: BlockInput) -> FinalisedBlock:
        """Apply a decided block to a working copy (a trial result of the same block is reused). Nothing is durable yet."""

    def commit(self, block_record: bytes, certificate: bytes) -> None:
        """Make the finalised block durable in one atomic, fsynced step together with the engine's record of it."""

    def block_record(self, height: int) -> tuple[bytes, bytes] | None:
        """The engine's (block record, certificate) committed at ``height``, or None if unknown or pruned."""

    def query(self, path: str, data: bytes) -> bytes:
        """Read-only query with proof; canonical request and answer."""

    def snapshot(self) -> bytes:
        """Encoded snapshot of the last committed state."""

    def restore(self, snapshot: bytes, application_hash: bytes, height: int, time_ms: int) -> None:
        """Replace an empty state by a snapshot of what a certified header names: all of it, or nothing is changed.

        :param application_hash: of the state after the block of ``height``, whose header carries ``time_ms``.
        :raises Refused: the snapshot is not of that state, height or time.
        """
