"""Appointments: a doctor publishes slots with one-time keys, and can cancel a slot or decline a request.

Steps: docs/protocol/consultation.md, "appointments".
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final

from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Bytes64, Label, Message, Name, Size
from salus.consultation.registration import MemberKey, verify_member_signature
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, decode_scalar, random_scalar
from salus.symmetric import Random

SLOTS_A_BATCH_MAX: Final = 256
"""Slots of one batch: a doctor's day and more; 8 KiB of keys in one transaction."""
Day = Annotated[str, Size(10, 10)]
"""A day as ``YYYY-MM-DD`` (UTC)."""
Note = Annotated[str, Size(0, 256)]


class SlotBatch(Message, frozen=True):
    """A doctor opens the slots ``first_sn .. first_sn + len(keys) - 1`` of one day, each with a one-time key E_sn."""

    KIND = "slots.publish"

    doctor: Name
    day: Day
    first_sn: int
    keys: Annotated[tuple[Bytes32, ...], Size(1, SLOTS_A_BATCH_MAX)]
    signature: Bytes64


class SlotCancellation(Message, frozen=True):
    """A doctor closes open slots that nobody has taken."""

    KIND = "slots.cancel"

    doctor: Name
    sns: Annotated[tuple[int, ...], Size(1, SLOTS_A_BATCH_MAX)]
    note: Note
    signature: Bytes64


class Decline(Message, frozen=True):
    """A doctor declines a committed request, with a reason code.

    :ivar h1: the request's transaction hash.
    """

    KIND = "consultation.decline"

    doctor: Name
    sn: int
    h1: Bytes32
    reason: Label
    note: Note
    signature: Bytes64


class SlotKey:
    """e_sn of one slot; erased when the reply is stored.

    :ivar sn: the slot.
    :ivar E: public key, 32 bytes.
    """

    __slots__ = ("E", "_e", "sn")

    def __init__(self, sn: int, e: Scalar) -> None:
        self.sn = sn
        self._e: Scalar | None = e
        self.E = base_mul(e).encode()

    @property
    def e(self) -> Scalar:
        """The secret.

        :raises Refused: ``erased`` after :meth:`wipe`.
        """
        if self._e is None:
            raise Refused("erased", f"the key of slot {self.sn} was erased")
        return self._e

    def wipe(self) -> None:
        """Forget e_sn."""
        self._e = None

    def export_secret(self) -> bytes:
        """e_sn, 32 bytes, for the sealed wallet (never for a backup)."""
        return self.e.encode()

    @classmethod
    def from_secret(cls, sn: int, data: bytes) -> SlotKey:
        """Inverse of :meth:`export_secret`."""
        return cls(sn, decode_scalar(data, "e"))

    def __repr__(self) -> str:
        return f"SlotKey(sn={self.sn})"


def _sign(doctor: MemberKey, network: bytes, label: str, unsigned: Message, random: Random) -> bytes:
    return doctor.sign(network, label, signed_part(unsigned), random)


def signed_part(message: Message) -> tuple[Any, ...]:
    """What a signature covers: the message's codec value without its last element, the signature."""
    return message.to_value()[:-1]


_UNSIGNED: Final = bytes(64)


def publish_slots(
    network: bytes, doctor: MemberKey, day: str, first_sn: int, count: int, random: Random
) -> tuple[SlotBatch, list[SlotKey]]:
    """Make a signed batch of slots and the doctor's secrets for them (appointments, step 1)."""
    refuse_unless(1 <= count <= SLOTS_A_BATCH_MAX, "too-large", f"a batch has 1 to {SLOTS_A_BATCH_MAX} slots")
    keys = [SlotKey(first_sn + offset, random_scalar(random)) for offset in range(count)]
    draft = SlotBatch(doctor.name, day, first_sn, tuple(k.E for k in keys), _UNSIGNED)
    return replace(draft, signature=_sign(doctor, network, labels.SIG_SLOTS, draft, random)), keys


def check_slots(network: bytes, batch: SlotBatch, W_D: bytes | Point) -> None:
    """Check a batch (appointments, step 2): keys are points and differ, the day is one, the signature is the doctor's.

    :raises Refused: ``bad-encoding``, ``bad-point``, ``bad-signature``.
    """
    refuse_unless(_is_day(batch.day), "bad-encoding", "a day is YYYY-MM-DD")
    refuse_unless(batch.first_sn + len(batch.keys) < 1 << 63, "bad-encoding", "slot numbers are below 2^63")
    refuse_unless(len(set(batch.keys)) == len(batch.keys), "used-key", "two slots share a key")
    for key in batch.keys:
        decode_point(key, "E_sn")
    verify_member_signature(network, labels.SIG_SLOTS, batch.doctor, W_D, signed_part(batch), batch.signature)


def cancel_slots(network: bytes, doctor: MemberKey, sns: tuple[int, ...], note: str, random: Random) -> SlotCancellation:
    """Close open slots, signed (appointments, step 3). ``sns`` ascend strictly."""
    draft = SlotCancellation(doctor.name, sns, note, _UNSIGNED)
    return replace(draft, signature=_sign(doctor, network, labels.SIG_DECLINE, draft, random))


def check_cancellation(network: bytes, message: SlotCancellation, W_D: bytes | Point) -> None:
    """Check a cancellation's form and signature.

    :raises Refused: ``bad-encoding``, ``bad-signature``.
    """
    ascending = all(a < b for a, b in zip(message.sns, message.sns[1:], strict=False))
    refuse_unless(ascending, "bad-encoding", "slot numbers must ascend")
    verify_member_signature(network, labels.SIG_DECLINE, message.doctor, W_D, signed_part(message), message.signature)


def decline_request(network: bytes, doctor: MemberKey, sn: int, h1: bytes, reason: str, note: str, random: Random) -> Decline:
    """Decline a committed request, signed (appointments, step 4).

    :param reason: a code of ``salus.errors.REASONS``, e.g. ``bad-seal`` for a sealed sender that does not open.
    """
    draft = Decline(doctor.name, sn, h1, reason, note, _UNSIGNED)
    return replace(draft, signature=_sign(doctor, network, labels.SIG_DECLINE, draft, random))


def check_decline(network: bytes, message: Decline, W_D: bytes | Point) -> None:
    """Check a decline's signature.

    :raises Refused: ``bad-signature``.
    """
    verify_member_signature(network, labels.SIG_DECLINE, message.doctor, W_D, signed_part(message), message.signature)


def _is_day(day: str) -> bool:
    try:
        return date.fromisoformat(day).isoformat() == day
    except ValueError:
        return False
