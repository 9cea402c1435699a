"""RFC 9497, mode 1 (VOPRF), suite ristretto255-SHA512, with one key or one share of it; names of the RFC.

The threshold form (:mod:`salus.search.tokens`) uses these functions with a share of the key in place of the key: each node's
answer is a VOPRF answer under its own public share, and Lagrange's weights combine answers to the one under the whole key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from salus import labels
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import (
    Point,
    Scalar,
    decode_scalar,
    double_base_mul_vartime,
    encode_batch,
    from_uniform_batch,
    hash_to_scalar,
    msm_vartime,
    mul_batch,
    mul_one_scalar,
    random_scalar,
)
from salus.symmetric import Random

ELEMENTS_MAX: Final = 1024
"""Blinded elements of one request: the words of the largest record, and 32 KiB on the way to each node."""
INPUT_BYTES_MAX: Final = 65_535
"""RFC 9497, section 1.2: inputs are at most 2^16 - 1 bytes."""
OUTPUT_BYTES: Final = 64
"""Nh of the suite."""
PROOF_BYTES: Final = 64
"""c, then s: 32 bytes each."""

_CONTEXT: Final = b"OPRFV1-\x01-ristretto255-SHA512"
_HEDGE_BYTES: Final = 32


class _Expander:
    """expand_message_xmd of RFC 9380 with SHA-512 for 64 bytes of output: one block, so two hashes."""

    def __init__(self, dst: bytes) -> None:
        self._tail = (64).to_bytes(2, "big") + b"\x00" + dst + bytes([len(dst)])
        self._last = b"\x01" + dst + bytes([len(dst)])
        self._padded = hashlib.sha512(bytes(128))

    def expand(self, message: bytes) -> bytes:
        """64 uniform bytes."""
        first = self._padded.copy()
        first.update(message)
        first.update(self._tail)
        return hashlib.sha512(first.digest() + self._last).digest()


_TO_GROUP: Final = _Expander(b"HashToGroup-" + _CONTEXT)
_TO_SCALAR: Final = _Expander(b"HashToScalar-" + _CONTEXT)


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def hash_to_group(inputs: Sequence[bytes]) -> list[Point]:
    """HashToGroup of each input (section 4.1).

    :raises Refused: ``too-large`` for an input over 65,535 bytes or too many inputs; ``bad-point`` for the identity (2^-252).
    """
    _check_count(len(inputs))
    refuse_unless(all(len(i) <= INPUT_BYTES_MAX for i in inputs), "too-large", f"an input has at most {INPUT_BYTES_MAX} bytes")
    points = from_uniform_batch([_TO_GROUP.expand(i) for i in inputs])
    refuse_unless(not any(p.is_identity() for p in points), "bad-point", "an input hashes to the identity")
    return points


def blind(inputs: Sequence[bytes], random: Random) -> tuple[list[Scalar], list[Point]]:
    """Blind (section 3.3.2): a fresh scalar for each input, and the blinded elements."""
    blinds = [random_scalar(random) for _ in inputs]
    return blinds, blind_with(inputs, blinds)


def blind_with(inputs: Sequence[bytes], blinds: Sequence[Scalar]) -> list[Point]:
    """:func:`blind` with given scalars, for test vectors: none may be used twice.

    :raises Refused: as :func:`hash_to_group`.
    """
    return mul_batch(blinds, hash_to_group(inputs))


def evaluate(key: Scalar, elements: Sequence[Point]) -> list[Point]:
    """Evaluate each blinded element under a key, in constant time: ``key * element``."""
    return mul_one_scalar(key, elements)


def prove(key: Scalar, public: Point, elements: Sequence[Point], evaluated: Sequence[Point], random: Random) -> bytes:
    """GenerateProof (section 2.2.1): all evaluations are under the key of ``public``. The nonce is hedged, as in
    :mod:`salus.groups.proofs`: neither a repeated random string nor a predictable one gives the key away."""
    M = msm_vartime(_weights(public, elements, evaluated), elements)
    fields = (public.encode(), M.encode())
    r = hash_to_scalar(labels.NONCE, labels.SUITE_SEARCH, key.encode(), random(_HEDGE_BYTES), *fields)
    return _prove(key, public, M, random_scalar(random) if r.is_zero() else r)


def prove_with(key: Scalar, public: Point, elements: Sequence[Point], evaluated: Sequence[Point], r: Scalar) -> bytes:
    """:func:`prove` with a given nonce, for test vectors: one that is used twice shows the key.

    :return: c and s, 64 bytes.
    """
    return _prove(key, public, msm_vartime(_weights(public, elements, evaluated), elements), r)


def _prove(key: Scalar, public: Point, M: Point, r: Scalar) -> bytes:
    # ComputeCompositesFast (section 2.2.1): Z is the key times M, whatever the number of elements.
    Z, t2, t3 = mul_batch([key, r, r], [M, Point.generator(), M])
    c = _challenge(public, M, Z, t2, t3)
    return c.encode() + (r - c * key).encode()


def verify(public: Point, elements: Sequence[Point], evaluated: Sequence[Point], proof: bytes) -> None:
    """VerifyProof (section 2.2.2).

    :raises Refused: ``bad-proof`` if it does not hold, ``bad-point`` for an identity, ``bad-scalar`` for c or s.
    """
    refuse_unless(len(proof) == PROOF_BYTES, "bad-proof", f"a proof has {PROOF_BYTES} bytes")
    refuse_unless(len(elements) == len(evaluated), "bad-proof", f"{len(evaluated)} evaluations of {len(elements)} elements")
    for point in (public, *elements, *evaluated):
        refuse_unless(not point.is_identity(), "bad-point", "an element is the identity")
    c, s = decode_scalar(proof[:32], "c"), decode_scalar(proof[32:], "s")
    weights = _weights(public, elements, evaluated)
    M, Z = msm_vartime(weights, elements), msm_vartime(weights, evaluated)
    t2 = double_base_mul_vartime(c, public, s)
    t3 = msm_vartime([s, c], [M, Z])
    if _challenge(public, M, Z, t2, t3) != c:
        raise Refused("bad-proof", "the evaluations are not all under the key of this public key")


def unblind(blinds: Sequence[Scalar], evaluated: Sequence[Point]) -> list[Point]:
    """``blind^-1 * evaluated`` for each: the first step of Finalize (section 3.3.2)."""
    return mul_batch([b.invert() for b in blinds], evaluated)


def finalize(inputs: Sequence[bytes], unblinded: Sequence[Point]) -> list[bytes]:
    """The outputs, 64 bytes each: the last step of Finalize (section 3.3.2)."""
    encoded = encode_batch(unblinded)
    pairs = zip(inputs, encoded, strict=True)
    return [hashlib.sha512(_sized(i) + _sized(N) + b"Finalize").digest() for i, N in pairs]


def _check_count(count: int) -> None:
    refuse_unless(1 <= count <= ELEMENTS_MAX, "too-large", f"{count} words; one request has 1 to {ELEMENTS_MAX}")


def _weights(public: Point, elements: Sequence[Point], evaluated: Sequence[Point]) -> list[Scalar]:
    """d_i of ComputeComposites (section 2.2.1): public, so what is computed with them may take variable time."""
    _check_count(len(elements))
    seed = hashlib.sha512(_sized(public.encode()) + _sized(b"Seed-" + _CONTEXT)).digest()
    head = _sized(seed)
    pairs = zip(encode_batch(elements), encode_batch(evaluated), strict=True)
    return [
        Scalar.reduce(_TO_SCALAR.expand(head + i.to_bytes(2, "big") + _sized(C) + _sized(D) + b"Composite"))
        for i, (C, D) in enumerate(pairs)
    ]


def _challenge(public: Point, M: Point, Z: Point, t2: Point, t3: Point) -> Scalar:
    transcript = b"".join(_sized(e) for e in encode_batch([public, M, Z, t2, t3]))
    return Scalar.reduce(_TO_SCALAR.expand(transcript + b"Challenge"))
