"""Verifying a home from its files: whatever one file is damaged, it is found, named first, and nothing else is blamed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from salus.errors import Refused
from salus.network.embedded import EmbeddedNetwork
from salus.network.home import Home
from salus.network.verifying import HomeFindings, verify_home
from salus.terminal.sharing.owner import Putting
from support.embedded import enrolled_patient, found_network
from support.sharing_desks import QUARTER, desk, in_days, institution_desk, put

NODES, CHECKS = 4, 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed home: records, one large, one erased, one rotated; a delegation that served, and one that was revoked."""
    directory = tmp_path_factory.mktemp("verified")
    home = directory / "home"
    note, large = directory / "note.txt", directory / "large.txt"
    note.write_text("pulse 71, pressure 118/76\n" * 500)
    large.write_text("temperature 36.9, saturation 97\n" * 50_000)
    with found_network(home) as network:
        owner = desk(enrolled_patient(network, "alice", credentials=16))
        hospital = institution_desk(network, "role:doctor")
        entry = put(owner, note)
        put(owner, large)
        rotated, gone = put(owner, note), put(owner, note)
        owner.owner.rotate(rotated.rid)
        owner.owner.erase(gone.rid)
        (delegation,) = owner.delegating.create("role:doctor", "vitals", QUARTER, QUARTER, in_days(owner, 30))
        (asked,) = hospital.institution.request([entry.rid], "treatment")
        hospital.institution.get(asked.share)
        other = owner.owner.put([note], Putting(category="imaging", period=QUARTER, policy="role:doctor"))
        assert other[0].state == "stored"
        (revoked,) = owner.delegating.create("role:doctor", "imaging", QUARTER, QUARTER, in_days(owner, 30))
        owner.delegating.revoke(revoked.delegation)
        assert delegation.delegation != revoked.delegation
        for cloud in network.clouds:
            cloud.follow()
        for check in network.checks.running:
            check.follower.follow()
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Home:
    copied = tmp_path / "home"
    shutil.copytree(made, copied)
    return Home(copied)


def verified(home: Home) -> HomeFindings:
    return verify_home(home, lambda what, done, total: None)


def flip(path: Path, at: int = -40) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def largest(directory: Path) -> Path:
    return max((p for p in directory.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def cut(path: Path, to_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:to_bytes])


def put_in(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def change(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


def test_a_whole_home_verifies(home: Home) -> None:
    told: list[tuple[str, int, int]] = []
    found = verify_home(home, lambda *progress: told.append(progress))
    assert found.problems == []
    assert [party.replayed for party in found.nodes] == [True, False, False, False]
    assert len(found.check_nodes) == CHECKS
    assert len({(party.height, party.application_hash) for party in (*found.nodes, *found.check_nodes)}) == 1
    assert sum(party.verdicts for party in found.check_nodes) == 1
    (cloud,) = found.clouds.values()
    assert (cloud.records, cloud.bodies, cloud.expired) == (4, 4, 0)
    assert cloud.height == found.nodes[0].height
    assert {what.split(" ")[0] for what, _, _ in told} == {"replaying", "reading", "comparing", "hashing"}
    assert all(0 <= done <= total for _, done, total in told)
    assert verified(home) == found  # nothing was changed


Damage = Callable[[Home], None]
_BLOCK = "UPDATE blocks SET record = zeroblob(100) WHERE height = 7"
DAMAGES: dict[str, tuple[str, Damage]] = {
    "a node's signing key": ("node-1", lambda home: flip(home.node(1) / "node.key", 60)),
    "a node's BLS key": ("riverside/node-1", lambda home: flip(home.node(1) / "node.key", -1)),
    "a node's consensus key": ("riverside/node-1", lambda home: flip(home.node(1) / "node.key", -40)),
    "a node's genesis": ("riverside/node-1", lambda home: flip(home.node(1) / "genesis")),
    "a block of the node that is replayed": (
        "st-anne/node-0",
        lambda home: change(home.node(0) / "ledger" / "ledger.sqlite", _BLOCK),
    ),
    "a block of another node": ("northfield/node-2", lambda home: change(home.node(2) / "ledger" / "ledger.sqlite", _BLOCK)),
    "a node's state": (
        "lakeside/node-3",
        lambda home: change(home.node(3) / "ledger" / "ledger.sqlite", "UPDATE pages SET data = zeroblob(100)"),
    ),
    "a truncated ledger": (
        "lakeside/node-3",
        lambda home: cut(home.node(3) / "ledger" / "ledger.sqlite", 50_000),
    ),
    "a node's votes": ("riverside/node-1", lambda home: flip(largest(home.node(1) / "votes"), 60)),
    "a share of alpha": ("riverside/node-1", lambda home: flip(home.node(1) / "sharing" / "shares" / "1.alpha")),
    "a share of z": ("riverside/node-1", lambda home: flip(home.node(1) / "sharing" / "shares" / "1.z", 10)),
    "encryption keys": ("riverside/node-1", lambda home: put_in(home.node(1) / "sharing" / "shares" / "1.keys", b"?")),
    "c of a delegation": ("riverside/node-1", lambda home: flip(largest(home.node(1) / "sharing" / "delegations"), 5)),
    "sealed metadata at a node": ("riverside/node-1", lambda home: flip(largest(home.node(1) / "sharing" / "metadata"), 5)),
    "a check node's key": ("st-anne/check-0", lambda home: flip(home.check(0) / "node.key")),
    "a check node's chain": ("riverside/check-1", lambda home: change(home.check(1) / "ledger" / "ledger.sqlite", _BLOCK)),
    "a body": ("salus/cloud", lambda home: flip(largest(home.cloud / "objects"))),
    "a truncated body": (
        "salus/cloud",
        lambda home: cut(largest(home.cloud / "objects"), -1),
    ),
    "a lost body": ("salus/cloud", lambda home: largest(home.cloud / "objects").unlink()),
    "a record's entry": ("salus/cloud", lambda home: flip(largest(home.cloud / "records"))),
    "a lost entry": ("salus/cloud", lambda home: largest(home.cloud / "records").unlink()),
    "a cloud's key": ("salus/cloud", lambda home: flip(home.cloud / "cloud.key")),
    "a cloud's index": ("salus/cloud", lambda home: put_in(home.cloud / "index.sqlite", b"no database" * 1000)),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_one_damaged_file_is_found_and_its_party_named(home: Home, what: str) -> None:
    party, damage = DAMAGES[what]
    damage(home)
    found = verified(home)
    assert found.problems, what
    assert found.problems[0].startswith(f"{party}: "), found.problems
    assert {problem.split(": ")[0] for problem in found.problems} == {party}
    # The others are verified all the same; if the first node cannot be replayed, the next one is.
    sound = [p for p in (*found.nodes, *found.check_nodes) if not p.problems]
    assert len(sound) == NODES + CHECKS - (0 if party == "salus/cloud" else 1)
    assert sum(p.replayed for p in sound) == 1


def test_two_exchanged_bodies_are_found(home: Home) -> None:
    bodies = sorted((p for p in (home.cloud / "objects").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    first, second = bodies[0].read_bytes(), bodies[-1].read_bytes()
    bodies[0].write_bytes(second)
    bodies[-1].write_bytes(first)
    found = verified(home)
    assert len(found.problems) == 2
    assert all("bad-body" in problem for problem in found.problems)


def test_what_was_erased_must_be_gone(home: Home, tmp_path: Path) -> None:
    """A cloud that keeps what the ledger says it erased."""
    note = tmp_path / "another.txt"
    note.write_text("pulse 71\n" * 200)
    kept: dict[Path, bytes] = {}
    with EmbeddedNetwork.open(home.directory) as network:
        owner = desk(enrolled_patient(network, "bob", credentials=16))
        entry = put(owner, note)
        for cloud in network.clouds:
            cloud.follow()
        for part in ("objects", "records"):
            new = {p: p.read_bytes() for p in (home.cloud / part).rglob("*") if p.is_file()}
            kept |= new
        owner.owner.erase(entry.rid)
        for cloud in network.clouds:
            cloud.follow()
    assert verified(home).problems == []
    back = [path for path in kept if not path.exists()]
    assert len(back) == 2
    for path in back:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kept[path])
    problems = verified(home).problems
    assert len(problems) == 2
    assert all("erased" in problem and "still here" in problem for problem in problems)


def test_a_cloud_that_has_not_followed_yet_is_not_blamed(home: Home, tmp_path: Path) -> None:
    note = tmp_path / "another.txt"
    note.write_text("pulse 71\n" * 200)
    with EmbeddedNetwork.open(home.directory) as network:
        owner = desk(enrolled_patient(network, "bob", credentials=16))
        entry = put(owner, note)
        for cloud in network.clouds:
            cloud.follow()
        before = {p: p.read_bytes() for p in home.cloud.rglob("*") if p.is_file()}
        owner.owner.erase(entry.rid)
    shutil.rmtree(home.cloud)
    for path, data in before.items():  # as it was when the cloud was switched off
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(data)
        path.chmod(0o600)
    found = verified(home)
    assert found.problems == []
    assert found.clouds["salus/cloud"].height < found.nodes[0].height


def test_a_node_that_lags_behind_is_as_right_as_the_others(home: Home) -> None:
    shutil.copytree(home.node(2), home.directory.parent / "older")
    with EmbeddedNetwork.open(home.directory) as network:
        enrolled_patient(network, "carol", credentials=1)
        network.centre.grant_attributes("st-anne/board", ["dept:surgery"], 2024, 2026, network.now_ms() + 10**9)
    shutil.rmtree(home.node(2))
    shutil.copytree(home.directory.parent / "older", home.node(2))
    found = verified(home)
    assert found.problems == []
    assert found.nodes[2].height < found.nodes[0].height


def test_a_home_in_use_is_left_alone(home: Home) -> None:
    with EmbeddedNetwork.open(home.directory), pytest.raises(Refused, match="busy"):
        verified(home)


def test_a_fresh_process_says_the_same(home: Home) -> None:
    command = [sys.executable, "-m", "salus", "--home", str(home.directory), "network", "verify", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["verified"] is True
    assert told["first_problem"] is None
    assert [cloud["records"] for cloud in told["clouds"]] == [4]
    flip(largest(home.cloud / "objects"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["verified"] is False
    assert told["first_problem"].startswith("salus/cloud: record ")
    assert told["first_problem"] in told["error"]["message"]
