"""Consultations over a transport that loses, repeats, delays and reorders calls: they end well all the same, once each."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from salus.errors import Refused, TransportError
from salus.network.actors import PatientActor
from salus.network.local import FaultyTransport
from support.embedded import DAY, enrolled_doctor, found_network, new_patient

PATIENTS = 5
TRIES = 80


def patiently(command: Callable[..., dict[str, Any]], **arguments: object) -> dict[str, Any]:
    """A person who tries again when a command says that no answer came."""
    for _ in range(TRIES):
        try:
            return command(**arguments)
        except TransportError:
            continue
    raise AssertionError(f"{TRIES} tries were not enough")


def enrol(patient: PatientActor, new_code: Callable[[], str]) -> None:
    """With a fresh code if the one before was spent and its answer lost for good."""
    for _ in range(TRIES):
        try:
            patient.enrol(code=new_code())
        except TransportError:
            continue
        else:
            return
    raise AssertionError(f"{TRIES} codes were not enough")


def send(patient: PatientActor, doctor: str, record: Path) -> None:
    """Send once; after a lost answer the terminal finds out what became of it before anything is sent again."""
    for _ in range(TRIES):
        try:
            patient.resume()
            states = [c["state"] for c in patient.replies()["consultations"]]
            if "stored" in states:
                assert states.count("stored") == 1
                return
            if "sent" not in states:
                patient.request(doctor, DAY, str(record))
        except TransportError:
            continue
        except Refused as refused:
            # the centre counts an index as spent although its answer got lost: the next one is as good
            if refused.reason != "quota":
                raise
    raise AssertionError(f"{TRIES} tries were not enough")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_consultation_ends_well(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with found_network(tmp_path / "home") as network:
        faulty = FaultyTransport(network.transport, chance.random, loss=0.1, repeat=0.2, delay=0.08)
        doctor = enrolled_doctor(network, slots=4 * PATIENTS)
        record, reply = tmp_path / "record.txt", tmp_path / "reply.txt"
        patients = []
        for i in range(PATIENTS):
            record.write_text(f"record {i}")
            patient = new_patient(network, f"patient {i}", transport=faulty)
            enrol(patient, lambda name=patient.name: network.centre.new_code("patient", name))
            send(patient, doctor.name, record)
            patients.append(patient)
        waiting = doctor.queue()["waiting"]
        assert len(waiting) == PATIENTS
        for i, item in enumerate(waiting):
            reply.write_text(f"reply {i}")
            assert doctor.treat(item["id"], str(reply))["id"] == item["id"]
        for patient in patients:
            (answered,) = [c for c in patiently(patient.replies)["consultations"] if c["reply_waiting"]]
            assert patiently(patient.read, id=answered["id"])["accepted"]
        assert all(count > 0 for count in faulty.counts.values()), faulty.counts
        assert len({node.application.info().application_hash for node in network.nodes}) == 1
