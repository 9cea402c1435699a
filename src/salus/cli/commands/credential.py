"""``salus credential``: a patient's one-time credentials."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from salus.cli.options import command, group
from salus.cli.screen import Screen
from salus.cli.session import Result, Session

APP = group("credential", "A patient's credentials: one is used for each visit.")


@command(APP, "list", "--home clinic --as alice credential list")
def list_credentials(session: Session) -> Result:
    """List credentials by quarter. They end with their quarter."""
    with session.person(("patient",)) as actor:
        data = actor.do("credentials", {})
    return Result(data, lambda screen: _table(screen, data))


@command(APP, "renew", "--home clinic --as alice credential renew --count 16")
def renew(
    session: Session,
    count: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Unused ones to have afterwards.")] = 16,
) -> Result:
    """Get credentials of this quarter from the centre."""
    with session.person(("patient",)) as actor:
        session.progress.stage("getting credentials")
        data = actor.do("renew", {"count": count})

    def show(screen: Screen) -> None:
        screen.line(f"Credentials added: {data['added']}.")
        _table(screen, data)

    return Result(data, show)


def _table(screen: Screen, data: dict[str, Any]) -> None:
    rows = [(quarter, counts["unused"], counts["used"]) for quarter, counts in data["quarters"].items()]
    screen.table(("quarter", "unused#", "used#"), rows, "no credentials; get some: salus credential renew")
