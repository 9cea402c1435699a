"""The program's commands, put together, and how one is run."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer import TyperException

from salus.cli.commands import (
    access,
    attribute,
    audit,
    bench,
    consent,
    consultation,
    credential,
    delegation,
    demo,
    network,
    party,
    policy,
    record,
    search,
    sensor,
    share,
    sim,
    slot,
    trace,
    wallet,
)
from salus.cli.failures import one_line, report
from salus.cli.main import INTERRUPTED, OK, USAGE
from salus.cli.options import group

DESCRIPTION = "Medical records between patients, doctors and hospitals that need not trust any one machine."


def application() -> typer.Typer:
    """All commands."""
    app = group("salus", DESCRIPTION)
    demo.add_to(app)
    for module in (network, party):
        app.add_typer(module.APP)
    app.add_typer(party.DOCTORS)
    for later in (wallet, credential, slot, consultation, sensor, record, policy, attribute, delegation):
        app.add_typer(later.APP)
    search.add_to(app)
    for later in (share, consent, access, trace, audit):
        app.add_typer(later.APP)
    sim.add_to(app)
    app.add_typer(bench.APP)
    return app


def run(arguments: list[str]) -> int:
    """Run the command that ``arguments`` name; returns the exit status.

    :raises KeyboardInterrupt: Ctrl-C.
    """
    command: Any = typer.main.get_command(application())
    try:
        status = command.main(arguments, prog_name="salus", standalone_mode=False, obj=None)
    except TyperException as error:
        return _usage(error, "--json" in arguments)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return status if isinstance(status, int) else OK


def _usage(error: TyperException, as_json: bool) -> int:
    """A command line that cannot be understood."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "salus"
    message = error.format_message().replace("Value error, ", "")  # the checker's own word for what it found
    if type(error).__name__ == "NoArgsIsHelpError" or not message:
        sys.stderr.write(message + "\n")
        message = "name a command"
    report("usage", f"{one_line(message).rstrip('.')}; see: {path} --help", as_json)
    return USAGE
