"""A node that started from a snapshot fills in what is in front of it, in the background, from the other nodes.

One answer at a time: each is checked as a whole (:mod:`salus.ledger.history`) and is durable before the next is asked for, so
that a node that is killed goes on where it was. When the oldest block is there, the leaves of the log follow from the blocks, and
the node proves like any other what it had no part in. Who gives something wrong, or nothing, is passed over for the next node.
"""

from __future__ import annotations

from typing import Final

import structlog

from salus.errors import Refused, SalusError
from salus.ledger import node_api as m
from salus.ledger import queries as q
from salus.ledger.application import LedgerApplication
from salus.ledger.history import leaves_below, oldest, take
from salus.ledger.kinds.parties import VALIDATORS
from salus.node.sharing.errands import Errands, Failure

RETRY_MS: Final = 60_000
"""How long a node rests after none of the others gave anything new."""
_log = structlog.get_logger(__name__)


class History:
    """What one node still lacks of its ledger.

    :ivar liars: nodes that gave something wrong, and what.
    """

    def __init__(self, application: LedgerApplication, errands: Errands, name: str) -> None:
        self._application = application
        self._errands = errands
        self._name = name
        self._asked = ""
        self._passed_over: set[str] = set()
        self._bare: set[str] = set()
        """Nodes that have the next block without its body. They are asked again when no other has it whole."""
        self._pruned_too = False
        self._rests_until_ms = 0
        self.liars: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        """Whether the log is here from its first leaf on."""
        return self._application.store.log_first() == 0

    def attend(self, now_ms: int) -> None:
        """Ask the next node, unless one is asked already or everything is here. Looked at again after every block."""
        if self._asked or self.complete or now_ms < self._rests_until_ms:
            return
        application = self._application
        height = oldest(application)
        if height > application.head().height:
            return  # the first block after the snapshot says what is in front of it
        if height == 1:
            self._finish()
            return
        names = [member.name for member in VALIDATORS.need(application.view(), b"").members]
        left = [name for name in names if name != self._name and name not in self._passed_over]
        if not left:
            if self._bare:
                self._passed_over -= self._bare
                self._bare.clear()
                self._pruned_too = True
                self.attend(now_ms)
                return
            self._passed_over.clear()
            self._pruned_too = False
            self._rests_until_ms = now_ms + RETRY_MS
            return
        self._asked = left[height % len(left)]
        query = m.Query(q.HISTORY, q.HistoryQuery(height, q.HISTORY_AN_ANSWER).encode())
        done = lambda data, failure: self._answered(height, now_ms, data, failure)  # noqa: E731
        self._errands.leave(self._asked, m.QUERY, query.encode(), done)

    def _answered(self, height: int, now_ms: int, data: bytes | None, failure: Failure | None) -> None:
        node, self._asked = self._asked, ""
        if data is None:
            _log.debug("no-history", node=node, failure=str(failure))
            self._passed_over.add(node)
        else:
            self._take(node, height, data)
        self.attend(now_ms)

    def _take(self, node: str, height: int, data: bytes) -> None:
        try:
            answer = q.History.decode(data)
            as_asked = height == oldest(self._application)
            fresh = take(self._application, height, answer, pruned_too=self._pruned_too) if as_asked else 0
        except Refused as refused:
            _log.warning("false-history", node=node, height=height, reason=refused.reason, detail=refused.detail)
            self.liars[node] = refused.detail
            self._passed_over.add(node)
            return
        except SalusError as error:
            _log.warning("history-not-kept", height=height, error=str(error))  # no room: another time
            self._passed_over.add(node)
            return
        if not fresh:
            self._passed_over.add(node)
            if as_asked and answer.blocks and not self._pruned_too:
                self._bare.add(node)

    def _finish(self) -> None:
        store = self._application.store
        try:
            self._application.import_log(leaves_below(self._application, store.log_first()))
        except SalusError as error:
            _log.error("history-not-finished", error=str(error))
            return
        _log.info("history-complete", leaves=self._application.head().log.count)
