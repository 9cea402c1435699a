"""``salus share``: an institution asks for records and opens what was granted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

APP = group("share", "Ask for records of others, and open what was granted.")
READERS = ("institution",)
Purpose = Literal["treatment", "emergency", "payment", "operations", "research", "public-health", "patient-request"]
ID = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="As listed; eight digits of it are enough.")]


@command(
    APP,
    "request",
    (
        "--home clinic --as st-anne/board share request 5d41402abc4b2a76b9719d911017c592 --purpose treatment",
        "--as st-anne/board share request 5d41402a --purpose emergency --emergency 'found unconscious'",
    ),
)
def request(
    session: Session,
    rids: Annotated[
        list[str], typer.Argument(metavar="RID...", show_default=False, help="As found by salus search; eight digits are enough.")
    ],
    purpose: Annotated[Purpose, typer.Option(show_default=False, help="Purpose of use, for everybody to read.")],
    emergency: Annotated[
        str, typer.Option(metavar="REASON", show_default=False, help="Why there is no time to ask; its owner sees it at once.")
    ] = "",
    through: Annotated[
        str,
        typer.Option(
            metavar="ID", show_default=False, help="Only through this delegation (as access explain lists them), or not."
        ),
    ] = "",
) -> Result:
    """Ask for records; waits until each is granted, denied, or put into its owner's inbox.

    What is denied or waits is explained: which attributes are missing, or which delegation has expired or was revoked.
    Exit status 1: one is denied.
    """
    if bool(emergency.strip()) != (purpose == "emergency"):
        raise typer.BadParameter("--purpose emergency and --emergency REASON go together, and with nothing else")
    with session.person(READERS) as actor:
        session.progress.stage("asking")
        data = actor.do("share_request", {"rids": rids, "purpose": purpose, "emergency": emergency, "through": through})
    denied = [share for share in data["shares"] if share["status"] == "denied"]
    failure = None
    if denied:
        why = "; ".join(obstacle["told"] for obstacle in denied[0]["why"])
        said = f"{len(denied)} of {len(data['shares'])} were denied: {why or denied[0]['reason']}"
        failure = (denied[0]["reason"] or "not-granted", said)
    return Result(data, lambda screen: _table(screen, data["shares"], "nothing was asked for"), failure)


def _table(screen: Screen, shares: list[dict[str, Any]], empty: str) -> None:
    rows = [(s["id"][:16], s["rid"], s["purpose"], _state(s), day_and_time(s["asked_ms"])) for s in shares]
    screen.table(("share", "record", "purpose", "state", "asked"), rows, empty)
    for share in shares:
        for obstacle in share["why"]:
            screen.line(f"{share['id'][:16]}  {obstacle['told']}")


def _state(share: dict[str, Any]) -> str:
    if share["status"] == "granted":
        return f"granted by {share['via']}: salus share get {share['id'][:16]}"
    if share["status"] == "waiting":
        return "waits for its owner"
    return f"denied: {share['reason']}" if share["status"] == "denied" else str(share["status"])


@command(APP, "list", "--home clinic --as st-anne/board share list")
def list_shares(session: Session) -> Result:
    """List everything this institution asked for, with what became of it."""
    with session.person(READERS) as actor:
        data = actor.do("share_list", {})
    return Result(data, lambda screen: _table(screen, data["shares"], "nothing was asked for yet"))


@command(APP, "get", "--home clinic --as st-anne/board share get 0f343b0931126a20 --out records")
def get(
    session: Session,
    id: ID,
    out: Annotated[Path | None, typer.Option(metavar="DIR", show_default=False, help="Default: received/ of the wallet.")] = None,
) -> Result:
    """Open a granted share: put the record's key together, fetch and verify metadata and body, write the file."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with session.person(READERS) as actor:
        session.progress.stage("opening")
        data = actor.do("share_get", {"id": id, "out": str(out) if out else ""})

    def show(screen: Screen) -> None:
        by = ", ".join(data["transformed_by"]) or "nobody: by policy"
        screen.facts(
            {
                "written to": data["path"], "file name": data["file_name"], "type": data["media_type"],
                "category": data["category"], "SHA-256": data["received_sha256"], "transformed by": by,
            }
        )  # fmt: skip
        if data["liars"]:
            screen.line("Named on the ledger for a false partial: " + ", ".join(data["liars"]))
        for cloud, why in data["passed_over"].items():
            screen.line(f"Passed over {cloud}: {why}")

    return Result(data, show)
