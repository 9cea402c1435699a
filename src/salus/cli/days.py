"""The option ``--day``."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import typer

_WORDS: Final = {"today": 0, "tomorrow": 1}


def parse_day(text: str) -> str:
    """A day as YYYY-MM-DD (UTC).

    :raises typer.BadParameter: it is no day.
    """
    if text in _WORDS:
        return (datetime.now(UTC).date() + timedelta(days=_WORDS[text])).isoformat()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; write YYYY-MM-DD, today or tomorrow.") from None
    if day.isoformat() != text:
        raise typer.BadParameter(f"{text!r} is not written YYYY-MM-DD.")
    return text


def is_over(day: str) -> bool:
    """Whether a day lies in the past (UTC)."""
    return day < datetime.now(UTC).date().isoformat()


DAY: Final[Any] = typer.Option(
    "--day", metavar="DATE", parser=parse_day, show_default=False, help="YYYY-MM-DD, today or tomorrow (UTC)."
)
