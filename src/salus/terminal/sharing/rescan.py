"""After a wallet was restored: what the ledger has of its owner's scopes, records and delegations.

The owner's secret comes from the backup, everything else is derived from it or read from the ledger. No node is asked about a
scope: it would learn which ones are one owner's; the blocks are gone through here instead.
"""

from __future__ import annotations

from typing import Final

from salus.abpre.attributes import scope_of
from salus.codec import decode
from salus.errors import Refused, TransportError
from salus.ledger.kinds.sharing.delegations import DELEGATIONS
from salus.ledger.kinds.sharing.messages.delegations import DelegationCreation
from salus.ledger.kinds.sharing.messages.records import RecordPut
from salus.ledger.kinds.sharing.messages.scopes import InstitutionScope, ScopeOpening
from salus.ledger.kinds.sharing.records import RECORDS, sharing_policy
from salus.ledger.kinds.sharing.scope_keys import scope_of_key
from salus.records.scope import CATEGORIES, WHOLE_CATEGORY, YEAR_MIN, periods_between
from salus.terminal.sharing.entries import ERASED, REVOKED, STORED, SUPERSEDED, DelegationEntry, Followed, RecordEntry, ScopeEntry
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.owner import OwnerTerminal, record_name
from salus.terminal.sharing.scopes import Scopes
from salus.terminal.sharing.shelf import Shelf

_SPAN_YEARS: Final = 99
"""Years of one range of quarters; two ranges reach from the earliest clinical date to any that comes."""
UNDER_WAY: Final = "rescan"
_UNKNOWN: Final = "application/octet-stream"


class Rescan:
    """Finds what is one owner's on the ledger."""

    def __init__(self, shelf: Shelf, nodes: Nodes, scopes: Scopes, owner: OwnerTerminal) -> None:
        self._shelf = shelf
        self._nodes = nodes
        self._scopes = scopes
        self._owner = owner

    def run(self, this_year: int) -> int:
        """Write entries for everything that is found; returns the number of records. Again is harmless.

        :raises TransportError: the ledger cannot be read now.
        """
        # Durable first: an interrupted search begins again with the next command.
        self._shelf.put(UNDER_WAY, Followed(0, bytes(32)))
        mine = self._own_scopes(this_year)
        puts: list[tuple[RecordPut, str, str]] = []
        for verified in self._nodes.ledger.follow(0):
            for raw in verified.block.transactions:
                kind = decode(raw)[0]
                if kind in (ScopeOpening.KIND, InstitutionScope.KIND):
                    V = ScopeOpening.decode(raw).V if kind == ScopeOpening.KIND else InstitutionScope.decode(raw).V
                    self._scope(mine.get(scope_of_key(self._nodes.network, V)))
                elif kind == RecordPut.KIND:
                    put = RecordPut.decode(raw)
                    if put.scope in mine:
                        puts.append((put, *mine[put.scope]))
                elif kind == DelegationCreation.KIND:
                    self._delegation(DelegationCreation.decode(raw), mine, verified.block.header.time_ms)
        for put, category, period in puts:
            self._record(put, category, period)
        self._shelf.remove(UNDER_WAY)
        return len(puts)

    @property
    def under_way(self) -> bool:
        """Whether an earlier search was interrupted."""
        return self._shelf.get(UNDER_WAY, Followed) is not None

    def _own_scopes(self, this_year: int) -> dict[bytes, tuple[str, str]]:
        spans = [(YEAR_MIN, YEAR_MIN + _SPAN_YEARS - 1), (YEAR_MIN + _SPAN_YEARS, max(this_year, YEAR_MIN + _SPAN_YEARS))]
        periods = [p for first, last in spans for p in periods_between(f"{first}Q1", f"{last}Q4")]
        return {
            self._scopes.signer(category, period).scope: (category, period)
            for category in CATEGORIES
            for period in (*periods, WHOLE_CATEGORY)
        }

    def _scope(self, place: tuple[str, str] | None) -> None:
        if place is not None:
            self._shelf.put(f"scope-{place[0]}-{place[1].lower()}", ScopeEntry(*place, None))

    def _record(self, put: RecordPut, category: str, period: str) -> None:
        found = RECORDS.get(self._nodes.view(), put.rid)
        if found is None or self._shelf.get(record_name(put.rid), RecordEntry) is not None:
            return
        state = ERASED if found.erased_ms else SUPERSEDED if found.superseded_by is not None else STORED
        policy = sharing_policy(put.content.capsule)
        quarter = period if period != WHOLE_CATEGORY else f"{YEAR_MIN}Q1"
        entry = RecordEntry(
            rid=put.rid, state=state, category=category, period=period, quarter=quarter, policy=policy.text if policy else "",
            file_name="", media_type=_UNKNOWN, size_bytes=0, keywords=0, left_out=0, keywords_problem="", discoverable=0,
            version=1, supersedes=put.supersedes, put_ms=found.put_ms, tx_hash=found.content_tx,
        )  # fmt: skip
        self._shelf.put(record_name(put.rid), entry)
        if state != ERASED:
            try:
                self._shelf.put(record_name(put.rid), self._owner.described(entry))
            except (Refused, TransportError):
                return  # its metadata cannot be had now; it is listed without a name

    def _delegation(self, message: DelegationCreation, mine: dict[bytes, tuple[str, str]], time_ms: int) -> None:
        place = mine.get(scope_of(message.sealed.scope) or b"")
        found = None if place is None else DELEGATIONS.get(self._nodes.view(), message.sealed.delegation)
        if place is None or found is None:
            return
        sealed = message.sealed
        entry = DelegationEntry(
            sealed.delegation, REVOKED if found.revoked_ms else STORED, *place, sealed.rk4.policy, sealed.expires_ms, time_ms,
            found.tx_hash,
        )  # fmt: skip
        self._shelf.put(f"delegation-{sealed.delegation.hex()}", entry)
