"""Consent: each sharing policy of a record, each delegation, and each of an owner's decisions on a request."""

from __future__ import annotations

from typing import Any

from salus.ledger.access_export import AuditedScope
from salus.ledger.kinds.sharing.access_log import CONSENTED, AccessEntry
from salus.ledger.kinds.sharing.messages.shares import EMERGENCY, VIA_EMERGENCY
from salus.terminal.audit.fhir import codes
from salus.terminal.audit.fhir.resources import Collected, Resource, days_of, identifier, instant
from salus.terminal.audit.history import DelegationStory, History, PolicySpan

POLICY: str = "policy"
DECISION: str = "decision"


def policy_key(span: PolicySpan) -> tuple[str, ...]:
    """What names the consent of a sharing policy."""
    return (POLICY, span.rid.hex(), span.since.tx_hash.hex())


def delegation_key(delegation: bytes) -> tuple[str, ...]:
    """What names the consent of a delegation."""
    return (delegation.hex(),)


def policy_consent(into: Collected, scope: AuditedScope, span: PolicySpan) -> Resource:
    """Whoever satisfies the policy may open the record, until it has another one or is erased."""
    provision = {
        "period": _period(span.since.time_ms, span.until.time_ms if span.until else 0),
        "actor": [_whoever(span.text)],
        "data": [_this(into, span.rid)],
    }
    named = identifier(codes.RECORD, span.rid.hex())
    content = _consent(into, scope, span.since, named, live=span.until is None, text=span.text, provision=provision)
    return into.put("Consent", policy_key(span), content)


def delegation_consent(into: Collected, scope: AuditedScope, story: DelegationStory) -> Resource:
    """Whoever satisfies the policy may have records of the scope transformed, until it ends or is revoked."""
    ends_ms = story.revoked.time_ms if story.revoked else story.expires_ms
    provision: Resource = {"period": _period(story.created.time_ms, ends_ms)}
    if story.policy is not None:
        provision["actor"] = [_whoever(story.policy)]
    if story.created.via == VIA_EMERGENCY:
        provision["purpose"] = list(codes.PURPOSES[EMERGENCY])
    named = identifier(codes.DELEGATION, story.id.hex())
    text = story.policy or ""
    live = story.revoked is None
    content = _consent(into, scope, story.created, named, live=live, text=text, provision=provision)
    if story.created.via == VIA_EMERGENCY:
        content["category"].append(codes.concept(codes.EMERGENCY_ONLY))
    return into.put("Consent", delegation_key(story.id), content)


def decision_consent(into: Collected, scope: AuditedScope, entry: AccessEntry, history: History) -> Resource:
    """The owner let a waiting request through, or refused it."""
    assert entry.share is not None
    permitted = entry.act == CONSENTED
    provision: Resource = {
        "period": _period(entry.time_ms, 0),
        "actor": [{"role": codes.concept(codes.RECIPIENT), "reference": into.institution(entry.reader)}],
        "purpose": list(codes.PURPOSES.get(entry.purpose, ())),
    }
    if entry.rid is not None:
        provision["data"] = [_this(into, entry.rid)]
    named = identifier(codes.SHARE, entry.share.hex())
    content = _consent(into, scope, entry, named, live=True, text="", provision=provision, permitted=permitted)
    if permitted and entry.delegation in history.delegations:
        content["sourceReference"] = {"reference": into.url("Consent", delegation_key(entry.delegation or b""))}
    return into.put("Consent", (DECISION, entry.share.hex()), content)


def applied_consent(into: Collected, entry: AccessEntry, history: History) -> Resource | None:
    """The consent that a request was decided by, if the log tells: of the delegation, or of the record's policy then."""
    if entry.delegation in history.delegations:
        return {"reference": into.url("Consent", delegation_key(entry.delegation or b""))}
    span = history.policy_at(entry.rid, entry.number) if entry.rid is not None and entry.via == POLICY else None
    return None if span is None else {"reference": into.url("Consent", policy_key(span))}


def _consent(
    into: Collected,
    scope: AuditedScope,
    entry: AccessEntry,
    named: Resource,
    *,
    live: bool,
    text: str,
    provision: Resource,
    permitted: bool = True,
) -> dict[str, Any]:
    rule = codes.OPT_IN if permitted else codes.OPT_OUT
    found: Resource = {"type": "permit" if permitted else "deny", **provision, "action": [codes.concept(codes.ACCESS)]}
    if scope.category:
        found["code"] = [codes.category(scope.category)]
    if (days := days_of(scope.period)) is not None:
        found["dataPeriod"] = days
    return {
        "identifier": [named],
        "status": "active" if live else "inactive",
        "scope": codes.concept(codes.PRIVACY),
        "category": [codes.concept(codes.DISCLOSURE)],
        "patient": into.patient(scope),
        "dateTime": instant(entry.time_ms),
        "performer": [into.owner(scope)],
        "policyRule": codes.concept(rule, text=text),
        "provision": {name: value for name, value in found.items() if value},
    }


def _period(start_ms: int, end_ms: int) -> Resource:
    found = {"start": instant(start_ms)}
    return {**found, "end": instant(end_ms)} if end_ms else found


def _whoever(policy: str) -> Resource:
    """Whoever satisfies a policy: nobody by name, so a logical reference by the policy's text."""
    reference = {"identifier": identifier(codes.POLICY, policy), "display": f"institutions that satisfy {policy}"}
    return {"role": codes.concept(codes.RECIPIENT), "reference": reference}


def _this(into: Collected, rid: bytes) -> Resource:
    return {"meaning": "instance", "reference": into.reference("DocumentReference", rid)}
