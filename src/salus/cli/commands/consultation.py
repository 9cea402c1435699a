"""``salus consultation``: a patient asks, a doctor treats, the patient reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from salus.cli.days import DAY
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time, size
from salus.cli.session import Result, Session

APP = group("consultation", "Send a record to a doctor; treat; read the reply.")
ID = Annotated[str, typer.Argument(metavar="ID", help="As listed by queue or replies.", show_default=False)]
DeclineReason = Literal["not-authorised", "bad-body", "missing-body", "bad-time", "bad-pseudonym", "wrong-doctor", "too-large"]
"""Reason codes that a doctor may have; what is meant in words goes into the note."""


@command(APP, "request", "--home clinic --as alice consultation request --doctor st-anne/dr-lee --day 2026-03-02 summary.json")
def request(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The record: any file.", show_default=False)],
    doctor: Annotated[str, typer.Option(metavar="NAME", help="Whom to ask (salus doctor list).", show_default=False)],
    day: Annotated[str, DAY],
) -> Result:
    """Send a record to a doctor, anonymously, for one of the free slots of a day; waits until it is stored."""
    with session.person(("patient",)) as actor:
        session.progress.stage("preparing the request")
        data = actor.do("request", {"doctor": doctor, "day": day, "path": str(file)})

    def show(screen: Screen) -> None:
        screen.line(f"Sent {file.name} to {doctor}: slot {data['sn']} on {day}, consultation {data['id']}.")
        screen.line(f"Look for the reply with: salus consultation replies, then: salus consultation read {data['id']}")

    return Result(data, show)


@command(APP, "queue", "--home clinic --as st-anne/dr-lee consultation queue")
def queue(session: Session) -> Result:
    """List the requests that wait, in the order in which they are to be treated."""
    with session.person(("doctor",)) as actor:
        data = actor.do("queue", {})

    def show(screen: Screen) -> None:
        rows = [(w["id"], w["sn"], w["day"], size(w["bytes"]), day_and_time(w["time_ms"])) for w in data["waiting"]]
        screen.table(("id", "slot#", "day", "sealed size#", "sent"), rows, "nobody waits")

    return Result(data, show)


@command(APP, "open", "--home clinic --as st-anne/dr-lee consultation open 549536bf820a40d4")
def open_record(session: Session, id: ID) -> Result:
    """Fetch and verify a request's record, write it below received/, and say what it is."""
    with session.person(("doctor",)) as actor:
        data = actor.do("open", {"id": id})

    def show(screen: Screen) -> None:
        screen.line(data["title"])
        screen.facts(
            {
                "format": data["format"],
                **{name: value for name, value in data["details"]},
                "measured": day_and_time(data["measured_ms"]),
                "file name": data["file_name"],
                "SHA-256": data["sha256"],
                "written to": data["path"],
            }
        )

    return Result(data, show)


@command(APP, "treat", "--home clinic --as st-anne/dr-lee consultation treat 549536bf820a40d4 --reply diagnosis.txt")
def treat(
    session: Session,
    id: ID,
    reply: Annotated[Path, typer.Option(metavar="FILE", help="The diagnosis: any file.", show_default=False)],
) -> Result:
    """Reply to a request and wait until the reply is stored; then the one-time keys are erased."""
    with session.person(("doctor",)) as actor:
        session.progress.stage("treating")
        data = actor.do("treat", {"id": id, "reply": str(reply)})
    return Result(data, lambda screen: screen.line(f"Replied to {data['id']} (slot {data['sn']}) with {reply.name}."))


@command(APP, "decline", "--home clinic --as st-anne/dr-lee consultation decline 549536bf820a40d4 --note 'not my field'")
def decline(
    session: Session,
    id: ID,
    reason: Annotated[DeclineReason, typer.Option(help="Reason code on the ledger.")] = "not-authorised",
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why, for everybody to read.", show_default=False)] = "",
) -> Result:
    """Decline a request, signed, with a reason."""
    with session.person(("doctor",)) as actor:
        data = actor.do("decline", {"id": id, "reason": reason, "note": note})
    return Result(data, lambda screen: screen.line(f"Declined {id}: {reason}."))


@command(APP, "replies", "--home clinic --as alice consultation replies")
def replies(session: Session) -> Result:
    """List this patient's consultations and what became of them."""
    with session.person(("patient",)) as actor:
        data = actor.do("replies", {})

    def show(screen: Screen) -> None:
        rows = [(c["id"], c["doctor"], c["day"], c["sn"], c["file_name"], _state(c)) for c in data["consultations"]]
        screen.table(("id", "doctor", "day", "slot#", "record", "state"), rows, "no consultations yet")

    return Result(data, show)


def _state(consultation: dict[str, Any]) -> str:
    if consultation["reply_waiting"]:
        return "reply waiting: read it"
    state = str(consultation["state"])
    return {"sent": "being sent", "stored": "waiting for the doctor"}.get(state, state)


@command(APP, "read", "--home clinic --as alice consultation read 549536bf820a40d4")
def read(session: Session, id: ID) -> Result:
    """Check and open the reply to a consultation, write it below received/; then the one-time keys are erased."""
    with session.person(("patient",)) as actor:
        data = actor.do("read", {"id": id})

    def show(screen: Screen) -> None:
        screen.line(f"The reply of {data['doctor']} to {data['id']} verifies.")
        screen.facts(
            {
                "written": day_and_time(data["time_ms"]),
                "type": data["media_type"],
                "file name": data["file_name"],
                "SHA-256": data["sha256"],
                "written to": data["path"],
            }
        )

    return Result(data, show)
