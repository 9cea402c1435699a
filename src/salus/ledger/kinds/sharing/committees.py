"""Epochs of sharing: encryption keys, the deal of alpha, boxed deals of z and of the keyword key, complaints, hand-over.

The secret halves are the nodes' (:mod:`salus.abpre.threshold`); here is what everyone checks. Steps:
docs/protocol/sharing-ledger.md, "epochs of sharing".
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from salus.abpre.threshold.alpha import FRESH, AlphaDeal
from salus.abpre.threshold.approvals import ShareApproval
from salus.abpre.threshold.committee import SEATS_MAX, Committee
from salus.abpre.threshold.epoch_keys import SharingKey, make_seat
from salus.abpre.threshold.scalar_deals import Complaint, ScalarDeal
from salus.consultation.registration import NODE
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.misbehaviour import record_conviction
from salus.ledger.kinds.parties import VALIDATORS, is_live_node, live_party
from salus.ledger.kinds.sharing.claims import seated_node
from salus.ledger.kinds.sharing.committee_state import (
    ALPHA,
    ALPHA_DEALS,
    COMMITTEES,
    EPOCHS,
    SCALAR_DEALS,
    SCALAR_PURPOSES,
    SCALARS,
    STATUS,
    DealRef,
    ScalarPhase,
    SharingEpoch,
    SharingStatus,
    committee_of,
    deal_key,
    epoch_key,
    find_epoch,
    pending_epoch,
    scalar_key,
    status,
)
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, sharing_constants
from salus.ledger.kinds.sharing.deals import (
    check_posted_alpha,
    check_posted_approval,
    check_posted_key,
    check_posted_scalar,
    dealing_committee,
    fixed_alpha,
    fixed_scalar,
    judge_posted,
)
from salus.ledger.kinds.sharing.messages.keys import SharingFix
from salus.ledger.kinds.sharing.succession import can_serve, next_sharing_epoch
from salus.ledger.signatures import AnyClaim
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext, KindSpec, Transaction

FALSE_SHARE: Final = "false-share"
"""Offence of a dealer whose box holds no good share."""


class _Key:
    """Epochs of sharing, steps 1 and 2."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[SharingKey]) -> list[AnyClaim]:
        message = tx.message
        awaited = next_sharing_epoch(view, context.time_ms)
        refuse_unless(message.epoch == awaited, "wrong-epoch", f"keys of epoch {awaited} of sharing are awaited")
        party = seated_node(view, message.node)
        record = find_epoch(view, message.epoch)
        if record is None:
            size = len(VALIDATORS.need(view, b"").members)
            fits = 4 <= size <= SEATS_MAX and size % 3 == 1
            refuse_unless(fits, "bad-committee", f"{size} seats; a committee has 3f + 1, at least 4, at most {SEATS_MAX}")
        else:
            refuse_unless(message.node in record.members, "not-a-member", f"{message.node} has no seat in that epoch")
            closed = record.is_closed(context.time_ms, sharing_constants(view))
            refuse_unless(not closed, "already-done", "the list of keys is closed")
            for seat in committee_of(view, message.epoch).seats:
                refuse_unless(seat.name != message.node, "already-done", f"{message.node} has posted its keys")
                refuse_unless(message.E != seat.E and message.Er != seat.Er, "used-key", f"those are keys of {seat.name}")
        check_posted_key(context.network, message, party.W)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[SharingKey]) -> None:
        message = tx.message
        record = find_epoch(state, message.epoch) or _open(state, context, message.epoch)
        before = COMMITTEES.get(state, epoch_key(message.epoch))
        seats = () if before is None else before.seats
        W = live_party(state, NODE, message.node).W
        new = make_seat(record.members.index(message.node) + 1, message, W)
        committee = Committee(record.epoch, len(record.members), tuple(sorted((*seats, new), key=lambda seat: seat.index)))
        live = sum(is_live_node(state, name) for name in record.members)
        count = len(committee.seats)
        enough_ms = record.enough_ms or context.time_ms if count >= committee.threshold else 0
        full_ms = record.full_ms or context.time_ms if count >= max(live, committee.threshold) else 0
        COMMITTEES.put(state, epoch_key(record.epoch), committee)
        _put(state, replace(record, enough_ms=enough_ms, full_ms=full_ms))


class _AlphaDeal:
    """Epochs of sharing, steps 3 and 4."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[AlphaDeal]) -> list[AnyClaim]:
        deal = tx.message
        record, committee = pending_epoch(view, deal.epoch, context.time_ms, sharing_constants(view))
        refuse_unless(record.alpha_ms == 0, "already-done", "alpha is fixed")
        refuse_unless(deal.dealer not in record.alpha_dealers, "already-done", f"{deal.dealer} has dealt")
        refuse_unless(deal.previous == record.previous, "bad-deal", f"this epoch takes over from epoch {record.previous}")
        live_party(view, NODE, deal.dealer)
        check_posted_alpha(view, context.network, record, committee, deal)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[AlphaDeal]) -> None:
        deal = tx.message
        record = EPOCHS.need(state, epoch_key(deal.epoch))
        ALPHA_DEALS.put(state, deal_key(deal.epoch, "alpha", deal.dealer), deal)
        record = replace(record, alpha_dealers=(*record.alpha_dealers, deal.dealer))
        if len(record.alpha_dealers) == dealing_committee(state, record).threshold:
            ALPHA.put(state, epoch_key(record.epoch), fixed_alpha(state, record))
            record = replace(record, alpha_ms=context.time_ms)
            context.emit("sharing.alpha-fixed", epoch_key(record.epoch))
        _put(state, _started(state, context, record))


class _ScalarDeal:
    """Epochs of sharing, step 5."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ScalarDeal]) -> list[AnyClaim]:
        deal, constants = tx.message, sharing_constants(view)
        record, committee = pending_epoch(view, deal.epoch, context.time_ms, constants)
        phase = record.phase(deal.purpose)
        collected = phase.collected_ms(record.closed_ms(constants), constants)
        over = phase.fixed_ms != 0 or 0 < collected <= context.time_ms
        refuse_unless(not over, "already-done", f"deals of {deal.purpose} are collected")
        refuse_unless(all(ref.dealer != deal.dealer for ref in phase.deals), "already-done", f"{deal.dealer} has dealt")
        refuse_unless(deal.previous == record.previous, "bad-deal", f"this epoch takes over from epoch {record.previous}")
        live_party(view, NODE, deal.dealer)
        check_posted_scalar(view, context.network, record, committee, deal)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ScalarDeal]) -> None:
        deal = tx.message
        record = EPOCHS.need(state, epoch_key(deal.epoch))
        SCALAR_DEALS.put(state, deal_key(deal.epoch, deal.purpose, deal.dealer), deal)
        phase = record.phase(deal.purpose)
        refs = (*phase.deals, DealRef(deal.dealer, deal.digest(), 0))
        _put(state, _with_phase(record, _counted(dealing_committee(state, record), replace(phase, deals=refs), context.time_ms)))
        context.emit("sharing.scalar-dealt", deal_key(deal.epoch, deal.purpose, deal.dealer))


class _Complaint:
    """Epochs of sharing, step 6: the dealer is convicted and its deal is out."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[Complaint]) -> list[AnyClaim]:
        complaint, constants = tx.message, sharing_constants(view)
        record, committee = pending_epoch(view, complaint.epoch, context.time_ms, constants)
        phase, ref = _complained_about(record, complaint)
        refuse_unless(phase.fixed_ms == 0, "already-done", f"{phase.purpose} is fixed")
        refuse_unless(not ref.out, "already-done", f"the deal of {ref.dealer} is out")
        closes = _complaints_close_ms(record, phase, view)
        refuse_unless(not 0 < closes <= context.time_ms, "expired", f"complaints were heard until {closes}")
        deal = SCALAR_DEALS.need(view, deal_key(record.epoch, phase.purpose, ref.dealer))
        judge_posted(context.network, committee, deal, complaint)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Complaint]) -> None:
        complaint = tx.message
        record = EPOCHS.need(state, epoch_key(complaint.epoch))
        phase, ref = _complained_about(record, complaint)
        refs = tuple(replace(d, out=1) if d == ref else d for d in phase.deals)
        record_conviction(state, context, ref.dealer, FALSE_SHARE, ref.digest)
        _put(state, _with_phase(record, _counted(dealing_committee(state, record), replace(phase, deals=refs), context.time_ms)))


class _Approval:
    """Epochs of sharing, step 6: complaints are over at once when every member approves."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ShareApproval]) -> list[AnyClaim]:
        approval, constants = tx.message, sharing_constants(view)
        record, committee = pending_epoch(view, approval.epoch, context.time_ms, constants)
        phase = record.phase(approval.purpose)
        refuse_unless(phase.fixed_ms == 0, "already-done", f"{phase.purpose} is fixed")
        refuse_unless(approval.node not in phase.approved, "already-done", f"{approval.node} has approved these deals")
        collected = phase.collected_ms(record.closed_ms(constants), constants)
        refuse_unless(0 < collected <= context.time_ms, "not-started", "deals are still collected")
        check_posted_approval(context.network, committee, approval, tuple(ref.digest for ref in phase.good()))
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ShareApproval]) -> None:
        approval = tx.message
        record = EPOCHS.need(state, epoch_key(approval.epoch))
        phase = record.phase(approval.purpose)
        approved = (*phase.approved, approval.node)
        enough = len(approved) >= _approvals_needed(committee_of(state, record.epoch))
        phase = replace(phase, approved=approved, approved_ms=context.time_ms if enough else 0)
        _put(state, _with_phase(record, phase))


class _Fix:
    """Epochs of sharing, step 7."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[SharingFix]) -> list[AnyClaim]:
        record, _ = pending_epoch(view, tx.message.epoch, context.time_ms, sharing_constants(view))
        phase = record.phase(tx.message.purpose)
        refuse_unless(phase.fixed_ms == 0, "already-done", f"{phase.purpose} is fixed")
        closes = _complaints_close_ms(record, phase, view)
        waits = "deals are awaited" if closes == 0 else f"complaints are heard until {closes}"
        refuse_unless(0 < closes <= context.time_ms, "not-started", waits)
        fixed_scalar(view, record, phase)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[SharingFix]) -> None:
        record = EPOCHS.need(state, epoch_key(tx.message.epoch))
        phase = record.phase(tx.message.purpose)
        SCALARS.put(state, scalar_key(record.epoch, phase.purpose), fixed_scalar(state, record, phase))
        record = _with_phase(record, replace(phase, fixed_ms=context.time_ms))
        _put(state, _started(state, context, record))


def _open(state: Overlay, context: BlockContext, epoch: int) -> SharingEpoch:
    standing = status(state)
    current, given_up = find_epoch(state, standing.current), find_epoch(state, standing.pending)
    if given_up is not None:
        _forget_deals(state, given_up)
        _put(state, replace(given_up, ends_ms=context.time_ms))
    members = tuple(member.name for member in VALIDATORS.need(state, b"").members)
    phases = tuple(ScalarPhase(purpose, (), 0, 0, 0) for purpose in SCALAR_PURPOSES)
    previous, version = (FRESH, epoch) if current is None else (current.epoch, current.key_version)
    STATUS.put(state, b"", SharingStatus(standing.current, epoch))
    context.emit("sharing.opened", epoch_key(epoch))
    return SharingEpoch(epoch, previous, version, context.time_ms, members, 0, 0, (), 0, phases, 0, 0)


def _forget_deals(state: Overlay, record: SharingEpoch) -> None:
    for dealer in record.alpha_dealers:
        ALPHA_DEALS.delete(state, deal_key(record.epoch, "alpha", dealer))
    for phase in record.scalars:
        for ref in phase.deals:
            SCALAR_DEALS.delete(state, deal_key(record.epoch, phase.purpose, ref.dealer))


def _put(state: Overlay, record: SharingEpoch) -> None:
    EPOCHS.put(state, epoch_key(record.epoch), record)


def _with_phase(record: SharingEpoch, phase: ScalarPhase) -> SharingEpoch:
    return replace(record, scalars=tuple(phase if p.purpose == phase.purpose else p for p in record.scalars))


def _counted(dealing: Committee, phase: ScalarPhase, time_ms: int) -> ScalarPhase:
    """The phase with its times; an upheld complaint may take them back, and collecting goes on.

    What was approved were other deals, so approvals start anew.
    """
    enough = len(phase.good()) >= dealing.threshold
    everyone = {ref.dealer for ref in phase.deals} >= {seat.name for seat in dealing.seats}
    return replace(
        phase,
        enough_ms=phase.enough_ms or time_ms if enough else 0,
        all_ms=phase.all_ms or time_ms if enough and everyone else 0,
        approved=(),
        approved_ms=0,
    )


def _approvals_needed(committee: Committee) -> int:
    """Every member's: the window is there for those who are slow, and f of the others may lie."""
    return len(committee.seats)


def _complained_about(record: SharingEpoch, complaint: Complaint) -> tuple[ScalarPhase, DealRef]:
    for phase in record.scalars:
        for ref in phase.deals:
            if ref.digest == complaint.deal:
                return phase, ref
    raise Refused("bad-complaint", "there is no such deal")


def _complaints_close_ms(record: SharingEpoch, phase: ScalarPhase, view: StateView) -> int:
    """When complaints are over, 0 while deals are collected."""
    constants = sharing_constants(view)
    return phase.complaints_end_ms(record.closed_ms(constants), constants)


def _started(state: Overlay, context: BlockContext, record: SharingEpoch) -> SharingEpoch:
    """The epoch starts once everything is fixed; the one before it is accepted for a grace (epochs of sharing, step 8).

    Not if fewer than t of its seats are left by then: the keys would be lost with it.
    """
    if not record.alpha_ms or not all(phase.fixed_ms for phase in record.scalars) or not can_serve(state, record):
        return record
    before = find_epoch(state, record.previous)
    if before is not None:
        _put(state, replace(before, ends_ms=context.time_ms + sharing_constants(state).epoch_grace_ms))
        _forget_deals(state, before)
    STATUS.put(state, b"", SharingStatus(record.epoch, 0))
    context.emit("sharing.started", epoch_key(record.epoch))
    return replace(record, started_ms=context.time_ms)


KINDS: Final = (
    KindSpec(SharingKey, _Key(), since=SHARING_VERSION),
    KindSpec(AlphaDeal, _AlphaDeal(), since=SHARING_VERSION),
    KindSpec(ScalarDeal, _ScalarDeal(), since=SHARING_VERSION),
    KindSpec(Complaint, _Complaint(), since=SHARING_VERSION),
    KindSpec(ShareApproval, _Approval(), since=SHARING_VERSION),
    KindSpec(SharingFix, _Fix(), since=SHARING_VERSION),
)
