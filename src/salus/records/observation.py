"""A sensor's stream as FHIR: a Bundle of Observations with SampledData (HL7 FHIR R4), written while it comes.

Samples are written in blocks, one Observation each with one component per channel: a FHIR string holds at most 1,048,576
characters, and a terminal needs memory for one block only, however long the session. A short gap is filled with "E"
(SampledData's code for "no measurement"); a longer one ends the block, so the Observations' periods show it; every gap is
named in a note. Single readings become Observations with valueQuantity: SampledData knows only equal intervals.

The patient is named nowhere: who sent the payload is the consultation's matter.
"""

from __future__ import annotations

import os
import sys
import uuid
from array import array
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec

from salus.errors import FormatError, TransportError
from salus.files import replacing
from salus.records.pairing import Paired
from salus.records.sensor import MISSING, Channel, Concept, End, Reading, Samples, SensorCounts, SensorReceiver, Start, receive
from salus.records.streams import Sink, write_all
from salus.symmetric import Random

MEDIA_TYPE: Final = "application/fhir+json"
BLOCK_TICKS: Final = 8_192
"""Ticks of one Observation: 23 s of an ECG at 360 Hz; as many values of at most 7 characters stay far below FHIR's bound."""
GAPS_NAMED_MAX: Final = 100
"""Gaps named in one Observation; their number is always given."""
UCUM: Final = "http://unitsofmeasure.org"
_LITTLE_ENDIAN: Final = sys.byteorder == "little"
_NAMESPACE: Final = uuid.UUID("7a0f6f2c-6f0b-5b8e-9d55-5d6a1f0b9c11")
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_CATEGORY: Final = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs", "display": "Vital Signs"}
    ]
}


class ObservationWriter:
    """Writes what a terminal receives as a FHIR Bundle; holds one block of samples.

    :param sink: receives the JSON, a piece at a time.
    """

    def __init__(self, sink: Sink) -> None:
        self.written_bytes = 0
        self.observations = 0
        self.gaps = 0
        self._sink = sink
        self._start: Start | None = None
        self._rate = Fraction(1)
        self._block_start = 0
        self._block: list[array[int]] = []
        self._missing: list[tuple[int, int]] = []
        self._missing_count = 0
        self._last_ms = 0
        self._readings = 0

    def start(self, start: Start) -> None:
        """Begin the bundle.

        :raises FormatError: a rate or factor that is no number.
        """
        if start.channels and not (start.rate_numerator and start.rate_denominator):
            raise FormatError("the sensor names channels but no sampling rate")
        for channel in start.channels:
            _number(channel.factor)
        self._start = start
        self._rate = Fraction(start.rate_numerator or 1, start.rate_denominator or 1)
        self._block = [array("h") for _ in start.channels]
        self._last_ms = start.start_ms
        self._write(b'{"resourceType":"Bundle","type":"collection","entry":[')

    def samples(self, samples: Samples) -> None:
        """Add samples, with a gap before them if they begin later than the last ones ended."""
        values = array("h", samples.data)
        if not _LITTLE_ENDIAN:
            values.byteswap()
        channels = len(self._block)
        gap = samples.first_tick - self._tick
        if gap:
            self._gap(gap)
        at, ticks = 0, len(values) // channels
        while at < ticks:
            taken = min(ticks - at, BLOCK_TICKS - len(self._block[0]))
            for number, column in enumerate(self._block):
                column.extend(values[at * channels + number : (at + taken) * channels : channels])
            at += taken
            if len(self._block[0]) == BLOCK_TICKS:
                self._flush()

    def reading(self, reading: Reading) -> None:
        """Add one reading."""
        self._last_ms = max(self._last_ms, reading.time_ms)
        self._readings += 1
        self._entry(
            {
                "resourceType": "Observation",
                "status": "final",
                "category": [_CATEGORY],
                "code": _concept(reading.concept),
                "effectiveDateTime": _instant(reading.time_ms),
                "valueQuantity": _quantity(_number(reading.value), reading.unit),
                "device": self._device(),
            }
        )

    def end(self, end: End | None) -> None:
        """Finish the bundle; without the device's last frame, or with ticks missing at the end, a last Observation says so."""
        if end is None:
            self._note(f"The device's stream broke off after {self._tick} samples.")
        elif end.ticks > self._tick:
            self._note(f"Samples {self._tick} to {end.ticks - 1} at the end were not received.")
            self.gaps += 1
        if end is not None and end.readings > self._readings:
            self._note(f"{end.readings - self._readings} of {end.readings} readings were not received.")
            self.gaps += 1
        self._flush()
        self._write(b"]}")

    @property
    def _tick(self) -> int:
        return self._block_start + (len(self._block[0]) if self._block else 0)

    def _gap(self, ticks: int) -> None:
        start = self._tick
        self.gaps += 1
        if len(self._block[0]) + ticks < BLOCK_TICKS and len(self._block[0]):
            self._missing_count += 1
            if len(self._missing) < GAPS_NAMED_MAX:
                self._missing.append((start, start + ticks - 1))
            filler = array("h", [MISSING]) * ticks
            for column in self._block:
                column.extend(filler)
            return
        self._flush()
        self._block_start = start + ticks
        self._missing.append((start, start + ticks - 1))
        self._missing_count += 1

    def _flush(self) -> None:
        """Write the block as one Observation and begin the next."""
        if not self._block or not len(self._block[0]):
            return
        assert self._start is not None
        first, last = self._block_start, self._tick - 1
        self._last_ms = max(self._last_ms, self._time_ms(last))
        observation: dict[str, Any] = {
            "resourceType": "Observation",
            "status": "final",
            "category": [_CATEGORY],
            "code": _concept(self._start.concept),
            "effectivePeriod": {"start": _instant(self._time_ms(first)), "end": _instant(self._time_ms(last))},
            "device": self._device(),
            "component": [self._component(*pair) for pair in zip(self._start.channels, self._block, strict=True)],
        }
        if self._missing:
            named = ", ".join(f"{low} to {high}" for low, high in self._missing)
            text = f"Not received ({self._missing_count} gaps), samples counted from the start of the session: {named}"
            observation["note"] = [{"text": text + (", .." if self._missing_count > len(self._missing) else "")}]
        self._entry(observation)
        self._block_start = last + 1
        self._missing, self._missing_count = [], 0
        for column in self._block:
            del column[:]

    def _component(self, channel: Channel, column: array[int]) -> dict[str, Any]:
        factor = _number(channel.factor)
        return {
            "code": _concept(channel.concept),
            "valueSampledData": {
                "origin": _quantity(0, channel.unit),
                "period": float(1000 / self._rate),
                "factor": factor,
                "lowerLimit": (channel.lowest + MISSING) * factor,
                "upperLimit": (channel.highest + MISSING) * factor,
                "dimensions": 1,
                "data": " ".join(["E" if value == MISSING else str(value) for value in column]),
            },
        }

    def _note(self, text: str) -> None:
        self._flush()
        assert self._start is not None
        self._entry(
            {
                "resourceType": "Observation",
                "status": "final",
                "code": _concept(self._start.concept),
                "effectiveDateTime": _instant(self._last_ms),
                "dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "error", "display": "Error"}]},
                "device": self._device(),
                "note": [{"text": text}],
            }
        )

    def _device(self) -> dict[str, str]:
        return {"display": self._start.model if self._start and self._start.model else "body sensor"}

    def _time_ms(self, tick: int) -> int:
        assert self._start is not None
        return self._start.start_ms + int(tick * 1000 / self._rate)

    def _entry(self, resource: dict[str, Any]) -> None:
        assert self._start is not None
        identity = uuid.uuid5(_NAMESPACE, f"{self._start.encode().hex()} {self.observations}")
        entry = {"fullUrl": f"urn:uuid:{identity}", "resource": {**resource, "id": str(identity)}}
        self._write((b"," if self.observations else b"") + msgspec.json.encode(entry))
        self.observations += 1

    def _write(self, data: bytes) -> None:
        write_all(self._sink, data)
        self.written_bytes += len(data)


def _concept(concept: Concept) -> dict[str, Any]:
    if not concept.code:
        return {"text": concept.display or "unnamed"}
    coding = {"system": concept.system, "code": concept.code, "display": concept.display}
    return {"coding": [{name: value for name, value in coding.items() if value}], "text": concept.display or concept.code}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit} if unit else {"value": value}


def _instant(time_ms: int) -> str:
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        raise FormatError("the sensor gives a time that is no date") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e15:
        raise FormatError("the sensor gives a value that is no number")
    return value


def record_session(
    paired: Paired,
    open_session: Callable[[bytes], tuple[bytes, Iterable[bytes]]],
    destination: Path,
    random: Random = os.urandom,
) -> SensorCounts:
    """Receive a whole session from a paired device into a FHIR payload ``destination``, which appears only when it is complete.

    :param open_session: sends the challenge to the device; gives its opening and the frames as they arrive
        (:meth:`salus.records.sensor.SensorDevice.open`, or a radio link to a real one).
    :returns: what became of the frames; gaps are also told in the payload.
    :raises Refused: ``bad-mac`` if the opening is another device's or session's.
    :raises TransportError: the device's first frame never came: nothing is written.
    """
    with replacing(destination) as file:
        receiver = SensorReceiver(paired, ObservationWriter(file), random)
        opening, frames = open_session(receiver.challenge())
        receiver.opened(opening)
        counts = receive(receiver, frames)
        if not receiver.started:
            raise TransportError(f"the sensor {paired.device} sent no frame that authenticates; pair it again or move closer")
    return counts
