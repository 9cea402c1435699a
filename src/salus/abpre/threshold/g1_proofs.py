"""Proofs of knowledge in G1, and of equal logarithms in G1 and GT, made non-interactive by H1.

As in :mod:`salus.groups.proofs` the nonce is hedged: a hash of the secret, 32 fresh random bytes and the statement.
"""

from __future__ import annotations

from typing import Any, Final

from salus import labels
from salus.abpre.hashing import coefficients, table_g1
from salus.abpre.threshold.committee import SUITE
from salus.codec import encode
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import (
    G1,
    G2,
    Fr,
    Gt,
    decode_fr,
    g1_msm_vartime,
    gt_multi_pow_vartime,
    hash_to_fr,
    pairing,
    random_fr,
)
from salus.symmetric import Random

PROOF_BYTES: Final = 64
"""The challenge c, then the answer z: 32 bytes each."""
_HEDGE_BYTES: Final = 32


def hedged_fr(label: str, secret: bytes, statement: Any, random: Random) -> Fr:
    """A nonce from a secret, 32 fresh random bytes and all that it serves for.

    Neither a repeated random string nor a predictable one repeats it for another statement or gives it away.
    """
    nonce = hash_to_fr(labels.NONCE, SUITE, label, secret, random(_HEDGE_BYTES), statement)
    # A zero nonce would show what it hides; it happens with probability 2^-255.
    return random_fr(random) if nonce.is_zero() else nonce


def prove_logarithm(label: str, secret: Fr, public: bytes, fields: Any, random: Random) -> bytes:
    """Prove knowledge of ``secret`` with ``public = secret*g1``, bound to ``fields``.

    1. k hedged, ``c = H1(label, fields, public, k*g1)``, ``z = k + c*secret``.

    :return: c and z, 64 bytes.
    """
    k = hedged_fr(label, secret.encode(), (public, fields), random)
    c = hash_to_fr(label, SUITE, fields, public, table_g1().mul(k).encode())
    return c.encode() + (k + c * secret).encode()


def verify_logarithm(label: str, public: G1, fields: Any, proof: bytes) -> None:
    """Check :func:`prove_logarithm`: the challenge is that of ``z*g1 - c*public``.

    :raises Refused: ``bad-proof``, ``bad-scalar``.
    """
    c, z = _decode(proof)
    commitment = g1_msm_vartime([z, -c], [G1.generator(), public])
    same = hash_to_fr(label, SUITE, fields, public.encode(), commitment.encode()) == c
    refuse_unless(same, "bad-proof", f"{label}: the proof of knowledge does not verify")


def prove_pairing(label: str, secret: Fr, public: bytes, P: G1, Q: G2, result: bytes, fields: Any, random: Random) -> bytes:
    """Prove ``public = secret*g1`` and ``result = e(secret*P, Q)``.

    1. k hedged, ``T1 = k*g1``, ``T2 = e(k*P, Q)``.
    2. ``c = H1(label, fields, public, P, Q, result, T1, T2)``, ``z = k + c*secret``.

    :param result: encoded element of GT.
    :return: c and z, 64 bytes.
    """
    statement = (fields, public, P.encode(), Q.encode(), result)
    k = hedged_fr(label, secret.encode(), statement, random)
    T1, T2 = table_g1().mul(k), pairing([(P.mul(k), Q)])
    c = hash_to_fr(label, SUITE, *statement, T1.encode(), T2.encode())
    return c.encode() + (k + c * secret).encode()


def verify_pairing(label: str, public: G1, P: G1, Q: G2, result: Gt, fields: Any, proof: bytes) -> None:
    """Check :func:`prove_pairing` with ``T1 = z*g1 - c*public``, ``T2 = e(z*P, Q) * result^-c``.

    :param result: decoded element of GT, so in the subgroup of order r.
    :raises Refused: ``bad-proof``, ``bad-scalar``.
    """
    c, z = _decode(proof)
    T1 = g1_msm_vartime([z, -c], [G1.generator(), public])
    T2 = pairing([(g1_msm_vartime([z], [P]), Q)]) * gt_multi_pow_vartime([result], [-c])
    statement = (fields, public.encode(), P.encode(), Q.encode(), result.encode())
    same = hash_to_fr(label, SUITE, *statement, T1.encode(), T2.encode()) == c
    refuse_unless(same, "bad-proof", f"{label}: the proof of equal logarithms does not verify")


def public_weights(label: str, whole: Any, count: int) -> list[Fr]:
    """Coefficients of a check, 128 bits each, hashed from the whole object that is checked: nobody chooses them.

    :param whole: everything that the check is about, fixed before any coefficient is known.
    """
    return coefficients(label, encode(whole), count)


def _decode(proof: bytes) -> tuple[Fr, Fr]:
    if len(proof) != PROOF_BYTES:
        raise Refused("bad-proof", f"a proof has {PROOF_BYTES} bytes")
    return decode_fr(proof[:32], "c"), decode_fr(proof[32:], "z")
