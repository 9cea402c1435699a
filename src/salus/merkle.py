"""Hashing of append-only Merkle trees as RFC 6962, section 2.1 defines it.

The tree over no leaves is SHA-256 of the empty string; a leaf is SHA-256(0x00, data); an inner node is
SHA-256(0x01, left, right), the left subtree holding the largest power of two smaller than the number of leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf: SHA-256(0x00, data), 32 bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01, left, right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_point(count: int) -> int:
    """The largest power of two smaller than ``count`` (``count`` at least 2): how many leaves the left subtree holds."""
    return 1 << ((count - 1).bit_length() - 1)


def tree_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes, in one pass and without recursion.

    Pairing neighbours level by level, an odd last node moving up unchanged, gives the same tree as RFC 6962's split.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    level = list(leaf_hashes)
    while len(level) > 1:
        paired = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]
