"""PBFT as a function (state, event) -> (state, actions). No socket, clock, thread or disk is touched here.

The primary of height h in view v is ``ranking[(h + v) mod n]``; one height is in flight; every height starts in view 0.
:func:`step` takes the state over: what it returns is the same object, changed. The same state and event always give
the same actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from salus.consensus.block import vote_bytes
from salus.consensus.pbft import catch_up, checkpoints, evidence, normal, pool, snapshots, view_change
from salus.consensus.pbft.checks import clock_error
from salus.consensus.pbft.crypto import Item
from salus.consensus.pbft.events import (
    Action,
    BlocksRead,
    Broadcast,
    Checked,
    Event,
    Finalised,
    Persisted,
    ProposalPrepared,
    Received,
    Restored,
    SetTimer,
    SnapshotTaken,
    Stored,
    Submitted,
    Tick,
    Validated,
)
from salus.consensus.pbft.messages import (
    BlockRequest,
    Checkpoint,
    Commit,
    Decided,
    Evidence,
    NewView,
    PoolReceipt,
    Prepare,
    PrePrepare,
    Signed,
    SnapshotOffer,
    SnapshotPart,
    SnapshotRequest,
    Status,
    Transactions,
    ViewChange,
    decode_message,
)
from salus.consensus.pbft.output import Out, complain, on_persisted
from salus.consensus.pbft.restart import resume_votes
from salus.consensus.pbft.state import EARLY_BYTES, EARLY_HEIGHTS, EARLY_PER_SENDER, State
from salus.errors import CodecError

IDLE_MS: Final = 60_000
"""The longest time without a tick."""
_VOTES: Final = (PrePrepare, Prepare, Commit, ViewChange, NewView)


def step(state: State, event: Event) -> tuple[State, list[Action]]:
    """One step of a replica.

    :param state: taken over; use the returned one.
    :param event: what happened.
    :return: the state after it, and what is to be done, in this order.
    """
    out: Out = []
    if state.halted:
        return state, out
    if isinstance(event, Received):
        _on_received(state, event, out)
    else:
        _HANDLERS[type(event)](state, event, out)
    _settle(state, out)
    return state, out


def start(state: State) -> tuple[State, list[Action]]:
    """First step after a (re)start: tell the others, repeat what was kept."""
    out: Out = []
    catch_up.send_status(state, out)
    out.extend(Broadcast(data) for data in state.own.values())
    _settle(state, out)
    return state, out


# --- events ---


def _on_tick(s: State, event: Tick, out: Out) -> None:
    if event.now_ms < s.now_ms:
        _clock_went_back(s, s.now_ms - event.now_ms)
    s.now_ms = event.now_ms
    if s.timer_ms is not None and s.now_ms >= s.timer_ms:
        s.timer_ms = None
    if s.deadline_ms is not None and s.now_ms >= s.deadline_ms and s.deciding is None:
        s.deadline_ms = None
        if s.ahead_of_clock:
            complain(s, out, "clock", clock_error(s))
        elif s.is_voter:
            view_change.start_view_change(s, s.view + 1, out)
            view_change.follow(s, out)
    if s.resend_at_ms is not None and s.now_ms >= s.resend_at_ms:
        s.resend_at_ms = s.now_ms + s.config.resend_ms
        out.extend(Broadcast(data) for data in s.own.values())
        pool.gossip_again(s, out)
        catch_up.send_status(s, out)
    elif s.now_ms >= s.status_at_ms:
        catch_up.send_status(s, out)
    snapshots.maybe_fetch_again(s, out)


def _clock_went_back(s: State, by_ms: int) -> None:
    """What was to come after a while still comes after that while, not when the clock is again where it was."""
    s.deadline_ms = None if s.deadline_ms is None else s.deadline_ms - by_ms
    s.resend_at_ms = None if s.resend_at_ms is None else s.resend_at_ms - by_ms
    s.status_at_ms -= by_ms
    s.requested_at_ms -= by_ms
    s.last = replace(s.last, stored_at_ms=s.last.stored_at_ms - by_ms)
    s.answered.clear()
    s.timer_ms = None


def _on_prepared(s: State, event: ProposalPrepared, out: Out) -> None:
    if s.preparing != (event.height, event.view):
        return
    s.preparing = None
    if (event.height, event.view) != (s.height, s.view) or s.proposal is not None or s.deciding is not None:
        return
    if s.view == 0 and not s.changing:
        normal.propose_first(s, event, out)
    elif s.changing:
        view_change.propose_fresh(s, event, out)


def _on_stored(s: State, event: Stored, out: Out) -> None:
    before = s.last.height
    normal.on_stored(s, event.height, out)
    if s.last.height == before:
        return
    resume_votes(s)
    checkpoints.note_checkpoint(s, out)
    early, s.early = s.early, []
    for message, data in early:
        if _signature_holds(s, message):  # a set change may have given the sender another key since it arrived
            _dispatch(s, message, data, out)


def _on_restored(s: State, event: Restored, out: Out) -> None:
    snapshots.on_restored(s, event, out)
    resume_votes(s)


_HANDLERS: Final[dict[type, Callable[[State, Any, Out], None]]] = {
    Tick: _on_tick,
    Submitted: pool.on_submitted,
    Persisted: lambda s, e, out: on_persisted(s, e.token, out),
    Checked: pool.on_checked,
    ProposalPrepared: _on_prepared,
    Validated: normal.on_validated,
    Finalised: normal.on_finalised,
    Stored: _on_stored,
    BlocksRead: catch_up.on_blocks_read,
    SnapshotTaken: snapshots.on_snapshot_taken,
    Restored: _on_restored,
}


# --- messages ---


def _on_received(s: State, event: Received, out: Out) -> None:
    """Decode a batch, check all signatures at once, then take the messages in order. What fails is dropped."""
    opened: list[tuple[Signed, bytes]] = []
    items: list[Item] = []
    for data in event.data:
        try:
            message = decode_message(data)
        except CodecError:
            continue
        key = s.key_of(message.sender, message.height)
        if key is None or message.sender == s.config.name:
            continue
        opened.append((message, data))
        items.append((key, vote_bytes(s.config.network, *message.statement()), message.signature))
    for (message, data), good in zip(opened, s.verifier.verify(items), strict=True):
        if good and not s.halted:
            _dispatch(s, message, data, out)


def _signature_holds(s: State, message: Signed) -> bool:
    key = s.key_of(message.sender, message.height)
    item = (key or b"", vote_bytes(s.config.network, *message.statement()), message.signature)
    return key is not None and s.verifier.verify([item])[0]


def _dispatch(s: State, message: Signed, data: bytes, out: Out) -> None:
    """Hand a message, its signature checked, to the part that knows it; votes only at the height in flight."""
    if not isinstance(message, _VOTES):
        _OTHERS[type(message)](s, message, out)
    elif message.height == s.height:
        _on_vote_message(s, message, data, out)
    elif message.height == s.height - 1:
        if isinstance(message, PrePrepare | Prepare | Commit):
            evidence.note_old_vote(s, out, message)
    elif message.height > s.height:
        catch_up.note_ahead(s, message.sender, message.height)
        _keep_early(s, message, data)


def _keep_early(s: State, message: Signed, data: bytes) -> None:
    """Messages of the next heights wait until their turn comes; beyond the bounds they are dropped."""
    few = sum(kept.sender == message.sender for kept, _data in s.early) < EARLY_PER_SENDER
    if message.height <= s.height + EARLY_HEIGHTS and few and sum(len(d) for _m, d in s.early) + len(data) <= EARLY_BYTES:
        s.early.append((message, data))


def _on_vote_message(s: State, message: Signed, data: bytes, out: Out) -> None:
    if isinstance(message, PrePrepare):
        normal.on_pre_prepare(s, message, data, out)
    elif isinstance(message, Prepare | Commit):
        normal.on_vote(s, message, out)
    elif isinstance(message, ViewChange):
        view_change.on_view_change(s, message, out)
    elif isinstance(message, NewView):
        view_change.on_new_view(s, message, data, out)


_OTHERS: Final[dict[type, Callable[[State, Any, Out], None]]] = {
    Checkpoint: checkpoints.on_checkpoint,
    Status: catch_up.on_status,
    BlockRequest: catch_up.on_block_request,
    Decided: catch_up.on_decided,
    Transactions: pool.on_transactions,
    PoolReceipt: pool.on_pool_receipt,
    Evidence: evidence.on_evidence,
    SnapshotOffer: snapshots.on_snapshot_offer,
    SnapshotRequest: snapshots.on_snapshot_request,
    SnapshotPart: snapshots.on_snapshot_part,
}


# --- after every event ---


def _settle(s: State, out: Out) -> None:
    """Do whatever has become possible, then set the timer."""
    if s.halted:
        return
    normal.maybe_decide(s, out)
    catch_up.maybe_import(s, out)
    normal.maybe_prepared(s, out)
    normal.maybe_propose(s, out)
    view_change.maybe_new_view(s, out)
    catch_up.maybe_request(s, out)
    snapshots.maybe_offer(s, out)
    _set_timer(s, out)


def _set_timer(s: State, out: Out) -> None:
    """A replica that expects a block waits for it; one that left its view waits for the new primary once a quorum did."""
    active = s.changing or s.proposal is not None or s.view > 0 or normal.has_reason(s)
    expects = s.is_voter and (view_change.quorum_left(s) if s.changing else active)
    if not expects:
        s.deadline_ms = None
    elif s.deadline_ms is None:
        s.deadline_ms = s.now_ms + view_change.timeout_ms(s)
    if not active:
        s.resend_at_ms = None
    elif s.resend_at_ms is None:
        s.resend_at_ms = s.now_ms + s.config.resend_ms
    times = [t for t in (s.deadline_ms, s.resend_at_ms, s.status_at_ms, s.now_ms + IDLE_MS) if t is not None]
    if s.fetching is not None or any(h > s.height for h in s.ahead.values()):
        times.append(s.now_ms + s.config.resend_ms)
    at_ms = max(min(times), s.now_ms + 1)
    if s.timer_ms is None or at_ms < s.timer_ms or s.timer_ms <= s.now_ms:
        s.timer_ms = at_ms
        out.append(SetTimer(at_ms))
