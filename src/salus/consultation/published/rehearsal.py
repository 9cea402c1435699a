"""mbpa-2019 with all its parties in one process: :class:`salus.consultation.suite.Suite`, for study and comparison."""

from __future__ import annotations

import os
from collections.abc import Callable

from salus import labels
from salus.consultation.published.chain import MediBchain
from salus.consultation.published.messages import Directory, Transaction2
from salus.consultation.published.parties import (
    Cloud,
    Doctor,
    Patient,
    TrustedCentre,
    ValidationNode,
    decode_transaction,
    storage_key,
)
from salus.errors import Refused
from salus.symmetric import Random, h2


class Rehearsal:
    """The whole of mbpa-2019 in one process. FORGEABLE: see :data:`.parties.WARNING`.

    :param random: source of all randomness. :param now_ms: the clock. :param network: its hash identifies the network.
    """

    name = labels.SUITE_2019

    def __init__(
        self, random: Random = os.urandom, now_ms: Callable[[], int] = lambda: 1_760_000_000_000, network: str = "rehearsal"
    ) -> None:
        self._random = random
        self._now_ms = now_ms
        self.centre = TrustedCentre(random, h2(labels.NETWORK, labels.SUITE_2019, network))
        self.cloud = Cloud(random)
        self.chain = MediBchain()
        self.nodes: list[ValidationNode] = []
        self.doctors: dict[str, Doctor] = {}
        self.patients: dict[str, Patient] = {}
        self._directory: Directory | None = None

    @property
    def directory(self) -> Directory:
        """The public directory with the shared value.

        :raises Refused: ``not-started`` before :meth:`share_value`.
        """
        if self._directory is None:
            raise Refused("not-started", "the nodes share no value yet")
        return self._directory

    def register(self, role: str, identity: str) -> None:
        """Phases 2-4. A node or doctor that joins later is in the directory from the next shared value on."""
        parameters = self.centre.parameters
        member: Patient | Doctor | ValidationNode
        if role == "patient":
            if identity in self.patients:
                raise Refused("already-registered", identity)
            member = Patient(identity, parameters, self._random, self._now_ms)
        elif role == "doctor":
            member = Doctor(identity, parameters, self._random)
        elif role == "node":
            member = ValidationNode(identity, parameters, self._random)
        else:
            raise Refused("not-authorised", f"no such role: {role}")
        member.registered(self.centre.register(member.registration()))
        if isinstance(member, Patient):
            self.patients[identity] = member
        elif isinstance(member, Doctor):
            self.doctors[identity] = member
        elif isinstance(member, ValidationNode):
            self.nodes.append(member)

    def share_value(self) -> None:
        """Phase 5, with fresh r, theta and f."""
        self._directory = self.centre.publish(self.cloud.pk)

    def request(self, patient: str, doctor: str, payload: bytes) -> bytes:
        """Phase 6, with the doctor's next number; the number is taken when the request is chained."""
        who = self.patients[patient]
        return who.request(self.directory, doctor, self.chain.next_number(doctor), payload)

    def commit(self, transaction: bytes) -> None:
        """Phases 7 and 10: every validation node runs Algorithm 8 or 10; then the transaction is chained."""
        self.chain.check(self.directory, transaction)
        for node in self.nodes:
            node.verify(self.directory, transaction)
        self.chain.append(self.directory, transaction)

    def store(self, transaction: bytes) -> None:
        """Phases 8 and 11: the cloud files a chained transaction; its sender checks the response.

        :raises Refused: ``not-committed``, ``bad-receipt``.
        """
        if transaction not in self.chain.transactions:
            raise Refused("not-committed")
        response = self.cloud.store(transaction)
        t = decode_transaction(transaction)
        if isinstance(t, Transaction2):
            self.doctors[t.ID_DO].stored(self.directory, t.sn, response)
            return
        key = storage_key(t)
        sender = next((p for p in self.patients.values() if p.keys.public == t.pk_PA), None)
        if sender is None:
            raise Refused("unknown-party", "the sender of the request is not here")
        sender.stored(self.directory, key.ID_DO, t.transaction.sn, response)

    def treat(self, doctor: str, request: bytes, diagnosis: bytes) -> tuple[bytes, bytes]:
        """Phase 9: (health data received, encoded Transaction 2)."""
        who = self.doctors[doctor]
        opened = who.open(request)
        return opened.m_PA.data, who.treat(self.directory, opened, diagnosis)

    def check_up(self, patient: str, reply: bytes) -> bytes:
        """Phase 12: the diagnosis."""
        return self.patients[patient].check(self.directory, reply).m_DO

    def trace(self, doctor: str, request: bytes) -> str:
        """Section V.A.3: the doctor shows pid_PA, the centre opens it; nothing proves that the sender put in its own."""
        return self.centre.trace(self.doctors[doctor].open(request).pid)
