"""Claim: whoever sees a scope being opened does not open it in its owner's place.

V and the proof that somebody has its key stand in the envelope for everybody to see. A member that puts them into an envelope of
its own would open the scope with its own credential, and the owner's is refused.
"""

from __future__ import annotations

import pytest

from salus.consultation.envelope import EnvelopeDraft, Topic
from salus.groups.ristretto255 import base_mul
from salus.ledger.genesis import FIRST_EPOCH
from salus.ledger.kinds.sharing import scopes
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.scopes import InstitutionScope, ScopeOpening, own_fields
from support.sharing_world import HOSPITAL, HOUR_MS, SharingChain


@pytest.mark.parametrize("repaired", [True, False])
def test_nobody_opens_it_with_a_credential_of_its_own(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    world = chain.world
    chain.start_epoch()
    if not repaired:
        monkeypatch.setattr(scopes, "_opening_value", lambda nf: (ScopeOpening.KIND,))
    victim = world.scope_key("victim")
    opening = world.open_anonymously(victim, chain.time_ms)
    topic = Topic(
        ScopeOpening.KIND,
        FIRST_EPOCH,
        base_mul(world.thetas[FIRST_EPOCH]).encode(),
        chain.time_ms + HOUR_MS,
        own_fields(victim.V),
    )
    draft = EnvelopeDraft.begin(world.domain, world.credential(chain.time_ms), topic, world.random)
    theft = ScopeOpening(victim.V, opening.possession, draft.sign((opening.possession,), world.random))
    assert chain.reason(theft) == ("bad-signature" if repaired else "")
    if not repaired:
        chain.commit(theft)
    assert chain.reason(opening) == ("" if repaired else "already-done")


@pytest.mark.parametrize("repaired", [True, False])
def test_nor_does_an_institution_under_its_name(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    """It would stand in the state as the owner of a patient's scope."""
    world = chain.world
    chain.start_epoch()
    if not repaired:
        monkeypatch.setattr(scopes, "_opening_value", lambda nf: (ScopeOpening.KIND,))
        monkeypatch.setattr(scopes, "_institution_value", lambda institution: (ScopeOpening.KIND,))
    victim = world.scope_key("victim")
    opening = world.open_anonymously(victim, chain.time_ms)
    draft = InstitutionScope(victim.V, opening.possession, HOSPITAL, UNSIGNED)
    theft = signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random)
    assert chain.reason(theft) == ("bad-signature" if repaired else "")
