"""The thresholds' own vectors: one committee of four with everything it deals, issues and transforms, from one seed.

Write them again after a format changes its version: ``python -m support.threshold_vectors`` in ``tests``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import hand_over as ho
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold import receipts as rc
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.groups import OPRF, Z
from salus.abpre.threshold.key_collecting import prove_bad_partial
from salus.codec import Message
from support.threshold_world import HOSPITAL, NETWORK, SCOPE, Holders, World, names

PATH = Path(__file__).resolve().parents[1] / "vectors" / "thresholds.json"
DEALERS = (1, 2, 4)
ATTRIBUTES = (HOSPITAL, "role:doctor@2026")


def shown(value: Any) -> Any:
    """A value as JSON holds it: messages and bytes in hexadecimal."""
    if isinstance(value, Message):
        return value.encode().hex()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): shown(v) for key, v in value.items()}
    return [shown(v) for v in value] if isinstance(value, list | tuple) else value


def make() -> dict[str, Any]:
    """Everything, in the order of the protocol page."""
    world = World("threshold vectors")
    holders = world.holders(1, names(4))
    random = world.random
    out: dict[str, Any] = {
        "network": NETWORK,
        "nodes": {n.name: {"s": n.member.export_secret(), "W": n.member.W_bytes, "bls_secret": n.bls.export_secret(),
                           "bls_key": n.bls.public, "e_er": n.secret.export_secret()} for n in holders.nodes},
        "committee": holders.committee,
    }  # fmt: skip
    alpha = [holders.alpha_deal(i) for i in DEALERS]
    holders.fix_alpha([holders.check_alpha(deal) for deal in alpha])
    out["alpha"] = {
        "deals": alpha,
        "sharing": holders.alpha.sharing,
        "shares": {i: p.S.encode() for i, p in holders.points.items()},
    }
    for purpose in (Z, OPRF):
        deals = [holders.scalar_deal(purpose, i) for i in DEALERS]
        holders.hold_scalar(ho.fix_scalar(holders.committee, deals), deals)
        shares = {i: share.export_secret() for i, share in holders.shares[purpose].items()}
        out[purpose] = {"deals": deals, "sharing": holders.scalars[purpose].sharing, "shares": shares}
    out |= {"issuing": issuing(holders), "transformation": transformation(holders), "revocation": revocation(holders)}
    new = world.holders(2, names(4, 1))
    node, share = holders.node(2).member, holders.points[2]
    out["hand_over"] = {
        "committee": new.committee,
        "alpha": al.reshare_alpha(NETWORK, new.committee, node, share, holders.alpha, random),
        "z": sd.reshare_scalar(NETWORK, new.committee, node, holders.shares[Z][2], random),
        "dealer": 2,
    }
    return shown(out)


def issuing(holders: Holders) -> dict[str, Any]:
    """A request, its partial keys, a demand, and evidence against a false one."""
    random = holders.world.random
    request, key = holders.request(ATTRIBUTES)
    false = ki.seal_partial_key(NETWORK, request, bytes(ki.partial_bytes(request)), holders.node(3).member, random)
    issued = [holders.issue(request, i) for i in DEALERS]
    made = holders.collect(request, key, issued).key
    return {
        "er": key.export_secret(),
        "request": request,
        "partials": issued,
        "key": made.encode(),
        "demand": ki.demand_partial(NETWORK, request, holders.node(3).name, key, random),
        "evidence": prove_bad_partial(NETWORK, request, key, false, random),
    }


def transformation(holders: Holders) -> dict[str, Any]:
    """A record, a delegation of its scope, and the partials of a share."""
    random = holders.world.random
    k = random(32)
    capsule = holders.capsule(f"{SCOPE} or role:nurse", k)
    delegation, c, coins = holders.delegate(holders.key(SCOPE))
    key = BoxKey.generate(random)
    target = holders.target(delegation, capsule, key)
    return {
        "capsule": capsule.capsule.encode(),
        "aad": capsule.aad,
        "k": k,
        "delegation": delegation.message,
        "c": c,
        "delta": coins.delta,
        "share": target.share,
        "er": key.export_secret(),
        "partials": [holders.partial(target, i, c) for i in DEALERS],
        "claim": holders.partial(target, 3, c).claim(),
    }


def revocation(holders: Holders) -> dict[str, Any]:
    """The deletions of three nodes and their receipt."""
    delegation, digest = bytes([1]) * 32, bytes([2]) * 32
    deletions = [
        rc.sign_deletion(NETWORK, 1, holders.node(i).name, holders.node(i).bls.export_secret(), delegation, digest)
        for i in DEALERS
    ]
    keys = {n.name: n.bls.public for n in holders.nodes}
    return {"deletions": deletions, "receipt": rc.make_receipt(NETWORK, holders.committee, keys, deletions)}


def as_text() -> str:
    """The file's content."""
    return json.dumps(make(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(as_text())
