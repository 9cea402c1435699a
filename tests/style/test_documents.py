"""Documentation: generated pages are current, links lead somewhere, and no file names a machine or a host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.sources import ROOT, text, tracked

PAGES = [name for name in tracked() if name.endswith(".md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(name: str) -> set[str]:
    """The anchors that headings of a page give."""
    headings = re.findall(r"^#+ +(.*?)\s*$", FENCE.sub("", text(name)), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") for heading in headings}


def test_pages_made_from_the_code_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    broken = []
    for target in LINK.findall(FENCE.sub("", text(name))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / name).parent / path if path else ROOT / name
        relative = there.resolve().relative_to(ROOT)
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(str(relative))):
            broken.append(target)
    assert broken == []


def test_pages_named_in_the_code_exist() -> None:
    missing = []
    for name in tracked():
        if name.endswith((".py", ".rs", ".pyi", ".toml", "Makefile")) and not name.startswith("tests/style/"):
            for page in re.findall(r"\bdocs/[\w./-]+\.(?:md|svg)\b", text(name)):
                if not (ROOT / page).is_file():
                    missing.append(f"{name}: {page}")
    assert missing == []


def test_tests_named_in_the_documentation_exist() -> None:
    missing = []
    for name in PAGES:
        for path in re.findall(r"(?<![\w/])(?:tests|src|tools)/[\w./-]+\b", text(name)):
            if not (ROOT / path).exists():
                missing.append(f"{name}: {path}")
    assert missing == []


def test_test_functions_named_in_the_documentation_exist() -> None:
    """As ``path::test_name``, or as a link ``[file: name in words](path)``."""
    missing, found = [], 0
    for name in PAGES:
        page = text(name)
        named = re.findall(r"\b(tests/[\w./-]+\.py)::(test_\w+)", page)
        links = re.findall(r"\[[^\]:]+: ([^\]]+)\]\([./]*(tests/[\w./-]+\.py)\)", page)
        named += [(path, "test_" + words.replace(" ", "_")) for words, path in links]
        found += len(named)
        missing += [f"{name}: {path}::{function}" for path, function in named if f"def {function}(" not in text(path)]
    assert missing == []
    assert found > 30


def test_every_page_is_in_the_navigation() -> None:
    navigation = text("mkdocs.yml")
    assert [name for name in PAGES if name.startswith("docs/") and name.removeprefix("docs/") not in navigation] == []


MACHINE = re.compile(
    "(?<![.~$)}\\w])/(?:" + "|".join(["wo" + "rk", "fa" + "rm", "ro" + "ot", "ho" + "me/[a-z]+", "Us" + "ers/[A-Za-z]+"]) + r")/"
)
INDEX = re.compile("index-" + r"url|https?://[^\s\"]+/simp" + r"le\b|GOPRO" + "XY=|find-" + r"links [^-]")


@pytest.mark.parametrize("pattern", [MACHINE, INDEX], ids=["paths of a machine", "package indexes"])
def test_no_file_names_a_machine(pattern: re.Pattern[str]) -> None:
    names = [
        name for name in tracked() if Path(name).suffix not in (".png", ".jpg", ".dcm", ".bin") and name != "rust/Cargo.lock"
    ]
    assert [f"{name}: {match[0]}" for name in names for match in pattern.finditer(text(name))] == []


def test_no_large_file_is_tracked() -> None:
    assert [name for name in tracked() if (ROOT / name).stat().st_size > 400_000] == []
