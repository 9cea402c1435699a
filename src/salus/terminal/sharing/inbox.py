"""An owner's inbox: who asked for which record, what waits for consent, emergencies with their reasons.

Consent is a delegation of the record's scope to the reader's own attributes, for a short time. Steps: docs/protocol/
sharing-ledger.md, "shares", steps 4 and 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from salus.abpre.attributes import with_year
from salus.abpre.language import parse
from salus.abpre.policy import Policy, all_of, attribute
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.attributes import held_attributes
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.messages.shares import WAITING, ShareConsent, ShareRefusal, ShareRequest
from salus.ledger.kinds.sharing.records import RECORDS
from salus.ledger.kinds.sharing.share_state import LET_THROUGH, Share, decide, find_share
from salus.ledger.kinds.sharing.shares import open_reason
from salus.ledger.state import StateView
from salus.records.scope import WHOLE_CATEGORY, year_of
from salus.symmetric import Random
from salus.terminal.sharing.delegations import Delegating
from salus.terminal.sharing.entries import DelegationEntry, RecordEntry, ScopeEntry
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.scopes import Scopes
from salus.terminal.sharing.shelf import Shelf

CONSENT_MS: Final = 7 * 24 * 3600 * 1000
"""How long a consent's delegation lasts if the owner says nothing else."""
NEWEST: Final = 1000
"""Requests of one scope that are shown, the newest."""


class Asked(msgspec.Struct, frozen=True):
    """A request for one of this owner's records.

    :ivar id: of the share. :ivar reason: of an emergency, for the owner alone; empty otherwise.
    :ivar record: what the terminal knows of the record, None after a restore.
    """

    id: bytes
    share: Share
    scope: ScopeEntry
    record: RecordEntry | None
    reason: str


class Consented(msgspec.Struct, frozen=True):
    """A request that was let through. :ivar made: the delegation that was made for it, None if a live one did."""

    share: bytes
    delegation: bytes
    made: DelegationEntry | None


class Inbox:
    """The inbox of one owner.

    :param now_ms: clock, UTC milliseconds.
    """

    def __init__(
        self, shelf: Shelf, nodes: Nodes, scopes: Scopes, delegating: Delegating, now_ms: Callable[[], int], random: Random
    ) -> None:
        self._shelf = shelf
        self._nodes = nodes
        self._scopes = scopes
        self._delegating = delegating
        self._now_ms = now_ms
        self._random = random

    def asked(self) -> list[Asked]:
        """Every request for this owner's records, oldest first."""
        view, found = self._nodes.view(), []
        for scope in self._scopes.known():
            x = self._scopes.signer(scope.category, scope.period).scope
            count = lists.length(view, lists.INBOX, x)
            for share in lists.items(view, lists.INBOX, x, max(0, count - NEWEST), count):
                found.append(self._opened(view, scope, share))
        return sorted(found, key=lambda one: (one.share.asked_ms, one.id))

    def _opened(self, view: StateView, scope: ScopeEntry, id_: bytes) -> Asked:
        share = find_share(view, id_)
        record = self._shelf.get(f"record-{share.rid.hex()}", RecordEntry)
        return Asked(id_, share, scope, record, self._reason(scope, share) if share.emergency else "")

    def _reason(self, scope: ScopeEntry, share: Share) -> str:
        request = ShareRequest.decode(self._nodes.ledger.transaction(share.request).raw)
        box = request.items[share.number].reason
        if box is None:
            return ""
        secret = self._scopes.signer(scope.category, scope.period).secret
        try:
            return open_reason(self._nodes.network, share.institution, share.rid, secret, box)
        except Refused as refused:
            return f"(cannot be read: {refused.reason})"

    def one(self, id_: bytes) -> Asked:
        """One request.

        :raises Refused: ``unknown-share`` if it is for none of this owner's records.
        """
        view = self._nodes.view()
        share = find_share(view, id_)
        for scope in self._scopes.known():
            if self._scopes.signer(scope.category, scope.period).scope == share.scope:
                return self._opened(view, scope, id_)
        raise Refused("unknown-share", f"{id_.hex()} is for none of this wallet's records; see: salus consent list")

    def grant(self, id_: bytes, policy: str = "", expires_ms: int = 0) -> Consented:
        """Let a waiting request through, by a live delegation that does, else by one that is made for it.

        :param policy: whom to delegate to; by default all attributes that the reader holds for the record's year.
        :raises Refused: ``already-done``, ``expired``, ``unsatisfied`` if the reader does not satisfy the policy given.
        """
        asked = self.one(id_)
        refuse_unless(asked.share.status == WAITING, "already-done", f"the share is {asked.share.status}")
        made, delegation = None, self._live(asked)
        if delegation is None:
            wanted = self._policy_for(asked, policy)
            until_ms = expires_ms or max(self._now_ms(), self._nodes.ledger.time_ms) + CONSENT_MS
            made = self._delegating.create_one(wanted, asked.scope.category, asked.scope.period, until_ms)
            delegation = made.delegation
        signer = self._scopes.signer(asked.scope.category, asked.scope.period)
        self._nodes.submit(signed_by_scope(ShareConsent(id_, delegation, UNSIGNED), signer, self._random))
        return Consented(id_, delegation, made)

    def refuse(self, id_: bytes) -> None:
        """Refuse a waiting request.

        :raises Refused: ``already-done``, ``expired``.
        """
        asked = self.one(id_)
        signer = self._scopes.signer(asked.scope.category, asked.scope.period)
        self._nodes.submit(signed_by_scope(ShareRefusal(id_, UNSIGNED), signer, self._random))

    def _live(self, asked: Asked) -> bytes | None:
        view, share = self._nodes.view(), asked.share
        record = RECORDS.need(view, share.rid)
        for entry in self._delegating.delegations():
            if (entry.category, entry.period) == (asked.scope.category, asked.scope.period):
                time_ms, emergency = self._nodes.ledger.time_ms, bool(share.emergency)
                if decide(view, time_ms, share.institution, record, entry.delegation, emergency=emergency) in LET_THROUGH:
                    return entry.delegation
        return None

    def _policy_for(self, asked: Asked, text: str) -> Policy:
        quarter = asked.record.quarter if asked.record is not None else asked.scope.period
        year = 0 if quarter == WHOLE_CATEGORY else year_of(quarter)
        if text.strip():
            wanted = parse(text).require_no_owner()
            return wanted.in_year(year) if year else wanted
        time_ms = self._nodes.ledger.time_ms
        held = held_attributes(self._nodes.view(), asked.share.institution, time_ms)
        names = sorted({name for h in held if h.covers(name := with_year(h.atom, year) if h.first_year else h.atom, time_ms)})
        refuse_unless(
            bool(names), "unsatisfied", f"{asked.share.institution} holds no attribute for {year}; name a policy it satisfies"
        )
        return all_of(*(attribute(name) for name in names)) if len(names) > 1 else attribute(names[0])
