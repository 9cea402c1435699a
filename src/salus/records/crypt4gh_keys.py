"""Key files of Crypt4GH: X25519 keys as the reference tools write them (``crypt4gh-keygen``; crypt4gh.readthedocs.io, "Keys").

::

    public   PEM "CRYPT4GH PUBLIC KEY":  32 bytes
    private  PEM "CRYPT4GH PRIVATE KEY":
             "c4gh-v1" string(kdf) [string(rounds:4 || salt)] string(cipher) string(key) [string(comment)]
             string(s) = length (2, big-endian) || s; key = nonce (12) || ChaCha20-Poly1305 ciphertext, or the 32 bytes in clear
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from salus.errors import Refused, refuse_unless
from salus.files import read_bounded

CRYPT4GH_KEY_BYTES: Final = 32
FILE_BYTES_MAX: Final = 16 * 1024
"""A key file has some 200 bytes, and a comment."""
ROUNDS_MAX: Final = 10_000_000
"""PBKDF2 rounds of a file we open: seconds of work, so that a hostile file does not keep a processor busy for days."""

_MAGIC: Final = b"c4gh-v1"
_PEM: Final = re.compile(
    rb"-----BEGIN CRYPT4GH (PUBLIC|PRIVATE) KEY-----\s+([A-Za-z0-9+/=\s]+)-----END CRYPT4GH (PUBLIC|PRIVATE) KEY-----\s*"
)


def read_public_key(path: Path) -> bytes:
    """The 32 bytes of a public key file.

    :raises StorageError: it cannot be read. :raises Refused: ``bad-container`` if it holds no such key.
    """
    return parse_public_key(read_bounded(path, FILE_BYTES_MAX, "the public key"))


def read_private_key(path: Path, passphrase: str | None = None) -> bytes:
    """The 32 secret bytes of a private key file.

    :param passphrase: for an encrypted one. :raises StorageError: it cannot be read.
    :raises Refused: ``bad-container`` if it holds no such key, needs a passphrase, or does not open with this one.
    """
    return parse_private_key(read_bounded(path, FILE_BYTES_MAX, "the private key"), passphrase)


def parse_public_key(data: bytes) -> bytes:
    """The 32 bytes of a public key, from the content of its file.

    :raises Refused: ``bad-container``.
    """
    key = _unwrap(data, b"PUBLIC")
    refuse_unless(len(key) == CRYPT4GH_KEY_BYTES, "bad-container", f"the public key has {len(key)} bytes, not 32")
    return key


def format_public_key(key: bytes) -> bytes:
    """The content of a public key file."""
    return b"-----BEGIN CRYPT4GH PUBLIC KEY-----\n" + base64.b64encode(key) + b"\n-----END CRYPT4GH PUBLIC KEY-----\n"


def public_key_of(private_key: bytes) -> bytes:
    """The public key of 32 secret bytes."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def parse_private_key(data: bytes, passphrase: str | None = None) -> bytes:
    """The 32 secret bytes of a private key, from the content of its file.

    :raises Refused: ``bad-container``.
    """
    rest = _unwrap(data, b"PRIVATE")
    refuse_unless(rest.startswith(_MAGIC), "bad-container", "the private key is not of version c4gh-v1")
    kdf, rest = _string(rest[len(_MAGIC) :])
    options = b""
    if kdf != b"none":
        options, rest = _string(rest)
    cipher, rest = _string(rest)
    key, rest = _string(rest)
    if rest:
        _, rest = _string(rest)
    refuse_unless(not rest, "bad-container", "bytes follow the private key")
    if cipher == b"chacha20_poly1305":
        key = _open(key, kdf, options, passphrase)
    else:
        refuse_unless(cipher == b"none" == kdf, "bad-container", "the private key is encrypted with an unknown cipher")
    refuse_unless(len(key) == CRYPT4GH_KEY_BYTES, "bad-container", f"the private key has {len(key)} bytes, not 32")
    return key


def _open(sealed: bytes, kdf: bytes, options: bytes, passphrase: str | None) -> bytes:
    if not passphrase:
        raise Refused("bad-container", "the private key is encrypted; give its passphrase")
    rounds, salt = int.from_bytes(options[:4], "big"), options[4:]
    refuse_unless(8 <= len(salt) <= 64, "bad-container", f"a salt of {len(salt)} bytes")
    if kdf == b"scrypt":
        derived = hashlib.scrypt(passphrase.encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=CRYPT4GH_KEY_BYTES)
    elif kdf == b"pbkdf2_hmac_sha256":
        refuse_unless(1 <= rounds <= ROUNDS_MAX, "bad-container", f"{rounds} rounds of PBKDF2")
        derived = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, rounds, CRYPT4GH_KEY_BYTES)
    else:
        raise Refused("bad-container", "the private key is encrypted by a derivation other than scrypt and PBKDF2; lock it again")
    try:
        return ChaCha20Poly1305(derived).decrypt(sealed[:12], sealed[12:], None)
    except (InvalidTag, ValueError):
        raise Refused("bad-container", "the private key does not open; check the passphrase") from None


def _unwrap(data: bytes, kind: bytes) -> bytes:
    match = _PEM.fullmatch(data.strip() + b"\n") if len(data) <= FILE_BYTES_MAX else None
    if match is None or match[1] != match[3]:
        raise Refused("bad-container", f"this is no Crypt4GH {kind.decode().lower()} key file")
    if match[1] != kind:
        raise Refused("bad-container", f"this is a {match[1].decode().lower()} key; the {kind.decode().lower()} one is needed")
    try:
        return base64.b64decode(b"".join(match[2].split()), validate=True)
    except binascii.Error:
        raise Refused("bad-container", "the key file is not base64") from None


def _string(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:2], "big")
    refuse_unless(len(data) >= 2 + length, "bad-container", "the private key is cut short")
    return data[2 : 2 + length], data[2 + length :]
