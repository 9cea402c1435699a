"""Tokens by a threshold of nodes: right answers combine, wrong ones are named and proven."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, base_mul, random_scalar
from salus.search import voprf
from salus.search.committee import KeyHolder, check_token_key
from salus.search.keyword import Keyword
from salus.search.tokens import (
    ELEMENTS_MAX,
    BlindedWords,
    Evaluation,
    EvaluationEvidence,
    ask,
    check_evaluation,
    check_order,
    combine,
    convicts,
    gather,
    order_of,
)
from support.search_world import EPOCH, NETWORK, NodeKey, SearchWorld

TX = bytes(range(32, 64))
WORDS = [Keyword(word) for word in ("hypertension", "loinc|8867-4", "snomed|59621000")]


@pytest.fixture(scope="module")
def world() -> SearchWorld:
    return SearchWorld(7, 5)


def expected(world: SearchWorld) -> dict[Keyword, bytes]:
    """The function itself, by who knows the whole key."""
    points = voprf.hash_to_group([word.encode() for word in WORDS])
    outputs = voprf.finalize([word.encode() for word in WORDS], [p.mul(world.k) for p in points])
    return dict(zip(WORDS, outputs, strict=True))


def test_any_threshold_of_nodes_gives_the_same_tokens(world: SearchWorld) -> None:
    for indices in ([1, 2, 3, 4, 5], [7, 6, 5, 4, 3], [1, 3, 5, 6, 7]):
        asked = ask(WORDS, world.random)
        gathered = gather(NETWORK, world.key, asked, TX, [world.answer(i, asked, TX) for i in indices])
        assert gathered.tokens == expected(world)
        assert (gathered.liars, gathered.useless) == ({}, {})


def test_answers_beyond_the_threshold_are_not_waited_for(world: SearchWorld) -> None:
    asked = ask(WORDS, world.random)

    def answers():
        for i in (1, 2, 3, 4, 5):
            yield world.answer(i, asked, TX)
        raise AssertionError("asked a sixth node")

    assert gather(NETWORK, world.key, asked, TX, answers()).tokens == expected(world)


def test_too_few(world: SearchWorld) -> None:
    asked = ask(WORDS, world.random)
    answers = [world.answer(i, asked, TX) for i in (1, 2, 3, 4)]
    with pytest.raises(Refused, match="too-few-answers: 4 right answers, 5 are needed"):
        gather(NETWORK, world.key, asked, TX, [*answers, *answers])
    order = check_order(TX, asked.order, asked.blinded)
    checked = [check_evaluation(NETWORK, world.key, order, a) for a in answers]
    with pytest.raises(Refused, match="too-few-answers"):
        combine(asked, world.key, [*checked, checked[0]])


def test_blinding_is_fresh_and_hides_the_words(world: SearchWorld) -> None:
    """The elements of two requests for the same words share nothing, and every element fits every word."""
    one, other = ask(WORDS, world.random), ask(WORDS, world.random)
    assert not set(one.blinded.elements[i : i + 32] for i in range(0, 96, 32)) & {
        other.blinded.elements[i : i + 32] for i in range(0, 96, 32)
    }
    assert "hypertension" not in repr(one)
    points = voprf.hash_to_group([word.encode() for word in WORDS])
    r = one.blinds[0]
    element = points[0].mul(r)
    # A blind that would have made the same element of another word exists: its logarithm is the only trace.
    assert element == points[0].mul(r)
    assert element.mul(r.invert()) == points[0]


def test_duplicate_words_are_asked_once(world: SearchWorld) -> None:
    asked = ask([*WORDS, WORDS[0]], world.random)
    assert asked.order.count == len(WORDS)


@pytest.mark.parametrize("count", [0, ELEMENTS_MAX + 1])
def test_number_of_words(world: SearchWorld, count: int) -> None:
    with pytest.raises(Refused, match="too-large"):
        ask([Keyword(f"w{i}") for i in range(count)], world.random)


def test_the_largest_request() -> None:
    world = SearchWorld(4, 3)
    words = [Keyword(f"w{i}") for i in range(ELEMENTS_MAX)]
    asked = ask(words, world.random)
    gathered = gather(NETWORK, world.key, asked, TX, [world.answer(i, asked, TX) for i in (4, 2, 1)])
    assert len(set(gathered.tokens.values())) == ELEMENTS_MAX


# --- what nodes refuse ---


def test_a_node_answers_only_what_the_chain_has_counted(world: SearchWorld) -> None:
    asked, other = ask(WORDS, world.random), ask(WORDS, world.random)
    more = ask([*WORDS, Keyword("more")], world.random)
    for order, blinded in [
        (asked.order, other.blinded),
        (asked.order, more.blinded),
        (replace(asked.order, count=2), asked.blinded),
        (replace(asked.order, count=4), asked.blinded),
    ]:
        with pytest.raises(Refused, match="bad-order"):
            check_order(TX, order, blinded)


@pytest.mark.parametrize("element", [bytes(32), b"\xff" * 32, b"\x01" + bytes(31)], ids=["identity", "large", "odd"])
def test_a_node_refuses_what_is_no_element(world: SearchWorld, element: bytes) -> None:
    blinded = BlindedWords(ask(WORDS, world.random).blinded.elements + element)
    with pytest.raises(Refused, match="bad-point"):
        check_order(TX, order_of(blinded), blinded)


def test_a_node_refuses_a_doubled_or_cut_element(world: SearchWorld) -> None:
    elements = ask(WORDS, world.random).blinded.elements
    for spoilt in (elements + elements[:32], elements[:-1], elements + b"\x00"):
        blinded = BlindedWords(spoilt)
        with pytest.raises(Refused, match="bad-order"):
            check_order(TX, order_of(blinded), blinded)


# --- what the asker refuses, and who is to blame ---


def resigned(world: SearchWorld, index: int, evaluation: Evaluation) -> Evaluation:
    """A lie in the node's own name: signed anew after it was changed."""
    from salus import labels

    signature = world.keys[index].sign(NETWORK, labels.SIG_EVALUATION, evaluation.to_value()[:-1], world.random)
    return replace(evaluation, signature=signature)


def lies(world: SearchWorld, honest: Evaluation, other: Evaluation) -> dict[str, Evaluation]:
    """False answers of node 2, each once."""
    k, points = world.shares[2].k, [Point.decode(honest.elements[i : i + 32]) for i in range(0, 96, 32)]
    one_wrong = b"".join(p.encode() for p in [points[0] + Point.generator(), *points[1:]])
    swapped = honest.elements[32:64] + honest.elements[:32] + honest.elements[64:]
    wrong_key = random_scalar(world.random)
    return {
        "one element": replace(honest, elements=one_wrong),
        "two elements change places": replace(honest, elements=swapped),
        "the same element for all": replace(honest, elements=honest.elements[:32] * 3),
        "one element less": replace(honest, elements=honest.elements[:64]),
        "the identity": replace(honest, elements=bytes(32) + honest.elements[32:]),
        "no point": replace(honest, elements=b"\xff" * 32 + honest.elements[32:]),
        "another key": replace(honest, elements=b"".join(p.mul(k.invert()).mul(wrong_key).encode() for p in points)),
        "proof of another order": replace(honest, proof=other.proof),
        "another node's elements": replace(honest, elements=other.elements),
        "a proof of zeros": replace(honest, proof=bytes(64)),
        "a proof out of range": replace(honest, proof=b"\xff" * 64),
    }


def test_every_lie_is_named_and_proven(world: SearchWorld) -> None:
    asked = ask(WORDS, world.random)
    honest, other = world.answer(2, asked, TX), world.answer(3, asked, TX)
    right = [world.answer(i, asked, TX) for i in (1, 3, 4, 5, 6)]
    named = lies(world, honest, other)
    assert len(named) == 11
    for what, lie in named.items():
        signed = resigned(world, 2, lie)
        gathered = gather(NETWORK, world.key, asked, TX, [signed, signed, *right])
        assert gathered.tokens == expected(world), what
        assert list(gathered.liars) == ["hospital-2/node"], what
        (evidence,) = gathered.evidence
        decoded = EvaluationEvidence.decode(evidence.encode())
        assert convicts(NETWORK, world.key, TX, asked.order, decoded) == "hospital-2/node", what
        with pytest.raises(Refused, match=r"too-few-answers: 4 right .* hospital-2/node"):
            gather(NETWORK, world.key, asked, TX, [signed, *right[:4]])


def test_nobody_is_convicted_by_what_was_altered_on_the_way(world: SearchWorld) -> None:
    asked = ask(WORDS, world.random)
    honest, other = world.answer(2, asked, TX), world.answer(3, asked, TX)
    order = check_order(TX, asked.order, asked.blinded)
    for lie in lies(world, honest, other).values():
        with pytest.raises(Refused, match="bad-signature"):
            check_evaluation(NETWORK, world.key, order, lie)
        with pytest.raises(Refused, match="bad-evidence"):
            convicts(NETWORK, world.key, TX, asked.order, EvaluationEvidence(asked.blinded, lie))
    with pytest.raises(Refused, match="bad-evidence: the answer is right"):
        convicts(NETWORK, world.key, TX, asked.order, EvaluationEvidence(asked.blinded, honest))


def test_an_honest_answer_convicts_nobody_for_another_question(world: SearchWorld) -> None:
    """A right answer beside elements that were never asked, or under another order, is no evidence."""
    asked, other = ask(WORDS, world.random), ask(WORDS, world.random)
    honest = world.answer(2, asked, TX)
    # The order is the ledger's; the accuser brings elements and answer.
    for network, tx_hash, order, blinded in [
        (NETWORK, TX, asked.order, other.blinded),
        (NETWORK, bytes(32), other.order, other.blinded),
        (NETWORK, bytes(32), asked.order, asked.blinded),
        (bytes(32), TX, asked.order, asked.blinded),
    ]:
        with pytest.raises(Refused, match="bad-evidence"):
            convicts(network, world.key, tx_hash, order, EvaluationEvidence(blinded, honest))
    # Were the order the accuser's too, the honest node would be convicted:
    assert convicts(NETWORK, world.key, TX, other.order, EvaluationEvidence(other.blinded, honest)) == "hospital-2/node"


def test_a_node_cannot_answer_for_another(world: SearchWorld) -> None:
    asked = ask(WORDS, world.random)
    order = check_order(TX, asked.order, asked.blinded)
    honest = world.answer(2, asked, TX)
    for index in (3, 8):
        with pytest.raises(Refused, match=r"bad-signature|not-a-holder"):
            check_evaluation(NETWORK, world.key, order, resigned(world, 2, replace(honest, index=index)))
    with pytest.raises(Refused, match="not-a-holder"):
        check_evaluation(NETWORK, world.key, order, resigned(world, 2, replace(honest, epoch=EPOCH + 1)))
    gathered = gather(
        NETWORK, world.key, asked, TX, [replace(honest, index=9), *(world.answer(i, asked, TX) for i in (1, 3, 4, 5, 6))]
    )
    assert set(gathered.useless) == {9}
    assert gathered.liars == {}


# --- the committee ---


def test_shares_of_another_key_are_refused(world: SearchWorld) -> None:
    holders = list(world.key.holders)
    other = replace(holders[6], share=base_mul(random_scalar(world.random)).encode())
    with pytest.raises(Refused, match="bad-token-key: share 7"):
        check_token_key(replace(world.key, holders=(*holders[:6], other)))
    with pytest.raises(Refused, match="bad-token-key"):
        check_token_key(replace(world.key, public=base_mul(random_scalar(world.random)).encode()))
    with pytest.raises(Refused, match="bad-token-key"):
        check_token_key(replace(world.key, threshold=4))


def test_malformed_committees(world: SearchWorld) -> None:
    holders = world.key.holders
    twice = replace(holders[1], name=holders[0].name)
    for changed in [
        replace(world.key, threshold=0),
        replace(world.key, threshold=8),
        replace(world.key, holders=(holders[1], holders[0], *holders[2:])),
        replace(world.key, holders=(replace(holders[0], index=0), *holders[1:])),
        replace(world.key, holders=(holders[0], twice, *holders[2:])),
        replace(world.key, holders=(*holders, replace(holders[0], index=8))),
    ]:
        with pytest.raises(Refused, match="bad-token-key"):
            check_token_key(changed)
    check_token_key(replace(world.key, holders=holders[:5]))


def test_a_key_held_by_one() -> None:
    world = SearchWorld(1, 1)
    assert isinstance(world.key.holders[0], KeyHolder)
    assert len(world.tokens(WORDS)) == 3


def test_shares_of_a_changed_committee_make_the_same_tokens(world: SearchWorld) -> None:
    """The key outlives its holders: other shares of it, other nodes, the same tokens."""
    after = SearchWorld(4, 3, "after the hand-over", world.k)
    assert after.tokens(WORDS) == list(expected(world).values())


def test_nothing_shows_a_share(world: SearchWorld) -> None:
    secret = world.shares[1].k.encode().hex()
    assert secret not in repr(world.shares[1])
    assert isinstance(NodeKey("n", world.random).s, Scalar)
