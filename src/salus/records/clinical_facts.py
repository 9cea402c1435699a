"""What a file says about the scope it belongs to, and its dates."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec


class ClinicalFacts(msgspec.Struct, frozen=True):
    """Drawn from a file, as a proposal.

    :ivar category: one of :data:`salus.records.scope.CATEGORIES`.
    :ivar day: clinical date, or ``None`` if the file tells none. :ivar why: what the category was told by, for the owner.
    """

    category: str
    day: date | None
    why: str


def parse_day(text: str) -> date | None:
    """The day of a FHIR, HL7 v2, DICOM or VCF date or time; a year or month alone counts as its first day; else ``None``.

    The day is that of the place where it was written: times of day and zones are left out.
    """
    text = text.strip()
    digits = text[:10].split("T")[0].replace("-", "") if "-" in text[:10] else text[:8]
    if not (digits.isascii() and digits.isdigit() and len(digits) in (4, 6, 8)):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6] or 1), int(digits[6:8] or 1))
    except ValueError:
        return None


def newest(days: Iterable[date | None]) -> date | None:
    """The latest of the days that are known."""
    return max((day for day in days if day is not None), default=None)
