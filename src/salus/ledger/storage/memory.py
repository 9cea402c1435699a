"""A node's storage in memory: for tests, simulations and for verifying an export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from salus.errors import StorageError
from salus.ledger.state import Write
from salus.ledger.storage.interface import BlockRow, Head, StoredBlock
from salus.ledger.storage.log_pages import LogPages, OpenPages, empty_pages
from salus.ledger.storage.pruning import pruned_record

_CHUNK: Final = 1024
_TAIL: Final = 32
"""Newest write sets that can be undone for :meth:`MemoryStore.base`."""


class MemoryStore:
    """See :class:`~salus.ledger.storage.interface.LedgerStore`.

    :param keep_blocks: False keeps only the head of the chain's blocks (for replaying a long export).
    """

    def __init__(self, *, keep_blocks: bool = True) -> None:
        self._keep_blocks = keep_blocks
        self._head: Head | None = None
        self._blocks: dict[int, StoredBlock] = {}
        self._values: dict[bytes, bytes] = {}
        self._positions: dict[bytes, tuple[int, int]] = {}
        self._full_log_pages: dict[tuple[int, int], bytes] = {}
        self._log = LogPages(self, empty_pages())
        self._pruned_below = 1
        self._base_height = 0
        self._tail: list[tuple[Head, tuple[Write, ...], dict[bytes, bytes | None]]] = []

    def head(self) -> Head | None:
        """The last committed block."""
        return self._head

    def append(self, row: BlockRow) -> None:
        """Commit one block."""
        open_pages, full = self._log.extended(row.log_leaves)
        undo = {key: self._values.get(key) for key, _ in row.writes}
        _carry_out(self._values, row.writes)
        if row.head.height:
            self._tail.append((row.head, row.writes, undo))
        if len(self._tail) > _TAIL:
            self._base_height = self._tail.pop(0)[0].height
        self._adopt_log(open_pages, full)
        self._head = row.head
        if self._keep_blocks:
            self._blocks[row.head.height] = StoredBlock(row.head, row.record, row.certificate, row.hashes, False)
            for index, tx_hash in enumerate(row.hashes):
                self._positions[tx_hash] = (row.head.height, index)

    def block(self, height: int) -> StoredBlock | None:
        """A committed block."""
        return self._blocks.get(height)

    def value(self, key: bytes) -> bytes | None:
        """Newest value under a map key."""
        return self._values.get(key)

    def value_before(self, key: bytes) -> bytes | None:
        """Value in front of the last block."""
        undo = self._tail[-1][2] if self._tail else {}
        return undo[key] if key in undo else self._values.get(key)

    def base(self) -> tuple[int, Iterator[list[tuple[bytes, bytes]]]]:
        """Height and leaves of the oldest state that the tail reaches back to."""
        values = dict(self._values)
        for _, _, undo in reversed(self._tail):
            _carry_out(values, undo.items())
        return self._base_height, _chunks(values)

    def tail(self) -> list[tuple[Head, tuple[Write, ...]]]:
        """Heads and write sets of the blocks after the base."""
        return [(head, writes) for head, writes, _ in self._tail]

    def leaves(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """All leaves of the newest state, ascending, in chunks."""
        return _chunks(self._values)

    def position(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, index) of a committed transaction."""
        return self._positions.get(tx_hash)

    def log_first(self) -> int:
        """Index of the first log leaf kept here."""
        return self._log.open_pages.first

    def subtree(self, level: int, index: int) -> bytes:
        """Root of a perfect subtree of the log."""
        return self._log.subtree(level, index)

    def prune(self, below: int, limit: int) -> int:
        """Drop bodies of old blocks."""
        end = min(below, self._pruned_below + limit, 1 if self._head is None else self._head.height)
        dropped = 0
        for height in range(self._pruned_below, end):
            block = self._blocks.get(height)
            if block is not None and not block.pruned:
                record = pruned_record(block.record)
                self._blocks[height] = StoredBlock(block.head, record, block.certificate, block.hashes, True)
                dropped += 1
        self._pruned_below = max(self._pruned_below, end)
        return dropped

    def restore(self, head: Head, leaves: Iterator[list[tuple[bytes, bytes]]]) -> None:
        """Replace the genesis state by a snapshot."""
        if self._head is None or max(self._blocks) > 0:
            raise StorageError("a snapshot can only be restored where there is nothing but genesis")
        self._values = {}
        self._full_log_pages = {}
        self._base_height = head.height
        for chunk in leaves:
            self._values.update(chunk)
        self._log = LogPages(self, empty_pages(head.log.count))
        self._head = head
        self._pruned_below = head.height + 1

    def import_blocks(self, blocks: Sequence[StoredBlock]) -> None:
        """Fill in blocks in front of a snapshot."""
        for block in blocks:
            self._blocks[block.head.height] = block
            if not block.pruned:
                self._pruned_below = min(self._pruned_below, block.head.height)
            for index, tx_hash in enumerate(block.hashes):
                self._positions[tx_hash] = (block.head.height, index)

    def import_log(self, log_leaves: Iterator[bytes]) -> None:
        """Fill in the log leaves in front of a snapshot."""
        old = self._log
        fresh = LogPages(self, empty_pages())
        first, count = old.open_pages.first, old.open_pages.count
        later = [old.subtree(0, i) for i in range(first, count)]
        open_pages, full = fresh.extended([*log_leaves, *later])
        self._log = fresh
        self._adopt_log(open_pages, full)

    def read_log_page(self, level: int, number: int) -> bytes | None:
        """A full page of log hashes."""
        return self._full_log_pages.get((level, number))

    def close(self) -> None:
        """Nothing to release."""

    def _adopt_log(self, open_pages: OpenPages, full: list[tuple[int, int, bytes]]) -> None:
        for level, number, data in full:
            self._full_log_pages[(level, number)] = data
        self._log.open_pages = open_pages


def _carry_out(values: dict[bytes, bytes], writes: Iterable[Write]) -> None:
    for key, value in writes:
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


def _chunks(values: dict[bytes, bytes]) -> Iterator[list[tuple[bytes, bytes]]]:
    ordered = sorted(values.items())
    for begin in range(0, len(ordered), _CHUNK):
        yield ordered[begin : begin + _CHUNK]
