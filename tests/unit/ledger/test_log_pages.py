"""Pages of the log's leaves against a log in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from salus.errors import DamagedFile, Refused
from salus.ledger.merkle_log import EMPTY_LOG, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion
from salus.ledger.storage.log_pages import HASHES_A_PAGE, LogPages, empty_pages
from salus.merkle import leaf_hash, tree_root


class Store:
    def __init__(self) -> None:
        self.pages: dict[tuple[int, int], bytes] = {}

    def read_log_page(self, level: int, number: int) -> bytes | None:
        return self.pages.get((level, number))


def grown(counts: list[int], first: int = 0) -> tuple[LogPages, list[bytes]]:
    store = Store()
    pages = LogPages(store, empty_pages(first))
    hashes: list[bytes] = []
    for count in counts:
        new = [leaf_hash(b"%d" % (first + len(hashes) + i)) for i in range(count)]
        hashes += new
        state, full = pages.extended(new)
        store.pages |= {(level, number): data for level, number, data in full}
        pages.open_pages = state
    return pages, hashes


@given(st.lists(st.integers(0, 700), max_size=5), st.data())
def test_subtrees_are_those_of_the_leaves(counts: list[int], data: st.DataObject) -> None:
    pages, hashes = grown(counts)
    if not hashes:
        return
    level = data.draw(st.integers(0, len(hashes).bit_length() - 1))
    index = data.draw(st.integers(0, (len(hashes) >> level) - 1))
    assert pages.subtree(level, index) == tree_root(hashes[index << level : (index + 1) << level])


def test_proofs_over_several_pages() -> None:
    pages, hashes = grown([HASHES_A_PAGE * HASHES_A_PAGE + 3 * HASHES_A_PAGE + 17])
    count = len(hashes)
    root = EMPTY_LOG.extended(hashes).root()
    for index in (0, 1, 255, 256, 65535, 65536, count - 18, count - 1):
        verify_inclusion(prove_inclusion(index, count, pages.subtree), hashes[index], root)
    for first in (1, 256, 1000, 65536, count - 1):
        proof = prove_consistency(first, count, pages.subtree)
        verify_consistency(proof, EMPTY_LOG.extended(hashes[:first]).root(), root)


@pytest.mark.parametrize("first", [1, 255, 256, 257, 70000])
def test_a_log_that_starts_after_a_snapshot_refuses_what_it_never_saw(first: int) -> None:
    pages, hashes = grown([300, 400], first)
    for i in (0, 299, 699):
        assert pages.subtree(0, first + i) == hashes[i]
    with pytest.raises(Refused, match="not-found"):
        pages.subtree(0, first - 1)
    with pytest.raises(Refused, match="not-found"):
        pages.subtree(17, 0)
    aligned = -(-first // 256) * 256 - first
    assert pages.subtree(8, (first + aligned) >> 8) == tree_root(hashes[aligned : aligned + 256])


def test_what_is_past_the_end_is_not_found() -> None:
    pages, _ = grown([10])
    for level, index in ((0, 10), (3, 1), (4, 0)):
        with pytest.raises(Refused, match="not-found"):
            pages.subtree(level, index)


def test_a_missing_or_short_page_is_named() -> None:
    pages, _ = grown([600])
    store = pages._store
    assert isinstance(store, Store)
    for damage in (b"short", None):
        store.pages[0, 1] = damage  # type: ignore[assignment]
        with pytest.raises(DamagedFile, match="page 1 of level 0"):
            LogPages(store, replace(pages.open_pages)).subtree(0, 300)
