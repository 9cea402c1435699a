"""Owners and institutions at their terminals, over the embedded network: put, ask, open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.sharing.desk import SharingDesk
from salus.terminal.sharing.owner import Putting
from support.embedded import PASSPHRASE, enrolled_patient, found_network
from support.sharing_network import Sharing

HOSPITAL = "st-anne/board"
QUARTER = "2025Q3"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


def desk(actor: Actor) -> SharingDesk:
    around = actor._around
    return SharingDesk(actor._wallet, around.ledger, around.transport, around.centre(), around.now_ms, around.random)


@pytest.fixture
def owner(network: EmbeddedNetwork) -> SharingDesk:
    return desk(enrolled_patient(network, "alice", credentials=16))


@pytest.fixture
def hospital(network: EmbeddedNetwork) -> SharingDesk:
    Sharing(network).grant(HOSPITAL, "role:doctor", "dept:cardiology")
    return desk(network.person(f"institution-{HOSPITAL.replace('/', '.')}", PASSPHRASE))


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("pulse 71, pressure 118/76\n" * 9000)
    return path


def test_a_record_under_a_policy_reaches_who_satisfies_it(owner: SharingDesk, hospital: SharingDesk, note: Path) -> None:
    wanted = Putting(policy="role:doctor and dept:cardiology", category="vitals", period=QUARTER, keywords=("pulse",))
    (entry,) = owner.owner.put([note], wanted)
    assert entry.state == "stored"
    assert entry.policy == "role:doctor@2025 and dept:cardiology@2025"
    opened = owner.owner.open(entry.rid)
    assert owner.owner.reading.write(opened).read_bytes() == note.read_bytes()
    (asked,) = hospital.institution.request([entry.rid], "treatment")
    received = hospital.institution.get(asked.share)
    assert received.share.via == "policy"
    assert received.path.read_bytes() == note.read_bytes()
