"""Public checks of anonymous envelopes that carry a kind of sharing; the nodes open them as they open consultation requests."""

from __future__ import annotations

from typing import Any, Protocol

from salus.consultation.envelope import Envelope, Statement
from salus.consultation.registration import Domain
from salus.errors import refuse_unless
from salus.ledger.epoch_state import accepted_epoch
from salus.ledger.expiry import expiring
from salus.ledger.expiry import live as unexpired
from salus.ledger.kinds.consultations import NULLIFIER, ONE_TIME_KEY
from salus.ledger.quarters import spent_until_ms
from salus.ledger.signatures import PointClaim
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext


class Enveloped(Protocol):
    """A message in an anonymous envelope: what a node's secret check needs of any kind but the consultation request."""

    def envelope(self) -> Envelope:
        """The envelope."""

    def statement(self, domain: Domain, pk_BC: bytes) -> Statement:
        """The envelope with what its signature covers."""


def check_envelope(view: StateView, context: BlockContext, envelope: Envelope) -> PointClaim:
    """valid_until, epoch, nf and A unseen (envelopes, step 1); returns the claim that A is a point.

    :raises Refused: ``expired``, ``too-far-ahead``, ``used-credential``, ``used-key``, ``wrong-epoch``.
    """
    now = context.time_ms
    refuse_unless(envelope.valid_until_ms >= now, "expired")
    refuse_unless(envelope.valid_until_ms <= now + context.constants.valid_until_max_ms, "too-far-ahead")
    refuse_unless(unexpired(view, NULLIFIER, envelope.nf, now) is None, "used-credential")
    refuse_unless(unexpired(view, ONE_TIME_KEY, envelope.A, now) is None, "used-key")
    accepted_epoch(view, envelope.epoch, now)
    return PointClaim(envelope.A, "one-time key")


def spend_envelope(state: Overlay, context: BlockContext, envelope: Envelope) -> None:
    """Keep nf and A until the grace of this block's quarter ends (envelopes, step 2)."""
    due_ms = spent_until_ms(context.time_ms, context.constants)
    for kind, raw in ((NULLIFIER, envelope.nf), (ONE_TIME_KEY, envelope.A)):
        state.put(kind, raw, expiring(due_ms))
        context.expire(due_ms, kind, raw)


def statement_of(view: StateView, domain: Domain, message: Any, time_ms: int) -> Statement:
    """What a node's secret check opens: the statement of an :class:`Enveloped` message, under its epoch's public key.

    :raises Refused: ``wrong-epoch``.
    """
    epoch = accepted_epoch(view, message.envelope().epoch, time_ms)
    assert epoch.pk_BC is not None
    statement: Statement = message.statement(domain, epoch.pk_BC)
    return statement
