"""The sharing half at the command line: records, attributes, delegations, search, shares, consent, access."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.command_line import Terminal

ALICE = ("--as", "alice")
HOSPITAL = ("--as", "st-anne/board")
QUARTER = ("--period", "2025Q3")


@pytest.fixture
def granted(salus: Terminal) -> Terminal:
    salus.good("attribute", "grant", "st-anne/board", "role:doctor", "dept:cardiology", "--years", "2024-2026")
    return salus


def put(salus: Terminal, *arguments: str | Path) -> str:
    data = salus.good(*ALICE, "record", "put", *arguments, "--category", "vitals", *QUARTER)
    rid = data["records"][0]["rid"]
    assert isinstance(rid, str)
    return rid


def test_from_put_to_get(granted: Terminal, record: Path, tmp_path: Path) -> None:
    salus = granted
    assert salus.good("attribute", "list", "st-anne/board")["attributes"][0]["attribute"] == "dept:cardiology"
    key = salus.good(*HOSPITAL, "attribute", "request-key")
    assert "role:doctor@2025" in key["attributes"]
    rid = put(salus, record, "--policy", "role:doctor and dept:cardiology", "--keyword", "palpitations")
    assert salus.good(*ALICE, "record", "list")["records"][0]["rid"] == rid
    assert salus.good(*ALICE, "record", "show", rid[:8])["on_ledger"] is True
    assert salus.good(*HOSPITAL, "search", "palpitations")["readable"] == [rid]
    assert salus.good("access", "explain", rid, *HOSPITAL)["outcome"] == "policy"
    # what a search found, the beginning of its id is enough for; of what it did not, it is not
    share = salus.good(*HOSPITAL, "share", "request", rid[:8], "--purpose", "treatment")["shares"][0]
    assert (share["rid"], share["status"], share["via"]) == (rid, "granted", "policy")
    salus.bad(*HOSPITAL, "share", "request", "0" * 8, "--purpose", "treatment", reason="not-found")
    got = salus.good(*HOSPITAL, "share", "get", share["id"][:12], "--out", tmp_path / "out")
    assert Path(got["path"]).read_bytes() == record.read_bytes()
    own = salus.good(*ALICE, "record", "get", rid, "--range", "6-7", "--out", tmp_path / "part")
    assert Path(own["path"]).read_bytes() == record.read_bytes()[6:8]


def test_an_owner_finds_a_record_by_the_digest_of_its_body(granted: Terminal, record: Path) -> None:
    salus = granted
    before = bodies(salus)
    rid = put(salus, record)
    (digest,) = bodies(salus) - before
    assert salus.good(*ALICE, "record", "show", digest)["rid"] == rid
    salus.bad(*HOSPITAL, "record", "show", digest, reason="unknown-record")
    salus.good(*ALICE, "record", "rotate", rid)
    assert "erased" in salus.bad(*ALICE, "record", "show", digest, reason="unknown-record")
    salus.bad(*ALICE, "record", "show", "Z" * 64, reason="bad-encoding")


def bodies(salus: Terminal) -> set[str]:
    """Names of the bodies that the cloud keeps."""
    return {path.name for path in (salus.home / "cloud").rglob("*") if re.fullmatch(r"[0-9a-f]{64}", path.name)}


def test_delegation_and_consent(granted: Terminal, record: Path) -> None:
    salus = granted
    rid = put(salus, record)
    explained = salus.good("access", "explain", rid, *HOSPITAL)
    assert (explained["outcome"], explained["policy"]) == ("waiting", "")
    share = salus.good(*HOSPITAL, "share", "request", rid, "--purpose", "research")["shares"][0]
    assert share["status"] == "waiting"
    salus.bad(*HOSPITAL, "share", "get", share["id"], reason="not-granted")
    waiting = salus.good(*ALICE, "consent", "list")["requests"]
    assert [r["id"] for r in waiting] == [share["id"]]
    made = salus.good(*ALICE, "consent", "grant", share["id"])["made"]
    assert made["to"] == "dept:cardiology@2025 and role:doctor@2025"
    got = salus.good(*HOSPITAL, "share", "get", share["id"])
    assert len(got["transformed_by"]) == 3
    assert salus.good("access", "explain", rid, *HOSPITAL)["outcome"] == "delegation"
    revoked = salus.good(*ALICE, "delegation", "revoke", made["id"][:8])
    assert revoked["receipt_verified"]
    shown = salus.good(*ALICE, "delegation", "show", made["id"])
    assert shown["deleted_by"] == revoked["deleted_by"]
    assert [w["outcome"] for w in salus.good("access", "explain", rid, *HOSPITAL)["delegations"]] == ["delegation-revoked"]


def test_denied_for_a_missing_attribute(granted: Terminal, record: Path) -> None:
    salus = granted
    rid = put(salus, record)
    salus.good(
        *ALICE, "delegation", "create", "--to", "dept:oncology", "--category", "vitals", "--from", "2025Q3", "--until", "2025Q3"
    )
    explained = salus.good("access", "explain", rid, *HOSPITAL)
    assert explained["delegations"][0]["explanation"]["missing"] == ["dept:oncology@2025"]
    salus.good("attribute", "revoke", "st-anne/board", "dept:cardiology")
    assert [a["attribute"] for a in salus.good("attribute", "list")["attributes"]] == ["role:doctor"]


def test_errors_say_what_and_what_to_do(granted: Terminal, record: Path, tmp_path: Path) -> None:
    salus = granted
    assert "character 13" in salus.bad(*ALICE, "record", "put", record, "--policy", "role:doctor &", reason="bad-policy")
    salus.bad(*ALICE, "record", "put", tmp_path / "none", reason="storage")
    salus.bad(*ALICE, "record", "show", "zz", reason="bad-encoding")
    assert "record list" in salus.bad(*ALICE, "record", "get", "00" * 16, reason="unknown-record")
    salus.bad(*HOSPITAL, "share", "request", "00" * 16, "--purpose", "treatment", reason="unknown-record")
    salus.bad(*HOSPITAL, "share", "request", "00" * 16, "--purpose", "emergency", reason="usage", status=2)
    salus.bad(*ALICE, "share", "list", reason="failed")
    salus.bad(*HOSPITAL, "attribute", "request-key", "role:king@2025", reason="no-attribute")
    assert salus(*ALICE, "record", "get", "00" * 16, "--range", "9-2").status == 2
    assert salus(*ALICE, "record", "put", record, "--category", "nonsense").status == 2
    assert salus("attribute", "grant", "st-anne/board", "role:x", "--years", "soon").status == 2


def test_words_for_people(granted: Terminal, record: Path) -> None:
    salus = granted
    done = salus(*ALICE, "record", "put", record, "--policy", "role:doctor", *QUARTER)
    assert done.status == 0
    assert "readable on the ledger" in done.out
    rid = json.loads(salus(*ALICE, "record", "list", "--json").out)["records"][0]["rid"]
    assert "may open it, by policy" in salus("access", "explain", rid, *HOSPITAL).out
    for command in (("delegation", "list"), ("consent", "list"), ("record", "show", rid), ("search", "pulse")):
        assert salus(*ALICE, *command).status == 0
    assert salus(*ALICE, "record", "policy", rid, "").out.startswith(f"Record {rid} is now under: own: alone")
    assert salus(*ALICE, "record", "rotate", rid).status == 0
    assert salus(*ALICE, "record", "erase", rid).out == f"Erased record {rid}.\n"
    salus.bad(*ALICE, "record", "get", rid, reason="record-erased")
