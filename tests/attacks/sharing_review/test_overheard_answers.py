"""Claim: whoever overhears the answer to a question, or gets it by asking again, learns neither records nor how many they are.

A question is boxed to the value node; its answer, a list of record ids, travelled in the open.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from salus.abpre.threshold.box import BoxKey
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.node.sharing import searching
from salus.node.sharing.searching import Searching
from salus.search.answer_box import ANSWER_BYTES_MIN, AnswerBox, open_answer, seal_answer
from salus.search.question import box_question
from salus.search.tags import TAG_BYTES, discoverable_keys
from salus.symmetric import TAG_BYTES as SEAL_BYTES
from support.sharing_world import HOSPITAL, SharingChain


class Asked:
    """A question about a word that some records hold, committed; the node that answers; the asker's one-time key."""

    def __init__(self, chain: SharingChain, records: int) -> None:
        world, owner = chain.world, chain.owner()
        keys = discoverable_keys(world.network, [b"t" * 64])
        self.rids = [chain.rid(owner) for _ in range(records)]
        for rid in self.rids:
            tags = sorted([*keys.tags(rid), *(world.random(TAG_BYTES) for _ in range(7))])
            chain.put(owner, rid=rid, tags=b"".join(tags))
        self.network, self.seat = world.network, chain.committee().seats[0]
        self.box = box_question(world.network, HOSPITAL, self.seat.name, 1, self.seat.Er, keys, world.random)
        self.key = BoxKey.generate(world.random)
        summary = ms.QuestionSummary(self.seat.name, self.box.count, self.box.digest())
        draft = ms.ShareRequest(HOSPITAL, summary, (), "research", self.key.Er, UNSIGNED)
        request = chain.commit(signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random))
        self.request = m.SearchRequest(request, self.box)
        node = world.nodes[0]
        self.around = SimpleNamespace(
            network=world.network, name=self.seat.name, application=chain.application, view=chain.view, time_ms=chain.time_ms,
            shares=SimpleNamespace(secret=lambda epoch: world.secret(node, epoch)), member=node.member, random=world.random,
        )  # fmt: skip

    def answer(self) -> AnswerBox:
        return Searching(self.around).search(self.request)  # type: ignore[arg-type]

    def opened(self, box: AnswerBox, key: BoxKey | None = None) -> m.SearchAnswer:
        er = (key or self.key).er
        return m.SearchAnswer.decode(open_answer(self.network, self.request.request, self.seat.name, self.seat.W, er, box))


@pytest.mark.parametrize("repaired", [True, False])
def test_who_overhears_an_answer_sees_no_records(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    asked = Asked(chain, 2)
    if not repaired:
        monkeypatch.setattr(
            searching, "seal_answer", lambda network, request, node, Er, answer, random: m.SearchAnswer.decode(answer)
        )
    overheard = asked.answer().encode()
    assert all((rid in overheard) == (not repaired) for rid in asked.rids)


def test_the_asker_reads_it_and_nobody_else(chain: SharingChain) -> None:
    asked = Asked(chain, 2)
    box = AnswerBox.decode(asked.answer().encode())
    assert [hit.rid for hit in asked.opened(box).found] == asked.rids
    with pytest.raises(Refused, match="bad-signature"):  # it names the key that it is sealed to
        asked.opened(box, BoxKey.generate(chain.world.random))
    er = asked.key.er
    for request, seat in ((bytes(32), asked.seat), (asked.request.request, chain.committee().seats[1])):
        with pytest.raises(Refused, match="wrong-request"):
            open_answer(asked.network, request, seat.name, seat.W, er, box)


def test_nobody_answers_in_the_nodes_place_or_changes_what_it_said(chain: SharingChain) -> None:
    """Who knows the request knows Er; without the signature anybody would be believed."""
    asked = Asked(chain, 1)
    stranger = chain.world.nodes[1].member
    empty = m.SearchAnswer(1, (), 0).encode()
    forged = seal_answer(asked.network, asked.request.request, stranger, asked.key.Er, empty, chain.world.random)
    with pytest.raises(Refused, match="bad-signature"):
        asked.opened(replace(forged, node=asked.seat.name))
    box = asked.answer()
    cut = replace(box, ciphertext=box.ciphertext[:-1] + bytes([box.ciphertext[-1] ^ 1]))
    for changed in (cut, replace(box, R=asked.key.Er), replace(box, signature=bytes(64))):
        with pytest.raises(Refused, match=r"bad-signature|bad-scalar|bad-point"):
            asked.opened(changed)


def test_its_size_tells_about_how_many_records_there_are_to_a_power_of_two(chain: SharingChain) -> None:
    random, node, request = chain.world.random, chain.world.nodes[0].member, bytes(32)
    sizes = set()
    for count in range(120):
        answer = m.SearchAnswer(1, tuple(m.SearchHit(0, random(16)) for _ in range(count)), 0).encode()
        key = BoxKey.generate(random)
        box = seal_answer(chain.world.network, request, node, key.Er, answer, random)
        assert open_answer(chain.world.network, request, node.name, node.W_bytes, key.er, box) == answer
        sizes.add(len(box.ciphertext) - SEAL_BYTES)
    assert sizes == {ANSWER_BYTES_MIN << i for i in range(4)}
    with pytest.raises(Refused, match="too-large"):
        seal_answer(chain.world.network, request, node, BoxKey.generate(random).Er, bytes(1 << 22), random)
