"""A home that many tests copy: founded once, with a doctor, a patient, and slots."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.command_line import Terminal
from support.embedded import enrolled_doctor, enrolled_patient, found_network


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed home with st-anne/dr-test (8 slots today), alice and bob (2 credentials each). Copy it."""
    home = tmp_path_factory.mktemp("furnished") / "home"
    with found_network(home) as network:
        enrolled_doctor(network)
        enrolled_patient(network, "alice")
        enrolled_patient(network, "bob")
    return home


@pytest.fixture
def salus(furnished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on a copy of the furnished home."""
    home = tmp_path / "home"
    shutil.copytree(furnished, home)
    return Terminal(home, capsys, monkeypatch)


@pytest.fixture
def empty(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on a home where nothing is yet."""
    return Terminal(tmp_path / "home", capsys, monkeypatch)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A small record."""
    path = tmp_path / "record.txt"
    path.write_text("pulse 71, blood pressure 118/76\n")
    return path
