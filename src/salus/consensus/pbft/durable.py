"""The vote log: what a replica has signed, appended and fsynced before it is sent.

One file: a magic line, then records. A record is ``marker:4 length:4 position:8 durable:8 digest:16 payload``; *position* is
its own offset, *durable* how much of the file was fsynced when it was written, *digest* the first 16 bytes of SHA-256
over all the rest. After a crash the tail that was never fsynced may be torn in any way and is cut off. A bad record in
front of one that was written after it had been fsynced is damage, and is reported: a replica that forgot a vote could
sign two things.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from salus.errors import DamagedFile, StorageError
from salus.files import PRIVATE_FILE, fsync_directory, make_private_directory, write_atomic

MAGIC: Final = b"salus vote log 1\n"
_MARKER: Final = b"\xf5vote"[:4]
_HEAD: Final = struct.Struct(">4sIQQ16s")
MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""The largest record holds a block of the largest size with its new-view."""
MAX_LOG_BYTES: Final = 32 * 1024 * 1024
"""Beyond this the log is rewritten with the records still needed."""
LOG_NAME: Final = "votes.log"


class Disk(Protocol):
    """The few things the log does to files; the simulator has one that loses what was not synced."""

    def read(self, name: str) -> bytes | None:
        """Content of a file, None if there is none."""

    def append(self, name: str, data: bytes) -> None:
        """Write at the end; may be lost or torn until :meth:`sync`."""

    def sync(self, name: str) -> None:
        """Everything appended so far survives a power failure."""

    def replace(self, name: str, data: bytes) -> None:
        """Put new content in place, durably, or leave the old one."""


class DirectoryDisk:
    """Files in one directory.

    :param directory: created with mode 0700 if it is missing.
    :raises StorageError: from every call, if the system refuses it.
    """

    def __init__(self, directory: Path) -> None:
        make_private_directory(directory)
        self._directory = directory
        self._open: dict[str, int] = {}

    def read(self, name: str) -> bytes | None:
        """See :class:`Disk`."""
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self._directory / name}: {error.strerror}") from None

    def append(self, name: str, data: bytes) -> None:
        """See :class:`Disk`."""
        path = self._directory / name
        try:
            descriptor = self._descriptor(name)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}; make room and start the node again") from None

    def sync(self, name: str) -> None:
        """See :class:`Disk`."""
        try:
            os.fdatasync(self._descriptor(name))
        except OSError as error:
            raise StorageError(f"cannot make {self._directory / name} durable: {error.strerror}; check the disk") from None

    def replace(self, name: str, data: bytes) -> None:
        """See :class:`Disk`."""
        self._close(name)
        write_atomic(self._directory / name, data)

    def _descriptor(self, name: str) -> int:
        descriptor = self._open.get(name)
        if descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = self._open[name] = os.open(self._directory / name, flags, PRIVATE_FILE)
            fsync_directory(self._directory)
        return descriptor

    def _close(self, name: str) -> None:
        descriptor = self._open.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close all files."""
        for name in list(self._open):
            self._close(name)


class VoteLog:
    """Append-only log of encoded records.

    :param disk: where the file is.
    :param name: the file's name.
    :raises DamagedFile: if the file was altered, not merely cut short by a crash.
    :raises StorageError: if the disk fails; a replica must stop then, for it cannot know what is kept.
    """

    def __init__(self, disk: Disk, name: str = LOG_NAME) -> None:
        self._disk = disk
        self._name = name
        self._pending: list[bytes] = []
        self.cut_bytes = 0
        data = disk.read(name)
        if data is None or (len(data) < len(MAGIC) and MAGIC.startswith(data)):
            disk.replace(name, MAGIC)
            data = MAGIC
        else:
            # A killed process may leave records that were written but never fsynced; they count only once they are.
            disk.sync(name)
        self.records, good = _parse(data)
        if good < len(data):
            self.cut_bytes = len(data) - good
            disk.replace(name, data[:good])
        self._size = self._durable = good

    @property
    def size_bytes(self) -> int:
        """Bytes in the file, with what is appended but not synced."""
        return self._size

    def append(self, payload: bytes) -> None:
        """Add a record; durable after the next :meth:`sync`."""
        if len(payload) > MAX_RECORD_BYTES:
            raise StorageError(f"a vote record of {len(payload)} bytes, at most {MAX_RECORD_BYTES}")
        framed = _frame(payload, self._size, self._durable)
        self._pending.append(framed)
        self._size += len(framed)

    def sync(self) -> None:
        """Write and fsync everything appended so far, in one go."""
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._disk.append(self._name, data)
        self._disk.sync(self._name)
        self._durable = self._size

    def flush(self) -> None:
        """Write without fsync."""
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._disk.append(self._name, data)

    def rewrite(self, payloads: Iterable[bytes]) -> None:
        """Replace the whole log, durably and in one step."""
        self._pending.clear()
        parts = [MAGIC]
        size = len(MAGIC)
        for payload in payloads:
            framed = _frame(payload, size, 0)
            parts.append(framed)
            size += len(framed)
        self._disk.replace(self._name, b"".join(parts))
        self._size = self._durable = size


def read_records(data: bytes) -> list[bytes]:
    """The records in a vote log's file, which stays as it is: what a crash cut short at its end is left out.

    :raises DamagedFile: if the file was altered.
    """
    return [] if len(data) < len(MAGIC) and MAGIC.startswith(data) else _parse(data)[0]


def _frame(payload: bytes, position: int, durable: int) -> bytes:
    rest = struct.pack(">IQQ", len(payload), position, durable)
    return _HEAD.pack(_MARKER, len(payload), position, durable, _digest(rest, payload)) + payload


def _digest(rest: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(rest + payload).digest()[:16]


def _record_at(data: bytes, position: int) -> tuple[bytes, int] | None:
    """(payload, durable) of a whole record at ``position``, None if there is none."""
    if position + _HEAD.size > len(data):
        return None
    marker, length, own, durable, digest = _HEAD.unpack_from(data, position)
    end = position + _HEAD.size + length
    if marker != _MARKER or own != position or length > MAX_RECORD_BYTES or end > len(data):
        return None
    payload = data[position + _HEAD.size : end]
    if _digest(struct.pack(">IQQ", length, own, durable), payload) != digest:
        return None
    return payload, durable


def _parse(data: bytes) -> tuple[list[bytes], int]:
    """The records of a log, and how many bytes of it are good."""
    if not data.startswith(MAGIC):
        raise DamagedFile("the vote log does not begin as one; this node must not vote: restore it from its peers")
    records: list[bytes] = []
    position = len(MAGIC)
    while position < len(data):
        found = _record_at(data, position)
        if found is None:
            _refuse_damage(data, position)
            break
        records.append(found[0])
        position += _HEAD.size + len(found[0])
    return records, position


def _refuse_damage(data: bytes, bad: int) -> None:
    """Refuse if a later record shows that the bad one at ``bad`` had been fsynced."""
    position = data.find(_MARKER, bad + 1)
    while position >= 0:
        found = _record_at(data, position)
        if found is not None and found[1] > bad:
            raise DamagedFile(
                f"the vote log is damaged at byte {bad}: a record that was on disk cannot be read any more; "
                "this node must not vote: restore it from its peers"
            )
        position = data.find(_MARKER, position + 1)
