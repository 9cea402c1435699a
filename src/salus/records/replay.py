"""What a simulated body sensor plays: a recorded waveform, or a patient's vital signs from a table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from salus.errors import FormatError
from salus.records import waveform
from salus.records.sensor import SAMPLE_BYTES, SAMPLES_BYTES_MAX, Channel, Concept, Reading, Samples, Start
from salus.records.streams import open_source

LOINC: Final = "http://loinc.org"
MDC: Final = "urn:iso:std:iso:11073:10101"
ROWS_MAX: Final = 1_000_000
"""Rows of a table that are looked at."""
_OFFSET: Final = 1 << 15
_EKG: Final = Concept(LOINC, "11524-6", "EKG study")
_LEADS: Final = {
    "I": ("131329", "MDC_ECG_ELEC_POTL_I"),
    "II": ("131330", "MDC_ECG_ELEC_POTL_II"),
    "V1": ("131331", "MDC_ECG_ELEC_POTL_V1"),
    "V2": ("131332", "MDC_ECG_ELEC_POTL_V2"),
    "V3": ("131333", "MDC_ECG_ELEC_POTL_V3"),
    "V4": ("131334", "MDC_ECG_ELEC_POTL_V4"),
    "V5": ("131335", "MDC_ECG_ELEC_POTL_V5"),
    "V6": ("131336", "MDC_ECG_ELEC_POTL_V6"),
}
"""ISO/IEEE 11073-10101 codes of ECG leads; a lead that is not in it (MLII, modified) goes by its own name."""


class WaveformReplay:
    """Plays a WFDB record as a wearable ECG would: one frame a second.

    :param header: path of the ``.hea`` file; :param start_ms: when the session begins (UTC milliseconds).
    :param seconds: how much to play; None: all.
    :raises FormatError: a record this reader does not take; :raises StorageError: unreadable.
    """

    def __init__(self, header: Path, start_ms: int, seconds: float | None = None) -> None:
        self._folder = header.parent
        self._header = waveform.read_header(header)
        self._start_ms = start_ms
        channels = len(self._header.signals)
        if not channels:
            raise FormatError("the WFDB record has no signals")
        self._frame_ticks = max(1, min(round(self._header.rate_hz), SAMPLES_BYTES_MAX // (SAMPLE_BYTES * channels)))
        self._ticks_max = None if seconds is None else round(seconds * self._header.rate_hz)

    def start(self) -> Start:
        """The record's signals as channels; samples are sent with their baseline subtracted."""
        rate = self._header.rate_hz
        channels = tuple(_channel(signal) for signal in self._header.signals)
        return Start(f"ECG replay of {self._header.record}", _EKG, self._start_ms, rate.numerator, rate.denominator, channels)

    def contents(self) -> Iterator[Samples]:
        """Frames of one second."""
        baselines = [signal.baseline for signal in self._header.signals]
        channels = len(baselines)
        tick = 0
        with open_source(self._folder / self._header.signals[0].file_name) as stream:
            for block in waveform.iterate_samples(self._header, stream, self._frame_ticks):
                for number, baseline in enumerate(baselines):
                    for at in range(number, len(block), channels):
                        if block[at] != waveform.INVALID_SAMPLE:
                            block[at] -= baseline
                if self._ticks_max is not None and tick + len(block) // channels > self._ticks_max:
                    block = block[: (self._ticks_max - tick) * channels]
                if not block:
                    return
                if sys.byteorder == "big":
                    block.byteswap()
                yield Samples(tick, block.tobytes())
                tick += len(block) // channels


def _channel(signal: waveform.Signal) -> Channel:
    code, name = _LEADS.get(signal.description, ("", signal.description))
    half = 1 << max(1, min(signal.adc_bits, 15)) - 1
    centre = half if signal.baseline > 0 else 0  # converters with a positive baseline count from zero up
    lowest, highest = centre - half - signal.baseline, centre + half - 1 - signal.baseline
    return Channel(
        Concept(MDC if code else "", code, name if code else signal.description or "unnamed"),
        signal.unit,
        f"{1 / signal.gain:.10g}",
        max(0, lowest + _OFFSET),
        min((1 << 16) - 1, highest + _OFFSET),
    )


class VitalsReplay:
    """Plays one patient's vital signs from a table: DATE, PATIENT, CATEGORY, CODE, DESCRIPTION, VALUE, UNITS, TYPE.

    :param table: path of the CSV file; :param patient: value of PATIENT; empty: the first row's.
    :raises FormatError: not such a table; :raises StorageError: unreadable.
    """

    def __init__(self, table: Path, patient: str = "") -> None:
        self._readings = sorted(_read_vitals(table, patient), key=lambda reading: reading.time_ms)
        if not self._readings:
            raise FormatError("the table has no vital signs of that patient")

    def start(self) -> Start:
        """No channels: readings only."""
        concept = Concept(LOINC, "85353-1", "Vital signs, weight, height, head circumference, oxygen saturation & BMI panel")
        return Start("vital signs replay", concept, self._readings[0].time_ms, 0, 1, ())

    def contents(self) -> Iterator[Reading]:
        """The readings in the order of time."""
        yield from self._readings


def _read_vitals(table: Path, patient: str) -> Iterator[Reading]:
    with open_source(table) as stream:
        lines = (line.decode("utf-8-sig", "strict") for _, line in zip(range(ROWS_MAX), stream, strict=False))
        try:
            for row in csv.DictReader(lines, strict=True):
                patient = patient or row["PATIENT"]
                if row["PATIENT"] == patient and row["CATEGORY"] == "vital-signs" and row["TYPE"] == "numeric":
                    yield _reading(row)
        except (csv.Error, UnicodeDecodeError, KeyError, AttributeError, ValueError) as error:
            raise FormatError(f"the table of vital signs is malformed: {error}") from None


def _reading(row: dict[str, str]) -> Reading:
    time_ms = round(datetime.fromisoformat(row["DATE"]).timestamp() * 1000)
    float(row["VALUE"])
    return Reading(time_ms, Concept(LOINC, row["CODE"], row["DESCRIPTION"][:128]), row["VALUE"], row["UNITS"])
