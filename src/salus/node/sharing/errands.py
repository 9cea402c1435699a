"""Calls that a node wants made to other nodes, and what to do with their answers.

A node never waits for another one while it answers somebody itself: two nodes that wait for each other would both stand still.
It leaves an errand; whoever runs the node makes the call outside its lock and brings the answer back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from salus.errors import Refused, TransportError

ERRANDS_MAX: Final = 10_000
"""Errands waiting at one time; a node that leaves more has peers that are all silent."""

Failure = Refused | TransportError
OnAnswer = Callable[[bytes | None, Failure | None], None]
"""Called with the answer, or None and why there is none."""


class Errand(msgspec.Struct, frozen=True):
    """One call to be made.

    :ivar to: party. :ivar method, body: as of :class:`salus.transport.Transport`.
    :ivar done: takes the answer, under the node's lock.
    """

    to: str
    method: str
    body: bytes
    done: OnAnswer


class Errands:
    """Errands of one node, in order."""

    def __init__(self) -> None:
        self._waiting: deque[Errand] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def leave(self, to: str, method: str, body: bytes, done: OnAnswer) -> None:
        """Leave an errand; if there are too many, the oldest is given up."""
        if len(self._waiting) >= ERRANDS_MAX:
            self._waiting.popleft().done(None, TransportError("too many calls wait"))
        self._waiting.append(Errand(to, method, body, done))

    def take(self) -> Errand | None:
        """The next errand, for whoever runs the node."""
        return self._waiting.popleft() if self._waiting else None
