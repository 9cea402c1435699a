"""The epochs of the nodes' shared value, as the state holds them.

An epoch is *opened* when a new shared value is due, collects its members' keys until it is *closed*, is dealt by the
dealer whose turn it is, *starts* when a quorum has acknowledged the deal, and *ends* a grace after the next one started.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec.structs import replace

from salus.codec import Bytes32, Message, Name, Size
from salus.consensus.block import MAX_VALIDATORS
from salus.consultation.shared_value import Deal, Seat
from salus.errors import Refused, refuse_unless
from salus.ledger.constants import Constants
from salus.ledger.state import Overlay, StateView, Table

EPOCHS_IN_GRACE_MAX: Final = 16
"""Epochs accepted at one time; an epoch is longer than the grace, so there are two at most, unless revocations hurry."""


class EpochSeat(Message, frozen=True):
    """A node of the epoch: name, long-term key W_j, epoch key E_j."""

    KIND = "state.epoch-seat"
    name: Name
    W: Bytes32
    E: Bytes32

    def seat(self) -> Seat:
        """The form that the consultation protocol takes."""
        return Seat(self.name, self.W, self.E)


class Epoch(Message, frozen=True):
    """One epoch. Times are block times in milliseconds, 0 for "not yet".

    :ivar seats: nodes that posted their keys, in the order of the ranking.
    :ivar members: number of live validators when it was opened; as many keys are awaited.
    :ivar quorum: seats needed to close, acknowledgements needed to start.
    :ivar quorum_ms: when a quorum of keys was there. :ivar full_ms: when all were.
    :ivar skipped: dealers convicted before the start: their turn passes at once.
    :ivar deal: the deal on the table, replaced by the next dealer's if it does not start in time.
    :ivar acks: nodes that hold theta, by name.
    :ivar pk_BC: ``T = theta*P0`` once it has started, else None.
    :ivar started_ms: when a quorum had acknowledged. :ivar ends_ms: when its grace is over.
    """

    KIND = "state.epoch"
    epoch: int
    opened_ms: int
    seats: Annotated[tuple[EpochSeat, ...], Size(0, MAX_VALIDATORS)]
    members: int
    quorum: int
    quorum_ms: int
    full_ms: int
    skipped: int
    deal: Deal | None
    acks: Annotated[tuple[Name, ...], Size(0, MAX_VALIDATORS)]
    pk_BC: Bytes32 | None  # noqa: N815 - the name in the protocol
    started_ms: int
    ends_ms: int

    def closed_ms(self, constants: Constants) -> int:
        """When the list of keys was closed: all are there, or a quorum is and a turn has passed; 0 while it cannot be."""
        if self.full_ms:
            return self.full_ms
        return max(self.opened_ms + constants.deal_turn_ms, self.quorum_ms) if self.quorum_ms else 0

    def is_closed(self, time_ms: int, constants: Constants) -> bool:
        """Whether the list of keys is closed at block time ``time_ms``."""
        closed = self.closed_ms(constants)
        return closed != 0 and closed <= time_ms

    def dealer(self, time_ms: int, constants: Constants) -> str:
        """Whose turn it is to deal at block time ``time_ms``.

        :raises Refused: ``not-started`` while keys are awaited.
        """
        refuse_unless(self.is_closed(time_ms, constants), "not-started", f"epoch {self.epoch} still awaits keys")
        turn = (time_ms - self.closed_ms(constants)) // constants.deal_turn_ms + self.skipped
        return self.seats[(self.epoch + turn) % len(self.seats)].name

    def accepted(self, time_ms: int) -> bool:
        """Whether envelopes of this epoch are accepted at block time ``time_ms``."""
        return self.started_ms != 0 and (self.ends_ms == 0 or time_ms < self.ends_ms)

    def find_seat(self, name: str) -> EpochSeat:
        """The seat of a node.

        :raises Refused: ``unknown-party``.
        """
        for seat in self.seats:
            if seat.name == name:
                return seat
        raise Refused("unknown-party", f"{name} has no key in epoch {self.epoch}")


class EpochStatus(Message, frozen=True):
    """Where the sequence of epochs stands.

    :ivar current: the newest started epoch, 0 before the first. :ivar pending: the opened one, 0 if none.
    :ivar renew: 1 if a node was revoked after the current one was opened, so that the next is due at once.
    """

    KIND = "state.epoch-status"
    current: int
    pending: int
    renew: int


EPOCHS: Final = Table("epoch", Epoch)
STATUS: Final = Table("epoch.status", EpochStatus)


def epoch_key(epoch: int) -> bytes:
    """Raw state key of an epoch."""
    return epoch.to_bytes(8, "big")


def find_epoch(view: StateView, epoch: int) -> Epoch | None:
    """The record of an epoch, or None."""
    return EPOCHS.get(view, epoch_key(epoch)) if epoch < 1 << 63 else None


def accepted_epoch(view: StateView, epoch: int, time_ms: int) -> Epoch:
    """The record of an epoch whose envelopes are accepted now.

    :raises Refused: ``wrong-epoch``.
    """
    record = find_epoch(view, epoch)
    if record is None or not record.accepted(time_ms):
        raise Refused("wrong-epoch", f"epoch {epoch}")
    return record


def accepted_epochs(view: StateView, time_ms: int) -> list[Epoch]:
    """All epochs accepted at block time ``time_ms``, ascending: the current one and those before it in their grace."""
    current = STATUS.need(view, b"").current
    found: list[Epoch] = []
    for number in range(current, max(0, current - EPOCHS_IN_GRACE_MAX), -1):
        record = EPOCHS.need(view, epoch_key(number))
        if not record.accepted(time_ms):
            break
        found.append(record)
    return found[::-1]


def open_epoch(state: Overlay, epoch: int, time_ms: int, members: int, quorum: int) -> Epoch:
    """Open an epoch: from now on its members post their keys."""
    record = Epoch(epoch, time_ms, (), members, quorum, 0, 0, 0, None, (), None, 0, 0)
    status = STATUS.need(state, b"")
    STATUS.put(state, b"", replace(status, pending=epoch))
    put_epoch(state, record)
    return record


def put_epoch(state: Overlay, record: Epoch) -> None:
    """Write an epoch's record."""
    EPOCHS.put(state, epoch_key(record.epoch), record)


def with_seats(record: Epoch, seats: tuple[EpochSeat, ...], time_ms: int) -> Epoch:
    """The record with another list of keys, its closing times set."""
    quorum_ms = record.quorum_ms or time_ms if len(seats) >= record.quorum else 0
    full_ms = record.full_ms or time_ms if len(seats) >= record.members else 0
    return replace(record, seats=seats, quorum_ms=quorum_ms, full_ms=full_ms)


def node_revoked(state: Overlay, name: str, time_ms: int) -> None:
    """A seat is revoked: a fresh shared value is due, and what was dealt for the pending epoch is void."""
    status = STATUS.need(state, b"")
    if status.pending:
        record = EPOCHS.need(state, epoch_key(status.pending))
        seats = tuple(s for s in record.seats if s.name != name)
        emptied = replace(record, members=record.members - 1, opened_ms=time_ms, quorum_ms=0, full_ms=0, deal=None, acks=())
        put_epoch(state, with_seats(emptied, seats, time_ms))
    else:
        STATUS.put(state, b"", replace(status, renew=1))
