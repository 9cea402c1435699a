"""Uploads on their way: one file of bytes and one of facts each, until they are hashed and moved into the object store.

Neither is fsynced part by part: after a power failure an upload goes on from what is left, or starts again; what was
spoilt is noticed when the whole is hashed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from salus.cloud.messages import UploadBegin
from salus.errors import CodecError, Refused, StorageError, refuse_unless
from salus.files import make_private_directory

_NAME: Final = re.compile(r"([0-9a-f]{32})\.(facts|bytes)")
_FACTS_BYTES_MAX: Final = 1024
"""What is announced of an upload has some hundred bytes."""


class Staging:
    """The directory of unfinished uploads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_directory(directory)

    @property
    def directory(self) -> Path:
        """Where unfinished files lie, on the file system of the store."""
        return self._directory

    def begin(self, facts: UploadBegin) -> None:
        """Start an upload; the same again is harmless.

        :raises Refused: ``bad-part`` if the number is in use for another body; ``no-room`` on a full disk.
        """
        known = self.facts(facts.upload)
        if known is not None:
            refuse_unless(known == facts, "bad-part", "an upload of that number was begun for another body")
            return
        path = self._facts(facts.upload)
        temporary = path.with_suffix(".tmp")
        try:
            self._write(temporary, facts.encode())
            self._write(self.bytes_path(facts.upload), b"")
            os.replace(temporary, path)
        except OSError as error:
            raise Refused("no-room", error.strerror or "the upload cannot be begun") from error

    def facts(self, upload: bytes) -> UploadBegin | None:
        """What was announced, or ``None`` if no such upload is open (one whose facts are damaged counts as not open)."""
        try:
            with self._facts(upload).open("rb") as file:
                return UploadBegin.decode(file.read(_FACTS_BYTES_MAX))
        except (FileNotFoundError, CodecError):
            return None
        except OSError as error:
            raise StorageError(f"{self._facts(upload)}: {error.strerror}") from error

    def received(self, upload: bytes) -> int:
        """Bytes that have arrived."""
        try:
            return self.bytes_path(upload).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, facts: UploadBegin, offset: int, data: bytes) -> int:
        """Take the next bytes; returns how many have arrived then.

        A part that arrived before is accepted if it is the same, bytes that go on from it are taken.

        :raises Refused: ``bad-part`` for a gap, bytes that differ from those that arrived, or more than announced;
            ``no-room`` on a full disk (what had arrived stays).
        """
        path = self.bytes_path(facts.upload)
        received = self.received(facts.upload)
        refuse_unless(offset <= received, "bad-part", f"bytes {received}..{offset} have not arrived; go on from {received}")
        refuse_unless(offset + len(data) <= facts.size_bytes, "bad-part", f"the body was announced with {facts.size_bytes} bytes")
        try:
            with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
                overlap = min(received - offset, len(data))
                file.seek(offset)
                same = file.read(overlap) == data[:overlap]
                refuse_unless(same, "bad-part", f"the bytes at {offset} differ from those that arrived before")
                if overlap == len(data):
                    return received
                try:
                    file.seek(received)
                    file.write(data[overlap:])
                    file.flush()
                except OSError:
                    os.ftruncate(file.fileno(), received)
                    raise
        except OSError as error:
            raise Refused("no-room", error.strerror or "the part cannot be written") from error
        return offset + len(data)

    def sync(self, upload: bytes) -> Path:
        """Make the bytes durable and return their file."""
        path = self.bytes_path(upload)
        try:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        return path

    def discard(self, upload: bytes) -> None:
        """Forget an upload."""
        for path in (self.bytes_path(upload), self._facts(upload)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"{path}: {error.strerror}") from error

    def open_uploads(self) -> Iterator[UploadBegin]:
        """Facts of all open uploads."""
        for path in sorted(self._directory.glob("*.facts")):
            match = _NAME.fullmatch(path.name)
            facts = self.facts(bytes.fromhex(match[1])) if match else None
            if facts is not None:
                yield facts

    def discard_idle(self, before_ms: int) -> int:
        """Discard uploads (and stray files) untouched since ``before_ms``; returns how many files went."""
        count = 0
        for path in sorted(self._directory.iterdir()):
            try:
                both = (path, path.with_suffix(".bytes"))
                last_ns = max((p.stat().st_mtime_ns for p in both if p.exists()), default=0)
                if last_ns // 1_000_000 < before_ms:
                    path.unlink(missing_ok=True)
                    count += 1
            except OSError as error:
                raise StorageError(f"{path}: {error.strerror}") from error
        return count

    def bytes_path(self, upload: bytes) -> Path:
        """File of an upload's bytes."""
        return self._directory / f"{upload.hex()}.bytes"

    def _facts(self, upload: bytes) -> Path:
        return self._directory / f"{upload.hex()}.facts"

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
