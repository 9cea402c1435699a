"""What a bench gives: sections of rows, targets with their limits, and plots; written as JSON, CSV and Markdown.

A bench is a list of *parts* (:data:`PartFunction`), each of which measures something and returns a :class:`Part`. Nothing here
measures or draws, so another part can be added without touching a writer.
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from salus.errors import SalusError
from salus.symmetric import Random

SCHEMA: Final = 1
"""Version of the JSON form."""

_TEST: Final = re.compile(r"(?P<path>tests/[\w/]+\.py)::(?P<name>test_\w+)")

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Section:
    """One table.

    :ivar key: short name, used for the CSV file and in JSON; lower-case, hyphens.
    :ivar title: heading for people.
    :ivar columns: names of the columns, units last (``measured_ms``).
    :ivar rows: cells in the order of ``columns``.
    :ivar notes: sentences below the table: how it was measured, what differs from the paper.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"section {self.key}: a row of {len(row)} cells under {len(self.columns)} columns")

    def records(self) -> list[dict[str, Cell]]:
        """Rows as one mapping each."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Target:
    """A figure to reach, computed in this run.

    :ivar value: what was measured. :ivar limit: what it must reach.
    :ivar at_least: the value must not be below the limit; otherwise it must not be above.
    """

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        """``{"name", "value", "limit", "met", "direction"}``."""
        direction = "at least" if self.at_least else "at most"
        return {"name": self.name, "value": self.value, "limit": self.limit, "met": self.met, "direction": direction}

    def sentence(self) -> str:
        """The target in one line; a missed one says so."""
        direction = "at least" if self.at_least else "at most"
        verdict = "met" if self.met else "MISSED"
        return f"{verdict}: {self.name} = {_shown(self.value)} ({direction} {_shown(self.limit)})"


@dataclass(frozen=True)
class Plot:
    """A picture to draw.

    :ivar key: file name without suffix.
    :ivar kind: ``bars`` (grouped bars over ``labels``) or ``lines`` (y over ``x``).
    :ivar series: name of each series and its y values.
    :ivar labels: names of the groups, for bars. :ivar x: x values, for lines.
    """

    key: str
    title: str
    y_label: str
    series: tuple[tuple[str, tuple[float, ...]], ...]
    kind: str = "bars"
    labels: tuple[str, ...] = ()
    x: tuple[float, ...] = ()
    x_label: str = ""
    logarithmic: bool = False


@dataclass(frozen=True)
class Part:
    """What one part of a bench gives."""

    sections: tuple[Section, ...] = ()
    targets: tuple[Target, ...] = ()
    plots: tuple[Plot, ...] = ()


class Progress(Protocol):
    """Told what is being measured now, and how far the bench is."""

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """``done`` of ``total`` parts are finished; ``what`` comes next."""


def no_progress(_what: str, _done: int, _total: int, /) -> None:
    """Say nothing."""


@dataclass
class Context:
    """What every part may use.

    :ivar quick: fewer repetitions, for tests and a first look; figures are rough.
    :ivar random: source of random bytes.
    :ivar work: directory for scratch files; the bench's caller removes it.
    :ivar measured_ms: times that earlier parts measured and later parts use, by name (``t_sm``, ``base_mul``, ..).
    """

    quick: bool = False
    random: Random = os.urandom
    work: Path = field(default_factory=Path.cwd)
    measured_ms: dict[str, float] = field(default_factory=dict)


PartFunction = Callable[[Context], Part]


@dataclass
class Result:
    """A finished bench."""

    bench: str
    quick: bool
    sections: list[Section] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=lambda: machine())

    def add(self, part: Part) -> None:
        """Append what a part gave."""
        self.sections += part.sections
        self.targets += part.targets
        self.plots += part.plots

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return {
            "schema": SCHEMA,
            "bench": self.bench,
            "quick": self.quick,
            "machine": self.machine,
            "targets": [target.as_json() for target in self.targets],
            "sections": {
                s.key: {"title": s.title, "columns": list(s.columns), "rows": s.records(), "notes": list(s.notes)}
                for s in self.sections
            },
            "plots": [plot.key for plot in self.plots],
        }

    def write(self, directory: Path) -> list[Path]:
        """Write ``<bench>.json``, one CSV for each section and ``<bench>.md`` into ``directory``; returns the paths.

        Plots are drawn by :func:`salus.bench.plots.draw`, which needs matplotlib.

        :raises SalusError: if the directory cannot be written.
        """
        files = {f"{self.bench}.json": json.dumps(self.as_json(), indent=2) + "\n", f"{self.bench}.md": self.markdown()}
        files |= {f"{section.key}.csv": csv_of(section) for section in self.sections}
        for name, text in files.items():
            write_text(directory / name, text)
        return [directory / name for name in files]

    def markdown(self, plots_below: str = "", sources_at: str = "") -> str:
        """The page for docs/bench, written by the command.

        :param plots_below: directory of the plots, relative to the page; "" leaves them next to it.
        :param sources_at: root of the checkout, relative to the page (``../../``): tests named in cells become links to
            their files; "" names them only, for a page that may lie anywhere.
        """
        lines = [f"# Bench: {self.bench}", "", "Written by the command; do not edit.", ""]
        lines += [f"- {name}: {value}" for name, value in self.machine.items()]
        if self.quick:
            lines.append("- quick run: few repetitions, rough figures")
        if self.targets:
            lines += ["", "## Targets", ""] + [f"- {target.sentence()}" for target in self.targets]
        for section in self.sections:
            lines += [
                "",
                f"## {section.title}",
                "",
                _markdown_row(section.columns),
                _markdown_row(["---"] * len(section.columns)),
            ]
            lines += [_markdown_row([_linked(_shown(cell), sources_at) for cell in row]) for row in section.rows]
            lines += ["", *section.notes] if section.notes else []
        below = plots_below.rstrip("/") + "/" if plots_below else ""
        for plot in self.plots:
            lines += ["", f"![{plot.title}]({below}{plot.key}.svg)"]
        return "\n".join(lines) + "\n"


def run_parts(
    bench: str, parts: Sequence[tuple[str, PartFunction]], context: Context, progress: Progress = no_progress
) -> Result:
    """Run the parts in order and collect what they give.

    :param parts: what each part measures, for people, and its function.
    """
    result = Result(bench, context.quick)
    for done, (what, part) in enumerate(parts):
        progress(what, done, len(parts))
        result.add(part(context))
    progress("done", len(parts), len(parts))
    return result


def write_text(path: Path, text: str) -> None:
    """Write a file of figures; its directory is made.

    :raises SalusError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SalusError(f"cannot write the bench's figures to {path}: {error.strerror}") from None


def csv_of(section: Section) -> str:
    """A section as CSV with a header line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(section.columns)
    writer.writerows(section.rows)
    return out.getvalue()


def machine() -> dict[str, str]:
    """What the figures were measured on; no host or user name."""
    return {
        "cores": str(os.cpu_count() or 1),
        "processor": _processor(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.machine()
    return platform.machine()


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        # Six digits from 1 on, so that the paper's thousandths of a millisecond stay visible.
        return f"{cell:,.1f}" if abs(cell) >= 1000 else f"{cell:.6g}" if abs(cell) >= 1 else f"{cell:.4g}"
    if isinstance(cell, int):
        return f"{cell:,}"
    return cell


def _linked(cell: str, sources_at: str) -> str:
    """A cell that names a test (``tests/..py::test_..``) as a link to its file."""
    named = _TEST.fullmatch(cell) if sources_at else None
    return f"[`{named['name']}`]({sources_at}{named['path']})" if named else cell


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
