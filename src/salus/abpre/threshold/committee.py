"""The committee of an epoch: who holds the shares, which keys they are dealt to, and what every hash is bound to.

Steps: docs/protocol/sharing-thresholds.md, "common".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Protocol

from salus import labels
from salus.codec import Bytes32, Message, Name, Size
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import schnorr_verify
from salus.groups.ristretto255 import Point, decode_point
from salus.symmetric import Random, h2

SUITE: Final = labels.SUITE_ABPRE
SEATS_MAX: Final = 127
"""Seats of one committee, 3*42 + 1: a deal, with a ciphertext for each and a commitment for each of t, fits a transaction."""
THRESHOLD_MAX: Final = 85
"""``2*42 + 1``."""
ANSWERS_MAX: Final = 4 * SEATS_MAX
"""Answers to one request that a requester looks at: nodes may repeat theirs, and each takes a multiplication to open."""
UNSIGNED: Final = bytes(64)
"""Stands where the signature will be, while what is signed is put together."""
Value = tuple[Any, ...]
G1Point = Annotated[bytes, Size(48, 48)]
G2Point = Annotated[bytes, Size(96, 96)]
GtElement = Annotated[bytes, Size(576, 576)]
Proof = Annotated[bytes, Size(64, 64)]
"""A challenge and an answer, 32 bytes each."""


class Signer(Protocol):
    """A node, owner or institution that signs under its long-term ristretto255 key."""

    @property
    def name(self) -> str:
        """The name under which the ledger knows the key."""

    def sign(self, network: bytes, label: str, message: Any, random: Random) -> bytes:
        """Schnorr signature over (label, suite, network, name, key, R, message): 64 bytes."""


class Seat(Message, frozen=True):
    """A member of a committee.

    :ivar index: place of its shares, 1 .. size; the polynomial's value there is its share.
    :ivar W: long-term key, of its signatures. :ivar E: encryption key of the epoch in G1. :ivar Er: the same in ristretto255.
    """

    KIND = "sharing.seat"

    index: int
    name: Name
    W: Bytes32
    E: G1Point
    Er: Bytes32


class Committee(Message, frozen=True):
    """The holders of one epoch.

    :ivar epoch: whose encryption keys these are. :ivar size: equal seats, ``3f + 1``.
    :ivar seats: those that posted their keys, by ascending index; at least t. An absent one counts among the f.
    """

    KIND = "sharing.committee"

    epoch: int
    size: int
    seats: Annotated[tuple[Seat, ...], Size(1, SEATS_MAX)]

    @property
    def faults(self) -> int:
        """f: seats that may be silent or lie."""
        return (self.size - 1) // 3

    @property
    def threshold(self) -> int:
        """``t = 2f + 1``: shares needed for anything; 2f of them tell nothing."""
        return 2 * self.faults + 1

    def check(self) -> None:
        """Whether this can be a committee (common, step 1).

        :raises Refused: ``bad-committee``.
        """
        refuse_unless(4 <= self.size <= SEATS_MAX and self.size % 3 == 1, "bad-committee", f"{self.size} seats are not 3f + 1")
        indices = [seat.index for seat in self.seats]
        ascending = all(a < b for a, b in zip([0, *indices], [*indices, self.size + 1], strict=True))
        refuse_unless(ascending, "bad-committee", "the indices of the seats ascend from 1 to the size")
        refuse_unless(len(self.seats) >= self.threshold, "bad-committee", f"{len(self.seats)} keys, {self.threshold} are needed")
        for what in ("name", "W", "E", "Er"):
            distinct = len({getattr(seat, what) for seat in self.seats}) == len(self.seats)
            refuse_unless(distinct, "bad-committee", f"two seats with one {what}")

    def digest(self) -> bytes:
        """What deals to this committee are bound to: 32 bytes."""
        return _digest(self)

    def indices(self) -> list[int]:
        """Indices of the seats, ascending."""
        return [seat.index for seat in self.seats]

    def seat(self, index: int) -> Seat:
        """The seat of an index.

        :raises Refused: ``not-a-member``.
        """
        for seat in self.seats:
            if seat.index == index:
                return seat
        raise Refused("not-a-member", f"there is no seat {index} in epoch {self.epoch}")

    def seat_of(self, name: str) -> Seat:
        """The seat of a node.

        :raises Refused: ``not-a-member``.
        """
        for seat in self.seats:
            if seat.name == name:
                return seat
        raise Refused("not-a-member", f"{name} has no seat in epoch {self.epoch}")


@lru_cache(maxsize=64)
def _digest(committee: Committee) -> bytes:
    return h2(labels.COMMITTEE, SUITE, committee.to_value())


def make_committee(epoch: int, size: int, seats: Sequence[Seat]) -> Committee:
    """A checked committee.

    :raises Refused: ``bad-committee``.
    """
    committee = Committee(epoch, size, tuple(seats))
    committee.check()
    return committee


def context(network: bytes, epoch: int, kind: str, sender: str, about: Any) -> Value:
    """``ctx`` = (network, epoch, kind, sender, object id), which enters every hash (common, step 2).

    :param epoch: of the committee. :param kind: the message's. :param sender: who makes it.
    :param about: id of the object, or a tuple that names it.
    """
    return (network, epoch, kind, sender, about)


def signed_part(message: Message) -> Value:
    """What a message's last field, its signature, covers: everything before it."""
    return message.to_value()[:-1]


def verify_signature(network: bytes, label: str, name: str, W: bytes | Point, message: Any, signature: bytes) -> None:
    """Check :meth:`Signer.sign`.

    :param W: the signer's long-term key, looked up under ``name``.
    :raises Refused: ``bad-signature``, ``bad-point``, ``bad-scalar``.
    """
    point = decode_point(W, "W") if isinstance(W, bytes) else W
    # Long-term keys are those of the consultation, and their signatures name its suite.
    schnorr_verify(label, labels.SUITE_R1, point, (network, name, point.encode()), message, signature)
