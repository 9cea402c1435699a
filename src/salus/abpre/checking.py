"""Check and Check2: is a capsule well made? By anyone, without a key; many at once for little more than their rows.

The check covers every row: one of A3 and D alone would accept a capsule that opens for one branch of its policy and not for
another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from itertools import pairwise
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
from salus.abpre.hashing import attribute_points, coefficient_bytes, domain, lines_g2, point_a, point_g_tilde, table_g_tilde
from salus.abpre.scalars import ONE, fr
from salus.abpre.span import kernel, span_program
from salus.codec import encode
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import (
    G1,
    G2,
    Fr,
    G2Prepared,
    g1_msm_vartime,
    g1_sum,
    g2_msm_groups_vartime,
    g2_msm_vartime,
    multi_pairing_of_sums,
    wake_thread,
)

BATCH_MAX: Final = 1024
"""Capsules of one batch: a block's worth."""
BATCH_ROWS_MAX: Final = 16_384
"""Rows of one product of pairings, 128 of the largest policies: each may have an attribute of its own, and with it a pairing, of
which the extension takes 65,536 at a time. A batch with more is checked in parts."""
SQUARE: Final = 0xD201000000010000**2
"""x^2, x the parameter of the curve family."""
HALF: Final = (1 << 64) - 1
LONG_SUM: Final = 32
"""Terms from which a sum goes to the extension alone: it then splits the sum over the cores, and its tables stay in the cache."""


class _Equation(msgspec.Struct, frozen=True):
    """One capsule's terms: its rows with z, c of A and A3, d of D and of the hash of ``bound`` that D is a multiple of."""

    capsule: Capsule | DeltaCapsule
    z: list[int]
    c: int
    d: int
    bound: bytes


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
    """Check many type 1 capsules in one product of pairings, attributes merged; over 16,384 rows, in one for every so many.

    1. Coefficients of 128 bits from a hash of the whole batch: kappa, and for each capsule c (1 for the first), tau_2 and the
       free coordinates of z with ``z^T M = (c, 0, .., 0)``; ``tau_1 = kappa*c``, so that A and g~ take one multiplication.
       A batch with wrong rows, A3 or D passes for about one draw in 2^126.
    2. The product over all capsules of ``e(sum z_i*B_i + tau_1*A3 + tau_2*D, g2)``, ``e(-c*A - tau_1*g~ - tau_2*H4, A2)`` and
       ``prod_x e(H(x), sum_{rho(i)=x} z_i*C_i)`` is 1.

    :param items: 1 to 1,024 capsules, each with its additional data.
    :raises Refused: ``bad-capsule`` if any one of them is bad; :func:`bad_ones` tells which.
    """
    _require_batch(len(items))
    parts = _parts([len(capsule.policy.rows) for capsule, _ in items])
    if len(parts) > 1:
        return [verified for part in parts for verified in check_batch(items[part])]
    wake_thread()
    capsules = [capsule for capsule, _ in items]
    contexts = [context_of(capsule.policy, aad) for capsule, aad in items]
    fields = [
        encode((context, c.A1, c.encoded_A2, c.encoded_A3, c.rows.encoded)) for context, c in zip(contexts, capsules, strict=True)
    ]
    seed = _seed(fields, capsules)
    kappa = fr(int.from_bytes(coefficient_bytes(labels.ABPRE_CHECK, seed, 1), "big"))
    equations = _equations(labels.ABPRE_CHECK, seed, capsules, fields)
    A3 = capsules[0].A3
    bases: list[tuple[list[Fr], list[G1]]] = [([ONE, kappa], [-point_a(), -point_g_tilde()])]
    if len(equations) > 1:
        A3 = g1_msm_vartime([fr(equation.c) for equation in equations], [capsule.A3 for capsule in capsules])
        base = -(point_a() + table_g_tilde().mul(kappa))
        bases = [([fr(equation.c)], [base]) for equation in equations]
    _require_one(equations, labels.ABPRE_H4, bases, ([kappa], [A3]))
    return [VerifiedCapsule(capsule, aad) for capsule, aad in items]


def check2_batch(items: Sequence[tuple[DeltaCapsule, bytes]]) -> list[VerifiedDeltaCapsule]:
    """As :func:`check_batch` for type 2: without A3 and tau_1, with D' and H6.

    :raises Refused: ``bad-capsule``.
    """
    _require_batch(len(items))
    parts = _parts([len(capsule.policy.rows) for capsule, _ in items])
    if len(parts) > 1:
        return [verified for part in parts for verified in check2_batch(items[part])]
    wake_thread()
    capsules = [capsule for capsule, _ in items]
    contexts = [delta_context_of(capsule.policy, aad) for capsule, aad in items]
    fields = [encode((context, c.A1, c.encoded_A2, c.rows.encoded)) for context, c in zip(contexts, capsules, strict=True)]
    equations = _equations(labels.ABPRE_CHECK_PRIME, _seed(fields, capsules), capsules, fields)
    _require_one(equations, labels.ABPRE_H6, [([fr(equation.c)], [-point_a()]) for equation in equations], ([], []))
    return [VerifiedDeltaCapsule(capsule, aad) for capsule, aad in items]


def bad_ones(items: Sequence[tuple[Capsule, bytes]]) -> list[int]:
    """Which capsules of a batch do not verify, by halving; few bad ones among many cost few more batches.

    :return: positions, ascending.
    """
    bad: list[int] = []
    waiting = [(0, len(items))] if items else []
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


def _parts(rows: Sequence[int]) -> list[slice]:
    """Where a batch of capsules with so many rows each is divided."""
    starts, total = [0], 0
    for place, count in enumerate(rows):
        if total + count > BATCH_ROWS_MAX:
            starts.append(place)
            total = 0
        total += count
    return [slice(start, end) for start, end in pairwise([*starts, len(rows)])]


def _seed(fields: Sequence[bytes], capsules: Sequence[Capsule | DeltaCapsule]) -> bytes:
    """A hash of the whole batch."""
    hasher = hashlib.sha512()
    for field, capsule in zip(fields, capsules, strict=True):
        hasher.update(hashlib.sha512(field + capsule.encoded_D).digest())
    return hasher.digest()


def _equations(label: str, seed: bytes, capsules: Sequence[Capsule | DeltaCapsule], bound: Sequence[bytes]) -> list[_Equation]:
    """Step 1 for each capsule; a policy of n rows draws fewer than n + 2 integers."""
    equations = []
    for number, (capsule, data) in enumerate(zip(capsules, bound, strict=True)):
        stream = BytesIO(coefficient_bytes(label, seed + number.to_bytes(4, "big"), len(capsule.policy.rows) + 2))
        draw = partial(_next_integer, stream)
        # Under k of n the root's coefficient is multiplied up, and a plain one stays shorter.
        weight = _weight if span_program(capsule.policy).is_plain else int
        c, d = weight(draw()) if number else 1, _weight(draw())
        equations.append(_Equation(capsule, kernel(capsule.policy, c, draw), c, d, data))
    return equations


def _weight(drawn: int) -> int:
    """One of 2^128 different scalars, ``a + b*x^2`` with a, b of 64 bits and x the curve's parameter.

    Multiplying a point of G1 by it takes half the doublings of a plain integer of 128 bits: x^2 acts by the endomorphism.
    """
    return (drawn & HALF) + (drawn >> 64) * SQUARE


def _next_integer(stream: BytesIO) -> int:
    """The next 128 bits of a stream that is long enough."""
    return int.from_bytes(stream.read(16), "big")


def _require_one(
    equations: Sequence[_Equation], label: str, bases: Sequence[tuple[list[Fr], list[G1]]], A3: tuple[list[Fr], list[G1]]
) -> None:
    """Step 2 of :func:`check_batch`.

    :param label: of the hash that D is bound to.
    :param bases: terms of ``-c*A - tau_1*g~`` for each capsule, or of ``-c*A`` for type 2.
    :param A3: terms of ``sum tau_1*A3`` over the batch.
    """
    left = A3
    by_attribute: dict[str, tuple[list[Fr], list[G2]]] = {}
    for equation in equations:
        capsule = equation.capsule
        scalars = _scalars(equation.z)
        _add_rows(left, capsule.rows.B, equation.z, scalars)
        for x, scalar, C in zip(capsule.policy.rows, scalars, capsule.rows.C, strict=True):
            terms = by_attribute.get(x)
            if terms is None:
                by_attribute[x] = ([scalar], [C])
            else:
                terms[0].append(scalar)
                terms[1].append(C)
        left[0].append(fr(equation.d))
        left[1].append(capsule.D)
    sums: list[tuple[Sequence[Fr], Sequence[G1], Sequence[bytes], G2 | G2Prepared]] = [(*left, (), lines_g2())]
    for equation, (scalars, points) in zip(equations, bases, strict=True):
        sums.append(([*scalars, -fr(equation.d)], points, (equation.bound,), equation.capsule.A2))
    pairs = list(zip(attribute_points(list(by_attribute)), _sums(list(by_attribute.values())), strict=True))
    if not multi_pairing_of_sums(sums, domain(label), pairs).is_one():
        raise Refused("bad-capsule", "the capsule's points do not fit its policy and additional data")


def _sums(groups: Sequence[tuple[list[Fr], list[G2]]]) -> list[G2]:
    """The sum of each attribute: nothing to do for one term of coefficient 1, one call each for long ones, one for the others."""
    sums: list[G2 | None] = [None] * len(groups)
    short: list[int] = []
    for number, (scalars, points) in enumerate(groups):
        if len(points) == 1 and scalars[0] is ONE:
            sums[number] = points[0]
        elif len(points) >= LONG_SUM:
            sums[number] = g2_msm_vartime(scalars, points)
        else:
            short.append(number)
    if short:
        for number, found in zip(short, g2_msm_groups_vartime([groups[number] for number in short]), strict=True):
            sums[number] = found
    return [found for found in sums if found is not None]


def _scalars(z: Sequence[int]) -> list[Fr]:
    """Scalars of z; under ``and`` all are equal."""
    known = {value: fr(value) if value != 1 else ONE for value in set(z)}
    return [known[value] for value in z]


def _add_rows(left: tuple[list[Fr], list[G1]], B: Sequence[G1], z: Sequence[int], scalars: Sequence[Fr]) -> None:
    """Add ``sum z_i*B_i``, points of one coefficient added up first."""
    by_value: dict[int, list[int]] = {}
    for row, value in enumerate(z):
        by_value.setdefault(value, []).append(row)
    for rows in by_value.values():
        left[0].append(scalars[rows[0]])
        left[1].append(g1_sum([B[row] for row in rows]) if len(rows) > 1 else B[rows[0]])
