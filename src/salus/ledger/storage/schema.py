"""The database file: tables, settings, and the encodings of what is in its rows.

========== =====================================================================================================
meta       ``format``; ``folded``: height up to which write sets are in runs; ``log``: open log pages at that height;
           ``snapshot``: the head of the snapshot this node started from, if it did
blocks     height -> record, certificate (the engine's), applied (:class:`AppliedRecord`), checksum over the three
runs       number -> map (0 state, 1 index of transactions), order, level, key prefixes, checksum
pages      run number * 2^24 + page number -> entries (:func:`salus.ledger.storage.runs.encode_page`)
log_pages  (level, number) -> 256 hashes
========== =====================================================================================================
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Annotated, Final

from msgspec.structs import replace

from salus.codec import Bytes32, Message, Size, decode, encode
from salus.consensus.block import MAX_BLOCK_TRANSACTIONS
from salus.errors import DamagedFile, StorageError
from salus.ledger.merkle_log import LogState
from salus.ledger.state import Write
from salus.ledger.storage.interface import BlockRow, Head

FORMAT: Final = 1
"""Version of this file's layout; a newer one is refused, an older one is migrated when there is one."""
PAGE_NUMBER_BITS: Final = 24
"""Pages of one run: sixteen million of 32 entries each."""
CHECKPOINT_PAGES: Final = 2000
"""Pages in the WAL after which a commit copies them into the database file."""
WAL_SUFFIX: Final = "-wal"
"""SQLite's name for the write-ahead log beside a database."""
MAX_WRITES_BYTES: Final = 32 * 1024 * 1024
"""Write set of one block: several times its transactions, and the clean-up's thousand deletions."""

_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (height INTEGER PRIMARY KEY, record BLOB NOT NULL, certificate BLOB NOT NULL, applied BLOB NOT NULL,
                     checksum BLOB NOT NULL, pruned INTEGER NOT NULL);
CREATE TABLE runs (number INTEGER PRIMARY KEY, map INTEGER NOT NULL, run_order INTEGER NOT NULL, level INTEGER NOT NULL,
                   prefixes BLOB NOT NULL, checksum BLOB NOT NULL);
CREATE TABLE pages (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE log_pages (level INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (level, number));
"""


class AppliedRecord(Message, frozen=True):
    """What a block did, as its row holds it.

    :ivar hashes: transaction hashes, 32 bytes each, side by side.
    :ivar writes: encoding of the tuple of its (map key, value or None), by ascending key; empty in a pruned row.
    """

    KIND = "storage.applied"
    height: int
    time_ms: int
    application_hash: Bytes32
    log: LogState
    hashes: Annotated[bytes, Size(0, 32 * MAX_BLOCK_TRANSACTIONS)]
    writes: Annotated[bytes, Size(0, MAX_WRITES_BYTES)]

    @classmethod
    def of(cls, row: BlockRow) -> AppliedRecord:
        """The record of a block's row."""
        head = row.head
        hashes, writes = b"".join(row.hashes), encode(row.writes)
        return cls(head.height, head.time_ms, head.application_hash, head.log, hashes, writes)

    def head(self) -> Head:
        """Height, time, application hash and log."""
        return Head(self.height, self.time_ms, self.application_hash, self.log)

    def split_hashes(self) -> tuple[bytes, ...]:
        """The transaction hashes, in order."""
        return tuple(self.hashes[i : i + 32] for i in range(0, len(self.hashes), 32))

    def write_set(self) -> tuple[Write, ...]:
        """The write set."""
        writes: tuple[Write, ...] = decode(self.writes)
        return writes

    def without_writes(self) -> AppliedRecord:
        """What stays when the block's body is pruned."""
        return replace(self, writes=encode(()))


def row_checksum(*parts: bytes) -> bytes:
    """SHA-256 over the parts' digests: tells an altered row when it is read."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


def page_id(run: int, number: int) -> int:
    """Row of a page."""
    return run << PAGE_NUMBER_BITS | number


def create(path: Path) -> None:
    """Make an empty database under a temporary name, then give it its own: a crash leaves none or a whole one.

    :raises StorageError: no room, no permission.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.new")
    for leftover in (temporary, temporary.with_name(temporary.name + "-journal")):
        leftover.unlink(missing_ok=True)
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            connection.executescript("PRAGMA page_size=8192; PRAGMA synchronous=FULL; BEGIN;" + _TABLES)
            connection.execute("INSERT INTO meta VALUES ('format', ?)", (encode(FORMAT),))
            connection.execute("COMMIT")
        finally:
            connection.close()
        os.rename(temporary, path)
        sync_directory(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{path} cannot be created: {error}") from None


def connect(path: Path, *, every_commit_durable: bool = True) -> sqlite3.Connection:
    """Open a database for one process, with the settings that commits rely on.

    :param every_commit_durable: else a loss of power may take the newest blocks, whole ones and the last ones only.

    :raises DamagedFile: not such a database. :raises StorageError: in use, unreadable, or of a newer release.
    """
    make_durable(path)
    try:
        if path.stat().st_size == 0:
            raise DamagedFile(f"{path} is empty: it was truncated; restore this node from its peers in a fresh directory")
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{path} cannot be opened: {error}") from None
    try:
        # One process only: the index of the WAL then lives in memory. FULL: the WAL is fsynced at every commit. NORMAL: before it
        # is folded into the file, so that a prefix of the commits survives (SQLite's documentation of PRAGMA synchronous).
        for setting in (
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            f"synchronous={'FULL' if every_commit_durable else 'NORMAL'}",
            f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        ):
            connection.execute(f"PRAGMA {setting}").fetchone()
        connection.execute("PRAGMA cache_size=-8192")
        row = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise as_storage_error(path, error) from None
    version = None if row is None else decode(bytes(row[0]))
    if version != FORMAT:
        connection.close()
        raise StorageError(f"{path} has format {version}, this release reads format {FORMAT}: use the release that wrote it")
    return connection


def make_durable(path: Path) -> None:
    """Make durable what an earlier process wrote into the database and its WAL.

    A process that was killed between writing a commit and its fsync leaves a block that this one would read from the page
    cache. A replica that went on from such a block, and then lost it with the power, could vote a second time at its height.

    :raises StorageError: the system cannot say that it is durable, so nothing may be built on it.
    """
    try:
        for file in (path.with_name(path.name + WAL_SUFFIX), path):
            if file.exists():
                descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        sync_directory(path.parent)
    except OSError as error:
        raise StorageError(f"{path} cannot be made durable: {error.strerror}; check the disk, then start again") from None


def as_storage_error(path: Path, error: sqlite3.Error) -> StorageError:
    """A database error in the project's own words."""
    text = str(error)
    if "locked" in text:
        return StorageError(f"{path} is in use by another process; stop that one first")
    if "full" in text:
        return StorageError(f"{path}: the disk is full; the last committed state is kept: make room and try again")
    if isinstance(error, sqlite3.OperationalError) and "malformed" not in text:
        return StorageError(f"{path}: {text}; the last committed state is kept")
    return DamagedFile(f"{path} is damaged ({text}); restore this node from its peers in a fresh directory")


def sync_directory(directory: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
