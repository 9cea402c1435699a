# ruff: noqa: N815 - fields bear the protocol's names
"""Small, complete worlds of both suites in one process: what phases are timed on, and what the security games run on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from salus.consultation.appointments import SlotKey
from salus.consultation.credentials import Credential, PidKeys, finish_credential, issue_credential, request_credential
from salus.consultation.enrolment import EnrolmentKey
from salus.consultation.published.messages import Directory, PublicKey, SharedValue
from salus.consultation.published.parties import Cloud, Doctor, Patient, TrustedCentre, ValidationNode, key_of
from salus.consultation.receipts import UploadReceipt, sign_upload
from salus.consultation.registration import (
    CLOUD,
    DOCTOR,
    NO_QUARTER,
    Domain,
    MemberKey,
    SecretValue,
    check_key_request,
    issue_partial_key,
    quarter_of,
    request_key,
)
from salus.consultation.request import ConsultationRequest, PendingRequest, RequestContext, RequestDraft
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, random_scalar
from salus.symmetric import Random

NOW_MS: Final = 1_760_000_000_000
"""The worlds' clock stands still, in October 2025."""
KEEP_MS: Final = 30 * 24 * 3600 * 1000
VALID_MS: Final = 3600 * 1000
EPOCH: Final = 7


@dataclass
class PublishedWorld:
    """Suite mbpa-2019: one centre, nodes, doctors, patients, a cloud."""

    centre: TrustedCentre
    nodes: list[ValidationNode]
    doctors: list[Doctor]
    patients: list[Patient]
    cloud: Cloud
    directory: Directory

    @classmethod
    def make(cls, random: Random, nodes: int = 4, doctors: int = 1, patients: int = 1) -> PublishedWorld:
        """Register everybody and set the shared value."""
        centre = TrustedCentre(random, random(32))
        parameters = centre.parameters
        vdn = [ValidationNode(f"hospital-{j}/node", parameters, random) for j in range(nodes)]
        dos = [Doctor(f"clinic/doctor-{k}", parameters, random) for k in range(doctors)]
        pas = [Patient(f"ward/patient-{i}", parameters, random, lambda: NOW_MS) for i in range(patients)]
        for member in (*vdn, *dos, *pas):
            member.registered(centre.register(member.registration()))
        cloud = Cloud(random)
        return cls(centre, vdn, dos, pas, cloud, centre.publish(cloud.pk))

    @property
    def pk_BC(self) -> Point:
        """theta * P."""
        return decode_point(self.directory.shared.pk_BC, "pk_BC")

    @property
    def shared(self) -> SharedValue:
        """Output of Algorithm 6."""
        return self.directory.shared

    def doctor_key(self, doctor: Doctor) -> PublicKey:
        """pk_DO."""
        return key_of(self.directory, "doctor", doctor.identity)


@dataclass
class RepairedWorld:
    """Suite mbpa-r1: a centre's secret, an epoch's shared value, a cloud, doctors with slots, credentials on demand."""

    random: Random = field(repr=False)
    w: Scalar = field(repr=False)
    theta: Scalar = field(repr=False)
    domain: Domain
    pk_BC: bytes
    cloud: MemberKey
    doctors: list[MemberKey]
    slots: dict[tuple[str, int], SlotKey]
    pids: PidKeys
    enrolment: EnrolmentKey
    quarter: int = quarter_of(NOW_MS)

    @classmethod
    def make(cls, random: Random, doctors: int = 1, slots: int = 8) -> RepairedWorld:
        """Register cloud and doctors, open ``slots`` slots for each doctor."""
        w, theta = random_scalar(random), random_scalar(random)
        domain = Domain(random(32), base_mul(w).encode())
        cloud = register(CLOUD, "cloud/gateway", w, domain, random)
        dos = [register(DOCTOR, f"clinic/doctor-{k}", w, domain, random) for k in range(doctors)]
        opened = {(doctor.name, sn): SlotKey(sn, random_scalar(random)) for doctor in dos for sn in range(slots)}
        pids, enrolment = PidKeys(w, domain.network), EnrolmentKey.generate(random)
        return cls(random, w, theta, domain, base_mul(theta).encode(), cloud, dos, opened, pids, enrolment)

    def member(self, role: str, name: str) -> MemberKey:
        """A further named member, registered with the centre."""
        return register(role, name, self.w, self.domain, self.random)

    def credential(self, identity: str, index: int) -> Credential:
        """A patient's credential, issued as in the protocol."""
        secret = SecretValue.draw(self.random)
        request = request_credential(self.domain.network, self.enrolment, self.quarter, index, secret, self.random)
        answer = issue_credential(self.w, self.pids, identity, request, self.random)
        return finish_credential(request, secret, answer, self.domain.Pub)

    def context(self, doctor: MemberKey, sn: int) -> RequestContext:
        """What nodes and doctors look up for a slot."""
        return RequestContext(EPOCH, self.pk_BC, doctor.W_bytes, self.slots[doctor.name, sn].E)

    def receipt(self, digest: bytes, size_bytes: int) -> UploadReceipt:
        """The cloud's upload receipt."""
        return sign_upload(self.domain.network, self.cloud, digest, size_bytes, NOW_MS + KEEP_MS, self.random)

    def request(
        self, credential: Credential, doctor: MemberKey, sn: int, digest: bytes, size_bytes: int
    ) -> tuple[ConsultationRequest, PendingRequest]:
        """An honest request about a body of that digest, receipt included."""
        draft = RequestDraft.begin(
            self.domain, credential, doctor.name, sn, self.context(doctor, sn), NOW_MS + VALID_MS, self.random
        )
        return draft.finish(digest, size_bytes, self.receipt(digest, size_bytes), digest, self.random)


def register(role: str, name: str, w: Scalar, domain: Domain, random: Random) -> MemberKey:
    """A named member's registration, both sides, proof of possession included."""
    secret = SecretValue.draw(random)
    request = request_key(domain.network, role, name, secret, random)
    check_key_request(domain.network, request)
    return MemberKey.finish(role, name, secret, issue_partial_key(w, role, name, NO_QUARTER, request.P, random), domain.Pub)
