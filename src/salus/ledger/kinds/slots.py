"""Appointment slots: published in batches with one-time keys, cancelled while nobody has taken them."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from salus.codec import Bytes32, Label, Message, Name, encode
from salus.consultation.appointments import SlotBatch, SlotCancellation, check_cancellation, check_slots
from salus.consultation.registration import DOCTOR
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.parties import Count, Party, live_party
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction

OPEN: Final = "open"
TAKEN: Final = "taken"
CANCELLED: Final = "cancelled"


class Slot(Message, frozen=True):
    """One slot of a doctor.

    :ivar W_D: the doctor's key when it was published; a slot of a key that is not live any more is closed.
    :ivar E: one-time key E_sn. :ivar day: YYYY-MM-DD. :ivar status: open, taken or cancelled.
    :ivar h1: the request that took it, else None.
    """

    KIND = "state.slot"
    doctor: Name
    sn: int
    W_D: Bytes32
    E: Bytes32
    day: Label
    status: Label
    h1: Bytes32 | None


SLOTS: Final = Table("slot", Slot)
NEXT_SN: Final = Table("slot.next", Count)


def slot_key(doctor: str, sn: int) -> bytes:
    """Raw state key of a slot."""
    return encode((doctor, sn))


def find_slot(view: StateView, doctor: str, sn: int) -> Slot:
    """A published slot, whatever became of it.

    :raises Refused: ``unknown-slot``.
    """
    slot = SLOTS.get(view, encode((doctor, sn)))
    if slot is None:
        raise Refused("unknown-slot", f"{doctor} has published no slot {sn}")
    return slot


def open_slot(view: StateView, party: Party, sn: int) -> Slot:
    """An open slot of a live doctor.

    :raises Refused: ``unknown-slot``, ``slot-taken``, ``slot-closed``.
    """
    slot = find_slot(view, party.name, sn)
    if slot.status == OPEN and slot.W_D == party.W:
        return slot
    raise Refused("slot-taken" if slot.status == TAKEN else "slot-closed", f"slot {sn} of {party.name}")


def next_sn(view: StateView, doctor: str) -> int:
    """The number that the doctor's next slot will have."""
    count = NEXT_SN.get(view, doctor.encode())
    return 0 if count is None else count.count


class _Publish:
    """Appointments, steps 1 and 2."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[SlotBatch]) -> list[Claim]:
        batch = tx.message
        party = live_party(view, DOCTOR, batch.doctor)
        follows = next_sn(view, batch.doctor)
        refuse_unless(batch.first_sn == follows, "unknown-slot", f"the next slot of {batch.doctor} is {follows}")
        check_slots(context.network, batch, party.W)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[SlotBatch]) -> None:
        batch = tx.message
        W = live_party(state, DOCTOR, batch.doctor).W
        for sn, E in enumerate(batch.keys, batch.first_sn):
            SLOTS.put(state, encode((batch.doctor, sn)), Slot(batch.doctor, sn, W, E, batch.day, OPEN, None))
        NEXT_SN.put(state, batch.doctor.encode(), Count(batch.first_sn + len(batch.keys)))


class _Cancel:
    """Appointments, step 3."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[SlotCancellation]) -> list[Claim]:
        message = tx.message
        party = live_party(view, DOCTOR, message.doctor)
        check_cancellation(context.network, message, party.W)
        for sn in message.sns:
            slot = find_slot(view, message.doctor, sn)
            refuse_unless(slot.status != TAKEN, "slot-taken", f"slot {sn}: decline its request instead")
            refuse_unless(slot.status == OPEN, "already-done", f"slot {sn} is cancelled")
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[SlotCancellation]) -> None:
        for sn in tx.message.sns:
            raw = encode((tx.message.doctor, sn))
            SLOTS.put(state, raw, replace(SLOTS.need(state, raw), status=CANCELLED))


KINDS: Final = (
    KindSpec(SlotBatch, _Publish()),
    KindSpec(SlotCancellation, _Cancel()),
)
