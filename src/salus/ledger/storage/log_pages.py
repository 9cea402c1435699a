"""Leaves of the Merkle log on disk: pages of 256 hashes, and above them pages of 256 page roots, and so on.

The root of a full page is one hash of the level above, so any perfect subtree lies within one page and costs at most
one page and 255 hashes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Final, Protocol

from salus.codec import Message, Size
from salus.errors import DamagedFile, Refused
from salus.ledger.merkle_log import MAX_LOG_BITS
from salus.merkle import tree_root

PAGE_BITS: Final = 8
HASHES_A_PAGE: Final = 1 << PAGE_BITS
HASH_BYTES: Final = 32
LEVELS: Final = MAX_LOG_BITS // PAGE_BITS
_PAGES_CACHED: Final = 64
"""Full pages kept in memory: half a megabyte."""

OpenPage = Annotated[bytes, Size(0, (HASHES_A_PAGE - 1) * HASH_BYTES)]


class OpenPages(Message, frozen=True):
    """The pages that are not full yet, one for each level, lowest first.

    :ivar first: leaves in front of this index are not kept here (a snapshot started later); 0 when all are.
    :ivar count: number of leaves.
    """

    KIND = "storage.open-log-pages"
    first: int
    count: int
    pages: Annotated[tuple[OpenPage, ...], Size(LEVELS, LEVELS)]


class LogPageStore(Protocol):
    """Where full pages lie."""

    def read_log_page(self, level: int, number: int) -> bytes | None:
        """A full page, or None if it was never written."""


NewPage = tuple[int, int, bytes]
"""(level, number, hashes) of a page that became full."""


class LogPages:
    """The hashes of one log.

    :ivar open_pages: what must be stored beside the full pages.
    """

    def __init__(self, store: LogPageStore, open_pages: OpenPages) -> None:
        self._store = store
        self.open_pages = open_pages
        self._cache: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def extended(self, leaf_hashes: Sequence[bytes]) -> tuple[OpenPages, list[NewPage]]:
        """The open pages after appending leaves, and the pages that became full on the way."""
        state = self.open_pages
        pages = [bytearray(p) for p in state.pages]
        full: list[NewPage] = []
        pages[0] += b"".join(leaf_hashes)
        numbers = [state.count >> PAGE_BITS * (level + 1) for level in range(LEVELS)]
        for level in range(LEVELS):
            while len(pages[level]) >= HASHES_A_PAGE * HASH_BYTES:
                data = bytes(pages[level][: HASHES_A_PAGE * HASH_BYTES])
                del pages[level][: HASHES_A_PAGE * HASH_BYTES]
                full.append((level, numbers[level], data))
                numbers[level] += 1
                pages[level + 1] += tree_root(split_hashes(data))
        count = state.count + len(leaf_hashes)
        return OpenPages(state.first, count, tuple(bytes(p) for p in pages)), full

    def subtree(self, level: int, index: int) -> bytes:
        """Root over leaves ``index * 2^level .. (index + 1) * 2^level - 1``.

        :raises Refused: ``not-found`` if one of them is not kept here.
        """
        state = self.open_pages
        start, end = index << level, (index + 1) << level
        if start < state.first or end > state.count:
            raise Refused("not-found", f"log leaves {start}..{end - 1}; kept here are {state.first}..{state.count - 1}")
        page_level, inner = divmod(level, PAGE_BITS)
        first = index << inner
        number, offset = divmod(first, HASHES_A_PAGE)
        data = self._page(page_level, number)
        part = data[offset * HASH_BYTES : (offset + (1 << inner)) * HASH_BYTES]
        return tree_root(split_hashes(part))

    def _page(self, level: int, number: int) -> bytes:
        if number == self.open_pages.count >> PAGE_BITS * (level + 1):
            return self.open_pages.pages[level]
        place = (level, number)
        data = self._cache.get(place)
        if data is None:
            data = self._store.read_log_page(level, number)
            if data is None or len(data) != HASHES_A_PAGE * HASH_BYTES:
                raise DamagedFile(f"page {number} of level {level} of the log is missing or damaged")
            self._cache[place] = data
            if len(self._cache) > _PAGES_CACHED:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(place)
        return data


def empty_pages(first: int = 0) -> OpenPages:
    """A log that starts at leaf ``first``: what is in front is filled with zeros and never read."""
    if first == 0:
        return OpenPages(0, 0, (b"",) * LEVELS)
    sizes = [(first >> PAGE_BITS * level) % HASHES_A_PAGE for level in range(LEVELS)]
    return OpenPages(first, first, tuple(bytes(size * HASH_BYTES) for size in sizes))


def split_hashes(data: bytes) -> list[bytes]:
    """The 32-byte hashes of a page."""
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]
