"""h_1, h_2, E_key and the account of Algorithm 1, as this suite fixes them.

The paper names the functions only by their types. Fixed here:

* h_1 is SHA-512 over the typed encoding of its arguments, reduced modulo the group order. The paper writes ``||``; plain
  concatenation is ambiguous for arguments of varying length, the encoding is not.
* h_2 is SHA-512 truncated to 32 bytes. Where the paper XORs h_2 with the static anonym (Algorithms 7 and 9), the
  anonym is longer than any hash value: there h_2 is extended, block by block, to the anonym's length.
* E_key is ChaCha20-Poly1305 under a key derived by HKDF-SHA512 from the encoding of the curve point. The paper uses a
  point as a symmetric key without saying how, and asks no integrity of E; an authenticated cipher is the weakest choice
  a careful implementer would make, and none of the attacks needs a weaker one. A 16-byte random salt enters the derivation,
  because nothing in the paper stops two transactions from sharing A, hence a key.
* One p serves the paper as field prime and as group order; scalars here are modulo the group order throughout.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from salus import labels
from salus.groups.ristretto255 import Point, Scalar, hash_to_scalar
from salus.symmetric import Random, digest64, kdf, seal, unseal
from salus.symmetric import h2 as _h2

SUITE: Final = labels.SUITE_2019
SALT_BYTES: Final = 16


def h1(label: str, *fields: Any) -> Scalar:
    """h_1: {0,1}* -> Z_p*."""
    return hash_to_scalar(label, SUITE, *fields)


def h2(label: str, *fields: Any) -> bytes:
    """h_2: {0,1}* -> {0,1}^256."""
    return _h2(label, SUITE, *fields)


def h2_extended(label: str, length: int, *fields: Any) -> bytes:
    """h_2 stretched to ``length`` bytes: SHA-512 of (fields, length, 0), (fields, length, 1), ..

    :param length: bytes wanted; the mask of a static anonym is :data:`.messages.PID_BYTES` long.
    """
    blocks = -(-length // hashlib.sha512().digest_size)
    return b"".join(digest64(label, SUITE, *fields, length, i) for i in range(blocks))[:length]


def encrypt(key: Point, plaintext: bytes, random: Random) -> bytes:
    """E_key(M): salt (16 bytes), then ChaCha20-Poly1305 of M under the key derived from point and salt."""
    salt = random(SALT_BYTES)
    return salt + seal(_symmetric_key(key, salt), plaintext, (SUITE, labels.PRINTED_E))


def decrypt(key: Point, ciphertext: bytes, reason: str = "bad-seal") -> bytes:
    """D_key(C).

    :raises Refused: with ``reason`` if it is not a ciphertext under this key.
    """
    salt, body = ciphertext[:SALT_BYTES], ciphertext[SALT_BYTES:]
    return unseal(_symmetric_key(key, salt), body, (SUITE, labels.PRINTED_E), reason)


def account(PID1: bytes, PID2: bytes, pid: bytes) -> bytes:
    """The "account" of contribution 1: a hash over both dynamic anonyms and the static one, different in each run.

    No algorithm of the paper uses it. It exists only once PID2 does, so only patient and doctor can compute it, and only
    after the treatment: :class:`.treatment.Treatment` and :class:`.checking.Checked` carry it for display.
    """
    return h2(labels.ACCOUNT, PID1, PID2, pid)


def _symmetric_key(key: Point, salt: bytes) -> bytes:
    return kdf(labels.PRINTED_E, SUITE, [key.encode()], (salt,))
