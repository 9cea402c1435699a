"""Claim: strangers' attachments keep nobody's out, and an attachment that was erased does not come back.

Handing an attachment to a node costs nothing, and it waits for its transaction; and a node that lacks c asks others, who may
answer when they like.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from salus.abpre.threshold.box import BoxKey
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.attachments import DELEGATION_C, seal_c
from salus.ledger.kinds.sharing.delegations import find_delegation
from salus.node.sharing import attachments, fetching
from salus.node.sharing.attachments import CROWDED_MS, AttachmentStore
from salus.node.sharing.fetching import Fetching
from support.sharing_world import SharingChain

MANY = 4


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AttachmentStore:
    monkeypatch.setattr(attachments, "UNNAMED_MAX", MANY)
    return AttachmentStore(tmp_path / "metadata", 64)


def flood(store: AttachmentStore, now_ms: int) -> None:
    """As many attachments as the node takes, each with a transaction that never comes."""
    for i in range(2 * MANY):
        try:
            store.keep(bytes([i]) * 16, bytes(32), b"flood", now_ms)
        except Refused:
            break


@pytest.mark.parametrize("repaired", [True, False])
def test_a_flood_makes_room_in_a_minute(store: AttachmentStore, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    if not repaired:
        monkeypatch.setattr(AttachmentStore, "_make_room", lambda self, now_ms: None)
    store.keep(b"v" * 16, b"v" * 32, b"of a record", 0)
    store.name(b"v" * 16, b"v" * 32)
    flood(store, 0)
    with pytest.raises(Refused, match="no-room"):
        store.keep(b"p" * 16, b"p" * 32, b"a patient's", CROWDED_MS - 1)
    if not repaired:
        with pytest.raises(Refused, match="no-room"):
            store.keep(b"p" * 16, b"p" * 32, b"a patient's", CROWDED_MS * 59)
        return
    store.keep(b"p" * 16, b"p" * 32, b"a patient's", CROWDED_MS)
    assert store.read(b"p" * 16, b"p" * 32) == b"a patient's"
    assert store.read(b"v" * 16, b"v" * 32) == b"of a record"  # what the ledger names is not in the crowd


@pytest.mark.parametrize("repaired", [True, False])
def test_what_was_there_before_a_restart_leaves_room(
    store: AttachmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    """Else a node that is restarted takes nothing until it has compared all it keeps with the ledger; of partials, for a day."""
    for i in range(2 * MANY):
        store.keep(bytes([i]) * 32, bytes(32), b"kept", 0)
        store.name(bytes([i]) * 32, bytes(32))
    again = AttachmentStore(tmp_path / "metadata", 64)
    if not repaired:
        again._unnamed = dict.fromkeys(again.held(), CROWDED_MS)
        with pytest.raises(Refused, match="no-room"):
            again.keep(b"n" * 32, b"n" * 32, b"new", CROWDED_MS)
        return
    again.keep(b"n" * 32, b"n" * 32, b"new", CROWDED_MS)
    assert len(again) == 2 * MANY + 1


@pytest.mark.parametrize("repaired", [True, False])
def test_an_answer_that_comes_late_does_not_bring_c_back(
    chain: SharingChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    world, owner = chain.world, chain.owner()
    delegation = chain.delegate(owner, chain.key(owner))
    sealed = find_delegation(chain.view, delegation).sealed
    around: Any = SimpleNamespace(network=world.network, name=world.nodes[0].member.name)
    delegations = AttachmentStore(tmp_path / "delegations", 48)  # this node was down when c was handed in
    honest = Fetching(around, delegations, AttachmentStore(tmp_path / "metadata", 48))
    chain.commit(chain.revocation(owner, delegation))
    chain.commit(chain.deletion_receipt(delegation))  # it signed, too
    around.view, around.time_ms, around.now_ms = chain.view, chain.time_ms, lambda: chain.time_ms
    if not repaired:
        monkeypatch.setattr(fetching, "live_delegation", lambda view, about, _: find_delegation(view, about))
    liar = world.nodes[1].member.name
    key = BoxKey.generate(world.random)
    box = seal_c(world.network, 0, around.name, key.Er, delegation, chain.c[delegation], world.random)
    honest.fetched(DELEGATION_C, delegation, sealed.c_digest, key, liar, m.Attachment(None, box).encode(), None)
    assert delegations.holds(delegation, sealed.c_digest) == (not repaired)
