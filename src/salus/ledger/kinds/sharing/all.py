"""Every kind of sharing."""

from __future__ import annotations

from typing import Final

from salus.ledger.kinds.sharing import (
    attributes,
    committees,
    delegations,
    evidence,
    index_keys,
    keys,
    records,
    scopes,
    searches,
    shares,
)

KINDS: Final = (
    *attributes.KINDS,
    *committees.KINDS,
    *scopes.KINDS,
    *keys.KINDS,
    *records.KINDS,
    *index_keys.KINDS,
    *delegations.KINDS,
    *searches.KINDS,
    *shares.KINDS,
    *evidence.KINDS,
)
