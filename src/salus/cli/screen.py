"""What people see on stdout: tables and facts. Programs get ``--json`` instead."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from salus.cli.failures import one_line

_WIDE = 4096
"""Width where no terminal sets one: lines are then never broken, so that other programs can read them."""


class Screen:
    """Writes to stdout; text of other parties is shown without control characters."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _WIDE)

    def line(self, text: str = "") -> None:
        """One line."""
        self._console.print(one_line(text), markup=False, soft_wrap=True)

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Names and values, one a line."""
        width = max((len(name) for name in facts), default=0)
        for name, value in facts.items():
            self.line(f"{name:<{width}}  {shown(value)}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
        """A table; a column whose title ends in ``#`` holds numbers.

        :param empty: what to say where there are no rows.
        """
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in columns:
            table.add_column(title.rstrip("#"), justify="right" if title.endswith("#") else "left", overflow="fold")
        count = 0
        for row in rows:
            table.add_row(*(Text(shown(cell)) for cell in row))
            count += 1
        if count:
            self._console.print(table)
        else:
            self.line(empty)


def shown(value: Any) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value) or "-"
    return one_line(str(value)) or "-"


def day_and_time(time_ms: int) -> str:
    """UTC milliseconds for people; nothing for 0."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if time_ms else ""


def size(size_bytes: int) -> str:
    """A size for people."""
    value, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size_bytes:,} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
