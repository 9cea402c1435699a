"""The Bundle: every entry of the logs as at least one resource, every reference inside it resolved, the same bytes each time."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec

from salus.errors import SalusError
from salus.ledger.access_export import AuditedAccess, AuditedScope
from salus.ledger.kinds.sharing.access_log import CONSENTED, OF_SHARES, REFUSED
from salus.terminal.audit.fhir import codes
from salus.terminal.audit.fhir.consents import decision_consent, delegation_consent, policy_consent
from salus.terminal.audit.fhir.events import access_event
from salus.terminal.audit.fhir.provenances import provenance
from salus.terminal.audit.fhir.resources import Collected, Resource, identifier, instant
from salus.terminal.audit.history import History, history_of


class Made(msgspec.Struct, frozen=True):
    """A bundle. :ivar counts: resources by type. :ivar unknown: entries whose policy is not known any more."""

    bundle: Resource
    counts: dict[str, int]
    unknown: int

    def to_json(self) -> bytes:
        """The file's bytes."""
        return json.dumps(self.bundle, ensure_ascii=False, indent=1).encode() + b"\n"


def make_bundle(access: AuditedAccess) -> Made:
    """Write proven access logs as a FHIR R4 Bundle, validated.

    Ids, order and times come from the logs alone, so that two exports of the same logs are equal.

    :raises Refused: ``bad-evidence`` if a transaction is not what its entry says.
    """
    into, unknown, newest_ms = Collected(access), 0, 0
    for scope in access.scopes:
        history = history_of(scope, access.transactions)
        unknown += history.unknown
        _put_scope(into, scope, history)
        newest_ms = max([newest_ms, scope.opened_ms, *(entry.time_ms for entry in scope.entries)])
    key = tuple(sorted(f"{scope.scope.hex()}:{len(scope.entries)}" for scope in access.scopes))
    bundle: Resource = {
        "resourceType": "Bundle",
        "id": into.url("Bundle", key).removeprefix("urn:uuid:"),
        "identifier": identifier(codes.NETWORK, access.network.hex()),
        "type": "collection",
        "timestamp": instant(newest_ms),
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in into.resources.items()],
    }
    validate(bundle)
    return Made(bundle, dict(Counter(r["resourceType"] for r in into.resources.values())), unknown)


def validate(bundle: dict[str, Any]) -> None:
    """Check a bundle against the R4B models of ``fhir.resources``.

    :raises SalusError: a fault of this program: nothing is written then.
    """
    from fhir.resources.R4B.bundle import Bundle
    from pydantic import ValidationError

    try:
        Bundle.model_validate(bundle)
    except ValidationError as error:
        raise SalusError(f"the bundle is not valid FHIR: {error.errors()[0]['msg']}") from None


def _put_scope(into: Collected, scope: AuditedScope, history: History) -> None:
    into.patient(scope)
    into.owner(scope)
    for story in history.records.values():
        into.record(scope, story, history.supersedes.get(story.rid))
    for span in history.spans():
        policy_consent(into, scope, span)
    for delegation in history.delegations.values():
        delegation_consent(into, scope, delegation)
    for entry in scope.entries:
        if entry.act in OF_SHARES:
            access_event(into, scope, entry, history)
            if entry.act in (CONSENTED, REFUSED):
                decision_consent(into, scope, entry, history)
        else:
            provenance(into, scope, entry, history)
