"""``salus slot``: a doctor's appointments."""

from __future__ import annotations

from typing import Annotated

import typer

from salus.cli.days import DAY, is_over
from salus.cli.options import command, group
from salus.cli.screen import Screen
from salus.cli.session import Result, Session

APP = group("slot", "A doctor's slots: numbered, each taken by one request.")
SLOTS_MAX = 4096
"""Slots of one command: more than a doctor sees in a year."""


@command(APP, "publish", "--home clinic --as st-anne/dr-lee slot publish --day 2026-03-02 --count 8")
def publish(
    session: Session,
    day: Annotated[str, DAY],
    count: Annotated[int, typer.Option(min=1, max=SLOTS_MAX, metavar="N", help="How many.", show_default=False)],
) -> Result:
    """Publish open slots of a day."""
    with session.person(("doctor",)) as actor:
        session.progress.stage("publishing slots")
        data = actor.do("publish", {"day": day, "count": count})
    if is_over(day):
        session.say(f"salus: {day} is over; if that was a slip of the pen, take the slots back with: salus slot cancel")
    slots = data["slots"]
    which = f"slot {slots[0]}" if len(slots) == 1 else f"slots {slots[0]} to {slots[-1]}"
    return Result(data, lambda screen: screen.line(f"Published {which} on {day}."))


@command(APP, "list", "--home clinic --as st-anne/dr-lee slot list")
def list_slots(session: Session) -> Result:
    """List slots and what became of them."""
    with session.person(("doctor",)) as actor:
        data = actor.do("slots", {})

    def show(screen: Screen) -> None:
        rows = [(s["sn"], s["day"], s["state"]) for s in data["slots"]]
        screen.table(("slot#", "day", "state"), rows, "no slots; publish some: salus slot publish")

    return Result(data, show)


@command(APP, "cancel", "--home clinic --as st-anne/dr-lee slot cancel 4 5 6")
def cancel(
    session: Session,
    slots: Annotated[list[int], typer.Argument(metavar="SLOT...", min=0, help="Slot numbers.", show_default=False)],
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why, for everybody to read.", show_default=False)] = "",
) -> Result:
    """Cancel open slots; a slot with a request is declined instead (salus consultation decline)."""
    with session.person(("doctor",)) as actor:
        session.progress.stage("cancelling slots")
        data = actor.do("cancel", {"sns": sorted(set(slots)), "note": note})
    return Result(data, lambda screen: screen.line(f"Cancelled: {', '.join(map(str, data['cancelled']))}."))
