"""``salus consent``: an owner's inbox."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from salus.cli.commands.delegation import EXPIRES, expiry
from salus.cli.commands.policy import read_policy
from salus.cli.commands.record import OWNERS
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

APP = group("consent", "Requests for one's own records: grant or refuse them; emergencies and their reasons.")
CONSENT_DAYS = 7
ID = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="As listed; eight digits of it are enough.")]


@command(APP, "list", "--home clinic --as alice consent list")
def list_requests(session: Session) -> Result:
    """List requests for this owner's records: what waits, and what became of the others; emergencies with their reasons."""
    with session.person(OWNERS) as actor:
        data = actor.do("consent_list", {})

    def show(screen: Screen) -> None:
        rows = [
            (r["id"][:16], r["reader"], r["file_name"] or r["rid"], r["purpose"], _state(r), day_and_time(r["asked_ms"]))
            for r in data["requests"]
        ]
        screen.table(("request", "reader", "record", "purpose", "state", "asked"), rows, "nobody has asked")
        for r in data["requests"]:
            if r["emergency_reason"]:
                screen.line(f"Emergency {r['id'][:16]}, {r['reader']}: {r['emergency_reason']}")

    return Result(data, show)


def _state(request: dict[str, Any]) -> str:
    if request["status"] == "waiting":
        return "WAITS for you"
    return f"{request['status']} {request['via'] or request['reason']}".strip()


@command(
    APP,
    "grant",
    ("--home clinic --as alice consent grant 0f343b0931126a20", "--as alice consent grant 0f343b09 --to role:doctor"),
)
def grant(
    session: Session,
    id: ID,
    to: Annotated[
        str,
        typer.Option(
            metavar="POLICY", show_default=False, help="Whom to delegate to; default: all attributes that the reader holds."
        ),
    ] = "",
    expires: EXPIRES = None,
) -> Result:
    """Let a waiting request through, by a live delegation or one that is made for it (for seven days).

    The delegation is for the whole category and quarter of the record, and for everyone who satisfies its policy.
    """
    if to:
        read_policy(to)
    with session.person(OWNERS) as actor:
        session.progress.stage("consenting")
        data = actor.do("consent_grant", {"id": id, "to": to, "expires_ms": expiry(expires, CONSENT_DAYS)})

    def show(screen: Screen) -> None:
        made = data["made"]
        screen.line(f"Let request {data['id'][:16]} through.")
        if made:
            screen.line(f"For it, {made['category']} {made['period']} is delegated to {made['to']}: {made['id']}")

    return Result(data, show)


@command(APP, "refuse", "--home clinic --as alice consent refuse 0f343b0931126a20")
def refuse(session: Session, id: ID) -> Result:
    """Refuse a waiting request."""
    with session.person(OWNERS) as actor:
        data = actor.do("consent_refuse", {"id": id})
    return Result(data, lambda screen: screen.line(f"Refused request {data['id'][:16]}."))
