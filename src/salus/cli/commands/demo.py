"""``salus demo``: the whole of it, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from salus.cli.demonstration import sharing_held, show_sharing
from salus.cli.failures import CommandFailed
from salus.cli.options import command
from salus.cli.screen import Screen, size
from salus.cli.session import Result, Session
from salus.errors import REASONS


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "demo", ("demo", "demo --records ~/records --home demonstration"))(demo)


def demo(
    session: Session,
    records: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", show_default="made on the spot", help="Every file below it is a record; can be repeated."),
    ] = None,
    suite: Annotated[
        Literal["mbpa-r1", "mbpa-2019"], typer.Option(help="The repaired protocol, or the printed one, which is forgeable.")
    ] = "mbpa-r1",
) -> Result:
    """Watch patients consult doctors, attacks being refused, records being shared, and a fresh process verify the ledger.

    With --home everything that any party wrote stays there; otherwise it is removed.
    """
    home = session.given.home
    if home is not None and home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise CommandFailed("storage", f"{home} is not an empty directory; the demonstration needs one of its own")
    if suite == "mbpa-2019":
        from salus.cli.demonstration import run_printed

        session.say("salus: warning: mbpa-2019 is forgeable, as this demonstration shows; it is here for study only")
        data = run_printed(tuple(records or ()), home, session.progress.counted)
    else:
        from salus.network.demonstration import DemoOptions, run_demo

        data = run_demo(DemoOptions(tuple(records or ()), home), session.progress.counted)
    good = data["ledger_verified"] and all(_accepted(c) for c in data["consultations"]) and sharing_held(data)
    bad = None if good else ("not-verified", "not everything came through, or the ledger does not verify; the report says what")
    return Result(data, lambda screen: show(screen, data), bad)


def _accepted(consultation: dict[str, Any]) -> bool:
    c = consultation
    same = c["sha256"] == c["doctor_received_sha256"] and c["reply_sha256"] == c["patient_received_reply_sha256"]
    return bool(c["accepted"]) and same


def _why(attempt: dict[str, Any]) -> str:
    return attempt.get("detail", "") or REASONS.get(attempt["reason"], "")


def show(screen: Screen, data: dict[str, Any]) -> None:
    """The report for people."""
    rows = [
        (c["record"], size(c["bytes"]), c["doctor"], c["sn"], c["sha256"][:12], "accepted" if _accepted(c) else "NOT ACCEPTED")
        for c in data["consultations"]
    ]
    if "parties" in data:
        counted = {name: len(data["parties"][name]) for name in ("nodes", "check_nodes", "clouds", "institutions")}
        screen.line(
            f"A network of {counted['nodes']} nodes, {counted['check_nodes']} check nodes, {counted['clouds']} clouds, a centre "
            f"and {counted['institutions']} institutions. Nobody trusts another one."
        )
        screen.line()
    screen.line(f"Consultations ({data['suite']}, {data['engine']})")
    screen.line(
        "Each patient sent a record to a doctor, unknown to everyone else, and got a diagnosis that nobody else can read:"
    )
    screen.table(("record", "size#", "doctor", "slot#", "SHA-256", "diagnosis"), rows, "none")
    screen.line()
    screen.line("Then somebody tried to cheat:")
    attempts = [(a["attempt"], a["reason"] or "SUCCEEDED", _why(a)) for a in data["refused"]]
    screen.table(("attempt", "refused for", "that is"), attempts, "none")
    if data.get("not_refused"):
        screen.line()
        screen.line("What this suite does not refuse:")
        screen.table(("attempt", "outcome"), [(a["attempt"], a["detail"]) for a in data["not_refused"]], "nothing")
    show_sharing(screen, data)
    screen.line()
    screen.line("How long it took, from what a person asks for to the answer:")
    phases = [(name, t["median"], t["p99"]) for name, t in data["phases_ms"].items()]
    screen.table(("phase", "median ms#", "p99 ms#"), phases, "none")
    screen.line()
    screen.line("How large the messages of a consultation are:")
    screen.table(("message", "bits#"), [(n, f"{b:,}") for n, b in data["message_bits"].items()], "none")
    screen.line()
    verdict = "verified from genesis and export alone" if data["ledger_verified"] else "NOT VERIFIED"
    screen.line(f"Ledger of {data['height']} blocks: {verdict}, by a fresh process.")
