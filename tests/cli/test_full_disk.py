"""A disk that is full: whatever was going on, a clear error, and everything works again once there is room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import Terminal
from support.embedded import DAY, DOCTOR
from unit.small_disk import fill, mounted

DISK_KIB = 160 * 1024
"""The cloud keeps a reserve free; uploads must fit beside it where they are to be accepted."""
REASONS = {"storage", "no-room", "unreachable", "consensus"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own."""
    with mounted(tmp_path / "disk", DISK_KIB) as disk:
        yield disk


@pytest.fixture
def crowded(furnished: Path, disk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on a furnished home on that disk."""
    shutil.copytree(furnished, disk / "home")
    return Terminal(disk / "home", capsys, monkeypatch)


def attempt(salus: Terminal, disk: Path, leave_kib: int, *command: str | Path) -> bool:
    """Run a command while the disk is nearly full, give the room back; whether the command succeeded."""
    ballast = fill(disk, leave_kib * 1024)
    try:
        done = salus(*command, "--json")
    finally:
        ballast.unlink()
    if done.status:
        assert done.status == 1
        assert done.json["error"]["reason"] in REASONS, done
        assert done.json["error"]["message"] == done.error
    return done.status == 0


@pytest.mark.parametrize("leave_kib", [0, 64, 1024])
def test_a_request(crowded: Terminal, disk: Path, tmp_path: Path, leave_kib: int) -> None:
    record = tmp_path / "record.bin"
    record.write_bytes(bytes(range(256)) * 400)
    ask = ("--as", "alice", "consultation", "request", "--doctor", DOCTOR, "--day", DAY, str(record))
    assert not attempt(crowded, disk, leave_kib, *ask)
    assert crowded.good("network", "verify")["verified"]
    assert not list((crowded.home / "patient-alice" / "staging").iterdir())
    id_ = crowded.good(*ask)["id"]
    (waiting,) = crowded.good("--as", DOCTOR, "consultation", "queue")["waiting"]
    assert waiting["id"] == id_


@pytest.mark.parametrize("leave_kib", [0, 160, 224, 288, 352, 480, 800])
def test_publishing_slots(crowded: Terminal, disk: Path, leave_kib: int) -> None:
    publish = ("--as", DOCTOR, "slot", "publish", "--day", DAY, "--count", "4")
    attempt(crowded, disk, leave_kib, *publish)
    assert crowded.good("network", "verify")["verified"]
    crowded.good(*publish)
    slots = crowded.good("--as", DOCTOR, "slot", "list")["slots"]
    free = crowded.good("doctor", "list")["doctors"][0]["free_slots"]
    assert free == {DAY: sum(s["state"] == "open" for s in slots)}
    assert free[DAY] in (12, 16)


@pytest.mark.parametrize("leave_kib", [160, 256, 416])
def test_enrolling(crowded: Terminal, disk: Path, leave_kib: int) -> None:
    enrol = ("party", "enrol", "--role", "patient", "carol")
    if not attempt(crowded, disk, leave_kib, *enrol):
        crowded.good(*enrol)
    assert crowded.good("--as", "carol", "credential", "list")["quarters"].popitem()[1] == {"unused": 16, "used": 0}
    assert crowded.good("network", "verify")["verified"]


@pytest.mark.parametrize("leave_kib", [0, 8, 64, 200, 600])
def test_founding(disk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, leave_kib: int) -> None:
    salus = Terminal(disk / "home", capsys, monkeypatch)
    if not attempt(salus, disk, leave_kib, "network", "init"):
        left = {p.name for p in salus.home.iterdir()} if salus.home.exists() else set()
        assert left <= {"lock"} or (salus.home / "centre" / "genesis").exists()
    if not (salus.home / "centre").exists():
        salus.good("network", "init")
    assert salus.good("network", "status")["agreed"]
