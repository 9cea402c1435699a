"""What an institution has asked for: found again after a restore, forgotten where it was interrupted, its one-time keys erased.

A share through a delegation is boxed to a one-time key of its request. It is never in a backup: after a restore what was granted
so is asked for again. What was granted by policy needs a key of attributes alone, which is issued again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.kinds.sharing.share_state import DENIED, GRANTED, SHARES, Share, closes_ms, find_share
from salus.ledger.state import StateView
from salus.terminal.sharing.entries import Followed, ShareEntry
from salus.terminal.sharing.keys import KeyDesk
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.wallet import Wallet

FORGET_MS: Final = 3600 * 1000
"""After so long a request that is not on the ledger was never committed."""
ONE_TIME: Final = "share-"
"""Prefix of the one-time files of requests."""
FOUND_MAX: Final = 4096
"""Newest shares that a restored wallet lists again."""
_FINDING: Final = "finding-shares"


class Requests:
    """The requests of one institution.

    :param name: on the ledger. :param now_ms: clock, UTC milliseconds.
    """

    def __init__(self, wallet: Wallet, shelf: Shelf, nodes: Nodes, keys: KeyDesk, name: str, now_ms: Callable[[], int]) -> None:
        self._wallet = wallet
        self._shelf = shelf
        self._nodes = nodes
        self._keys = keys
        self._name = name
        self._now_ms = now_ms

    def entries(self) -> list[ShareEntry]:
        """Everything that was asked for, oldest first."""
        return sorted(self._shelf.all("share-", ShareEntry), key=lambda s: (s.asked_ms, s.share))

    def find(self) -> None:
        """Write entries for everything that the ledger has of this institution's requests, after a restore. Again is harmless.

        :raises TransportError: the ledger cannot be read now.
        """
        self._shelf.put(_FINDING, Followed(0, bytes(32)))  # durable first: an interrupted search begins again
        view, reader = self._nodes.view(), self._name.encode()
        count = lists.length(view, lists.READER_SHARES, reader)
        for id_ in lists.items(view, lists.READER_SHARES, reader, max(0, count - FOUND_MAX), count):
            if self._shelf.get(f"share-{id_.hex()}", ShareEntry) is None:
                share = find_share(view, id_)
                entry = ShareEntry(id_, share.request, share.rid, share.purpose, share.asked_ms)
                self._shelf.put(f"share-{id_.hex()}", entry)
        self._shelf.remove(_FINDING)

    @property
    def finding(self) -> bool:
        """Whether :meth:`find` was interrupted."""
        return self._shelf.get(_FINDING, Followed) is not None

    def resume(self) -> None:
        """Forget requests that were interrupted before they were committed, and one-time keys that open nothing any more."""
        self._keys.resume()
        kept = {name for name in self._wallet.one_time.names() if name.startswith(ONE_TIME)}
        if not kept:
            return
        view, needed = self._nodes.view(), set()
        for entry in self.entries():
            name = one_time_name(entry.request)
            if name not in kept:
                continue  # settled
            share = SHARES.get(view, entry.share)
            if share is None and self._now_ms() - entry.asked_ms > FORGET_MS:
                self._shelf.remove(f"share-{entry.share.hex()}")
            elif share is None or _may_be_opened(view, share, self._nodes.ledger.time_ms):
                needed.add(name)
        for name in kept - needed:
            self._wallet.one_time.erase(name)


def one_time_name(request: bytes) -> str:
    """Name of a request's one-time file. :param request: hash of its transaction."""
    return f"{ONE_TIME}{request.hex()[:32]}"


def _may_be_opened(view: StateView, share: Share, time_ms: int) -> bool:
    """Whether partials for a share may still come, or be asked for again."""
    if share.status == GRANTED:
        return share.delegation is not None and time_ms < share.granted_ms + sharing_constants(view).grant_ms
    return share.status != DENIED and time_ms < closes_ms(view, share)
