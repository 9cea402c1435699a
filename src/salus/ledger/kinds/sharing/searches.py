"""Orders of search tokens on the ledger: counted before any node evaluates, and evidence of false answers.

Steps: docs/protocol/sharing-ledger.md, "orders of tokens".
"""

from __future__ import annotations

from typing import Annotated, Final

from salus.codec import Bytes32, Message, Size
from salus.consultation.registration import INSTITUTION
from salus.errors import Refused, refuse_unless
from salus.ledger.expiry import NEVER_MS, expiring, live
from salus.ledger.kinds.misbehaviour import check_new, record_conviction
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing import limits
from salus.ledger.kinds.sharing.attributes import is_suspended
from salus.ledger.kinds.sharing.claims import member_claim
from salus.ledger.kinds.sharing.committee_state import current_epoch, search_key
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, sharing_constants
from salus.ledger.kinds.sharing.envelopes import check_envelope, spend_envelope
from salus.ledger.kinds.sharing.messages.searches import AnonymousTokenRequest, TokenRequest
from salus.ledger.signatures import AnyClaim
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.search.tokens import ELEMENTS_MAX, EvaluationEvidence, TokenOrder, convicts

FALSE_EVALUATION: Final = "false-evaluation"
"""Offence of a node that signed a false answer to blinded words."""
TOKEN_ORDER: Final = "token-order"
"""Kind of expiring values: raw key, hash of the transaction; content: :class:`OrderedTokens`."""

ORDERED: Final = "token-ordered"
"""Kind of expiring values: raw key, hash of an institution's order. It names no time, so it is kept for good."""


class OrderedTokens(Message, frozen=True):
    """A committed order of tokens.

    :ivar requester: the institution, empty for an anonymous owner. :ivar open_until_ms: nodes answer until then.
    """

    KIND = "state.token-order"
    order: TokenOrder
    requester: Annotated[str, Size(0, 128)]
    asked_ms: int
    open_until_ms: int


def find_order(view: StateView, tx_hash: Bytes32, time_ms: int) -> OrderedTokens:
    """A committed order.

    :raises Refused: ``unknown-request``.
    """
    found = live(view, TOKEN_ORDER, tx_hash, time_ms)
    if found is None:
        raise Refused("unknown-request", tx_hash.hex())
    return OrderedTokens.decode(found)


def answerable(view: StateView, tx_hash: bytes, time_ms: int) -> TokenOrder:
    """An order that a node may answer now (orders of tokens, step 3).

    :raises Refused: ``unknown-request``, ``expired``, ``revoked``, ``suspended``.
    """
    found = find_order(view, tx_hash, time_ms)
    refuse_unless(time_ms < found.open_until_ms, "expired", "the order is closed")
    if found.requester:
        live_party(view, INSTITUTION, found.requester)
        refuse_unless(not is_suspended(view, found.requester), "suspended", found.requester)
    return found.order


class _Order:
    """Orders of tokens, step 1."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[TokenRequest]) -> list[AnyClaim]:
        message = tx.message
        _check_order(view, message.order)
        party = live_party(view, INSTITUTION, message.institution)
        refuse_unless(not is_suspended(view, message.institution), "suspended", message.institution)
        refuse_unless(live(view, ORDERED, tx.hash, context.time_ms) is None, "already-done", "that order is committed")
        limits.check_limit(view, context, limits.WORDS, message.institution, message.order.count)
        return [member_claim(context, party, message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[TokenRequest]) -> None:
        message = tx.message
        limits.use(state, context, limits.WORDS, message.institution, message.order.count)
        state.put(ORDERED, tx.hash, expiring(NEVER_MS))
        _put(state, context, tx.hash, message.order, message.institution)


class _AnonymousOrder:
    """Orders of tokens, step 2: each spends a credential, and those are counted already."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[AnonymousTokenRequest]) -> list[AnyClaim]:
        _check_order(view, tx.message.order)
        return [check_envelope(view, context, tx.message.sealed)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[AnonymousTokenRequest]) -> None:
        spend_envelope(state, context, tx.message.sealed)
        _put(state, context, tx.hash, tx.message.order, "")


class _Evidence:
    """Orders of tokens, step 4."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[EvaluationEvidence]) -> list[AnyClaim]:
        node = _convicted(view, context, tx.message)
        check_new(view, node, FALSE_EVALUATION, tx.message.evaluation.order)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[EvaluationEvidence]) -> None:
        node = _convicted(state, context, tx.message)
        record_conviction(state, context, node, FALSE_EVALUATION, tx.message.evaluation.order)


def _convicted(view: StateView, context: BlockContext, evidence: EvaluationEvidence) -> str:
    evaluation = evidence.evaluation
    ordered = find_order(view, evaluation.order, context.time_ms)
    return convicts(context.network, search_key(view, evaluation.epoch), evaluation.order, ordered.order, evidence)


def _check_order(view: StateView, order: TokenOrder) -> None:
    current_epoch(view)
    refuse_unless(
        1 <= order.count <= ELEMENTS_MAX, "too-large", f"an order has 1 to {ELEMENTS_MAX} words, this one {order.count}"
    )


def _put(state: Overlay, context: BlockContext, tx_hash: bytes, order: TokenOrder, requester: str) -> None:
    open_until_ms = context.time_ms + sharing_constants(state).request_ms
    due_ms = open_until_ms + context.constants.evidence_window_ms
    record = OrderedTokens(order, requester, context.time_ms, open_until_ms)
    state.put(TOKEN_ORDER, tx_hash, expiring(due_ms, record.encode()))
    context.expire(due_ms, TOKEN_ORDER, tx_hash)
    context.emit("search.ordered", tx_hash)


KINDS: Final = (
    KindSpec(TokenRequest, _Order(), since=SHARING_VERSION),
    KindSpec(AnonymousTokenRequest, _AnonymousOrder(), since=SHARING_VERSION, anonymous=True),
    KindSpec(EvaluationEvidence, _Evidence(), since=SHARING_VERSION),
)
