"""The bench of the sharing scheme: its floors count what the scheme does, a quick run is whole, a missing peer is said."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from salus import _native
from salus.abpre.capsules import Capsule
from salus.bench import abpre, abpre_peers, abpre_scheme
from salus.bench.abpre_scheme import POLICIES, Case
from salus.bench.model import Context, Part, run_parts


@pytest.fixture(scope="module", params=["AND of 10", "25 of 50"])
def case(request) -> Case:
    return Case.make(request.param, os.urandom)


def counted(operation) -> dict[str, int]:
    operation()
    _native.reset_operation_counts()
    operation()
    return _native.operation_counts()


def test_floors_count_the_pairings_that_are_made(case: Case) -> None:
    operations, floors = case.operations(os.urandom), case.floors()
    for name in ("check", "decapsulate", "re_encrypt", "re_decrypt"):
        made = counted(operations[name])
        assert made["miller_loop"] == floors[name]["miller_loop"], name
        assert made["final_exp"] == floors[name]["final_exp"], name


def test_floors_count_no_less_than_a_capsule_needs(case: Case) -> None:
    n = len(case.policy.rows)
    made = counted(case.operations(os.urandom)["encapsulate"])
    floor = case.floors()["encapsulate"]
    assert floor == {"gt_comb": 1, "g2_comb": n + 1, "g1_comb": n + 1, "g1_mul": n + 1}
    assert {name: made[name] for name in floor} == floor
    assert isinstance(case.capsule, Capsule)


def test_a_quick_run_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(abpre_peers.shutil, "which", lambda name: None)
    context = Context(quick=True, work=tmp_path)
    result = run_parts(abpre.NAME, [(what, part) for what, part in abpre.PARTS if part in SCHEME], context)
    page = json.loads(json.dumps(result.as_json()))
    assert {"abpre-scheme", "abpre-batches", "abpre-cores", "abpre-prices", "abpre-peers", "abpre-sizes"} <= set(page["sections"])
    assert "no Go compiler here" in " ".join(page["sections"]["abpre-peers"]["notes"])
    assert all(row["tkn20_ms"] is None for row in page["sections"]["abpre-peers"]["rows"])
    assert len(page["sections"]["abpre-sizes"]["rows"]) == len(POLICIES)
    names = [target["name"] for target in page["targets"]]
    assert any("over its floor" in name for name in names)
    assert any("in batches of 64" in name for name in names)


SCHEME = (abpre_scheme.scheme, abpre_peers.peers, abpre_scheme.sizes)


def test_the_peers_figures_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        figures = {"name": "AND of 10", "key_gen_ms": 90.0, "encrypt_ms": 50.0, "decrypt_ms": 8.0, "ciphertext_bytes": 5569}
        return subprocess.CompletedProcess(arguments, 0, json.dumps(figures) + "\n", "")

    monkeypatch.setattr(abpre_peers.shutil, "which", lambda name: "/go")
    monkeypatch.setattr(abpre_peers.subprocess, "run", run)
    ours = {f"AND of 10 {name}": 2.0 for name in ("key_gen", "encapsulate", "decode", "decapsulate")}
    part: Part = abpre_peers.peers(Context(quick=True, work=tmp_path, measured_ms=ours))
    assert [row[3:5] for row in part.sections[0].rows] == [(90.0, 45.0), (50.0, 25.0), (8.0, 2.0)]
    assert [target.met for target in part.targets] == [True] * 3
    assert asked[0][:2] == ["/go", "build"]
    assert asked[1][3].startswith("attrx0:yes and attrx1:yes and ")


@pytest.mark.parametrize(
    "failure",
    [subprocess.CalledProcessError(1, "go", stderr=b"no module\n"), subprocess.TimeoutExpired("go", 1), OSError("gone")],
    ids=["build", "time", "system"],
)
def test_a_peer_that_does_not_build_is_said(failure: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(*arguments: object, **options: object) -> None:
        raise failure

    monkeypatch.setattr(abpre_peers.shutil, "which", lambda name: "/go")
    monkeypatch.setattr(abpre_peers.subprocess, "run", run)
    ours = {f"AND of 10 {name}": 2.0 for name in ("key_gen", "encapsulate", "decode", "decapsulate")}
    part = abpre_peers.peers(Context(quick=True, work=tmp_path, measured_ms=ours))
    assert "was not measured" in part.sections[0].notes[-1]
    assert part.targets == ()
