"""Due-time queues: what is due goes, nothing else does, and a block never deletes more than its bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.errors import StorageError
from salus.ledger import expiry
from salus.ledger.expiry import DAY_MS, DELETIONS_A_BLOCK, ENTRIES_AN_ITEM, clean_up, due_ms_of, enqueue, expiring, live, start
from salus.ledger.state import EmptyState, MemoryState, Overlay

KIND = "test"


class Blocks:
    """A state to which blocks add expiring values and from which they clean up."""

    def __init__(self, time_ms: int = 0) -> None:
        self.state = MemoryState()
        overlay = Overlay(EmptyState())
        start(overlay, time_ms)
        self.state.write(overlay.write_set())

    def block(self, time_ms: int, due: dict[bytes, int]) -> int:
        overlay = Overlay(self.state)
        for raw, due_ms in due.items():
            overlay.put(KIND, raw, expiring(due_ms, b"content"))
        deleted = clean_up(overlay, time_ms)
        enqueue(overlay, ((due_ms, KIND, raw) for raw, due_ms in due.items()))
        self.state.write(overlay.write_set())
        return deleted

    def there(self, raw: bytes) -> bool:
        return self.state.get(KIND, raw) is not None


def test_an_expired_value_reads_as_absent_before_it_is_deleted() -> None:
    blocks = Blocks()
    blocks.block(0, {b"a": 500})
    assert live(blocks.state, KIND, b"a", 499) == b"content"
    assert live(blocks.state, KIND, b"a", 500) is None
    assert blocks.there(b"a")
    blocks.block(DAY_MS, {})
    assert not blocks.there(b"a")


def test_values_go_when_their_day_is_over_and_not_before() -> None:
    blocks = Blocks()
    due = {b"day %d" % day: day * DAY_MS + 5 for day in range(10)}
    blocks.block(1, due)
    for day in range(10):
        blocks.block((day + 1) * DAY_MS - 1, {})
        assert blocks.there(b"day %d" % day)
        blocks.block((day + 1) * DAY_MS, {})
        assert not blocks.there(b"day %d" % day)
        assert sum(map(blocks.there, due)) == 9 - day
    # Nothing is left of the queues themselves but the pointer.
    assert len(blocks.state.values) == 1


def test_no_block_deletes_more_than_its_bound_and_all_is_deleted_in_the_end() -> None:
    blocks = Blocks()
    total = 5 * DELETIONS_A_BLOCK + 7
    blocks.block(1, {b"%d" % i: 1000 for i in range(total)})
    time_ms, counts = DAY_MS, []
    while True:
        deleted = blocks.block(time_ms, {})
        time_ms += 1
        if not deleted:
            break
        counts.append(deleted)
    assert max(counts) <= DELETIONS_A_BLOCK
    assert len(counts) == -(-total // (2 * ENTRIES_AN_ITEM))
    assert len(blocks.state.values) == 1


def test_a_value_written_anew_is_not_deleted_by_its_old_entry() -> None:
    blocks = Blocks()
    blocks.block(0, {b"a": 10})
    blocks.block(20, {b"a": 5 * DAY_MS})
    blocks.block(DAY_MS, {})
    assert blocks.there(b"a")
    blocks.block(6 * DAY_MS, {})
    assert not blocks.there(b"a")


def test_what_is_due_in_days_already_passed_is_queued_for_the_next() -> None:
    blocks = Blocks(10 * DAY_MS)
    blocks.block(10 * DAY_MS, {b"late": 3 * DAY_MS})
    blocks.block(11 * DAY_MS, {})
    assert not blocks.there(b"late")


def test_years_without_a_block_are_caught_up_in_bounded_steps() -> None:
    blocks = Blocks()
    blocks.block(0, {b"a": 3000 * DAY_MS})
    for _ in range(3000 // expiry._DAYS_A_BLOCK + 1):
        blocks.block(4000 * DAY_MS, {})
    blocks.block(4000 * DAY_MS, {})
    assert not blocks.there(b"a")


@given(st.lists(st.tuples(st.integers(0, 3 * DAY_MS), st.lists(st.integers(0, 5 * DAY_MS), max_size=5)), max_size=12))
def test_exactly_what_is_over_by_a_day_is_gone(script: list[tuple[int, list[int]]]) -> None:
    blocks = Blocks()
    expected: dict[bytes, int] = {}
    now = 0
    for step, dues in script:
        now += step
        new = {b"%d" % (len(expected) + i): now + due for i, due in enumerate(dues)}
        expected |= new
        blocks.block(now, new)
    blocks.block(now, {})
    for raw, due in expected.items():
        assert blocks.there(raw) == ((due // DAY_MS + 1) * DAY_MS > now)


def test_values_say_when_they_are_due() -> None:
    assert due_ms_of(expiring(77, b"x")) == 77


def test_a_state_without_genesis_is_named() -> None:
    with pytest.raises(StorageError, match="not made from a genesis"):
        clean_up(Overlay(EmptyState()), 0)
