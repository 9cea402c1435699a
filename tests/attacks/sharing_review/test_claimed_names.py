"""Claim: what is shown before it is committed cannot be claimed first: ids of delegations, one-time keys of requests.

Whoever saw a delegation or a request on its way (a node, a check node) could commit something of its own under the same id or
with the same Er; the victim was refused and had to begin anew, as often as somebody wanted. Ids are hashed from scope and P
now, and a one-time key is used up for its requester alone.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold.box import BoxKey
from salus.ledger.kinds.sharing import keys, shares
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.messages.keys import KeyAsked
from support.sharing_world import CLINIC, HOSPITAL, SharingChain

DOCTOR = "role:doctor@2025"


@pytest.mark.parametrize("repaired", [True, False])
def test_nobody_claims_the_id_of_a_delegation(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    victim, thief = chain.owner("victim"), chain.owner("thief")
    victims_key, thiefs_key = chain.key(victim), chain.key(thief)
    made = chain.delegation(victim, victims_key)
    wanted = made.sealed.delegation
    with monkeypatch.context() as attack:
        # An honest delegation of the thief's scope, but for the id that everything in it is bound to.
        attack.setattr(dg, "delegation_id", lambda network, scope, P: wanted)
        theft = chain.delegation(thief, thiefs_key)
    assert theft.sealed.delegation == wanted
    if repaired:
        assert chain.reason(theft) == "bad-delegation"
        chain.commit(made)
        return
    monkeypatch.setattr(dg, "delegation_id", lambda network, scope, P: wanted)
    chain.commit(theft)
    assert chain.reason(made) == "duplicate-delegation"


def by_anyone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the repair a one-time key was used up for everybody."""
    for module in (keys, shares):
        monkeypatch.setattr(module, "box_key_of", lambda requester, Er: Er)


@pytest.mark.parametrize("repaired", [True, False])
def test_nobody_uses_up_the_one_time_key_of_a_share(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    if not repaired:
        by_anyone(monkeypatch)
    rid, box = chain.put(chain.owner()), BoxKey.generate(chain.world.random)
    asked, _ = chain.share_request(HOSPITAL, {rid: None}, box=box)
    theft, _ = chain.share_request(CLINIC, {rid: None}, box=box)  # Er is all that the thief needs, and er is not shown
    chain.commit(theft)
    assert chain.reason(asked) == ("" if repaired else "used-key")


@pytest.mark.parametrize("repaired", [True, False])
def test_nor_that_of_a_request_for_a_key(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    if not repaired:
        by_anyone(monkeypatch)
    world = chain.world
    asked, _ = chain.ask_key(world.institution(HOSPITAL), DOCTOR)
    thief = chain.owner("thief")
    core = replace(asked.core, requester=thief.attribute, attributes=(thief.attribute,))
    chain.commit(signed_by_scope(KeyAsked(core, UNSIGNED), thief, world.random))
    assert chain.reason(asked) == ("" if repaired else "used-key")
