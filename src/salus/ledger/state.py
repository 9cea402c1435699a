"""The state: values under (kind, raw key), read by key and never scanned.

``apply_block`` reads through a :class:`StateView` and writes into an :class:`Overlay`; what it wrote becomes the
block's write set. Values that must go away later are put into due-time queues (:mod:`.expiry`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, Generic, Protocol, TypeVar, cast

from salus.codec import Message
from salus.errors import StorageError
from salus.ledger.merkle_map import map_key_function

M = TypeVar("M", bound=Message)
Write = tuple[bytes, bytes | None]
"""(map key, value); None deletes."""

_DECODED_CACHE: Final = 4096
"""Decoded state values kept: parties and epochs that every block reads again, slots between their check and their use."""

_READS_KEPT: Final = 16384
"""Reads of the committed state kept in each of two generations: what the pool looked up is there for the block. 8 MiB."""
_KEYS_KEPT: Final = 32768
"""Map keys kept, which are pure functions of (kind, raw key): the pool, the check and the effect each ask for them."""

_map_keys: dict[str, Callable[[bytes], bytes]] = {}


@lru_cache(maxsize=_KEYS_KEPT)
def state_key(kind: str, raw: bytes) -> bytes:
    """Map key of (kind, raw key), as :func:`salus.ledger.merkle_map.map_key` defines it."""
    make = _map_keys.get(kind)
    if make is None:
        make = _map_keys[kind] = map_key_function(kind)
    return make(raw)


class StateView(Protocol):
    """Read-only state."""

    def get(self, kind: str, raw: bytes) -> bytes | None:
        """The value under (kind, raw key), or None."""


class KnownReads:
    """Values of one committed state by map key, None for absent ones, bounded: the older generation is dropped as a whole."""

    __slots__ = ("_capacity", "_new", "_old")

    def __init__(self, capacity: int = _READS_KEPT) -> None:
        self._capacity = capacity
        self._new: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}

    def find(self, key: bytes) -> tuple[bool, bytes | None]:
        """Whether the value of a key is known, and the value."""
        if key in self._new:
            return True, self._new[key]
        if key in self._old:
            value = self._old[key]
            self.add(key, value)
            return True, value
        return False, None

    def add(self, key: bytes, value: bytes | None) -> None:
        """Keep what was read."""
        if len(self._new) >= self._capacity:
            self._old, self._new = self._new, {}
        self._new[key] = value

    def write(self, writes: Iterable[Write]) -> None:
        """The next block wrote these: what is known follows."""
        for key, value in writes:
            self._old.pop(key, None)
            if key in self._new:
                self._new[key] = value


class EmptyState:
    """The state before genesis."""

    def get(self, kind: str, raw: bytes) -> bytes | None:
        """Nothing is there."""
        return None


class MemoryState:
    """A whole state in a dictionary by map key: for tests and for replaying short chains."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, kind: str, raw: bytes) -> bytes | None:
        """The value under (kind, raw key), or None."""
        return self.values.get(state_key(kind, raw))

    def write(self, writes: tuple[Write, ...]) -> None:
        """Carry out a write set."""
        for key, value in writes:
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value


class Overlay:
    """Writes on top of a view; what is read comes from the newest write, else from the view, which is asked once a key."""

    __slots__ = ("_base", "_reads", "_writes")

    def __init__(self, base: StateView) -> None:
        self._base = base
        self._writes: dict[tuple[str, bytes], bytes | None] = {}
        self._reads: dict[tuple[str, bytes], bytes | None] = {}

    def get(self, kind: str, raw: bytes) -> bytes | None:
        """The value under (kind, raw key), or None."""
        slot = (kind, raw)
        if slot in self._writes:
            return self._writes[slot]
        if slot in self._reads:
            return self._reads[slot]
        value = self._reads[slot] = self._base.get(kind, raw)
        return value

    def put(self, kind: str, raw: bytes, value: bytes) -> None:
        """Set a value."""
        self._writes[(kind, raw)] = value

    def delete(self, kind: str, raw: bytes) -> None:
        """Remove a value."""
        self._writes[(kind, raw)] = None

    def __len__(self) -> int:
        return len(self._writes)

    def write_set(self) -> tuple[Write, ...]:
        """Everything written, by ascending map key, each key once."""
        return tuple(sorted([(state_key(kind, raw), value) for (kind, raw), value in self._writes.items()], key=_first))


def _first(write: Write) -> bytes:
    return write[0]


class Table(Generic[M]):
    """All state values of one kind: raw key -> message.

    :ivar kind: name of the kind, part of every map key.
    :ivar message: type of the values.
    :ivar shared: decoded values are kept for the next reader (off for records that are read once).
    """

    __slots__ = ("kind", "message", "shared")

    def __init__(self, kind: str, message: type[M], *, shared: bool = True) -> None:
        self.kind = kind
        self.message = message
        self.shared = shared

    def get(self, view: StateView, raw: bytes) -> M | None:
        """The record under ``raw``, or None."""
        value = view.get(self.kind, raw)
        return None if value is None else self.decode(value)

    def need(self, view: StateView, raw: bytes) -> M:
        """A record that is there from genesis on.

        :raises StorageError: if it is not: the state was not made from a genesis.
        """
        record = self.get(view, raw)
        if record is None:
            raise StorageError(f"the state has no {self.kind}: it was not made from a genesis")
        return record

    def put(self, state: Overlay, raw: bytes, record: M) -> None:
        """Set the record under ``raw``."""
        state.put(self.kind, raw, record.encode())

    def delete(self, state: Overlay, raw: bytes) -> None:
        """Remove the record under ``raw``."""
        state.delete(self.kind, raw)

    def decode(self, value: bytes) -> M:
        """Decode a value of this table (decoded values of equal bytes may be shared: they are immutable)."""
        return cast(M, _decoded(self.message, value)) if self.shared else self.message.decode(value)


@lru_cache(maxsize=_DECODED_CACHE)
def _decoded(message: type[Message], value: bytes) -> Message:
    return message.decode(value)
