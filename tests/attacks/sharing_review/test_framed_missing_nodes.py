"""Claim: a node that refuses a key to whoever has no right to it any more is not convicted of silence.

A requester knows when its rights end: its grants name the time, and an epoch's grace does too. A demand in the last block before
leaves every node the choice between issuing without a right and being marked missing.
"""

from __future__ import annotations

import pytest

from salus.abpre.threshold import key_issuing as ki
from salus.consultation.registration import NODE
from salus.errors import Refused
from salus.ledger.kinds.misbehaviour import CONVICTIONS, conviction_key
from salus.ledger.kinds.parties import PartyRevocation, key_digest
from salus.ledger.kinds.sharing import keys
from salus.ledger.kinds.sharing.messages.common import UNSIGNED
from salus.ledger.kinds.sharing.messages.keys import KeyMissing
from support.sharing_world import FAST, HOSPITAL, SharingChain

DOCTOR = "role:doctor@2025"


def demanded(chain: SharingChain) -> tuple[bytes, str]:
    """A demand to a node, committed: digest of the request, name of the node."""
    asked, box = chain.ask_key(chain.world.institution(HOSPITAL), DOCTOR)
    chain.commit(asked)
    node = chain.committee().seats[0].name
    chain.commit(ki.demand_partial(chain.world.network, asked.core, node, box, chain.world.random))
    return asked.core.digest(chain.world.network), node


@pytest.mark.parametrize("repaired", [True, False])
@pytest.mark.parametrize("regranted", [False, True])
def test_a_right_that_ends_after_the_demand_convicts_nobody(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool, regranted: bool
) -> None:
    world = chain.world
    digest, node = demanded(chain)
    chain.commit(world.revoke(HOSPITAL, ["role:doctor"], 2))  # or it ends by itself
    with pytest.raises(Refused, match="no-attribute"):  # what the honest node finds
        keys.issuable(chain.view, digest, chain.time_ms)
    chain.later(FAST.demand_ms)
    if regranted:  # the centre helps
        chain.commit(world.grant(HOSPITAL, ["role:doctor"], 3))
        assert keys.issuable(chain.view, digest, chain.time_ms)
    if not repaired:
        monkeypatch.setattr(keys, "_check_demandable", lambda *_: None)
    assert chain.reason(KeyMissing(digest, node)) == ("no-attribute" if repaired else "")
    if not repaired:
        chain.commit(KeyMissing(digest, node))
        assert CONVICTIONS.get(chain.view, conviction_key(node, keys.MISSING, digest)) is not None


@pytest.mark.parametrize("repaired", [True, False])
def test_a_request_that_closes_after_the_demand_convicts_nobody(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    asked, box = chain.ask_key(chain.world.institution(HOSPITAL), DOCTOR)
    chain.commit(asked)
    chain.later(FAST.request_ms - 2000)
    node, digest = chain.committee().seats[0].name, asked.core.digest(chain.world.network)
    chain.commit(ki.demand_partial(chain.world.network, asked.core, node, box, chain.world.random))
    chain.later(FAST.demand_ms)
    if not repaired:
        monkeypatch.setattr(keys, "_check_demandable", lambda *_: None)
    assert chain.reason(KeyMissing(digest, node)) == ("expired" if repaired else "")


@pytest.mark.parametrize("repaired", [True, False])
@pytest.mark.parametrize("demanded_first", [True, False])
def test_a_node_that_was_retired_is_not_convicted_of_silence(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, demanded_first: bool, repaired: bool
) -> None:
    """It is switched off; whoever wants to can still demand a key from its seat until the next committee serves."""
    world = chain.world
    if not repaired:
        monkeypatch.setattr(keys, "_check_counted", lambda *_: None)
    asked, box = chain.ask_key(world.institution(HOSPITAL), DOCTOR)
    chain.commit(asked)
    node, digest = world.nodes[0].member, asked.core.digest(world.network)
    demand = ki.demand_partial(world.network, asked.core, node.name, box, world.random)
    if demanded_first:
        chain.commit(demand)
    chain.decide([world.by_centre(PartyRevocation(NODE, node.name, key_digest(node.W_bytes), UNSIGNED))])
    if not demanded_first:
        assert chain.reason(demand) == ("revoked" if repaired else "")
        if repaired:
            return
        chain.commit(demand)
    chain.later(FAST.demand_ms)
    assert chain.reason(KeyMissing(digest, node.name)) == ("revoked" if repaired else "")


def test_a_silent_node_is_convicted_still(chain: SharingChain) -> None:
    digest, node = demanded(chain)
    chain.later(FAST.demand_ms)
    chain.commit(KeyMissing(digest, node))
    assert CONVICTIONS.get(chain.view, conviction_key(node, keys.MISSING, digest)) is not None
