"""The same demonstration with every party in an operating-system process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from salus.network.demonstration import DemoOptions, run_demo
from salus.network.demonstration.process_stage import ProcessStage


class _Watched(ProcessStage):
    """Remembers the process of every party that ever ran."""

    seen: dict[str, int]

    def enter(self, role: str, name: str, display_name: str, *, cheating: bool = False) -> str:
        party = super().enter(role, name, display_name, cheating=cheating)
        self.seen = {**getattr(self, "seen", {}), **self.process_ids}
        return party


def test_demonstration_with_every_party_in_its_own_process(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    (records / "a.txt").write_text("pulse 71\n")
    (records / "b.bin").write_bytes(os.urandom(200_000))
    stages: list[_Watched] = []

    def make(*arguments: Any) -> _Watched:
        stages.append(_Watched(*arguments))
        return stages[0]

    report = run_demo(DemoOptions(records=(records,), home=tmp_path / "home"), make_stage=make)
    parties = stages[0].seen
    assert len(set(parties.values())) == len(parties)
    assert os.getpid() not in parties.values()
    assert {"node-0", "node-1", "node-2", "node-3", "cloud", "centre"} <= set(parties)
    assert sum(p.startswith("patient-") for p in parties) == 4
    assert report["ledger_verified"] is True
    assert all(c["accepted"] and c["sha256"] == c["doctor_received_sha256"] for c in report["consultations"])
    assert {r["attempt"] for r in report["refused"]} == {"replay", "forgery", "revoked", "tampered-reply", "double-use"}
