"""Unknown key share: somebody presents a victim's message as its own, or the doctor takes it for somebody else's."""

from __future__ import annotations

import pytest

from salus import labels
from salus.consultation import envelope, request
from salus.consultation.registration import SUITE
from salus.groups.ristretto255 import decode_point
from salus.symmetric import h2, kdf, seal
from support.consultation_world import (
    DOCTOR,
    Forgery,
    World,
    altered,
    honest_sigma,
    make_world,
    nullifier_point,
    weaken,
)


@pytest.fixture(scope="module")
def world():
    return make_world("unknown key share")


def rewrapped(world: World, victim_request, mine):
    """A node that has a credential of its own takes a pooled request and puts it into an envelope of its own.

    It keeps A, S_D, PID1, C, M2 and U; it knows theta, so it can seal S for that A without knowing a.
    """
    t = victim_request
    context = world.context(DOCTOR, t.sn)
    f = Forgery.with_credential(world, mine, sn=t.sn)
    f.complete()
    f.A = t.A
    t0 = envelope.make_t0(
        t.KIND, world.domain.network, t.epoch, context.pk_BC, t.A, t.valid_until_ms, (DOCTOR, context.W_D, context.E_sn, t.sn)
    )
    sender = (t0, f.cm, f.nf)
    secret = decode_point(t.A).mul(world.theta)
    plaintext = mine.P + mine.Q + mine.hp + mine.quarter.to_bytes(8, "big") + f.g
    S = seal(kdf(labels.NODE_SEAL, SUITE, [secret.encode()], sender), plaintext, sender)
    content = (t0, f.cm, f.nf, h2(labels.SEALED, SUITE, S), t.body())
    M1 = seal(kdf(labels.KDF_SIG, SUITE, [f.g], content), honest_sigma(f, content), content)
    return altered(t, S=S, cm=f.cm, nf=f.nf, M1=M1)


def test_a_node_rewraps_a_pooled_request(world: World):
    """Nodes accept it (it is a well-formed request of mallory's); the doctor does not: S_D is bound to the victim's cm."""
    theirs = world.request("victim")
    stolen = rewrapped(world, theirs, world.credential("mallory"))
    assert world.at_node(stolen) is None, "it races the victim for the slot, as anyone with a credential may"
    assert world.at_doctor(stolen) == "bad-seal"
    assert world.at_doctor(theirs) is None


def test_each_layer_that_stops_the_rewrapping(world: World, monkeypatch):
    """Taken out one after the other: the seal's binding, the commitment, the proof, the keys' binding to cm."""
    theirs = world.request("victim")
    first_cm = theirs.cm
    stolen = rewrapped(world, theirs, world.credential("mallory"))

    right = request.doctor_seal_key
    weaken(monkeypatch, right, lambda aW, aE, t0, cm: right(aW, aE, t0, first_cm))
    monkeypatch.setattr(request, "unseal", _ignore_cm(request.unseal, stolen.cm, first_cm))
    assert world.at_doctor(stolen) == "bad-commitment"

    weaken(monkeypatch, envelope.check_commitment, lambda cm, sender: None)
    assert world.at_doctor(stolen) == "bad-proof", "M1 is sealed under mallory's g, and names mallory"

    real = envelope.open_signature

    def unverified(statement, sender):
        context = world.context(DOCTOR, theirs.sn)
        own = envelope.make_statement(
            world.domain,
            theirs.envelope(),
            theirs.KIND,
            context.pk_BC,
            request.own_fields(DOCTOR, theirs.sn, context),
            theirs.body(),
        )
        return real(own, sender)

    weaken(monkeypatch, real, unverified)
    assert world.at_doctor(stolen) == "bad-pseudonym", "the request's keys are bound to cm and S_D as well"

    keys = request.derive_request_keys
    weaken(monkeypatch, keys, lambda aW, aE, sW, t0, cm, S_D, W: keys(aW, aE, sW, t0, first_cm, S_D, W))
    weaken(monkeypatch, request.check_request_keys, lambda *parts: None)
    monkeypatch.setattr(type(world.doctor()), "read", lambda *parts: (b"", b""))
    assert world.at_doctor(stolen) is None, "all out: the victim's words under mallory's nullifier"


def _ignore_cm(unseal, given: bytes, used: bytes):
    def weak(key, box, aad, reason):
        return unseal(key, box, (aad[0], used) if len(aad) == 2 and aad[1] == given else aad, reason)

    return weak


def test_a_request_cannot_be_taken_over_by_another_doctor(world: World):
    """The other doctor relabels it as its own: t0 holds ID_D, W_D, E_sn, sn, so nodes and both doctors refuse."""
    theirs = world.request("victim")
    sn = world.free_slot("hosp/dr-two")
    moved = altered(theirs, ID_D="hosp/dr-two", sn=sn)
    assert world.at_node(moved) == "bad-seal"
    assert world.at_doctor(moved, "hosp/dr-two") == "bad-seal"
    assert world.at_doctor(moved) == "not-your-request"


def test_a_credential_cannot_be_registered_on_a_victims_key(world: World):
    """Two credentials that share P have other Q, alpha and W: the victim's messages do not verify under the second."""
    victim, mine = world.credential("victim"), world.credential("mallory")
    B = nullifier_point(world, victim.P, mine.Q, mine.hp, mine.quarter)
    forged = Forgery(world, victim.P, mine.Q, mine.pid, mine.quarter, mine.s, I=B.mul(mine.s).encode()).build()
    assert world.at_node(forged) == "bad-proof"
