"""Keywords of C-CDA: every element with a code and its code system, and the words of its display name (HL7 CDA Release 2, data
type CD). Narrative text and names are not indexed."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from salus.records.ccda import Walker, walk
from salus.records.info import Peek
from salus.search.collecting import Collector


def collect(peek: Peek, found: Collector) -> None:
    """Collect the keywords of a document.

    :raises FormatError: malformed or too large.
    """
    walk(peek, _Codes(found))


class _Codes(Walker):
    def __init__(self, found: Collector) -> None:
        super().__init__()
        self._found = found

    def seen(self, path: list[str], element: Element) -> None:
        code, system = element.get("code", ""), element.get("codeSystem", "")
        if code and system:
            self._found.code(system, code)
            self._found.words(element.get("displayName", ""))
