"""Schnorr signatures of transactions, collected while a block is applied and verified in one equation.

A check that needs a member's signature returns a :class:`Claim`; at the end of the block all claims together cost one
multi-scalar multiplication. The weights are hashed from the whole ordered batch, so that every replica computes the
same and nobody can choose signatures to fit them; a batch that fails is split to name each bad claim.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, decode_scalar, hash_to_scalar, msm_vartime

_REMEMBERED_CLAIMS: Final = 65536
"""Digests of claims verified lately (32 bytes each): what the pool verified is not verified again in the proposal."""


class Claim(msgspec.Struct, frozen=True):
    """A statement that ``signature`` is a Schnorr signature (R || z) of ``message`` under ``public``.

    :ivar label, suite: domain of the signature.
    :ivar public: encoded public key, 32 bytes, taken from the state.
    :ivar fields: what the signer is known by, as :func:`salus.groups.proofs.schnorr_sign` takes it.
    :ivar message: codec value that is signed.
    :ivar reason: reason code if it does not verify.
    :ivar what: for the error.
    """

    label: str
    suite: str
    public: bytes
    fields: tuple[Any, ...]
    message: Any
    signature: bytes
    reason: str = "bad-signature"
    what: str = ""

    def refusal(self) -> Refused:
        """The error that names this claim."""
        return Refused(self.reason, f"{self.what or self.label}: the signature does not verify")


class _Equation(msgspec.Struct):
    """``z*P0 = R + c*W`` of one claim."""

    z: Scalar
    R: Point
    c: Scalar
    public: bytes


class VerifiedClaims:
    """Digests of claims that were verified lately, bounded; one for each replica."""

    def __init__(self, capacity: int = _REMEMBERED_CLAIMS) -> None:
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self._capacity = capacity

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._digests

    def add(self, digest: bytes) -> None:
        """Remember a verified claim; the oldest is forgotten when there are too many."""
        self._digests[digest] = None
        if len(self._digests) > self._capacity:
            self._digests.popitem(last=False)


def failing_claims(claims: Sequence[Claim], verified: VerifiedClaims | None = None) -> list[int]:
    """Indices of the claims that do not verify, in order; empty if all are good.

    :param verified: claims known to be good are skipped, and good ones are added.
    """
    pending: list[int] = []
    equations: list[_Equation] = []
    digests: list[bytes] = []
    failing: list[int] = []
    for index, claim in enumerate(claims):
        try:
            equation, digest = _equation(claim, verified)
        except Refused:
            failing.append(index)
            continue
        if equation is None:
            continue
        pending.append(index)
        equations.append(equation)
        digests.append(digest)
    bad = {pending[i] for i in _failing_equations(equations)}
    if verified is not None:
        for index, digest in zip(pending, digests, strict=True):
            if index not in bad:
                verified.add(digest)
    return sorted(failing + list(bad))


def verify_claims(claims: Sequence[Claim], verified: VerifiedClaims | None = None) -> None:
    """Verify all claims.

    :raises Refused: the first failing claim's own refusal.
    """
    failing = failing_claims(claims, verified)
    if failing:
        raise claims[failing[0]].refusal()


def _equation(claim: Claim, verified: VerifiedClaims | None) -> tuple[_Equation | None, bytes]:
    signature = claim.signature
    refuse_unless(len(signature) == 64, "bad-signature", "a signature has 64 bytes")
    c = hash_to_scalar(claim.label, claim.suite, *claim.fields, signature[:32], claim.message)
    # The challenge binds label, key, signer and message; with the rest of the signature it names the claim.
    digest = hashlib.sha256(c.encode() + claim.public + signature).digest()
    if verified is not None and digest in verified:
        return None, digest
    return _Equation(decode_scalar(signature[32:], "z"), decode_point(signature[:32], "R"), c, claim.public), digest


def _failing_equations(equations: Sequence[_Equation]) -> list[int]:
    if not equations or _holds(equations):
        return []
    if len(equations) == 1:
        return [0]
    half = len(equations) // 2
    return _failing_equations(equations[:half]) + [half + i for i in _failing_equations(equations[half:])]


def _holds(equations: Sequence[_Equation]) -> bool:
    """``(sum u_i z_i) P0 = sum u_i R_i + sum (u_i c_i) W_i``, terms of one key merged."""
    weights = _weights(equations)
    total = weights[0] * equations[0].z
    by_key: dict[bytes, Scalar] = {}
    for weight, equation in zip(weights, equations, strict=True):
        term = weight * equation.c
        known = by_key.get(equation.public)
        by_key[equation.public] = term if known is None else known + term
    for weight, equation in zip(weights[1:], equations[1:], strict=True):
        total = total + weight * equation.z
    try:
        publics = [_public_point(key) for key in by_key]
    except Refused:
        return False
    right = msm_vartime([*weights, *by_key.values()], [*(e.R for e in equations), *publics])
    return base_mul(total) == right


def _weights(equations: Sequence[_Equation]) -> list[Scalar]:
    whole = hashlib.sha512()
    for e in equations:
        whole.update(e.c.encode() + e.z.encode() + e.R.encode() + e.public)
    seed = whole.digest()
    # 128 bits are enough: a false equation passes with probability 2^-128. A zero weight would skip its equation.
    digests = (hashlib.sha256(seed + i.to_bytes(8, "big")).digest()[:16] for i in range(len(equations)))
    return [Scalar.decode((d if any(d) else b"\x01" + d[1:]) + bytes(16)) for d in digests]


@lru_cache(maxsize=1024)
def _public_point(public: bytes) -> Point:
    return decode_point(public, "public key")
