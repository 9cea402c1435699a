"""A ledger store on a virtual disk: blocks are journalled and fsynced, the rest is in memory and comes back by replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from salus.codec import decode, encode
from salus.consensus.pbft.durable import VoteLog
from salus.errors import StorageError
from salus.ledger.merkle_log import LogState
from salus.ledger.storage.interface import BlockRow, Head
from salus.ledger.storage.memory import MemoryStore
from salus.sim.disk import SimDisk

FILE_NAME: Final = "ledger.log"


class JournalStore(MemoryStore):
    """Implements :class:`salus.ledger.storage.interface.LedgerStore` for the simulator.

    :param disk: where the journal is; what was not fsynced before a power failure is gone.
    """

    def __init__(self, disk: SimDisk) -> None:
        super().__init__()
        self._journal = VoteLog(disk, FILE_NAME)
        for entry in self._journal.records:
            super().append(_row(entry))
        self._journal.records = []

    def append(self, row: BlockRow) -> None:
        """Journal, fsync, then show the block."""
        self._journal.append(_entry(row))
        self._journal.sync()
        super().append(row)

    def restore(self, head: Head, leaves: Iterator[list[tuple[bytes, bytes]]]) -> None:
        """The ledger prunes by the age of weeks; no simulation lasts that long."""
        raise StorageError("simulated ledgers keep all blocks, so nobody needs a snapshot")


def _entry(row: BlockRow) -> bytes:
    head = row.head
    log = (head.log.count, head.log.peaks)
    place = (head.height, head.time_ms, head.application_hash, log)
    return encode((place, row.record, row.certificate, row.hashes, row.log_leaves, row.writes))


def _row(entry: bytes) -> BlockRow:
    (height, time_ms, application_hash, (count, peaks)), record, certificate, hashes, leaves, writes = decode(entry)
    head = Head(height, time_ms, application_hash, LogState(count, peaks))
    return BlockRow(head, record, certificate, hashes, leaves, writes)
