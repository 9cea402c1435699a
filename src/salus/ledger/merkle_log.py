"""The append-only Merkle log of all transactions (RFC 6962, section 2).

A log of n entries is held as its *peaks*: the roots of the perfect subtrees that the binary form of n names, largest
first. Peaks are all that appending and the root need; proofs also need old leaf hashes, which come from a
:class:`LeafSource` (the node's storage).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Final

from salus.codec import Bytes32, Message, Size
from salus.errors import Refused, refuse_unless
from salus.merkle import EMPTY_ROOT, leaf_hash, node_hash, split_point

MAX_LOG_BITS: Final = 48
"""Entries are counted below 2^48: at 10,000 a second for 800 years."""

HASH_BYTES: Final = 32

SubtreeSource = Callable[[int, int], bytes]
"""``(level, index)`` -> root of the perfect subtree over leaves ``index * 2^level .. (index + 1) * 2^level - 1``."""


class LogState(Message, frozen=True):
    """A log as (count, peaks).

    :ivar count: number of entries.
    :ivar peaks: roots of its perfect subtrees, largest first; as many as ``count`` has one bits.
    """

    KIND = "log-state"
    count: int
    peaks: Annotated[tuple[Bytes32, ...], Size(0, MAX_LOG_BITS)]

    def root(self) -> bytes:
        """RFC 6962 tree hash of the whole log, 32 bytes."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def extended(self, leaf_hashes: Sequence[bytes]) -> LogState:
        """The log after appending entries given by their leaf hashes (:func:`salus.merkle.leaf_hash`)."""
        sha256 = hashlib.sha256
        count, peaks = self.count, list(self.peaks)
        for peak in leaf_hashes:
            ones = count
            while ones & 1:
                peak = sha256(b"\x01" + peaks.pop() + peak).digest()
                ones >>= 1
            peaks.append(peak)
            count += 1
        return LogState(count, tuple(peaks))

    def check(self) -> None:
        """Whether the number of peaks fits the count.

        :raises Refused: ``bad-encoding``.
        """
        refuse_unless(self.count < 1 << MAX_LOG_BITS, "bad-encoding", f"a log of {self.count} entries")
        fits = len(self.peaks) == self.count.bit_count()
        refuse_unless(fits, "bad-encoding", f"{len(self.peaks)} peaks for {self.count} entries")


EMPTY_LOG: Final = LogState(0, ())


class InclusionProof(Message, frozen=True):
    """Siblings from the leaf up to the root (RFC 6962, section 2.1.1)."""

    KIND = "log-inclusion"
    index: int
    count: int
    path: Annotated[tuple[Bytes32, ...], Size(0, MAX_LOG_BITS)]


class ConsistencyProof(Message, frozen=True):
    """Nodes that show the log of ``first`` entries to be a prefix of the log of ``second`` (RFC 6962, section 2.1.2)."""

    KIND = "log-consistency"
    first: int
    second: int
    path: Annotated[tuple[Bytes32, ...], Size(0, 2 * MAX_LOG_BITS)]


def range_root(start: int, end: int, subtree: SubtreeSource) -> bytes:
    """Tree hash over leaves ``start .. end - 1``; ``start`` is aligned as in every subtree of an RFC 6962 tree."""
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return subtree(level, start >> level)
    left = split_point(size)
    return node_hash(range_root(start, start + left, subtree), range_root(start + left, end, subtree))


def prove_inclusion(index: int, count: int, subtree: SubtreeSource) -> InclusionProof:
    """PATH(index, D[count]) of RFC 6962, section 2.1.1.

    :raises Refused: ``not-found`` if the log of ``count`` entries has no entry ``index``.
    """
    refuse_unless(0 <= index < count, "not-found", f"a log of {count} entries has no entry {index}")
    path: list[bytes] = []
    start, end = 0, count
    while end - start > 1:
        middle = start + split_point(end - start)
        if index < middle:
            path.append(range_root(middle, end, subtree))
            end = middle
        else:
            path.append(range_root(start, middle, subtree))
            start = middle
    return InclusionProof(index, count, tuple(reversed(path)))


def prove_consistency(first: int, second: int, subtree: SubtreeSource) -> ConsistencyProof:
    """PROOF(first, D[second]) of RFC 6962, section 2.1.2.

    :raises Refused: ``not-found`` unless 0 < first <= second.
    """
    refuse_unless(0 < first <= second, "not-found", f"no consistency proof from {first} to {second} entries")
    path: list[bytes] = []
    start, end, whole = 0, second, True
    while end != first:
        middle = start + split_point(end - start)
        if first <= middle:
            path.append(range_root(middle, end, subtree))
            end = middle
        else:
            path.append(range_root(start, middle, subtree))
            start, whole = middle, False
    if not whole:
        path.append(range_root(start, end, subtree))
    return ConsistencyProof(first, second, tuple(reversed(path)))


def verify_inclusion(proof: InclusionProof, entry_hash: bytes, root: bytes) -> None:
    """Check that the entry with this leaf hash is in the log with this root.

    :raises Refused: ``bad-proof``; also for a proof longer or shorter than its place needs.
    """
    refuse_unless(len(entry_hash) == len(root) == HASH_BYTES, "bad-proof", "hashes have 32 bytes")
    refuse_unless(proof.index < proof.count, "bad-proof", "the proof names an entry past the log's end")
    place, last = proof.index, proof.count - 1
    value = entry_hash
    for sibling in proof.path:
        refuse_unless(last > 0, "bad-proof", "the inclusion proof is longer than its place needs")
        if place & 1 or place == last:
            value = node_hash(sibling, value)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        place, last = place >> 1, last >> 1
    refuse_unless(last == 0, "bad-proof", "the inclusion proof is shorter than its place needs")
    refuse_unless(value == root, "bad-proof", "the inclusion proof leads to another root")


def verify_consistency(proof: ConsistencyProof, first_root: bytes, second_root: bytes) -> None:
    """Check that the log with ``first_root`` is a prefix of the one with ``second_root``.

    :raises Refused: ``bad-proof``; also for a proof with anything unused.
    """
    first, second, path = proof.first, proof.second, list(proof.path)
    refuse_unless(0 < first <= second, "bad-proof", f"no consistency from {first} to {second} entries")
    if first == second:
        refuse_unless(not path, "bad-proof", "a consistency proof between equal counts is empty")
        refuse_unless(first_root == second_root, "bad-proof", "two roots for one count")
        return
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    refuse_unless(bool(path), "bad-proof", "the consistency proof is empty")
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for node in path[1:]:
        refuse_unless(last > 0, "bad-proof", "the consistency proof is longer than the counts need")
        if place & 1 or place == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, node)
        place, last = place >> 1, last >> 1
    refuse_unless(last == 0, "bad-proof", "the consistency proof is shorter than the counts need")
    refuse_unless(old == first_root, "bad-proof", "the consistency proof leads to another first root")
    refuse_unless(new == second_root, "bad-proof", "the consistency proof leads to another second root")


class MemoryLog:
    """A whole log in memory: the readable form, for tests and for short logs."""

    def __init__(self) -> None:
        self._leaves: list[bytes] = []

    def append(self, entry: bytes) -> int:
        """Append an entry's bytes; returns its index."""
        self._leaves.append(leaf_hash(entry))
        return len(self._leaves) - 1

    def __len__(self) -> int:
        return len(self._leaves)

    def subtree(self, level: int, index: int) -> bytes:
        """Root of one perfect subtree (a :data:`SubtreeSource`).

        :raises Refused: ``not-found`` if it reaches past the end.
        """
        if (index + 1) << level > len(self._leaves):
            raise Refused("not-found", "the subtree reaches past the log's end")
        if level == 0:
            return self._leaves[index]
        return node_hash(self.subtree(level - 1, 2 * index), self.subtree(level - 1, 2 * index + 1))

    def state(self, count: int | None = None) -> LogState:
        """The log's first ``count`` entries (all by default) as (count, peaks)."""
        return EMPTY_LOG.extended(self._leaves[: len(self._leaves) if count is None else count])

    def prove_inclusion(self, index: int, count: int | None = None) -> InclusionProof:
        """Inclusion proof of one entry in the log of ``count`` entries."""
        return prove_inclusion(index, len(self) if count is None else count, self.subtree)

    def prove_consistency(self, first: int, second: int | None = None) -> ConsistencyProof:
        """Consistency proof between two counts."""
        return prove_consistency(first, len(self) if second is None else second, self.subtree)
