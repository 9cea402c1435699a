"""Which deals count, by block time alone: the record that the ledger keeps of one dealing.

A deal of alpha is checked by everyone, so the first ones needed fix it at once. A deal by boxes may turn out bad for one node,
which must have time to say so: deals are collected, then a window of complaints runs, then the first ones left are fixed.
Steps: docs/protocol/sharing-thresholds.md, "shared scalars".
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec.structs import replace

from salus.abpre.threshold.committee import SEATS_MAX
from salus.codec import Bytes32, Label, Message, Name, Size
from salus.errors import Refused, refuse_unless

ALPHA: Final = "alpha"
"""Purpose of the dealing of alpha; the others are in :mod:`salus.abpre.threshold.groups`."""


class DealEntry(Message, frozen=True):
    """A committed deal. :ivar deal: its digest. :ivar convicted: 1 after an upheld complaint."""

    KIND = "sharing.deal-entry"

    deal: Bytes32
    dealer: Name
    convicted: int


class Dealing(Message, frozen=True):
    """One dealing under way. Times are block times in milliseconds.

    :ivar purpose: :data:`ALPHA` or a shared scalar. :ivar epoch: of the committee that receives.
    :ivar previous: epoch handed over from, 0 if none. :ivar dealers: how many may deal.
    :ivar needed: deals that fix the value: t of those who deal. :ivar window_ms: genesis' window.
    :ivar opened_ms: when collecting began, or began again. :ivar closed_ms: when the window of complaints began; 0 before.
    :ivar deals: in chain order, one of each dealer at most.
    """

    KIND = "sharing.dealing"

    purpose: Label
    epoch: int
    previous: int
    dealers: int
    needed: int
    window_ms: int
    opened_ms: int
    closed_ms: int
    deals: Annotated[tuple[DealEntry, ...], Size(0, SEATS_MAX)]

    def left(self) -> tuple[DealEntry, ...]:
        """The deals without an upheld complaint, in chain order."""
        return tuple(entry for entry in self.deals if not entry.convicted)

    def at(self, time_ms: int) -> Dealing:
        """The dealing as it stands at a block time.

        Collecting ends when all have dealt, or when there are enough and a window has passed. If complaints leave too few,
        collecting goes on from the end of their window; a convicted dealer does not deal again.
        """
        if self.purpose == ALPHA:
            return self
        end_ms = self.closed_ms + self.window_ms
        if self.closed_ms and time_ms >= end_ms and len(self.left()) < self.needed:
            return replace(self, opened_ms=end_ms, closed_ms=0)
        over_ms = self.opened_ms + self.window_ms
        if not self.closed_ms and len(self.left()) >= self.needed and time_ms >= over_ms:
            # Had the last one needed come later than this, with_deal would have closed the list at once.
            return replace(self, closed_ms=over_ms).at(time_ms)
        return self

    def check_deal(self, dealer: str, time_ms: int) -> None:
        """Whether a deal of ``dealer`` is awaited at a block time.

        :raises Refused: ``already-done``.
        """
        now = self.at(time_ms)
        refuse_unless(all(entry.dealer != dealer for entry in now.deals), "already-done", f"{dealer} has dealt")
        over = now.closed_ms != 0 or now.fixed(time_ms) is not None
        refuse_unless(not over, "already-done", f"the deals of {now.purpose} are collected")

    def with_deal(self, deal: bytes, dealer: str, time_ms: int) -> Dealing:
        """After a checked deal is committed.

        :raises Refused: ``already-done``.
        """
        self.check_deal(dealer, time_ms)
        now = self.at(time_ms)
        added = replace(now, deals=(*now.deals, DealEntry(deal, dealer, 0)))
        complete = len(added.deals) == added.dealers or time_ms >= added.opened_ms + added.window_ms
        closes = added.purpose != ALPHA and complete and len(added.left()) >= added.needed
        return replace(added, closed_ms=time_ms) if closes else added

    def check_complaint(self, deal: bytes, time_ms: int) -> None:
        """Whether a complaint about a deal is still heard at a block time.

        :raises Refused: ``already-done``, ``not-found``.
        """
        entry = next((entry for entry in self.deals if entry.deal == deal), None)
        if entry is None or self.purpose == ALPHA:
            raise Refused("not-found", "there is no such deal of a shared scalar")
        refuse_unless(not entry.convicted, "already-done", f"the deal of {entry.dealer} is out")
        refuse_unless(self.fixed(time_ms) is None, "already-done", "the window of complaints is over")

    def with_complaint(self, deal: bytes, time_ms: int) -> Dealing:
        """After an upheld complaint is committed: the deal is out.

        :raises Refused: ``already-done``, ``not-found``.
        """
        self.check_complaint(deal, time_ms)
        now = self.at(time_ms)
        return replace(now, deals=tuple(replace(e, convicted=1) if e.deal == deal else e for e in now.deals))

    def fixed(self, time_ms: int) -> tuple[bytes, ...] | None:
        """Digests of the deals that fix the value at a block time, in chain order; None while it is open."""
        now = self.at(time_ms)
        left = now.left()
        waited = now.purpose == ALPHA or (now.closed_ms != 0 and time_ms >= now.closed_ms + now.window_ms)
        return tuple(entry.deal for entry in left[: now.needed]) if waited and len(left) >= now.needed else None

    def failed(self) -> bool:
        """Whether all have dealt and too few deals are left: more than f lied, and a new dealing must begin."""
        return len(self.deals) == self.dealers and len(self.left()) < self.needed


def open_dealing(purpose: str, epoch: int, previous: int, dealers: int, needed: int, window_ms: int, time_ms: int) -> Dealing:
    """A dealing that begins at a block time.

    :param dealers: members that may deal: of the committee itself, or of the old one in a hand-over.
    :param needed: the dealers' threshold t.
    """
    refuse_unless(0 < needed <= dealers <= SEATS_MAX, "bad-committee", f"{needed} of {dealers} dealers")
    return Dealing(purpose, epoch, previous, dealers, needed, window_ms, time_ms, 0, ())
