"""Partial re-encryptions and grants: what each node seals to the requester, and how the value node puts a grant together.

A partial is made for a share that the ledger has approved, kept durably before its claim goes out, and given away only once the
grant is committed, so that every reading is in the access log. The value node R of a share is the proposer of its request's
height; the next one takes over from a silent one. Steps: docs/protocol/sharing-thresholds.md, "partial transformations".
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog

from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.partials import PartialClaim, PartialTransformation, check_partial_claim, make_partial
from salus.errors import Refused, refuse_unless
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.attributes import counts
from salus.ledger.kinds.sharing.committee_state import committee_of, current_epoch
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.shares import WAITING, ShareDenial, ShareGrant
from salus.ledger.kinds.sharing.share_state import (
    APPROVED,
    ASKED,
    GRANTED,
    LET_THROUGH,
    SHARE_REQUESTS,
    SHARES,
    Share,
    decide_again,
    find_share,
    target_of,
    transformable,
)
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.backlog import Backlog, OpenItem
from salus.node.sharing.errands import Failure
from salus.node.sharing.issuing import held_scalar
from salus.node.sharing.surroundings import Surroundings

PARTIAL_BYTES_MAX: Final = 4096
"""An encoded partial has about 1.1 KiB."""
TURN_MS: Final = 2_000
"""A value node's turn to put a grant together; then the next one does it too."""
WAITING_MS: Final = 60_000
"""How often a share that waits for its owner is looked at without being touched."""
FIRST_RETRY_MS: Final = 10
RETRY_MS: Final = 500
_log = structlog.get_logger(__name__)


class Transforming:
    """Partials, grants and denials of one node.

    :param directory: the node's own, for its partials. :param delegations: c of each delegation.
    :ivar transformed: partials made since it was opened.
    """

    def __init__(self, around: Surroundings, directory: Path, delegations: AttachmentStore, backlog: Backlog) -> None:
        self._around = around
        self._delegations = delegations
        self._backlog = backlog
        self._partials = AttachmentStore(directory, PARTIAL_BYTES_MAX)
        self._claims: dict[bytes, dict[str, PartialClaim]] = {}
        self._denials: dict[bytes, ShareDenial] = {}
        self.transformed = 0
        self.asked_height = 0
        """Of the newest request that awaits a verdict: check nodes are to have seen its block."""

    # --- for other nodes and the requester ---

    def claim(self, share: bytes) -> PartialClaim:
        """This node's signature of its sealed partial of an approved share (steps 1 to 3).

        :raises Refused: as :func:`salus.ledger.kinds.sharing.share_state.transformable`; ``not-a-member``, ``no-share``,
            ``not-found`` (c is not here).
        """
        return self._partial(share).claim()

    def partial(self, share: bytes) -> PartialTransformation:
        """The sealed partial itself, for the requester: only against the committed grant, while it is let through.

        :raises Refused: ``not-granted`` and as :meth:`claim`.
        """
        found = find_share(self._around.view, share)
        refuse_unless(found.status == GRANTED, "not-granted", f"the share is {found.status}")
        return self._partial(share)

    def _partial(self, share: bytes) -> PartialTransformation:
        around = self._around
        view = around.view
        epoch = current_epoch(view).epoch
        target = transformable(view, around.network, share, epoch, around.time_ms)
        kept = self._kept(share, epoch, target.capsule_digest)
        if kept is not None:
            return kept
        sealed = target.delegation.message
        c = self._delegations.read(sealed.delegation, sealed.c_digest)
        z = held_scalar(around, view, epoch, Z)
        partial = make_partial(committee_of(view, epoch), target, z, c, around.member, around.random)
        self._partials.keep(share, target.capsule_digest, partial.encode(), around.now_ms())
        self._partials.name(share, target.capsule_digest)
        self.transformed += 1
        return partial

    def _kept(self, share: bytes, epoch: int, capsule: bytes) -> PartialTransformation | None:
        if not self._partials.holds(share, capsule):
            return None
        kept = PartialTransformation.decode(self._partials.read(share, capsule))
        if kept.epoch == epoch:
            return kept
        self._partials.erase(share, capsule)  # of a committee that has handed over
        return None

    # --- duties ---

    def look(self, item: OpenItem, now_ms: int) -> list[bytes]:
        """What this node owes a share now; sets when it is to be looked at again."""
        share, around = item.subject, self._around
        found = SHARES.get(around.view, share)
        if found is None or found.status not in (ASKED, WAITING, APPROVED):
            self._closed(item)
            return []
        turn = self._turn_ms(found)
        reason = self._why_not(found)
        if found.status == ASKED:
            asked = SHARE_REQUESTS.get(around.view, found.request)
            self.asked_height = max(self.asked_height, 0 if asked is None else asked.height)
            self._backlog.again(item, now_ms + WAITING_MS)
            return []
        if now_ms < turn:
            self._backlog.again(item, turn)
            return []
        self._backlog.again(item, now_ms + (WAITING_MS if found.status == WAITING and not reason else _retry_ms(found, now_ms)))
        if reason:
            return [self._deny(share, reason)]
        return self._gather(share) if found.status == APPROVED else []

    def _gather(self, share: bytes) -> list[bytes]:
        """R asks every member of the committee for its claim, and proposes the grant once t are there (step 4)."""
        around = self._around
        view = around.view
        epoch = current_epoch(view).epoch
        committee = committee_of(view, epoch)
        claims = self._claims.setdefault(share, {})
        capsule = target_of(view, around.network, share, epoch).capsule_digest
        for name in [name for name, claim in claims.items() if (claim.epoch, claim.capsule) != (epoch, capsule)]:
            del claims[name]  # the record has another capsule now, or another committee serves
        counted = [claim for name, claim in claims.items() if counts(view, committee.seat_of(name))]
        if len(counted) >= committee.threshold:
            chosen = sorted(counted, key=lambda claim: claim.node)
            return [ShareGrant(share, tuple(chosen)).encode()]
        for seat in committee.seats:
            if seat.name in claims:
                continue
            if seat.name == around.name:
                try:
                    claims[seat.name] = self.claim(share)
                except Refused as refused:
                    _log.warning("no-claim", node=seat.name, reason=refused.reason)
            else:
                done = lambda data, failure, name=seat.name: self._claimed(share, name, data, failure)  # noqa: E731
                around.errands.leave(seat.name, m.CLAIM, m.ClaimRequest(share).encode(), done)
        return []

    def _claimed(self, share: bytes, node: str, data: bytes | None, failure: Failure | None) -> None:
        around = self._around
        found = SHARES.get(around.view, share)
        if data is None or found is None or found.status != APPROVED:
            _log.debug("no-claim", node=node, failure=str(failure))
            return
        try:
            claim = PartialClaim.decode(data)
            committee = committee_of(around.view, claim.epoch)
            check_partial_claim(around.network, committee, claim)
            capsule = target_of(around.view, around.network, share, claim.epoch).capsule_digest
            same = (claim.node, claim.share, claim.delegation, claim.capsule) == (node, share, found.delegation, capsule)
            refuse_unless(same, "wrong-request", "the claim is for something else")
        except Refused as refused:
            _log.warning("bad-claim", node=node, reason=refused.reason)
            return
        claims = self._claims.setdefault(share, {})
        claims[node] = claim
        if len(claims) >= committee.threshold:
            for item in self._backlog.of(share):
                self._backlog.again(item, 0)

    def _why_not(self, share: Share) -> str:
        """Why an open share is to be closed; empty if nothing stands in its way."""
        around = self._around
        outcome = decide_again(around.view, share, around.time_ms)
        if outcome not in (*LET_THROUGH, WAITING):
            return outcome
        closes_ms = share.asked_ms + sharing_constants(around.view).request_ms
        return "expired" if around.time_ms >= closes_ms else ""

    def _turn_ms(self, share: Share) -> int:
        """When it is this node's turn to serve as R for a share."""
        view = self._around.view
        members = current_epoch(view).members
        asked = SHARE_REQUESTS.get(view, share.request)
        if asked is None or self._around.name not in members:
            return 1 << 62
        place = (members.index(self._around.name) - asked.height) % len(members)
        return max(share.decided_ms, share.asked_ms) + place * TURN_MS

    def _deny(self, share: bytes, reason: str) -> bytes:
        """The same bytes until the share is closed or the reason changes."""
        known = self._denials.get(share)
        if known is None or known.reason != reason:
            around = self._around
            draft = ShareDenial(share, around.name, reason, UNSIGNED)
            known = self._denials[share] = signed_by_member(around.network, draft, around.member, around.random)
        return known.encode()

    def _closed(self, item: OpenItem) -> None:
        self._claims.pop(item.subject, None)
        self._denials.pop(item.subject, None)
        self._backlog.done(item)

    def expire(self) -> None:
        """Remove partials of shares whose grants are over."""
        view, time_ms = self._around.view, self._around.time_ms
        grant_ms = sharing_constants(view).grant_ms
        for share, capsule in self._partials.held():
            found = SHARES.get(view, share)
            open_still = found is not None and found.status in (ASKED, WAITING, APPROVED)
            if not open_still and (found is None or time_ms > found.granted_ms + grant_ms):
                self._partials.erase(share, capsule)


def _retry_ms(share: Share, now_ms: int) -> int:
    """When R asks again: soon at first, as the others may see the block with the verdict some milliseconds after R does."""
    return min(RETRY_MS, max(FIRST_RETRY_MS, now_ms - share.decided_ms))
