"""Attributes of institutions and their suspension."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.language import parse
from salus.consultation.registration import INSTITUTION
from salus.ledger.kinds.parties import PartyRevocation, key_digest
from salus.ledger.kinds.sharing import attributes as at
from salus.ledger.kinds.sharing.messages.attributes import AttributeGrant, SuspensionVote
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from support.ledger_world import GENESIS_MS
from support.sharing_world import CLINIC, DAY_MS, HOSPITAL, SharingChain, SharingWorld


@pytest.fixture
def chain() -> SharingChain:
    return SharingWorld().chain()


def test_a_grant_covers_its_years_and_no_others(chain: SharingChain) -> None:
    world = chain.world
    chain.commit(world.grant(HOSPITAL, ["role:doctor"], 1, (2025, 2026)))
    asked = ["role:doctor@2024", "role:doctor@2025", "role:doctor@2026", "role:doctor@2027", "role:doctor", "role:nurse@2025"]
    assert at.holds(chain.view, HOSPITAL, asked, chain.time_ms) == {"role:doctor@2025", "role:doctor@2026"}
    assert at.holds(chain.view, CLINIC, asked, chain.time_ms) == set()
    chain.commit(world.grant(HOSPITAL, ["cert:icu"], 2, (0, 0)))
    assert at.holds(chain.view, HOSPITAL, ["cert:icu", "cert:icu@2025"], chain.time_ms) == {"cert:icu"}


def test_a_grant_ends_at_its_time_without_any_transaction(chain: SharingChain) -> None:
    chain.commit(chain.world.grant(HOSPITAL, ["role:doctor"], 1, days=10))
    policy = parse("role:doctor@2025")
    ends = GENESIS_MS + 10 * DAY_MS
    assert at.satisfies(chain.view, HOSPITAL, policy, ends - 1)
    assert not at.satisfies(chain.view, HOSPITAL, policy, ends)
    assert [h.expires_ms for h in at.held_attributes(chain.view, HOSPITAL, ends - 1)] == [ends]


def test_a_later_grant_extends_an_earlier_one_and_never_shortens_it(chain: SharingChain) -> None:
    world = chain.world
    chain.commit(world.grant(HOSPITAL, ["role:doctor"], 1, days=10))
    chain.commit(world.grant(HOSPITAL, ["role:doctor"], 2, days=20))
    chain.commit(world.grant(HOSPITAL, ["role:doctor"], 3, days=5))
    (held,) = at.held_attributes(chain.view, HOSPITAL, chain.time_ms)
    assert held.expires_ms == GENESIS_MS + 20 * DAY_MS


def test_what_a_grant_needs(chain: SharingChain) -> None:
    world = chain.world
    good = world.grant(HOSPITAL, ["role:doctor", "dept:icu"], 1)
    strangers = SharingWorld("others")
    cases = [
        (world.grant("hospital-9/board", ["role:doctor"], 1), "unknown-party"),
        (world.grant(HOSPITAL, ["role:doctor@2025"], 1), "bad-attribute"),
        (world.grant(HOSPITAL, ["own:" + "ab" * 32], 1), "bad-attribute"),
        (world.grant(HOSPITAL, ["Role:doctor"], 1), "bad-attribute"),
        (world.grant(HOSPITAL, ["role:doctor"], 1, (2026, 2025)), "bad-attribute"),
        (world.grant(HOSPITAL, ["role:doctor"], 1, (1900, 2100)), "bad-attribute"),
        (world.grant(HOSPITAL, ["role:doctor"], 2), "already-done"),
        (world.grant(HOSPITAL, ["role:doctor"], 1, days=0), "expired"),
        (world.grant(HOSPITAL, ["role:doctor"], 1, days=6 * 366), "too-far-ahead"),
        (replace(good, atoms=("role:doctor", "dept:icu")), "bad-encoding"),
        (replace(good, atoms=("dept:icu",)), "bad-signature"),
        (replace(good, institution=CLINIC), "bad-signature"),
        (strangers.grant(HOSPITAL, ["role:doctor"], 1), "bad-signature"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    assert chain.reason(good) == ""


def test_a_revoked_attribute_is_gone_and_the_old_grant_does_not_bring_it_back(chain: SharingChain) -> None:
    world = chain.world
    first = world.grant(HOSPITAL, ["role:doctor", "dept:icu"], 1)
    chain.commit(first)
    assert chain.reason(world.revoke(HOSPITAL, ["role:nurse"], 2)) == "not-found"
    revocation = world.revoke(HOSPITAL, ["role:doctor"], 2)
    chain.commit(revocation)
    assert at.holds(chain.view, HOSPITAL, ["role:doctor@2025", "dept:icu@2025"], chain.time_ms) == {"dept:icu@2025"}
    assert chain.reason(first) == "already-done"
    chain.commit(world.grant(HOSPITAL, ["role:doctor"], 3))
    assert chain.reason(revocation) == "already-done"
    assert at.holds(chain.view, HOSPITAL, ["role:doctor@2025"], chain.time_ms)


def test_without_the_sequence_anyone_brings_a_revoked_attribute_back(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = chain.world
    first = world.grant(HOSPITAL, ["role:doctor"], 1)
    chain.commit(first, world.revoke(HOSPITAL, ["role:doctor"], 2))
    monkeypatch.setattr(at, "_check_sequence", lambda *_: None)
    chain.commit(first)
    assert at.holds(chain.view, HOSPITAL, ["role:doctor@2025"], chain.time_ms)


def test_a_revoked_institution_holds_nothing(chain: SharingChain) -> None:
    world = chain.world
    chain.commit(world.grant(HOSPITAL, ["role:doctor"], 1))
    member = world.institution(HOSPITAL)
    chain.decide([world.by_centre(PartyRevocation(INSTITUTION, HOSPITAL, key_digest(member.W_bytes), UNSIGNED))])
    assert at.held_attributes(chain.view, HOSPITAL, chain.time_ms) == ()


def test_more_than_a_third_of_the_seats_suspend_and_one_who_takes_its_vote_back_frees(chain: SharingChain) -> None:
    world = chain.world
    chain.commit(world.vote(world.nodes[0], HOSPITAL))
    assert not at.is_suspended(chain.view, HOSPITAL)
    chain.commit(world.vote(world.nodes[1], HOSPITAL))
    assert at.is_suspended(chain.view, HOSPITAL)
    assert not at.is_suspended(chain.view, CLINIC)
    again = world.vote(world.nodes[1], HOSPITAL)
    assert chain.reason(again) == "already-done"
    chain.commit(world.vote(world.nodes[1], HOSPITAL, 0, 2))
    assert not at.is_suspended(chain.view, HOSPITAL)
    # The old vote against it, submitted again by anyone.
    assert chain.reason(again) == "already-done"


def test_who_may_vote(chain: SharingChain) -> None:
    world = chain.world
    node = world.nodes[0]
    good = world.vote(node, HOSPITAL)
    check = world.vote(world.checks[0], HOSPITAL)
    foreign = SuspensionVote(HOSPITAL, node.member.name, 1, 1, UNSIGNED)
    cases = [
        (check, "not-a-member"),
        (world.vote(node, "hospital-9/board"), "unknown-party"),
        (world.vote(node, HOSPITAL, 2), "bad-encoding"),
        (replace(good, institution=CLINIC), "bad-signature"),
        (signed_by_member(world.network, foreign, world.nodes[1].member, world.random), "bad-signature"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected


def test_an_institution_has_at_most_so_many_grants(chain: SharingChain) -> None:
    world = chain.world
    atoms = [f"site:s{i:03}" for i in range(64)]
    for sequence, year in enumerate((2020, 2021, 2022, 2023), start=1):
        chain.commit(world.grant(HOSPITAL, atoms, sequence, (year, year)))
    assert len(at.held_attributes(chain.view, HOSPITAL, chain.time_ms)) == at.GRANTS_MAX
    assert chain.reason(world.grant(HOSPITAL, ["role:doctor"], 5)) == "too-large"
    assert isinstance(world.grant(HOSPITAL, atoms, 5, (2020, 2020)), AttributeGrant)
    assert chain.reason(world.grant(HOSPITAL, atoms, 5, (2020, 2020))) == ""
