"""A check node: it follows the chain without a seat, and judges transactions.

To a general node that shows it a transaction it answers with a verdict on the state after one height: the block time is that
state's, plus one, and secret checks, for which it lacks the shared value, are the general nodes'. On a committed request to
share it posts its verdict on the ledger when its turn comes. Both are signed and tell nothing but what the state says, so a
false one is evidence (docs/protocol/sharing-ledger.md, "check nodes").
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import structlog

from salus.consensus.interface import CheckResult
from salus.errors import Refused, SalusError, TransportError, refuse_unless
from salus.files import HomeLock
from salus.ledger import node_api
from salus.ledger import sharing_api as m
from salus.ledger.application import LedgerApplication
from salus.ledger.client import LedgerClient
from salus.ledger.genesis import Genesis
from salus.ledger.kinds.sharing.check_nodes import check_order, sign_verdict
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.kinds.sharing.messages.shares import VALID, CheckVerdict
from salus.ledger.kinds.sharing.share_state import SHARE_REQUESTS
from salus.node.secrets import NodeSecrets
from salus.node.sharing.backlog import JUDGE, Backlog, OpenItem
from salus.node.sharing.following import Follower
from salus.symmetric import Random

LEDGER_DIRECTORY: Final = "ledger"
OPEN_FILE: Final = "open-items"
RETRY_MS: Final = 500
"""How long after posting a verdict it is looked at again."""
_log = structlog.get_logger(__name__)


class CheckNode:
    """One check node of one network; implements :class:`salus.transport.Service`.

    :param directory: its own (``node.key``, ``ledger/``).
    :param ledger: asks the nodes with a seat, and believes none of them.
    :raises Busy: another process runs it.
    """

    def __init__(self, directory: Path, genesis: Genesis, ledger: LedgerClient, random: Random) -> None:
        self.genesis = genesis
        self._network = genesis.network()
        self._ledger = ledger
        self._random = random
        self._given: dict[bytes, CheckVerdict] = {}
        self.complaint = ""
        with contextlib.ExitStack() as closing:
            closing.callback(HomeLock(directory).release)
            self.secrets = NodeSecrets(directory, genesis.domain().Pub)
            self.name = self.secrets.member.name
            self.follower = Follower(directory / LEDGER_DIRECTORY, genesis, ledger)
            closing.callback(self.follower.close)
            self.backlog = Backlog(directory / OPEN_FILE, self.follower.application, frozenset({JUDGE}))
            self._closing = closing.pop_all()

    def handle(self, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Service` and :mod:`salus.ledger.sharing_api`."""
        if method == m.VERDICT:
            return self.judge(m.VerdictRequest.decode(body)).encode()
        if method == node_api.QUERY:
            query = node_api.Query.decode(body)
            return self.follower.application.query(query.path, query.data)
        if method == node_api.STATUS:
            node_api.StatusRequest.decode(body)
            return self.status().encode()
        raise Refused("not-found", f"a check node has no method {method[:64]!r}")

    def judge(self, request: m.VerdictRequest) -> CheckVerdict:
        """A verdict on a transaction that is not committed yet (check nodes, step 3).

        :raises Refused: ``unreachable`` if this check node is behind the height that is asked for; ``already-done`` for a
            transaction that is committed; ``bad-encoding``, ``unknown-kind``, ``too-large`` for what is none: nothing is signed.
        """
        if self.follower.height < request.height:
            self.follower.follow()
        application = self.follower.application
        if self.follower.height < request.height:
            raise Refused("unreachable", f"{self.name} is at height {self.follower.height}, not yet at {request.height}")
        info = application.info()
        result = application.check_transactions([request.transaction], info.last_time_ms + 1)[0]
        require_judgeable(application, result)
        refuse_unless(application.info().height == info.height, "unreachable", "a block came in between; ask again")
        return self.sign(result.tx_hash, info.height, (result.reason or VALID,))

    def sign(self, tx_hash: bytes, height: int, outcomes: tuple[str, ...]) -> CheckVerdict:
        """Sign a verdict."""
        return sign_verdict(self._network, self.secrets.member, tx_hash, height, outcomes, self._random)

    def attend(self, now_ms: int) -> int:
        """Follow the chain and post the verdicts whose turn it is; returns how many were handed to a node.

        :param now_ms: clock, UTC milliseconds.
        """
        self.follower.follow()
        posted = 0
        for item in self.backlog.due(now_ms):
            try:
                posted += self._look(item, now_ms)
                self.complaint = ""
            except (Refused, TransportError) as error:
                self.complaint = f"verdict on {item.subject.hex()[:16]}: {error}"[:4096]
                _log.warning("verdict-not-taken", node=self.name, error=str(error))
                self.backlog.again(item, now_ms + RETRY_MS)
        return posted

    def _look(self, item: OpenItem, now_ms: int) -> int:
        view = self.follower.application.view()
        asked = SHARE_REQUESTS.get(view, item.subject)
        order = [] if asked is None else check_order(view, self._network, asked.epoch, item.subject)
        if asked is None or asked.judged_by or self.name not in order:
            self._given.pop(item.subject, None)
            self.backlog.done(item)
            return 0
        turn_ms = asked.time_ms + order.index(self.name) * sharing_constants(view).check_turn_ms
        if now_ms < turn_ms:
            self.backlog.again(item, turn_ms)
            return 0
        verdict = self._given.get(item.subject) or self.sign(item.subject, asked.height, asked.outcomes)
        self._given[item.subject] = verdict
        self.backlog.again(item, now_ms + RETRY_MS)
        self._ledger.offer(verdict.encode())
        return 1

    def status(self) -> node_api.NodeStatus:
        """How this check node is."""
        info = self.follower.application.info()
        return node_api.NodeStatus(
            self.name, self.genesis.network(), info.height, info.last_time_ms, info.application_hash, 0, (), self.complaint
        )

    def close(self) -> None:
        """Close files."""
        with contextlib.suppress(SalusError):  # it is told again from the blocks
            self.backlog.save()
        self._closing.close()


def require_judgeable(application: LedgerApplication, result: CheckResult) -> None:
    """Refuse to sign a verdict that others could turn against its check node.

    What has no hash would share the name of all that has none, and two of them differ in their reasons. And of a committed
    request to share the ledger holds the outcomes: that it cannot be committed again, signed as of its height, would look false.

    :raises Refused: ``already-done``, or the reason why it is no transaction.
    """
    refuse_unless(bool(result.tx_hash), result.reason or "bad-encoding", result.detail)
    known = SHARE_REQUESTS.get(application.view(), result.tx_hash) is not None or application.position(result.tx_hash) is not None
    refuse_unless(not known, "already-done", f"{result.tx_hash.hex()} is committed")
