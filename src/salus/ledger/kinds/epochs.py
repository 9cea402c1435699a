"""Epochs of the shared value: keys, deal, acknowledgements, accusations (docs/protocol/ledger.md, "epochs").

The secret part, opening a deal, is the node's (:mod:`salus.consultation.shared_value`); here is what everyone checks.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from salus import labels
from salus.consultation.registration import NODE, SUITE
from salus.consultation.shared_value import Accusation, Ack, Deal, EpochKey, check_deal, check_epoch_key, judge
from salus.errors import Refused, refuse_unless
from salus.ledger.epoch_state import (
    EPOCHS,
    STATUS,
    Epoch,
    EpochSeat,
    accepted_epochs,
    epoch_key,
    find_epoch,
    open_epoch,
    put_epoch,
    with_seats,
)
from salus.ledger.kinds.misbehaviour import CONVICTIONS, Conviction, check_new, conviction_key, record_conviction
from salus.ledger.kinds.parties import VALIDATORS, Party, is_live_node, live_party
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext, KindSpec, Transaction

FALSE_DEAL: Final = "false-deal"
"""Offence of a dealer whose deal does not open, or of a node that accused one whose deal does."""
BARRED: Final = "barred"
"""Kind of conviction that keeps a false accuser out of one epoch; its subject is the epoch."""


def next_epoch(view: StateView, context: BlockContext) -> int:
    """Which epoch collects keys at this block: the pending one, or the next if one is due.

    :raises Refused: ``not-started`` while the current epoch is to go on.
    """
    status = STATUS.need(view, b"")
    if status.pending:
        return status.pending
    if status.current and not status.renew:
        current = EPOCHS.need(view, epoch_key(status.current))
        due_ms = current.started_ms + context.constants.epoch_length_ms
        refuse_unless(context.time_ms >= due_ms, "not-started", f"epoch {status.current} goes on until {due_ms}")
    return status.current + 1


def pending_epoch(view: StateView, epoch: int) -> Epoch:
    """The opened epoch that a transaction is about.

    :raises Refused: ``already-done`` if it has started, ``wrong-epoch`` if it is not open.
    """
    record = find_epoch(view, epoch)
    if record is None:
        raise Refused("wrong-epoch", f"epoch {epoch} is not open")
    refuse_unless(record.started_ms == 0, "already-done", f"epoch {epoch} has started")
    return record


class _Key:
    """Shared value, steps 1 and 2."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[EpochKey]) -> list[Claim]:
        message = tx.message
        refuse_unless(message.epoch == next_epoch(view, context), "wrong-epoch", f"keys of epoch {message.epoch} are not awaited")
        VALIDATORS.need(view, b"").index(message.node)
        party = live_party(view, NODE, message.node)
        record = find_epoch(view, message.epoch)
        if record is not None:
            refuse_unless(not record.is_closed(context.time_ms, context.constants), "already-done", "the list of keys is closed")
            refuse_unless(all(s.name != message.node for s in record.seats), "already-done", f"{message.node} has posted its key")
        refuse_unless(not _barred(view, message.node, message.epoch), "not-authorised", f"{message.node} accused falsely")
        check_epoch_key(context.network, message, party.W)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[EpochKey]) -> None:
        message = tx.message
        validators = VALIDATORS.need(state, b"")
        record = find_epoch(state, message.epoch)
        if record is None:
            members = sum(is_live_node(state, m.name) for m in validators.members)
            record = open_epoch(state, message.epoch, context.time_ms, members, validators.quorum)
            context.emit("epoch.opened", epoch_key(message.epoch))
        W = live_party(state, NODE, message.node).W
        by_name = {s.name: s for s in (*record.seats, EpochSeat(message.node, W, message.E))}
        ranked = tuple(by_name[m.name] for m in validators.members if m.name in by_name)
        put_epoch(state, with_seats(record, ranked, context.time_ms))


class _Deal:
    """Shared value, steps 3 to 6."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[Deal]) -> list[Claim]:
        deal = tx.message
        record = pending_epoch(view, deal.epoch)
        turn = record.dealer(context.time_ms, context.constants)
        refuse_unless(deal.dealer == turn, "not-dealer", f"it is the turn of {turn}")
        party = live_party(view, NODE, deal.dealer)
        again = record.deal is not None and record.deal.dealer == deal.dealer
        refuse_unless(not again, "already-done", f"{deal.dealer} has dealt")
        check_deal(context.network, deal, len(record.seats), party.W)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Deal]) -> None:
        record = EPOCHS.need(state, epoch_key(tx.message.epoch))
        put_epoch(state, replace(record, deal=tx.message, acks=()))
        context.emit("epoch.dealt", epoch_key(record.epoch))


class _Ack:
    """Shared value, step 8: a quorum of acknowledgements starts the epoch."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[Ack]) -> list[Claim]:
        ack = tx.message
        record, party = _dealt(view, ack.epoch, ack.deal, ack.node)
        refuse_unless(ack.node not in record.acks, "already-done", f"{ack.node} has acknowledged")
        held = set(ack.in_grace) | {ack.epoch}
        missing = [e.epoch for e in accepted_epochs(view, context.time_ms) if e.epoch not in held]
        refuse_unless(not missing, "no-shared-value", f"{ack.node} does not attest the epochs {missing} that are still accepted")
        ascending = all(a < b for a, b in zip((*ack.in_grace, ack.epoch), (*ack.in_grace, ack.epoch)[1:], strict=False))
        refuse_unless(ascending, "bad-encoding", "epochs in grace ascend and come before the new one")
        fields = (context.network, ack.node, party.W)
        return [Claim(labels.SIG_ACK, SUITE, party.W, fields, ack.to_value()[:-1], ack.signature, what=ack.node)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Ack]) -> None:
        record = EPOCHS.need(state, epoch_key(tx.message.epoch))
        record = replace(record, acks=(*record.acks, tx.message.node))
        put_epoch(state, record)
        if record.started_ms == 0 and len(record.acks) >= record.quorum:
            _start(state, context, record)


class _Accusation:
    """Shared value, steps 10 and 11: the dealer or the accuser is convicted."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[Accusation]) -> list[Claim]:
        accusation = tx.message
        record, _ = _dealt(view, accusation.epoch, accusation.deal, accusation.node)
        assert record.deal is not None
        convicted = judge(context.network, record.deal, accusation, record.find_seat(accusation.node).seat())
        check_new(view, convicted, FALSE_DEAL, accusation.deal)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Accusation]) -> None:
        accusation = tx.message
        record = EPOCHS.need(state, epoch_key(accusation.epoch))
        assert record.deal is not None
        convicted = judge(context.network, record.deal, accusation, record.find_seat(accusation.node).seat())
        record_conviction(state, context, convicted, FALSE_DEAL, accusation.deal)
        if record.started_ms == 0:
            # Of a false accusation everyone computes beta, and with it theta: that value must never serve.
            dealer = record.deal.dealer
            record = replace(record, deal=None, acks=(), skipped=record.skipped + 1)
            put_epoch(state, record if convicted == dealer else _without_accuser(state, context, record, convicted))


def _without_accuser(state: Overlay, context: BlockContext, record: Epoch, accuser: str) -> Epoch:
    """The others deal again without the false accuser, who would do the same to every deal."""
    barred = Conviction(accuser, BARRED, context.height, context.time_ms)
    CONVICTIONS.put(state, conviction_key(accuser, BARRED, epoch_key(record.epoch)), barred)
    left = tuple(seat for seat in record.seats if seat.name != accuser)
    return with_seats(replace(record, members=record.members - 1), left, context.time_ms)


def _barred(view: StateView, node: str, epoch: int) -> bool:
    return CONVICTIONS.get(view, conviction_key(node, BARRED, epoch_key(epoch))) is not None


def _start(state: Overlay, context: BlockContext, record: Epoch) -> None:
    """The epoch starts; the one before it is accepted for the genesis grace."""
    assert record.deal is not None
    status = STATUS.need(state, b"")
    if status.current:
        before = EPOCHS.need(state, epoch_key(status.current))
        put_epoch(state, replace(before, ends_ms=context.time_ms + context.constants.epoch_grace_ms))
    put_epoch(state, replace(record, pk_BC=record.deal.T, started_ms=context.time_ms))
    STATUS.put(state, b"", replace(status, current=record.epoch, pending=0, renew=0))
    context.emit("epoch.started", epoch_key(record.epoch))


def _dealt(view: StateView, epoch: int, deal_digest: bytes, node: str) -> tuple[Epoch, Party]:
    record = find_epoch(view, epoch)
    if record is None or record.deal is None:
        raise Refused("wrong-epoch", f"epoch {epoch} has no deal")
    refuse_unless(record.deal.digest() == deal_digest, "bad-deal", "that deal is not on the table")
    record.find_seat(node)
    return record, live_party(view, NODE, node)


KINDS: Final = (
    KindSpec(EpochKey, _Key()),
    KindSpec(Deal, _Deal()),
    KindSpec(Ack, _Ack()),
    KindSpec(Accusation, _Accusation()),
)
