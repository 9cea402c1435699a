"""The value node's search: the index of every record on the ledger, and the questions that the ledger has counted.

The index is rebuilt from the state when it is first needed, and follows it from then on. Steps: docs/protocol/search.md,
"questions" and "looking up".
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from salus.consultation.registration import INSTITUTION
from salus.errors import Refused, refuse_unless
from salus.ledger import sharing_api as m
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.attributes import is_suspended
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.kinds.sharing.records import RECORDS, TAGS
from salus.ledger.kinds.sharing.share_state import SHARE_REQUESTS
from salus.node.sharing.surroundings import Surroundings
from salus.search.answer_box import AnswerBox, seal_answer
from salus.search.index import Found, SearchIndex
from salus.search.question import open_question
from salus.search.tags import IndexEntry

REMEMBERED_MAX: Final = 16
"""Answers, of a megabyte each at most: whoever overhears a question can put it again, and should not cost a search each time."""


class Searching:
    """The index of one node and the answers from it.

    :ivar searched: questions answered since it was opened.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._index = SearchIndex()
        self._taken = 0
        """Elements of the ledger's list of records that are in the index, or were passed over as erased."""
        self.searched = 0
        self._found: OrderedDict[bytes, tuple[tuple[int, int], Found]] = OrderedDict()
        """What questions found, by request, with the index (elements taken, records) they were put to."""

    def __len__(self) -> int:
        return len(self._index)

    def forget(self, rid: bytes) -> None:
        """A record was erased."""
        self._index.remove(rid)

    def follow(self) -> None:
        """Take in the records that the ledger has and the index has not (looking up, step 1)."""
        view = self._around.view
        length = lists.length(view, lists.RECORDS, b"")
        for rid in lists.items(view, lists.RECORDS, b"", self._taken, length):
            record, tags = RECORDS.get(view, rid), TAGS.get(view, rid)
            if record is not None and tags is not None and not record.erased_ms:
                self._index.add(IndexEntry(rid, record.scope, tags.tags))
        self._taken = length

    def search(self, request: m.SearchRequest) -> AnswerBox:
        """Answer a question that is boxed to this node and that a committed request names (questions, steps 3 to 5).

        :raises Refused: ``unknown-request``, ``wrong-request``, ``expired``, ``revoked``, ``suspended``, ``no-share`` (this
            epoch's key is gone), ``bad-proof``, ``bad-seal``.
        """
        around = self._around
        view = around.view
        asked = SHARE_REQUESTS.get(view, request.request)
        if asked is None or asked.question is None:
            raise Refused("unknown-request", "no committed request asks this question")
        same = (asked.question.digest, asked.question.count) == (request.box.digest(), request.box.count)
        refuse_unless(same, "wrong-request", "this is not the question that the request names")
        refuse_unless(asked.question.node == around.name, "wrong-request", f"the question is boxed to {asked.question.node}")
        live_party(view, INSTITUTION, asked.institution)
        refuse_unless(not is_suspended(view, asked.institution), "suspended", asked.institution)
        open_until_ms = asked.time_ms + sharing_constants(view).request_ms
        refuse_unless(around.time_ms < open_until_ms, "expired", "the question is closed")
        secret = around.shares.secret(asked.epoch)
        if secret is None:
            raise Refused("no-share", f"the keys of epoch {asked.epoch} are not here, or were erased after its grace")
        self.follow()
        stands = (self._taken, len(self._index))
        known = self._found.get(request.request)
        if known is not None and known[0] == stands:
            found = known[1]
        else:
            keys = open_question(around.network, asked.institution, around.name, asked.epoch, secret.er, request.box)
            found = self._index.search(keys)
            self.searched += 1
            self._found[request.request] = (stands, found)
            while len(self._found) > REMEMBERED_MAX:
                self._found.popitem(last=False)
        hits = tuple(m.SearchHit(place, rid) for place, rid in found.records)
        answer = m.SearchAnswer(around.application.info().height, hits, int(found.more)).encode()
        return seal_answer(around.network, request.request, around.member, asked.Er, answer, around.random)
