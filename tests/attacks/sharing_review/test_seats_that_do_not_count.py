"""Claim: whoever has the key of a revoked node, or of one whose institution is suspended, makes up no quorum with it.

A committee's seats stay what they were when its epoch was opened. Their signatures counted in receipts for attachments and of
deletions, and in grants, as long as the epoch is accepted, whatever had become of the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from salus.consultation.registration import NODE
from salus.ledger.kinds.parties import PartyRevocation, key_digest
from salus.ledger.kinds.sharing import attachments, shares
from salus.ledger.kinds.sharing.messages.common import UNSIGNED
from support.sharing_world import CLINIC, SharingChain


def revoke(chain: SharingChain) -> None:
    """The first seat's node is revoked: its key was stolen."""
    node = chain.world.nodes[0].member
    chain.decide([chain.world.by_centre(PartyRevocation(NODE, node.name, key_digest(node.W_bytes), UNSIGNED))])


def suspend(chain: SharingChain) -> None:
    """Two of four seats sign against the institution that operates the first."""
    institution = chain.world.nodes[0].member.name.split("/")[0] + "/board"
    chain.commit(*(chain.world.vote(node, institution) for node in chain.world.nodes[1:3]))


def record(chain: SharingChain) -> tuple[Any, str]:
    """Sealed metadata that two honest nodes hold."""
    return chain.record(chain.owner()), "bad-certificate"


def delegation(chain: SharingChain) -> tuple[Any, str]:
    """A c that two honest nodes hold."""
    owner = chain.owner()
    return chain.delegation(owner, chain.key(owner)), "bad-certificate"


def deletion(chain: SharingChain) -> tuple[Any, str]:
    """A deletion that two honest nodes have made: with their c, and that of the thief, t of four would be left."""
    owner = chain.owner()
    name = chain.delegate(owner, chain.key(owner))
    chain.commit(chain.revocation(owner, name))
    return chain.deletion_receipt(name), "no-quorum"


def grant(chain: SharingChain) -> tuple[Any, str]:
    """A grant that two honest nodes have looked at."""
    owner = chain.owner("other")
    rid, name = chain.put(owner), chain.delegate(owner, chain.key(owner), "role:doctor@2025")
    (share,), _ = chain.judged(CLINIC, {rid: name})
    return chain.grant_of(share), "revoked"


@pytest.mark.parametrize("repaired", [True, False])
@pytest.mark.parametrize("ends", [revoke, suspend])
@pytest.mark.parametrize("make", [record, delegation, deletion, grant])
def test_its_signature_does_not_count(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any], ends: Callable[..., Any], repaired: bool
) -> None:
    message, refusal = make(chain)
    assert chain.reason(message) == ""
    ends(chain)
    if not repaired:
        for module in (attachments, shares):
            monkeypatch.setattr(module, "counts", lambda view, seat: True)
    assert chain.reason(message) == (refusal if repaired else "")


def test_beside_t_others_it_does_no_harm(chain: SharingChain) -> None:
    """An honest quorum is not spoilt by one signer too many, so that a revocation in between costs nobody a new round."""
    owner = chain.owner()
    rid = chain.rid(owner)
    content = chain.content(owner, rid)
    everyone = chain.kept(attachments.METADATA, rid, content.metadata, 4)
    made = chain.record(owner, rid=rid, content=replace(content, metadata_kept=everyone))
    revoke(chain)
    chain.commit(made)
