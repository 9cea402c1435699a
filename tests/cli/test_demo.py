"""``salus demo``: the report for people and for programs, and the home that it leaves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from support.command_line import run_process

KEYS = {
    "schema", "engine", "suite", "height", "application_hashes", "ledger_verified", "consultations", "refused", "phases_ms",
    "message_bits", "sharing", "searches", "denied", "liar_named", "revocation_receipt_verified", "access_log_complete",
    "cloud_destroyed", "cloud_destroyed_nothing_lost", "parties", "attributes", "put",
}  # fmt: skip
SHARED = {"record", "sha256", "rid", "reader", "via", "received_sha256", "transformed_by"}
CONSULTATION = {
    "record", "bytes", "sha256", "doctor_received_sha256", "reply_sha256", "patient_received_reply_sha256", "doctor", "sn",
    "request_tx", "reply_tx", "accepted",
}  # fmt: skip
ATTEMPTS = {"replay", "forgery", "revoked", "tampered-reply", "double-use"}
PARTIES = {"node-0", "node-1", "node-2", "node-3", "cloud", "cloud-1", "centre", "check-0", "check-1", "check-2"}


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    """Two directories of records with the same names in them, and one in a sub-directory."""
    for root, text in (("one", "alpha\n"), ("two", "beta\n")):
        (tmp_path / root / "below").mkdir(parents=True)
        (tmp_path / root / "note.txt").write_text(text)
        (tmp_path / root / "below" / "empty.bin").write_bytes(b"")
    return [tmp_path / "one", tmp_path / "two"]


def test_a_demonstration_over_given_records(tmp_path: Path, roots: list[Path]) -> None:
    home = tmp_path / "home"
    done = run_process(["demo", "--json", "--home", str(home), *(f"--records={root}" for root in roots)], {})
    assert done.status == 0, done.err
    report = done.json
    assert set(report) >= KEYS
    assert (report["schema"], report["engine"], report["suite"], report["ledger_verified"]) == (1, "pbft", "mbpa-r1", True)
    assert len(set(report["application_hashes"].values())) == 1
    assert {a["attempt"] for a in report["refused"]} == ATTEMPTS
    assert all(a["reason"] for a in report["refused"])
    assert all({"median", "p99"} <= set(times) for times in report["phases_ms"].values())
    assert all(bits > 0 for bits in report["message_bits"].values())
    names = sorted(c["record"] for c in report["consultations"])
    assert names == ["below/empty.bin", "below/empty.bin", "note.txt", "note.txt"]
    received = {hashlib.sha256(p.read_bytes()).hexdigest() for p in home.glob("*/received/*")}
    for c in report["consultations"]:
        assert set(c) >= CONSULTATION
        assert c["accepted"] is True
        assert c["sha256"] == c["doctor_received_sha256"]
        assert c["reply_sha256"] == c["patient_received_reply_sha256"]
        assert {c["doctor_received_sha256"], c["patient_received_reply_sha256"]} <= received
    for s in report["sharing"]:
        assert set(s) == SHARED
        assert s["sha256"] == s["received_sha256"]
        assert s["received_sha256"] in received
    assert {s["via"] for s in report["sharing"]} == {"policy", "delegation", "emergency"}
    assert report["cloud_destroyed_nothing_lost"] is True
    assert sorted(p["record"] for p in report["put"]) == names
    assert all("role:doctor" in p["policy"] and p["owner"].startswith("patient-") for p in report["put"])
    assert {s["rid"] for s in report["sharing"] if s["via"] == "policy"} == {p["rid"] for p in report["put"]}
    assert {name: len(members) for name, members in report["parties"].items() if name != "centre"} == {
        "nodes": 4,
        "check_nodes": 3,
        "clouds": 2,
        "institutions": 4,
    }
    assert [d["reason"] for d in report["denied"]] == ["unsatisfied", "delegation-revoked"]
    assert report["liar_named"] in report["parties"]["nodes"]
    assert (report["revocation_receipt_verified"], report["access_log_complete"]) == (True, True)
    digests = {hashlib.sha256(p.read_bytes()).hexdigest() for root in roots for p in root.rglob("*") if p.is_file()}
    assert {c["sha256"] for c in report["consultations"]} == digests
    kinds = {p.name.split("-")[0] for p in home.iterdir() if p.is_dir()}
    assert {p.name for p in home.iterdir()} >= PARTIES
    assert kinds == {"node", "check", "cloud", "centre", "institution", "doctor", "patient"}
    assert run_process(["--home", str(home), "network", "verify", "--json"], {}).json["verified"] is True


def test_a_demonstration_for_people_leaves_nothing(tmp_path: Path, roots: list[Path]) -> None:
    (tmp_path / "tmp").mkdir()
    done = run_process(["demo", "--records", str(roots[0])], {"TMPDIR": str(tmp_path / "tmp")}, cwd=tmp_path)
    assert done.status == 0, done.err
    assert done.err == ""
    for word in (
        "A network of 4 nodes, 3 check nodes, 2 clouds",
        "Consultations (mbpa-r1, pbft)",
        "accepted",
        "used-credential",
        "verified from genesis and export alone",
        "median ms",
        "Sharing\n",
        "(role:doctor and dept:cardiology) or role:researcher",
        "role:doctor, role:emergency",
        "2 of 2 records read without it; it fetched 2 back, and 2 were read from it alone",
        "convicted on the ledger",
        "access logs, which name every reading above: complete",
        "unsatisfied",
        "delegation-revoked",
    ):
        assert word in done.out
    assert list((tmp_path / "tmp").iterdir()) == []
    assert {p.name for p in tmp_path.iterdir()} == {"one", "two", "tmp"}


def test_the_printed_suite_warns(tmp_path: Path, roots: list[Path]) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {"TMPDIR": str(tmp_path / "tmp")}
    done = run_process(["demo", "--suite", "mbpa-2019", "--records", str(roots[0]), "--json"], environment)
    assert done.status == 0, done.err
    assert "forgeable" in done.err
    assert done.json["suite"] == "mbpa-2019"
    assert "forgery" in {a["attempt"] for a in done.json["not_refused"]}
    assert list((tmp_path / "tmp").iterdir()) == []
