"""Quarters of the year, in block time: which credentials are alive when."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from salus.consultation.registration import quarter_of
from salus.errors import refuse_unless
from salus.ledger.constants import Constants

LAST_QUARTER: Final = 9998 * 4 + 3
"""Last quarter whose end the calendar can still name."""


@lru_cache(maxsize=64)
def quarter_end_ms(quarter: int) -> int:
    """Time at which the next quarter begins, UTC milliseconds.

    :param quarter: ``year * 4 + (month - 1) // 3``.
    :raises Refused: ``wrong-quarter`` for a year before 1970 or after 9998.
    """
    refuse_unless(1970 * 4 <= quarter <= LAST_QUARTER, "wrong-quarter", f"there is no quarter {quarter}")
    year, index = divmod(quarter + 1, 4)
    return int(datetime(year, 3 * index + 1, 1, tzinfo=UTC).timestamp()) * 1000


def credentials_dead_ms(quarter: int, constants: Constants) -> int:
    """Block time from which credentials of a quarter are not accepted any more: its end and the grace."""
    return quarter_end_ms(quarter) + constants.quarter_grace_ms


def quarter_accepted(quarter: int, time_ms: int, constants: Constants) -> bool:
    """Whether credentials of ``quarter`` are accepted at block time ``time_ms``: none of the future, none past their grace."""
    return quarter <= _quarter_of(time_ms) and time_ms < credentials_dead_ms(quarter, constants)


def spent_until_ms(time_ms: int, constants: Constants) -> int:
    """Until when a nullifier and a one-time key seen at ``time_ms`` are kept: the end of its quarter and the grace."""
    return credentials_dead_ms(_quarter_of(time_ms), constants)


@lru_cache(maxsize=64)
def _quarter_of(time_ms: int) -> int:
    """:func:`quarter_of`, remembered: every transaction of a block asks for the same time."""
    return quarter_of(time_ms)
