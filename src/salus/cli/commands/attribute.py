"""``salus attribute``: the centre grants institutions attributes; an institution gets keys for its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from salus.cli.commands.delegation import EXPIRES, expiry
from salus.cli.commands.share import READERS
from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

if TYPE_CHECKING:
    from salus.network.embedded import EmbeddedNetwork

APP = group("attribute", "Attributes of institutions: granted by the centre, keys issued by a quorum of nodes.")
GRANT_DAYS = 365
INSTITUTION = Annotated[str, typer.Argument(metavar="INSTITUTION", show_default=False, help="E.g. st-anne/board.")]


def parse_years(text: str) -> str:
    """Clinical years: one, A-B, or none.

    :raises typer.BadParameter: they are none.
    """
    first, _, last = text.partition("-")
    if text not in ("", "none") and not (re.fullmatch(r"[0-9]{4}(-[0-9]{4})?", text) and first <= (last or first)):
        raise typer.BadParameter(f"{text!r} are no years; write 2026, 2024-2026 or none.")
    return text


ATTRIBUTES = Annotated[
    list[str], typer.Argument(metavar="ATTRIBUTE...", show_default=False, help="Without a year, e.g. role:doctor.")
]


@command(APP, "grant", "--home clinic attribute grant st-anne/board role:doctor dept:cardiology --years 2024-2026")
def grant(
    session: Session,
    institution: INSTITUTION,
    attributes: ATTRIBUTES,
    years: Annotated[
        str,
        typer.Option(
            metavar="A-B",
            parser=parse_years,
            show_default=False,
            help="Clinical years; default: this one.",
        ),
    ] = "",
    expires: EXPIRES = None,
) -> Result:
    """Grant an institution attributes on the ledger, as the centre's operator."""
    first, last = _years(years)
    with session.network() as network:
        _check_known(network, institution)
        session.progress.stage("granting")
        until_ms = expiry(expires, GRANT_DAYS)
        done = network.centre.grant_attributes(institution, attributes, first, last, until_ms)
    data: dict[str, Any] = {
        "institution": institution, "attributes": sorted(set(attributes)), "first_year": first, "last_year": last,
        "expires_ms": until_ms, "tx": done.hash.hex(),
    }  # fmt: skip
    covered = "no year" if not first else str(first) if first == last else f"{first} to {last}"
    return Result(data, lambda screen: screen.line(f"Granted {institution}: {', '.join(data['attributes'])} for {covered}."))


def _years(text: str) -> tuple[int, int]:
    from datetime import UTC, datetime

    if text == "none":
        return 0, 0
    if not text:
        year = datetime.now(UTC).year
        return year, year
    first, _, last = text.partition("-")
    return int(first), int(last or first)


@command(APP, "revoke", "--home clinic attribute revoke st-anne/board dept:cardiology")
def revoke(session: Session, institution: INSTITUTION, attributes: ATTRIBUTES) -> Result:
    """End every grant of these attributes to an institution, as the centre's operator.

    Keys that were issued for them still satisfy policies; no new ones are issued, and nothing is served for them any more.
    """
    with session.network() as network:
        _check_known(network, institution)
        session.progress.stage("revoking")
        done = network.centre.revoke_attributes(institution, attributes)
    data = {"institution": institution, "attributes": sorted(set(attributes)), "tx": done.hash.hex()}
    return Result(data, lambda screen: screen.line(f"{institution} holds no more: {', '.join(data['attributes'])}."))


@command(APP, "list", ("--home clinic attribute list", "--home clinic attribute list st-anne/board"))
def list_attributes(
    session: Session,
    institution: Annotated[
        str, typer.Argument(metavar="INSTITUTION", show_default=False, help="Default: every institution.")
    ] = "",
) -> Result:
    """List live grants of attributes, proven from the ledger."""
    from salus.ledger.kinds.sharing.attributes import held_attributes, is_suspended
    from salus.ledger.reading import ProvenView

    found: list[dict[str, Any]] = []
    with session.network() as network:
        client = network.client()
        client.refresh()
        view = ProvenView(client)
        names = _check_known(network, institution)
        for name in [institution] if institution else names:
            suspended = is_suspended(view, name)
            for held in held_attributes(view, name, client.time_ms):
                found.append(
                    {
                        "institution": name, "attribute": held.atom, "first_year": held.first_year, "last_year": held.last_year,
                        "expires_ms": held.expires_ms, "suspended": suspended,
                    }
                )  # fmt: skip

    def show(screen: Screen) -> None:
        rows = [(f["institution"], f["attribute"], _covered(f), day_and_time(f["expires_ms"])) for f in found]
        screen.table(("institution", "attribute", "years", "expires"), rows, "no attributes are granted")
        for name in sorted({f["institution"] for f in found if f["suspended"]}):
            screen.line(f"{name} is suspended: nodes and clouds refuse it.")

    return Result({"attributes": found}, show)


def _check_known(network: EmbeddedNetwork, institution: str) -> list[str]:
    """Names of the live institutions.

    :raises CommandFailed: ``unknown-party`` if one is named that is not among them.
    """
    names = [party.name for party in network.client().parties("institution") if not party.revoked_ms]
    if institution and institution not in names:
        raise CommandFailed("unknown-party", f"no institution {institution} on the ledger; there are: {', '.join(names)}")
    return names


def _covered(held: dict[str, Any]) -> str:
    if not held["first_year"]:
        return "no year"
    return f"{held['first_year']}-{held['last_year']}"


@command(APP, "request-key", ("--home clinic --as st-anne/board attribute request-key",))
def request_key(
    session: Session,
    attributes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ATTRIBUTE@YEAR...]", show_default=False, help="Default: all that is granted, every year of it."),
    ] = None,
) -> Result:
    """Get a key of one's attributes from a quorum of nodes; no node, and nobody else, ever holds it."""
    with session.person(READERS) as actor:
        session.progress.stage("asking the nodes")
        data = actor.do("request_key", {"attributes": attributes or []})

    def show(screen: Screen) -> None:
        screen.line(f"{data['institution']} has a key of: {', '.join(data['attributes'])}")
        if data["liars"]:
            screen.line("Named on the ledger for a bad partial key: " + ", ".join(data["liars"]))

    return Result(data, show)
