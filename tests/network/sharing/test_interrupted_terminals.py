"""Interrupted puts, delegations, requests, searches and gets: nothing is lost, nothing is half-done, going on is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.errors import Refused, TransportError
from salus.network.actors import PatientActor
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.recovery import restore
from salus.terminal.sharing.desk import SharingDesk
from support.embedded import CHEAP, PASSPHRASE, enrolled_patient, found_network, opened_patient
from support.sharing_desks import QUARTER, desk, in_days, institution_desk, put


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


@pytest.fixture
def alice(network: EmbeddedNetwork) -> PatientActor:
    return enrolled_patient(network, "alice", credentials=16)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("pulse 71, pressure 118/76\n" * 9000)
    return path


def interrupt(target: Any, name: str, patch: pytest.MonkeyPatch, *, after: bool = False, skip: int = 0) -> None:
    """Ctrl-C instead of a call, or right after it, once ``skip`` calls have passed."""
    carried_on: Callable[..., Any] = getattr(target, name)
    left = [skip]

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            return carried_on(*arguments, **named)
        if after:
            carried_on(*arguments, **named)
        raise KeyboardInterrupt

    patch.setattr(target, name, interrupted)


@pytest.mark.parametrize("after", [False, True])
def test_a_put_goes_on_with_the_same_bytes(alice: PatientActor, note: Path, after: bool) -> None:
    owner = desk(alice)
    put(owner, note)
    with pytest.MonkeyPatch.context() as patch:
        interrupt(owner.nodes, "submit_raw", patch, after=after)
        with pytest.raises(KeyboardInterrupt):
            put(owner, note)
    again = desk(alice)
    sent = [e for e in again.owner.records() if e.state == "sent"]
    assert len(sent) == 1
    assert [e.rid for e in again.owner.resume()] == [sent[0].rid]
    assert [e.state for e in again.owner.records()] == ["stored", "stored"]
    assert again.owner.reading.write(again.owner.open(sent[0].rid)).read_bytes() == note.read_bytes()
    assert not list((alice.directory / "outgoing").glob("record-*"))


@pytest.mark.parametrize("where", ["upload", "keep"])
def test_an_interrupted_upload_leaves_nothing(alice: PatientActor, note: Path, where: str) -> None:
    owner = desk(alice)
    with pytest.MonkeyPatch.context() as patch:
        interrupt(owner.bodies, where, patch)
        with pytest.raises(KeyboardInterrupt):
            put(owner, note)
    again = desk(alice)
    assert (again.owner.records(), again.owner.resume()) == ([], [])
    assert not list((alice.directory / "staging").iterdir())
    assert put(again, note).state == "stored"


def test_a_put_that_is_refused_is_forgotten(alice: PatientActor, note: Path) -> None:
    owner = desk(alice)
    older = put(owner, note)
    put(owner, note, supersedes=older.rid)
    owner.shelf.put(f"record-{older.rid.hex()}", older)  # this terminal does not know that it was superseded
    with pytest.raises(Refused) as refusal:
        put(owner, note, supersedes=older.rid)
    assert refusal.value.reason == "record-superseded"
    assert len(owner.owner.records()) == 2
    assert not list((alice.directory / "outgoing").glob("record-*"))


@pytest.mark.parametrize("after", [False, True])
def test_a_delegation_goes_on_with_the_same_bytes(alice: PatientActor, note: Path, after: bool) -> None:
    owner = desk(alice)
    put(owner, note)
    with pytest.MonkeyPatch.context() as patch:
        interrupt(owner.nodes, "submit_raw", patch, after=after)
        with pytest.raises(KeyboardInterrupt):
            owner.delegating.create("role:doctor", "vitals", QUARTER, QUARTER, in_days(owner, 5))
    again = desk(alice)
    (done,) = again.delegating.resume()
    assert again.delegating.find(done.delegation) is not None
    assert [e.state for e in again.delegating.delegations()] == ["stored"]


def test_an_interrupted_key_request_is_finished(network: EmbeddedNetwork) -> None:
    hospital = institution_desk(network, "role:doctor")
    with pytest.MonkeyPatch.context() as patch:
        interrupt(hospital.keys, "_collect", patch)
        with pytest.raises(KeyboardInterrupt):
            hospital.institution.request_key()
    kept = [n for n in hospital._wallet.one_time.names() if n.startswith("key-request-")]
    assert len(kept) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hospital.nodes, "submit", lambda _message: pytest.fail("a second request"))
        assert "role:doctor@2025" in hospital.institution.request_key().attributes
    assert not [n for n in hospital._wallet.one_time.names() if n.startswith("key-request-")]


def test_an_interrupted_request_and_get_can_be_repeated(network: EmbeddedNetwork, alice: PatientActor, note: Path) -> None:
    owner, hospital = desk(alice), institution_desk(network, "role:doctor")
    entry = put(owner, note, policy="role:doctor")
    with pytest.MonkeyPatch.context() as patch:
        interrupt(hospital.nodes, "submit", patch, after=True)
        with pytest.raises(KeyboardInterrupt):
            hospital.institution.request([entry.rid], "treatment")
    (asked,) = hospital.institution.shares()
    assert hospital.institution.decided(asked.share).status == "granted"
    with pytest.MonkeyPatch.context() as patch:
        interrupt(hospital.bodies, "fetch", patch)
        with pytest.raises(KeyboardInterrupt):
            hospital.institution.get(asked.share)
    received = hospital._wallet.directory / "received"
    assert not received.exists() or not list(received.iterdir())
    assert hospital.institution.get(asked.share).path.read_bytes() == note.read_bytes()


def test_a_cloud_that_breaks_off_leaves_no_file(alice: PatientActor, note: Path) -> None:
    owner = desk(alice)
    opened = owner.owner.open(put(owner, note).rid)
    calls = owner.bodies._transport.call

    def broken(party: str, method: str, body: bytes) -> bytes:
        if method == "cloud.record-range":
            raise TransportError("the line is cut")
        return calls(party, method, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner.bodies._transport, "call", broken)
        with pytest.raises(TransportError):
            owner.owner.reading.write(opened)
    assert not list((alice.directory / "received").iterdir())
    assert owner.owner.reading.write(opened).read_bytes() == note.read_bytes()


def test_an_interrupted_search_keeps_the_words_it_paid_for(network: EmbeddedNetwork, alice: PatientActor, note: Path) -> None:
    owner, hospital = desk(alice), institution_desk(network, "role:doctor")
    entry = put(owner, note, policy="role:doctor", keywords=("troponin",))
    hospital.institution.request_key()
    with pytest.MonkeyPatch.context() as patch:
        interrupt(hospital.searching, "follow", patch)
        with pytest.raises(KeyboardInterrupt):
            hospital.searching.search(["troponin"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hospital.words, "_order", lambda *_: pytest.fail("the words are ordered again"))
        assert hospital.searching.search(["troponin"]).readable == (entry.rid,)


def test_a_restored_owner_finds_everything_again(
    network: EmbeddedNetwork, alice: PatientActor, note: Path, tmp_path: Path
) -> None:
    owner = desk(alice)
    first = put(owner, note, policy="role:doctor", keywords=("troponin",))
    alice.backup(str(tmp_path / "backup"))
    second = put(owner, note, category="lab")
    (made,) = owner.delegating.create("role:doctor", "lab", QUARTER, QUARTER, in_days(owner, 5))
    directory = alice.directory
    network.dismiss(alice)
    directory.rename(tmp_path / "lost")
    restore(directory, tmp_path / "backup", passphrase=PASSPHRASE, cost=CHEAP).wallet.close()

    restored = opened_patient(network, "alice")
    used = restored.reconcile()["credentials_used_since"]
    assert used >= 2  # the first use of the second scope, and the order of its words
    restored.resume()
    found = desk(restored)
    assert {(e.rid, e.file_name, e.category) for e in found.owner.records()} == {
        (first.rid, "note.txt", "vitals"), (second.rid, "note.txt", "lab"),
    }  # fmt: skip
    assert [e.delegation for e in found.delegating.delegations()] == [made.delegation]
    assert found.owner.reading.write(found.owner.open(second.rid)).read_bytes() == note.read_bytes()
    assert [e.rid for e in found.own_search.search(["troponin"])] == [first.rid]
    assert put(found, note).state == "stored"


def test_no_file_of_the_terminal_shows_what_it_keeps(alice: PatientActor, note: Path) -> None:
    owner: SharingDesk = desk(alice)
    entry = put(owner, note, keywords=("troponin",))
    for path in (alice.directory / "sharing").iterdir():
        data = path.name.encode() + path.read_bytes()
        for secret in (b"troponin", b"note.txt", entry.rid, entry.rid.hex().encode(), b"vitals"):
            assert secret not in data
