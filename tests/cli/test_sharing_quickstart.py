"""The commands of the quickstart of sharing do what its page says, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from salus.cli.main import main
from support.pages import shape, steps

ID = re.compile(r"\b[0-9a-f]{8,64}\b")


def learn(names: dict[str, str], shown: str, printed: str) -> None:
    """Ids of the page, whole and in short, beside those of this run."""
    for of_page, here in zip(ID.findall(shown), ID.findall(printed), strict=True):
        for length in (16, len(of_page)):
            names.setdefault(of_page[:length], here[:length])


def test_every_command_of_the_page(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SALUS_HOME", str(tmp_path / "clinic"))
    monkeypatch.setenv("SALUS_PASSPHRASE", "a long passphrase")
    names: dict[str, str] = {}
    done = steps((checkout / "docs" / "sharing-quickstart.md").read_text("utf-8"))
    commands = [words for words, _ in done if words.startswith("salus ")]
    assert len(commands) >= 30
    for command, shown in done:
        words = shlex.split(command)
        if words[0] == "echo":
            assert words[2] == ">"
            Path(words[3]).write_text(words[1] + "\n", "utf-8")
        if words[0] != "salus":
            continue
        assert main([names.get(word, word) for word in words[1:]]) == 0, command
        printed = capsys.readouterr().out.splitlines()
        assert shown, command
        left = iter(printed)
        # The page may leave lines out, and shows the others in their order.
        for line in shown:
            match = next((other for other in left if shape(other) == shape(line)), None)
            assert match is not None, (command, line, printed)
            learn(names, line, match)
        assert shape(printed[0]) == shape(shown[0]), command
    for folder in ("from-ada", "emergency"):
        assert {path.read_bytes() for path in Path(folder).iterdir()} <= {
            Path(n).read_bytes() for n in ("pulse.json", "letter.txt")
        }
