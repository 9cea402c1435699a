"""What the readers of formats put keywords into: each once, in order, within a bound."""

from __future__ import annotations

from typing import Final

from salus.errors import Refused
from salus.search import keyword
from salus.search.code_systems import known
from salus.search.keyword import Keyword
from salus.search.tags import WORDS_MAX

DISTINCT_MAX: Final = 16 * WORDS_MAX
"""Keywords that are counted; of a file with more, those that come later are not even that."""


class Collector:
    """Codes and words of one record.

    :ivar note: what the owner should know, e.g. that a part of the file was not looked at; empty if nothing.
    """

    def __init__(self) -> None:
        self._codes: dict[Keyword, None] = {}
        self._words: dict[Keyword, None] = {}
        self._many: dict[Keyword, None] = {}
        self.note = ""

    def code(self, system: str, value: str) -> None:
        """A code; an empty one and one that is too long to be one are passed over."""
        self._add(self._codes, system, value)

    def code_of_many(self, system: str, value: str) -> None:
        """A code of a kind that a file may hold by the thousand (variants of a genome): the first to be left out."""
        self._add(self._many, system, value)

    def words(self, text: str) -> None:
        """The words of a display."""
        if text and len(self._words) < DISTINCT_MAX:
            self._words.update(dict.fromkeys(keyword.words(text)))

    def cut_off(self, note: str) -> None:
        """A part of the file was not looked at."""
        self.note = note

    def keywords(self) -> list[Keyword]:
        """All of them, in the order in which they are kept if there are too many.

        Codes of well-known systems, other codes, words of displays, codes that come by the thousand.
        """
        clinical_first = sorted(self._codes, key=lambda code: not known(code.partition(keyword.SEPARATOR)[0]))
        return [*clinical_first, *self._words, *self._many]

    @staticmethod
    def _add(kept: dict[Keyword, None], system: str, value: str) -> None:
        try:
            found = keyword.code(system, value)
        except Refused:
            return
        if len(kept) < DISTINCT_MAX:
            kept[found] = None
