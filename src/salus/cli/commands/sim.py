"""``salus sim``: simulated networks with faults."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from salus.cli.failures import CommandFailed
from salus.cli.options import command
from salus.cli.screen import Screen
from salus.cli.session import Result, Session

SEEDS_MAX = 10_000_000


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "sim", ("sim --seeds 200", "sim --seeds 1 --from 4711", "sim --seeds 50 --application ledger --jobs 2"))(sim)


def sim(
    session: Session,
    seeds: Annotated[int, typer.Option(min=1, max=SEEDS_MAX, metavar="N", help="How many networks.")] = 100,
    first: Annotated[int, typer.Option("--from", min=0, metavar="S", help="The first seed.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, max=256, metavar="J", help="Processes.")] = 1,
    application: Annotated[Literal["toy", "ledger", "sharing"], typer.Option(help="What the replicas agree on.")] = "toy",
) -> Result:
    """Run simulated networks with faults, each decided by its seed, and check every invariant after every step."""
    from salus.sim.command import command as simulate

    try:
        status, data, text = simulate(
            seeds, first, jobs, application, lambda done, total: session.progress.counted("simulated networks", done, total)
        )
    except ValueError as error:
        raise CommandFailed("failed", str(error)) from None

    def show(screen: Screen) -> None:
        for line in text.splitlines():
            screen.line(line)

    broken = f"{len(data['failures'])} simulated networks failed; the output names their seeds" if data["failures"] else ""
    missing = f"never exercised: {', '.join(data['not_exercised'])}"
    return Result(data, show, ("simulation", broken or missing) if status else None)
