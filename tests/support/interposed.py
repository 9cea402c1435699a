"""A transport that lets a test stand between a terminal and the services it calls."""

from __future__ import annotations

from collections.abc import Callable

from salus.transport import Transport

Forward = Callable[[bytes], bytes]
"""Carries a body on to the party and returns its answer."""
Stand = Callable[[str, bytes, Forward], bytes]
"""Answers in place of a party: (party, body, forward) -> answer."""


class Interposed:
    """Calls of some methods go through the test.

    :param stands: by method; others are carried as they are.
    """

    def __init__(self, inner: Transport, stands: dict[str, Stand]) -> None:
        self.inner = inner
        self.stands = stands
        self.calls: list[tuple[str, str]] = []

    def call(self, party: str, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Transport`."""
        self.calls.append((party, method))
        stand = self.stands.get(method)
        if stand is None:
            return self.inner.call(party, method, body)
        return stand(party, body, lambda data: self.inner.call(party, method, data))


def once(action: Callable[[], object]) -> Stand:
    """Do ``action`` before the first call is carried on."""
    left = [action]

    def stand(_party: str, body: bytes, forward: Forward) -> bytes:
        if left:
            left.pop()()
        return forward(body)

    return stand
