"""Claim: all long-term keys, leaked after the one-time keys are erased, open nothing of the past."""

from __future__ import annotations

import itertools

import pytest

from salus import labels
from salus.consultation import shared_value as sv
from salus.consultation.appointments import SlotKey
from salus.consultation.registration import SUITE
from salus.consultation.reply import make_t0_reply
from salus.consultation.request import request_statement
from salus.groups.ristretto255 import Point, Scalar, decode_point
from salus.symmetric import kdf, mac, unseal
from support.consultation_world import DOCTOR, World, make_world, refusal


@pytest.fixture(scope="module")
def world():
    return make_world("forward secrecy")


class Past:
    """One finished visit as a thief meets it: the ledger, and every long-term key of everybody."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.credential = world.credential("victim")
        self.request = world.request("victim", credential=self.credential)
        self.pending = world.pending(self.request)
        self.a, self.s = (Scalar.decode(k.encode()) for k in (self.pending.a, self.credential.s))
        self.context = world.context(DOCTOR, self.request.sn)
        world.commit(self.request)
        self.reply = world.answer(self.request)
        world.commit(self.reply)
        draft = world.doctor().drafts[self.request.tx_hash()]
        self.a_D = Scalar.decode(draft.a_D.encode())
        self.e = Scalar.decode(world.doctor().slot_keys[self.request.sn].e.encode())
        self.t0 = request_statement(world.domain, self.request, self.context).t0
        d = world.domain.network
        self.t0_reply = make_t0_reply(d, DOCTOR, self.context.W_D, self.request.sn, self.reply.h1, self.reply.A_D)

    def leaked(self, *more: Scalar) -> list[Scalar]:
        """Long-term secrets of the doctor, the cloud, all nodes, the centre; even the credential's s; and ``more``."""
        w = self.world
        members = [w.doctor().member, w.doctor("hosp/dr-two").member, w.r.cloud.member, *(n.member for n in w.r.nodes)]
        return [*(m.s for m in members), w.r.centre.key.w, self.s, *more]

    def points(self) -> list[Point]:
        c = self.context
        return [decode_point(p) for p in (self.request.A, self.reply.A_D, c.W_D, c.E_sn, c.pk_BC, self.credential.W)]

    def products(self, *more: Scalar) -> list[bytes]:
        return [p.mul(k).encode() for k in self.leaked(*more) for p in self.points()]

    def opens_doctor_seal(self, *more: Scalar) -> bool:
        products = self.products(*more)
        aad = (self.t0, self.request.cm)
        return any(self._opens(kdf(labels.DOCTOR_SEAL, SUITE, [x, y], aad), self.request.S_D, aad) for x, y in pairs(products))

    def opens_node_seal(self, *more: Scalar) -> bool:
        aad = (self.t0, self.request.cm, self.request.nf)
        return any(self._opens(kdf(labels.NODE_SEAL, SUITE, [x], aad), self.request.S, aad) for x in self.products(*more))

    def opens_reply(self, *more: Scalar) -> bool:
        """Tries M_k2 with every triple whose last secret is s_D*W (granted to the thief)."""
        r, last = self.reply, decode_point(self.credential.W).mul(self.world.doctor().member.s).encode()
        for x, y in pairs(self.products(*more)):
            k = kdf(labels.REPLY, SUITE, [x, y, last], (self.t0_reply, self.credential.W), 156)
            if mac(k[32:64], self.t0_reply, r.PID2, r.digest, r.size_bytes) == r.M_k2:
                return True
        return False

    @staticmethod
    def _opens(key: bytes, box: bytes, aad: object) -> bool:
        return refusal(unseal, key, box, aad, "bad-seal") is None


def pairs(values: list[bytes]):
    return itertools.product(values, repeat=2)


@pytest.fixture(scope="module")
def past(world):
    return Past(world)


def test_the_request_stays_closed_to_all_long_term_keys(past):
    assert not past.opens_doctor_seal()
    assert past.opens_doctor_seal(past.a), "control: with a not erased it opens"
    assert past.opens_doctor_seal(past.e), "control: with e_sn not erased it opens"


def test_the_reply_stays_closed_to_all_long_term_keys(past):
    assert not past.opens_reply()
    assert past.opens_reply(past.a), "control: with a (and s) not erased it opens"
    assert past.opens_reply(past.a_D), "control: with a_D not erased it opens"


def test_the_sender_stays_closed_once_theta_is_erased(past, world):
    assert not past.opens_node_seal()
    assert past.opens_node_seal(world.theta), "control: within the epoch's grace the nodes open it"


def test_without_one_time_slot_keys_the_doctors_key_opens_the_past():
    """The printed protocol's doctor has no e_sn: the same thief, with s_D alone, opens every past request."""
    world = make_world("no slot keys")
    doctor = world.doctor()
    doctor.slot_keys = {sn: SlotKey(sn, doctor.member.s) for sn in doctor.slot_keys}
    world.chain.slots.update({(DOCTOR, sn): key.E for sn, key in doctor.slot_keys.items()})
    assert Past(world).opens_doctor_seal()


def test_a_node_key_stolen_later_gives_no_past_theta(world):
    """beta_j needs s_j*R and e_j*R; e_j is erased at the end of the epoch's grace."""
    nodes, network = world.r.nodes, world.domain.network
    secrets = [sv.EpochSecret.generate(9, world.random) for _ in nodes]
    seats = [sv.Seat(n.member.name, n.member.W_bytes, s.E) for n, s in zip(nodes, secrets, strict=True)]
    deal, theta = sv.make_deal(network, 9, nodes[0].member, seats, world.random)
    thief = nodes[1].member
    assert sv.open_deal(network, deal, thief, secrets[1]) == theta, "control: with e_j it opens"
    for guess in (thief.s, nodes[0].member.s, world.r.centre.key.w, Scalar.from_int(1)):
        assert refusal(sv.open_deal, network, deal, thief, sv.EpochSecret(9, guess)) == "bad-deal"
    secrets[1].wipe()
    assert refusal(sv.open_deal, network, deal, thief, secrets[1]) == "erased"


def test_what_is_wiped_is_gone(past, world):
    """Every holder of a one-time secret refuses to give it after its wipe, and the patient's check-up erases s and a."""
    sent, answer = world.consult("bob")
    patient, h1 = world.r.patients["bob"], sent.tx_hash()
    pending = patient.pending[h1]
    assert world.r.check_up("bob", answer.encode()) == b"healthy"
    assert refusal(lambda: pending.a) == "erased"
    assert refusal(lambda: pending.credential.s) == "erased"
    assert refusal(pending.export_secret) == "erased"
    draft, slot = world.doctor().drafts[h1], world.doctor().slot_keys[sent.sn]
    draft.wipe()
    slot.wipe()
    assert refusal(lambda: draft.a_D) == "erased"
    assert refusal(lambda: slot.e) == "erased"
    assert draft.keys.k_enc == b""


def test_a_stolen_s_names_its_own_past_request(past):
    """Why s_i is erased with the rest: I = s*B is a deterministic name. Documented, not denied."""
    from salus.consultation.envelope import nullifier
    from support.consultation_world import nullifier_point

    c = past.credential
    B = nullifier_point(past.world, c.P, c.Q, c.hp, c.quarter)
    assert nullifier(B.mul(past.s).encode()) == past.request.nf
