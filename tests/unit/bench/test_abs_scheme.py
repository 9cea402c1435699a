"""The bench's attribute-based signature is a working one: it verifies, hides, and refuses what the scheme refuses."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import pytest

from salus._native import G1, pairing
from salus.bench.abs_scheme import (
    ORDER,
    Signature,
    SigningKey,
    SpanProgram,
    attribute,
    generate,
    satisfying_vector,
    setup,
    sign,
    verify,
)
from salus.errors import Refused

DOCTOR, CARDIOLOGY, RADIOLOGY = (attribute(name) for name in ("doctor", "cardiology", "radiology"))
# doctor and (cardiology or radiology): rows (1, 1), (0, -1), (0, -1)
POLICY = SpanProgram(((1, 1), (0, -1), (0, -1)), (DOCTOR, CARDIOLOGY, RADIOLOGY))


def seeded(seed: str):
    counter = itertools.count()
    return lambda n: hashlib.shake_256(f"{seed}/{next(counter)}".encode()).digest(n)


@pytest.fixture(scope="module")
def keys():
    return setup(seeded("abs"))


@pytest.mark.parametrize("held", [(DOCTOR, CARDIOLOGY), (DOCTOR, RADIOLOGY), (DOCTOR, CARDIOLOGY, RADIOLOGY)])
def test_every_satisfying_set_signs(keys, held):
    public, authority = keys
    key = generate(authority, held, seeded("key"))
    verify(public, b"message", POLICY, sign(public, key, b"message", POLICY, seeded("sign")))


@pytest.mark.parametrize("held", [(DOCTOR,), (CARDIOLOGY, RADIOLOGY), ()])
def test_a_set_that_does_not_satisfy_cannot_sign(keys, held):
    public, authority = keys
    with pytest.raises(Refused, match="not-authorised"):
        sign(public, generate(authority, held, seeded("key")), b"message", POLICY, seeded("sign"))


def test_message_policy_and_every_part_are_bound(keys):
    public, authority = keys
    key = generate(authority, (DOCTOR, CARDIOLOGY), seeded("key"))
    good = sign(public, key, b"message", POLICY, seeded("sign"))
    other_policy = SpanProgram(POLICY.matrix, (DOCTOR, CARDIOLOGY, attribute("surgery")))
    for message, policy in ((b"another", POLICY), (b"message", other_policy)):
        with pytest.raises(Refused, match="bad-signature"):
            verify(public, message, policy, good)
    g1 = G1.hash(b"x", b"TEST")
    changed = [
        replace(good, Y=good.Y + g1),
        replace(good, W=good.W + g1),
        *(replace(good, S=(*good.S[:i], good.S[i] + g1, *good.S[i + 1 :])) for i in range(3)),
        *(replace(good, P=(*good.P[:j], good.P[j] + public.h[2], *good.P[j + 1 :])) for j in range(2)),
    ]
    for signature in changed:
        with pytest.raises(Refused, match="bad-signature"):
            verify(public, b"message", POLICY, signature)
    with pytest.raises(Refused, match="bad-signature"):
        verify(public, b"message", POLICY, Signature(good.Y, good.W, good.S[:2], good.P))


def test_two_keys_do_not_mix(keys):
    """Colluding signers: the doctor key of one with the cardiology key of another does not verify."""
    public, authority = keys
    one = generate(authority, (DOCTOR,), seeded("one"))
    two = generate(authority, (CARDIOLOGY,), seeded("two"))
    mixed = SigningKey(one.base, one.K0, {**one.K, **two.K})
    with pytest.raises(Refused, match="bad-signature"):
        verify(public, b"message", POLICY, sign(public, mixed, b"message", POLICY, seeded("sign")))


def test_the_forger_without_the_authority_fails_the_first_equation(keys):
    public, _ = keys
    forged = generate(setup(seeded("another authority"))[1], (DOCTOR, CARDIOLOGY), seeded("key"))
    with pytest.raises(Refused, match="authority"):
        verify(public, b"message", POLICY, sign(public, forged, b"message", POLICY, seeded("sign")))


def test_the_satisfying_vector_gives_the_target():
    v = satisfying_vector(POLICY, {DOCTOR, RADIOLOGY})
    assert v[1] == 0
    assert [sum(v[i] * POLICY.matrix[i][j] for i in range(3)) % ORDER for j in range(2)] == [1, 0]


def test_keys_are_what_the_scheme_says(keys):
    public, authority = keys
    key = generate(authority, (DOCTOR,), seeded("key"))
    assert pairing([(key.K0, public.A0), (-key.base, public.h[0])]).is_one()
    in_g2 = public.A[0] + public.B[0].mul((DOCTOR).to_bytes(32, "big"))
    assert pairing([(key.K[DOCTOR], in_g2), (-key.base, public.h[1])]).is_one()
