"""A persistent map of 32-byte keys in sorted runs of pages (a log-structured merge tree).

New entries gather in memory; a *fold* writes them as one sorted run of pages with many entries each. When a level has
:data:`FAN_OUT` runs, they are merged into one of the next level, a slice with every commit, so that the cost of a
commit does not depend on how much is there. A run keeps four bytes of every key in memory, which says where an entry
stands and, but for one in millions, whether it is there at all.

This module is about which pages to write, read and drop; where they lie is the :class:`PageStore`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any, Final, Protocol, cast

from salus._native import KeyPrefixes, PrefixSearch, RunMerge
from salus.codec import decode, encode
from salus.errors import CodecError, DamagedFile

ENTRIES_A_PAGE: Final = 32
"""Entries of one page: mostly below the 8 KiB of a database page, so that one read of the disk fetches it."""
FAN_OUT: Final = 16
"""Runs merged into one: an entry is written again once for each factor of sixteen in size; passing a run by costs a tenth of
a microsecond, so more of them cost little."""
MERGE_SLICE: Final = 1.25
"""Entries that every running merge handles for one entry committed: a merge is done before the next of its level is due, and
is spread over nearly all that time, so that no commit bears more of it than another."""
MERGE_SLICE_AT_LEAST: Final = 64

Entry = tuple[bytes, bytes | None]
"""(key, value); None marks a deletion."""


class PageStore(Protocol):
    """Where pages lie."""

    def read_page(self, run: int, number: int) -> bytes:
        """A page that was written.

        :raises DamagedFile: if it is not there.
        """


class Missing:
    """Says that a key is in no run (None says that it was deleted)."""


MISSING: Final = Missing()


class Run:
    """One sorted run.

    :ivar number: names its pages. :ivar order: newer runs have larger ones. :ivar level: how often it was merged.
    :ivar prefixes: first four bytes of every key, ascending.
    """

    __slots__ = ("level", "number", "order", "prefixes")

    def __init__(self, number: int, order: int, level: int, prefixes: KeyPrefixes) -> None:
        self.number = number
        self.order = order
        self.level = level
        self.prefixes = prefixes

    def __len__(self) -> int:
        return len(self.prefixes)

    @property
    def pages(self) -> int:
        """Number of its pages."""
        return -(-len(self.prefixes) // ENTRIES_A_PAGE)

    def find(self, store: PageStore, key: bytes, places: range) -> bytes | Missing | None:
        """Value of a key, None if it is marked as deleted, or MISSING.

        :param places: of the entries with the key's prefix.
        """
        for place in places:
            page, offset = divmod(place, ENTRIES_A_PAGE)
            found, value = read_entry(store, self.number, page, offset)
            if found == key:
                return value
        return MISSING


class NewRun:
    """A run being written: takes ascending entries and gives full pages.

    :ivar pages: encoded pages that are not taken yet.
    """

    def __init__(self) -> None:
        self._prefixes = bytearray()
        self._rest: list[Entry] = []

    def add(self, entries: Sequence[Entry]) -> list[bytes]:
        """Add ascending entries; returns the pages that became full."""
        self._prefixes += b"".join([key[:4] for key, _ in entries])
        self._rest += entries
        full = len(self._rest) // ENTRIES_A_PAGE * ENTRIES_A_PAGE
        pages = [encode_page(self._rest[i : i + ENTRIES_A_PAGE]) for i in range(0, full, ENTRIES_A_PAGE)]
        del self._rest[:full]
        return pages

    def prefixes(self) -> KeyPrefixes:
        """Of all keys so far."""
        return unpack_prefixes(bytes(self._prefixes))

    def finish(self) -> list[bytes]:
        """The last page, if entries are left."""
        rest, self._rest = self._rest, []
        return [encode_page(rest)] if rest else []


class Merge:
    """Several runs becoming one, slice by slice.

    :ivar sources: the runs, oldest first. :ivar number: of the run that is being written. :ivar written: pages so far.
    """

    def __init__(self, store: PageStore, sources: Sequence[Run], number: int, *, drop_deleted: bool) -> None:
        self._store = store
        self.sources = list(sources)
        self.number = number
        self._next_page = [0] * len(self.sources)
        self._merge = RunMerge(len(self.sources), ENTRIES_A_PAGE, drop_deleted)
        self.written = 0

    @property
    def done(self) -> bool:
        """Nothing is left to do."""
        return self._merge.done

    def step(self, budget: int) -> list[bytes]:
        """Handle about ``budget`` entries; returns the encoded pages to write next, in order.

        :raises DamagedFile: a source's page is missing, or is none.
        """
        pages: list[bytes] = []
        while budget > 0 and not self.done:
            for i in self._merge.wants():
                self._load(i)
            new, handled = self._merge.step(budget)
            pages += new
            budget -= handled
        self.written += len(pages)
        return pages

    def result(self) -> Run:
        """The finished run, in the place of its newest source."""
        newest = self.sources[-1]
        return Run(self.number, newest.order, newest.level + 1, self._merge.prefixes())

    def _load(self, source: int) -> None:
        run, number = self.sources[source], self._next_page[source]
        if number == run.pages:
            self._merge.end(source)
            return
        try:
            self._merge.feed(source, self._store.read_page(run.number, number))
        except ValueError as error:
            raise DamagedFile(f"page {number} of run {run.number} is damaged: {error}") from None
        self._next_page[source] += 1


class Changes:
    """What one commit changes on disk, to be written in its transaction and adopted after it.

    :ivar new_runs: finished runs. :ivar old_runs: runs that they replace. :ivar pages: (run, number, data).
    """

    def __init__(self) -> None:
        self.new_runs: list[Run] = []
        self.old_runs: list[Run] = []
        self.pages: list[tuple[int, int, bytes]] = []


class RunSet:
    """All runs of one map.

    :param next_number: gives a fresh run number; numbers are never used twice.
    """

    def __init__(self, store: PageStore, runs: Sequence[Run], next_number: Callable[[], int]) -> None:
        self._store = store
        self._next_number = next_number
        self._set_runs(runs)
        self._merges: list[Merge] = []
        self._start_merges()

    @property
    def runs(self) -> list[Run]:
        """The runs, oldest first."""
        return list(self._runs)

    def find(self, key: bytes) -> bytes | Missing | None:
        """Newest value of a key, None if it is deleted, or MISSING."""
        start = 0
        # Nearly all runs are passed by natively: they do not have even the prefix.
        while (found := self._search.find(key, start)) is not None:
            number, first, end = found
            value = self._newest_first[number].find(self._store, key, range(first, end))
            if not isinstance(value, Missing):
                return value
            start = number + 1
        return MISSING

    def entries(self, newest: Sequence[Entry]) -> Iterator[list[tuple[bytes, bytes]]]:
        """All live entries, ascending, in chunks; ``newest`` are ascending entries on top of the runs."""
        top = NewRun()
        pages = [*top.add(newest), *top.finish()]
        memory = _MemoryPages(self._store, -1, pages)
        run = Run(-1, 0, 0, top.prefixes())
        merge = Merge(memory, [*self._runs, run], 0, drop_deleted=True)
        while not merge.done:
            for page in merge.step(4 * ENTRIES_A_PAGE):
                yield [(key, value) for key, value in decode_page(page) if value is not None]

    def work(self, committed: int, fold: Sequence[Entry] | None) -> Changes:
        """What to write with one commit: a slice of every merge, and a new run if ``fold`` is given.

        :param committed: entries of this commit: merges advance in proportion.
        :param fold: ascending entries to fold into a new run.
        """
        changes = Changes()
        budget = max(int(MERGE_SLICE * committed), MERGE_SLICE_AT_LEAST)
        for merge in self._merges:
            first = merge.written
            changes.pages += [(merge.number, first + i, page) for i, page in enumerate(merge.step(budget))]
            if merge.done:
                changes.new_runs.append(merge.result())
                changes.old_runs += merge.sources
        if fold:
            changes.new_runs.append(self._fold(fold, changes))
        return changes

    def adopt(self, changes: Changes) -> None:
        """Take over what was written, once it is committed; starts the merges that are due."""
        gone = {id(run) for run in changes.old_runs}
        self._set_runs([r for r in self._runs if id(r) not in gone] + changes.new_runs)
        self._merges = [m for m in self._merges if not m.done]
        self._start_merges()

    def abandon(self) -> list[int]:
        """A commit failed: merges lost pages and start again; returns the numbers of runs that are left unfinished."""
        numbers = [merge.number for merge in self._merges if merge.written]
        self._merges = []
        self._start_merges()
        return numbers

    def _set_runs(self, runs: Sequence[Run]) -> None:
        self._runs = sorted(runs, key=_order)
        self._newest_first = self._runs[::-1]
        self._search = PrefixSearch([run.prefixes for run in self._newest_first])

    def _fold(self, entries: Sequence[Entry], changes: Changes) -> Run:
        number, new = self._next_number(), NewRun()
        pages = [*new.add(entries), *new.finish()]
        changes.pages += [(number, i, page) for i, page in enumerate(pages)]
        return Run(number, number, 0, new.prefixes())

    def _start_merges(self) -> None:
        busy = {id(run) for merge in self._merges for run in merge.sources}
        for level in sorted({run.level for run in self._runs}):
            ready = [r for r in self._runs if r.level == level and id(r) not in busy]
            if len(ready) >= FAN_OUT and not any(m.sources[0].level == level for m in self._merges):
                sources = ready[:FAN_OUT]
                # Nothing older is left below: deletions have nothing to hide any more.
                oldest = sources[0] is self._runs[0]
                self._merges.append(Merge(self._store, sources, self._next_number(), drop_deleted=oldest))


class _MemoryPages:
    """Pages of one run in memory, all others from the store."""

    def __init__(self, store: PageStore, number: int, pages: list[bytes]) -> None:
        self._store = store
        self._number = number
        self._pages = pages

    def read_page(self, run: int, number: int) -> bytes:
        return self._pages[number] if run == self._number else self._store.read_page(run, number)


def encode_page(entries: Sequence[Entry]) -> bytes:
    """Canonical encoding of a page: the tuple of its (key, value or None)."""
    return encode(tuple(entries))


def decode_page(page: bytes) -> Sequence[Entry]:
    """Inverse of :func:`encode_page`.

    :raises CodecError: if it is not the encoding of a page.
    """
    entries: Any = decode(page)
    if type(entries) is not tuple or not _are_entries(entries):
        raise CodecError("a page is a tuple of keys with their values")
    return cast("Sequence[Entry]", entries)


def _are_entries(items: tuple[Any, ...]) -> bool:
    """:func:`_is_entry` of all, in a few passes over all of them."""
    if {*map(type, items)} - {tuple} or {*map(len, items)} - {2}:
        return False
    keys, values = map(itemgetter(0), items), map(itemgetter(1), items)
    return not ({*map(type, keys)} - {bytes} or {*map(type, values)} - {bytes, NoneType})


def _is_entry(item: Any) -> bool:
    return type(item) is tuple and len(item) == 2 and type(item[0]) is bytes and type(item[1]) in (bytes, NoneType)


def read_entry(store: PageStore, run: int, number: int, offset: int) -> Entry:
    """One entry of one page; of the others only the encoding is checked.

    :raises DamagedFile: if it is not there.
    """
    page = store.read_page(run, number)
    try:
        entries: Any = decode(page)
    except CodecError as error:
        raise DamagedFile(f"page {number} of run {run} is damaged: {error}") from None
    if type(entries) is not tuple or offset >= len(entries) or not _is_entry(entries[offset]):
        raise DamagedFile(f"page {number} of run {run} is damaged: entry {offset} is not there")
    return cast("Entry", entries[offset])


def unpack_prefixes(data: bytes) -> KeyPrefixes:
    """Prefixes from four big-endian bytes each.

    :raises DamagedFile: of another length, or not ascending.
    """
    try:
        return KeyPrefixes(data)
    except ValueError as error:
        raise DamagedFile(f"a run's key prefixes are damaged or truncated: {error}") from None


def _order(run: Run) -> int:
    return run.order
