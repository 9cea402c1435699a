"""A network upgrades through an activation: a toy module adds a transaction kind, and nobody forks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from salus.codec import Message, Name
from salus.consensus.pbft.crypto import Ed25519Signer
from salus.consensus.pbft.driver import Driver
from salus.consensus.pbft.durable import DirectoryDisk, VoteLog
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.state import Config
from salus.consultation.registration import INSTITUTION, MemberKey
from salus.errors import ConsensusError, refuse_unless
from salus.ledger.application import LedgerApplication
from salus.ledger.apply import UnknownVersion
from salus.ledger.constants import Constants
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.kinds.protocol import PROTOCOL, Activation, Approval, Protocol, approve_activation
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.transactions import BlockContext, KindSpec, Registry, Transaction
from support.ledger_world import GENESIS_MS, Chain, LedgerWorld

NOTICE = 5


class Greeting(Message, frozen=True):
    """The toy transaction: a name is greeted, once."""

    KIND = "toy.greeting"
    name: Name


class Greeted(Message, frozen=True):
    KIND = "state.toy-greeted"
    height: int


class GreetingV2(Message, frozen=True):
    """The same kind in its second version, which takes the first one's place in protocol version 3."""

    KIND = "toy.greeting"
    VERSION = 2
    name: Name
    times: int


GREETED = Table("toy.greeted", Greeted)


class Greet:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[Any]) -> list[Claim]:
        refuse_unless(GREETED.get(view, tx.message.name.encode()) is None, "already-done")
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Any]) -> None:
        GREETED.put(state, tx.message.name.encode(), Greeted(context.height))


BASE = Registry([kind for kind in REGISTRY.kinds() if kind.since == 1], newest=1)
"""The first version's software."""
UPGRADED = BASE.extended([KindSpec(Greeting, Greet(), since=2)], newest=2)
UPGRADED_AGAIN = Registry(
    [*BASE.kinds(), KindSpec(Greeting, Greet(), since=2, until=3), KindSpec(GreetingV2, Greet(), since=3)], newest=3
)


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("upgrade", constants=Constants(activation_notice_blocks=NOTICE))


def activation(world: LedgerWorld, version: int, height: int, signers: list[MemberKey] | None = None) -> bytes:
    chosen = world.institutions[:3] if signers is None else signers
    approvals = [approve_activation(world.network, m, version, height, world.random) for m in chosen]
    return Activation(version, height, tuple(sorted(approvals, key=lambda a: a.institution))).encode()


def reason(chain: Chain, raw: bytes) -> str:
    (result,) = chain.application.check_transactions([raw], chain.time_ms + 1000)
    assert chain.application.validate_proposal(chain.input([raw]), secret_checks=True).valid == result.accepted
    return result.reason


def test_what_an_activation_needs(world: LedgerWorld) -> None:
    chain = world.chain(registry=BASE)
    height = chain.application.info().height + 1 + NOTICE
    stranger = world.member(INSTITUTION, "hospital-9/board")
    good = Activation.decode(activation(world, 2, height))
    one, two, three = good.approvals
    cases = [
        (activation(world, 2, height, world.institutions[:2]), "no-quorum"),
        (activation(world, 2, height - 1), "notice-too-short"),
        (activation(world, 1, height), "inactive-version"),
        (activation(world, 3, height), "inactive-version"),
        (activation(world, 2, 1 << 63), "bad-encoding"),
        (activation(world, 2, height, [*world.institutions[:2], stranger]), "unknown-party"),
        (Activation(2, height, (one, one, two)).encode(), "bad-encoding"),
        (Activation(2, height, (two, one, three)).encode(), "bad-encoding"),
        (Activation(2, height + 1, good.approvals).encode(), "bad-signature"),
        (Activation(2, height, (one, two, Approval(three.institution, two.signature))).encode(), "bad-signature"),
    ]
    for raw, expected in cases:
        assert reason(chain, raw) == expected
    chain.decide([good.encode()])
    assert PROTOCOL.need(chain.application.view(), b"") == Protocol(1, 2, height)
    assert reason(chain, activation(world, 2, height + 50)) == "already-done"


def test_a_kind_is_active_from_its_height_and_versions_follow_each_other(world: LedgerWorld) -> None:
    chain = world.chain(registry=UPGRADED_AGAIN)
    first, second = Greeting("alice").encode(), GreetingV2("bob", 2).encode()
    assert reason(world.chain(registry=BASE), first) == "unknown-kind"
    height = chain.application.info().height + 1 + NOTICE
    chain.decide([activation(world, 2, height)])
    while chain.application.info().height < height - 1:
        assert reason(chain, first) == "inactive-version"
        assert chain.propose([first]) == []
        chain.decide([])
    assert reason(chain, first) == ""
    assert reason(chain, second) == "inactive-version"
    chain.decide([first])
    assert GREETED.need(chain.application.view(), b"alice").height == height
    assert PROTOCOL.need(chain.application.view(), b"") == Protocol(2, 0, 0)
    height = chain.application.info().height + 1 + NOTICE
    chain.decide([activation(world, 3, height)])
    while chain.application.info().height < height - 1:
        chain.decide([])
    assert reason(chain, Greeting("carol").encode()) == "inactive-version"
    chain.decide([second])


def test_a_node_that_lacks_the_version_stops_before_it_votes(world: LedgerWorld) -> None:
    new, old = world.chain(registry=UPGRADED), world.chain(registry=BASE)
    height = 1 + NOTICE
    plan = activation(world, 2, height)
    for chain in (new, old):
        chain.decide([plan])
        while chain.application.info().height < height - 1:
            chain.decide([])
    assert new.application.info() == old.application.info()
    block = old.input([Greeting("alice").encode()])
    calls: list[Callable[[], object]] = [
        lambda: old.application.validate_proposal(block, secret_checks=True),
        lambda: old.application.validate_proposal(block, secret_checks=False),
        lambda: old.application.finalise_block(block),
        lambda: old.propose([]),
        lambda: old.application.check_transactions([b""], old.time_ms),
    ]
    for call in calls:
        with pytest.raises(UnknownVersion, match=r"version 2 is active from height 6 .* upgrade it"):
            call()
    assert issubclass(UnknownVersion, ConsensusError)
    new.decide([Greeting("alice").encode()])
    # The same directory opened by the new software goes on from where the old one stopped.
    upgraded = LedgerApplication(old.application.store, world.genesis, None, UPGRADED)
    upgraded.finalise_block(block)
    upgraded.commit(b"record", b"certificate")
    assert upgraded.info().application_hash == new.application.info().application_hash


class Network:
    """Four replicas of the embedded engine, each with a registry of its own choice."""

    def __init__(self, world: LedgerWorld, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.stores = [MemoryStore() for _ in world.nodes]
        self.registries = [BASE] * 4
        self.now_ms = GENESIS_MS + 1000
        self.driver = self.start()

    def start(self) -> Driver:
        world = self.world
        runners = {}
        self.applications = []
        for i, node in enumerate(world.nodes):
            name = node.member.name
            application = LedgerApplication(self.stores[i], world.genesis, None, self.registries[i])
            self.applications.append(application)
            config = Config(world.network, name, world.genesis.hash(), world.validators)
            log = VoteLog(DirectoryDisk(self.directory / f"votes-{i}"))
            signer = Ed25519Signer(node.consensus.private_bytes_raw())
            runners[name] = ReplicaRunner(config, signer, application, log, self.tick)
        return Driver(runners, self.tick, lambda: self.now_ms, self.sleep)

    def tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def sleep(self, duration_ms: int) -> None:
        self.now_ms += duration_ms

    def upgrade(self, i: int) -> None:
        """Restart with new software on one node."""
        self.registries[i] = UPGRADED
        self.driver = self.start()

    def commit(self, raw: bytes, through: int = 0) -> str:
        (progress,) = self.driver.commit(self.world.nodes[through].member.name, [raw])
        self.driver.run(lambda: False, 50)
        return progress.reason

    @property
    def heights(self) -> list[int]:
        return [a.info().height for a in self.applications]


def test_a_network_upgrades_node_by_node_and_does_not_fork(world: LedgerWorld, tmp_path: Path) -> None:
    network = Network(world, tmp_path)
    doctors = iter(range(100))

    def some_transaction() -> bytes:
        return world.doctor(f"hospital-0/dr-{next(doctors)}")[0]

    height = 14
    assert network.commit(activation(world, 2, height)) == ""
    for i in (0, 1, 2):
        network.upgrade(i)
        assert network.commit(some_transaction(), through=i) == ""
    while min(network.heights[:3]) < height + 2:
        assert network.commit(some_transaction()) == ""
    # Node 3 kept the old software: it stopped in front of the height, and says so.
    assert network.heights[3] == height - 1
    stopped = network.driver.runners[world.nodes[3].member.name]
    assert "version 2" in stopped.error
    assert "upgrade" in stopped.error
    assert network.commit(Greeting("alice").encode(), through=1) == ""
    network.upgrade(3)
    network.driver.settle()
    network.driver.run(lambda: min(network.heights) == max(network.heights), 60_000)
    assert len(set(network.heights)) == 1
    assert len({a.info().application_hash for a in network.applications}) == 1
    for height in range(1, network.heights[0] + 1):
        records = {a.block_record(height)[0] for a in network.applications if a.block_record(height)}  # type: ignore[index]
        assert len(records) == 1, f"a fork at height {height}"
    assert all(GREETED.get(a.view(), b"alice") for a in network.applications)


def test_a_registry_has_every_kind_once() -> None:
    with pytest.raises(ValueError, match="two transaction kinds"):
        REGISTRY.extended([KindSpec(Activation, Greet())], 2)
    names = [(s.message.KIND, s.message.VERSION) for s in REGISTRY.kinds()]
    assert names == sorted(set(names))
