"""Delegations: created and revoked by the scope's key. The revocation receipt is a message of the threshold protocol.

``delegation.receipt`` is :class:`salus.abpre.threshold.receipts.RevocationReceipt`.
"""

from __future__ import annotations

from salus.abpre.threshold.delegations import SealedDelegation
from salus.codec import Bytes32, Bytes64, Message
from salus.ledger.kinds.sharing.messages.common import AttachmentReceipts
from salus.search.index_keys import SealedIndexKey


class DelegationCreation(Message, frozen=True):
    """One re-encryption key for one scope. Signed by V.

    :ivar sealed: the public part; ``sealed.scope`` is ``own:<x>``, its policy names no ``own:``.
    :ivar index_key: way ``delegation``, about = the delegation's id; None if its readers may not search.
    :ivar c_kept: nodes' receipts for c; kind ``delegation-c``, object id = the delegation's id, digest = ``sealed.c_digest``.
    """

    KIND = "delegation.create"

    sealed: SealedDelegation
    index_key: SealedIndexKey | None
    c_kept: AttachmentReceipts
    signature: Bytes64


class DelegationRevocation(Message, frozen=True):
    """End a delegation. Signed by V."""

    KIND = "delegation.revoke"

    delegation: Bytes32
    signature: Bytes64
