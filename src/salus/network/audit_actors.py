"""What owners and institutions learn of the access to records, and hand to auditors, as commands with plain values."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from salus.consultation.registration import INSTITUTION
from salus.errors import refuse_unless
from salus.files import write_atomic
from salus.ledger.access_export import AccessExport, AuditedAccess, AuditedScope, encode_access_export, verify_access_export
from salus.ledger.kinds.sharing.access_log import ACTS, AccessEntry
from salus.network.sharing_actors import OwnerCommands
from salus.terminal.audit.exporting import Auditing, Exported
from salus.terminal.audit.fhir.bundle import make_bundle
from salus.terminal.audit.history import history_of
from salus.terminal.sharing.entries import DelegationEntry, RecordEntry

Result = dict[str, Any]


class AuditCommands(OwnerCommands):
    """An owner, or an institution, looks at access logs."""

    @cached_property
    def _auditing(self) -> Auditing:
        return Auditing(self._desk.nodes, self._desk.scopes)

    def access_log(self, record: str = "", category: str = "", period: str = "", act: str = "") -> Result:
        """The complete access log of every scope of this wallet, verified as an auditor verifies an export of it; and an
        institution's own requests for others' records.

        :param record: id, or enough of its beginning: only entries about it. :param act: only entries of this act.
        """
        refuse_unless(act in ("", *ACTS), "bad-encoding", f"{act} is none of {', '.join(ACTS)}")
        only = self._narrowed(record, category, period)
        owned = self._auditing.scopes(only.category, only.period)
        audited = self._auditing.verified(only.category, only.period).scopes if owned else ()
        entries = [
            shown_entry(scope, entry) | self._known(entry)
            for scope in audited
            for entry in scope.entries
            if act in ("", entry.act) and only.rid in (None, entry.rid)
        ]
        scopes = [shown_scope(scope) for scope in audited]
        return {"entries": entries, "scopes": scopes, "complete": True, "shares": [] if record else self._own_requests(act)}

    def export_access(self, file: str, record: str = "", category: str = "", period: str = "") -> Result:
        """Write access logs with their proofs into one file, after verifying it."""
        exported, audited = self._exported(record, category, period)
        data = encode_access_export(exported.export)
        write_atomic(Path(file), data)
        return {"file": file, "bytes": len(data), **shown_audit(audited), "transactions_left_out": exported.left_out}

    def export_fhir(self, file: str, record: str = "", category: str = "", period: str = "") -> Result:
        """Write access logs as a FHIR R4 Bundle, made of the proven logs alone."""
        return write_bundle(self._exported(record, category, period)[1], file)

    def _exported(self, record: str, category: str, period: str) -> tuple[Exported, AuditedAccess]:
        only = self._narrowed(record, category, period)
        exported = self._auditing.fetch(only.category, only.period)
        # what the auditor will read is what is verified: the bytes
        export = AccessExport.decode(encode_access_export(exported.export))
        return exported, verify_access_export(export, self._around.ledger.network)

    def _narrowed(self, record: str, category: str, period: str) -> _Narrowed:
        if not record:
            return _Narrowed(None, category, period)
        entry = self._desk.owner.entry(self._rid(record))
        return _Narrowed(entry.rid, entry.category, entry.period)

    def _known(self, entry: AccessEntry) -> Result:
        """What this terminal calls the record, and whom the delegation is for: no entry says so."""
        rid, delegation, shelf = entry.rid, entry.delegation, self._desk.shelf
        record = shelf.get(f"record-{rid.hex()}", RecordEntry) if rid is not None else None
        made = shelf.get(f"delegation-{delegation.hex()}", DelegationEntry) if delegation is not None else None
        return {"file_name": record.file_name if record is not None else "", "policy": made.policy if made is not None else ""}

    def _own_requests(self, act: str) -> list[Result]:
        if self._wallet.content.role != INSTITUTION:
            return []
        return [
            {
                "share": raw.hex(), "rid": share.rid.hex(), "purpose": share.purpose, "emergency": bool(share.emergency),
                "status": share.status, "via": share.via, "reason": share.reason, "asked_ms": share.asked_ms,
                "decided_ms": share.decided_ms,
            }
            for raw, share in self._auditing.asked_by(self._wallet.content.name)
            if act in ("", share.status)
        ]  # fmt: skip


class _Narrowed:
    """What a person asked for: a record, or a category and period; empty for any."""

    def __init__(self, rid: bytes | None, category: str, period: str) -> None:
        self.rid = rid
        self.category = category
        self.period = period


def write_bundle(audited: AuditedAccess, file: str) -> Result:
    """Write proven access logs as a FHIR R4 Bundle."""
    made = make_bundle(audited)
    data = made.to_json()
    write_atomic(Path(file), data)
    counts, entries = dict(sorted(made.counts.items())), sum(len(scope.entries) for scope in audited.scopes)
    return {"file": file, "bytes": len(data), "resources": counts, "entries": entries, "policies_unknown": made.unknown}


def shown_audit(audited: AuditedAccess) -> Result:
    """What was verified of a file, without the entries."""
    scopes = [shown_scope(scope) for scope in audited.scopes]
    return {"network": audited.network.hex(), "scopes": scopes, "entries": sum(scope["entries"] for scope in scopes)}


def listed_entries(audited: AuditedAccess) -> list[Result]:
    """Every entry of a file, with the policies that its transactions give.

    :raises Refused: ``bad-evidence`` if a transaction is not what its entry says.
    """
    listed = []
    for scope in audited.scopes:
        history = history_of(scope, audited.transactions)
        policies = {span.since.number: span.text for span in history.spans()}
        policies |= {d.created.number: d.policy for d in history.delegations.values() if d.policy is not None}
        listed += [shown_entry(scope, entry) | {"policy": policies.get(entry.number, "")} for entry in scope.entries]
    return listed


def shown_scope(scope: AuditedScope) -> Result:
    """One scope whose log is complete."""
    return {
        "scope": scope.scope.hex(),
        "category": scope.category,
        "period": scope.period,
        "institution": scope.institution,
        "entries": len(scope.entries),
        "as_of_ms": scope.as_of_ms,
        "height": scope.height,
    }


def shown_entry(scope: AuditedScope, entry: AccessEntry) -> Result:
    """One entry of a log."""
    return {
        "scope": entry.scope.hex(), "category": scope.category, "period": scope.period, "number": entry.number,
        "act": entry.act, "reader": entry.reader, "via": entry.via, "purpose": entry.purpose, "reason": entry.reason,
        "rid": entry.rid.hex() if entry.rid else None, "share": entry.share.hex() if entry.share else None,
        "delegation": entry.delegation.hex() if entry.delegation else None, "tx": entry.tx_hash.hex(),
        "height": entry.height, "time_ms": entry.time_ms,
    }  # fmt: skip
