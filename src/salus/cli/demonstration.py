"""``salus demo``: its sharing half for people, and the printed protocol's demonstration, in a home or a temporary directory."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from salus.cli.screen import Screen
from salus.errors import REASONS

_YEAR: Final = re.compile(r"@\d{4}")


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
    verified = ("access_log_complete", "revocation_receipt_verified", "cloud_destroyed_nothing_lost")
    return same and found and all(data.get(name, True) for name in verified)


def show_sharing(screen: Screen, data: dict[str, Any]) -> None:
    """The sharing half's report for people; nothing if it was not shown."""
    if "sharing" not in data:
        return
    screen.line()
    screen.line("Sharing")
    screen.line(
        "Each patient put the record into two clouds, encrypted, and its key on the ledger under a policy: whoever holds the"
    )
    screen.line(
        "attributes that it names can open it. The policies (here without the records' years), and what the centre has granted:"
    )
    policies = Counter(_YEAR.sub("", one["policy"]) for one in data["put"])
    screen.table(("policy", "records#"), sorted(policies.items()), "none")
    screen.line()
    screen.table(("institution", "attributes"), [(who, ", ".join(held)) for who, held in data["attributes"].items()], "none")
    screen.line()
    screen.line(
        "Who read what. By policy: by attributes of its own. By delegation: the owner let a role in, and a quorum of nodes"
    )
    screen.line("transformed the key for it, none of which can read. In an emergency: likewise, at once, and the log marks it.")
    rows = [
        (
            s["record"], s["sha256"][:12], s["reader"], s["via"], ", ".join(s["transformed_by"]),
            "equal" if s["sha256"] == s["received_sha256"] else "NOT EQUAL",
        )
        for s in data["sharing"]
    ]  # fmt: skip
    screen.table(("record", "SHA-256", "reader", "via", "transformed by", "received"), rows, "none")
    _show_searches(screen, data)
    screen.line()
    screen.line("Who was turned away:")
    denied = [(d["reader"], _record_of(data, d["rid"]), d["reason"], REASONS.get(d["reason"], "")) for d in data["denied"]]
    screen.table(("reader", "record", "denied for", "that is"), denied, "none")
    screen.line()
    screen.line("What went wrong on the way, and what came of it:")
    screen.table(("what", "outcome"), _troubles(data), "nothing")
    screen.line()
    receipt = "verified" if data["revocation_receipt_verified"] else "NOT VERIFIED"
    complete = "complete" if data["access_log_complete"] else "NOT COMPLETE"
    screen.line(
        f"The nodes' receipt of the revocation: {receipt}. The owners' access logs, which name every reading above: {complete}."
    )


def _show_searches(screen: Screen, data: dict[str, Any]) -> None:
    screen.line()
    screen.line(
        "Searches: no single node, and no cloud, learns the word. Beside each, what a plain scan of the same files finds:"
    )
    searches = [
        (s["word"], s["reader"], len(s["found"]), len(s["expected"]), "same" if s["found"] == s["expected"] else "DIFFERENT")
        for s in data["searches"]
    ]
    screen.table(("word", "reader", "found#", "by a plain scan#", "records"), searches, "none")


def _troubles(data: dict[str, Any]) -> list[tuple[str, str]]:
    lost, emergency = data["cloud_destroyed"], data["emergency"]
    whole = "" if data["cloud_destroyed_nothing_lost"] else "SOMETHING IS LOST: "
    return [
        (
            f"{data['liar_named']} lied",
            "convicted on the ledger; the reader got the record from the others",
        ),
        (f"{data['node_down']} was down", "the others served the reader"),
        (
            f"{lost['cloud']} lost everything",
            f"{whole}{lost['read_without_it']} of {lost['records']} records read without it; it fetched "
            f"{lost['records_after']} back, "
            f"and {lost['read_from_it_alone']} were read from it alone",
        ),
        (f"{emergency['reader']} had an emergency", "it got in, and the owner saw it with its reason"),
    ]


def _record_of(data: dict[str, Any], rid: str) -> str:
    return next((str(one["record"]) for one in data["put"] if one["rid"] == rid), rid[:12])
