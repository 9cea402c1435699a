"""Bodies by digest. The default store is a directory; any other (S3) implements :class:`ObjectStore`.

A store keeps bytes and never judges them: the gateway hashes what it puts and what it confirms, readers hash what they get.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from salus.errors import Refused, StorageError
from salus.files import fsync_directory, make_private_directory

_HEX: Final = re.compile(r"[0-9a-f]{64}")


class ObjectStore(Protocol):
    """Where bodies are. Every method raises :class:`StorageError` if the store itself fails."""

    def put(self, digest: bytes, staged: Path) -> None:
        """Move a complete, fsynced file into the store durably; replaces what is there. ``staged`` is gone afterwards."""

    def size(self, digest: bytes) -> int | None:
        """Bytes of the body, or ``None`` if it is not here."""

    def read(self, digest: bytes, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``offset``; fewer at the end.

        :raises Refused: ``missing-body``.
        """

    def open(self, digest: bytes) -> contextlib.AbstractContextManager[BinaryIO]:
        """Read the body as a stream.

        :raises Refused: ``missing-body``.
        """

    def delete(self, digest: bytes) -> bool:
        """Remove the body; returns whether it was there."""

    def set_aside(self, digest: bytes) -> None:
        """Take a damaged body out of service, so that it can be uploaded again; the bytes are kept for examination."""

    def digests(self) -> Iterator[bytes]:
        """Digests of all bodies, in no particular order."""

    def free_bytes(self) -> int:
        """Room left."""


class DirectoryStore:
    """``objects/ab/cd/<64 hex digits>``, two levels of 256 directories; each file appears by rename, whole and fsynced."""

    def __init__(self, directory: Path) -> None:
        self._objects = directory / "objects"
        self._damaged = directory / "damaged"
        make_private_directory(self._objects)
        make_private_directory(self._damaged)

    def put(self, digest: bytes, staged: Path) -> None:
        """See :meth:`ObjectStore.put`; ``staged`` must be on the same file system."""
        target = self._path(digest)
        try:
            self._make_fan_out(target.parent)
            os.replace(staged, target)
            fsync_directory(target.parent)
        except OSError as error:
            raise _failed(target, error) from error

    def size(self, digest: bytes) -> int | None:
        """See :meth:`ObjectStore.size`."""
        path = self._path(digest)
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(path, error) from error

    def read(self, digest: bytes, offset: int, count: int) -> bytes:
        """See :meth:`ObjectStore.read`."""
        with self.open(digest) as file:
            try:
                file.seek(offset)
                return file.read(count)
            except OSError as error:
                raise _failed(self._path(digest), error) from error

    @contextlib.contextmanager
    def open(self, digest: bytes) -> Iterator[BinaryIO]:
        """See :meth:`ObjectStore.open`."""
        path = self._path(digest)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise Refused("missing-body", f"no body {digest.hex()[:16]}.. here") from None
        except OSError as error:
            raise _failed(path, error) from error
        with file:
            yield file

    def delete(self, digest: bytes) -> bool:
        """See :meth:`ObjectStore.delete`."""
        path = self._path(digest)
        try:
            path.unlink()
            fsync_directory(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _failed(path, error) from error
        return True

    def set_aside(self, digest: bytes) -> None:
        """Move the file to ``damaged/``, one for each digest."""
        path = self._path(digest)
        try:
            os.replace(path, self._damaged / path.name)
            fsync_directory(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failed(path, error) from error

    def digests(self) -> Iterator[bytes]:
        """See :meth:`ObjectStore.digests`."""
        for first in sorted(self._objects.iterdir()):
            for second in sorted(first.iterdir()) if first.is_dir() else ():
                for path in sorted(second.iterdir()) if second.is_dir() else ():
                    if _HEX.fullmatch(path.name):
                        yield bytes.fromhex(path.name)

    def free_bytes(self) -> int:
        """Room on the file system for this user."""
        try:
            status = os.statvfs(self._objects)
        except OSError as error:
            raise _failed(self._objects, error) from error
        return status.f_bavail * status.f_frsize

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._objects / name[:2] / name[2:4] / name

    def _make_fan_out(self, directory: Path) -> None:
        if directory.is_dir():
            return
        make_private_directory(directory)
        fsync_directory(directory.parent)
        fsync_directory(self._objects)


def _failed(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: {error.strerror or error}; check the disk and its permissions")
