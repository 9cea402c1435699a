"""Questions of people, from text to records; the book of tokens."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.errors import Refused
from salus.search.answer import BOOK_WORDS_MAX, KnownToken, TokenBook, keywords_of, matches
from salus.search.keyword import Keyword, question
from salus.search.tags import discoverable_keys, reader_keys
from support.search_world import NETWORK, SearchWorld, index_of


@pytest.fixture(scope="module")
def world() -> SearchWorld:
    return SearchWorld(seed="answers")


def test_all_parts_and_any_alternative(world: SearchWorld) -> None:
    scopes = [world.scope(), world.scope()]
    held = [["heart", "rate"], ["heart"], ["rate", "heart", "icd10|i10"], ["icd10cm|i10"], ["i10", "heart"], []]
    entries = [world.entry(scopes[n % 2], words) for n, words in enumerate(held)]
    index = index_of(*entries)
    for text, expected in [
        ("heart rate", [0, 2]),
        ("Heart", [0, 1, 2, 4]),
        ("I10", [2, 3, 4]),
        ("heart I10", [2, 4]),
        ("ICD10|I10", [2]),
        ("lung", []),
        ("heart lung", []),
    ]:
        parts = question(text)
        keys = reader_keys(NETWORK, {s.x: s.index_key for s in scopes}, world.tokens(keywords_of(parts)))
        found = matches(parts, len(scopes), index.search(keys).records)
        assert sorted(found) == sorted(entries[n].rid for n in expected), text


def test_discoverable(world: SearchWorld) -> None:
    entries = [world.entry(world.scope(), words, discoverable=n != 1) for n, words in enumerate((["asthma", "child"],) * 3)]
    parts = question("asthma child")
    keys = discoverable_keys(NETWORK, world.tokens(keywords_of(parts)))
    found = matches(parts, 1, index_of(*entries).search(keys).records)
    assert sorted(found) == sorted([entries[0].rid, entries[2].rid])


def test_a_match_of_nothing_asked_is_refused() -> None:
    with pytest.raises(Refused, match="bad-encoding"):
        matches(question("heart"), 3, [(3, bytes(16))])


def test_the_book_keeps_each_token_once(world: SearchWorld) -> None:
    book = TokenBook()
    words = [Keyword("heart"), Keyword("rate")]
    assert book.missing([*words, *words]) == tuple(words)
    book = book.adding(dict(zip(words, world.tokens(words), strict=True)))
    assert book.missing([*words, Keyword("lung")]) == ("lung",)
    again = TokenBook.decode(book.adding({words[0]: bytes(64)}).encode())
    again.check()
    assert again.known() == {"rate": world.tokens(["rate"])[0], "heart": bytes(64)}
    assert "heart" not in repr(again)


def test_the_oldest_go_first() -> None:
    book = TokenBook(tuple(KnownToken(f"w{n}", bytes(64)) for n in range(BOOK_WORDS_MAX)))
    fuller = book.adding({Keyword("new"): bytes(64)})
    assert len(fuller.tokens) == BOOK_WORDS_MAX
    assert fuller.missing([Keyword("w0"), Keyword("w1"), Keyword("new")]) == ("w0",)


def test_a_spoilt_book() -> None:
    good = KnownToken("heart", bytes(64))
    for tokens in [(good, good), (replace(good, keyword="Heart"),), (replace(good, keyword=" heart"),)]:
        with pytest.raises(Refused, match="bad-keyword"):
            TokenBook(tokens).check()
