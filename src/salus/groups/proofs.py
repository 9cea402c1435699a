"""Schnorr signatures and proofs of equal logarithms over ristretto255, made non-interactive by H1.

The nonce is hedged: it is a hash of the secret, 32 fresh random bytes and everything that is signed, so neither a
repeated random string nor a predictable one gives the secret away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from salus import labels
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import (
    Point,
    Scalar,
    base_mul,
    decode_point,
    decode_scalar,
    double_base_mul_vartime,
    hash_to_scalar,
    msm_vartime,
    mul_batch,
    random_scalar,
)
from salus.symmetric import Random

SIGNATURE_BYTES: Final = 64
"""R, then z: 32 bytes each."""
DLEQ_BYTES: Final = 64
"""c, then z: 32 bytes each."""
_HEDGE_BYTES: Final = 32


def schnorr_sign(label: str, suite: str, secret: Scalar, public_fields: Sequence[Any], message: Any, random: Random) -> bytes:
    """Sign ``message`` with ``secret``.

    1. ``k = H1("nonce", label, secret, 32 random bytes, public_fields, message)``, ``R = k*P``.
    2. ``c = H1(label, *public_fields, R, message)``, ``z = k + c*secret``.

    :param label: domain of the signature, from :mod:`salus.labels`.
    :param public_fields: what the signer is known by; it holds the public key, so a signature names its key.
    :param message: any encodable value.
    :return: R and z, 64 bytes.
    """
    fields = tuple(public_fields)
    k = _nonce(label, suite, secret, fields, message, random)
    R = base_mul(k).encode()
    c = hash_to_scalar(label, suite, *fields, R, message)
    return R + (k + c * secret).encode()


def schnorr_verify(label: str, suite: str, public: Point, public_fields: Sequence[Any], message: Any, signature: bytes) -> None:
    """Check ``z*P = R + c*public`` with ``c = H1(label, *public_fields, R, message)``.

    :raises Refused: ``bad-signature`` if it does not hold, ``bad-point`` or ``bad-scalar`` for R or z.
    """
    refuse_unless(len(signature) == SIGNATURE_BYTES, "bad-signature", f"{label}: a signature has {SIGNATURE_BYTES} bytes")
    refuse_unless(not public.is_identity(), "bad-point", f"{label}: the public key is the identity")
    R = decode_point(signature[:32], f"{label}: R")
    z = decode_scalar(signature[32:], f"{label}: z")
    c = hash_to_scalar(label, suite, *public_fields, signature[:32], message)
    if double_base_mul_vartime(-c, public, z) != R:
        raise Refused("bad-signature", f"{label}: the signature does not verify under this key")


def dleq_prove(
    suite: str, secret: Scalar, public: Point, base: Point, result: Point, public_fields: Sequence[Any], random: Random
) -> bytes:
    """Prove ``public = secret*P`` and ``result = secret*base`` without showing ``secret`` (Chaum and Pedersen).

    1. ``k`` hedged as in :func:`schnorr_sign`, ``R1 = k*P``, ``R2 = k*base``.
    2. ``c = H1("dleq", *public_fields, public, base, result, R1, R2)``, ``z = k + c*secret``.

    :return: c and z, 64 bytes.
    """
    fields = tuple(public_fields)
    statement = (public.encode(), base.encode(), result.encode())
    k = _nonce(labels.DLEQ, suite, secret, fields, statement, random)
    R1, R2 = mul_batch([k, k], [Point.generator(), base])
    c = hash_to_scalar(labels.DLEQ, suite, *fields, *statement, R1.encode(), R2.encode())
    return c.encode() + (k + c * secret).encode()


def dleq_verify(suite: str, public: Point, base: Point, result: Point, public_fields: Sequence[Any], proof: bytes) -> None:
    """Check that ``public`` to the generator is as ``result`` to ``base``.

    Recomputes ``R1 = z*P - c*public`` and ``R2 = z*base - c*result`` and compares the challenge.

    :raises Refused: ``bad-proof`` if it does not hold, ``bad-point`` for an identity, ``bad-scalar`` for c or z.
    """
    refuse_unless(len(proof) == DLEQ_BYTES, "bad-proof", f"a proof of equal logarithms has {DLEQ_BYTES} bytes")
    for name, point in (("public key", public), ("base", base), ("result", result)):
        refuse_unless(not point.is_identity(), "bad-point", f"dleq: the {name} is the identity")
    c = decode_scalar(proof[:32], "dleq: c")
    z = decode_scalar(proof[32:], "dleq: z")
    R1 = double_base_mul_vartime(-c, public, z)
    R2 = msm_vartime([z, -c], [base, result])
    statement = (public.encode(), base.encode(), result.encode())
    if hash_to_scalar(labels.DLEQ, suite, *public_fields, *statement, R1.encode(), R2.encode()) != c:
        raise Refused("bad-proof", "the proof of equal logarithms does not verify")


def _nonce(label: str, suite: str, secret: Scalar, fields: tuple[Any, ...], message: Any, random: Random) -> Scalar:
    k = hash_to_scalar(labels.NONCE, suite, label, secret.encode(), random(_HEDGE_BYTES), fields, message)
    # A zero nonce would show the secret; it happens with probability 2^-252.
    return random_scalar(random) if k.is_zero() else k
