"""Signatures of a block in one equation: the same verdict as one by one, and each bad one named."""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace

from salus import labels
from salus.errors import Refused
from salus.groups.proofs import schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, hash_to_scalar, random_scalar
from salus.ledger import signatures
from salus.ledger.signatures import Claim, PointClaim, VerifiedClaims, failing_claims, verify_claims
from support.ledger_world import SeededRandom

LABEL, SUITE = labels.SIG_SLOTS, labels.SUITE_R1


def claims(count: int, keys: int = 3, seed: str = "claims") -> list[Claim]:
    source = SeededRandom(seed)
    secrets = [random_scalar(source) for _ in range(keys)]
    made = []
    for i in range(count):
        secret = secrets[i % keys]
        public = base_mul(secret).encode()
        fields: tuple[Any, ...] = (b"network", "name", public)
        message = (b"message", i)
        made.append(Claim(LABEL, SUITE, public, fields, message, schnorr_sign(LABEL, SUITE, secret, fields, message, source)))
    return made


def one_by_one(batch: list[Claim]) -> list[int]:
    failing = []
    for i, claim in enumerate(batch):
        try:
            schnorr_verify(claim.label, claim.suite, decode_point(claim.public), claim.fields, claim.message, claim.signature)
        except Refused:
            failing.append(i)
    return failing


def spoiled(claim: Claim, how: int) -> Claim:
    signature = bytearray(claim.signature)
    if how == 0:
        return replace(claim, message=(b"another", 0))
    if how == 1:
        signature[40] ^= 1
        return replace(claim, signature=bytes(signature))
    if how == 2:
        return replace(claim, signature=bytes(signature[:63]))
    if how == 3:
        return replace(claim, signature=b"\xff" * 32 + bytes(signature[32:]))
    if how == 4:
        return replace(claim, signature=bytes(signature[:32]) + b"\xff" * 32)
    return replace(claim, public=claims(1, seed="other")[0].public)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 33])
def test_the_same_verdict_as_one_by_one(count: int) -> None:
    chosen = random.Random(count)
    for _ in range(6):
        batch = claims(count)
        for place in chosen.sample(range(count), min(count, chosen.randrange(4))):
            batch[place] = spoiled(batch[place], chosen.randrange(6))
        assert failing_claims(batch) == one_by_one(batch)


def test_a_bad_claim_is_named_with_its_own_reason() -> None:
    batch = claims(5)
    batch[3] = replace(spoiled(batch[3], 0), reason="bad-receipt", what="the cloud")
    with pytest.raises(Refused, match="bad-receipt: the cloud"):
        verify_claims(batch)
    verify_claims(batch[:3])


def test_errors_that_cancel_each_other_are_caught() -> None:
    """With equal weights, z1 + d and z2 - d would pass: the plain sum of the equations holds, and is not what is asked."""
    batch = claims(2, keys=1)
    shift = Scalar.from_int(5)
    z = [Scalar.decode(c.signature[32:]) for c in batch]
    forged = [
        replace(batch[0], signature=batch[0].signature[:32] + (z[0] + shift).encode()),
        replace(batch[1], signature=batch[1].signature[:32] + (z[1] - shift).encode()),
    ]
    left, right = Scalar.from_int(0), Point.identity()
    for claim in forged:
        c = hash_to_scalar(claim.label, claim.suite, *claim.fields, claim.signature[:32], claim.message)
        left = left + Scalar.decode(claim.signature[32:])
        right = right + decode_point(claim.signature[:32]) + decode_point(claim.public).mul(c)
    assert base_mul(left) == right
    assert failing_claims(forged) == [0, 1]


def test_points_are_claims_too() -> None:
    good, batch = base_mul(Scalar.from_int(3)).encode(), claims(2)
    mixed = [
        PointClaim(good, "A"),
        batch[0],
        PointClaim(bytes(32), "identity"),
        PointClaim(b"\xff" * 32, "A"),
        spoiled(batch[1], 0),
    ]
    known = VerifiedClaims()
    assert failing_claims(mixed, known) == failing_claims(mixed, known) == [2, 3, 4]
    with pytest.raises(Refused, match="bad-point: identity"):
        verify_claims(mixed)
    verify_claims(mixed[:2])


def test_what_was_verified_is_remembered_exactly() -> None:
    known = VerifiedClaims(capacity=4)
    batch = claims(3)
    assert failing_claims(batch, known) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signatures, "schnorr_verify_batch", lambda publics, *_: [False] * len(publics))
        assert failing_claims(batch, known) == []
        altered = [spoiled(batch[0], how) for how in range(6)]
        assert failing_claims(altered, known) == list(range(6))
        assert failing_claims([replace(batch[1], fields=(b"other network", "name", batch[1].public))], known) == [0]
    failing_claims(claims(4, seed="more"), known)
    assert len(known._digests) == 4


def test_a_bad_claim_is_not_remembered() -> None:
    known = VerifiedClaims()
    bad = spoiled(claims(1)[0], 0)
    assert failing_claims([bad], known) == [0]
    assert failing_claims([bad], known) == [0]
