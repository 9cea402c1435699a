"""Setting up: what the machine lacks is named in one line each; a second run does nothing; the CI script does it all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.sources import ROOT, text

FIND_TOOLS = ROOT / "tools" / "find-tools"


def machine(tmp_path: Path, without: set[str], old: bool = False) -> subprocess.CompletedProcess[str]:
    """Ask what is missing on a machine that has only stand-ins of the tools that are not in ``without``."""
    tools = {
        "python3": f'case "$2" in *version_info*) exit {int(old)};; *) exit {int("venv" in without)};; esac',
        "cargo": f'case "$1" in clippy) exit {int("clippy" in without)};; fmt) exit {int("rustfmt" in without)};; esac',
        "cc": "exit 0",
    }
    for name in set(tools) - without:
        (tmp_path / name).write_text(f"#!/bin/sh\n{tools[name]}\n")
        (tmp_path / name).chmod(0o755)
    return subprocess.run(
        [FIND_TOOLS, "clippy", "rustfmt"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=30
    )


def test_a_machine_with_everything(tmp_path: Path) -> None:
    done = machine(tmp_path, set())
    assert (done.returncode, done.stdout, done.stderr) == (0, "python3\n", "")


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        ("python3", "Python 3.11 or newer"),
        ("venv", "venv"),
        ("cargo", "cargo"),
        ("cc", "C compiler"),
        ("clippy", "rustup component add clippy"),
        ("rustfmt", "rustup component add rustfmt"),
    ],
)
def test_what_is_missing_is_named_in_one_line_with_how_to_get_it(tmp_path: Path, missing: str, what: str) -> None:
    done = machine(tmp_path, {missing})
    lines = [line for line in done.stderr.splitlines() if what in line]
    assert done.returncode == 1
    assert len(lines) == 1
    assert "install" in lines[0]
    assert len(done.stderr.splitlines()) == 1


def test_a_python_that_is_too_old_counts_as_missing(tmp_path: Path) -> None:
    done = machine(tmp_path, set(), old=True)
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr


def planned(folder: Path, target: str) -> list[str]:
    """Which of the steps of setting up make would take for a target."""
    make = shutil.which("make")
    assert make is not None, "make is missing: install it (Debian, Ubuntu: apt install make)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    lines = subprocess.run(
        [make, "--dry-run", target], cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return [step for step in ("pip install", "maturin develop", "salus demo", "-m pytest") if step in lines]


def test_a_second_run_sets_nothing_up_and_changes_are_noticed(tmp_path: Path) -> None:
    """Times of files decide: first everything, then nothing, then what a change needs."""
    for name in ("Makefile", "tools/find-tools", "requirements.lock", "rust/src/lib.rs", "src/salus/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    extension, stamp = tmp_path / "src/salus/_native.abi3.so", tmp_path / ".venv/.stamps/packages"
    assert planned(tmp_path, "demo") == ["pip install", "maturin develop", "salus demo"]
    stamp.parent.mkdir(parents=True)
    now = time.time()
    for path, age_s in [(tmp_path / "requirements.lock", 60), (tmp_path / "rust/src/lib.rs", 60), (stamp, 40), (extension, 20)]:
        path.touch()
        os.utime(path, (now - age_s, now - age_s))
    assert planned(tmp_path, "demo") == ["salus demo"]
    assert planned(tmp_path, "test") == ["-m pytest"]
    os.utime(tmp_path / "src/salus/__init__.py", (now, now))
    assert planned(tmp_path, "demo") == ["salus demo"]
    os.utime(tmp_path / "rust/src/lib.rs", (now, now))
    assert planned(tmp_path, "demo") == ["maturin develop", "salus demo"]
    os.utime(tmp_path / "requirements.lock", (now, now))
    assert planned(tmp_path, "demo") == ["pip install", "maturin develop", "salus demo"]


def test_the_lock_is_hashed_and_names_no_index() -> None:
    lock = text("requirements.lock")
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)
    assert len(names) > 50
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock


def test_ci_runs_everything_and_the_tests_last() -> None:
    steps = re.findall(r"make --no-print-directory (\S+)", text(".ci/run"))
    assert steps == ["setup", "lint", "format-check", "types", "imports", "docs", "test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert text(".ci/run").rstrip().endswith("test")


def test_the_import_rules_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
