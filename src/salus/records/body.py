"""Bodies: files of any size, encrypted in 64 KiB segments, for the cloud.

Format (of GA4GH Crypt4GH 1.0, section 3; a header for a recipient makes the segments a standard file)::

    body    = segment*                     at least one
    segment = nonce (12) || ChaCha20-Poly1305(k_body, nonce, up to 65,536 bytes, no associated data) || tag (16)
    nonce   = prefix (7, random for each body) || number (4, big-endian) || last (1: 0x01 in the last segment, else 0x00)

Why these nonces: number and last-flag are those of the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar: Online
authenticated-encryption and its nonce-reuse misuse-resistance, 2015), so every single segment shows its place
when it is opened: swapped, dropped, repeated, appended segments and a cut end are noticed *before* plaintext is
released, in one pass, although the digest is only known at the end. Every key is meant for one body; should a caller
that was interrupted encrypt a changed file under the same key again, the random prefix keeps the keystreams apart (and
segments of the two cannot be mixed). Random nonces alone would give no order; a counter alone would forgive no mistake.

Keys: ``k_body, k_meta = KDF("body", k; context)``, so a body opens only in the context it was made for.

Segments are worked on in batches, on all cores, in buffers that are used again: cipher and hash take some 20 microseconds a
segment on a current core, and fresh memory would add a third to that.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from salus import labels
from salus.errors import Refused, refuse_unless
from salus.files import replacing
from salus.records.batches import in_order
from salus.records.digest import (
    BATCH_SEGMENTS,
    NONCE_BYTES,
    OVERHEAD_BYTES,
    SEALED_SEGMENT_BYTES,
    SEGMENT_BYTES,
    BodyDigester,
    BodySummary,
    RangeProof,
    digest_body,
    encrypted_size,
    prove_range,
    segment_range,
    segments_of,
    verify_range,
)
from salus.records.streams import Progress, Sink, Source, open_source, read_up_to, write_all
from salus.records.trees import TreeSuite, tree_suite
from salus.symmetric import KEY_BYTES, Random, kdf

__all__ = [
    "BodyDigester",
    "BodyKeys",
    "BodySummary",
    "RangeProof",
    "body_keys",
    "decrypt_body",
    "decrypt_bytes",
    "decrypt_file",
    "decrypt_range",
    "digest_body",
    "encrypt_body",
    "encrypted_size",
    "prove_range",
    "segment_range",
    "segments_of",
    "verify_range",
]

RUN_SEGMENTS: Final = 64
"""Segments asked for at once when a range of bytes is read: four mebibytes, so that memory stays constant."""

_PREFIX_BYTES: Final = 7
_BATCH_BYTES: Final = BATCH_SEGMENTS * SEGMENT_BYTES
_ZEROS: Final = bytes(_BATCH_BYTES)
_BUFFERS_KEPT: Final = 4
"""Of each kind, two mebibytes together: what one body uses on two cores."""
_kept_sealed: deque[bytearray] = deque(maxlen=_BUFFERS_KEPT)
_kept_plain: deque[bytearray] = deque(maxlen=_BUFFERS_KEPT)


class BodyKeys:
    """Keys of one body: ``body`` for its segments, ``meta`` for its sealed metadata (32 bytes each, secret)."""

    __slots__ = ("body", "meta")

    def __init__(self, body: bytes, meta: bytes) -> None:
        self.body = body
        self.meta = meta

    def __repr__(self) -> str:
        return "BodyKeys(..)"


def body_keys(key: bytes, context: Any) -> BodyKeys:
    """``k_body, k_meta = KDF("body", key; context)``.

    :param key: 32 secret bytes, for one body only.
    :param context: encodable value; (t0, cm, S_D, PID1) of a request, (t0', PID2) of a reply, (network, rid, x) of a record.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a body's key has {KEY_BYTES} bytes, not {len(key)}")
    both = kdf(labels.BODY, labels.SUITE_RECORDS, [key], context, 2 * KEY_BYTES)
    return BodyKeys(both[:KEY_BYTES], both[KEY_BYTES:])


def encrypt_body(
    source: Source,
    key: bytes,
    context: Any,
    sink: Sink,
    progress: Progress | None = None,
    *,
    random: Random = os.urandom,
    suite: str = labels.SUITE_RECORDS,
) -> BodySummary:
    """Encrypt all of ``source`` into ``sink`` and return what the ledger will name (bodies, steps 1 to 4); constant memory.

    :param key: 32 secret bytes, for this body only.
    :param context: encodable value the body is bound to (see :func:`body_keys`).
    :param progress: called with the number of plaintext bytes done, once per segment.
    :param random: gives the 7-byte nonce prefix.
    :param suite: hashes of the digest (:mod:`salus.records.trees`).
    :raises StorageError: if source or sink fail.
    :raises Refused: ``too-large`` over 1 TiB.
    """
    sealer = _Sealer(body_keys(key, context).body, random(_PREFIX_BYTES), tree_suite(suite))
    digester = BodyDigester(suite=suite)
    with contextlib.closing(sealer):
        for batch in in_order(_plain_batches(source), sealer.seal):
            digester.update_hashed(len(batch.data), batch.leaves)
            sealer.release(batch, sink)
            _report(progress, batch)
    return digester.finish()


def decrypt_body(
    source: Source, key: bytes, context: Any, expected: BodySummary, sink: Sink, progress: Progress | None = None
) -> None:
    """Decrypt a body into ``sink``, each segment only after it is verified at its place (opening, steps 1 to 3); constant memory.

    That the whole is the body the ledger names is known when this returns: write to :func:`salus.files.replacing`
    (as :func:`decrypt_file` does), so that a refused body leaves nothing behind.

    :param expected: digest, size and suite, from the ledger.
    :param progress: called with the number of plaintext bytes done, once per segment.
    :raises Refused: ``bad-body`` if anything differs: altered, swapped, dropped, repeated, cut or appended bytes, another
        key or context, another body.
    :raises StorageError: if source or sink fail.
    """
    refuse_unless(segments_of(expected.size_bytes) == expected.segments, "bad-body", "size and number of segments disagree")
    opener = _Opener(body_keys(key, context).body, expected)
    digester = BodyDigester(suite=expected.suite)
    with contextlib.closing(opener):
        for batch in in_order(opener.batches(source), opener.open_batch):
            digester.update_hashed(batch.count * OVERHEAD_BYTES + len(batch.data), batch.leaves)
            opener.release(batch, sink)
            _report(progress, batch)
    refuse_unless(not read_up_to(source, 1), "bad-body", "bytes follow the last segment")
    refuse_unless(digester.finish() == expected, "bad-body", "the body is not the one the ledger names")


def decrypt_file(
    encrypted: Path, key: bytes, context: Any, expected: BodySummary, destination: Path, progress: Progress | None = None
) -> None:
    """Decrypt a file to ``destination``, which appears only when all of it is verified.

    :raises Refused: as :func:`decrypt_body`; :raises StorageError: if a file cannot be read or written.
    """
    with open_source(encrypted) as source, replacing(destination) as sink:
        decrypt_body(source, key, context, expected, sink, progress)


def decrypt_range(key: bytes, context: Any, expected: BodySummary, proof: RangeProof, ciphertext: bytes) -> bytes:
    """Plaintext of a run of segments that verifies alone (see :func:`segment_range` for byte ranges).

    :param proof: from :func:`prove_range`; :param ciphertext: segments ``proof.first`` and following, whole.
    :raises Refused: ``bad-body`` if the range is not of this body.
    """
    opener = _Opener(body_keys(key, context).body, expected)
    segments = verify_range(expected, proof, ciphertext)
    return b"".join(opener.open(proof.first + i, sealed) for i, sealed in enumerate(segments))


Fetch = Callable[[int, int], tuple[RangeProof, bytes]]
"""Gets (number of segments, from which on) proven from a cloud: (first, count) -> proof and the sealed segments."""


def decrypt_bytes(fetch: Fetch, key: bytes, context: Any, expected: BodySummary, start: int, stop: int, sink: Sink) -> None:
    """Decrypt the plaintext bytes ``start`` up to ``stop`` alone (ranges, steps 1 to 3), in runs of :data:`RUN_SEGMENTS`.

    What arrives in ``sink`` is verified against the digest, run by run; a range of a few bytes costs one segment and log2(n)
    hashes, whatever the size of the body.

    :param fetch: gets segments ``first .. first + count - 1`` with their proof, from anywhere.
    :raises Refused: ``bad-body`` for an empty range, one beyond the end, or anything that does not verify.
    """
    inside = 0 <= start < stop <= expected.plain_bytes
    refuse_unless(inside, "bad-body", f"bytes {start}..{stop} of a record of {expected.plain_bytes} bytes")
    opener = _Opener(body_keys(key, context).body, expected)
    first, count = segment_range(start, stop)
    for run in range(first, first + count, RUN_SEGMENTS):
        proof, ciphertext = fetch(run, min(RUN_SEGMENTS, first + count - run))
        asked = (run, min(RUN_SEGMENTS, first + count - run))
        refuse_unless((proof.first, proof.count) == asked, "bad-body", "another range was proven than was asked for")
        for number, sealed in enumerate(verify_range(expected, proof, ciphertext), run):
            at = number * SEGMENT_BYTES
            write_all(sink, opener.open(number, sealed)[max(start - at, 0) : stop - at])


class _Batch(msgspec.Struct, frozen=True):
    """A batch done: what goes to the sink, its segments' leaf hashes, the first one's number, how many, plaintext bytes."""

    data: memoryview
    buffer: bytearray
    leaves: bytes
    first: int
    count: int
    plain_bytes: int


class _Plain(msgspec.Struct, frozen=True):
    """Plaintext of consecutive segments; ``last``: no more follow."""

    data: bytes
    first: int
    last: bool


def _plain_batches(source: Source) -> Iterator[_Plain]:
    """Cut a source into batches of whole segments; an empty source is one empty segment."""
    data = read_up_to(source, _BATCH_BYTES)
    first = 0
    while True:
        following = read_up_to(source, _BATCH_BYTES) if len(data) == _BATCH_BYTES else b""
        yield _Plain(data, first, not following)
        if not following:
            return
        data = following
        first += BATCH_SEGMENTS


def _report(progress: Progress | None, batch: _Batch) -> None:
    if progress is not None:
        before = batch.first * SEGMENT_BYTES
        for number in range(1, batch.count + 1):
            progress(before + min(number * SEGMENT_BYTES, batch.plain_bytes))


class _Buffers:
    """Buffers that threads fill and the calling thread empties into a sink; as many as are in use at once.

    A few are kept from body to body, for fresh memory costs as much as the cipher; those of plaintext are wiped before.
    """

    def __init__(self, kept: deque[bytearray], size_bytes: int, wiped: bool) -> None:
        self._kept = kept
        self._size_bytes = size_bytes
        self._wiped = wiped
        self._spare: deque[bytearray] = deque()

    def release(self, batch: _Batch, sink: Sink) -> None:
        """Write a batch; its buffer is free afterwards."""
        with batch.data as data:
            write_all(sink, data)
        if len(batch.buffer) == self._size_bytes:
            self._spare.append(batch.buffer)

    def close(self) -> None:
        """Keep the buffers for the next body."""
        for buffer in self._spare:
            if self._wiped:
                memoryview(buffer)[:] = _ZEROS  # through the view: the bytearray would copy the zeros first
            self._kept.append(buffer)
        self._spare.clear()

    def _take(self, needed_bytes: int) -> bytearray:
        if 2 * needed_bytes < self._size_bytes:  # a small body
            return bytearray(needed_bytes)
        for buffers in (self._spare, self._kept):
            with contextlib.suppress(IndexError):
                return buffers.pop()
        return bytearray(self._size_bytes)


class _Sealer(_Buffers):
    """Seals batches, several at a time, each into its own buffer."""

    def __init__(self, k_body: bytes, prefix: bytes, suite: TreeSuite) -> None:
        super().__init__(_kept_sealed, BATCH_SEGMENTS * SEALED_SEGMENT_BYTES, wiped=False)
        self._encrypt_into = ChaCha20Poly1305(k_body).encrypt_into
        self._prefix = prefix
        self._suite = suite

    def seal(self, batch: _Plain) -> _Batch:
        """Seal the segments of a batch (bodies, step 3) and hash them (step 4)."""
        count = max(1, -(-len(batch.data) // SEGMENT_BYTES))
        size_bytes = len(batch.data) + count * OVERHEAD_BYTES
        buffer = self._take(size_bytes)
        plain, sealed = memoryview(batch.data), memoryview(buffer)
        encrypt_into, prefix, end = self._encrypt_into, self._prefix, b"\x00"
        for i in range(count):
            if batch.last and i == count - 1:
                end = b"\x01"
            at = i * SEALED_SEGMENT_BYTES
            nonce = prefix + (batch.first + i).to_bytes(4, "big") + end
            sealed[at : at + NONCE_BYTES] = nonce
            segment = plain[i * SEGMENT_BYTES : (i + 1) * SEGMENT_BYTES]
            encrypt_into(nonce, segment, None, sealed[at + NONCE_BYTES : at + OVERHEAD_BYTES + len(segment)])
        data = sealed[:size_bytes].toreadonly()
        return _Batch(data, buffer, self._suite.leaves(data, SEALED_SEGMENT_BYTES), batch.first, count, len(batch.data))


class _Opener(_Buffers):
    """Opens sealed segments, each at its place; all of one body share one nonce prefix."""

    def __init__(self, k_body: bytes, expected: BodySummary) -> None:
        super().__init__(_kept_plain, _BATCH_BYTES, wiped=True)
        self._cipher = ChaCha20Poly1305(k_body)
        self._expected = expected
        self._suite = tree_suite(expected.suite)
        self._prefix: bytes | None = None

    def batches(self, source: Source) -> Iterator[tuple[int, bytes]]:
        """(number of the first segment, sealed segments side by side), as many as the body has."""
        for first in range(0, self._expected.segments, BATCH_SEGMENTS):
            left = self._expected.size_bytes - first * SEALED_SEGMENT_BYTES
            data = read_up_to(source, min(BATCH_SEGMENTS * SEALED_SEGMENT_BYTES, left))
            if self._prefix is None:
                self._prefix = data[:_PREFIX_BYTES]
            yield first, data

    def open_batch(self, batch: tuple[int, bytes]) -> _Batch:
        """Open the segments of a batch (opening, step 2) and hash them.

        :raises Refused: ``bad-body``.
        """
        first, data = batch
        leaves = self._suite.leaves(data, SEALED_SEGMENT_BYTES)
        sealed = memoryview(data)
        buffer = self._take(min(len(data), _BATCH_BYTES))
        plain = memoryview(buffer)
        done = 0
        count = min(BATCH_SEGMENTS, self._expected.segments - first)
        for i in range(count):
            segment = sealed[i * SEALED_SEGMENT_BYTES : (i + 1) * SEALED_SEGMENT_BYTES]
            nonce = self._place(first + i, segment)
            into = plain[done : done + len(segment) - OVERHEAD_BYTES]
            try:
                self._cipher.decrypt_into(nonce, segment[NONCE_BYTES:], None, into)
            except InvalidTag:
                raise _not_opened(first + i) from None
            done += len(into)
        return _Batch(plain[:done].toreadonly(), buffer, leaves, first, count, done)

    def open(self, number: int, sealed: bytes) -> bytes:
        """Open one segment at its place.

        :raises Refused: ``bad-body``.
        """
        if self._prefix is None:
            self._prefix = sealed[:_PREFIX_BYTES]
        nonce = self._place(number, memoryview(sealed))
        try:
            return self._cipher.decrypt(nonce, sealed[NONCE_BYTES:], None)
        except InvalidTag:
            raise _not_opened(number) from None

    def _place(self, number: int, sealed: memoryview) -> bytes:
        """The nonce of a segment, if it has the length and the nonce of its place."""
        wanted = min(SEALED_SEGMENT_BYTES, self._expected.size_bytes - number * SEALED_SEGMENT_BYTES)
        if len(sealed) != wanted:
            raise Refused("bad-body", f"segment {number} has {len(sealed)} bytes, not {wanted}: cut short")
        nonce = bytes(sealed[:NONCE_BYTES])
        last = b"\x01" if number == self._expected.segments - 1 else b"\x00"
        if nonce != (self._prefix or b"") + number.to_bytes(4, "big") + last:
            raise Refused("bad-body", f"segment {number} is not in its place")
        return nonce


def _not_opened(number: int) -> Refused:
    return Refused("bad-body", f"segment {number} does not open: altered, or another key or context")
