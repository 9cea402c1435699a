"""Backups, recovery phrases, restoring; what is asked at a terminal, and what is shown there meanwhile."""

from __future__ import annotations

import importlib.machinery
import os
import pty
import select
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from support.command_line import Terminal
from support.embedded import DAY, DOCTOR, PASSPHRASE

ASK = ("consultation", "request", "--doctor", DOCTOR, "--day", DAY)


def test_a_restored_wallet_knows_what_it_lost(salus: Terminal, record: Path, tmp_path: Path) -> None:
    backup = tmp_path / "alice.backup"
    before = salus.good("--as", "alice", *ASK, record)
    salus.good("--as", "alice", "wallet", "backup", backup)
    since = salus.good("--as", "alice", *ASK, record)
    shutil.rmtree(salus.home / "patient-alice")
    done = salus.good("wallet", "restore", "--role", "patient", "alice", backup)
    assert done["credentials_used_since"] == 1
    assert done["credentials_unused"] == 0
    assert {c["id"] for c in done["unreadable"]} == {before["id"], since["id"]}
    states = {c["id"]: c["state"] for c in salus.good("--as", "alice", "consultation", "replies")["consultations"]}
    assert states == {before["id"]: "unreadable", since["id"]: "unreadable"}
    salus.bad("--as", "alice", "consultation", "read", before["id"], reason="erased")
    salus.good("--as", "alice", "credential", "renew", "--count", "2")
    salus.good("--as", "alice", *ASK, record)


def test_a_doctors_restored_wallet_names_the_slots_without_key(salus: Terminal, record: Path, tmp_path: Path) -> None:
    backup = tmp_path / "doctor.backup"
    salus.good("--as", DOCTOR, "wallet", "backup", backup)
    taken = salus.good("--as", "alice", *ASK, record)
    shutil.rmtree(salus.home / "doctor-st-anne.dr-test")
    done = salus.good("wallet", "restore", "--role", "doctor", DOCTOR, backup)
    assert taken["sn"] in done["slots_without_key"]
    salus.good("--as", DOCTOR, "consultation", "decline", taken["id"], "--reason", "missing-body")
    (declined,) = salus.good("--as", "alice", "consultation", "replies")["consultations"]
    assert declined["state"] == "declined"


def test_the_recovery_phrase_replaces_a_forgotten_passphrase(
    salus: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = salus.good("party", "enrol", "--role", "patient", "carol")
    words, backup = tmp_path / "words", tmp_path / "carol.backup"
    words.write_text(made["recovery_phrase"] + "\n")
    salus.good("--as", "carol", "wallet", "backup", backup)
    shutil.rmtree(salus.home / "patient-carol")
    monkeypatch.setenv("SALUS_PASSPHRASE", "not the old one")
    restore = ("wallet", "restore", "--role", "patient", "carol", backup)
    salus.bad(*restore, reason="wrong-passphrase")
    salus.good(*restore, "--phrase-file", words)
    assert salus.good("--as", "carol", "wallet", "show")["credentials_unused"] == 16


def test_backups_that_cannot_be_used(salus: Terminal, tmp_path: Path) -> None:
    backup = tmp_path / "alice.backup"
    salus.good("--as", "alice", "wallet", "backup", backup)
    assert "exists" in salus.bad("--as", "alice", "wallet", "backup", backup, reason="wallet")
    assert "already" in salus.bad("wallet", "restore", "--role", "patient", "alice", backup, reason="wallet")
    assert "alice" in salus.bad("wallet", "restore", "--role", "patient", "carol", backup, reason="wallet")
    assert "alice" in salus.bad("wallet", "restore", "--role", "doctor", "a/alice", backup, reason="wallet")
    salus.bad("wallet", "restore", "--role", "patient", "carol", tmp_path / "none", reason="storage")
    shutil.rmtree(salus.home / "patient-alice")
    good = backup.read_bytes()
    for damaged in (good[:100], b"", good[:-1] + bytes([good[-1] ^ 1])):
        backup.write_bytes(damaged)
        salus.bad("wallet", "restore", "--role", "patient", "alice", backup, reason="damaged")
    backup.write_bytes(good)
    for phrase in ("", "one two three", "zoo " * 24, "\xff"):
        (tmp_path / "words").write_bytes(phrase.encode("latin-1"))
        restore = ("wallet", "restore", "--role", "patient", "alice", backup, "--phrase-file", tmp_path / "words")
        assert salus(*restore, "--json").json["error"]["reason"] in ("wallet", "settings")
    assert not (salus.home / "patient-alice" / "wallet.sealed").exists()
    salus.good("wallet", "restore", "--role", "patient", "alice", backup)


def test_the_phrase_of_a_new_wallet_is_shown_whatever_comes_next(salus: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    from salus.errors import TransportError
    from salus.terminal.patient import PatientTerminal

    def enrol(_self: PatientTerminal, _code: str) -> None:
        raise TransportError("the centre does not answer")

    monkeypatch.setattr(PatientTerminal, "enrol", enrol)
    done = salus("party", "enrol", "--role", "patient", "carol", "--json")
    assert done.status == 1
    assert done.json["error"]["reason"] == "unreachable"
    assert len(done.json["recovery_phrase"].split()) == 24
    monkeypatch.undo()


def test_the_keyring_is_optional(salus: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a keyring in memory: the tests never touch the one of whoever runs them."""
    kept: dict[tuple[str, str], str] = {}
    errors = types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
    keyring = types.ModuleType("keyring")
    keyring.__spec__ = importlib.machinery.ModuleSpec("keyring", None)
    keyring.errors = errors  # type: ignore[attr-defined]
    keyring.get_password = lambda service, account: kept.get((service, account))  # type: ignore[attr-defined]
    keyring.set_password = lambda service, account, text: kept.update({(service, account): text})  # type: ignore[attr-defined]
    keyring.delete_password = lambda service, account: kept.pop((service, account))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    salus.good("--as", "alice", "wallet", "remember")
    assert len(kept) == 1
    monkeypatch.delenv("SALUS_PASSPHRASE")
    assert salus.good("--as", "alice", "wallet", "show")["name"] == "alice"
    salus.bad("--as", "bob", "wallet", "show", reason="settings")
    salus.good("--as", "alice", "wallet", "forget")
    assert kept == {}
    salus.bad("--as", "alice", "wallet", "show", reason="settings")


class Person:
    """Somebody at a real terminal."""

    def __init__(self, *arguments: str | Path, **environment: str) -> None:
        leader, follower = pty.openpty()
        self._leader = leader
        self.shown = ""
        variables = {k: v for k, v in os.environ.items() if k != "SALUS_PASSPHRASE"} | environment | {"TERM": "xterm"}
        command = [sys.executable, "-m", "salus", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, env=variables, start_new_session=True
        )
        os.close(follower)

    def sees(self, text: str, within_s: float = 30.0) -> bool:
        """Read on until ``text`` is there; whether it came."""
        deadline = time.monotonic() + within_s
        while text not in self.shown and time.monotonic() < deadline:
            if select.select([self._leader], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._leader, 65536).decode("utf-8", "replace")
                except OSError:  # the other side has closed
                    break
        return text in self.shown

    def types(self, text: str) -> None:
        """Type a line."""
        os.write(self._leader, text.encode() + b"\n")

    def ends(self) -> int:
        """Wait for the end; exit status."""
        self.sees("\0never\0", within_s=60.0 if self.process.poll() is None else 0.5)
        os.close(self._leader)
        return self.process.wait(10)


def test_a_passphrase_is_asked_for_and_not_shown(salus: Terminal) -> None:
    person = Person("--as", "alice", "wallet", "show", SALUS_HOME=str(salus.home))
    assert person.sees("Passphrase of patient-alice: ")
    person.types(PASSPHRASE.decode())
    assert person.ends() == 0
    assert "display name" in person.shown
    assert PASSPHRASE.decode() not in person.shown


def test_a_new_passphrase_is_asked_for_twice(salus: Terminal) -> None:
    for first, second, complaint in (("short", "", "at least 8"), ("long enough", "another one", "differ")):
        person = Person("wallet", "create", "--role", "patient", "carol", SALUS_HOME=str(salus.home))
        assert person.sees("New passphrase")
        person.types(first)
        if second:
            assert person.sees("Again: ")
            person.types(second)
        assert person.ends() == 1
        assert complaint in person.shown
        assert not (salus.home / "patient-carol").exists()
    person = Person("wallet", "create", "--role", "patient", "carol", SALUS_HOME=str(salus.home))
    for question in ("New passphrase", "Again: "):
        assert person.sees(question)
        person.types("long enough")
    assert person.ends() == 0
    assert "write it down" in person.shown


def test_ctrl_c_at_a_question(salus: Terminal) -> None:
    person = Person("--as", "alice", "wallet", "show", SALUS_HOME=str(salus.home))
    assert person.sees("Passphrase")
    os.killpg(person.process.pid, 2)
    assert person.ends() == 130
    assert "interrupted" in person.shown


def test_what_takes_longer_than_a_second_is_shown_on_a_terminal() -> None:
    person = Person("sim", "--seeds", "5000")
    assert person.sees("simulated networks"), person.shown
    assert person.sees(" of 5000")
    os.killpg(person.process.pid, 2)
    assert person.ends() == 130
    quiet = Person("sim", "--seeds", "1")
    assert quiet.ends() == 0
    assert "simulated networks" not in quiet.shown
