"""When the next epoch of sharing opens: the current one is old, others are elected, or the one that opened came to nothing.

Steps: docs/protocol/sharing-ledger.md, "epochs of sharing", steps 1 and 8.
"""

from __future__ import annotations

from typing import Final

from salus.errors import refuse_unless
from salus.ledger.kinds.parties import VALIDATORS
from salus.ledger.kinds.sharing.attributes import counts
from salus.ledger.kinds.sharing.committee_state import SharingEpoch, committee_of, find_epoch, status
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.state import StateView

STUCK_MS: Final = 3600 * 1000
"""Beside the windows: how long nothing may move before an epoch is opened anew. Far above any delay of nodes that work."""


def next_sharing_epoch(view: StateView, time_ms: int) -> int:
    """Which epoch collects keys at block time ``time_ms``: the pending one, or the next if one is due.

    :raises Refused: ``not-started`` while the current epoch is to go on.
    """
    standing = status(view)
    pending, current = find_epoch(view, standing.pending), find_epoch(view, standing.current)
    if pending is not None:
        return pending.epoch + 1 if _is_given_up(view, pending, time_ms) else pending.epoch
    if current is not None and _are_seated(view, current):
        due_ms = current.started_ms + sharing_constants(view).epoch_length_ms
        refuse_unless(time_ms >= due_ms, "not-started", f"epoch {current.epoch} of sharing goes on until {due_ms}")
    return standing.current + 1


def _are_seated(view: StateView, record: SharingEpoch) -> bool:
    return set(record.members) == {member.name for member in VALIDATORS.need(view, b"").members}


def _is_given_up(view: StateView, pending: SharingEpoch, time_ms: int) -> bool:
    """Whether an epoch that has not started gives way to the next one (epochs of sharing, step 1).

    While it awaits keys: once it has other members than the validator set; else an election of nodes that never post their keys
    would be the last one. Later: once fewer than t of its seats are left, which could neither serve nor hand over, or once
    nothing has moved for long, as when one of t dealers is gone for good.
    """
    constants = sharing_constants(view)
    if not pending.is_closed(time_ms, constants):
        return not _are_seated(view, pending)
    moved_ms = max(
        pending.closed_ms(constants), pending.alpha_ms, *(max(p.enough_ms, p.all_ms, p.fixed_ms) for p in pending.scalars)
    )
    patience_ms = STUCK_MS + constants.deal_window_ms + 2 * constants.complaint_window_ms
    return time_ms >= moved_ms + patience_ms or not can_serve(view, pending)


def can_serve(view: StateView, record: SharingEpoch) -> bool:
    """Whether at least t seats of an epoch's committee still count: with fewer it neither serves nor hands over."""
    committee = committee_of(view, record.epoch)
    return sum(counts(view, seat) for seat in committee.seats) >= committee.threshold
