"""The value node's index: it finds exactly what a plain scan of the tags finds, for every shape of scopes and questions."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus import _native
from salus.errors import Refused
from salus.search.index import IndexPage, SearchIndex
from salus.search.tags import IndexEntry, TagKeys, discoverable_keys, make_tags, reader_keys
from support.search_world import NETWORK, SearchWorld, SeededRandom, index_of

EVERY = bytes(32)


class Plain:
    """The same index as a list that is looked through."""

    def __init__(self) -> None:
        self.entries: list[IndexEntry] = []

    def search(self, keys: TagKeys) -> list[tuple[int, bytes]]:
        found = []
        for place, scope in enumerate(keys.scopes()):
            for entry in self.entries:
                tags = {entry.tags[i : i + 16] for i in range(0, len(entry.tags), 16)}
                if scope in (entry.scope, EVERY) and keys.tags(entry.rid)[place] in tags:
                    found.append((place, entry.rid))
        return found


def build(seed: str, scopes: int, records: int, discoverable: bool = False):
    """An index, its plain twin, index keys by scope, and the tokens that occur in it."""
    random = SeededRandom(seed)
    index_keys = {random(32): random(32) for _ in range(scopes)}
    tokens = [random(64) for _ in range(12)]
    index, plain = SearchIndex(), Plain()
    for number in range(records):
        x = list(index_keys)[number % scopes]
        rid = random(16)
        held = [token for token in tokens[:10] if random(1)[0] < 60]
        entry = IndexEntry(rid, x, make_tags(NETWORK, x, rid, index_keys[x], held, discoverable and number % 2 == 0, random))
        index.add(entry)
        plain.entries.append(entry)
    return index, plain, index_keys, tokens


@pytest.mark.parametrize(("scopes", "records"), [(1, 1), (1, 100), (7, 100), (100, 100), (3, 20)])
@pytest.mark.parametrize("discoverable", [False, True])
def test_it_finds_what_a_plain_scan_finds(scopes: int, records: int, discoverable: bool) -> None:
    index, plain, index_keys, tokens = build(f"{scopes}/{records}", scopes, records, discoverable)
    asked = reader_keys(NETWORK, index_keys, tokens[8:])
    assert sorted(index.search(asked).records) == sorted(plain.search(asked))
    everywhere = discoverable_keys(NETWORK, tokens[8:])
    assert sorted(index.search(everywhere).records) == sorted(plain.search(everywhere))
    assert bool(index.search(everywhere).records) == discoverable


def test_records_of_other_scopes_are_no_candidates() -> None:
    """A tag copied from another scope finds nothing there: candidates are the scope's own."""
    world = SearchWorld()
    mine, theirs = world.scope(), world.scope()
    entry = world.entry(mine, ["hypertension"])
    copied = IndexEntry(world.random(16), theirs.x, entry.tags)
    moved = IndexEntry(entry.rid, theirs.x, entry.tags)
    keys = world.question([mine], ["hypertension"])
    assert index_of(entry, copied).search(keys).rids() == [entry.rid]
    assert index_of(copied).search(keys).rids() == []
    assert index_of(moved).search(keys).rids() == []
    assert index_of(moved).search(world.question([theirs], ["hypertension"])).rids() == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    wanted = _native.threads()
    index, plain, index_keys, tokens = build("threads", 40, 200)
    keys = reader_keys(NETWORK, index_keys, tokens[:4])
    try:
        _native.set_threads(threads)
        assert list(index.search(keys).records) == plain.search(keys)
    finally:
        _native.set_threads(wanted)


def test_more_candidates_than_one_task_takes() -> None:
    random = SeededRandom("large")
    x, ik, token = random(32), random(32), random(64)
    keys = reader_keys(NETWORK, {x: ik}, [token])
    index, matching = SearchIndex(), []
    for number in range(20_000):
        rid = number.to_bytes(16, "big")
        tags = sorted({number.to_bytes(15, "big") + bytes([i]) for i in range(8)})
        if number % 997 == 0:
            tags = sorted([*tags[:7], *keys.tags(rid)])
            matching.append(rid)
        index.add(IndexEntry(rid, x, b"".join(tags)))
    assert index.search(keys).rids() == matching
    some = index.search(keys, 5)
    assert some.rids() == matching[:5]
    assert some.more
    assert not index.search(keys, len(matching)).more


def test_tags_that_begin_alike() -> None:
    """The first two bytes are a fingerprint only: records whose tags all have the same are told apart."""
    random = SeededRandom("alike")
    x, ik, token = random(32), random(32), random(64)
    keys = reader_keys(NETWORK, {x: ik}, [token])
    index = SearchIndex()
    for number in range(64):
        rid = random(16)
        (tag,) = keys.tags(rid)
        tags = {tag[:2] + random(14) for _ in range(31)} | ({tag} if number % 2 else {tag[:2] + random(14)})
        index.add(IndexEntry(rid, x, b"".join(sorted(tags))))
        assert (rid in index.search(keys).rids()) == bool(number % 2)


@settings(max_examples=25)
@given(st.data())
def test_adding_and_removing(data: st.DataObject) -> None:
    _, plain, index_keys, tokens = build("changing", 3, 24)
    entries, index = plain.entries, SearchIndex()
    keys = reader_keys(NETWORK, index_keys, tokens[:3])
    present: dict[bytes, IndexEntry] = {}
    for _ in range(30):
        entry = data.draw(st.sampled_from(entries))
        if entry.rid in present:
            assert index.remove(entry.rid)
            assert not index.remove(entry.rid)
            del present[entry.rid]
        else:
            index.add(entry)
            present[entry.rid] = entry
    plain.entries = list(present.values())
    assert sorted(index.search(keys).records) == sorted(plain.search(keys))
    assert len(index) == len(present)
    assert index.scopes() == sorted({entry.scope for entry in present.values()})
    again = SearchIndex.load(IndexPage.decode(page.encode()) for page in index.pages())
    assert sorted(again.search(keys).records) == sorted(plain.search(keys))
    assert list(again.pages()) == list(index.pages())


def test_pages_of_a_large_scope() -> None:
    random = SeededRandom("pages")
    x, index = random(32), SearchIndex()
    tags = b"".join(sorted(random(16) for _ in range(8)))
    for number in range(2500):
        index.add(IndexEntry(number.to_bytes(16, "big"), x, tags))
    pages = list(index.pages())
    assert [len(page.entries) for page in pages] == [1024, 1024, 452]
    assert len(SearchIndex.load(pages)) == 2500


def test_refusals() -> None:
    world = SearchWorld()
    scope = world.scope()
    entry = world.entry(scope, ["hypertension"])
    index = index_of(entry)
    with pytest.raises(Refused, match="duplicate-record"):
        index.add(entry)
    with pytest.raises(Refused, match="duplicate-record"):
        index.add(IndexEntry(entry.rid, world.scope().x, entry.tags))
    other = world.random(16)
    for tags in (entry.tags[16:], entry.tags[16:] + entry.tags[:16], entry.tags[:16] * 8, entry.tags + entry.tags):
        with pytest.raises(Refused, match="bad-tags"):
            index.add(IndexEntry(other, scope.x, tags))
    with pytest.raises(Refused, match="bad-tags"):
        index.add(IndexEntry(other, EVERY, entry.tags))
    for found_max in (0, 1 << 17):
        with pytest.raises(Refused, match="too-large"):
            index.search(world.question([scope], ["hypertension"]), found_max)
    assert not index.remove(b"short")
    assert len(index) == 1
    assert index.memory_bytes > 8 * 18


def test_searching_while_others_add() -> None:
    """Readers see whole records or none; nothing is lost."""
    index, plain, index_keys, tokens = build("threads at once", 5, 60)
    keys = reader_keys(NETWORK, index_keys, tokens[:2])
    expected = set(plain.search(keys))
    fresh, failures = SearchIndex(), []

    def look() -> None:
        for _ in range(200):
            if not set(fresh.search(keys).records) <= expected:
                failures.append("found what is not there")

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for entry in plain.entries:
        fresh.add(entry)
    for reader in readers:
        reader.join()
    assert failures == []
    assert set(fresh.search(keys).records) == expected == set(index.search(keys).records)
