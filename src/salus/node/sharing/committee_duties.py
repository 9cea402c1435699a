"""What a node owes the committee: its encryption keys, its deals, complaints, what the deals fix, hand-over, and erasure.

Looked at after every committed block and now and then in between; each duty is a transaction of this node, or nothing. All of
it is told from the state and from the files of :class:`.shares.ShareStore`, so a node that was killed goes on where it was.
Steps: docs/protocol/sharing-thresholds.md, "epoch keys", "deal of alpha", "shared scalars", "hand-over".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from salus.abpre.threshold.alpha import PointShare, make_alpha_deal, open_point_share, reshare_alpha
from salus.abpre.threshold.approvals import approve_shares, digest_of_deals
from salus.abpre.threshold.committee import Committee
from salus.abpre.threshold.epoch_keys import SharingSecret, publish_sharing_key
from salus.abpre.threshold.groups import PURPOSES
from salus.abpre.threshold.hand_over import open_scalar_share
from salus.abpre.threshold.scalar_deals import ScalarDeal, complain, make_scalar_deal, open_dealt_share, reshare_scalar
from salus.codec import Message
from salus.errors import Refused
from salus.ledger.kinds.parties import VALIDATORS
from salus.ledger.kinds.sharing.committee_state import (
    SCALAR_DEALS,
    ScalarPhase,
    SharingEpoch,
    alpha_public,
    committee_of,
    deal_key,
    find_epoch,
    scalar_deals,
    scalar_public,
    serving_epochs,
    status,
)
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.kinds.sharing.messages.keys import SharingFix
from salus.ledger.kinds.sharing.succession import next_sharing_epoch
from salus.ledger.state import StateView
from salus.node.sharing.surroundings import Surroundings

OPENED_MAX: Final = 1024
"""Deals whose box was looked into: of two scalars, of 127 dealers, of a few epochs."""
_log = structlog.get_logger(__name__)


class CommitteeDuties:
    """The duties of one node towards the committee."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._made: dict[tuple[str, int, bytes], bytes] = {}
        """Duties under way, by kind, epoch and what they answer: repeated as the same bytes until they are committed."""
        self._opened: dict[bytes, bool] = {}
        """Deals looked into, by digest, and whether the share in them is good."""
        self.complaint = ""

    def due(self, now_ms: int) -> list[bytes]:
        """Encoded transactions that this node owes now.

        :param now_ms: clock; the next block's time.
        """
        view, around = self._around.view, self._around
        self.complaint = ""
        standing = status(view)
        self._erase(view, around.time_ms, standing.current)
        self._made = {key: made for key, made in self._made.items() if key[1] >= standing.current}
        transactions = self._key(view, now_ms)
        pending = find_epoch(view, standing.pending)
        if pending is not None and pending.is_closed(now_ms, sharing_constants(view)):
            transactions += self._deals(view, pending, now_ms)
        for serving in serving_epochs(view, around.time_ms):
            self._hold(view, serving.epoch)
        return transactions

    # --- step by step ---

    def _key(self, view: StateView, now_ms: int) -> list[bytes]:
        """Post this epoch's encryption keys when a new committee forms (epoch keys, step 1)."""
        name = self._around.name
        if all(member.name != name for member in VALIDATORS.need(view, b"").members):
            return []
        try:
            epoch = next_sharing_epoch(view, now_ms)
        except Refused:
            return []  # the current epoch goes on
        record = find_epoch(view, epoch)
        if record is not None:
            posted = any(seat.name == name for seat in committee_of(view, epoch).seats)
            if posted or name not in record.members or record.is_closed(now_ms, sharing_constants(view)):
                return []
        around = self._around
        secret = around.shares.make_secret(epoch, around.random)
        make = lambda: publish_sharing_key(around.network, around.member, secret, around.random)  # noqa: E731
        return [self._once("key", epoch, b"", make)]

    def _deals(self, view: StateView, record: SharingEpoch, now_ms: int) -> list[bytes]:
        """Deal, complain, and fix what is ready (deal of alpha, shared scalars, hand-over)."""
        committee, constants = committee_of(view, record.epoch), sharing_constants(view)
        transactions = []
        if record.alpha_ms == 0 and self._around.name not in record.alpha_dealers:
            transactions += self._alpha_deal(view, record, committee)
        for phase in record.scalars:
            if phase.fixed_ms:
                continue
            closed_ms = record.closed_ms(constants)
            collected_ms = phase.collected_ms(closed_ms, constants)
            dealt = any(ref.dealer == self._around.name for ref in phase.deals)
            if not dealt and not 0 < collected_ms <= now_ms:
                transactions += self._scalar_deal(view, record, committee, phase.purpose)
            if not 0 < phase.complaints_end_ms(closed_ms, constants) <= now_ms:
                transactions += self._opinions(view, record, committee, phase, 0 < collected_ms <= now_ms)
            else:
                transactions.append(SharingFix(record.epoch, phase.purpose).encode())
        return transactions

    def _alpha_deal(self, view: StateView, record: SharingEpoch, committee: Committee) -> list[bytes]:
        around = self._around
        if not record.previous:
            if not _is_member(committee, around.name):
                return []
            make = lambda: make_alpha_deal(around.network, committee, around.member, around.random)  # noqa: E731
        else:
            held = self._held_alpha(view, record.previous)
            if held is None:
                return []
            public = alpha_public(view, record.previous)
            make = lambda: reshare_alpha(around.network, committee, around.member, held, public, around.random)  # noqa: E731
        return [self._once("alpha", record.epoch, committee.digest(), make)]

    def _scalar_deal(self, view: StateView, record: SharingEpoch, committee: Committee, purpose: str) -> list[bytes]:
        around = self._around
        if not record.previous:
            if not _is_member(committee, around.name):
                return []
            make = lambda: make_scalar_deal(around.network, committee, purpose, around.member, around.random)  # noqa: E731
        else:
            old = committee_of(view, record.previous)
            if not _is_member(old, around.name):
                return []
            held = around.shares.scalar(scalar_public(view, record.previous, purpose), old.seat_of(around.name).index)
            if held is None:
                return []
            make = lambda: reshare_scalar(around.network, committee, around.member, held, around.random)  # noqa: E731
        return [self._once(purpose, record.epoch, committee.digest(), make)]

    def _opinions(
        self, view: StateView, record: SharingEpoch, committee: Committee, phase: ScalarPhase, collected: bool
    ) -> list[bytes]:
        """Look into every box dealt to this node: show bad ones, approve when all are good (shared scalars, steps 4, 5, 7)."""
        around = self._around
        secret = around.shares.secret(record.epoch)
        if secret is None or not _is_member(committee, around.name):
            return []
        complaints = []
        for ref in phase.good():
            deal = SCALAR_DEALS.need(view, deal_key(record.epoch, phase.purpose, ref.dealer))
            if self._is_good(committee, deal, ref.digest, secret):
                continue
            _log.warning("false-share", epoch=record.epoch, purpose=phase.purpose, dealer=ref.dealer)
            complaints.append(self._complaint(committee, deal, secret))
        if complaints or not collected or around.name in phase.approved:
            return complaints
        return [self._approval(committee, phase)]

    def _approval(self, committee: Committee, phase: ScalarPhase) -> bytes:
        around = self._around
        deals, purpose = [ref.digest for ref in phase.good()], phase.purpose
        make = lambda: approve_shares(around.network, committee, purpose, deals, around.member, around.random)  # noqa: E731
        return self._once("approval", committee.epoch, digest_of_deals(committee, purpose, deals), make)

    def _complaint(self, committee: Committee, deal: ScalarDeal, secret: SharingSecret) -> bytes:
        around = self._around
        make = lambda: complain(around.network, committee, deal, around.member, secret, around.random)  # noqa: E731
        return self._once("complaint", deal.epoch, deal.digest(), make)

    def _is_good(self, committee: Committee, deal: ScalarDeal, digest: bytes, secret: SharingSecret) -> bool:
        known = self._opened.get(digest)
        if known is None:
            try:
                open_dealt_share(self._around.network, committee, deal, self._around.name, secret)
                known = True
            except Refused:
                known = False
            if len(self._opened) >= OPENED_MAX:
                self._opened.clear()
            self._opened[digest] = known
        return known

    # --- shares ---

    def _hold(self, view: StateView, epoch: int) -> None:
        """Read and keep the shares that an epoch's deals have fixed (deal of alpha, step 6; shared scalars, step 8)."""
        shares, around = self._around.shares, self._around
        committee = committee_of(view, epoch)
        secret = shares.secret(epoch)
        if not _is_member(committee, around.name):
            return
        index = committee.seat_of(around.name).index
        try:
            public = alpha_public(view, epoch)
            if shares.alpha(public, index) is None and secret is not None:
                shares.keep_alpha(open_point_share(committee, public, around.name, secret))
        except Refused as refused:
            self._lacks("alpha", epoch, refused)
        for purpose in PURPOSES:
            try:
                scalar = scalar_public(view, epoch, purpose)
                if shares.scalar(scalar, index) is None and secret is not None:
                    deals = scalar_deals(view, epoch, purpose)
                    shares.keep_scalar(open_scalar_share(around.network, committee, scalar, deals, around.name, secret))
            except Refused as refused:
                self._lacks(purpose, epoch, refused)

    def _lacks(self, what: str, epoch: int, refused: Refused) -> None:
        if refused.reason != "not-started":
            self.complaint = f"no share of {what} in epoch {epoch}: {refused.detail}"[:4096]
            _log.warning("share-missing", what=what, epoch=epoch, reason=refused.reason)

    def _held_alpha(self, view: StateView, epoch: int) -> PointShare | None:
        committee = committee_of(view, epoch)
        if not _is_member(committee, self._around.name):
            return None
        return self._around.shares.alpha(alpha_public(view, epoch), committee.seat_of(self._around.name).index)

    def _erase(self, view: StateView, time_ms: int, current: int) -> None:
        """Erase what belongs to epochs whose grace ended before a committed block (epoch keys, step 3; hand-over, step 6)."""
        shares = self._around.shares
        for epoch in shares.epochs():
            record = find_epoch(view, epoch)
            over = record is not None and record.ends_ms and time_ms >= record.ends_ms
            if over or (epoch < current and record is None):
                shares.erase_keys(epoch)
                shares.erase_shares(epoch)

    def _once(self, kind: str, epoch: int, about: bytes, make: Callable[[], Message]) -> bytes:
        key = (kind, epoch, about)
        if key not in self._made:
            self._made[key] = make().encode()
        return self._made[key]


def _is_member(committee: Committee, name: str) -> bool:
    return any(seat.name == name for seat in committee.seats)
