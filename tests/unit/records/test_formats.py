"""Recognising records: what is shown of real samples, and that nothing inside a file can make it fail."""

from __future__ import annotations

import io
import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.errors import StorageError
from salus.records import dicom, fhir, hl7v2, info, tables, xml_stream
from salus.records.file import recognise, recognise_bytes, recognise_peek
from salus.records.info import OCTET_STREAM, printable

REAL = [
    (
        "fhir/open/Birgit_Schmeler_7e8ee10e-569b-4229-9380-62c49244902c.json",
        "fhir",
        "Patient Birgit Schmeler, female, born 1964-05-24",
    ),
    ("fhir/resources/Patient-example.json", "fhir", "Patient Peter James Chalmers, male, born 1974-12-25"),
    ("fhir/resources/Observation-blood-pressure.json", "fhir", "FHIR Observation: Blood pressure systolic & diastolic"),
    ("fhir/resources/Organization-hl7.json", "fhir", "FHIR Organization: Health Level Seven International"),
    ("fhir/extra/V3.1.1_USCoreCompliantResources.json", "fhir", "FHIR bundle of 3 patients"),
    ("fhir/extra/bulk_10patients/Patient.000.ndjson", "fhir", "FHIR bulk data: 13 resources"),
    ("dicom/open/MR_small.dcm", "dicom", "DICOM MR (magnetic resonance)"),
    ("dicom/open/test-SR.dcm", "dicom", "DICOM SR (structured report), OFFIS Structured Reporting Test Document"),
    ("dicom/open/waveform_ecg.dcm", "dicom", "DICOM ECG (electrocardiogram), ECG"),
    (
        "hl7v2/open/ADT-A01-01.hl7",
        "hl7v2",
        "HL7 v2 ADT^A01, admission, discharge or transfer for ADAM EVERYMAN, M, born 1988-08-18",
    ),
    ("hl7v2/open/ORU-R01-01.hl7", "hl7v2", "HL7 v2 ORU^R01, observation result for Huckleberry Finn, M, born 1963-08-15"),
    ("hl7v2/open/VXU-V04-01.hl7", "hl7v2", "HL7 v2 VXU^V04, vaccination update for ADAM EVERYMAN"),
    ("ccda/CCD_2.xml", "ccda", "C-CDA Summary of Patient Chart for Isabella Jones, Female, born 1950-12-19"),
    ("ccda/Discharge_Summary.xml", "ccda", "C-CDA Community Health and Hospitals: Discharge Summary for Isabella Jones"),
    ("waveform/mitdb_100/100.hea", "waveform", "Waveform header 100: 2 signals (MLII, V5), 360 Hz, 30 min 6 s"),
    ("waveform/mitdb_100/100.dat", "waveform", "Waveform 100: 2 signals (MLII, V5), 360 Hz, 30 min 6 s"),
    ("waveform/mitdb_100/100.atr", "waveform", "Annotations of waveform 100"),
    ("vcf/freebayes.vcf", "vcf", "Variant calls: 104 variants in 7 samples"),
    ("vitals_csv/observations.csv", "csv", "Table: 990 rows of 9 columns"),
]


@pytest.mark.parametrize(("name", "form", "title"), REAL)
def test_real_sample(samples: Path, name: str, form: str, title: str) -> None:
    found = recognise(samples / name)
    assert (found.format, found.problem) == (form, "")
    assert found.title.startswith(title)
    assert found.media_type != OCTET_STREAM


def test_every_sample_is_recognised(samples: Path) -> None:
    """All records of the demonstration; none is carried as plain bytes."""
    expected = {
        "fhir/open": "fhir",
        "fhir/resources": "fhir",
        "dicom": "dicom",
        "hl7v2": "hl7v2",
        "ccda": "ccda",
        "waveform": "waveform",
    }
    seen = 0
    for folder, form in expected.items():
        for path in (samples / folder).rglob("*"):
            if path.is_file():
                found = recognise(path)
                assert (found.format, found.problem) == (form, ""), path
                seen += 1
    assert seen >= 60


def test_details_of_samples(samples: Path) -> None:
    details = dict(recognise(samples / "dicom/open/eCT_Supplemental.dcm").details)
    assert details["modality"] == "CT"
    assert details["frames"] == "2"
    assert details["image"] == "512 x 512"
    details = dict(recognise(samples / "hl7v2/open/LRI_2.0-NG_CBC_Typ_Message.hl7").details)
    assert details["services"] == "CBC W Auto Differential panel in Blood"
    assert details["observations"] == "28"
    details = dict(recognise(samples / REAL[0][0]).details)
    assert details["resources"].startswith("100 Observation")


MALFORMED = {
    "fhir truncated": b'{"resourceType":"Patient","name":[{"family":"A',
    "fhir not utf-8": b'{"resourceType":"Patient","id":"\xff\xfe"}',
    "fhir type no name": b'{"resourceType":"Pat<script>ient"}',
    "fhir type no text": b'{"entry":[{"resource":{"resourceType":"X"}}],"resourceType":7}',
    "fhir nested only": b'{"list":[{"resourceType":"Patient"}]}',
    "fhir entry of nothing": b'{"resourceType":"Bundle","entry":[{"resource":{"id":"1"}}]}',
    "fhir deep": b'{"resourceType":"Patient","x":' + b"[" * 100_000,
    "fhir ndjson broken": b'{"resourceType":"Patient"}\n{"resourceType":"Pat\n',
    "hl7 few fields": b"MSH|^~\\&|A|B\rPID|1\r",
    "hl7 no type": b"MSH|^~\\&|A|B|C|D|2026||xx|1|P|2.5\r",
    "hl7 strange segment": b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5\rnothing to see\r",
    "hl7 batch of nothing": b"BHS|^~\\&|A|B\rBTS|0\r",
    "dicom empty": bytes(128) + b"DICM",
    "dicom cut": bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\x14\x001.2.840",
    "dicom cut within a tag": bytes(128)
    + b"DICM"
    + b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    + b"\x08\x00\x05\x00CS\x02\x00ab\x08\x00",
    "ccda truncated": b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>A',
    "ccda inside": b'<a xmlns="urn:hl7-org:v3"><ClinicalDocument /></a>',
    "vcf version": b"##fileformat=VCFv\n#CHROM\n",
    "vcf columns": b"##fileformat=VCFv4.2\nnot columns\n",
    "vcf line": b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t2\n",
    "vcf no columns": b"##fileformat=VCFv4.2\n",
}


@pytest.mark.parametrize("name", list(MALFORMED))
def test_malformed_files_are_carried_as_bytes_with_the_reason(name: str) -> None:
    found = recognise_bytes(MALFORMED[name])
    assert (found.format, found.media_type) == ("file", OCTET_STREAM)
    assert found.problem.startswith("looks like ")
    assert len(found.problem) <= info.SHOWN_CHARACTERS_MAX


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"a,b\n1,2\n1\n", "t.csv", "row 3 of the table has 1 columns, its header 2"),
        (b'a,b\n1,"2\n', "t.csv", "the table is malformed in line 2"),
        (b"alone\n", "t.csv", "2 to 2000 columns"),
        (b"a,\xff\n", "t.csv", "not UTF-8"),
        (b"100 2 360\n100.dat 212\n", "100.hea", "announces 2 signals and describes 1"),
        (b"100 99 360\n", "100.hea", "announces 99 signals"),
        (b"100/3 2 360\n", "100.hea", "several segments"),
        (b"100 1 -5\nx.dat 16\n", "100.hea", "sampling rate"),
        (b"100 1 360\n../../etc/passwd 16\n", "100.hea", "a file beside it"),
        (b"100 1 360\n/etc/passwd 16\n", "100.hea", "a file beside it"),
        (b"\x00\x01", "100.hea", "names record"),
        (b"\xff", "100.hea", "is text"),
    ],
)
def test_malformed_files_told_by_their_name(data: bytes, name: str, reason: str) -> None:
    found = recognise_bytes(data, name)
    assert found.format == "file"
    assert reason in found.problem


@pytest.mark.parametrize(
    ("data", "name", "media_type", "title"),
    [
        (b"", "x.dcm", OCTET_STREAM, "Empty file"),
        (b"\x00\x01\x02", "x.bin", OCTET_STREAM, "File x.bin"),
        (b"%PDF-1.7 ...", "report.pdf", "application/pdf", "PDF document report.pdf"),
        (b"\x89PNG\r\n\x1a\n", "x.png", "image/png", "PNG image x.png"),
        ("Grüße".encode(), "note.txt", "text/plain", "Text file note.txt"),
        (b'{"a": 1}', "x.json", "application/json", "JSON file x.json"),
        (b"<?xml version='1.0'?><a/>", "x.xml", "application/xml", "XML file x.xml"),
        (b"MSHA is a name", "x.txt", "text/plain", "Text file x.txt"),
        ("ä".encode() * 3000, "long.txt", "text/plain", "Text file long.txt"),
        (b"x" * 4095 + "ä".encode(), "cut.txt", "text/plain", "Text file cut.txt"),
    ],
)
def test_other_files(data: bytes, name: str, media_type: str, title: str) -> None:
    found = recognise_bytes(data, name)
    assert (found.format, found.media_type, found.title, found.problem) == ("file", media_type, title, "")


def test_type_that_stands_last(tmp_path: Path) -> None:
    path = tmp_path / "patient.json"
    path.write_bytes(b'{"text":{"div":"' + b"x" * 10_000 + b'"},"id":"p1","resourceType":"Patient"}')
    assert recognise(path).title == "Patient p1"


def test_fhir_members_of_unexpected_shape() -> None:
    found = recognise_bytes(b'{"resourceType":"Patient","name":{"given":"x","family":[1]},"gender":5,"birthDate":null,"id":"p"}')
    assert (found.format, found.title) == ("fhir", "Patient p")


def test_fhir_xml() -> None:
    found = recognise_bytes(b'<?xml version="1.0"?>\n<Patient xmlns="http://hl7.org/fhir"><id value="x"/></Patient>')
    assert (found.media_type, found.title) == ("application/fhir+xml", "Patient x")


def test_hl7_batch_and_mllp() -> None:
    message = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|1|P|2.5\rPID|1||7||Doe^Jo||19800102|F\r"
    assert (
        recognise_bytes(b"\x0b" + message + b"\x1c\r").title
        == "HL7 v2 ORU^R01, observation result for Jo Doe, F, born 1980-01-02"
    )
    batch = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + message * 2 + b"BTS|2\rFTS|1\r"
    assert recognise_bytes(batch).title.startswith("HL7 v2 batch of 2 messages")


def test_nothing_shown_can_drive_a_terminal() -> None:
    name = "\\u001b[2J\\u202eevil\\u0007 " + "x" * 1000
    found = recognise_bytes(b'{"resourceType":"Patient","id":"p","name":[{"text":"' + name.encode() + b'"}]}')
    assert found.title.startswith("Patient [2Jevil xxx")
    assert len(found.title) <= info.SHOWN_CHARACTERS_MAX
    assert "\x1b" not in recognise_bytes(b"\x00", "a\x1b[2J\nb").title


@given(st.text())
def test_printable(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= info.SHOWN_CHARACTERS_MAX
    assert printable(shown) == shown


# --- hostile files: bounded in time and memory ---


def test_entities_are_refused() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    document = bomb + b'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>&b;</title></ClinicalDocument>'
    assert "declares a document type" in recognise_bytes(document).problem
    external = b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ClinicalDocument xmlns="urn:hl7-org:v3"/>'
    assert "declares a document type" in recognise_bytes(b"<?xml version='1.0'?>" + external).problem


def test_xml_bounds() -> None:
    start = b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">'
    assert "levels deep" in recognise_bytes(start + b"<a>" * (xml_stream.DEPTH_MAX + 1)).problem
    many = start + b"<a/>" * (xml_stream.ELEMENTS_MAX + 1) + b"</ClinicalDocument>"
    tracemalloc.start()
    try:
        assert "elements" in recognise_bytes(many).problem
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def _element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH", group, number) + vr + struct.pack("<H", len(value)) + value


def _dicom(syntax: bytes, body: bytes) -> bytes:
    return bytes(128) + b"DICM" + _element(2, 0x10, b"UI", syntax) + body


EXPLICIT = b"1.2.840.10008.1.2.1\0"


def test_nothing_is_printed_about_odd_headers(recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]) -> None:
    odd = _dicom(EXPLICIT, _element(8, 5, b"CS", b"ISO_IR 9") + _element(16, 16, b"PN", b"Doe^J\xf6 "))
    assert recognise_bytes(odd).format == "dicom"
    assert not list(recwarn)
    assert capfd.readouterr() == ("", "")


def test_deflated_dicom_is_not_inflated() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(bytes(64 << 20)) + bomb.flush()
    tracemalloc.start()
    try:
        found = recognise_bytes(_dicom(b"1.2.840.10008.1.2.1.99", packed))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (found.format, found.title) == ("dicom", "DICOM (deflated)")


def test_dicom_length_beyond_the_file() -> None:
    data = _dicom(EXPLICIT, struct.pack("<HH", 8, 0x1030) + b"UT\0\0" + struct.pack("<I", 0x7FFFFFFF) + b"abc")
    assert "looks like DICOM" in recognise_bytes(data).problem


def test_dicom_of_millions_of_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom, "READS_MAX", 2000)
    data = _dicom(EXPLICIT, b"".join(_element(9, 2 * n % 65_000, b"LO", b"") for n in range(5000)))
    assert "too large to be summarised" in recognise_bytes(data).problem


def test_dicom_value_of_gigabytes(tmp_path: Path) -> None:
    """A sparse file whose study description claims 1 GiB: refused to be read, not read."""
    path = tmp_path / "huge.dcm"
    head = _dicom(EXPLICIT, struct.pack("<HH", 8, 0x1030) + b"UT\0\0" + struct.pack("<I", 1 << 30))
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + (1 << 30))
    tracemalloc.start()
    try:
        assert "too large to be summarised" in recognise(path).problem
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("huge.json", b'{"resourceType":"Bundle"'),
        ("huge.hl7", b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5\r"),
        ("huge.xml", b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">'),
        ("huge.ndjson", b'{"resourceType":"Patient"}\n'),
        ("huge.csv", b"a,b\n"),
        ("huge.vcf", b"##fileformat=VCFv4.2\n"),
        ("huge.bin", b"\0"),
    ],
)
def test_huge_files(tmp_path: Path, name: str, head: bytes) -> None:
    """A sparse file of 8 GiB: told what it looks like, in little time and memory."""
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(head)
        file.truncate(8 << 30)
    started = time.monotonic()
    tracemalloc.start()
    try:
        found = recognise(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert found.format == "file"
    assert ("too large" in found.problem or "over" in found.problem) == (name != "huge.bin")
    assert ("size", "8.0 GiB") in found.details
    assert time.monotonic() - started < 5


def test_long_tables_are_counted_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LINES_MAX", 100)
    assert recognise_bytes(b"a,b\n" + b"1,2\n" * 500, "t.csv").title == "Table: at least 99 rows of 2 columns"
    monkeypatch.setattr(fhir, "LINES_MAX", 10)
    assert recognise_bytes(b'{"resourceType":"Patient"}\n' * 50).title == "FHIR bulk data: at least 10 resources"
    monkeypatch.setattr(hl7v2, "SEGMENTS_MAX", 10)
    assert "too many" in recognise_bytes(b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5\r" + b"OBX|1\r" * 50).problem


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a directory"):
        recognise(tmp_path)
    with pytest.raises(StorageError, match="is not there"):
        recognise(tmp_path / "nothing")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StorageError, match="not a regular file"):
        recognise(pipe)


def test_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.dcm"
    path.write_bytes(b"x")

    def refuse(*_: object) -> None:  # the superuser, who runs some test machines, is refused nothing by chmod
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=r"cannot open .*secret.dcm: Permission denied"):
        recognise(path)


def test_disk_that_fails_while_a_header_is_read() -> None:
    """An error of the disk is an error, not a malformed file."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 132:
                raise OSError(5, "Input/output error")
            return super().read(132)

    with pytest.raises(StorageError, match="Input/output error"):
        recognise_peek(info.Peek(Failing(_dicom(EXPLICIT, bytes(10_000))), "x.dcm", None))


STARTS = [
    b"",
    b"MSH|^~\\&|",
    bytes(128) + b"DICM",
    b'{"resourceType":"',
    b"##fileformat=VCF",
    b'<ClinicalDocument xmlns="urn:hl7-org:v3">',
]


@given(st.sampled_from(STARTS), st.binary(max_size=300), st.sampled_from(["", "x.csv", "x.hea", "x.ndjson", "x.dat"]))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_it_fail(start: bytes, rest: bytes, name: str) -> None:
    found = recognise_bytes(start + rest, name)
    assert found.title
    assert all(shown.isprintable() for pair in found.details for shown in pair)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_damage_to_a_real_record_makes_it_fail(data: st.DataObject) -> None:
    originals = _originals()
    original = data.draw(st.sampled_from(originals))
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    assert recognise_bytes(bytes(damaged[:cut])).title


def _originals() -> list[bytes]:
    from salus.records import generate

    if not _ORIGINALS:
        _ORIGINALS.extend(content for _, content in generate._records(1))
    return _ORIGINALS


_ORIGINALS: list[bytes] = []


def test_streams_are_left_open_for_the_caller(tmp_path: Path) -> None:
    stream = io.BytesIO(b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5\r")
    peek = info.Peek(stream, "m.hl7", None)
    assert hl7v2.looks_like(peek)
    hl7v2.recognise(peek)
    assert not stream.closed
