"""Runs the parts of a bench and writes what they give: files, and the page of the site."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from salus.bench.model import Context, PartFunction, Progress, Result, run_parts, write_text
from salus.bench.plots import draw
from salus.symmetric import Random


def run_bench(
    name: str,
    parts: Sequence[tuple[str, PartFunction]],
    output_dir: Path | None,
    quick: bool,
    progress: Progress,
    random: Random,
    docs_dir: Path | None,
) -> Result:
    """Run a bench; with ``output_dir`` also write JSON, CSV, Markdown and the plots (PNG and SVG) there.

    :param name: of the bench and its page. :param parts: what each measures, and its function.
    :param output_dir: created if missing; ``None`` writes nothing.
    :param quick: few repetitions: rough figures in seconds.
    :param progress: called before each part with what comes, how many parts are done, and how many there are.
    :param docs_dir: the site's bench directory (``docs/bench``): gets the bench's page and its plots as SVG.
    :raises SalusError: the directory cannot be written, or matplotlib is missing for the plots.
    """
    with tempfile.TemporaryDirectory(prefix="salus-bench-") as work:
        result = run_parts(name, parts, Context(quick=quick, random=random, work=Path(work)), progress)
    if output_dir is not None:
        result.write(output_dir)
        draw(result.plots, output_dir)
    if docs_dir is not None:
        publish(result, docs_dir)
    return result


def publish(result: Result, docs_dir: Path) -> Path:
    """Write the page for the site and its plots; returns the page's path.

    :raises SalusError: the directory cannot be written.
    """
    plots = docs_dir / result.bench
    draw(result.plots, plots, ("svg",))
    page = docs_dir / f"{result.bench}.md"
    write_text(page, result.markdown(plots_below=result.bench, sources_at="../../"))
    return page
