"""Sharing over a transport that loses, repeats, delays and reorders calls: every record is put once, and reaches its readers."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from salus.errors import Refused, TransportError
from salus.network.actors import Actor, InstitutionActor, PatientActor
from salus.network.embedded import EmbeddedNetwork
from salus.network.local import FaultyTransport
from support.embedded import PASSPHRASE, enrolled_patient, found_network
from support.sharing_desks import QUARTER

TRIES = 80
T = TypeVar("T")


def patiently(command: Callable[..., T], *arguments: object, **named: object) -> T:
    """A person who tries again when a command says that no answer came, or too few."""
    for _ in range(TRIES):
        try:
            return command(*arguments, **named)
        except TransportError:
            continue
        except Refused as refused:
            if refused.reason not in ("no-quorum", "quota"):  # the others' answers, or the centre's, got lost
                raise
    raise AssertionError(f"{TRIES} tries were not enough")


def put(owner: PatientActor, record: Path, policy: str) -> str:
    """Put once; after a lost answer the terminal finds out what became of it before anything is sent again."""

    def attempt() -> str:
        owner.resume()
        known = {r["file_name"]: r for r in owner.list_records()["records"]}.get(record.name)
        if known is None:
            known = owner.put_records([str(record)], policy, "vitals", QUARTER, ["pulse"])["records"][0]
        assert known["state"] == "stored"
        return str(known["rid"])

    return patiently(attempt)


def received(reader: InstitutionActor, rid: str, via: str) -> Path:
    """Ask once for as long as no answer is known, and open what is granted."""

    def asked() -> str:
        reader.resume()
        granted = [s["id"] for s in reader.share_list()["shares"] if s["rid"] == rid and s["status"] == "granted"]
        return granted[0] if granted else str(reader.share_request([rid], "treatment")["shares"][0]["id"])

    got: dict[str, Any] = patiently(reader.share_get, id=patiently(asked))
    assert got["via"] == via
    return Path(got["path"])


def faulty_reader(network: EmbeddedNetwork, faulty: FaultyTransport, name: str, *attributes: str) -> InstitutionActor:
    network.centre.grant_attributes(name, attributes, 2024, 2026, network.now_ms() + 10**9)
    honest, network.transport = network.transport, faulty
    try:
        actor: Actor = network.person(f"institution-{name.replace('/', '.')}", PASSPHRASE)
    finally:
        network.transport = honest
    assert isinstance(actor, InstitutionActor)
    return actor


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_records_are_put_once_found_and_read(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with found_network(tmp_path / "home") as network:
        faulty = FaultyTransport(network.transport, chance.random, loss=0.05, repeat=0.1, delay=0.04)
        owner = enrolled_patient(network, "alice", credentials=24)
        owner._around.transport = faulty
        owner._around.ledger = network.client(faulty)
        by_policy = faulty_reader(network, faulty, "st-anne/board", "role:doctor", "dept:cardiology")
        by_delegation = faulty_reader(network, faulty, "riverside/board", "role:doctor")
        record = tmp_path / "record.txt"
        record.write_text("pulse 71\n" * 100)

        rid = put(owner, record, "role:doctor and dept:cardiology")
        assert [r["rid"] for r in owner.list_records()["records"]] == [rid]
        assert received(by_policy, rid, "policy").read_bytes() == record.read_bytes()
        found = patiently(by_policy.search_records, ["pulse"])
        assert found["readable"] == [rid]

        terms = {"to": "role:doctor", "category": "vitals", "first": QUARTER, "last": QUARTER}
        expires_ms = network.now_ms() + 10**9
        made = patiently(owner.create_delegations, **terms, expires_ms=expires_ms)["delegations"][0]["id"]
        assert received(by_delegation, rid, "delegation").read_bytes() == record.read_bytes()
        revoked = patiently(owner.revoke_delegation, made)
        assert revoked["receipt_verified"] is True

        grants = [e["reader"] for e in patiently(owner.access_log)["entries"] if e["act"] == "granted"]
        assert sorted(set(grants)) == ["riverside/board", "st-anne/board"]
        assert all(count > 0 for count in faulty.counts.values()), faulty.counts
        network.settle()
        assert len({node.application.info().application_hash for node in network.nodes}) == 1
