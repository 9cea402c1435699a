"""From what a person asks to the records that answer it: all parts of the question, any alternative of each.

Steps: docs/protocol/search.md, "questions". Tokens that were asked for once are kept in a :class:`TokenBook`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

from salus.codec import Bytes64, Message, Size
from salus.errors import refuse_unless
from salus.search.keyword import KEYWORD_BYTES_MAX, Keyword, check_keywords

BOOK_WORDS_MAX: Final = 1 << 16
"""Tokens that a terminal keeps: some ten thousand codes and words, 5 MiB; the oldest go first."""
Parts = tuple[tuple[Keyword, ...], ...]
"""What :func:`salus.search.keyword.question` gives."""


class KnownToken(Message, frozen=True):
    """A keyword and its token."""

    KIND = "search.known-token"

    keyword: Annotated[str, Size(1, KEYWORD_BYTES_MAX)]
    token: Bytes64


class TokenBook(Message, frozen=True):
    """Tokens of words already asked, oldest first: a terminal asks for each word once. Kept where the wallet is; whoever reads it
    sees what its owner searched for."""

    KIND = "search.token-book"

    tokens: Annotated[tuple[KnownToken, ...], Size(0, BOOK_WORDS_MAX)] = ()

    def check(self) -> None:
        """Whether a stored book is one: keywords in normal form, each once.

        :raises Refused: ``bad-keyword``.
        """
        words = check_keywords(known.keyword for known in self.tokens)
        refuse_unless(len(words) == len(self.tokens), "bad-keyword", "a keyword is in the book twice")

    def known(self) -> dict[Keyword, bytes]:
        """Keyword -> token."""
        return {Keyword(known.keyword): known.token for known in self.tokens}

    def missing(self, keywords: Iterable[Keyword]) -> tuple[Keyword, ...]:
        """Those that have still to be asked for, each once."""
        known = self.known()
        return tuple(word for word in dict.fromkeys(keywords) if word not in known)

    def adding(self, tokens: Mapping[Keyword, bytes]) -> TokenBook:
        """The book with new tokens at its end."""
        kept = {**{word: token for word, token in self.known().items() if word not in tokens}, **tokens}
        newest = list(kept.items())[-BOOK_WORDS_MAX:]
        return TokenBook(tuple(KnownToken(word, token) for word, token in newest))


def keywords_of(parts: Parts) -> tuple[Keyword, ...]:
    """Every keyword of a question, each once, in order: the order of the tokens whose keys are boxed (questions, step 1)."""
    return tuple(dict.fromkeys(word for part in parts for word in part))


def matches(parts: Parts, keys_a_word: int, records: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """The records that answer a question (questions, step 5), in the order found.

    :param keys_a_word: how many scopes each keyword was asked in; 1 for discoverable records.
    :param records: (place of the key, rid) as :class:`salus.search.index.Found` has them; keys stand by keyword, then by scope.
    :raises Refused: ``bad-encoding`` for a place outside the question.
    """
    words = keywords_of(parts)
    found: dict[bytes, set[Keyword]] = {}
    for place, rid in records:
        refuse_unless(place < keys_a_word * len(words), "bad-encoding", "a match of a key that was not asked for")
        found.setdefault(rid, set()).add(words[place // keys_a_word])
    return [rid for rid, held in found.items() if all(not held.isdisjoint(part) for part in parts)]
