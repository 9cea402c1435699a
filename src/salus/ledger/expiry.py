"""Due-time queues: what the state must forget, found without scanning it.

A value that expires starts with its due time (8 bytes). Its key is queued under the day in which it is due; a pointer
names the first day that is not cleaned up yet. Every block deletes at most :data:`DELETIONS_A_BLOCK` entries of days
that are over. Readers compare the due time themselves, so nothing depends on when the clean-up comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from salus.codec import Label, Message, Size
from salus.ledger.state import Overlay, StateView, Table

DAY_MS: Final = 24 * 3600 * 1000
DELETIONS_A_BLOCK: Final = 1000
"""Bound of the clean-up in one block: some milliseconds of work beside the block's own."""
ENTRIES_AN_ITEM: Final = 499
"""Keys of one queue item: two items with themselves fill a block's deletions."""
NEVER_MS: Final = (1 << 63) - 1
"""Due time of a value that is kept for good, and so is not queued: what was signed once and must not count again."""
_DAYS_A_BLOCK: Final = 1000
"""Days without anything due that one block passes over: after three idle years the next block still catches up."""

RawKey = Annotated[bytes, Size(0, 256)]


class Pointer(Message, frozen=True):
    """The first day (days since 1970-01-01 UTC) that is not cleaned up."""

    KIND = "expiry.pointer"
    day: int


class Bucket(Message, frozen=True):
    """Queue of one day: items ``head .. tail - 1``."""

    KIND = "expiry.bucket"
    head: int
    tail: int


class DueItem(Message, frozen=True):
    """Keys of one kind that are due on one day."""

    KIND = "expiry.item"
    kind: Label
    raw_keys: Annotated[tuple[RawKey, ...], Size(1, ENTRIES_AN_ITEM)]


POINTER: Final = Table("expiry.pointer", Pointer)
BUCKETS: Final = Table("expiry.bucket", Bucket, shared=False)
ITEMS: Final = Table("expiry.item", DueItem, shared=False)


def expiring(due_ms: int, content: bytes = b"") -> bytes:
    """A value that may be deleted once block time reaches ``due_ms``."""
    return due_ms.to_bytes(8, "big") + content


def due_ms_of(value: bytes) -> int:
    """Due time of a value made by :func:`expiring`."""
    return int.from_bytes(value[:8], "big")


def live(view: StateView, kind: str, raw: bytes, time_ms: int) -> bytes | None:
    """Content of an expiring value that is there and not yet due at ``time_ms``; else None."""
    value = view.get(kind, raw)
    return None if value is None or due_ms_of(value) <= time_ms else value[8:]


def start(state: Overlay, time_ms: int) -> None:
    """Set the pointer at genesis."""
    POINTER.put(state, b"", Pointer(time_ms // DAY_MS))


def enqueue(state: Overlay, due: Iterable[tuple[int, str, bytes]]) -> None:
    """Queue the (due time, kind, raw key) of one block's expiring values: one item a day and kind, however many keys."""
    groups: dict[tuple[int, str], list[bytes]] = {}
    for due_ms, kind, raw in due:
        groups.setdefault((due_ms // DAY_MS, kind), []).append(raw)
    if not groups:
        return
    first_day = POINTER.need(state, b"").day
    for (day, kind), raw_keys in sorted(groups.items()):
        place = _day_key(max(day, first_day))
        bucket = BUCKETS.get(state, place) or Bucket(0, 0)
        tail = bucket.tail
        for begin in range(0, len(raw_keys), ENTRIES_AN_ITEM):
            ITEMS.put(state, place + tail.to_bytes(8, "big"), DueItem(kind, tuple(raw_keys[begin : begin + ENTRIES_AN_ITEM])))
            tail += 1
        BUCKETS.put(state, place, Bucket(bucket.head, tail))


def clean_up(state: Overlay, time_ms: int) -> int:
    """Delete what is due in days that are over at block time ``time_ms``; returns how many entries were deleted."""
    pointer = POINTER.need(state, b"")
    day, deleted = pointer.day, 0
    for _ in range(_DAYS_A_BLOCK):
        if (day + 1) * DAY_MS > time_ms:
            break
        place = _day_key(day)
        bucket = BUCKETS.get(state, place)
        if bucket is not None:
            head, deleted = _clean_day(state, place, bucket, time_ms, deleted)
            if head < bucket.tail:
                BUCKETS.put(state, place, Bucket(head, bucket.tail))
                break
            BUCKETS.delete(state, place)
        day += 1
    if day != pointer.day:
        POINTER.put(state, b"", Pointer(day))
    return deleted


def _clean_day(state: Overlay, place: bytes, bucket: Bucket, time_ms: int, deleted: int) -> tuple[int, int]:
    head = bucket.head
    while head < bucket.tail:
        raw_item = place + head.to_bytes(8, "big")
        item = ITEMS.need(state, raw_item)
        if deleted + len(item.raw_keys) + 1 > DELETIONS_A_BLOCK:
            break
        for raw in item.raw_keys:
            value = state.get(item.kind, raw)
            if value is not None and due_ms_of(value) <= time_ms:
                state.delete(item.kind, raw)
        ITEMS.delete(state, raw_item)
        deleted += len(item.raw_keys) + 1
        head += 1
    return head, deleted


def _day_key(day: int) -> bytes:
    return day.to_bytes(8, "big")
