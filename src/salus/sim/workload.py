"""What the simulated networks run: an application for each replica, and transactions for the clients."""

from __future__ import annotations

from random import Random
from typing import Protocol

import msgspec

from salus.consensus.block import Validator, ValidatorSet
from salus.consensus.interface import Application
from salus.consensus.pbft.crypto import Ed25519Signer, Signer, Verifier
from salus.sim.disk import SimDisk
from salus.sim.scenario import START_MS, Scenario
from salus.sim.signing import FastScheme
from salus.sim.toy import ToyApplication, ToyTransaction, ToyUpdate


class Wish(msgspec.Struct, frozen=True):
    """What a client wants: exactly one of these transactions committed (several, when they exclude each other)."""

    transactions: tuple[bytes, ...]


class Workload(Protocol):
    """An application under simulation.

    :ivar network: network id, 32 bytes.
    :ivar genesis_id: previous id of block 1.
    :ivar names: of the replicas, by index.
    :ivar signers: consensus keys by index of the replica.
    :ivar verifier: shared by the replicas, as checking a signature has one outcome.
    :ivar wishes: every one must come true.
    :ivar forbidden: transactions that must never be committed.
    """

    network: bytes
    genesis_id: bytes
    names: list[str]
    signers: list[Signer]
    verifier: Verifier
    wishes: list[Wish]
    forbidden: list[bytes]

    def application(self, index: int, disk: SimDisk) -> Application:
        """Open the application of a replica on its disk, also after a crash."""

    def close(self) -> None:
        """Remove whatever lies outside the simulation."""


class ToyWorkload:
    """Unique keys, pairs that exclude each other, and one change of the validator set if there is a spare node."""

    def __init__(self, scenario: Scenario, *, fast: bool = True) -> None:
        random = Random(f"workload {scenario.seed}")
        scheme = FastScheme()
        seeds = [random.randbytes(32) for _ in range(scenario.nodes)]
        self.network = random.randbytes(32)
        self.genesis_id = random.randbytes(32)
        self.names = [f"node-{i}" for i in range(scenario.nodes)]
        self.signers: list[Signer] = [scheme.signer(s) if fast else Ed25519Signer(s) for s in seeds]
        self.verifier = Verifier(scheme.check) if fast else Verifier()
        self.wishes = [self._wish(random, i) for i in range(scenario.transactions)]
        if scenario.spare:
            self.wishes.insert(random.randrange(len(self.wishes)), self._move_seat(random, scenario))
        self.forbidden = [ToyTransaction(b"forbidden %d" % i, b"", 0, ()).encode() for i in range(2)]
        self._keep = scenario.keep_blocks

    def _wish(self, random: Random, number: int) -> Wish:
        count = 2 if random.random() < 0.15 else 1
        return Wish(
            tuple(
                ToyTransaction(b"key %d" % number, random.randbytes(random.choice((3, 40, 900))), 1, ()).encode()
                for _ in range(count)
            )
        )

    def _move_seat(self, random: Random, scenario: Scenario) -> Wish:
        """The spare node takes a seat, in most cases that of another."""
        spare = ToyUpdate(self.names[scenario.seats], self.signers[scenario.seats].public_key, 1)
        updates: tuple[ToyUpdate, ...] = (spare,)
        if random.random() < 0.8:
            gone = random.randrange(scenario.seats)
            updates = (ToyUpdate(self.names[gone], self.signers[gone].public_key, 0), spare)
        return Wish((ToyTransaction(b"seats", b"", 1, updates).encode(),))

    def application(self, index: int, disk: SimDisk) -> Application:
        """A toy on its disk."""
        return ToyApplication(disk, self._keep, genesis_time_ms=START_MS)

    def close(self) -> None:
        """Nothing lies outside."""


def validator_set(workload: Workload, seats: int) -> ValidatorSet:
    """The first ``seats`` replicas."""
    return ValidatorSet(tuple(Validator(workload.names[i], workload.signers[i].public_key) for i in range(seats)))
