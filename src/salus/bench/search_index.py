"""The searching node: one keyword over indexes of many records and scopes, beside its floor; what an index takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from salus import _native
from salus._native import bench_native
from salus.bench.model import Cell, Context, Part, Plot, Section, Target
from salus.bench.timing import best_ms
from salus.search.index import SearchIndex
from salus.search.tags import IndexEntry, TagKeys, make_tags, padded, reader_keys

LIMIT: Final = 3.0
"""A search costs at most this much of its floor."""
RECORDS: Final = (10_000, 100_000, 1_000_000)
SCOPES: Final = (1, 1_000, 100_000)
TAGS: Final = 16
"""Tags of each record of the measured indexes: a result or a note with its codes and words."""
_MATCHES: Final = 100
"""Records of each index that the keyword finds."""
_SETS: Final = 4096
_NETWORK: Final = bytes(32)
_WORDS: Final = (1, 8, 20, 60, 250, 500, 1000)


def primitives(context: Context) -> Part:
    """Set-up of an AES-256 key, one AES block, one look-up in a native table, each alone in a native loop."""
    repeats = 2 if context.quick else 7
    names = {
        "aes_key": ("AES-256 key set-up", 20_000),
        "aes_block": ("one block of AES-256, many under one key", 400_000),
        **{_look_up(n): (f"look-up of an absent tag in a hash table of {n:,} tags", min(n, 200_000)) for n in _records(context)},
    }
    rows: list[tuple[Cell, ...]] = []
    for name, (meaning, iterations) in names.items():
        seconds = min(bench_native(name, iterations) for _ in range(repeats)) / iterations
        context.measured_ms[name] = seconds * 1000
        rows.append((name, meaning, seconds * 1e9))
    notes = (
        "A hash table from tags to records, hashed by their own first bytes (they are random); absent tags cost one probe.",
        "The loops' accesses are independent of each other, so that the processor overlaps them, as a search may.",
    )
    section = Section("search-primitives", "Floor of a look-up", ("primitive", "meaning", "ns"), tuple(rows), notes)
    return Part((section,))


def look_ups(context: Context) -> Part:
    """One keyword over every candidate, beside a key set-up for each scope and a block and a look-up for each record."""
    rows: list[tuple[Cell, ...]] = []
    targets: list[Target] = []
    for records in _records(context):
        for scopes in SCOPES:
            if scopes > records:
                continue
            index, keys, planted = _index(context, records, scopes)
            one, all_cores = _measure(index, keys, planted, 3 if context.quick else 9)
            ms = context.measured_ms
            floor = scopes * ms["aes_key"] + records * (ms["aes_block"] + ms[_look_up(records)])
            rows.append((records, scopes, one, floor, one / floor, all_cores, len(planted)))
            targets.append(
                Target(f"one keyword over {records:,} records in {scopes:,} scopes: over its floor", one / floor, LIMIT)
            )
    columns = ("records", "scopes", "one_core_ms", "floor_ms", "ratio", "all_cores_ms", "found")
    notes = (
        f"Records of {TAGS} tags; every record of every scope is a candidate. The smallest of several runs.",
        "Floor: a key set-up for each scope, one AES block and one look-up for each candidate.",
    )
    section = Section("look-ups", "Looking up one keyword", columns, tuple(rows), notes)
    return Part((section,), tuple(targets), (_plot(rows),))


def index_sizes(context: Context) -> Part:
    """Bytes of a record's index: in its transaction, and in the searching node's memory."""
    rows: list[tuple[Cell, ...]] = []
    scope, index_key = context.random(32), context.random(32)
    for words in _WORDS:
        tokens = [context.random(64) for _ in range(words)]
        for discoverable in (False, True):
            tags = make_tags(_NETWORK, scope, context.random(16), index_key, tokens, discoverable, context.random)
            entry = IndexEntry(context.random(16), scope, tags)
            index = SearchIndex()
            for _ in range(200):
                index.add(IndexEntry(context.random(16), scope, tags))
            rows.append(
                (
                    words,
                    discoverable,
                    padded(words * (1 + discoverable)),
                    len(tags),
                    len(entry.encode()),
                    index.memory_bytes / 200,
                )
            )
    columns = ("keywords", "discoverable", "tags", "tags_bytes", "entry_bytes", "memory_bytes")
    notes = (
        "Tags are what a record's transaction carries for the index; an entry also names the record and its scope.",
        "Memory: of a node that searches, for each of 200 records in one scope.",
    )
    return Part((Section("index-sizes", "Index bytes of a record", columns, tuple(rows), notes),))


def _records(context: Context) -> tuple[int, ...]:
    return RECORDS[:1] if context.quick else RECORDS


def _look_up(records: int) -> str:
    return f"table_look_up_{records}"


def _index(context: Context, records: int, scopes: int) -> tuple[SearchIndex, TagKeys, set[bytes]]:
    """An index in which a keyword is held by some records, spread evenly; records arrive scope after scope in turn."""
    names = [context.random(32) for _ in range(scopes)]
    index_keys, token = {name: context.random(32) for name in names}, context.random(64)
    keys = reader_keys(_NETWORK, index_keys, [token])
    # What the other tags are makes no difference to the time, so some thousand sets of them serve.
    drawn = context.random(_SETS * TAGS * 16)
    sets = [sorted(drawn[(s * TAGS + t) * 16 :][:16] for t in range(TAGS)) for s in range(_SETS)]
    joined = [b"".join(tags) for tags in sets]
    index, planted, step = SearchIndex(), set(), records // _MATCHES
    for number in range(records):
        rid, tags = number.to_bytes(16, "big"), joined[number % _SETS]
        if number % step == 0:
            name = names[number % scopes]
            (tag,) = reader_keys(_NETWORK, {name: index_keys[name]}, [token]).tags(rid)
            tags = b"".join(sorted([*sets[number % _SETS][1:], tag]))
            planted.add(rid)
        index.add(IndexEntry(rid, names[number % scopes], tags))
    return index, keys, planted


def _measure(index: SearchIndex, keys: TagKeys, planted: set[bytes], repeats: int) -> tuple[float, float]:
    """Milliseconds on one core and on all; what is found is checked each time."""

    def search() -> None:
        if set(index.search(keys).rids()) != planted:
            raise AssertionError("the search found something else than was put there")

    with threads(1):
        one = best_ms(search, repeats)
    return one, best_ms(search, repeats)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Batch calls use ``count`` threads meanwhile."""
    wanted = _native.threads()
    _native.set_threads(count)
    try:
        yield
    finally:
        _native.set_threads(wanted)


def _plot(rows: Sequence[tuple[Cell, ...]]) -> Plot:
    labels = tuple(f"{row[0]:,} records, {row[1]:,} scopes" for row in rows)
    series = tuple((name, tuple(float(row[at] or 0) for row in rows)) for name, at in (("search", 2), ("floor", 3)))
    return Plot("look-ups", "One keyword, one core", "ms", series, labels=labels, logarithmic=True)
