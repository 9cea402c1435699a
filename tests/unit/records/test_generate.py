"""Demonstration records: the same bytes from the same seed, each valid by an independent reader of its format."""

from __future__ import annotations

import json
from pathlib import Path

import hl7
import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle

from salus.errors import StorageError
from salus.records.file import recognise
from salus.records.generate import generate_records


def test_deterministic(tmp_path: Path) -> None:
    first, second = generate_records(tmp_path / "a", 7), generate_records(tmp_path / "b", 7)
    assert [p.relative_to(tmp_path / "a") for p in first] == [p.relative_to(tmp_path / "b") for p in second]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    other = generate_records(tmp_path / "c", 8)
    assert all(a.read_bytes() != c.read_bytes() for a, c in zip(first, other, strict=True) if a.name != "letter.txt")


def test_every_format_is_there(tmp_path: Path) -> None:
    written = generate_records(tmp_path, 1)
    assert written == sorted(p for p in tmp_path.rglob("*") if p.is_file())
    found = [recognise(path) for path in written]
    assert sorted(info.format for info in found) == ["ccda", "dicom", "fhir", "fhir", "fhir", "file", "hl7v2"]
    assert not any(info.problem for info in found)
    assert sum(path.stat().st_size for path in written) < 1 << 20


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_independent_readers(tmp_path: Path, seed: int) -> None:
    generate_records(tmp_path, seed)
    for path in [*(tmp_path / "fhir").iterdir(), tmp_path / "sensor/ecg.json"]:
        Bundle.model_validate(json.loads(path.read_text()))
    image = pydicom.dcmread(tmp_path / "dicom/chest-ct.dcm")
    assert image.pixel_array.shape == (128, 128)
    assert image.pixel_array.min() < -900 < 600 < image.pixel_array.max()
    message = hl7.parse((tmp_path / "hl7v2/blood-count.hl7").read_bytes().decode())
    assert str(message["MSH.F9.R1.C1"]) == "ORU"
    assert len(message.segments("OBX")) == 5
    assert str(message.segment("OBR")[25]) == "F"


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "fhir").write_text("a file where a directory is due")
    with pytest.raises(StorageError, match="fhir"):
        generate_records(tmp_path, 1)
