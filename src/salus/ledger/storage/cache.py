"""Values read lately, bounded by their bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

CACHE_BYTES: Final = 16 * 1024 * 1024
"""About a hundred thousand small values."""
_ENTRY_BYTES: Final = 200
"""What an entry costs beside its value."""


class ValueCache:
    """Least recently used values go first.

    :param capacity: bytes of values and their overhead.
    """

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self._values: OrderedDict[bytes, bytes] = OrderedDict()
        self._capacity = capacity
        self._size = 0

    def get(self, key: bytes) -> bytes | None:
        """The cached value, or None."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value."""
        self.forget(key)
        self._values[key] = value
        self._size += len(value) + _ENTRY_BYTES
        while self._size > self._capacity:
            _, old = self._values.popitem(last=False)
            self._size -= len(old) + _ENTRY_BYTES

    def forget(self, key: bytes) -> None:
        """Drop a value."""
        old = self._values.pop(key, None)
        if old is not None:
            self._size -= len(old) + _ENTRY_BYTES

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
        self._size = 0

    def __len__(self) -> int:
        return len(self._values)
