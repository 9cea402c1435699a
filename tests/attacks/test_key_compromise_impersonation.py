"""Key-compromise impersonation: a stolen key lets the thief be its owner, never somebody else *to* its owner."""

from __future__ import annotations

import io

import pytest

from salus import labels
from salus.consultation import envelope, reply
from salus.consultation.registration import SUITE
from salus.consultation.reply import ConsultationReply, make_t0_reply
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import base_mul, decode_point, random_scalar
from salus.records.payload import ReplyHeader, encrypt_payload
from salus.symmetric import kdf, mac, xor
from support.consultation_world import DOCTOR, Forgery, World, make_world, simulated_sigma, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("key compromise")


def request_by_thief_of_doctor(world: World):
    """The thief has s_D and e_sn and knows the victim's P, Q, pid: every key of the request is its to compute (s_D*W), but s."""
    victim = world.credential("victim")
    W = decode_point(victim.W)
    stolen = world.doctor().member.s
    I = base_mul(random_scalar(world.random)).encode()
    return Forgery.of_victim(world, victim, sW=W.mul(stolen), I=I, sign=simulated_sigma, payload=b"FORGED").build()


def test_a_thief_of_the_doctors_keys_cannot_play_a_patient_to_it(world: World, monkeypatch):
    forged = request_by_thief_of_doctor(world)
    assert world.at_node(forged) == "bad-proof"
    assert world.at_doctor(forged) == "bad-proof"
    weaken(monkeypatch, envelope.verify_opened, envelope.accept)
    assert world.at_node(forged) is None
    assert world.doctor_reads(forged) == b"FORGED", "with MACs only, as printed, the doctor reads a forged record"


def reply_by_thief_of_patient(world: World, sent, secret_of_signature) -> ConsultationReply:
    """The thief has the patient's s (and a): every key of the reply is its to compute (s*W_D), but s_D."""
    pending = world.pending(sent)
    c, network = pending.credential, world.domain.network
    W_D = decode_point(pending.W_D)
    a = random_scalar(world.random)
    A_D = base_mul(a).encode()
    t0 = make_t0_reply(network, DOCTOR, pending.W_D, sent.sn, sent.tx_hash(), A_D)
    secrets = [decode_point(c.W).mul(a), decode_point(sent.A).mul(a), W_D.mul(c.s)]
    keys = kdf(labels.REPLY, SUITE, [p.encode() for p in secrets], (t0, c.W), 156)
    PID2 = xor(c.pid, keys[64:])
    body = io.BytesIO()
    header = ReplyHeader(pending.payload_digest, world.now_ms, "text/plain", "diagnosis.txt", 6)
    encrypt_payload(header, io.BytesIO(b"FORGED"), keys[:32], (t0, PID2), body, random=world.random)
    summary, U = world.r.cloud.upload(body.getvalue(), world.now_ms + 10_000_000)
    M_k2 = mac(keys[32:64], t0, PID2, summary.digest, summary.size_bytes)
    signed = (t0, PID2, summary.digest, summary.size_bytes, M_k2, U.to_value())
    M_k1 = schnorr_sign(labels.SIG_REPLY, SUITE, secret_of_signature, (network, DOCTOR, pending.W_D), signed, world.random)
    return ConsultationReply(PID2, DOCTOR, A_D, summary.digest, summary.size_bytes, M_k1, M_k2, sent.sn, sent.tx_hash(), U)


def test_a_thief_of_the_patients_keys_cannot_play_the_doctor_to_it(world: World, monkeypatch):
    sent = world.request("victim")
    world.commit(sent)
    forged = reply_by_thief_of_patient(world, sent, world.pending(sent).credential.s)
    assert world.at_node(forged) == "bad-signature"
    assert world.at_patient("victim", forged, forged.tx_hash()) == "bad-signature"
    weaken(monkeypatch, reply.verify_opened_reply, lambda opened: reply.VerifiedReply(opened.reply))
    assert world.at_node(forged) is None
    assert world.patient_reads("victim", forged, forged.tx_hash()) == b"FORGED", (
        "with MACs only the patient reads a forged diagnosis"
    )


def test_the_workbench_with_the_doctors_own_key_is_accepted(world: World):
    """The equations above are right: what is missing to the thief is s_D and nothing else."""
    sent = world.request("victim")
    world.commit(sent)
    right = reply_by_thief_of_patient(world, sent, world.doctor().member.s)
    assert world.at_node(right) is None
    assert world.patient_reads("victim", right, right.tx_hash()) == b"FORGED"


@pytest.mark.parametrize("stolen", ["theta", "node", "cloud", "centre"])
def test_no_other_partys_key_makes_a_patient(world: World, stolen):
    """Keys of nodes, cloud and centre, in the place of s."""
    key = {
        "theta": world.theta,
        "node": world.node.member.s,
        "cloud": world.r.cloud.member.s,
        "centre": world.r.centre.key.w,
    }[stolen]
    victim = world.credential("victim")
    forgery = Forgery.of_victim(world, victim)
    forgery.s = key
    assert world.at_node(forgery.build()) == "bad-proof"
    # Nor together with what the centre answered: y alone, y + w, y + theta.
    answer = world.r.centre
    alpha = envelope.alpha("patient", victim.hp, victim.quarter, victim.P, victim.Q, world.domain.Pub_bytes)
    forgery = Forgery.of_victim(world, victim)
    forgery.s = alpha * answer.key.w + key
    assert world.at_node(forgery.build()) == "bad-proof"
