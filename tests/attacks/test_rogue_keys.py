"""Rogue keys at registration: a public key whose secret the registrant does not know, or that is built from another's."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salus.consultation import credentials as cr
from salus.consultation import node_record as nr
from salus.consultation import registration as reg
from salus.consultation import shared_value as sv
from salus.consultation.enrolment import EnrolmentKey
from salus.groups.proofs import schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import Point, base_mul, decode_point, random_scalar
from support.consultation_world import World, altered, make_world, refusal, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("rogue keys")


def rogue_request(world: World, P: Point) -> reg.KeyRequest:
    """A registration of P with a proof made for another key (the best one can do)."""
    other = reg.SecretValue.draw(world.random)
    honest = reg.request_key(world.domain.network, "doctor", "evil/doc", other, world.random)
    return altered(honest, P=P.encode())


@pytest.mark.parametrize("shape", ["copied", "difference", "negated", "sum"])
def test_a_key_built_from_anothers_is_refused(world: World, shape, monkeypatch):
    victim = decode_point(world.chain.members["hosp/dr-one"].P)
    own = base_mul(random_scalar(world.random))
    P = {"copied": victim, "difference": own - victim, "negated": -victim, "sum": own + victim}[shape]
    request = rogue_request(world, P)
    assert refusal(world.r.centre.register, request) == "bad-possession"
    weaken(monkeypatch, schnorr_verify, lambda *parts: None)
    assert refusal(world.r.centre.register, request) is None, "without the proof the centre registers it"


def test_a_proof_of_possession_is_bound_to_its_registration(world: World, monkeypatch):
    """A victim's proof, seen once, is not good for another name, role, network, quarter or credential index."""
    network, random = world.domain.network, world.random
    secret = reg.SecretValue.draw(random)
    request = reg.request_key(network, "doctor", "good/doc", secret, random)
    reg.check_key_request(network, request)
    for changed in (altered(request, name="evil/doc"), altered(request, role="node")):
        assert refusal(reg.check_key_request, network, changed) == "bad-possession"
    assert refusal(reg.check_key_request, bytes(32), request) == "bad-possession"

    F = EnrolmentKey.generate(random)
    issuing = cr.request_credential(network, F, 8100, 3, secret, random)
    cr.check_issuing_request(network, F.F, issuing)
    thief = EnrolmentKey.generate(random)
    for quarter, index in ((8101, 3), (8100, 4), (8100, 3)):
        signature = thief.sign(network, reg.labels.SIG_ISSUE, cr.issuing_message(quarter, index, issuing.P), random)
        moved = cr.IssuingRequest(thief.F, quarter, index, issuing.P, issuing.possession, signature)
        assert refusal(cr.check_issuing_request, network, thief.F, moved) == "bad-possession"

    # The repair out: a proof over nothing but the key is everybody's.
    def unbound(network, role, subject, quarter, index, secret_scalar, public, random):
        return schnorr_sign(reg.labels.POSSESSION, reg.SUITE, secret_scalar, (public,), b"", random)

    def unbound_check(network, role, subject, quarter, index, public, proof):
        schnorr_verify(reg.labels.POSSESSION, reg.SUITE, decode_point(public), (public,), b"", proof)
        return decode_point(public)

    weaken(monkeypatch, reg.prove_possession, unbound)
    weaken(monkeypatch, reg.check_possession, unbound_check)
    loose = reg.request_key(network, "doctor", "good/doc", secret, random)
    assert refusal(reg.check_key_request, network, altered(loose, name="evil/doc")) is None


def test_a_rogue_epoch_key_is_refused(world: World, monkeypatch):
    """``E_2 = E_1 + x*P0`` would tie one node's share of a deal to another's."""
    network, node = world.domain.network, world.r.nodes[1].member
    first = world.r.nodes[0].secrets[1]
    own = sv.EpochSecret.generate(1, world.random)
    honest = sv.publish_epoch_key(network, node, own, world.random)
    sv.check_epoch_key(network, honest, node.W)
    E = (decode_point(first.E) + decode_point(own.E)).encode()
    draft = altered(honest, E=E)
    rogue = altered(draft, signature=node.sign(network, reg.labels.SIG_EPOCH_KEY, draft.to_value()[:-1], world.random))
    assert refusal(sv.check_epoch_key, network, rogue, node.W) == "bad-possession"
    weaken(monkeypatch, reg.check_possession, lambda *parts: None)
    assert refusal(sv.check_epoch_key, network, rogue, node.W) is None


@pytest.fixture(scope="module")
def record(world):
    node = world.node.member
    return nr.make_node_record(
        world.domain.network, node, Ed25519PrivateKey.generate(), nr.BlsSecret.generate(world.random),
        sv.EpochSecret.generate(2, world.random), world.random,
    )  # fmt: skip


def resigned(world: World, record: nr.NodeRecord, **changes) -> nr.NodeRecord:
    """The node itself signs a record with a foreign key in it: only that key's proof can notice."""
    draft = altered(record, **changes)
    signature = world.node.member.sign(world.domain.network, reg.labels.SIG_NODE_RECORD, draft.to_value()[:-1], world.random)
    return altered(draft, signature=signature)


@pytest.mark.parametrize("key", ["consensus", "bls", "epoch", "member"])
def test_a_node_record_with_a_key_that_is_not_the_nodes(world: World, record, key):
    network, random = world.domain.network, world.random
    other = world.r.nodes[1].member
    theirs = nr.make_node_record(
        network, other, Ed25519PrivateKey.generate(), nr.BlsSecret.generate(random), sv.EpochSecret.generate(2, random), random
    )
    changes = {
        "consensus": {"consensus_key": theirs.consensus_key, "consensus_possession": theirs.consensus_possession},
        "bls": {"bls_key": theirs.bls_key},
        "epoch": {"epoch_key": theirs.epoch_key},
        "member": {"member": theirs.member},
    }[key]
    nr.check_node_record(network, record, world.domain.Pub)
    assert refusal(nr.check_node_record, network, resigned(world, record, **changes), world.domain.Pub) in (
        "bad-possession", "bad-encoding", "bad-signature",
    )  # fmt: skip


def test_a_rogue_bls_key_would_forge_an_aggregate(world: World, record, monkeypatch):
    """``pk_2 = x*g2 - pk_1``: the sum of both keys is x*g2, so x signs for both. The proof of possession refuses it."""
    x = nr.BlsSecret.generate(world.random)
    pk_1 = nr.G2.decode(record.bls_key)
    pk_2 = nr.G2.decode(x.public) + -pk_1
    message, dst = b"both of us saw this", b"receipt"
    forged = nr.G1.hash(message, dst).mul(x.export_secret())
    assert nr.pairing([(nr.G1.hash(message, dst), pk_1 + pk_2), (-forged, nr.G2.generator())]).is_one()
    rogue = resigned(world, record, bls_key=pk_2.encode(), bls_possession=x.prove_possession())
    assert refusal(nr.check_node_record, world.domain.network, rogue, world.domain.Pub) == "bad-possession"
    weaken(monkeypatch, nr.check_bls_possession, lambda *parts: None)
    assert refusal(nr.check_node_record, world.domain.network, rogue, world.domain.Pub) is None
