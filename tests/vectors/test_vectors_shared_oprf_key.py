"""RFC 9497, appendix A.1.2: the key dealt by boxes and handed over between committees gives the outputs of the single key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from salus.abpre.threshold import hand_over as ho
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.groups import OPRF
from salus.groups.ristretto255 import decode_scalar, random_scalar
from salus.groups.sharing import interpolate_point
from salus.search import voprf
from support.threshold_world import NETWORK, Holders, World, names, sent


@pytest.fixture(scope="module")
def suite(shared_data: Path) -> dict[str, Any]:
    every = json.loads((shared_data / "vectors/oprf_rfc9497/allVectors.json").read_text())
    return next(v for v in every if v["identifier"] == "ristretto255-SHA512" and v["mode"] == 1)


def split(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in text.split(",")]


def outputs_agree(holders: Holders, suite: dict[str, Any]) -> bool:
    """Whether any t members' evaluations, each proven under its public share, combine to the vectors' outputs."""
    public = holders.scalars[OPRF]
    indices = holders.committee.indices()
    for vector in suite["vectors"]:
        inputs = split(vector["Input"])
        blinds = [decode_scalar(b) for b in split(vector["Blind"])]
        elements = voprf.blind_with(inputs, blinds)
        for chosen in (indices[: holders.t], indices[-holders.t :]):
            parts = []
            for i in chosen:
                share = holders.shares[OPRF][i].value
                evaluated = voprf.evaluate(share, elements)
                proof = voprf.prove(share, public.share(i), elements, evaluated, holders.world.random)
                voprf.verify(public.share(i), elements, evaluated, proof)
                parts.append(evaluated)
            combined = [interpolate_point(chosen, [part[k] for part in parts]) for k in range(len(elements))]
            if voprf.finalize(inputs, voprf.unblind(blinds, combined)) != split(vector["Output"]):
                return False
    return True


def test_dealt_and_handed_over(suite: dict[str, Any]) -> None:
    world = World("a key of the RFC")
    holders = world.holders(1, names(4))
    key = decode_scalar(bytes.fromhex(suite["skSm"]))
    first, second = random_scalar(world.random), random_scalar(world.random)
    deals = []
    for index, constant in zip((1, 3, 4), (first, second, key - first - second), strict=True):
        node = holders.node(index).member
        deals.append(sent(sd.deal_scalar(NETWORK, holders.committee, OPRF, node, 0, constant, world.random)))
        holders.check_scalar(deals[-1])
    holders.fix_alpha([holders.check_alpha(holders.alpha_deal(i)) for i in (1, 2, 3)])
    holders.hold_scalar(ho.fix_scalar(holders.committee, deals), deals)
    assert holders.scalars[OPRF].sharing.public_key().hex() == suite["pkSm"]
    assert outputs_agree(holders, suite)
    seven = holders.hand_over_to(world.holders(2, names(7, 2)), [2, 3, 4])
    assert outputs_agree(seven, suite)
    four = seven.hand_over_to(world.holders(3, names(4)), [1, 2, 4, 6, 7])
    assert four.scalars[OPRF].sharing.public_key().hex() == suite["pkSm"]
    assert outputs_agree(four, suite)
