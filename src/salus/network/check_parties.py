"""The check nodes of an embedded network: started with it, stopped and started one by one by tests and demonstrations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from salus.errors import Refused
from salus.ledger.client import LedgerClient
from salus.ledger.genesis import Genesis
from salus.network.home import Home
from salus.node.sharing.checking import CheckNode
from salus.symmetric import Random
from salus.transport import Service


class CheckParties:
    """The check nodes that run in one process; there are none in a home that was made before there were any.

    :param services: of the process, by name: a running check node is reached there.
    :param client: makes a client of the ledger for one party.
    """

    def __init__(
        self, home: Home, genesis: Genesis, services: dict[str, Service], client: Callable[[], LedgerClient], random: Random
    ) -> None:
        self._home = home
        self._genesis = genesis
        self._services = services
        self._client = client
        self._random = random
        self.running: list[CheckNode] = []
        self.names: list[str] = []

    def start_all(self) -> None:
        """Start every check node of the home."""
        for directory in self._home.checks():
            self.names.append(self._run(directory).name)

    def stop(self, name: str) -> None:
        """Stop one, as if its machine were switched off.

        :raises Refused: ``unknown-party`` if no such check node runs.
        """
        for check in self.running:
            if check.name == name:
                self.running.remove(check)
                del self._services[name]
                check.close()
                return
        raise Refused("unknown-party", f"no check node {name} runs in {self._home.directory}")

    def start(self, name: str) -> CheckNode:
        """Start a stopped one again; it follows the blocks it has missed.

        :raises Refused: ``unknown-party`` if no such check node is stopped.
        """
        running = {check.name for check in self.running}
        for stopped, directory in zip(self.names, self._home.checks(), strict=True):
            if stopped == name and name not in running:
                return self._run(directory)
        raise Refused("unknown-party", f"{name} is no stopped check node of this network")

    def attend(self, now_ms: int, wanted_height: int) -> bool:
        """Let those work that have something to do; whether any handed a verdict to a node.

        :param wanted_height: of the newest block that concerns them; without one they need not follow the chain yet.
        """
        posted = 0
        for check in self.running:
            if check.follower.height < wanted_height or check.backlog.due(now_ms):
                posted += check.attend(now_ms)
        return posted > 0

    def close(self) -> None:
        """Close the files of all."""
        with contextlib.ExitStack() as closing:
            for check in self.running:
                closing.callback(check.close)

    def _run(self, directory: Path) -> CheckNode:
        check = CheckNode(directory, self._genesis, self._client(), self._random)
        self.running.append(check)
        self._services[check.name] = check
        return check
