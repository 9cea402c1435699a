"""Claim: one credential holds one place in a node's pool.

A member can sign any number of requests with one credential. Each passes a node's checks as long as none is committed, so without
a rule a single credential fills the pool, and others are refused until blocks have sorted the rubbish out.
"""

from __future__ import annotations

from random import Random

import pytest

from salus.consensus.pbft.crypto import Ed25519Signer
from salus.consensus.pbft.durable import VoteLog
from salus.consensus.pbft.events import Answer
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.state import Config, Pooled, State
from salus.node.admission import Admission
from salus.sim.disk import SimDisk
from support.ledger_world import GENESIS_MS, Chain, Doctor, LedgerWorld

COPIES = 12


class Pool:
    """A replica of the real ledger, alone: it takes transactions into its pool and commits nothing."""

    def __init__(self, world: LedgerWorld, chain: Chain) -> None:
        self.answers: list[Answer] = []
        node = world.nodes[0]
        config = Config(world.network, node.member.name, world.genesis.hash(), world.validators)
        signer = Ed25519Signer(node.consensus.private_bytes_raw())
        hear = lambda action: self.answers.append(action) if isinstance(action, Answer) else None  # noqa: E731
        log = VoteLog(SimDisk(Random(1)))
        self.runner = ReplicaRunner(config, signer, chain.application, log, lambda: chain.time_ms + 1000, listener=hear)

    def submit(self, *transactions: bytes) -> list[str]:
        self.runner.submit(transactions)
        self.runner.work()
        return [result.reason for result in self.answers.pop().results]


def ready() -> tuple[LedgerWorld, Chain, Doctor]:
    world = LedgerWorld("one fills the pool")
    chain = world.chain(secrets=Admission(world.domain, world.secrets()))
    chain.start_epoch()
    raw, doctor = world.doctor()
    chain.decide([raw])
    chain.decide([world.slots(doctor, 0, COPIES + 1)])
    return world, chain, doctor


def copies(world: LedgerWorld, chain: Chain, doctor: Doctor) -> list[bytes]:
    """Many requests with one credential, for other slots."""
    credential = world.credential(GENESIS_MS)
    return [world.request(doctor, sn, time_ms=chain.time_ms, credential=credential)[0].encode() for sn in range(COPIES)]


def test_one_credential_holds_one_place() -> None:
    world, chain, doctor = ready()
    pool = Pool(world, chain)
    mine = copies(world, chain, doctor)
    assert pool.submit(*mine[:6]) == ["", *["used-credential"] * 5]
    assert pool.submit(*mine[6:]) == ["used-credential"] * 6
    assert pool.submit(mine[0]) == [""], "the very same again is no other"
    other, _ = world.request(doctor, COPIES, time_ms=chain.time_ms)
    assert pool.submit(other.encode()) == [""]
    assert len(pool.runner.state.pool) == 2
    assert len(pool.runner.state.pool_spends) == 2


def test_without_the_rule_one_credential_fills_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    world, chain, doctor = ready()
    pool = Pool(world, chain)
    monkeypatch.setattr(State, "pool_spends", property(lambda self: set(), lambda self, value: None), raising=False)
    assert pool.submit(*copies(world, chain, doctor)) == [""] * COPIES
    assert isinstance(next(iter(pool.runner.state.pool.values())), Pooled)
