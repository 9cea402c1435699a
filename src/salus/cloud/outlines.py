"""Outlines of bodies: the nodes of a body's tree, kept beside it, so that a range is proven without reading the body again.

An outline is 1/1024 of its body (:mod:`salus.records.trees`), written while the body is hashed, and appears by rename, whole and
fsynced. It is made again whenever it is missing or does not give the digest, so nothing depends on it but time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from salus import labels
from salus.errors import StorageError
from salus.files import PRIVATE_FILE, erase, fsync_directory, make_private_directory, remove_leftovers
from salus.records.digest import RangeProof, outline_digest, prove_range, segments_of
from salus.records.streams import Buffer
from salus.records.trees import outline_bytes

SUITES: Final = (labels.SUITE_RECORDS, labels.SUITE_RECORDS_2)
"""Hashes of digests: of bodies of consultations, and of records."""
OUTLINES_DIRECTORY: Final = "outlines"
SEGMENTS_MIN: Final = 17
"""Smaller bodies, up to a mebibyte, have no outline: reading them again takes a millisecond, and a file as long to write."""

_EARLY_BYTES: Final = 4096
"""Nodes held before they are written: more than a small body has."""


class Outlines:
    """Outlines by digest, in ``outlines/ab/<64 hex digits>``.

    :param directory: of the gateway; made private.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_directory(directory)

    def write(self, digest: bytes) -> OutlineWriter:
        """Write an outline while a body is hashed; it is kept once :meth:`OutlineWriter.keep` is called."""
        return OutlineWriter(self._path(digest))

    def prove(self, digest: bytes, size_bytes: int, first: int, count: int) -> RangeProof | None:
        """Proof of segments, from about 2 log2(n) reads of 32 bytes; None if there is no outline that gives the digest.

        The proof is compared with the digest before it is given away: a damaged outline is made again, and not served.

        :raises Refused: ``bad-body`` for segments outside the body.
        """
        path = self._path(digest)
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != outline_bytes(segments_of(size_bytes)):
                    return None

                def read(offset: int, length: int) -> bytes:
                    return os.pread(file.fileno(), length, offset)

                for suite in SUITES:
                    proof = prove_range(read, size_bytes, first, count, suite)
                    if outline_digest(read, proof, suite) == digest:
                        return proof
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(path, error) from error
        return None

    def forget(self, digest: bytes) -> None:
        """Overwrite and remove an outline: it tells which segments two bodies share."""
        path = self._path(digest)
        if path.exists():
            erase(path)

    def forget_strays(self, held: set[bytes]) -> int:
        """Remove outlines of bodies that are not here, and what a crash left half written; returns how many went."""
        count = 0
        for directory in sorted(self._directory.iterdir()):
            count += remove_leftovers(directory)
            for path in sorted(directory.iterdir()):
                if bytes.fromhex(path.name) not in held:
                    erase(path)
                    count += 1
        return count

    def digests(self) -> Iterator[bytes]:
        """Digests of all outlines, in no particular order."""
        for directory in sorted(self._directory.iterdir()):
            for path in sorted(directory.iterdir()) if directory.is_dir() else ():
                if len(path.name) == 64:
                    yield bytes.fromhex(path.name)

    def __contains__(self, digest: bytes) -> bool:
        return self._path(digest).exists()

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._directory / name[:2] / name


class OutlineWriter:
    """One outline being written; a :class:`salus.records.streams.Sink`. Without :meth:`keep` nothing of it stays.

    :ivar full: whether the disk had no room: the body is proven without it, and another time it may have.
    """

    def __init__(self, path: Path) -> None:
        self.full = False
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(8).hex()}.tmp")
        self._file: BinaryIO | None = None
        self._early = bytearray()

    def __enter__(self) -> OutlineWriter:
        return self

    def write(self, data: Buffer, /) -> int:
        """Append nodes; the file is made once there are more than a small body has."""
        self._early += data
        if len(self._early) > _EARLY_BYTES:
            self._flush()
        return len(data)

    def keep(self) -> bool:
        """The digest is right: make the outline durable; returns whether it is."""
        self._flush()
        if self._file is None or self.full:
            return False
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            os.replace(self._part, self._path)
            fsync_directory(self._path.parent)
        except OSError:
            self.full = True
        return not self.full

    def _flush(self) -> None:
        if self.full:
            self._early.clear()
            return
        try:
            if self._file is None:
                make_private_directory(self._path.parent)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._file = open(os.open(self._part, flags, PRIVATE_FILE), "wb")  # noqa: SIM115 - closed by __exit__
            self._file.write(self._early)
        except (OSError, StorageError):
            self.full = True
        self._early.clear()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be flushed is thrown away with the file
                self._file.close()
            self._part.unlink(missing_ok=True)


def _failed(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: {error.strerror or error}; check the disk and its permissions")
