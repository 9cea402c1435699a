"""What every resource of a bundle is made of: ids, times, references; and the parties and records that others refer to."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

from salus.abpre.attributes import own_attribute
from salus.errors import Refused
from salus.ledger.access_export import AuditedAccess, AuditedScope
from salus.ledger.kinds.sharing.access_log import AccessEntry
from salus.records.scope import check_period
from salus.terminal.audit.fhir import codes
from salus.terminal.audit.history import RecordStory

Resource = dict[str, Any]


def instant(time_ms: int) -> str:
    """Block time as a FHIR instant, UTC with milliseconds."""
    whole = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def days_of(period: str) -> Resource | None:
    """First and last day of a quarter, as a Period; None if a scope is for a whole category, or its owner did not say."""
    try:
        check_period(period)
    except Refused:
        return None
    year, quarter = int(period[:4]), int(period[5])
    after = date(year + quarter // 4, quarter % 4 * 3 + 1, 1)
    return {"start": f"{year:04}-{3 * quarter - 2:02}-01", "end": date.fromordinal(after.toordinal() - 1).isoformat()}


def identifier(system: str, value: str) -> Resource:
    """An Identifier."""
    return {"system": system, "value": value}


class Collected:
    """Resources of one bundle, in the order in which they were first put in; each once.

    :ivar resources: by full URL.
    """

    def __init__(self, access: AuditedAccess) -> None:
        self._namespace = uuid.UUID(bytes=access.network[:16])
        self.resources: dict[str, Resource] = {}
        self.ledger = self.put(
            "Device",
            ("ledger",),
            {
                "identifier": [identifier(codes.NETWORK, access.network.hex())],
                "deviceName": [{"name": f"ledger of {access.chain}", "type": "user-friendly-name"}],
            },
        )

    def url(self, kind: str, key: tuple[str, ...]) -> str:
        """Full URL of a resource. The id depends on network and key alone (RFC 9562, version 5): two exports agree."""
        return uuid.uuid5(self._namespace, "/".join((kind, *key))).urn

    def put(self, kind: str, key: tuple[str, ...], content: Resource) -> Resource:
        """Put a resource in, unless it is; returns a reference to it."""
        url = self.url(kind, key)
        if url not in self.resources:
            self.resources[url] = {"resourceType": kind, "id": url.removeprefix("urn:uuid:"), **content}
        return {"reference": url}

    # --- those that others refer to ---

    def patient(self, scope: AuditedScope) -> Resource:
        """Whose records a scope's are: a pseudonym, which nobody links with another scope's."""
        content = {
            "meta": {"security": [codes.PSEUDONYM]},
            "identifier": [identifier(codes.SCOPE, own_attribute(scope.scope))],
        }
        return self.put("Patient", (scope.scope.hex(),), content)

    def owner(self, scope: AuditedScope) -> Resource:
        """Who signs for a scope: an institution by name, else the pseudonym."""
        return self.institution(scope.institution) if scope.institution else self.patient(scope)

    def institution(self, name: str) -> Resource:
        """An institution."""
        return self.put("Organization", (name,), {"identifier": [identifier(codes.INSTITUTION, name)], "name": name})

    def record(self, scope: AuditedScope, story: RecordStory, supersedes: bytes | None) -> Resource:
        """A record: what the ledger knows of it. Its content, name and type are sealed."""
        gone = story.erased or story.superseded
        content: Resource = {
            "masterIdentifier": identifier(codes.RECORD, story.rid.hex()),
            "status": "superseded" if gone else "current",
            "category": [codes.category(scope.category)] if scope.category else [],
            "subject": self.patient(scope),
            "date": instant(story.put.time_ms) if story.put else "",
            "author": [self.owner(scope)],
            "relatesTo": [{"code": "replaces", "target": self.reference("DocumentReference", supersedes)}] if supersedes else [],
            "description": "erased; a tombstone is left" if story.erased else "",
            "content": [{"attachment": {"url": uuid.UUID(bytes=story.rid).urn}}],
        }
        return self.put("DocumentReference", (story.rid.hex(),), {k: v for k, v in content.items() if v})

    def reference(self, kind: str, raw: bytes) -> Resource:
        """A reference to a resource that is named by an id of the ledger, and is put in before or after."""
        return {"reference": self.url(kind, (raw.hex(),))}


def transaction(entry: AccessEntry) -> Resource:
    """The transaction that did what an entry says, as a logical reference."""
    where = f"transaction of block {entry.height}, entry {entry.number} of the scope's log"
    return {"identifier": identifier(codes.TRANSACTION, entry.tx_hash.hex()), "display": where}
