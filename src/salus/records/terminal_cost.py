"""What receiving a body sensor costs a terminal: its memory and its bytes, measured."""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from salus.records.observation import ObservationWriter
from salus.records.pairing import DevicePairing, Paired, TerminalPairing
from salus.records.sensor import Measurement, Reading, Samples, SensorDevice, SensorReceiver, Start, receive
from salus.records.streams import Discard

_DEVICE: Final = "sensor-1"
_CODE: Final = "00000000"


class TerminalCost(msgspec.Struct, frozen=True):
    """Figures of one session.

    :ivar pairing_bytes: bytes of the three pairing messages.
    :ivar frames, received_bytes: from the device; :ivar measured_bytes: samples among them.
    :ivar payload_bytes: of the FHIR payload written.
    :ivar peak_memory_bytes: most that receiver and writer held at a time, allocated by them.
    :ivar cpu_ms: processor time of receiving and writing, without the measurement of memory.
    """

    pairing_bytes: int
    frames: int
    received_bytes: int
    measured_bytes: int
    payload_bytes: int
    peak_memory_bytes: int
    cpu_ms: float


def measure_terminal(measurement: Measurement) -> TerminalCost:
    """Pair, record a whole session to a file, then measure the terminal alone while it receives that file.

    Twice: once for memory (tracing slows it), once for time.
    """
    paired, pairing_bytes = _pair()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "session"
        receiver, _ = _receiver(paired)
        measured_bytes = _record(paired, measurement, receiver.challenge(), path)
        peak = _peak_memory(paired, path)
        receiver, writer = _receiver(paired)
        started = time.process_time_ns()
        _play(receiver, path)
        cpu_ms = (time.process_time_ns() - started) / 1e6
    counts = receiver.counts
    return TerminalCost(pairing_bytes, counts.taken, counts.received_bytes, measured_bytes, writer.written_bytes, peak, cpu_ms)


def _pair() -> tuple[Paired, int]:
    device, terminal = DevicePairing(_DEVICE, _CODE), TerminalPairing(_DEVICE, _CODE)
    hello = terminal.hello()
    answer = device.answer(hello)
    confirm, paired = terminal.finish(answer)
    device.complete(confirm)
    return paired, len(hello) + len(answer) + len(confirm)


def _receiver(paired: Paired) -> tuple[SensorReceiver, ObservationWriter]:
    writer = ObservationWriter(Discard())
    return SensorReceiver(paired, writer, bytes), writer  # the challenge is fixed: one recording serves both runs


def _record(paired: Paired, measurement: Measurement, challenge: bytes, path: Path) -> int:
    counted = _Counted(measurement)
    opening, frames = SensorDevice(paired, counted).open(challenge)
    with path.open("wb") as file:
        _put(file, opening)
        for frame in frames:
            _put(file, frame)
    return counted.measured_bytes


class _Counted:
    """A measurement that counts the bytes of its samples while they are played."""

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement
        self.measured_bytes = 0

    def start(self) -> Start:
        return self._measurement.start()

    def contents(self) -> Iterator[Samples | Reading]:
        for content in self._measurement.contents():
            self.measured_bytes += len(content.data) if isinstance(content, Samples) else 0
            yield content


def _put(file: BinaryIO, frame: bytes) -> None:
    file.write(len(frame).to_bytes(4, "big") + frame)


def _get(file: BinaryIO) -> Iterator[bytes]:
    while length := file.read(4):
        yield file.read(int.from_bytes(length, "big"))


def _play(receiver: SensorReceiver, path: Path) -> None:
    with path.open("rb") as file:
        frames = _get(file)
        receiver.opened(next(frames))
        receive(receiver, frames)


def _peak_memory(paired: Paired, path: Path) -> int:
    tracemalloc.start()
    try:
        receiver, _ = _receiver(paired)
        _play(receiver, path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
