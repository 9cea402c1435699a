"""Power that fails inside SQLite's own files: whatever became of what was not fsynced, an acknowledged block stays.

Between two commits SQLite writes in two steps: frames into the WAL, fsync; and now and then, when the WAL is long, pages out
of it into the database, fsync. The files are copied at every commit. A power failure in step 1 leaves the old database
and any mixture of the old and the new WAL; one in step 2 leaves the new WAL and any mixture of the old and the new database.
Bytes that a step does not write are as they were (SQLite's "powersafe overwrite", which it assumes by default).
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ledger.test_storage import Script, check, flat
from salus.errors import DamagedFile, StorageError
from salus.ledger.storage import schema, sqlite
from salus.ledger.storage.sqlite import FILE_NAME, SqliteStore

WAL_NAME = FILE_NAME + schema.WAL_SUFFIX
SECTOR_BYTES = 512
WAL_HEADER_BYTES = 32
BLOCKS = 60


@dataclass(frozen=True)
class Files:
    """What is on the disk at one moment; without a WAL if there is none."""

    database: bytes
    wal: bytes | None

    @classmethod
    def of(cls, directory: Path) -> Files:
        wal = directory / WAL_NAME
        return cls((directory / FILE_NAME).read_bytes(), wal.read_bytes() if wal.exists() else None)

    def put(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        (directory / FILE_NAME).write_bytes(self.database)
        (directory / WAL_NAME).unlink(missing_ok=True)
        if self.wal is not None:
            (directory / WAL_NAME).write_bytes(self.wal)


@dataclass(frozen=True)
class History:
    """A script, and the files at each of its commits."""

    script: Script
    moments: list[Files]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    directory = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "CHECKPOINT_PAGES", 40)
        patch.setattr(sqlite, "FOLD_ENTRIES", 300)
        store, script = SqliteStore.open_or_create(directory), Script(5, 25)
        moments = []
        for _ in range(BLOCKS):
            store.append(script.next())
            moments.append(Files.of(directory))
        yield History(script, moments)
        store.close()


def mixture(old: bytes, new: bytes, pick: random.Random) -> bytes:
    """Each sector that was being written is the old one, the new one, zeros or rubbish; the end may not be there yet."""
    size = pick.choice([len(old), len(new), pick.randrange(len(old), len(new) + 1)]) if len(new) > len(old) else len(new)
    result = bytearray(new[:size])
    share = pick.random()
    for start in range(0, size, SECTOR_BYTES):
        part = slice(start, min(start + SECTOR_BYTES, size))
        before, after = old[part].ljust(part.stop - start, b"\0"), new[part]
        if before == after or pick.random() > share:
            continue
        spoiled = pick.choice([before, before, bytes(len(after)), pick.randbytes(len(after))])
        result[part] = bytes(a if a == b else c for a, b, c in zip(after, before, spoiled, strict=True))
    return bytes(result)


def failure_in_the_wal(old: Files, new: Files, pick: random.Random) -> Files:
    """Step 1. A WAL that starts again has its header fsynced before the first frame."""
    before, after = old.wal or b"", new.wal or b""
    if before[:WAL_HEADER_BYTES] == after[:WAL_HEADER_BYTES]:
        return Files(old.database, mixture(before, after, pick))
    if pick.random() < 0.5:
        return Files(old.database, mixture(before, after[:WAL_HEADER_BYTES] + before[WAL_HEADER_BYTES:], pick))
    fresh = after[:WAL_HEADER_BYTES] + before[WAL_HEADER_BYTES:]
    return Files(old.database, mixture(fresh, after, pick))


def failure_in_the_database(old: Files, new: Files, pick: random.Random) -> Files:
    """Step 2."""
    return Files(mixture(old.database, new.database, pick), new.wal)


def script_until(height: int) -> Script:
    script = Script(5, 25)
    for _ in range(height + 1):
        script.next()
    return script


def opened_at(directory: Path, history: History, lowest: int) -> int:
    """The height at which it opens, whole, and goes on from."""
    store = SqliteStore.open_or_create(directory)
    try:
        head = store.head()
        assert head is not None
        assert lowest <= head.height <= lowest + 1
        assert head == history.script.rows[head.height].head
        assert flat(store) == history.script.states[head.height]
        store.append(history.script.rows[head.height + 1])
        assert flat(store) == history.script.states[head.height + 1]
    finally:
        store.close()
    return head.height


def run_failures(history: History, directory: Path, seeds: range) -> set[tuple[bool, int]]:
    """Power fails in each seed's commit; returns which steps ended before and after the commit that was under way."""
    seen = set()
    for seed in seeds:
        pick = random.Random(f"power {seed}")
        height = pick.randrange(BLOCKS - 2)
        old, new = history.moments[height], history.moments[height + 1]
        in_database = new.database != old.database and pick.random() < 0.5
        fail = failure_in_the_database if in_database else failure_in_the_wal
        fail(old, new, pick).put(directory)
        # What is in the WAL when a page of it goes into the database has been fsynced: then the block is committed.
        found = opened_at(directory, history, height + in_database)
        seen.add((in_database, found - height))
    return seen


def test_the_recording_has_every_kind_of_write(history: History) -> None:
    pairs = list(zip(history.moments, history.moments[1:], strict=False))
    assert any(a.database != b.database for a, b in pairs), "pages went into the database"
    assert any(a.wal and b.wal and a.wal[:WAL_HEADER_BYTES] != b.wal[:WAL_HEADER_BYTES] for a, b in pairs), "the WAL began anew"
    assert any(a.database == b.database for a, b in pairs)


def test_every_commit_is_there_after_a_clean_stop_of_the_power(history: History, tmp_path: Path) -> None:
    for height in range(0, BLOCKS - 2, 7):
        history.moments[height].put(tmp_path)
        assert opened_at(tmp_path, history, height) == height


def test_power_failures(history: History, tmp_path: Path) -> None:
    seen = run_failures(history, tmp_path, range(300))
    assert seen == {(False, 0), (False, 1), (True, 1)}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_power_failures(history: History, tmp_path: Path) -> None:
    run_failures(history, tmp_path, range(1000, 9000))


def test_a_disk_that_loses_what_was_synced_is_noticed_by_this_test(history: History, tmp_path: Path) -> None:
    """The check is one: with what an acknowledged block wrote gone, the height is too low."""
    history.moments[19].put(tmp_path)
    with pytest.raises(AssertionError):
        opened_at(tmp_path, history, 20)


def test_damage_to_what_was_synced_gives_a_commit_or_an_error(history: History, tmp_path: Path) -> None:
    """Rot is no power failure: a WAL ends where it is spoiled, a spoiled page is named; never a mixture of two blocks."""
    pick = random.Random(5)
    named = 0
    for _ in range(40):
        files = history.moments[pick.randrange(20, BLOCKS - 2)]
        database, wal = bytearray(files.database), bytearray(files.wal or b"")
        chosen = wal if wal and pick.random() < 0.5 else database
        place = pick.randrange(len(chosen))
        chosen[place : place + 300] = pick.randbytes(len(chosen[place : place + 300]))
        Files(bytes(database), bytes(wal)).put(tmp_path)
        try:
            store = SqliteStore.open_or_create(tmp_path)
        except (DamagedFile, StorageError):
            named += 1
            continue
        try:
            head = store.head()
            assert head is not None
            assert head == history.script.rows[head.height].head
            assert flat(store) == history.script.states[head.height]
        except (DamagedFile, StorageError):
            named += 1
        finally:
            store.close()
    assert 0 < named < 40


# --- what a killed process left ---


class PageCache:
    """Follows what is durable: the content of each file when it was last fsynced."""

    def __init__(self, durable: Files, patch: pytest.MonkeyPatch) -> None:
        self.durable = {FILE_NAME: durable.database, WAL_NAME: durable.wal}
        self.synced: list[str] = []
        self.seen_at_opening: list[str] = []
        fsync, connect = os.fsync, sqlite3.connect

        def follow(descriptor: int) -> None:
            fsync(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            self.synced.append(path.name)
            if path.is_file():
                self.durable[path.name] = path.read_bytes()

        def note(*arguments: object, **named: object) -> sqlite3.Connection:
            self.seen_at_opening = list(self.synced)
            return connect(*arguments, **named)  # type: ignore[call-overload, no-any-return]

        patch.setattr(os, "fsync", follow)
        patch.setattr(sqlite3, "connect", note)

    def lose_power(self, directory: Path) -> None:
        database = self.durable[FILE_NAME]
        assert database is not None
        Files(database, self.durable[WAL_NAME]).put(directory)


def killed_in_front_of_its_fsync(history: History) -> tuple[Files, Files, int]:
    """Durable files, the files as the next process sees them, and the height that only the latter have."""
    for height in range(10, BLOCKS):
        old, new = history.moments[height - 1], history.moments[height]
        if old.database == new.database and old.wal and new.wal and old.wal[:WAL_HEADER_BYTES] == new.wal[:WAL_HEADER_BYTES]:
            return old, new, height
    raise AssertionError("no such commit in the recording")


def test_what_a_killed_process_left_is_durable_before_it_is_read(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable, seen, height = killed_in_front_of_its_fsync(history)
    seen.put(tmp_path)
    cache = PageCache(durable, monkeypatch)
    store = SqliteStore.open_or_create(tmp_path)
    head = store.head()
    assert head is not None
    assert head.height == height, "this is what the replica goes on from"
    assert cache.seen_at_opening == [WAL_NAME, FILE_NAME, tmp_path.name], "each once, the directory last"
    cache.lose_power(tmp_path / "after")
    store.close()
    again = SqliteStore.open_or_create(tmp_path / "after")
    assert again.head() == head, "and this is what it finds after the power failed"
    again.close()


def test_without_that_a_block_is_read_and_then_lost(history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable, seen, height = killed_in_front_of_its_fsync(history)
    seen.put(tmp_path)
    cache = PageCache(durable, monkeypatch)
    monkeypatch.setattr(schema, "make_durable", lambda path: None)
    store = SqliteStore.open_or_create(tmp_path)
    cache.lose_power(tmp_path / "after")
    head = store.head()
    assert head is not None
    assert head.height == height
    store.close()
    again = SqliteStore.open_or_create(tmp_path / "after")
    lost = again.head()
    assert lost is not None
    assert lost.height == height - 1
    again.close()


def test_a_disk_that_cannot_say_it_is_durable_is_not_read(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.moments[20].put(tmp_path)

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(StorageError, match=r"cannot be made durable: Input/output error; check the disk"):
            SqliteStore.open_or_create(tmp_path)
    assert opened_at(tmp_path, history, 20) == 20


def test_the_recording_is_what_the_script_says(history: History, tmp_path: Path) -> None:
    history.moments[33].put(tmp_path)
    store = SqliteStore.open_or_create(tmp_path)
    check(store, script_until(33))
    store.close()
