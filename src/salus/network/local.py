"""Transport inside one process: encoded bytes are handed over, no object is ever shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from salus.errors import Refused, TransportError
from salus.network.answers import open_answer, serve_call
from salus.transport import MAX_CALL_BYTES, Service, Transport


class LocalTransport:
    """Reaches the services of this process by name.

    :param services: party name -> service; the mapping is read at each call, so parties can come and go.
    """

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = services

    def call(self, party: str, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Transport`."""
        service = self._services.get(party)
        if service is None:
            raise TransportError(f"{party} does not run here; is the name right?")
        if len(body) > MAX_CALL_BYTES:
            raise TransportError(f"{method}: {len(body)} bytes are over the {MAX_CALL_BYTES} of one call")
        return open_answer(party, method, serve_call(service, method, bytes(body)))


class FaultyTransport:
    """A transport between other transports and the world: loses, repeats, delays and reorders calls, by a seed.

    A lost request never reaches the party; a lost answer was carried out all the same. A delayed copy of a request is
    carried out later, between other calls, so requests reach the party repeated and out of order.

    :param inner: the transport that carries what is not lost.
    :param chance: returns a number in [0, 1); deterministic in tests.
    :param loss, repeat, delay: probabilities of each fault per call.
    """

    def __init__(
        self, inner: Transport, chance: Callable[[], float], *, loss: float = 0.1, repeat: float = 0.1, delay: float = 0.1
    ) -> None:
        self._inner = inner
        self._chance = chance
        self._loss, self._repeat, self._delay = loss, repeat, delay
        self._held: list[tuple[str, str, bytes]] = []
        self.counts = {"lost-request": 0, "lost-answer": 0, "repeated": 0, "delayed": 0}

    def call(self, party: str, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Transport`; raises :class:`TransportError` for whatever got lost."""
        self._release_one()
        if self._chance() < self._loss / 2:
            self.counts["lost-request"] += 1
            raise TransportError(f"{party} does not answer {method} (request lost)")
        if self._chance() < self._delay:
            self.counts["delayed"] += 1
            self._held.append((party, method, body))
            raise TransportError(f"{party} does not answer {method} in time (request delayed)")
        answer = self._inner.call(party, method, body)
        if self._chance() < self._repeat:
            self.counts["repeated"] += 1
            self._again(party, method, body)
        if self._chance() < self._loss / 2:
            self.counts["lost-answer"] += 1
            raise TransportError(f"{party} does not answer {method} (answer lost)")
        return answer

    def _release_one(self) -> None:
        if self._held and self._chance() < 0.5:
            # the newest first: delayed calls overtake each other
            self._again(*self._held.pop())

    def _again(self, party: str, method: str, body: bytes) -> None:
        try:
            self._inner.call(party, method, body)
        except (Refused, TransportError):
            return  # nobody waits for this answer
