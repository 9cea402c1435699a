"""``salus search``: find records by words and codes; nodes and clouds never see the words."""

from __future__ import annotations

from typing import Annotated

import typer

from salus.cli.commands.record import OWNERS, Category
from salus.cli.options import command
from salus.cli.screen import Screen
from salus.cli.session import Result, Session


def add_to(app: typer.Typer) -> None:
    """Add the command; it is no group."""
    command(app, "search", ("--home clinic --as st-anne/board search hypertension", "--as alice search 'loinc|8867-4'"))(search)


def search(
    session: Session,
    words: Annotated[
        list[str], typer.Argument(metavar="WORD...", show_default=False, help="Words or codes (system|code); all must be there.")
    ],
    category: Annotated[Category | None, typer.Option(metavar="C", show_default=False, help="Only of this category.")] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Ask several value nodes: one that holds a record back is noticed.")
    ] = False,
) -> Result:
    """Find records that hold all of the words: one's own, those that one may read, and discoverable ones.

    An institution searches wherever it was given the index key: by a policy or a delegation that its keys of attributes satisfy.
    Its first key is asked for on the way; for attributes granted later: salus attribute request-key.
    """
    with session.person(OWNERS) as actor:
        session.progress.stage("searching")
        data = actor.do("search_records", {"words": words, "category": category or "", "thorough": thorough})

    def show(screen: Screen) -> None:
        rows = [(r["rid"], "own", r["file_name"]) for r in data["own"]]
        rows += [(rid, "may be read", "") for rid in data["readable"]]
        rows += [(rid, "discoverable: ask its owner", "") for rid in data["discoverable"]]
        screen.table(("record", "how", "file"), rows, "nothing found")
        for node, why in data["liars"].items():
            screen.line(f"{node} answered falsely: {why}")
        if data["attributes_without_key"]:
            names = ", ".join(data["attributes_without_key"])
            screen.line(f"Granted, but in no key yet, so not searched by: {names}; run: salus attribute request-key")
        if data["more"]:
            screen.line("There are more than one answer holds; ask for more words.")
        if data["readable"] or data["discoverable"]:
            screen.line("Ask for them with: salus share request RID... --purpose treatment")

    return Result(data, show)
