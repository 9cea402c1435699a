"""``salus bench``: what everything costs, measured here and now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from salus.cli.options import command, group
from salus.cli.screen import Screen
from salus.cli.session import Result, Session

if TYPE_CHECKING:
    from salus.bench.model import Result as Measured

APP = group("bench", "Measure what everything costs on this machine.")

_Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Also write JSON, CSV, Markdown and plots there.", show_default=False)
]
_Page = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Also write the site's page and its plots there (docs/bench).", show_default=False),
]
_Quick = Annotated[bool, typer.Option("--quick", help="Few repetitions: rough figures in seconds.")]


@command(APP, "consultation", ("bench consultation --out figures", "bench consultation --quick --json"))
def consultation(session: Session, out: _Out = None, page: _Page = None, quick: _Quick = False) -> Result:
    """Measure consultations: primitives, phases, message sizes, throughput; beside the paper's figures and the floors."""
    from salus.bench.consultation import run

    return _result(run(out, quick, session.progress.counted, docs_dir=page), out, page)


@command(APP, "abpre", ("bench abpre --out figures", "bench abpre --quick --json"))
def abpre(session: Session, out: _Out = None, page: _Page = None, quick: _Quick = False) -> Result:
    """Measure sharing under attribute policies: the scheme beside its floors and a peer, thresholds; and compare properties."""
    from salus.bench.abpre import run

    return _result(run(out, quick, session.progress.counted, docs_dir=page), out, page)


@command(APP, "search", ("bench search --out figures", "bench search --quick --json"))
def search(session: Session, out: _Out = None, page: _Page = None, quick: _Quick = False) -> Result:
    """Measure keyword search: looking up, tokens, index sizes; beside what the primitives alone would cost."""
    from salus.bench.search import run

    return _result(run(out, quick, session.progress.counted, docs_dir=page), out, page)


@command(APP, "records", ("bench records --out figures", "bench records --quick --json"))
def records(session: Session, out: _Out = None, page: _Page = None, quick: _Quick = False) -> Result:
    """Measure bodies of records, 1 MiB to 4 GiB: beside cipher and hash alone, memory, ranges."""
    from salus.bench.records import run

    return _result(run(out, quick, session.progress.counted, docs_dir=page), out, page)


@command(APP, "flows", ("bench flows --out figures", "bench flows --quick --json"))
def flows(session: Session, out: _Out = None, page: _Page = None, quick: _Quick = False) -> Result:
    """Measure storing and sharing a record end to end: stages by size, attributes, committee; bytes on the chain."""
    from salus.bench.flows import run

    return _result(run(out, quick, session.progress.counted, docs_dir=page), out, page)


def _result(measured: Measured, *written: Path | None) -> Result:
    def show(screen: Screen) -> None:
        for section in measured.sections:
            screen.line()
            screen.line(section.title)
            screen.table([title.replace("_", " ") for title in section.columns], section.rows, "nothing was measured")
            for note in section.notes:
                screen.line(note)
        screen.line()
        for target in measured.targets:
            screen.line(target.sentence())
        for directory in written:
            if directory is not None:
                screen.line(f"Written to {directory}.")

    return Result(measured.as_json(), show)
