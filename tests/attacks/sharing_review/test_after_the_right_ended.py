"""Claim: what was let through or ordered before a right ended is of no use after it.

A revoked delegation serves no body that was granted through it and not yet fetched; an institution whose key is revoked gets no
answers to orders of tokens and questions that are still open. Only a suspension stopped those, and only for that.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from salus.consultation.registration import INSTITUTION
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.parties import PartyRevocation, key_digest
from salus.ledger.kinds.sharing import searches, share_state, shares
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.searches import TokenRequest
from salus.ledger.reading import check_reader, prove_reader
from salus.node.sharing import searching
from salus.node.sharing.searching import Searching
from salus.search.question import box_question
from salus.search.tags import discoverable_keys
from salus.search.tokens import TokenOrder
from support.sharing_world import HOSPITAL, SharingChain


def revoke_institution(chain: SharingChain, name: str = HOSPITAL) -> None:
    member = chain.world.institution(name)
    chain.decide([chain.world.by_centre(PartyRevocation(INSTITUTION, name, key_digest(member.W_bytes), UNSIGNED))])


@pytest.mark.parametrize("repaired", [True, False])
def test_a_body_granted_through_a_delegation_is_not_served_after_its_revocation(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    world, owner = chain.world, chain.owner()
    rid = chain.put(owner)
    delegation = chain.delegate(owner, chain.key(owner))
    (share,), _ = chain.judged(HOSPITAL, {rid: delegation})
    chain.commit(chain.grant_of(share))

    def read() -> Any:
        proof = prove_reader(world.network, world.institution(HOSPITAL), rid, share, "cloud", chain.time_ms, world.random)
        return check_reader(chain.view, world.network, proof, "cloud", chain.time_ms, chain.time_ms).rid

    assert read() == rid
    chain.commit(chain.revocation(owner, delegation))
    if not repaired:
        monkeypatch.setattr(share_state, "live_delegation", lambda *_: None)
        assert read() == rid
        return
    with pytest.raises(Refused, match="delegation-revoked"):
        read()


@pytest.mark.parametrize("repaired", [True, False])
def test_a_revoked_institutions_open_order_is_not_evaluated(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    world = chain.world
    draft = TokenRequest(TokenOrder(2, b"\1" * 32), HOSPITAL, 1, UNSIGNED)
    order = chain.commit(signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random))
    assert searches.answerable(chain.view, order, chain.time_ms) == draft.order
    revoke_institution(chain)
    if not repaired:
        monkeypatch.setattr(searches, "live_party", lambda *_: None)
        assert searches.answerable(chain.view, order, chain.time_ms) == draft.order
        return
    with pytest.raises(Refused, match="revoked"):
        searches.answerable(chain.view, order, chain.time_ms)


@pytest.mark.parametrize("repaired", [True, False])
def test_a_revoked_institutions_open_question_is_not_answered(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    world = chain.world
    seat, node = chain.committee().seats[0], world.nodes[0]
    keys = discoverable_keys(world.network, [world.random(64)])
    box = box_question(world.network, HOSPITAL, seat.name, 1, seat.Er, keys, world.random)
    summary = ms.QuestionSummary(seat.name, box.count, box.digest())
    draft = ms.ShareRequest(HOSPITAL, summary, (), "research", seat.Er, UNSIGNED)
    asked = m.SearchRequest(chain.commit(signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random)), box)
    around = SimpleNamespace(
        network=world.network, name=seat.name, application=chain.application,
        shares=SimpleNamespace(secret=lambda epoch: world.secret(node, epoch)), member=node.member, random=world.random,
    )  # fmt: skip

    def answer() -> Any:
        around.view, around.time_ms = chain.view, chain.time_ms
        return Searching(around).search(asked)  # type: ignore[arg-type]

    assert answer().request == asked.request
    revoke_institution(chain)
    if not repaired:
        monkeypatch.setattr(searching, "live_party", lambda *_: None)
        assert answer().request == asked.request
        return
    with pytest.raises(Refused, match="revoked"):
        answer()


@pytest.mark.parametrize("repaired", [True, False])
def test_a_grant_behind_its_revocation_in_one_block_does_not_pass(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    owner = chain.owner()
    rid = chain.put(owner)
    delegation = chain.delegate(owner, chain.key(owner))
    (share,), _ = chain.judged(HOSPITAL, {rid: delegation})
    grant, revocation = chain.grant_of(share), chain.revocation(owner, delegation)
    if not repaired:
        monkeypatch.setattr(shares, "decide_again", lambda *_: ms.VIA_DELEGATION)
    taken = chain.propose([revocation.encode(), grant.encode()])
    assert (grant.encode() in taken) == (not repaired)
    assert chain.propose([grant.encode(), revocation.encode()]) == [grant.encode(), revocation.encode()]
