"""A plain scan of files for coded entries, to compare searches with: slow, obvious, and without the index's own readers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import iterparse

import pydicom

from salus.records.file import recognise
from salus.search.code_systems import short_name
from salus.search.keyword import normalise, words

SYSTEMS: Final = frozenset({"loinc", "snomed", "rxnorm", "icd10", "icd10cm", "icd9cm", "cvx", "cpt"})
"""Codes of these systems are searched for: they mean the same in every format."""
CODES: Final = 6
WORDS: Final = 4
WORD_CHARACTERS_MIN: Final = 5
_CODED: Final = {"OBX": (3,), "OBR": (4,), "DG1": (3,), "AL1": (3,), "PR1": (3,), "RXA": (5,)}
"""HL7 v2: fields that hold a code, by segment."""


def scan(path: Path) -> frozenset[str]:
    """``system|code`` and words of displays of every coded entry of a FHIR (JSON), C-CDA, HL7 v2 or DICOM file."""
    read = {"fhir": _fhir, "ccda": _ccda, "hl7v2": _hl7v2, "dicom": _dicom}.get(recognise(path).format)
    found: set[str] = set()
    try:
        entries = list(read(path)) if read is not None else []
    except Exception:  # noqa: BLE001 - libraries parse whatever file was named; one that they cannot read has no keywords either
        entries = []
    for system, code, display in entries:
        name = short_name(normalise(system))
        if code and name in SYSTEMS:
            found.add(f"{name}|{normalise(code)}")
        found.update(words(display))
    return frozenset(found)


def choose(scans: list[frozenset[str]]) -> list[str]:
    """Ten codes and words that the scans have, drawn by their hash; fewer if there are not so many."""
    known = sorted(frozenset().union(*scans), key=lambda text: hashlib.sha256(text.encode()).digest())
    codes = [text for text in known if "|" in text]
    plain = [text for text in known if text.isalpha() and text.isascii() and len(text) >= WORD_CHARACTERS_MIN]
    chosen = codes[:CODES] + plain[:WORDS]
    return chosen + [text for text in (*codes, *plain) if text not in chosen][: CODES + WORDS - len(chosen)]


_SEQUENCES: Final = (
    "ProcedureCodeSequence", "RequestedProcedureCodeSequence", "ReasonForRequestedProcedureCodeSequence",
    "ReasonForVisitCodeSequence", "AdmittingDiagnosesCodeSequence", "PerformedProtocolCodeSequence", "AnatomicRegionSequence",
    "PrimaryAnatomicStructureSequence", "ConceptNameCodeSequence", "ViewCodeSequence",
)  # fmt: skip
"""DICOM: what says what was done, why, and where."""
Entry = tuple[str, str, str]
"""System, code, display."""


def _fhir(path: Path) -> Iterator[Entry]:
    text = path.read_bytes().decode("utf-8-sig", "replace")
    try:
        resources = [json.loads(text)]
    except ValueError:
        try:
            resources = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            return
    for resource in resources:
        yield from _inside(resource, "")


def _inside(value: Any, name: str) -> Iterator[Entry]:
    if isinstance(value, list):
        for item in value:
            yield from _inside(item, name)
    elif isinstance(value, dict):
        code, system, display = (_text(value.get(key)) for key in ("code", "system", "display"))
        if code and (name == "coding" or ((system or display) and "value" not in value)):
            yield system, code, display
        if "coding" in value or name.lower().endswith(("code", "codeableconcept")):
            yield "", "", _text(value.get("text"))
        for key, item in value.items():
            yield from _inside(item, key)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _ccda(path: Path) -> Iterator[Entry]:
    for _, element in iterparse(path):  # noqa: S314 - recognised, hence read once by the bounded reader that refuses entities
        if element.get("code") and element.get("codeSystem"):
            yield element.get("codeSystem", ""), element.get("code", ""), element.get("displayName", "")


def _hl7v2(path: Path) -> Iterator[Entry]:
    for line in path.read_bytes().decode("utf-8", "replace").replace("\n", "\r").split("\r"):
        fields = line.split("|")
        places = list(_CODED.get(fields[0], ()))
        if fields[0] == "OBX" and fields[2:3] in (["CE"], ["CWE"], ["CNE"], ["CF"]):
            places.append(5)
        for field in (fields[place] for place in places if place < len(fields)):
            for entry in field.split("~"):
                parts = [*(part.strip() for part in entry.split("^")), "", "", "", "", "", ""]
                for code, display, system in (parts[0:3], parts[3:6]):
                    yield system, code, display


def _dicom(path: Path) -> Iterator[Entry]:
    dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    for name in ("Modality", "BodyPartExamined", "StudyDescription", "SeriesDescription"):
        yield "", "", str(dataset.get(name) or "")
    for name in _SEQUENCES:
        for item in dataset.get(name) or ():
            yield (
                str(item.get("CodingSchemeDesignator") or ""),
                str(item.get("CodeValue") or ""),
                str(item.get("CodeMeaning") or ""),
            )
