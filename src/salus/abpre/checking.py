"""Check and Check2: is a capsule well made? By anyone, without a key; many at once for little more than their rows.

The check covers every row: one of A3 and D alone would accept a capsule that opens for one branch of its policy and not for
another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from salus import labels
from salus.abpre.capsules import (
    Capsule,
    DeltaCapsule,
    VerifiedCapsule,
    VerifiedDeltaCapsule,
    context_of,
    delta_context_of,
)
from salus.abpre.hashing import attribute_points, coefficient_bytes, domain, point_a, point_g_tilde
from salus.abpre.policy import Policy
from salus.abpre.scalars import fr
from salus.abpre.span import kernel
from salus.codec import encode
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import (
    G1,
    G2,
    Fr,
    g1_hash_batch,
    g1_msm_groups_vartime,
    g1_msm_vartime,
    g1_sum,
    g2_msm_groups_vartime,
    multi_pairing,
)

BATCH_MAX: Final = 1024
"""Capsules of one batch: a block's worth."""


class _Equation(msgspec.Struct, frozen=True):
    """One capsule's terms: z of the rows, c of A, and (coefficient, left, right) of each ``e(left, g2) = e(right, A2)``."""

    policy: Policy
    B: tuple[G1, ...]
    C: tuple[G2, ...]
    A2: G2
    z: list[int]
    c: int
    bound: list[tuple[int, G1, G1]]


def check(capsule: Capsule, aad: bytes) -> VerifiedCapsule:
    """Check: the type 1 capsule as one that may be stored, transformed and opened.

    :param aad: additional data that the capsule must have been made with.
    :raises Refused: ``bad-capsule``.
    """
    return check_batch([(capsule, aad)])[0]


def check2(capsule: DeltaCapsule, aad: bytes) -> VerifiedDeltaCapsule:
    """Check2: the same for type 2, the seed's formula (14).

    :raises Refused: ``bad-capsule``.
    """
    return check2_batch([(capsule, aad)])[0]


def check_batch(items: Sequence[tuple[Capsule, bytes]]) -> list[VerifiedCapsule]:
    """Check many type 1 capsules in one product of pairings, attributes merged.

    1. Coefficients of 128 bits from a hash of the whole batch: for each capsule its weight c (1 for the first), the free
       coordinates of z with ``z^T M = (c, 0, .., 0)``, tau_1 and tau_2.
    2. The product over all capsules of ``e(sum z_i*B_i + tau_1*A3 + tau_2*D, g2)``, ``e(-c*A - tau_1*g~ - tau_2*H4, A2)`` and
       ``prod_x e(H(x), sum_{rho(i)=x} z_i*C_i)`` is 1.

    :param items: 1 to 1,024 capsules, each with its additional data.
    :raises Refused: ``bad-capsule`` if any one of them is bad; :func:`bad_ones` tells which.
    """
    _require_batch(len(items))
    contexts = [context_of(capsule.policy, aad) for capsule, aad in items]
    fields = [
        encode((context, c.A1, c.encoded_A2, c.encoded_A3, c.rows.encoded))
        for context, (c, _) in zip(contexts, items, strict=True)
    ]
    points = g1_hash_batch(fields, domain(labels.ABPRE_H4))
    seed = _seed([(field, capsule.encoded_D) for field, (capsule, _) in zip(fields, items, strict=True)])
    equations = []
    for number, ((capsule, _), H4) in enumerate(zip(items, points, strict=True)):
        draw = _Draw(labels.ABPRE_CHECK, seed, number, capsule.policy)
        c = draw() if number else 1
        z = kernel(capsule.policy, c, draw)
        bound = [(draw(), capsule.A3, point_g_tilde()), (draw(), capsule.D, H4)]
        equations.append(_Equation(capsule.policy, capsule.rows.B, capsule.rows.C, capsule.A2, z, c, bound))
    _require_one(equations)
    return [VerifiedCapsule(capsule, aad) for capsule, aad in items]


def check2_batch(items: Sequence[tuple[DeltaCapsule, bytes]]) -> list[VerifiedDeltaCapsule]:
    """As :func:`check_batch` for type 2: without A3 and tau_1, with D' and H6.

    :raises Refused: ``bad-capsule``.
    """
    _require_batch(len(items))
    contexts = [delta_context_of(capsule.policy, aad) for capsule, aad in items]
    fields = [encode((context, c.A1, c.encoded_A2, c.rows.encoded)) for context, (c, _) in zip(contexts, items, strict=True)]
    points = g1_hash_batch(fields, domain(labels.ABPRE_H6))
    seed = _seed([(field, capsule.encoded_D) for field, (capsule, _) in zip(fields, items, strict=True)])
    equations = []
    for number, ((capsule, _), H6) in enumerate(zip(items, points, strict=True)):
        draw = _Draw(labels.ABPRE_CHECK_PRIME, seed, number, capsule.policy)
        c = draw() if number else 1
        z = kernel(capsule.policy, c, draw)
        bound = [(draw(), capsule.D, H6)]
        equations.append(_Equation(capsule.policy, capsule.rows.B, capsule.rows.C, capsule.A2, z, c, bound))
    _require_one(equations)
    return [VerifiedDeltaCapsule(capsule, aad) for capsule, aad in items]


def bad_ones(items: Sequence[tuple[Capsule, bytes]]) -> list[int]:
    """Which capsules of a batch do not verify, by halving; few bad ones among many cost few more batches.

    :return: positions, ascending.
    """
    bad: list[int] = []
    waiting = [(0, len(items))]
    while waiting:
        start, end = waiting.pop()
        try:
            check_batch(items[start:end])
        except Refused:
            if end - start == 1:
                bad.append(start)
            else:
                middle = (start + end) // 2
                waiting += [(start, middle), (middle, end)]
    return sorted(bad)


def _require_batch(count: int) -> None:
    refuse_unless(1 <= count <= BATCH_MAX, "too-large", f"a batch has 1 to {BATCH_MAX} capsules")


def _seed(parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    hasher = hashlib.sha512()
    for field, D in parts:
        hasher.update(hashlib.sha512(field + D).digest())
    return hasher.digest()


class _Draw:
    """Integers of 128 bits for one capsule of a batch; a policy of n rows needs fewer than n + 3."""

    def __init__(self, label: str, seed: bytes, number: int, policy: Policy) -> None:
        self._stream = coefficient_bytes(label, seed + number.to_bytes(4, "big"), len(policy.rows) + 3)
        self._at = 0

    def __call__(self) -> int:
        self._at += 16
        return int.from_bytes(self._stream[self._at - 16 : self._at], "big")


def _require_one(equations: Sequence[_Equation]) -> None:
    """Step 2 of :func:`check_batch`."""
    left: tuple[list[Fr], list[G1]] = ([], [])
    right: list[tuple[list[Fr], list[G1]]] = []
    by_attribute: dict[str, tuple[list[Fr], list[G2]]] = {}
    for equation in equations:
        scalars = _scalars(equation.z)
        _add_rows(left, equation, scalars)
        for x, scalar, C in zip(equation.policy.rows, scalars, equation.C, strict=True):
            terms = by_attribute.setdefault(x, ([], []))
            terms[0].append(scalar)
            terms[1].append(C)
        mine: tuple[list[Fr], list[G1]] = ([fr(-equation.c)], [point_a()])
        for tau, ours, theirs in equation.bound:
            left[0].append(fr(tau))
            left[1].append(ours)
            mine[0].append(fr(-tau))
            mine[1].append(theirs)
        right.append(mine)
    sums = g2_msm_groups_vartime(list(by_attribute.values()))
    pairs = [(g1_msm_vartime(*left), G2.generator())]
    pairs += zip(g1_msm_groups_vartime(right), [equation.A2 for equation in equations], strict=True)
    pairs += zip(attribute_points(list(by_attribute)), sums, strict=True)
    if not multi_pairing(pairs).is_one():
        raise Refused("bad-capsule", "the capsule's points do not fit its policy and additional data")


def _scalars(z: Sequence[int]) -> list[Fr]:
    """Scalars of z; under ``and`` all are equal."""
    known = {value: fr(value) for value in set(z)}
    return [known[value] for value in z]


def _add_rows(left: tuple[list[Fr], list[G1]], equation: _Equation, scalars: Sequence[Fr]) -> None:
    """Add ``sum z_i*B_i``, points of one coefficient added up first."""
    by_value: dict[int, list[int]] = {}
    for row, value in enumerate(equation.z):
        by_value.setdefault(value, []).append(row)
    for rows in by_value.values():
        left[0].append(scalars[rows[0]])
        left[1].append(g1_sum([equation.B[row] for row in rows]) if len(rows) > 1 else equation.B[rows[0]])
