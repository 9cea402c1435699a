"""Access logs at the command line: an owner looks, exports; an auditor verifies without a home; both write FHIR."""

from __future__ import annotations

import json
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from msgspec.structs import replace

from salus.errors import TransportError
from salus.ledger.access_export import AccessExport
from salus.ledger.client import CommittedTransaction, LedgerClient
from support.command_line import Terminal
from support.pages import shape, steps

ALICE = ("--as", "alice")
HOSPITAL = ("--as", "st-anne/board")
QUARTER = ("--period", "2025Q3")
ACTS = [
    "put", "asked", "waiting", "delegated", "consented", "granted", "delegated", "asked", "granted", "revoked", "asked",
    "waiting", "refused", "repolicied", "rotated", "put", "superseded", "erased",
]  # fmt: skip


def live(salus: Terminal, directory: Path) -> str:
    """A patient's records from put to erasure, with everything between; returns the rid."""
    record = directory / "record.txt"
    record.write_text("pulse 71, blood pressure 118/76\n")
    salus.good("attribute", "grant", "st-anne/board", "role:doctor", "role:emergency", "--years", "2024-2026")
    salus.good(*HOSPITAL, "attribute", "request-key")

    def ask(*purpose: str) -> str:
        return str(salus.good(*HOSPITAL, "share", "request", rid, "--purpose", *purpose)["shares"][0]["id"])

    rid = salus.good(*ALICE, "record", "put", record, "--category", "vitals", *QUARTER)["records"][0]["rid"]
    made = salus.good(*ALICE, "consent", "grant", ask("treatment"), "--to", "role:doctor")["made"]
    salus.good(*HOSPITAL, "share", "list")
    to = ("--to", "role:emergency", "--category", "vitals", "--from", "2025Q3", "--until", "2025Q3")
    salus.good(*ALICE, "delegation", "create", *to)
    ask("emergency", "--emergency", "found unconscious in the street")
    salus.good(*ALICE, "delegation", "revoke", made["id"])
    salus.good(*ALICE, "consent", "refuse", ask("research"))
    salus.good(*ALICE, "record", "policy", rid, "role:nurse")
    salus.good(*ALICE, "record", "rotate", rid)
    newer = salus.good(*ALICE, "record", "put", record, "--supersedes", rid)["records"][0]["rid"]
    salus.good(*ALICE, "record", "erase", newer)
    return str(rid)


@pytest.fixture(scope="module")
def lived(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lived")


@pytest.fixture
def salus(
    furnished: Path, lived: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """A terminal on a copy of a home where much has happened; lived once."""
    home = lived / "home"
    if not (lived / "rid").exists():
        shutil.copytree(furnished, home)
        (lived / "rid").write_text(live(Terminal(home, capsys, monkeypatch), lived))
    shutil.copytree(home, tmp_path / "home")
    return Terminal(tmp_path / "home", capsys, monkeypatch)


def test_an_owner_sees_who_was_let_in_to_what(salus: Terminal, lived: Path) -> None:
    rid = (lived / "rid").read_text()
    found = salus.good(*ALICE, "audit", "log")
    assert [e["act"] for e in found["entries"]] == ACTS
    assert (found["complete"], len(found["scopes"])) == (True, 1)
    about = salus.good(*ALICE, "audit", "log", "--record", rid[:8])["entries"]
    assert {e["rid"] for e in about} == {rid}
    assert {e["file_name"] for e in about} == {"record.txt"}
    assert [e["via"] for e in salus.good(*ALICE, "audit", "log", "--act", "granted")["entries"]] == ["delegation", "emergency"]
    assert salus.good(*ALICE, "audit", "log", "--category", "lab")["entries"] == []
    assert [e["act"] for e in salus.good(*ALICE, "audit", "log", "--limit", "2")["entries"]] == ACTS[-2:]
    shown = salus(*ALICE, "audit", "log")
    assert "EMERGENCY" in shown.out
    assert " to role:doctor@2025" in shown.out
    assert "refused-by-owner" in shown.out
    assert f"The log of vitals 2025Q3 is complete as of {shown.out.partition(' as of ')[2][:10]}" in shown.out
    own = salus.good(*HOSPITAL, "audit", "log")
    assert (own["entries"], [s["status"] for s in own["shares"]]) == ([], ["granted", "granted", "denied"])
    assert "own request" in salus(*HOSPITAL, "audit", "log").out


def test_without_an_owner_it_lists_the_ledger_as_before(salus: Terminal) -> None:
    kinds = {t["kind"] for t in salus.good("audit", "log")["transactions"]}
    assert {"record.put", "share.request", "delegation.create"} <= kinds
    assert salus.good(*ALICE, "audit", "log", "--ledger")["transactions"]
    assert {t["kind"] for t in salus.good(*ALICE, "audit", "log", "--kind", "record.put")["transactions"]} == {"record.put"}
    assert "--as" in salus.bad("audit", "log", "--record", "00" * 16, reason="usage", status=2)
    salus.bad(*ALICE, "audit", "log", "--act", "sung", reason="bad-encoding")
    salus.bad("--as", "nobody", "audit", "log", reason="unknown-party")


def exported(salus: Terminal, directory: Path) -> tuple[Path, Path, str]:
    """A file for auditors, the genesis, and the network's id; the auditor is elsewhere and has no home."""
    file, genesis = directory / "alice.access", directory / "genesis"
    data = salus.good(*ALICE, "audit", "export", file, "--genesis", genesis)
    assert (data["entries"], data["transactions_left_out"]) == (len(ACTS), 0)
    return file, genesis, str(data["network"])


def test_an_auditor_verifies_the_file_alone(salus: Terminal, tmp_path: Path) -> None:
    file, genesis, network = exported(salus, tmp_path)
    assert "exists" in salus.bad(*ALICE, "audit", "export", file, reason="storage")
    at_home = salus.good("audit", "verify", file)
    shutil.rmtree(salus.home)
    proven = salus.good("audit", "verify", file, "--genesis", genesis, "--entries")
    assert (proven["access_log_verified"], proven["complete"], proven["network"]) == (True, True, network)
    assert [e["act"] for e in proven["listed"]] == ACTS
    assert {e["act"]: e["policy"] for e in proven["listed"] if e["policy"]} == {
        "delegated": "role:emergency@2025", "repolicied": "role:nurse@2025",
    }  # fmt: skip
    assert salus.good("audit", "verify", file, "--network", network) == at_home
    assert proven["scopes"] == at_home["scopes"]
    shown = salus("audit", "verify", file, "--network", network, "--entries")
    assert "none dropped, added or altered" in shown.out
    assert "owner's word" in shown.out
    assert "under role:nurse@2025" in shown.out
    # nobody is believed about which network it is
    assert "--network ID" in salus.bad("audit", "verify", file, reason="storage")
    assert "of network" in salus.bad("audit", "verify", file, "--network", "00" * 32, reason="not-verified")
    salus.bad("audit", "verify", file, "--network", "short", reason="usage", status=2)
    salus.bad("audit", "verify", file, "--network", network, "--genesis", genesis, reason="usage", status=2)
    assert "older" in salus.bad(
        "audit", "verify", file, "--network", network, "--not-before", "2199-01-01", reason="not-verified"
    )
    file.write_bytes(file.read_bytes()[:-1])
    salus.bad("audit", "verify", file, "--network", network, reason="damaged")


def renumbered(export: AccessExport, change: Callable[[list[int]], list[int]]) -> AccessExport:
    """The file with its entries in another order, or fewer, or more, numbered as if nothing were."""
    (scope,) = export.scopes
    entries = scope.log.entries
    chosen = tuple(replace(entries[old], number=new) for new, old in enumerate(change(list(range(len(entries))))))
    return replace(export, scopes=(replace(scope, log=replace(scope.log, entries=chosen)),))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda n: n[:5] + n[6:], "entry 5 is missing"),
        (lambda n: n[:-1], f"entry {len(ACTS) - 1} is missing"),
        (lambda n: [*n[:3], n[4], n[3], *n[5:]], "entries 3 and 4 are swapped"),
        (lambda n: [*n[:8], n[1], *n[8:]], "entry 8 is added"),
    ],
)
def test_a_tampered_file_is_named_by_its_entry(
    salus: Terminal, tmp_path: Path, change: Callable[[list[int]], list[int]], said: str
) -> None:
    file, _, network = exported(salus, tmp_path)
    file.write_bytes(renumbered(AccessExport.decode(file.read_bytes()), change).encode())
    message = salus.bad("audit", "verify", file, "--network", network, reason="not-verified")
    assert said in message
    assert "vitals 2025Q3" in message
    salus.bad("audit", "export", tmp_path / "f.json", "--fhir", "--from", file, "--network", network, reason="not-verified")


def test_fhir_is_the_same_from_the_wallet_and_from_the_file(salus: Terminal, tmp_path: Path) -> None:
    file, _, network = exported(salus, tmp_path)
    first, second = tmp_path / "one.json", tmp_path / "two.json"
    data = salus.good(*ALICE, "audit", "export", first, "--fhir")
    shown = salus("audit", "export", second, "--fhir", "--from", file, "--network", network)
    assert "Wrote 18 entries as a FHIR R4 Bundle" in shown.out
    assert first.read_bytes() == second.read_bytes()
    bundle = json.loads(first.read_bytes())
    Bundle.model_validate(bundle)
    assert Counter(e["resource"]["resourceType"] for e in bundle["entry"]) == data["resources"]
    assert data["policies_unknown"] == 0
    for word in ("pulse", "record.txt", "unconscious"):
        assert word not in first.read_text()


def test_logs_stay_complete_without_the_transactions_that_nodes_have_pruned(
    salus: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pruned(_ledger: LedgerClient, _tx_hash: bytes) -> CommittedTransaction:
        raise TransportError("the node no longer has that transaction's body")

    monkeypatch.setattr(LedgerClient, "transaction", pruned)
    shown = salus(*ALICE, "audit", "export", tmp_path / "file")
    assert "6 policies are not in it" in shown.out
    assert salus.good("audit", "verify", tmp_path / "file")["entries"] == len(ACTS)
    shown = salus(*ALICE, "audit", "export", tmp_path / "bundle", "--fhir")
    assert "6 policies are not in it" in shown.out


def test_what_does_not_go_together(salus: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert "--as" in salus.bad("audit", "export", file, "--fhir", reason="usage", status=2)
    salus.bad("audit", "export", file, "--from", file, reason="usage", status=2)
    salus.bad("audit", "export", file, "--network", "00" * 32, reason="usage", status=2)
    salus.bad("audit", "export", file, "--category", "lab", reason="usage", status=2)
    salus.bad(*ALICE, "audit", "export", file, "--category", "lab", reason="unknown-scope")
    salus.bad(*HOSPITAL, "audit", "export", file, "--fhir", reason="unknown-scope")
    salus.bad("audit", "verify", "--network", "00" * 32, reason="usage", status=2)
    assert not file.exists()
    blocks = salus.good(*ALICE, "audit", "export", file, "--ledger")["blocks"]
    assert salus.good("audit", "verify", file)["height"] == blocks
    salus.bad("audit", "verify", file, "--network", "00" * 32, reason="usage", status=2)


def test_every_command_of_the_page_for_auditors(
    checkout: Path, furnished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(furnished, tmp_path / "home")
    salus = Terminal(tmp_path / "home", capsys, monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("record.json").write_text('{"pulse":71}\n')
    salus.good("attribute", "grant", "st-anne/board", "role:doctor", "dept:cardiology", "--years", "2026")
    put = salus.good(*ALICE, "record", "put", "record.json", "--category", "vitals", "--period", "2026Q4")
    share = salus.good(*HOSPITAL, "share", "request", put["records"][0]["rid"], "--purpose", "treatment")["shares"][0]
    salus.good(*ALICE, "consent", "grant", share["id"])
    salus.good(*HOSPITAL, "share", "list")
    names = {"ada": "alice"}
    done = steps((checkout / "docs" / "auditing.md").read_text("utf-8"))
    assert len(done) >= 6
    for command, shown in done:
        words = shlex.split(command)
        if "--network" in words:
            names[words[-1]] = str(salus.good("network", "status")["network"])
        ended = salus(*(names.get(word, word) for word in words[1:]))
        assert ended.status == ("altered.access" in words), (command, ended)
        assert [shape(line) for line in shown] == [shape(line) for line in (ended.out + ended.err).splitlines()][: len(shown)], (
            command
        )
        if "--genesis" in words and "export" in words:
            log = AccessExport.decode(Path("ada.access").read_bytes())
            cut = renumbered(log, lambda numbers: [n for n in numbers if n != 3])
            Path("altered.access").write_bytes(cut.encode())
    assert Path("ada.json").read_bytes() == Path("again.json").read_bytes()
    listed = salus("audit", "verify", "ada.access", "--genesis", "genesis", "--entries").out
    assert [line.split()[3] for line in listed.splitlines()[1:7]] == [
        "put",
        "asked",
        "waiting",
        "delegated",
        "consented",
        "granted",
    ]
