"""Reading a policy's text. Errors point at the character.

::

    policy    = both ("or" both)*
    both      = part ("and" part)*                      "and" binds tighter than "or"
    part      = attribute | "(" policy ")" | number "of" "(" policy ("," policy)* ")"
    attribute = name ":" value ["@" year]

Between words stands any number of spaces, tabs and line ends. Recursive descent, its depth bounded by the depth of a policy.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from salus.abpre.attributes import fault
from salus.abpre.policy import DEPTH_MAX, ROWS_MAX, TEXT_CHARACTERS_MAX, Atom, Node, Policy, PolicyError, gate
from salus.errors import Refused

_WORD: Final = re.compile(r"[(),]|[^\s(),]+")
_JOINTS: Final = ("and", "or", "of")


class _Word(msgspec.Struct, frozen=True):
    text: str
    at: int


def parse(text: str) -> Policy:
    """Read a policy in any spelling.

    :param text: at most 16,384 characters.
    :raises PolicyError: ``bad-policy`` or ``too-large``, with the position.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise PolicyError(f"a policy has at most {TEXT_CHARACTERS_MAX} characters", text, TEXT_CHARACTERS_MAX, "too-large")
    return _Reader(text).read()


def parse_canonical(text: str) -> Policy:
    """Read a policy that must be in canonical text already: what is stored, signed and hashed.

    :raises PolicyError: also if the text is another spelling of a policy, pointing at the first difference.
    """
    policy = parse(text)
    if policy.text != text:
        at = next(
            (i for i, (a, b) in enumerate(zip(text, policy.text, strict=False)) if a != b), min(len(text), len(policy.text))
        )
        raise PolicyError("the policy is not written in its canonical text", text, at)
    return policy


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.words = [_Word(match[0], match.start()) for match in _WORD.finditer(text)]
        self.next = 0
        self.leaves = 0

    def read(self) -> Policy:
        if not self.words:
            raise PolicyError("the policy is empty: write an attribute such as role:doctor", self.text, len(self.text))
        root = self._policy(0)
        if (word := self._peek()) is not None:
            raise self._error(self._unexpected(word), word)
        try:
            return Policy(root)
        except Refused as refusal:
            raise PolicyError(refusal.detail, self.text, 0, refusal.reason) from None

    def _peek(self) -> _Word | None:
        return self.words[self.next] if self.next < len(self.words) else None

    def _takes(self, text: str) -> bool:
        word = self._peek()
        found = word is not None and word.text == text
        self.next += found
        return found

    def _error(self, message: str, word: _Word | None, reason: str = "bad-policy") -> PolicyError:
        return PolicyError(message, self.text, len(self.text) if word is None else word.at, reason)

    def _policy(self, depth: int) -> Node:
        parts = [self._both(depth)]
        while self._takes("or"):
            parts.append(self._both(depth))
        return gate(1, parts)

    def _both(self, depth: int) -> Node:
        parts = [self._part(depth)]
        while self._takes("and"):
            parts.append(self._part(depth))
        return gate(len(parts), parts)

    def _part(self, depth: int) -> Node:
        word = self._peek()
        if word is None:
            raise self._error("the policy ends where an attribute, '(' or 'k of (' should follow", None)
        if word.text == "(":
            return self._bracket(depth)[0]
        if word.text.isascii() and word.text.isdigit():
            return self._some_of(word, depth)
        if word.text in _JOINTS or word.text in "),":
            raise self._error(f"'{word.text}' stands where an attribute, '(' or 'k of (' should", word)
        return self._attribute(word)

    def _bracket(self, depth: int) -> list[Node]:
        """``( policy , policy , .. )``; the first only, unless :meth:`_some_of` goes on."""
        parts = [self._opened(depth)]
        self._close()
        return parts

    def _opened(self, depth: int) -> Node:
        word = self._peek()
        if not self._takes("("):
            raise self._error("'(' should follow here", word)
        if depth >= DEPTH_MAX:
            raise self._error(f"a policy is nested at most {DEPTH_MAX} deep", word, "too-large")
        return self._policy(depth + 1)

    def _close(self) -> None:
        if not self._takes(")"):
            word = self._peek()
            raise self._error("a ')' is missing here" if word is None else self._unexpected(word), word)

    def _some_of(self, number: _Word, depth: int) -> Node:
        self.next += 1
        if not self._takes("of"):
            raise self._error("'of' should follow a number, as in '2 of (a:x, b:y, c:z)'", self._peek())
        parts = [self._opened(depth)]
        while self._takes(","):
            parts.append(self._policy(depth + 1))
        self._close()
        # Long numbers are not converted: only their length matters then.
        digits = number.text.lstrip("0")
        if not digits or len(digits) > len(str(ROWS_MAX)) or int(digits) > len(parts):
            raise self._error(f"of {len(parts)} parts, 1 to {len(parts)} can be asked for", number)
        if digits != number.text:
            raise self._error("a number does not begin with 0", number)
        return gate(int(digits), parts)

    def _attribute(self, word: _Word) -> Node:
        wrong = fault(word.text)
        if wrong is not None:
            raise PolicyError(wrong[1], self.text, word.at + wrong[0])
        self.next += 1
        self.leaves += 1
        if self.leaves > ROWS_MAX:
            raise self._error(f"a policy has at most {ROWS_MAX} attributes", word, "too-large")
        return Atom(word.text)

    def _unexpected(self, word: _Word) -> str:
        if word.text == ")":
            return "this ')' closes nothing"
        if word.text == ",":
            return "a ',' only separates the parts of 'k of (..)'"
        return "'and' or 'or' should stand before this"
