"""What a body is made of: a file, or another body that is decrypted while it is read.

A rotation reads the old body so: its ciphertext is verified first, and its plaintext passes through memory alone. Nothing of it
is ever on a disk, whatever kills the terminal meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from salus.records.record import decrypt_record
from salus.records.streams import Source, open_source
from salus.terminal.sharing.reading import Opened


class Plaintext(Protocol):
    """A plaintext of known size, read once from its start.

    :ivar media_type, file_name: what the receiver is told.
    """

    @property
    def file(self) -> Source:
        """Where it is read from."""

    @property
    def size_bytes(self) -> int:
        """Its size when it was opened."""

    @property
    def media_type(self) -> str:
        """Content type."""

    @property
    def file_name(self) -> str:
        """Name of the file, may be empty."""


class Decrypted(msgspec.Struct, frozen=True):
    """See :class:`Plaintext`."""

    file: Source
    size_bytes: int
    media_type: str
    file_name: str


@contextlib.contextmanager
def decrypted(ciphertext: Path, opened: Opened) -> Iterator[Decrypted]:
    """A body's plaintext as a stream: a thread decrypts into a pipe what the block reads.

    :param ciphertext: file with the encrypted body.
    :raises Refused: ``bad-body``, out of the read that would be the last. :raises StorageError: the file cannot be read.
    """

    def work(sink: BinaryIO) -> None:
        with sink, open_source(ciphertext) as source:
            decrypt_record(source, opened.key, opened.place, opened.metadata, sink)

    metadata = opened.metadata
    with _piped(work) as source:
        yield Decrypted(source, metadata.body.plain_bytes, metadata.media_type, metadata.file_name)


class _Pipe:
    """The reading end: the end of what the writer wrote is the end of the stream only if the writer did not fail."""

    def __init__(self, file: BinaryIO, writer: threading.Thread, failures: list[BaseException]) -> None:
        self._file = file
        self._writer = writer
        self._failures = failures

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; empty at the end."""
        data = self._file.read(size)
        if not data:
            self._writer.join()
            if self._failures:
                raise self._failures[0]
        return data


@contextlib.contextmanager
def _piped(work: Callable[[BinaryIO], None]) -> Iterator[_Pipe]:
    reading, writing = os.pipe()
    failures: list[BaseException] = []
    sink = os.fdopen(writing, "wb")

    def run() -> None:
        try:
            work(sink)
        except BaseException as error:  # noqa: BLE001 - it is the reader's to raise
            failures.append(error)
        finally:
            with contextlib.suppress(OSError):
                sink.close()

    writer = threading.Thread(target=run, name="decrypting", daemon=True)
    try:
        with os.fdopen(reading, "rb") as file:
            writer.start()
            yield _Pipe(file, writer, failures)
    finally:
        writer.join()  # the reading end is closed: a writer that is not done fails at once
