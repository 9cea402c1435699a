"""Keys, deals, approvals and complaints of an epoch of sharing: each is checked once, and what deals fix is computed once.

Steps: docs/protocol/sharing-ledger.md, "epochs of sharing".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from salus.abpre.threshold import hand_over
from salus.abpre.threshold.alpha import FRESH, AlphaDeal, AlphaSharing, CheckedAlphaDeal, check_alpha_deal, fix_alpha
from salus.abpre.threshold.approvals import ShareApproval, check_approval
from salus.abpre.threshold.committee import Committee
from salus.abpre.threshold.epoch_keys import SharingKey, check_sharing_key
from salus.abpre.threshold.scalar_deals import Complaint, ScalarDeal, ScalarSharing, check_scalar_deal, judge_complaint
from salus.ledger.kinds.sharing.committee_state import (
    ALPHA_DEALS,
    SCALAR_DEALS,
    ScalarPhase,
    SharingEpoch,
    alpha_public,
    committee_of,
    deal_key,
    decoded_alpha,
    decoded_scalar,
    scalar_public,
)
from salus.ledger.state import StateView

_CHECKS_KEPT: Final = 256
"""Deals and keys whose checks passed: a set-up of 127 seats has a few hundred, and each is looked at three times."""


def dealing_committee(view: StateView, record: SharingEpoch) -> Committee:
    """Who deals: the members themselves, or the old committee that hands over."""
    return committee_of(view, record.previous or record.epoch)


@lru_cache(maxsize=_CHECKS_KEPT)
def check_posted_key(network: bytes, message: SharingKey, W: bytes) -> None:
    """A member's keys: both proofs of possession (epochs of sharing, step 2). :raises Refused: as :func:`check_sharing_key`."""
    check_sharing_key(network, message, W)


def check_posted_alpha(view: StateView, network: bytes, record: SharingEpoch, committee: Committee, deal: AlphaDeal) -> None:
    """A deal of alpha, fresh or of a hand-over (epochs of sharing, step 3). :raises Refused: ``bad-deal`` and others."""
    if record.previous == FRESH:
        _check_fresh_alpha(network, committee, deal)
    else:
        public = alpha_public(view, record.previous).sharing
        _check_old_alpha(network, committee_of(view, record.previous), public, committee, deal)


@lru_cache(maxsize=_CHECKS_KEPT)
def _check_fresh_alpha(network: bytes, committee: Committee, deal: AlphaDeal) -> None:
    check_alpha_deal(network, committee, deal)


@lru_cache(maxsize=_CHECKS_KEPT)
def _check_old_alpha(network: bytes, old: Committee, sharing: AlphaSharing, new: Committee, deal: AlphaDeal) -> None:
    hand_over.check_alpha_hand_over(network, old, decoded_alpha(sharing), new, deal)


def check_posted_scalar(view: StateView, network: bytes, record: SharingEpoch, committee: Committee, deal: ScalarDeal) -> None:
    """A deal of a scalar, fresh or of a hand-over (epochs of sharing, step 5). :raises Refused: ``bad-deal`` and others."""
    if record.previous == FRESH:
        _check_fresh_scalar(network, committee, deal)
    else:
        public = scalar_public(view, record.previous, deal.purpose).sharing
        _check_old_scalar(network, committee_of(view, record.previous), public, committee, deal)


@lru_cache(maxsize=_CHECKS_KEPT)
def _check_fresh_scalar(network: bytes, committee: Committee, deal: ScalarDeal) -> None:
    check_scalar_deal(network, committee, deal)


@lru_cache(maxsize=_CHECKS_KEPT)
def _check_old_scalar(network: bytes, old: Committee, sharing: ScalarSharing, new: Committee, deal: ScalarDeal) -> None:
    hand_over.check_scalar_hand_over(network, old, decoded_scalar(sharing), new, deal)


@lru_cache(maxsize=_CHECKS_KEPT)
def check_posted_approval(network: bytes, committee: Committee, approval: ShareApproval, deals: tuple[bytes, ...]) -> None:
    """An approval (epochs of sharing, step 6). :raises Refused: ``not-a-member``, ``bad-approval``."""
    check_approval(network, committee, approval, deals)


@lru_cache(maxsize=_CHECKS_KEPT)
def judge_posted(network: bytes, committee: Committee, deal: ScalarDeal, complaint: Complaint) -> str:
    """A complaint (epochs of sharing, step 6). :return: the dealer. :raises Refused: ``bad-complaint``."""
    return judge_complaint(network, committee, deal, complaint)


def fixed_alpha(view: StateView, record: SharingEpoch) -> AlphaSharing:
    """What the first t deals fix (epochs of sharing, step 4)."""
    deals = tuple(ALPHA_DEALS.need(view, deal_key(record.epoch, "alpha", name)) for name in record.alpha_dealers)
    old = None if record.previous == FRESH else (committee_of(view, record.previous), alpha_public(view, record.previous).sharing)
    return _combined_alpha(committee_of(view, record.epoch), old, deals)


@lru_cache(maxsize=8)
def _combined_alpha(committee: Committee, old: tuple[Committee, AlphaSharing] | None, deals: Sequence[AlphaDeal]) -> AlphaSharing:
    checked = [CheckedAlphaDeal.decode_unchecked(deal) for deal in deals]
    if old is None:
        return fix_alpha(committee, checked)
    return hand_over.hand_over_alpha(old[0], decoded_alpha(old[1]), committee, checked)


def fixed_scalar(view: StateView, record: SharingEpoch, phase: ScalarPhase) -> ScalarSharing:
    """What the first t good deals fix (epochs of sharing, step 7).

    :raises Refused: ``bad-deal``.
    """
    chosen = phase.good()[: dealing_committee(view, record).threshold]
    deals = tuple(SCALAR_DEALS.need(view, deal_key(record.epoch, phase.purpose, ref.dealer)) for ref in chosen)
    old = None
    if record.previous != FRESH:
        old = (committee_of(view, record.previous), scalar_public(view, record.previous, phase.purpose).sharing)
    return _combined_scalar(committee_of(view, record.epoch), old, deals)


@lru_cache(maxsize=8)
def _combined_scalar(
    committee: Committee, old: tuple[Committee, ScalarSharing] | None, deals: Sequence[ScalarDeal]
) -> ScalarSharing:
    if old is None:
        return hand_over.fix_scalar(committee, deals)
    return hand_over.hand_over_scalar(old[0], decoded_scalar(old[1]), committee, deals)
