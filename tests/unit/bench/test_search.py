"""The bench of keyword search: a quick run of everything, and that a search that finds the wrong records is no figure."""

from __future__ import annotations

import pytest

from salus.bench import search, search_index
from salus.bench.model import Context
from salus.search.index import SearchIndex


def test_a_quick_run() -> None:
    result = search.run(None, quick=True)
    sections = {section.key: section for section in result.sections}
    assert {"look-ups", "index-sizes", "tokens", "questions"} <= set(sections)
    assert [target.limit for target in result.targets] == [search_index.LIMIT] * 2
    assert all(row["tokens_per_s_of_a_node"] > 0 for row in sections["tokens"].records())
    assert [row["found"] for row in sections["look-ups"].records()] == [100, 100]
    sizes = {(row["keywords"], row["discoverable"]): row["tags_bytes"] for row in sections["index-sizes"].records()}
    assert sizes[1, False] == 128
    assert sizes[1000, True] == 32_768


def test_a_wrong_search_is_noticed() -> None:
    index, keys, planted = search_index._index(Context(quick=True), 1000, 10)
    search_index._measure(index, keys, planted, 1)
    with pytest.raises(AssertionError, match="something else"):
        search_index._measure(SearchIndex(), keys, planted, 1)
