"""``salus demo --suite mbpa-2019``: its script, from records on disk to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from salus.errors import SalusError
from salus.network.printed import run_printed_demo
from salus.network.printed.fresh import main
from salus.records.collection import find_records
from salus.records.generate import generate_records


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    generate_records(root / "records", 7)
    told = []
    report = run_printed_demo(find_records(root / "records"), root / "home", lambda what, *_: told.append(what))
    return root, report, told


def test_every_consultation_is_accepted_with_equal_digests(run):
    root, report, _ = run
    assert len(report["consultations"]) == len(find_records(root / "records"))
    for c in report["consultations"]:
        assert c["accepted"]
        assert c["sha256"] == c["doctor_received_sha256"]
        assert c["reply_sha256"] == c["patient_received_reply_sha256"]


def test_the_report_has_the_common_fields(run):
    _, report, told = run
    assert json.loads(json.dumps(report)) == report
    assert (report["schema"], report["engine"], report["suite"]) == (1, "pbft", "mbpa-2019")
    assert report["ledger_verified"]
    assert set(report["application_hashes"]) == {"node-0", "node-1", "node-2", "node-3"}
    assert {"request", "treatment", "check up"} <= set(report["phases_ms"])
    assert all(bits > 0 for bits in report["message_bits"].values())
    assert "forgeable" in report["warning"]
    assert "attacks are tried" in told


def test_what_is_refused_and_what_is_not(run):
    _, report, _ = run
    assert {r["attempt"]: r["reason"] for r in report["refused"]} == {"replay": "used-key", "tampered-reply": "bad-seal"}
    assert {r["attempt"] for r in report["not_refused"]} == {"forgery", "double-use", "revoked"}


def test_nodes_and_cloud_hold_no_record_in_clear(run):
    root, _, _ = run
    pieces = [record.path.read_bytes()[:48] for record in find_records(root / "records") if record.size_bytes >= 48]
    for path in (root / "home").rglob("*"):
        owner = path.relative_to(root / "home").parts[0]
        if path.is_file() and (owner.startswith("node-") or owner == "cloud"):
            data = path.read_bytes()
            assert b"patients/p-" not in data
            assert not any(piece in data for piece in pieces), path


def test_the_fresh_process_refuses_an_altered_export(run, tmp_path, capsys):
    root, _, _ = run
    genesis, export = (root / "home" / "centre" / name for name in ("genesis", "ledger.export"))
    assert main([str(genesis), str(export)]) == 0
    data = bytearray(export.read_bytes())
    data[len(data) // 2] ^= 1
    altered = tmp_path / "altered"
    altered.write_bytes(data)
    assert main([str(genesis), str(altered)]) == 1
    assert main([]) == 2
    assert capsys.readouterr().err


def test_a_record_that_the_printed_suite_cannot_carry_is_named(tmp_path: Path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "huge.bin").write_bytes(bytes(4 * 1024 * 1024 + 1))
    with pytest.raises(SalusError, match=r"huge\.bin"):
        run_printed_demo(find_records(tmp_path / "records"), tmp_path / "home")
