"""What is open on the ledger and may need this node: shares that are asked for, demands, revocations without a receipt.

Told from committed transactions and closed by the state. Kept in memory; a file says what was open at one height, and after a
restart the blocks since then tell the rest, so that a node that was killed in the middle of a duty takes it up again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import structlog

from salus.abpre.threshold.key_issuing import KeyDemand
from salus.codec import Label, Message, Size
from salus.consensus.block import Block
from salus.errors import Refused
from salus.files import read_bounded, write_atomic
from salus.ledger.application import LedgerApplication
from salus.ledger.committed import CommittedBlock
from salus.ledger.kinds.sharing.keys import demand_key
from salus.ledger.kinds.sharing.messages.delegations import DelegationRevocation
from salus.ledger.kinds.sharing.messages.shares import ShareRequest
from salus.ledger.kinds.sharing.share_state import share_id
from salus.ledger.transactions import Transaction

SHARE: Final = "share"
DEMAND: Final = "demand"
REVOCATION: Final = "revocation"
JUDGE: Final = "judge"
"""A committed request to share that awaits a check node's verdict."""
SUBJECT_BYTES_MAX: Final = 256
"""The longest is the key of a demand: a digest and a node's name of up to 128 bytes, encoded."""
OPEN_MAX: Final = 1 << 17
"""Open items kept: months of requests that nobody answers."""
NEVER_MS: Final = 1 << 62
SAVED_EVERY_BLOCKS: Final = 256
"""The file is written so often; as many blocks are read again after a restart."""
_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""As many items as are kept, the longest ones: 40 MiB."""
_log = structlog.get_logger(__name__)


class OpenItem(Message, frozen=True):
    """One open item. :ivar kind: of this module's kinds. :ivar subject: what names it: a share's id, a request's hash, .."""

    KIND = "node.open-item"
    kind: Label
    subject: Annotated[bytes, Size(1, SUBJECT_BYTES_MAX)]


class OpenItems(Message, frozen=True):
    """What was open after the block of a height."""

    KIND = "node.open-items"
    height: int
    items: Annotated[tuple[OpenItem, ...], Size(0, OPEN_MAX)]


class Backlog:
    """Open items of one node, each with the time at which it is to be looked at next.

    :param path: of the file. :param application: the node's ledger; its commits are listened to.
    :param kinds: which items this node cares for.
    """

    def __init__(self, path: Path, application: LedgerApplication, kinds: frozenset[str]) -> None:
        self._path = path
        self._application = application
        self._kinds = kinds
        self._due_ms: dict[OpenItem, int] = {}
        self._next_ms = 0
        """No item is due before this."""
        self._saved_height = 0
        self._load()
        application.listen(self._hear)

    def due(self, now_ms: int) -> list[OpenItem]:
        """Items to look at now."""
        if now_ms < self._next_ms:  # asked many times a second, with many items that wait for somebody
            return []
        found = [item for item, due_ms in self._due_ms.items() if due_ms <= now_ms]
        self._next_ms = now_ms if found else min(self._due_ms.values(), default=NEVER_MS)
        return found

    def again(self, item: OpenItem, at_ms: int) -> None:
        """Look at an item again at a time, or when the ledger says something about it."""
        self._due_ms[item] = at_ms
        self._next_ms = min(self._next_ms, at_ms)

    def done(self, item: OpenItem) -> None:
        """An item is closed."""
        self._due_ms.pop(item, None)

    def of(self, subject: bytes) -> list[OpenItem]:
        """Items about a subject."""
        return [item for kind in sorted(self._kinds) if (item := OpenItem(kind, subject)) in self._due_ms]

    def save(self) -> None:
        """Write what is open; called now and then, and at the end."""
        height = self._application.info().height
        write_atomic(self._path, OpenItems(height, tuple(self._due_ms)).encode())
        self._saved_height = height

    def __len__(self) -> int:
        return len(self._due_ms)

    def _load(self) -> None:
        height = 0
        if self._path.exists():
            try:
                saved = OpenItems.decode(read_bounded(self._path, _FILE_BYTES_MAX, "the open items"))
            except Refused:
                _log.warning("open-items-damaged", path=str(self._path))  # the blocks tell it all again
            else:
                height = saved.height
                self._due_ms = dict.fromkeys(saved.items, 0)
        self._saved_height = height
        for missed in range(height + 1, self._application.info().height + 1):
            record = self._application.block_record(missed)
            if record is not None:
                for raw in Block.decode(record[0]).transactions:
                    self._note(self._application.transaction(raw))

    def _hear(self, committed: CommittedBlock) -> None:
        for raw in committed.block.transactions:
            self._note(self._application.transaction(raw))
        for event in committed.events:
            if 0 < len(event.subject) <= SUBJECT_BYTES_MAX:
                for item in self.of(event.subject):
                    self.again(item, 0)
        if committed.block.height >= self._saved_height + SAVED_EVERY_BLOCKS:
            self.save()

    def _note(self, tx: Transaction[Any]) -> None:
        for item in candidates(self._application.network, tx):
            if item.kind in self._kinds and len(self._due_ms) < OPEN_MAX:
                self.again(item, 0)


def candidates(network: bytes, tx: Transaction[Any]) -> Iterator[OpenItem]:
    """What a committed transaction opens."""
    message = tx.message
    if isinstance(message, ShareRequest):
        yield OpenItem(JUDGE, tx.hash)
        for number in range(len(message.items)):
            yield OpenItem(SHARE, share_id(network, tx.hash, number))
    elif isinstance(message, KeyDemand):
        yield OpenItem(DEMAND, demand_key(message.request, message.node))
    elif isinstance(message, DelegationRevocation):
        yield OpenItem(REVOCATION, message.delegation)
