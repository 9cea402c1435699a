"""FHIR: resources and bundles in JSON, XML, and bulk NDJSON.

Data, not models: one typed pass by msgspec reads the few members that are shown and skips the rest, so a bundle of a
megabyte costs milliseconds. Sources: HL7 FHIR R4, sections Bundle, Patient, JSON representation.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final

import msgspec

from salus.errors import FormatError
from salus.records import fhir_xml
from salus.records.info import HEAD_BYTES, PARSE_BYTES_MAX, Peek, RecordInfo, plural, printable

MEDIA_TYPE_JSON: Final = "application/fhir+json"
MEDIA_TYPE_NDJSON: Final = "application/fhir+ndjson"
MEDIA_TYPE_XML: Final = "application/fhir+xml"
LINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""One NDJSON line holds one resource; the largest seen (a DocumentReference with its attachment) has 300 KiB."""
LINES_MAX: Final = 100_000
"""NDJSON lines that are counted; a longer file says "at least"."""

_RESOURCE_TYPE: Final = re.compile(r"[A-Z][A-Za-z]{1,63}")
_HAS_TYPE: Final = re.compile(rb'"resourceType"\s*:\s*"[A-Z]')


class _Resource(msgspec.Struct, rename="camel", gc=False):
    resource_type: str = ""
    id: msgspec.Raw = msgspec.Raw()
    status: msgspec.Raw = msgspec.Raw()
    name: msgspec.Raw = msgspec.Raw()
    gender: msgspec.Raw = msgspec.Raw()
    birth_date: msgspec.Raw = msgspec.Raw()
    deceased_date_time: msgspec.Raw = msgspec.Raw()
    code: msgspec.Raw = msgspec.Raw()
    type: msgspec.Raw = msgspec.Raw()
    subject: msgspec.Raw = msgspec.Raw()
    effective_date_time: msgspec.Raw = msgspec.Raw()


class _Entry(msgspec.Struct, gc=False):
    resource: _Resource | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    type: str = ""
    timestamp: str = ""
    entry: list[_Entry] = []


_resource_decoder: Final = msgspec.json.Decoder(_Resource)
_bundle_decoder: Final = msgspec.json.Decoder(_Bundle)


def looks_like(peek: Peek) -> bool:
    """Whether the first bytes are those of FHIR JSON, NDJSON or XML."""
    start = peek.head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"{"):
        if _HAS_TYPE.search(peek.head) is not None:
            return True
        # Members come in any order: the type may stand after the content.
        return (
            peek.suffix == ".json"
            and HEAD_BYTES < peek.size_bytes <= PARSE_BYTES_MAX
            and b'"resourceType"' in peek.read_all("JSON")
        )
    return fhir_xml.looks_like(peek)


def recognise(peek: Peek) -> RecordInfo:
    """Recognise FHIR content.

    :raises FormatError: malformed, or too large to be summarised.
    """
    if is_ndjson(peek):
        return _recognise_ndjson(peek)
    media_type = MEDIA_TYPE_XML if fhir_xml.looks_like(peek) else MEDIA_TYPE_JSON
    data = content(peek)
    resource = _decode(_resource_decoder, data)
    if resource.resource_type == "Bundle":
        return _describe_bundle(_decode(_bundle_decoder, data), media_type)
    return _describe_resource(resource, media_type)


def content(peek: Peek) -> bytes:
    """The JSON of a resource or bundle, also of one in XML; not of NDJSON.

    :raises FormatError: XML that is malformed; too large.
    """
    if fhir_xml.looks_like(peek):
        return msgspec.json.encode(fhir_xml.read(peek))
    return peek.read_all("FHIR JSON").removeprefix(b"\xef\xbb\xbf")


def is_ndjson(peek: Peek) -> bool:
    """Whether FHIR JSON is bulk data: one resource in each line."""
    if peek.suffix == ".ndjson":
        return not fhir_xml.looks_like(peek)
    line, newline, rest = peek.head.partition(b"\n")
    return bool(newline) and line.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{")


def _recognise_ndjson(peek: Peek) -> RecordInfo:
    counts: Counter[str] = Counter()
    first_patient: _Resource | None = None
    number = 0
    while line := peek.stream.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise FormatError(f"line {number} of the NDJSON is over {LINE_BYTES_MAX} bytes")
        if number > LINES_MAX:
            break
        if line.strip():
            resource = _decode(_resource_decoder, line, f" in line {number}")
            counts[resource.resource_type] += 1
            if resource.resource_type == "Patient" and first_patient is None:
                first_patient = resource
    at_least = "at least " if number > LINES_MAX else ""
    title = f"FHIR bulk data: {at_least}{plural(counts.total(), 'resource')}"
    details = [("resources", _counted(counts)), ("first patient", _patient(first_patient) if first_patient else "")]
    return RecordInfo.of("fhir", MEDIA_TYPE_NDJSON, title, details)


def _describe_bundle(bundle: _Bundle, media_type: str) -> RecordInfo:
    resources = [entry.resource for entry in bundle.entry if entry.resource is not None]
    for resource in resources:
        _check_type(resource)
    patients = [resource for resource in resources if resource.resource_type == "Patient"]
    if len(patients) == 1:
        title = _patient(patients[0])
    elif patients:
        title = f"FHIR bundle of {plural(len(patients), 'patient')}, first: {_patient(patients[0])}"
    else:
        what = next((shown for shown in (_concept(resource.code) for resource in resources[:20]) if shown), "")
        title = f"FHIR bundle of {plural(len(resources), 'resource')}" + (f": {what}" if what else "")
    details = [
        ("bundle", bundle.type),
        ("resources", _counted(Counter(resource.resource_type for resource in resources))),
        ("conditions", _displays(resources, "Condition")),
        ("made", bundle.timestamp),
    ]
    return RecordInfo.of("fhir", media_type, title, details)


def _describe_resource(resource: _Resource, media_type: str) -> RecordInfo:
    if resource.resource_type == "Patient":
        return RecordInfo.of("fhir", media_type, _patient(resource), [("id", _text(resource.id))])
    what = _concept(resource.code) or _concept(resource.type) or _name(resource.name)
    details = [
        ("id", _text(resource.id)),
        ("status", _text(resource.status)),
        ("subject", _reference(resource.subject)),
        ("time", _text(resource.effective_date_time)),
    ]
    title = f"FHIR {resource.resource_type}" + (f": {what}" if what else "")
    return RecordInfo.of("fhir", media_type, title, details)


def _patient(patient: _Resource) -> str:
    parts = [f"Patient {_name(patient.name) or _text(patient.id) or 'without a name'}", _text(patient.gender)]
    born, died = _text(patient.birth_date), _text(patient.deceased_date_time)
    parts += [f"born {born}" if born else "", f"died {died[:10]}" if died else ""]
    return ", ".join(part for part in parts if part)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common(12))


def _displays(resources: list[_Resource], kind: str) -> str:
    found = dict.fromkeys(_concept(resource.code) for resource in resources if resource.resource_type == kind)
    return "; ".join([shown for shown in found if shown][-4:])


def _decode(decoder: msgspec.json.Decoder[Any], data: bytes, where: str = "") -> Any:
    try:
        data.decode("utf-8")  # the decoder leaves what it skips unchecked
        decoded = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"the FHIR JSON{where} is malformed: {error}") from None
    except RecursionError:
        raise FormatError(f"the FHIR JSON{where} is nested too deeply") from None
    _check_type(decoded)
    return decoded


def _check_type(decoded: Any) -> None:
    if not decoded.resource_type:
        raise FormatError("it names no resourceType where one is due")
    if not _RESOURCE_TYPE.fullmatch(decoded.resource_type):
        raise FormatError(f"resourceType {printable(decoded.resource_type, 40)!r} is not the name of a FHIR resource")


def _value(raw: msgspec.Raw) -> Any:
    """The member as plain data; members are shown only, so one of an unexpected shape counts as absent."""
    if not memoryview(raw):
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(raw: msgspec.Raw) -> str:
    value = _value(raw)
    return value if isinstance(value, str) else ""


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _concept(raw: msgspec.Raw) -> str:
    concept = _first(_value(raw))
    if not isinstance(concept, dict):
        return ""
    coding = _first(concept.get("coding"))
    candidates = [concept.get("text"), *((coding.get("display"), coding.get("code")) if isinstance(coding, dict) else ())]
    return next((shown for shown in candidates if isinstance(shown, str) and shown), "")


def _reference(raw: msgspec.Raw) -> str:
    value = _value(raw)
    if not isinstance(value, dict):
        return ""
    shown = value.get("display") or value.get("reference")
    return shown if isinstance(shown, str) else ""


def _name(raw: msgspec.Raw) -> str:
    value = _first(_value(raw))
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    text, given, family = value.get("text"), value.get("given"), value.get("family")
    if isinstance(text, str) and text:
        return text
    names = [*(given if isinstance(given, list) else []), family]
    return " ".join(name for name in names if isinstance(name, str))
