"""Backup on one device, restore on another, and what the ledger says of the time between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.cli.progress import ProgressDisplay
from salus.cli.restoring import restore_wallet
from salus.consultation.appointments import SlotKey
from salus.consultation.credentials import Credential
from salus.consultation.request import PendingRequest
from salus.errors import Refused, TransportError
from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.reconciliation import needs_reconciling
from salus.terminal.recovery import PURPOSE, restore
from salus.terminal.sealed import open_content, parse, unwrap_passphrase
from support.embedded import (
    CHEAP,
    DAY,
    DOCTOR,
    PASSPHRASE,
    enrolled_doctor,
    enrolled_patient,
    found_network,
    opened_doctor,
    opened_patient,
)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.txt"
    path.write_text("pulse 71\n")
    return path


def lose(network: EmbeddedNetwork, actor: Actor) -> None:
    """The device is gone with everything on it."""
    network.dismiss(actor)
    actor.directory.rename(network.home.directory.parent / "lost")


def restored(network: EmbeddedNetwork, role: str, name: str, backup: Path) -> dict[str, Any]:
    return restore_wallet(network, role, name, backup, PASSPHRASE, None, ProgressDisplay())


def reason(call: Any, *arguments: Any) -> str:
    with pytest.raises(Refused) as refusal:
        call(*arguments)
    return refusal.value.reason


def test_a_patients_wallet(network: EmbeddedNetwork, record: Path, tmp_path: Path) -> None:
    doctor = enrolled_doctor(network)
    patient = enrolled_patient(network, "anna", credentials=4)
    read = patient.request(doctor.name, DAY, str(record))
    doctor.treat(read["id"], str(record))
    patient.read(read["id"])
    before = patient.request(doctor.name, DAY, str(record))
    patient.backup(str(tmp_path / "backup"))
    after = patient.request(doctor.name, DAY, str(record))
    lose(network, patient)
    found = restored(network, "patient", "anna", tmp_path / "backup")
    assert (found["credentials_used_since"], found["credentials_unused"]) == (1, 1)
    assert sorted(c["id"] for c in found["unreadable"]) == sorted([before["id"], after["id"]])
    patient = opened_patient(network, "anna")
    assert patient.resume() == {"finished": []}
    states = {c["id"]: c["state"] for c in patient.replies()["consultations"]}
    assert states == {read["id"]: "answered", before["id"]: "unreadable", after["id"]: "unreadable"}
    for item in doctor.queue()["waiting"]:
        doctor.treat(item["id"], str(record))
    assert reason(patient.read, before["id"]) == "erased"
    # the wallet goes on: the last unused credential, then new ones; indices issued since the backup are passed over
    later = [patient.request(doctor.name, DAY, str(record)) for _ in range(2)]
    for item in doctor.queue()["waiting"]:
        doctor.treat(item["id"], str(record))
    assert all(patient.read(sent["id"])["accepted"] for sent in later)
    entries = [c for c in patient._wallet.content.consultations if c.tx_hash.hex() in {s["request_tx"] for s in (after, *later)}]
    assert len({(c.quarter, c.index) for c in entries}) == 3


def test_credentials_issued_since_the_backup_are_passed_over(network: EmbeddedNetwork, record: Path, tmp_path: Path) -> None:
    doctor = enrolled_doctor(network)
    patient = enrolled_patient(network, "anna", credentials=2)
    patient.backup(str(tmp_path / "backup"))
    patient.renew(5)
    lose(network, patient)
    restored(network, "patient", "anna", tmp_path / "backup")
    patient = opened_patient(network, "anna")
    patient.renew(4)
    assert [c.index for c in patient._wallet.content.unused_credentials()] == [0, 1, 5, 6]
    for _ in range(4):
        patient.request(doctor.name, DAY, str(record))


def test_a_doctors_wallet(network: EmbeddedNetwork, record: Path, tmp_path: Path) -> None:
    """Slots published before and after the backup, open and taken: none can be served any more, each can be closed."""
    doctor = enrolled_doctor(network, slots=2)
    patient = enrolled_patient(network, "anna", credentials=8)
    treated = patient.request(doctor.name, DAY, str(record))
    doctor.treat(treated["id"], str(record))
    doctor.backup(str(tmp_path / "backup"))
    doctor.publish(DAY, 2)
    asked = [patient.request(doctor.name, DAY, str(record)) for _ in range(2)]
    taken = {c["sn"]: c["id"] for c in asked}
    lose(network, doctor)
    found = restored(network, "doctor", DOCTOR, tmp_path / "backup")
    assert found["slots_without_key"] == [sn for sn in range(4) if sn != treated["sn"]]
    doctor = opened_doctor(network)
    (open_,) = {0, 1, 2, 3} - {treated["sn"], *taken}
    waiting = [w["id"] for w in doctor.queue()["waiting"]]
    assert waiting == [taken[sn] for sn in sorted(taken)]
    assert reason(doctor.treat, waiting[0], str(record)) == "erased"
    for id_ in waiting:
        doctor.decline(id_, "not-authorised", "the keys of this slot were lost")
    doctor.cancel([open_])
    assert doctor.queue()["waiting"] == []
    assert doctor.reconcile()["slots_without_key"] == []
    assert {c["state"] for c in patient.replies()["consultations"]} == {"stored", "declined"}
    doctor.publish(DAY, 1)
    sent = patient.request(doctor.name, DAY, str(record))
    doctor.treat(sent["id"], str(record))
    assert patient.read(sent["id"])["accepted"]


def test_an_interrupted_comparison_is_made_at_the_next_start(
    network: EmbeddedNetwork, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor = enrolled_doctor(network)
    patient = enrolled_patient(network, "anna", credentials=3)
    patient.backup(str(tmp_path / "backup"))
    sent = patient.request(doctor.name, DAY, str(record))
    lose(network, patient)

    def silent(*_: Any) -> Any:
        raise TransportError("no node answers")

    monkeypatch.setattr("salus.ledger.client.LedgerClient.height_before", silent)
    with pytest.raises(TransportError):
        restored(network, "patient", "anna", tmp_path / "backup")
    monkeypatch.undo()
    patient = opened_patient(network, "anna")
    assert needs_reconciling(patient._wallet)
    patient.resume()
    assert not needs_reconciling(patient._wallet)
    assert [(c["id"], c["state"]) for c in patient.replies()["consultations"]] == [(sent["id"], "unreadable")]
    assert len(patient._wallet.content.unused_credentials()) == 2


def test_backups_hold_no_one_time_keys(network: EmbeddedNetwork, record: Path, tmp_path: Path) -> None:
    """Opened with the passphrase, a backup holds nothing that opens a consultation or names a request."""
    doctor = enrolled_doctor(network, slots=3)
    patient = enrolled_patient(network, "anna", credentials=3)
    sent = patient.request(doctor.name, DAY, str(record))
    secrets: list[bytes] = []
    pending = PendingRequest.from_secret(patient._wallet.one_time.get(f"consultation-{sent['id']}"))
    secrets += [pending.a.encode(), pending.credential.s.encode()]
    secrets += [SlotKey.from_secret(sn, doctor._wallet.one_time.get(f"slot-{sn}")).e.encode() for sn in range(3)]
    (unused, _) = patient._wallet.content.unused_credentials()
    held = Credential.from_secret(unused.secret).s.encode()
    plain = {}
    for actor in (patient, doctor):
        path = tmp_path / f"{actor.directory.name}.backup"
        actor.backup(str(path))
        file = parse(path.read_bytes(), str(path))
        plain[actor] = open_content(unwrap_passphrase(file, PASSPHRASE, ""), file, PURPOSE, "")
    for content in plain.values():
        assert not any(secret in content for secret in secrets)
    assert held in plain[patient], "control: secrets would be found, the unused credential's is"
    with restore(tmp_path / "elsewhere", tmp_path / "patient-anna.backup", passphrase=PASSPHRASE, cost=CHEAP).wallet as again:
        assert again.one_time.names() == ()
