"""Access logs at the command line: verified from files, and shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from salus.cli.commands.network import existing_file
from salus.cli.failures import CommandFailed
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session
from salus.records.info import plural

if TYPE_CHECKING:
    from salus.ledger.access_export import AuditedAccess

NETWORK_BYTES = 32


def holds_access(file: Path) -> bool:
    """Whether a file is meant to be access logs, and no ledger."""
    from salus.ledger.access_export import HEAD_BYTES, is_access_export

    with existing_file(file, "the export").open("rb") as source:
        return is_access_export(source.read(HEAD_BYTES))


def audited(session: Session, file: Path, genesis: Path | None, network: str, not_before: str | None = None) -> AuditedAccess:
    """Access logs of a file, verified for the network that the caller trusts: by id, by genesis, else the home's.

    :param not_before: a day; logs that are complete only as of an earlier time are refused.
    :raises Refused: what does not hold. :raises DamagedFile: it is no such file.
    """
    from salus.errors import CodecError, DamagedFile
    from salus.files import read_bounded
    from salus.ledger.access_export import BYTES_MAX, AccessExport, verify_access_export

    trusted = _trusted(session, genesis, network)
    try:
        found = AccessExport.decode(read_bounded(existing_file(file, "the access log"), BYTES_MAX, "an access log"))
    except CodecError as error:
        raise DamagedFile(f"{file} is no access log, or it was altered or cut short ({error.detail})") from None
    start_ms = 0 if not_before is None else int(datetime.fromisoformat(not_before).replace(tzinfo=UTC).timestamp() * 1000)
    return verify_access_export(found, trusted, start_ms)


def _trusted(session: Session, genesis: Path | None, network: str) -> bytes:
    from salus.network.home import Home, read_genesis

    if not network:
        if genesis is None and not Home(session.home).founded:
            raise CommandFailed("storage", f"no network in {session.home}: say which to trust, by --genesis FILE or --network ID")
        return (read_genesis(genesis) if genesis is not None else Home(session.home).genesis()).network()
    if genesis is not None:
        raise typer.BadParameter("give --genesis or --network, not both")
    try:
        raw = bytes.fromhex(network)
    except ValueError:
        raw = b""
    if len(raw) != NETWORK_BYTES:
        raise typer.BadParameter(f"the id of a network has {2 * NETWORK_BYTES} hexadecimal digits")
    return raw


def complete(found: AuditedAccess, listed: bool) -> Result:
    """What was verified.

    :param listed: with every entry.
    """
    from salus.network.audit_actors import listed_entries, shown_audit

    data = {"access_log_verified": True, "complete": True, **shown_audit(found)}
    entries = listed_entries(found) if listed else []
    if listed:
        data["listed"] = entries

    def show(screen: Screen) -> None:
        if listed:
            show_entries(screen, entries)
        for scope in data["scopes"]:
            show_scope(screen, scope)
        screen.line("Proven by signatures and Merkle proofs alone. Category and quarter of a scope are its owner's word.")

    return Result(data, show)


def show_log(data: dict[str, Any]) -> Callable[[Screen], None]:
    """An owner's access log; an institution's own requests too."""

    def show(screen: Screen) -> None:
        show_entries(screen, data["entries"])
        for scope in data["scopes"]:
            show_scope(screen, scope)
        if data["shares"]:
            screen.line()
            rows = [(s["share"][:16], s["rid"], s["purpose"], _state(s), day_and_time(s["asked_ms"])) for s in data["shares"]]
            screen.table(("own request", "record", "purpose", "state", "asked"), rows, "")

    return show


def _state(share: dict[str, Any]) -> str:
    return f"{share['status']} {share['via'] or share['reason']}".strip()


def show_entries(screen: Screen, entries: list[dict[str, Any]]) -> None:
    """A table of entries; emergencies stand out."""
    rows = [
        (
            day_and_time(e["time_ms"]), e["act"], _about(e), e["reader"],
            e["purpose"].upper() if e["purpose"] == "emergency" else e["purpose"], e["reason"] or e["via"],
            f"{e['category']} {e['period']}".strip(), e["number"],
        )
        for e in entries
    ]  # fmt: skip
    screen.table(("time", "act", "about", "reader", "purpose", "through, or why not", "scope", "entry#"), rows, "no entries")


def _about(entry: dict[str, Any]) -> str:
    """The record, by its name where the owner looks, or the delegation; with a policy that is known, of either."""
    policy = entry.get("policy", "")
    if entry["rid"]:
        joined = " to " if entry["delegation"] else " under "  # the policy is the delegation's, or the record's own
        return f"{entry.get('file_name') or entry['rid']}{joined if policy else ''}{policy}"
    return f"{entry['delegation'][:16]}{' to ' if policy else ''}{policy}" if entry["delegation"] else ""


def show_scope(screen: Screen, scope: dict[str, Any]) -> None:
    """That a scope's log is complete, and as of when."""
    said = f"{scope['category']} {scope['period']}".strip() or scope["scope"][:16]
    until = day_and_time(scope["as_of_ms"])
    screen.line(f"The log of {said} is complete as of {until}: {_entries(scope)}, none dropped, added or altered.")


def _entries(data: dict[str, Any]) -> str:
    """How many entries a scope's log or an export has."""
    return "1 entry" if data["entries"] == 1 else f"{data['entries']:,} entries"


def show_written(data: dict[str, Any]) -> Callable[[Screen], None]:
    """What was written: a Bundle, or a file that proves itself."""

    def bundle(screen: Screen) -> None:
        found = ", ".join(f"{count} {kind}" for kind, count in data["resources"].items())
        screen.line(f"Wrote {_entries(data)} as a FHIR R4 Bundle to {data['file']}: {found}.")
        _say_missing(screen, data["policies_unknown"])

    def logs(screen: Screen) -> None:
        screen.line(f"Wrote access logs to {data['file']}: {plural(len(data['scopes']), 'scope')}, {_entries(data)}.")
        screen.line(f"Who knows the network verifies it with: salus audit verify {data['file']} --network {data['network']}")
        _say_missing(screen, data["transactions_left_out"])

    return bundle if "resources" in data else logs


def _say_missing(screen: Screen, policies: int) -> None:
    if policies:
        said = "1 policy is" if policies == 1 else f"{policies:,} policies are"
        screen.line(f"{said} not in it: the nodes no longer keep the transactions that hold them.")
