"""The pending store: transactions that this node has promised to keep until they are committed (or can never be).

One file for each, fsynced before the receipt is signed. What is in it goes into the pool again after a restart, and after a
while even if the node that took it from the client is silent.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from salus.errors import StorageError, refuse_unless
from salus.files import make_private_directory, read_bounded, remove_leftovers, write_atomic
from salus.ledger.transactions import MAX_TRANSACTION_BYTES

PENDING_MAX: Final = 4096
"""Transactions kept at one time: 256 MiB at the very most, and minutes of the network's work."""
_FILE: Final = re.compile(r"[0-9a-f]{64}")


class PendingStore:
    """Pending transactions of one node.

    :param directory: the node's own directory for them.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_directory(directory)
        remove_leftovers(directory)
        self._spent: set[bytes] = set()
        """What is spent by those that came in this run."""
        self._spends: dict[bytes, bytes] = {}
        """The same by hash."""
        self._since_ms: dict[bytes, int] = {bytes.fromhex(p.name): 0 for p in directory.iterdir() if _FILE.fullmatch(p.name)}

    def __len__(self) -> int:
        return len(self._since_ms)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self._since_ms

    def keep(self, tx_hash: bytes, raw: bytes, time_ms: int, spends: bytes = b"") -> None:
        """Make a transaction durable; again: nothing happens.

        :param time_ms: clock, UTC milliseconds. :param spends: what only one committed transaction can spend; empty: nothing.
        :raises Refused: ``pool-full``; ``used-credential`` if another one that spends the same is here.
        :raises StorageError: it is not kept.
        """
        if tx_hash in self._since_ms:
            return
        # Else one member fills the store with versions of a single record, and nobody else's is kept.
        free = not spends or spends not in self._spent
        refuse_unless(free, "used-credential", "another transaction that spends the same is pending")
        refuse_unless(len(self._since_ms) < PENDING_MAX, "pool-full", f"{PENDING_MAX} transactions are pending here")
        write_atomic(self._directory / tx_hash.hex(), raw)
        self._since_ms[tx_hash] = time_ms
        if spends:
            self._spent.add(spends)
            self._spends[tx_hash] = spends

    def read(self, tx_hash: bytes) -> bytes:
        """A pending transaction.

        :raises StorageError: it is not here.
        """
        return read_bounded(self._directory / tx_hash.hex(), MAX_TRANSACTION_BYTES, "a pending transaction")

    def drop(self, tx_hash: bytes) -> None:
        """A transaction was committed, or never can be."""
        if self._since_ms.pop(tx_hash, None) is not None:
            self._spent.discard(self._spends.pop(tx_hash, b""))
            with contextlib.suppress(FileNotFoundError):  # a crash between the two leaves nothing to be found
                (self._directory / tx_hash.hex()).unlink()

    def waiting(self, before_ms: int) -> Iterator[tuple[bytes, bytes]]:
        """(hash, transaction) of those that came before a time; of an earlier run of the node, all."""
        for tx_hash, since_ms in list(self._since_ms.items()):
            if since_ms < before_ms:
                with contextlib.suppress(StorageError):
                    yield tx_hash, self.read(tx_hash)

    def touch(self, tx_hash: bytes, time_ms: int) -> None:
        """A transaction was offered to the pool again at this time."""
        if tx_hash in self._since_ms:
            self._since_ms[tx_hash] = time_ms
