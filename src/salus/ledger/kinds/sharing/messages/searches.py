"""Orders of search tokens: counted on the chain before any node evaluates.

``search.evaluation-evidence`` is :class:`salus.search.tokens.EvaluationEvidence`.
"""

from __future__ import annotations

from typing import Any

from salus.codec import Bytes64, Message, Name
from salus.consultation.envelope import Envelope, Statement, make_statement
from salus.consultation.registration import Domain
from salus.search.tokens import TokenOrder


class TokenRequest(Message, frozen=True):
    """An institution orders tokens; signed by its own key. The order's name is this transaction's hash.

    :ivar sequence: anything that tells two orders of the same elements apart.
    """

    KIND = "search.token"

    order: TokenOrder
    institution: Name
    sequence: int
    signature: Bytes64


class AnonymousTokenRequest(Message, frozen=True):
    """An owner orders tokens, in an anonymous envelope that spends one credential.

    Topic of the envelope: kind ``search.token-anonymous``, own fields ``(count, elements)``, body ``()``.
    """

    KIND = "search.token-anonymous"

    order: TokenOrder
    sealed: Envelope

    def envelope(self) -> Envelope:
        """What every anonymous transaction carries."""
        return self.sealed

    def statement(self, domain: Domain, pk_BC: bytes) -> Statement:
        """The envelope with what its signature covers."""
        return make_statement(domain, self.sealed, self.KIND, pk_BC, own_fields(self.order), ())


def own_fields(order: TokenOrder) -> tuple[Any, ...]:
    """The public fields of an order that its envelope's t0 names."""
    return (order.count, order.elements)
