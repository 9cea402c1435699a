"""A node's storage on disk: one SQLite database (WAL, synchronous=FULL).

A block commits as one row; what else a commit writes (pages of the state, of the log, of the index of transactions) goes
into the same transaction, so a crash at any point leaves one height or the other. State lives in sorted runs
(:mod:`.runs`); the write sets of the newest blocks, which are in no run yet, are in memory as well.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Final

from salus.codec import decode, encode
from salus.errors import CodecError, DamagedFile, StorageError
from salus.ledger.log_entries import log_leaves
from salus.ledger.state import Write
from salus.ledger.storage import schema
from salus.ledger.storage.cache import ValueCache
from salus.ledger.storage.interface import BlockRow, Head, StoredBlock
from salus.ledger.storage.log_pages import LogPages, NewPage, OpenPages, empty_pages
from salus.ledger.storage.pruning import pruned_record
from salus.ledger.storage.run_tables import RunTables
from salus.ledger.storage.runs import Entry, Missing
from salus.ledger.storage.schema import AppliedRecord, row_checksum

FILE_NAME: Final = "ledger.sqlite"
FOLD_ENTRIES: Final = 8192
"""Entries of newest blocks in memory before they are folded into a run."""
FOLD_BLOCKS: Final = 256
"""Newest blocks that an opening replays at most, however small they are."""
STATE: Final = 0
INDEX: Final = 1


class _Recent:
    """The newest blocks, which are in no run yet.

    :ivar values: map key -> newest value. :ivar positions: transaction hash -> place. :ivar tail: heads and write sets.
    """

    def __init__(self) -> None:
        self.values: dict[bytes, bytes | None] = {}
        self.positions: dict[bytes, bytes] = {}
        self.tail: list[tuple[Head, tuple[Write, ...]]] = []

    def add(self, head: Head, hashes: Sequence[bytes], writes: tuple[Write, ...]) -> None:
        """Add the next block."""
        self.tail.append((head, writes))
        self.values.update(writes)
        for index, tx_hash in enumerate(hashes):
            self.positions[tx_hash] = _place(head.height, index)

    def find_before(self, key: bytes) -> tuple[bool, bytes | None]:
        """Whether a block in front of the last one, and in no run yet, changed ``key``; and to what."""
        for _, writes in reversed(self.tail[:-1]):
            place = bisect_left(writes, key, key=_key)
            if place < len(writes) and writes[place][0] == key:
                return True, writes[place][1]
        return False, None

    def full(self) -> bool:
        """Whether it is time to fold."""
        return len(self.values) + len(self.positions) >= FOLD_ENTRIES or len(self.tail) >= FOLD_BLOCKS


class SqliteStore:
    """See :class:`~salus.ledger.storage.interface.LedgerStore`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._cache = ValueCache()
        self._recent = _Recent()
        self._head: Head | None = None
        self._folded = 0
        self._log = LogPages(self, empty_pages())
        with self._reading():
            self._runs = RunTables(connection)
            self._load()

    @classmethod
    def open_or_create(cls, directory: Path, *, every_commit_durable: bool = True) -> SqliteStore:
        """Open the ledger in a directory, or make an empty one there.

        :param every_commit_durable: False for a follower, which reads from others what a loss of power took.
        :raises DamagedFile: the file is not such a database, or is truncated.
        :raises StorageError: it cannot be read or written.
        """
        path = directory / FILE_NAME
        if not path.exists():
            schema.create(path)
        connection = schema.connect(path, every_commit_durable=every_commit_durable)
        try:
            return cls(path, connection)
        except BaseException:
            connection.close()
            raise

    # --- reading ---

    def head(self) -> Head | None:
        """The last committed block."""
        return self._head

    def block(self, height: int) -> StoredBlock | None:
        """A committed block."""
        with self._reading():
            row = self._connection.execute(
                "SELECT record, certificate, applied, checksum, pruned FROM blocks WHERE height = ?", (height,)
            ).fetchone()
            if row is None:
                return None
            applied = self._checked(height, row)
            return StoredBlock(applied.head(), bytes(row[0]), bytes(row[1]), applied.split_hashes(), bool(row[4]))

    def value(self, key: bytes) -> bytes | None:
        """Newest value under a map key."""
        if key in self._recent.values:
            return self._recent.values[key]
        value = self._cache.get(key)
        if value is None:
            value = self._find(STATE, key)
            if value is not None:
                self._cache.put(key, value)
        return value

    def value_before(self, key: bytes) -> bytes | None:
        """Value in front of the last block."""
        known, value = self._recent.find_before(key)
        return value if known else self._find(STATE, key)

    def base(self) -> tuple[int, Iterator[list[tuple[bytes, bytes]]]]:
        """Height and leaves of the state in the runs."""
        return self._folded, self._entries(())

    def tail(self) -> list[tuple[Head, tuple[Write, ...]]]:
        """Heads and write sets of the blocks that are in no run yet."""
        return list(self._recent.tail)

    def leaves(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """All leaves of the newest state."""
        return self._entries(sorted(self._recent.values.items()))

    def position(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, index) of a committed transaction."""
        place = self._recent.positions.get(tx_hash)
        if place is None:
            place = self._find(INDEX, tx_hash)
            if place is None:
                return None
        return int.from_bytes(place[:8], "big"), int.from_bytes(place[8:], "big")

    def log_first(self) -> int:
        """Index of the first log leaf kept here."""
        return self._log.open_pages.first

    def subtree(self, level: int, index: int) -> bytes:
        """Root of a perfect subtree of the log."""
        with self._reading():
            return self._log.subtree(level, index)

    def read_log_page(self, level: int, number: int) -> bytes | None:
        """A full page of log hashes."""
        place = (level, number)
        row = self._connection.execute("SELECT data FROM log_pages WHERE level = ? AND number = ?", place).fetchone()
        return None if row is None else bytes(row[0])

    # --- writing ---

    def append(self, row: BlockRow) -> None:
        """Commit one block, with the slice of upkeep that goes along."""
        genesis = row.head.height == 0
        applied = AppliedRecord.of(row)
        fold = genesis or self._recent.full()
        entries = sorted(row.writes if genesis else self._recent.values.items()) if fold else None
        places = sorted(self._recent.positions.items()) if fold else None
        open_pages, full = self._log.extended(row.log_leaves)
        try:
            with self._writing():
                changes = self._runs.write((len(row.writes), len(row.hashes)), (entries, places))
                self._insert_block(row, applied)
                self._write_log(full)
                if fold:
                    # Folded is everything in front of this block, so that the map can be loaded as it was before it.
                    self._put_meta("folded", encode(max(row.head.height - 1, 0)))
                    self._put_meta("log", self._log.open_pages.encode())
        except BaseException:
            self._runs.abandon()
            raise
        self._runs.adopt(changes)
        self._log.open_pages = open_pages
        if fold:
            self._folded = max(row.head.height - 1, 0)
            self._recent = _Recent()
        for key, _ in row.writes:
            self._cache.forget(key)
        self._head = row.head
        if not genesis:
            self._recent.add(row.head, row.hashes, row.writes)

    def prune(self, below: int, limit: int) -> int:
        """Drop bodies of old blocks, and their write sets if they are folded."""
        end = min(below, 0 if self._head is None else self._head.height, self._folded + 1)
        with self._reading():
            first = self._whole_from(end)
        heights = range(first, min(end, first + limit))
        if not heights:
            return 0
        with self._writing():
            for height in heights:
                self._drop_body(height)
        return len(heights)

    def _whole_from(self, end: int) -> int:
        """Lowest height below ``end`` whose row is there and not pruned, else ``end``: what is dropped is always the oldest."""
        low, high = 1, max(end, 1)
        while low < high:
            middle = (low + high) // 2
            row = self._connection.execute("SELECT pruned FROM blocks WHERE height = ?", (middle,)).fetchone()
            if row is None or row[0]:
                low = middle + 1
            else:
                high = middle
        return low

    def _drop_body(self, height: int) -> None:
        query = "SELECT record, certificate, applied, checksum FROM blocks WHERE height = ?"
        row = self._connection.execute(query, (height,)).fetchone()
        if row is None:
            raise DamagedFile(f"{self._path}: block {height} is missing; restore this node from its peers")
        applied = self._checked(height, row)  # a new checksum must not cover what was altered under the old one
        short, bare = pruned_record(bytes(row[0])), applied.without_writes().encode()
        self._connection.execute(
            "UPDATE blocks SET record = ?, applied = ?, checksum = ?, pruned = 1 WHERE height = ?",
            (short, bare, row_checksum(short, bytes(row[1]), bare), height),
        )

    def restore(self, head: Head, leaves: Iterator[list[tuple[bytes, bytes]]]) -> None:
        """Replace the genesis state by a snapshot."""
        with self._reading():
            row = self._connection.execute("SELECT MAX(height) FROM blocks").fetchone()
        if row[0] != 0:
            raise StorageError(f"{self._path}: a snapshot can only be restored where there is nothing but genesis")
        entries: list[Entry] = [entry for chunk in leaves for entry in chunk]
        with self._writing():
            self._runs.replace(STATE, entries)
            self._put_meta("snapshot", AppliedRecord.of(BlockRow(head, b"", b"", (), (), ())).encode())
            self._put_meta("folded", encode(head.height))
            self._put_meta("log", empty_pages(head.log.count).encode())
        self._cache.clear()
        with self._reading():
            self._runs = RunTables(self._connection)
            self._load()

    def import_blocks(self, blocks: Sequence[StoredBlock]) -> None:
        """Fill in blocks in front of a snapshot; their write sets are not needed, for the state is newer."""
        places = [(tx, _place(block.head.height, index)) for block in blocks for index, tx in enumerate(block.hashes)]
        try:
            with self._writing():
                changes = self._runs.write((0, len(places)), (None, sorted(places) or None))
                for block in blocks:
                    row = BlockRow(block.head, block.record, block.certificate, block.hashes, (), ())
                    self._insert_block(row, AppliedRecord.of(row), pruned=block.pruned)
        except BaseException:
            self._runs.abandon()
            raise
        self._runs.adopt(changes)

    def import_log(self, log_leaves: Iterator[bytes]) -> None:
        """Fill in the log leaves in front of a snapshot."""
        first, count = self._log.open_pages.first, self._log.open_pages.count
        with self._reading():
            later = [self._log.subtree(0, i) for i in range(first, count)]
            folded_count = OpenPages.decode(self._meta("log")).count
        fresh = LogPages(self, empty_pages())
        with self._writing():
            self._connection.execute("DELETE FROM log_pages")
            for chunk in chain(iter(lambda: list(islice(log_leaves, FOLD_ENTRIES)), []), [later[: folded_count - first]]):
                fresh.open_pages, full = fresh.extended(chunk)
                self._write_log(full)
            self._put_meta("log", fresh.open_pages.encode())
            fresh.open_pages, full = fresh.extended(later[folded_count - first :])
            self._write_log(full)
        self._log = fresh

    def close(self) -> None:
        """Close the database; its WAL is folded into the file."""
        try:
            self._connection.close()
        except sqlite3.Error as error:
            raise schema.as_storage_error(self._path, error) from None

    # --- inside ---

    def _find(self, which: int, key: bytes) -> bytes | None:
        """Newest value of a key in the runs of one map; :meth:`_reading` without its context, for this is read most."""
        try:
            found = self._runs.sets[which].find(key)
        except (sqlite3.Error, CodecError) as error:
            raise self._unreadable(error) from None
        return None if isinstance(found, Missing) else found

    def _load(self) -> None:
        row = self._connection.execute("SELECT MAX(height) FROM blocks").fetchone()
        if row[0] is None:
            return
        height = int(row[0])
        snapshot = self._connection.execute("SELECT value FROM meta WHERE name = 'snapshot'").fetchone()
        if snapshot is not None and AppliedRecord.decode(bytes(snapshot[0])).height > height:
            self._head = AppliedRecord.decode(bytes(snapshot[0])).head()
        else:
            self._head = self._applied(height).head()
        self._folded = int(decode(self._meta("folded")))
        self._log = LogPages(self, OpenPages.decode(self._meta("log")))
        self._recent = _Recent()
        for later in range(self._folded + 1, self._head.height + 1):
            applied = self._applied(later)
            self._recent.add(applied.head(), applied.split_hashes(), applied.write_set())
            self._log.open_pages, _ = self._log.extended(log_leaves(later, applied.split_hashes()))

    def _applied(self, height: int) -> AppliedRecord:
        query = "SELECT record, certificate, applied, checksum FROM blocks WHERE height = ?"
        row = self._connection.execute(query, (height,)).fetchone()
        if row is None:
            raise DamagedFile(f"{self._path}: block {height} is missing; restore this node from its peers")
        return self._checked(height, row)

    def _checked(self, height: int, row: Sequence[bytes]) -> AppliedRecord:
        if row_checksum(bytes(row[0]), bytes(row[1]), bytes(row[2])) != row[3]:
            raise DamagedFile(f"{self._path}: block {height} was altered; restore this node from its peers")
        return AppliedRecord.decode(bytes(row[2]))

    def _entries(self, newest: Sequence[Entry]) -> Iterator[list[tuple[bytes, bytes]]]:
        chunks = self._runs.sets[STATE].entries(newest)
        while True:
            with self._reading():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _meta(self, name: str) -> bytes:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise DamagedFile(f"{self._path}: {name} is missing; restore this node from its peers")
        return bytes(row[0])

    def _put_meta(self, name: str, value: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _insert_block(self, row: BlockRow, applied: AppliedRecord, *, pruned: bool = False) -> None:
        encoded = applied.encode()
        checksum = row_checksum(row.record, row.certificate, encoded)
        values = (row.head.height, row.record, row.certificate, encoded, checksum, int(pruned))
        self._connection.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?)", values)

    def _write_log(self, full: Sequence[NewPage]) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO log_pages VALUES (?, ?, ?)", full)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, CodecError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: sqlite3.Error | CodecError) -> StorageError | DamagedFile:
        if isinstance(error, CodecError):
            return DamagedFile(f"{self._path} is damaged ({error}); restore this node from its peers")
        return schema.as_storage_error(self._path, error)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise schema.as_storage_error(self._path, error) from None
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _key(write: Write) -> bytes:
    return write[0]


def _place(height: int, index: int) -> bytes:
    return height.to_bytes(8, "big") + index.to_bytes(4, "big")
