"""The commands of the quickstart page do what the page says, in the order of the page."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from salus.cli.main import main
from support.pages import steps

DAY = "2026-11-23"
CONSULTATION = "86c5c6c80f977396"


def commands(page: str) -> list[tuple[list[str], str]]:
    """Each ``salus`` command of the page with the first line of what it prints, "" where the page leaves it out."""
    done = steps(page)
    return [(shlex.split(line)[1:], shown[0] if shown else "") for line, shown in done if line.startswith("salus ")]


def shape(line: str) -> str:
    """A printed line without what differs from run to run: keys, numbers, days, words of the recovery phrase, folders."""
    line = re.sub(r"[0-9a-f]{16,}|\d+|/\S*clinic|~/clinic", "#", line)
    return re.sub(r"write it down: .*", "write it down", " ".join(line.split()))


def test_every_command_of_the_quickstart(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SALUS_HOME", str(tmp_path / "clinic"))
    monkeypatch.setenv("SALUS_PASSPHRASE", "a long passphrase")
    Path("record.json").write_text(
        '{"resourceType":"Observation","status":"final","code":{"text":"pulse"},"valueQuantity":{"value":72}}', "utf-8"
    )
    Path("answer.txt").write_text("Rest, and come back in a week.\n", "utf-8")
    replaced = {DAY: (datetime.now(UTC) + timedelta(days=2)).date().isoformat()}
    page = (checkout / "docs" / "quickstart.md").read_text("utf-8")
    done = commands(page)
    assert len(done) >= 15
    for words, first_line in done:
        arguments = [replaced.get(word, word) for word in words]
        assert main(arguments) == 0, words
        output = capsys.readouterr().out
        if first_line:
            assert shape(output.splitlines()[0]) == shape(first_line), words
        if consultation := re.search(r"consultation ([0-9a-f]{16})\.", output):
            replaced[CONSULTATION] = consultation[1]
    (received,) = (tmp_path / "clinic" / "patient-ada" / "received").iterdir()
    assert received.read_text("utf-8") == "Rest, and come back in a week.\n"
