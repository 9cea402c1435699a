"""Attributes: ``role:doctor``, ``role:doctor@2026``, and ``own:`` with the 64 hexadecimal digits of a scope.

An attribute of an institution lives by the year: a key for ``role:doctor@2026`` opens what was put under 2026 and no
other year. The attribute ``own:<x>`` names a scope of an owner (docs/protocol/sharing-scheme.md, "Policies"); it has no
year, because the scope names its period itself.
"""

from __future__ import annotations

import re
from typing import Final

from salus.errors import Refused, refuse_unless

OWN: Final = "own:"
"""Prefix of the attributes that stand for an owner's scope."""
SCOPE_BYTES: Final = 32
NAME_CHARACTERS_MAX: Final = 16
"""The part before the colon: a word such as ``role`` or ``dept``."""
VALUE_CHARACTERS_MAX: Final = 64
"""The part after it: a code or a short name; a scope's 64 digits are the longest."""
ATTRIBUTE_CHARACTERS_MAX: Final = NAME_CHARACTERS_MAX + 1 + VALUE_CHARACTERS_MAX + 5
"""With the colon, and a year behind its sign."""
YEAR_MIN: Final = 1900
YEAR_MAX: Final = 2199
"""Clinical years of people alive and of records to come; four digits, so that text order is time order."""

_PATTERN: Final = re.compile(
    rf"(?P<name>[a-z][a-z0-9-]{{0,{NAME_CHARACTERS_MAX - 1}}}):(?P<value>[a-z0-9][a-z0-9._-]{{0,{VALUE_CHARACTERS_MAX - 1}}})"
    r"(?:@(?P<year>[0-9]{4}))?"
)
_SCOPE: Final = re.compile(r"[0-9a-f]{64}")


def fault(text: str) -> tuple[int, str] | None:
    """What is wrong with an attribute's text: (position, sentence); ``None`` if it is canonical.

    :param text: any text.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        return _place(text)
    year = match["year"]
    if match["name"] + ":" == OWN:
        if year is not None:
            return match.start("year") - 1, "an own: attribute has no year: its scope names the period"
        if _SCOPE.fullmatch(match["value"]) is None:
            return match.start("value"), "own: is followed by the 64 hexadecimal digits of a scope"
    elif year is not None and not YEAR_MIN <= int(year) <= YEAR_MAX:
        return match.start("year"), f"a year lies in {YEAR_MIN}..{YEAR_MAX}"
    return None


def _place(text: str) -> tuple[int, str]:
    """Where a text stops looking like an attribute."""
    name, colon, rest = text.partition(":")
    if not colon:
        return len(name), "an attribute is written name:value, such as role:doctor; the colon is missing"
    if (at := _first_outside(name, "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz0123456789-")) is not None:
        return at, "the name of an attribute has lower-case letters, digits and '-', and begins with a letter"
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX:
        return min(len(name), NAME_CHARACTERS_MAX), f"the name of an attribute has 1 to {NAME_CHARACTERS_MAX} characters"
    value, at_sign, year = rest.partition("@")
    start = len(name) + 1
    digits = "abcdefghijklmnopqrstuvwxyz0123456789"
    if (at := _first_outside(value, digits, digits + "._-")) is not None:
        return (
            start + at,
            "the value of an attribute has lower-case letters, digits, '.', '_', '-', and begins with a letter or digit",
        )
    if not 1 <= len(value) <= VALUE_CHARACTERS_MAX:
        return start + min(len(value), VALUE_CHARACTERS_MAX), f"its value has 1 to {VALUE_CHARACTERS_MAX} characters"
    start += len(value) + len(at_sign)
    wrong = next((i for i, c in enumerate(year) if c not in "0123456789"), min(len(year), 4))
    return start + wrong, "a year has four digits"


def _first_outside(text: str, first: str, others: str) -> int | None:
    return next((i for i, c in enumerate(text) if c not in (others if i else first)), None)


def canonical_attribute(text: str) -> str:
    """``text`` itself, if it is an attribute.

    :raises Refused: ``bad-attribute``, with what is wrong.
    """
    wrong = fault(text)
    if wrong is not None:
        raise Refused("bad-attribute", f"{wrong[1]} (character {wrong[0] + 1})")
    return text


def own_attribute(scope: bytes) -> str:
    """The attribute ``own:<x>`` of a scope.

    :param scope: x, 32 bytes.
    """
    refuse_unless(len(scope) == SCOPE_BYTES, "bad-attribute", f"a scope has {SCOPE_BYTES} bytes")
    return OWN + scope.hex()


def scope_of(attribute: str) -> bytes | None:
    """The scope x of an ``own:`` attribute, ``None`` for any other text.

    :raises Refused: ``bad-attribute`` for ``own:`` with anything but 64 lower-case hexadecimal digits: a scope has one name.
    """
    return bytes.fromhex(canonical_attribute(attribute).removeprefix(OWN)) if attribute.startswith(OWN) else None


def year_of(attribute: str) -> int | None:
    """The year of an attribute, ``None`` if it has none."""
    _, at_sign, year = attribute.partition("@")
    return int(year) if at_sign else None


def with_year(attribute: str, year: int) -> str:
    """The attribute for a year: unchanged if it has one already, or stands for a scope.

    :raises Refused: ``bad-attribute`` for a year out of range.
    """
    refuse_unless(YEAR_MIN <= year <= YEAR_MAX, "bad-attribute", f"a year lies in {YEAR_MIN}..{YEAR_MAX}")
    return attribute if attribute.startswith(OWN) or "@" in attribute else f"{attribute}@{year}"
