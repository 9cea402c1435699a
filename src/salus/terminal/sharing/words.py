"""Tokens of keywords for one terminal: ordered on the ledger, evaluated by a threshold, kept in a book: each is asked once.

Steps: docs/protocol/search.md, "tokens".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from salus.consultation.registration import MemberKey
from salus.errors import Refused, TransportError
from salus.ledger.kinds.sharing.committee_state import search_key
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.searches import AnonymousTokenRequest, TokenRequest, own_fields
from salus.ledger.sharing_api import EVALUATE, EvaluateRequest
from salus.search.answer import TokenBook
from salus.search.keyword import Keyword
from salus.search.tokens import ELEMENTS_MAX, Asked, Evaluation, ask, gather
from salus.symmetric import Random
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.scopes import RETRY, TRIES, Anonymous
from salus.terminal.sharing.shelf import Shelf

BOOK: Final = "tokens"


class Words:
    """The token book of one terminal.

    :param member: an institution's key; or :param anonymous: a patient's anonymous transactions, a credential for each order.
    :ivar liars: nodes that were caught in a false evaluation.
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

        :raises Refused: ``limit``, ``quota``, ``too-few-answers``.
        """
        words = tuple(dict.fromkeys(keywords))
        missing = (self._shelf.get(BOOK, TokenBook) or TokenBook()).missing(words)
        for start in range(0, len(missing), ELEMENTS_MAX):
            made = self._order(missing[start : start + ELEMENTS_MAX], now_ms)
            # each order is in the book before the next one is paid for
            self._shelf.put(BOOK, (self._shelf.get(BOOK, TokenBook) or TokenBook()).adding(made))
        known = (self._shelf.get(BOOK, TokenBook) or TokenBook()).known()
        return {word: known[word] for word in words}

    def _order(self, words: tuple[Keyword, ...], now_ms: int) -> Mapping[Keyword, bytes]:
        asked = ask(words, self._random)
        order = self._commit(asked, now_ms)
        view = self._nodes.view()
        key = search_key(view, self._nodes.epoch(view))
        request = EvaluateRequest(order, asked.blinded)

        def answers() -> Iterator[Evaluation]:
            for _, evaluation in self._nodes.answers(view, EVALUATE, request, Evaluation.decode):
                yield evaluation

        def look() -> Mapping[Keyword, bytes] | None:
            try:
                found = gather(self._nodes.network, key, asked, order, answers())
            except Refused as refused:
                if refused.reason == "too-few-answers":
                    return None  # nodes that lag have not seen the order yet
                raise
            self.liars.update(found.liars)
            for evidence in found.evidence:
                with contextlib.suppress(Refused, TransportError):  # a liar must not keep the work from going on
                    self._nodes.submit(evidence)
            return found.tokens

        return self._nodes.ledger.wait(look, "evaluations of a quorum of nodes")

    def _commit(self, asked: Asked, now_ms: int) -> bytes:
        """The order on the ledger; its hash."""
        if self._member is not None:
            sequence = int.from_bytes(self._random(7), "big")
            draft = TokenRequest(asked.order, self._member.name, sequence, UNSIGNED)
            signed = signed_by_member(self._nodes.network, draft, self._member, self._random)
            return self._nodes.submit(signed).committed.hash
        if self._anonymous is None:
            raise Refused("not-authorised", "only institutions and enrolled patients order tokens")
        lost: Refused | None = None
        for _ in range(TRIES):
            envelope, credential = self._anonymous.draft(AnonymousTokenRequest.KIND, own_fields(asked.order), now_ms)
            try:
                message = AnonymousTokenRequest(asked.order, envelope.sign((), self._random))
                committed = self._nodes.ledger.submit(message.encode())
            except Refused as refused:
                if refused.reason not in RETRY:
                    raise
                lost = refused
            else:
                self._anonymous.spent(credential)
                return committed.hash
        raise lost or Refused("internal", "the order was not committed")
