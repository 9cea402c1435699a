"""Claim: honest visits always succeed, and at their end patient and doctor have authenticated each other."""

from __future__ import annotations

import pytest

from salus.consultation import envelope, reply, request
from salus.groups.ristretto255 import decode_point, random_scalar
from support.consultation_world import DOCTOR, OTHER_DOCTOR, Forgery, World, altered, make_world, simulated_sigma, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("completeness")


@pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 65_537, 200_000])
def test_honest_visits_of_any_size_succeed(world: World, size):
    payload = world.random(size)
    for doctor in (DOCTOR, OTHER_DOCTOR):
        sent = world.request("alice", doctor, payload)
        assert [world.at_node(sent, n) for n in range(4)] == [None] * 4
        world.commit(sent)
        world.r.store(sent.encode())
        assert world.doctor_reads(sent, doctor) == payload
        answer = world.answer(sent, payload[::-1], doctor)
        assert [world.at_node(answer, n) for n in range(4)] == [None] * 4
        world.commit(answer)
        world.r.store(answer.encode())
        assert world.patient_reads("alice", answer) == payload[::-1]


def test_many_patients_interleaved():
    """Requests answered in another order than sent, by two doctors, across a change of epoch."""
    world = make_world("interleaved", patients=tuple(f"p{i}" for i in range(8)))
    sent = []
    for i in range(16):
        doctor = (DOCTOR, OTHER_DOCTOR)[i % 2]
        sent.append((f"p{i % 8}", doctor, world.request(f"p{i % 8}", doctor, b"payload %d" % i)))
        if i == 7:
            world.r.share_value()
    for _, _, transaction in sent:
        world.commit(transaction)
    for i, (patient, doctor, transaction) in reversed(list(enumerate(sent))):
        assert world.doctor_reads(transaction, doctor) == b"payload %d" % i
        answer = world.answer(transaction, b"diagnosis %d" % i, doctor)
        world.commit(answer)
        assert world.patient_reads(patient, answer) == b"diagnosis %d" % i


def test_patient_is_authenticated_to_the_doctor(world: World, monkeypatch):
    """Without s the proof fails at node and doctor; without the proof the keys (s*W_D) still do; without both, it passes."""
    forged = Forgery.of_victim(world, world.credential("victim"), sign=simulated_sigma).build()
    assert world.at_node(forged) == "bad-proof"
    assert world.at_doctor(forged) == "bad-proof"
    weaken(monkeypatch, envelope.verify_opened, envelope.accept)
    assert world.at_node(forged) is None
    assert world.at_doctor(forged) == "bad-pseudonym"
    weaken(monkeypatch, request.check_request_keys, lambda *parts: None)
    monkeypatch.setattr(type(world.doctor()), "read", lambda *parts: (b"forged", b""))
    assert world.at_doctor(forged) is None, "both repairs out: anybody is any patient to the doctor"


def test_doctor_is_authenticated_to_the_patient(world: World, monkeypatch):
    """Without s_D: the signature fails at the node and the patient, and so do the keys (s*W_D)."""
    sent = world.request("victim")
    world.commit(sent)
    honest = world.answer(sent)
    forged = altered(honest, M_k1=honest.M_k1[:32] + random_scalar(world.random).encode())
    assert world.at_node(forged) == "bad-signature"
    assert world.at_patient("victim", forged, forged.tx_hash()) == "bad-signature"
    other_key = altered(forged, A_D=(decode_point(forged.A_D) + decode_point(sent.A)).encode())
    weaken(monkeypatch, reply.verify_opened_reply, lambda opened: reply.VerifiedReply(opened.reply))
    assert world.at_node(forged) is None
    assert world.at_patient("victim", other_key, other_key.tx_hash()) == "bad-pseudonym"


def test_each_side_has_the_others_word_on_the_same_visit(world: World):
    """The doctor's keys are bound to t0, cm and W; the reply names h1: both agree on network, doctor, slot and request."""
    sent, answer = world.consult("bob")
    pending = world.pending(sent)
    opened = world.doctor().open(world.chain, sent, world.context(DOCTOR, sent.sn))
    assert answer.h1 == pending.h1 == opened.h1 == sent.tx_hash()
    assert opened.pid == pending.credential.pid
    assert opened.W == pending.credential.W
    assert world.patient_reads("bob", answer) == b"healthy"
