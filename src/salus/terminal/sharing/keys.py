"""Keys of attributes from the authority: asked for on the ledger, put together from t partial keys, liars shown.

The one-time secret is durable before the request leaves, and erased once the key is. Steps: docs/protocol/sharing-thresholds.md,
"issuing".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from salus.abpre.keys import SecretKey
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.key_collecting import BadPartialKey, collect_key
from salus.abpre.threshold.key_issuing import (
    IssuedPartial,
    KeyRequest,
    check_signed_partial,
    demand_partial,
    make_key_request,
)
from salus.abpre.threshold.transforming import BadPartial
from salus.errors import Refused, TransportError
from salus.ledger.kinds.sharing.committee_state import alpha_public, committee_of
from salus.ledger.kinds.sharing.keys import find_demand, find_request
from salus.ledger.kinds.sharing.messages.keys import KeyAsked
from salus.ledger.sharing_api import PARTIAL_KEY, PartialKeyRequest
from salus.symmetric import Random
from salus.terminal.sharing.entries import PendingKey
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.wallet import Wallet

PENDING: Final = "key-request-"
"""Prefix of the one-time files of requests under way."""
DEMAND_AFTER: Final = 12
"""Looks without a quorum, about a second and a half, before silent nodes are called upon on the ledger."""


class KeyDesk:
    """Asks for keys on behalf of one wallet.

    :ivar liars: nodes that were caught with a bad partial, and put on the ledger with the evidence.
    """

    def __init__(self, wallet: Wallet, nodes: Nodes, random: Random) -> None:
        self._wallet = wallet
        self._nodes = nodes
        self._random = random
        self.liars: set[str] = set()
        self._reported: set[tuple[str, bytes]] = set()

    def ask(self, requester: str, attributes: Iterable[str], sign: Callable[[KeyRequest], KeyAsked]) -> SecretKey:
        """Get a key of a set of attributes; a request for the same that was interrupted is finished instead.

        :param requester: an institution's name, or a scope's ``own:`` attribute. :param sign: signs as that requester.
        :raises Refused: ``no-attribute``, ``limit``, ..; ``no-quorum`` if too few nodes answer well.
        """
        wanted = tuple(sorted(set(attributes)))
        for name in self._pending():
            pending = PendingKey.decode(self._wallet.one_time.get(name))
            if (pending.core.requester, pending.core.attributes) == (requester, wanted):
                try:
                    if not self._on_ledger(pending.core):
                        self._nodes.submit(sign(pending.core))  # it was interrupted before it left
                    return self._collect(pending)
                except Refused as refused:
                    if refused.reason == "no-quorum":
                        raise
                    # closed, or of an epoch that is over: a new one is asked for
                    self._wallet.one_time.erase(name)
        box = BoxKey.generate(self._random)
        core = make_key_request(self._nodes.epoch(self._nodes.view()), requester, wanted, box)
        pending = PendingKey(core, box.export_secret())
        self._wallet.one_time.put(self._name(core), pending.encode())
        try:
            self._nodes.submit(sign(core))
        except Refused:
            self._wallet.one_time.erase(self._name(core))
            raise
        return self._collect(pending)

    def resume(self) -> None:
        """Forget one-time secrets of requests that the ledger does not hold (any more): no node answers them."""
        for name in self._pending():
            if not self._on_ledger(PendingKey.decode(self._wallet.one_time.get(name)).core):
                self._wallet.one_time.erase(name)

    def _on_ledger(self, core: KeyRequest) -> bool:
        try:
            find_request(self._nodes.view(), core.digest(self._nodes.network), self._nodes.ledger.time_ms)
        except Refused:
            return False
        return True

    def _pending(self) -> list[str]:
        return [name for name in self._wallet.one_time.names() if name.startswith(PENDING)]

    def _name(self, core: KeyRequest) -> str:
        return PENDING + core.digest(self._nodes.network).hex()[:32]

    def _collect(self, pending: PendingKey) -> SecretKey:
        core, box = pending.core, BoxKey.from_secret(pending.er)
        view = self._nodes.view()
        committee, public = committee_of(view, core.epoch), alpha_public(view, core.epoch)
        issued: dict[str, IssuedPartial] = {}
        asked = PartialKeyRequest(core.digest(self._nodes.network))
        looks = 0

        def take(name: str, partial: IssuedPartial) -> None:
            with contextlib.suppress(Refused):  # not signed by that node for this request: it proves nothing, so it is silent
                if check_signed_partial(self._nodes.network, committee, core, partial).name == name:
                    issued[name] = partial

        def look() -> SecretKey | None:
            nonlocal looks
            looks += 1
            for name, partial in self._nodes.answers(view, PARTIAL_KEY, asked, IssuedPartial.decode):
                take(name, partial)
            silent = [seat.name for seat in committee.seats if seat.name not in issued]
            if looks > DEMAND_AFTER:
                for name, partial in self._posted(core, silent).items():
                    take(name, partial)
            if len(issued) >= committee.threshold:
                found = collect_key(self._nodes.network, committee, public, core, box, list(issued.values()), self._random)
                self.report(found.evidence)
                if found.key is not None:
                    return found.key
            if looks == DEMAND_AFTER:
                self._demand(core, box, silent)
            return None

        try:
            key = self._nodes.ledger.wait(look, "partial keys of a quorum of nodes")
        except TransportError as error:
            names = [seat.name for seat in committee.seats if seat.name not in issued]
            said = f"; false: {', '.join(sorted(self.liars))}" if self.liars else ""
            count = f"{len(issued)} of the {committee.threshold} nodes that are needed have issued"
            raise Refused("no-quorum", f"{count}; silent: {', '.join(names) or 'none'}{said}; {error}"[:4096]) from None
        self._wallet.one_time.erase(self._name(core))
        box.wipe()
        return key

    def _demand(self, core: KeyRequest, box: BoxKey, silent: Iterable[str]) -> None:
        """Demand the partial keys of silent nodes on the ledger (issuing, step 8): they post them, or are marked missing."""
        for name in silent:
            with contextlib.suppress(Refused, TransportError):
                self._nodes.ledger.offer(demand_partial(self._nodes.network, core, name, box, self._random).encode())

    def _posted(self, core: KeyRequest, silent: Iterable[str]) -> dict[str, IssuedPartial]:
        """Partial keys that nodes have posted on the ledger."""
        view, request = self._nodes.view(), core.digest(self._nodes.network)
        demands = {name: find_demand(view, request, name, self._nodes.ledger.time_ms) for name in silent}
        return {name: demand.posted for name, demand in demands.items() if demand is not None and demand.posted is not None}

    def report(self, evidence: Iterable[BadPartialKey | BadPartial]) -> None:
        """Put evidence against nodes on the ledger, each once. No liar keeps the work from going on."""
        for one in evidence:
            about = (one.partial.node, one.partial.encode())
            self.liars.add(one.partial.node)
            if about not in self._reported:
                self._reported.add(about)
                with contextlib.suppress(Refused, TransportError):
                    self._nodes.submit(one)
