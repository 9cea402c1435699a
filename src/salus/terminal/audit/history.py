"""What became of each record and delegation of a scope, read from its proven log and the transactions that entries name."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from salus.abpre.language import parse_canonical
from salus.abpre.policy import split_record_policy
from salus.errors import refuse_unless
from salus.ledger.access_export import AuditedScope
from salus.ledger.kinds.all import REGISTRY
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
from salus.ledger.kinds.sharing.messages.delegations import DelegationCreation
from salus.ledger.kinds.sharing.messages.records import RecordPut, RecordRepolicy, RecordRotate


class PolicySpan(msgspec.Struct):
    """A sharing policy of a record while it stood.

    :ivar text: empty: the owner alone. :ivar since, until: entries that began and ended it.
    """

    rid: bytes
    text: str
    since: AccessEntry
    until: AccessEntry | None = None

    def covers(self, number: int) -> bool:
        """Whether it stood when entry ``number`` was made."""
        return self.since.number <= number and (self.until is None or number < self.until.number)


class RecordStory(msgspec.Struct):
    """A record. :ivar put: None if the log does not tell. :ivar superseded, erased: the entries that did it."""

    rid: bytes
    put: AccessEntry | None = None
    superseded: AccessEntry | None = None
    erased: AccessEntry | None = None


class DelegationStory(msgspec.Struct):
    """A delegation. :ivar policy: None, and :ivar expires_ms: 0, if its transaction is not kept any more."""

    id: bytes
    created: AccessEntry
    policy: str | None
    expires_ms: int
    revoked: AccessEntry | None = None


class History(msgspec.Struct):
    """A scope's stories, each in the order of the log.

    :ivar policies: of each record by its rid. :ivar supersedes: rid of the older record by that of the newer.
    :ivar unknown: entries whose policy is not known any more.
    """

    records: dict[bytes, RecordStory] = msgspec.field(default_factory=dict)
    policies: dict[bytes, list[PolicySpan]] = msgspec.field(default_factory=dict)
    delegations: dict[bytes, DelegationStory] = msgspec.field(default_factory=dict)
    supersedes: dict[bytes, bytes] = msgspec.field(default_factory=dict)
    unknown: int = 0

    def policy_at(self, rid: bytes, number: int) -> PolicySpan | None:
        """The sharing policy that a record had when entry ``number`` was made; None if it had none, or it is not known."""
        return next((span for span in self.policies.get(rid, ()) if span.covers(number)), None)

    def spans(self) -> list[PolicySpan]:
        """All sharing policies, record by record."""
        return [span for spans in self.policies.values() for span in spans]


def history_of(scope: AuditedScope, transactions: Mapping[bytes, bytes]) -> History:
    """Read a scope's log.

    :raises Refused: ``bad-evidence`` if a transaction is not about what its entry says.
    """
    history = History()
    put_by: dict[bytes, bytes] = {}
    for entry in scope.entries:
        if entry.rid is not None:
            _follow_record(history, entry, entry.rid, transactions, put_by)
        if entry.delegation is not None:
            _follow_delegation(history, entry, entry.delegation, transactions)
    return history


def _follow_record(
    history: History, entry: AccessEntry, rid: bytes, transactions: Mapping[bytes, bytes], put_by: dict[bytes, bytes]
) -> None:
    story = history.records.setdefault(rid, RecordStory(rid))
    if entry.act == PUT:
        story.put = entry
        put_by[entry.tx_hash] = rid
    elif entry.act == SUPERSEDED:
        story.superseded = entry
        if entry.tx_hash in put_by:
            history.supersedes[put_by[entry.tx_hash]] = rid
    elif entry.act == ERASED:
        story.erased = entry
    if entry.act in (PUT, REPOLICIED, ROTATED):
        _change_policy(history, entry, rid, _policy_of(transactions.get(entry.tx_hash), rid))
    elif entry.act == ERASED:
        _change_policy(history, entry, rid, "")


def _change_policy(history: History, entry: AccessEntry, rid: bytes, text: str | None) -> None:
    """A record's policy is ``text`` from this entry on; None: it is not known."""
    now = history.policy_at(rid, entry.number)
    if now is not None and now.text == text:
        return
    if now is not None:
        now.until = entry
    if text is None:
        history.unknown += 1
    elif text:
        history.policies.setdefault(rid, []).append(PolicySpan(rid, text, entry))


def _policy_of(raw: bytes | None, rid: bytes) -> str | None:
    if raw is None:
        return None
    message = REGISTRY.decode(raw).message
    known = isinstance(message, RecordPut | RecordRotate | RecordRepolicy) and message.rid == rid
    refuse_unless(known, "bad-evidence", "the transaction of an entry is about something else")
    capsule = message.capsule if isinstance(message, RecordRepolicy) else message.content.capsule
    sharing = split_record_policy(parse_canonical(capsule.policy))[1]
    return sharing.text if sharing is not None else ""


def _follow_delegation(history: History, entry: AccessEntry, id_: bytes, transactions: Mapping[bytes, bytes]) -> None:
    if entry.act == REVOKED and id_ in history.delegations:
        history.delegations[id_].revoked = entry
    if entry.act != DELEGATED:
        return
    raw = transactions.get(entry.tx_hash)
    if raw is None:
        history.unknown += 1
        history.delegations[id_] = DelegationStory(id_, entry, None, 0)
        return
    message = REGISTRY.decode(raw).message
    known = isinstance(message, DelegationCreation) and message.sealed.delegation == id_
    refuse_unless(known, "bad-evidence", "the transaction of an entry is about something else")
    history.delegations[id_] = DelegationStory(id_, entry, message.sealed.rk4.policy, message.sealed.expires_ms)
