"""An institution's wallet from a backup: keys of attributes are issued again, requests found; one-time keys are in no backup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.codec import decode
from salus.errors import Refused
from salus.ledger.kinds.sharing.messages.searches import AnonymousTokenRequest, TokenRequest
from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.recovery import restore
from salus.terminal.sharing.entries import PendingOrder
from salus.terminal.sharing.words import ORDER
from support.embedded import CHEAP, PASSPHRASE, enrolled_patient, found_network
from support.sharing_desks import HOSPITAL, QUARTER, desk, in_days, put
from support.troubled import interposed_desk

DIRECTORY = "institution-st-anne.board"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        expires_ms = network.now_ms() + 300 * 24 * 3600 * 1000
        network.centre.grant_attributes(HOSPITAL, ["role:doctor"], 2024, 2026, expires_ms)
        yield network


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("pulse 71, pressure 118/76\n" * 9000)
    return path


def restored(network: EmbeddedNetwork, actor: Actor, backup: Path, aside: Path) -> Any:
    """The wallet is lost with its device, and restored from a backup."""
    directory = actor.directory
    network.dismiss(actor)
    directory.rename(aside)
    restore(directory, backup, passphrase=PASSPHRASE, cost=CHEAP).wallet.close()
    return network.person(directory.name, PASSPHRASE)


def test_a_restored_institution_goes_on(network: EmbeddedNetwork, note: Path, tmp_path: Path) -> None:
    owner = desk(enrolled_patient(network, "alice", credentials=16))
    open_ = put(owner, note, policy="role:doctor", keywords=("troponin",))
    lent = put(owner, note, category="lab")
    owner.delegating.create("role:doctor", "lab", QUARTER, QUARTER, in_days(owner, 30))
    hospital: Any = network.person(DIRECTORY, PASSPHRASE)
    hospital.request_key()
    own = put(desk(hospital), note, category="note")
    backup = tmp_path / "backup"
    hospital.backup(str(backup))
    by_policy, by_delegation = (
        hospital.share_request([rid.hex()], "treatment")["shares"][0]["id"] for rid in (open_.rid, lent.rid)
    )
    assert hospital.search_records(["troponin"])["readable"] == [open_.rid.hex()]
    again = restored(network, hospital, backup, tmp_path / "lost")
    again.reconcile()
    assert again._wallet.one_time.names() == ()
    assert not (again.directory / "sharing").exists()

    again.resume()
    assert [s["id"] for s in again.share_list()["shares"]] == [by_policy, by_delegation]
    got = again.share_get(by_policy, str(tmp_path / "one"))
    assert Path(got["path"]).read_bytes() == note.read_bytes()
    with pytest.raises(Refused) as refusal:
        again.share_get(by_delegation, str(tmp_path / "two"))
    assert (refusal.value.reason, "ask again" in refusal.value.detail) == ("erased", True)
    fresh = again.share_request([lent.rid.hex()], "treatment")["shares"][0]["id"]
    assert Path(again.share_get(fresh, str(tmp_path / "two"))["path"]).read_bytes() == note.read_bytes()
    assert again.search_records(["troponin"])["readable"] == [open_.rid.hex()]
    assert [r["rid"] for r in again.list_records()["records"]] == [own.rid.hex()]
    assert Path(again.get_record(own.rid.hex(), str(tmp_path / "own"))["path"]).read_bytes() == note.read_bytes()


def test_finding_requests_again_begins_again_after_an_interruption(
    network: EmbeddedNetwork, note: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = desk(enrolled_patient(network, "alice", credentials=16))
    rid = put(owner, note, policy="role:doctor").rid
    hospital: Any = network.person(DIRECTORY, PASSPHRASE)
    backup = tmp_path / "backup"
    hospital.backup(str(backup))
    asked = [hospital.share_request([rid.hex()], "treatment")["shares"][0]["id"] for _ in range(2)]
    again = restored(network, hospital, backup, tmp_path / "lost")
    again.reconcile()
    honest, left = type(again._desk.shelf).put, [2]

    def interrupted(shelf: Any, name: str, message: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        honest(shelf, name, message)

    with monkeypatch.context() as patch:
        patch.setattr(type(again._desk.shelf), "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            again._desk.institution.requests.find()
    network.dismiss(again)
    later: Any = network.person(DIRECTORY, PASSPHRASE)
    assert later._desk.institution.requests.finding
    later.resume()
    assert [s["id"] for s in later.share_list()["shares"]] == asked
    assert not later._desk.institution.requests.finding


def committed(network: EmbeddedNetwork, kind: str) -> int:
    blocks = network.client().follow(0)
    return sum(decode(raw)[0] == kind for verified in blocks for raw in verified.block.transactions)


@pytest.mark.parametrize("who", ["patient", "institution"])
def test_a_paid_order_of_words_is_carried_on(network: EmbeddedNetwork, note: Path, who: str) -> None:
    """Interrupted after the payment: the same order gives the words, and nothing is paid twice; an owner's credential neither."""
    actor: Any = enrolled_patient(network, "alice", credentials=16) if who == "patient" else network.person(DIRECTORY, PASSPHRASE)
    kind = AnonymousTokenRequest.KIND if who == "patient" else TokenRequest.KIND
    owner = desk(actor)
    entry = put(owner, note, keywords=("troponin",))
    paid, unused = committed(network, kind), actor.show()["credentials_unused"]

    def interrupted(_party: str, _body: bytes, _forward: Any) -> bytes:
        raise KeyboardInterrupt

    broken = interposed_desk(actor, {"sharing.evaluate": interrupted})
    with pytest.raises(KeyboardInterrupt):
        broken.own_search.search(["asthma"])
    assert committed(network, kind) == paid + 1
    again = desk(actor)
    assert again.own_search.search(["asthma"]) == []
    assert [e.rid for e in again.own_search.search(["troponin"])] == [entry.rid]
    assert committed(network, kind) == paid + 1
    assert actor.show()["credentials_unused"] == unused - (1 if who == "patient" else 0)
    assert again.shelf.get(ORDER, PendingOrder) is None


def test_an_order_that_never_left_is_carried_on_too(network: EmbeddedNetwork, note: Path) -> None:
    actor: Any = enrolled_patient(network, "alice", credentials=16)
    owner = desk(actor)
    put(owner, note)
    paid, unused = committed(network, AnonymousTokenRequest.KIND), actor.show()["credentials_unused"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner.words, "_carry_out", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            owner.own_search.search(["asthma"])
    assert committed(network, AnonymousTokenRequest.KIND) == paid
    assert desk(actor).own_search.search(["asthma"]) == []
    assert committed(network, AnonymousTokenRequest.KIND) == paid + 1
    assert actor.show()["credentials_unused"] == unused - 1


@pytest.mark.parametrize("after", [False, True])
def test_a_scope_is_opened_for_one_credential_whatever_interrupts(network: EmbeddedNetwork, after: bool) -> None:
    actor: Any = enrolled_patient(network, "alice", credentials=16)
    owner = desk(actor)
    honest = owner.nodes.ledger.submit

    def interrupted(raw: bytes) -> Any:
        if after:
            honest(raw)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner.nodes.ledger, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            owner.scopes.open("lab", QUARTER, network.now_ms())
    again = desk(actor)
    assert again.scopes.open("lab", QUARTER, network.now_ms()).key.attributes
    assert actor.show()["credentials_unused"] == 15
    assert not [path for path in (actor.directory / "sharing").iterdir() if path.name.startswith("opening-")]
