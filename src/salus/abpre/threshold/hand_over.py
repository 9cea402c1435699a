"""Fixing shared values and handing them over to a changed committee.

Order: election; the new committee's epoch keys; deals; the new sharing fixed; activation; old members erase. The old committee
serves until activation. Any t old members are enough; fewer lose the key. Public values never change.
Steps: docs/protocol/sharing-thresholds.md, "shared scalars" and "hand-over".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from salus.abpre.threshold.alpha import (
    FRESH,
    AlphaDeal,
    AlphaPublic,
    AlphaSharing,
    CheckedAlphaDeal,
    check_dealt_point,
    combine_alpha,
)
from salus.abpre.threshold.committee import Committee
from salus.abpre.threshold.epoch_keys import SharingSecret
from salus.abpre.threshold.groups import ScalarGroup, group_of
from salus.abpre.threshold.scalar_deals import (
    ScalarDeal,
    ScalarPublic,
    ScalarShare,
    ScalarSharing,
    check_dealt_scalar,
    open_box_of,
    open_dealt_share,
)
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import fr_lagrange_coefficients


def check_alpha_hand_over(
    network: bytes, old: Committee, public: AlphaPublic, new: Committee, deal: AlphaDeal
) -> CheckedAlphaDeal:
    """Everyone's check of an old member's deal of its share of alpha (hand-over, step 3): C_0 is its old Y_i.

    :param public: the sharing that ``old`` holds.
    :raises Refused: ``not-a-member``, ``bad-deal``, ``bad-point``, ``bad-signature``.
    """
    seat = old.seat_of(deal.dealer)
    fits = deal.previous == old.epoch == public.sharing.epoch != new.epoch
    refuse_unless(fits, "bad-deal", "the deal hands over another sharing")
    return check_dealt_point(network, new, deal, seat.W, public.share(seat.index))


def check_scalar_hand_over(network: bytes, old: Committee, public: ScalarPublic, new: Committee, deal: ScalarDeal) -> None:
    """Everyone's check of an old member's deal of its share of a scalar (hand-over, step 3): F_0 is its old public share.

    :param public: the sharing that ``old`` holds.
    :raises Refused: ``not-a-member``, ``bad-deal``, ``bad-box``, ``bad-point``, ``bad-signature``.
    """
    seat = old.seat_of(deal.dealer)
    fits = deal.previous == old.epoch == public.sharing.epoch != new.epoch and deal.purpose == public.sharing.purpose
    refuse_unless(fits, "bad-deal", "the deal hands over another sharing")
    check_dealt_scalar(network, new, deal, seat.W, public.share(seat.index))


def hand_over_alpha(old: Committee, public: AlphaPublic, new: Committee, deals: Sequence[CheckedAlphaDeal]) -> AlphaSharing:
    """The sharing that the first t_old valid deals fix, combined with weights lambda_i(0) (hand-over, step 4).

    :param old: that deals, with its sharing ``public``.
    :param deals: checked by :func:`check_alpha_hand_over`, of different old members, in chain order.
    :raises Refused: ``bad-deal``.
    """
    refuse_unless(public.sharing.epoch == old.epoch, "bad-deal", "the sharing is another committee's")
    refuse_unless(len(deals) == old.threshold, "bad-deal", f"{old.threshold} deals hand alpha over")
    dealers = [old.seat_of(d.deal.dealer).index for d in deals]
    refuse_unless(len(set(dealers)) == len(dealers), "bad-deal", "a dealer counts once")
    sharing = combine_alpha(new, old.epoch, dealers, deals, fr_lagrange_coefficients(dealers, 0))
    refuse_unless(sharing.Y() == public.sharing.Y(), "bad-deal", "the master key would move")
    return sharing


def fix_scalar(committee: Committee, deals: Sequence[ScalarDeal]) -> ScalarSharing:
    """The sharing that the first t deals left after the window fix: their sum (shared scalars, step 7).

    :param deals: exactly t checked deals by different members, none with an upheld complaint, in chain order.
    :raises Refused: ``bad-deal``.
    """
    refuse_unless(len(deals) == committee.threshold, "bad-deal", f"{committee.threshold} deals fix the scalar")
    dealers = [committee.seat_of(d.dealer).index for d in deals]
    return _combine(committee, FRESH, dealers, deals)


def hand_over_scalar(old: Committee, public: ScalarPublic, new: Committee, deals: Sequence[ScalarDeal]) -> ScalarSharing:
    """The sharing that the first t_old deals left after the window fix, weighted by lambda_i(0) (hand-over, step 4).

    :param deals: checked by :func:`check_scalar_hand_over`, none with an upheld complaint, in chain order.
    :raises Refused: ``bad-deal``.
    """
    refuse_unless(public.sharing.epoch == old.epoch, "bad-deal", "the sharing is another committee's")
    refuse_unless(len(deals) == old.threshold, "bad-deal", f"{old.threshold} deals hand the scalar over")
    refuse_unless(all(d.purpose == public.sharing.purpose for d in deals), "bad-deal", "the deals share another scalar")
    dealers = [old.seat_of(d.dealer).index for d in deals]
    sharing = _combine(new, old.epoch, dealers, deals)
    refuse_unless(sharing.public_key() == public.sharing.public_key(), "bad-deal", "the key would move")
    return sharing


def open_scalar_share(
    network: bytes, committee: Committee, public: ScalarPublic, deals: Sequence[ScalarDeal], name: str, secret: SharingSecret
) -> ScalarShare:
    """A node puts its share together from the fixed deals (shared scalars, step 8).

    :param deals: those named by the sharing, in its order.
    :raises Refused: ``bad-share`` if one of them holds no good share for this node: it let the window pass, and counts
        among the f until the next hand-over.
    """
    sharing, group = public.sharing, public.group
    named = tuple(d.digest() for d in deals) == sharing.deals and sharing.epoch == committee.epoch
    refuse_unless(named, "bad-deal", "these are not the deals that fixed the sharing")
    weights = _weights(group, sharing.previous, sharing.dealers)
    # The sum is compared with its public share; single shares, with one sum of commitments each, only if that fails.
    try:
        value = group.weighted(weights, [open_box_of(network, committee, deal, name, secret) for deal in deals])
        return ScalarShare.from_secret(public, committee.seat_of(name).index, value.encode())
    except Refused as error:
        for deal in deals:
            open_dealt_share(network, committee, deal, name, secret)
        raise error from None


def _combine(committee: Committee, previous: int, dealers: Sequence[int], deals: Sequence[ScalarDeal]) -> ScalarSharing:
    purpose = deals[0].purpose
    same = all((d.purpose, d.epoch, d.previous) == (purpose, committee.epoch, previous) for d in deals)
    refuse_unless(same and len(set(dealers)) == len(dealers), "bad-deal", "the deals do not belong together")
    group = group_of(purpose)
    weights = _weights(group, previous, dealers)
    commitments = [
        group.combine(weights, [group.decode_point(d.commitments[k], "F_k") for d in deals]) for k in range(committee.threshold)
    ]
    if commitments[0].is_identity():
        raise Refused("bad-deal", "the key would be the identity")
    return ScalarSharing(
        purpose,
        committee.epoch,
        previous,
        tuple(dealers),
        tuple(d.digest() for d in deals),
        tuple(F.encode() for F in commitments),
    )


def _weights(group: ScalarGroup[Any, Any], previous: int, dealers: Sequence[int]) -> list[Any]:
    """1 for fresh deals; the Lagrange coefficients at 0 of the dealers' old indices in a hand-over."""
    return [group.small(1)] * len(dealers) if previous == FRESH else group.lagrange(dealers)
