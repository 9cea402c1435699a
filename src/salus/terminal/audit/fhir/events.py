"""AuditEvent: each request for a record and each decision on it, after the pattern of IHE BALP for decisions by consent."""

from __future__ import annotations

from typing import Final

from salus.errors import REASONS
from salus.ledger.access_export import AuditedScope
from salus.ledger.kinds.sharing.access_log import ASKED, CONSENTED, DENIED, GRANTED, REFUSED, WAITING, AccessEntry
from salus.ledger.kinds.sharing.messages.shares import EMERGENCY
from salus.terminal.audit.fhir import codes
from salus.terminal.audit.fhir.consents import applied_consent
from salus.terminal.audit.fhir.resources import Collected, Resource, identifier, instant, transaction
from salus.terminal.audit.history import History

OUTCOMES: Final = {
    ASKED: (codes.SUCCESS, ""),
    WAITING: (codes.MINOR_FAILURE, "waits for the owner's consent"),
    GRANTED: (codes.SUCCESS, ""),
    DENIED: (codes.SERIOUS_FAILURE, ""),
    CONSENTED: (codes.SUCCESS, "the owner lets it through"),
    REFUSED: (codes.SERIOUS_FAILURE, ""),
}


def access_event(into: Collected, scope: AuditedScope, entry: AccessEntry, history: History) -> Resource:
    """One entry about a share."""
    decided = entry.act != ASKED
    outcome, said = OUTCOMES[entry.act]
    if entry.reason:
        said = f"{entry.reason}: {REASONS.get(entry.reason, '')}".rstrip(": ")
    purposes = [codes.concept(one) for one in codes.PURPOSES.get(entry.purpose, ())]
    subtypes = [codes.DECISION] if decided else []
    if entry.purpose == EMERGENCY:
        subtypes.append(codes.EMERGENCY_OVERRIDE)
    subtypes.append(codes.coding(codes.ACT, entry.act, entry.act))
    content: Resource = {
        "type": codes.SECURITY_ALERT if decided else codes.QUERY,
        "subtype": subtypes,
        "action": "E",
        "recorded": instant(entry.time_ms),
        "outcome": outcome,
        "outcomeDesc": said,
        "purposeOfEvent": purposes,
        "agent": _agents(into, scope, entry, purposes),
        "source": {"observer": into.ledger, "type": [codes.SECURITY_SERVER]},
        "entity": _entities(into, scope, entry, history),
    }
    key = (scope.scope.hex(), str(entry.number))
    return into.put("AuditEvent", key, {name: value for name, value in content.items() if value})


def _agents(into: Collected, scope: AuditedScope, entry: AccessEntry, purposes: list[Resource]) -> list[Resource]:
    reader: Resource = {"type": codes.concept(codes.RECIPIENT), "who": into.institution(entry.reader), "requestor": True}
    agents = [{**reader, "purposeOfUse": purposes} if purposes else reader]
    if entry.act in (CONSENTED, REFUSED):
        agents.append({"type": codes.concept(codes.CONSENTER), "who": into.owner(scope), "requestor": False})
    elif entry.act != ASKED:
        agents.append({"type": codes.concept(codes.AUTHORISER), "who": into.ledger, "requestor": False})
    return agents


def _entities(into: Collected, scope: AuditedScope, entry: AccessEntry, history: History) -> list[Resource]:
    found: list[Resource] = [{"what": into.patient(scope), "type": codes.PERSON, "role": codes.PATIENT_ROLE}]
    if entry.rid is not None:
        record = into.reference("DocumentReference", entry.rid)
        found.append({"what": record, "type": codes.SYSTEM_OBJECT, "role": codes.DOMAIN_RESOURCE})
    consent = applied_consent(into, entry, history)
    if consent is not None:
        found.append({"what": consent, "type": codes.SYSTEM_OBJECT, "role": codes.SECURITY_RESOURCE})
    if entry.share is not None:
        share = {"identifier": identifier(codes.SHARE, entry.share.hex())}
        detail = [{"type": name, "valueString": value} for name, value in (("via", entry.via), ("reason", entry.reason)) if value]
        asked: Resource = {"what": share, "type": codes.SYSTEM_OBJECT, "description": "the request for this record"}
        found.append({**asked, "detail": detail} if detail else asked)
    found.append({"what": transaction(entry), "type": codes.SYSTEM_OBJECT})
    return found
