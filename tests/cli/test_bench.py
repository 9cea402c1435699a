"""``salus bench``: the figures as a program reads them, and the page that the documentation shows."""

from __future__ import annotations

from pathlib import Path

from support.command_line import Terminal


def test_a_quick_bench_names_its_targets_and_writes_the_page(salus: Terminal, tmp_path: Path) -> None:
    found = salus.good("bench", "consultation", "--quick", "--out", tmp_path / "out", "--docs", tmp_path / "docs")
    assert all(set(target) >= {"name", "value", "limit", "met"} for target in found["targets"])
    assert any("admission" in target["name"] for target in found["targets"])
    page = (tmp_path / "docs" / "consultation.md").read_text()
    plots = sorted(path.name for path in (tmp_path / "docs" / "consultation").iterdir())
    assert len(plots) >= 8
    assert all(f"consultation/{plot}" in page for plot in plots)
    assert (tmp_path / "out" / "consultation.json").is_file()
