"""Why a set of attributes satisfies a policy, or what it lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from salus.abpre.policy import Atom, Node, Policy
from salus.abpre.span import reconstruct


class Explanation(msgspec.Struct, frozen=True):
    """What :func:`explain` found.

    :ivar satisfied: whether the attributes satisfy the policy.
    :ivar used: attributes that would be used to open it; empty if not satisfied.
    :ivar held: attributes of the policy that are there.
    :ivar missing: attributes that together would satisfy it, few of them; empty if satisfied.
    :ivar parts: the policy, part by part.
    """

    satisfied: bool
    used: tuple[str, ...]
    held: tuple[str, ...]
    missing: tuple[str, ...]
    parts: tuple[ExplainedPart, ...]


class ExplainedPart(msgspec.Struct, frozen=True):
    """One node of the policy's tree, in the order of its text.

    :ivar depth: 0 for the whole policy.
    :ivar text: an attribute, or what the gate asks for.
    """

    depth: int
    text: str
    satisfied: bool


def explain(policy: Policy, attributes: Collection[str]) -> Explanation:
    """Explain a policy to the holder of some attributes."""
    held = frozenset(attributes)
    weights = reconstruct(policy, held)
    return Explanation(
        satisfied=weights is not None,
        used=tuple(dict.fromkeys(policy.rows[row] for row in weights or ())),
        held=tuple(x for x in policy.attributes if x in held),
        missing=() if weights is not None else missing_attributes(policy, held),
        parts=tuple(_parts(policy.root, held, 0)),
    )


def is_satisfied(policy: Policy, attributes: Collection[str]) -> bool:
    """Whether the attributes satisfy the policy."""
    return _satisfied(policy.root, frozenset(attributes))


def missing_attributes(policy: Policy, attributes: Collection[str]) -> tuple[str, ...]:
    """Few attributes that would satisfy the policy together with the given ones, in the policy's order.

    The fewest, if no attribute repeats; with repetitions finding the fewest is hard, and a few more may be named.
    """
    lacking = _lacking(policy.root, frozenset(attributes))
    return tuple(x for x in policy.attributes if x in lacking)


def _satisfied(node: Node, held: frozenset[str]) -> bool:
    if isinstance(node, Atom):
        return node.attribute in held
    return sum(_satisfied(part, held) for part in node.parts) >= node.need


def _lacking(node: Node, held: frozenset[str]) -> frozenset[str]:
    if isinstance(node, Atom):
        return frozenset() if node.attribute in held else frozenset((node.attribute,))
    return frozenset().union(*sorted((_lacking(part, held) for part in node.parts), key=len)[: node.need])


def _parts(node: Node, held: frozenset[str], depth: int) -> Iterator[ExplainedPart]:
    if isinstance(node, Atom):
        yield ExplainedPart(depth, node.attribute, node.attribute in held)
        return
    count = len(node.parts)
    asked = "all" if node.need == count else "one" if node.need == 1 else str(node.need)
    yield ExplainedPart(depth, f"{asked} of these {count}", _satisfied(node, held))
    for part in node.parts:
        yield from _parts(part, held, depth + 1)
