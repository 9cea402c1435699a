"""``salus demo``: its sharing half for people, and the printed protocol's demonstration, in a home or a temporary directory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from salus.cli.screen import Screen
from salus.errors import REASONS


def run_printed(roots: tuple[Path, ...], home: Path | None, tell: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Run it over the records below ``roots``, or over records made on the spot.

    :param home: where every party writes; None: a temporary directory that is removed afterwards.
    :raises SalusError: something that must succeed did not.
    """
    from salus.network.demonstration.run import SEED
    from salus.network.printed import run_printed_demo
    from salus.records.collection import find_records
    from salus.records.generate import generate_records

    with tempfile.TemporaryDirectory(prefix="salus-demo-") as scratch:
        if not roots:
            roots = (Path(scratch) / "records",)
            generate_records(roots[0], SEED)
        return run_printed_demo(find_records(*roots), home or Path(scratch) / "home", tell)


def sharing_held(data: dict[str, Any]) -> bool:
    """Whether everything of the sharing half came through, if it was shown."""
    same = all(s["sha256"] == s["received_sha256"] for s in data.get("sharing", ()))
    found = all(sorted(s["found"]) == sorted(s["expected"]) for s in data.get("searches", ()))
    return same and found and data.get("access_log_complete", True) and data.get("revocation_receipt_verified", True)


def show_sharing(screen: Screen, data: dict[str, Any]) -> None:
    """The sharing half's report for people; nothing if it was not shown."""
    if "sharing" not in data:
        return
    screen.line()
    screen.line("Sharing:")
    rows = [
        (
            s["record"], s["sha256"][:12], s["reader"], s["via"], ", ".join(s["transformed_by"]),
            "equal" if s["sha256"] == s["received_sha256"] else "NOT EQUAL",
        )
        for s in data["sharing"]
    ]  # fmt: skip
    screen.table(("record", "SHA-256", "reader", "via", "transformed by", "received"), rows, "none")
    if "searches" in data:
        screen.line()
        screen.line("Searches:")
        searches = [
            (s["word"], s["reader"], len(s["found"]), len(s["expected"]), "same" if s["found"] == s["expected"] else "DIFFERENT")
            for s in data["searches"]
        ]
        screen.table(("word", "reader", "found#", "by a plain scan#", "records"), searches, "none")
    screen.line()
    screen.line("Denied:")
    denied = [(d["reader"], d["rid"][:12], d["reason"], REASONS.get(d["reason"], "")) for d in data["denied"]]
    screen.table(("reader", "record", "denied for", "that is"), denied, "none")
    screen.line()
    screen.line(f"A node that lied: {data['liar_named']}, named on the ledger; the reader got the record all the same.")
    screen.line(f"A node that was down: {data['node_down']}; nobody noticed.")
    cloud = data["cloud_destroyed"]
    lost = "nothing was lost" if data["cloud_destroyed_nothing_lost"] else "RECORDS WERE LOST"
    screen.line(f"A cloud that was destroyed: {cloud['cloud']}, {cloud['records_after']} records fetched again; {lost}.")
    screen.line(f"An emergency: {data['emergency']['reader']} got in, and the owner saw it with its reason.")
    receipt = "verified" if data["revocation_receipt_verified"] else "NOT VERIFIED"
    complete = "complete" if data["access_log_complete"] else "NOT COMPLETE"
    screen.line(f"The nodes' receipt of the revocation: {receipt}. The owners' access logs: {complete}.")
