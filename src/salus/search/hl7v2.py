"""Keywords of HL7 v2: the codes of observations and diagnoses, and of what was ordered, done or given (HL7 v2.5.1, chapters 2A:
CWE; 3: AL1; 4: OBR; 4A: RXA; 6: DG1, PR1; 7: OBX)."""

from __future__ import annotations

from typing import Final

from salus.errors import FormatError
from salus.records.hl7v2 import split_segments
from salus.records.info import Peek
from salus.search.collecting import Collector

_CODED: Final = {"OBX": 3, "DG1": 3, "OBR": 4, "PR1": 3, "AL1": 3, "RXA": 5}
"""Segment -> its field with the code."""
_VALUE_TYPES: Final = ("CE", "CWE", "CNE", "CF")
"""Types of an observation's value (OBX-2) that are codes."""
_REPETITIONS_MAX: Final = 64
"""Repetitions of one field that are read: a field has a few, and more would crowd out the other fields' words."""
_DIAGNOSIS_SYSTEM: Final = 2
"""DG1-2: where old senders name the code system of DG1-3."""


def collect(peek: Peek, found: Collector) -> None:
    """Collect the keywords of a message, batch or file.

    :raises FormatError: malformed or too large.
    """
    segments = split_segments(peek.read_all("HL7 v2"))
    header = next((segment for segment in segments if segment.startswith("MSH")), "")
    if len(header) < 8:
        raise FormatError("there is no message header (MSH)")
    marks = _Marks(header)
    for segment in segments:
        place = _CODED.get(segment[:3])
        if place is None:
            continue
        fields = segment.split(marks.field)
        system = _at(fields, _DIAGNOSIS_SYSTEM) if segment.startswith("DG1") else ""
        _field(_at(fields, place), marks, found, system)
        if segment.startswith("OBX") and _at(fields, 2) in _VALUE_TYPES:
            _field(_at(fields, 5), marks, found)


class _Marks:
    """The separators that the header names (MSH-1, MSH-2)."""

    def __init__(self, header: str) -> None:
        self.field = header[3]
        named = header[4:8].split(self.field)[0]
        self.component, self.repetition, self.escape, self.subcomponent = list(named + "^~\\&"[len(named) :])

    def plain(self, text: str) -> str:
        """Text without escape sequences (chapter 2, section 2.7)."""
        e = self.escape
        for letter, mark in (
            ("F", self.field),
            ("S", self.component),
            ("R", self.repetition),
            ("T", self.subcomponent),
            ("E", e),
        ):
            text = text.replace(f"{e}{letter}{e}", mark)
        return text


def _field(field: str, marks: _Marks, found: Collector, system: str = "") -> None:
    """``code ^ text ^ system ^ alternate code ^ alternate text ^ alternate system``, repeated."""
    for repetition in field.split(marks.repetition)[:_REPETITIONS_MAX]:
        parts = [marks.plain(part) for part in repetition.split(marks.component)]
        for code, text, named in ((0, 1, 2), (3, 4, 5)):
            if _at(parts, code):
                found.code(_at(parts, named) or system, _at(parts, code))
            found.words(_at(parts, text))


def _at(parts: list[str], place: int) -> str:
    return parts[place].strip() if place < len(parts) else ""
