"""Byte streams: what bodies are read from and written to, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from salus.errors import StorageError

Progress = Callable[[int], None]
"""Called with the number of bytes done so far, once per segment."""

PARTIAL_SUFFIX: Final = ".partial"
"""Ending of a file that has not arrived whole; one that a killed process left is swept by :func:`sweep_partials`."""


class Source(Protocol):
    """Anything bytes are read from; a short read is not the end, an empty one is."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; empty at the end."""


class Sink(Protocol):
    """Anything bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Take ``data``; return how many bytes were taken (or nothing, if all)."""


class Discard:
    """A sink that forgets what it is given (to measure, or to verify without keeping)."""

    def write(self, data: bytes, /) -> int:
        """Drop ``data`` and return its length."""
        return len(data)


def read_up_to(source: Source, size: int) -> bytes:
    """Read ``size`` bytes, or fewer only at the end of the source.

    :raises StorageError: if the source cannot be read.
    """
    try:
        data = source.read(size)
        if len(data) == size or not data:
            return data
        parts = [data]
        missing = size - len(data)
        while missing:
            data = source.read(missing)
            if not data:
                break
            parts.append(data)
            missing -= len(data)
    except OSError as error:
        raise StorageError(f"cannot read {_name_of(source)}: {error.strerror or error}") from error
    return b"".join(parts)


def write_all(sink: Sink, data: bytes) -> None:
    """Write ``data`` whole.

    :raises StorageError: if the sink takes less or fails, e.g. because the disk is full.
    """
    try:
        written = sink.write(data)
    except OSError as error:
        raise StorageError(f"cannot write {_name_of(sink)}: {error.strerror or error}") from error
    if isinstance(written, int) and written != len(data):
        raise StorageError(f"cannot write {_name_of(sink)}: {written} of {len(data)} bytes taken; use a buffered file")


@contextlib.contextmanager
def open_source(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading.

    :raises StorageError: if it does not exist, is no regular file, or may not be read.
    """
    try:
        if not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file" if path.exists() else "not there"
            raise StorageError(f"{path} is {kind}; name a file")
        stream = path.open("rb")
    except OSError as error:
        raise StorageError(f"cannot open {path}: {error.strerror or error}") from error
    with stream:
        yield stream


@contextlib.contextmanager
def arriving_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under ``path`` whole, synced and mode 0600, when the block ends well; otherwise never.

    Bytes go to a temporary file in the same directory; an exception (a refused segment, a full disk, Ctrl-C) removes
    it and leaves what stood under ``path`` before.

    :raises StorageError: if the directory or the file cannot be written.
    """
    partial = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}{PARTIAL_SUFFIX}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise StorageError(f"cannot write in {path.parent}: {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            _sync(stream, path)
        _replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def sweep_partials(directory: Path) -> int:
    """Remove what interrupted processes left below ``directory``; returns how many files. Call it under the home's lock."""
    swept = 0
    for path in directory.rglob(f".*{PARTIAL_SUFFIX}"):
        path.unlink(missing_ok=True)
        swept += 1
    return swept


def _sync(stream: BinaryIO, path: Path) -> None:
    try:
        stream.flush()
        os.fsync(stream.fileno())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _replace(partial: Path, path: Path) -> None:
    try:
        partial.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _name_of(stream: object) -> str:
    name = getattr(stream, "name", None)
    return str(name) if isinstance(name, str | Path) else "the stream"
