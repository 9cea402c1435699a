"""Tags: the native form and its readable twin, padding, bounds."""

from __future__ import annotations

import pytest

from salus._native import TagKeys
from salus.errors import Refused
from salus.search.tags import (
    TAGS_MAX,
    TAGS_MIN,
    WORDS_MAX,
    check_tags_form,
    discoverable_key,
    discoverable_keys,
    make_tags,
    padded,
    reader_key,
    reader_keys,
    tag_of,
)
from support.search_world import NETWORK, SearchWorld, SeededRandom


def pieces(tags: bytes) -> list[bytes]:
    return [tags[i : i + 16] for i in range(0, len(tags), 16)]


@pytest.fixture
def random() -> SeededRandom:
    return SeededRandom("tags")


def test_native_keys_and_tags_are_those_of_the_readable_form(random: SeededRandom) -> None:
    index_keys = {random(32): random(32) for _ in range(5)}
    tokens, rid = [random(64) for _ in range(3)], random(16)
    keys = reader_keys(NETWORK, index_keys, tokens)
    expected = [tag_of(reader_key(NETWORK, x, ik, token), rid) for token in tokens for x, ik in index_keys.items()]
    assert keys.tags(rid) == expected
    assert keys.scopes() == list(index_keys) * 3
    assert len(keys) == 15
    assert discoverable_keys(NETWORK, tokens).tags(rid) == [tag_of(discoverable_key(NETWORK, token), rid) for token in tokens]
    assert discoverable_keys(NETWORK, tokens).scopes() == [bytes(32)] * 3


def test_aes_256_of_fips_197() -> None:
    """FIPS 197, appendix C.3."""
    tag = tag_of(bytes(range(32)), bytes.fromhex("00112233445566778899aabbccddeeff"))
    assert tag.hex() == "8ea2b7ca516745bfeafc49904b496089"


def test_everything_enters_the_key_of_a_tag(random: SeededRandom) -> None:
    x, ik, token = random(32), random(32), random(64)
    keys = {
        reader_key(NETWORK, x, ik, token),
        reader_key(bytes(32), x, ik, token),
        reader_key(NETWORK, random(32), ik, token),
        reader_key(NETWORK, x, random(32), token),
        reader_key(NETWORK, x, ik, random(64)),
        discoverable_key(NETWORK, token),
        discoverable_key(bytes(32), token),
    }
    assert len(keys) == 7


@pytest.mark.parametrize("words", [0, 1, 7, 8, 9, 63, 64, 65, 1023, 1024])
@pytest.mark.parametrize("discoverable", [False, True])
def test_the_number_of_tags_is_padded(random: SeededRandom, words: int, discoverable: bool) -> None:
    x, ik, rid = random(32), random(32), random(16)
    tokens = [random(64) for _ in range(words)]
    tags = make_tags(NETWORK, x, rid, ik, tokens, discoverable, random)
    check_tags_form(tags)
    count = len(pieces(tags))
    real = words * (2 if discoverable else 1)
    assert count == padded(real)
    assert real <= count <= max(TAGS_MIN, 2 * real - 1 if real > 1 else 0, TAGS_MIN)
    assert count & (count - 1) == 0
    held = set(pieces(tags))
    assert all(tag_of(reader_key(NETWORK, x, ik, token), rid) in held for token in tokens)
    assert all((tag_of(discoverable_key(NETWORK, token), rid) in held) == discoverable for token in tokens)


def test_padding_is_fresh_and_repeated_tokens_count_once(random: SeededRandom) -> None:
    x, ik, rid, token = random(32), random(32), random(16), random(64)
    one, other = (set(pieces(make_tags(NETWORK, x, rid, ik, [token] * 20, False, random))) for _ in range(2))
    assert len(one) == len(other) == 8
    assert one & other == {tag_of(reader_key(NETWORK, x, ik, token), rid)}


def test_too_many_words(random: SeededRandom) -> None:
    with pytest.raises(Refused, match="too-large"):
        make_tags(NETWORK, random(32), random(16), random(32), [random(64) for _ in range(WORDS_MAX + 1)], False, random)
    with pytest.raises(Refused, match="too-large"):
        padded(TAGS_MAX + 1)


def test_form_of_tags(random: SeededRandom) -> None:
    good = sorted(random(16) for _ in range(8))
    check_tags_form(b"".join(good))
    for bad in [
        [],
        good[:4],
        good[:7],
        [*good, random(16)],
        good[::-1],
        [good[0], good[0], *good[2:]],
        sorted(random(16) for _ in range(4096)),
        sorted(random(16) for _ in range(24)),
    ]:
        with pytest.raises(Refused, match="bad-tags"):
            check_tags_form(b"".join(bad))
    with pytest.raises(Refused, match="bad-tags"):
        check_tags_form(b"".join(good)[:-1])


def test_malformed_keys(random: SeededRandom) -> None:
    good = ([random(32)], [random(32)], [random(64)])
    assert len(TagKeys.derive(NETWORK, *good)) == 1
    for scopes, index_keys, tokens in [
        ([], [], []),
        ([random(31)], good[1], good[2]),
        (good[0], [random(33)], good[2]),
        (good[0], good[1], [random(32)]),
        (good[0] * 2, good[1], good[2]),
        ([bytes(32)], good[1], good[2]),
        ([random(32)] * (2**17 + 1), good[1] * (2**17 + 1), good[2] * (2**17 + 1)),
    ]:
        with pytest.raises(ValueError, match=r"bytes|length|keys|zeros"):
            TagKeys.derive(NETWORK, scopes, index_keys, tokens)
    with pytest.raises(Refused, match="bad-encoding"):
        discoverable_keys(NETWORK, [random(63)])
    with pytest.raises(Refused, match="bad-encoding"):
        reader_keys(NETWORK, {random(32): random(31)}, good[2])
    with pytest.raises(ValueError, match="16 bytes"):
        reader_keys(NETWORK, {random(32): random(32)}, good[2]).tags(random(15))


def test_keys_show_nothing(random: SeededRandom) -> None:
    keys = reader_keys(NETWORK, {random(32): random(32)}, [random(64)])
    assert repr(keys) == str(keys) == "TagKeys(..)"
    assert not [name for name in dir(keys) if "key" in name.lower() or ("bytes" in name.lower() and not name.startswith("__"))]


def test_a_question_finds_what_an_owner_indexed() -> None:
    world = SearchWorld()
    scope = world.scope()
    entry = world.entry(scope, ["hypertension", "loinc|8867-4"])
    held = set(pieces(entry.tags))
    assert set(world.question([scope], ["hypertension", "loinc|8867-4"]).tags(entry.rid)) <= held
    assert not set(world.question([scope], ["asthma"]).tags(entry.rid)) & held
