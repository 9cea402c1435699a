"""Byte streams: what bodies are read from and written to. Files that appear whole or not at all: :mod:`salus.files`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from salus.errors import StorageError

Progress = Callable[[int], None]
"""Called with the number of bytes done so far."""
Buffer = bytes | bytearray | memoryview
"""Bytes that are read where they lie."""


class Source(Protocol):
    """Anything bytes are read from; a short read is not the end, an empty one is."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; empty at the end."""


class Sink(Protocol):
    """Anything bytes are written to."""

    def write(self, data: Buffer, /) -> object:
        """Take ``data``, which is the caller's again afterwards; return how many bytes were taken (or nothing, if all)."""


class Discard:
    """A sink that forgets what it is given (to measure, or to verify without keeping)."""

    def write(self, data: Buffer, /) -> int:
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


def write_all(sink: Sink, data: Buffer) -> None:
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


def _name_of(stream: object) -> str:
    name = getattr(stream, "name", None)
    return str(name) if isinstance(name, str | Path) else "the stream"
