"""A sensor and a receiver for tests."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from salus.records.pairing import Paired
from salus.records.sensor import (
    Channel,
    Concept,
    End,
    Reading,
    Samples,
    SensorDevice,
    SensorReceiver,
    Start,
)

PAIRED = Paired("patch-7", bytes(range(32)))
TICKS = 10
LEAD = Channel(Concept("urn:iso:std:iso:11073:10101", "131330", "MDC_ECG_ELEC_POTL_II"), "mV", "0.005", 0, 65_535)
START_MS = 1_700_000_000_000


def seeded(seed: str) -> Callable[[int], bytes]:
    """A reproducible source of random bytes."""
    state = hashlib.shake_256(seed.encode())
    drawn = 0

    def draw(count: int) -> bytes:
        nonlocal drawn
        drawn += count
        return state.digest(drawn)[-count:] if count else b""

    return draw


class Counting:
    """Two channels that count: value of tick t is t and -t; ten ticks a frame."""

    def __init__(self, frames: int, channels: int = 2, readings: int = 0) -> None:
        self.frames, self.channels, self.readings = frames, channels, readings

    def start(self) -> Start:
        return Start("counter", Concept("http://loinc.org", "11524-6", "EKG study"), START_MS, 100, 1, (LEAD,) * self.channels)

    def contents(self) -> Iterator[Samples | Reading]:
        for frame in range(self.frames):
            ticks = range(frame * TICKS, (frame + 1) * TICKS)
            values = array("h", [sign * tick % 30_000 for tick in ticks for sign in (1, -1)[: self.channels]])
            yield Samples(frame * TICKS, values.tobytes())
        for number in range(self.readings):
            yield Reading(
                START_MS + number * 60_000, Concept("http://loinc.org", "8867-4", "Heart rate"), str(60 + number), "/min"
            )


class Taken:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def start(self, start: Start) -> None:
        self.events.append("start")

    def samples(self, samples: Samples) -> None:
        self.events.append(samples.first_tick)

    def reading(self, reading: Reading) -> None:
        self.events.append(reading.value)

    def end(self, end: End | None) -> None:
        self.events.append("end" if end else "broken off")


def session(frames: int = 20, readings: int = 0) -> tuple[SensorReceiver, Taken, list[bytes]]:
    taken = Taken()
    receiver = SensorReceiver(PAIRED, taken, seeded("terminal"))
    opening, sent = SensorDevice(PAIRED, Counting(frames, readings=readings), seeded("device")).open(receiver.challenge())
    receiver.opened(opening)
    return receiver, taken, list(sent)


def in_order(count: int) -> list[Any]:
    return ["start", *(frame * TICKS for frame in range(count)), "end"]
