"""Entries of the main log: one for each transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from salus import labels
from salus.codec import encode
from salus.merkle import leaf_hash

SUCCESS: Final = b""
"""Result of every transaction of a committed block: a block with one that fails is invalid."""


def log_entry(height: int, index: int, tx_hash: bytes, result: bytes) -> bytes:
    """One entry: encoding of (label, suite, height, index, transaction hash, result)."""
    return encode((labels.LOG_ENTRY, labels.SUITE_LEDGER, height, index, tx_hash, result))


def log_leaves(height: int, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Leaf hashes of one block's entries."""
    return tuple(leaf_hash(log_entry(height, index, tx_hash, SUCCESS)) for index, tx_hash in enumerate(hashes))
