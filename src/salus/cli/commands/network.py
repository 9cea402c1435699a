"""``salus network``: make a network in a home, see how it is, verify all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time, size
from salus.cli.session import Result, Session
from salus.records.info import plural

APP = group("network", "Make a network in a home, and look after it.")


@command(APP, "init", ("--home clinic network init", "--home clinic network init --nodes 7 --clouds 2"))
def init(
    session: Session,
    nodes: Annotated[int | None, typer.Option(min=1, metavar="N", help="Replicas: 3f + 1, at least 4.", show_default="4")] = None,
    clouds: Annotated[int, typer.Option(min=1, max=8, metavar="N", help="Clouds; a record is kept by two of them.")] = 1,
) -> Result:
    """Found a network in the home: centre, nodes, clouds and four institutions, each in a directory of its own.

    The passphrase is that of the institutions' wallets.
    """
    from salus.errors import Refused
    from salus.network.embedded import EmbeddedNetwork
    from salus.network.home import Home

    count = session.settings.network.nodes if nodes is None else nodes
    if Home(session.home).founded:
        raise Refused("already-done", f"there is a network in {session.home}; use it, or choose another --home")
    passphrase = session.passphrase("the institutions' wallets", new=True)
    session.progress.stage("founding the network")
    with EmbeddedNetwork.create(session.home, passphrase, nodes=count, clouds=clouds) as network:
        core = network.genesis.core
        data = {
            "home": str(session.home.resolve()),
            "network": network.genesis.network().hex(),
            "centre": core.centre.name,
            "clouds": network.cloud_parties.names,
            "nodes": [node.name for node in network.nodes],
            "check_nodes": network.checks.names,
            "institutions": [i.member.name for i in core.institutions],
            "height": network.client().height,
        }

    def show(screen: Screen) -> None:
        screen.line(f"Founded a network of {count} nodes in {session.home}.")
        shown = ("network", "centre", "clouds", "nodes", "check_nodes", "institutions")
        screen.facts({name.replace("_", " "): data[name] for name in shown})

    return Result(data, show)


@command(APP, "status", "--home clinic network status")
def status(session: Session) -> Result:
    """Show height, state and health of every node, the epoch, and what each cloud holds."""
    from salus.labels import SUITE_R1
    from salus.network.sharing_status import describe_checks, describe_clouds, describe_sharing

    with session.network() as network:
        ledger = network.client()
        ledger.refresh()
        nodes = [_node(s) for s in network.status()]
        clouds = describe_clouds(network)
        data = {
            "home": str(session.home.resolve()),
            "network": network.genesis.network().hex(),
            "suite": SUITE_R1,
            "engine": "pbft",
            "height": ledger.height,
            "time_ms": ledger.time_ms,
            "epoch": ledger.epoch().number,
            "agreed": len({(n["height"], n["application_hash"]) for n in nodes}) == 1,
            "nodes": nodes,
            "check_nodes": describe_checks(network),
            "sharing": describe_sharing(network),
            "clouds": clouds,
            "doctors": sum(1 for p in ledger.parties("doctor") if not p.revoked_ms),
            "patients": len(network.centre.patients()),
        }

    def show(screen: Screen) -> None:
        screen.facts(
            {
                "home": data["home"],
                "network": data["network"],
                "height": data["height"],
                "last block": day_and_time(ledger.time_ms),
                "epoch": data["epoch"],
                "doctors": data["doctors"],
                "patients": data["patients"],
            }
        )
        screen.line()
        rows = [(n["name"], n["height"], n["application_hash"][:16], n["pool"], n["complaint"]) for n in nodes]
        screen.table(("node", "height#", "state", "pool#", "complaint"), rows, "no nodes")
        rows = [(c["name"], c["bodies"], size(c["bytes"]), c["records"], c["missing"]) for c in clouds]
        screen.table(("cloud", "bodies#", "size#", "records#", "missing#"), rows, "no clouds")
        screen.line("All nodes agree." if data["agreed"] else "The nodes do not stand at the same state.")

    return Result(data, show)


def _node(status: Any) -> dict[str, Any]:
    return {
        "name": status.name,
        "height": status.height,
        "time_ms": status.time_ms,
        "application_hash": status.application_hash.hex(),
        "pool": status.pool,
        "epochs": list(status.epochs),
        "complaint": status.complaint,
    }


@command(APP, "verify", "--home clinic network verify")
def verify(session: Session) -> Result:
    """Check all that nodes, check nodes and clouds store, from their files alone: ledgers by signatures and replay, bodies.

    No party runs meanwhile, and nothing is repaired.
    """
    from salus.network.home import Home
    from salus.network.verifying import verify_home

    found = verify_home(Home(session.home), session.progress.counted)
    problems = found.problems
    data = {
        "verified": not problems,
        "nodes": [_party(party) for party in found.nodes],
        "check_nodes": [_party(party) for party in found.check_nodes],
        "clouds": [_cloud(name, cloud) for name, cloud in found.clouds.items()],
        "problems": problems,
        "first_problem": problems[0] if problems else None,
    }

    def show(screen: Screen) -> None:
        rows = [(p.name, p.height, p.transactions, p.application_hash[:16], _finding(p)) for p in found.nodes]
        rows += [(p.name, p.height, p.transactions, p.application_hash[:16], _finding(p)) for p in found.check_nodes]
        screen.table(("node", "height#", "transactions#", "state", "finding"), rows, "no nodes")
        for name, cloud in found.clouds.items():
            screen.line(
                f"{name}: {cloud.bodies} bodies of {size(cloud.size_bytes)} hashed, {cloud.records} of them of records, "
                f"{cloud.expired} past their time."
            )
        for problem in problems:
            screen.line(f"WRONG: {problem}")
        if not problems:
            screen.line("Everything verifies.")

    failure = f"{plural(len(problems), 'finding')}, first: {problems[0]}; restore that party from its backup" if problems else ""
    return Result(data, show, ("not-verified", failure) if problems else None)


def _party(party: Any) -> dict[str, Any]:
    return {
        "name": party.name,
        "height": party.height,
        "transactions": party.transactions,
        "application_hash": party.application_hash,
        "kept_from": party.kept_from,
        "replayed": party.replayed,
        "verdicts": party.verdicts,
        "problem": party.problems[0] if party.problems else "",
    }


def _cloud(name: str, cloud: Any) -> dict[str, Any]:
    return {
        "name": name,
        "height": cloud.height,
        "checked": cloud.bodies,
        "bytes": cloud.size_bytes,
        "records": cloud.records,
        "expired": cloud.expired,
        "problem": cloud.problems[0] if cloud.problems else "",
    }


def _finding(party: Any) -> str:
    if party.problems:
        return str(party.problems[0])
    if party.kept_from > 1:
        return f"pruned below {party.kept_from}: not replayed, same state as the others"
    verdicts = f", {plural(party.verdicts, 'verdict')}" if party.verdicts else ""
    return f"verified{verdicts}"


def existing_file(path: Path, what: str) -> Path:
    """A regular file that is there.

    :raises CommandFailed: naming what is there instead.
    """
    if not path.is_file():
        raise CommandFailed(
            "storage", f"{path} ({what}) is {'not a regular file' if path.exists() else 'not there'}; check the path"
        )
    return path
