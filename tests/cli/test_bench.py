"""``salus bench``: quick runs of the benches of sharing as a person and as a program sees them, and the pages they write."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from salus.bench import abpre_peers
from support.command_line import Terminal

SECTIONS = {
    "consultation": {"floors", "phases-r1", "admission", "embedded", "table-6"},
    "abpre": {"bls-primitives", "abpre-scheme", "abpre-peers", "threshold-issuing", "sharing-properties"},
    "flows": {"flow-times", "flow-stages-size", "flow-stages-attributes", "flow-stages-committee", "flow-chain", "flow-kinds"},
    "search": {"look-ups", "index-sizes", "tokens"},
    "records": {"hashes", "streams", "memory"},
}


@pytest.fixture(autouse=True)
def _no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer is not compiled here."""
    monkeypatch.setattr(abpre_peers.shutil, "which", lambda name: None)


@pytest.mark.parametrize("bench", sorted(SECTIONS))
def test_a_program_gets_targets_and_the_site_its_page(bench: str, empty: Terminal, tmp_path: Path) -> None:
    out, pages = tmp_path / "figures", tmp_path / "docs"
    done = empty("bench", bench, "--quick", "--json", "--out", str(out), "--page", str(pages))
    assert done.status == 0, done.err
    figures = done.json
    assert figures["bench"] == bench
    assert figures["quick"] is True
    assert SECTIONS[bench] <= set(figures["sections"])
    for target in figures["targets"]:
        reached = target["value"] >= target["limit"] if target["direction"] == "at least" else target["value"] <= target["limit"]
        assert target["met"] is reached
    assert json.loads((out / f"{bench}.json").read_text()) == figures
    page = (pages / f"{bench}.md").read_text()
    links = re.findall(r"!\[[^]]*\]\((\w+/[\w-]+\.svg)\)", page)
    assert len(links) == len(figures["plots"])
    assert all((pages / link).is_file() for link in links)


def test_a_person_gets_tables_progress_and_every_target_in_a_line(empty: Terminal) -> None:
    done = empty("bench", "records", "--quick")
    assert done.status == 0
    assert "Memory of streaming" in done.out
    assert re.search(r"^(met|MISSED): 1 MiB: encrypt and digest over raw = ", done.out, re.MULTILINE)


def test_figures_that_cannot_be_written_are_a_clear_error(empty: Terminal, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = empty("bench", "records", "--quick", "--out", str(tmp_path / "file" / "below"))
    assert done.status == 1
    assert "cannot write" in done.error
