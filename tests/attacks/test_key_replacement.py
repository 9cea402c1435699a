"""Impersonation by key replacement (Type I: anyone who may replace public keys, without w)."""

from __future__ import annotations

import pytest

from salus import labels
from salus.consultation import envelope, registration
from salus.consultation.credentials import pid_digest
from salus.consultation.registration import SUITE
from salus.groups.ristretto255 import base_mul, decode_point, hash_to_scalar, random_scalar
from support.consultation_world import Forgery, W_of, World, alpha_of, make_world, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("replacement")


def replaced(world: World, victim, alpha):
    """Pick s' and Q', solve ``P' = s'*P0 - alpha*Pub - Q'`` with some alpha: (P', Q', s')."""
    s, Q = random_scalar(world.random), base_mul(random_scalar(world.random))
    P = base_mul(s) - world.domain.Pub.mul(alpha) - Q
    return P.encode(), Q.encode(), s


def forge(world: World, victim, P, Q, s):
    return Forgery(world, P, Q, victim.pid, victim.quarter, s).build()


def test_a_replaced_key_does_not_verify(world: World):
    """alpha hashes P' itself, so the equation cannot be solved: the W that nodes compute is not s'*P0."""
    victim = world.credential("victim")
    alpha = alpha_of(world, victim.P, victim.Q, victim.hp, victim.quarter)
    P, Q, s = replaced(world, victim, alpha)
    assert W_of(world, P, Q, victim.hp, victim.quarter) != base_mul(s)
    assert world.at_node(forge(world, victim, P, Q, s)) == "bad-proof"
    assert world.at_doctor(forge(world, victim, P, Q, s)) == "bad-proof"


def test_with_an_alpha_that_does_not_hash_the_key_it_succeeds(world: World, monkeypatch):
    """The repair out: alpha over (role, identity, quarter) only. Anyone makes itself a key for any pid."""
    right = registration.alpha

    def weak(role, identity, quarter, P, Q, Pub):
        if role != "patient":
            return right(role, identity, quarter, P, Q, Pub)
        return hash_to_scalar(labels.ALPHA, SUITE, role, identity, quarter)

    victim = world.credential("victim")
    P, Q, s = replaced(world, victim, hash_to_scalar(labels.ALPHA, SUITE, "patient", victim.hp, victim.quarter))
    weaken(monkeypatch, right, weak)
    forged = forge(world, victim, P, Q, s)
    assert world.at_node(forged) is None
    assert decode_point(P) != decode_point(victim.P)


def test_a_replaced_key_under_an_invented_pid(world: World):
    """Nor can anyone become a patient that the centre never issued: same equation, other hp."""
    pid = world.random(92)
    alpha = hash_to_scalar(labels.ALPHA, SUITE, "patient", pid_digest(pid), world.chain.quarters[1])
    s, Q = random_scalar(world.random), base_mul(random_scalar(world.random))
    P = base_mul(s) - world.domain.Pub.mul(alpha) - Q
    forged = Forgery(world, P.encode(), Q.encode(), pid, world.chain.quarters[1], s).build()
    assert world.at_node(forged) == "bad-proof"


def test_iterating_the_hash_does_not_reach_a_fixed_point(world: World):
    """The adversary may feed each solved P' back into alpha as often as it likes."""
    victim = world.credential("victim")
    s, Q = random_scalar(world.random), base_mul(random_scalar(world.random))
    P = base_mul(s)
    for _ in range(50):
        alpha = alpha_of(world, P.encode(), Q.encode(), victim.hp, victim.quarter)
        P = base_mul(s) - world.domain.Pub.mul(alpha) - Q
        assert W_of(world, P.encode(), Q.encode(), victim.hp, victim.quarter) != base_mul(s)
    assert world.at_node(forge(world, victim, P.encode(), Q.encode(), s)) == "bad-proof"


def test_a_doctors_record_cannot_be_replaced_without_the_centre(world: World):
    """W_D comes from the record on the ledger; a request made for another W_D does not open at the nodes."""
    sn = world.free_slot()
    context = world.context("hosp/dr-one", sn)
    thief = random_scalar(world.random)
    forgery = Forgery.with_credential(world, world.credential(), sn=sn)
    forgery.complete()
    forgery.context = envelope.msgspec.structs.replace(context, W_D=base_mul(thief).encode())
    forgery.complete = lambda: None  # keep the false context
    request = forgery.build()
    assert world.at_node(request) == "bad-seal"
