"""Claim: one credential has exactly one nullifier, so nobody consults twice with it or floods the slots."""

from __future__ import annotations

import pytest

from salus import labels
from salus.consultation import envelope
from salus.consultation.registration import SUITE
from salus.groups.ristretto255 import ORDER, Point, Scalar, base_mul, decode_point, decode_scalar, random_scalar
from salus.symmetric import h2
from support.consultation_world import Forgery, make_world, nullifier_point, refusal, sigma_challenge, weaken

FIELD = 2**255 - 19


@pytest.fixture(scope="module")
def world():
    return make_world("two nullifiers")


def honest_I(world, credential):
    return nullifier_point(world, credential.P, credential.Q, credential.hp, credential.quarter).mul(credential.s)


def test_the_workbench_itself_is_accepted(world):
    """Without a departure the adversary's equations give a good request: what is refused below is the departure."""
    request = Forgery.with_credential(world, world.credential()).build()
    assert world.at_node(request) is None
    assert world.at_doctor(request) is None


def test_the_second_use_is_refused(world):
    credential = world.credential()
    first, second = (Forgery.with_credential(world, credential).build() for _ in range(2))
    assert first.nf == second.nf, "fresh randomness does not change the nullifier"
    world.commit(first)
    assert world.at_node(second) == "used-credential"


def test_another_I_fails_the_proof_and_passes_without_its_second_equation(world, monkeypatch):
    """``I = s2*B`` with a proof that is right for W: only ``z*B = R2 + c*I`` notices."""
    credential = world.credential()
    other = random_scalar(world.random)
    B = nullifier_point(world, credential.P, credential.Q, credential.hp, credential.quarter)
    forged = Forgery.with_credential(world, credential, I=B.mul(other).encode()).build()
    shifted = Forgery.with_credential(world, credential, I=(honest_I(world, credential) + base_mul(other)).encode()).build()
    assert world.at_node(forged) == "bad-proof"
    assert world.at_node(shifted) == "bad-proof"

    def first_equation_only(opened):
        W = opened.P + opened.statement.domain.Pub.mul(opened.alpha) + opened.Q
        assert base_mul(opened.z) == opened.R1 + W.mul(opened.c)
        return envelope.accept(opened)

    weaken(monkeypatch, envelope.verify_opened, first_equation_only)
    assert world.at_node(forged) is None, "with the repair out one credential has as many nullifiers as it likes"


def test_a_nullifier_that_is_not_the_hash_of_I(world, monkeypatch):
    forged = Forgery.with_credential(world, world.credential(), nf=world.random(32)).build()
    assert world.at_node(forged) == "bad-nullifier"
    weaken(monkeypatch, envelope.nullifier, lambda I: forged.nf)
    assert world.at_node(forged) is None, "unchecked, the sender chooses its nullifier"


@pytest.mark.parametrize("what", ["quarter", "hp", "shifted P and Q"])
def test_another_public_part_gives_another_key(world, what, monkeypatch):
    """B depends on (P, Q, hp, quarter); each is bound to s by alpha, so changing one changes W."""
    credential = world.credential()
    forgery = Forgery.with_credential(world, credential)
    if what == "quarter":
        forgery.quarter = world.chain.quarters[0]
    elif what == "hp":
        forgery.hp = h2(labels.PID, SUITE, b"somebody else")
    else:
        D = base_mul(random_scalar(world.random))
        forgery.P = (decode_point(credential.P) + D).encode()
        forgery.Q = (decode_point(credential.Q) - D).encode()
    forged = forgery.build()
    assert forged.nf != h2(labels.NULLIFIER_HASH, SUITE, honest_I(world, credential).encode())
    assert world.at_node(forged) == "bad-proof"
    right = envelope.alpha
    own = right("patient", credential.hp, credential.quarter, credential.P, credential.Q, world.domain.Pub_bytes)
    weaken(monkeypatch, right, lambda role, *fields: own if role == "patient" else right(role, *fields))
    assert world.at_node(forged) is None, "with an alpha that does not bind it, the sender gets a second nullifier"


def encodings_of(I: bytes) -> dict[str, bytes]:
    """Other byte strings a careless decoder could take for the same point."""
    n = int.from_bytes(I, "little")
    return {
        "negated": (FIELD - n).to_bytes(32, "little"),
        "plus p": ((n + FIELD) % 2**256).to_bytes(32, "little"),
        "bit 255": (n | 1 << 255).to_bytes(32, "little"),
        "odd": (n ^ 1).to_bytes(32, "little"),
        "identity": bytes(32),
    }


@pytest.mark.parametrize("form", ["negated", "plus p", "bit 255", "odd", "identity"])
def test_another_encoding_of_I(world, form):
    credential = world.credential()
    I = encodings_of(honest_I(world, credential).encode())[form]
    assert world.at_node(Forgery.with_credential(world, credential, I=I).build()) == "bad-point"


def test_a_decoder_that_ignores_bit_255_allows_a_second_nullifier(world, monkeypatch):
    """A library once did; kept as a vector of what canonical decoding is for."""
    credential = world.credential()
    I = honest_I(world, credential).encode()
    first = Forgery.with_credential(world, credential, I=I).build()
    second = Forgery.with_credential(world, credential, I=encodings_of(I)["bit 255"]).build()
    assert first.nf != second.nf
    world.commit(first)
    assert world.at_node(second) == "bad-point"
    weaken(monkeypatch, decode_point, lambda data, what="": Point.decode(data[:31] + bytes([data[31] & 127])))
    assert world.at_node(second) is None


def test_z_plus_the_order(world, monkeypatch):
    """A malleable z would not give a second nullifier, but a second transaction hash for one signature."""

    def sign(f, content):
        k = random_scalar(world.random)
        R1, R2 = base_mul(k).encode(), f.B.mul(k).encode()
        z = int.from_bytes((k + sigma_challenge(world, f, f.I, R1, R2, content) * f.s).encode(), "little")
        return f.I + R1 + R2 + (z + ORDER).to_bytes(32, "little")

    forged = Forgery.with_credential(world, world.credential(), sign=sign).build()
    assert world.at_node(forged) == "bad-scalar"
    weaken(monkeypatch, decode_scalar, lambda data, what="": Scalar.reduce(data + bytes(32)))
    assert world.at_node(forged) is None


def test_an_index_issued_twice_has_one_hp_but_the_centre_spends_it(world):
    """A lost answer is not asked for again with another x: the index is spent before the answer leaves."""
    credential = world.credential("bob", index=40)
    assert refusal(world.credential, "bob", index=40) == "quota"
    assert credential.index == 40
