"""``salus access``: who may open a record, through what, or what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from salus.cli.commands.policy import explained, show_explanation
from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

if TYPE_CHECKING:
    from salus.ledger.client import LedgerClient

APP = group("access", "Who may open a record.")


@command(APP, "explain", "--home clinic access explain 5d41402abc4b2a76b9719d911017c592 --as st-anne/board")
def explain(
    session: Session,
    rid: Annotated[str, typer.Argument(metavar="RID", show_default=False, help="The record, whole id.")],
) -> Result:
    """Explain from the ledger alone whether an institution (--as) may open a record: by policy, by which delegation, or why not.

    No wallet is opened: policies, grants of attributes and delegations are public.
    """
    from salus.ledger.reading import ProvenView
    from salus.network.sharing_results import obstacle_result, resolve
    from salus.terminal.sharing.access import access_of, obstacles

    record = resolve(rid, 16, (), "record")
    who = session.who()
    with session.network() as network:
        client = network.client()
        client.refresh()
        name = _institution(client, who)
        view = ProvenView(client)
        found = access_of(view, name, record, client.time_ms)
        closed = obstacles(view, name, record, client.time_ms, emergency=False)
    ways = [
        {
            "delegation": delegation.hex(), "to": made.policy().text, "outcome": outcome, "emergency": made.is_emergency(),
            "expires_ms": made.sealed.expires_ms, "explanation": explained(why),
        }
        for delegation, made, outcome, why in found["ways"]
    ]  # fmt: skip
    through = next((w for w in ways if w["outcome"] in ("delegation", "emergency")), None)
    data: dict[str, Any] = {
        "rid": rid,
        "institution": name,
        "scope": found["scope"],
        "policy": found["policy"].text if found["policy"] is not None else "",
        "outcome": found["outcome"] if found["outcome"] == "policy" or through is None else through["outcome"],
        "by_policy": explained(found["by_policy"]) if found["by_policy"] is not None else None,
        "delegations": ways,
        "why": [obstacle_result(one) for one in closed],
    }

    def show(screen: Screen) -> None:
        screen.line(f"{name} asking for {rid}: {_outcome(data['outcome'])}")
        screen.line("By policy: " + (data["policy"] or "the record is under own: alone"))
        if data["by_policy"] is not None:
            show_explanation(screen, data["by_policy"])
        for way in ways:
            screen.line(
                f"Delegation {way['delegation'][:16]} to {way['to']}, until {day_and_time(way['expires_ms'])}: {way['outcome']}"
            )
            if way["outcome"] == "unsatisfied":
                screen.line("  missing: " + ", ".join(way["explanation"]["missing"]))
        for remark in dict.fromkeys(remark for one in closed for remark in one.remarks):
            screen.line(f"Note: {remark}.")

    return Result(data, show)


def _outcome(outcome: str) -> str:
    words = {
        "policy": "may open it, by policy",
        "delegation": "may open it, by delegation",
        "emergency": "may open it in an emergency, with a reason",
        "waiting": "may not; the request would wait for its owner's consent",
    }
    return words.get(outcome, f"may not: {outcome}")


def _institution(client: LedgerClient, who: str) -> str:
    """The institution that ``--as`` names: as on the ledger, or by its directory."""
    from salus.network.home import slug

    names = [party.name for party in client.parties("institution")]
    for name in names:
        if who in (name, f"institution-{slug(name)}"):
            return name
    raise CommandFailed("unknown-party", f"{who} is no institution on the ledger; there are: {', '.join(names)}")
