"""Schnorr signatures and proofs of equal logarithms: complete, bound to every input, and safe with bad randomness."""

from __future__ import annotations

import os

import pytest

from salus.errors import Refused
from salus.groups.proofs import dleq_prove, dleq_verify, schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import ORDER, Point, Scalar, base_mul, hash_to_point, hash_to_scalar, random_scalar

SUITE = "test"
secret = random_scalar(os.urandom)
public = base_mul(secret)
FIELDS = (b"network", "hospital/doctor", public.encode())
MESSAGE = (b"body", 7, None)
base = hash_to_point("base", SUITE)
result = base.mul(secret)


def test_schnorr_accepts_what_was_signed() -> None:
    signature = schnorr_sign("sig", SUITE, secret, FIELDS, MESSAGE, os.urandom)
    assert len(signature) == 64
    schnorr_verify("sig", SUITE, public, FIELDS, MESSAGE, signature)


def test_schnorr_is_the_written_equation() -> None:
    signature = schnorr_sign("sig", SUITE, secret, FIELDS, MESSAGE, os.urandom)
    c = hash_to_scalar("sig", SUITE, *FIELDS, signature[:32], MESSAGE)
    assert base_mul(Scalar.decode(signature[32:])) == Point.decode(signature[:32]) + public.mul(c)


@pytest.mark.parametrize("change", ["label", "suite", "public", "fields", "message"])
def test_schnorr_binds_every_input(change: str) -> None:
    given = {"label": "sig", "suite": SUITE, "public": public, "fields": FIELDS, "message": MESSAGE}
    other = {
        "label": "gis",
        "suite": "tset",
        "public": base_mul(secret + secret),
        "fields": FIELDS[:2],
        "message": (b"body", 8, None),
    }
    signature = schnorr_sign("sig", SUITE, secret, FIELDS, MESSAGE, os.urandom)
    given[change] = other[change]
    with pytest.raises(Refused, match="bad-signature"):
        schnorr_verify(given["label"], given["suite"], given["public"], given["fields"], given["message"], signature)  # type: ignore[arg-type]


def test_schnorr_refuses_every_flipped_bit() -> None:
    signature = schnorr_sign("sig", SUITE, secret, FIELDS, MESSAGE, os.urandom)
    for bit in range(512):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused) as refusal:
            schnorr_verify("sig", SUITE, public, FIELDS, MESSAGE, bytes(flipped))
        assert refusal.value.reason in ("bad-signature", "bad-point", "bad-scalar")


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_schnorr_refuses_other_lengths(length: int) -> None:
    with pytest.raises(Refused, match="bad-signature"):
        schnorr_verify("sig", SUITE, public, FIELDS, MESSAGE, bytes(length))


def test_schnorr_under_the_identity_is_refused() -> None:
    """Under the identity as key anyone could sign: R = z*P holds for every challenge."""
    z = random_scalar(os.urandom)
    forged = base_mul(z).encode() + z.encode()
    with pytest.raises(Refused, match="bad-point"):
        schnorr_verify("sig", SUITE, Point.identity(), FIELDS, MESSAGE, forged)


def test_schnorr_with_the_zero_nonce_is_refused() -> None:
    """R = identity, z = c*s verifies by the equation and shows s to everyone: R must be an element other than the identity."""
    R = bytes(32)
    c = hash_to_scalar("sig", SUITE, *FIELDS, R, MESSAGE)
    with pytest.raises(Refused, match="bad-point"):
        schnorr_verify("sig", SUITE, public, FIELDS, MESSAGE, R + (c * secret).encode())


def test_scalars_above_the_order_are_refused() -> None:
    """z + l satisfies the equation as well: a second signature nobody made."""
    signature = schnorr_sign("sig", SUITE, secret, FIELDS, MESSAGE, os.urandom)
    z = int.from_bytes(signature[32:], "little") + ORDER
    with pytest.raises(Refused, match="bad-scalar"):
        schnorr_verify("sig", SUITE, public, FIELDS, MESSAGE, signature[:32] + z.to_bytes(32, "little"))


def test_a_stuck_source_of_randomness_does_not_give_the_secret_away() -> None:
    """With one nonce for two messages, s = (z1 - z2)/(c1 - c2); the hedged nonce differs although the randomness repeats."""
    first = schnorr_sign("sig", SUITE, secret, FIELDS, b"one", bytes)
    second = schnorr_sign("sig", SUITE, secret, FIELDS, b"two", bytes)
    assert first[:32] != second[:32]
    c1, c2 = (hash_to_scalar("sig", SUITE, *FIELDS, s[:32], m) for s, m in ((first, b"one"), (second, b"two")))
    z1, z2 = Scalar.decode(first[32:]), Scalar.decode(second[32:])
    assert (z1 - z2) * (c1 - c2).invert() != secret


def test_the_repeated_nonce_attack_works_without_the_hedge() -> None:
    k = random_scalar(os.urandom)
    R = base_mul(k).encode()
    c1, c2 = (hash_to_scalar("sig", SUITE, *FIELDS, R, m) for m in (b"one", b"two"))
    z1, z2 = k + c1 * secret, k + c2 * secret
    assert (z1 - z2) * (c1 - c2).invert() == secret


def test_fresh_randomness_gives_fresh_signatures() -> None:
    signatures = {schnorr_sign("sig", SUITE, secret, FIELDS, MESSAGE, os.urandom) for _ in range(5)}
    assert len(signatures) == 5


def test_dleq_accepts_equal_logarithms() -> None:
    proof = dleq_prove(SUITE, secret, public, base, result, FIELDS, os.urandom)
    assert len(proof) == 64
    dleq_verify(SUITE, public, base, result, FIELDS, proof)


@pytest.mark.parametrize("change", ["suite", "public", "base", "result", "fields"])
def test_dleq_binds_every_input(change: str) -> None:
    proof = dleq_prove(SUITE, secret, public, base, result, FIELDS, os.urandom)
    given = {"suite": SUITE, "public": public, "base": base, "result": result, "fields": FIELDS}
    other = {"suite": "x", "public": base, "base": public, "result": result + public, "fields": ()}
    given[change] = other[change]
    with pytest.raises(Refused, match="bad-proof"):
        dleq_verify(given["suite"], given["public"], given["base"], given["result"], given["fields"], proof)  # type: ignore[arg-type]


def test_dleq_cannot_be_made_for_another_logarithm() -> None:
    wrong = base.mul(secret + Scalar.from_int(1))
    proof = dleq_prove(SUITE, secret, public, base, wrong, FIELDS, os.urandom)
    with pytest.raises(Refused, match="bad-proof"):
        dleq_verify(SUITE, public, base, wrong, FIELDS, proof)


def test_dleq_refuses_every_flipped_bit_and_identities() -> None:
    proof = dleq_prove(SUITE, secret, public, base, result, FIELDS, os.urandom)
    for bit in range(0, 512, 3):
        flipped = bytearray(proof)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused) as refusal:
            dleq_verify(SUITE, public, base, result, FIELDS, bytes(flipped))
        assert refusal.value.reason in ("bad-proof", "bad-scalar")
    zero = Point.identity()
    for statement in ((zero, base, result), (public, zero, result), (public, base, zero)):
        with pytest.raises(Refused, match="bad-point"):
            dleq_verify(SUITE, *statement, FIELDS, proof)
    with pytest.raises(Refused, match="bad-proof"):
        dleq_verify(SUITE, public, base, result, FIELDS, proof[:63])
