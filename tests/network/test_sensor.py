"""A body sensor in a consultation: recorded from a paired device, sent as a payload, read by the doctor as FHIR."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.errors import Refused
from salus.network.actors import DoctorActor, PatientActor
from salus.network.embedded import EmbeddedNetwork
from salus.records import waveform
from salus.records.observation import record_session
from salus.records.pairing import DevicePairing, Paired, TerminalPairing
from salus.records.replay import VitalsReplay, WaveformReplay
from salus.records.sensor import Measurement, SensorDevice
from support.embedded import DAY, enrolled_doctor, enrolled_patient, found_network

SECONDS = 60
CODE = "27182818"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


@pytest.fixture
def people(network: EmbeddedNetwork) -> tuple[PatientActor, DoctorActor]:
    return enrolled_patient(network, "anna"), enrolled_doctor(network)


def paired(code: str = CODE) -> tuple[Paired, Paired]:
    """Both ends of a pairing by the code on the device's label."""
    device, terminal = DevicePairing("chest-strap", code), TerminalPairing("chest-strap", CODE)
    confirm, here = terminal.finish(device.answer(terminal.hello()))
    return device.complete(confirm), here


def consult(people: tuple[PatientActor, DoctorActor], path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send a file; what the doctor is told of it, and its content as the doctor has it."""
    patient, doctor = people
    sent = patient.request(doctor.name, DAY, str(path))
    opened = doctor.open(sent["id"])
    assert opened["media_type"] == "application/fhir+json"
    assert opened["format"] == "fhir"
    assert Path(opened["path"]).read_bytes() == path.read_bytes()
    return opened, json.loads(Path(opened["path"]).read_bytes())


def recorded(tmp_path: Path, measurement: Measurement, link: Callable[[Iterable[bytes]], Iterable[bytes]] = iter) -> Path:
    device_key, key = paired()
    device = SensorDevice(device_key, measurement)

    def over_the_link(challenge: bytes) -> tuple[bytes, Iterable[bytes]]:
        opening, frames = device.open(challenge)
        return opening, link(frames)

    path = tmp_path / "recording.json"
    record_session(key, over_the_link, path)
    return path


def samples(bundle: dict[str, Any], component: int) -> list[str]:
    found: list[str] = []
    for entry in bundle["entry"]:
        found += entry["resource"]["component"][component]["valueSampledData"]["data"].split()
    return found


def test_an_electrocardiogram(people: tuple[PatientActor, DoctorActor], shared_data: Path, tmp_path: Path) -> None:
    header_path = shared_data / "waveform" / "mitdb_100" / "100.hea"
    path = recorded(tmp_path, WaveformReplay(header_path, 1_700_000_000_000, SECONDS))
    opened, bundle = consult(people, path)
    assert opened["details"]
    header = waveform.read_header(header_path)
    ticks = round(SECONDS * header.rate_hz)
    with (header_path.parent / header.signals[0].file_name).open("rb") as stream:
        block = next(iter(waveform.iterate_samples(header, stream, ticks)))
    channels = len(header.signals)
    for number, signal in enumerate(header.signals):
        assert samples(bundle, number) == [str(value - signal.baseline) for value in block[number::channels]]
    assert not [e for e in bundle["entry"] if "note" in e["resource"]]


def test_a_bad_link_is_told_in_the_payload(people: tuple[PatientActor, DoctorActor], shared_data: Path, tmp_path: Path) -> None:
    """Frames are lost, repeated, swapped and forged on their way: the doctor reads what is missing, and nothing false."""
    draw = random.Random(5)

    def bad(frames: Iterable[bytes]) -> Iterator[bytes]:
        for number, frame in enumerate(frames):
            if number in (20, 21, 40):
                continue
            yield bytes([*frame[:-1], frame[-1] ^ 1])
            yield frame
            if draw.random() < 0.3:
                yield frame

    header_path = shared_data / "waveform" / "mitdb_100" / "100.hea"
    _, bundle = consult(people, recorded(tmp_path, WaveformReplay(header_path, 1_700_000_000_000, SECONDS), bad))
    notes = [note["text"] for e in bundle["entry"] for note in e["resource"].get("note", ())]
    rate = 360
    assert any(f"{19 * rate} to {21 * rate - 1}" in note for note in notes), notes
    assert any(f"{39 * rate} to {40 * rate - 1}" in note for note in notes), notes
    (tmp_path / "other").mkdir()
    honest = recorded(tmp_path / "other", WaveformReplay(header_path, 1_700_000_000_000, SECONDS))
    whole = samples(json.loads(honest.read_bytes()), 0)
    received = samples(bundle, 0)
    assert len(received) == len(whole)
    assert [r for r, w in zip(received, whole, strict=True) if r not in (w, "E")] == []
    assert received.count("E") == 3 * rate


def test_vital_signs(people: tuple[PatientActor, DoctorActor], shared_data: Path, tmp_path: Path) -> None:
    path = recorded(tmp_path, VitalsReplay(shared_data / "vitals_csv" / "observations.csv"))
    _, bundle = consult(people, path)
    assert len(bundle["entry"]) > 1
    assert all("valueQuantity" in e["resource"] for e in bundle["entry"])
    assert "subject" not in json.dumps(bundle), "the patient is named nowhere"


def test_a_device_that_is_not_the_paired_one_becomes_no_payload(tmp_path: Path, shared_data: Path) -> None:
    with pytest.raises(Refused) as refusal:
        paired("00000000")
    assert refusal.value.reason == "bad-pairing"
    assert not list(tmp_path.iterdir())
