"""The bench of thresholds: every committee size has its rows, and every key and record comes out."""

from __future__ import annotations

import pytest

from salus.bench.model import Context, Part
from salus.bench.threshold import thresholds
from support.consultation_world import SeededRandom


@pytest.fixture(scope="module")
def part() -> Part:
    return thresholds(Context(quick=True, random=SeededRandom("bench")))


def test_every_table_has_every_size(part: Part):
    assert [(s.key, [row[0] for row in s.rows]) for s in part.sections] == [
        ("threshold-issuing", [4, 7]),
        ("threshold-re-encryption", [4, 7]),
        ("threshold-deals", [4, 4, 4, 7, 7, 7]),
        ("threshold-hand-over", [4, 7]),
    ]


def test_sizes_grow_with_the_committee(part: Part):
    issuing, turned, _, moved = part.sections
    for section, column in ((issuing, "received_bytes"), (turned, "received_bytes"), (moved, "all_deals_bytes")):
        small, large = (record[column] for record in section.records())
        assert 0 < small < large


def test_delegations_of_before_are_served_after(part: Part):
    assert {row[-1] for row in part.sections[3].rows} == {"3 of 3"}
    assert [t.name for t in part.targets] == ["a new member's work for a live delegation, over decoding one point"]
