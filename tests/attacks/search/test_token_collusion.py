"""Claim: fewer than t nodes can ask nothing; t can ask anything (said in the docs); no node sees a word that others ask."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus import labels
from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, base_mul, random_scalar
from salus.groups.sharing import interpolate_point, interpolate_scalar, lagrange_coefficients
from salus.search import voprf
from salus.search.keyword import Keyword
from salus.search.tags import discoverable_key, make_tags, reader_key, tag_of
from salus.search.tokens import (
    BlindedWords,
    CheckedEvaluation,
    Evaluation,
    TokenOrder,
    ask,
    check_evaluation,
    check_order,
    combine,
    gather,
)
from support.search_world import NETWORK, SearchWorld, accepted_flips

DICTIONARY = [f"word{i}" for i in range(50)]
TX = bytes(32)


@pytest.fixture(scope="module")
def world() -> SearchWorld:
    return SearchWorld(7, 5, "collusion")


def offline(key: Scalar, words: list[str]) -> dict[str, bytes]:
    """Tokens of a whole dictionary by whoever has the key: no order, no chain, no limit."""
    data = [word.encode() for word in words]
    return dict(zip(words, voprf.finalize(data, voprf.evaluate(key, voprf.hash_to_group(data))), strict=True))


def words_of(tags: bytes, rid: bytes, keys: dict[str, bytes]) -> set[str]:
    """The words of a record, by testing the key of a tag of every word of the dictionary."""
    held = {tags[i : i + 16] for i in range(0, len(tags), 16)}
    return {word for word, key in keys.items() if tag_of(key, rid) in held}


def record(world: SearchWorld, words: list[str], discoverable: bool) -> tuple[bytes, bytes, bytes, bytes]:
    x, ik, rid = world.random(32), world.random(32), world.random(16)
    return x, ik, rid, make_tags(NETWORK, x, rid, ik, world.tokens(words), discoverable, world.random)


def pooled(world: SearchWorld, indices: list[int]) -> Scalar:
    return interpolate_scalar(indices, [world.shares[i].k for i in indices])


def test_t_nodes_can_ask_anything(world: SearchWorld) -> None:
    """They have the key: every word of a dictionary, unseen and uncounted. Discoverable records are then an open book."""
    key = pooled(world, [1, 2, 3, 4, 5])
    assert base_mul(key).encode() == world.key.public
    tokens = offline(key, DICTIONARY)
    assert [tokens[word] for word in DICTIONARY[:5]] == world.tokens(DICTIONARY[:5])
    _, _, rid, tags = record(world, DICTIONARY[10:13], discoverable=True)
    assert words_of(tags, rid, {w: discoverable_key(NETWORK, t) for w, t in tokens.items()}) == set(DICTIONARY[10:13])


def test_even_t_nodes_need_the_index_key_for_the_rest(world: SearchWorld) -> None:
    tokens = offline(pooled(world, [3, 4, 5, 6, 7]), DICTIONARY)
    x, ik, rid, tags = record(world, DICTIONARY[10:13], discoverable=False)
    assert words_of(tags, rid, {w: discoverable_key(NETWORK, t) for w, t in tokens.items()}) == set()
    assert words_of(tags, rid, {w: reader_key(NETWORK, x, bytes(32), t) for w, t in tokens.items()}) == set()
    # With a reader of the scope among them, they ask what they like and nobody counts it.
    assert words_of(tags, rid, {w: reader_key(NETWORK, x, ik, t) for w, t in tokens.items()}) == set(DICTIONARY[10:13])


def test_fewer_can_ask_nothing(world: SearchWorld) -> None:
    """t - 1 shares interpolate to some other key; the dictionary they make with it matches nothing."""
    few = [1, 2, 3, 4]
    key = pooled(world, few)
    assert base_mul(key).encode() != world.key.public
    tokens = offline(key, DICTIONARY)
    assert not set(tokens.values()) & set(world.tokens(DICTIONARY))
    _, _, rid, tags = record(world, DICTIONARY[10:13], discoverable=True)
    assert words_of(tags, rid, {w: discoverable_key(NETWORK, t) for w, t in tokens.items()}) == set()


def test_fewer_shares_fit_every_key(world: SearchWorld) -> None:
    """For any key there is a polynomial through the t - 1 shares: as numbers they rule out none."""
    few = [2, 4, 6, 7]
    for _ in range(5):
        claimed = random_scalar(world.random)
        # The share that index 1 would have if the key were the claimed one: interpolate through (0, claimed) and the few.
        weights = lagrange_coefficients([*few, 1])
        others = [w * world.shares[i].k for w, i in zip(weights, few, strict=False)]
        rest = claimed
        for term in others:
            rest = rest - term
        fitting = rest * weights[-1].invert()
        assert interpolate_scalar([*few, 1], [*(world.shares[i].k for i in few), fitting]) == claimed


def test_fewer_answers_do_not_make_a_token(world: SearchWorld) -> None:
    """t - 1 nodes answer an honest-looking question among themselves: their combination is not the token."""
    asked = ask([Keyword("word7")], world.random)
    order = check_order(TX, asked.order, asked.blinded)
    answers = {i: voprf.evaluate(world.shares[i].k, order.points)[0] for i in (1, 2, 3, 4)}
    whole = interpolate_point(list(answers), list(answers.values()))
    guess = voprf.finalize([b"word7"], voprf.unblind(asked.blinds, [whole]))
    assert guess != world.tokens(["word7"])
    with pytest.raises(Refused, match="too-few-answers"):
        combine(asked, world.key, [CheckedEvaluation(i, (point,)) for i, point in answers.items()])


def test_with_a_threshold_of_one_any_node_can_ask_anything() -> None:
    """The repair out: one node with the key does what t must do together."""
    world = SearchWorld(4, 1, "no threshold")
    tokens = offline(world.shares[3].k, DICTIONARY)
    _, _, rid, tags = record(world, DICTIONARY[20:22], discoverable=True)
    assert words_of(tags, rid, {w: discoverable_key(NETWORK, t) for w, t in tokens.items()}) == set(DICTIONARY[20:22])


def seen_words(elements: tuple[Point, ...]) -> set[str]:
    """A curious node compares what it was sent with the dictionary's points, and with their multiples under its guesses."""
    points = {p.encode(): word for word, p in zip(DICTIONARY, voprf.hash_to_group([w.encode() for w in DICTIONARY]), strict=True)}
    return {points[e.encode()] for e in elements if e.encode() in points}


def test_nodes_do_not_see_the_words(world: SearchWorld) -> None:
    words = [Keyword(word) for word in DICTIONARY[:4]]
    asked = ask(words, world.random)
    assert seen_words(check_order(TX, asked.order, asked.blinded).points) == set()
    # All nodes together: the elements of two questions for one word are to each other as any two elements are.
    again = ask(words, world.random)
    ratio = again.blinds[0] * asked.blinds[0].invert()
    points = [check_order(TX, a.order, a.blinded).points for a in (asked, again)]
    assert points[0][0].mul(ratio) == points[1][0]
    assert points[0][1].mul(ratio) != points[1][1]
    # The repair out: unblinded, every node reads the words.
    assert seen_words(tuple(voprf.hash_to_group([word.encode() for word in words]))) == set(words)


def test_without_proofs_one_liar_spoils_every_token_unseen(world: SearchWorld) -> None:
    """The repair out: answers combined unchecked. The tokens are wrong, and nothing says who did it."""
    words = [Keyword("word1"), Keyword("word2")]
    asked = ask(words, world.random)
    honest = [world.answer(i, asked, TX) for i in (1, 2, 3, 4, 5, 6)]
    points = [Point.decode(honest[0].elements[i : i + 32]) for i in (0, 32)]
    lie = replace(honest[0], elements=b"".join((p + Point.generator()).encode() for p in points))
    lie = replace(lie, signature=world.keys[1].sign(NETWORK, labels.SIG_EVALUATION, lie.to_value()[:-1], world.random))

    def unchecked(evaluation):
        return CheckedEvaluation(
            evaluation.index, tuple(Point.decode(evaluation.elements[i : i + 32]) for i in range(0, len(evaluation.elements), 32))
        )

    spoilt = combine(asked, world.key, [unchecked(e) for e in [lie, *honest[1:5]]])
    assert not set(spoilt.values()) & set(world.tokens(words))
    # With them: the liar is named and the tokens are right.
    gathered = gather(NETWORK, world.key, asked, TX, [lie, *honest[1:]])
    assert list(gathered.tokens.values()) == world.tokens(words)
    assert set(gathered.liars) == {"hospital-1/node"}


def test_every_byte_of_what_travels(world: SearchWorld) -> None:
    """Question and answer: no altered byte passes, and none convicts anybody."""
    asked = ask([Keyword("word1"), Keyword("word2")], world.random)
    order, answer = check_order(TX, asked.order, asked.blinded), world.answer(2, asked, TX)

    reasons = set()

    def reads_answer(data: bytes) -> None:
        try:
            check_evaluation(NETWORK, world.key, order, Evaluation.decode(data))
        except Refused as error:
            reasons.add(error.reason)
            raise

    assert accepted_flips(answer.encode(), reads_answer) == []
    assert "bad-signature" in reasons
    assert "bad-evaluation" not in reasons
    assert accepted_flips(asked.blinded.encode(), lambda data: check_order(TX, asked.order, BlindedWords.decode(data))) == []
    assert accepted_flips(asked.order.encode(), lambda data: check_order(TX, TokenOrder.decode(data), asked.blinded)) == []
