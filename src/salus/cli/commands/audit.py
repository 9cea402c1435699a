"""``salus audit``: what is on the ledger, and proving it to others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from salus.cli.commands.network import existing_file
from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

if TYPE_CHECKING:
    from salus.ledger.verify import LedgerReport

APP = group("audit", "What is on the ledger, and proving it to others.")
LIMIT_MAX = 100_000
"""Transactions that one listing holds in memory."""


@command(APP, "log", ("--home clinic audit log --limit 20", "--home clinic audit log --kind consultation.request"))
def log(
    session: Session,
    kind: Annotated[str, typer.Option(metavar="KIND", help="Only transactions of this kind.", show_default=False)] = "",
    after: Annotated[int, typer.Option(min=0, metavar="HEIGHT", help="Only blocks above this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, metavar="N", help="The newest N of them.")] = 1000,
) -> Result:
    """List committed transactions. Every block's certificate is verified on the way."""
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


@command(APP, "export", ("--home clinic audit export ledger.export --genesis genesis",))
def export(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)],
    genesis: Annotated[
        Path | None, typer.Option(metavar="COPY", help="Also write a copy of the genesis.", show_default=False)
    ] = None,
) -> Result:
    """Write every block with its certificate: whoever has the genesis can verify the file and nothing else is needed."""
    from salus.files import write_atomic

    for path in (file, genesis):
        if path is not None and path.exists():
            raise CommandFailed("storage", f"{path} exists already; name a new file")
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
    ("--home clinic audit verify", "--home clinic audit verify ledger.export", "audit verify ledger.export --genesis genesis"),
)
def verify(
    session: Session,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="An export; without it, this home's ledger.", show_default=False)
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Genesis to start from; default: this home's.", show_default=False)
    ] = None,
) -> Result:
    """Verify a ledger from its genesis by signatures, proofs and replay alone."""
    from salus.cli.verification import verify_blocks, verify_file
    from salus.network.home import Home, read_genesis

    if file is None:
        if genesis is not None:
            raise CommandFailed("failed", "--genesis goes with an export: name the export's file")
        with session.network() as network, _verifying():
            records = network.client().encoded_blocks()
            return _verified(verify_blocks(network.genesis, records, session.progress, "verifying the ledger"))
    start = read_genesis(genesis) if genesis is not None else Home(session.home).genesis()
    with existing_file(file, "the export").open("rb") as source, _verifying():
        return _verified(verify_file(start, source, file.stat().st_size, session.progress, "verifying the ledger"))


@contextlib.contextmanager
def _verifying() -> Iterator[None]:
    """Whatever is refused inside the block is a finding about the ledger."""
    from salus.errors import Refused

    try:
        yield
    except Refused as refused:
        raise CommandFailed("not-verified", f"the ledger does not verify: {refused}") from None


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
