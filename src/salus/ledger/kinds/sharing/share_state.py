"""Requests to share and shares as the state holds them, and the one rule that decides them.

:func:`decide` is what check nodes sign, what every replica computes for itself, and what is looked at again before a grant and
before a body is served. Steps: docs/protocol/sharing-ledger.md, "shares".
"""

from __future__ import annotations

from typing import Annotated, Final

from salus import labels
from salus.abpre.capsules import CapsuleMessage, take_unchecked
from salus.abpre.threshold.partials import ShareTarget, make_target
from salus.codec import Bytes16, Bytes32, Label, Message, Name, Size
from salus.consultation.registration import INSTITUTION
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing.attributes import is_suspended, satisfies
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.kinds.sharing.delegations import Delegation, delegation_points, find_delegation, live_delegation
from salus.ledger.kinds.sharing.messages.shares import (
    ITEMS_MAX,
    VIA_DELEGATION,
    VIA_EMERGENCY,
    VIA_POLICY,
    WAITING,
    QuestionSummary,
)
from salus.ledger.kinds.sharing.records import CAPSULES, RECORDS, Record, find_record, record_aad, sharing_policy
from salus.ledger.kinds.sharing.scope_keys import SUITE
from salus.ledger.signatures import decoded_capsule
from salus.ledger.state import StateView, Table
from salus.symmetric import h2

ASKED: Final = "asked"
APPROVED: Final = "approved"
GRANTED: Final = "granted"
DENIED: Final = "denied"
LET_THROUGH: Final = (VIA_POLICY, VIA_DELEGATION, VIA_EMERGENCY)


class Share(Message, frozen=True):
    """One record asked for by one institution.

    :ivar request: hash of the request's transaction. :ivar number: place in it. :ivar scope: x of the record.
    :ivar emergency: 1 if the owner has to see it at once. :ivar delegation: through which, or None.
    :ivar status: ``asked``, ``waiting`` (for the owner), ``approved`` (nodes transform), ``granted``, ``denied``.
    :ivar via: ``policy``, ``delegation``, ``emergency`` once it is let through. :ivar reason: of a denial.
    :ivar decided_ms: of the last change. :ivar granted_ms: 0 before. :ivar grant: hash of the transaction that granted.
    """

    KIND = "state.share"
    request: Bytes32
    number: int
    rid: Bytes16
    scope: Bytes32
    institution: Name
    purpose: Label
    emergency: int
    Er: Bytes32
    delegation: Bytes32 | None
    status: Label
    via: Annotated[str, Size(0, 64)]
    reason: Annotated[str, Size(0, 64)]
    asked_ms: int
    decided_ms: int
    granted_ms: int
    grant: Bytes32 | None


class ShareAsked(Message, frozen=True):
    """A committed request.

    :ivar Er: one-time key that answers are sealed to.
    :ivar outcomes: one for each item, computed when it was committed; what a check node's verdict must say.
    :ivar judged_by: the check node, empty before. :ivar height, time_ms: of its block.
    """

    KIND = "state.share-request"
    institution: Name
    purpose: Label
    question: QuestionSummary | None
    Er: Bytes32
    items: int
    outcomes: Annotated[tuple[Label, ...], Size(1, ITEMS_MAX)]
    epoch: int
    height: int
    time_ms: int
    judged_by: Annotated[str, Size(0, 128)]


SHARES: Final = Table("share", Share)
"""Raw key: :func:`share_id`."""
SHARE_REQUESTS: Final = Table("share-request", ShareAsked)
"""Raw key: hash of the transaction."""


def share_id(network: bytes, request: bytes, number: int) -> bytes:
    """Id of the share of a request's item, 32 bytes."""
    return h2(labels.SHARE, SUITE, network, request, number)


def find_share(view: StateView, share: bytes) -> Share:
    """A share.

    :raises Refused: ``unknown-share``.
    """
    found = SHARES.get(view, share)
    if found is None:
        raise Refused("unknown-share", share.hex())
    return found


def decide(view: StateView, time_ms: int, institution: str, record: Record, delegation: bytes | None, *, emergency: bool) -> str:
    """What becomes of a request for a record (shares, step 2): a way through, ``waiting``, or a reason code.

    1. An erased record is not shared, and nothing with an institution that is revoked or suspended.
    2. Through a delegation: it is live, of the record's scope, and the institution's live attributes satisfy its policy; one
       that is for emergencies takes a reason.
    3. Without one: the institution's live attributes satisfy the record's own policy; else the owner is asked.

    :param delegation: id, or None. :param emergency: whether a reason was given.
    """
    try:
        refuse_unless(record.erased_ms == 0, "record-erased")
        live_party(view, INSTITUTION, institution)
        refuse_unless(not is_suspended(view, institution), "suspended")
        if delegation is not None:
            return _through(view, time_ms, institution, record, live_delegation(view, delegation, time_ms), emergency)
    except Refused as refused:
        return refused.reason
    policy = sharing_policy(CAPSULES.need(view, record.rid))
    by_policy = policy is not None and satisfies(view, institution, policy, time_ms)
    return VIA_POLICY if by_policy else WAITING


def _through(view: StateView, time_ms: int, institution: str, record: Record, delegation: Delegation, emergency: bool) -> str:
    refuse_unless(delegation.scope == record.scope, "wrong-scope")
    refuse_unless(satisfies(view, institution, delegation.policy(), time_ms), "unsatisfied")
    if not delegation.is_emergency():
        return VIA_DELEGATION
    refuse_unless(emergency, "bad-purpose")
    return VIA_EMERGENCY


def closes_ms(view: StateView, share: Share) -> int:
    """Until when an open share may be consented to, refused or granted."""
    return share.asked_ms + sharing_constants(view).request_ms


def decide_again(view: StateView, share: Share, time_ms: int) -> str:
    """:func:`decide` for a share as it stands now; by its own delegation, if it has one."""
    record = RECORDS.need(view, share.rid)
    return decide(view, time_ms, share.institution, record, share.delegation, emergency=bool(share.emergency))


def transformable(view: StateView, network: bytes, share: bytes, epoch: int, time_ms: int) -> ShareTarget:
    """What a node transforms for an approved or granted share (shares, step 6).

    :raises Refused: ``unknown-share``, ``not-granted``, or why it is not let through any more.
    """
    found = find_share(view, share)
    open_to = found.status in (APPROVED, GRANTED) and found.delegation is not None
    refuse_unless(open_to, "not-granted", f"the share is {found.status}")
    outcome = decide_again(view, found, time_ms)
    if outcome not in LET_THROUGH:
        raise Refused("not-granted" if outcome == WAITING else outcome)
    if found.status == GRANTED:
        _check_fresh(view, found, time_ms)
    else:
        refuse_unless(time_ms < closes_ms(view, found), "expired", "the request is closed")
    return target_of(view, network, share, epoch)


def target_of(view: StateView, network: bytes, share: bytes, epoch: int) -> ShareTarget:
    """The share, delegation and present capsule that partials are about, without asking whether they may be made.

    :raises Refused: ``unknown-share``, ``not-granted``, ``record-erased``, ``unknown-delegation``.
    """
    record = find_record(view, find_share(view, share).rid)
    return shown_target(view, network, share, epoch, CAPSULES.need(view, record.rid))


def shown_target(view: StateView, network: bytes, share: bytes, epoch: int, capsule: CapsuleMessage) -> ShareTarget:
    """:func:`target_of` with a capsule that somebody shows: the record may have another one by now, or be erased.

    Its digest is what a node's signature names; an honest node signs for the ledger's capsule of that time alone.

    :raises Refused: ``unknown-share``, ``not-granted``, ``unknown-delegation``, ``bad-point``, ``bad-policy``.
    """
    found = find_share(view, share)
    if found.delegation is None:
        raise Refused("not-granted", "the share is by policy")
    delegation = delegation_points(network, find_delegation(view, found.delegation).sealed)
    taken = take_unchecked(decoded_capsule(capsule), record_aad(network, found.rid, found.scope))
    return make_target(network, epoch, share, delegation, taken, found.Er)


def check_servable(view: StateView, share: bytes, reader: str, rid: bytes, time_ms: int) -> Share:
    """Whether a gateway may serve a record's body to a reader (shares, step 9): only against a committed, fresh grant.

    :raises Refused: ``unknown-share``, ``not-granted``, ``record-erased``, ``suspended``, ``revoked``, ``delegation-revoked``,
        ``delegation-expired``.
    """
    found = find_share(view, share)
    named = found.status == GRANTED and (found.institution, found.rid) == (reader, rid)
    refuse_unless(named, "not-granted", "there is no grant to this reader for this record")
    _check_fresh(view, found, time_ms)
    find_record(view, rid)
    live_party(view, INSTITUTION, reader)
    refuse_unless(not is_suspended(view, reader), "suspended", reader)
    if found.delegation is not None:  # a reader who has the key, but not yet the body, is too late
        live_delegation(view, found.delegation, time_ms)
    return found


def _check_fresh(view: StateView, share: Share, time_ms: int) -> None:
    ends_ms = share.granted_ms + sharing_constants(view).grant_ms
    refuse_unless(time_ms < ends_ms, "not-granted", f"the grant ended at {ends_ms}; ask again")
