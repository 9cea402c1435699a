"""Replay: on the same network, another network, in another epoch, after expiry; of requests, replies and everything signed."""

from __future__ import annotations

import copy

import pytest

from salus.consultation import appointments as ap
from salus.consultation import envelope
from salus.consultation.registration import Domain
from salus.groups.proofs import schnorr_sign, schnorr_verify
from support.consultation_world import DOCTOR, World, altered, make_world, refusal, weaken


@pytest.fixture
def world():
    return make_world("replay")


def twin_network(world: World) -> World:
    """Another network with the same centre, members, slots, epoch key and even theta: only its identifier differs."""
    twin = copy.copy(world)
    twin.r = copy.copy(world.r)
    twin.r.domain = Domain(bytes(32), world.domain.Pub_bytes)
    twin.r.chain = copy.copy(world.chain)
    twin.r.chain.domain = twin.r.domain
    twin.r.chain.check_receipt = lambda *parts: None  # the cloud is asked for a fresh receipt there
    return twin


def test_on_the_same_network(world: World):
    sent = world.request()
    assert world.at_node(sent) is None
    world.commit(sent)
    assert world.at_node(sent) == "used-credential"
    world.chain.nullifiers.clear()
    assert world.at_node(sent) == "used-key"
    world.chain.one_time_keys.clear()
    assert world.at_node(sent) == "slot-taken"
    world.chain.taken.clear()
    assert world.at_node(sent) is None, "with nf, A and the slot forgotten it would pass again"


def test_on_another_network(world: World, monkeypatch):
    sent = world.request()
    assert twin_network(world).at_node(sent) == "bad-seal"

    # The repair out: the network in none of t0, B and the challenge.
    right_t0, right_B, right_c = envelope.make_t0, envelope.nullifier_base, envelope.challenge
    weaken(monkeypatch, right_t0, lambda kind, network, *rest: right_t0(kind, b"", *rest))
    weaken(monkeypatch, right_B, lambda network, *rest: right_B(b"", *rest))
    weaken(monkeypatch, right_c, lambda network, *rest: right_c(b"", *rest))
    loose = world.request()
    assert world.at_node(loose) is None
    assert twin_network(world).at_node(loose) is None


def test_in_another_epoch(world: World, monkeypatch):
    sent = world.request()
    world.r.share_value()
    moved = altered(sent, epoch=2)
    assert world.at_node(sent) is None, "the previous epoch is still in grace"
    assert world.at_node(moved) == "bad-seal"
    # Even if a careless dealer repeats theta.
    world.chain.epochs[2] = world.chain.epochs[1]
    for node in world.r.nodes:
        node.theta[2] = node.theta[1]
    assert world.at_node(moved) == "bad-seal"
    right = envelope.make_t0
    weaken(monkeypatch, right, lambda kind, network, epoch, *rest: right(kind, network, 0, *rest))
    loose = world.request()
    assert world.at_node(loose) is None
    assert world.at_node(altered(loose, epoch=1)) is None, "with the epoch out of t0 and a repeated theta it passes"


def test_in_an_epoch_that_is_over_or_unknown(world: World):
    sent = world.request()
    assert world.at_node(altered(sent, epoch=99)) == "wrong-epoch"
    del world.chain.epochs[1]
    assert world.at_node(sent) == "wrong-epoch"


def test_after_its_validity(world: World, monkeypatch):
    sent = world.request()
    world.now_ms += 61_000
    assert world.at_node(sent) == "expired"
    later = altered(sent, valid_until_ms=sent.valid_until_ms + 120_000)
    assert world.at_node(later) == "bad-seal", "a later date is not what was signed"
    right = envelope.make_t0
    weaken(monkeypatch, right, lambda kind, network, epoch, pk, A, valid, own: right(kind, network, epoch, pk, A, 0, own))
    world.now_ms -= 61_000
    loose = world.request()
    world.now_ms += 61_000
    assert world.at_node(altered(loose, valid_until_ms=loose.valid_until_ms + 120_000)) is None


def test_after_its_quarter(world: World):
    sent = world.request()
    quarter_ms = 93 * 86_400_000
    verified = envelope.VerifiedEnvelope(b"", world.pending(sent).credential.quarter, b"", b"")
    for elapsed_ms, expected in ((0, None), (quarter_ms, None), (quarter_ms, "wrong-quarter")):
        world.now_ms += elapsed_ms
        assert refusal(world.chain.check_sender, verified) == expected


def test_replies(world: World):
    _, answer = world.consult()
    assert world.at_node(answer) == "already-answered"
    other = world.request()
    world.commit(other)
    moved = altered(answer, h1=other.tx_hash(), sn=other.sn)
    assert world.at_node(moved) == "used-key"
    world.chain.one_time_keys.discard(answer.A_D)
    assert world.at_node(moved) == "bad-signature", "M_k1 covers h1 and sn"
    assert twin_network(world).at_node(altered(answer, h1=bytes(32))) == "unknown-request"


def test_a_reply_on_another_network(world: World):
    sent = world.request()
    world.commit(sent)
    answer = world.answer(sent)
    assert world.at_node(answer) is None
    assert twin_network(world).at_node(answer) == "bad-signature"


def test_signed_messages_of_members_on_another_network(world: World, monkeypatch):
    network, member = world.domain.network, world.doctor().member
    batch, _ = ap.publish_slots(network, member, "2025-10-09", 200, 2, world.random)
    decline = ap.decline_request(network, member, 1, bytes(32), "bad-seal", "", world.random)
    assert refusal(ap.check_slots, bytes(32), batch, member.W) == "bad-signature"
    assert refusal(ap.check_decline, bytes(32), decline, member.W) == "bad-signature"
    weaken(monkeypatch, schnorr_sign, lambda label, suite, s, fields, *rest: schnorr_sign(label, suite, s, fields[1:], *rest))
    weaken(monkeypatch, schnorr_verify, lambda label, suite, W, fields, *rest: schnorr_verify(label, suite, W, fields[1:], *rest))
    loose, _ = ap.publish_slots(network, member, "2025-10-09", 200, 2, world.random)
    assert refusal(ap.check_slots, bytes(32), loose, member.W) is None, "with the network out of the signature it is replayed"


def test_one_kind_of_signature_is_not_another(world: World):
    """A cancellation's signature is not a decline's although both carry the label sig-decline: the kind is signed."""
    network, member = world.domain.network, world.doctor().member
    cancel = ap.cancel_slots(network, member, (1,), "", world.random)
    as_decline = ap.Decline(DOCTOR, 1, bytes(32), "bad-seal", "", cancel.signature)
    assert refusal(ap.check_decline, network, as_decline, member.W) == "bad-signature"
