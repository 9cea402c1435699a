"""Putting questions to value nodes, and checking what they answer: no value node is believed.

A hit is checked against the record's tags, which the ledger proves. That a node holds nothing back no answer shows; where it
matters, one more node than may lie is asked, and what any of them finds counts. Steps: docs/protocol/search.md, "questions".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Seat
from salus.consultation.registration import MemberKey
from salus.errors import Refused, TransportError, refuse_unless
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.shares import QuestionSummary, ShareRequest
from salus.ledger.kinds.sharing.records import RECORDS, TAGS, Record
from salus.ledger.reading import ProvenView
from salus.ledger.sharing_api import SEARCH, STATUS, SearchAnswer, SearchRequest, SharingStatusRequest
from salus.search.answer_box import AnswerBox, open_answer
from salus.search.question import box_question
from salus.search.tags import TAG_BYTES, TagKeys, discoverable_key, reader_key, tag_of
from salus.symmetric import Random
from salus.terminal.sharing.nodes import Nodes

SILENT_LOOKS: Final = 24
"""Looks without an answer, about four seconds, before the next value node is asked."""
SHOWN_MAX: Final = 3
"""Failures of nodes that an error tells of."""
_LAGS: Final = "unknown-request"
Hits = list[tuple[int, bytes]]
"""(place of the key in the question, rid)."""


class ExpectedTags(Protocol):
    """What a hit must be able to show."""

    def tag(self, place: int, record: Record) -> bytes | None:
        """The tag that a record has if it answers the key at ``place``; None if it cannot."""


class ReaderTags:
    """Keys by token, then by scope, as :func:`salus.search.tags.reader_keys` has them."""

    def __init__(self, network: bytes, index_keys: Mapping[bytes, bytes], tokens: Sequence[bytes]) -> None:
        self._network = network
        self._scopes = list(index_keys.items())
        self._tokens = tokens

    def tag(self, place: int, record: Record) -> bytes | None:
        """See :class:`ExpectedTags`."""
        token, scope = divmod(place, len(self._scopes))
        if token >= len(self._tokens) or self._scopes[scope][0] != record.scope:
            return None
        return tag_of(reader_key(self._network, record.scope, self._scopes[scope][1], self._tokens[token]), record.rid)


class DiscoverableTags:
    """Keys by token, as :func:`salus.search.tags.discoverable_keys` has them."""

    def __init__(self, network: bytes, tokens: Sequence[bytes]) -> None:
        self._network = network
        self._tokens = tokens

    def tag(self, place: int, record: Record) -> bytes | None:
        """See :class:`ExpectedTags`."""
        if place >= len(self._tokens):
            return None
        return tag_of(discoverable_key(self._network, self._tokens[place]), record.rid)


class ValueNodes:
    """The value nodes as one search sees them.

    :ivar answered: nodes whose answers were taken. :ivar liars: nodes whose answers were false, and how.
    :ivar more: whether one of them had more than an answer holds.
    """

    def __init__(self, nodes: Nodes, member: MemberKey, purpose: str, random: Random) -> None:
        self._nodes = nodes
        self._member = member
        self._purpose = purpose
        self._random = random
        self.answered: dict[str, None] = {}
        self.liars: dict[str, str] = {}
        self.more = False

    def ask(self, keys: TagKeys, expected: ExpectedTags, *, thorough: bool) -> Hits:
        """Put a question to a value node drawn at random; if it is silent, refuses or lies, to the next one.

        :param thorough: to one more than may lie.
        :raises Refused: what the ledger refuses of the request. :raises TransportError: no node gives a right answer.
        """
        committee = self._nodes.committee(self._nodes.view())
        first = int.from_bytes(self._random(4), "big") % len(committee.seats)
        wanted = len(committee.seats) - committee.threshold + 1 if thorough else 1
        taken: dict[str, Hits] = {}
        failures: list[str] = []
        asked_ms = self._nodes.ledger.time_ms
        for seat in (*committee.seats[first:], *committee.seats[:first]):
            if seat.name in self.liars:
                continue  # caught in this very search
            try:
                taken[seat.name] = self._of(seat, committee.epoch, keys, expected)
            except TransportError as error:
                failures.append(str(error))
                continue
            self.answered[seat.name] = None
            if len(taken) == wanted:
                return self._together(taken, asked_ms)
        said = "; ".join(failures[-SHOWN_MAX:])
        raise TransportError(f"{len(taken)} value nodes give a right answer, {wanted} are needed: {said}"[:4096])

    def _of(self, seat: Seat, epoch: int, keys: TagKeys, expected: ExpectedTags) -> Hits:
        """One node's answer, under a request of its own (questions, step 2).

        :raises TransportError: it is silent, refuses, or its answer is false.
        """
        nodes = self._nodes
        try:
            nodes.call(seat.name, STATUS, SharingStatusRequest())  # a node that is down costs no transaction
        except Refused as refused:
            raise TransportError(f"{seat.name}: {refused}") from None
        box = box_question(nodes.network, self._member.name, seat.name, epoch, seat.Er, keys, self._random)
        summary = QuestionSummary(seat.name, box.count, box.digest())
        key = BoxKey.generate(self._random)
        draft = ShareRequest(self._member.name, summary, (), self._purpose, key.Er, UNSIGNED)
        request = nodes.submit(signed_by_member(nodes.network, draft, self._member, self._random)).committed.hash
        try:
            answer = self._answer(seat, key, SearchRequest(request, box))
            hits = self._checked(answer, expected)
        except Refused as refused:
            if refused.reason == "bad-answer":
                self.liars[seat.name] = refused.detail
            raise TransportError(f"{seat.name}: {refused}") from None
        self.more = self.more or bool(answer.more)
        return hits

    def _answer(self, seat: Seat, key: BoxKey, asked: SearchRequest) -> SearchAnswer:
        """The answer, sealed to the question's one-time key: whoever overhears it learns no record (questions, step 5)."""
        node, network, silent = seat.name, self._nodes.network, 0

        def look() -> SearchAnswer | None:
            nonlocal silent
            try:
                sealed = AnswerBox.decode(self._nodes.call(node, SEARCH, asked))
                return SearchAnswer.decode(open_answer(network, asked.request, node, seat.W, key.er, sealed))
            except Refused as refused:
                if refused.reason != _LAGS:
                    raise
            except TransportError:
                silent += 1
                refuse_unless(silent < SILENT_LOOKS, "unreachable", "it does not answer the question")
            return None

        return self._nodes.ledger.wait(look, f"the answer of {node}")

    def _checked(self, answer: SearchAnswer, expected: ExpectedTags) -> Hits:
        """The hits that hold; one of a record that this terminal cannot see yet, or not any more, is left out.

        :raises Refused: ``bad-answer`` for a hit that cannot be.
        """
        view = self._nodes.view()
        rids = list(dict.fromkeys(hit.rid for hit in answer.found))
        view.prefetch(RECORDS.kind, rids)
        view.prefetch(TAGS.kind, rids)
        kept: Hits = []
        for hit in answer.found:
            record, tags = RECORDS.get(view, hit.rid), TAGS.get(view, hit.rid)
            if record is None:
                newer = answer.height > self._nodes.ledger.height
                refuse_unless(newer, "bad-answer", f"it names {hit.rid.hex()}, which is no record")
            elif tags is not None:
                wanted = expected.tag(hit.key, record)
                present = wanted is not None and _holds(tags.tags, wanted)
                refuse_unless(present, "bad-answer", f"it names {hit.rid.hex()}, which does not have the tag asked for")
                kept.append((hit.key, hit.rid))
        return kept

    def _together(self, taken: Mapping[str, Hits], asked_ms: int) -> Hits:
        """What any of the nodes found; who held back what was on the ledger before it was asked is named."""
        whole = list(dict.fromkeys(hit for hits in taken.values() for hit in hits))
        if len(taken) > 1 and not self.more:
            view = self._nodes.view()
            due = {hit for hit in whole if (record := RECORDS.get(view, hit[1])) and record.put_ms < asked_ms}
            for node, hits in taken.items():
                if held_back := due.difference(hits):
                    rids = sorted({rid.hex() for _, rid in held_back})
                    self.liars[node] = f"it held back {', '.join(rids[:SHOWN_MAX])}"
        return whole

    def living(self, rids: Iterable[bytes]) -> set[bytes]:
        """Those that the ledger has and that are neither erased nor superseded: a value node's word is not enough."""
        view, wanted = self._nodes.view(), list(dict.fromkeys(rids))
        view.prefetch(RECORDS.kind, wanted)
        return {rid for rid in wanted if _lives(view, rid)}


def _lives(view: ProvenView, rid: bytes) -> bool:
    record = RECORDS.get(view, rid)
    return record is not None and not record.erased_ms and record.superseded_by is None


def _holds(tags: bytes, tag: bytes) -> bool:
    return any(tags[i : i + TAG_BYTES] == tag for i in range(0, len(tags), TAG_BYTES))
