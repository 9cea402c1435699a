"""A small world of the printed suite: centre, nodes, doctors, patients, cloud, all seeded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from salus.consultation.published.messages import Directory, PublicKey, Request, Transaction2
from salus.consultation.published.parties import Cloud, Doctor, Patient, TrustedCentre, ValidationNode, key_of
from salus.groups.ristretto255 import Point, decode_point

T0_MS = 1_700_000_000_000


def seeded(seed: str):
    """A deterministic source of random bytes."""
    counter = 0

    def random(count: int, /) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(f"{seed}/{counter}".encode()).digest(count)

    return random


@dataclass
class World:
    centre: TrustedCentre
    nodes: list[ValidationNode]
    doctors: list[Doctor]
    patients: list[Patient]
    cloud: Cloud
    directory: Directory

    @property
    def parameters(self):
        return self.centre.parameters

    @property
    def pk_BC(self) -> Point:
        return decode_point(self.directory.shared.pk_BC)

    def pk_DO(self, doctor: Doctor) -> PublicKey:
        return key_of(self.directory, "doctor", doctor.identity)

    def run(self, patient: Patient, doctor: Doctor, sn: int, data: bytes, diagnosis: bytes) -> tuple[Request, Transaction2]:
        """One whole consultation; returns both transactions."""
        request = patient.request(self.directory, doctor.identity, sn, data)
        for node in self.nodes:
            node.verify(self.directory, request)
        patient.stored(self.directory, doctor.identity, sn, self.cloud.store(request))
        reply = doctor.treat(self.directory, doctor.open(request), diagnosis)
        for node in self.nodes:
            node.verify(self.directory, reply)
        doctor.stored(self.directory, sn, self.cloud.store(reply))
        assert patient.check(self.directory, reply).m_DO == diagnosis
        return Request.decode(request), Transaction2.decode(reply)


def make_world(seed: str = "world", nodes: int = 4, doctors: int = 2, patients: int = 2) -> World:
    centre = TrustedCentre(seeded(f"{seed}/centre"), network=hashlib.sha256(seed.encode()).digest())
    parameters = centre.parameters
    vdn = [ValidationNode(f"hospital-{j}/node", parameters, seeded(f"{seed}/node{j}")) for j in range(nodes)]
    dos = [Doctor(f"clinic/doctor-{k}", parameters, seeded(f"{seed}/doctor{k}")) for k in range(doctors)]
    pas = [Patient(f"ward/patient-{i}", parameters, seeded(f"{seed}/patient{i}"), lambda: T0_MS) for i in range(patients)]
    for member in (*vdn, *dos, *pas):
        member.registered(centre.register(member.registration()))
    cloud = Cloud(seeded(f"{seed}/cloud"))
    return World(centre, vdn, dos, pas, cloud, centre.publish(cloud.pk))
