"""Clocks that jump, quarters that end: block time only goes forward, and what expired says so."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from salus.network.embedded import EmbeddedNetwork
from support.command_line import Terminal
from support.embedded import DAY, DOCTOR, Clock

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ASK = ("--as", "alice", "consultation", "request", "--doctor", DOCTOR, "--day", DAY)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every network that a command opens."""
    clock = Clock()
    monkeypatch.setitem(EmbeddedNetwork.open.__func__.__kwdefaults__, "now_ms", clock)  # type: ignore[attr-defined]
    return clock


@pytest.mark.parametrize("jump_ms", [HOUR_MS, DAY_MS, 40 * DAY_MS])
def test_a_clock_that_jumps_forward(salus: Terminal, clock: Clock, record: Path, jump_ms: int) -> None:
    before = salus.good("network", "status")["time_ms"]
    clock.advance(jump_ms)
    id_ = salus.good(*ASK, record)["id"]
    salus.good("--as", DOCTOR, "consultation", "treat", id_, "--reply", record)
    salus.good("--as", "alice", "consultation", "read", id_)
    assert salus.good("network", "status")["time_ms"] >= before + jump_ms
    assert salus.good("network", "verify")["verified"]


@pytest.mark.parametrize("jump_ms", [-HOUR_MS, -DAY_MS])
def test_a_clock_that_jumps_back(salus: Terminal, clock: Clock, record: Path, jump_ms: int) -> None:
    before = salus.good("network", "status")
    clock.advance(jump_ms)
    began = time.monotonic()
    done = salus(*ASK, record, "--json")
    assert time.monotonic() - began < 60
    if done.status:
        assert done.json["error"]["reason"] in ("clock", "consensus", "unreachable")
        assert "clock" in done.error
    assert salus.good("network", "status")["time_ms"] >= before["time_ms"]
    clock.advance(-jump_ms)
    salus.good(*ASK, record)
    assert salus.good("network", "verify")["verified"]


def test_credentials_of_a_quarter_that_ended(salus: Terminal, clock: Clock, record: Path) -> None:
    old = salus.good("--as", "alice", "credential", "list")["quarters"]
    clock.advance(100 * DAY_MS)
    salus.good(*ASK, record)
    quarters = salus.good("--as", "alice", "credential", "list")["quarters"]
    assert len(quarters) == 2
    assert {q: quarters[q] for q in old} == old
    (new,) = (counts for quarter, counts in quarters.items() if quarter not in old)
    assert new["used"] == 1


def test_a_clock_a_year_ahead_and_right_again(salus: Terminal, clock: Clock, record: Path) -> None:
    """Blocks of the wrong year stay: the network refuses to go back, and says that it is the clock."""
    clock.advance(365 * DAY_MS)
    salus.good("--as", DOCTOR, "slot", "publish", "--day", DAY, "--count", "1")
    clock.advance(-365 * DAY_MS)
    done = salus("--as", DOCTOR, "slot", "publish", "--day", DAY, "--count", "1", "--json")
    assert done.status == 1
    assert "clock" in done.error
