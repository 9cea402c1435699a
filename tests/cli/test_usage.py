"""Help, wrong usage, exit statuses, what goes to stdout and what to stderr."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import salus
from salus.cli.reference import helps
from salus.cli.reference import page as reference_page
from salus.cli.screen import Screen
from support.command_line import Done, Terminal, run_process
from support.embedded import DOCTOR

HELPS = dict(helps())
COMMANDS = sorted(HELPS)
ISSUED = """
demo; network init; network status; network verify; party enrol; party list; party revoke; party suspend;
party reinstate; doctor list;
wallet create; wallet backup; wallet restore; wallet show; wallet remember; wallet forget;
credential list; credential renew; slot publish; slot list; slot cancel;
consultation request; consultation queue; consultation open; consultation treat; consultation decline; consultation replies;
consultation read; trace request; trace approve; trace open; trace show; audit log; audit verify; audit export; sim;
bench consultation; bench abpre; bench flows; bench search; bench records; sensor record; policy check;
record put; record list; record show; record get; record policy; record rotate; record erase; record export;
attribute grant; attribute revoke; attribute list; attribute request-key;
delegation create; delegation list; delegation show; delegation revoke; search; share request; share list; share get;
consent list; consent grant; consent refuse; access explain
"""


def test_the_commands_are_those_that_are_documented() -> None:
    assert sorted(f"salus {c.strip()}" for c in ISSUED.replace("\n", " ").split(";")) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_the_shared_options(command: str, empty: Terminal) -> None:
    done = empty(*command.split()[1:], "--help")
    assert (done.status, done.err) == (0, "")
    for word in ("Usage: ", f"Example: {command.split()[0]} ", "--json", "--home DIR", "--as PARTY", "--passphrase-file FILE"):
        assert word in done.out
    example = " ".join(done.out.partition("Example: ")[2].split())
    assert command.removeprefix("salus ") in example


@pytest.mark.parametrize("group", sorted({command.split()[1] for command in COMMANDS if command.count(" ") == 2}))
def test_what_a_list_of_commands_says_is_whole(group: str, empty: Terminal) -> None:
    for listing in (empty("--help").out, empty(group, "--help").out):
        assert "..." not in listing.partition("Commands:")[2]


def test_the_version(empty: Terminal) -> None:
    assert empty("--version") == Done(0, f"salus {salus.__version__}\n", "")
    assert not empty.home.exists()


def test_the_reference_page_is_the_programs_own_help(checkout: Path) -> None:
    page = (checkout / "docs" / "reference" / "cli.md").read_text("utf-8")
    assert page.endswith(reference_page()), "run: make reference"


@pytest.mark.parametrize("groups", [["network"], ["party"], ["consultation"], []])
def test_a_group_alone_shows_its_commands(groups: list[str], empty: Terminal) -> None:
    done = empty(*groups)
    assert done.status == 2
    assert "Commands:" in done.err
    assert done.err.splitlines()[-1].startswith("salus: ")
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["bogus"], "bogus"),
        (["network", "bogus"], "bogus"),
        (["network", "init", "--nodes", "many"], "--nodes"),
        (["network", "init", "--bogus"], "--bogus"),
        (["party", "enrol", "alice"], "--role"),
        (["party", "enrol", "--role", "king", "alice"], "king"),
        (["slot", "publish", "--day", "2026-02-30", "--count", "1"], "2026-02-30"),
        (["party", "enrol", "--role", "nurse", "x"], "'--role': 'nurse' is not one of 'patient'"),
        (["slot", "publish", "--day", "20260203", "--count", "1"], "YYYY-MM-DD"),
        (["slot", "publish", "--day", "today", "--count", "0"], "--count"),
        (["slot", "cancel"], "SLOT"),
        (["consultation", "request", "--day", "today", "file"], "--doctor"),
        (["consultation", "decline", "x", "--reason", "mood"], "mood"),
        (["consultation", "read"], "ID"),
        (["sim", "--seeds", "-1"], "--seeds"),
        (["demo", "--suite", "mbpa-r2"], "mbpa-r2"),
    ],
)
def test_wrong_usage_is_one_line_and_status_two(arguments: list[str], word: str, empty: Terminal) -> None:
    line = empty.bad(*arguments, reason="usage", status=2)
    assert word in line
    assert "--help" in line
    assert empty(*arguments).out == ""
    assert not empty.home.exists()


def test_shared_options_count_before_and_after_the_command(
    salus: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = str(salus.home)
    monkeypatch.setenv("SALUS_HOME", str(tmp_path / "elsewhere"))
    before = salus("--home", home, "--json", "doctor", "list")
    between = salus("doctor", "--home", home, "list", "--json")
    after = salus("doctor", "list", "--json", "--home", home)
    assert before.json == between.json == after.json
    assert salus("--home", "nowhere", "doctor", "list", "--home", home).status == 0


def test_verbose_tells_what_the_nodes_do(salus: Terminal) -> None:
    publish = ("--as", DOCTOR, "slot", "publish", "--day", "today", "--count", "1")
    assert salus(*publish).err == ""
    told = salus("--verbose", *publish).err
    assert told.count("node-open") == 4
    assert "committed" in told
    assert salus(*publish).err == ""


def test_programs_get_one_object_and_people_no_object(salus: Terminal) -> None:
    assert salus("doctor", "list").out.startswith("doctor ")
    assert set(salus("doctor", "list", "--json").json) == {"doctors"}


def test_a_message_from_elsewhere_cannot_steer_the_terminal(salus: Terminal) -> None:
    line = salus("--as", "alice", "consultation", "read", "\x1b[2J\x07\nsecond line")
    assert line.error.isprintable()
    assert "\x1b" not in line.err + line.out


def test_nobody_reads_the_output() -> None:
    command = f"{sys.executable} -m salus sim --seeds 3 | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("width", [40, 100])
def test_a_table_breaks_no_words_in_several_columns(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Screen().table(("claim", "test", "other", "ms"), [("forgery", "t" * 30, "o" * 30, 0.00217), ("replay", "u", "v", None)], "")
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert all(line == line.rstrip() for line in lines)
    if width == 40:
        assert lines[:5] == ["claim  forgery", f"test   {'t' * 30}", f"other  {'o' * 30}", "ms     0.00217", ""]
    else:
        assert (lines[1].split(), lines[2].split()) == (["forgery", "t" * 30, "o" * 30, "0.00217"], ["replay", "u", "v", "-"])
        assert lines[0].endswith("     ms")
        assert lines[2].endswith("      -")


def test_the_program_starts_quickly() -> None:
    """Processor time of ``salus --help``: wall time on a busy machine says nothing about the program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    runs = [run_process(["--help"], {}) for _ in range(5)]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert all(done.status == 0 and "consultation" in done.out for done in runs)
    assert (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(runs) < 0.3


def test_module_and_program_are_the_same(salus: Terminal) -> None:
    script = Path(sys.executable).parent / "salus"
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == run_process(["--help"], {}).out
