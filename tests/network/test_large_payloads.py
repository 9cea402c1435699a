"""Large payloads: constant memory, interrupted and resumed uploads, and what the cloud throws away when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.cloud import messages as m
from salus.cloud.gateway import Gateway
from salus.errors import TransportError
from salus.ledger.constants import Constants
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.bodies import Payload, no_progress
from support.embedded import DAY, Clock, enrolled_doctor, enrolled_patient, found_network, opened_doctor
from support.interposed import Forward, Interposed

TESTS = Path(__file__).resolve().parent.parent
MIB = 1 << 20
CONSTANTS = Constants()
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def network(tmp_path: Path, clock: Clock) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home", now_ms=clock) as network:
        yield network


def grows_by_mib(directory: Path, mebibytes: int) -> float:
    command = [sys.executable, str(TESTS / "support" / "large_payload.py"), str(directory), str(mebibytes)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    peaks = json.loads(done.stdout.splitlines()[-1])
    return float(peaks["after_mib"] - peaks["before_mib"])


def test_a_payload_goes_through_in_constant_memory(tmp_path: Path) -> None:
    """All parties are in one process: terminal, cloud, nodes and doctor together grow by less than the payload."""
    assert grows_by_mib(tmp_path, 48) < 40


@pytest.mark.long
def test_a_gibibyte_goes_through_in_constant_memory(tmp_path: Path) -> None:
    assert grows_by_mib(tmp_path, 1024) < 100


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "study.dcm"
    path.write_bytes(os.urandom(20 * MIB))
    return path


def test_an_interrupted_upload_goes_on_where_it_was(network: EmbeddedNetwork, record: Path) -> None:
    doctor, patient = enrolled_doctor(network), enrolled_patient(network, "anna")
    carried: list[int] = []

    def broken(_party: str, body: bytes, forward: Forward) -> bytes:
        carried.append(m.UploadPart.decode(body).offset)
        if len(carried) in (2, 3):
            raise TransportError("the line is down")
        answer = forward(body)
        if len(carried) == 5:
            raise TransportError("the answer got lost")
        return answer

    patient._around = network.surroundings(Interposed(network.transport, {m.UPLOAD_PART: broken}))
    assert patient.request(doctor.name, DAY, str(record))["state"] == "stored"
    assert carried == sorted(carried), "never from the start again"
    assert len(carried) - len(set(carried)) == 2, "only what did not arrive is sent again"


@pytest.mark.parametrize("where", [m.UPLOAD_BEGIN, m.UPLOAD_PART, m.UPLOAD_FINISH])
def test_a_request_interrupted_while_it_uploads_leaves_nothing(network: EmbeddedNetwork, record: Path, where: str) -> None:
    doctor, patient = enrolled_doctor(network), enrolled_patient(network, "anna")

    def pressed(*_: object) -> bytes:
        raise KeyboardInterrupt

    patient._around = network.surroundings(Interposed(network.transport, {where: pressed}))
    with pytest.raises(KeyboardInterrupt):
        patient.request(doctor.name, DAY, str(record))
    assert not list((patient.directory / "staging").iterdir())
    assert patient._wallet.one_time.names() == ()
    assert len(patient._wallet.content.unused_credentials()) == 2
    patient._around = network.surroundings()
    assert patient.request(doctor.name, DAY, str(record))["state"] == "stored"


def test_what_a_killed_process_left_in_staging_is_removed(network: EmbeddedNetwork) -> None:
    doctor = enrolled_doctor(network)
    left = doctor.directory / "staging" / "1-0123456789abcdef.body"
    left.write_bytes(b"ciphertext")
    doctor.queue()
    assert not left.exists()


def test_bodies_go_in_block_time(network: EmbeddedNetwork, clock: Clock, tmp_path: Path) -> None:
    """An unnamed body after a week and a day, a named one after its keep-until; a clock alone removes nothing."""
    record = tmp_path / "record.txt"
    record.write_text("pulse 71\n")
    doctor, patient = enrolled_doctor(network), enrolled_patient(network, "anna", credentials=2)
    sent = patient.request(doctor.name, DAY, str(record))
    terminal = patient._terminal()
    with Payload(record) as payload:
        terminal._prepare(doctor.name, DAY, payload, None, no_progress)  # uploaded, never sent
    assert held(network) == 2
    clock.advance(9 * DAY_MS)
    network.cloud.maintain()
    assert held(network) == 2, "no block has come: the clock may be wrong"
    doctor.publish(DAY, 1)
    network.cloud.maintain()
    assert held(network) == 1
    assert doctor.open(sent["id"])["sha256"]
    clock.advance(CONSTANTS.valid_until_max_ms + CONSTANTS.retention_ms)
    doctor.publish(DAY, 1)
    network.cloud.maintain()
    assert held(network) == 0


def test_the_cloud_maintains_itself_once_a_day(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[int] = []
    collect = Gateway.collect_garbage
    monkeypatch.setattr(Gateway, "collect_garbage", lambda self: [collected.append(1), collect(self)][1])
    home = tmp_path / "other"
    with found_network(home, now_ms=clock) as network:
        enrolled_doctor(network, slots=1)
    expected = len(collected)
    for days in (0, 2, 0, 0.5, 0.6):
        clock.advance(int(days * DAY_MS))
        with EmbeddedNetwork.open(home, now_ms=clock) as network:
            opened_doctor(network).publish(DAY, 1)
        expected += days in (2, 0.6)
        assert len(collected) == expected, days


def test_a_body_that_the_index_forgot_is_taken_in_again(network: EmbeddedNetwork, record: Path) -> None:
    doctor, patient = enrolled_doctor(network), enrolled_patient(network, "anna")
    sent = patient.request(doctor.name, DAY, str(record))
    index = network.cloud.gateway._index
    assert index.unconfirmed(10) == [], "the storage receipt asked for it"
    digest = bytes.fromhex(sent["body_digest"])
    row = index.body(digest)
    assert row is not None
    index.forget_body(row)  # as after the index was made again
    network.cloud.maintain()
    assert doctor.open(sent["id"])["sha256"]


def held(network: EmbeddedNetwork) -> int:
    return network.cloud.gateway._index.totals()[0]
