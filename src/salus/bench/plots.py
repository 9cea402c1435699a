"""Draws a bench's plots as PNG and SVG. Needs matplotlib (the ``bench`` extra); runs without a screen."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from salus.bench.model import Plot
from salus.errors import SalusError

FORMATS: Final = ("png", "svg")
_LABEL_WIDTH: Final = 14
"""Characters of a group's name before it is broken into lines."""
_GROUP_WIDTH: Final = 0.8
"""Share of the distance between two groups that their bars fill."""


def draw(plots: Sequence[Plot], directory: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Draw each plot as ``<key>.png`` and ``<key>.svg`` in ``directory``; returns the paths.

    :raises SalusError: if matplotlib is not installed, or the directory cannot be written.
    """
    try:
        import matplotlib
    except ImportError:
        raise SalusError("plots need matplotlib: pip install 'salus[bench]'") from None
    matplotlib.use("Agg")
    # Same bytes for the same figures: no random ids, no date.
    matplotlib.rcParams["svg.hashsalt"] = "salus"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return [path for plot in plots for path in _draw_one(plot, directory, formats)]
    except OSError as error:
        raise SalusError(f"cannot write plots to {directory}: {error.strerror}") from None


def _draw_one(plot: Plot, directory: Path, formats: Sequence[str]) -> list[Path]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if plot.kind == "bars":
        _bars(axes, plot)
    elif plot.kind == "lines":
        for name, values in plot.series:
            axes.plot(plot.x, values, marker="o", label=name)
    else:
        raise ValueError(f"plot {plot.key}: no such kind: {plot.kind}")
    if plot.logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_title(plot.title)
    axes.set_ylabel(plot.y_label)
    axes.set_xlabel(plot.x_label)
    axes.grid(visible=True, axis="y", alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    paths = [directory / f"{plot.key}.{suffix}" for suffix in formats]
    for path, suffix in zip(paths, formats, strict=True):
        metadata = {"Date": None} if suffix == "svg" else {}
        figure.savefig(path, dpi=120, metadata=metadata)
    return paths


def _bars(axes: Any, plot: Plot) -> None:
    width = _GROUP_WIDTH / len(plot.series)
    for i, (name, values) in enumerate(plot.series):
        offset = (i - (len(plot.series) - 1) / 2) * width
        axes.bar([group + offset for group in range(len(values))], values, width, label=name)
    axes.set_xticks(range(len(plot.labels)), [textwrap.fill(label, _LABEL_WIDTH) for label in plot.labels], fontsize="small")
