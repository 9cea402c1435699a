"""A chain that is older than the evidence window, and replicas of the embedded engine that have it, pruned, or lack it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from salus.consensus import block as b
from salus.consensus.pbft.crypto import Ed25519Signer
from salus.consensus.pbft.driver import Driver
from salus.consensus.pbft.durable import DirectoryDisk, VoteLog
from salus.consensus.pbft.events import Action
from salus.consensus.pbft.messages import Signed, decode_message
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.state import Config
from salus.ledger.application import LedgerApplication
from salus.ledger.constants import Constants
from salus.ledger.storage.sqlite import SqliteStore
from salus.node.admission import Admission
from support.ledger_world import Chain, Doctor, LedgerWorld

WINDOW_MS = 3600_000
AWAY = 3
REQUESTS = 5
FOLD_BLOCKS = 3
"""Bodies can go once their writes are in a run, which is every 256 blocks; tests set ``sqlite.FOLD_BLOCKS`` to this."""


class History:
    """A chain with consultations, whose first blocks are older than the evidence window."""

    def __init__(self) -> None:
        self.world = LedgerWorld("snapshots", constants=Constants(evidence_window_ms=WINDOW_MS))
        self.secrets = Admission(self.world.domain, self.world.secrets())
        self.chain: Chain = self.world.chain(secrets=self.secrets)
        self.doctor: Doctor = self.chain.ready(64)
        self.sn = 0
        for _ in range(REQUESTS):
            self.consult()
        self.chain.decide([], self.chain.time_ms + 2 * WINDOW_MS)
        self.consult()

    def request(self) -> Any:
        self.sn += 1
        return self.world.request(self.doctor, self.sn - 1, time_ms=self.chain.time_ms)[0]

    def consult(self) -> None:
        request = self.request()
        self.chain.decide([request.encode()])
        self.chain.decide([self.world.reply(self.doctor, request, self.chain.time_ms).encode()])


class FilteringDriver(Driver):
    """Carries only what ``passes(from, to, message)`` lets through."""

    passes: Callable[[str, str, Signed], bool] = staticmethod(lambda source, target, message: True)

    def _carry(self, runner: ReplicaRunner) -> None:
        while runner.outbox:
            to, data = runner.outbox.popleft()
            for name, other in self.runners.items():
                if other is not runner and to in (None, name) and self.passes(runner.name, name, decode_message(data)):
                    other.deliver(data)


class Network:
    """Four replicas of the embedded engine, each with its files; all but one have the history already."""

    def __init__(self, history: History, directory: Path) -> None:
        self.history = history
        self.world = history.world
        self.directory = directory
        self.names = [node.member.name for node in self.world.nodes]
        self.now_ms = history.chain.time_ms + 1000
        self.news: dict[str, list[Action]] = {name: [] for name in self.names}
        self.applications: list[LedgerApplication] = []
        self.driver = self.start(fresh=True)

    def start(self, *, fresh: bool = False) -> FilteringDriver:
        """(Re)start everyone from its files."""
        for application in self.applications:
            application.close()
        self.applications = []
        runners = {}
        for i, node in enumerate(self.world.nodes):
            application = self._open(i, fresh and i != AWAY)
            self.applications.append(application)
            config = Config(self.world.network, self.names[i], self.world.genesis.hash(), self.world.validators)
            log = VoteLog(DirectoryDisk(self.directory / f"votes-{i}"))
            signer = Ed25519Signer(node.consensus.private_bytes_raw())
            runners[self.names[i]] = ReplicaRunner(config, signer, application, log, self.tick)
        self.driver = FilteringDriver(runners, self.tick, lambda: self.now_ms, self.sleep)
        for runner in runners.values():
            self._hear(runner, runner.listener)
        return self.driver

    def _hear(self, runner: ReplicaRunner, before: Callable[[Action], None]) -> None:
        def hear(news: Action) -> None:
            self.news[runner.name].append(news)
            before(news)

        runner.listener = hear

    def _open(self, i: int, fill: bool) -> LedgerApplication:
        directory = self.directory / f"ledger-{i}"
        directory.mkdir(exist_ok=True)
        application = LedgerApplication(SqliteStore.open_or_create(directory), self.world.genesis, self.history.secrets)
        for record, certificate in self.history.chain.records if fill else ():
            application.finalise_block(b.block_input(b.Block.decode(record), self.world.validators))
            application.commit(record, certificate)
        if fill:
            assert application.prune() >= 2 * REQUESTS
            assert application.block_record(1) is None
        return application

    def tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def sleep(self, duration_ms: int) -> None:
        self.now_ms += duration_ms

    def heard(self, i: int, kind: type) -> list[Any]:
        return [n for n in self.news[self.names[i]] if isinstance(n, kind)]

    def together(self) -> bool:
        """Whether everyone is at the same height."""
        return self.driver.run(lambda: len({a.info().height for a in self.applications}) == 1, 60_000)

    def close(self) -> None:
        for application in self.applications:
            application.close()


def agree(network: Network) -> None:
    """The same state everywhere, to the byte."""
    assert len({a.info() for a in network.applications}) == 1
    first, *others = [a.snapshot() for a in network.applications]
    assert all(other == first for other in others)
