"""The value node's index: records of every scope with their tags, and the search over them.

Kept in memory and rebuilt from what its owner stores (the ledger's state, or the pages written here). Steps:
docs/protocol/search.md, "looking up".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec

from salus._native import IndexTable, TagKeys
from salus.codec import Bytes16, Bytes32, Message, Size
from salus.errors import Refused, refuse_unless
from salus.search.tags import RID_BYTES, IndexEntry, Tags, check_tags_form

FOUND_MAX: Final = 1 << 16
"""Records that one search gives at most: a megabyte of ids, and more than anyone asks to be granted."""
PAGE_ENTRIES_MAX: Final = 1024
"""Of records with the most tags that is 32 MiB, half of what one encoding may have."""


class PageEntry(Message, frozen=True):
    """A record of a page."""

    KIND = "search.page-entry"

    rid: Bytes16
    tags: Tags


class IndexPage(Message, frozen=True):
    """Some records of one scope, for whoever stores the index."""

    KIND = "search.index-page"

    scope: Bytes32
    entries: Annotated[tuple[PageEntry, ...], Size(1, PAGE_ENTRIES_MAX)]


class Found(msgspec.Struct, frozen=True):
    """What a search found.

    :ivar records: (place of the key in the question, rid), by place.
    :ivar more: whether there are more than were asked for.
    """

    records: tuple[tuple[int, bytes], ...]
    more: bool

    def rids(self) -> list[bytes]:
        """The records, each once, in the order found."""
        return list(dict.fromkeys(rid for _, rid in self.records))


class SearchIndex:
    """Records, their scopes and tags. Reading and changing from several threads is safe."""

    def __init__(self) -> None:
        self._table = IndexTable()

    def add(self, entry: IndexEntry) -> None:
        """Add a record (looking up, step 1).

        :raises Refused: ``bad-tags`` for tags of another form; ``duplicate-record`` if the rid is there already.
        """
        check_tags_form(entry.tags)
        refuse_unless(self._table.scope_of(entry.rid) is None, "duplicate-record", "a record of that id is in the index")
        try:
            self._table.add(entry.scope, entry.rid, entry.tags)
        except ValueError as error:
            raise Refused("bad-tags", str(error)) from None

    def remove(self, rid: bytes) -> bool:
        """Remove a record that was erased or superseded; whether it was there."""
        return self._table.remove(rid) if len(rid) == RID_BYTES else False

    def search(self, keys: TagKeys, found_max: int = FOUND_MAX) -> Found:
        """Look up every candidate under its keys, in one native call (looking up, steps 2 and 3).

        Candidates are the records of each key's scope; for a key of discoverable records, all of them.

        :param keys: of a question. :param found_max: 1 to 65,536.
        :raises Refused: ``too-large``.
        """
        refuse_unless(1 <= found_max <= FOUND_MAX, "too-large", f"a search gives 1 to {FOUND_MAX} records")
        records = self._table.search(keys, found_max + 1)
        return Found(tuple(records[:found_max]), len(records) > found_max)

    def scopes(self) -> list[bytes]:
        """Every scope that has records, ascending."""
        return self._table.scopes()

    def pages(self) -> Iterator[IndexPage]:
        """The whole index, scope by scope, for its owner to store; :meth:`load` reads it back."""
        for scope in self._table.scopes():
            yield from self._pages_of(scope)

    @classmethod
    def load(cls, pages: Iterable[IndexPage]) -> SearchIndex:
        """An index of stored pages.

        :raises Refused: ``bad-tags``, ``duplicate-record``.
        """
        index = cls()
        for page in pages:
            for entry in _entries(page):
                index.add(entry)
        return index

    @property
    def memory_bytes(self) -> int:
        """Memory that it takes."""
        return self._table.memory_bytes()

    def __len__(self) -> int:
        return len(self._table)

    def _pages_of(self, scope: bytes) -> Iterator[IndexPage]:
        start = 0
        while batch := self._table.entries(scope, start, PAGE_ENTRIES_MAX):
            yield IndexPage(scope, tuple(PageEntry(rid, tags) for rid, tags in batch))
            start += len(batch)


def _entries(page: IndexPage) -> Iterator[IndexEntry]:
    return (IndexEntry(entry.rid, page.scope, entry.tags) for entry in page.entries)
