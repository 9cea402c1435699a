"""What people see on stdout: tables and facts. Programs get ``--json`` instead."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from salus.cli.failures import one_line

_WIDE = 4096
"""Width where no terminal sets one: lines are then never broken, so that other programs can read them."""

_BETWEEN = 2
"""Blanks between two columns."""


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
        """A table; a column whose title ends in ``#``, or where every cell is a number or nothing, is right-aligned.

        A table that this terminal could only show with broken words in several columns is written row by row instead.

        :param empty: what to say where there are no rows.
        """
        from rich.table import Table
        from rich.text import Text

        cells = [tuple(row) for row in rows]
        if not cells:
            self.line(empty)
            return
        if self._too_wide(columns, cells):
            for row in cells:
                self.facts({title.rstrip("#"): cell for title, cell in zip(columns, row, strict=True)})
                self.line()
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title, column in zip(columns, zip(*cells, strict=True), strict=True):
            right = title.endswith("#") or all(map(_numeric, column))
            table.add_column(title.rstrip("#"), justify="right" if right else "left", overflow="fold")
        for row in cells:
            table.add_row(*(Text(shown(cell)) for cell in row))
        with self._console.capture() as printed:
            self._console.print(table)
        for line in printed.get().splitlines():  # without the blanks that fill the last column
            sys.stdout.write(f"{line.rstrip()}\n")

    def _too_wide(self, columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> bool:
        least = [
            max(len(word) for cell in (title.rstrip("#"), *column) for word in shown(cell).split(" "))
            for title, column in zip(columns, zip(*cells, strict=True), strict=True)
        ]
        return sum(least) - max(least) + _BETWEEN * len(least) > self._console.width


def _numeric(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def shown(value: Any) -> str:
    """A value for people; a number has two decimals, or three digits if it is small."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}" if value == 0 or abs(value) >= 1 else f"{value:#.3g}"
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
