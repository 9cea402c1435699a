"""The records below a directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from salus.errors import StorageError
from salus.records import collection
from salus.records.collection import find_records


def test_every_regular_file_is_one(tmp_path: Path) -> None:
    for name in ("b.dcm", "a/x.json", "a/b/y", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "b.dcm")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "empty").mkdir()
    found = find_records(tmp_path)
    assert [record.relative for record in found] == [".hidden", "a/b/y", "a/x.json", "b.dcm"]
    assert [record.size_bytes for record in found] == [7, 5, 8, 5]
    assert [record.root for record in find_records(tmp_path, tmp_path / "a")][-2:] == [tmp_path / "a"] * 2


def test_roots_that_hold_no_records(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StorageError, match="not there"):
        find_records(tmp_path / "nothing")
    with pytest.raises(StorageError, match="not a directory"):
        find_records(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match="no file below"):
        find_records(tmp_path / "empty")


def test_unreadable_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"x")
    locked = tmp_path / "locked"
    locked.mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:  # the superuser, who runs some test machines, is refused nothing by chmod
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StorageError, match=r"cannot read the directory .*locked: Permission denied"):
        find_records(tmp_path)


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "RECORDS_MAX", 3)
    for number in range(4):
        (tmp_path / str(number)).write_bytes(b"")
    with pytest.raises(StorageError, match="more than 3 files"):
        find_records(tmp_path)
