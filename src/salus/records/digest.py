"""Digest of an encrypted body: the root of a Merkle tree over its segments, bound to its size.

A body in the cloud is a sequence of sealed segments, all of :data:`SEALED_SEGMENT_BYTES` but the last. Leaves and nodes are
hashed by one of two suites (:mod:`salus.records.trees`); the digest is ``H2("body-digest"; size, root)``, with the size of the
whole encrypted body. So changed, swapped, dropped, repeated and appended segments change it, the size fixes the number of
segments, and any run of segments verifies alone with at most 2 log2(n) hashes. Nothing here needs a key: clouds and
auditors use it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from salus import labels
from salus.codec import Bytes32, Message, Size
from salus.errors import Refused, refuse_unless
from salus.records.batches import in_order
from salus.records.streams import Buffer, Progress, Sink, Source, read_up_to, write_all
from salus.records.trees import HASH_BYTES, left_leaves, outline_bytes, outline_offset, tree_suite

SEGMENT_BYTES: Final = 64 * 1024
"""Plaintext of every segment but the last (GA4GH Crypt4GH 1.0, section 3.1)."""
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = NONCE_BYTES + TAG_BYTES
SEALED_SEGMENT_BYTES: Final = SEGMENT_BYTES + OVERHEAD_BYTES
BATCH_SEGMENTS: Final = 8
"""Segments worked on at once, half a mebibyte: enough to hide what a call costs, little enough for a core's cache."""
TREE_DEPTH_MAX: Final = 24
MAX_SEGMENTS: Final = 1 << TREE_DEPTH_MAX
"""1 TiB of plaintext: more than any study or genome; bounds the tree's depth and every proof."""
MAX_BODY_BYTES: Final = MAX_SEGMENTS * SEALED_SEGMENT_BYTES


def segments_of(size_bytes: int) -> int:
    """Number of segments of an encrypted body of ``size_bytes``.

    A segment is never empty but for the single segment of an empty body, so the size fixes the shape.

    :raises Refused: ``bad-body`` if no body has that size, ``too-large`` over :data:`MAX_BODY_BYTES`.
    """
    refuse_unless(size_bytes <= MAX_BODY_BYTES, "too-large", f"a body of {size_bytes} bytes; at most {MAX_BODY_BYTES}")
    segments = -(-size_bytes // SEALED_SEGMENT_BYTES)
    last_bytes = size_bytes - (segments - 1) * SEALED_SEGMENT_BYTES
    if size_bytes < OVERHEAD_BYTES or (last_bytes <= OVERHEAD_BYTES and segments > 1):
        raise Refused("bad-body", f"no encrypted body has {size_bytes} bytes")
    return segments


def encrypted_size(plain_bytes: int) -> int:
    """Bytes of the encrypted body of ``plain_bytes`` of plaintext."""
    return plain_bytes + max(1, -(-plain_bytes // SEGMENT_BYTES)) * OVERHEAD_BYTES


class BodySummary(msgspec.Struct, frozen=True):
    """What the ledger names of a body: digest (32 bytes) and bytes of the encrypted body; the number of segments follows.

    :ivar suite: hashes of the digest, ``records-1`` in consultations and ``records-2`` in records; the kind of transaction tells.
    """

    digest: bytes
    size_bytes: int
    segments: int
    suite: str = labels.SUITE_RECORDS

    @classmethod
    def of(cls, digest: bytes, size_bytes: int, suite: str = labels.SUITE_RECORDS) -> BodySummary:
        """The summary that a transaction's digest and size stand for.

        :raises Refused: ``bad-body`` or ``too-large`` for a size that no body has; ``bad-encoding`` for an unknown suite.
        """
        refuse_unless(len(digest) == HASH_BYTES, "bad-body", f"a digest of {len(digest)} bytes")
        return cls(digest, size_bytes, segments_of(size_bytes), tree_suite(suite).name)

    @property
    def plain_bytes(self) -> int:
        """Bytes of the plaintext."""
        return self.size_bytes - self.segments * OVERHEAD_BYTES


class BodyDigester:
    """Digest of an encrypted body that arrives in parts of any length; holds one segment and log2(n) hashes.

    :param outline: receives the tree's nodes (1/1024 of the body): kept beside a body they prove ranges of it without
        reading it again (:func:`prove_range`).
    :param suite: hashes of the digest.
    """

    def __init__(self, outline: Sink | None = None, suite: str = labels.SUITE_RECORDS) -> None:
        self._outline = outline
        self._suite = tree_suite(suite)
        self._tree = self._suite.tree()
        self._pending = bytearray()
        self._size_bytes = 0
        self._finished: BodySummary | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes taken so far."""
        return self._size_bytes

    def update(self, part: Buffer) -> None:
        """Take the next bytes of the body.

        :raises Refused: ``too-large`` over :data:`MAX_BODY_BYTES`.
        """
        self._grow(len(part))
        view = memoryview(part)
        if self._pending:
            missing = SEALED_SEGMENT_BYTES - len(self._pending)
            self._pending += view[:missing]
            view = view[missing:]
            if len(self._pending) == SEALED_SEGMENT_BYTES:
                self._flush()
        whole = len(view) - len(view) % SEALED_SEGMENT_BYTES
        for at in range(0, whole, BATCH_SEGMENTS * SEALED_SEGMENT_BYTES):
            batch = view[at : min(at + BATCH_SEGMENTS * SEALED_SEGMENT_BYTES, whole)]
            self._extend(self._suite.leaves(batch, SEALED_SEGMENT_BYTES))
        self._pending += view[whole:]

    def update_hashed(self, size_bytes: int, leaves: bytes) -> None:
        """Take the next segments by their leaf hashes: whole ones, but for the last of the body.

        :param size_bytes: of these segments together; :param leaves: their hashes side by side.
        :raises Refused: ``too-large`` over :data:`MAX_BODY_BYTES`.
        """
        if self._pending or self._size_bytes % SEALED_SEGMENT_BYTES:
            raise RuntimeError("segments follow a part of a segment")
        self._grow(size_bytes)
        self._extend(leaves)

    def finish(self) -> BodySummary:
        """The summary of what was taken.

        :raises Refused: ``bad-body`` if no encrypted body has that size.
        """
        if self._finished is None:
            segments = segments_of(self._size_bytes)
            if self._pending:
                self._flush()
            digest = self._suite.bind(self._tree.root(), self._size_bytes)
            self._finished = BodySummary(digest, self._size_bytes, segments, self._suite.name)
        return self._finished

    def _grow(self, size_bytes: int) -> None:
        if self._finished is not None:
            raise RuntimeError("the digest is finished")
        self._size_bytes += size_bytes
        refuse_unless(self._size_bytes <= MAX_BODY_BYTES, "too-large", f"a body of more than {MAX_BODY_BYTES} bytes")

    def _flush(self) -> None:
        self._extend(self._suite.leaves(self._pending, SEALED_SEGMENT_BYTES))
        self._pending = bytearray()

    def _extend(self, leaves: bytes) -> None:
        completed = self._tree.extend(leaves)
        if self._outline is not None:
            write_all(self._outline, completed)


def digest_body(
    source: Source, progress: Progress | None = None, outline: Sink | None = None, suite: str = labels.SUITE_RECORDS
) -> BodySummary:
    """Digest an encrypted body, in constant memory (what a cloud does before it signs a receipt).

    :param progress: called with the number of bytes done, once per batch of segments.
    :raises Refused: ``bad-body`` or ``too-large`` for a size that no body has.
    :raises StorageError: if the source cannot be read.
    """
    digester = BodyDigester(outline, suite)
    leaves = tree_suite(suite).leaves
    batches = iter(lambda: read_up_to(source, BATCH_SEGMENTS * SEALED_SEGMENT_BYTES), b"")
    for size_bytes, hashed in in_order(batches, lambda batch: (len(batch), leaves(batch, SEALED_SEGMENT_BYTES))):
        digester.update_hashed(size_bytes, hashed)
        if progress is not None:
            progress(digester.size_bytes)
    return digester.finish()


class RangeProof(Message, frozen=True):
    """Shows that segments ``first .. first + count - 1`` are those of the body with a given digest.

    ``hashes`` are the roots of the largest subtrees outside the range, from left to right.
    """

    KIND = "records.range-proof"

    size_bytes: int
    first: int
    count: int
    hashes: Annotated[tuple[Bytes32, ...], Size(0, 2 * TREE_DEPTH_MAX)]


ReadAt = Callable[[int, int], bytes]
"""Reads (offset, count) bytes of an outline."""


def prove_range(
    outline: bytes | ReadAt, size_bytes: int, first: int, count: int, suite: str = labels.SUITE_RECORDS
) -> RangeProof:
    """Prove ``count`` segments from number ``first`` on, from the outline alone: at most 2 log2(n) + 1 reads and as many hashes.

    :param outline: the nodes that :class:`BodyDigester` wrote, or what reads them.
    :param size_bytes: of the encrypted body.
    :raises Refused: ``bad-body`` if the range is empty or not inside the body, or the outline is another body's.
    """
    segments = segments_of(size_bytes)
    _check_range(segments, first, count)
    if isinstance(outline, bytes):
        refuse_unless(len(outline) == outline_bytes(segments), "bad-body", "the outline is not that of a body of this size")
    hashes: list[bytes] = []

    def collect(low: int, high: int) -> None:
        if high <= first or low >= first + count:
            hashes.append(_root(outline, suite, low, high))
        elif low < first or high > first + count:
            middle = low + left_leaves(high - low)
            collect(low, middle)
            collect(middle, high)

    collect(0, segments)
    return RangeProof(size_bytes, first, count, tuple(hashes))


def outline_digest(outline: bytes | ReadAt, proof: RangeProof, suite: str = labels.SUITE_RECORDS) -> bytes:
    """The digest that a proof leads to if the segments are those that the outline has: tells a damaged outline by log2(n) reads.

    :param proof: made by :func:`prove_range` from this outline. :param suite: as there.
    """
    outside = iter(proof.hashes)
    node = tree_suite(suite).node

    def root(low: int, high: int) -> bytes:
        if high <= proof.first or low >= proof.first + proof.count:
            return next(outside)
        if proof.first <= low and high <= proof.first + proof.count:
            return _root(outline, suite, low, high)
        middle = low + left_leaves(high - low)
        return node(root(low, middle), root(middle, high))

    return tree_suite(suite).bind(root(0, segments_of(proof.size_bytes)), proof.size_bytes)


def _root(outline: bytes | ReadAt, suite: str, low: int, high: int) -> bytes:
    """Root of leaves ``low .. high - 1``: one node of the outline if they are a full subtree, else put together."""
    offset = outline_offset(low, high)
    if offset is not None:
        return outline[offset : offset + HASH_BYTES] if isinstance(outline, bytes) else _read(outline, offset)
    middle = low + left_leaves(high - low)
    return tree_suite(suite).node(_root(outline, suite, low, middle), _root(outline, suite, middle, high))


def _read(outline: ReadAt, offset: int) -> bytes:
    found = outline(offset, HASH_BYTES)
    refuse_unless(len(found) == HASH_BYTES, "bad-body", "the outline is not that of a body of this size")
    return found


def verify_range(expected: BodySummary, proof: RangeProof, ciphertext: bytes) -> list[bytes]:
    """Check that ``ciphertext`` is the proof's run of segments of the body ``expected``; returns them one by one.

    The work is that of the range and of log2(n) hashes, whatever the size of the body.

    :raises Refused: ``bad-body`` for anything else.
    """
    refuse_unless(proof.size_bytes == expected.size_bytes, "bad-body", "the proof is for a body of another size")
    _check_range(expected.segments, proof.first, proof.count)
    stop = proof.first + proof.count
    end_bytes = min(stop * SEALED_SEGMENT_BYTES, expected.size_bytes)
    refuse_unless(len(ciphertext) == end_bytes - proof.first * SEALED_SEGMENT_BYTES, "bad-body", "the range has another length")
    suite = tree_suite(expected.suite)
    segments = [ciphertext[at : at + SEALED_SEGMENT_BYTES] for at in range(0, len(ciphertext), SEALED_SEGMENT_BYTES)]
    leaves = iter([suite.leaves(segment, SEALED_SEGMENT_BYTES) for segment in segments])
    outside = iter(proof.hashes)

    def root(low: int, high: int) -> bytes:
        if high <= proof.first or low >= stop:
            return next(outside, bytes(HASH_BYTES))
        if high - low == 1:
            return next(leaves)
        middle = low + left_leaves(high - low)
        return suite.node(root(low, middle), root(middle, high))

    needed = _outside(0, expected.segments, proof.first, stop)
    refuse_unless(len(proof.hashes) == needed, "bad-body", f"the proof has {len(proof.hashes)} hashes, not {needed}")
    computed = suite.bind(root(0, expected.segments), expected.size_bytes)
    refuse_unless(computed == expected.digest, "bad-body", "the range is not of this body")
    return segments


def segment_range(start: int, stop: int) -> tuple[int, int]:
    """(first segment, number of segments) that hold the plaintext bytes ``start`` up to ``stop``."""
    refuse_unless(0 <= start < stop, "bad-body", f"an empty byte range {start}..{stop}")
    first = start // SEGMENT_BYTES
    return first, -(-stop // SEGMENT_BYTES) - first


def _check_range(segments: int, first: int, count: int) -> None:
    inside = first >= 0 and count > 0 and first + count <= segments
    refuse_unless(inside, "bad-body", f"segments {first}..{first + count} of a body of {segments}")


def _outside(low: int, high: int, first: int, stop: int) -> int:
    """How many subtrees of leaves ``low .. high - 1`` lie outside a range, none inside a larger such."""
    if high <= first or low >= stop:
        return 1
    if first <= low and high <= stop:
        return 0
    middle = low + left_leaves(high - low)
    return _outside(low, middle, first, stop) + _outside(middle, high, first, stop)
