"""A process that has imported the program and runs each command in a fork of itself: a real process, started at once.

Speaks JSON lines: takes ``{"arguments": [..], "at_call": n, "after_s": x, "kill_at": k}``, answers ``{"status", "out", "err",
"calls"}``.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Zygote:
    """The side of the test."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.zygote"],
            env={**os.environ, "PYTHONPATH": path, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: list[str], at_call: int = 0, after_s: float = 0.0, kill_at: int = 0) -> dict[str, Any]:
        """Run a command.

        :param at_call: press Ctrl-C before this call of a function of ours, counted from the start; 0: never.
        :param after_s: press Ctrl-C after so long; 0: never.
        :param kill_at: kill the process before this step of writing a file of a person's terminal; 0: never. With ``-1`` the
            steps are only counted: they are the answer's ``calls``.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"arguments": arguments, "at_call": at_call, "after_s": after_s, "kill_at": kill_at}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


class Interruption:
    """Presses Ctrl-C before the n-th call of a function of ours."""

    def __init__(self, at_call: int) -> None:
        self._at_call = at_call
        self.calls = 0

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and "/salus/" in frame.f_code.co_filename:
            self.calls += 1
            if self.calls == self._at_call:
                signal.raise_signal(signal.SIGINT)


class Killing:
    """Kills the process before the n-th step of writing, replacing or erasing a file of a person's terminal."""

    STEPS = ("write_atomic", "replacing", "erase", "upload", "keep", "submit_raw", "offer")
    PERSONS = ("patient-", "institution-")

    def __init__(self, kill_at: int) -> None:
        self._kill_at = kill_at
        self.calls = 0

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call" or frame.f_code.co_name not in self.STEPS or "/salus/" not in frame.f_code.co_filename:
            return
        path = frame.f_locals.get("path")
        of_person = isinstance(path, Path) and any(part.startswith(self.PERSONS) for part in path.parts)
        if of_person or "/terminal/" in frame.f_code.co_filename:
            self.calls += 1
            if self.calls == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def child(order: dict[str, Any], out: int, err: int, calls: Path) -> int:
    """Carry out one command; returns its exit status."""
    from salus.cli.main import main

    os.dup2(out, 1)
    os.dup2(err, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    watched: Interruption | Killing = Killing(order["kill_at"]) if order["kill_at"] else Interruption(order["at_call"])
    sys.setprofile(watched if order["kill_at"] or order["at_call"] else None)
    try:
        status = main(order["arguments"])
    except SystemExit as ended:
        status = int(str(ended.code))
    finally:
        sys.setprofile(None)
    sys.stdout.flush()
    sys.stderr.flush()
    calls.write_text(str(watched.calls))
    return status


def run(order: dict[str, Any], directory: Path) -> dict[str, Any]:
    """One command in a fork."""
    paths = {name: directory / name for name in ("out", "err", "calls")}
    paths["calls"].write_text("0")
    with paths["out"].open("wb") as out, paths["err"].open("wb") as err:
        pid = os.fork()
        if not pid:
            status = 99
            try:
                status = child(order, out.fileno(), err.fileno(), paths["calls"])
            finally:
                os._exit(status)
        if order["after_s"]:
            time.sleep(order["after_s"])
            os.kill(pid, signal.SIGINT)
        _, waited = os.waitpid(pid, 0)
    texts = {name: paths[name].read_text() for name in ("out", "err")}
    return {"status": os.waitstatus_to_exitcode(waited), "calls": int(paths["calls"].read_text()), **texts}


def serve() -> None:
    """Answer orders until there are no more."""
    for module in ("cli.program", "cli.verification", "network.embedded", "terminal.recovery"):
        importlib.import_module(f"salus.{module}")
    with tempfile.TemporaryDirectory() as directory:
        for line in sys.stdin:
            print(json.dumps(run(json.loads(line), Path(directory))), flush=True)


if __name__ == "__main__":
    serve()
