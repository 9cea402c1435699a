"""A check node: it follows the chain without a seat, and judges transactions that a general node shows it.

A verdict depends on the transaction and on the state after one height alone: the block time is that state's, plus one, and
secret checks, for which it lacks the shared value, are the general nodes'. Whoever has that state finds out who judged falsely.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from salus.errors import Refused
from salus.files import HomeLock
from salus.ledger import node_api
from salus.ledger import sharing_api as m
from salus.ledger.client import LedgerClient
from salus.ledger.genesis import Genesis
from salus.node.secrets import NodeSecrets
from salus.node.sharing.following import Follower
from salus.symmetric import Random

LEDGER_DIRECTORY: Final = "ledger"


class CheckNode:
    """One check node of one network; implements :class:`salus.transport.Service`.

    :param directory: its own (``node.key``, ``ledger/``).
    :param ledger: asks the nodes with a seat, and believes none of them.
    :raises Busy: another process runs it.
    """

    def __init__(self, directory: Path, genesis: Genesis, ledger: LedgerClient, random: Random) -> None:
        self.genesis = genesis
        self._random = random
        with contextlib.ExitStack() as closing:
            closing.callback(HomeLock(directory).release)
            self.secrets = NodeSecrets(directory, genesis.domain().Pub)
            self.name = self.secrets.member.name
            self.follower = Follower(directory / LEDGER_DIRECTORY, genesis, ledger)
            closing.callback(self.follower.close)
            self._closing = closing.pop_all()

    def handle(self, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Service` and :mod:`salus.ledger.sharing_api`."""
        if method == node_api.QUERY:
            query = node_api.Query.decode(body)
            return self.follower.application.query(query.path, query.data)
        if method == node_api.STATUS:
            node_api.StatusRequest.decode(body)
            return self.status().encode()
        raise Refused("not-found", f"a check node has no method {method[:64]!r}")

    def status(self) -> node_api.NodeStatus:
        """How this check node is."""
        info = self.follower.application.info()
        return node_api.NodeStatus(
            self.name, self.genesis.network(), info.height, info.last_time_ms, info.application_hash, 0, (), ""
        )

    def close(self) -> None:
        """Close files."""
        self._closing.close()
