"""An owner's access logs: fetched with their proofs, verified, and written for auditors.

Steps: docs/protocol/sharing-ledger.md, "access log". What the owner reads here, an auditor verifies from the file alone, by
the same function.
"""

from __future__ import annotations

from typing import Final

import msgspec

from salus.errors import Refused, TransportError, refuse_unless
from salus.ledger.access_export import (
    AccessExport,
    AuditedAccess,
    ScopeProof,
    carried_transactions,
    fetch_scope,
    verify_access_export,
)
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.share_state import Share, find_share
from salus.terminal.sharing.entries import ScopeEntry
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.scopes import Scopes

SHARES_SHOWN: Final = 1000
"""Newest requests of an institution in one listing."""


class Exported(msgspec.Struct, frozen=True):
    """What was put together. :ivar left_out: transactions that entries name and nodes do not keep any more."""

    export: AccessExport
    left_out: int


class Auditing:
    """The access logs of one wallet's scopes."""

    def __init__(self, nodes: Nodes, scopes: Scopes) -> None:
        self._nodes = nodes
        self._scopes = scopes

    def scopes(self, category: str = "", period: str = "") -> list[ScopeEntry]:
        """This wallet's scopes, by category and period; empty for any."""
        found = (s for s in self._scopes.known() if category in ("", s.category) and period in ("", s.period))
        return sorted(found, key=lambda s: (s.category, s.period))

    def fetch(self, category: str = "", period: str = "", *, transactions: bool = True) -> Exported:
        """Fetch the logs of these scopes with everything that proves them (access log, step 2).

        :param transactions: with those that say more than the entries do: policies, times.
        :raises Refused: ``unknown-scope`` if there is none, ``too-large``. :raises TransportError: nodes do not answer.
        """
        wanted = self.scopes(category, period)
        refuse_unless(bool(wanted), "unknown-scope", "this wallet owns no records there: list them with salus record list")
        ledger = self._nodes.ledger
        ledger.refresh()
        proofs: list[ScopeProof] = []
        for scope in wanted:
            x = self._scopes.signer(scope.category, scope.period).scope
            proofs.append(fetch_scope(ledger.state_proof, x, scope.category, scope.period))
        carried: list[bytes] = []
        named = carried_transactions(proofs) if transactions else []
        for tx_hash in named:
            try:
                carried.append(ledger.transaction(tx_hash).raw)
            except (Refused, TransportError):
                continue  # pruned everywhere; the log is complete without it
        return Exported(AccessExport(ledger.genesis, tuple(proofs), tuple(carried)), len(named) - len(carried))

    def verified(self, category: str = "", period: str = "") -> AuditedAccess:
        """The complete logs, verified as an auditor verifies the file.

        :raises Refused: as :meth:`fetch`; ``bad-proof`` if an entry is missing or altered.
        """
        export = self.fetch(category, period, transactions=False).export
        return verify_access_export(export, self._nodes.network)

    def asked_by(self, institution: str) -> list[tuple[bytes, Share]]:
        """The newest requests of an institution for others' records, with what became of them; all proven."""
        view, owner = self._nodes.view(), institution.encode()
        count = lists.length(view, lists.READER_SHARES, owner)
        found = lists.items(view, lists.READER_SHARES, owner, max(0, count - SHARES_SHOWN), count)
        return [(raw, find_share(view, raw)) for raw in found]
