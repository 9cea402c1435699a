"""What a node owes the epochs: its key, a deal when it is its turn, acknowledgements, accusations, and erasure.

Looked at after every committed block and now and then in between; each duty is a transaction of this node, or nothing.
Steps: docs/protocol/consultation.md, "shared value".
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from salus.codec import Message, encode
from salus.consultation.registration import NODE
from salus.consultation.shared_value import (
    Deal,
    EpochSecret,
    ThetaBox,
    accuse,
    acknowledge,
    box_theta,
    make_deal,
    open_deal,
    open_theta_box,
    publish_epoch_key,
)
from salus.errors import Refused, TransportError
from salus.groups.ristretto255 import Scalar
from salus.ledger.constants import Constants
from salus.ledger.epoch_state import STATUS, Epoch, EpochSeat, accepted_epochs, find_epoch
from salus.ledger.kinds.epochs import next_epoch
from salus.ledger.kinds.parties import VALIDATORS, live_party
from salus.ledger.state import StateView
from salus.ledger.transactions import BlockContext
from salus.node.secrets import NodeSecrets
from salus.symmetric import Random

_log = structlog.get_logger(__name__)

AskForTheta = Callable[[str, int], ThetaBox]
"""Asks one node for the theta of an epoch, boxed to this node."""


class EpochDuties:
    """The duties of one node.

    :param ask: reaches another node for a boxed theta.
    """

    def __init__(
        self, secrets: NodeSecrets, network: bytes, Pub: bytes, constants: Constants, ask: AskForTheta, random: Random
    ) -> None:
        self._secrets = secrets
        self._network = network
        self._Pub = Pub
        self._constants = constants
        self._ask = ask
        self._random = random
        self._made: dict[tuple[str, int, bytes], bytes] = {}
        """Duties under way, by kind, epoch and what they answer: repeated as the same bytes until they are committed."""

    @property
    def _name(self) -> str:
        return self._secrets.member.name

    def due(self, view: StateView, height: int, time_ms: int, now_ms: int) -> list[bytes]:
        """Encoded transactions that this node owes now.

        :param time_ms: time of the last committed block. :param now_ms: clock; the next block's time.
        """
        self._erase(view, time_ms)
        current = STATUS.need(view, b"").current
        self._made = {key: made for key, made in self._made.items() if key[1] >= current}
        transactions = [*self._key(view, height, now_ms), *self._deal(view, now_ms)]
        live = accepted_epochs(view, time_ms)
        pending = find_epoch(view, STATUS.need(view, b"").pending)
        for record in [*live, *([pending] if pending is not None else [])]:
            if record.deal is not None:
                transactions += self._hold(view, record, record.deal)
                transactions += self._acknowledge(record, record.deal, live)
        return transactions

    def _erase(self, view: StateView, time_ms: int) -> None:
        """Erase secrets of epochs whose grace ended before a committed block."""
        current = STATUS.need(view, b"").current
        for epoch in self._secrets.epochs():
            record = find_epoch(view, epoch)
            over = record is not None and record.ends_ms and time_ms >= record.ends_ms
            if over or (epoch < current and record is None):
                self._secrets.erase_epoch(epoch)

    def _key(self, view: StateView, height: int, now_ms: int) -> list[bytes]:
        """Step 1: post this epoch's key when a new epoch is due."""
        if all(m.name != self._name for m in VALIDATORS.need(view, b"").members):
            return []
        context = BlockContext(self._network, self._Pub, height + 1, now_ms, "", 1, self._constants, [], [])
        try:
            epoch = next_epoch(view, context)
        except Refused:
            return []  # the current epoch goes on
        record = find_epoch(view, epoch)
        if record is not None and (record.is_closed(now_ms, self._constants) or _seat(record, self._name)):
            return []
        secret = self._secrets.make_epoch_secret(epoch, self._random)
        make = lambda: publish_epoch_key(self._network, self._secrets.member, secret, self._random)  # noqa: E731
        return [self._once("key", epoch, b"", make)]

    def _deal(self, view: StateView, now_ms: int) -> list[bytes]:
        """Steps 3 to 5: deal when it is this node's turn."""
        pending = STATUS.need(view, b"").pending
        record = find_epoch(view, pending) if pending else None
        if record is None or not record.is_closed(now_ms, self._constants):
            return []
        if record.dealer(now_ms, self._constants) != self._name or (record.deal and record.deal.dealer == self._name):
            return []
        seats = [seat.seat() for seat in record.seats]
        members = b"".join(seat.W + seat.E for seat in seats)
        make = lambda: make_deal(self._network, record.epoch, self._secrets.member, seats, self._random)[0]  # noqa: E731
        return [self._once("deal", record.epoch, members, make)]

    def _hold(self, view: StateView, record: Epoch, deal: Deal) -> list[bytes]:
        """Steps 7, 9 and 10: open theta and keep it durably; get it boxed, and accuse, if the deal does not open."""
        if self._secrets.theta(record.epoch, deal.T) is not None:
            return []
        transactions = self._open(record, deal) if _seat(record, self._name) is not None else []
        if self._secrets.theta(record.epoch, deal.T) is None and record.started_ms:
            self._fetch(view, record, deal.T)
        return transactions

    def _acknowledge(self, record: Epoch, deal: Deal, live: list[Epoch]) -> list[bytes]:
        """Step 8: attest this theta and every one that is still accepted, once all of them are held."""
        if _seat(record, self._name) is None or self._name in record.acks or record.ends_ms:
            return []
        wanted = {e.epoch: e.pk_BC for e in live} | {record.epoch: deal.T}
        if any(T is None or self._secrets.theta(epoch, T) is None for epoch, T in wanted.items()):
            return []
        grace = tuple(sorted(e for e in wanted if e < record.epoch))
        make = lambda: acknowledge(self._network, self._secrets.member, deal, grace, self._random)  # noqa: E731
        return [self._once("ack", record.epoch, deal.digest() + encode(grace), make)]

    def _open(self, record: Epoch, deal: Deal) -> list[bytes]:
        secret = self._secrets.epoch_secret(record.epoch)
        if secret is None:
            _log.error("epoch-key-lost", epoch=record.epoch)
            return []
        try:
            theta = open_deal(self._network, deal, self._secrets.member, secret)
        except Refused:
            _log.warning("false-deal", epoch=record.epoch, dealer=deal.dealer)
            make = lambda: accuse(self._network, deal, self._secrets.member, secret, self._random)  # noqa: E731
            return [self._once("accuse", record.epoch, deal.digest(), make)]
        self._secrets.keep_theta(record.epoch, theta, deal.T)
        return []

    def _once(self, kind: str, epoch: int, about: bytes, make: Callable[[], Message]) -> bytes:
        key = (kind, epoch, about)
        if key not in self._made:
            self._made[key] = make().encode()
        return self._made[key]

    def _fetch(self, view: StateView, record: Epoch, T: bytes) -> None:
        """Step 9: get theta from any holder, boxed to this node; accepted if theta*P0 = T."""
        epochs = {record.epoch, *(r.epoch for r in self._newer(view, record.epoch))}
        secrets = [s for s in map(self._secrets.epoch_secret, sorted(epochs)) if s is not None]
        for holder in record.acks:
            if holder == self._name or not secrets:
                continue
            W = record.find_seat(holder).W
            try:
                theta = self._open_box(self._ask(holder, record.epoch), secrets, T, W)
                self._secrets.keep_theta(record.epoch, theta, T)
            except (Refused, TransportError) as error:
                _log.warning("no-theta-from", holder=holder, epoch=record.epoch, error=str(error))
            else:
                return

    def _open_box(self, box: ThetaBox, secrets: list[EpochSecret], T: bytes, W: bytes) -> Scalar:
        """Open a box made to any of this node's epoch keys."""
        refusal = Refused("bad-seal", "the box is for another key")
        for secret in secrets:
            try:
                return open_theta_box(self._network, box, self._secrets.member, secret, T, W)
            except Refused as error:
                refusal = error
        raise refusal

    def box_for(self, view: StateView, epoch: int, node: str) -> ThetaBox:
        """Hand theta of a live epoch to a node with a seat in it, or to a new member: one with a seat in a later epoch (step 9).

        :raises Refused: ``wrong-epoch``, ``unknown-party``, ``revoked``, ``no-shared-value``.
        """
        live_party(view, NODE, node)
        record = find_epoch(view, epoch)
        if record is None or record.deal is None:
            raise Refused("wrong-epoch", f"epoch {epoch} has no deal")
        seat = next((s for r in (record, *self._newer(view, epoch)) if (s := _seat(r, node)) is not None), None)
        if seat is None:
            raise Refused("unknown-party", f"{node} has no key in epoch {epoch} or a later one")
        theta = self._secrets.theta(epoch, record.deal.T)
        if theta is None:
            raise Refused("no-shared-value", f"{self._name} lacks the theta of epoch {epoch}")
        return box_theta(self._network, self._secrets.member, epoch, theta, seat.seat(), self._random)

    @staticmethod
    def _newer(view: StateView, epoch: int) -> list[Epoch]:
        """The epochs after ``epoch`` that there are now: the current one and the pending one."""
        status = STATUS.need(view, b"")
        numbers = [n for n in (status.current, status.pending) if n > epoch]
        return [record for n in numbers if (record := find_epoch(view, n)) is not None]


def _seat(record: Epoch, name: str) -> EpochSeat | None:
    return next((s for s in record.seats if s.name == name), None)
