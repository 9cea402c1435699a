"""The demonstration network of the printed suite: parties, replicas and a cloud, below one directory.

Use (the phases are the paper's)::

    network = PrintedNetwork.create(home)                 phase 1
    network.register("doctor", "clinic/dr")               phases 2-4, before start
    network.register("patient", "ward/eve")
    network.start()                                       phase 5; the replicas run
    request = network.request("ward/eve", "clinic/dr", record)
    network.commit(request)                               phase 7: Algorithm 8 at four nodes, then PBFT
    network.store(request)                                phase 8
    received, reply = network.treat("clinic/dr", request, diagnosis)
    network.commit(reply); network.store(reply)           phases 10 and 11
    diagnosis = network.check_up("ward/eve", reply)       phase 12

Show :data:`salus.consultation.published.WARNING` wherever this runs. Keys live in memory and end with the object; what
parties receive, blocks and ciphertexts are files below ``<home>/<party>/``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from salus.consensus.block import Validator, ValidatorSet
from salus.consensus.pbft.crypto import Ed25519Signer
from salus.consensus.pbft.driver import Driver
from salus.consensus.pbft.durable import DirectoryDisk, VoteLog
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.state import Config
from salus.consultation.published.forgery import forge_request
from salus.consultation.published.messages import HealthData, Request, Transaction2
from salus.consultation.published.parties import decode_transaction, key_of
from salus.consultation.published.rehearsal import Rehearsal
from salus.errors import Refused, refuse_unless
from salus.files import make_private_directory, write_atomic
from salus.groups.ristretto255 import decode_point
from salus.network.printed.application import PrintedApplication
from salus.network.printed.messages import Export, ExportedBlock, Genesis, Ordered
from salus.symmetric import Random

NODES: Final = 4
RECEIVED: Final = "received"
_REQUEST, _REPLY = "request", "reply"


class Committed(msgspec.Struct, frozen=True):
    """A chained transaction.

    :ivar tx_hash: of what was ordered, 32 bytes. :ivar height: of its block.
    """

    tx_hash: bytes
    height: int


def system_ms() -> int:
    """The system's clock, UTC milliseconds."""
    return time.time_ns() // 1_000_000


class PrintedNetwork(Rehearsal):
    """See the module; implements :class:`salus.consultation.suite.Suite`. FORGEABLE.

    :ivar genesis: set by :meth:`start`. :ivar replicas: the engine's replicas by node name.
    """

    def __init__(self, home: Path, random: Random, now_ms: Callable[[], int], name: str) -> None:
        """Use :meth:`create`."""
        super().__init__(random, now_ms, name)
        self.home = home
        self._clock = now_ms
        self.genesis: Genesis | None = None
        self.replicas: dict[str, PrintedApplication] = {}
        self._driver: Driver | None = None
        self._disks: list[DirectoryDisk] = []
        self._bodies: dict[str, Path] = {}

    @classmethod
    def create(
        cls, home: Path, *, nodes: int = NODES, random: Random = os.urandom, now_ms: Callable[[], int] = system_ms
    ) -> PrintedNetwork:
        """A network with its validation nodes registered; patients and doctors follow, then :meth:`start`.

        :raises StorageError: the directory cannot be written.
        """
        network = cls(home, random, now_ms, random(16).hex())
        for i in range(nodes):
            network.register("node", f"hospital-{i}/node")
            network._bodies[f"hospital-{i}/node"] = _directory(home / f"node-{i}" / "bodies")
        _directory(home / "cloud")
        return network

    def start(self) -> None:
        """Phase 5: the shared value over the nodes registered, and one replica for each."""
        self.share_value()
        signers = {node.identity: Ed25519Signer(self._random(32)) for node in self.nodes}
        seats = ValidatorSet(tuple(Validator(name, signer.public_key) for name, signer in signers.items()))
        self.genesis = Genesis(self.directory, seats, self._clock() - 1)
        runners = {}
        for i, node in enumerate(self.nodes):
            disk = DirectoryDisk(self.home / f"node-{i}")
            self._disks.append(disk)
            application = PrintedApplication(self.genesis, node, disk, self._reader(node.identity))
            self.replicas[node.identity] = application
            config = Config(self.directory.network, node.identity, self.genesis.id(), seats)
            log = VoteLog(disk)
            runners[node.identity] = ReplicaRunner(config, signers[node.identity], application, log, self._clock)
        self._driver = Driver(runners, self._clock)

    def commit(self, transaction: bytes) -> None:
        """Phases 7 and 10 through consensus; see :meth:`commit_transaction`."""
        self.commit_transaction(transaction)

    def commit_transaction(self, transaction: bytes) -> Committed:
        """Hand C to every node, order the transaction, wait until it is committed.

        :raises Refused: what the chain's rules, Algorithm 8 or 10 refuse it for; ``not-started`` before :meth:`start`.
        """
        if self._driver is None:
            raise Refused("not-started", "call start first")
        ordered, C = Ordered.of(decode_transaction(transaction))
        for directory in self._bodies.values():
            write_atomic(directory / ordered.digest.hex(), C)
        node = next(iter(self.replicas))
        (progress,) = self._driver.commit(node, [ordered.encode()])
        if not progress.height:
            raise Refused(progress.reason or "internal", progress.detail)
        self._driver.settle()
        self.chain.append(self.directory, transaction)
        return Committed(progress.tx_hash, progress.height)

    def store(self, transaction: bytes) -> None:
        """Phases 8 and 11; the cloud's files are named by kind, doctor and number."""
        super().store(transaction)
        t = decode_transaction(transaction)
        kind, inner = (_REQUEST, t.transaction) if isinstance(t, Request) else (_REPLY, t)
        write_atomic(self.home / "cloud" / f"{_file_name(inner.ID_DO)}-{inner.sn}-{kind}", transaction)

    def treat(self, doctor: str, request: bytes, diagnosis: bytes) -> tuple[bytes, bytes]:
        """Phase 9; what the doctor opened is written below its ``received/``."""
        received, reply = super().treat(doctor, request, diagnosis)
        sn = Transaction2.decode(reply).sn
        write_atomic(self.received(doctor) / f"{sn}", received)
        return received, reply

    def check_up(self, patient: str, reply: bytes) -> bytes:
        """Phase 12, for a reply that is chained; the diagnosis is written below the patient's ``received/``.

        :raises Refused: ``not-committed``, or what Algorithm 11 refuses.
        """
        t = Transaction2.decode(reply)
        refuse_unless(self.chain.reply_to(t.ID_DO, t.sn) == t, "not-committed")
        diagnosis = super().check_up(patient, reply)
        write_atomic(self.received(patient) / f"{_file_name(t.ID_DO)}-{t.sn}", diagnosis)
        return diagnosis

    def forge(self, victim: str, doctor: str, payload: bytes) -> bytes:
        """A request in a patient's name by the key-cancelling equations, from public values; this network accepts it."""
        pk_PA = self.patients[victim].keys.public
        pk_BC = decode_point(self.directory.shared.pk_BC, "pk_BC")
        m_PA = HealthData(self._random(92), payload, self._clock())
        pk_DO, sn = key_of(self.directory, "doctor", doctor), self.chain.next_number(doctor)
        sent = forge_request(self.centre.parameters, pk_PA, m_PA, pk_BC, doctor, pk_DO, sn, self._random)
        return sent.request.encode()

    def received(self, party: str) -> Path:
        """Where a doctor's or patient's received files are."""
        role = "patient" if party in self.patients else "doctor"
        return _directory(self.home / f"{role}-{_file_name(party)}" / RECEIVED)

    @property
    def height(self) -> int:
        """The last committed height."""
        return max((application.info().height for application in self.replicas.values()), default=0)

    def application_hashes(self) -> dict[str, str]:
        """Node directory -> application hash after its last commit, hex."""
        hashes = (application.info().application_hash.hex() for application in self.replicas.values())
        return {f"node-{i}": value for i, value in enumerate(hashes)}

    def export(self) -> Export:
        """All blocks of the first node, for :func:`.audit.verify_export`."""
        application = next(iter(self.replicas.values()))
        found = (application.block_record(height) for height in range(1, application.info().height + 1))
        return Export(tuple(ExportedBlock(*record) for record in found if record is not None))

    def close(self) -> None:
        """Close the replicas' files."""
        for disk in self._disks:
            disk.close()

    def _reader(self, node: str) -> Callable[[bytes], bytes | None]:
        directory = self._bodies[node]

        def read(digest: bytes) -> bytes | None:
            path = directory / digest.hex()
            return path.read_bytes() if path.exists() else None

        return read


def _directory(path: Path) -> Path:
    make_private_directory(path)
    return path


def _file_name(identity: str) -> str:
    """An identity as a directory name, readable: ``clinic/dr`` becomes ``clinic.dr``."""
    return "".join(c if c.isascii() and (c.isalnum() or c == "-") else "." for c in identity)
