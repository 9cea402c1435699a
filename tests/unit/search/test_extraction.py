"""Keywords of the sample records, against plain scans of the same files that share nothing with the readers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from csv import DictReader
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import hl7
import pytest
from pydicom import dcmread

from salus.errors import StorageError
from salus.records.clinical import derive_bytes
from salus.records.file import recognise_bytes
from salus.search import keyword
from salus.search.extraction import extract, extract_bytes
from salus.search.keyword import own_keywords
from salus.search.tags import WORDS_MAX
from support.fhir_xml_writer import as_xml


def files(data: Path, folder: str, *endings: str) -> list[Path]:
    found = sorted(p for p in (data / folder).rglob("*") if p.suffix in endings and not p.name.startswith("INDEX"))
    assert found
    return found


def texts(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from texts(item)


def test_fhir(shared_data: Path) -> None:
    seen = 0
    for path in files(shared_data, "fhir", ".json", ".ndjson"):
        text = path.read_text("utf-8")
        lines = text.splitlines() if path.suffix == ".ndjson" else [text]
        extraction = extract(path)
        assert (extraction.left_out, extraction.problem) == (0, ""), path.name
        codes, display_words = set(), set()
        for node in texts([json.loads(line) for line in lines if line.strip()]):
            for coding in node.get("coding", []):
                if "code" in coding:
                    codes.add(keyword.code(coding.get("system", ""), coding["code"]))
                    display_words |= set(keyword.words(coding.get("display", "")))
        found = set(extraction.keywords)
        assert codes <= found, path.name
        assert display_words <= found, path.name
        # And nothing that is no code: each was written as one somewhere in the file.
        lowered = text.casefold()
        for one in found:
            if "|" in one:
                assert json.dumps(one.partition("|")[2], ensure_ascii=False).strip('"') in lowered, (path.name, one)
        seen += len(codes)
    assert seen > 1000


def test_names_and_narrative_are_no_keywords(shared_data: Path) -> None:
    found = set(extract(shared_data / "fhir/resources/Patient-example.json").keywords)
    assert not found & {"chalmers", "james", "windsor", "peter", "pleasantville", "erewhon"}
    bundle = next(p for p in files(shared_data, "fhir/open", ".json") if p.name.startswith("Roberto_Graham"))
    assert not set(extract(bundle).keywords) & {"roberto", "graham", "resulted", "generated"}


def test_dicom(shared_data: Path) -> None:
    for path in files(shared_data, "dicom", ".dcm"):
        dataset = dcmread(path, stop_before_pixels=True)
        found = set(extract(path).keywords)
        assert f"dcm|{dataset.Modality.lower()}" in found
        assert dataset.Modality.lower() in found
        part = dataset.get("BodyPartExamined", "")
        assert not part or f"body-part|{part.lower()}" in found
        # One sample's report is about "test" both as its patient and as its code system.
        assert not found & {str(dataset.PatientID).lower(), *re.findall(r"\w\w+", str(dataset.PatientName).lower())} - {"test"}
    report = set(extract(shared_data / "dicom/open/test-SR.dcm").keywords)
    assert {"dcm|sr", "test|1111"} <= report


def made_dicom(**values: Any) -> bytes:
    import io

    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["made"])
    for name, value in values.items():
        if isinstance(value, list) and isinstance(value[0], dict):
            items = []
            for item in value:
                part = Dataset()
                for tag, text in item.items():
                    setattr(part, tag, text)
                items.append(part)
            value = Sequence(items)
        setattr(dataset, name, value)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_dicom_study_codes() -> None:
    code = {"CodeValue": "24627-2", "CodingSchemeDesignator": "LN", "CodeMeaning": "Chest CT"}
    region = {"CodeValue": "51185008", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Thoracic structure"}
    data = made_dicom(
        Modality="CT", ModalitiesInStudy=["CT", "SR"], BodyPartExamined="CHEST", StudyDescription="Thorax with contrast",
        ProcedureCodeSequence=[code], AnatomicRegionSequence=[region], PatientName="Doe^Jane",
    )  # fmt: skip
    found = extract_bytes(data, "a.dcm").keywords
    assert {"dcm|ct", "dcm|sr", "body-part|chest", "loinc|24627-2", "snomed|51185008"} == {k for k in found if "|" in k}
    assert {"ct", "sr", "chest", "thoracic", "structure", "thorax", "contrast"} == {k for k in found if "|" not in k}


def test_hl7v2(shared_data: Path) -> None:
    for path in files(shared_data, "hl7v2", ".hl7"):
        message = hl7.parse(path.read_text("utf-8-sig").replace("\r\n", "\r").replace("\n", "\r"))
        found = set(extract(path).keywords)
        expected = set()
        for segment in message:
            for name, place in (("OBX", 3), ("DG1", 3), ("OBR", 4), ("RXA", 5)):
                if str(segment[0]) == name and len(segment) > place and str(segment[place]):
                    parts = str(segment[place]).split("~")[0].split("^")
                    parts += [""] * 6
                    expected |= {keyword.code(parts[n + 2], parts[n]) for n in (0, 3) if parts[n]}
                    expected |= set(keyword.words(parts[1]))
        assert expected <= found, path.name
        patients = [str(segment[5]) for segment in message if str(segment[0]) == "PID"]
        assert not found & {name.lower() for text in patients for name in re.findall(r"\w{3,}", text)}


def test_hl7v2_escapes_and_unusual_separators() -> None:
    head = b"MSH|^~\\&|A|B|C|D|20310304||ADT^A01|1|P|2.3\r"
    data = head + b"DG1|1|I10|I10^Hypertension \\T\\ more^\rDG1|2|I9|401.9^^I9C~250.0^Diabetes^I9C\r"
    assert set(extract_bytes(data).keywords) == {
        "icd10|i10", "icd9cm|401.9", "icd9cm|250.0", "hypertension", "more", "diabetes",
    }  # fmt: skip
    other = b"MSH#!+$%#A#B#C#D#20310304##ORU!R01#1#P#2.5\rOBX#1#CE#8867-4!Heart rate!LN##271649006!Systolic!SCT+1!x!L\r"
    assert set(extract_bytes(other).keywords) == {
        "loinc|8867-4", "snomed|271649006", "l|1", "heart", "rate", "systolic",
    }  # fmt: skip


def test_ccda(shared_data: Path) -> None:
    for path in files(shared_data, "ccda", ".xml"):
        text = re.sub(r"<!--.*?-->", "", path.read_text("utf-8"), flags=re.DOTALL)
        expected = set()
        for tag in re.findall(r"<[A-Za-z:]+\s[^<>]*>", text):
            attributes = {name: unescape(value) for name, value in re.findall(r'([\w:]+)\s*=\s*"([^"]*)"', tag)}
            if attributes.get("code") and attributes.get("codeSystem"):
                expected.add(keyword.code(attributes["codeSystem"], attributes["code"]))
                expected |= set(keyword.words(attributes.get("displayName", "")))
        assert set(extract(path).keywords) == expected, path.name
        assert len(expected) > 100


def test_one_code_in_four_formats() -> None:
    """8867-4 is one keyword wherever it stands."""
    fhir = b'{"resourceType":"Observation","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]}}'
    hl7v2 = b"MSH|^~\\&|A|B|C|D|20310304||ORU^R01|1|P|2.5\rOBX|1|NM|8867-4^^LN||72\r"
    ccda = (
        b'<ClinicalDocument xmlns="urn:hl7-org:v3"><component><code code="8867-4" codeSystem="2.16.840.1.113883.6.1"/>'
        b"</component></ClinicalDocument>"
    )
    dicom = made_dicom(ConceptNameCodeSequence=[{"CodeValue": "8867-4", "CodingSchemeDesignator": "LN", "CodeMeaning": "x"}])
    for data in (fhir, hl7v2, ccda, dicom):
        assert extract_bytes(data).keywords == ("loinc|8867-4",)


def test_what_counts_as_a_coding() -> None:
    data = {
        "resourceType": "Observation",
        "code": {"text": "Body weight"},
        "valueQuantity": {"value": 72, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
        "class": {"system": "urn:x", "code": "AMB", "display": "ambulatory"},
        "note": [{"text": "secret remark"}],
        "subject": {"display": "Ada Lovelace"},
        "telecom": [{"system": "phone", "value": "555", "use": "home"}],
        "identifier": [{"system": "urn:id", "value": "12345"}],
        "category": [{"coding": [{"code": "alone"}, {"system": "s"}, "odd", {"code": 7}], "text": "Vital signs"}],
    }
    found = extract_bytes(json.dumps(data).encode(), "o.json").keywords
    assert set(found) == {"urn:x|amb", "|alone", "ambulatory", "body", "weight", "vital", "signs"}


def test_own_words_come_first_and_codes_are_kept_longest() -> None:
    codings = [{"system": "http://loinc.org", "code": f"{i}-0", "display": f"word{i} other{i}"} for i in range(900)]
    data = json.dumps({"resourceType": "Observation", "code": {"coding": codings}}).encode()
    extraction = extract_bytes(data, own=own_keywords("my own words"))
    assert extraction.keywords[:3] == ("my", "own", "words")
    assert len(extraction.keywords) == WORDS_MAX
    assert sum("|" in k for k in extraction.keywords) == 900
    assert extraction.left_out == 3 + 900 + 1800 - WORDS_MAX
    assert len(extract_bytes(data, words_max=10).keywords) == 10


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-1.4\n",
        b'{"resourceType":"Obs',
        b"a|b\n1|2\n",
        b"\xff\xfe\x00",
        b'{"resourceType":"Patient"}',
        bytes(132) + b"DICM",
    ],
)
def test_files_without_keywords_are_no_error(data: bytes) -> None:
    assert extract_bytes(data, "x").keywords == ()
    assert extract_bytes(data, "x", own=own_keywords("mine")).keywords == ("mine",)


def test_hostile_files() -> None:
    deep = b'{"resourceType":"A","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    wide = json.dumps({"resourceType": "A", "x": [{"coding": [{"code": "c" * 5000}]}] * 1000}).encode()
    entities = b'<!DOCTYPE a [<!ENTITY b "c">]><ClinicalDocument xmlns="urn:hl7-org:v3">'
    entities += b'<code code="&b;" codeSystem="1"/></ClinicalDocument>'
    resource = entities.replace(b"ClinicalDocument", b"Observation").replace(b"urn:hl7-org:v3", b"http://hl7.org/fhir")
    open_ended = b'<Observation xmlns="http://hl7.org/fhir"><code><coding><code value="1"/></coding></code>'
    nested = b'<Observation xmlns="http://hl7.org/fhir">' + b"<extension>" * 200
    other = b'<div xmlns="http://www.w3.org/1999/xhtml"><Observation xmlns="http://hl7.org/fhir"/></div>'
    for data in (deep, wide, entities, resource, open_ended, nested, other):
        assert extract_bytes(data, "x.json").keywords == ()
    for data, said in ((resource, "document type"), (open_ended, "malformed"), (nested, "levels deep"), (other, "no FHIR")):
        assert said in extract_bytes(data, "x.xml").problem


def test_tables_of_codes(shared_data: Path) -> None:
    for name in ("observations", "conditions"):
        path = shared_data / "vitals_csv" / f"{name}.csv"
        rows = list(DictReader(StringIO(path.read_text("utf-8"))))
        extraction = extract(path)
        found = set(extraction.keywords)
        assert (extraction.left_out, extraction.problem) == (0, "")
        assert len(found) > 100
        for row in rows:
            assert {row["CODE"].lower()} & {k.partition("|")[2] for k in found if "|" in k}
            assert set(keyword.words(row["DESCRIPTION"])) <= found
        assert {k.partition("|")[2] for k in found if "|" in k} == {row["CODE"].lower() for row in rows}
        # A code of a well-known system is found by the code alone, one of no system as |code.
        for one in sorted(found):
            asked = keyword.question(one if one.startswith("|") else one.partition("|")[2] or one)
            assert any(one in alternatives for alternatives in asked), one
    patients = set(extract(shared_data / "vitals_csv" / "patients.csv").keywords)
    assert {"birthdate", "gender"} <= patients
    assert not patients & {"mosciski958", "maynard46", "somerville", "massachusetts"}


def test_columns_of_tables() -> None:
    header = b"Heart_Rate,code system,Code,DISPLAY,wc,snomed_ct_code\n"
    found = extract_bytes(header + b"72,LN,8867-4,Heart rate,9,271649006\n7,,E11.9,Diabetes,8,\n", "t.csv").keywords
    assert {k for k in found if "|" in k} == {"loinc|8867-4", "icd10cm|e11.9", "icd10|e11.9", "snomed|271649006"}
    assert [k for k in found if "|" not in k] == ["heart", "rate", "code", "system", "display", "wc", "snomed", "ct", "diabetes"]
    malformed = extract_bytes(header + b"1,2\n", "t.csv")
    assert malformed.keywords == ()
    assert "looks like CSV" in malformed.problem
    remarks = b"day,description\n1,Mrs Roe feels better\n"
    assert set(extract_bytes(remarks, "t.csv").keywords) == {"day", "description"}


def test_variants(shared_data: Path) -> None:
    for path in files(shared_data, "vcf", ".vcf"):
        ids = {row.split("\t")[2] for row in path.read_text("utf-8").splitlines() if row and not row.startswith("#")}
        expected = {f"dbsnp|{one}" for row in ids for one in row.split(";") if re.fullmatch(r"rs\d+", one)}
        found = set(extract(path).keywords)
        assert expected == found, path.name
        assert all(len(keyword.question(k.partition("|")[2])[0]) == 2 for k in found)


HEAD = b"##fileformat=VCFv4.2\n"
COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tSMITH\n"


def test_genes_of_variants() -> None:
    vep = b'##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequences. Format: Allele|Consequence|IMPACT|SYMBOL|Gene">\n'
    infos = [
        b"GENEINFO=BRCA1:672|NBR2:10230;CLNDN=Hereditary_breast", b"ANN=A|missense|MODERATE|TP53|ENSG1|x,A|y|LOW|WRAP53|z",
        b"DP=3;CSQ=A|stop|HIGH|CFTR|ENSG2,A|stop|HIGH||", b"Gene.refGene=HFE;GENE=1;ANN=", b".", b"END=7;=;GENE",
    ]  # fmt: skip
    rows = [b"1\t%d\trs%d;rs9\tG\tA\t.\tPASS\t%s\tGT\t0/1\n" % (n, n, info) for n, info in enumerate(infos)]
    found = extract_bytes(HEAD + vep + COLUMNS + b"".join(rows)).keywords
    assert found[:6] == ("brca1", "nbr2", "tp53", "wrap53", "cftr", "hfe")
    assert set(found[6:]) == {f"dbsnp|rs{n}" for n in (*range(6), 9)}


def test_variants_by_the_thousand_are_left_out_first_and_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b"".join(b"1\t%d\trs%d\tG\tA\t.\t.\tGENE=G%d\n" % (n, n, n) for n in range(2000))
    extraction = extract_bytes(HEAD + COLUMNS + rows, own=own_keywords("exome"))
    assert extraction.keywords[0] == "exome"
    assert extraction.keywords[1:] == tuple(f"g{n}" for n in range(WORDS_MAX - 1))
    assert extraction.left_out == 1 + 2000 + 2000 - WORDS_MAX
    assert extraction.problem == ""
    monkeypatch.setattr("salus.records.tables.LINES_MAX", 100)
    monkeypatch.setattr("salus.search.tables.LINES_MAX", 100)
    assert "first 100 lines" in extract_bytes(HEAD + COLUMNS + rows).problem


def test_waveforms(shared_data: Path) -> None:
    folder = shared_data / "waveform" / "mitdb_100"
    for ending in ("hea", "dat", "atr"):
        assert extract(folder / f"100.{ending}").keywords == ("signal|mlii", "signal|v5", "mlii", "v5")


def test_codes_of_well_known_systems_are_kept_before_others() -> None:
    codings = [{"system": "urn:payer", "code": f"p{i}"} for i in range(1000)]
    codings += [{"system": "http://snomed.info/sct", "code": str(59621000 + i), "display": f"finding{i}"} for i in range(600)]
    data = json.dumps({"resourceType": "Observation", "code": {"coding": codings}}).encode()
    found = extract_bytes(data).keywords
    assert sum(k.startswith("snomed|") for k in found) == 600
    assert sum(k.startswith("urn:payer|") for k in found) == WORDS_MAX - 600


def test_fhir_in_xml_has_the_keywords_of_its_json(shared_data: Path) -> None:
    seen = 0
    for path in files(shared_data, "fhir", ".json"):
        resource = json.loads(path.read_text("utf-8"))
        xml = as_xml(resource)
        assert set(extract_bytes(xml, "x.xml").keywords) == set(extract(path).keywords), path.name
        seen += len(extract_bytes(xml).keywords)
        if "extra" not in path.parts and "open" not in path.parts:
            assert derive_bytes(xml, "x.xml") == derive_bytes(path.read_bytes(), "x.json"), path.name
            assert recognise_bytes(xml, "x.xml").title == recognise_bytes(path.read_bytes(), "x.json").title
    assert seen > 1000


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        extract(tmp_path / "missing.json")
    with pytest.raises(StorageError):
        extract(tmp_path)


def test_an_extraction_shows_no_keyword() -> None:
    extraction = extract_bytes(b"", own=own_keywords("hypertension"))
    assert "hypertension" not in repr(extraction)
