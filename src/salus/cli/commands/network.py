"""``salus network``: make a network in a home, see how it is, verify all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time, size
from salus.cli.session import Result, Session

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
        screen.facts({name: data[name] for name in ("network", "centre", "clouds", "nodes", "institutions")})

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
    """Check everything that is stored: each node's ledger from genesis by signatures and replay, and every body in the cloud."""
    from salus.cli.verification import verify_bodies, verify_node

    with session.network() as network:
        nodes = [verify_node(network, node, session.progress) for node in network.nodes]
        bodies = verify_bodies(network, session.progress)
    states = {(n["height"], n["application_hash"]) for n in nodes}
    problems = [f"{n['name']}: {n['problem']}" for n in nodes if n["problem"]] + bodies["problems"]
    if not problems and len(states) != 1:
        problems.append("the nodes stand at different states")
    data = {"verified": not problems, "nodes": nodes, "bodies": bodies, "problems": problems}

    def show(screen: Screen) -> None:
        rows = [
            (n["name"], n["height"], n["transactions"], n["application_hash"][:16], n["problem"] or _verified(n)) for n in nodes
        ]
        screen.table(("node", "height#", "transactions#", "state", "finding"), rows, "no nodes")
        screen.line(f"{bodies['checked']} bodies of {size(bodies['bytes'])} hashed, {bodies['expired']} past their time.")
        for problem in problems:
            screen.line(f"WRONG: {problem}")
        if not problems:
            screen.line("Everything verifies.")

    failure = f"{len(problems)} findings, first: {problems[0]}; restore that party from its backup" if problems else ""
    return Result(data, show, ("not-verified", failure) if problems else None)


def _verified(node: dict[str, Any]) -> str:
    if node["kept_from"] > 1:
        return f"pruned below {node['kept_from']}: not replayed, same state as the others"
    return "verified"


def existing_file(path: Path, what: str) -> Path:
    """A regular file that is there.

    :raises CommandFailed: naming what is there instead.
    """
    if not path.is_file():
        raise CommandFailed(
            "storage", f"{path} ({what}) is {'not a regular file' if path.exists() else 'not there'}; check the path"
        )
    return path
