"""What a consultation's bodies hold: a header and a file, as one stream.

::

    stream   = length of header (4, big-endian) || header (canonical message) || payload (header's payload_bytes)
    request  m_PA = (pid, payload, time measured):   header :class:`PayloadHeader`
    reply    C_D  = (H2("m_PA", m_PA), m_D, time):   header :class:`ReplyHeader`

``H2("m_PA", m_PA)`` is ``H2("m_PA"; header, SHA-512(payload), payload_bytes)``, so both sides compute it
while the bytes stream by.
The header comes first: the receiver compares pid and time before any payload byte is written.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from salus import labels
from salus.codec import Bytes32, Message, Size
from salus.errors import CodecError, Refused, StorageError, refuse_unless
from salus.files import replacing
from salus.records.body import decrypt_body, encrypt_body
from salus.records.digest import BodySummary
from salus.records.streams import Buffer, Progress, Sink, Source, read_up_to, write_all
from salus.symmetric import Random, h2

MAX_HEADER_BYTES: Final = 4096
"""A header's fields sum to less than 2 KiB of text; more is refused before it is read."""
FILE_NAME_BYTES_MAX: Final = 200
"""Of a received name: leaves room for a prefix under the 255 bytes that file systems allow."""

MediaType = Annotated[str, Size(1, 127)]
FileName = Annotated[str, Size(0, 255)]
Pseudonym = Annotated[bytes, Size(1, 512)]


class PayloadHeader(Message, frozen=True):
    """Header of m_PA: the sender's static pseudonym, when the payload was measured, and what the payload is."""

    KIND = "records.payload"

    pid: Pseudonym
    time_ms: int
    media_type: MediaType
    file_name: FileName
    payload_bytes: int


class ReplyHeader(Message, frozen=True):
    """Header of C_D: the request's m_PA digest, the doctor's time, and what the payload (the diagnosis m_D) is."""

    KIND = "records.reply"

    m_pa_digest: Bytes32
    time_ms: int
    media_type: MediaType
    file_name: FileName
    payload_bytes: int


Header = PayloadHeader | ReplyHeader
H = TypeVar("H", PayloadHeader, ReplyHeader)


def m_pa_digest(suite: str, header: bytes, payload_sha512: bytes, payload_bytes: int) -> bytes:
    """``H2("m_PA", m_PA)`` of a streamed m_PA.

    :param header: encoded :class:`PayloadHeader`; :param payload_sha512: 64 bytes.
    """
    return h2(labels.M_PA, suite, header, payload_sha512, payload_bytes)


class FramedSource:
    """The stream of a header and its payload, to encrypt from.

    :raises StorageError: while reading, if the payload is shorter or longer than its header says (the file changed).
    """

    def __init__(self, header: Header, payload: Source) -> None:
        self._header = header.encode()
        self._front = len(self._header).to_bytes(4, "big") + self._header
        self._payload = payload
        self._payload_bytes = header.payload_bytes
        self._left = header.payload_bytes
        self._sha512 = hashlib.sha512()

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes of the stream; empty only at its end."""
        if self._front:
            part, self._front = self._front[:size], self._front[size:]
            return part
        if self._left == 0:
            if read_up_to(self._payload, 1):
                raise StorageError("the file grew while it was read; send it again when nothing writes to it")
            return b""
        data = read_up_to(self._payload, min(size, self._left))
        if not data:
            raise StorageError("the file shrank while it was read; send it again when nothing writes to it")
        self._left -= len(data)
        self._sha512.update(data)
        return data

    def digest(self, suite: str) -> bytes:
        """``H2("m_PA", m_PA)``, once everything has been read."""
        if self._left or self._front:
            raise RuntimeError("the stream has not been read to its end")
        return m_pa_digest(suite, self._header, self._sha512.digest(), self._payload_bytes)


class FramedSink(Generic[H]):
    """Takes a stream apart: reads the header, lets the caller check it, passes the payload on.

    :param header_type: :class:`PayloadHeader` or :class:`ReplyHeader`.
    :param accept: called with the header before any payload byte; raises to refuse, e.g. a pid that is not the sender's.
    """

    def __init__(self, header_type: type[H], accept: Callable[[H], None], payload: Sink) -> None:
        self._header_type: type[H] = header_type
        self._accept: Callable[[H], None] = accept
        self._payload = payload
        self._front = b""
        self._encoded = b""
        self._header: H | None = None
        self._taken_bytes = 0
        self._sha512 = hashlib.sha512()

    def write(self, data: Buffer, /) -> int:
        """Take the next bytes of the stream.

        :raises Refused: ``bad-encoding`` for a malformed header, ``bad-body`` for more payload than announced, and what
            ``accept`` raises.
        """
        payload = data if self._header is not None else self._take_front(data)
        if payload and self._header is not None:
            self._taken_bytes += len(payload)
            refuse_unless(self._taken_bytes <= self._header.payload_bytes, "bad-body", "the payload is longer than announced")
            self._sha512.update(payload)
            write_all(self._payload, payload)
        return len(data)

    def finish(self) -> H:
        """The header, if the stream was complete.

        :raises Refused: ``bad-body`` if it was cut short.
        """
        if self._header is None or self._taken_bytes != self._header.payload_bytes:
            raise Refused("bad-body", "the payload is shorter than announced")
        return self._header

    def digest(self, suite: str) -> bytes:
        """``H2("m_PA", m_PA)`` of the complete stream."""
        return m_pa_digest(suite, self._encoded, self._sha512.digest(), self.finish().payload_bytes)

    def _take_front(self, data: Buffer) -> bytes:
        self._front += bytes(data)
        if len(self._front) < 4:
            return b""
        length = int.from_bytes(self._front[:4], "big")
        if length > MAX_HEADER_BYTES:
            raise CodecError(f"a header of {length} bytes; at most {MAX_HEADER_BYTES}", "too-large")
        if len(self._front) < 4 + length:
            return b""
        self._encoded, rest = self._front[4 : 4 + length], self._front[4 + length :]
        header = self._header_type.decode(self._encoded)
        self._accept(header)
        self._header, self._front = header, b""
        return rest


class SealedPayload(msgspec.Struct, frozen=True):
    """An encrypted header and payload: the body's summary and the m_PA digest (meaningful for requests)."""

    body: BodySummary
    m_pa_digest: bytes


class OpenedPayload(msgspec.Struct, Generic[H], frozen=True):
    """A decrypted and verified header, and the m_PA digest (meaningful for requests)."""

    header: H
    m_pa_digest: bytes


def encrypt_payload(
    header: Header,
    payload: Source,
    key: bytes,
    context: Any,
    sink: Sink,
    suite: str = labels.SUITE_R1,
    progress: Progress | None = None,
    *,
    random: Random = os.urandom,
) -> SealedPayload:
    """Encrypt a header and its payload as one body (request, step 6; reply, step 3; payloads, steps 1 and 2); constant memory.

    :param key: k_enc, 32 secret bytes; :param context: (t0, cm, S_D, PID1) or (t0', PID2).
    :raises StorageError: if the payload cannot be read, does not have the header's length, or the sink fails.
    """
    source = FramedSource(header, payload)
    body = encrypt_body(source, key, context, sink, progress, random=random)
    return SealedPayload(body, source.digest(suite))


def decrypt_payload(
    source: Source,
    key: bytes,
    context: Any,
    expected: BodySummary,
    header_type: type[H],
    accept: Callable[[H], None],
    destination: Path,
    suite: str = labels.SUITE_R1,
    progress: Progress | None = None,
) -> OpenedPayload[H]:
    """Decrypt a body to its header and a file ``destination`` that appears only when all of it is verified.

    :param accept: checks the header (pid, time, m_PA digest) before the first payload byte is written.
    :raises Refused: ``bad-body`` for any altered byte; ``bad-encoding`` for a malformed header; what ``accept`` raises.
    """
    with replacing(destination) as file:
        sink = FramedSink(header_type, accept, file)
        decrypt_body(source, key, context, expected, sink, progress)
        opened = OpenedPayload(sink.finish(), sink.digest(suite))
    return opened


_RESERVED: Final = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)


def safe_file_name(name: str, otherwise: str = "payload") -> str:
    """A name chosen by another party, made harmless: no directories, control or format characters, leading dots, reserved names.

    :param name: file name as received; :param otherwise: what to use if nothing is left.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in name if unicodedata.category(c)[0] != "C" and c not in '<>:"|?*').strip(" .")
    if not kept or _RESERVED.match(kept):
        return otherwise
    stem, suffix = os.path.splitext(kept)
    suffix = suffix if len(suffix.encode()) <= 16 else ""
    room = FILE_NAME_BYTES_MAX - len(suffix.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + suffix
