"""The real ledger under simulation: LedgerApplication on virtual disks, with all checks, real signatures and consultations."""

from __future__ import annotations

from random import Random
from typing import Final, cast

from salus.consensus.interface import Application
from salus.consensus.pbft.crypto import Ed25519Signer, Signer, Verifier
from salus.groups.ristretto255 import Scalar
from salus.ledger.application import LedgerApplication
from salus.ledger.genesis import FIRST_EPOCH
from salus.node.admission import Admission
from salus.node.secrets import NodeSecrets
from salus.sim.disk import SimDisk
from salus.sim.ledger_parties import LedgerParties, ledger_parties
from salus.sim.ledger_store import JournalStore
from salus.sim.scenario import Scenario
from salus.sim.sharing_parties import sharing_parties
from salus.sim.workload import Wish

_VERIFIER: Final = Verifier(remember=65_536)


class _KnownTheta:
    """What admission asks of a node's secrets."""

    def __init__(self, theta: Scalar) -> None:
        self._theta = theta

    def theta(self, epoch: int, T: bytes) -> Scalar | None:
        """The shared value of the first epoch."""
        return self._theta if epoch == FIRST_EPOCH else None


class LedgerWorkload:
    """Implements :class:`salus.sim.workload.Workload`."""

    def __init__(self, scenario: Scenario) -> None:
        random = Random(f"ledger {scenario.seed}")
        parties = self._parties = self._made(scenario.nodes, scenario.seats)
        self.network = parties.network
        self.genesis_id = parties.genesis.hash()
        self.names = [node.member.name for node in parties.genesis.core.nodes]
        self.signers: list[Signer] = [Ed25519Signer(seed) for seed in parties.consensus_seeds]
        self.verifier = _VERIFIER
        self.forbidden = list(parties.forbidden)
        # Everything builds on what comes first; how far this network gets is drawn.
        count = random.randint(len(parties.wishes) // 2, len(parties.wishes))
        self.wishes = [Wish(transactions) for transactions in parties.wishes[:count]]

    def _made(self, nodes: int, seats: int) -> LedgerParties:
        return ledger_parties(nodes, seats)

    def application(self, index: int, disk: SimDisk) -> Application:
        """A ledger on its journal, with the secret checks of a node that knows theta."""
        secrets = cast(NodeSecrets, _KnownTheta(self._parties.theta))
        admission = Admission(self._parties.genesis.domain(), secrets)
        return LedgerApplication(JournalStore(disk), self._parties.genesis, admission)

    def close(self) -> None:
        """Nothing lies outside."""


class SharingWorkload(LedgerWorkload):
    """The same over a network that shares: a committee deals its keys on the chain, records are put, asked for and erased."""

    def _made(self, nodes: int, seats: int) -> LedgerParties:
        return sharing_parties(nodes, seats)
