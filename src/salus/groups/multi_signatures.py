"""BLS signatures that add up: keys in G2, signatures in G1, one check for any number of signers of one message.

Ciphersuite BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_ (draft-irtf-cfrg-bls-signature, 4.2.3). Every key must have come with
a proof of possession, or one signer could cancel the others' keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from salus import labels
from salus.codec import encode
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import (
    FR_BYTES,
    G1,
    G2,
    Fr,
    decode_fr,
    decode_g1,
    decode_g1_batch,
    decode_g2_batch,
    g1_hash_batch,
    g1_msm_groups_vartime,
    g1_msm_vartime,
    g1_sum,
    g2_sum,
    multi_pairing,
    pairing,
)

SIGNATURE_BYTES: Final = 48
PUBLIC_KEY_BYTES: Final = 96
SIGNERS_MAX: Final = 1024
"""Signers of one message: all nodes of a network, several times over."""
_DST: Final = labels.BLS_SIGNATURE.encode()


def sign(secret: bytes, message: bytes) -> bytes:
    """``secret * H(message)``, 48 bytes.

    :param secret: 32 bytes big-endian, below the group order, not zero.
    :raises Refused: ``bad-scalar``.
    """
    refuse_unless(len(secret) == FR_BYTES, "bad-scalar", f"a BLS secret has {FR_BYTES} bytes")
    scalar = decode_fr(secret, "BLS secret")
    refuse_unless(not scalar.is_zero(), "bad-scalar", "BLS secret")
    return G1.hash(message, _DST).mul(scalar).encode()


def aggregate(signatures: Sequence[bytes]) -> bytes:
    """The sum of signatures: 48 bytes.

    :raises Refused: ``bad-point``, ``too-large``.
    """
    refuse_unless(1 <= len(signatures) <= SIGNERS_MAX, "too-large", f"1 to {SIGNERS_MAX} signatures add up")
    total = g1_sum(decode_g1_batch(signatures, "signature"))
    refuse_unless(not total.is_identity(), "bad-point", "the signatures cancel")
    return total.encode()


def verify(public_keys: Sequence[bytes], message: bytes, signature: bytes) -> None:
    """Check a signature of all these keys: ``e(H(message), sum of the keys) = e(signature, g2)``.

    :param public_keys: 96 bytes each, possession proven.
    :raises Refused: ``bad-signature``.
    """
    refuse_unless(1 <= len(public_keys) <= SIGNERS_MAX, "too-large", f"1 to {SIGNERS_MAX} signers")
    try:
        key = g2_sum(decode_g2_batch(public_keys, "public key"))
        point = decode_g1(signature, "signature")
    except Refused as error:
        raise Refused("bad-signature", error.detail) from None
    holds = not key.is_identity() and pairing([(G1.hash(message, _DST), key), (-point, G2.generator())]).is_one()
    refuse_unless(holds, "bad-signature", "the signature is not of these keys")


Signed = tuple[tuple[bytes, ...], bytes, bytes]
"""(public keys, message, signature), as :func:`verify` takes them."""


def verify_batch(items: Sequence[Signed]) -> list[bool]:
    """Which of many signatures hold, each of its own keys and message: one product of pairings if all do.

    ``prod over sets of keys of e(sum z_i*H(message_i), sum of the keys) = e(sum z_i*signature_i, g2)``, z_i of 128 bits hashed
    from the whole batch, so that every verifier has the same ones and nobody chooses them.
    """
    if len(items) > 1 and _all_hold(items):
        return [True] * len(items)
    return [_holds(item) for item in items]


def _all_hold(items: Sequence[Signed]) -> bool:
    try:
        signatures = decode_g1_batch([signature for _, _, signature in items], "signature")
        keys = {keys: _sum_of(keys) for keys, _, _ in items}
    except Refused:
        return False
    if any(key.is_identity() for key in keys.values()):
        return False
    z = batch_weights(items)
    hashes = g1_hash_batch([message for _, message, _ in items], _DST)
    groups: dict[tuple[bytes, ...], tuple[list[Fr], list[G1]]] = {}
    for (signers, _, _), weight, point in zip(items, z, hashes, strict=True):
        terms = groups.setdefault(signers, ([], []))
        terms[0].append(weight)
        terms[1].append(point)
    sums = g1_msm_groups_vartime(list(groups.values()))
    pairs = [(total, keys[signers]) for signers, total in zip(groups, sums, strict=True)]
    return multi_pairing([*pairs, (-g1_msm_vartime(z, signatures), G2.generator())]).is_one()


def batch_weights(items: Sequence[Signed]) -> list[Fr]:
    """z_i of :func:`verify_batch`: 128 bits for each item, hashed from the keys, messages and signatures of all."""
    whole = encode((labels.BLS_BATCH, tuple((item[0], item[1], item[2]) for item in items)))
    stream = hashlib.shake_256(whole).digest(16 * len(items))
    return [Fr.from_int(int.from_bytes(stream[16 * i : 16 * i + 16], "big")) for i in range(len(items))]


def _holds(item: Signed) -> bool:
    try:
        verify(*item)
    except Refused:
        return False
    return True


@lru_cache(maxsize=256)
def _sum_of(public_keys: tuple[bytes, ...]) -> G2:
    """The sum of keys: the same nodes sign together again and again."""
    refuse_unless(1 <= len(public_keys) <= SIGNERS_MAX, "too-large", f"1 to {SIGNERS_MAX} signers")
    return g2_sum(decode_g2_batch(public_keys, "public key"))
