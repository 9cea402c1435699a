"""A node's storage: what is committed stays, what is damaged is named, what does not fit leaves the old state."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from small_disk import fill

from salus.errors import DamagedFile, Refused, SalusError, StorageError
from salus.ledger.log_entries import log_leaves
from salus.ledger.merkle_log import EMPTY_LOG, LogState, prove_inclusion, verify_inclusion
from salus.ledger.storage import sqlite
from salus.ledger.storage.interface import BlockRow, Head, LedgerStore
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.storage.sqlite import FILE_NAME, SqliteStore


def key(n: int) -> bytes:
    return hashlib.sha256(b"%d" % n).digest()


class Script:
    """A deterministic sequence of block rows and the state that they make."""

    def __init__(self, transactions: int = 20, writes: int = 60) -> None:
        self._transactions = transactions
        self._writes = writes
        self._random = random.Random(7)
        self.state: dict[bytes, bytes] = {}
        self.states: list[dict[bytes, bytes]] = []
        self.rows: list[BlockRow] = []
        self.log: LogState = EMPTY_LOG

    def next(self) -> BlockRow:
        height = len(self.rows)
        pick = self._random
        changes: dict[bytes, bytes | None] = {
            key(pick.randrange(2000)): None if pick.random() < 0.1 else pick.randbytes(pick.randrange(120))
            for _ in range(self._writes)
        }
        hashes = tuple(key(10_000 * height + i) for i in range(self._transactions if height else 0))
        leaves = log_leaves(height, hashes)
        self.log = self.log.extended(leaves)
        for k, value in changes.items():
            if value is None:
                self.state.pop(k, None)
            else:
                self.state[k] = value
        head = Head(height, 1000 + height, key(-height - 1), self.log)
        row = BlockRow(head, b"record %d" % height, b"certificate %d" % height, hashes, leaves, tuple(sorted(changes.items())))
        self.rows.append(row)
        self.states.append(dict(self.state))
        return row

    def run(self, store: LedgerStore, count: int) -> None:
        for _ in range(count):
            store.append(self.next())


def flat(store: LedgerStore) -> dict[bytes, bytes]:
    entries = [entry for chunk in store.leaves() for entry in chunk]
    assert entries == sorted(entries)
    return dict(entries)


def check(store: LedgerStore, script: Script) -> None:
    """Everything the store says is what the script did."""
    height = len(script.rows) - 1
    assert store.head() == script.rows[-1].head
    assert flat(store) == script.state
    for n in range(0, 2000, 37):
        assert store.value(key(n)) == script.state.get(key(n))
    base, chunks = store.base()
    base_state = dict(entry for chunk in chunks for entry in chunk)
    assert base_state == script.states[base]
    assert base < height or height == 0
    assert [head for head, _ in store.tail()] == [row.head for row in script.rows[base + 1 :]]
    for row in script.rows[:: max(1, height // 7)]:
        stored = store.block(row.head.height)
        assert stored is not None
        assert (stored.head, stored.record, stored.certificate, stored.hashes) == (
            row.head,
            row.record,
            row.certificate,
            row.hashes,
        )
        for index, tx_hash in enumerate(row.hashes):
            assert store.position(tx_hash) == (row.head.height, index)
    for changed, _ in script.rows[-1].writes:
        assert not height or store.value_before(changed) == script.states[-2].get(changed)
    assert store.position(bytes(32)) is None
    assert store.block(height + 1) is None
    count = script.log.count
    for index in range(0, count, max(1, count // 11)):
        row = next(r for r in script.rows if r.head.log.count > index)
        leaf = row.log_leaves[index - (row.head.log.count - len(row.hashes))]
        verify_inclusion(prove_inclusion(index, count, store.subtree), leaf, script.log.root())


def test_in_memory() -> None:
    store, script = MemoryStore(), Script()
    for count in (1, 1, 60):
        script.run(store, count)
        check(store, script)


def test_on_disk_and_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "FOLD_ENTRIES", 500)
    script = Script()
    for count in (1, 1, 3, 20, 90, 200):
        store = SqliteStore.open_or_create(tmp_path)
        if script.rows:
            check(store, script)
        script.run(store, count)
        check(store, script)
        store.close()
    store = SqliteStore.open_or_create(tmp_path)
    check(store, script)
    assert len(store.tail()) < 20
    store.close()


def test_small_blocks_are_folded_by_their_number(tmp_path: Path) -> None:
    store, script = SqliteStore.open_or_create(tmp_path), Script(1, 1)
    script.run(store, sqlite.FOLD_BLOCKS + 40)
    check(store, script)
    assert len(store.tail()) <= sqlite.FOLD_BLOCKS
    store.close()


def test_left_over_pages_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "FOLD_ENTRIES", 200)
    store, script = SqliteStore.open_or_create(tmp_path), Script(0, 150)
    script.run(store, 400)
    store.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    used = {number for (number,) in connection.execute("SELECT number FROM runs")}
    stored = {page >> 24 for (page,) in connection.execute("SELECT id FROM pages")}
    connection.close()
    assert used <= stored
    assert len(stored - used) < 12, "only the newest merges and what they replaced"


def test_an_altered_block_is_not_pruned_into_a_sound_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "FOLD_ENTRIES", 300)
    store = SqliteStore.open_or_create(tmp_path)
    Script().run(store, 41)
    store.close()
    file = sqlite3.connect(tmp_path / sqlite.FILE_NAME)
    file.execute("UPDATE blocks SET certificate = ? WHERE height = 3", (b"another",))
    file.commit()
    file.close()
    store = SqliteStore.open_or_create(tmp_path)
    with pytest.raises(DamagedFile, match="block 3 was altered"):
        store.prune(30, 10)
    first = store.block(1)
    assert first is not None
    assert not first.pruned, "nothing of the slice was done"
    store.close()


def test_pruned_blocks_keep_their_headers_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "FOLD_ENTRIES", 300)
    for store in (SqliteStore.open_or_create(tmp_path), MemoryStore()):
        script = Script()
        script.run(store, 41)
        assert store.prune(30, 10) == 10
        assert store.prune(30, 1000) == 19
        assert store.prune(30, 1000) == 0
        for height in (1, 29, 30):
            stored = store.block(height)
            assert stored is not None
            assert stored.pruned == (height < 30)
            assert stored.hashes == script.rows[height].hashes
        assert flat(store) == script.state
        assert store.subtree(0, 3) == script.rows[1].log_leaves[3]
        store.close()
    again = SqliteStore.open_or_create(tmp_path)
    stored = again.block(5)
    assert stored is not None
    assert stored.pruned
    assert flat(again) == script.state
    again.close()


def test_a_snapshot_takes_the_place_of_genesis(tmp_path: Path) -> None:
    source, script = MemoryStore(), Script()
    script.run(source, 30)
    head = script.rows[-1].head
    for store in (SqliteStore.open_or_create(tmp_path), MemoryStore()):
        genesis = Script()
        genesis.run(store, 1)
        store.restore(head, source.leaves())
        assert store.head() == head
        assert flat(store) == script.state
        assert store.base()[0] == head.height
        assert store.tail() == []
        assert store.block(head.height) is None
        assert store.block(0) is not None
        with pytest.raises(Refused, match="not-found"):
            store.subtree(0, 5)
        store.restore(head, source.leaves())
        assert flat(store) == script.state
        state = dict(script.state)
        later = BlockRow(
            Head(30, 2000, key(5), head.log.extended([key(6)])),
            b"r",
            b"c",
            (key(7),),
            log_leaves(30, (key(7),)),
            ((key(8), b"v"),),
        )
        store.append(later)
        with pytest.raises(StorageError, match="nothing but genesis"):
            store.restore(head, source.leaves())
        assert flat(store) == state | {key(8): b"v"}
        store.import_log(leaf for row in script.rows for leaf in row.log_leaves)
        assert [store.subtree(0, i) for i in range(5)] == list(script.rows[1].log_leaves[:5])
        assert store.subtree(9, 0) == source.subtree(9, 0)
        store.close()
    again = SqliteStore.open_or_create(tmp_path)
    assert again.head() == later.head
    assert flat(again) == state | {key(8): b"v"}
    assert again.subtree(0, 5) == script.rows[1].log_leaves[5]
    assert again.position(key(7)) == (30, 0)
    again.close()


# --- damage ---


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Script]:
    monkeypatch.setattr(sqlite, "FOLD_ENTRIES", 400)
    store, script = SqliteStore.open_or_create(tmp_path), Script()
    script.run(store, 40)
    store.close()
    return tmp_path, script


def update(directory: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(directory / FILE_NAME)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def read_all(directory: Path, script: Script) -> None:
    store = SqliteStore.open_or_create(directory)
    try:
        check(store, script)
        for height in range(41):
            store.block(height)
    finally:
        store.close()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.97])
def test_a_truncated_file_is_named(kept: tuple[Path, Script], share: float) -> None:
    directory, script = kept
    path = directory / FILE_NAME
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(DamagedFile, match=r"ledger\.sqlite|page|run|log") as caught:
        read_all(directory, script)
    assert "restore" in str(caught.value) or "damaged" in str(caught.value) or "missing" in str(caught.value)


def test_a_file_of_something_else_is_named(kept: tuple[Path, Script]) -> None:
    directory, script = kept
    (directory / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(DamagedFile, match="damaged"):
        read_all(directory, script)


def test_flipped_bits_in_rows_are_noticed_when_they_are_read(kept: tuple[Path, Script]) -> None:
    directory, script = kept
    for table, column, where in (
        ("blocks", "record", "height = 20"),
        ("blocks", "certificate", "height = 39"),
        ("blocks", "applied", "height = 38"),
        ("runs", "prefixes", "map = 0"),
    ):
        connection = sqlite3.connect(directory / FILE_NAME)
        ((rowid, original),) = connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {where} LIMIT 1").fetchall()
        altered = bytearray(original)
        altered[len(altered) // 2] ^= 4
        connection.close()
        update(directory, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", bytes(altered), rowid)
        with pytest.raises(DamagedFile, match="altered"):
            read_all(directory, script)
        update(directory, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", original, rowid)
        read_all(directory, script)


@pytest.mark.parametrize("statement", ["DELETE FROM meta WHERE name = 'folded'", "DELETE FROM blocks WHERE height = 38"])
def test_missing_rows_are_named(kept: tuple[Path, Script], statement: str) -> None:
    directory, script = kept
    update(directory, statement)
    with pytest.raises(DamagedFile, match="missing"):
        read_all(directory, script)


def test_a_missing_page_is_named(kept: tuple[Path, Script]) -> None:
    directory, script = kept
    update(directory, "DELETE FROM pages WHERE id IN (SELECT id FROM pages WHERE id >> 24 IN (SELECT number FROM runs) LIMIT 1)")
    with pytest.raises(DamagedFile, match="missing"):
        read_all(directory, script)


def test_a_newer_format_is_refused_not_damaged(kept: tuple[Path, Script]) -> None:
    directory, script = kept
    update(directory, "UPDATE meta SET value = ? WHERE name = 'format'", b"i" + (2).to_bytes(8, "big"))
    with pytest.raises(StorageError, match="format 2") as caught:
        read_all(directory, script)
    assert not isinstance(caught.value, DamagedFile)


def test_a_second_process_is_kept_out(kept: tuple[Path, Script]) -> None:
    directory, script = kept
    store = SqliteStore.open_or_create(directory)
    store.append(script.next())
    program = f"""
        from pathlib import Path
        from salus.ledger.storage.sqlite import SqliteStore
        SqliteStore.open_or_create(Path({str(directory)!r}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "in use by another process" in done.stderr
    store.close()


# --- a full disk, and a kill ---


def test_a_full_disk_keeps_the_last_committed_state(small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "FOLD_ENTRIES", 400)
    directory = small_disk(8 * 1024) / "ledger"
    store, script = SqliteStore.open_or_create(directory), Script()
    script.run(store, 25)
    ballast = fill(directory.parent)
    # The first rows may still fit into what the write-ahead log has reserved.
    with pytest.raises(StorageError, match="disk is full"):
        script.run(store, 1000)
    row = script.rows[-1]
    assert flat(store) == script.states[-2]
    with pytest.raises(StorageError, match="disk is full"):
        store.append(row)
    committed = store.head()
    assert committed == script.rows[-2].head
    ballast.unlink()
    store.append(row)
    check(store, script)
    script.run(store, 30)
    check(store, script)
    store.close()
    again = SqliteStore.open_or_create(directory)
    check(again, script)
    again.close()


def test_creation_on_a_full_disk_leaves_nothing(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(256)
    directory = disk / "ledger"
    directory.mkdir()
    ballast = fill(disk)
    with pytest.raises(StorageError, match="cannot be created"):
        SqliteStore.open_or_create(directory)
    assert not (directory / FILE_NAME).exists()
    ballast.unlink()
    SqliteStore.open_or_create(directory).close()


COMMITTER = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {unit!r}]
from salus.ledger.storage import sqlite
from ledger.test_storage import Script
sqlite.FOLD_ENTRIES = 400
store, script = sqlite.SqliteStore.open_or_create(Path({directory!r})), Script()
done = store.head().height + 1 if store.head() else 0
for _ in range(done):
    script.next()
while True:
    store.append(script.next())
    print(len(script.rows) - 1, flush=True)
"""


def test_a_kill_during_commits_loses_nothing_acknowledged(tmp_path: Path) -> None:
    unit = Path(__file__).resolve().parent.parent
    program = COMMITTER.format(here=str(unit.parent), unit=str(unit), directory=str(tmp_path))
    acknowledged = -1
    for wait_blocks in (3, 17, 40):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(wait_blocks):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        acknowledged = max([acknowledged, *map(int, rest)])
        store = SqliteStore.open_or_create(tmp_path)
        head = store.head()
        assert head is not None
        assert acknowledged <= head.height <= acknowledged + 1
        script = Script()
        for _ in range(head.height + 1):
            script.next()
        check(store, script)
        store.close()


def test_every_error_is_one_of_ours(kept: tuple[Path, Script]) -> None:
    """Random damage anywhere in the file ends in an error of the project, or in nothing lost."""
    directory, script = kept
    path = directory / FILE_NAME
    whole = path.read_bytes()
    chosen = random.Random(3)
    noticed = 0
    for _ in range(40):
        altered = bytearray(whole)
        place = chosen.randrange(len(altered))
        altered[place : place + 64] = chosen.randbytes(64)
        path.write_bytes(bytes(altered[: len(whole)]))
        try:
            read_all(directory, script)
        except SalusError:
            noticed += 1
        except AssertionError:
            # a page whose entries still decode; the application finds it by the map's root (tests/application)
            noticed += 1
        for leftover in directory.glob(FILE_NAME + "-*"):
            leftover.unlink()
    assert noticed > 10
