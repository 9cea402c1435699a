"""kill -9 in the middle of put, search, share request, get and rotate: the next commands find everything whole and go on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Terminal
from support.embedded import PASSPHRASE
from support.zygote import Zygote

ALICE = ("--as", "alice")
HOSPITAL = ("--as", "st-anne/board")
KILLED = -9


class Life:
    """An owner and a reader; each of their commands is killed first, and carried out then.

    :param chance: which step a command is killed at. :ivar killed: commands that were.
    """

    def __init__(self, salus: Terminal, zygote: Zygote, directory: Path, chance: random.Random) -> None:
        self.salus = salus
        self.zygote = zygote
        self.chance = chance
        self.out = directory / "out"
        self.out.mkdir()
        self.note = directory / "note.txt"
        self.note.write_text("pulse 71, pressure 118/76\n" * 9000)
        self.killed: list[str] = []

    def kill(self, *command: str | Path) -> None:
        """Start a command and kill it at one of its steps."""
        arguments = [*map(str, command), "--json"]
        done = self.zygote.run(arguments, kill_at=self.chance.randrange(1, STEPS[command[2:4]]))  # type: ignore[index]
        assert "Traceback" not in done["err"], done
        if done["status"] == KILLED:
            self.killed.append(f"{command[2]} {command[3]}")

    def records(self) -> list[dict[str, Any]]:
        found = self.salus.good(*ALICE, "record", "list")["records"]
        assert all(r["state"] == "stored" for r in found)
        return found

    def put(self, word: str) -> str:
        """Put the note; returns the record."""
        command = (*ALICE, "record", "put", self.note, "--policy", "role:doctor", "--keyword", word, "--period", "2025Q3")
        before = {r["rid"] for r in self.records()}
        self.kill(*command)
        fresh = {r["rid"] for r in self.records()} - before
        if not fresh:
            self.salus.good(*command)
            fresh = {r["rid"] for r in self.records()} - before
        (rid,) = fresh
        self.whole(rid)
        return rid

    def whole(self, rid: str) -> None:
        """The owner reads the record whole."""
        path = self.salus.good(*ALICE, "record", "get", rid)["path"]
        assert Path(path).read_bytes() == self.note.read_bytes()

    def search(self, word: str, rid: str) -> None:
        command = (*HOSPITAL, "search", word)
        self.kill(*command)
        assert self.salus.good(*command)["readable"] == [rid]

    def share(self, rid: str) -> None:
        command = (*HOSPITAL, "share", "request", rid, "--purpose", "treatment")
        before = len(self.salus.good(*HOSPITAL, "share", "list")["shares"])
        self.kill(*command)
        shares = self.salus.good(*HOSPITAL, "share", "list")["shares"]
        if len(shares) == before:
            self.salus.good(*command)
            shares = self.salus.good(*HOSPITAL, "share", "list")["shares"]
        assert len(shares) == before + 1
        share = next(s for s in shares if s["rid"] == rid)
        command = (*HOSPITAL, "share", "get", share["id"], "--out", self.out)
        self.kill(*command)
        got = self.salus.good(*command)
        assert Path(got["path"]).read_bytes() == self.note.read_bytes()

    def rotate(self, rid: str) -> None:
        command = (*ALICE, "record", "rotate", rid)
        self.kill(*command)
        self.whole(rid)
        self.salus.good(*command)
        self.whole(rid)

    def check(self) -> None:
        """Nothing is left over."""
        home = self.salus.home
        persons = [home / "patient-alice", home / "institution-st-anne.board"]
        left = [p for d in (*persons, self.out) for p in d.rglob("*") if p.suffix in (".tmp", ".record", ".body")]
        left += [p for d in persons for p in (d / "outgoing").glob("*")]
        assert left == []
        one_time = {p.name.partition("-")[0] for d in persons for p in (d / "one-time").iterdir()}
        assert one_time <= {"share"}
        pending = [p.name for d in persons for p in (d / "sharing").iterdir() if p.name.startswith(("order", "opening"))]
        assert pending == []
        assert self.salus.good("network", "verify")["verified"]


STEPS = {
    ("record", "put"): 60, ("search", "troponin"): 20, ("share", "request"): 10, ("share", "get"): 12, ("record", "rotate"): 16,
}  # fmt: skip
"""Steps of a command's work on the terminal's files, about."""


@pytest.fixture
def zygote(salus: Terminal) -> Iterator[Zygote]:
    """Real processes on the terminal's home."""
    zygote = Zygote({"SALUS_HOME": str(salus.home), "SALUS_PASSPHRASE": PASSPHRASE.decode()})
    yield zygote
    zygote.close()


@pytest.fixture
def life(salus: Terminal, zygote: Zygote, tmp_path: Path, request: pytest.FixtureRequest) -> Life:
    salus.good("attribute", "grant", "st-anne/board", "role:doctor", "--years", "2024-2026")
    return Life(salus, zygote, tmp_path, random.Random(request.param))


def live(life: Life) -> None:
    rid = life.put("troponin")
    life.search("troponin", rid)
    life.share(rid)
    life.rotate(rid)
    life.check()


@pytest.mark.parametrize("life", range(2), indirect=True)
def test_killed_somewhere(life: Life) -> None:
    live(life)
    assert len(life.killed) >= 3


@pytest.mark.long
@pytest.mark.parametrize("life", range(100, 160), indirect=True)
def test_killed_somewhere_many_times(life: Life) -> None:
    live(life)
