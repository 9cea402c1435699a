"""Claim: no table is used in authentication, so there is none to steal, to lose, or to keep in step."""

from __future__ import annotations

import pytest

from salus.consultation import envelope
from salus.consultation.appointments import SlotKey
from salus.consultation.credentials import PidKeys
from salus.consultation.envelope import verify_opened
from salus.consultation.registration import Domain, MemberKey
from salus.consultation.request import ConsultationRequest, RequestContext, open_at_node, open_request
from salus.groups.ristretto255 import Scalar, decode_point
from support.consultation_world import DOCTOR, Forgery, World, make_world, refusal, simulated_sigma, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("no table")


def test_a_node_that_has_just_been_installed_verifies(world: World):
    """From bytes alone: the network's id, Pub, the looked-up keys, theta. Nothing per patient."""
    wire = world.request().encode()
    context = world.context(DOCTOR, ConsultationRequest.decode(wire).sn)
    domain = Domain(bytes(world.domain.network), bytes(world.domain.Pub_bytes))
    theta = Scalar.decode(world.theta.encode())
    fresh = RequestContext(context.epoch, context.pk_BC, context.W_D, context.E_sn)
    verified = verify_opened(open_at_node(domain, ConsultationRequest.decode(wire), fresh, theta))
    assert verified.nf == ConsultationRequest.decode(wire).nf


def test_a_doctor_that_never_saw_the_patient_verifies(world: World):
    """From its own two secrets and public values."""
    wire = ConsultationRequest.decode(world.request("bob").encode())
    doctor, context = world.doctor(), world.context(DOCTOR, wire.sn)
    member = MemberKey.from_secret(doctor.member.record(), doctor.member.export_secret(), world.domain.Pub)
    slot = SlotKey.from_secret(wire.sn, doctor.slot_keys[wire.sn].export_secret())
    opened = open_request(Domain(world.domain.network, world.domain.Pub_bytes), wire, context, member, slot)
    assert world.r.centre.pids.open(opened.pid) == "bob"


def test_the_centre_traces_from_its_key_alone(world: World):
    """The pid decrypts; its nonce is derived; no table maps pids to people."""
    credential = world.credential("alice")
    again = PidKeys(Scalar.decode(world.r.centre.key.w.encode()), world.domain.network)
    assert again.open(credential.pid) == "alice"
    assert again.seal("alice", credential.quarter, credential.index) == credential.pid


def everything_a_node_holds(world: World) -> list[bytes]:
    """All that can be stolen from the verifying side: nodes, doctor, and what they opened."""
    sent = world.request("victim")
    world.commit(sent)
    context = world.context(DOCTOR, sent.sn)
    o = open_at_node(world.domain, sent, context, world.theta)
    scalars = [world.theta, o.z, o.c, o.alpha, *(n.member.s for n in world.r.nodes), world.doctor().member.s]
    return [k.encode() for k in scalars]


def test_what_is_stolen_from_the_verifiers_impersonates_nobody(world: World, monkeypatch):
    """Every scalar that nodes and doctor hold, used as the victim's key, fails; with a MAC in place of the proof it works."""
    victim = world.credential("victim")
    stolen = everything_a_node_holds(world)
    for scalar in stolen:
        forgery = Forgery.of_victim(world, victim)
        forgery.s = Scalar.decode(scalar)
        assert world.at_node(forgery.build()) == "bad-proof"

    # The repair out, as printed: authenticity is a key that every node holds (theta), not the sender's signature.
    weaken(monkeypatch, envelope.verify_opened, envelope.accept)
    by_mac = Forgery.of_victim(world, victim, sign=simulated_sigma)
    by_mac.a = Scalar.decode(stolen[0])
    by_mac.seal_secret = decode_point(world.pk_BC).mul(by_mac.a)
    assert world.at_node(by_mac.build()) is None, "whoever stole the nodes' common key is every patient"


def test_losing_what_was_seen_before_locks_nobody_out(world: World):
    """A new node, without the history of who registered, accepts a patient registered long ago."""
    world.r.centre.enrolled.clear()
    world.r.centre.spent.clear()
    late = world.request("mallory", credential=world.r.patients["mallory"].credentials.pop())
    assert world.at_node(late) is None
    assert refusal(world.doctor_reads, late) is None
