"""Encapsulate: a 32-byte key under a policy, and its deterministic twin; the same for type 2.

Everything is derived from k and b (Fujisaki and Okamoto): whoever opens a capsule makes it again and compares, so an altered
capsule does not open.
"""

from __future__ import annotations

from collections.abc import Sequence

from salus import labels
from salus.abpre.capsules import (
    KEY_BYTES,
    Capsule,
    DeltaCapsule,
    Rows,
    context_of,
    delta_context_of,
    h4,
    h6,
)
from salus.abpre.hashing import attribute_points, coins, table_a, table_g2, table_g_tilde
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import Policy
from salus.abpre.scalars import shares
from salus.abpre.span import span_program
from salus.errors import refuse_unless
from salus.groups.bls12_381 import G1, G2, Fr, G1Comb, Gt, g1_add_batch, hash_to_fr, multiples, wake_thread
from salus.symmetric import Random, kdf, xor

_SUITE = labels.SUITE_ABPRE


def encapsulate(parameters: PublicParameters, policy: Policy, key: bytes, aad: bytes, random: Random) -> Capsule:
    """Encapsulate, type 1: the key of a record under the record's policy.

    :param key: k, 32 bytes.
    :param aad: what the capsule belongs to; whoever checks or opens it must give the same.
    :raises Refused: ``too-large`` for additional data over 32 KiB.
    """
    return encapsulate_deterministic(parameters, policy, key, random(KEY_BYTES), aad)


def encapsulate_deterministic(parameters: PublicParameters, policy: Policy, key: bytes, b: bytes, aad: bytes) -> Capsule:
    """:func:`encapsulate` with a given b, for vectors.

    1. ``s = H1(k, b, policy, aad)``; the coefficients of the shares and r_i from ``H7(k, b, policy, aad)``.
    2. ``A1 = (k || b) xor H2(Y^s)``, ``A2 = s*g2``, ``A3 = s*g~``.
    3. ``B_i = lambda_i*A - r_i*H(rho(i))``, ``C_i = r_i*g2``, lambda the shares of s.
    4. ``D = s*H4(policy, aad, A1, A2, A3, all B_i and C_i)``.

    :param b: 32 bytes, fresh for each capsule.
    """
    _require_key(key, b)
    wake_thread()
    context = context_of(policy, aad)
    s = secret_of(key + b, context)
    scalars = coins(labels.ABPRE_H7, [key, b], context, coin_count(policy))
    element, A2, A3, rows = make_points(parameters, policy, s, scalars, table_g_tilde())
    A1 = xor(key + b, mask(element))
    D = h4(context, A1, A2.encode(), A3.encode(), rows.encoded).mul(s)
    return Capsule(policy, A1, A2, A3, rows, D)


def encapsulate_delta(parameters: PublicParameters, policy: Policy, delta: bytes, aad: bytes, random: Random) -> DeltaCapsule:
    """Encapsulate2, type 2: a delegation's delta under the policy that is delegated to.

    :param delta: 32 bytes.
    :raises Refused: ``too-large`` for additional data over 32 KiB.
    """
    return encapsulate_delta_deterministic(parameters, policy, delta, random(KEY_BYTES), aad)


def encapsulate_delta_deterministic(
    parameters: PublicParameters, policy: Policy, delta: bytes, b: bytes, aad: bytes
) -> DeltaCapsule:
    """:func:`encapsulate_delta` with a given b, for vectors.

    As :func:`encapsulate_deterministic` with H1', H2', H7', H6, and without A3: with it the delegatee's own re-encryption key
    would open delta, and the delegation would reach a second hop.
    """
    _require_key(delta, b)
    wake_thread()
    context = delta_context_of(policy, aad)
    s = delta_secret_of(delta + b, context)
    scalars = coins(labels.ABPRE_H7_PRIME, [delta, b], context, coin_count(policy))
    element, A2, _, rows = make_points(parameters, policy, s, scalars, None)
    A1 = xor(delta + b, delta_mask(element))
    D = h6(context, A1, A2.encode(), rows.encoded).mul(s)
    return DeltaCapsule(policy, A1, A2, rows, D)


def _require_key(key: bytes, b: bytes) -> None:
    refuse_unless(len(key) == len(b) == KEY_BYTES, "bad-encoding", f"a capsule holds a key of {KEY_BYTES} bytes")


def secret_of(opened: bytes, context: bytes) -> Fr:
    """H1: the secret s of a type 1 capsule, from ``k || b``."""
    return hash_to_fr(labels.ABPRE_H1, _SUITE, opened, context)


def delta_secret_of(opened: bytes, context: bytes) -> Fr:
    """H1': the same for type 2."""
    return hash_to_fr(labels.ABPRE_H1_PRIME, _SUITE, opened, context)


def mask(element: Gt) -> bytes:
    """H2: 64 bytes from ``Y^s``."""
    return kdf(labels.ABPRE_H2, _SUITE, [element.encode()], (), 2 * KEY_BYTES)


def delta_mask(element: Gt) -> bytes:
    """H2': the same for type 2."""
    return kdf(labels.ABPRE_H2_PRIME, _SUITE, [element.encode()], (), 2 * KEY_BYTES)


def coin_count(policy: Policy) -> int:
    """Scalars that the rows of a policy need: one for each row and each column but the first."""
    return span_program(policy).width - 1 + len(policy.rows)


def make_points(
    parameters: PublicParameters, policy: Policy, s: Fr, scalars: Sequence[Fr], g_tilde: G1Comb | None
) -> tuple[Gt, G2, G1, Rows]:
    """The points of steps 2 and 3: ``Y^s``, A2, A3 and the rows.

    :param scalars: the coefficients of the shares, then r_i of each row.
    :param g_tilde: table of g~; ``None`` for type 2, whose A3 is then the identity and is not used.
    """
    width = span_program(policy).width
    blinds = list(scalars[width - 1 :])
    lambdas = shares(policy, [s, *scalars[: width - 1]])
    points, rows = attribute_points(policy.rows), len(policy.rows)
    fixed: list[tuple[G1Comb | G1, Fr]] = [(table_a(), share) for share in lambdas]
    hidden: list[tuple[G1Comb | G1, Fr]] = [(H, -r) for H, r in zip(points, blinds, strict=True)]
    last: list[tuple[G1Comb | G1, Fr]] = [] if g_tilde is None else [(g_tilde, s)]
    table = table_g2()
    powers, (A2, *C), found = multiples([(parameters.table_y, s)], [(table, r) for r in (s, *blinds)], hidden + fixed + last)
    B = g1_add_batch(found[:rows], found[rows : 2 * rows])
    return powers[0], A2, found[-1] if last else G1.identity(), Rows.of(B, C)
