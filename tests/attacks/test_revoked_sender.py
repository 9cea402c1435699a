"""Claim: a revoked patient's credentials are refused from the next block on, in every quarter still accepted."""

from __future__ import annotations

import pytest

from salus.consultation import envelope
from salus.consultation.credentials import pid_digest
from salus.consultation.rehearsal.chain import Chain
from support.consultation_world import Forgery, World, make_world, weaken


@pytest.fixture
def world():
    return make_world("revoked")


def revoke(world: World, patient: str, quarters=None) -> None:
    """The centre lists hp_i of every accepted quarter, issued or not."""
    for quarter in world.chain.quarters if quarters is None else quarters:
        world.chain.revoked.update(world.r.centre.pids.digests(patient, quarter))


def test_every_credential_of_both_quarters_is_refused(world: World):
    credentials = [world.credential("mallory", quarter) for quarter in world.chain.quarters for _ in range(3)]
    requests = [world.request("mallory", credential=c) for c in credentials]
    assert [world.at_node(t) for t in requests] == [None] * 6
    revoke(world, "mallory")
    assert [world.at_node(t) for t in requests] == ["revoked"] * 6
    assert world.at_node(world.request("alice")) is None, "others go on"


def test_a_credential_issued_after_the_listing_is_refused_too(world: World):
    """All 64 indexes are listed, not only those issued so far."""
    revoke(world, "mallory")
    assert world.at_node(world.request("mallory", credential=world.credential("mallory"))) == "revoked"


def test_listing_the_running_quarter_alone_leaves_the_one_in_grace(world: World):
    """The repair out: only the running quarter listed."""
    old = world.credential("mallory", world.chain.quarters[0])
    revoke(world, "mallory", [world.chain.quarters[1]])
    assert world.at_node(world.request("mallory", credential=old)) is None
    revoke(world, "mallory")
    assert world.at_node(world.request("mallory", credential=old)) == "revoked"


def test_a_revoked_sender_cannot_hide_behind_another_hp(world: World, monkeypatch):
    """hp is in alpha, cm, B and c; an hp that is not listed is not the credential's."""
    credential = world.credential("mallory")
    revoke(world, "mallory")
    for hp in (pid_digest(b"nobody"), world.credential("victim").hp):
        forged = Forgery.with_credential(world, credential, hp=hp).build()
        assert world.at_node(forged) == "bad-proof"
    right = envelope.alpha
    own = right("patient", credential.hp, credential.quarter, credential.P, credential.Q, world.domain.Pub_bytes)
    weaken(monkeypatch, right, lambda role, *fields: own if role == "patient" else right(role, *fields))
    assert world.at_node(Forgery.with_credential(world, credential, hp=pid_digest(b"nobody")).build()) is None


def test_a_revoked_sender_cannot_use_another_quarter(world: World):
    credential = world.credential("mallory")
    revoke(world, "mallory", [credential.quarter])
    moved = Forgery.with_credential(world, credential)
    moved.quarter = world.chain.quarters[0]
    assert world.at_node(moved.build()) == "bad-proof"


def test_without_the_check_the_revoked_goes_on(world: World, monkeypatch):
    sent = world.request("mallory")
    revoke(world, "mallory")
    assert world.at_node(sent) == "revoked"
    monkeypatch.setattr(Chain, "check_sender", lambda self, sender: None)
    assert world.at_node(sent) is None


def test_revocation_says_nothing_about_other_patients(world: World):
    """The listed digests are those of one identity; nobody else's is among them."""
    revoke(world, "mallory")
    assert len(world.chain.revoked) == 128
    for patient in ("alice", "bob", "victim"):
        for quarter in world.chain.quarters:
            assert not world.chain.revoked & set(world.r.centre.pids.digests(patient, quarter))
