"""``salus audit``: what is on the ledger, who was let in to which records, and proving both to others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from salus.cli.access_logs import audited, complete, holds_access, show_log, show_written
from salus.cli.commands.network import existing_file
from salus.cli.commands.record import Category
from salus.cli.days import parse_day
from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

if TYPE_CHECKING:
    from salus.ledger.verify import LedgerReport

APP = group("audit", "What is on the ledger, who was let in to which records, and proving both to others.")
LIMIT_MAX = 100_000
"""Transactions that one listing holds in memory."""
SHARING: Final = ("patient", "institution")
"""Who owns records, and so has access logs."""

RECORD = Annotated[str, typer.Option("--record", metavar="RID", show_default=False, help="Of an owner: about this record.")]
CATEGORY = Annotated[Category | None, typer.Option(metavar="C", show_default=False, help="Of an owner: of this category.")]
PERIOD = Annotated[str, typer.Option(metavar="Q", show_default=False, help="Of an owner: of this quarter, such as 2025Q3.")]
LEDGER = Annotated[bool, typer.Option("--ledger", show_default=False, help="The whole ledger, whoever acts.")]


def _owner(session: Session, ledger: bool) -> bool:
    """Whether the command is about the records of the one who acts: somebody is named who may own some."""
    from salus.network.home import Home

    if ledger or not session.settings.party:
        return False
    Home(session.home).genesis()
    return Home(session.home).find_person(session.settings.party)[0] in SHARING


@command(
    APP,
    "log",
    (
        "--home clinic audit log --limit 20",
        "--home clinic audit log --kind consultation.request",
        "--home clinic --as alice audit log --record 5d41402a",
    ),
)
def log(
    session: Session,
    kind: Annotated[str, typer.Option(metavar="KIND", help="Only transactions of this kind.", show_default=False)] = "",
    after: Annotated[int, typer.Option(min=0, metavar="HEIGHT", help="Only blocks above this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, metavar="N", help="The newest N of them.")] = 1000,
    record: RECORD = "",
    category: CATEGORY = None,
    period: PERIOD = "",
    act: Annotated[
        str, typer.Option(metavar="ACT", show_default=False, help="Of an owner: only this act, such as granted.")
    ] = "",
    ledger: LEDGER = False,
) -> Result:
    """List who was let in to one's records, or committed transactions.

    With --as an owner: the complete access log of its records, proven: every request, grant, denial, consent, emergency,
    delegation, revocation, and what was done to each record; for an institution its own requests too. Without: the transactions
    of the ledger; every block's certificate is verified on the way.
    """
    if not (kind or after) and _owner(session, ledger):
        arguments = {"record": record, "category": category or "", "period": period, "act": act}
        with session.person(SHARING) as actor:
            session.progress.stage("proving access logs")
            data = actor.do("access_log", arguments)
        data = {**data, "entries": data["entries"][-limit:]}
        return Result(data, show_log(data))
    _only_owners(record, category, period, act)
    return _transactions(session, kind, after, limit)


def _only_owners(*options: object) -> None:
    if any(options):
        raise typer.BadParameter("--record, --category, --period and --act are about an owner's records: say whose by --as")


def _transactions(session: Session, kind: str, after: int, limit: int) -> Result:
    from collections import deque

    from salus.cli.verification import transactions

    found: deque[dict[str, Any]] = deque(maxlen=limit)
    with session.network() as network:
        for entry in transactions(network.client(), after, session.progress):
            if kind in ("", entry["kind"]):
                found.append(entry)

    def show(screen: Screen) -> None:
        rows = [(e["height"], e["index"], day_and_time(e["time_ms"]), e["kind"], e["who"], e["hash"][:16]) for e in found]
        screen.table(("height#", "index#", "time", "kind", "who", "transaction"), rows, "no such transactions")

    return Result({"transactions": list(found)}, show)


@command(
    APP,
    "export",
    (
        "--home clinic audit export ledger.export --genesis genesis",
        "--home clinic --as alice audit export alice.access --category lab",
        "--home clinic --as alice audit export alice.json --fhir",
        "--home clinic audit export alice.json --fhir --from alice.access",
    ),
)
def export(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)],
    genesis: Annotated[
        Path | None, typer.Option(metavar="COPY", help="Also write a copy of the genesis.", show_default=False)
    ] = None,
    fhir: Annotated[
        bool,
        typer.Option("--fhir", show_default=False, help="Of an owner: FHIR R4 Consent, AuditEvent and Provenance in a Bundle."),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", show_default=False, help="With --fhir: from this access log, verified first."),
    ] = None,
    network: Annotated[
        str, typer.Option("--network", metavar="ID", show_default=False, help="With --from: its network; default: this home's.")
    ] = "",
    record: RECORD = "",
    category: CATEGORY = None,
    period: PERIOD = "",
    ledger: LEDGER = False,
) -> Result:
    """Write a file that proves itself: an owner's access logs, or every block of the ledger.

    With --as an owner: its access logs (all scopes, or those chosen) with the proofs that they are complete. Without: every block
    with its certificate. Whoever has the genesis can verify either, and nothing else is needed.
    """
    if source is not None:
        if not fhir or genesis is not None:
            raise typer.BadParameter("--from goes with --fhir, and with no --genesis: name the network by --network")
        _fresh(file)
        return _bundle_of(session, source, file, network)
    if network:
        raise typer.BadParameter("--network goes with --from: the home knows its own")
    _fresh(file, genesis)
    if fhir and not _owner(session, ledger):
        raise typer.BadParameter("--fhir writes an owner's access logs: say whose by --as")
    if _owner(session, ledger):
        arguments = {"file": str(file), "record": record, "category": category or "", "period": period}
        return _export_access(session, "export_fhir" if fhir else "export_access", arguments, genesis)
    _only_owners(record, category, period)
    return _export_ledger(session, file, genesis)


def _fresh(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and path.exists():
            raise CommandFailed("storage", f"{path} exists already; name a new file")


def _export_access(session: Session, doing: str, arguments: dict[str, Any], genesis: Path | None) -> Result:
    from salus.files import write_atomic
    from salus.network.home import Home

    with session.person(SHARING) as actor:
        session.progress.stage("proving access logs")
        data = actor.do(doing, arguments)
    if genesis is not None:
        write_atomic(genesis, Home(session.home).genesis().encode(), 0o644)
    data = {**data, "genesis": str(genesis) if genesis else None}
    return Result(data, show_written(data))


def _bundle_of(session: Session, source: Path, file: Path, network: str) -> Result:
    from salus.network.audit_actors import write_bundle

    with _verifying("access log"):
        found = audited(session, source, None, network)
    data = write_bundle(found, str(file))
    return Result(data, show_written(data))


def _export_ledger(session: Session, file: Path, genesis: Path | None) -> Result:
    from salus.files import write_atomic

    with session.network() as network:
        session.progress.stage("writing blocks")
        blocks = network.export(file)
        if genesis is not None:
            write_atomic(genesis, network.genesis.encode(), 0o644)
    data = {"file": str(file), "blocks": blocks, "bytes": file.stat().st_size, "genesis": str(genesis) if genesis else None}
    return Result(data, lambda screen: screen.line(f"Wrote {blocks} blocks to {file}."))


@command(
    APP,
    "verify",
    (
        "--home clinic audit verify",
        "--home clinic audit verify ledger.export",
        "audit verify ledger.export --genesis genesis",
        "audit verify alice.access --genesis genesis --entries",
    ),
)
def verify(
    session: Session,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="An export; without it, this home's ledger.", show_default=False)
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Genesis to start from; default: this home's.", show_default=False)
    ] = None,
    network: Annotated[
        str, typer.Option("--network", metavar="ID", show_default=False, help="In its place, for access logs: the network's id.")
    ] = "",
    not_before: Annotated[
        str | None,
        typer.Option(
            "--not-before", metavar="DAY", parser=parse_day, show_default=False,
            help="Access logs: refuse what is complete only as of an earlier time.",
        ),
    ] = None,
    entries: Annotated[bool, typer.Option("--entries", show_default=False, help="Access logs: list the entries too.")] = False,
) -> Result:  # fmt: skip
    """Verify an export offline, by signatures and proofs alone: a ledger from its genesis by replay, or complete access logs.

    An access log is complete if no entry was dropped, swapped, altered or added as of the time that is shown; it is about grants:
    somebody who holds a key and gets ciphertext from a dishonest cloud reads unlogged.
    """
    from salus.cli.verification import verify_blocks, verify_file
    from salus.network.home import Home, read_genesis

    if file is None:
        if genesis is not None or network:
            raise typer.BadParameter("--genesis and --network go with an export: name the export's file")
        with session.network() as own, _verifying("ledger"):
            records = own.client().encoded_blocks()
            return _verified(verify_blocks(own.genesis, records, session.progress, "verifying the ledger"))
    if holds_access(file):
        with _verifying("access log"):
            return complete(audited(session, file, genesis, network, not_before), entries)
    if network:
        raise typer.BadParameter("a ledger is replayed from its genesis: give it by --genesis")
    start = read_genesis(genesis) if genesis is not None else Home(session.home).genesis()
    with existing_file(file, "the export").open("rb") as source, _verifying("ledger"):
        return _verified(verify_file(start, source, file.stat().st_size, session.progress, "verifying the ledger"))


@contextlib.contextmanager
def _verifying(what: str) -> Iterator[None]:
    """Whatever is refused inside the block is a finding about the file."""
    from salus.errors import Refused

    try:
        yield
    except Refused as refused:
        raise CommandFailed("not-verified", f"the {what} does not verify: {refused}") from None


def _verified(proven: LedgerReport) -> Result:
    count = sum(proven.transactions.values())
    data = {
        "ledger_verified": True,
        "network": proven.network.hex(),
        "height": proven.height,
        "time_ms": proven.time_ms,
        "application_hash": proven.application_hash.hex(),
        "transactions": proven.transactions,
    }

    def show(screen: Screen) -> None:
        screen.line(f"Verified {proven.height} blocks, {count} transactions, by signatures, proofs and replay.")
        screen.facts({"network": data["network"], "last block": day_and_time(proven.time_ms), "state": data["application_hash"]})
        screen.table(("kind", "transactions#"), proven.transactions.items(), "no transactions")

    return Result(data, show)
