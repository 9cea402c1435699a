"""Which scope a record belongs to by default: its category and clinical date, drawn from the file (docs/protocol/records.md).

A file is read by the bounded readers of its format. Whoever made it may be hostile or careless, so this is a proposal: the owner
sees it with its reason and may name another category or quarter (:func:`choose`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from salus.errors import FormatError, StorageError
from salus.records import ccda, clinical_fhir, dicom, hl7v2, scope
from salus.records.clinical_facts import ClinicalFacts, newest, parse_day
from salus.records.file import recognise_peek
from salus.records.info import Peek, RecordInfo
from salus.records.streams import open_source

__all__ = ["ClinicalFacts", "choose", "derive", "derive_bytes"]

HEAD_LINES_MAX: Final = 5_000
"""Lines of a VCF's meta-information that are looked at for its date; the longest seen have 3,000."""
LINE_BYTES_MAX: Final = 1024 * 1024
TABLE_ROWS_MAX: Final = 200_000
"""Rows of a table whose dates are read."""


def derive(path: Path) -> ClinicalFacts:
    """Category and clinical date of the file at ``path``. What is inside the file cannot make it fail.

    :raises StorageError: if it is no regular file or cannot be read.
    """
    with open_source(path) as stream:
        return _derive(Peek(stream, path.name, path.parent))


def derive_bytes(data: bytes, file_name: str = "") -> ClinicalFacts:
    """:func:`derive` of a whole file held in memory."""
    return _derive(Peek(io.BytesIO(data), file_name, None))


def choose(facts: ClinicalFacts, today: date, category: str | None = None, period: str | None = None) -> tuple[str, str]:
    """Category and period of a record: the owner's if given, else those of the file.

    A date that is missing or lies in the future (no clinical date, but a wrong clock or an appointment) counts as today.

    :raises Refused: ``bad-category`` or ``bad-period`` for the owner's.
    """
    chosen = scope.check_category(facts.category if category is None else category)
    if period is not None:
        return chosen, scope.check_period(period)
    known = facts.day is not None and facts.day.year >= scope.YEAR_MIN and facts.day <= today
    return chosen, scope.period_of(facts.day if known and facts.day is not None else today)


def _derive(peek: Peek) -> ClinicalFacts:
    info = recognise_peek(peek)
    read = _READERS.get(info.format)
    if read is None:
        return _by_type(info, peek)
    try:
        return read(peek)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot read {peek.name}: {error.strerror or error}") from error
    except Exception:  # noqa: BLE001 - libraries parse hostile files here; whatever fails, the owner chooses
        return ClinicalFacts(scope.OTHER, None, f"{info.format} whose category could not be read")


# --- DICOM (PS3.3, C.7.3.1.1.1 modalities; dates of acquisition, content, series, study) ---

_DICOM_DATES: Final = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")
_DICOM_NOTES: Final = frozenset({"SR", "DOC", "PR", "KO", "PLAN"})
_DICOM_VITALS: Final = frozenset({"ECG", "HD", "EPS", "RESP", "EEG", "EMG", "EOG", "AU"})


def _dicom(peek: Peek) -> ClinicalFacts:
    tags = ("Modality", *_DICOM_DATES)
    _, read = dicom.read_header(peek, tags, lambda dataset: {tag: str(dataset.get(tag) or "") for tag in tags})
    values = read or {}
    modality = values.get("Modality", "")
    category = scope.NOTE if modality in _DICOM_NOTES else scope.VITALS if modality in _DICOM_VITALS else scope.IMAGING
    day = next((found for found in (parse_day(values.get(tag, "")) for tag in _DICOM_DATES) if found), None)
    return ClinicalFacts(category, day, f"DICOM modality {modality or 'not given'}")


# --- HL7 v2 (message type MSH-9; table 0074, diagnostic service sections, in OBR-24) ---

_HL7_SECTIONS: Final = {
    **dict.fromkeys(("RAD", "RUS", "CT", "CUS", "NMR", "NMS", "OUS", "VUS", "RX", "XRC", "CTH", "MAM"), scope.IMAGING),
    **dict.fromkeys(("EC", "EN", "PF", "RC", "NRS"), scope.VITALS),
    "GE": scope.GENOMICS,
    "PHR": scope.MEDICATION,
    "PHY": scope.NOTE,
}
_HL7_TYPES: Final = {
    **dict.fromkeys(("ORU", "OUL", "OML"), scope.LAB),
    **dict.fromkeys(("MDM", "ORM", "REF"), scope.NOTE),
    **dict.fromkeys(("RDE", "RDS", "RAS", "RGV", "OMP", "VXU", "RDO", "ROR"), scope.MEDICATION),
    **dict.fromkeys(("PPR", "PGL"), scope.CONDITION),
    "OMI": scope.IMAGING,
}
_HL7_DATES: Final = (
    (("OBX", 14), ("OBR", 7), ("RXA", 3), ("TXA", 4)),
    (("PV1", 44), ("EVN", 2), ("MSH", 7)),
)
"""(segment, field): when something was observed or given, else when it was reported."""


def _hl7v2(peek: Peek) -> ClinicalFacts:
    segments = hl7v2.split_segments(peek.read_all("HL7 v2"))
    separator = next(segment[3] for segment in segments if segment.startswith("MSH"))
    fields = [segment.split(separator) for segment in segments]
    component = next(f[1][0] for f in fields if f[0] == "MSH")
    kind = next(f[8] for f in fields if f[0] == "MSH").split(component)[0]
    sections = {f[24].split(component)[0] for f in fields if f[0] == "OBR" and len(f) > 24 and f[24]}
    of_sections = {_HL7_SECTIONS.get(section, scope.LAB) for section in sections}
    category = _HL7_TYPES.get(kind, scope.OTHER)
    why = f"HL7 v2 {kind}"
    if kind in ("ORU", "OUL") and len(of_sections) == 1:
        category, why = of_sections.pop(), f"HL7 v2 {kind}, section {sorted(sections)[0]}"
    elif kind == "ADT" and any(f[0] in ("DG1", "PRB", "AL1") for f in fields):
        category, why = scope.CONDITION, "HL7 v2 ADT with diagnoses"
    for places in _HL7_DATES:
        day = newest(parse_day(_hl7_field(f, at)) for f in fields for name, at in places if f[0] == name)
        if day is not None:
            break
    return ClinicalFacts(category, day, why)


def _hl7_field(fields: list[str], number: int) -> str:
    at = number - 1 if fields[0] == "MSH" else number  # MSH-1 is the separator itself
    return fields[at] if len(fields) > at else ""


# --- C-CDA (document types by LOINC) ---

_CCDA_TYPES: Final = {
    "11502-2": scope.LAB,
    "26436-6": scope.LAB,
    "18748-4": scope.IMAGING,
    "18726-0": scope.IMAGING,
    "51969-4": scope.GENOMICS,
    "81247-9": scope.GENOMICS,
    "10160-0": scope.MEDICATION,
    "29305-8": scope.MEDICATION,
    "57833-6": scope.MEDICATION,
    "11369-6": scope.MEDICATION,
    "11450-4": scope.CONDITION,
    "8716-3": scope.VITALS,
}


class _CcdaFacts(ccda.Walker):
    def __init__(self) -> None:
        super().__init__()
        self.code = self.kind = self.made = self.visit = ""

    def seen(self, path: list[str], element: Element) -> None:
        below = path[1:]
        if below == ["code"]:
            self.code, self.kind = element.get("code", ""), element.get("displayName", "")
        elif below == ["effectiveTime"]:
            self.made = element.get("value", "")
        elif below[:3] == ["componentOf", "encompassingEncounter", "effectiveTime"]:
            self.visit = self.visit or element.get("value", "")


def _ccda(peek: Peek) -> ClinicalFacts:
    facts = _CcdaFacts()
    ccda.walk(peek, facts)
    category = _CCDA_TYPES.get(facts.code, scope.NOTE)
    return ClinicalFacts(category, parse_day(facts.visit) or parse_day(facts.made), f"C-CDA {facts.kind or facts.code}")


# --- tables, waveforms, variants, plain files ---

_VCF_DATE: Final = re.compile(rb"##fileDate=\"?([0-9-]{8,10})")
_WFDB_DATE: Final = re.compile(rb"\s(\d{1,2})/(\d{1,2})/(\d{4})\s*$")
_DATE_COLUMNS: Final = ("date", "time", "timestamp", "datetime", "measured", "start")
_VITAL_COLUMNS: Final = re.compile(
    r"heart.?rate|pulse|spo2|sao2|systolic|diastolic|blood.?pressure|respirat|temperature|ecg|weight"
)
_GENOMIC_SUFFIXES: Final = (".bam", ".cram", ".sam", ".fastq", ".fq", ".fastq.gz", ".fq.gz", ".vcf.gz", ".bcf", ".fasta", ".fa")


def _vcf(peek: Peek) -> ClinicalFacts:
    found = None
    for line in _lines(peek, HEAD_LINES_MAX):
        found = _VCF_DATE.match(line)
        if found or not line.startswith(b"##"):
            break
    return ClinicalFacts(scope.GENOMICS, parse_day(found[1].decode()) if found else None, "variant calls")


def _waveform(peek: Peek) -> ClinicalFacts:
    text = b""
    if peek.suffix == ".hea":
        text = peek.head
    elif peek.folder is not None:
        with open_source((peek.folder / peek.name).with_suffix(".hea")) as stream:
            text = stream.read(4096)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(b"#")]
    match = _WFDB_DATE.search(lines[0]) if lines else None
    day = parse_day(f"{match[3].decode()}-{int(match[2]):02}-{int(match[1]):02}") if match else None
    return ClinicalFacts(scope.VITALS, day, "waveform")


def _csv(peek: Peek) -> ClinicalFacts:
    rows = csv.reader((line.decode("utf-8-sig", "replace") for line in _lines(peek, TABLE_ROWS_MAX)), strict=False)
    header = [name.strip().lower() for name in next(rows, [])]
    vital = any(_VITAL_COLUMNS.search(name) for name in header)
    at = next((header.index(name) for name in _DATE_COLUMNS if name in header), None)
    day = newest(parse_day(row[at]) for row in rows if len(row) > at) if at is not None else None
    return ClinicalFacts(scope.VITALS if vital else scope.OTHER, day, "table of vital signs" if vital else "table")


def _by_type(info: RecordInfo, peek: Peek) -> ClinicalFacts:
    name = peek.name.lower()
    if name.endswith(_GENOMIC_SUFFIXES):
        return ClinicalFacts(scope.GENOMICS, None, "sequence file, by its name")
    if info.media_type.startswith("image/"):
        return ClinicalFacts(scope.IMAGING, None, "image")
    if info.media_type in ("application/pdf", "text/plain"):
        return ClinicalFacts(scope.NOTE, None, "document")
    return ClinicalFacts(scope.OTHER, None, "file of another kind")


def _lines(peek: Peek, lines_max: int) -> Iterator[bytes]:
    peek.stream.seek(0)
    for _ in range(lines_max):
        line = peek.stream.readline(LINE_BYTES_MAX + 1)
        if not line:
            return
        if len(line) > LINE_BYTES_MAX:
            raise FormatError(f"a line of over {LINE_BYTES_MAX} bytes")
        yield line


_READERS: Final[dict[str, Callable[[Peek], ClinicalFacts]]] = {
    "fhir": clinical_fhir.derive,
    "dicom": _dicom,
    "hl7v2": _hl7v2,
    "ccda": _ccda,
    "vcf": _vcf,
    "waveform": _waveform,
    "csv": _csv,
}
