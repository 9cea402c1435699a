"""The virtual network: messages are lost, copied, late, out of order, or stopped by a partition, until it heals."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from random import Random
from typing import Final

from salus.sim.counts import Counts
from salus.sim.scenario import Scenario

HEALED_DELAY_MS: Final = 5
"""A message takes at most this long once the network is good."""


class Wire:
    """Carries messages between replicas, badly.

    :param note: writes a line of the trace.
    :param later: plans the delivery of (from, to, bytes) after so many milliseconds.
    :ivar cut: sides of the partitions there are now: no message passes between a side and the rest.
    """

    def __init__(
        self,
        scenario: Scenario,
        random: Random,
        counts: Counts,
        note: Callable[[str], None],
        later: Callable[[int, tuple[int, int, bytes]], None],
    ) -> None:
        self._scenario = scenario
        self._random = random
        self._counts = counts
        self._note = note
        self._later = later
        self.cut: list[frozenset[int]] = []
        self.healed = False

    def heal(self) -> None:
        """From now on every message arrives, once and soon."""
        self.healed = True
        self.cut.clear()

    def transmit(self, source: int, target: int, data: bytes) -> None:
        """Send one message to one replica."""
        scenario, random = self._scenario, self._random
        self._counts.messages += 1
        name = f"{source}>{target} {zlib.crc32(data):08x} {len(data)}"
        if not self.healed:
            if any((source in side) != (target in side) for side in self.cut) or random.random() < scenario.drop:
                self._counts.dropped += 1
                self._note(f"drop {name}")
                return
            if random.random() < scenario.duplicate:
                self._counts.duplicated += 1
                self._later(random.randint(1, 2 * scenario.delay_ms), (source, target, data))
        delay_ms = random.randint(1, HEALED_DELAY_MS if self.healed else scenario.delay_ms)
        self._note(f"send {name} +{delay_ms}")
        self._later(delay_ms, (source, target, data))
