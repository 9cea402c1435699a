"""Provenance: what was done to each record, and to each delegation."""

from __future__ import annotations

from typing import Final

from salus.ledger.access_export import AuditedScope
from salus.ledger.kinds.sharing.access_log import (
    DELEGATED,
    ERASED,
    PUT,
    REPOLICIED,
    REVOKED,
    ROTATED,
    SUPERSEDED,
    AccessEntry,
)
from salus.terminal.audit.fhir import codes
from salus.terminal.audit.fhir.consents import delegation_key, policy_key
from salus.terminal.audit.fhir.resources import Collected, Resource, instant, transaction
from salus.terminal.audit.history import History

ACTIVITIES: Final = {
    PUT: (codes.CREATE, codes.ORIGINATE),
    SUPERSEDED: (codes.UPDATE, codes.DEPRECATE),
    REPOLICIED: (codes.UPDATE, codes.AMEND),
    ROTATED: (codes.UPDATE, codes.ENCRYPT),
    ERASED: (codes.DELETE, codes.DESTROY),
    DELEGATED: (codes.CREATE,),
    REVOKED: (codes.ABORT,),
}


def provenance(into: Collected, scope: AuditedScope, entry: AccessEntry, history: History) -> Resource:
    """One entry about a record or a delegation; signed by the owner on the ledger."""
    activity = codes.concept(*ACTIVITIES[entry.act], codes.coding(codes.ACT, entry.act, entry.act))
    content: Resource = {
        "target": _targets(into, entry, history),
        "occurredDateTime": instant(entry.time_ms),
        "recorded": instant(entry.time_ms),
        "activity": activity,
        "agent": [{"type": codes.concept(codes.AUTHOR), "who": into.owner(scope)}],
        "entity": [*_entities(into, entry, history), {"role": "source", "what": transaction(entry)}],
    }
    return into.put("Provenance", (scope.scope.hex(), str(entry.number)), content)


def _targets(into: Collected, entry: AccessEntry, history: History) -> list[Resource]:
    if entry.delegation is not None:
        return [{"reference": into.url("Consent", delegation_key(entry.delegation))}]
    assert entry.rid is not None
    began = [span for span in history.policies.get(entry.rid, ()) if span.since.number == entry.number]
    consents: list[Resource] = [{"reference": into.url("Consent", policy_key(span))} for span in began]
    return [into.reference("DocumentReference", entry.rid), *consents]


def _entities(into: Collected, entry: AccessEntry, history: History) -> list[Resource]:
    """What it took the place of, or removed."""
    if entry.rid is None:
        return []
    if entry.act == ERASED:
        return [{"role": "removal", "what": into.reference("DocumentReference", entry.rid)}]
    if entry.act == PUT and entry.rid in history.supersedes:
        return [{"role": "revision", "what": into.reference("DocumentReference", history.supersedes[entry.rid])}]
    ended = [s for s in history.policies.get(entry.rid, ()) if s.until is not None and s.until.number == entry.number]
    return [{"role": "revision", "what": {"reference": into.url("Consent", policy_key(span))}} for span in ended]
