"""Limits on what one requester may ask for in one period of chain time."""

from __future__ import annotations

from typing import Final

from salus.codec import encode
from salus.errors import refuse_unless
from salus.ledger.expiry import expiring, live
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext

LIMIT: Final = "sharing.limit"
"""Kind of expiring values: raw key (what, requester, number of the period); content: how much is used, 8 bytes."""
KEYS: Final = "keys"
WORDS: Final = "words"
SHARES: Final = "shares"
CHANGES: Final = "changes"


def used(view: StateView, what: str, requester: str, time_ms: int) -> int:
    """How much a requester has used in the period of ``time_ms``."""
    period_ms = sharing_constants(view).period_ms
    found = live(view, LIMIT, _key(what, requester, time_ms // period_ms), time_ms)
    return 0 if found is None else int.from_bytes(found, "big")


def check_limit(view: StateView, context: BlockContext, what: str, requester: str, amount: int) -> None:
    """Whether the requester may use so much more.

    :raises Refused: ``limit``.
    """
    constants = sharing_constants(view)
    most = {
        KEYS: constants.keys_a_period,
        WORDS: constants.words_a_period,
        SHARES: constants.shares_a_period,
        CHANGES: constants.changes_a_period,
    }[what]
    before = used(view, what, requester, context.time_ms)
    refuse_unless(before + amount <= most, "limit", f"{what}: {before} of {most} are used in this period, {amount} more asked")


def use(state: Overlay, context: BlockContext, what: str, requester: str, amount: int) -> None:
    """Count what was asked for."""
    period_ms = sharing_constants(state).period_ms
    period = context.time_ms // period_ms
    due_ms = (period + 1) * period_ms
    raw = _key(what, requester, period)
    total = used(state, what, requester, context.time_ms) + amount
    state.put(LIMIT, raw, expiring(due_ms, total.to_bytes(8, "big")))
    context.expire(due_ms, LIMIT, raw)


def _key(what: str, requester: str, period: int) -> bytes:
    return encode((what, requester, period))
