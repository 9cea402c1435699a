"""Category and clinical date of records, their quarter, and the owner's override."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.errors import Refused, StorageError
from salus.records import scope
from salus.records.clinical import choose, derive, derive_bytes
from salus.records.clinical_facts import ClinicalFacts, parse_day
from salus.records.scope import CATEGORIES, check_category, check_period, period_of, periods_between, year_of

REAL = [
    ("ccda/CCD_2.xml", "note", "2014-10-15"),
    ("ccda/Discharge_Summary.xml", "note", "2014-09-09"),
    ("dicom/open/CT_small.dcm", "imaging", "1997-04-30"),
    ("dicom/open/test-SR.dcm", "note", "2001-02-13"),
    ("dicom/open/waveform_ecg.dcm", "vitals", "2013-01-25"),
    ("fhir/open/Birgit_Schmeler_7e8ee10e-569b-4229-9380-62c49244902c.json", "other", "2020-05-31"),
    ("fhir/extra/bulk_10patients/Condition.000.ndjson", "condition", "2023-02-04"),
    ("fhir/extra/bulk_10patients/Patient.000.ndjson", "other", ""),
    ("fhir/resources/DiagnosticReport-102.json", "lab", "2008-06-17"),
    ("fhir/resources/DiagnosticReport-ultrasound.json", "imaging", "2012-12-01"),
    ("fhir/resources/Observation-blood-pressure.json", "vitals", "2012-09-17"),
    ("fhir/resources/Observation-example-genetics-1.json", "genomics", "2013-04-03"),
    ("fhir/resources/Observation-f001.json", "lab", "2013-04-02"),
    ("fhir/resources/DocumentReference-example.json", "note", "2005-12-24"),
    ("hl7v2/open/ADT-A01-01.hl7", "condition", "1999-07-02"),
    ("hl7v2/open/ORU-R01-01.hl7", "lab", "2012-03-01"),
    ("hl7v2/open/VXU-V04-01.hl7", "medication", "2021-08-18"),
    ("vcf/example-4.1.vcf", "genomics", "2009-08-05"),
    ("vcf/1kg.sites.vcf", "genomics", ""),
    ("vitals_csv/observations.csv", "other", "2024-01-21"),
    ("waveform/mitdb_100/100.dat", "vitals", ""),
    ("waveform/mitdb_100/100.hea", "vitals", ""),
]


@pytest.mark.parametrize(("name", "category", "day"), REAL)
def test_real_samples(samples: Path, name: str, category: str, day: str) -> None:
    facts = derive(samples / name)
    assert (facts.category, str(facts.day or "")) == (category, day)
    assert facts.why


VCF = b"##fileformat=VCFv4.2\n##fileDate=20210304\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def fhir(kind: str, **members: Any) -> ClinicalFacts:
    return derive_bytes(json.dumps({"resourceType": kind, **members}).encode(), "r.json")


def concept(code: str, system: str = "http://loinc.org") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@pytest.mark.parametrize(
    ("kind", "members", "category"),
    [
        ("Observation", {"category": [concept("laboratory")]}, "lab"),
        ("Observation", {"category": [concept("vital-signs")]}, "vitals"),
        ("Observation", {"category": [concept("imaging")]}, "imaging"),
        ("Observation", {"category": [concept("social-history")]}, "note"),
        ("Observation", {"category": [concept("unheard-of"), concept("vital-signs")]}, "vitals"),
        ("Observation", {"code": concept("8867-4")}, "vitals"),
        ("Observation", {"code": concept("2345-7")}, "lab"),
        ("Observation", {"category": [concept("laboratory")], "code": concept("69548-6")}, "genomics"),
        ("Observation", {"category": "nonsense", "code": 7}, "lab"),
        ("DiagnosticReport", {"category": [concept("GE")]}, "genomics"),
        ("DiagnosticReport", {"category": concept("RAD")}, "imaging"),
        ("DiagnosticReport", {"category": [concept("34117-2")]}, "note"),
        ("DiagnosticReport", {}, "lab"),
        ("MedicationRequest", {}, "medication"),
        ("Immunization", {}, "medication"),
        ("AllergyIntolerance", {}, "condition"),
        ("ImagingStudy", {}, "imaging"),
        ("MolecularSequence", {}, "genomics"),
        ("Composition", {}, "note"),
        ("Patient", {}, "other"),
    ],
)
def test_fhir_categories(kind: str, members: dict[str, Any], category: str) -> None:
    assert fhir(kind, **members).category == category


@pytest.mark.parametrize(
    ("members", "day"),
    [
        ({"effectiveDateTime": "2024-02-29T23:59:59-11:00", "issued": "2024-03-09"}, date(2024, 2, 29)),
        ({"effectivePeriod": {"start": "2023-12-31T00:00:00Z", "end": "2024-01-02"}}, date(2023, 12, 31)),
        ({"effectivePeriod": {"end": "2024-01-02"}}, date(2024, 1, 2)),
        ({"effectiveDateTime": "yesterday", "issued": "2024-03-09T00:00:00Z"}, date(2024, 3, 9)),
        ({"effectiveDateTime": "2024-05"}, date(2024, 5, 1)),
        ({"effectiveDateTime": "2024"}, date(2024, 1, 1)),
        ({"effectiveDateTime": ["2024-01-01"], "date": {"start": 5}}, None),
        ({}, None),
    ],
)
def test_fhir_dates(members: dict[str, Any], day: date | None) -> None:
    assert fhir("Observation", **members).day == day


def bundle(*resources: dict[str, Any], **members: Any) -> ClinicalFacts:
    return fhir("Bundle", entry=[{"resource": r} for r in resources], **members)


def test_bundles() -> None:
    one = {"resourceType": "Observation", "category": [concept("vital-signs")], "effectiveDateTime": "2024-01-01"}
    two = one | {"effectiveDateTime": "2024-04-01"}
    patient = {"resourceType": "Patient", "birthDate": "2025-01-01"}
    facts = bundle(patient, two, one)
    assert (facts.category, facts.day) == ("vitals", date(2024, 4, 1))
    mixed = bundle(one, {"resourceType": "Condition", "recordedDate": "2023-01-01"})
    assert (mixed.category, mixed.day) == ("other", date(2024, 1, 1))
    assert bundle(patient, timestamp="2022-02-02T00:00:00Z").day == date(2022, 2, 2)
    document = bundle({"resourceType": "Composition", "date": "2021-03-03"}, two, type="document")
    assert (document.category, document.day) == ("note", date(2021, 3, 3))
    assert bundle().category == "other"


def test_fhir_in_xml() -> None:
    start = b'<?xml version="1.0"?><Condition xmlns="http://hl7.org/fhir"><id value="1"/>'
    facts = derive_bytes(start + b'<onsetDateTime value="2024-05-06T07:08:09Z"/></Condition>')
    assert (facts.category, facts.day) == ("condition", date(2024, 5, 6))
    period = b'<onsetPeriod><start value="2023-01"/><end value="2023-02"/></onsetPeriod></Condition>'
    assert derive_bytes(start + period).day == date(2023, 1, 1)
    facts = derive_bytes(start + b"</Condition>")
    assert (facts.category, facts.day) == ("condition", None)
    entry = (
        b"<entry><resource>" + start.partition(b"?>")[2] + b'<recordedDate value="2022-02-03"/></Condition></resource></entry>'
    )
    facts = derive_bytes(b'<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/>' + entry + b"</Bundle>")
    assert (facts.category, facts.day) == ("condition", date(2022, 2, 3))
    assert derive_bytes(start).category == "other"


def hl7(*segments: str, kind: str = "ORU^R01") -> ClinicalFacts:
    header = f"MSH|^~\\&|A|B|C|D|20200101||{kind}|1|P|2.5.1"
    return derive_bytes("\r".join([header, *segments]).encode())


@pytest.mark.parametrize(
    ("kind", "segments", "category", "day"),
    [
        ("ORU^R01", [f"OBR|{'|' * 5}|20230405{'|' * 17}RAD"], "imaging", date(2023, 4, 5)),
        ("ORU^R01", [f"OBR|{'|' * 5}|20230405{'|' * 17}GE"], "genomics", date(2023, 4, 5)),
        ("ORU^R01", [f"OBR|{'|' * 5}|2023040510{'|' * 17}CH", f"OBX|{'|' * 12}|20230406"], "lab", date(2023, 4, 6)),
        ("ORU^R01", [f"OBR|{'|' * 22}|RAD", f"OBR|{'|' * 22}|CH"], "lab", date(2020, 1, 1)),
        ("MDM^T02", ["TXA|1|DS||202211"], "note", date(2022, 11, 1)),
        ("RDE^O11", [], "medication", date(2020, 1, 1)),
        ("VXU^V04", ["RXA|0|1|20210818"], "medication", date(2021, 8, 18)),
        ("ADT^A01", ["EVN|A01|20191231"], "other", date(2020, 1, 1)),
        ("ADT^A01", ["DG1|1"], "condition", date(2020, 1, 1)),
        ("SIU^S12", [], "other", date(2020, 1, 1)),
    ],
)
def test_hl7(kind: str, segments: list[str], category: str, day: date) -> None:
    facts = hl7(*segments, kind=kind)
    assert (facts.category, facts.day) == (category, day)


def test_ccda_by_its_type() -> None:
    def document(code: str, encounter: str = "") -> ClinicalFacts:
        return derive_bytes(
            f'<ClinicalDocument xmlns="urn:hl7-org:v3"><code code="{code}"/><effectiveTime value="20240203"/>{encounter}'
            "</ClinicalDocument>".encode()
        )

    assert [document(code).category for code in ("11502-2", "18748-4", "51969-4", "57833-6", "34133-9")] == [
        "lab", "imaging", "genomics", "medication", "note"
    ]  # fmt: skip
    assert document("34133-9").day == date(2024, 2, 3)
    time = '<effectiveTime><low value="20231230"/></effectiveTime>'
    visit = f"<componentOf><encompassingEncounter>{time}</encompassingEncounter></componentOf>"
    assert document("34133-9", visit).day == date(2023, 12, 30)


@pytest.mark.parametrize(
    ("data", "name", "category", "day"),
    [
        (b"time,heart rate\n2024-05-06T00:00,70\n2024-05-07T00:00,71\n", "watch.csv", "vitals", date(2024, 5, 7)),
        (b"name,price\na,1\n", "bill.csv", "other", None),
        (VCF, "v.vcf", "genomics", date(2021, 3, 4)),
        (b"@SEQ\nACGT\n", "reads.fastq", "genomics", None),
        (b"\x1f\x8b and more", "reads.fastq.gz", "genomics", None),
        (b"\x89PNG\r\n\x1a\n and more", "skin.png", "imaging", None),
        (b"%PDF-1.7", "letter.pdf", "note", None),
        (b"plain words", "notes.txt", "note", None),
        (b"\x00\x01\x02", "data.bin", "other", None),
        (b"", "empty", "other", None),
        (b'{"resourceType": "Observation", ', "cut.json", "other", None),
    ],
)  # fmt: skip
def test_other_files(data: bytes, name: str, category: str, day: date | None) -> None:
    facts = derive_bytes(data, name)
    assert (facts.category, facts.day) == (category, day)


def test_waveform_with_a_date(tmp_path: Path) -> None:
    header = b"# comment\nrec 1 250 4 10:00:00 31/12/2019\nrec.dat 16 200 16 0 0 0 0 II\n"
    (tmp_path / "rec.hea").write_bytes(header)
    (tmp_path / "rec.dat").write_bytes(bytes(8))
    for name in ("rec.hea", "rec.dat"):
        facts = derive(tmp_path / name)
        assert (facts.category, facts.day) == ("vitals", date(2019, 12, 31))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        derive(tmp_path / "nothing")
    with pytest.raises(StorageError):
        derive(tmp_path)


@given(st.binary(max_size=400), st.sampled_from(["a.json", "a.ndjson", "a.csv", "a.hea", "a.vcf", "a"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_some_category(data: bytes, name: str) -> None:
    for start in (b"", b'{"resourceType":"Bundle","entry":[', b"MSH|^~\\&|", b"##fileformat=VCFv4.2\n", bytes(128) + b"DICM"):
        assert derive_bytes(start + data, name).category in CATEGORIES


# --- dates, quarters, choice ---


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-02-29", date(2024, 2, 29)),
        ("20240229", date(2024, 2, 29)),
        ("20240229235959.123+0500", date(2024, 2, 29)),
        ("202402", date(2024, 2, 1)),
        ("2024-02", date(2024, 2, 1)),
        ("2024", date(2024, 1, 1)),
        ("2023-02-29", None),
        ("20241301", None),
        ("24-02-29", None),
        ("0000", None),
        ("٢٠٢٤", None),
        ("", None),
    ],
)
def test_days(text: str, day: date | None) -> None:
    assert parse_day(text) == day


@given(st.dates(min_value=date(1900, 1, 1)))
def test_quarters(day: date) -> None:
    period = period_of(day)
    assert check_period(period) == period
    assert year_of(period) == day.year
    assert int(period[-1]) * 3 - 2 <= day.month <= int(period[-1]) * 3


def test_ranges_of_quarters() -> None:
    assert list(periods_between("2024Q3", "2025Q2")) == ["2024Q3", "2024Q4", "2025Q1", "2025Q2"]
    assert list(periods_between("2024Q3", "2024Q3")) == ["2024Q3"]
    for first, last in (("2025Q1", "2024Q4"), ("1900Q1", "2000Q1"), ("2025", "2026Q1")):
        with pytest.raises(Refused, match="bad-period"):
            periods_between(first, last)


@pytest.mark.parametrize(
    "period", ["", "2025", "2025Q0", "2025Q5", "2025q1", " 2025Q1", "2025Q1 ", "1899Q4", "25Q1", "٢٠٢٥Q1", "all"]
)
def test_periods_that_are_none(period: str) -> None:
    with pytest.raises(Refused, match="bad-period"):
        check_period(period)
    assert check_period(scope.WHOLE_CATEGORY, whole_category=True) == "all"


def test_the_owner_chooses() -> None:
    today = date(2026, 5, 1)
    facts = ClinicalFacts("lab", date(2025, 8, 9), "a test")
    assert choose(facts, today) == ("lab", "2025Q3")
    assert choose(facts, today, "genomics") == ("genomics", "2025Q3")
    assert choose(facts, today, period="2024Q1") == ("lab", "2024Q1")
    for unknown in (None, date(2026, 5, 2), date(1800, 1, 1)):
        assert choose(ClinicalFacts("lab", unknown, "a test"), today) == ("lab", "2026Q2")
    with pytest.raises(Refused, match="bad-category"):
        choose(facts, today, "blood")
    with pytest.raises(Refused, match="bad-period"):
        choose(facts, today, period="soon")
    assert [check_category(name) for name in CATEGORIES] == list(CATEGORIES)
