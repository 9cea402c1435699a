"""Crypt4GH files (GA4GH File Encryption Standard 1.0): a record's body for a recipient's X25519 key, and files made by others.

::

    file   = header body
    header = "crypt4gh" version (4) packets (4) packet*             numbers little-endian
    packet = length (4) method 0 (4) writer's public key (32) nonce (12) ciphertext tag (16)
    key    = BLAKE2b-512(X25519(reader, writer) || reader's public key || writer's public key), first 32 bytes
    inside: type 0 (4) method 0 (4) data key (32), or: type 1 (4) count (4) length (8)*, the edit list: skip, keep, skip, ..

A body of ours is a Crypt4GH body as it is, so export puts a header in front. What the format itself does not notice: segments in
another order, left out or repeated, an end cut off (docs/protocol/records.md, "Crypt4GH files"). An exported file is verified
against the ledger while it is written; whoever passes it on is not bound by that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from salus.errors import Refused, refuse_unless
from salus.files import replacing
from salus.records.body import body_keys, decrypt_body
from salus.records.crypt4gh_keys import CRYPT4GH_KEY_BYTES
from salus.records.digest import BATCH_SEGMENTS, NONCE_BYTES, OVERHEAD_BYTES, SEALED_SEGMENT_BYTES, TAG_BYTES, BodySummary
from salus.records.streams import Discard, Progress, Sink, Source, read_up_to, write_all
from salus.symmetric import Random

MAGIC: Final = b"crypt4gh"
VERSION: Final = 1
PACKETS_MAX: Final = 1000
"""Of one header: a packet for each recipient and data key."""
PACKET_BYTES_MAX: Final = 64 * 1024
EDITS_MAX: Final = 8000
"""Lengths of an edit list; what fits into a packet."""

_METHOD_X25519: Final = 0
_METHOD_CHACHA20: Final = 0
_TYPE_DATA_KEY: Final = 0
_TYPE_EDIT_LIST: Final = 1
_PACKET_FRAME_BYTES: Final = 4 + 4 + CRYPT4GH_KEY_BYTES + NONCE_BYTES + TAG_BYTES


class Crypt4ghHeader(msgspec.Struct, frozen=True):
    """What a reader's key opens of a header.

    :ivar data_keys: 32 secret bytes each; every segment opens with one of them.
    :ivar edits: lengths to skip and to keep in turn, or ``None``.
    """

    data_keys: tuple[bytes, ...]
    edits: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return f"Crypt4ghHeader({len(self.data_keys)} data keys, edited={self.edits is not None})"


def seal_header(data_key: bytes, recipient: bytes, random: Random = os.urandom) -> bytes:
    """A header that gives ``data_key`` to one recipient, from a writer's key made for it alone.

    :param data_key: 32 secret bytes. :param recipient: X25519 public key, 32 bytes. :param random: gives writer's key and nonce.
    :raises Refused: ``bad-container`` if the recipient's key is not one (for instance a point of small order).
    """
    writer = X25519PrivateKey.from_private_bytes(random(CRYPT4GH_KEY_BYTES))
    own = writer.public_key().public_bytes_raw()
    nonce = random(NONCE_BYTES)
    inside = _le(_TYPE_DATA_KEY) + _le(_METHOD_CHACHA20) + data_key
    sealed = ChaCha20Poly1305(_shared_key(writer, recipient, recipient, own)).encrypt(nonce, inside, None)
    packet = _le(_METHOD_X25519) + own + nonce + sealed
    return MAGIC + _le(VERSION) + _le(1) + _le(4 + len(packet)) + packet


def read_header(source: Source, private_key: bytes) -> Crypt4ghHeader:
    """Read a file's header; the source stands at the body afterwards. Packets for other readers are passed over.

    :param private_key: the reader's X25519 key, 32 secret bytes.
    :raises Refused: ``bad-container`` if it is malformed, over the bounds, or not meant for this key.
    """
    refuse_unless(_exactly(source, 8) == MAGIC, "bad-container", "this is no Crypt4GH file")
    version = _number(_exactly(source, 4))
    refuse_unless(version == VERSION, "bad-container", f"Crypt4GH version {version} is not read")
    count = _number(_exactly(source, 4))
    refuse_unless(0 < count <= PACKETS_MAX, "bad-container", f"a header of {count} packets")
    reader = X25519PrivateKey.from_private_bytes(private_key)
    keys: list[bytes] = []
    edits: tuple[int, ...] | None = None
    for _ in range(count):
        length = _number(_exactly(source, 4))
        sized = _PACKET_FRAME_BYTES < length <= PACKET_BYTES_MAX
        refuse_unless(sized, "bad-container", f"a header packet of {length} bytes")
        inside = _open_packet(_exactly(source, length - 4), reader)
        if inside is None:
            continue
        kind = _number(inside[:4])
        if kind == _TYPE_DATA_KEY:
            keys.append(_data_key(inside))
        elif kind == _TYPE_EDIT_LIST:
            refuse_unless(edits is None, "bad-container", "two edit lists")
            edits = _edit_list(inside)
        else:
            raise Refused("bad-container", f"a header packet of the unknown type {kind}")
    refuse_unless(bool(keys), "bad-container", "no packet of the header is meant for this key")
    return Crypt4ghHeader(tuple(dict.fromkeys(keys)), edits)


def export_crypt4gh(
    source: Source,
    key: bytes,
    context: Any,
    expected: BodySummary,
    recipient: bytes,
    sink: Sink,
    progress: Progress | None = None,
    *,
    random: Random = os.urandom,
) -> None:
    """Write a record as a Crypt4GH file for one recipient; every segment is opened and verified on its way. Constant memory.

    That the whole is the record is known when this returns: write to :func:`salus.files.replacing`, as :func:`export_file` does.

    :param source: the encrypted body. :param key: k. :param context: of the record's keys. :param recipient: X25519 public key.
    :param progress: called with the number of plaintext bytes done.
    :raises Refused: ``bad-body`` or ``bad-container``. :raises StorageError: if source or sink fail.
    """
    write_all(sink, seal_header(body_keys(key, context).body, recipient, random))
    # Readers of the format know no empty segment: a file without content is a header alone.
    kept = sink if expected.plain_bytes else Discard()
    decrypt_body(_Tee(source, kept), key, context, expected, Discard(), progress)


def export_file(
    source: Source,
    key: bytes,
    context: Any,
    expected: BodySummary,
    recipient: bytes,
    destination: Path,
    progress: Progress | None = None,
    *,
    random: Random = os.urandom,
) -> None:
    """:func:`export_crypt4gh` to a file that appears only when all of it is verified."""
    with replacing(destination) as sink:
        export_crypt4gh(source, key, context, expected, recipient, sink, progress, random=random)


class Crypt4ghSource:
    """The plaintext of a Crypt4GH file, as a source to make a record of; constant memory.

    :param stream: the file from its first byte. :param private_key: the reader's X25519 key, 32 secret bytes.
    :raises Refused: ``bad-container``, here for the header and from :meth:`read` for the body.
    """

    def __init__(self, stream: Source, private_key: bytes) -> None:
        header = read_header(stream, private_key)
        parts = _opened(stream, header.data_keys)
        self._parts = parts if header.edits is None else _edited(parts, header.edits)
        self._ready = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; empty only at the end.

        :raises Refused: ``bad-container`` for a segment that does not open, or an edit list that keeps what is not there.
        """
        if not self._ready:
            self._ready = memoryview(next(self._parts, b""))
        part, self._ready = self._ready[:size], self._ready[size:]
        return bytes(part)


def _opened(stream: Source, data_keys: tuple[bytes, ...]) -> Iterator[bytes]:
    """Plaintext of the segments, one by one; the empty one of an empty body is left out."""
    ciphers = [ChaCha20Poly1305(key) for key in data_keys]
    number = 0
    while batch := read_up_to(stream, BATCH_SEGMENTS * SEALED_SEGMENT_BYTES):
        for at in range(0, len(batch), SEALED_SEGMENT_BYTES):
            segment = batch[at : at + SEALED_SEGMENT_BYTES]
            opened = _open_segment(ciphers, segment)
            if opened is None:
                raise Refused("bad-container", f"segment {number} of the Crypt4GH file does not open: damaged, or cut short")
            if opened:
                yield opened
            number += 1


def _open_segment(ciphers: list[ChaCha20Poly1305], segment: bytes) -> bytes | None:
    if len(segment) < OVERHEAD_BYTES:
        return None
    for i, cipher in enumerate(ciphers):
        try:
            opened = cipher.decrypt(segment[:NONCE_BYTES], segment[NONCE_BYTES:], None)
        except InvalidTag:
            continue
        if i:  # the next segment most likely has the same key
            ciphers.insert(0, ciphers.pop(i))
        return opened
    return None


def _edited(parts: Iterator[bytes], edits: tuple[int, ...]) -> Iterator[bytes]:
    """Skip and keep in turn; after a last skip the rest is kept (standard, section 4.2.2)."""
    data = memoryview(b"")
    keep = False
    for length in edits:
        left = length
        while left:
            if not data:
                data = memoryview(next(parts, b""))
            refuse_unless(len(data) > 0, "bad-container", "the edit list goes past the end: the file was cut short")
            taken, data = data[:left], data[left:]
            left -= len(taken)
            if keep:
                yield bytes(taken)
        keep = not keep
    if keep:
        if data:
            yield bytes(data)
        yield from parts


class _Tee:
    """A source that hands on what is read of it."""

    def __init__(self, source: Source, sink: Sink) -> None:
        self._source = source
        self._sink = sink

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        write_all(self._sink, data)
        return data


def _open_packet(packet: bytes, reader: X25519PrivateKey) -> bytes | None:
    """What is inside, or ``None`` if it is for another reader or by another method."""
    if _number(packet[:4]) != _METHOD_X25519:
        return None
    own = reader.public_key().public_bytes_raw()
    writer, sealed = packet[4 : 4 + CRYPT4GH_KEY_BYTES], packet[4 + CRYPT4GH_KEY_BYTES :]
    key = _shared_key(reader, writer, own, writer)
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
    except InvalidTag:
        return None


def _shared_key(private: X25519PrivateKey, other: bytes, reader: bytes, writer: bytes) -> bytes:
    """Section 2.2.2 of the standard: the reader's half of libsodium's key exchange."""
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError:
        raise Refused("bad-container", "a public key is not one: no X25519 key, or of small order") from None
    return hashlib.blake2b(shared + reader + writer).digest()[:CRYPT4GH_KEY_BYTES]


def _data_key(inside: bytes) -> bytes:
    fits = len(inside) == 8 + CRYPT4GH_KEY_BYTES and _number(inside[4:8]) == _METHOD_CHACHA20
    refuse_unless(fits, "bad-container", "the body is encrypted by a method that is not read")
    return inside[8:]


def _edit_list(inside: bytes) -> tuple[int, ...]:
    count = _number(inside[4:8])
    fits = 0 < count <= EDITS_MAX and len(inside) == 8 + 8 * count
    refuse_unless(fits, "bad-container", "a malformed edit list")
    return tuple(int.from_bytes(inside[at : at + 8], "little") for at in range(8, len(inside), 8))


def _exactly(source: Source, size: int) -> bytes:
    data = read_up_to(source, size)
    refuse_unless(len(data) == size, "bad-container", "the header of the Crypt4GH file is cut short")
    return data


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _le(number: int) -> bytes:
    return number.to_bytes(4, "little")
