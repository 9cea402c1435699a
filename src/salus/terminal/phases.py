"""How long each phase of a consultation took on a terminal: for the people who wait, and for the bench."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class PhaseTimes:
    """Milliseconds spent in each phase since the last :meth:`take`; a phase that recurs adds up."""

    def __init__(self) -> None:
        self._spent_ms: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what the block does."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent_ms[name] = self._spent_ms.get(name, 0.0) + (time.perf_counter() - start) * 1000

    def take(self) -> dict[str, float]:
        """Milliseconds by phase, and start again from nothing."""
        spent, self._spent_ms = self._spent_ms, {}
        return spent
