"""The sharing half of the demonstration: readings whole, refusals for their reasons, nothing in clear where it must not be."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.network.demonstration import DemoOptions, run_demo
from salus.network.demonstration import sharing as demo_sharing

NAME = "Wilhelmina Zottelbart"
LINE = "canary: fasting glucose 5.83 mmol/L measured in the morning"
CODE = "73211009"
WORD = "zottelitis"
LONG_WORDS_OF_LINE = ("canary", "fasting", "glucose", "measured", "morning")
FILE = "canary-of-a-file-name"
CODE_CHARACTERS_MIN = 7
"""Shorter codes stand somewhere in megabytes of ciphertext by chance."""


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records with a name, a line, a code and a keyword that are nowhere else."""
    root = tmp_path_factory.mktemp("records")
    (root / "letter.txt").write_text(f"{NAME}\n{LINE}\n" * 50)
    coding = {"system": "http://snomed.info/sct", "code": CODE, "display": f"Diabetes mellitus with {WORD}"}
    condition = {
        "resourceType": "Condition",
        "subject": {"display": NAME},
        "code": {"coding": [coding], "text": LINE},
        "recordedDate": "2024-02-03",
    }
    (root / f"{FILE}.json").write_text(json.dumps(condition))
    (root / "scan.raw").write_bytes(NAME.encode("utf-16-le") + bytes(range(256)) * 600)
    return root


@pytest.fixture(scope="module")
def demo(canaries: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    home = tmp_path_factory.mktemp("demo") / "home"
    return run_demo(DemoOptions(records=(canaries,), home=home)), home


def test_every_record_reaches_its_readers_whole(demo: tuple[dict[str, Any], Path], canaries: Path) -> None:
    report, _ = demo
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in canaries.iterdir()}
    assert {s["record"] for s in report["sharing"] if s["reader"] == demo_sharing.HOSPITAL} == set(files)
    for shared in report["sharing"]:
        assert shared["sha256"] == shared["received_sha256"] == files[shared["record"]]
        assert len(shared["transformed_by"]) == (0 if shared["via"] == "policy" else 3)
    assert {(s["reader"], s["via"]) for s in report["sharing"]} == {
        ("st-anne/board", "policy"),
        ("lakeside/board", "policy"),
        ("riverside/board", "delegation"),
        ("riverside/board", "emergency"),
    }


def test_who_must_be_refused_is_refused_for_its_reason(demo: tuple[dict[str, Any], Path]) -> None:
    report, _ = demo
    assert [(d["reader"], d["reason"]) for d in report["denied"]] == [
        ("northfield/board", "unsatisfied"),
        ("riverside/board", "delegation-revoked"),
    ]


def test_the_liar_is_named_and_nobody_is_missed(demo: tuple[dict[str, Any], Path]) -> None:
    report, _ = demo
    by = [s["transformed_by"] for s in report["sharing"] if s["via"] == "delegation"]
    assert len(by) == 3
    assert report["liar_named"] not in by[1]
    assert report["node_down"] not in by[2]
    assert report["revocation_receipt_verified"] is True
    assert report["emergency"]["seen_by_owner"] is True
    assert report["access_log_complete"] is True
    assert report["ledger_verified"] is True


def test_a_destroyed_cloud_loses_nothing(demo: tuple[dict[str, Any], Path], canaries: Path) -> None:
    report, home = demo
    records = len(list(canaries.iterdir()))
    destroyed = report["cloud_destroyed"]
    counted = ("records", "records_before", "records_after", "read_without_it", "read_from_it_alone")
    assert [destroyed[name] for name in counted] == [records] * 5
    assert destroyed["files_removed"] >= records
    assert report["cloud_destroyed_nothing_lost"] is True
    bodies = [{p.name for p in (home / cloud / "records").iterdir()} for cloud in ("cloud", "cloud-1")]
    assert bodies[0] == bodies[1] != set()


def test_searches_find_what_a_plain_scan_finds(demo: tuple[dict[str, Any], Path]) -> None:
    report, _ = demo
    assert {s["word"] for s in report["searches"]} == {f"snomed|{CODE}", "diabetes", "mellitus", WORD, *LONG_WORDS_OF_LINE}
    for search in report["searches"]:
        assert search["found"] == search["expected"] == [f"{FILE}.json"]


def spellings(text: str) -> Iterator[bytes]:
    """A text as bytes that would betray it: clear, UTF-16, hex of either, base64 at each of three offsets."""
    for data in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be")):
        yield data
        yield data.hex().encode()
        yield data.hex().upper().encode()
        for offset in range(3):
            inner = base64.b64encode(b"\0" * offset + data)
            yield inner[4 if offset else 0 : -4]


def betrayed(directory: Path, text: str) -> list[str]:
    content = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    return [path.name for path, data in content.items() if any(needle in data for needle in spellings(text))]


@pytest.mark.parametrize("canary", [NAME, LINE, CODE, WORD, FILE, WORD.upper(), demo_sharing.EMERGENCY_REASON])
def test_no_node_check_node_or_cloud_holds_a_canary(demo: tuple[dict[str, Any], Path], canary: str) -> None:
    _, home = demo
    parties = sorted(p for p in home.iterdir() if p.name.split("-")[0] in ("node", "check", "cloud"))
    names = ["check-0", "check-1", "check-2", "cloud", "cloud-1", "node-0", "node-1", "node-2", "node-3"]
    assert [p.name for p in parties] == names
    for party in parties:
        assert betrayed(party, canary) == []


def test_the_search_for_canaries_finds_what_is_public_and_what_was_received(demo: tuple[dict[str, Any], Path]) -> None:
    _, home = demo
    assert betrayed(home / "node-0", "role:researcher@2024")
    for canary in (NAME, LINE, CODE, WORD):
        assert betrayed(home / "institution-st-anne.board", canary)


@pytest.mark.long
def test_all_sample_folders(shared_data: Path, tmp_path: Path) -> None:
    """Equal digests, equal search results and every named refusal, and nothing in clear where it must not be."""
    home = tmp_path / "home"
    roots = tuple(shared_data / name for name in ("fhir/open", "dicom", "hl7v2", "ccda", "waveform"))
    report = run_demo(DemoOptions(records=roots, home=home))
    files = sum(1 for root in roots for path in root.rglob("*") if path.is_file())
    assert len(report["consultations"]) == len(report["put"]) == files
    assert sum(s["reader"] == demo_sharing.HOSPITAL for s in report["sharing"]) == files
    assert all(s["sha256"] == s["received_sha256"] for s in report["sharing"])
    assert len(report["searches"]) == 10
    for search in report["searches"]:
        assert search["found"] == search["expected"] != []
    assert [d["reason"] for d in report["denied"]] == ["unsatisfied", "delegation-revoked"]
    assert report["cloud_destroyed"]["read_from_it_alone"] == files
    for name in ("cloud_destroyed_nothing_lost", "access_log_complete", "revocation_receipt_verified", "ledger_verified"):
        assert report[name] is True
    keepers = [p for p in home.iterdir() if p.name.split("-")[0] in ("node", "check", "cloud")]
    codes = {s["word"].split("|")[1] for s in report["searches"] if "|" in s["word"]}
    for code in (code for code in codes if len(code) >= CODE_CHARACTERS_MIN):
        assert [betrayed(keeper, code) for keeper in keepers] == [[]] * 9


def test_real_records_are_shared_and_found(shared_data: Path) -> None:
    report = run_demo(DemoOptions(records=(shared_data / "hl7v2", shared_data / "ccda")))
    assert len(report["searches"]) == 10
    for search in report["searches"]:
        assert search["found"] == search["expected"] != []
    assert all(s["sha256"] == s["received_sha256"] for s in report["sharing"])
    assert report["access_log_complete"] is True
