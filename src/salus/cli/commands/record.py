"""``salus record``: an owner puts records under policies, reads, changes and erases them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from salus.cli.commands.policy import PUBLIC, read_policy
from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time, size
from salus.cli.session import Result, Session
from salus.records.info import plural

APP = group("record", "Records that their owner keeps in clouds, under attribute policies.")
OWNERS = ("patient", "institution")
Category = Literal["lab", "vitals", "imaging", "medication", "condition", "note", "genomics", "other"]


def parse_range(text: str) -> str:
    """A range of bytes as A-B.

    :raises typer.BadParameter: it is none.
    """
    first, dash, last = text.partition("-")
    if text and not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last) < 1 << 63):
        raise typer.BadParameter(f"{text!r} is no range of bytes; write A-B, such as 0-1023.")
    return text


def parse_quarter(text: str) -> str:
    """A quarter.

    :raises typer.BadParameter: it is none.
    """
    if text and not re.fullmatch(r"[0-9]{4}Q[1-4]", text):
        raise typer.BadParameter(f"{text!r} is no quarter; write 2025Q3.")
    return text


RID = Annotated[
    str, typer.Argument(metavar="RID", show_default=False, help="As listed by record list; eight digits of it are enough.")
]


@command(
    APP,
    "put",
    (
        "--home clinic --as alice record put summary.json --policy 'role:doctor and dept:cardiology'",
        "--home clinic --as alice record put scan.dcm --category imaging --keyword fracture --discoverable",
        "--home clinic --as alice record put genome.vcf.c4gh --crypt4gh-key alice.sec --category genomics",
    ),
)
def put(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False, help="The records: any files.")],
    policy: Annotated[
        str, typer.Option(metavar="TEXT", show_default=False, help="Who else may read; default: nobody (own: alone).")
    ] = "",
    category: Annotated[Category | None, typer.Option(metavar="C", show_default=False, help="Default: as the file says.")] = None,
    period: Annotated[
        str,
        typer.Option(
            metavar="QUARTER", parser=parse_quarter, show_default=False, help="E.g. 2025Q3; default: of the file's clinical date."
        ),
    ] = "",
    keyword: Annotated[
        list[str] | None, typer.Option(metavar="W", show_default=False, help="A word to find it by, beside those in the file.")
    ] = None,
    discoverable: Annotated[
        bool, typer.Option("--discoverable", help="Every institution that knows a word may find it, and ask you.")
    ] = False,
    supersedes: Annotated[str, typer.Option(metavar="RID", show_default=False, help="The record that this one corrects.")] = "",
    whole_category: Annotated[
        bool, typer.Option("--whole-category", help="One scope for all quarters: its records can be linked on the ledger.")
    ] = False,
    crypt4gh_key: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY", show_default=False, help="The files are Crypt4GH files for this private key; what is in them is put."
        ),
    ] = None,
    crypt4gh_passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Its first line opens that key.")
    ] = None,
) -> Result:
    """Encrypt records, put them into clouds and their keys on the ledger; waits until each is stored.

    A file's category, quarter and keywords come from the file itself. What was interrupted is finished by the next command.
    """
    if supersedes and len(files) > 1:
        raise typer.BadParameter("one file supersedes one record")
    if policy:
        read_policy(policy)
    for path in files:
        if not path.is_file():
            raise CommandFailed("storage", f"{path} is no file that can be read; check the path")
    with session.person(OWNERS) as actor:
        session.progress.stage("putting records")
        data = actor.do(
            "put_records",
            {
                "paths": [str(p) for p in files], "policy": policy, "category": category or "", "period": period,
                "keywords": keyword or [], "discoverable": discoverable, "supersedes": supersedes,
                "whole_category": whole_category,
                "crypt4gh_key": str(crypt4gh_key or ""), "crypt4gh_passphrase_file": str(crypt4gh_passphrase_file or ""),
            },
        )  # fmt: skip

    def show(screen: Screen) -> None:
        for record in data["records"]:
            _show_put(screen, record)
        if policy:
            screen.line(PUBLIC)

    return Result(data, show)


def _show_put(screen: Screen, r: dict[str, Any]) -> None:
    """A record that was put, and what of its keywords it is not found by."""
    screen.line(f"Put {r['file_name']} ({r['category']}, {r['quarter']}, {plural(r['keywords'], 'keyword')}): record {r['rid']}")
    if r["keywords"] == 1:
        screen.line("It is found by its category alone: the file tells no keywords. --keyword adds your own.")
    if r["keywords_left_out"]:
        screen.line(
            f"It is not found by {r['keywords_left_out']:,} more words and codes of the file: "
            f"a record has at most {r['keywords']:,}; your own come first, then codes, then words."
        )
    if r["keywords_problem"]:
        screen.line(f"About its keywords: {r['keywords_problem']}")


@command(APP, "list", "--home clinic --as alice record list")
def list_records(session: Session) -> Result:
    """List this owner's records."""
    with session.person(OWNERS) as actor:
        data = actor.do("list_records", {})

    def show(screen: Screen) -> None:
        rows = [
            (r["rid"], r["category"], r["quarter"], size(r["bytes"]), r["file_name"], r["state"], r["policy"] or "own: alone")
            for r in data["records"]
        ]
        screen.table(("record", "category", "quarter", "size#", "file", "state", "policy"), rows, "no records yet")

    return Result(data, show)


@command(APP, "show", "--home clinic --as alice record show 5d41402abc4b2a76b9719d911017c592")
def show_record(
    session: Session,
    rid: Annotated[
        str,
        typer.Argument(
            metavar="RID|DIGEST", show_default=False,
            help="As listed by record list, eight digits are enough; or its encrypted body's digest, as clouds name it.",
        ),
    ],
) -> Result:  # fmt: skip
    """Show one record, as this terminal and the ledger have it."""
    with session.person(OWNERS) as actor:
        data = actor.do("show_record", {"rid": rid})
    return Result(data, lambda screen: screen.facts(_facts(data)))


def _facts(data: dict[str, Any]) -> dict[str, Any]:
    return {name: day_and_time(value) if name.endswith("_ms") else value for name, value in data.items()}


@command(
    APP,
    "get",
    (
        "--home clinic --as alice record get 5d41402a --out summary.json",
        "--home clinic --as alice record get 5d41402a --range 0-1023",
    ),
)
def get(
    session: Session,
    rid: RID,
    range: Annotated[
        str,
        typer.Option(
            metavar="A-B",
            parser=parse_range,
            show_default=False,
            help="Only bytes A to B; no others are fetched.",
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Default: below received/ of the wallet.")
    ] = None,
) -> Result:
    """Fetch, verify and decrypt one's own record; the file appears only when all of it is verified."""
    first, _, last = range.partition("-")
    start, stop = (int(first), int(last) + 1) if range else (0, 0)
    with session.person(OWNERS) as actor:
        session.progress.stage("fetching")
        data = actor.do("get_record", {"rid": rid, "out": str(out) if out else "", "start": start, "stop": stop})

    def show(screen: Screen) -> None:
        screen.facts({"written to": data["path"], "bytes": data["bytes"], "SHA-256": data["sha256"]})
        for cloud, why in data["passed_over"].items():
            screen.line(f"Passed over {cloud}: {why}")

    return Result(data, show)


@command(APP, "policy", "--home clinic --as alice record policy 5d41402a 'role:doctor or role:nurse'")
def policy(
    session: Session,
    rid: RID,
    text: Annotated[str, typer.Argument(metavar="TEXT", show_default=False, help="The new policy; '' for nobody else.")],
) -> Result:
    """Put a record under another policy. Who opened it before has its key; to cut them off: salus record rotate."""
    if text.strip():
        read_policy(text)
    with session.person(OWNERS) as actor:
        session.progress.stage("changing the policy")
        data = actor.do("policy_record", {"rid": rid, "text": text})
    return Result(data, lambda screen: screen.line(f"Record {data['rid']} is now under: {data['policy'] or 'own: alone'}"))


@command(APP, "rotate", "--home clinic --as alice record rotate 5d41402a")
def rotate(session: Session, rid: RID) -> Result:
    """Give a record a new key and a new body, and have the old one erased: cuts off who opened it before."""
    with session.person(OWNERS) as actor:
        session.progress.stage("rotating")
        data = actor.do("rotate_record", {"rid": rid})
    return Result(data, lambda screen: screen.line(f"Record {data['rid']} has a new key and a new body."))


@command(APP, "erase", "--home clinic --as alice record erase 5d41402a")
def erase(session: Session, rid: RID) -> Result:
    """Erase a record: clouds and nodes delete it, a tombstone stays on the ledger. It cannot be taken back."""
    with session.person(OWNERS) as actor:
        session.progress.stage("erasing")
        data = actor.do("erase_record", {"rid": rid})
    return Result(data, lambda screen: screen.line(f"Erased record {data['rid']}."))


@command(APP, "export", "--home clinic --as alice record export 5d41402a --crypt4gh recipient.pub --out summary.c4gh")
def export(
    session: Session,
    rid: RID,
    crypt4gh: Annotated[
        Path, typer.Option("--crypt4gh", metavar="KEY", show_default=False, help="The recipient's Crypt4GH public key file.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Default: below received/ of the wallet.")
    ] = None,
) -> Result:
    """Write a record as a standard Crypt4GH file for one recipient."""
    with session.person(OWNERS) as actor:
        session.progress.stage("exporting")
        data = actor.do("export_record", {"rid": rid, "key": str(crypt4gh), "out": str(out) if out else ""})
    return Result(
        data, lambda screen: screen.line(f"Wrote {data['path']} ({size(data['bytes'])}) for the holder of {crypt4gh.name}.")
    )
