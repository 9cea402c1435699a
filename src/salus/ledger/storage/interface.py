"""Storage as the application sees it; :mod:`.sqlite` keeps it on disk, :mod:`.memory` in a process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from salus.ledger.merkle_log import LogState
from salus.ledger.state import Write


class Head(msgspec.Struct, frozen=True):
    """The last committed block, or genesis at height 0.

    :ivar application_hash: after that block. :ivar log: the log after it.
    """

    height: int
    time_ms: int
    application_hash: bytes
    log: LogState


class BlockRow(msgspec.Struct, frozen=True):
    """One committed block, everything that is kept of it.

    :ivar record, certificate: the engine's, opaque here. :ivar hashes: of its transactions, in order.
    :ivar log_leaves: leaf hashes of its log entries. :ivar writes: its write set.
    """

    head: Head
    record: bytes
    certificate: bytes
    hashes: tuple[bytes, ...]
    log_leaves: tuple[bytes, ...]
    writes: tuple[Write, ...]


class StoredBlock(msgspec.Struct, frozen=True):
    """What is still kept of a committed block.

    :ivar record: the engine's record; of a pruned block only what :mod:`.pruning` keeps, see ``pruned``.
    """

    head: Head
    record: bytes
    certificate: bytes
    hashes: tuple[bytes, ...]
    pruned: bool


class LedgerStore(Protocol):
    """Durable storage of one node. One thread uses it at a time.

    Every method may raise :class:`salus.errors.DamagedFile` (what is read was altered or is missing) or
    :class:`salus.errors.StorageError` (disk full, file locked).
    """

    def head(self) -> Head | None:
        """The last committed block; None before :meth:`append` of genesis."""

    def append(self, row: BlockRow) -> None:
        """Commit one block: durable and atomic when this returns; on an error nothing has changed."""

    def block(self, height: int) -> StoredBlock | None:
        """A committed block; None if there is none, or if it is older than a snapshot this node started from."""

    def value(self, key: bytes) -> bytes | None:
        """Newest value under a map key."""

    def value_before(self, key: bytes) -> bytes | None:
        """Value under a map key in front of the last block, for a key that the last block changed."""

    def base(self) -> tuple[int, Iterator[list[tuple[bytes, bytes]]]]:
        """A height below the head (the head itself after a snapshot, and at genesis), and all (map key, value) of the
        state after it, ascending, in chunks; with :meth:`tail` it gives the states since."""

    def tail(self) -> list[tuple[Head, tuple[Write, ...]]]:
        """Heads and write sets of the blocks after the base, in order."""

    def leaves(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """All (map key, value) of the newest state, ascending, in chunks."""

    def position(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, index) of a committed transaction."""

    def log_first(self) -> int:
        """Index of the first log leaf kept here; 0 unless this node started from a snapshot."""

    def subtree(self, level: int, index: int) -> bytes:
        """Root of the perfect subtree over log leaves ``index * 2^level ..``.

        :raises Refused: ``not-found`` if a leaf is not kept here.
        """

    def prune(self, below: int, limit: int) -> int:
        """Drop bodies of blocks below a height, the oldest first, at most ``limit`` of them; returns how many were dropped."""

    def restore(self, head: Head, leaves: Iterator[list[tuple[bytes, bytes]]]) -> None:
        """Replace the genesis state (or that of an earlier snapshot) by a snapshot, in one step; genesis is kept as block 0.

        :raises StorageError: blocks have been committed here.
        """

    def import_blocks(self, blocks: Sequence[StoredBlock]) -> None:
        """Fill in blocks in front of a snapshot, descending, right below the oldest that is here, in one step; the caller has
        verified them. None below one that is pruned is whole."""

    def import_log(self, log_leaves: Iterator[bytes]) -> None:
        """Fill in the log leaves in front of a snapshot, all in one step; the caller has verified them.

        :raises Refused: whatever the iterator raises: then nothing has changed.
        """

    def close(self) -> None:
        """Release files."""
