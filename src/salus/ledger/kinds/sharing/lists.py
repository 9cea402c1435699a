"""Append-only lists in the state: what belongs to a scope, an institution or the whole network, read by number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from salus.codec import Message, Size, encode
from salus.ledger.state import Overlay, StateView, Table

RECORDS: Final = "records"
"""Of the whole network: owner ``b""``; content: rid."""
DELEGATIONS: Final = "delegations"
"""Of the whole network: owner ``b""``; content: id of the delegation. A new seat's node learns from it whose c it lacks."""
SCOPE_RECORDS: Final = "scope-records"
"""Of a scope x; content: rid."""
SCOPE_DELEGATIONS: Final = "scope-delegations"
"""Of a scope x; content: id of the delegation."""
INBOX: Final = "inbox"
"""Of a scope x: every share asked for; content: its id."""
READER_SHARES: Final = "reader-shares"
"""Of an institution's name: every share it asked for; content: its id."""
SCOPE_INDEX_KEYS: Final = "scope-index-keys"
"""Of a scope x; content: digest of the policy (:func:`.index_keys.policy_digest`)."""


class ListItem(Message, frozen=True):
    """One element of a list."""

    KIND = "state.list-item"
    content: Annotated[bytes, Size(1, 128)]


class ListLength(Message, frozen=True):
    """Number of elements of a list."""

    KIND = "state.list-length"
    count: int


ITEMS: Final = Table("sharing.item", ListItem, shared=False)
LENGTHS: Final = Table("sharing.length", ListLength, shared=False)


def length_key(name: str, owner: bytes) -> bytes:
    """Raw key in :data:`LENGTHS`."""
    return encode((name, owner))


def item_key(name: str, owner: bytes, number: int) -> bytes:
    """Raw key in :data:`ITEMS`; elements count from 0."""
    return encode((name, owner, number))


def length(view: StateView, name: str, owner: bytes) -> int:
    """Number of elements."""
    found = LENGTHS.get(view, length_key(name, owner))
    return 0 if found is None else found.count


def append(state: Overlay, name: str, owner: bytes, content: bytes) -> int:
    """Append an element; returns its number."""
    number = length(state, name, owner)
    ITEMS.put(state, item_key(name, owner, number), ListItem(content))
    LENGTHS.put(state, length_key(name, owner), ListLength(number + 1))
    return number


def items(view: StateView, name: str, owner: bytes, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Elements ``start .. end - 1``; to the end by default. For readers: no transaction's check goes through a list."""
    end = length(view, name, owner) if end is None else end
    for number in range(start, end):
        found = ITEMS.get(view, item_key(name, owner, number))
        if found is not None:
            yield found.content
