"""Votes of the nodes of a home on an institution: signed against by more than a third of the seats, it is suspended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from salus.consultation.registration import INSTITUTION
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.parties import VALIDATORS
from salus.ledger.kinds.sharing.attributes import is_suspended, next_vote, signed_against
from salus.ledger.reading import ProvenView
from salus.network.embedded import EmbeddedNetwork


def vote(network: EmbeddedNetwork, institution: str, nodes: Sequence[str], *, against: bool) -> dict[str, Any]:
    """Have nodes of this home sign against an institution, or take that back; a node that has said so already says nothing.

    :param nodes: names; none: every node that runs here.
    :raises Refused: ``unknown-party``.
    """
    client = network.client()
    client.refresh()
    known = client.party(INSTITUTION, institution)
    if known is None:
        raise Refused("unknown-party", f"no institution {institution} on the ledger; list them with: salus party list")
    running = {node.name: node for node in network.nodes}
    for name in nodes:
        refuse_unless(name in running, "unknown-party", f"no node {name} runs here; there are: {', '.join(running)}")
    view, voted = ProvenView(client), []
    before = signed_against(view, institution)
    for name in dict.fromkeys(nodes or running):
        if (name in before) != against:
            sequence = next_vote(view, institution, name)
            client.submit(running[name].sharing.suspension_vote(institution, against=against, sequence=sequence))
            voted.append(name)
    client.refresh()
    view = ProvenView(client)
    return {
        "institution": institution,
        "voted": voted,
        "against": list(signed_against(view, institution)),
        "seats": len(VALIDATORS.need(view, b"").members),
        "suspended": is_suspended(view, institution),
    }
