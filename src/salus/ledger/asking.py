"""How a client asks nodes it does not believe: every answer is proven under a certified header, or another node is asked."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from salus import labels
from salus.codec import Message
from salus.consensus.block import CertifiedHeader
from salus.consultation.registration import CentreRecord, verify_member_signature
from salus.errors import Refused, TransportError, refuse_unless
from salus.groups.ristretto255 import Point
from salus.ledger import queries as q
from salus.ledger.genesis import Genesis
from salus.ledger.node_api import NEWEST, QUERY, Newest, NewestRequest, NodeStatus, Query, StatusRequest
from salus.ledger.node_api import STATUS as NODE_STATUS
from salus.ledger.proofs import verify_certified, verify_state
from salus.ledger.state import Table
from salus.symmetric import Random
from salus.transport import Transport

PATIENCE_MS: Final = 30_000
"""How long a submission waits for its commit before the caller is told that the outcome is open."""
FIRST_WAIT_MS: Final = 2
LONGEST_WAIT_MS: Final = 200
CLOCK_LOOK_MS: Final = 1_000
"""How often a waiting client asks the nodes whether a clock holds them up, and turns to another one."""
PASS_ON: Final = frozenset({"no-shared-value", "pool-full", "internal", "unreachable", "pruned"})
"""Refusals that another node may not share."""
_CLOCK: Final = "clock: "

M = TypeVar("M", bound=Message)
T = TypeVar("T")


class Asking:
    """The asking side of :class:`salus.ledger.client.LedgerClient`.

    :param nodes: names of nodes to ask, the preferred first.
    :param now_ms: clock, UTC milliseconds: how old a header is. :param sleep_ms: waits.
    :param patience_ms: how long a submission is waited for.
    :param max_age_ms: headers older than this are not believed; 0 for any age.
    :param monotonic_ms: measures waiting; never jumps. :param random: source of nonces.
    """

    def __init__(
        self,
        transport: Transport,
        nodes: Sequence[str],
        genesis: Genesis,
        now_ms: Callable[[], int],
        sleep_ms: Callable[[int], None],
        patience_ms: int = PATIENCE_MS,
        max_age_ms: int = 0,
        monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
        random: Random = os.urandom,
    ) -> None:
        self._transport = transport
        self._nodes = list(nodes)
        self._now_ms = now_ms
        self._sleep_ms = sleep_ms
        self._patience_ms = patience_ms
        self._max_age_ms = max_age_ms
        self._monotonic_ms = monotonic_ms
        self._random = random
        self.genesis = genesis
        self.network = genesis.network()
        self.domain = genesis.domain()
        self.centre: CentreRecord = genesis.core.centre
        self.constants = genesis.core.constants
        self._validators = genesis.validators()
        self._head: CertifiedHeader | None = None

    # --- time and head ---

    @property
    def time_ms(self) -> int:
        """Block time of the newest certified header seen; genesis time before the first."""
        return self.genesis.core.time_ms if self._head is None else self._head.header.time_ms

    @property
    def height(self) -> int:
        """Height of the newest certified header seen."""
        return 0 if self._head is None else self._head.header.height

    def refresh(self) -> None:
        """Look at the newest certified header that one more nodes than may lie sign for now: an honest one is among them.

        A certified header proves old state as well as new: a node, or whoever sits on the way to all of them, could show a
        doctor's key that was revoked long ago. So each node signs a nonce of this call, and answers older than what is heard here
        are not believed afterwards.

        :raises TransportError: too few nodes answer, or the newest header is older than this client's bound.
        """
        needed, heard = min(self._validators.faulty + 1, len(self._nodes)), 0
        newest: CertifiedHeader | None = None
        failure: Refused | TransportError = TransportError("no node is known")
        for node in list(self._nodes):
            try:
                certified = self._newest(node)
            except (Refused, TransportError) as error:
                failure = error
                self._pass_over(node)
                continue
            if newest is None or certified.header.height > newest.header.height:
                newest = certified
            heard += 1
            if heard == needed:
                break
        if newest is None or heard < needed:
            raise TransportError(f"{heard} nodes answer, {needed} are needed to know the newest state; {failure}")
        if newest.header.height >= self.height:
            self._note(newest)

    def _newest(self, node: str) -> CertifiedHeader:
        """The newest certified header that ``node`` itself signs for, now."""
        nonce = self._random(32)
        answer = Newest.decode(self._transport.call(node, NEWEST, NewestRequest(nonce).encode()))
        signed = (nonce, answer.certified.header.id())
        verify_member_signature(self.network, labels.SIG_NEWEST, node, self._node_key(node), signed, answer.signature)
        verify_certified(answer.certified, self.network, self._validators)
        return answer.certified

    def _node_key(self, name: str) -> Point:
        """A node's registered key, from genesis."""
        for node in self.genesis.core.nodes:
            if node.member.name == name:
                return node.member.public_key(self.domain.Pub)
        raise Refused("unknown-party", f"{name} is no node of the genesis")

    def pause(self, wait_ms: int) -> None:
        """Wait a moment, as this client waits (an embedded network works meanwhile)."""
        self._sleep_ms(wait_ms)

    def wait(self, look: Callable[[], T | None], what: str) -> T:
        """Look again and again, with growing pauses, until something is there.

        :param look: None while it is not. :param what: for the message.
        :raises TransportError: it was not seen in time. :raises Refused: what ``look`` raises.
        """
        return self._wait(look, what)

    def _wait(self, look: Callable[[], T | None], what: str) -> T:
        deadline = self._monotonic_ms() + self._patience_ms
        look_at_clock_ms = self._monotonic_ms() + CLOCK_LOOK_MS
        pause = FIRST_WAIT_MS
        while True:
            failure = ""
            try:
                found = look()
                if found is not None:
                    return found
            except TransportError as error:
                failure = f"; {error}"
            now = self._monotonic_ms()
            if now >= look_at_clock_ms or now >= deadline:
                look_at_clock_ms = now + CLOCK_LOOK_MS
                state = self._nodes_say()
                # it may be this node that lags, has stopped or lies
                self._pass_over(self._nodes[0])
            if now >= deadline:
                seconds = f"{self._patience_ms / 1000:g} s"
                raise TransportError(f"{what} was not seen within {seconds}; it may still come{failure}; {state}")
            self._sleep_ms(pause)
            pause = min(2 * pause, LONGEST_WAIT_MS)

    def _nodes_say(self) -> str:
        """Why nothing happens, as far as the nodes say.

        :raises TransportError: more nodes than may lie say that clock and ledger disagree: waiting does not help.
        """
        complaints: dict[str, str] = {}
        answering = 0
        for node in self._nodes:
            try:
                status = NodeStatus.decode(self._transport.call(node, NODE_STATUS, StatusRequest().encode()))
            except (Refused, TransportError) as error:
                complaints[node] = str(error)
                continue
            answering += 1
            if status.complaint:
                complaints[node] = status.complaint
        clock = [text for text in complaints.values() if text.startswith(_CLOCK)]
        if len(clock) > self._validators.faulty:
            raise TransportError(clock[0])
        found = f"{answering} of {len(self._nodes)} nodes answer, {self._validators.quorum} are needed to commit"
        return "; ".join([found, *(f"{node}: {text}" for node, text in complaints.items())])

    # --- proven state ---

    def _state(self, table: Table[M], raw_keys: Sequence[bytes]) -> list[M | None]:
        values = self._raw_states(table.kind, raw_keys)
        return [None if value is None else table.decode(value) for value in values]

    def _states(self, table: Table[M], raw_keys: Sequence[bytes]) -> list[M | None]:
        return self._state(table, raw_keys)

    def raw_state(self, kind: str, raw: bytes) -> bytes | None:
        """The encoded value under (kind, raw key) of the state, or None; both are proven."""
        return self._raw_states(kind, [raw])[0]

    def raw_states(self, kind: str, raws: Sequence[bytes]) -> list[bytes | None]:
        """:meth:`raw_state` of several keys; each value is proven, those asked for together under one header."""
        return self._raw_states(kind, raws)

    def _raw_states(self, kind: str, raw_keys: Sequence[bytes]) -> list[bytes | None]:
        values: list[bytes | None] = []
        for start in range(0, len(raw_keys), q.KEYS_A_QUERY):
            values += self._prove(q.StateQuery(kind, tuple(raw_keys[start : start + q.KEYS_A_QUERY])))
        return values

    def _prove(self, asked: q.StateQuery) -> list[bytes | None]:
        return [found.value for found in self._proof(asked).values]

    def _proof(self, asked: q.StateQuery) -> q.StateProof:
        def open_answer(data: bytes) -> q.StateProof:
            proof = q.StateProof.decode(data)
            verify_state(proof, asked, self.network, self._validators)
            self._note(proof.certified)
            return proof

        return self._ask(q.STATE, asked, open_answer)

    def state_proof(self, path: str, question: bytes) -> bytes:
        """A node's answer to a question about the state, verified: for files that prove something to others.

        :param path: ``state``. :param question: a :class:`~salus.ledger.queries.StateQuery`.
        """
        refuse_unless(path == q.STATE, "bad-encoding", f"{path} is no question about the state")
        return self._proof(q.StateQuery.decode(question)).encode()

    def _note(self, certified: CertifiedHeader) -> None:
        """Keep the newest header; an answer older than one seen before is a lagging node's."""
        if certified.header.height < self.height:
            raise TransportError(f"the node answers as of height {certified.header.height}, {self.height} was seen before")
        age_ms = self._now_ms() - certified.header.time_ms
        if self._max_age_ms and age_ms > self._max_age_ms:
            raise TransportError(
                f"the node's newest header is {age_ms / 1000:.0f} s old; at most {self._max_age_ms / 1000:.0f} s are believed"
            )
        self._head = certified

    def _ask(self, path: str, question: Message, open_answer: Callable[[bytes], T], needed: int = 0) -> T:
        return self._each(QUERY, Query(path, question.encode()).encode(), open_answer, needed)

    def _each(self, method: str, body: bytes, open_answer: Callable[[bytes], T], needed: int = 0) -> T:
        """Ask node after node until one gives an answer that holds; see :meth:`_poll`."""

        def ask(node: str) -> T:
            data = self._transport.call(node, method, body)
            try:
                return open_answer(data)
            except (Refused, TransportError) as error:
                # a lie or a lag of this node; another one may know better
                raise TransportError(f"{node}: {error}") from None

        return self._poll(ask, needed)

    def _poll(self, ask: Callable[[str], T], needed: int = 0) -> T:
        """Go from node to node until one does what is asked.

        :param needed: a refusal proves nothing, so it is believed only if this many nodes refuse: by default one more than
            may lie.
        :raises Refused: so many nodes refuse; for the reason that as many give, else for the one that most give.
        :raises TransportError: no node answers so that it holds, or too few to believe their refusal.
        """
        enough = needed or self._validators.faulty + 1
        refusals: list[Refused] = []
        failure: Refused | TransportError | None = None
        for node in list(self._nodes):
            try:
                return ask(node)
            except TransportError as error:
                failure = error
                self._pass_over(node)
            except Refused as refused:
                if refused.reason in PASS_ON:
                    failure = refused
                    continue
                refusals.append(refused)
                if sum(r.reason == refused.reason for r in refusals) >= enough:
                    raise refused
        if len(refusals) >= enough:
            raise _most_common(refusals)
        if refusals:
            few = f"{len(refusals)} of {len(self._nodes)} nodes say so, too few to be believed"
            raise TransportError(f"{refusals[0]}; {few}; {failure}")
        if isinstance(failure, Refused):  # of a node that could not do it, not of one that judged it: nothing is decided
            raise TransportError(str(failure))
        raise failure or TransportError("no node is known")

    def _pass_over(self, node: str) -> None:
        """Ask this node last from now on."""
        if node in self._nodes:
            self._nodes.remove(node)
            self._nodes.append(node)


def _most_common(refusals: Sequence[Refused]) -> Refused:
    counts = Counter(refusal.reason for refusal in refusals)
    return max(refusals, key=lambda refusal: counts[refusal.reason])
