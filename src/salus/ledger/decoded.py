"""Decoded transactions, kept from the pool until their block."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from salus.ledger.transactions import Registry, Transaction

DECODED_KEPT: Final = 16384
"""Two of the largest blocks."""
DECODED_BYTES_KEPT: Final = 32 * 1024 * 1024
"""Bytes of their encodings: as many requests as that, but not as many of the largest transactions, which anyone may submit."""


class DecodedTransactions:
    """Decodes transactions and remembers the last of them, bounded by their number and their bytes.

    :ivar size_bytes: bytes of the encodings that are kept.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kept: OrderedDict[bytes, Transaction[Any]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def decode(self, raw: bytes) -> Transaction[Any]:
        """A decoded transaction.

        :raises Refused: ``bad-encoding``, ``unknown-kind``, ``too-large``.
        """
        tx = self._kept.get(raw)
        if tx is None:
            tx = self._kept[raw] = self._registry.decode(raw)
            self.size_bytes += len(raw)
            while len(self._kept) > DECODED_KEPT or self.size_bytes > DECODED_BYTES_KEPT:
                self.size_bytes -= len(self._kept.popitem(last=False)[0])
        return tx

    def forget(self, raw: bytes) -> None:
        """A committed transaction is not asked for again."""
        if self._kept.pop(raw, None) is not None:
            self.size_bytes -= len(raw)
