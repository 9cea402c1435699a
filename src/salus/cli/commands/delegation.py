"""``salus delegation``: an owner lets whoever satisfies a policy read a category's quarters, until it is revoked."""

from __future__ import annotations

from typing import Annotated

import typer

from salus.cli.commands.policy import PUBLIC, read_policy
from salus.cli.commands.record import OWNERS, Category, _facts, parse_quarter
from salus.cli.days import parse_day
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

APP = group("delegation", "Let whoever satisfies a policy read a category; every read needs the nodes, and ends with revocation.")
DAY_MS = 24 * 3600 * 1000
DEFAULT_DAYS = 365
LIMITS = (
    "What a reader has opened cannot be called back. More than two thirds of the nodes, now or later, could still open these "
    "records for a reader after a revocation, if they pool their secret shares with a kept copy of the delegation."
)
"""What revoking cannot do: said where a delegation is made, shown and ended."""

ID = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="As listed; eight digits of it are enough.")]
EXPIRES = Annotated[
    str | None,
    typer.Option("--expires", metavar="DATE", parser=parse_day, show_default=False, help="Last day, YYYY-MM-DD (UTC)."),
]


@command(
    APP,
    "create",
    (
        "--home clinic --as alice delegation create --to role:doctor --category lab --from 2025Q1 --until 2025Q4",
        "--home clinic --as alice delegation create --to role:emergency --category condition --from 2026Q1 --until 2026Q1",
        "--home clinic --as alice delegation create --to role:doctor --category lab --whole-category --year 2026",
    ),
)
def create(
    session: Session,
    to: Annotated[str, typer.Option("--to", metavar="POLICY", show_default=False, help="Who may read.")],
    category: Annotated[Category, typer.Option(metavar="C", show_default=False, help="Of records.")],
    first: Annotated[
        str, typer.Option("--from", metavar="Q", parser=parse_quarter, show_default=False, help="First quarter, such as 2025Q1.")
    ] = "",
    last: Annotated[
        str, typer.Option("--until", metavar="Q", parser=parse_quarter, show_default=False, help="Last quarter.")
    ] = "",
    whole_category: Annotated[
        bool, typer.Option("--whole-category", help="In place of quarters: records that were put with --whole-category.")
    ] = False,
    year: Annotated[
        int | None,
        typer.Option(
            min=1900,
            max=2199,
            metavar="YEAR",
            show_default=False,
            help="With --whole-category: of attributes without a year; default: this one.",
        ),
    ] = None,
    expires: EXPIRES = None,
) -> Result:
    """Delegate every quarter of a range, one transaction each; a policy with role:emergency is for emergencies.

    With --whole-category: the scope of all records of a category that were put so. They can be linked on the ledger.
    """
    from datetime import UTC, datetime

    if whole_category == bool(first or last) or bool(first) != bool(last):
        raise typer.BadParameter("name --from and --until, or --whole-category")
    if year is not None and not whole_category:
        raise typer.BadParameter("--year goes with --whole-category; a quarter has its own year")
    read_policy(to)
    arguments = {"to": to, "category": category, "expires_ms": expiry(expires, DEFAULT_DAYS)}
    with session.person(OWNERS) as actor:
        session.progress.stage("delegating")
        if whole_category:
            data = actor.do("create_whole_delegation", {**arguments, "year": year or datetime.now(UTC).year})
        else:
            data = actor.do("create_delegations", {**arguments, "first": first, "last": last})

    def show(screen: Screen) -> None:
        for d in data["delegations"]:
            screen.line(f"Delegated {d['category']} {d['period']} to {d['to']}: {d['id']}")
        screen.line(PUBLIC)
        screen.line(LIMITS)

    return Result(data, show)


def expiry(day: str | None, days: int) -> int:
    """UTC milliseconds at the end of a day, by default so many days from now."""
    from datetime import UTC, datetime
    from time import time

    if day is None:
        return int(time() * 1000) + days * DAY_MS
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000) + DAY_MS


@command(APP, "list", "--home clinic --as alice delegation list")
def list_delegations(session: Session) -> Result:
    """List this owner's delegations."""
    with session.person(OWNERS) as actor:
        data = actor.do("list_delegations", {})

    def show(screen: Screen) -> None:
        rows = [
            (d["id"][:16], d["category"], d["period"], d["to"], d["state"], day_and_time(d["expires_ms"]))
            for d in data["delegations"]
        ]
        screen.table(("delegation", "category", "quarter", "to", "state", "expires"), rows, "no delegations yet")

    return Result(data, show)


@command(APP, "show", "--home clinic --as alice delegation show 0f343b0931126a20")
def show_delegation(session: Session, id: ID) -> Result:
    """Show one delegation, as this terminal and the ledger have it, with the receipt of its revocation."""
    with session.person(OWNERS) as actor:
        data = actor.do("show_delegation", {"id": id})

    def show(screen: Screen) -> None:
        screen.facts(_facts(data))
        screen.line(LIMITS)

    return Result(data, show)


@command(APP, "revoke", "--home clinic --as alice delegation revoke 0f343b0931126a20")
def revoke(session: Session, id: ID) -> Result:
    """Revoke a delegation, and verify the nodes' receipt that they have deleted what they held of it.

    From the next block on no honest node transforms a record for its readers. What they have opened cannot be called back.
    More than two thirds of the nodes, now or later, could still open its records for them, if they pool their secret shares
    with a kept copy of the delegation.
    """
    with session.person(OWNERS) as actor:
        session.progress.stage("revoking")
        data = actor.do("revoke_delegation", {"id": id})
    by = ", ".join(data["deleted_by"])

    def show(screen: Screen) -> None:
        screen.line(f"Revoked {data['id']}: nothing more is transformed.")
        screen.line(
            f"Deleted, by their verified signatures: {by}" if by else "The receipt is not there yet: salus delegation show"
        )
        screen.line(LIMITS)

    return Result(data, show)
