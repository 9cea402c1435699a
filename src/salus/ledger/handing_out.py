"""What an owner hands to each node before a delegation is created: its public part, and c boxed to that node alone.

Steps: docs/protocol/sharing-ledger.md, "attachments", step 1.
"""

from __future__ import annotations

from salus.abpre.threshold.committee import Seat
from salus.abpre.threshold.delegations import SealedDelegation
from salus.ledger.kinds.sharing.attachments import seal_c
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.ledger.sharing_api import AttachDelegation
from salus.symmetric import Random


def attach_delegation(
    network: bytes, epoch: int, seat: Seat, sealed: SealedDelegation, c: bytes, key: ScopeKey, random: Random
) -> AttachDelegation:
    """The call to one node.

    :param epoch: of the committee that serves, in which the node has that seat.
    :param c: 48 bytes. :param key: of the scope, which signs.
    """
    box = seal_c(network, epoch, seat.name, seat.Er, sealed.delegation, c, random)
    return signed_by_scope(AttachDelegation(sealed, box, UNSIGNED), key, random)
