"""Keywords of DICOM: modality, body part, and the codes of the study (DICOM PS3.3, modules General Study, General Series,
Image; PS3.16, CID 29: modalities are codes of DCM, as in FHIR's ImagingStudy)."""

from __future__ import annotations

from typing import Any, Final

from salus.records.dicom import read_header
from salus.records.info import Peek
from salus.search.collecting import Collector

_MODALITIES: Final = ("Modality", "ModalitiesInStudy")
_BODY_PART: Final = "BodyPartExamined"
_DESCRIPTIONS: Final = ("StudyDescription", "SeriesDescription")
_CODES: Final = (
    "ProcedureCodeSequence",
    "RequestedProcedureCodeSequence",
    "ReasonForRequestedProcedureCodeSequence",
    "ReasonForVisitCodeSequence",
    "AdmittingDiagnosesCodeSequence",
    "PerformedProtocolCodeSequence",
    "AnatomicRegionSequence",
    "PrimaryAnatomicStructureSequence",
    "ConceptNameCodeSequence",
    "ViewCodeSequence",
)
_CODE_VALUES: Final = ("CodeValue", "LongCodeValue", "URNCodeValue")
_ITEMS_MAX: Final = 256
"""Items of one sequence that are read."""


def collect(peek: Peek, found: Collector) -> None:
    """Collect the keywords of a DICOM file from its header.

    :raises FormatError: malformed or too large. A deflated file gives none.
    """
    read_header(peek, [*_MODALITIES, _BODY_PART, *_DESCRIPTIONS, *_CODES], lambda dataset: _read(dataset, found))


def _read(dataset: Any, found: Collector) -> None:
    for tag in _MODALITIES:
        for modality in _values(dataset, tag):
            found.code("dcm", modality)
            found.words(modality)
    for part in _values(dataset, _BODY_PART):
        found.code("body-part", part)
        found.words(part)
    for sequence in _CODES:
        for item in list(dataset.get(sequence) or ())[:_ITEMS_MAX]:
            value = next((v for tag in _CODE_VALUES for v in _values(item, tag)), "")
            found.code(next(iter(_values(item, "CodingSchemeDesignator")), ""), value)
            for meaning in _values(item, "CodeMeaning"):
                found.words(meaning)
    for tag in _DESCRIPTIONS:
        for text in _values(dataset, tag):
            found.words(text)


def _values(dataset: Any, tag: str) -> list[str]:
    value = dataset.get(tag)
    if value is None:
        return []
    several = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
    return [text for text in (str(one).strip() for one in list(several)[:_ITEMS_MAX]) if text]
