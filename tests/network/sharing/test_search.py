"""Tokens from a threshold of nodes, questions to the value node, and the next one when it is silent."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from salus.abpre.threshold.box import BoxKey
from salus.errors import Refused
from salus.groups.ristretto255 import random_scalar
from salus.ledger import sharing_api as m
from salus.ledger.kinds.misbehaviour import RECORDS
from salus.ledger.kinds.sharing.committee_state import committee_of, search_key
from salus.ledger.kinds.sharing.messages import searches as me
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.node.sharing import issuing
from salus.search.answer_box import AnswerBox, open_answer
from salus.search.committee import KeyShare
from salus.search.keyword import word
from salus.search.question import box_question
from salus.search.tags import make_tags, reader_keys
from salus.search.tokens import Evaluation, EvaluationEvidence, ask, check_order, gather
from support.sharing_network import Sharing

READER = "st-anne/board"
INDEX_KEY = bytes(range(32))


def order(world: Sharing, *words: str) -> tuple[Any, bytes]:
    """Commit an order of tokens."""
    member = world.institution(READER)
    asked = ask([word(text) for text in words], world.random)
    draft = me.TokenRequest(asked.order, member.name, 1, UNSIGNED)
    return asked, world.commit(signed_by_member(world.id, draft, member, world.random))


def evaluations(world: Sharing, asked: Any, tx_hash: bytes) -> list[Evaluation]:
    answers = world.everyone(m.EVALUATE, m.EvaluateRequest(tx_hash, asked.blinded))
    return [Evaluation.decode(data) for data in answers.values()]


def question(world: Sharing, node: str, keys: Any) -> tuple[bytes, Any, BoxKey]:
    """Commit a request with a question to a node; returns its hash, the box, and the one-time key of the answer."""
    member = world.institution(READER)
    seat = committee_of(world.view, world.epoch).seat_of(node)
    box = box_question(world.id, member.name, node, world.epoch, seat.Er, keys, world.random)
    summary = ms.QuestionSummary(node, box.count, box.digest())
    one_time = BoxKey.generate(world.random)
    draft = ms.ShareRequest(member.name, summary, (), "treatment", one_time.Er, UNSIGNED)
    return world.commit(signed_by_member(world.id, draft, member, world.random)), box, one_time


def search(world: Sharing, node: str, keys: Any) -> list[bytes]:
    tx_hash, box, key = question(world, node, keys)
    W = committee_of(world.view, world.epoch).seat_of(node).W
    sealed = AnswerBox.decode(world.call(node, m.SEARCH, m.SearchRequest(tx_hash, box)))
    answer = m.SearchAnswer.decode(open_answer(world.id, tx_hash, node, W, key.er, sealed))
    return [hit.rid for hit in answer.found]


def test_a_search_finds_what_was_tagged_at_any_node_before_and_after_a_restart(world: Sharing) -> None:
    asked, tx_hash = order(world, "asthma", "fracture")
    gathered = gather(world.id, search_key(world.view, world.epoch), asked, tx_hash, evaluations(world, asked, tx_hash))
    asthma, fracture = (gathered.tokens[word(text)] for text in ("asthma", "fracture"))
    owner = world.owner()
    rids = []
    for tokens in ([asthma], [fracture], [asthma, fracture]):
        draft = world.record(owner)
        tags = make_tags(world.id, owner.scope, draft.rid, INDEX_KEY, tokens, False, world.random)
        world.commit(signed_by_scope(replace(draft, tags=tags), owner, world.random))
        rids.append(draft.rid)
    keys = reader_keys(world.id, {owner.scope: INDEX_KEY}, [asthma])
    first, second = world.node(0).name, world.node(1).name
    assert sorted(search(world, first, keys)) == sorted([rids[0], rids[2]])
    # the value node is silent: the same keys, boxed to the next one
    world.network.stop_node(first)
    assert sorted(search(world, second, keys)) == sorted([rids[0], rids[2]])
    again = world.network.start_node(first)
    assert sorted(search(world, first, keys)) == sorted([rids[0], rids[2]])
    assert again.sharing.status().records == 3


def test_a_question_is_answered_by_the_node_it_is_boxed_to_and_as_committed(world: Sharing) -> None:
    keys = reader_keys(world.id, {INDEX_KEY: INDEX_KEY}, [bytes(64)])
    first, second = world.node(0).name, world.node(1).name
    tx_hash, box, _ = question(world, first, keys)
    other = box_question(
        world.id, READER, first, world.epoch, committee_of(world.view, world.epoch).seat_of(first).Er, keys, world.random
    )
    for node, asked, reason in ((second, box, "wrong-request"), (first, other, "wrong-request")):
        with pytest.raises(Refused) as refusal:
            world.call(node, m.SEARCH, m.SearchRequest(tx_hash, asked))
        assert refusal.value.reason == reason
    with pytest.raises(Refused) as refusal:
        world.call(first, m.SEARCH, m.SearchRequest(bytes(32), box))
    assert refusal.value.reason == "unknown-request"


def test_only_counted_words_are_evaluated(world: Sharing) -> None:
    asked, tx_hash = order(world, "asthma")
    more = ask([word("asthma"), word("fracture")], world.random)
    node = world.node(0).name
    for request in (m.EvaluateRequest(tx_hash, more.blinded), m.EvaluateRequest(bytes(32), asked.blinded)):
        with pytest.raises(Refused) as refusal:
            world.call(node, m.EVALUATE, request)
        assert refusal.value.reason in ("bad-order", "unknown-request")


def test_a_false_evaluation_names_its_node(world: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    liar = world.node(2)
    honest = issuing.evaluate

    def lie(network: bytes, node: Any, share: KeyShare, checked: Any, random: Any) -> Evaluation:
        if node.name == liar.name:
            share = KeyShare(share.epoch, share.index, random_scalar(random))
        return honest(network, node, share, checked, random)

    monkeypatch.setattr(issuing, "evaluate", lie)
    asked, tx_hash = order(world, "asthma")
    answers = evaluations(world, asked, tx_hash)
    gathered = gather(world.id, search_key(world.view, world.epoch), asked, tx_hash, answers)
    assert gathered.tokens
    index = world.committee.seat_of(liar.name).index
    false = next(answer for answer in answers if answer.index == index)
    check_order(tx_hash, asked.order, asked.blinded)
    world.commit(EvaluationEvidence(asked.blinded, false))
    record = RECORDS.get(world.view, liar.name.encode())
    assert record is not None
    assert record.convictions == 1
