"""Malicious insiders: a patient, a doctor, one node, f nodes (and, beyond the claim, all of them) with everything they hold."""

from __future__ import annotations

import pytest

from salus.consultation import appointments as ap
from salus.consultation import envelope, reply
from salus.consultation.request import open_at_node
from salus.groups.ristretto255 import Scalar, random_scalar
from support.consultation_world import DOCTOR, OTHER_DOCTOR, Forgery, World, altered, make_world, refusal, simulated_sigma, weaken


@pytest.fixture
def world():
    return make_world("insiders")


# --- a patient ---


def test_a_patient_cannot_speak_as_another(world: World, monkeypatch):
    """mallory knows victim's P, Q and pid (say, from a leak) and uses a credential of her own for the rest."""
    victim, mine = world.credential("victim"), world.credential("mallory")
    own_key = Forgery(world, victim.P, victim.Q, victim.pid, victim.quarter, mine.s)
    own_name = Forgery(world, mine.P, mine.Q, victim.pid, mine.quarter, mine.s)
    forged = [own_key.build(), own_name.build()]
    assert [world.at_node(f) for f in forged] == ["bad-proof", "bad-proof"]
    weaken(monkeypatch, envelope.verify_opened, envelope.accept)
    assert [world.at_node(f) for f in forged] == [None, None]


def test_a_patient_cannot_answer_for_the_doctor(world: World, monkeypatch):
    """She knows a, s and all keys of her own request's reply, and still lacks s_D."""
    sent = world.request("mallory")
    world.commit(sent)
    honest = world.answer(sent)
    forged = altered(honest, M_k1=honest.M_k1[:32] + random_scalar(world.random).encode())
    assert world.at_node(forged) == "bad-signature"
    weaken(monkeypatch, reply.verify_opened_reply, lambda opened: reply.VerifiedReply(opened.reply))
    assert world.at_node(forged) is None


def test_a_patient_cannot_take_two_slots_with_one_credential(world: World):
    credential = world.credential("mallory")
    world.commit(world.request("mallory", credential=credential))
    again = world.request("mallory", OTHER_DOCTOR, credential=credential)
    assert world.at_node(again) == "used-credential"


def test_a_patient_cannot_take_a_taken_or_unpublished_slot(world: World):
    first = world.request("alice")
    world.commit(first)
    assert world.at_node(world.request("mallory", sn=first.sn)) == "slot-taken"
    beyond = Forgery.with_credential(world, world.credential("mallory"), sn=64)
    assert refusal(beyond.build) == "unknown-slot"


def test_a_patient_cannot_reuse_a_one_time_key(world: World):
    """A with an a that was seen before, her own or anybody's: A is unique for as long as it matters."""
    first = world.request("alice")
    world.commit(first)
    forgery = Forgery.with_credential(world, world.credential("mallory"), A=first.A)
    assert world.at_node(forgery.build()) == "used-key"


# --- a doctor ---


def test_a_doctor_cannot_forge_a_request_of_a_patient_it_has_treated(world: World, monkeypatch):
    """It holds P, Q, pid, g, M1's content, and all keys of the visit; a new request needs s."""
    sent, _ = world.consult("victim")
    opened = world.doctor().open(world.chain, sent, world.context(DOCTOR, sent.sn))
    s, o = opened.sender, opened.envelope
    world.chain.revoked.clear()

    def old_signature(f, content):
        return o.I.encode() + o.R1.encode() + o.R2.encode() + o.z.encode()

    for sign in (old_signature, simulated_sigma):
        guess = random_scalar(world.random)
        forgery = Forgery(world, s.P, s.Q, opened.pid, s.quarter, guess, g=s.g, I=o.I.encode(), sign=sign)
        forged = forgery.build()
        assert world.at_node(forged) == "used-credential", "the visit spent the credential"
        world.chain.nullifiers.discard(forged.nf)
        assert world.at_node(forged) == "bad-proof"
        with monkeypatch.context() as patch:
            weaken(patch, envelope.verify_opened, envelope.accept)
            assert world.at_node(forged) is None
        world.chain.nullifiers.add(forged.nf)


def test_a_doctor_cannot_answer_another_doctors_request(world: World, monkeypatch):
    sent = world.request("alice", DOCTOR)
    world.commit(sent)
    assert refusal(world.doctor_reads, sent, OTHER_DOCTOR) == "not-your-request"
    honest = world.answer(sent)
    other = world.doctor(OTHER_DOCTOR).member
    W = other.W_bytes
    t0 = reply.make_t0_reply(world.domain.network, other.name, W, sent.sn, sent.tx_hash(), honest.A_D)
    draft = altered(honest, ID_D=other.name)
    fields = (world.domain.network, other.name, W)
    signature = reply.schnorr_sign("sig-reply", reply.SUITE, other.s, fields, reply.reply_body(t0, draft), world.random)
    forged = altered(draft, M_k1=signature)
    assert world.at_node(forged) == "wrong-doctor"
    assert world.at_patient("alice", forged, forged.tx_hash()) == "wrong-doctor"
    weaken(monkeypatch, reply.check_reply_matches, lambda *parts: None)
    assert world.at_node(forged) is None, "its signature is good: only the comparison with the request refuses it"


def test_a_doctor_cannot_answer_twice(world: World):
    sent, _ = world.consult("alice")
    assert world.at_node(world.answer(sent, b"another diagnosis")) == "already-answered"


def test_a_doctor_cannot_hand_the_patient_an_uncommitted_answer(world: World):
    """The patient reads what the ledger holds, not what it is handed."""
    sent = world.request("alice")
    world.commit(sent)
    one, two = world.answer(sent, b"for the ledger"), world.answer(sent, b"for the patient")
    world.commit(one)
    assert world.at_patient("alice", two) == "not-committed"
    assert world.patient_reads("alice", two, two.tx_hash()) == b"for the patient", "without that comparison it is read"
    assert world.patient_reads("alice", one) == b"for the ledger"


def test_a_doctor_cannot_answer_about_another_payload(world: World):
    """The diagnosis names H2(m_PA) of what was diagnosed."""
    sent = world.request("alice", payload=b"mine")
    world.commit(sent)
    who = world.doctor()
    opened = who.open(world.chain, sent, world.context(DOCTOR, sent.sn))
    wrong = who.reply(world.domain.network, opened, bytes(32), b"healthy", world.r.cloud, world.now_ms)
    assert world.at_patient("alice", wrong, wrong.tx_hash()) == "wrong-request"


def test_a_doctor_cannot_publish_or_cancel_slots_of_another(world: World):
    mine = world.doctor(OTHER_DOCTOR).member
    network, W_victim = world.domain.network, world.doctor().member.W
    batch, _ = ap.publish_slots(network, mine, "2025-10-09", 200, 2, world.random)
    assert refusal(ap.check_slots, network, altered(batch, doctor=DOCTOR), W_victim) == "bad-signature"
    cancel = ap.cancel_slots(network, mine, (1, 2), "ill", world.random)
    assert refusal(ap.check_cancellation, network, altered(cancel, doctor=DOCTOR), W_victim) == "bad-signature"
    decline = ap.decline_request(network, mine, 1, bytes(32), "bad-seal", "", world.random)
    assert refusal(ap.check_decline, network, altered(decline, doctor=DOCTOR), W_victim) == "bad-signature"


# --- one node, f nodes ---


@pytest.mark.parametrize("colluding", [1, 2, 4])
def test_nodes_cannot_forge_a_request_of_a_patient_whose_sender_they_opened(world: World, colluding, monkeypatch):
    """All that any number of nodes hold together: theta, each s_j and e_j, every opened sender. Never s."""
    sent = world.request("victim")
    o = open_at_node(world.domain, sent, world.context(DOCTOR, sent.sn), world.theta)
    held = [world.theta, o.z, o.c, o.alpha]
    for node in world.r.nodes[:colluding]:
        held += [node.member.s, node.secrets[1].e]
    total = Scalar.from_int(0)
    for k in held:
        total = total + k
    for guess in [*held, total]:
        forgery = Forgery.of_victim(world, world.pending(sent).credential)
        forgery.s = Scalar.decode(guess.encode())
        assert world.at_node(forgery.build()) == "bad-proof"
    rebound = Forgery.of_victim(world, world.pending(sent).credential, sign=simulated_sigma).build()
    assert world.at_node(rebound) == "bad-proof"
    weaken(monkeypatch, envelope.verify_opened, envelope.accept)
    assert world.at_node(rebound) is None, "with theta as the authenticator, as printed, one node is every patient"


def test_nodes_cannot_read_what_is_for_the_doctor(world: World):
    """theta opens S, not S_D and not the body."""
    from salus.consultation.request import open_doctor_seal, request_statement
    from salus.groups.ristretto255 import decode_point

    sent = world.request("victim")
    context = world.context(DOCTOR, sent.sn)
    statement = request_statement(world.domain, sent, context)
    A = decode_point(sent.A)
    keys = [world.theta, *(n.member.s for n in world.r.nodes), *(n.secrets[1].e for n in world.r.nodes)]
    for x in keys:
        for y in keys:
            assert refusal(open_doctor_seal, statement, sent, A.mul(x), A.mul(y)) == "bad-seal"
    d = world.doctor()
    right = open_doctor_seal(statement, sent, A.mul(d.member.s), A.mul(d.slot_keys[sent.sn].e))
    assert right[1] == world.pending(sent).credential.pid, "control: the doctor's two secrets open it"


def test_nodes_cannot_forge_a_reply(world: World):
    sent = world.request("victim")
    world.commit(sent)
    honest = world.answer(sent)
    for node in world.r.nodes:
        fields = (world.domain.network, DOCTOR, world.doctor().member.W_bytes)
        t0 = reply.make_t0_reply(world.domain.network, DOCTOR, fields[2], sent.sn, sent.tx_hash(), honest.A_D)
        body = reply.reply_body(t0, honest)
        forged = altered(honest, M_k1=reply.schnorr_sign("sig-reply", reply.SUITE, node.member.s, fields, body, world.random))
        assert world.at_node(forged) == "bad-signature"
