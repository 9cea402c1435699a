"""How the nodes, check nodes and clouds of an embedded network are in the sharing half, for those who look at it."""

from __future__ import annotations

from typing import Any

from salus.cloud.messages import STATUS, CloudStatus, StatusRequest
from salus.ledger import sharing_api as m
from salus.network.embedded import EmbeddedNetwork


def describe_checks(network: EmbeddedNetwork) -> list[dict[str, Any]]:
    """Every check node that runs: how far it has followed the chain, verdicts it still owes, and what holds it up."""
    return [
        {
            "name": check.name,
            "height": check.follower.height,
            "open": len(check.backlog),
            "complaint": check.complaint,
        }
        for check in network.checks.running
    ]


def describe_clouds(network: EmbeddedNetwork) -> list[dict[str, Any]]:
    """Every cloud that runs: how far it has followed the chain, what it holds, and records that it lacks and has to fetch."""
    found = []
    for cloud in network.clouds:
        cloud.follow()
        held = CloudStatus.decode(cloud.handle(STATUS, StatusRequest().encode()))
        found.append(
            {
                "name": held.name,
                "height": held.height,
                "bodies": held.bodies,
                "bytes": held.body_bytes,
                "records": held.records,
                "missing": held.records_missing,
            }
        )
    return found


def describe_sharing(network: EmbeddedNetwork) -> list[dict[str, Any]]:
    """What every node holds and has done in the sharing half; secrets are named, never shown."""
    return [describe(node.sharing.status()) for node in network.nodes]


def describe(status: m.SharingStatus) -> dict[str, Any]:
    """One node's answer to ``sharing.status`` as JSON."""
    return {
        "name": status.name,
        "epoch": status.epoch,
        "held": {str(held.epoch): list(held.kinds) for held in status.held},
        "pending": status.pending,
        "delegations": status.delegations,
        "metadata": status.metadata,
        "records": status.records,
        "issued": status.issued,
        "evaluated": status.evaluated,
        "transformed": status.transformed,
        "searched": status.searched,
        "liars": list(status.liars),
        "complaint": status.complaint,
    }
