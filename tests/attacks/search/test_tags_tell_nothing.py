"""Claim: who has no index key learns nothing about a tag, not even with the word's token and every other tag in hand.

The harness is the same for this project's tags, for the seed's MAC under global parameters, and for tags with one repair taken
out; against those it must succeed.
"""

from __future__ import annotations

import pytest
from search.game import (
    ADVERSARIES,
    NO_ADVANTAGE,
    advantage,
    compares_with_other_records,
    ours,
    recomputes_the_mac,
    seeds_mac,
    uses_the_token_alone,
    without_index_key,
    without_record,
)

from salus.search.tags import discoverable_key, make_tags, padded, reader_key, tag_of
from support.consultation_world import weaken
from support.search_world import NETWORK, SearchWorld


@pytest.fixture(scope="module")
def world() -> SearchWorld:
    return SearchWorld(seed="game")


@pytest.mark.parametrize("name", ADVERSARIES)
def test_no_adversary_has_an_advantage(world: SearchWorld, name: str) -> None:
    assert advantage(world, ours, ADVERSARIES[name]) < NO_ADVANTAGE


def test_the_seeds_mac_is_an_open_book(world: SearchWorld) -> None:
    """IndexGen(GP, D) -> MAC: anyone tests any word against any record."""
    assert advantage(world, seeds_mac, recomputes_the_mac) == 1
    assert advantage(world, seeds_mac, compares_with_other_records) == 1


def test_without_the_index_key_a_token_is_enough(world: SearchWorld) -> None:
    """So any institution could search every record: what *discoverable* means, and nothing else may."""
    assert advantage(world, without_index_key, uses_the_token_alone) == 1


def test_without_the_record_in_it_equal_tags_show_shared_words(world: SearchWorld) -> None:
    assert advantage(world, without_record, compares_with_other_records) == 1


def shared(one: bytes, other: bytes) -> int:
    return len({one[i : i + 16] for i in range(0, len(one), 16)} & {other[i : i + 16] for i in range(0, len(other), 16)})


def test_nobody_sees_which_records_share_words(world: SearchWorld) -> None:
    """Two records with the same twenty words have no tag in common, discoverable or not; without rid they have all."""
    tokens, x, ik = world.tokens(f"word{i}" for i in range(20)), world.random(32), world.random(32)
    for discoverable in (False, True):
        entries = [make_tags(NETWORK, x, world.random(16), ik, tokens, discoverable, world.random) for _ in range(2)]
        assert shared(*entries) == 0
    repaired_out = [make_tags(NETWORK, x, bytes(16), ik, tokens, False, world.random) for _ in range(2)]
    assert shared(*repaired_out) == 20


def advantage_of_counting(world: SearchWorld, few: int, many: int, rounds: int = 200) -> float:
    """The game: by a coin a record has few or many words; the adversary counts its tags.

    It says many if there are more than few.
    """
    x, ik, right = world.random(32), world.random(32), 0
    for _ in range(rounds):
        words = many if world.random(1)[0] % 2 else few
        tags = make_tags(NETWORK, x, world.random(16), ik, [world.random(64) for _ in range(words)], False, world.random)
        right += (len(tags) // 16 > few) == (words == many)
    return abs(2 * right / rounds - 1)


def test_the_number_of_tags_tells_a_power_of_two_only(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded, 9 and 16 words are one, as are 1 and 8; unpadded, the adversary names the number each time."""
    for few, many in ((9, 16), (1, 8)):
        assert advantage_of_counting(world, few, many) < 0.25
    assert advantage_of_counting(world, 16, 17) == 1, "what padding does not hide"
    weaken(monkeypatch, padded, lambda count: count)
    for few, many in ((9, 16), (1, 8)):
        assert advantage_of_counting(world, few, many) == 1


def test_the_order_of_tags_does_not_tell_real_ones_from_padding(world: SearchWorld) -> None:
    """Places of the only real tag among eight, over many records: one as often as another. Unsorted it would be the first."""
    x, ik, (token,) = world.random(32), world.random(32), world.tokens(["hypertension"])
    places = [0] * 8
    for _ in range(800):
        rid = world.random(16)
        tags = make_tags(NETWORK, x, rid, ik, [token], False, world.random)
        real = tag_of(reader_key(NETWORK, x, ik, token), rid)
        places[[tags[i : i + 16] for i in range(0, 128, 16)].index(real)] += 1
    # 100 each is expected, with a standard deviation of 9.4.
    assert max(abs(n - 100) for n in places) < 40


def test_a_discoverable_record_is_found_by_all_who_know_the_word(world: SearchWorld) -> None:
    """What the owner gives away by the mark, shown: the token alone finds it, and only it."""
    x, ik, rid, (token,) = world.random(32), world.random(32), world.random(16), world.tokens(["asthma"])
    tag = tag_of(discoverable_key(NETWORK, token), rid)
    marked = make_tags(NETWORK, x, rid, ik, [token], True, world.random)
    unmarked = make_tags(NETWORK, x, rid, ik, [token], False, world.random)
    assert shared(marked, tag) == 1
    assert shared(unmarked, tag) == 0
