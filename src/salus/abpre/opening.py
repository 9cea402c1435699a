"""Decapsulate and ReDecrypt: opening a capsule, and making it again to see that it was made so.

``w`` is public (it follows from policy and attributes), so multiplication by it takes variable time; no key or opened value
decides what is done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from salus.abpre.capsules import (
    KEY_BYTES,
    Capsule,
    DeltaCapsule,
    Rows,
    VerifiedCapsule,
    VerifiedDeltaCapsule,
    binding_point,
    context_of,
    delta_binding_point,
    delta_context_of,
)
from salus.abpre.encapsulation import delta_mask, delta_secret_of, mask, secret_of
from salus.abpre.explain import missing_attributes
from salus.abpre.hashing import h5, table_g2, table_g_tilde
from salus.abpre.keys import SecretKey
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import Policy
from salus.abpre.scalars import fr
from salus.abpre.span import reconstruct
from salus.errors import Refused
from salus.groups.bls12_381 import G1, G2, Gt, g1_msm_vartime, g1_mul_batch_vartime, g2_msm_vartime, multi_pairing
from salus.symmetric import xor


def decapsulate(parameters: PublicParameters, key: SecretKey, verified: VerifiedCapsule) -> bytes:
    """Decapsulate, type 1: the key that a capsule holds.

    1. w with ``sum w_i*M_i = (1, 0, .., 0)`` over rows whose attributes the key has.
    2. ``Y^s = e(K, A2) * e(-sum w_i*B_i, L) * prod e(-w_i*K_rho(i), C_i)``.
    3. Open and match (:func:`open_and_match`).

    :return: k, 32 bytes.
    :raises Refused: ``unsatisfied``, naming what is missing; ``bad-capsule`` if the opened capsule does not match.
    """
    capsule = verified.capsule
    weights = require_weights(capsule.policy, key.parts)
    return open_and_match(parameters, verified, blinding(key, capsule, weights), "bad-capsule")


def open_delta(parameters: PublicParameters, key: SecretKey, verified: VerifiedDeltaCapsule) -> bytes:
    """Decapsulate, type 2: the delta of a delegation.

    :return: delta, 32 bytes.
    :raises Refused: as :func:`decapsulate`.
    """
    capsule = verified.capsule
    weights = require_weights(capsule.policy, key.parts)
    return open_and_match_delta(parameters, verified, blinding(key, capsule, weights))


def re_decrypt(
    parameters: PublicParameters, key: SecretKey, verified: VerifiedCapsule, A4: Gt, rk4: VerifiedDeltaCapsule
) -> bytes:
    """ReDecrypt: the key of a capsule that was re-encrypted to a policy which ``key`` satisfies.

    1. delta from rk4; ``h = H5(delta)``.
    2. ``Y^s = A4^(1/h)``; open and match as in Decapsulate.

    :param A4: what ReEncrypt gave.
    :return: k, 32 bytes.
    :raises Refused: ``unsatisfied``; ``bad-capsule`` for rk4; ``bad-transformation`` if the result does not match the capsule.
    """
    return re_decrypt_with(parameters, verified, A4, open_delta(parameters, key, rk4))


def re_decrypt_with(parameters: PublicParameters, verified: VerifiedCapsule, A4: Gt, delta: bytes) -> bytes:
    """:func:`re_decrypt` when delta is known already: one delegation serves many records.

    :raises Refused: ``bad-transformation``.
    """
    return open_and_match(parameters, verified, A4.pow(h5(delta).invert()), "bad-transformation")


def require_weights(policy: Policy, attributes: Collection[str]) -> dict[int, int]:
    """Coefficients by which a set of attributes opens the policy.

    :raises Refused: ``unsatisfied``, naming what is missing.
    """
    weights = reconstruct(policy, attributes)
    if weights is None:
        missing = ", ".join(missing_attributes(policy, attributes))
        raise Refused("unsatisfied", f"the key would also need {missing}")
    return weights


def blinding(key: SecretKey, capsule: Capsule | DeltaCapsule, weights: Mapping[int, int]) -> Gt:
    """Step 2: ``Y^s``, if key and weights satisfy the policy; any other element of GT otherwise."""
    B, pairs = row_pairs(capsule.policy, capsule.rows, key.parts, weights)
    return multi_pairing([(key.K, capsule.A2), (-B, key.lines), *pairs])


def row_pairs(policy: Policy, rows: Rows, parts: Mapping[str, G1], weights: Mapping[int, int]) -> tuple[G1, list[tuple[G1, G2]]]:
    """``sum w_i*B_i``, and for each attribute the pair whose pairing is ``prod e(-w_i*parts[rho(i)], C_i)``.

    An attribute of several rows takes ``sum w_i*C_i``; one of a single row has w_i multiplied in G1, where that costs half.

    :param parts: K_x of a key, or R_x of a re-encryption key.
    """
    scalars = {row: fr(w) for row, w in weights.items()}
    B = g1_msm_vartime(list(scalars.values()), [rows.B[row] for row in scalars])
    by_attribute: dict[str, list[int]] = {}
    for row in weights:
        by_attribute.setdefault(policy.rows[row], []).append(row)
    single = [group[0] for group in by_attribute.values() if len(group) == 1]
    ones = [row for row in single if weights[row] == 1]
    others = [row for row in single if weights[row] != 1]
    pairs = [(-parts[policy.rows[row]], rows.C[row]) for row in ones]
    if others:
        multiplied = g1_mul_batch_vartime([-scalars[row] for row in others], [parts[policy.rows[row]] for row in others])
        pairs += zip(multiplied, [rows.C[row] for row in others], strict=True)
    for x, group in by_attribute.items():
        if len(group) > 1:
            pairs.append((-parts[x], g2_msm_vartime([scalars[row] for row in group], [rows.C[row] for row in group])))
    return B, pairs


def open_and_match(parameters: PublicParameters, verified: VerifiedCapsule, element: Gt, reason: str) -> bytes:
    """Step 3: ``k || b = A1 xor H2(element)``; ``s = H1(..)``; ``Y^s``, A2, A3 and D must be those of the capsule.

    :param element: what should be ``Y^s``.
    :param reason: code of the refusal.
    :raises Refused: with ``reason``.
    """
    capsule, aad = verified.capsule, verified.aad
    opened = xor(capsule.A1, mask(element))
    s = secret_of(opened, context_of(capsule.policy, aad))
    if table_g2().mul(s) != capsule.A2 or table_g_tilde().mul(s) != capsule.A3:
        raise Refused(reason, "what was opened is not what the capsule was made from")
    if binding_point(capsule, aad).mul(s) != capsule.D or parameters.table_y.pow(s) != element:
        raise Refused(reason, "what was opened is not what the capsule was made from")
    return opened[:KEY_BYTES]


def open_and_match_delta(parameters: PublicParameters, verified: VerifiedDeltaCapsule, element: Gt) -> bytes:
    """Step 3 for type 2, with H2', H1' and H6 and without A3.

    :raises Refused: ``bad-capsule``.
    """
    capsule, aad = verified.capsule, verified.aad
    opened = xor(capsule.A1, delta_mask(element))
    s = delta_secret_of(opened, delta_context_of(capsule.policy, aad))
    if table_g2().mul(s) != capsule.A2 or parameters.table_y.pow(s) != element:
        raise Refused("bad-capsule", "what was opened is not what the capsule was made from")
    if delta_binding_point(capsule, aad).mul(s) != capsule.D:
        raise Refused("bad-capsule", "what was opened is not what the capsule was made from")
    return opened[:KEY_BYTES]
