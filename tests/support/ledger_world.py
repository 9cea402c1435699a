"""A seeded world for tests of the ledger: genesis, all parties' keys, blocks with certificates, and real transactions.

``LedgerWorld()`` has four nodes, four institutions, a cloud and a centre; :meth:`LedgerWorld.chain` drives one application
as an engine would, with real headers and commit certificates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salus import labels
from salus.consensus import block as b
from salus.consensus.interface import BlockInput, FinalisedBlock
from salus.consultation.appointments import SlotKey, decline_request, publish_slots
from salus.consultation.credentials import CREDENTIALS_A_QUARTER, Credential, PidKeys, pid_digest
from salus.consultation.node_record import BlsSecret, make_node_record
from salus.consultation.receipts import UploadReceipt, sign_upload
from salus.consultation.registration import (
    CLOUD,
    DOCTOR,
    INSTITUTION,
    NO_QUARTER,
    NODE,
    PATIENT,
    CentreKey,
    MemberKey,
    SecretValue,
    finish_key,
    issue_partial_key,
    prove_possession,
    quarter_of,
)
from salus.consultation.reply import ConsultationReply, make_t0_reply, reply_body
from salus.consultation.request import ConsultationRequest, PendingRequest, RequestContext, RequestDraft
from salus.consultation.shared_value import EpochSecret, acknowledge, make_deal, open_deal
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import Scalar, base_mul, random_scalar
from salus.ledger.application import LedgerApplication
from salus.ledger.constants import Constants
from salus.ledger.epoch_state import find_epoch
from salus.ledger.genesis import (
    FIRST_EPOCH,
    Genesis,
    GenesisCloud,
    GenesisCore,
    GenesisInstitution,
    GenesisNode,
    seal_genesis,
    sign_core,
)
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.kinds.parties import PartyRegistration, sign_by_centre
from salus.ledger.storage.interface import LedgerStore
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.transactions import Registry

GENESIS_MS = 1_760_000_000_000
"""A day in October 2025."""
UNSIGNED = bytes(64)


class SeededRandom:
    """A deterministic source of random bytes."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, count: int, /) -> bytes:
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(count)


@dataclass
class NodeKeys:
    """All keys of one node."""

    member: MemberKey
    consensus: Ed25519PrivateKey
    bls: BlsSecret
    epoch: EpochSecret


@dataclass
class Doctor:
    """A doctor and the secrets of its slots."""

    key: MemberKey
    slots: dict[int, SlotKey] = field(default_factory=dict)


class Secrets:
    """Thetas by epoch, in the place of a node's key files."""

    def __init__(self, thetas: dict[int, Scalar]) -> None:
        self.thetas = thetas

    def theta(self, epoch: int, T: bytes = b"") -> Scalar | None:
        """The theta of an epoch, if it is held."""
        return self.thetas.get(epoch)


class LedgerWorld:
    """Keys and a genesis.

    :param nodes: seats, 3f + 1.
    """

    def __init__(self, seed: str = "ledger", nodes: int = 4, constants: Constants | None = None) -> None:
        self.random = SeededRandom(seed)
        self.centre = CentreKey.generate(self.random)
        self.institutions = [self.member(INSTITUTION, f"hospital-{i}/board") for i in range(max(4, nodes))]
        self.cloud = self.member(CLOUD, "salus/cloud")
        self.nodes = [
            NodeKeys(
                self.member(NODE, f"hospital-{i}/node"),
                Ed25519PrivateKey.from_private_bytes(self.random(32)),
                BlsSecret.generate(self.random),
                EpochSecret.generate(FIRST_EPOCH, self.random),
            )
            for i in range(nodes)
        ]
        self.genesis = self._found(constants or Constants())
        self.network = self.genesis.network()
        self.domain = self.genesis.domain()
        self.validators = self.genesis.validators()
        self.pids = PidKeys(self.centre.w, self.network)
        self.thetas: dict[int, Scalar] = {}
        self._credentials = 0

    def member(self, role: str, name: str) -> MemberKey:
        """A fresh key of a named party (registration, steps 1 to 5)."""
        secret = SecretValue.draw(self.random)
        partial = issue_partial_key(self.centre.w, role, name, NO_QUARTER, secret.P, self.random)
        return MemberKey.finish(role, name, secret, partial, self.centre.Pub)

    def _found(self, constants: Constants) -> Genesis:
        core = GenesisCore(
            chain="test",
            time_ms=GENESIS_MS,
            protocol_version=1,
            centre=self.centre.record("salus/centre"),
            institutions=tuple(
                GenesisInstitution(m.record(), f"Hospital {i}", "HL1", 1, (f"hospital-{i}/node",) if i < len(self.nodes) else ())
                for i, m in enumerate(self.institutions)
            ),
            nodes=tuple(
                GenesisNode(n.member.record(), n.consensus.public_key().public_bytes_raw(), n.bls.public, n.epoch.E)
                for n in self.nodes
            ),
            validators=tuple(n.member.name for n in self.nodes),
            clouds=(GenesisCloud(self.cloud.record(), "Cloud"),),
            constants=constants,
        )
        network = core.network()
        records = [make_node_record(network, n.member, n.consensus, n.bls, n.epoch, self.random) for n in self.nodes]
        institutions = [sign_core(core, m, self.random) for m in self.institutions]
        return seal_genesis(core, records, institutions, [sign_core(core, self.cloud, self.random)], self.centre, self.random)

    # --- transactions ---

    def by_centre(self, draft: Any) -> bytes:
        """A registration or revocation, signed by the centre."""
        return sign_by_centre(self.network, "salus/centre", self.centre, draft, self.random).encode()

    def register(self, role: str, name: str) -> tuple[bytes, MemberKey]:
        """Registration of a doctor or cloud."""
        secret = SecretValue.draw(self.random)
        possession = prove_possession(self.network, role, name, NO_QUARTER, 0, secret.x, secret.P, self.random)
        partial = issue_partial_key(self.centre.w, role, name, NO_QUARTER, secret.P, self.random)
        key = MemberKey.finish(role, name, secret, partial, self.centre.Pub)
        return self.by_centre(PartyRegistration(key.record(), name.upper(), possession, UNSIGNED)), key

    def doctor(self, name: str = "hospital-0/dr-one") -> tuple[bytes, Doctor]:
        """Registration of a doctor."""
        raw, key = self.register(DOCTOR, name)
        return raw, Doctor(key)

    def slots(self, doctor: Doctor, first_sn: int, count: int, day: str = "2025-10-10") -> bytes:
        """A batch of slots."""
        batch, keys = publish_slots(self.network, doctor.key, day, first_sn, count, self.random)
        doctor.slots |= {k.sn: k for k in keys}
        return batch.encode()

    def credential(self, time_ms: int = GENESIS_MS, quarter: int | None = None) -> Credential:
        """A fresh credential of some patient."""
        quarter = quarter_of(time_ms) if quarter is None else quarter
        who, index = divmod(self._credentials, CREDENTIALS_A_QUARTER)
        self._credentials += 1
        pid = self.pids.seal(f"patient {who}", quarter, index)
        secret = SecretValue.draw(self.random)
        hp = pid_digest(pid)
        partial = issue_partial_key(self.centre.w, PATIENT, hp, quarter, secret.P, self.random)
        s, _ = finish_key(PATIENT, hp, quarter, secret, partial, self.centre.Pub)
        return Credential(secret.P, partial.Q, pid, quarter, index, s)

    def upload(self, digest: bytes, size: int, keep_until_ms: int) -> UploadReceipt:
        """The cloud's receipt."""
        return sign_upload(self.network, self.cloud, digest, size, keep_until_ms, self.random)

    def request(
        self,
        doctor: Doctor,
        sn: int,
        *,
        time_ms: int = GENESIS_MS,
        epoch: int = FIRST_EPOCH,
        credential: Credential | None = None,
        valid_ms: int = 3600_000,
        keep_ms: int | None = None,
    ) -> tuple[ConsultationRequest, PendingRequest]:
        """A real request; its body is only a digest."""
        context = self.context(doctor, sn, epoch)
        valid_until = time_ms + valid_ms
        who = credential or self.credential(time_ms)
        draft = RequestDraft.begin(self.domain, who, doctor.key.name, sn, context, valid_until, self.random)
        digest = self.random(32)
        keep = valid_until + self.genesis.core.constants.retention_ms if keep_ms is None else keep_ms
        return draft.finish(digest, 1000, self.upload(digest, 1000, keep), self.random(32), self.random)

    def context(self, doctor: Doctor, sn: int, epoch: int = FIRST_EPOCH) -> RequestContext:
        """What the ledger would look up for a request."""
        pk_BC = base_mul(self.thetas[epoch]).encode()
        return RequestContext(epoch, pk_BC, doctor.key.W_bytes, doctor.slots[sn].E)

    def reply(self, doctor: Doctor, request: ConsultationRequest, time_ms: int = GENESIS_MS) -> ConsultationReply:
        """A reply with a real signature and receipt; what only the patient can check is random."""
        A_D = base_mul(random_scalar(self.random)).encode()
        digest, h1 = self.random(32), request.tx_hash()
        constants = self.genesis.core.constants
        U = self.upload(digest, 1000, time_ms + 24 * 3600_000 + constants.retention_ms)
        key, PID2, M_k2 = doctor.key, self.random(92), self.random(32)
        t0 = make_t0_reply(self.network, key.name, key.W_bytes, request.sn, h1, A_D)
        draft = ConsultationReply(PID2, key.name, A_D, digest, 1000, UNSIGNED, M_k2, request.sn, h1, U)
        fields = (self.network, key.name, key.W_bytes)
        M_k1 = schnorr_sign(labels.SIG_REPLY, labels.SUITE_R1, key.s, fields, reply_body(t0, draft), self.random)
        return ConsultationReply(PID2, key.name, A_D, digest, 1000, M_k1, M_k2, request.sn, h1, U)

    def decline(self, doctor: Doctor, request: ConsultationRequest, reason: str = "bad-seal") -> bytes:
        """A decline."""
        return decline_request(self.network, doctor.key, request.sn, request.tx_hash(), reason, "", self.random).encode()

    def secrets(self) -> Any:
        """The part of a node's secrets that admission needs: theta of every epoch started so far."""
        return Secrets(self.thetas)

    # --- chains ---

    def chain(self, store: LedgerStore | None = None, registry: Registry = REGISTRY, secrets: Any = None) -> Chain:
        """An application driven as by an engine."""
        return Chain(self, store or MemoryStore(), registry, secrets)

    def sign_certificate(self, height: int, view: int, block_id: bytes, signers: Sequence[int] | None = None) -> b.Certificate:
        """Commit signatures of the first quorum of nodes, or of these."""
        chosen = range(self.validators.quorum) if signers is None else signers
        message = b.vote_bytes(self.network, b.COMMIT, height, view, block_id)
        signatures = tuple(b.CommitSignature(self.nodes[i].member.name, self.nodes[i].consensus.sign(message)) for i in chosen)
        return b.Certificate(height, view, block_id, signatures)


class Chain:
    """Decides blocks for one application, with headers and certificates as the embedded engine makes them."""

    def __init__(self, world: LedgerWorld, store: LedgerStore, registry: Registry = REGISTRY, secrets: Any = None) -> None:
        self.world = world
        self.application = LedgerApplication(store, world.genesis, secrets, registry)
        self.records: list[tuple[bytes, bytes]] = []
        self.previous_id = world.genesis.hash()
        self.certificate: b.Certificate | None = None

    @property
    def time_ms(self) -> int:
        """Time of the last block."""
        return self.application.info().last_time_ms

    def input(self, transactions: Sequence[bytes], time_ms: int | None = None, view: int = 0) -> BlockInput:
        """The next block."""
        height = self.application.info().height + 1
        validators = self.world.validators
        time_ms = self.time_ms + 1000 if time_ms is None else time_ms
        proposer = validators.primary(height, view).name
        return BlockInput(height, time_ms, proposer, validators.missed(height, view), (), tuple(transactions))

    def block(self, block: BlockInput, view: int = 0) -> b.Block:
        """The engine's block around an input."""
        set_hash = self.world.validators.hash()
        digest = b.ZERO32 if self.certificate is None else self.certificate.digest()
        header = b.BlockHeader(
            height=block.height,
            view=view,
            previous_id=self.previous_id,
            time_ms=block.time_ms,
            transaction_root=b.transaction_root(block.transactions, block.misbehaviour),
            proposer=block.proposer,
            validators_hash=set_hash,
            next_validators_hash=set_hash,
            previous_certificate_digest=digest,
            application_hash=self.application.info().application_hash,
        )
        return b.Block(header, block.transactions, block.misbehaviour, self.certificate)

    def decide(self, transactions: Sequence[bytes], time_ms: int | None = None, view: int = 0) -> FinalisedBlock:
        """Validate, finalise and commit one block."""
        block = self.input(transactions, time_ms, view)
        verdict = self.application.validate_proposal(block, secret_checks=True)
        assert verdict.valid, verdict
        whole = self.block(block, view)
        result = self.application.finalise_block(block)
        certificate = self.world.sign_certificate(block.height, view, whole.header.id())
        self.application.commit(whole.encode(), certificate.encode())
        self.records.append((whole.encode(), certificate.encode()))
        self.previous_id, self.certificate = whole.header.id(), certificate
        return result

    def propose(self, transactions: Sequence[bytes], time_ms: int | None = None) -> list[bytes]:
        """What a proposer would choose of these."""
        block = self.input((), time_ms)
        return self.application.prepare_proposal(
            block.height, block.time_ms, block.proposer, (), (), transactions, b.MAX_BLOCK_BYTES
        )

    def start_epoch(self, epoch: int = FIRST_EPOCH) -> Scalar:
        """Deal and acknowledge the first epoch; every node learns theta."""
        world, application = self.world, self.application
        record = find_epoch(application.view(), epoch)
        assert record is not None
        turn = record.dealer(self.time_ms + 1000, world.genesis.core.constants)
        by_name = {n.member.name: n for n in world.nodes}
        seats = [s.seat() for s in record.seats]
        deal, theta = make_deal(world.network, epoch, by_name[turn].member, seats, world.random)
        self.decide([deal.encode()])
        for node in world.nodes:
            assert open_deal(world.network, deal, node.member, node.epoch) == theta
        acks = [acknowledge(world.network, n.member, deal, (), world.random).encode() for n in world.nodes]
        self.decide(acks)
        world.thetas[epoch] = theta
        return theta

    def ready(self, slots: int = 16) -> Doctor:
        """Start the first epoch, register a doctor, publish slots."""
        self.start_epoch()
        raw, doctor = self.world.doctor()
        self.decide([raw])
        self.add_slots(doctor, slots)
        return doctor

    def add_slots(self, doctor: Doctor, count: int) -> None:
        """Publish more slots."""
        while count:
            part = min(count, 256)
            self.decide([self.world.slots(doctor, len(doctor.slots), part)])
            count -= part
