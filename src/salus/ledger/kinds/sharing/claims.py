"""Signatures of sharing as claims: verified with all others of a block in one native batch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from salus import labels
from salus.codec import Message
from salus.consultation.registration import NODE
from salus.consultation.registration import SUITE as MEMBER_SUITE
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import schnorr_verify
from salus.groups.ristretto255 import decode_point
from salus.ledger.kinds.parties import VALIDATORS, Party, live_party
from salus.ledger.kinds.sharing.committee_state import current_epoch
from salus.ledger.kinds.sharing.messages.common import signed_part
from salus.ledger.kinds.sharing.scope_keys import SUITE
from salus.ledger.signatures import Claim
from salus.ledger.state import StateView
from salus.ledger.transactions import BlockContext


def member_claim(context: BlockContext, party: Party, message: Message, label: str = labels.SIG_SHARING) -> Claim:
    """An institution, node or cloud signed everything before the last field of a message."""
    fields = (context.network, party.name, party.W)
    return Claim(label, MEMBER_SUITE, party.W, fields, signed_part(message), _signature(message), what=party.name)


def scope_claim(context: BlockContext, V: bytes, message: Message) -> Claim:
    """V signed everything before the last field of a message."""
    return scope_value_claim(context, V, signed_part(message), _signature(message))


def scope_value_claim(context: BlockContext, V: bytes, value: Any, signature: bytes) -> Claim:
    """V signed a codec value."""
    return Claim(labels.SIG_SCOPE, SUITE, V, (context.network, V), value, signature, what="the scope's key")


def require_scope_signature(network: bytes, V: bytes, message: Message) -> None:
    """V signed everything before the last field of a message: verified at once, where what comes after is dear.

    Else whoever owns nothing could keep every node busy with capsules of 128 rows.

    :raises Refused: ``bad-signature``.
    """
    _verified(network, V, message)


@lru_cache(maxsize=4096)
def _verified(network: bytes, V: bytes, message: Message) -> None:
    try:
        schnorr_verify(labels.SIG_SCOPE, SUITE, decode_point(V, "V"), (network, V), signed_part(message), _signature(message))
    except Refused as error:
        raise Refused("bad-signature", f"the scope's key: {error.detail}") from None


def require_key(V: bytes) -> None:
    """Refuse what is no public key before anything is kept under it.

    :raises Refused: ``bad-point``.
    """
    decode_point(V, "V")


def seated_node(view: StateView, name: str) -> Party:
    """The live registration of a node with a seat.

    :raises Refused: ``unknown-party``, ``revoked``, ``not-a-member``.
    """
    party = live_party(view, NODE, name)
    seated = any(member.name == name for member in VALIDATORS.need(view, b"").members)
    refuse_unless(seated, "not-a-member", f"{name} has no seat")
    return party


def serving_node(view: StateView, name: str) -> Party:
    """The live registration of a member of the committee that serves now, which need not be the newest elected one.

    :raises Refused: ``not-started``, ``unknown-party``, ``revoked``, ``not-a-member``.
    """
    current = current_epoch(view)
    party = live_party(view, NODE, name)
    refuse_unless(name in current.members, "not-a-member", f"{name} has no seat in epoch {current.epoch} of sharing")
    return party


def _signature(message: Message) -> bytes:
    signature: bytes = message.signature  # type: ignore[attr-defined]
    return signature
