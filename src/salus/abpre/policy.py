"""Policies: and, or, k of (..) over attributes, nested, in one canonical text.

    (role:doctor@2026 and dept:cardiology@2026) or 2 of (site:a@2026, site:b@2026, cert:icu@2026)

A policy is a tree. Making one flattens ``and`` in ``and`` and ``or`` in ``or``, and writes ``1 of`` as ``or`` and ``n of`` n as
``and``, so that two spellings of one tree have one text; the order of the parts is kept. An attribute may occur more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from salus.abpre.attributes import OWN, canonical_attribute, own_attribute, scope_of, with_year
from salus.errors import Refused, refuse_unless

ROWS_MAX: Final = 128
"""Attributes of a policy, repetitions counted: a capsule has one pair of points for each, and a check one pairing."""
DEPTH_MAX: Final = 32
"""Nested gates: what a person writes needs five, and recursion stays shallow."""
TEXT_CHARACTERS_MAX: Final = 16_384
"""Holds 128 of the longest attributes with all that joins them; longer texts are refused before they are read."""


class PolicyError(Refused):
    """A policy that does not follow the language or is over a bound.

    :ivar text: what was to be read.
    :ivar position: character of ``text`` where it went wrong, counted from 0 (``len(text)``: at the end).
    """

    def __init__(self, message: str, text: str, position: int, reason: str = "bad-policy") -> None:
        self.message = message
        self.text = text
        self.position = position
        super().__init__(reason, f"{message} (character {position + 1})")

    def pointed(self, width: int = 72) -> str:
        """Two lines: the text around the position, and a caret below it.

        :param width: characters of text shown at most.
        """
        start = max(0, min(self.position - width // 2, len(self.text) - width + 1))
        shown = self.text[start : start + width]
        # One column for each character, whatever it is: else the caret stands under another one.
        line = "".join(c if " " <= c <= "~" else "?" for c in shown)
        return f"{line}\n{' ' * (self.position - start)}^"


class Atom(msgspec.Struct, frozen=True):
    """A leaf: one attribute."""

    attribute: str

    def text(self) -> str:
        """Canonical text."""
        return self.attribute


class Gate(msgspec.Struct, frozen=True):
    """``need`` of ``parts``, 2 parts at least; ``need`` 1 is or, all of them is and."""

    need: int
    parts: tuple[Node, ...]

    def text(self) -> str:
        """Canonical text."""
        if 1 < self.need < len(self.parts):
            return f"{self.need} of ({', '.join(part.text() for part in self.parts)})"
        return (" or " if self.need == 1 else " and ").join(_bracketed(part) for part in self.parts)


Node = Atom | Gate


def _bracketed(part: Node) -> str:
    mixed = isinstance(part, Gate) and part.need in (1, len(part.parts))
    return f"({part.text()})" if mixed else part.text()


def gate(need: int, parts: Sequence[Node]) -> Node:
    """The canonical node for ``need`` of ``parts``: one part stands for itself, and in and, or in or are flattened.

    :raises Refused: ``bad-policy`` if ``need`` is not in 1..len(parts).
    """
    refuse_unless(1 <= need <= len(parts), "bad-policy", f"{need} of {len(parts)} cannot be asked for")
    if len(parts) == 1:
        return parts[0]
    if 1 < need < len(parts):
        return Gate(need, tuple(parts))
    flat: list[Node] = []
    for part in parts:
        same = isinstance(part, Gate) and (part.need == 1 if need == 1 else part.need == len(part.parts))
        flat += part.parts if same and isinstance(part, Gate) else (part,)
    return Gate(1 if need == 1 else len(flat), tuple(flat))


class Policy:
    """A policy within its bounds; equal if the canonical texts are.

    :ivar root: the tree.
    :ivar text: canonical text; :func:`parse` of it gives the same policy.
    :ivar rows: the attribute of each leaf, from left to right: the rows of the span program.
    """

    __slots__ = ("root", "rows", "text")

    def __init__(self, root: Node) -> None:
        """Check the bounds.

        :raises PolicyError: ``too-large`` for more than 128 rows or depth over 32.
        """
        refuse_unless(_depth(root) <= DEPTH_MAX, "too-large", f"a policy is nested at most {DEPTH_MAX} deep")
        self.rows = tuple(_leaves(root))
        if len(self.rows) > ROWS_MAX:
            raise Refused("too-large", f"a policy has at most {ROWS_MAX} attributes, this one {len(self.rows)}")
        self.root = root
        self.text = root.text()

    @property
    def attributes(self) -> tuple[str, ...]:
        """The distinct attributes, in the order of their first rows."""
        return tuple(dict.fromkeys(self.rows))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Policy({self.text!r})"

    def in_year(self, year: int) -> Policy:
        """The same policy for one clinical year: attributes that name no year get this one, ``own:`` attributes none.

        :raises Refused: ``bad-attribute`` for a year out of range.
        """
        return Policy(_mapped(self.root, lambda attribute: with_year(attribute, year)))

    def require_no_owner(self) -> Policy:
        """The policy itself, if no attribute of it stands for an owner's scope: only such ones may be shared with.

        With ``own:`` inside, one owner's record would be opened by another's delegation.

        :raises PolicyError: ``own-in-policy``, pointing at the first of them.
        """
        at = self.text.find(OWN)
        while at > 0 and self.text[at - 1] not in " (":
            at = self.text.find(OWN, at + 1)
        if at >= 0:
            raise PolicyError("own: stands for the owner of a record; the terminal adds it", self.text, at, "own-in-policy")
        return self


def attribute(text: str) -> Policy:
    """The policy that asks for one attribute.

    :raises Refused: ``bad-attribute``.
    """
    return Policy(Atom(canonical_attribute(text)))


def all_of(*policies: Policy) -> Policy:
    """Every one of the policies."""
    return Policy(gate(len(policies), [p.root for p in policies]))


def any_of(*policies: Policy) -> Policy:
    """At least one of the policies."""
    return Policy(gate(1, [p.root for p in policies]))


def at_least(need: int, *policies: Policy) -> Policy:
    """At least ``need`` of the policies."""
    return Policy(gate(need, [p.root for p in policies]))


def record_policy(scope: bytes, sharing: Policy | None) -> Policy:
    """``own:<x> or (sharing policy)``, the policy of every record; without a sharing policy ``own:<x>`` alone.

    :param scope: x, 32 bytes.
    :raises PolicyError: ``own-in-policy`` if the sharing policy names a scope.
    """
    own = Atom(own_attribute(scope))
    return Policy(own if sharing is None else gate(1, [own, sharing.require_no_owner().root]))


def split_record_policy(policy: Policy) -> tuple[bytes, Policy | None]:
    """Scope and sharing policy of a record's policy: the inverse of :func:`record_policy`.

    :raises PolicyError: ``own-in-policy`` if ``own:`` stands anywhere but first.
    :raises Refused: ``bad-policy`` if the policy does not begin with ``own:<x> or``.
    """
    root = policy.root
    first, rest = (root, ()) if isinstance(root, Atom) else (root.parts[0], root.parts[1:])
    scope = scope_of(first.attribute) if isinstance(first, Atom) else None
    if scope is None or (isinstance(root, Gate) and root.need != 1):
        raise Refused("bad-policy", "the policy of a record is own:<scope>, alone or followed by 'or' and the sharing policy")
    return scope, Policy(gate(1, rest)).require_no_owner() if rest else None


def _depth(node: Node) -> int:
    """Nested gates; iterative, because a tree made by hand may be deeper than the interpreter's stack."""
    deepest, waiting = 0, [(node, 0)]
    while waiting:
        here, above = waiting.pop()
        if isinstance(here, Gate):
            deepest = max(deepest, above + 1)
            if deepest > DEPTH_MAX:
                break
            waiting += [(part, above + 1) for part in here.parts]
    return deepest


def _leaves(node: Node) -> Iterator[str]:
    if isinstance(node, Atom):
        yield node.attribute
    else:
        for part in node.parts:
            yield from _leaves(part)


def _mapped(node: Node, change: Callable[[str], str]) -> Node:
    if isinstance(node, Atom):
        return Atom(change(node.attribute))
    return Gate(node.need, tuple(_mapped(part, change) for part in node.parts))
