"""Claim: a question costs the value node one search as long as the index stands as it was, whoever puts it how often."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from salus.abpre.threshold.box import BoxKey
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.node.sharing import searching
from salus.node.sharing.searching import Searching
from salus.search.answer_box import open_answer
from salus.search.question import box_question
from salus.search.tags import discoverable_keys
from support.sharing_world import HOSPITAL, SharingChain


@pytest.mark.parametrize("repaired", [True, False])
def test_an_overheard_question_is_searched_once(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    world, owner = chain.world, chain.owner()
    chain.put(owner)
    seat, node = chain.committee().seats[0], world.nodes[0]
    keys = discoverable_keys(world.network, [world.random(64)])
    box = box_question(world.network, HOSPITAL, seat.name, 1, seat.Er, keys, world.random)
    key = BoxKey.generate(world.random)
    draft = ms.ShareRequest(HOSPITAL, ms.QuestionSummary(seat.name, box.count, box.digest()), (), "research", key.Er, UNSIGNED)
    asked = m.SearchRequest(chain.commit(signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random)), box)
    around = SimpleNamespace(
        network=world.network, name=seat.name, application=chain.application, view=chain.view, time_ms=chain.time_ms,
        shares=SimpleNamespace(secret=lambda epoch: world.secret(node, epoch)), member=node.member, random=world.random,
    )  # fmt: skip
    if not repaired:
        monkeypatch.setattr(searching, "REMEMBERED_MAX", 0)
    r = Searching(around)  # type: ignore[arg-type]
    answers = [open_answer(world.network, asked.request, seat.name, seat.W, key.er, r.search(asked)) for _ in range(5)]
    assert all(answer == answers[0] for answer in answers)
    assert r.searched == (1 if repaired else 5)
    chain.put(owner)  # another record: the question is looked up again
    around.view, around.time_ms = chain.view, chain.time_ms
    r.search(asked)
    assert r.searched == (2 if repaired else 6)
