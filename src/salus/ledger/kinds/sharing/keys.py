"""Keys of attributes on the ledger: requests, demands, posted boxes, missing nodes, evidence.

Steps: docs/protocol/sharing-ledger.md, "keys".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from salus.abpre.attributes import own_attribute, scope_of
from salus.abpre.threshold.alpha import AlphaSharing
from salus.abpre.threshold.committee import Committee
from salus.abpre.threshold.key_collecting import BadPartialKey, judge_partial_key
from salus.abpre.threshold.key_issuing import (
    IssuedPartial,
    KeyDemand,
    KeyRequest,
    check_demand,
    check_key_request,
    check_posted_partial,
)
from salus.codec import Bytes32, Message, encode
from salus.consultation.registration import INSTITUTION
from salus.errors import Refused, refuse_unless
from salus.ledger.expiry import NEVER_MS, expiring, live
from salus.ledger.kinds.misbehaviour import check_new, record_conviction
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing import limits
from salus.ledger.kinds.sharing.attributes import counts, held_attributes, holds, is_suspended
from salus.ledger.kinds.sharing.claims import member_claim, scope_claim
from salus.ledger.kinds.sharing.committee_state import (
    accepted_epoch,
    alpha_public,
    committee_of,
    current_epoch,
    decoded_alpha,
)
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, sharing_constants
from salus.ledger.kinds.sharing.messages.keys import KeyAsked, KeyMissing
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.signatures import AnyClaim
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext, KindSpec, Transaction

FALSE_PARTIAL_KEY: Final = "false-partial-key"
"""Offence of a node that signed a bad partial key."""
MISSING: Final = "missing"
"""Offence of a node that did not post a partial key that was demanded."""
KEY_REQUEST: Final = "key-request"
"""Kind of expiring values: raw key, the request's digest; content: :class:`RequestedKey`."""
KEY_DEMAND: Final = "key-demand"
"""Kind of expiring values: raw key, :func:`demand_key`; content: :class:`Demand`."""
ONE_TIME_BOX_KEY: Final = "one-time-box-key"
"""Kind of expiring values: raw key, :func:`box_key_of`. Neither a key request nor a share request names a time, so anyone
could submit it again once its Er were forgotten: they are kept for good."""


def box_key_of(requester: str, Er: bytes) -> bytes:
    """Raw key of a requester's one-time key Er: its own, else whoever sees a request first could use up its Er."""
    return encode((requester, Er))


class RequestedKey(Message, frozen=True):
    """A committed request for a key, kept while it can be answered and evidence can be brought.

    :ivar tx_hash: of the transaction. :ivar asked_ms: block time. :ivar open_until_ms: nodes answer until then.
    """

    KIND = "state.key-request"
    core: KeyRequest
    tx_hash: Bytes32
    asked_ms: int
    open_until_ms: int


class Demand(Message, frozen=True):
    """A node's partial key is demanded.

    :ivar due_ms: the node posts it before. :ivar posted: the node's answer. :ivar missing: 1 once the node is marked.
    """

    KIND = "state.key-demand"
    due_ms: int
    posted: IssuedPartial | None
    missing: int


def demand_key(request: bytes, node: str) -> bytes:
    """Raw key in :data:`KEY_DEMAND`."""
    return encode((request, node))


def find_request(view: StateView, request: bytes, time_ms: int) -> RequestedKey:
    """A committed request for a key, by its digest.

    :raises Refused: ``unknown-request``.
    """
    found = live(view, KEY_REQUEST, request, time_ms)
    if found is None:
        raise Refused("unknown-request", request.hex())
    return RequestedKey.decode(found)


def find_demand(view: StateView, request: bytes, node: str, time_ms: int) -> Demand | None:
    """A demand to a node, or None."""
    found = live(view, KEY_DEMAND, demand_key(request, node), time_ms)
    return None if found is None else Demand.decode(found)


def issuable(view: StateView, request: bytes, time_ms: int) -> RequestedKey:
    """A request that a node may answer now: rights are looked at again, so a revocation in between counts (keys, step 3).

    :raises Refused: ``unknown-request``, ``expired``, ``no-attribute``, ``suspended``, ``wrong-epoch``.
    """
    found = find_request(view, request, time_ms)
    refuse_unless(time_ms < found.open_until_ms, "expired", "the request is closed")
    accepted_epoch(view, found.core.epoch, time_ms)
    if scope_of(found.core.requester) is None:
        _check_rights(view, found.core, time_ms)
    return found


def _check_rights(view: StateView, core: KeyRequest, time_ms: int) -> None:
    refuse_unless(not is_suspended(view, core.requester), "suspended", core.requester)
    held = holds(view, core.requester, core.attributes, time_ms)
    missing = [x for x in core.attributes if x not in held]
    refuse_unless(not missing, "no-attribute", f"{core.requester} does not hold {', '.join(missing[:4])}")


def _check_demandable(view: StateView, request: bytes, demanded_ms: int, time_ms: int) -> None:
    """Whether an honest node could have posted all the time since it was asked: it refuses whoever has lost a right.

    Else a requester whose rights are about to end, or the centre, convicts every node by a demand in the last block before.

    :raises Refused: as :func:`issuable`; ``no-attribute`` for one that was granted again in between.
    """
    core = issuable(view, request, time_ms).core
    if scope_of(core.requester) is None:
        held = [h for h in held_attributes(view, core.requester, time_ms) if h.granted_ms <= demanded_ms]
        always = all(any(h.covers(x, time_ms) for h in held) for x in core.attributes)
        refuse_unless(always, "no-attribute", f"{core.requester} did not hold all attributes all the time")


def _check_counted(view: StateView, request: bytes, node: str, time_ms: int) -> None:
    """A node that was revoked is not there to post anything, and its silence is no offence."""
    seat = committee_of(view, find_request(view, request, time_ms).core.epoch).seat_of(node)
    refuse_unless(counts(view, seat), "revoked", f"{node} is revoked or suspended")


class _Ask:
    """Keys, steps 1 and 2."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[KeyAsked]) -> list[AnyClaim]:
        core = tx.message.core
        check_key_request(core)
        epoch = current_epoch(view).epoch
        refuse_unless(core.epoch == epoch, "wrong-epoch", f"keys are issued in epoch {epoch} of sharing")
        known = live(view, ONE_TIME_BOX_KEY, box_key_of(core.requester, core.Er), context.time_ms)
        refuse_unless(known is None, "used-key", "draw a fresh one-time key")
        limits.check_limit(view, context, limits.KEYS, core.requester, 1)
        scope = scope_of(core.requester)
        if scope is not None:
            opened = find_scope(view, scope)
            # An owner's key for anything but its own scope would be an attribute that nobody granted.
            alone = core.attributes == (own_attribute(scope),)
            refuse_unless(alone, "not-authorised", "a scope's key asks for the scope's attribute alone")
            return [scope_claim(context, opened.V, tx.message)]
        party = live_party(view, INSTITUTION, core.requester)
        _check_rights(view, core, context.time_ms)
        return [member_claim(context, party, tx.message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[KeyAsked]) -> None:
        core = tx.message.core
        digest = core.digest(context.network)
        open_until_ms = context.time_ms + sharing_constants(state).request_ms
        due_ms = open_until_ms + context.constants.evidence_window_ms
        record = RequestedKey(core, tx.hash, context.time_ms, open_until_ms)
        state.put(KEY_REQUEST, digest, expiring(due_ms, record.encode()))
        context.expire(due_ms, KEY_REQUEST, digest)
        state.put(ONE_TIME_BOX_KEY, box_key_of(core.requester, core.Er), expiring(NEVER_MS))
        limits.use(state, context, limits.KEYS, core.requester, 1)
        context.emit("key.requested", digest)


class _Demand:
    """Keys, step 4."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[KeyDemand]) -> list[AnyClaim]:
        demand = tx.message
        request = issuable(view, demand.request, context.time_ms)
        known = find_demand(view, demand.request, demand.node, context.time_ms)
        refuse_unless(known is None, "already-done", f"{demand.node} has been asked")
        _check_counted(view, demand.request, demand.node, context.time_ms)
        check_demand(context.network, committee_of(view, demand.epoch), request.core, demand)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[KeyDemand]) -> None:
        demand = tx.message
        due_ms = context.time_ms + sharing_constants(state).demand_ms
        kept_ms = find_request(state, demand.request, context.time_ms).open_until_ms + context.constants.evidence_window_ms
        raw = demand_key(demand.request, demand.node)
        state.put(KEY_DEMAND, raw, expiring(kept_ms, Demand(due_ms, None, 0).encode()))
        context.expire(kept_ms, KEY_DEMAND, raw)
        context.emit("key.demanded", raw)


class _Post:
    """Keys, step 5: late is better than never, even after the node was marked."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[IssuedPartial]) -> list[AnyClaim]:
        issued = tx.message
        request = find_request(view, issued.request, context.time_ms)
        demand = find_demand(view, issued.request, issued.node, context.time_ms)
        if demand is None:
            raise Refused("not-authorised", "only a partial key that was demanded is posted")
        refuse_unless(demand.posted is None, "already-done", f"{issued.node} has posted its partial key")
        check_posted_partial(context.network, committee_of(view, issued.epoch), request.core, issued)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[IssuedPartial]) -> None:
        issued = tx.message
        raw = demand_key(issued.request, issued.node)
        demand = find_demand(state, issued.request, issued.node, context.time_ms)
        assert demand is not None
        _put_demand(state, raw, Demand(demand.due_ms, issued, demand.missing))
        context.emit("key.posted", raw)


class _Missing:
    """Keys, step 6."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[KeyMissing]) -> list[AnyClaim]:
        message = tx.message
        demand = find_demand(view, message.request, message.node, context.time_ms)
        if demand is None:
            raise Refused("unknown-request", "nothing was demanded")
        refuse_unless(demand.posted is None and not demand.missing, "already-done", f"{message.node} has posted, or is marked")
        refuse_unless(context.time_ms >= demand.due_ms, "in-time", f"until {demand.due_ms}")
        _check_demandable(view, message.request, demand.due_ms - sharing_constants(view).demand_ms, context.time_ms)
        _check_counted(view, message.request, message.node, context.time_ms)
        check_new(view, message.node, MISSING, message.request)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[KeyMissing]) -> None:
        message = tx.message
        demand = find_demand(state, message.request, message.node, context.time_ms)
        assert demand is not None
        _put_demand(state, demand_key(message.request, message.node), Demand(demand.due_ms, None, 1))
        record_conviction(state, context, message.node, MISSING, message.request)


class _Evidence:
    """Keys, step 7."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[BadPartialKey]) -> list[AnyClaim]:
        partial = tx.message.partial
        request = find_request(view, partial.request, context.time_ms)
        committee, sharing = committee_of(view, partial.epoch), alpha_public(view, partial.epoch).sharing
        node = _judged(context.network, committee, sharing, request.core, tx.message)
        check_new(view, node, FALSE_PARTIAL_KEY, partial.request)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[BadPartialKey]) -> None:
        record_conviction(state, context, tx.message.partial.node, FALSE_PARTIAL_KEY, tx.message.partial.request)


def _put_demand(state: Overlay, raw: bytes, demand: Demand) -> None:
    value = state.get(KEY_DEMAND, raw)
    assert value is not None
    state.put(KEY_DEMAND, raw, value[:8] + demand.encode())


@lru_cache(maxsize=64)
def _judged(network: bytes, committee: Committee, sharing: AlphaSharing, core: KeyRequest, evidence: BadPartialKey) -> str:
    return judge_partial_key(network, committee, decoded_alpha(sharing), core, evidence)


KINDS: Final = (
    KindSpec(KeyAsked, _Ask(), since=SHARING_VERSION, spends=lambda m: box_key_of(m.core.requester, m.core.Er)),
    KindSpec(KeyDemand, _Demand(), since=SHARING_VERSION),
    KindSpec(IssuedPartial, _Post(), since=SHARING_VERSION),
    KindSpec(KeyMissing, _Missing(), since=SHARING_VERSION),
    KindSpec(BadPartialKey, _Evidence(), since=SHARING_VERSION),
)
