"""Keys, records, delegations and shares over the embedded network: every role does its part on the chain."""

from __future__ import annotations

import pytest

from salus.abpre.keys import check_key
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.committee_state import status
from salus.ledger.kinds.sharing.share_state import SHARE_REQUESTS
from salus.network.embedded import EmbeddedNetwork
from support.sharing_network import Sharing, wait

READER = "st-anne/board"


def test_the_committee_comes_up_at_founding(network: EmbeddedNetwork) -> None:
    for node in network.nodes:
        assert status(node.application.view()).current == 1
        assert node.sharing.around.shares.holds(1) == ("keys", "alpha", "z", "oprf")
        assert m.SharingStatus.decode(network.local.call(node.name, m.STATUS, m.SharingStatusRequest().encode())).epoch == 1


def test_a_key_is_issued_for_what_the_centre_granted_and_for_nothing_else(world: Sharing) -> None:
    reader = world.institution(READER)
    with pytest.raises(Refused) as refusal:
        world.ask_key(reader, "role:doctor@2025")
    assert refusal.value.reason == "no-attribute"
    world.grant(READER, "role:doctor")
    key = world.key(reader, "role:doctor@2025")
    check_key(world.parameters, key)


def test_a_delegation_serves_until_it_is_revoked(world: Sharing) -> None:
    world.grant(READER, "role:doctor")
    reader = world.institution(READER)
    key = world.key(reader, "role:doctor@2025")
    owner = world.owner()
    own_key = world.key(owner)
    rid, later = world.put(owner, k=b"1" * 32), world.put(owner, k=b"2" * 32)
    delegation = world.delegate(owner, own_key)
    (share,), box = world.request(reader, [(rid, delegation)])
    granted = world.granted(share)
    asked = SHARE_REQUESTS.need(world.view, granted.request)
    assert asked.judged_by in world.network.checks.names
    opened = world.open(share, box, key)
    assert opened.key == b"1" * 32
    assert not opened.evidence

    world.revoke(owner, delegation)
    wait(world.network, lambda: world.delegation(delegation).receipt is not None)
    assert not any(len(node.sharing.delegations) for node in world.network.nodes)
    assert world.everyone(m.PARTIAL, m.PartialRequest(share)) == {}
    (refused,), _ = world.request(reader, [(later, delegation)])
    wait(world.network, lambda: world.share(refused).status == ss.DENIED)
    assert world.share(refused).reason == "delegation-revoked"


def test_no_partial_is_given_away_before_the_grant_is_committed(world: Sharing) -> None:
    world.grant(READER, "role:doctor")
    reader, owner = world.institution(READER), world.owner()
    delegation = world.delegate(owner, world.key(owner))
    rid = world.put(owner)
    for node in world.network.nodes:
        node.sharing.transforming._gather = lambda _share: []  # type: ignore[method-assign]
    (share,), _ = world.request(reader, [(rid, delegation)])
    wait(world.network, lambda: world.share(share).status == ss.APPROVED)
    for node in world.network.nodes:
        assert node.sharing.transforming.claim(share).node == node.name
        with pytest.raises(Refused) as refusal:
            node.sharing.transforming.partial(share)
        assert refusal.value.reason == "not-granted"


def test_a_suspended_institution_gets_nothing_more(world: Sharing) -> None:
    world.grant(READER, "role:doctor")
    reader, owner = world.institution(READER), world.owner()
    delegation = world.delegate(owner, world.key(owner))
    rid, later = world.put(owner, k=b"1" * 32), world.put(owner, k=b"2" * 32)
    (share,), _ = world.request(reader, [(rid, delegation)])
    world.granted(share)
    core, _ = world.ask_key(reader, "role:doctor@2025")
    for node in world.network.nodes[:2]:
        world.commit(node.sharing.suspension_vote(READER, against=True, sequence=1))
    assert world.everyone(m.PARTIAL, m.PartialRequest(share)) == {}
    assert world.everyone(m.PARTIAL_KEY, m.PartialKeyRequest(core.digest(world.id))) == {}
    with pytest.raises(Refused) as refusal:
        world.request(reader, [(later, delegation)])
    assert refusal.value.reason == "suspended"
    for node in world.network.nodes[:2]:
        world.commit(node.sharing.suspension_vote(READER, against=False, sequence=2))
    assert len(world.everyone(m.PARTIAL, m.PartialRequest(share))) == 4


def test_a_revocation_between_approval_and_grant_denies_the_share(world: Sharing) -> None:
    world.grant(READER, "role:doctor")
    reader, owner = world.institution(READER), world.owner()
    delegation = world.delegate(owner, world.key(owner))
    rid = world.put(owner)
    gathers = [node.sharing.transforming._gather for node in world.network.nodes]
    for node in world.network.nodes:
        node.sharing.transforming._gather = lambda _share: []  # type: ignore[method-assign]
    (share,), _ = world.request(reader, [(rid, delegation)])
    wait(world.network, lambda: world.share(share).status == ss.APPROVED)
    world.revoke(owner, delegation)
    for node, gather in zip(world.network.nodes, gathers, strict=True):
        node.sharing.transforming._gather = gather  # type: ignore[method-assign]
    wait(world.network, lambda: world.share(share).status == ss.DENIED)
    assert world.share(share).reason == "delegation-revoked"
