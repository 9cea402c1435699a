"""Bodies: files of any size, encrypted in 64 KiB segments, for the cloud.

Format (of GA4GH Crypt4GH 1.0, section 3; a header for a recipient makes the segments a standard file)::

    body    = segment*                     at least one
    segment = nonce (12) || ChaCha20-Poly1305(k_body, nonce, up to 65,536 bytes, no associated data) || tag (16)
    nonce   = prefix (7, random for each body) || number (4, big-endian) || last (1: 0x01 in the last segment, else 0x00)

Why these nonces: number and last-flag are those of the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar: Online
authenticated-encryption and its nonce-reuse misuse-resistance, 2015), so every single segment shows its place
when it is opened: swapped, dropped, repeated, appended segments and a cut end are noticed *before* plaintext is
released, in one pass, although the digest is only known at the end. Every key is meant for one body; should a caller
that was interrupted encrypt a changed file under the same key again, the random prefix keeps the keystreams apart (and
segments of the two cannot be mixed). Random nonces alone would give no order; a counter alone would forgive no mistake.

Keys: ``k_body, k_meta = KDF("body", k; context)``, so a body opens only in the context it was made for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from salus import labels
from salus.errors import Refused, refuse_unless
from salus.files import replacing
from salus.records.digest import (
    NONCE_BYTES,
    SEALED_SEGMENT_BYTES,
    SEGMENT_BYTES,
    BodyDigester,
    BodySummary,
    RangeProof,
    digest_body,
    encrypted_size,
    prove_range,
    segment_range,
    segments_of,
    verify_range,
)
from salus.records.streams import Progress, Sink, Source, open_source, read_up_to, write_all
from salus.symmetric import KEY_BYTES, Random, kdf

__all__ = [
    "BodyDigester",
    "BodyKeys",
    "BodySummary",
    "RangeProof",
    "body_keys",
    "decrypt_body",
    "decrypt_file",
    "decrypt_range",
    "digest_body",
    "encrypt_body",
    "encrypted_size",
    "prove_range",
    "segment_range",
    "segments_of",
    "verify_range",
]

_PREFIX_BYTES: Final = 7


class BodyKeys:
    """Keys of one body: ``body`` for its segments, ``meta`` for its sealed metadata (32 bytes each, secret)."""

    __slots__ = ("body", "meta")

    def __init__(self, body: bytes, meta: bytes) -> None:
        self.body = body
        self.meta = meta

    def __repr__(self) -> str:
        return "BodyKeys(..)"


def body_keys(key: bytes, context: Any) -> BodyKeys:
    """``k_body, k_meta = KDF("body", key; context)``.

    :param key: 32 secret bytes, for one body only.
    :param context: encodable value; (t0, cm, S_D, PID1) of a request, (t0', PID2) of a reply, (network, rid, x) of a record.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a body's key has {KEY_BYTES} bytes, not {len(key)}")
    both = kdf(labels.BODY, labels.SUITE_RECORDS, [key], context, 2 * KEY_BYTES)
    return BodyKeys(both[:KEY_BYTES], both[KEY_BYTES:])


def encrypt_body(
    source: Source, key: bytes, context: Any, sink: Sink, progress: Progress | None = None, *, random: Random = os.urandom
) -> BodySummary:
    """Encrypt all of ``source`` into ``sink`` and return what the ledger will name (bodies, steps 1 to 4); constant memory.

    :param key: 32 secret bytes, for this body only.
    :param context: encodable value the body is bound to (see :func:`body_keys`).
    :param progress: called with the number of plaintext bytes done, once per segment.
    :param random: gives the 7-byte nonce prefix.
    :raises StorageError: if source or sink fail.
    :raises Refused: ``too-large`` over 1 TiB.
    """
    cipher = ChaCha20Poly1305(body_keys(key, context).body)
    prefix = random(_PREFIX_BYTES)
    digester = BodyDigester()
    plain_bytes = 0
    segment = read_up_to(source, SEGMENT_BYTES)
    number = 0
    while True:
        following = read_up_to(source, SEGMENT_BYTES) if len(segment) == SEGMENT_BYTES else b""
        nonce = _nonce(prefix, number, last=not following)
        sealed = nonce + cipher.encrypt(nonce, segment, None)
        digester.update(sealed)
        write_all(sink, sealed)
        plain_bytes += len(segment)
        if progress is not None:
            progress(plain_bytes)
        if not following:
            return digester.finish()
        segment = following
        number += 1


def decrypt_body(
    source: Source, key: bytes, context: Any, expected: BodySummary, sink: Sink, progress: Progress | None = None
) -> None:
    """Decrypt a body into ``sink``, each segment only after it is verified at its place (opening, steps 1 to 3); constant memory.

    That the whole is the body the ledger names is known when this returns: write to :func:`salus.files.replacing`
    (as :func:`decrypt_file` does), so that a refused body leaves nothing behind.

    :param expected: digest and size, from the ledger.
    :param progress: called with the number of plaintext bytes done, once per segment.
    :raises Refused: ``bad-body`` if anything differs: altered, swapped, dropped, repeated, cut or appended bytes, another
        key or context, another body.
    :raises StorageError: if source or sink fail.
    """
    refuse_unless(segments_of(expected.size_bytes) == expected.segments, "bad-body", "size and number of segments disagree")
    opener = _Opener(body_keys(key, context).body, expected)
    digester = BodyDigester()
    plain_bytes = 0
    for number in range(expected.segments):
        sealed = read_up_to(source, SEALED_SEGMENT_BYTES)
        digester.update(sealed)
        plaintext = opener.open(number, sealed)
        write_all(sink, plaintext)
        plain_bytes += len(plaintext)
        if progress is not None:
            progress(plain_bytes)
    refuse_unless(not read_up_to(source, 1), "bad-body", "bytes follow the last segment")
    refuse_unless(digester.finish() == expected, "bad-body", "the body is not the one the ledger names")


def decrypt_file(
    encrypted: Path, key: bytes, context: Any, expected: BodySummary, destination: Path, progress: Progress | None = None
) -> None:
    """Decrypt a file to ``destination``, which appears only when all of it is verified.

    :raises Refused: as :func:`decrypt_body`; :raises StorageError: if a file cannot be read or written.
    """
    with open_source(encrypted) as source, replacing(destination) as sink:
        decrypt_body(source, key, context, expected, sink, progress)


def decrypt_range(key: bytes, context: Any, expected: BodySummary, proof: RangeProof, ciphertext: bytes) -> bytes:
    """Plaintext of a run of segments that verifies alone (see :func:`segment_range` for byte ranges).

    :param proof: from :func:`prove_range`; :param ciphertext: segments ``proof.first`` and following, whole.
    :raises Refused: ``bad-body`` if the range is not of this body.
    """
    opener = _Opener(body_keys(key, context).body, expected)
    segments = verify_range(expected, proof, ciphertext)
    return b"".join(opener.open(proof.first + i, sealed) for i, sealed in enumerate(segments))


class _Opener:
    """Opens sealed segments, each at its place; all of one body share one nonce prefix."""

    def __init__(self, k_body: bytes, expected: BodySummary) -> None:
        self._cipher = ChaCha20Poly1305(k_body)
        self._expected = expected
        self._prefix: bytes | None = None

    def open(self, number: int, sealed: bytes) -> bytes:
        start = number * SEALED_SEGMENT_BYTES
        wanted = min(SEALED_SEGMENT_BYTES, self._expected.size_bytes - start)
        refuse_unless(len(sealed) == wanted, "bad-body", f"segment {number} has {len(sealed)} bytes, not {wanted}: cut short")
        nonce = sealed[:NONCE_BYTES]
        if self._prefix is None:
            self._prefix = nonce[:_PREFIX_BYTES]
        place = _nonce(self._prefix, number, last=number == self._expected.segments - 1)
        refuse_unless(nonce == place, "bad-body", f"segment {number} is not in its place")
        try:
            return self._cipher.decrypt(nonce, sealed[NONCE_BYTES:], None)
        except InvalidTag:
            raise Refused("bad-body", f"segment {number} does not open: altered, or another key or context") from None


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + (b"\x01" if last else b"\x00")
