"""A whole network of mbpa-r1 in one process, driven phase by phase."""

from __future__ import annotations

import os
from collections.abc import Callable

from salus import labels
from salus.consultation import shared_value as sv
from salus.consultation import tracing
from salus.consultation.appointments import check_slots
from salus.consultation.receipts import (
    StorageReceipt,
    open_storage_receipt,
)
from salus.consultation.registration import (
    CLOUD,
    DOCTOR,
    NODE,
    PATIENT,
    Domain,
    MemberKey,
    SecretValue,
    request_key,
)
from salus.consultation.rehearsal.chain import CENTRE_NAME, CLOUD_NAME, Chain, decode_transaction
from salus.consultation.rehearsal.parties import Centre, Cloud, Doctor, Node, Patient
from salus.consultation.reply import ConsultationReply
from salus.consultation.request import (
    ConsultationRequest,
    tx_hash,
)
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point
from salus.symmetric import Random, h2


def _a_fixed_time() -> int:
    return 1_760_000_000_000


class Rehearsal:
    """The whole of mbpa-r1 in one process: implements :class:`salus.consultation.suite.Suite`.

    :param random: source of all randomness. :param now_ms: the clock. :param network: its hash identifies the network.
    """

    name = labels.SUITE_R1

    def __init__(
        self, random: Random = os.urandom, now_ms: Callable[[], int] = lambda: 1_760_000_000_000, network: str = "rehearsal"
    ) -> None:
        identifier = h2(labels.NETWORK, labels.SUITE_R1, network)
        self.random = random
        self.centre = Centre(identifier, random)
        self.domain = Domain(identifier, self.centre.key.Pub.encode())
        self.chain = Chain(self.domain, now_ms)
        self.nodes: list[Node] = []
        self.doctors: dict[str, Doctor] = {}
        self.patients: dict[str, Patient] = {}
        self.epoch = 0
        self.cloud = Cloud(self.member(CLOUD, CLOUD_NAME), identifier, random)

    def member(self, role: str, name: str) -> MemberKey:
        """Register a named member with the centre and put its record on the chain (registration, steps 1 to 5)."""
        refuse_unless(name not in self.chain.members, "already-registered", name)
        secret = SecretValue.draw(self.random)
        partial = self.centre.register(request_key(self.domain.network, role, name, secret, self.random))
        key = MemberKey.finish(role, name, secret, partial, self.domain.Pub)
        self.chain.members[name] = key.record()
        return key

    def register(self, role: str, identity: str) -> None:
        """Phases 2-4; a doctor also opens 64 slots, a patient also gets the running quarter's first credentials."""
        if role == PATIENT:
            refuse_unless(identity not in self.patients, "already-registered", identity)
            patient = Patient(identity, self.random)
            self.centre.enrol(identity, patient.enrolment.F)
            patient.renew(self.domain, self.centre, self.chain.quarters[1], range(4))
            self.patients[identity] = patient
            return
        key = self.member(role, identity)
        if role == NODE:
            self.nodes.append(Node(key))
        elif role == DOCTOR:
            self.doctors[identity] = Doctor(key, self.random)
            self.open_slots(identity, 64)

    def open_slots(self, doctor: str, count: int) -> None:
        """A doctor publishes its next slots."""
        batch = self.doctors[doctor].publish(self.domain.network, "2025-10-09", count)
        check_slots(self.domain.network, batch, self.chain.W(DOCTOR, doctor))
        self.chain.slots.update({(doctor, batch.first_sn + i): E for i, E in enumerate(batch.keys)})

    def share_value(self) -> None:
        """Phase 5: a new epoch; the node whose turn it is deals, all open and acknowledge."""
        epoch, network = self.epoch + 1, self.domain.network
        seats = []
        for node in self.nodes:
            node.secrets[epoch] = sv.EpochSecret.generate(epoch, self.random)
            message = sv.publish_epoch_key(network, node.member, node.secrets[epoch], self.random)
            sv.check_epoch_key(network, message, node.member.W)
            seats.append(sv.Seat(node.member.name, node.member.W_bytes, message.E))
        dealer = self.nodes[epoch % len(self.nodes)].member
        deal, _ = sv.make_deal(network, epoch, dealer, seats, self.random)
        sv.check_deal(network, deal, len(seats), dealer.W)
        for node in self.nodes:
            node.theta[epoch] = sv.open_deal(network, deal, node.member, node.secrets[epoch])
            sv.check_ack(network, sv.acknowledge(network, node.member, deal, (), self.random), node.member.W)
        self.chain.epochs[epoch] = deal.T
        self.epoch = epoch

    def request(self, patient: str, doctor: str, payload: bytes) -> bytes:
        """Phase 6, with the patient's next credential and the doctor's next free slot."""
        who = self.patients[patient]
        refuse_unless(bool(who.credentials), "quota")
        free = [sn for name, sn in self.chain.slots if name == doctor and (doctor, sn) not in self.chain.taken]
        refuse_unless(bool(free), "no-free-slot")
        credential = who.credentials.pop(0)
        return who.request(self.chain, self.cloud, credential, doctor, min(free), self.epoch, payload).encode()

    def commit(self, transaction: bytes) -> None:
        """Phases 7 and 10."""
        for node in self.nodes:
            node.check(self.chain, transaction)
        self.chain.commit(decode_transaction(transaction))

    def store(self, transaction: bytes) -> None:
        """Phases 8 and 11."""
        t = decode_transaction(transaction)
        sealed = self.cloud.store(t, len(self.chain.requests))
        if isinstance(t, ConsultationRequest):
            secret = next(p.pending[t.tx_hash()] for p in self.patients.values() if t.tx_hash() in p.pending).a
            PID, A = t.PID1, t.A
        else:
            secret, PID, A = self.doctors[t.ID_D].drafts[t.h1].a_D, t.PID2, t.A_D
        expected = StorageReceipt(PID, A, t.ID_D, 0, t.tx_hash(), t.digest, t.size_bytes, CLOUD_NAME, bytes(64))
        open_storage_receipt(self.domain.network, sealed, secret, self.cloud.member.W_bytes, t.tx_hash(), expected)

    def treat(self, doctor: str, request: bytes, diagnosis: bytes) -> tuple[bytes, bytes]:
        """Phase 9."""
        committed = self.chain.requests.get(tx_hash(request))
        if committed is None:
            raise Refused("unknown-request")
        who = self.doctors[doctor]
        opened = who.open(self.chain, committed.request, committed.context)
        payload, m_pa = who.read(opened, self.cloud.fetch(committed.request.digest), committed.time_ms)
        reply = who.reply(self.domain.network, opened, m_pa, diagnosis, self.cloud, self.chain.now_ms())
        return payload, reply.encode()

    def check_up(self, patient: str, reply: bytes) -> bytes:
        """Phase 12; a and the credential are erased when the diagnosis is read."""
        t = ConsultationReply.decode(reply)
        committed = self.chain.replies.get(t.h1)
        proven = committed.tx_hash() if committed is not None else b""
        who = self.patients[patient]
        diagnosis = who.check_up(self.chain, self.cloud, t, proven)
        who.pending.pop(t.h1).wipe()
        return diagnosis

    def trace(self, doctor: str, request: bytes) -> str:
        """The doctor's evidence, verified; the centre's trace, verified."""
        committed = self.chain.requests[tx_hash(request)]
        opened = self.doctors[doctor].open(self.chain, committed.request, committed.context)
        evidence = tracing.doctor_evidence(opened)
        sender = tracing.verify_doctor_evidence(self.domain, evidence, committed.context)
        trace = self.centre.trace(self.domain, evidence, committed.context)
        signing_key: Point = self.centre.key.signing_key
        return tracing.check_trace(self.domain.network, CENTRE_NAME, signing_key.encode(), sender, trace)
