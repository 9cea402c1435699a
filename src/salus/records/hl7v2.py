"""HL7 version 2 messages: type, trigger and patient (HL7 v2.5.1, chapter 2: message construction; chapter 3: PID)."""

from __future__ import annotations

import re
from typing import Final

from salus.errors import FormatError
from salus.records.info import Peek, RecordInfo, compact_date, plural

MEDIA_TYPE: Final = "x-application/hl7-v2+er7"
SEGMENTS_MAX: Final = 200_000
"""A batch file of ten thousand results; more is not read."""

_SEGMENT: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_MLLP: Final = b"\x0b\x1c\r\n \t"

_MESSAGE_NAMES: Final = {
    "ADT": "admission, discharge or transfer",
    "ORU": "observation result",
    "ORM": "order",
    "OML": "laboratory order",
    "VXU": "vaccination update",
    "MDM": "document",
    "SIU": "scheduling",
    "DFT": "financial transaction",
    "RDE": "pharmacy order",
    "ACK": "acknowledgement",
}


def looks_like(peek: Peek) -> bool:
    """Whether the first bytes are those of a message, a batch or a file of batches."""
    start = peek.head.removeprefix(b"\xef\xbb\xbf").lstrip(_MLLP)
    if start[:3] not in (b"MSH", b"BHS", b"FHS") or len(start) < 4:
        return False
    separator = start[3:4]
    return not separator.isalnum() and not separator.isspace() and separator not in (b",", b";")


def recognise(peek: Peek) -> RecordInfo:
    """Recognise HL7 v2 content.

    :raises FormatError: malformed, or too large to be summarised.
    """
    segments = split_segments(peek.read_all("HL7 v2"))
    headers = [segment for segment in segments if segment.startswith("MSH")]
    if not headers:
        raise FormatError("a batch without a message header (MSH)")
    header = headers[0]
    separator = header[3]
    fields = header.split(separator)
    if len(fields) < 12 or len(fields[1]) < 3:
        raise FormatError(f"the message header (MSH) has {len(fields)} fields, at least 12 are required")
    component, repetition = fields[1][0], fields[1][1]
    for segment in segments:
        if not _SEGMENT.fullmatch(segment[:3]) or (len(segment) > 3 and segment[3] != separator):
            raise FormatError(f"{segment[:12]!r} is not the start of an HL7 v2 segment")
    kind = fields[8].split(component)
    name, trigger = kind[0], kind[1] if len(kind) > 1 else ""
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2}", name):
        raise FormatError(f"message type {fields[8][:20]!r} in MSH-9 is none of HL7 v2")
    patient = _patient(segments, separator, component, repetition)
    explained = _MESSAGE_NAMES.get(name, "message")
    title = f"HL7 v2 {name}{'^' + trigger if trigger else ''}, {explained}" + (f" for {patient}" if patient else "")
    if len(headers) > 1:
        title = f"HL7 v2 batch of {plural(len(headers), 'message')}, first: {title}"
    return RecordInfo.of("hl7v2", MEDIA_TYPE, title, _details(fields, segments, separator, component))


def _details(fields: list[str], segments: list[str], separator: str, component: str) -> list[tuple[str, object]]:
    sender = " / ".join(part.split(component)[0] for part in fields[2:4] if part)
    observations = [segment.split(separator) for segment in segments if segment.startswith("OBX")]
    asked = [segment.split(separator) for segment in segments if segment.startswith("OBR")]
    services = dict.fromkeys(_coded(request[4], component) for request in asked if len(request) > 4)
    return [
        ("version", fields[11].split(component)[0]),
        ("control id", fields[9]),
        ("time", compact_date(fields[6])),
        ("sender", sender),
        ("services", "; ".join(list(services)[:4])),
        ("observations", len(observations) or ""),
        ("segments", len(segments)),
    ]


def _patient(segments: list[str], separator: str, component: str, repetition: str) -> str:
    pid = next((segment.split(separator) for segment in segments if segment.startswith("PID")), [])
    if len(pid) < 6:
        return ""
    parts = pid[5].split(repetition)[0].split(component)
    family, given = parts[0].split("&")[0], parts[1] if len(parts) > 1 else ""
    shown = " ".join(part for part in (given, family) if part) or pid[3].split(repetition)[0].split(component)[0]
    born = compact_date(pid[7]) if len(pid) > 7 and pid[7] else ""
    sex = pid[8].split(component)[0] if len(pid) > 8 else ""
    return ", ".join(part for part in (shown, sex, f"born {born}" if born else "") if part)


def _coded(field: str, component: str) -> str:
    parts = field.split(component)
    return parts[1] if len(parts) > 1 and parts[1] else parts[0]


def split_segments(data: bytes) -> list[str]:
    """The segments of a message, batch or file of batches.

    :raises FormatError: over :data:`SEGMENTS_MAX` of them.
    """
    data = data.removeprefix(b"\xef\xbb\xbf").strip(_MLLP)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = text.replace("\r\n", "\r").replace("\n", "\r").replace("\x1c", "").replace("\x0b", "")
    segments = [line for line in text.split("\r", SEGMENTS_MAX) if line.strip()]
    if len(segments) > SEGMENTS_MAX:
        raise FormatError(f"more than {SEGMENTS_MAX} segments are too many to be summarised")
    return segments
