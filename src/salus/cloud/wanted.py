"""Records that the ledger names a cloud for, and of which nothing is there: what it has to fetch from other clouds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from salus.codec import Bytes16, Bytes32, Message
from salus.errors import CodecError, StorageError
from salus.files import make_private_directory, read_bounded, remove_leftovers, write_atomic
from salus.ledger.kinds.sharing.messages.records import RecordContent

WANTED_DIRECTORY: Final = "wanted"
WANTED_BYTES_MAX: Final = 1024
"""A wanted record has some two hundred bytes."""
_log = structlog.get_logger(__name__)
_FILE: Final = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{64}")


class WantedRecord(Message, frozen=True):
    """A record that the ledger names this cloud for, and of which nothing is here.

    :ivar metadata: hash of its sealed metadata. :ivar tx_hash, height: of the transaction that names this cloud.
    """

    KIND = "cloud.wanted-record"

    rid: Bytes16
    metadata: Bytes32
    digest_tag: Bytes32
    tx_hash: Bytes32
    height: int


class WantedRecords:
    """Which records are wanted; a file for each, durable before the block that names it counts as followed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / WANTED_DIRECTORY
        make_private_directory(self._directory)
        remove_leftovers(self._directory)
        self._names = {path.name for path in self._directory.iterdir() if _FILE.fullmatch(path.name)}
        self._looked_at = ""

    def __len__(self) -> int:
        return len(self._names)

    def add(self, height: int, tx_hash: bytes, rid: bytes, content: RecordContent) -> None:
        """A committed transaction names this cloud, which has nothing of the record."""
        wanted = WantedRecord(rid, content.metadata, content.digest_tag, tx_hash, height)
        name = _name(rid, content.metadata)
        write_atomic(self._directory / name, wanted.encode())
        self._names.add(name)

    def forget(self, rid: bytes, kept: bytes = b"") -> None:
        """A record was erased, or its content replaced: nothing is wanted of it but what has the metadata ``kept``."""
        for name in [n for n in self._names if n.startswith(f"{rid.hex()}.") and n != _name(rid, kept)]:
            self.drop(name)

    def drop(self, name: str) -> None:
        """One is here now."""
        (self._directory / name).unlink(missing_ok=True)
        self._names.discard(name)

    def some(self, count: int) -> Iterator[tuple[str, WantedRecord]]:
        """The next so many, in turn; a damaged file is told of and passed over, so that the others are fetched all the same."""
        names = sorted(self._names)
        chosen = [name for name in names if name > self._looked_at][:count] or names[:count]
        for name in chosen:
            self._looked_at = name
            try:
                data = read_bounded(self._directory / name, WANTED_BYTES_MAX, "a record that is wanted")
                wanted = WantedRecord.decode(data)
            except (CodecError, StorageError) as error:
                _log.error("wanted-record-damaged", file=name, error=str(error))
                self._names.discard(name)
                continue
            yield name, wanted


def _name(rid: bytes, metadata: bytes) -> str:
    return f"{rid.hex()}.{metadata.hex()}"
