"""Who may open a record, through what, and what stands in the way, from the ledger alone.

Everything here is public: policies, grants of attributes, delegations, suspensions.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from salus.abpre.attributes import own_attribute, year_of
from salus.abpre.explain import explain
from salus.abpre.policy import Policy
from salus.consultation.registration import INSTITUTION
from salus.errors import Refused
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.attributes import HOLDINGS, holds, is_suspended
from salus.ledger.kinds.sharing.delegations import DELEGATIONS, Delegation
from salus.ledger.kinds.sharing.records import RECORDS, Record, capsule_of, find_record, sharing_policy
from salus.ledger.kinds.sharing.share_state import LET_THROUGH, decide
from salus.ledger.state import StateView

CANDIDATES_MAX: Final = 4096
"""Newest delegations of a scope that are looked at for one that lets this reader through."""
OBSTACLES_MAX: Final = 16
"""Ways that are explained to a reader who gets in by none: by policy, and the newest delegations."""
POLICY: Final = "policy"
DELEGATION: Final = "delegation"
STANDING: Final = "standing"


class Obstacle(msgspec.Struct, frozen=True):
    """Why one way to a record is closed.

    :ivar way: ``standing`` (of the institution itself, or of the record), ``policy`` or ``delegation``.
    :ivar reason: a code of :data:`salus.errors.REASONS`. :ivar delegation: its id, for that way.
    :ivar missing: attributes that would open it. :ivar remarks: what is known of each, e.g. that its grant has expired.
    """

    way: str
    reason: str
    delegation: bytes | None = None
    missing: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def delegations_of(view: StateView, scope: bytes) -> list[tuple[bytes, Delegation]]:
    """The newest delegations of a scope, with their ids, the newest first."""
    count = lists.length(view, lists.SCOPE_DELEGATIONS, scope)
    found: list[tuple[bytes, Delegation]] = []
    for name in lists.items(view, lists.SCOPE_DELEGATIONS, scope, max(0, count - CANDIDATES_MAX), count):
        record = DELEGATIONS.get(view, name)
        if record is not None:
            found.append((name, record))
    return found[::-1]


def access_of(view: StateView, institution: str, rid: bytes, time_ms: int) -> dict[str, Any]:
    """Who may open a record, as one institution: by policy, through which delegations, or what is missing.

    :raises Refused: ``unknown-record``, ``record-erased``.
    """
    record = find_record(view, rid)
    policy = sharing_policy_of(view, record.rid)
    held = holds(view, institution, policy.attributes, time_ms) if policy is not None else set()
    ways = []
    for name, delegation in delegations_of(view, record.scope):
        outcome = decide(view, time_ms, institution, record, name, emergency=delegation.is_emergency())
        wanted = delegation.policy()
        found = explain(wanted, holds(view, institution, wanted.attributes, time_ms))
        ways.append((name, delegation, outcome, found))
    return {
        "scope": own_attribute(record.scope),
        "policy": policy,
        "by_policy": None if policy is None else explain(policy, held),
        "outcome": decide(view, time_ms, institution, record, None, emergency=False),
        "ways": ways,
    }


def obstacles(
    view: StateView, institution: str, rid: bytes, time_ms: int, *, emergency: bool, through: bytes | None = None
) -> tuple[Obstacle, ...]:
    """What stands between an institution and a record: one obstacle a way; none if one of the ways is open.

    :param emergency: whether a reason for an emergency is given. :param through: this delegation alone.
    """
    record = RECORDS.need(view, rid)
    standing = _standing(view, institution, record)
    if standing:
        return (Obstacle(STANDING, standing),)
    found: list[Obstacle] = []
    policy = sharing_policy_of(view, rid) if through is None else None
    if policy is not None:
        if decide(view, time_ms, institution, record, None, emergency=False) in LET_THROUGH:
            return ()
        found.append(_unsatisfied(view, institution, policy, time_ms, Obstacle(POLICY, "unsatisfied")))
    ways = delegations_of(view, record.scope)[:OBSTACLES_MAX] if through is None else [(through, DELEGATIONS.get(view, through))]
    for name, delegation in ways:
        outcome = decide(view, time_ms, institution, record, name, emergency=emergency)
        if outcome in LET_THROUGH:
            return ()
        closed = Obstacle(DELEGATION, outcome, name)
        if outcome == "unsatisfied" and delegation is not None:
            closed = _unsatisfied(view, institution, delegation.policy(), time_ms, closed)
        found.append(closed)
    return tuple(found)


def sharing_policy_of(view: StateView, rid: bytes) -> Policy | None:
    """The sharing policy of a record that is not erased."""
    return sharing_policy(capsule_of(view, rid))


def told(obstacle: Obstacle) -> str:
    """An obstacle for people."""
    way = {STANDING: "no way is open", POLICY: "by policy"}.get(obstacle.way, "")
    if obstacle.delegation is not None:
        way = f"by delegation {obstacle.delegation.hex()[:16]}"
    missing = f", missing {', '.join(obstacle.missing)}" if obstacle.missing else ""
    remarks = f" ({'; '.join(obstacle.remarks)})" if obstacle.remarks else ""
    return f"{way}: {obstacle.reason}{missing}{remarks}"


def _standing(view: StateView, institution: str, record: Record) -> str:
    """What closes every way at once; empty if nothing does."""
    if record.erased_ms:
        return "record-erased"
    try:
        live_party(view, INSTITUTION, institution)
    except Refused as refused:
        return refused.reason
    return "suspended" if is_suspended(view, institution) else ""


def _unsatisfied(view: StateView, institution: str, policy: Policy, time_ms: int, closed: Obstacle) -> Obstacle:
    missing = explain(policy, holds(view, institution, policy.attributes, time_ms)).missing
    remarks = (_remark(view, institution, attribute, time_ms) for attribute in missing)
    return msgspec.structs.replace(closed, missing=missing, remarks=tuple(remark for remark in remarks if remark))


def _remark(view: StateView, institution: str, attribute: str, time_ms: int) -> str:
    """What the ledger knows of an attribute that is not held: a grant that has expired, or is for other years."""
    holding = HOLDINGS.get(view, institution.encode())
    atom, year = attribute.partition("@")[0], year_of(attribute)
    grants = [] if holding is None else [h for h in holding.held if h.atom == atom]
    for grant in grants:
        if year is None or grant.first_year <= year <= grant.last_year:
            return f"the grant of {attribute} has expired" if time_ms >= grant.expires_ms else ""
    if grants:
        years = ", ".join(f"{g.first_year}-{g.last_year}" if g.first_year else "no year" for g in grants)
        return f"{atom} is granted for {years}, not for {year}"
    return ""
