"""The registry of every transaction kind of this release."""

from __future__ import annotations

from typing import Final

from salus.ledger.kinds import consultations, epochs, misbehaviour, parties, protocol, slots, tracing, voters
from salus.ledger.kinds.sharing import all as sharing
from salus.ledger.transactions import Registry

PROTOCOL_VERSION: Final = 2
"""Newest protocol version that this release can apply."""

REGISTRY: Final = Registry(
    (
        *consultations.KINDS,
        *slots.KINDS,
        *parties.KINDS,
        *epochs.KINDS,
        *voters.KINDS,
        *tracing.KINDS,
        *misbehaviour.KINDS,
        *protocol.KINDS,
        *sharing.KINDS,
    ),
    PROTOCOL_VERSION,
)
