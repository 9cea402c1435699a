"""Hashing, key derivation, MACs and sealing, by the conventions of the protocol documents.

Everything hashed, signed or used as KDF information is one canonical nested encoding (:mod:`salus.codec`) whose
first elements are label and suite.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from salus.codec import encode
from salus.errors import Refused

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
_ZERO_NONCE: Final = bytes(12)


class Random(Protocol):
    """A source of random bytes: the operating system's by default, a seeded one in tests."""

    def __call__(self, count: int, /) -> bytes:
        """``count`` uniformly random bytes."""


def digest64(label: str, suite: str, *fields: Any) -> bytes:
    """SHA-512 of the encoding of (label, suite, fields...): 64 bytes, the input of H1 and of hash to group."""
    return hashlib.sha512(encode((label, suite, *fields))).digest()


def h2(label: str, suite: str, *fields: Any) -> bytes:
    """``H2(label, fields...)``: SHA-512 truncated to 32 bytes."""
    return digest64(label, suite, *fields)[:32]


def kdf(label: str, suite: str, secrets: Sequence[bytes], context: Any, length: int = KEY_BYTES) -> bytes:
    """HKDF-SHA512, empty salt; input: the 32-byte encodings side by side; info: (suite, label, length, context).

    :param secrets: 32-byte encodings of the shared secrets, hashed side by side, never added as points.
    :param length: bytes of output, at most 255 * 64.
    """
    info = encode((suite, label, length, context))
    return HKDF(hashes.SHA512(), length, None, info).derive(b"".join(secrets))


def mac(key: bytes, *fields: Any) -> bytes:
    """HMAC-SHA512 truncated to 32 bytes over the encoding of ``fields``."""
    return hmac.digest(key, encode(fields), "sha512")[:32]


def mac_matches(expected: bytes, given: bytes) -> bool:
    """Compare two MACs in constant time."""
    return hmac.compare_digest(expected, given)


def seal(key: bytes, plaintext: bytes, aad: Any) -> bytes:
    """ChaCha20-Poly1305, nonce zero: every key is used exactly once. Output: ciphertext and 16-byte tag."""
    return ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, plaintext, encode(aad))


def unseal(key: bytes, ciphertext: bytes, aad: Any, reason: str) -> bytes:
    """Open :func:`seal`'s output.

    :raises Refused: with ``reason`` if the tag does not match.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, ciphertext, encode(aad))
    except InvalidTag:
        raise Refused(reason) from None


def xor(a: bytes, b: bytes) -> bytes:
    """Bytewise exclusive or of two strings of one length."""
    if len(a) != len(b):
        raise Refused("bad-encoding", f"exclusive or of {len(a)} and {len(b)} bytes")
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
