"""Categories and periods, the halves of a scope that an owner delegates (docs/protocol/records.md, "Categories and periods")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from salus.errors import refuse_unless

LAB: Final = "lab"
VITALS: Final = "vitals"
IMAGING: Final = "imaging"
MEDICATION: Final = "medication"
CONDITION: Final = "condition"
NOTE: Final = "note"
GENOMICS: Final = "genomics"
OTHER: Final = "other"
CATEGORIES: Final = (LAB, VITALS, IMAGING, MEDICATION, CONDITION, NOTE, GENOMICS, OTHER)

WHOLE_CATEGORY: Final = "all"
"""In a period's place: the scope of a whole category, for owners who accept that all its records can be linked."""
YEAR_MIN: Final = 1900
"""No record kept today has an earlier clinical date."""
PERIODS_MAX: Final = 400
"""Quarters of one range: a hundred years."""

_PERIOD: Final = re.compile(r"(\d{4})Q([1-4])")


def check_category(category: str) -> str:
    """The category, if it is one.

    :raises Refused: ``bad-category``.
    """
    refuse_unless(category in CATEGORIES, "bad-category", f"{category[:32]!r} is none of {', '.join(CATEGORIES)}")
    return category


def period_of(day: date) -> str:
    """The quarter that a clinical date lies in: ``2025Q3``.

    :raises Refused: ``bad-period`` before :data:`YEAR_MIN`.
    """
    refuse_unless(day.year >= YEAR_MIN, "bad-period", f"a clinical date in the year {day.year}")
    return f"{day.year:04}Q{(day.month + 2) // 3}"


def check_period(period: str, whole_category: bool = False) -> str:
    """The period, if it is a quarter in its one spelling.

    :param whole_category: allow :data:`WHOLE_CATEGORY` too.
    :raises Refused: ``bad-period``.
    """
    if not (whole_category and period == WHOLE_CATEGORY):
        _quarter_number(period)
    return period


def year_of(period: str) -> int:
    """Year of a quarter, for the attributes of its year.

    :raises Refused: ``bad-period``.
    """
    return _quarter_number(period) // 4


def periods_between(first: str, last: str) -> Iterator[str]:
    """Every quarter from ``first`` to ``last``, both included (a delegation is one quarter; a range is a loop).

    :raises Refused: ``bad-period`` for a malformed one, an empty range or more than :data:`PERIODS_MAX`.
    """
    low, high = _quarter_number(first), _quarter_number(last)
    refuse_unless(0 <= high - low < PERIODS_MAX, "bad-period", f"{first} to {last} is no range of at most {PERIODS_MAX} quarters")
    return (f"{number // 4:04}Q{number % 4 + 1}" for number in range(low, high + 1))


def _quarter_number(period: str) -> int:
    match = _PERIOD.fullmatch(period) if period.isascii() else None
    year = int(match[1]) if match else 0
    refuse_unless(year >= YEAR_MIN, "bad-period", f"{period[:32]!r} is no quarter such as 2025Q3")
    return year * 4 + int(match[2] if match else 1) - 1
