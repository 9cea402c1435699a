"""Impersonation by key cancellation, the attack that breaks the printed protocol.

There ``A = c*P0 - W`` makes ``key_PB = theta*(W + A)`` equal to ``c*pk_BC`` and the doctor's ``s_D*(W + A)`` equal to
``c*W_D``. Here no secret is ever added to another as a point, and the sender signs.
"""

from __future__ import annotations

import pytest

from salus import labels
from salus.consultation import envelope
from salus.consultation.envelope import Sender, make_t0
from salus.consultation.registration import SUITE
from salus.consultation.reply import ConsultationReply, make_t0_reply
from salus.groups.ristretto255 import Point, base_mul, decode_point, random_scalar
from salus.symmetric import kdf, unseal
from support.consultation_world import DOCTOR, Forgery, W_of, World, make_world, simulated_sigma, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("cancellation")


class Cancelling:
    """The adversary: c, ``A = c*P0 - W`` and the two points that the printed keys become."""

    def __init__(self, world: World, W: Point) -> None:
        self.c = random_scalar(world.random)
        self.A = base_mul(self.c) - W
        self.to_nodes = decode_point(world.pk_BC).mul(self.c)
        self.W_D = decode_point(world.chain.W("doctor", DOCTOR))
        self.to_doctor = self.W_D.mul(self.c)


def victim_and_attack(world: World):
    victim = world.credential("victim")
    return victim, Cancelling(world, W_of(world, victim.P, victim.Q, victim.hp, victim.quarter))


def forged_request(world: World, victim, attack: Cancelling):
    """Everything the adversary can compute, at the places of the printed keys."""
    return Forgery.of_victim(
        world, victim, A=attack.A.encode(), seal_secret=attack.to_nodes, sW=attack.to_doctor,
        doctor_secrets=(attack.to_doctor, attack.to_doctor), sign=simulated_sigma,
    ).build()  # fmt: skip


def test_the_printed_keys_do_become_computable(world: World):
    """The algebra of the attack holds; what differs is which keys r1 uses."""
    victim, attack = victim_and_attack(world)
    W = decode_point(victim.W)
    assert (W + attack.A).mul(world.theta) == attack.to_nodes
    assert (W + attack.A).mul(world.doctor().member.s) == attack.to_doctor


def test_the_cancelled_request_is_refused_everywhere(world: World):
    victim, attack = victim_and_attack(world)
    forged = forged_request(world, victim, attack)
    assert [world.at_node(forged, n) for n in range(4)] == ["bad-seal"] * 4
    assert world.at_doctor(forged) == "bad-seal"
    # None of r1's own secrets is one the adversary has.
    context = world.context(DOCTOR, forged.sn)
    secrets = [attack.A.mul(k) for k in (world.theta, world.doctor().member.s, world.doctor().slot_keys[forged.sn].e)]
    known = [attack.to_nodes, attack.to_doctor, attack.A, decode_point(context.E_sn).mul(attack.c)]
    assert not any(s == k for s in secrets for k in known)


def test_with_the_printed_key_and_no_signature_it_succeeds(world: World, monkeypatch):
    """The repairs out, as printed: the node keys the seal with theta*(W + A) of the claimed sender, and checks nothing else."""
    victim, attack = victim_and_attack(world)
    forged = forged_request(world, victim, attack)

    def printed_open_sender(statement, shared):
        claimed = Sender(victim.P, victim.Q, victim.hp, victim.quarter, b"")  # beside the transaction, in clear
        context = (statement.t0, statement.envelope.cm, statement.envelope.nf)
        cancelled = shared + decode_point(victim.W).mul(world.theta)
        plaintext = unseal(
            kdf(labels.NODE_SEAL, SUITE, [cancelled.encode()], context), statement.envelope.S, context, "forged-key"
        )
        opened = envelope.unpack_sender(plaintext)
        assert (opened.P, opened.Q, opened.hp) == (claimed.P, claimed.Q, claimed.hp)
        return opened

    weaken(monkeypatch, envelope.open_sender, printed_open_sender)
    assert world.at_node(forged) == "bad-proof", "the signature alone already refuses it"
    weaken(monkeypatch, envelope.verify_opened, envelope.accept)
    assert world.at_node(forged) is None


@pytest.mark.parametrize("target", ["W_D", "E_sn", "pk_BC", "W of the victim", "minus W_D"])
def test_a_one_time_key_that_is_somebodys_public_key(world: World, target):
    """Degenerate choices of A whose logarithm the adversary does not know: it cannot seal to the nodes."""
    victim = world.credential("victim")
    sn = world.free_slot()
    context = world.context(DOCTOR, sn)
    A = {
        "W_D": decode_point(context.W_D),
        "E_sn": decode_point(context.E_sn),
        "pk_BC": decode_point(context.pk_BC),
        "W of the victim": decode_point(victim.W),
        "minus W_D": -decode_point(context.W_D),
    }[target]
    forged = Forgery.of_victim(world, victim, sn=sn, A=A.encode(), sign=simulated_sigma).build()
    assert world.at_node(forged) == "bad-seal"
    assert world.at_doctor(forged) == "bad-seal"


def test_the_forged_diagnosis(world: World):
    """The same trick on the reply: ``A_D = c*P0 - W_D``. The keys need s*A_D, a*A_D and s*W_D; M_k1 needs s_D."""
    sent = world.request("victim")
    world.commit(sent)
    honest = world.answer(sent)
    W_D = decode_point(world.chain.W("doctor", DOCTOR))
    c = random_scalar(world.random)
    A_D = (base_mul(c) - W_D).encode()
    credential = world.pending(sent).credential
    printed_key = decode_point(credential.W).mul(c)
    assert (W_D + decode_point(A_D)).mul(credential.s) == printed_key, "the printed key is computable"
    t0 = make_t0_reply(world.domain.network, DOCTOR, W_D.encode(), sent.sn, sent.tx_hash(), A_D)
    keys = kdf(labels.REPLY, SUITE, [printed_key.encode()] * 3, (t0, credential.W), 156)
    from salus.symmetric import mac, xor

    PID2 = xor(credential.pid, keys[64:])
    M_k2 = mac(keys[32:64], t0, PID2, honest.digest, honest.size_bytes)
    forged = ConsultationReply(
        PID2, DOCTOR, A_D, honest.digest, honest.size_bytes, honest.M_k1, M_k2, sent.sn, sent.tx_hash(), honest.U
    )
    assert world.at_node(forged) == "bad-signature"
    assert world.at_patient("victim", forged, forged.tx_hash()) == "bad-pseudonym"


def test_t0_holds_no_sum(world: World):
    """Every secret of the KDF stands for itself: exchanging two of them, or adding them, gives other keys."""
    t0 = make_t0("k", world.domain.network, 1, world.pk_BC, bytes(32), 5, ())
    x, y = (base_mul(random_scalar(world.random)) for _ in range(2))
    both = kdf(labels.REQUEST, SUITE, [x.encode(), y.encode()], t0)
    assert both != kdf(labels.REQUEST, SUITE, [y.encode(), x.encode()], t0)
    assert both != kdf(labels.REQUEST, SUITE, [(x + y).encode()], t0)
