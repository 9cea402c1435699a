"""Owners and institutions at their terminals, over the embedded network: put, ask, open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.errors import Refused
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.audit.exporting import Auditing
from salus.terminal.sharing.desk import SharingDesk
from salus.terminal.sharing.owner import Putting
from support.embedded import enrolled_patient, found_network
from support.sharing_desks import HOSPITAL, QUARTER, desk, in_days, institution_desk, put


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


@pytest.fixture
def owner(network: EmbeddedNetwork) -> SharingDesk:
    return desk(enrolled_patient(network, "alice", credentials=16))


@pytest.fixture
def hospital(network: EmbeddedNetwork) -> SharingDesk:
    return institution_desk(network, "role:doctor", "dept:cardiology")


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("pulse 71, pressure 118/76\n" * 9000)
    return path


def test_a_record_under_a_policy_reaches_who_satisfies_it(owner: SharingDesk, hospital: SharingDesk, note: Path) -> None:
    wanted = Putting(policy="role:doctor and dept:cardiology", category="vitals", period=QUARTER, keywords=("pulse",))
    (entry,) = owner.owner.put([note], wanted)
    assert entry.state == "stored"
    assert entry.policy == "role:doctor@2025 and dept:cardiology@2025"
    opened = owner.owner.open(entry.rid)
    assert owner.owner.reading.write(opened).read_bytes() == note.read_bytes()
    (asked,) = hospital.institution.request([entry.rid], "treatment")
    received = hospital.institution.get(asked.share)
    assert received.share.via == "policy"
    assert received.path.read_bytes() == note.read_bytes()


def test_a_delegation_serves_until_it_is_revoked(owner: SharingDesk, hospital: SharingDesk, note: Path) -> None:
    entry = put(owner, note)
    (made,) = owner.delegating.create("role:doctor", "vitals", QUARTER, QUARTER, in_days(owner, 30))
    assert made.policy == "role:doctor@2025"
    (asked,) = hospital.institution.request([entry.rid], "treatment")
    received = hospital.institution.get(asked.share)
    assert received.share.via == "delegation"
    assert len(received.transformed_by) == 3
    assert received.path.read_bytes() == note.read_bytes()

    revoked = owner.delegating.revoke(made.delegation)
    assert len(revoked.deleted_by) >= 3
    (again,) = hospital.institution.request([entry.rid], "treatment")
    assert hospital.institution.decided(again.share).status == "waiting"
    with pytest.raises(Refused) as refusal:
        hospital.institution.get(again.share)
    assert refusal.value.reason == "not-granted"


def test_an_owner_consents_or_refuses(owner: SharingDesk, hospital: SharingDesk, note: Path) -> None:
    entry = put(owner, note)
    for consent in (False, True):
        (asked,) = hospital.institution.request([entry.rid], "treatment")
        assert hospital.institution.decided(asked.share).status == "waiting"
        (waiting,) = [one for one in owner.inbox.asked() if one.share.status == "waiting"]
        assert (waiting.id, waiting.share.institution) == (asked.share, HOSPITAL)
        if consent:
            made = owner.inbox.grant(waiting.id).made
            assert made is not None
            assert made.policy == "dept:cardiology@2025 and role:doctor@2025"
            assert hospital.institution.get(asked.share).path.read_bytes() == note.read_bytes()
        else:
            owner.inbox.refuse(waiting.id)
            assert hospital.institution.decided(asked.share).reason == "refused-by-owner"
    (log,) = Auditing(owner.nodes, owner.scopes).verified().scopes
    assert [e.act for e in log.entries] == [
        "put",
        "asked",
        "waiting",
        "refused",
        "asked",
        "waiting",
        "delegated",
        "consented",
        "granted",
    ]


def test_an_emergency_reader_gets_in_and_the_owner_sees_why(
    network: EmbeddedNetwork, owner: SharingDesk, hospital: SharingDesk, note: Path
) -> None:
    network.centre.grant_attributes(HOSPITAL, ["role:emergency"], 2024, 2026, network.now_ms() + 10**9)
    entry = put(owner, note)
    owner.delegating.create("role:emergency", "vitals", QUARTER, QUARTER, in_days(owner, 30))
    (plain,) = hospital.institution.request([entry.rid], "treatment")
    assert hospital.institution.decided(plain.share).status == "waiting"
    (asked,) = hospital.institution.request([entry.rid], "emergency", emergency="found unconscious in the street")
    received = hospital.institution.get(asked.share)
    assert received.share.via == "emergency"
    assert [one.reason for one in owner.inbox.asked() if one.share.emergency] == ["found unconscious in the street"]


def test_searches_find_what_may_be_opened_and_what_is_discoverable(owner: SharingDesk, hospital: SharingDesk, note: Path) -> None:
    open_ = put(owner, note, policy="role:doctor", keywords=("atrial fibrillation",))
    shut = put(owner, note, category="lab", keywords=("atrial fibrillation",))
    shown = put(owner, note, category="lab", keywords=("atrial", "troponin"), discoverable=True)
    assert [e.rid for e in owner.own_search.search(["fibrillation"], "lab")] == [shut.rid]
    hospital.institution.request_key()
    found = hospital.searching.search(["fibrillation", "ATRIAL"])
    assert (found.readable, found.discoverable, found.scopes) == ((open_.rid,), (), 1)
    found = hospital.searching.search(["atrial"])
    assert (found.readable, found.discoverable) == ((open_.rid,), (shown.rid,))
    assert hospital.searching.search(["atrial"], "imaging").readable == ()
    owner.delegating.create("dept:cardiology", "lab", QUARTER, QUARTER, in_days(owner, 1))
    assert set(hospital.searching.search(["atrial"]).readable) == {open_.rid, shut.rid, shown.rid}


def test_re_policy_rotate_supersede_erase(owner: SharingDesk, hospital: SharingDesk, note: Path, tmp_path: Path) -> None:
    entry = put(owner, note, policy="role:doctor")
    institution = hospital.institution
    owner.owner.repolicy(entry.rid, "role:nurse")
    (asked,) = institution.request([entry.rid], "treatment")
    assert institution.decided(asked.share).status == "waiting"
    assert owner.owner.repolicy(entry.rid, "role:doctor and dept:cardiology").policy.startswith("role:doctor@2025 and")
    before = owner.owner.open(entry.rid)
    owner.owner.rotate(entry.rid)
    after = owner.owner.open(entry.rid)
    assert before.key != after.key
    assert before.metadata.digest != after.metadata.digest
    assert owner.owner.reading.write(after).read_bytes() == note.read_bytes()
    (asked,) = institution.request([entry.rid], "treatment")
    assert institution.get(asked.share).path.read_bytes() == note.read_bytes()

    corrected = tmp_path / "corrected.txt"
    corrected.write_text("pulse 72")
    newer = put(owner, corrected, supersedes=entry.rid)
    assert (newer.version, owner.owner.entry(entry.rid).state) == (2, "superseded")
    owner.owner.erase(newer.rid)
    with pytest.raises(Refused) as refusal:
        owner.owner.open(newer.rid)
    assert refusal.value.reason == "record-erased"
    assert list((tmp_path / "home" / "patient-alice" / "staging").iterdir()) == []


def test_a_range_comes_alone(owner: SharingDesk, note: Path, tmp_path: Path) -> None:
    opened = owner.owner.open(put(owner, note).rid)
    part = owner.owner.reading.write_range(opened, 70_000, 70_100, tmp_path / "part")
    assert part.read_bytes() == note.read_bytes()[70_000:70_100]


def test_an_institution_owns_records_too(network: EmbeddedNetwork, hospital: SharingDesk, note: Path) -> None:
    lakeside = institution_desk(network, name="lakeside/board")
    entry = put(lakeside, note, policy="role:doctor")
    (asked,) = hospital.institution.request([entry.rid], "treatment")
    assert hospital.institution.get(asked.share).path.read_bytes() == note.read_bytes()
