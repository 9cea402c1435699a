"""What a ledger tells its listeners of shares: every act by its name and subject, an emergency at once and before any verdict.

The nodes' duties, the value nodes' turns and whoever alerts an owner hang on these events, not on the state.
"""

from __future__ import annotations

import pytest

from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from support.sharing_world import CLINIC, HOSPITAL, SharingChain

Told = list[tuple[str, bytes]]


@pytest.fixture
def told(granted: SharingChain) -> Told:
    """Events about shares since the beginning of the test."""
    events: Told = []
    granted.application.listen(
        lambda committed: events.extend((e.name, e.subject) for e in committed.events if e.name.startswith("share."))
    )
    return events


def test_each_act_is_told(granted: SharingChain, told: Told) -> None:
    chain, owner = granted, granted.owner()
    delegation = chain.delegate(owner, chain.key(owner))
    rid = chain.put(owner)
    request, _ = chain.ask(HOSPITAL, {rid: delegation})
    share = ss.share_id(chain.world.network, request, 0)
    assert told == [("share.asked", request)]
    chain.commit(chain.verdict(request))
    assert told[1:] == [("share.approved", share)]
    chain.commit(chain.grant_of(share, chain.partials(share)))
    assert told[2:] == [("share.granted", share)]
    # without a delegation it waits for the owner, who refuses
    request, _ = chain.ask(CLINIC, {rid: None})
    chain.commit(chain.verdict(request))
    share = ss.share_id(chain.world.network, request, 0)
    assert told[3:] == [("share.asked", request), ("share.waiting", share)]
    chain.commit(signed_by_scope(ms.ShareRefusal(share, UNSIGNED), owner, chain.world.random))
    assert told[5:] == [("share.denied", share)]


def test_an_emergency_is_told_with_its_request(granted: SharingChain, told: Told) -> None:
    """Its owner is to see it at once: in the block of the request, whatever becomes of it; no plain request looks like one."""
    chain, owner = granted, granted.owner()
    rid, other = chain.put(owner), chain.put(owner)
    through = chain.delegate(owner, chain.key(owner), policy="role:emergency@2025")
    request, _ = chain.ask(CLINIC, {rid: through, other: through}, emergency="found unconscious", owner=owner)
    shares = [ss.share_id(chain.world.network, request, place) for place in range(2)]
    assert told == [("share.emergency", shares[0]), ("share.emergency", shares[1]), ("share.asked", request)]
    chain.commit(chain.verdict(request))
    assert told[3:] == [("share.approved", share) for share in shares]
    chain.judged(HOSPITAL, {rid: None})
    assert [name for name, _ in told].count("share.emergency") == 2
