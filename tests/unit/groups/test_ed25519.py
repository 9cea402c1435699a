"""Consensus signatures by ZIP-215: single and batch agree on every input, also on those where other verifiers split."""

from __future__ import annotations

import os

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from salus._native import ed25519_verify, ed25519_verify_batch
from salus.groups.reference import FIELD

Item = tuple[bytes, bytes, bytes]


def _y_of_order_8() -> list[int]:
    """The y of the points of order 8: they double to y = 0, so x^2 = -y^2, and the curve gives d*y^4 + 2*y^2 - 1 = 0."""
    d = -121665 * pow(121666, -1, FIELD) % FIELD
    found = []
    for sign in (1, -1):
        # d*t^2 + 2*t - 1 = 0 for t = y^2
        t = (-1 + sign * _sqrt((1 + d) % FIELD)) * pow(d, -1, FIELD) % FIELD
        if pow(t, (FIELD - 1) // 2, FIELD) == 1:
            y = _sqrt(t)
            found += [y, FIELD - y]
    return found


def _sqrt(square: int) -> int:
    root = pow(square, (FIELD + 3) // 8, FIELD)
    return root if root * root % FIELD == square else root * pow(2, (FIELD - 1) // 4, FIELD) % FIELD


def small_order_encodings() -> list[bytes]:
    """All encodings, canonical or not, of the eight points of small order that a verifier may meet."""
    values = [0, 1, FIELD - 1, FIELD, FIELD + 1, *_y_of_order_8()]
    return [(y | sign << 255).to_bytes(32, "little") for y in values for sign in (0, 1)]


def _accepted_by_openssl(item: Item) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(item[0]).verify(item[2], item[1])
    except InvalidSignature:
        return False
    return True


def _signed(message: bytes) -> Item:
    key = Ed25519PrivateKey.generate()
    return key.public_key().public_bytes_raw(), message, key.sign(message)


def test_small_order_keys_and_commitments_are_accepted_alike() -> None:
    """With s = 0 the cofactored equation holds for every pair of such points (the test of ZIP-215 itself)."""
    encodings = small_order_encodings()
    assert len(encodings) == 14
    items = [(A, b"Zcash", R + bytes(32)) for A in encodings for R in encodings]
    assert all(ed25519_verify(*item) for item in items)
    assert ed25519_verify_batch(items) == [True] * len(items)
    # Other rules refuse most of them: a certificate checked by both would split the chain.
    assert not all(_accepted_by_openssl(item) for item in items)


def test_honest_signatures() -> None:
    items = [_signed(os.urandom(n)) for n in range(40)]
    assert ed25519_verify_batch(items) == [True] * 40 == [ed25519_verify(*i) for i in items]


def test_one_key_many_messages() -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    items = [(public, bytes([n]), key.sign(bytes([n]))) for n in range(30)]
    items[7] = (public, b"other", items[7][2])
    assert ed25519_verify_batch(items) == [n != 7 for n in range(30)]


@pytest.mark.parametrize("bad", [[0], [31], [3, 4], [0, 15, 16, 31], list(range(32))])
def test_bad_ones_are_named(bad: list[int]) -> None:
    items = [_signed(bytes([n])) for n in range(32)]
    for n in bad:
        signature = bytearray(items[n][2])
        signature[40] ^= 1
        items[n] = (*items[n][:2], bytes(signature))
    assert ed25519_verify_batch(items) == [n not in bad for n in range(32)]


def test_every_flipped_bit_is_refused() -> None:
    key, message, signature = _signed(b"vote")
    items: list[Item] = []
    for bit in range(512):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        items.append((key, message, bytes(flipped)))
    for bit in range(256):
        changed = bytearray(key)
        changed[bit // 8] ^= 1 << bit % 8
        items.append((bytes(changed), message, signature))
    assert not any(ed25519_verify_batch(items))
    assert not any(ed25519_verify(*item) for item in items)


def test_s_is_canonical() -> None:
    """s + l would be a second signature of the same message."""
    order = 2**252 + 27742317777372353535851937790883648493
    key, message, signature = _signed(b"vote")
    second = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert not ed25519_verify(key, message, second)
    assert ed25519_verify_batch([(key, message, second)] * 4) == [False] * 4


def test_wrong_lengths_are_bad_signatures() -> None:
    key, message, signature = _signed(b"vote")
    items = [
        (key, message, signature),
        (key[:31], message, signature),
        (key, message, signature[:63]),
        (key, message, b""),
        (b"", b"", b""),
    ]
    assert ed25519_verify_batch(items) == [True, False, False, False, False] == [ed25519_verify(*i) for i in items]
    assert ed25519_verify_batch([]) == []
