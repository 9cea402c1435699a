"""Span programs: a policy as a matrix M whose rows carry the attributes.

Column 0 stands for the secret. The parts of a gate share its vector v. Of ``or`` every part has v. Of ``and`` the parts have
``v + e_1``, ``-e_1 + e_2``, .., ``-e_(n-1)``, which add up to v. Of ``k of`` part i, counted from 1, has
``v + C(i,1)*e_1 + .. + C(i,k-1)*e_(k-1)``: a polynomial of degree k - 1 written in binomials, at i; its value at 0 is v.
Entries are integers, 1 and -1 but for ``k of``. (Lewko and Waters, "Decentralizing attribute-based encryption", appendix G,
has the first two for two parts.)

Everything here is about public values: policies, sets of attributes, coefficients of checks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from functools import lru_cache
from math import comb
from typing import Final

import msgspec

from salus.abpre.policy import Atom, Gate, Node, Policy
from salus.groups.bls12_381 import ORDER

PROGRAMS_KEPT: Final = 256
"""Span programs in memory; one of 128 rows takes up to a megabyte, most a few kilobytes."""
Row = tuple[tuple[int, int], ...]
"""(column, entry) of the entries that are not zero, ascending by column."""


class SpanProgram(msgspec.Struct, frozen=True):
    """The matrix of a policy.

    :ivar width: columns; at most as many as rows.
    :ivar rows: one for each of ``policy.rows``.
    :ivar is_plain: whether there are only ``and`` and ``or``: all entries 1 and -1.
    """

    width: int
    rows: tuple[Row, ...]
    is_plain: bool


@lru_cache(maxsize=PROGRAMS_KEPT)
def span_program(policy: Policy) -> SpanProgram:
    """The span program of a policy."""
    rows: list[Row] = []
    width = 1

    def go(node: Node, vector: dict[int, int]) -> None:
        nonlocal width
        if isinstance(node, Atom):
            rows.append(tuple(sorted(vector.items())))
            return
        first, degree = width, node.need - 1
        width += degree
        for i, part in enumerate(node.parts, 1):
            if node.need == len(node.parts):
                # Step i of the chain: -e_(i-1) + e_i, with v in the first one only.
                mine = dict(vector) if i == 1 else {first + i - 2: -1}
                if i <= degree:
                    mine[first + i - 1] = 1
            else:
                mine = vector | {first + d - 1: comb(i, d) for d in range(1, min(degree, i) + 1)}
            go(part, mine)

    go(policy.root, {0: 1})
    return SpanProgram(width, tuple(rows), all(abs(entry) == 1 for row in rows for _, entry in row))


class _Way(msgspec.Struct, frozen=True):
    """How a node is satisfied: coefficient of each row that is used."""

    cost: int
    weights: dict[int, Fraction]


def reconstruct(policy: Policy, attributes: Collection[str]) -> dict[int, int] | None:
    """Coefficients w with ``sum w_i * M_i = (1, 0, .., 0)`` over rows whose attributes are in the set.

    Takes as few rows as it finds; ``and`` and ``or`` give only ones, ``k of`` small integers where k neighbouring parts are
    satisfied.

    :return: row -> w_i, the representative modulo r nearest to 0; ``None`` if the attributes do not satisfy the policy.
    """
    way = _way(policy.root, set(attributes), 0)[0]
    return None if way is None else {row: _nearest(w) for row, w in sorted(way.weights.items()) if w}


def _way(node: Node, held: set[str], row: int) -> tuple[_Way | None, int]:
    """The way found for a node whose first row is ``row``, and the row after its last."""
    if isinstance(node, Atom):
        return (_Way(1, {row: Fraction(1)}) if node.attribute in held else None), row + 1
    ways: list[_Way | None] = []
    for part in node.parts:
        way, row = _way(part, held, row)
        ways.append(way)
    chosen = _cheapest(node, ways)
    return (None if chosen is None else _combine(node, ways, chosen)), row


def _cheapest(node: Gate, ways: Sequence[_Way | None]) -> range | list[int] | None:
    """Which parts to take: neighbours if that costs no more rows, because their coefficients are integers."""
    possible = [i for i, way in enumerate(ways) if way is not None]
    if len(possible) < node.need:
        return None
    cost = [way.cost if way is not None else 0 for way in ways]
    best = sorted(sorted(possible, key=lambda i: cost[i])[: node.need])
    starts = range(len(ways) - node.need + 1)
    runs = [range(at, at + node.need) for at in starts if all(ways[i] is not None for i in range(at, at + node.need))]
    neighbours = min(runs, key=lambda run: sum(cost[i] for i in run), default=None)
    if neighbours is not None and sum(cost[i] for i in neighbours) <= sum(cost[i] for i in best):
        return neighbours
    return best


def _combine(node: Gate, ways: Sequence[_Way | None], chosen: Sequence[int]) -> _Way:
    exact = 1 < node.need < len(node.parts)
    total, weights = 0, dict[int, Fraction]()
    for i in chosen:
        way = ways[i]
        if way is not None:
            factor = lagrange_at_zero(i + 1, [j + 1 for j in chosen]) if exact else Fraction(1)
            total += way.cost
            weights |= {row: factor * w for row, w in way.weights.items()}
    return _Way(total, weights)


def lagrange_at_zero(i: int, points: Sequence[int]) -> Fraction:
    """The coefficient of the value at i for interpolation at 0 from ``points``; an integer if they are neighbours."""
    above = below = 1
    for j in points:
        if j != i:
            above, below = above * j, below * (j - i)
    return Fraction(above, below)


def _nearest(value: Fraction) -> int:
    residue = value.numerator * pow(value.denominator, -1, ORDER) % ORDER
    return residue - ORDER if residue > ORDER // 2 else residue


def kernel(policy: Policy, c: int, draw: Callable[[], int]) -> list[int]:
    """A random z with ``z^T M = (c, 0, .., 0)``, z over all rows.

    From the root down: the parts of ``and`` get the gate's coefficient, those of ``or`` random ones that add up to it, and part
    i of k of n gets ``(-1)^(i+1) * C(n,i) * f(i)`` for a random f of degree n - k with ``f(0) = c``: for every polynomial p of
    degree below k ``sum_(i=0..n) (-1)^i C(n,i) f(i) p(i) = 0``, since the degree of f*p is below n. Free coordinates are drawn
    independently: an error in the rows that any z of the kernel notices goes unnoticed by one z in 2^128.

    :param c: the root's coefficient.
    :param draw: uniform integers of 128 bits.
    :return: integers, to be taken modulo r; of 136 bits at most if no gate is ``k of``.
    """
    root = policy.root
    if isinstance(root, Gate) and root.need == len(root.parts) and all(isinstance(part, Atom) for part in root.parts):
        return [c] * len(root.parts)
    z: list[int] = []

    def go(node: Node, c: int) -> None:
        if isinstance(node, Atom):
            z.append(c)
            return
        n, k = len(node.parts), node.need
        if k == n:
            each = [c] * n
        elif k == 1:
            each = [draw() for _ in range(n - 1)]
            each.append(c - sum(each))
        else:
            f = [c, *(draw() for _ in range(n - k))]
            values = [sum(a * comb(i, d) for d, a in enumerate(f)) for i in range(1, n + 1)]
            each = [(-1 if i % 2 == 0 else 1) * comb(n, i) * value for i, value in enumerate(values, 1)]
        for part, share in zip(node.parts, each, strict=True):
            go(part, share)

    go(root, c)
    return z
