"""``salus trace``: finding out who sent a request, with a quorum's approval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

APP = group("trace", "Find out who sent a request: only with the approval of more than 2/3 of the institutions.")
CASE = Annotated[str, typer.Argument(metavar="CASE", help="As given by trace request.", show_default=False)]
EVIDENCE = Annotated[Path, typer.Option("--evidence", metavar="FILE", help="As written by trace request.", show_default=False)]


@command(APP, "request", "--home clinic --as st-anne/dr-lee trace request 549536bf820a40d4 --grounds 'false record'")
def request(
    session: Session,
    id: Annotated[str, typer.Argument(metavar="ID", help="The request whose sender is sought.", show_default=False)],
    grounds: Annotated[str, typer.Option(metavar="TEXT", help="Why, for everybody to read.", show_default=False)],
) -> Result:
    """Open a case about a request, as the doctor who got it, and write the evidence to show to the institutions.

    Ask before treating or declining the request: afterwards its keys are erased, and nothing can be shown any more.
    """
    with session.person(("doctor",)) as actor:
        data = actor.do("ask_trace", {"id": id, "grounds": grounds})

    def show(screen: Screen) -> None:
        screen.line(f"Opened case {data['case']}.")
        screen.line(f"Evidence for the institutions and the centre, not to be published: {data['evidence']}")
        screen.line("When more than 2/3 of the institutions have approved, get the name with: salus trace open CASE")

    return Result(data, show)


@command(APP, "approve", "--home clinic --as st-anne/board trace approve CASE --evidence case.evidence")
def approve(session: Session, case: CASE, evidence: EVIDENCE) -> Result:
    """Verify the evidence of a case and approve it, as an institution."""
    check_case(case)
    with session.person(("institution",)) as actor:
        data = actor.do("approve", {"case": case, "evidence": str(evidence)})
    return Result(data, lambda screen: screen.line(f"{data['approved_by']} approves case {case}."))


@command(APP, "open", "--home clinic --as st-anne/dr-lee trace open CASE")
def open_case(
    session: Session,
    case: CASE,
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="As written by trace request; default: found with the wallet.", show_default=False),
    ] = None,
) -> Result:
    """Get the name behind an approved case from the centre, as the one who asked. That it was opened goes on the ledger."""
    check_case(case)
    with session.person(("doctor", "institution")) as actor:
        path = evidence or actor.evidence_path(case)
        data = actor.do("open_trace", {"case": case, "evidence": str(path)})
    return Result(data, lambda screen: screen.line(f"The request was sent by {data['identity']}, whose own signature proves it."))


@command(APP, "show", "--home clinic trace show CASE")
def show_case(session: Session, case: CASE) -> Result:
    """Show who asked, who approved, and when the centre opened; the ledger never says whom it named."""
    from salus.network.actors import trace_case

    check_case(case)
    with session.network() as network:
        data = trace_case(network.client(), bytes.fromhex(case))
    return Result(data, lambda screen: _facts(screen, data))


def check_case(case: str) -> None:
    """Refuse what is no case number.

    :raises CommandFailed: saying what one looks like.
    """
    if len(case) != 64 or any(c not in "0123456789abcdef" for c in case):
        raise CommandFailed("failed", f"{case[:80]!r} is no case: 64 hexadecimal digits, as given by: salus trace request")


def _facts(screen: Screen, data: dict[str, Any]) -> None:
    screen.facts(
        {
            "case": data["case"],
            "asked by": data["asker"],
            "asked": day_and_time(data["asked_ms"]),
            "request": data["request_tx"],
            "approved by": data["approved_by"],
            "opened": day_and_time(data["opened_ms"]) or "not yet; by trace open, as the one who asked",
        }
    )
