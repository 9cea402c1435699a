"""Category and clinical date of FHIR content (R4): a resource by type and category, a bundle by what its resources agree on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final

import msgspec

from salus.errors import FormatError
from salus.records import scope
from salus.records.clinical_facts import ClinicalFacts, newest, parse_day
from salus.records.fhir import LINE_BYTES_MAX, LINES_MAX, content, is_ndjson
from salus.records.info import Peek

_Raw = msgspec.Raw


class _Resource(msgspec.Struct, rename="camel", gc=False):
    resource_type: str = ""
    category: _Raw = _Raw()
    code: _Raw = _Raw()
    effective_date_time: _Raw = _Raw()
    effective_period: _Raw = _Raw()
    effective_instant: _Raw = _Raw()
    onset_date_time: _Raw = _Raw()
    onset_period: _Raw = _Raw()
    recorded_date: _Raw = _Raw()
    authored_on: _Raw = _Raw()
    authored: _Raw = _Raw()
    occurrence_date_time: _Raw = _Raw()
    occurrence_period: _Raw = _Raw()
    performed_date_time: _Raw = _Raw()
    performed_period: _Raw = _Raw()
    started: _Raw = _Raw()
    date: _Raw = _Raw()
    period: _Raw = _Raw()
    date_asserted: _Raw = _Raw()
    issued: _Raw = _Raw()
    created: _Raw = _Raw()
    date_time: _Raw = _Raw()
    recorded: _Raw = _Raw()


class _Entry(msgspec.Struct, gc=False):
    resource: _Resource | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    type: _Raw = _Raw()
    timestamp: _Raw = _Raw()
    entry: list[_Entry] = []


_DATES: Final = (
    "effective_date_time",
    "effective_period",
    "effective_instant",
    "onset_date_time",
    "onset_period",
    "occurrence_date_time",
    "occurrence_period",
    "performed_date_time",
    "performed_period",
    "started",
    "period",
    "authored_on",
    "authored",
    "recorded_date",
    "date",
    "date_asserted",
    "issued",
    "recorded",
    "created",
    "date_time",
)
"""When it happened, before when it was written down."""

_TYPES: Final = {
    **dict.fromkeys(("Specimen", "BodyStructure"), scope.LAB),
    **dict.fromkeys(("ImagingStudy", "Media"), scope.IMAGING),
    **dict.fromkeys(
        (
            "Medication",
            "MedicationRequest",
            "MedicationStatement",
            "MedicationAdministration",
            "MedicationDispense",
            "Immunization",
            "ImmunizationRecommendation",
            "ImmunizationEvaluation",
        ),
        scope.MEDICATION,
    ),
    **dict.fromkeys(
        ("Condition", "AllergyIntolerance", "FamilyMemberHistory", "RiskAssessment", "AdverseEvent", "DetectedIssue", "Flag"),
        scope.CONDITION,
    ),
    **dict.fromkeys(
        (
            "DocumentReference",
            "Composition",
            "ClinicalImpression",
            "CarePlan",
            "Goal",
            "Procedure",
            "ServiceRequest",
            "QuestionnaireResponse",
            "Communication",
            "NutritionOrder",
        ),
        scope.NOTE,
    ),
    "MolecularSequence": scope.GENOMICS,
}
_ACCOMPANYING: Final = frozenset(
    {
        *("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Group", "CareTeam", "Device", "List", "Binary"),
        *("Organization", "Location", "HealthcareService", "Endpoint", "Encounter", "EpisodeOfCare"),
        *("Coverage", "Claim", "ClaimResponse", "ExplanationOfBenefit", "Account", "SupplyDelivery"),
        *("Provenance", "AuditEvent", "Consent"),
    }
)
"""Resources that say who, where and for how much: they do not decide what a bundle is."""

_OBSERVATIONS: Final = {
    "laboratory": scope.LAB,
    "vital-signs": scope.VITALS,
    "activity": scope.VITALS,
    "imaging": scope.IMAGING,
    "social-history": scope.NOTE,
    "survey": scope.NOTE,
    "exam": scope.NOTE,
    "therapy": scope.NOTE,
    "procedure": scope.VITALS,
    "genomics": scope.GENOMICS,
}
_REPORTS: Final = {
    **dict.fromkeys(("RAD", "RUS", "CT", "CUS", "NMR", "NMS", "OUS", "VUS", "RX", "XRC", "IMG", "MAM"), scope.IMAGING),
    **dict.fromkeys(("LP29684-5", "394914008"), scope.IMAGING),
    **dict.fromkeys(("EC", "PF", "CG", "LP29708-2"), scope.VITALS),
    **dict.fromkeys(("34117-2", "51847-2", "11506-3", "18842-5", "28570-0", "11488-4", "PHY"), scope.NOTE),
    "GE": scope.GENOMICS,
}
"""Sections of HL7 table 0074, parts of LOINC for diagnostic reports and clinical notes; anything else is a laboratory's."""
_VITAL_SIGNS: Final = frozenset(
    {
        *("85353-1", "9279-1", "8867-4", "2708-6", "59408-5", "8310-5", "8302-2", "9843-4", "29463-7", "39156-5"),
        *("85354-9", "8480-6", "8462-4", "55284-4", "131328"),
    }
)
"""LOINC codes of the FHIR vital signs profile, and the code that its electrocardiogram example carries."""
_GENETIC: Final = frozenset({"81252-9", "48018-6", "69548-6", "51968-6", "53037-8", "81290-9", "48002-0", "55233-1"})
"""LOINC codes of variants, genes and genetic findings."""


def derive(peek: Peek) -> ClinicalFacts:
    """Category and date of a FHIR file.

    :raises FormatError: malformed, or too large.
    """
    if is_ndjson(peek):
        return _of_many(_resources_of_lines(peek), "FHIR bulk data", None)
    data = content(peek)
    resource = _decoded(data, _Resource)
    if resource.resource_type != "Bundle":
        return ClinicalFacts(_category(resource), _day(resource), f"FHIR {resource.resource_type}")
    bundle = _decoded(data, _Bundle)
    resources = (entry.resource for entry in bundle.entry if entry.resource is not None)
    if _plain(bundle.type) == "document":
        return ClinicalFacts(scope.NOTE, newest(_day(r) for r in resources if r.resource_type == "Composition"), "FHIR document")
    return _of_many(resources, "FHIR bundle", parse_day(_text(_plain(bundle.timestamp))))


def _of_many(resources: Iterable[_Resource], what: str, made: date | None) -> ClinicalFacts:
    """The category that all agree on, and the newest date: a collection is of the time it was put together."""
    categories: set[str] = set()
    days: date | None = None
    for resource in resources:
        if resource.resource_type in _ACCOMPANYING:
            continue
        categories.add(_category(resource))
        days = newest((days, _day(resource)))
    category = categories.pop() if len(categories) == 1 else scope.OTHER
    why = f"{what} of {category} only" if category != scope.OTHER else f"{what} of no one category"
    return ClinicalFacts(category, days or made, why)


def _resources_of_lines(peek: Peek) -> Iterator[_Resource]:
    peek.stream.seek(0)
    for _ in range(LINES_MAX):
        line = peek.stream.readline(LINE_BYTES_MAX + 1)
        if not line:
            return
        if len(line) > LINE_BYTES_MAX:
            raise FormatError(f"a line of over {LINE_BYTES_MAX} bytes")
        if line.strip():
            yield _decoded(line, _Resource)


def _category(resource: _Resource) -> str:
    kind = resource.resource_type
    codes = list(_codes(_plain(resource.category)))
    if kind == "Observation":
        measured = set(_codes(_plain(resource.code)))
        if measured & _GENETIC:
            return scope.GENOMICS
        told = next((_OBSERVATIONS[code] for code in codes if code in _OBSERVATIONS), None)
        vital = bool(measured & _VITAL_SIGNS)
        return told or (scope.VITALS if vital else scope.LAB)
    if kind == "DiagnosticReport":
        return next((_REPORTS[code] for code in codes if code in _REPORTS), scope.LAB)
    return _TYPES.get(kind, scope.OTHER)


def _day(resource: _Resource) -> date | None:
    for name in _DATES:
        value = _plain(getattr(resource, name))
        if isinstance(value, dict):
            value = value.get("start") or value.get("end")
        day = parse_day(_text(value))
        if day is not None:
            return day
    return None


def _codes(concepts: Any) -> Iterator[str]:
    for concept in concepts if isinstance(concepts, list) else [concepts]:
        codings = concept.get("coding") if isinstance(concept, dict) else None
        for coding in codings if isinstance(codings, list) else []:
            code = coding.get("code") if isinstance(coding, dict) else None
            if isinstance(code, str):
                yield code


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _plain(raw: _Raw) -> Any:
    """A member as plain data; one of an unexpected shape counts as absent."""
    if not memoryview(raw):
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decoded(data: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"the FHIR JSON is malformed: {type(error).__name__}") from None
