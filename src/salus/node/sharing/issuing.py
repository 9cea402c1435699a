"""Partial results that a node gives to whoever the ledger has counted: partial keys, and blinded words under its share.

Steps: docs/protocol/sharing-thresholds.md, "issuing"; docs/protocol/search.md, "tokens".
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from salus.abpre.threshold.alpha import PointShare
from salus.abpre.threshold.groups import OPRF
from salus.abpre.threshold.key_issuing import IssuedPartial, issue_partial_key
from salus.abpre.threshold.scalar_deals import ScalarShare
from salus.codec import decode
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.committee_state import alpha_public, committee_of, current_epoch, scalar_public
from salus.ledger.kinds.sharing.keys import find_demand, issuable
from salus.ledger.kinds.sharing.searches import answerable
from salus.ledger.state import StateView
from salus.node.sharing.surroundings import Surroundings
from salus.search.committee import KeyShare
from salus.search.tokens import Evaluation, check_order, evaluate

REMEMBERED_MAX: Final = 1024
"""Partial keys given again as they were, so that a repeated question costs nothing; up to 14 KiB each."""
ORDERS_REMEMBERED_MAX: Final = 256
"""Answers to orders of tokens, 32 KiB each at most: whoever overhears one can put it again, and should not cost a thousand
multiplications each time."""


class Issuing:
    """Partial keys and evaluations of one node.

    :ivar issued, evaluated: how many since it was opened.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._known: OrderedDict[bytes, IssuedPartial] = OrderedDict()
        self._evaluated: OrderedDict[tuple[bytes, int], Evaluation] = OrderedDict()
        self.issued = 0
        self.evaluated = 0

    def partial_key(self, request: bytes) -> IssuedPartial:
        """This node's partial key of a committed request (issuing, steps 3 and 4); rights are looked at every time.

        :param request: its digest.
        :raises Refused: as :func:`salus.ledger.kinds.sharing.keys.issuable`; ``not-a-member``, ``no-share``.
        """
        around = self._around
        view = around.view
        core = issuable(view, request, around.time_ms).core
        known = self._known.get(request)
        if known is None:
            committee = committee_of(view, core.epoch)
            share = held_alpha(around, view, core.epoch)
            known = issue_partial_key(around.network, committee, core, share, around.member, around.random)
            self._known[request] = known
            self.issued += 1
            if len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)
        return known

    def answer_demand(self, raw: bytes) -> bytes | None:
        """The transaction that posts a demanded partial key (issuing, step 9); None if it is not this node's to post.

        :param raw: key of the demand in the state.
        """
        request, node = decode(raw)
        around = self._around
        if node != around.name:
            return None
        demand = find_demand(around.view, request, node, around.time_ms)
        if demand is None or demand.posted is not None:
            return None
        return self.partial_key(request).encode()

    def evaluate(self, request: m.EvaluateRequest) -> Evaluation:
        """Blinded words of a committed order under this node's share (tokens, steps 4 and 5).

        :raises Refused: as :func:`salus.ledger.kinds.sharing.searches.answerable`; ``bad-order``, ``no-share``.
        """
        around = self._around
        view = around.view
        order = answerable(view, request.order, around.time_ms)
        checked = check_order(request.order, order, request.blinded)
        epoch = current_epoch(view).epoch
        known = self._evaluated.get((request.order, epoch))
        if known is not None:
            return known
        share = held_scalar(around, view, epoch, OPRF)
        answer = evaluate(around.network, around.member, KeyShare(share.epoch, share.index, share.value), checked, around.random)
        self.evaluated += len(checked.points)
        self._evaluated[(request.order, epoch)] = answer
        if len(self._evaluated) > ORDERS_REMEMBERED_MAX:
            self._evaluated.popitem(last=False)
        return answer


def held_alpha(around: Surroundings, view: StateView, epoch: int) -> PointShare:
    """This node's share of alpha in an epoch.

    :raises Refused: ``not-a-member``, ``no-share``.
    """
    index = committee_of(view, epoch).seat_of(around.name).index
    share = around.shares.alpha(alpha_public(view, epoch), index)
    if share is None:
        raise Refused("no-share", f"{around.name} holds no share of alpha of epoch {epoch}")
    return share


def held_scalar(around: Surroundings, view: StateView, epoch: int, purpose: str) -> ScalarShare:
    """This node's share of a scalar in an epoch.

    :raises Refused: ``not-a-member``, ``no-share``.
    """
    index = committee_of(view, epoch).seat_of(around.name).index
    share = around.shares.scalar(scalar_public(view, epoch, purpose), index)
    if share is None:
        raise Refused("no-share", f"{around.name} holds no share of {purpose} of epoch {epoch}")
    return share
