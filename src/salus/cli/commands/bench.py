"""``salus bench``: what everything costs, measured here and now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from salus.cli.options import command, group
from salus.cli.screen import Screen
from salus.cli.session import Result, Session

APP = group("bench", "Measure what everything costs on this machine.")


@command(APP, "consultation", ("bench consultation --out figures", "bench consultation --quick --json"))
def consultation(
    session: Session,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write JSON, CSV, Markdown and plots there.", show_default=False)
    ] = None,
    docs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the site's page and plots (docs/bench).", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few repetitions: rough figures in seconds.")] = False,
) -> Result:
    """Measure consultations: primitives, phases, message sizes, throughput; beside the paper's figures and the floors."""
    from salus.bench.consultation import run

    result = run(out, quick, session.progress.counted, docs_dir=docs)

    def show(screen: Screen) -> None:
        for section in result.sections:
            screen.line()
            screen.line(section.title)
            screen.table([title.replace("_", " ") for title in section.columns], section.rows, "nothing was measured")
            for note in section.notes:
                screen.line(note)
        screen.line()
        for target in result.targets:
            screen.line(target.sentence())
        for written in (out, docs):
            if written is not None:
                screen.line(f"Written to {written}.")

    return Result(result.as_json(), show)
