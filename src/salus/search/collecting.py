"""What the readers of formats put keywords into: each once, in order, within a bound."""

from __future__ import annotations

from typing import Final

from salus.errors import Refused
from salus.search import keyword
from salus.search.keyword import Keyword
from salus.search.tags import WORDS_MAX

DISTINCT_MAX: Final = 16 * WORDS_MAX
"""Keywords that are counted; of a file with more, those that come later are not even that."""


class Collector:
    """Codes and words of one record."""

    def __init__(self) -> None:
        self._codes: dict[Keyword, None] = {}
        self._words: dict[Keyword, None] = {}

    def code(self, system: str, value: str) -> None:
        """A code; an empty one and one that is too long to be one are passed over."""
        try:
            found = keyword.code(system, value)
        except Refused:
            return
        if len(self._codes) < DISTINCT_MAX:
            self._codes[found] = None

    def words(self, text: str) -> None:
        """The words of a display."""
        if text and len(self._words) < DISTINCT_MAX:
            self._words.update(dict.fromkeys(keyword.words(text)))

    def keywords(self) -> list[Keyword]:
        """All of them, codes first: if there are too many, words are left out before codes."""
        return [*self._codes, *self._words]
