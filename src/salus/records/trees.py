"""Merkle trees over the segments of a body: two suites of hashes, one shape.

==============  ============================================================  =============================================
suite           leaf of a sealed segment, inner node                          used by
==============  ============================================================  =============================================
``records-1``   ``H2("body-segment", segment)``, ``H2("body-node", l, r)``    bodies of consultations
``records-2``   ``B("body-segment"; segment)``, ``B("body-node"; l || r)``    records
==============  ============================================================  =============================================

``B(label; data)`` is BLAKE3 in its key-derivation mode, whose context is ``"salus records-2 " + label`` (BLAKE3 paper, section
2.3). The shape is that of RFC 6962, section 2.1. Why two suites: docs/adr/0201.

An *outline* is the list of all nodes that are roots of full subtrees, in the order in which they are completed: every leaf
followed by its ancestors that it completes. It is written by appending, 64 bytes for each segment, and any node is found
by its number, so a proof reads 32 bytes at a few places and never the body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from salus import labels
from salus._native import BodyTree, body_leaves, body_node
from salus.errors import refuse_unless
from salus.records.streams import Buffer
from salus.symmetric import h2

HASH_BYTES: Final = 32


class Tree(Protocol):
    """A tree that grows by leaves and holds log2(n) hashes."""

    def extend(self, leaves: bytes, /) -> bytes:
        """Take leaf hashes side by side; returns the outline's next nodes."""

    def root(self) -> bytes:
        """Root over the leaves so far, at least one."""


class FoldedTree:
    """The tree over any hash of inner nodes, and the readable twin of the extension's."""

    def __init__(self, node: Callable[[bytes, bytes], bytes]) -> None:
        self._node = node
        self._stack: list[tuple[int, bytes]] = []

    def extend(self, leaves: bytes, /) -> bytes:
        """Take leaf hashes side by side; returns the outline's next nodes."""
        completed = []
        for at in range(0, len(leaves), HASH_BYTES):
            hashed, height = leaves[at : at + HASH_BYTES], 0
            completed.append(hashed)
            while self._stack and self._stack[-1][0] == height:
                hashed = self._node(self._stack.pop()[1], hashed)
                height += 1
                completed.append(hashed)
            self._stack.append((height, hashed))
        return b"".join(completed)

    def root(self) -> bytes:
        """Root over the leaves so far, at least one."""
        root = self._stack[-1][1]
        for _, left in reversed(self._stack[:-1]):
            root = self._node(left, root)
        return root


class TreeSuite(msgspec.Struct, frozen=True):
    """The hashes of one suite.

    :ivar name: suite name, which the digest is bound to.
    :ivar leaves: leaf hashes side by side of segments that lie side by side; second argument: bytes of a whole segment.
    :ivar node: hash of an inner node from those of its two children.
    :ivar tree: makes an empty tree.
    """

    name: str
    leaves: Callable[[Buffer, int], bytes]
    node: Callable[[bytes, bytes], bytes]
    tree: Callable[[], Tree]

    def bind(self, root: bytes, size_bytes: int) -> bytes:
        """The digest, ``H2("body-digest"; size, root)``: the root bound to the size of the encrypted body."""
        return h2(labels.BODY_DIGEST, self.name, size_bytes, root)


def _leaves_1(data: Buffer, segment_bytes: int) -> bytes:
    view = memoryview(data)
    segments = [bytes(view[at : at + segment_bytes]) for at in range(0, len(view), segment_bytes)]
    return b"".join([h2(labels.BODY_SEGMENT, labels.SUITE_RECORDS, segment) for segment in segments])


def _node_1(left: bytes, right: bytes) -> bytes:
    return h2(labels.BODY_NODE, labels.SUITE_RECORDS, left, right)


_SUITES: Final = {
    suite.name: suite
    for suite in (
        TreeSuite(labels.SUITE_RECORDS, _leaves_1, _node_1, lambda: FoldedTree(_node_1)),
        TreeSuite(labels.SUITE_RECORDS_2, body_leaves, body_node, BodyTree),
    )
}


def tree_suite(name: str) -> TreeSuite:
    """The hashes of a suite, ``records-1`` or ``records-2``.

    :raises Refused: ``bad-encoding`` for another name.
    """
    refuse_unless(name in _SUITES, "bad-encoding", f"no digest of bodies is called {name[:64]!r}")
    return _SUITES[name]


def left_leaves(leaves: int) -> int:
    """Leaves of the left subtree: the largest power of two below ``leaves`` (RFC 6962, section 2.1)."""
    return 1 << ((leaves - 1).bit_length() - 1)


def outline_bytes(leaves: int) -> int:
    """Size of the outline of a tree of ``leaves`` leaves: a node for each full subtree, less than 64 bytes a leaf."""
    return HASH_BYTES * (2 * leaves - leaves.bit_count())


def outline_offset(low: int, high: int) -> int | None:
    """Where in the outline the root of leaves ``low .. high - 1`` stands, or ``None`` if they are no full subtree."""
    size = high - low
    if size.bit_count() != 1 or low % size:
        return None
    last = high - 1
    return HASH_BYTES * (2 * last - last.bit_count() + size.bit_length() - 1)
