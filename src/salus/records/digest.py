"""Digest of an encrypted body: the root of a Merkle tree over its segments, bound to its size.

A body in the cloud is a sequence of sealed segments, all of :data:`SEALED_SEGMENT_BYTES` but the last. Its digest is ::

    leaf_i = H2("body-segment", segment_i)
    node   = H2("body-node", left, right)               tree shape of RFC 6962, section 2.1
    digest = H2("body-digest", size, root)              size: bytes of the whole encrypted body

so changed, swapped, dropped, repeated and appended segments change it, the size fixes the number of segments, and any
run of segments verifies alone with at most 2 log2(n) hashes. Nothing here needs a key: clouds and auditors use it too.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from salus import labels
from salus.codec import Bytes32, Message, Size
from salus.errors import Refused, refuse_unless
from salus.records.streams import Progress, Sink, Source, read_up_to, write_all
from salus.symmetric import h2

SEGMENT_BYTES: Final = 64 * 1024
"""Plaintext of every segment but the last (GA4GH Crypt4GH 1.0, section 3.1)."""
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = NONCE_BYTES + TAG_BYTES
SEALED_SEGMENT_BYTES: Final = SEGMENT_BYTES + OVERHEAD_BYTES
HASH_BYTES: Final = 32
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
    """What the ledger names of a body: digest (32 bytes) and bytes of the encrypted body; the number of segments follows."""

    digest: bytes
    size_bytes: int
    segments: int

    @classmethod
    def of(cls, digest: bytes, size_bytes: int) -> BodySummary:
        """The summary that a transaction's digest and size stand for.

        :raises Refused: ``bad-body`` or ``too-large`` for a size that no body has.
        """
        refuse_unless(len(digest) == HASH_BYTES, "bad-body", f"a digest of {len(digest)} bytes")
        return cls(digest, size_bytes, segments_of(size_bytes))

    @property
    def plain_bytes(self) -> int:
        """Bytes of the plaintext."""
        return self.size_bytes - self.segments * OVERHEAD_BYTES


def leaf_hash(segment: bytes) -> bytes:
    """Hash of one sealed segment."""
    return h2(labels.BODY_SEGMENT, labels.SUITE_RECORDS, segment)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return h2(labels.BODY_NODE, labels.SUITE_RECORDS, left, right)


def bind_root(root: bytes, size_bytes: int) -> bytes:
    """The digest: the tree's root bound to the size of the encrypted body."""
    return h2(labels.BODY_DIGEST, labels.SUITE_RECORDS, size_bytes, root)


class BodyDigester:
    """Digest of an encrypted body that arrives in parts of any length; holds one segment and log2(n) hashes.

    :param outline: receives the 32-byte leaf hashes in order (1/2048 of the body): kept beside a body they prove
        ranges of it without reading it again (:func:`prove_range`).
    """

    def __init__(self, outline: Sink | None = None) -> None:
        self._outline = outline
        self._pending = bytearray()
        self._stack: list[tuple[int, bytes]] = []
        self._size_bytes = 0
        self._finished: BodySummary | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes taken so far."""
        return self._size_bytes

    def update(self, part: bytes) -> None:
        """Take the next bytes of the body.

        :raises Refused: ``too-large`` over :data:`MAX_BODY_BYTES`.
        """
        if self._finished is not None:
            raise RuntimeError("the digest is finished")
        self._size_bytes += len(part)
        refuse_unless(self._size_bytes <= MAX_BODY_BYTES, "too-large", f"a body of more than {MAX_BODY_BYTES} bytes")
        if not self._pending and len(part) == SEALED_SEGMENT_BYTES:
            self._push(part)
            return
        view = memoryview(part)
        while view:
            taken = view[: SEALED_SEGMENT_BYTES - len(self._pending)]
            self._pending += taken
            view = view[len(taken) :]
            if len(self._pending) == SEALED_SEGMENT_BYTES:
                self._push(bytes(self._pending))
                self._pending.clear()

    def finish(self) -> BodySummary:
        """The summary of what was taken.

        :raises Refused: ``bad-body`` if no encrypted body has that size.
        """
        if self._finished is None:
            segments = segments_of(self._size_bytes)
            if self._pending:
                self._push(bytes(self._pending))
                self._pending.clear()
            self._finished = BodySummary(bind_root(self._root(), self._size_bytes), self._size_bytes, segments)
        return self._finished

    def _push(self, segment: bytes) -> None:
        hashed = leaf_hash(segment)
        if self._outline is not None:
            write_all(self._outline, hashed)
        height = 0
        while self._stack and self._stack[-1][0] == height:
            hashed = node_hash(self._stack.pop()[1], hashed)
            height += 1
        self._stack.append((height, hashed))

    def _root(self) -> bytes:
        root = self._stack[-1][1]
        for _, left in reversed(self._stack[:-1]):
            root = node_hash(left, root)
        return root


def digest_body(source: Source, progress: Progress | None = None, outline: Sink | None = None) -> BodySummary:
    """Digest an encrypted body, in constant memory (what a cloud does before it signs a receipt).

    :raises Refused: ``bad-body`` or ``too-large`` for a size that no body has.
    :raises StorageError: if the source cannot be read.
    """
    digester = BodyDigester(outline)
    while part := read_up_to(source, SEALED_SEGMENT_BYTES):
        digester.update(part)
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


def prove_range(outline: bytes, size_bytes: int, first: int, count: int) -> RangeProof:
    """Prove ``count`` segments from number ``first`` on, from the body's leaf hashes.

    :param outline: all leaf hashes side by side, as :class:`BodyDigester` wrote them.
    :raises Refused: ``bad-body`` if the range is empty or not inside the body, or the outline is another body's.
    """
    segments = segments_of(size_bytes)
    refuse_unless(len(outline) == segments * HASH_BYTES, "bad-body", "the leaf hashes are not those of a body of this size")
    _check_range(segments, first, count)
    hashes: list[bytes] = []

    def root(low: int, high: int) -> bytes:
        if high - low == 1:
            return outline[low * HASH_BYTES : high * HASH_BYTES]
        middle = low + _left_leaves(high - low)
        return node_hash(root(low, middle), root(middle, high))

    def collect(low: int, high: int) -> None:
        if high <= first or low >= first + count:
            hashes.append(root(low, high))
        elif high - low > 1:
            middle = low + _left_leaves(high - low)
            collect(low, middle)
            collect(middle, high)

    collect(0, segments)
    return RangeProof(size_bytes, first, count, tuple(hashes))


def verify_range(expected: BodySummary, proof: RangeProof, ciphertext: bytes) -> list[bytes]:
    """Check that ``ciphertext`` is the proof's run of segments of the body ``expected``; returns them one by one.

    :raises Refused: ``bad-body`` for anything else.
    """
    refuse_unless(proof.size_bytes == expected.size_bytes, "bad-body", "the proof is for a body of another size")
    _check_range(expected.segments, proof.first, proof.count)
    segments = [ciphertext[at : at + SEALED_SEGMENT_BYTES] for at in range(0, len(ciphertext), SEALED_SEGMENT_BYTES)]
    stop = proof.first + proof.count
    end_bytes = min(stop * SEALED_SEGMENT_BYTES, expected.size_bytes)
    refuse_unless(len(ciphertext) == end_bytes - proof.first * SEALED_SEGMENT_BYTES, "bad-body", "the range has another length")
    leaves = iter([leaf_hash(segment) for segment in segments])
    outside = iter(proof.hashes)

    def root(low: int, high: int) -> bytes:
        if high <= proof.first or low >= stop:
            return next(outside, b"")
        if high - low == 1:
            return next(leaves)
        middle = low + _left_leaves(high - low)
        return node_hash(root(low, middle), root(middle, high))

    computed = bind_root(root(0, expected.segments), expected.size_bytes)
    refuse_unless(next(outside, None) is None and computed == expected.digest, "bad-body", "the range is not of this body")
    return segments


def segment_range(start: int, stop: int) -> tuple[int, int]:
    """(first segment, number of segments) that hold the plaintext bytes ``start`` up to ``stop``."""
    refuse_unless(0 <= start < stop, "bad-body", f"an empty byte range {start}..{stop}")
    first = start // SEGMENT_BYTES
    return first, -(-stop // SEGMENT_BYTES) - first


def _check_range(segments: int, first: int, count: int) -> None:
    inside = first >= 0 and count > 0 and first + count <= segments
    refuse_unless(inside, "bad-body", f"segments {first}..{first + count} of a body of {segments}")


def _left_leaves(leaves: int) -> int:
    """Leaves of the left subtree: the largest power of two below ``leaves`` (RFC 6962, section 2.1)."""
    return 1 << ((leaves - 1).bit_length() - 1)
