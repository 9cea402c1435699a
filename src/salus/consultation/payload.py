"""What a body holds: a canonical header, then the file's bytes; and its digest, computed while it streams.

The plaintext that :mod:`salus.records` encrypts is ``length:4 || header || file``; so a study of any size goes through in constant
memory. ``H2(m_PA)`` of the protocol text is ``H2("m_PA", header, SHA-512(file), size of the file)`` here.
Steps: docs/protocol/consultation.md, "bodies".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, TypeVar

from salus import labels
from salus.codec import Bytes32, Message, Size
from salus.consultation.credentials import Pid
from salus.consultation.registration import SUITE
from salus.errors import refuse_unless
from salus.symmetric import h2

HEADER_BYTES_MAX: Final = 4096
"""Bound of an encoded header: pid, file name and media type are far below it."""
MediaType = Annotated[str, Size(1, 127)]
FileName = Annotated[str, Size(0, 255)]


class RequestHeader(Message, frozen=True):
    """Header of m_PA: whose it is, when it was measured, what the bytes after it are."""

    KIND = "payload.request"

    pid: Pid
    time_ms: int
    media_type: MediaType
    filename: FileName


class ReplyHeader(Message, frozen=True):
    """Header of the reply's body: which payload was diagnosed, when, what the bytes after it are."""

    KIND = "payload.reply"

    request_digest: Bytes32
    time_ms: int
    media_type: MediaType
    filename: FileName


H = TypeVar("H", bound=Message)


class PayloadDigest:
    """``H2("m_PA", header, SHA-512(file), size)`` of one payload, fed in pieces."""

    __slots__ = ("_hash", "_header", "size_bytes")

    def __init__(self, header: Message) -> None:
        self._header = header.encode()
        self._hash = hashlib.sha512()
        self.size_bytes = 0

    def update(self, piece: bytes) -> None:
        """Take the next bytes of the file."""
        self._hash.update(piece)
        self.size_bytes += len(piece)

    def digest(self) -> bytes:
        """32 bytes, of everything taken so far."""
        return h2(labels.M_PA, SUITE, self._header, self._hash.digest(), self.size_bytes)


def frame(header: Message, pieces: Iterable[bytes], digest: PayloadDigest | None = None) -> Iterator[bytes]:
    """The plaintext stream of a body: ``length:4 || header || file`` (bodies, step 1).

    :param pieces: the file's bytes, in order.
    :param digest: is fed with the file's bytes as they pass.
    """
    head = header.encode()
    refuse_unless(len(head) <= HEADER_BYTES_MAX, "too-large", "payload header")
    yield len(head).to_bytes(4, "big") + head
    for piece in pieces:
        if digest is not None:
            digest.update(piece)
        yield piece


def unframe(kind: type[H], pieces: Iterable[bytes]) -> tuple[H, Iterator[bytes]]:
    """Split a plaintext stream into its header and the file's bytes (bodies, step 3).

    The rest of the stream is read as the returned iterator is consumed.

    :raises Refused: ``bad-encoding``, ``too-large``.
    """
    stream = iter(pieces)
    held = bytearray()
    size = -1
    for piece in stream:
        held += piece
        if size < 0 and len(held) >= 4:
            size = int.from_bytes(held[:4], "big")
            refuse_unless(size <= HEADER_BYTES_MAX, "too-large", "payload header")
        if size >= 0 and len(held) >= 4 + size:
            break
    refuse_unless(0 <= size <= len(held) - 4, "bad-encoding", "the body ends inside its header")
    header = kind.decode(bytes(held[4 : 4 + size]))
    return header, _rest(bytes(held[4 + size :]), stream)


def _rest(first: bytes, stream: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from stream
