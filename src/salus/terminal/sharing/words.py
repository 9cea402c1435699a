"""Tokens of keywords for one terminal: ordered on the ledger, evaluated by a threshold, kept in a book: each is asked once.

An order is durable before it leaves: after an interruption the one that was paid for is carried on. Steps:
docs/protocol/search.md, "tokens".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from salus.consensus.block import transaction_hash
from salus.consultation.registration import MemberKey
from salus.errors import Refused, TransportError
from salus.groups.ristretto255 import decode_scalar
from salus.ledger.kinds.sharing.committee_state import search_key
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.searches import AnonymousTokenRequest, TokenRequest, own_fields
from salus.ledger.sharing_api import EVALUATE, EvaluateRequest
from salus.search.answer import TokenBook
from salus.search.keyword import Keyword
from salus.search.tokens import ELEMENTS_MAX, Asked, Evaluation, ask, ask_again, gather
from salus.symmetric import Random
from salus.terminal.sharing.entries import SCALAR_BYTES, PendingOrder
from salus.terminal.sharing.nodes import Nodes, raise_if_agreed
from salus.terminal.sharing.scopes import RETRY, TRIES, Anonymous
from salus.terminal.sharing.shelf import Shelf

BOOK: Final = "tokens"
ORDER: Final = "order"
_OPEN: Final = frozenset({"too-few-answers", "no-quorum", "limit"})
"""Refusals after which a paid order is worth another try later."""


class Words:
    """The token book of one terminal.

    :param member: an institution's key; or :param anonymous: a patient's anonymous transactions, a credential for each order.
    :ivar liars: nodes that were caught in a false evaluation, and what was false.
    """

    def __init__(
        self, shelf: Shelf, nodes: Nodes, random: Random, *, member: MemberKey | None = None, anonymous: Anonymous | None = None
    ) -> None:
        self._shelf = shelf
        self._nodes = nodes
        self._random = random
        self._member = member
        self._anonymous = anonymous
        self.liars: dict[str, str] = {}

    def tokens(self, keywords: Iterable[Keyword], now_ms: int) -> Mapping[Keyword, bytes]:
        """The token of every keyword; only those not in the book are ordered, up to 1,024 at a time.

        :raises Refused: ``limit``, ``quota``, ``too-few-answers`` naming silent and lying nodes: the order stands, again is free.
        :raises TransportError: the outcome of an order is open; again is safe.
        """
        words = tuple(dict.fromkeys(keywords))
        missing = self._book().missing(words)
        if missing:
            self._carry_on()
            missing = self._book().missing(words)
        for start in range(0, len(missing), ELEMENTS_MAX):
            # each order is in the book before the next one is paid for
            self._order(missing[start : start + ELEMENTS_MAX], now_ms)
        known = self._book().known()
        return {word: known[word] for word in words}

    def _book(self) -> TokenBook:
        return self._shelf.get(BOOK, TokenBook) or TokenBook()

    def _carry_on(self) -> None:
        """Finish an order that was interrupted; one that was never committed, or is closed, is forgotten."""
        pending = self._shelf.get(ORDER, PendingOrder)
        if pending is None:
            return
        split = range(0, len(pending.blinds), SCALAR_BYTES)
        blinds = [decode_scalar(pending.blinds[i : i + SCALAR_BYTES], "blind") for i in split]
        asked = ask_again([Keyword(word) for word in pending.words], blinds)
        try:
            self._carry_out(asked, pending)
        except Refused as refused:
            if refused.reason in _OPEN:
                raise
            self._shelf.remove(ORDER)

    def _order(self, words: tuple[Keyword, ...], now_ms: int) -> None:
        asked = ask(words, self._random)
        lost: Refused | None = None
        for _ in range(TRIES):
            pending = self._pending(asked, now_ms)
            self._shelf.put(ORDER, pending)
            try:
                return self._carry_out(asked, pending)
            except Refused as refused:
                if refused.reason in _OPEN and self._nodes.ledger.find(transaction_hash(pending.raw)) is not None:
                    raise  # it is paid for
                self._shelf.remove(ORDER)
                if refused.reason not in RETRY:
                    raise
                lost = refused
        raise lost or Refused("internal", "the order was not committed")

    def _pending(self, asked: Asked, now_ms: int) -> PendingOrder:
        """The transaction of an order, signed."""
        blinds = b"".join(blind.encode() for blind in asked.blinds)
        network, words = self._nodes.network, tuple(str(word) for word in asked.keywords)
        if self._member is not None:
            sequence = int.from_bytes(self._random(7), "big")
            draft = TokenRequest(asked.order, self._member.name, sequence, UNSIGNED)
            signed = signed_by_member(network, draft, self._member, self._random)
            return PendingOrder(words, blinds, signed.encode(), 0, 0)
        if self._anonymous is None:
            raise Refused("not-authorised", "only institutions and enrolled patients order tokens")
        envelope, credential = self._anonymous.draft(AnonymousTokenRequest.KIND, own_fields(asked.order), now_ms)
        message = AnonymousTokenRequest(asked.order, envelope.sign((), self._random))
        credential.wipe()
        return PendingOrder(words, blinds, message.encode(), credential.quarter, credential.index)

    def _carry_out(self, asked: Asked, pending: PendingOrder) -> None:
        """Commit an order, have it evaluated, and put the tokens into the book."""
        if self._anonymous is None:
            order = self._nodes.submit_raw(pending.raw).committed.hash
        else:
            order = self._nodes.ledger.submit(pending.raw).hash
            self._anonymous.spent(pending.quarter, pending.index)
        made = self._evaluated(asked, order)
        self._shelf.put(BOOK, self._book().adding(made))
        self._shelf.remove(ORDER)

    def _evaluated(self, asked: Asked, order: bytes) -> Mapping[Keyword, bytes]:
        nodes, view = self._nodes, self._nodes.view()
        committee, key = nodes.committee(view), search_key(view, nodes.epoch(view))
        request = EvaluateRequest(order, asked.blinded)
        refusals: list[Refused] = []
        answered: set[str] = set()

        def answers() -> Iterator[Evaluation]:
            for name, evaluation in nodes.answers(view, EVALUATE, request, Evaluation.decode, refusals):
                answered.add(name)
                yield evaluation

        def look() -> Mapping[Keyword, bytes] | None:
            refusals.clear()
            answered.clear()
            try:
                found = gather(nodes.network, key, asked, order, answers())
            except Refused as refused:
                if refused.reason == "too-few-answers":
                    raise_if_agreed(refusals, committee)
                    return None  # nodes that lag have not seen the order yet
                raise
            self.liars.update(found.liars)
            for evidence in found.evidence:
                with contextlib.suppress(Refused, TransportError):  # a liar must not keep the work from going on
                    nodes.submit(evidence)
            return found.tokens

        try:
            return nodes.ledger.wait(look, "evaluations of a quorum of nodes")
        except TransportError as error:
            silent = ", ".join(seat.name for seat in committee.seats if seat.name not in answered)
            count = f"{len(answered)} nodes answer, {committee.threshold} right answers are needed; silent: {silent or 'none'}"
            raise Refused("too-few-answers", f"{count}; {error}"[:4096]) from None
