"""What people do wrong, and what goes wrong around them: a clear error each, and what was there is kept."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from salus.files import HomeLock
from support.command_line import Terminal
from support.embedded import DAY, DOCTOR

ASK = ("--as", "alice", "consultation", "request", "--doctor", DOCTOR, "--day", DAY)


def tree(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, without the databases' journals."""
    files = (p for p in directory.rglob("*") if p.is_file() and not p.name.endswith(("-wal", "-shm", "lock")))
    return {str(p.relative_to(directory)): p.read_bytes() for p in files}


# --- no network, no party ---


def test_no_network(empty: Terminal) -> None:
    for command in (["network", "status"], ["doctor", "list"], ["audit", "log"], ["--as", "alice", "wallet", "show"]):
        assert "network init" in empty.bad(*command, reason="storage")
    assert "network init" in empty.bad("party", "enrol", "--role", "doctor", "a/b", reason="storage")
    assert not empty.home.exists()


def test_a_network_is_not_founded_twice(salus: Terminal) -> None:
    before = tree(salus.home)
    assert str(salus.home) in salus.bad("network", "init", reason="already-done")
    assert tree(salus.home) == before


@pytest.mark.parametrize("nodes", ["1", "3", "5", "34"])
def test_numbers_of_nodes_that_tolerate_nothing(empty: Terminal, nodes: str) -> None:
    assert "3f + 1" in empty.bad("network", "init", "--nodes", nodes, reason="bad-encoding")
    assert not empty.home.exists() or set(tree(empty.home)) <= {"lock"}
    assert empty("network", "init", "--json").status == 0


def test_a_home_in_use_for_something_else(empty: Terminal) -> None:
    empty.home.mkdir()
    (empty.home / "cloud").mkdir()
    (empty.home / "cloud" / "photo.jpg").write_bytes(b"mine")
    assert "cloud" in empty.bad("network", "init", reason="storage")
    assert tree(empty.home) == {"cloud/photo.jpg": b"mine"}
    file = empty.home / "cloud" / "photo.jpg"
    assert "directory" in empty.bad("--home", file, "network", "init", reason="storage")


def test_nobody_acts_or_nobody_known(salus: Terminal) -> None:
    line = salus.bad("wallet", "show", reason="settings")
    assert "--as" in line
    assert "patient-alice" in line
    assert "patient-alice" in salus.bad("--as", "carol", "wallet", "show", reason="unknown-party")
    assert "patient" in salus.bad("--as", DOCTOR, "credential", "list", reason="failed")
    assert "doctor" in salus.bad("--as", "alice", "slot", "list", reason="failed")


def test_a_command_of_a_wallet_that_is_not_enrolled(salus: Terminal, record: Path) -> None:
    salus.good("wallet", "create", "--role", "patient", "carol")
    salus.good("wallet", "create", "--role", "doctor", "st-anne/dr-new")
    for command in (["credential", "renew"], ["consultation", "request", "--doctor", DOCTOR, "--day", DAY, str(record)]):
        assert "party enrol" in salus.bad("--as", "carol", *command, reason="wallet")
    assert "party enrol" in salus.bad(
        "--as", "st-anne/dr-new", "slot", "publish", "--day", "today", "--count", "1", reason="wallet"
    )
    salus.good("party", "enrol", "--role", "patient", "carol")
    salus.good("--as", "carol", *ASK[2:], record)


@pytest.mark.parametrize(
    "name", ["Dr Lee", "st-anne", "ST-ANNE/dr-lee", "../../etc/passwd", "st-anne/dr/lee", "a/" + "b" * 300, ""]
)
def test_names_that_are_none(salus: Terminal, name: str) -> None:
    before = tree(salus.home)
    salus.bad("party", "enrol", "--role", "doctor", name, reason="bad-encoding")
    salus.bad("wallet", "create", "--role", "institution", name, reason="bad-encoding")
    assert tree(salus.home) == before


@pytest.mark.parametrize("name", ["", " ", "line\nbreak", "x" * 500])
def test_identities_that_are_none(salus: Terminal, name: str) -> None:
    salus.bad("party", "enrol", "--role", "patient", name, reason="bad-encoding")


def test_a_party_is_enrolled_and_revoked_once(salus: Terminal) -> None:
    assert "already" in salus.bad("party", "enrol", "--role", "doctor", DOCTOR, reason="failed")
    salus.good("party", "revoke", DOCTOR)
    salus.bad("party", "revoke", DOCTOR, reason="unknown-party")
    salus.bad("party", "revoke", "nobody", reason="unknown-party")
    salus.good("party", "revoke", "--role", "patient", "alice")
    salus.bad("party", "revoke", "--role", "patient", "alice", reason="unknown-party")


def test_a_lost_wallet_is_not_replaced_silently(salus: Terminal) -> None:
    shutil.rmtree(salus.home / "patient-alice")
    line = salus.bad("party", "enrol", "--role", "patient", "alice", reason="already-registered")
    assert "restore" in line
    assert "revoke" in line
    assert not (salus.home / "patient-alice").exists()


# --- passphrases ---


def test_wrong_passphrase_and_damaged_wallet_are_told_apart(salus: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = salus.home / "patient-alice" / "wallet.sealed"
    good = wallet.read_bytes()
    monkeypatch.setenv("SALUS_PASSPHRASE", "another one")
    assert "passphrase" in salus.bad("--as", "alice", "wallet", "show", reason="wrong-passphrase")
    assert wallet.read_bytes() == good
    for damaged in (good[: len(good) // 2], b"", good[:-1] + bytes([good[-1] ^ 1]), bytes(len(good))):
        wallet.write_bytes(damaged)
        assert str(wallet) in salus.bad("--as", "alice", "wallet", "show", reason="damaged")
        assert wallet.read_bytes() == damaged


def test_no_passphrase_and_nobody_to_ask(salus: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SALUS_PASSPHRASE")
    line = salus.bad("--as", "alice", "wallet", "show", reason="settings")
    assert "--passphrase-file" in line
    salus.bad("--as", "alice", "--passphrase-file", tmp_path / "none", "wallet", "show", reason="settings")
    (tmp_path / "blank").write_text("\n")
    salus.bad("--as", "alice", "--passphrase-file", tmp_path / "blank", "wallet", "show", reason="settings")
    (tmp_path / "right").write_text("a passphrase for tests\n")
    assert salus.good("--as", "alice", "--passphrase-file", tmp_path / "right", "wallet", "show")["name"] == "alice"


# --- files to send ---


def test_paths_that_are_no_file(salus: Terminal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    unreadable = tmp_path / "unreadable"
    unreadable.mkdir(mode=0)
    before = salus.good("--as", "alice", "credential", "list")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", Path("/dev/null"), tmp_path / "none" / "below"):
        assert str(path) in salus.bad(*ASK, path, reason="storage")
    assert salus.good("--as", "alice", "credential", "list") == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty", b""),
        ("empty.json", b""),
        ("noise.dcm", bytes(range(256)) * 9),
        ("broken.json", b'{"resourceType": "Bundle", "entry": ['),
        ("truncated.dcm", bytes(128) + b"DICM\x02\x00"),
        ("broken.hl7", b"MSH|"),
        ("bomb.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><ClinicalDocument>&b;</ClinicalDocument>'),
        ("name with spaces and \u00e4.txt", b"text"),
    ],
)
def test_any_file_is_carried(salus: Terminal, tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    id_ = salus.good(*ASK, path)["id"]
    opened = salus.good("--as", DOCTOR, "consultation", "open", id_)
    assert Path(opened["path"]).read_bytes() == content
    assert opened["file_name"] == name


def test_a_huge_file(salus: Terminal, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(8 << 40)
    before = salus.good("--as", "alice", "credential", "list")
    began = time.monotonic()
    assert "huge" in salus.bad(*ASK, huge, reason="storage")
    assert time.monotonic() - began < 20
    assert salus.good("--as", "alice", "credential", "list") == before


@pytest.mark.parametrize("size_mib", [48, pytest.param(1024, marks=pytest.mark.long)])
def test_a_large_file_goes_through_in_constant_memory(salus: Terminal, tmp_path: Path, size_mib: int) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(size_mib << 20)
    program = (
        "from support.memory import print_peak_at_exit; print_peak_at_exit()\n"
        "from salus.cli.main import main; raise SystemExit(main())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    command = [sys.executable, "-c", program, *ASK, str(large), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert int(done.stderr.rpartition("peak=")[2]) < 200 * 1024
    (waiting,) = salus.good("--as", DOCTOR, "consultation", "queue")["waiting"]
    opened = Path(salus.good("--as", DOCTOR, "consultation", "open", waiting["id"])["path"])
    assert opened.stat().st_size == size_mib << 20


def test_records_in_a_directory_that_cannot_be_read(empty: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads everything, so the system's answer is put in its place."""
    closed = tmp_path / "records" / "closed"
    closed.mkdir(parents=True)
    (tmp_path / "records" / "a.txt").write_text("a")
    real = os.scandir

    def scandir(path: str | int = ".") -> object:
        if path == str(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    line = empty.bad("demo", "--records", tmp_path / "records", reason="storage")
    assert str(closed) in line
    assert "Permission denied" in line


def test_an_empty_reply_and_a_reply_that_is_missing(salus: Terminal, tmp_path: Path, record: Path) -> None:
    id_ = salus.good(*ASK, record)["id"]
    salus.bad("--as", DOCTOR, "consultation", "treat", id_, "--reply", tmp_path / "none", reason="storage")
    (tmp_path / "empty").write_bytes(b"")
    salus.good("--as", DOCTOR, "consultation", "treat", id_, "--reply", tmp_path / "empty")
    read = salus.good("--as", "alice", "consultation", "read", id_)
    assert Path(read["path"]).read_bytes() == b""


def test_records_that_cannot_be_read(empty: Terminal, tmp_path: Path) -> None:
    assert "none" in empty.bad("demo", "--records", tmp_path / "none", reason="storage")
    (tmp_path / "empty").mkdir()
    assert "empty" in empty.bad("demo", "--records", tmp_path / "empty", reason="storage")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    assert "full" in empty.bad("demo", "--home", tmp_path / "full", reason="storage")


# --- doctors, slots, consultations ---


def test_an_unknown_doctor_and_no_free_slot(salus: Terminal, record: Path) -> None:
    before = salus.good("--as", "alice", "credential", "list")
    ask = ("--as", "alice", "consultation", "request", "--day", "2031-03-04", record)
    assert "nobody" in salus.bad(*ask, "--doctor", "st-anne/nobody", reason="unknown-party")
    assert "2031-03-04" in salus.bad(*ask, "--doctor", DOCTOR, reason="no-free-slot")
    salus.bad(*ask, "--doctor", "not a name \u2603", reason="unknown-party")
    assert salus.good("--as", "alice", "credential", "list") == before


def test_consultations_that_are_none(salus: Terminal, record: Path) -> None:
    for id_ in ("0123456789abcdef", "nonsense", "\u2603"):
        salus.bad("--as", DOCTOR, "consultation", "open", id_, reason="unknown-request")
        salus.bad("--as", DOCTOR, "consultation", "treat", id_, "--reply", record, reason="unknown-request")
        salus.bad("--as", DOCTOR, "consultation", "decline", id_, reason="unknown-request")
        salus.bad("--as", "alice", "consultation", "read", id_, reason="wallet")
    id_ = salus.good(*ASK, record)["id"]
    salus.bad("--as", "alice", "consultation", "read", id_, reason="not-committed")
    salus.bad("--as", "bob", "consultation", "read", id_, reason="wallet")


def test_a_request_is_answered_once(salus: Terminal, record: Path) -> None:
    id_ = salus.good(*ASK, record)["id"]
    salus.good("--as", DOCTOR, "consultation", "treat", id_, "--reply", record)
    assert salus("--as", DOCTOR, "consultation", "treat", id_, "--reply", record, "--json").json["error"]["reason"] in (
        "already-answered",
        "erased",
    )
    salus.good("--as", "alice", "consultation", "read", id_)
    salus.bad("--as", "alice", "consultation", "read", id_, reason="erased")
    declined = salus.good(*ASK, record)["id"]
    salus.good("--as", DOCTOR, "consultation", "decline", declined)
    assert salus("--as", DOCTOR, "consultation", "decline", declined, "--json").json["error"]["reason"] == "already-answered"


def test_requests_are_treated_in_the_order_of_their_slots(salus: Terminal, record: Path) -> None:
    for who in ("alice", "bob"):
        salus.good("--as", who, *ASK[2:], record)
    first, second = salus.good("--as", DOCTOR, "consultation", "queue")["waiting"]
    assert first["sn"] < second["sn"]
    line = salus.bad("--as", DOCTOR, "consultation", "treat", second["id"], "--reply", record, reason="not-your-turn")
    assert first["id"] in line
    salus.good("--as", DOCTOR, "consultation", "decline", first["id"])
    salus.good("--as", DOCTOR, "consultation", "treat", second["id"], "--reply", record)


def test_slots_of_a_day_that_is_over_are_remarked_upon(salus: Terminal) -> None:
    done = salus("--as", DOCTOR, "slot", "publish", "--day", "2025-01-02", "--count", "1", "--json")
    assert (done.status, len(done.json["slots"])) == (0, 1)
    assert "2025-01-02 is over" in done.err
    assert "slot cancel" in done.err
    assert salus("--as", DOCTOR, "slot", "publish", "--day", "today", "--count", "1").err == ""


def test_slots_that_cannot_be_cancelled(salus: Terminal, record: Path) -> None:
    sn = salus.good(*ASK, record)["sn"]
    salus.bad("--as", DOCTOR, "slot", "cancel", str(sn), reason="slot-taken")
    salus.bad("--as", DOCTOR, "slot", "cancel", "99", reason="unknown-slot")
    free = next(s["sn"] for s in salus.good("--as", DOCTOR, "slot", "list")["slots"] if s["state"] == "open")
    salus.good("--as", DOCTOR, "slot", "cancel", str(free))
    salus.bad("--as", DOCTOR, "slot", "cancel", str(free), reason="already-done")


def test_cases_and_evidence_that_are_none(salus: Terminal, tmp_path: Path) -> None:
    salus.bad("trace", "show", "xyz", reason="failed")
    salus.bad("trace", "show", "ab" * 32, reason="unknown-case")
    approve = ("--as", "st-anne/board", "trace", "approve", "ab" * 32, "--evidence")
    salus.bad(*approve, tmp_path / "none", reason="storage")
    (tmp_path / "noise").write_bytes(b"noise")
    salus.bad(*approve, tmp_path / "noise", reason="bad-encoding")


# --- credentials ---


def test_all_credentials_of_a_quarter_are_used_up(salus: Terminal, record: Path) -> None:
    assert salus.good("--as", "alice", "credential", "renew", "--count", "64")["added"] == 62
    salus.good(*ASK, record)
    assert "quarter" in salus.bad("--as", "alice", "credential", "renew", "--count", "64", reason="quota")


def test_a_credential_that_was_used_from_a_copied_wallet(salus: Terminal, record: Path, tmp_path: Path) -> None:
    """Two copies of a wallet are two people with the same credentials: the second use is refused and said to be."""
    shutil.copytree(salus.home / "patient-alice", tmp_path / "copy")
    salus.good(*ASK, record)
    shutil.rmtree(salus.home / "patient-alice")
    shutil.copytree(tmp_path / "copy", salus.home / "patient-alice")
    salus.bad(*ASK, record, reason="used-credential")
    salus.good(*ASK, record)


# --- state ---


@pytest.mark.parametrize(
    "damage",
    ["centre/genesis", "centre/centre.key", "cloud/cloud.key", "node-0/node.key", "centre/centre.sqlite", "cloud/index.sqlite"],
)
@pytest.mark.parametrize("how", ["truncated", "altered", "empty", "missing"])
def test_damaged_state_is_named_and_kept(salus: Terminal, damage: str, how: str) -> None:
    path = salus.home / damage
    good = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"truncated": good[: len(good) * 2 // 3], "altered": _altered(good), "empty": b""}[how])
        os.chmod(path, 0o600)
    left = path.read_bytes() if path.exists() else None
    done = salus("network", "status", "--json")
    if damage == "cloud/index.sqlite" and how in ("missing", "empty"):
        assert done.status == 0  # the cloud makes its index anew, from the ledger and the bodies
    else:
        assert done.json["error"]["reason"] in ("damaged", "storage"), done.out
        assert path.name in done.error
        assert (path.read_bytes() if path.exists() else None) == left
        path.write_bytes(good)
        path.chmod(0o600)
    assert salus("network", "status").status == 0


def _altered(data: bytes) -> bytes:
    middle = bytes(b ^ 0xFF for b in data[len(data) // 4 : len(data) // 2])
    return data[: len(data) // 4] + middle + data[len(data) // 2 :]


def test_a_key_file_that_others_can_read(salus: Terminal) -> None:
    key = salus.home / "node-1" / "node.key"
    key.chmod(0o644)
    assert f"chmod 600 {key}" in salus.bad("network", "status", reason="storage")


def test_a_damaged_body_in_the_cloud_is_found(salus: Terminal, record: Path) -> None:
    id_ = salus.good(*ASK, record)["id"]
    (body,) = (p for p in (salus.home / "cloud" / "objects").rglob("*") if p.is_file())
    body.chmod(0o600)
    body.write_bytes(body.read_bytes()[:-1] + b"x")
    done = salus("network", "verify", "--json")
    assert done.status == 1
    assert done.json["error"]["reason"] == "not-verified"
    assert done.json["verified"] is False
    reason = salus("--as", DOCTOR, "consultation", "open", id_, "--json").json["error"]["reason"]
    assert reason in ("bad-body", "missing-body")
    assert not any((salus.home / "doctor-st-anne.dr-test" / "received").iterdir())


def test_exports_that_do_not_verify(salus: Terminal, tmp_path: Path, furnished: Path) -> None:
    export, genesis = tmp_path / "export", tmp_path / "genesis"
    salus.good("audit", "export", export, "--genesis", genesis)
    salus.good("audit", "verify", export, "--genesis", genesis)
    assert "exists" in salus.bad("audit", "export", export, reason="storage")
    good = export.read_bytes()
    for data, reason in ((good[:-20], "damaged"), (b"", "damaged"), (b"noise" * 99, "damaged")):
        export.write_bytes(data)
        salus.bad("audit", "verify", export, "--genesis", genesis, reason=reason)
    export.write_bytes(good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :])
    done = salus("audit", "verify", export, "--json")
    assert done.json["error"]["reason"] in ("not-verified", "damaged")
    export.write_bytes(good)
    genesis.write_bytes(genesis.read_bytes()[:-1])
    salus.bad("audit", "verify", export, "--genesis", genesis, reason="damaged")
    salus.bad("audit", "verify", tmp_path / "none", reason="storage")


# --- others at work ---


def test_two_processes_on_one_home(salus: Terminal) -> None:
    before = tree(salus.home)
    with HomeLock(salus.home):
        for command in (["network", "status"], ["--as", "alice", "wallet", "show"], ["network", "init", "--nodes", "4"]):
            done = salus(*command, "--json")
            assert done.status == 1
            assert done.json["error"]["reason"] in ("busy", "already-done")
        assert str(os.getpid()) in salus.bad("network", "status", reason="busy")
    assert tree(salus.home) == before
    salus.good("network", "status")


def test_a_configuration_that_is_wrong(salus: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("home = [1]\n")
    monkeypatch.setenv("SALUS_CONFIG", str(config))
    assert str(config) in salus.bad("network", "status", reason="settings")
    config.unlink()
    assert str(config) in salus.bad("network", "status", reason="settings")


# --- sensors ---


def test_sources_that_are_no_sensor(empty: Terminal, tmp_path: Path) -> None:
    record = ("sensor", "record", "--out", tmp_path / "out.json", "--source")
    empty.bad(*record, tmp_path / "none.hea", reason="storage")
    empty.bad(*record, tmp_path / "what.txt", reason="format")
    (tmp_path / "noise.hea").write_bytes(b"\xff\xfenoise")
    empty.bad(*record, tmp_path / "noise.hea", reason="format")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    empty.bad(*record, tmp_path / "other.csv", reason="format")
    assert not (tmp_path / "out.json").exists()


@pytest.fixture
def waveform(shared_data: Path) -> Path:
    return next((shared_data / "waveform").rglob("*.hea"))


def test_a_sensor_recording_can_be_sent(salus: Terminal, waveform: Path, tmp_path: Path) -> None:
    out = tmp_path / "ecg.json"
    data = salus.good("sensor", "record", "--source", waveform, "--seconds", "5", "--out", out)
    assert data["lost"] == data["refused"] == 0
    assert json.loads(out.read_text())["resourceType"] == "Bundle"
    assert "exists" in salus.bad("sensor", "record", "--source", waveform, "--out", out, reason="storage")
    id_ = salus.good(*ASK, out)["id"]
    assert salus.good("--as", DOCTOR, "consultation", "open", id_)["format"] == "fhir"
