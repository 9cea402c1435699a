"""What a body is made of: a file, or what is encrypted already (another body, a Crypt4GH file) and decrypted while it is read.

Of what is encrypted already, the plaintext passes through memory alone: nothing of it is ever on a disk, whatever kills the
terminal meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from salus.records.crypt4gh import Crypt4ghSource
from salus.records.file import recognise_bytes
from salus.records.info import PARSE_BYTES_MAX
from salus.records.record import decrypt_record
from salus.records.streams import Source, open_source
from salus.terminal.sharing.reading import Opened
from salus.transport import PART_BYTES

SUFFIX: Final = ".c4gh"


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


class Imported:
    """A Crypt4GH file for this owner's key, read through once: every segment opens, its size and first bytes are known.

    :param key: X25519 private key, 32 secret bytes.
    :ivar name: of the file, without ``.c4gh``. :ivar size_bytes: of the plaintext. :ivar head: as much of it as is ever parsed.
    :raises Refused: ``bad-container``: malformed, damaged, or for another key. :raises StorageError: it cannot be read.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self.name = path.name.removesuffix(SUFFIX) or path.name
        self.size_bytes = 0
        head = bytearray()
        with open_source(path) as stream:
            source = Crypt4ghSource(stream, key)
            while data := source.read(PART_BYTES):
                self.size_bytes += len(data)
                head += data[: PARSE_BYTES_MAX - len(head)]
        self.head = bytes(head)
        self.media_type = recognise_bytes(self.head, self.name).media_type

    def __repr__(self) -> str:
        return f"Imported({self._path.name})"

    @contextlib.contextmanager
    def open(self) -> Iterator[Decrypted]:
        """The plaintext, from its start."""
        with open_source(self._path) as stream:
            yield Decrypted(Crypt4ghSource(stream, self._key), self.size_bytes, self.media_type, self.name)


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
