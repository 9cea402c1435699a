"""Claim: who records all traffic does not have c of a delegation, which every node deletes one day.

Owners handed c to nodes in the open, and nodes gave it to each other; t members of any later committee open the scope of a
revoked delegation for its delegatee with what somebody wrote down. And what a stranger hands in is not looked at: to check what
looks like a delegation under 128 attributes takes a node tens of milliseconds.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from salus import labels
from salus.abpre.threshold.box import Box, BoxKey
from salus.errors import Refused
from salus.ledger import handing_out
from salus.ledger import sharing_api as m
from salus.ledger.handing_out import attach_delegation
from salus.ledger.kinds.sharing.attachments import DELEGATION_C
from salus.ledger.kinds.sharing.messages.common import signed_by_scope
from salus.ledger.kinds.sharing.messages.delegations import DelegationCreation
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.node.sharing import fetching, role
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.fetching import Fetching
from salus.node.sharing.role import SharingRole
from support.sharing_world import SharingChain


class Handing:
    """An owner about to hand out a delegation, and the first node."""

    def __init__(self, chain: SharingChain, directory: Path) -> None:
        world, node = chain.world, chain.world.nodes[0]
        self.chain, self.seat = chain, chain.committee().seats[0]
        self.owner: ScopeKey = chain.owner()
        self.made: DelegationCreation = chain.delegation(self.owner, chain.key(self.owner))
        self.name = self.made.sealed.delegation
        self.c = chain.c[self.name]
        self.node: Any = object.__new__(SharingRole)
        self.node.delegations = AttachmentStore(directory / "delegations", 48)
        self.node.around = SimpleNamespace(
            network=world.network, name=self.seat.name, view=chain.view, time_ms=chain.time_ms, now_ms=lambda: chain.time_ms,
            bls_secret=node.bls.export_secret(), shares=SimpleNamespace(secret=lambda epoch: world.secret(node, epoch)),
            random=world.random,
        )  # fmt: skip

    def handed(self, key: ScopeKey | None = None) -> m.AttachDelegation:
        network, random = self.chain.world.network, self.chain.world.random
        return attach_delegation(network, 1, self.seat, self.made.sealed, self.c, key or self.owner, random)

    def take(self, asked: m.AttachDelegation) -> m.AttachmentReceipt:
        taken: m.AttachmentReceipt = self.node._attach_delegation(asked)
        return taken


@pytest.fixture
def handing(chain: SharingChain, tmp_path: Path) -> Handing:
    return Handing(chain, tmp_path)


def in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the repair out."""
    shown = lambda network, epoch, node, Er, delegation, c, random: Box(bytes(32), c, bytes(64))  # noqa: E731
    for module in (handing_out, fetching):
        monkeypatch.setattr(module, "seal_c", shown)


@pytest.mark.parametrize("repaired", [True, False])
def test_who_hears_the_owner_does_not_have_c(handing: Handing, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    if not repaired:
        in_the_open(monkeypatch)
    heard = handing.handed().encode()
    assert (handing.c in heard) == (not repaired)
    if repaired:
        handing.take(m.AttachDelegation.decode(heard))
        assert handing.node.delegations.read(handing.name, handing.made.sealed.c_digest) == handing.c


@pytest.mark.parametrize("repaired", [True, False])
def test_who_hears_a_node_that_gives_it_to_another_does_not_either(
    handing: Handing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    """Nor who asks the same question again, within the minutes for which it is fresh."""
    handing.take(handing.handed())
    if not repaired:
        in_the_open(monkeypatch)
    world, asker = handing.chain.world, handing.chain.world.nodes[1].member
    giver = Fetching(handing.node.around, handing.node.delegations, AttachmentStore(tmp_path / "metadata", 4096))
    key = BoxKey.generate(world.random)
    about = (DELEGATION_C, handing.name, handing.made.sealed.c_digest, key.Er, handing.chain.time_ms)
    draft = m.AttachmentRequest(asker.name, handing.seat.name, *about, bytes(64))
    asked = replace(draft, signature=asker.sign(world.network, labels.SIG_FETCH, draft.signed(), world.random))
    for answer in (giver.answer(asked), giver.answer(asked)):
        assert (handing.c in answer.encode()) == (not repaired)
    other = replace(asked, Er=BoxKey.generate(world.random).Er)
    with pytest.raises(Refused, match="bad-signature"):  # and it cannot be turned to another key
        giver.answer(other)


@pytest.mark.parametrize("repaired", [True, False])
def test_what_a_stranger_hands_in_is_not_checked(handing: Handing, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    checked = []
    monkeypatch.setattr(role, "check_delegation", lambda network, sealed: checked.append(sealed))
    if not repaired:
        monkeypatch.setattr(role, "require_scope_signature", lambda *_: None)
        handing.take(handing.handed(handing.chain.world.scope_key("nobody")))
        assert len(checked) == 1
        return
    for key in (handing.chain.world.scope_key("nobody"), handing.chain.owner("other")):
        with pytest.raises(Refused, match="bad-signature"):
            handing.take(handing.handed(key))
    unopened = handing.chain.world.scope_key("unopened")
    sealed = replace(handing.made.sealed, scope=unopened.attribute)
    with pytest.raises(Refused, match="unknown-scope"):
        handing.take(signed_by_scope(replace(handing.handed(), sealed=sealed), unopened, handing.chain.world.random))
    assert checked == []


def test_what_is_boxed_to_one_node_or_delegation_is_nothing_to_another(handing: Handing) -> None:
    random, other = handing.chain.world.random, handing.chain.delegation(handing.owner, handing.chain.key(handing.owner))
    elsewhere = replace(handing.handed(), sealed=other.sealed)
    with pytest.raises(Refused, match="bad-box"):
        handing.take(signed_by_scope(elsewhere, handing.owner, random))
    handing.node.around.name = handing.chain.committee().seats[1].name
    with pytest.raises(Refused, match="bad-box"):
        handing.take(handing.handed())
