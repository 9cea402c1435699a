"""Sorted runs against a dictionary: folds, merges in slices, deletions, and failed commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus._native import KeyPrefixes, PrefixSearch, RunMerge
from salus.errors import CodecError, DamagedFile
from salus.ledger.storage import runs as r


class Pages:
    """Pages in a dictionary."""

    def __init__(self) -> None:
        self.data: dict[tuple[int, int], bytes] = {}
        self.reads = 0

    def read_page(self, run: int, number: int) -> bytes:
        self.reads += 1
        if (run, number) not in self.data:
            raise DamagedFile("no such page")
        return self.data[run, number]


def counter() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


class Commits:
    """A run set with its commits, as the database makes them."""

    def __init__(self) -> None:
        self.pages = Pages()
        self._numbers = counter()
        self.set = r.RunSet(self.pages, (), lambda: next(self._numbers))

    def commit(self, count: int, fold: Sequence[r.Entry] | None = None, *, fail: bool = False) -> None:
        changes = self.set.work(count, fold)
        if fail:
            self.set.abandon()
            return
        for run, number, data in changes.pages:
            assert (run, number) not in self.pages.data, "a page was written twice"
            self.pages.data[run, number] = data
        self.set.adopt(changes)
        for run in changes.old_runs:
            for number in range(run.pages):
                del self.pages.data[run.number, number]


def key(n: int) -> bytes:
    return hashlib.sha256(b"%d" % n).digest()


def everything(commits: Commits, newest: Sequence[r.Entry] = ()) -> dict[bytes, bytes]:
    chunks = list(commits.set.entries(newest))
    flat = [entry for chunk in chunks for entry in chunk]
    assert flat == sorted(flat)
    return dict(flat)


batches = st.lists(
    st.tuples(st.dictionaries(st.integers(0, 60), st.one_of(st.none(), st.binary(max_size=4)), max_size=20), st.booleans()),
    max_size=30,
)


@given(batches)
def test_like_a_dictionary(blocks: list[tuple[dict[int, bytes | None], bool]]) -> None:
    commits, model = Commits(), dict[bytes, bytes | None]()
    for changes, fail in blocks:
        fold = sorted((key(n), value) for n, value in changes.items())
        commits.commit(len(fold), fold, fail=fail)
        if not fail:
            model.update(fold)
    for n in range(62):
        found = commits.set.find(key(n))
        expected = model.get(key(n))
        assert (None if isinstance(found, r.Missing) else found) == expected
    assert everything(commits) == {k: v for k, v in model.items() if v is not None}
    on_top: list[r.Entry] = sorted([(key(1), b"new"), (key(2), None)])
    kept = {k: v for k, v in {**model, **dict(on_top)}.items() if v is not None}
    assert everything(commits, on_top) == kept


@pytest.fixture(autouse=True)
def _small_fan_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merges of several levels with few entries."""
    monkeypatch.setattr(r, "FAN_OUT", 4)


def test_merges_keep_runs_few_and_do_a_bounded_slice_a_commit() -> None:
    commits = Commits()
    total, batch = 40_000, 500
    most = 0
    for start in range(0, total, batch):
        fold = sorted((key(n), b"%d" % n) for n in range(start, start + batch))
        before = len(commits.pages.data)
        reads = commits.pages.reads
        commits.commit(batch, fold)
        most = max(most, len(commits.pages.data) - before, commits.pages.reads - reads)
    levels = [run.level for run in commits.set.runs]
    assert max(levels) >= 2, "merges reached the third level"
    assert max(levels.count(level) for level in set(levels)) <= 2 * r.FAN_OUT
    # One fold, and a slice of each level's merge; a whole merge of the third level would write 500 pages and more.
    assert most < 150
    assert all(commits.set.find(key(n)) == b"%d" % n for n in range(0, total, 397))
    assert isinstance(commits.set.find(key(total + 1)), r.Missing)
    assert len(everything(commits)) == total


def test_deletions_disappear_when_nothing_older_is_left() -> None:
    commits = Commits()
    for round_ in range(4):
        commits.commit(64, sorted((key(n), None if round_ % 2 else b"x") for n in range(64)))
    for _ in range(20):
        commits.commit(1000)
    assert [len(run) for run in commits.set.runs] == [0]
    assert everything(commits) == {}


def test_keys_that_share_their_first_bytes_are_told_apart() -> None:
    commits = Commits()
    same = [(b"same" + n.to_bytes(28, "big"), b"%d" % n) for n in range(200)]
    commits.commit(200, same)
    assert all(commits.set.find(k) == v for k, v in same)
    assert isinstance(commits.set.find(b"same" + b"\xff" * 28), r.Missing)


def test_a_damaged_page_is_named() -> None:
    commits = Commits()
    commits.commit(1, [(key(1), b"x")])
    ((place, _),) = commits.pages.data.items()
    commits.pages.data[place] = b"rubbish"
    with pytest.raises(DamagedFile, match="page 0 of run"):
        commits.set.find(key(1))


def test_prefixes_are_stored_as_big_endian_bytes() -> None:
    run = r.NewRun()
    run.add([(b"\x00\x00\x00\x01" + bytes(28), None), (b"\xff\x00\x00\x00" + bytes(28), b"")])
    packed = run.prefixes().encode()
    assert packed == b"\x00\x00\x00\x01\xff\x00\x00\x00"
    assert r.unpack_prefixes(packed).encode() == packed


@pytest.mark.parametrize("spread", [1 << 32, 1 << 20, 40])
def test_a_prefix_is_found_wherever_it_stands(spread: int) -> None:
    """Evenly spread as hashes are, crowded into one corner, and with many repetitions; each beside a plain scan."""
    rng = Random(spread)
    runs = [sorted(rng.randrange(spread) for _ in range(size)) for size in (0, 1, 700, 3000)]
    search = PrefixSearch([KeyPrefixes(b"".join(p.to_bytes(4, "big") for p in run)) for run in runs])
    for prefix in [*{p for run in runs for p in run}, *(rng.randrange(spread) for _ in range(500)), 0, (1 << 32) - 1]:
        for start in range(len(runs) + 1):
            holders = [n for n in range(start, len(runs)) if prefix in runs[n]]
            expected = None
            if holders:
                first = runs[holders[0]].index(prefix)
                expected = (holders[0], first, first + runs[holders[0]].count(prefix))
            assert search.find(prefix.to_bytes(4, "big") + bytes(28), start) == expected


def test_prefixes_out_of_order_are_damage() -> None:
    with pytest.raises(DamagedFile, match="ascend"):
        r.unpack_prefixes(bytes.fromhex("0000000200000001"))


def _accepted(page: bytes) -> bool:
    try:
        RunMerge(1, 1, False).feed(0, page)
    except ValueError:
        return False
    return True


def _is_page(page: bytes) -> bool:
    try:
        keys = [key for key, _ in r.decode_page(page)]
    except CodecError:
        return False
    return all(len(key) == 32 for key in keys) and all(a < b for a, b in pairwise(keys))


@given(
    st.lists(st.tuples(st.integers(0, 5).map(key), st.one_of(st.none(), st.binary(max_size=9))), max_size=5),
    st.integers(0, 400),
    st.integers(0, 255),
)
def test_a_merge_takes_the_pages_that_decode_and_no_others(entries: list[tuple[bytes, bytes | None]], at: int, byte: int) -> None:
    """Native reading against the codec's, over ordered and unordered pages, each with one byte altered or cut off."""
    page = r.encode_page(entries)
    for variant in (page, page[:at], page[:at] + bytes([byte]) + page[at + 1 :], page + bytes([byte])):
        assert _accepted(variant) == _is_page(variant)


def test_a_merge_refuses_keys_that_go_back_to_an_earlier_page() -> None:
    merge = RunMerge(1, 32, False)
    merge.feed(0, r.encode_page([(key(2), b"")]))
    with pytest.raises(ValueError, match="wants no page"):
        merge.feed(0, r.encode_page([(key(3), b"")]))
    merge.step(1)
    with pytest.raises(ValueError, match="ascend"):
        merge.feed(0, r.encode_page([(min(key(n) for n in range(6)), b"")]))
