"""What stands around the application: the state after a committed block, what listeners hear, what the node checks in secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from salus._native import MerkleMap
from salus.consensus.interface import BlockInput
from salus.errors import Refused, StorageError
from salus.ledger.apply import AppliedBlock
from salus.ledger.state import KnownReads, StateView, Write, state_key
from salus.ledger.storage.interface import LedgerStore
from salus.ledger.transactions import Event, Transaction


class SecretChecker(Protocol):
    """Checks that need the nodes' shared value; the node provides it (docs/protocol/consultation.md, "envelope")."""

    def check(self, view: StateView, time_ms: int, transactions: Sequence[Transaction[Any]]) -> list[Refused | None]:
        """Open and verify anonymous envelopes, with the state in front of the block and the block's time.

        A pass may be kept by transaction hash; quarter and revocation of the sender are checked again every time.

        :return: for each transaction None if it passes, else the refusal; ``no-shared-value`` if this node lacks the
            epoch's theta and so cannot tell.
        """


class CommittedBlock(msgspec.Struct, frozen=True):
    """What listeners hear of a commit."""

    block: BlockInput
    applied: AppliedBlock
    application_hash: bytes

    @property
    def events(self) -> tuple[Event, ...]:
        """The block's events."""
        return self.applied.events


class CommittedState:
    """Read-only view of the state after one committed block.

    :param reads: what was read of this state already.
    """

    __slots__ = ("_reads", "_store", "_tree", "_version")

    def __init__(self, store: LedgerStore, tree: MerkleMap, version: int, reads: KnownReads | None = None) -> None:
        self._store = store
        self._tree = tree
        self._version = version
        self._reads = KnownReads() if reads is None else reads

    def get(self, kind: str, raw: bytes) -> bytes | None:
        """The value under (kind, raw key); most absent keys are told by the map in memory, without the disk."""
        key = state_key(kind, raw)
        known, value = self._reads.find(key)
        if known:
            return value
        if self._tree.get(key, self._version) is not None:
            value = self._store.value(key)
            if value is None:
                raise StorageError(f"a value of kind {kind} is in the map but not in the store: the state is damaged")
        self._reads.add(key, value)
        return value

    def after(self, version: int, writes: Sequence[Write]) -> CommittedState:
        """The state after the next block; what was read before and is not written by it is still known."""
        reads, self._reads = self._reads, KnownReads()
        reads.write(writes)
        return CommittedState(self._store, self._tree, version, reads)
