"""Keywords: the one form that owner and reader both bring a word or a code to before it is blinded.

A keyword is text: a *word* (``hypertension``), a *code* with its system (``snomed|59621000``) or a record's *digest*. What
differs only in case, width, spacing or in how a format names a code system is one keyword.

Steps: docs/protocol/search.md, "keywords".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, NewType

from salus.errors import Refused, refuse_unless
from salus.search.code_systems import resembling, short_name

Keyword = NewType("Keyword", str)
"""A normalised keyword."""

KEYWORD_BYTES_MAX: Final = 256
"""UTF-8 bytes of one keyword; longer words and codes are no one's search terms."""
TEXT_CHARACTERS_MAX: Final = 4096
"""Of one display text that is taken apart."""
SEPARATOR: Final = "|"
_DIGEST: Final = "digest"

_WORD: Final = re.compile(r"[^\W_]+", re.UNICODE)
_FUNCTION_WORDS: Final = frozenset(
    re.findall(r"\w+", "an and are as at by for from in is it no not of on or other per than that the to with without")
)
"""English words that say nothing about a record; displays are in English nearly everywhere."""


def normalise(text: str) -> str:
    """Case-folded, compatibility-composed (NFKC), one blank between parts, nothing invisible.

    Characters that this Python's Unicode does not assign are dropped: what a later version makes of them is not known yet,
    and a keyword must not depend on it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    visible = "".join(" " if c.isspace() else c for c in folded if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join(visible.split())


def word(text: str) -> Keyword:
    """The keyword of one word.

    :raises Refused: ``bad-keyword`` if it is empty, more than one word, or over 256 bytes.
    """
    found = _WORD.findall(normalise(text[:TEXT_CHARACTERS_MAX]))
    refuse_unless(len(found) == 1, "bad-keyword", f"{len(found)} words where one is due")
    return _bounded(found[0])


def words(text: str) -> tuple[Keyword, ...]:
    """The words of a display text, each once, in order: without single letters and function words, and none over 256 bytes.

    Punctuation separates: ``COVID-19`` is two words, also in a question.
    """
    found = dict.fromkeys(_WORD.findall(normalise(text[:TEXT_CHARACTERS_MAX])))
    kept = (w for w in found if (len(w) > 1 or w.isdigit() or ord(w) > 0x2E7F) and w not in _FUNCTION_WORDS)
    return tuple(Keyword(w) for w in kept if len(w.encode()) <= KEYWORD_BYTES_MAX)


def code(system: str, value: str) -> Keyword:
    """The keyword of a code: ``short name of the system|code``; the system is empty where a format gives none.

    :param system: URI, OID, HL7 table 0396 mnemonic or DICOM designator; known ones have one short name.
    :raises Refused: ``bad-keyword`` if the code is empty or the keyword too long.
    """
    normal = normalise(value[:TEXT_CHARACTERS_MAX])
    refuse_unless(bool(normal), "bad-keyword", "an empty code")
    return _bounded(short_name(normalise(system[:TEXT_CHARACTERS_MAX])) + SEPARATOR + normal)


def of_digest(digest: bytes) -> Keyword:
    """The keyword under which a record is found by the digest of its body.

    :param digest: 32 bytes.
    """
    return Keyword(_DIGEST + SEPARATOR + digest.hex())


def own_keywords(text: str) -> tuple[Keyword, ...]:
    """Keywords of words that the owner adds: ``system|code``, or words.

    :raises Refused: ``bad-keyword`` if nothing is left, or something is too long.
    """
    if SEPARATOR in text:
        system, _, value = text.partition(SEPARATOR)
        return (code(system, value),)
    found = words(text)
    refuse_unless(bool(found), "bad-keyword", "a keyword holds no word that is indexed: letters or digits, two at least")
    return found


def question(text: str) -> tuple[tuple[Keyword, ...], ...]:
    """What to look for when a person asks for ``text``: all of the parts, any alternative of each.

    ``system|code`` is a code. Anything else is words; one that looks like a code of a well-known system (``8867-4``, ``I10``) may
    also be that code.

    :raises Refused: ``bad-keyword`` if nothing is left to look for.
    """
    if SEPARATOR in text:
        return (own_keywords(text),)
    parts: list[tuple[Keyword, ...]] = []
    for piece in normalise(text[:TEXT_CHARACTERS_MAX]).split(" "):
        codes = tuple(_bounded(system + SEPARATOR + piece) for system in resembling(piece))
        found = words(piece)
        if len(found) == 1 or not codes:
            # One word: it or a code of that form. Several words (``heart-rate``): each of them.
            parts += [(w, *codes) for w in found]
        else:
            parts.append(codes)
    refuse_unless(bool(parts), "bad-keyword", "nothing is left to look for")
    return tuple(dict.fromkeys(parts))


def check_keywords(keywords: Iterable[str]) -> tuple[Keyword, ...]:
    """Texts that are keywords already (from a file, from another party), each once.

    :raises Refused: ``bad-keyword`` for one that is not in normal form.
    """
    checked = []
    for text in dict.fromkeys(keywords):
        normal = bool(text) and len(text.encode("utf-8", "surrogatepass")) <= KEYWORD_BYTES_MAX and normalise(text) == text
        refuse_unless(normal, "bad-keyword", "a keyword is not in normal form")
        checked.append(Keyword(text))
    return tuple(checked)


def _bounded(text: str) -> Keyword:
    if len(text.encode()) > KEYWORD_BYTES_MAX:
        raise Refused("bad-keyword", f"a keyword has at most {KEYWORD_BYTES_MAX} bytes")
    return Keyword(text)
