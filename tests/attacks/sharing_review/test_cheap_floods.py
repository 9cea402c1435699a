"""Claim: one member, or a stranger who overhears one, neither fills what nodes keep nor keeps them computing.

An upload paid for once was good for any number of puts that exclude each other, each kept durably by every node; an order of
tokens, put again by whoever overheard it, cost a thousand multiplications each time; a scope could hold any number of index keys
and delegations in the state for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from salus.abpre.threshold.groups import OPRF
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing import limits, lists
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.messages.records import RecordRepolicy, RecordRotate
from salus.ledger.kinds.sharing.messages.searches import TokenRequest
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.ledger.transactions import Registry
from salus.node.sharing import issuing
from salus.node.sharing.acceptance import AcceptanceDesk
from salus.node.sharing.issuing import Issuing
from salus.node.sharing.pending import PendingStore
from salus.search.keyword import word
from salus.search.tokens import ask
from support.sharing_world import FAST, HOSPITAL, POLICY, SharingChain

MANY = 5


def around(chain: SharingChain) -> Any:
    node = chain.world.nodes[0]
    return SimpleNamespace(
        network=chain.world.network, name=node.member.name, member=node.member, random=chain.world.random, view=chain.view,
        application=chain.application, time_ms=chain.time_ms, now_ms=lambda: chain.time_ms + 1000,
        bls_secret=node.bls.export_secret(), errands=SimpleNamespace(leave=lambda *_: None),
    )  # fmt: skip


@pytest.mark.parametrize("repaired", [True, False])
def test_one_upload_does_not_fill_the_pending_store(
    chain: SharingChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    if not repaired:
        monkeypatch.setattr(Registry, "spends", lambda self, message: b"")
    owner = chain.owner()
    first = chain.record(owner)
    tags = [b"".join(sorted(chain.world.random(16) for _ in range(8))) for _ in range(MANY)]
    puts = [first, *(signed_by_scope(replace(first, tags=other), owner, chain.world.random) for other in tags)]
    assert {chain.reason(put) for put in puts} == {""}  # each of them could be committed, and only one will be
    pending = PendingStore(tmp_path / "pending")
    desk = AcceptanceDesk(around(chain), pending)
    desk.store(first.encode())
    for put in puts[1:]:
        if not repaired:
            desk.store(put.encode())
            continue
        with pytest.raises(Refused, match="used-credential"):
            desk.store(put.encode())
    assert len(pending) == (1 if repaired else MANY + 1)
    if repaired:
        pending.drop(chain.application.transaction(first.encode()).hash)
        desk.store(puts[1].encode())  # once it is through, or never can be, another one may be kept


def test_what_excludes_each_other_says_so(chain: SharingChain) -> None:
    """And nothing else does: a member's transactions do not keep out anybody else's."""
    owner, other = chain.owner(), chain.owner("other")
    registry, own_key = chain.application.registry, chain.key(owner)
    made = [
        chain.record(owner), chain.record(other), chain.delegation(owner, own_key), chain.delegation(owner, own_key),
        *(chain.ask_key(chain.world.institution(HOSPITAL), "role:doctor@2025")[0] for _ in range(2)),
        *(chain.share_request(HOSPITAL, {b"r" * 16: None})[0] for _ in range(2)),
    ]  # fmt: skip
    spent = [registry.spends(message) for message in made]
    assert b"" not in spent
    assert len(set(spent)) == len(made)


@pytest.mark.parametrize("repaired", [True, False])
def test_an_overheard_order_of_tokens_is_evaluated_once(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    if not repaired:
        monkeypatch.setattr(issuing, "ORDERS_REMEMBERED_MAX", 0)
    world = chain.world
    asked = ask([word("asthma"), word("fracture")], world.random)
    draft = TokenRequest(asked.order, HOSPITAL, 1, UNSIGNED)
    order = chain.commit(signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random))
    name = world.nodes[0].member.name
    monkeypatch.setattr(issuing, "held_scalar", lambda *_: chain.shares[OPRF, name, 1])
    node = Issuing(around(chain))
    answers = [node.evaluate(m.EvaluateRequest(order, asked.blinded)) for _ in range(MANY)]
    assert node.evaluated == (2 if repaired else 2 * MANY)
    assert (len(set(answers)) == 1) == repaired
    with pytest.raises(Refused):  # what is remembered answers its own question alone
        node.evaluate(m.EvaluateRequest(order, ask([word("cough"), word("fever")], world.random).blinded))


def records(chain: SharingChain, owner: ScopeKey) -> Any:
    return chain.record(owner)


def delegation(chain: SharingChain, owner: ScopeKey) -> Any:
    return chain.delegation(owner, chain.key(owner))


def first_of(chain: SharingChain, owner: ScopeKey) -> bytes:
    return next(iter(lists.items(chain.view, lists.SCOPE_RECORDS, owner.scope)), None) or chain.put(owner)


def repolicy(chain: SharingChain, owner: ScopeKey) -> Any:
    """Each is an entry in the access log, which stays in the state for good."""
    rid = first_of(chain, owner)
    return signed_by_scope(RecordRepolicy(rid, 2, chain.capsule(owner, rid, POLICY), UNSIGNED), owner, chain.world.random)


def rotation(chain: SharingChain, owner: ScopeKey) -> Any:
    rid = first_of(chain, owner)
    return signed_by_scope(RecordRotate(rid, 2, chain.content(owner, rid), UNSIGNED), owner, chain.world.random)


@pytest.mark.parametrize("repaired", [True, False])
@pytest.mark.parametrize("make", [records, delegation, repolicy, rotation])
def test_a_scope_grows_so_far_in_a_period(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any], repaired: bool
) -> None:
    most = 3 if repaired else FAST.changes_a_period
    monkeypatch.setattr(limits, "sharing_constants", lambda _: replace(FAST, changes_a_period=most))
    owner, other = chain.owner(), chain.owner("other")
    chain.put(owner)
    chain.put(owner)
    chain.delegate(owner, chain.key(owner))
    more = make(chain, owner)
    assert chain.reason(more) == ("limit" if repaired else "")
    assert chain.reason(make(chain, other)) == ""
    assert limits.used(chain.view, limits.CHANGES, owner.scope.hex(), chain.time_ms) == 3


@pytest.mark.parametrize("repaired", [True, False])
def test_an_institution_opens_so_many_scopes_in_a_period(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    """A patient pays with a credential for each; an institution paid nothing."""
    most = 2 if repaired else FAST.changes_a_period
    monkeypatch.setattr(limits, "sharing_constants", lambda _: replace(FAST, changes_a_period=most))
    world = chain.world
    opened = [world.open_by_institution(world.scope_key("board", "lab", f"2025Q{i}"), HOSPITAL) for i in (1, 2, 3)]
    chain.commit(*opened[:2])
    assert chain.reason(opened[2]) == ("limit" if repaired else "")
