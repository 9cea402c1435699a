"""Running the program's commands in tests: in this process for speed, or as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from salus.cli.main import main
from salus.network.embedded import EmbeddedNetwork
from support.embedded import CHEAP, PASSPHRASE


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def error(self) -> str:
        """The one line on stderr of a command that failed."""
        assert self.status != 0
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("salus: ")
        return lines[0].removeprefix("salus: ")


class Terminal:
    """Somebody at a shell with one home; wallets that commands make are under a cheap passphrase hash."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.home = home
        self._capture = capture
        patch.setenv("SALUS_HOME", str(home))
        patch.setenv("SALUS_PASSPHRASE", PASSPHRASE.decode())
        for function in (EmbeddedNetwork.create.__func__, EmbeddedNetwork.create_person):  # type: ignore[attr-defined]
            patch.setitem(function.__kwdefaults__, "cost", CHEAP)

    def __call__(self, *arguments: str | Path) -> Done:
        """Run a command; whatever it does, it ends with a status."""
        self._capture.readouterr()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a process that has just started
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as ended:  # Ctrl-C
            status = int(str(ended.code))
        out, err = self._capture.readouterr()
        return Done(status, out, err)

    def good(self, *arguments: str | Path) -> dict[str, Any]:
        """Run a command that must succeed, with ``--json``; returns its object."""
        done = self(*arguments, "--json")
        assert done.status == 0, done.err + done.out
        return done.json

    def bad(self, *arguments: str | Path, reason: str, status: int = 1) -> str:
        """Run a command that must fail for ``reason``; returns its one line."""
        done = self(*arguments, "--json")
        assert done.status == status, done.err + done.out
        assert done.json["error"]["reason"] == reason, done.out
        assert done.json["error"]["message"] == done.error
        return done.error


def run_process(arguments: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> Done:
    """Run the program as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "salus", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    return Done(done.returncode, done.stdout, done.stderr)


_MASKS = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "<time>"),
    (re.compile(r"(write it down: |recovery_phrase\": \")[a-z ]+"), r"\1<24 words>"),
    (re.compile(r"\b\d{4}Q[1-4]\b"), "<quarter>"),
    (re.compile(r'("[a-z_0-9.-]*": )[\d.]+(?=[,}]| <)'), r"\1<n>"),  # times and sizes for programs
    (re.compile(r'"phases_ms": \{[^}]*\}'), '"phases_ms": {}'),
    # how many blocks it takes depends on the machine's speed
    (re.compile(r"(node-\d) +\d+( +\d+)?"), r"\1 <height>"),
    (re.compile(r"^ +\d+( +\d <time>)".replace(" <", "  <"), re.MULTILINE), r"<height>\1"),
    (re.compile(r"(height +|block |Verified |Wrote |epoch.ack +|blocks, )\d+"), r"\1<n>"),
)


def masked(text: str, paths: Mapping[Path, str]) -> str:
    """Text without what differs from run to run; trailing blanks go too."""
    for path, name in paths.items():
        text = text.replace(str(path), name)
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return "".join(line.rstrip() + "\n" for line in text.splitlines())
