"""Random policies and sets of attributes, for properties."""

from __future__ import annotations

from hypothesis import strategies as st

from salus.abpre.policy import Atom, Gate, Node, Policy, gate

NAMES = tuple(f"a:x{i}" for i in range(8))
"""Few, so that attributes repeat."""


@st.composite
def nodes(draw: st.DrawFn, leaves: int, depth: int) -> Node:
    """A node with at most ``leaves`` leaves, nested at most ``depth`` deep."""
    if leaves == 1 or depth == 0 or draw(st.integers(0, 5)) == 0:
        return Atom(draw(st.sampled_from(NAMES)))
    count = draw(st.integers(2, min(leaves, 5)))
    parts = [draw(nodes(max(1, leaves // count), depth - 1)) for _ in range(count)]
    return gate(draw(st.integers(1, count)), parts)


def policies(leaves: int = 12, depth: int = 4) -> st.SearchStrategy[Policy]:
    """Policies of bounded size."""
    return nodes(leaves, depth).map(Policy)


def held() -> st.SearchStrategy[frozenset[str]]:
    """Sets of attributes, one at least."""
    return st.frozensets(st.sampled_from(NAMES), min_size=1)


@st.composite
def spellings(draw: st.DrawFn, node: Node) -> str:
    """Some other way to write a node: brackets, spaces, and, or as k of."""
    text = node.attribute if isinstance(node, Atom) else draw(_gate_spellings(node))
    space = draw(st.sampled_from(["", " ", "\t", "\n "]))
    return f"({space}{text}{space})" if draw(st.booleans()) else text


@st.composite
def _gate_spellings(draw: st.DrawFn, node: Gate) -> str:
    parts = [draw(spellings(part)) for part in node.parts]
    simple = node.need in (1, len(parts))
    if not simple or draw(st.booleans()):
        return f"{node.need} of{draw(st.sampled_from(['', ' ']))}({','.join(parts)})"
    word = " or " if node.need == 1 else " and "
    return "(" + word.join(f"({part})" for part in parts) + ")"
