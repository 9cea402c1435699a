"""Deals of dishonest members."""

from __future__ import annotations

from msgspec.structs import replace

from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import seal_box
from salus.abpre.threshold.scalar_deals import SHARE_BYTES
from support.sharing_world import SharingChain


def bad_deal(chain: SharingChain, purpose: str, dealer: int, victim: int) -> sd.ScalarDeal:
    """A deal whose box for one seat holds a share that is not its commitments'."""
    world, committee = chain.world, chain.committee()
    node = world.nodes[dealer].member
    deal = sd.make_scalar_deal(world.network, committee, purpose, node, world.random)
    seat = committee.seats[victim]
    ctx = sd.share_context(world.network, committee, purpose, 0, node.name, seat.index)
    boxes = list(deal.boxes)
    boxes[victim] = seal_box(seat.Er, ctx, b"\1" + bytes(SHARE_BYTES - 1), world.random)
    return sd.sign_scalar_deal(world.network, replace(deal, boxes=tuple(boxes), signature=bytes(64)), node, world.random)
