"""Epochs of sharing as the state holds them: members' keys, deals, and what the deals fixed.

An epoch is *opened* by the first key posted, its committee is *closed* when all keys are there (or t are, and a turn has
passed), alpha is fixed by the first t valid deals, z and the keyword key by deals that survive a window of complaints; then the
epoch *starts*, and the one before it ends after a grace. Steps: docs/protocol/sharing-ledger.md, "epochs of sharing".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final

from salus import labels
from salus.abpre.threshold.alpha import AlphaDeal, AlphaPublic, AlphaSharing
from salus.abpre.threshold.committee import SEATS_MAX, SUITE, Committee
from salus.abpre.threshold.groups import OPRF, Z
from salus.abpre.threshold.scalar_deals import ScalarDeal, ScalarPublic, ScalarSharing
from salus.codec import Bytes32, Label, Message, Name, Size, encode
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.sharing.constants import SharingConstants
from salus.ledger.state import StateView, Table
from salus.search.committee import TokenKey, token_key
from salus.symmetric import h2


class DealRef(Message, frozen=True):
    """A deal of a scalar. :ivar out: 1 if a complaint about it was upheld."""

    KIND = "state.deal-ref"
    dealer: Name
    digest: Bytes32
    out: int


class ScalarPhase(Message, frozen=True):
    """How far the dealing of one scalar is.

    :ivar deals: in chain order. :ivar enough_ms: since when as many good deals as are needed are there, 0 while not.
    :ivar all_ms: since when every dealer has dealt or is out, 0 while not. :ivar fixed_ms: 0 while not fixed.
    :ivar approved: who has found a good share in each of the good deals. :ivar approved_ms: since when all have, 0 while not.
    """

    KIND = "state.scalar-phase"
    purpose: Label
    deals: Annotated[tuple[DealRef, ...], Size(0, SEATS_MAX)]
    enough_ms: int
    all_ms: int
    fixed_ms: int
    approved: Annotated[tuple[Name, ...], Size(0, SEATS_MAX)] = ()
    approved_ms: int = 0

    def collected_ms(self, closed_ms: int, constants: SharingConstants) -> int:
        """When deals stopped being collected: all are there, or enough are and the window has passed; 0 while not."""
        if not self.enough_ms:
            return 0
        late = max(self.enough_ms, closed_ms + constants.deal_window_ms)
        return min(self.all_ms, late) if self.all_ms else late

    def complaints_end_ms(self, closed_ms: int, constants: SharingConstants) -> int:
        """When complaints are over: every member approves, or the window has passed; 0 while deals are collected."""
        collected = self.collected_ms(closed_ms, constants)
        if not collected:
            return 0
        late = collected + constants.complaint_window_ms
        return min(self.approved_ms, late) if self.approved_ms else late

    def good(self) -> tuple[DealRef, ...]:
        """Deals that are not out, in chain order."""
        return tuple(deal for deal in self.deals if not deal.out)


class SharingEpoch(Message, frozen=True):
    """One epoch of sharing. Times are block times in milliseconds, 0 for "not yet".

    :ivar previous: the epoch whose sharing is handed over, 0 if everything is dealt afresh.
    :ivar key_version: epoch in which the public values (Y, Z, the OPRF's key) were dealt afresh.
    :ivar members: names of the validators when it was opened; a seat's index is its place here, from 1.
    :ivar enough_ms: since when a quorum of keys was there. :ivar full_ms: since when all were.
    :ivar alpha_dealers: in chain order. :ivar alpha_ms: when alpha was fixed. :ivar scalars: z, then the keyword key.
    :ivar started_ms: when everything was fixed. :ivar ends_ms: when its grace is over, or when it was given up.
    """

    KIND = "state.sharing-epoch"
    epoch: int
    previous: int
    key_version: int
    opened_ms: int
    members: Annotated[tuple[Name, ...], Size(1, SEATS_MAX)]
    enough_ms: int
    full_ms: int
    alpha_dealers: Annotated[tuple[Name, ...], Size(0, SEATS_MAX)]
    alpha_ms: int
    scalars: Annotated[tuple[ScalarPhase, ...], Size(2, 2)]
    started_ms: int
    ends_ms: int

    def closed_ms(self, constants: SharingConstants) -> int:
        """When the committee was closed: all keys are there, or a quorum is and a turn has passed; 0 while it cannot be."""
        if self.full_ms:
            return self.full_ms
        return max(self.opened_ms + constants.key_turn_ms, self.enough_ms) if self.enough_ms else 0

    def is_closed(self, time_ms: int, constants: SharingConstants) -> bool:
        """Whether the committee is closed at block time ``time_ms``."""
        closed = self.closed_ms(constants)
        return closed != 0 and closed <= time_ms

    def phase(self, purpose: str) -> ScalarPhase:
        """The dealing of a scalar.

        :raises Refused: ``bad-encoding`` for another purpose.
        """
        for phase in self.scalars:
            if phase.purpose == purpose:
                return phase
        raise Refused("bad-encoding", f"no scalar is shared for {purpose[:64]!r}")

    def accepted(self, time_ms: int) -> bool:
        """Whether what names this epoch is accepted at block time ``time_ms``."""
        return self.started_ms != 0 and (self.ends_ms == 0 or time_ms < self.ends_ms)


class SharingStatus(Message, frozen=True):
    """Where the sequence of epochs stands. :ivar current: newest started, 0 before the first. :ivar pending: 0 if none."""

    KIND = "state.sharing-status"
    current: int
    pending: int


NOTHING_STARTED: Final = SharingStatus(0, 0)
STATUS: Final = Table("sharing.status", SharingStatus)
EPOCHS: Final = Table("sharing.epoch", SharingEpoch)
"""Raw key: :func:`epoch_key`."""
COMMITTEES: Final = Table("sharing.committee", Committee)
"""Raw key: :func:`epoch_key`; final once the epoch is closed."""
ALPHA_DEALS: Final = Table("sharing.alpha-deal", AlphaDeal, shared=False)
"""Raw key: :func:`deal_key`. Until the next epoch starts."""
SCALAR_DEALS: Final = Table("sharing.scalar-deal", ScalarDeal, shared=False)
"""Raw key: :func:`deal_key`. Until the next epoch starts: nodes read their shares from it."""
ALPHA: Final = Table("sharing.alpha", AlphaSharing)
"""Raw key: :func:`epoch_key`."""
SCALARS: Final = Table("sharing.scalar", ScalarSharing)
"""Raw key: :func:`scalar_key`."""


def epoch_key(epoch: int) -> bytes:
    """Raw state key of an epoch."""
    return epoch.to_bytes(8, "big")


def scalar_key(epoch: int, purpose: str) -> bytes:
    """Raw state key of a scalar's sharing."""
    return encode((epoch, purpose))


def deal_key(epoch: int, what: str, dealer: str) -> bytes:
    """Raw state key of a deal; ``what`` is ``alpha`` or the scalar's purpose."""
    return encode((epoch, what, dealer))


def status(view: StateView) -> SharingStatus:
    """Where the sequence of epochs stands."""
    return STATUS.get(view, b"") or NOTHING_STARTED


def find_epoch(view: StateView, epoch: int) -> SharingEpoch | None:
    """The record of an epoch, or None."""
    return EPOCHS.get(view, epoch_key(epoch)) if 0 < epoch < 1 << 63 else None


def current_epoch(view: StateView) -> SharingEpoch:
    """The newest started epoch.

    :raises Refused: ``not-started``.
    """
    found = find_epoch(view, status(view).current)
    if found is None:
        raise Refused("not-started", "the committee has not shared its keys yet")
    return found


def accepted_epoch(view: StateView, epoch: int, time_ms: int) -> SharingEpoch:
    """The record of an epoch that is current or in its grace.

    :raises Refused: ``wrong-epoch``.
    """
    found = find_epoch(view, epoch)
    if found is None or not found.accepted(time_ms):
        raise Refused("wrong-epoch", f"epoch {epoch} of sharing")
    return found


def serving_epochs(view: StateView, time_ms: int) -> list[SharingEpoch]:
    """Epochs whose committees have something to do at block time ``time_ms``: being dealt, current, in their grace."""
    standing = status(view)
    current = find_epoch(view, standing.current)
    before = None if current is None else find_epoch(view, current.previous)
    found = [find_epoch(view, standing.pending), current]
    if before is not None and before.accepted(time_ms):
        found.append(before)
    return [record for record in found if record is not None]


def committee_of(view: StateView, epoch: int) -> Committee:
    """The seats of an epoch that have posted keys; final once it is closed.

    :raises Refused: ``wrong-epoch``.
    """
    found = COMMITTEES.get(view, epoch_key(epoch)) if 0 < epoch < 1 << 63 else None
    if found is None:
        raise Refused("wrong-epoch", f"epoch {epoch} of sharing")
    return found


def alpha_public(view: StateView, epoch: int) -> AlphaPublic:
    """Public values of alpha's sharing in an epoch, decoded; ``.Y`` gives the public parameters.

    :raises Refused: ``not-started``.
    """
    found = ALPHA.get(view, epoch_key(epoch)) if 0 < epoch < 1 << 63 else None
    if found is None:
        raise Refused("not-started", f"alpha of epoch {epoch} is not fixed")
    return decoded_alpha(found)


def scalar_public(view: StateView, epoch: int, purpose: str) -> ScalarPublic:
    """Public values of a scalar's sharing in an epoch, decoded; ``.key`` is Z or the OPRF's public key.

    :raises Refused: ``not-started``.
    """
    found = SCALARS.get(view, scalar_key(epoch, purpose)) if 0 < epoch < 1 << 63 else None
    if found is None:
        raise Refused("not-started", f"{purpose} of epoch {epoch} is not fixed")
    return decoded_scalar(found)


def search_key(view: StateView, epoch: int) -> TokenKey:
    """The key of tokens and its holders in an epoch, as the search library takes it.

    :raises Refused: ``not-started``, ``wrong-epoch``.
    """
    public, committee = scalar_public(view, epoch, OPRF), committee_of(view, epoch)
    shares = {seat.index: public.share(seat.index) for seat in committee.seats}
    nodes = {seat.index: (seat.name, seat.W) for seat in committee.seats}
    return token_key(epoch, committee.threshold, public.key, shares, nodes)


def scalar_deals(view: StateView, epoch: int, purpose: str) -> list[ScalarDeal]:
    """The deals that fixed a scalar, in the order that :func:`salus.abpre.threshold.hand_over.open_scalar_share` takes.

    :raises Refused: ``not-found`` if the next epoch has started and they are gone.
    """
    record = find_epoch(view, epoch)
    sharing = scalar_public(view, epoch, purpose).sharing
    names = {} if record is None else {ref.digest: ref.dealer for ref in record.phase(purpose).deals}
    found = []
    for digest in sharing.deals:
        deal = SCALAR_DEALS.get(view, deal_key(epoch, purpose, names.get(digest, "")))
        if deal is None:
            raise Refused("not-found", f"the deals of epoch {epoch} are not kept any more")
        found.append(deal)
    return found


def key_version(view: StateView) -> int:
    """Version of the public values (Y, Z, the OPRF's key), which hand-overs do not change.

    :raises Refused: ``not-started``.
    """
    return current_epoch(view).key_version


def pending_epoch(view: StateView, epoch: int, time_ms: int, constants: SharingConstants) -> tuple[SharingEpoch, Committee]:
    """An epoch whose committee is closed and that has not started, with its committee.

    :raises Refused: ``wrong-epoch``, ``not-started``, ``already-done``.
    """
    record = find_epoch(view, epoch)
    if record is None:
        raise Refused("wrong-epoch", f"epoch {epoch} of sharing is not open")
    refuse_unless(record.started_ms == 0, "already-done", f"epoch {epoch} of sharing has started")
    refuse_unless(record.ends_ms == 0, "wrong-epoch", f"epoch {epoch} of sharing was given up")
    refuse_unless(record.is_closed(time_ms, constants), "not-started", f"epoch {epoch} of sharing still awaits keys")
    return record, committee_of(view, epoch)


def check_order_seed(view: StateView, network: bytes, epoch: int) -> bytes:
    """Seed of the order of check nodes in an epoch (32 bytes): nobody knew it before the deals of alpha were fixed."""
    sharing = alpha_public(view, epoch).sharing
    return h2(labels.CHECK_ORDER, SUITE, network, epoch, sharing.R1, sharing.c)


@lru_cache(maxsize=8)
def decoded_alpha(sharing: AlphaSharing) -> AlphaPublic:
    """A sharing of alpha, decoded once."""
    return AlphaPublic(sharing)


@lru_cache(maxsize=16)
def decoded_scalar(sharing: ScalarSharing) -> ScalarPublic:
    """A sharing of a scalar, decoded once."""
    return ScalarPublic(sharing)


SCALAR_PURPOSES: Final = (Z, OPRF)
