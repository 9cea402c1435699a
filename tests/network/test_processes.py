"""The same demonstration, both halves, with every party in an operating-system process of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from salus.errors import SalusError
from salus.network.demonstration import DemoOptions, run_demo
from salus.network.demonstration.process_stage import ProcessStage
from support.embedded import DAY, PASSPHRASE


class _Watched(ProcessStage):
    """Remembers the process of every party that ever ran."""

    seen: dict[str, int]

    def enter(self, role: str, name: str, display_name: str, *, cheating: bool = False) -> str:
        party = super().enter(role, name, display_name, cheating=cheating)
        self._remember()
        return party

    def reenter(self, party: str, *, cheating: bool = False) -> None:
        super().reenter(party, cheating=cheating)
        self._remember()

    def _remember(self) -> None:
        self.seen = {**getattr(self, "seen", {}), **self.process_ids}


def test_demonstration_with_every_party_in_its_own_process(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    coding = {"system": "http://snomed.info/sct", "code": "73211009", "display": "Diabetes mellitus"}
    condition = {"resourceType": "Condition", "code": {"coding": [coding]}, "recordedDate": "2024-02-03"}
    (records / "a.json").write_text(json.dumps(condition))
    (records / "b.bin").write_bytes(os.urandom(200_000))
    stages: list[_Watched] = []

    def make(*arguments: Any) -> _Watched:
        stages.append(_Watched(*arguments))
        return stages[0]

    report = run_demo(DemoOptions(records=(records,), home=tmp_path / "home"), make_stage=make)
    parties = stages[0].seen
    assert len(set(parties.values())) == len(parties)
    assert os.getpid() not in parties.values()
    services = {"node-0", "node-1", "node-2", "node-3", "check-0", "check-1", "check-2", "cloud", "cloud-1", "centre"}
    assert services <= set(parties)
    assert sum(p.startswith("patient-") for p in parties) == 4
    assert sum(p.startswith("institution-") for p in parties) == 4
    assert report["ledger_verified"] is True
    assert all(c["accepted"] and c["sha256"] == c["doctor_received_sha256"] for c in report["consultations"])
    assert {r["attempt"] for r in report["refused"]} == {"replay", "forgery", "revoked", "tampered-reply", "double-use"}
    assert {(s["reader"], s["via"]) for s in report["sharing"]} == {
        ("st-anne/board", "policy"),
        ("lakeside/board", "policy"),
        ("riverside/board", "delegation"),
        ("riverside/board", "emergency"),
    }
    assert all(s["sha256"] == s["received_sha256"] for s in report["sharing"])
    assert [d["reason"] for d in report["denied"]] == ["unsatisfied", "delegation-revoked"]
    assert {s["word"] for s in report["searches"]} == {"snomed|73211009", "diabetes", "mellitus"}
    assert all(s["found"] == s["expected"] for s in report["searches"])
    assert report["liar_named"] == "st-anne/node-0"
    assert report["node_down"] == "lakeside/node-3"
    assert report["revocation_receipt_verified"] is True
    assert report["access_log_complete"] is True
    assert report["cloud_destroyed_nothing_lost"] is True
    assert report["cloud_destroyed"]["records_after"] == 2


class _Mortal(ProcessStage):
    """Parties that can be killed and started again."""

    def kill(self, party: str) -> None:
        process = self._processes.pop(party)
        process.kill()
        process.wait()

    def start_again(self, party: str, *arguments: str) -> None:
        self._start(party, list(arguments))


def test_killed_services_come_back(tmp_path: Path) -> None:
    """kill -9 of a node, the cloud and the centre in the middle of consultations; what was acknowledged is there afterwards."""
    record = tmp_path / "record.txt"
    record.write_text("pulse 71\n")
    stage = _Mortal(tmp_path / "home", 4, PASSPHRASE)
    try:
        people = {}
        for role, name in (("doctor", "st-anne/dr-lee"), ("patient", "anna")):
            people[role] = stage.enter(role, name, name)
            stage.do(people[role], "enrol", code=stage.code(role, name, name))
        doctor, patient = people["doctor"], people["patient"]
        stage.do(doctor, "publish", day=DAY, count=4)
        asked = {"doctor": "st-anne/dr-lee", "day": DAY, "path": str(record)}
        first = stage.do(patient, "request", **asked)

        stage.kill("node-1")
        with pytest.raises(SalusError, match="did not start"):
            stage.start_again("second-node-0", "node", "--index", "0")  # node-0 runs already
        second = stage.do(patient, "request", **asked)
        stage.start_again("node-1", "node", "--index", "1")

        stage.kill("cloud")
        with pytest.raises(SalusError, match="cloud does not answer"):
            stage.do(patient, "request", **asked)
        stage.start_again("cloud", "cloud")

        stage.kill("centre")
        assert stage.do(patient, "replies")["consultations"]
        stage.start_again("centre", "centre")
        assert stage.do(patient, "renew", count=20)["added"] > 0

        waiting = [w["id"] for w in stage.do(doctor, "queue")["waiting"]]
        assert sorted(waiting) == sorted([first["id"], second["id"]])
        for id_ in waiting:
            stage.do(doctor, "treat", id=id_, reply=str(record))
        for id_ in waiting:
            assert stage.do(patient, "read", id=id_)["accepted"]
        status = stage.node_status()
        assert len({s["height"] for s in status}) == 1
        assert len({s["application_hash"] for s in status}) == 1
    finally:
        stage.close()
