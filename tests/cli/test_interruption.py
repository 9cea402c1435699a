"""Ctrl-C anywhere: one clear line, status 130, nothing half-done, and the next command goes on from there."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import Terminal
from support.embedded import DAY, PASSPHRASE
from support.zygote import Zygote

CALLS = 32_000
"""Calls that a short command makes, most of them while it opens and closes the network."""
SAYS = "salus: interrupted; nothing is half-done, and the next command goes on from here"


class Life:
    """What a patient and a doctor do, one command after the other, each interrupted first and then carried out."""

    def __init__(self, salus: Terminal, zygote: Zygote, directory: Path, chance: random.Random) -> None:
        self.salus = salus
        self.zygote = zygote
        self.chance = chance
        self.directory = directory
        self.record, self.reply = directory / "record.txt", directory / "reply.txt"
        self.record.write_text("pulse 71\n" * 50)
        self.reply.write_text("drink water\n")
        self.interrupted = 0

    def run(self) -> None:
        """A whole visit."""
        self.step("enrol-doctor", ("failed",), "party", "enrol", "--role", "doctor", "riverside/dr-new")
        self.step("enrol-patient", ("failed",), "party", "enrol", "--role", "patient", "carol")
        self.step("renew", (), "--as", "carol", "credential", "renew", "--count", str(self.chance.randrange(17, 40)))
        self.step("publish", (), "--as", "riverside/dr-new", "slot", "publish", "--day", DAY, "--count", "2")
        self.step(
            "request",
            ("no-free-slot",),
            "--as",
            "carol",
            "consultation",
            "request",
            "--doctor",
            "riverside/dr-new",
            "--day",
            DAY,
            self.record,
        )
        self.step("queue", (), "--as", "riverside/dr-new", "consultation", "queue")
        waiting = self.salus.good("--as", "riverside/dr-new", "consultation", "queue")["waiting"]
        assert waiting
        for number, entry in enumerate(waiting):
            self._treat_or_decline(number, entry["id"])
        consultations = self.salus.good("--as", "carol", "consultation", "replies")["consultations"]
        assert {c["id"] for c in waiting} == {c["id"] for c in consultations if c["state"] != "failed"}
        for c in consultations:
            if c["reply_waiting"]:
                self.step("read", ("erased",), "--as", "carol", "consultation", "read", c["id"])
                (read,) = (p for p in (self.salus.home / "patient-carol" / "received").iterdir() if p.name.startswith(c["id"]))
                assert read.read_bytes() == self.reply.read_bytes()
        self.step("cancel", ("unknown-slot", "already-done", "slot-taken"), "--as", "riverside/dr-new", "slot", "cancel", "0")
        self.step("backup", ("wallet",), "--as", "carol", "wallet", "backup", self.directory / f"b{self.chance.random()}")
        self.step("revoke", ("unknown-party",), "party", "revoke", "--role", "patient", "carol")
        self.check()

    def _treat_or_decline(self, number: int, id_: str) -> None:
        doctor = ("--as", "riverside/dr-new", "consultation")
        self.step("open", (), *doctor, "open", id_)
        (opened,) = (self.salus.home / "doctor-riverside.dr-new" / "received").glob(f"{id_}*")
        assert opened.read_bytes() == self.record.read_bytes()
        if number:
            self.step("decline", ("already-answered",), *doctor, "decline", id_)
        else:
            self.step("treat", ("already-answered",), *doctor, "treat", id_, "--reply", self.reply)

    def step(self, name: str, fine: tuple[str, ...], *command: str | Path) -> None:
        """Interrupt a command, then carry it out.

        :param fine: reasons for which the second attempt may fail: the first one got through after all.
        """
        at_call = self.chance.randrange(1, CALLS)
        first = self.zygote.run([*map(str, command), "--json"], at_call=at_call)
        assert "Traceback" not in first["err"], first
        if first["status"] == 130:
            self.interrupted += 1
            assert first["err"].splitlines()[-1] == SAYS, first
            assert json.loads(first["out"])["error"]["reason"] == "interrupted"
        else:
            assert first["status"] == 0 or json.loads(first["out"])["error"]["reason"] in fine, (name, at_call, first)
        again = self.salus(*command, "--json")
        where = f"{name}, interrupted before call {at_call}: {first['err']} then {again.out}"
        if again.status:
            assert again.json["error"]["reason"] in fine, where

    def check(self) -> None:
        """Nothing is left over, and all that is stored holds."""
        assert self.salus.good("network", "verify")["verified"]
        for party in ("patient-carol", "doctor-riverside.dr-new"):
            leftovers = [p for p in (self.salus.home / party).rglob("*") if p.suffix in (".tmp", ".body")]
            assert leftovers == []
        slots = self.salus.good("--as", "riverside/dr-new", "slot", "list")["slots"]
        keys = {p.name for p in (self.salus.home / "doctor-riverside.dr-new" / "one-time").iterdir()}
        assert keys == {f"slot-{s['sn']}.sealed" for s in slots if s["state"] in ("open", "taken")}
        on_ledger = [d for d in self.salus.good("doctor", "list")["doctors"] if d["name"] == "riverside/dr-new"]
        assert sum(on_ledger[0]["free_slots"].values()) == sum(s["state"] == "open" for s in slots)


@pytest.fixture
def zygote(salus: Terminal) -> Iterator[Zygote]:
    """Real processes on the terminal's home."""
    zygote = Zygote({"SALUS_HOME": str(salus.home), "SALUS_PASSPHRASE": PASSPHRASE.decode()})
    yield zygote
    zygote.close()


@pytest.mark.parametrize("seed", range(3))
def test_ctrl_c_before_any_call(salus: Terminal, zygote: Zygote, tmp_path: Path, seed: int) -> None:
    life = Life(salus, zygote, tmp_path, random.Random(seed))
    life.run()
    assert life.interrupted >= 5


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_ctrl_c_before_any_call_many_times(salus: Terminal, zygote: Zygote, tmp_path: Path, seed: int) -> None:
    Life(salus, zygote, tmp_path, random.Random(seed)).run()


@pytest.mark.parametrize("seed", range(2))
def test_ctrl_c_while_a_network_is_founded(empty: Terminal, seed: int) -> None:
    """All of a network, or nothing of it."""
    chance = random.Random(seed)
    zygote = Zygote({"SALUS_HOME": str(empty.home), "SALUS_PASSPHRASE": PASSPHRASE.decode()})
    try:
        for _ in range(8):
            done = zygote.run(["network", "init"], at_call=chance.randrange(1, 20_000))
            assert "Traceback" not in done["err"]
            assert done["status"] in (0, 130)
            if (empty.home / "centre").exists():
                assert empty.good("network", "verify")["verified"]
                shutil.rmtree(empty.home)
            else:
                assert not empty.home.exists() or {p.name for p in empty.home.iterdir()} <= {"lock"}
    finally:
        zygote.close()
    empty.good("network", "init")


@pytest.mark.parametrize(
    ("command", "after_s"), [("demo", 0.8), ("demo", 1.2), ("demo", 1.6), ("sim --seeds 5000 --jobs 2", 2.0)]
)
def test_ctrl_c_at_a_terminal(tmp_path: Path, command: str, after_s: float) -> None:
    """A terminal sends the signal to every process of the command; nothing is left in the temporary directory."""
    process = subprocess.Popen(
        [sys.executable, "-m", "salus", *command.split()],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", SAYS + "\n")
    assert list(tmp_path.iterdir()) == []
