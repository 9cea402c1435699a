"""Claim: the public times of a request do not tell whose device made it.

A device whose clock is 4,321 ms ahead would, if it wrote milliseconds into what everybody reads, sign every request with that
number: valid_until less the block's time, again and again the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.consultation.request import ConsultationRequest
from salus.network.embedded import EmbeddedNetwork
from salus.terminal import patient
from salus.terminal.patient import PatientTerminal, valid_until_ms
from support.embedded import DAY, DOCTOR, enrolled_doctor, enrolled_patient, found_network

HOUR_MS = 3600 * 1000
AHEAD_MS = 4_321


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        enrolled_doctor(network)
        yield network


def requests(network: EmbeddedNetwork, record: Path, name: str, ahead_ms: int) -> list[ConsultationRequest]:
    """Two requests of one patient whose clock is off."""
    actor = enrolled_patient(network, name)
    around = actor._around
    clock = lambda: network.now_ms() + ahead_ms  # noqa: E731
    made = []
    for _ in range(2):
        bodies = around.bodies(actor.directory)
        terminal = PatientTerminal(actor._wallet, around.ledger, around.centre(), bodies, clock, network.random)
        entry = terminal.request(DOCTOR, DAY, record)
        made.append(ConsultationRequest.decode(around.ledger.transaction(entry.tx_hash).raw))
    return made


def public_times(requests: list[ConsultationRequest]) -> list[int]:
    return [t for r in requests for t in (r.valid_until_ms, r.U.keep_until_ms)]


def test_public_times_are_full_hours(network: EmbeddedNetwork, tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.write_bytes(b"words")
    mine = requests(network, record, "alice", AHEAD_MS)
    others = requests(network, record, "bob", 0)
    assert {t % HOUR_MS for t in public_times(mine) + public_times(others)} <= {0, 60_000}


def test_in_milliseconds_the_clock_signs_every_request(
    network: EmbeddedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "valid_until_ms", lambda time_ms, ahead_max_ms: time_ms + ahead_max_ms * 9 // 10)
    record = tmp_path / "record"
    record.write_bytes(b"words")
    times = {}
    for name, ahead in (("alice", AHEAD_MS), ("bob", 0)):
        for r in requests(network, record, name, ahead):
            placed = network.client().request(r.tx_hash())
            off = r.valid_until_ms - network.genesis.core.constants.valid_until_max_ms * 9 // 10 - placed.time_ms
            times.setdefault(name, []).append(off)
    assert min(times["alice"]) > max(times["bob"]), "an outsider tells which requests are of one device"


@pytest.mark.parametrize("ahead_max_ms", [1, 9, 10, 600_000, 7 * 24 * HOUR_MS])
def test_it_lies_ahead_within_the_bound(ahead_max_ms: int) -> None:
    for time_ms in (1_760_000_000_000, 1_760_000_000_001, 1_760_003_599_999):
        until = valid_until_ms(time_ms, ahead_max_ms)
        assert time_ms + ahead_max_ms * 8 // 10 - 1 <= until <= time_ms + ahead_max_ms
