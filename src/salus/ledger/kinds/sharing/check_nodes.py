"""Check nodes: who they are, whose turn it is, and what their signed verdicts are worth.

Steps: docs/protocol/sharing-ledger.md, "check nodes".
"""

from __future__ import annotations

from salus import labels
from salus.consultation.registration import NODE, MemberKey
from salus.errors import refuse_unless
from salus.ledger.kinds.parties import (
    DIRECTORY,
    DIRECTORY_COUNT,
    NODES,
    VALIDATORS,
    Party,
    directory_key,
    is_live_node,
    live_party,
)
from salus.ledger.kinds.sharing.committee_state import check_order_seed
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_part
from salus.ledger.kinds.sharing.messages.shares import CheckVerdict
from salus.ledger.kinds.sharing.scope_keys import SUITE
from salus.ledger.state import StateView
from salus.symmetric import Random, h2


def check_nodes(view: StateView) -> list[str]:
    """Live nodes without a seat, the second level, in the order of their registration (check nodes, step 1)."""
    counted = DIRECTORY_COUNT.get(view, NODE.encode())
    found = []
    for index in range(0 if counted is None else counted.count):
        name = DIRECTORY.need(view, directory_key(NODE, index)).name
        if _is_check_node(view, name):
            found.append(name)
    return found


def check_order(view: StateView, network: bytes, epoch: int, tx_hash: bytes) -> list[str]:
    """Check nodes in the order of their turns for a transaction (check nodes, step 2).

    :param epoch: of sharing, current when the transaction was committed or handed in.
    """
    seed = check_order_seed(view, network, epoch)
    return sorted(check_nodes(view), key=lambda name: h2(labels.CHECK_ORDER, SUITE, seed, tx_hash, name))


def require_check_node(view: StateView, name: str) -> Party:
    """The live registration of a check node.

    :raises Refused: ``unknown-party``, ``revoked``, ``not-authorised``.
    """
    party = live_party(view, NODE, name)
    refuse_unless(_is_check_node(view, name), "not-authorised", f"{name} is no check node")
    return party


def sign_verdict(
    network: bytes, node: MemberKey, tx_hash: bytes, height: int, outcomes: tuple[str, ...], random: Random
) -> CheckVerdict:
    """A check node's signed verdict (check nodes, step 3)."""
    draft = CheckVerdict(tx_hash, height, outcomes, node.name, UNSIGNED)
    signature = node.sign(network, labels.SIG_VERDICT, signed_part(draft), random)
    return CheckVerdict(tx_hash, height, outcomes, node.name, signature)


def _is_check_node(view: StateView, name: str) -> bool:
    """A live node without a seat: any institution may operate some beside its seats."""
    seated = any(member.name == name for member in VALIDATORS.need(view, b"").members)
    return not seated and NODES.get(view, name.encode()) is not None and is_live_node(view, name)
