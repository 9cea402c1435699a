"""Scalars shared by boxes: z of the committee key, and the key of the keyword function.

A dealer commits to its polynomial and boxes each value. Whoever gets a bad one shows it by a provable opening during a window of
block time, and the deal is out; at the window's end the first deals that are left are fixed and added.
Steps: docs/protocol/sharing-thresholds.md, "shared scalars" and "hand-over".
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec.structs import replace

from salus import labels
from salus.abpre.threshold.alpha import FRESH
from salus.abpre.threshold.box import (
    Box,
    BoxOpening,
    check_boxes,
    judge_opening,
    open_box,
    prove_opening,
    require_box_size,
    seal_box,
)
from salus.abpre.threshold.committee import (
    SEATS_MAX,
    SUITE,
    THRESHOLD_MAX,
    UNSIGNED,
    Committee,
    Seat,
    Signer,
    Value,
    context,
    signed_part,
    verify_signature,
)
from salus.abpre.threshold.epoch_keys import SharingSecret
from salus.abpre.threshold.groups import group_of
from salus.codec import Bytes32, Bytes64, Label, Message, Name, Size
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point
from salus.symmetric import Random, h2

SHARE_BYTES: Final = 32
Commitment = Annotated[bytes, Size(32, 48)]
"""A point of ristretto255 (32 bytes) or of G1 (48)."""


class ScalarDeal(Message, frozen=True):
    """A dealt scalar, or an old share of one dealt to the next committee.

    :ivar purpose: which scalar, see :mod:`salus.abpre.threshold.groups`.
    :ivar epoch: of the committee that receives. :ivar previous: epoch of the sharing handed over, 0 if none.
    :ivar commitments: ``F_k = f_k*G``, k < t. :ivar boxes: f(i) for each seat, in their order.
    """

    KIND = "sharing.scalar-deal"

    purpose: Label
    epoch: int
    previous: int
    dealer: Name
    commitments: Annotated[tuple[Commitment, ...], Size(1, THRESHOLD_MAX)]
    boxes: Annotated[tuple[Box, ...], Size(1, SEATS_MAX)]
    signature: Bytes64

    def digest(self) -> bytes:
        """What complaints name: 32 bytes."""
        return h2(labels.SCALAR_DEAL, SUITE, self.to_value())


class Complaint(Message, frozen=True):
    """A node shows that the box dealt to it holds no good share."""

    KIND = "sharing.complaint"

    epoch: int
    node: Name
    deal: Bytes32
    opening: BoxOpening
    signature: Bytes64


class ScalarSharing(Message, frozen=True):
    """The sharing of a scalar that a committee holds: everything public about it.

    :ivar previous: epoch it was handed over from, 0 if none. :ivar dealers: their indices, in chain order.
    :ivar deals: digests of their deals. :ivar commitments: combined; the public key is ``commitments[0]``.
    """

    KIND = "sharing.scalar"

    purpose: Label
    epoch: int
    previous: int
    dealers: Annotated[tuple[int, ...], Size(1, THRESHOLD_MAX)]
    deals: Annotated[tuple[Bytes32, ...], Size(1, THRESHOLD_MAX)]
    commitments: Annotated[tuple[Commitment, ...], Size(1, THRESHOLD_MAX)]

    def public_key(self) -> bytes:
        """``Z = z*g1`` or the OPRF's public key."""
        return self.commitments[0]


class ScalarPublic:
    """The public values of a sharing, decoded once.

    :ivar sharing: the message. :ivar group: the scalar's group. :ivar key: the public key, a point of it.
    """

    __slots__ = ("_commitments", "_shares", "group", "key", "sharing")

    def __init__(self, sharing: ScalarSharing) -> None:
        self.sharing = sharing
        self.group = group_of(sharing.purpose)
        self._commitments = [self.group.decode_point(F, "F_k") for F in sharing.commitments]
        self._shares: dict[int, Any] = {}
        self.key = self._commitments[0]

    def share(self, index: int) -> Any:
        """``sum F_k*i^k``: Z_i, the public share of a seat; a point of the group."""
        if index not in self._shares:
            self._shares[index] = self.group.public_share(self._commitments, index)
        return self._shares[index]


class ScalarShare:
    """A node's share of a scalar.

    :ivar purpose: which scalar. :ivar epoch: of the sharing. :ivar index: the node's seat. :ivar value: the scalar; secret.
    """

    __slots__ = ("_value", "epoch", "index", "purpose")

    def __init__(self, purpose: str, epoch: int, index: int, value: Any) -> None:
        self.purpose = purpose
        self.epoch = epoch
        self.index = index
        self._value = value

    @property
    def value(self) -> Any:
        """The secret.

        :raises Refused: ``erased``.
        """
        if self._value is None:
            raise Refused("erased", f"the share of {self.purpose} of epoch {self.epoch} was erased")
        return self._value

    def wipe(self) -> None:
        """Forget the share (hand-over, step 6)."""
        self._value = None

    def export_secret(self) -> bytes:
        """The scalar, 32 bytes, for the node's file of this epoch."""
        return bytes(self.value.encode())

    @classmethod
    def from_secret(cls, public: ScalarPublic, index: int, data: bytes) -> ScalarShare:
        """Inverse of :meth:`export_secret`.

        :raises Refused: ``bad-share`` if it is not the share of that seat, ``bad-scalar``.
        """
        value = public.group.decode_scalar(data, "share")
        right = public.group.base_mul(value) == public.share(index)
        refuse_unless(right, "bad-share", f"this is not the share of seat {index} of {public.sharing.purpose}")
        return cls(public.sharing.purpose, public.sharing.epoch, index, value)

    def __repr__(self) -> str:
        return f"ScalarShare({self.purpose}, epoch={self.epoch}, index={self.index})"


def make_scalar_deal(network: bytes, committee: Committee, purpose: str, dealer: Signer, random: Random) -> ScalarDeal:
    """Deal a fresh contribution to a scalar (shared scalars, steps 1 and 2)."""
    return deal_scalar(network, committee, purpose, dealer, FRESH, group_of(purpose).random_scalar(random), random)


def reshare_scalar(network: bytes, committee: Committee, dealer: Signer, share: ScalarShare, random: Random) -> ScalarDeal:
    """Deal one's own share to the next committee (hand-over, step 2): F_0 is the dealer's old public share."""
    return deal_scalar(network, committee, share.purpose, dealer, share.epoch, share.value, random)


def deal_scalar(
    network: bytes, committee: Committee, purpose: str, dealer: Signer, previous: int, constant: Any, random: Random
) -> ScalarDeal:
    """A deal of ``constant = f(0)``."""
    group, seats = group_of(purpose), committee.seats
    coefficients = [constant, *(group.random_scalar(random) for _ in range(committee.threshold - 1))]
    values = group.share(coefficients, committee.indices())
    draft = ScalarDeal(
        purpose,
        committee.epoch,
        previous,
        dealer.name,
        tuple(group.base_mul(f).encode() for f in coefficients),
        tuple(
            seal_box(seat.Er, share_context(network, committee, purpose, previous, dealer.name, seat.index), v.encode(), random)
            for seat, v in zip(seats, values, strict=True)
        ),
        UNSIGNED,
    )
    return sign_scalar_deal(network, draft, dealer, random)


def sign_scalar_deal(network: bytes, draft: ScalarDeal, dealer: Signer, random: Random) -> ScalarDeal:
    """The dealer's signature over the whole deal (shared scalars, step 2)."""
    return replace(draft, signature=dealer.sign(network, labels.SIG_SCALAR_DEAL, signed_part(draft), random))


def share_context(network: bytes, committee: Committee, purpose: str, previous: int, dealer: str, index: int) -> Value:
    """What the box of one share is bound to."""
    return context(network, committee.epoch, ScalarDeal.KIND, dealer, (purpose, previous, committee.digest(), index))


def check_scalar_deal(network: bytes, committee: Committee, deal: ScalarDeal) -> None:
    """Everyone's check of a fresh deal by a member (shared scalars, step 3).

    :raises Refused: ``not-a-member``, ``bad-deal``, ``bad-box``, ``bad-point``, ``bad-signature``, ``bad-encoding``.
    """
    refuse_unless(deal.previous == FRESH, "bad-deal", "the deal hands something over")
    check_dealt_scalar(network, committee, deal, committee.seat_of(deal.dealer).W, None)


def check_dealt_scalar(network: bytes, committee: Committee, deal: ScalarDeal, W: bytes | Point, constant: Any | None) -> None:
    """What fresh deals and those of a hand-over have in common: form, points, proofs of the boxes, signature.

    :param committee: that receives. :param W: the dealer's long-term key.
    :param constant: what F_0 must be: the dealer's old public share in a hand-over, None for a fresh deal.
    :raises Refused: ``bad-deal``, ``bad-box``, ``bad-point``, ``bad-signature``, ``bad-encoding``.
    """
    group = group_of(deal.purpose)
    shape = (deal.epoch, len(deal.commitments), len(deal.boxes)) == (committee.epoch, committee.threshold, len(committee.seats))
    refuse_unless(shape, "bad-deal", f"{len(deal.commitments)} commitments and {len(deal.boxes)} boxes")
    verify_signature(network, labels.SIG_SCALAR_DEAL, deal.dealer, W, signed_part(deal), deal.signature)
    commitments = [group.decode_point(F, "F_k") for F in deal.commitments]
    # Without this one liar moves the key.
    refuse_unless(constant is None or commitments[0] == constant, "bad-deal", "F_0 is not the dealer's old public share")
    for box in deal.boxes:
        require_box_size(box, SHARE_BYTES, "a share")
    contexts = [
        share_context(network, committee, deal.purpose, deal.previous, deal.dealer, seat.index) for seat in committee.seats
    ]
    check_boxes([(box, seat.Er, ctx) for box, seat, ctx in zip(deal.boxes, committee.seats, contexts, strict=True)])


def open_dealt_share(network: bytes, committee: Committee, deal: ScalarDeal, name: str, secret: SharingSecret) -> Any:
    """A node opens what was dealt to it and compares it with the commitments (shared scalars, step 4).

    :return: f(i), a scalar of the group.
    :raises Refused: ``bad-share``: complain.
    """
    share = open_box_of(network, committee, deal, name, secret)
    right = _is_share(deal, committee.seat_of(name), share)
    refuse_unless(right, "bad-share", f"the share from {deal.dealer} is not that of its commitments")
    return share


def open_box_of(network: bytes, committee: Committee, deal: ScalarDeal, name: str, secret: SharingSecret) -> Any:
    """The scalar in the box that was dealt to a node, not compared with the commitments.

    :raises Refused: ``bad-share`` if there is none.
    """
    _, box, ctx = _dealt_to(network, committee, deal, name)
    try:
        return group_of(deal.purpose).decode_scalar(open_box(secret.er, box, ctx), "share")
    except Refused as error:
        refuse_unless(error.reason in ("bad-seal", "bad-scalar"), error.reason, error.detail)
        raise Refused("bad-share", f"the box from {deal.dealer} holds no scalar, or does not open") from None


def complain(
    network: bytes, committee: Committee, deal: ScalarDeal, node: Signer, secret: SharingSecret, random: Random
) -> Complaint:
    """Complain about a bad share by a provable opening (shared scalars, step 5).

    It shows what was in that one box: call it only after :func:`open_dealt_share` refused.
    """
    _, box, ctx = _dealt_to(network, committee, deal, node.name)
    draft = Complaint(deal.epoch, node.name, deal.digest(), prove_opening(secret.er, box, ctx, random), UNSIGNED)
    return replace(draft, signature=node.sign(network, labels.SIG_COMPLAINT, signed_part(draft), random))


def judge_complaint(network: bytes, committee: Committee, deal: ScalarDeal, complaint: Complaint) -> str:
    """Decide a complaint in public (shared scalars, step 6); anyone can replay it.

    :return: name of the dealer, whose deal is out.
    :raises Refused: ``bad-complaint`` if it proves nothing, or the share it shows is good.
    """
    named = complaint.deal == deal.digest() and complaint.epoch == deal.epoch == committee.epoch
    refuse_unless(named, "bad-complaint", "it names another deal")
    seat, box, ctx = _dealt_to(network, committee, deal, complaint.node)
    try:
        verify_signature(network, labels.SIG_COMPLAINT, seat.name, seat.W, signed_part(complaint), complaint.signature)
        plaintext = judge_opening(box, seat.Er, ctx, complaint.opening)
    except Refused as error:
        raise Refused("bad-complaint", error.detail) from None
    good = plaintext is not None and _good_share(deal, seat, plaintext)
    refuse_unless(not good, "bad-complaint", f"the share from {deal.dealer} to {seat.name} is good")
    return deal.dealer


def _dealt_to(network: bytes, committee: Committee, deal: ScalarDeal, name: str) -> tuple[Seat, Box, Value]:
    """The seat of a node, the box dealt to it, and what that box is bound to."""
    seat = committee.seat_of(name)
    shape = deal.epoch == committee.epoch and len(deal.boxes) == len(committee.seats)
    refuse_unless(shape, "bad-deal", "the deal is for another committee")
    box = deal.boxes[committee.indices().index(seat.index)]
    return seat, box, share_context(network, committee, deal.purpose, deal.previous, deal.dealer, seat.index)


def _good_share(deal: ScalarDeal, seat: Seat, plaintext: bytes) -> bool:
    try:
        return _is_share(deal, seat, group_of(deal.purpose).decode_scalar(plaintext, "share"))
    except Refused:
        return False


def _is_share(deal: ScalarDeal, seat: Seat, share: Any) -> bool:
    """``f(i)*G = sum F_k*i^k``."""
    group = group_of(deal.purpose)
    commitments = [group.decode_point(F, "F_k") for F in deal.commitments]
    return bool(group.base_mul(share) == group.public_share(commitments, seat.index))
