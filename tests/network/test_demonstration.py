"""The demonstration in one process: every consultation whole, every attack refused, nothing in clear at nodes or cloud."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.network.demonstration import DemoOptions, run_demo

PHASES = ["request", "upload-1", "chain-1", "storage-1", "treatment", "upload-2", "chain-2", "storage-2", "checking-up"]
NAME = "Wilhelmina Zottelbart"
LINE = "canary: fasting glucose 5.83 mmol/L measured in the morning"


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records that name a patient, as JSON, HL7 v2 and text; one empty; one in a sub-directory."""
    root = tmp_path_factory.mktemp("records")
    patient = {"resourceType": "Patient", "name": [{"text": NAME}], "note": LINE}
    (root / "patient.json").write_text(json.dumps(patient, indent=1))
    (root / "letter.txt").write_text(f"{NAME}\n{LINE}\n" * 50)
    (root / "empty.bin").write_bytes(b"")
    (root / "wards" / "a").mkdir(parents=True)
    (root / "wards" / "a" / "scan.raw").write_bytes(NAME.encode("utf-16-le") + bytes(range(256)) * 600)
    return root


@pytest.fixture(scope="module")
def demo(canaries: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], Path]:
    home = tmp_path_factory.mktemp("demo") / "home"
    return run_demo(DemoOptions(records=(canaries,), home=home)), home


def test_every_consultation_is_accepted_with_equal_digests(demo: tuple[dict, Path], canaries: Path) -> None:
    report, _ = demo
    expected = sorted(p.relative_to(canaries).as_posix() for p in canaries.rglob("*") if p.is_file())
    assert sorted(c["record"] for c in report["consultations"]) == expected
    for consultation in report["consultations"]:
        assert consultation["accepted"] is True
        assert consultation["sha256"] == consultation["doctor_received_sha256"]
        assert consultation["reply_sha256"] == consultation["patient_received_reply_sha256"]
        assert consultation["bytes"] == (canaries / consultation["record"]).stat().st_size


def test_report_has_the_documented_members(demo: tuple[dict, Path]) -> None:
    report, _ = demo
    assert (report["schema"], report["engine"], report["suite"]) == (1, "pbft", "mbpa-r1")
    assert report["ledger_verified"] is True
    assert len(report["application_hashes"]) == 4
    assert len(set(report["application_hashes"].values())) == 1
    assert {"request", "chain-1", "storage-1", "treatment", "chain-2", "storage-2", "checking-up"} <= set(report["phases_ms"])
    assert all(set(v) == {"median", "p99"} and v["median"] <= v["p99"] for v in report["phases_ms"].values())
    assert report["message_bits"]["transaction-1"] > report["message_bits"]["transaction-2"] > 0
    json.dumps(report)


def test_doctors_treat_in_the_order_of_sn(demo: tuple[dict, Path]) -> None:
    report, _ = demo
    slots = [(c["doctor"], c["sn"]) for c in report["consultations"]]
    assert len(set(slots)) == len(slots)


def test_every_attack_is_refused_for_its_own_reason(demo: tuple[dict, Path]) -> None:
    report, _ = demo
    assert {r["attempt"]: r["reason"] for r in report["refused"]} == {
        "replay": "used-credential",
        "forgery": "bad-seal",
        "revoked": "revoked",
        "tampered-reply": "bad-body",
        "double-use": "used-credential",
    }


def test_every_party_writes_to_its_own_directory(demo: tuple[dict, Path]) -> None:
    _, home = demo
    beside = [p.name for p in home.iterdir() if not p.is_dir()]
    assert beside == ["lock"]
    roles = {p.name.split("-")[0] for p in home.iterdir() if p.is_dir()}
    assert roles == {"node", "check", "cloud", "centre", "institution", "doctor", "patient"}
    received = [p for p in home.glob("*/received/*")]
    assert received
    assert all(p.parent.parent.name.startswith(("doctor-", "patient-", "institution-")) for p in received)


def test_a_relative_home_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = run_demo(DemoOptions(home=Path("home")))
    assert report["ledger_verified"] is True
    assert [p.name for p in tmp_path.iterdir()] == ["home"]
    phases = list(report["phases_ms"])
    assert phases[: len(PHASES)] == PHASES  # then those of sharing
    assert len(phases) > len(PHASES)


def spellings(text: str) -> Iterator[tuple[str, bytes]]:
    """A text as bytes that would betray it: clear, UTF-16, hex of either, base64 at each of three offsets."""
    plain = {"utf-8": text.encode(), "utf-16-le": text.encode("utf-16-le"), "utf-16-be": text.encode("utf-16-be")}
    for name, data in plain.items():
        yield name, data
        yield f"hex of {name}", data.hex().encode()
        yield f"HEX of {name}", data.hex().upper().encode()
        for offset in range(3):
            inner = base64.b64encode(b"\0" * offset + data)
            yield f"base64 of {name} at {offset}", inner[4 if offset else 0 : -4]


def betrayed(directory: Path, text: str) -> list[str]:
    found = []
    for path in directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path.name}: {how}" for how, needle in spellings(text) if needle in content]
    return found


@pytest.mark.parametrize("canary", [NAME, LINE, "Diagnosis for slot", "seen and assessed"])
def test_no_file_of_a_node_or_the_cloud_holds_a_canary(demo: tuple[dict, Path], canary: str) -> None:
    _, home = demo
    parties = [p for p in home.iterdir() if p.name.split("-")[0] in ("node", "check", "cloud")]
    assert len(parties) == 9
    for party in parties:
        assert betrayed(party, canary) == []


def test_the_search_for_canaries_finds_them_where_they_are(demo: tuple[dict, Path], tmp_path: Path) -> None:
    _, home = demo
    assert any(betrayed(p, NAME) for p in home.glob("doctor-*"))
    for how, data in spellings(LINE):
        file = tmp_path / "file"
        file.write_bytes(b"ab" + data + b"c")
        assert betrayed(tmp_path, LINE), how


def test_real_records(shared_data: Path) -> None:
    data = shared_data
    report = run_demo(DemoOptions(records=(data / "hl7v2", data / "ccda", data / "dicom")))
    assert len(report["consultations"]) == sum(
        1 for d in ("hl7v2", "ccda", "dicom") for p in (data / d).rglob("*") if p.is_file()
    )
    assert {c["format"] for c in report["consultations"]} == {"hl7v2", "ccda", "dicom"}
    assert all(c["accepted"] and c["sha256"] == c["doctor_received_sha256"] for c in report["consultations"])
