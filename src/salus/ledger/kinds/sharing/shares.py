"""Shares on the ledger: asked for, judged, granted, denied, consented to or refused; every act is in the scope's access log.

Steps: docs/protocol/sharing-ledger.md, "shares".
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from msgspec.structs import replace

from salus import labels
from salus.abpre.threshold.box import Box, check_box, open_box, seal_box
from salus.abpre.threshold.committee import context as box_context
from salus.abpre.threshold.partials import PartialClaim
from salus.consultation.registration import INSTITUTION
from salus.consultation.registration import SUITE as MEMBER_SUITE
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import decode_point
from salus.ledger.expiry import NEVER_MS, expiring, live
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing import access_log, limits, lists
from salus.ledger.kinds.sharing.attributes import counts, is_suspended
from salus.ledger.kinds.sharing.check_nodes import check_nodes, check_order, require_check_node
from salus.ledger.kinds.sharing.claims import member_claim, scope_claim, serving_node
from salus.ledger.kinds.sharing.committee_state import accepted_epoch, committee_of, current_epoch
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, sharing_constants
from salus.ledger.kinds.sharing.keys import ONE_TIME_BOX_KEY, box_key_of
from salus.ledger.kinds.sharing.messages.shares import (
    EMERGENCY,
    PURPOSES,
    VALID,
    VIA_POLICY,
    WAITING,
    CheckVerdict,
    ShareConsent,
    ShareDenial,
    ShareGrant,
    ShareItem,
    ShareRefusal,
    ShareRequest,
)
from salus.ledger.kinds.sharing.records import RECORDS, Record
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.kinds.sharing.share_state import (
    APPROVED,
    ASKED,
    DENIED,
    GRANTED,
    LET_THROUGH,
    SHARE_REQUESTS,
    SHARES,
    Share,
    ShareAsked,
    closes_ms,
    decide,
    decide_again,
    find_share,
    share_id,
)
from salus.ledger.signatures import AnyClaim, Claim
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.search.question import KEYS_MAX
from salus.symmetric import Random

REASON_BYTES_MAX: Final = 1024
"""An emergency's reason: a few sentences."""


def reason_context(network: bytes, institution: str, rid: bytes) -> tuple[Any, ...]:
    """What the boxed reason of an emergency is bound to."""
    return box_context(network, 0, labels.EMERGENCY_REASON, institution, rid)


def seal_reason(network: bytes, institution: str, rid: bytes, V: bytes, reason: str, random: Random) -> Box:
    """Box the reason of an emergency to the owner of a record: it may name people, and blocks cannot forget.

    :param V: key of the record's scope, 32 bytes.
    :raises Refused: ``bad-purpose`` for none, ``too-large``.
    """
    plain = reason.strip().encode()
    refuse_unless(bool(plain), "bad-purpose", "an emergency takes a reason")
    refuse_unless(len(plain) <= REASON_BYTES_MAX, "too-large", f"a reason has at most {REASON_BYTES_MAX} bytes")
    return seal_box(V, reason_context(network, institution, rid), plain, random)


def open_reason(network: bytes, institution: str, rid: bytes, secret: Any, box: Box) -> str:
    """The owner reads the reason of an emergency.

    :param secret: of the scope's key (:attr:`.scope_keys.ScopeKey.secret`).
    :raises Refused: ``bad-box``, ``bad-seal``; ``bad-encoding`` if it is no text.
    """
    try:
        return open_box(secret, box, reason_context(network, institution, rid)).decode()
    except UnicodeDecodeError:
        raise Refused("bad-encoding", "the reason is no text") from None


class _Ask:
    """Shares, steps 1 and 2."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ShareRequest]) -> list[AnyClaim]:
        request = tx.message
        current_epoch(view)
        party = live_party(view, INSTITUTION, request.institution)
        refuse_unless(not is_suspended(view, request.institution), "suspended", request.institution)
        refuse_unless(request.purpose in PURPOSES, "bad-purpose", f"{request.purpose} is none of {', '.join(PURPOSES)}")
        decode_point(request.Er, "Er")
        known = live(view, ONE_TIME_BOX_KEY, box_key_of(request.institution, request.Er), context.time_ms)
        refuse_unless(known is None, "used-key", "draw a fresh one-time key")
        limits.check_limit(view, context, limits.SHARES, request.institution, max(1, len(request.items)))
        if request.question is not None:
            refuse_unless(not request.items, "bad-encoding", "a request is a question or asks for records")
            refuse_unless(1 <= request.question.count <= KEYS_MAX, "too-large", f"{request.question.count} keys of tags")
            # Its keys are boxed to the encryption keys of the committee that serves.
            serving_node(view, request.question.node)
        else:
            _check_items(view, context, request)
        return [member_claim(context, party, request)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ShareRequest]) -> None:
        request, now = tx.message, context.time_ms
        state.put(ONE_TIME_BOX_KEY, box_key_of(request.institution, request.Er), expiring(NEVER_MS))
        limits.use(state, context, limits.SHARES, request.institution, max(1, len(request.items)))
        outcomes = tuple(_ask_for(state, context, tx, number, item) for number, item in enumerate(request.items)) or (VALID,)
        epoch = current_epoch(state).epoch
        asked = ShareAsked(
            request.institution, request.purpose, request.question, request.Er, len(request.items), outcomes, epoch,
            context.height, now, "",
        )  # fmt: skip
        SHARE_REQUESTS.put(state, tx.hash, asked)
        context.emit("share.asked", tx.hash)
        # A network without check nodes decides by itself; their verdict could not differ.
        if not check_nodes(state):
            _settle(state, context, tx.hash, tx.hash, asked)


class _Verdict:
    """Shares, step 3."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[CheckVerdict]) -> list[AnyClaim]:
        verdict = tx.message
        asked = _request(view, verdict.tx_hash)
        refuse_unless(not asked.judged_by, "already-done", f"{asked.judged_by} has given the verdict")
        party = require_check_node(view, verdict.node)
        order = check_order(view, context.network, asked.epoch, verdict.tx_hash)
        turn_ms = asked.time_ms + order.index(verdict.node) * sharing_constants(view).check_turn_ms
        refuse_unless(context.time_ms >= turn_ms, "not-your-check", f"the turn of {verdict.node} begins at {turn_ms}")
        right = (verdict.height, verdict.outcomes) == (asked.height, asked.outcomes)
        refuse_unless(right, "bad-verdict", f"{verdict.node} says otherwise than the ledger")
        return [member_claim(context, party, verdict, labels.SIG_VERDICT)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[CheckVerdict]) -> None:
        asked = replace(_request(state, tx.message.tx_hash), judged_by=tx.message.node)
        SHARE_REQUESTS.put(state, tx.message.tx_hash, asked)
        _settle(state, context, tx.hash, tx.message.tx_hash, asked)


class _Grant:
    """Shares, step 7: looked at again in the grant's own block, so that a revocation in front of it counts."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ShareGrant]) -> list[AnyClaim]:
        grant = tx.message
        share = find_share(view, grant.share)
        refuse_unless(share.status != GRANTED, "already-done", "the share is granted")
        refuse_unless(share.status == APPROVED, "not-granted", f"the share is {share.status}")
        refuse_unless(context.time_ms < closes_ms(view, share), "expired", "the request is closed")
        outcome = decide_again(view, share, context.time_ms)
        if outcome not in LET_THROUGH:
            raise Refused(outcome, "the share is not let through any more")
        return _partial_claims(view, context, share, grant)

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ShareGrant]) -> None:
        share = find_share(state, tx.message.share)
        _close(state, context, tx.hash, tx.message.share, share, GRANTED, access_log.GRANTED)


class _Deny:
    """Shares, step 8."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ShareDenial]) -> list[AnyClaim]:
        denial = tx.message
        share = find_share(view, denial.share)
        refuse_unless(share.status in (APPROVED, WAITING), "already-done", f"the share is {share.status}")
        party = serving_node(view, denial.node)
        reason = _why_not(view, share, context.time_ms)
        refuse_unless(bool(reason), "bad-verdict", "the share is let through")
        refuse_unless(denial.reason == reason, "bad-verdict", f"the reason is {reason}")
        return [member_claim(context, party, denial)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ShareDenial]) -> None:
        share = replace(find_share(state, tx.message.share), reason=tx.message.reason)
        _close(state, context, tx.hash, tx.message.share, share, DENIED, access_log.DENIED)


class _Consent:
    """Shares, step 4."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ShareConsent]) -> list[AnyClaim]:
        message = tx.message
        share = _waiting(view, message.share, context.time_ms)
        record = RECORDS.need(view, share.rid)
        emergency = bool(share.emergency)
        outcome = decide(view, context.time_ms, share.institution, record, message.delegation, emergency=emergency)
        if outcome not in LET_THROUGH:
            raise Refused(outcome, "the delegation does not let this reader through")
        return [scope_claim(context, find_scope(view, share.scope).V, message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ShareConsent]) -> None:
        share = replace(find_share(state, tx.message.share), delegation=tx.message.delegation)
        via = decide_again(state, share, context.time_ms)
        share = replace(share, via=via)
        _close(state, context, tx.hash, tx.message.share, share, APPROVED, access_log.CONSENTED)


class _Refuse:
    """Shares, step 5."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ShareRefusal]) -> list[AnyClaim]:
        share = _waiting(view, tx.message.share, context.time_ms)
        return [scope_claim(context, find_scope(view, share.scope).V, tx.message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ShareRefusal]) -> None:
        share = replace(find_share(state, tx.message.share), reason="refused-by-owner")
        _close(state, context, tx.hash, tx.message.share, share, DENIED, access_log.REFUSED)


def _check_items(view: StateView, context: BlockContext, request: ShareRequest) -> None:
    refuse_unless(bool(request.items), "bad-encoding", "a request asks a question or for records")
    rids = [item.rid for item in request.items]
    refuse_unless(len(set(rids)) == len(rids), "bad-encoding", "a record is asked for twice")
    for item in request.items:
        refuse_unless(RECORDS.get(view, item.rid) is not None, "unknown-record", item.rid.hex())
        given = item.reason is not None
        refuse_unless(given == (request.purpose == EMERGENCY), "bad-purpose", "an emergency, and nothing else, takes a reason")
        if item.reason is not None:
            _check_reason(view, context, request.institution, RECORDS.need(view, item.rid), item.reason)


def _check_reason(view: StateView, context: BlockContext, institution: str, record: Record, reason: Box) -> None:
    V = find_scope(view, record.scope).V
    sized = 16 < len(reason.ciphertext) <= REASON_BYTES_MAX + 16
    refuse_unless(sized, "bad-purpose", f"a reason has 1 to {REASON_BYTES_MAX} bytes")
    _checked_box(reason, V, reason_context(context.network, institution, record.rid))


@lru_cache(maxsize=256)
def _checked_box(box: Box, recipient: bytes, ctx: tuple[Any, ...]) -> None:
    check_box(box, recipient, ctx)


def _ask_for(state: Overlay, context: BlockContext, tx: Transaction[ShareRequest], number: int, item: ShareItem) -> str:
    """Write the share of one item; returns its outcome."""
    request, now = tx.message, context.time_ms
    record = RECORDS.need(state, item.rid)
    emergency = item.reason is not None
    outcome = decide(state, now, request.institution, record, item.delegation, emergency=emergency)
    share = share_id(context.network, tx.hash, number)
    asked = Share(
        request=tx.hash,
        number=number,
        rid=item.rid,
        scope=record.scope,
        institution=request.institution,
        purpose=request.purpose,
        emergency=int(emergency),
        Er=request.Er,
        delegation=item.delegation,
        status=ASKED,
        via="",
        reason="",
        asked_ms=now,
        decided_ms=0,
        granted_ms=0,
        grant=None,
    )
    SHARES.put(state, share, asked)
    lists.append(state, lists.INBOX, record.scope, share)
    lists.append(state, lists.READER_SHARES, request.institution.encode(), share)
    _log(state, context, tx.hash, share, asked, access_log.ASKED)
    if emergency:
        context.emit("share.emergency", share)
    return outcome


def _settle(state: Overlay, context: BlockContext, tx_hash: bytes, request: bytes, asked: ShareAsked) -> None:
    """The verdict's effect on every share; what has ended since the request was committed is not let through."""
    for number in range(asked.items):
        raw = share_id(context.network, request, number)
        share = find_share(state, raw)
        outcome = asked.outcomes[number]
        if outcome in LET_THROUGH:
            outcome = decide_again(state, share, context.time_ms)
        if outcome == VIA_POLICY:
            _close(state, context, tx_hash, raw, replace(share, via=outcome), GRANTED, access_log.GRANTED)
        elif outcome in LET_THROUGH:
            SHARES.put(state, raw, replace(share, via=outcome, status=APPROVED, decided_ms=context.time_ms))
            context.emit("share.approved", raw)
        elif outcome == WAITING:
            _close(state, context, tx_hash, raw, share, WAITING, access_log.WAITING)
        else:
            _close(state, context, tx_hash, raw, replace(share, reason=outcome), DENIED, access_log.DENIED)
    if asked.question is not None:
        context.emit("share.question", request)


def _close(state: Overlay, context: BlockContext, tx_hash: bytes, raw: bytes, share: Share, status: str, act: str) -> None:
    """Write a share's new status, its entry in the access log, and tell followers."""
    granted_ms, grant = (context.time_ms, tx_hash) if status == GRANTED else (0, None)
    changed = replace(share, status=status, decided_ms=context.time_ms, granted_ms=granted_ms, grant=grant)
    SHARES.put(state, raw, changed)
    _log(state, context, tx_hash, raw, changed, act)
    context.emit(f"share.{status}", raw)


def _log(state: Overlay, context: BlockContext, tx_hash: bytes, raw: bytes, share: Share, act: str) -> None:
    access_log.log(
        state, context, tx_hash, share.scope, act, share=raw, rid=share.rid, delegation=share.delegation,
        reader=share.institution, purpose=share.purpose, via=share.via, reason=share.reason,
    )  # fmt: skip


def _request(view: StateView, tx_hash: bytes) -> ShareAsked:
    found = SHARE_REQUESTS.get(view, tx_hash)
    if found is None:
        raise Refused("unknown-request", tx_hash.hex())
    return found


def _waiting(view: StateView, raw: bytes, time_ms: int) -> Share:
    share = find_share(view, raw)
    refuse_unless(share.status == WAITING, "already-done", f"the share is {share.status}")
    refuse_unless(time_ms < closes_ms(view, share), "expired", "the request is closed")
    return share


def _why_not(view: StateView, share: Share, time_ms: int) -> str:
    """Why an open share may be closed: what stands in its way, or its age; empty if nothing does."""
    outcome = decide_again(view, share, time_ms)
    if outcome not in (*LET_THROUGH, WAITING):
        return outcome
    return "expired" if time_ms >= closes_ms(view, share) else ""


def _partial_claims(view: StateView, context: BlockContext, share: Share, grant: ShareGrant) -> list[AnyClaim]:
    """At least t seats of one committee signed partials of this very share, delegation and capsule."""
    refuse_unless(all(a.node < b.node for a, b in pairwise(grant.claims)), "bad-encoding", "claims are by ascending name")
    epoch = grant.claims[0].epoch
    accepted_epoch(view, epoch, context.time_ms)
    committee, record = committee_of(view, epoch), RECORDS.need(view, share.rid)
    about = (epoch, grant.share, share.delegation, record.capsule)
    claims: list[AnyClaim] = []
    for claim in grant.claims:
        same = (claim.epoch, claim.share, claim.delegation, claim.capsule) == about
        refuse_unless(same, "wrong-request", f"the partial of {claim.node} is for something else")
        seat = committee.seat_of(claim.node)
        refuse_unless(counts(view, seat), "revoked", f"{claim.node} is revoked or suspended")
        claims.append(_partial_claim(context, claim, seat.W))
    refuse_unless(len(claims) >= committee.threshold, "no-quorum", f"{len(claims)} of {committee.threshold} partials")
    return claims


def _partial_claim(context: BlockContext, claim: PartialClaim, W: bytes) -> Claim:
    fields = (context.network, claim.node, W)
    return Claim(labels.SIG_PARTIAL, MEMBER_SUITE, W, fields, claim.signed(), claim.signature, what=claim.node)


KINDS: Final = (
    KindSpec(ShareRequest, _Ask(), since=SHARING_VERSION, spends=lambda m: box_key_of(m.institution, m.Er)),
    KindSpec(CheckVerdict, _Verdict(), since=SHARING_VERSION),
    KindSpec(ShareGrant, _Grant(), since=SHARING_VERSION),
    KindSpec(ShareDenial, _Deny(), since=SHARING_VERSION),
    KindSpec(ShareConsent, _Consent(), since=SHARING_VERSION),
    KindSpec(ShareRefusal, _Refuse(), since=SHARING_VERSION),
)
