"""Claim: a revocation receipt is the word of a quorum that c is gone: nobody adds a signer, and no rogue key signs for others."""

from __future__ import annotations

import pytest

from salus import labels
from salus.abpre.threshold import receipts as rc
from salus.consultation import node_record
from salus.groups import multi_signatures as bls
from salus.groups.bls12_381 import G1, G2, decode_g2, random_multiplier
from support.consultation_world import SeededRandom, flip, refusal
from support.threshold_world import NETWORK, Holders, altered, make_holders, sent

RANDOM = SeededRandom("receipts")
DELEGATION, C_DIGEST = bytes([1]) * 32, bytes([2]) * 32


class Quorum:
    """A committee's BLS keys."""

    def __init__(self, n: int) -> None:
        self.holders: Holders = make_holders(n, "receipts")
        self.keys = {node.name: node.bls.public for node in self.holders.nodes}

    def deletion(self, index: int, delegation: bytes = DELEGATION, epoch: int = 1) -> rc.Deletion:
        node = self.holders.node(index)
        return sent(rc.sign_deletion(NETWORK, epoch, node.name, node.bls.export_secret(), delegation, C_DIGEST))

    def receipt(self, *indices: int) -> rc.RevocationReceipt:
        return sent(rc.make_receipt(NETWORK, self.holders.committee, self.keys, [self.deletion(i) for i in indices]))

    def check(self, receipt: rc.RevocationReceipt, network: bytes = NETWORK) -> tuple[str, ...]:
        return rc.check_receipt(network, self.holders.committee, self.keys, receipt)


@pytest.fixture(scope="module")
def quorum() -> Quorum:
    return Quorum(4)


@pytest.mark.parametrize("n", [4, 7, 13, 31])
def test_a_quorum_makes_one_signature(n):
    quorum = Quorum(n)
    t = quorum.holders.t
    receipt = quorum.receipt(*range(n - t + 1, n + 1))
    assert quorum.check(receipt) == tuple(quorum.holders.node(i).name for i in range(n - t + 1, n + 1))
    assert len(receipt.encode()) < 250
    assert refusal(quorum.receipt, *range(1, t)) == "no-quorum"


def test_deletions_that_do_not_verify_are_left_out(quorum):
    good = [quorum.deletion(i) for i in (1, 2, 4)]
    bad = [
        altered(quorum.deletion(3), signature=good[0].signature),
        altered(good[1], node="x/y"),
        quorum.deletion(3, bytes(32)),
        quorum.deletion(3, epoch=2),
        altered(quorum.deletion(3), signature=bytes(48)),
    ]
    receipt = rc.make_receipt(NETWORK, quorum.holders.committee, quorum.keys, [good[0], *bad, *good[1:]])
    assert quorum.check(receipt) == tuple(quorum.holders.node(i).name for i in (1, 2, 4))
    assert refusal(rc.make_receipt, NETWORK, quorum.holders.committee, quorum.keys, [*good[:2], good[1], *bad]) == "no-quorum"
    assert refusal(rc.make_receipt, NETWORK, quorum.holders.committee, quorum.keys, []) == "no-quorum"


def test_a_receipt_says_who_signed_and_what(quorum):
    receipt = quorum.receipt(1, 2, 3)
    assert receipt.signers == bytes([0b11100000])
    for signers in (bytes([0b11110000]), bytes([0b11010000]), bytes([0b01110000])):
        assert refusal(quorum.check, altered(receipt, signers=signers)) == "bad-signature"
    assert refusal(quorum.check, altered(receipt, signers=bytes([0b11000000]))) == "no-quorum"
    for signers in (bytes([0b11100001]), bytes([0b11100000, 0]), bytes([0b11101000])):
        assert refusal(quorum.check, altered(receipt, signers=signers)) == "bad-encoding"
    for field in ("delegation", "c_digest"):
        assert refusal(quorum.check, altered(receipt, **{field: bytes(32)})) == "bad-signature"
    assert refusal(quorum.check, altered(receipt, epoch=2)) == "wrong-epoch"
    assert refusal(quorum.check, receipt, bytes(32)) == "bad-signature"
    for i in range(48):
        assert refusal(quorum.check, altered(receipt, signature=flip(receipt.signature, i))) == "bad-signature"


def test_a_key_without_possession_would_sign_for_the_others(quorum):
    """A rogue key is x*g2 minus the others': alone it signs what looks like everybody's."""
    x = random_multiplier(RANDOM)
    others = [decode_g2(quorum.keys[quorum.holders.node(i).name]) for i in (1, 2)]
    rogue = (G2.generator().mul(x) - others[0] - others[1]).encode()
    message = rc.deletion_message(NETWORK, 1, DELEGATION, C_DIGEST)
    forged = bls.sign(x, message)
    keys = {**quorum.keys, quorum.holders.node(3).name: rogue}
    receipt = altered(quorum.receipt(1, 2, 3), signature=forged)
    # With that key on the ledger the forgery passes; the proof of possession, which it cannot make, keeps it out.
    assert len(rc.check_receipt(NETWORK, quorum.holders.committee, keys, receipt)) == 3
    for secret in (x, random_multiplier(RANDOM)):
        proof = G1.hash(rogue, labels.BLS_POSSESSION.encode()).mul(secret).encode()
        assert refusal(node_record.check_bls_possession, rogue, proof) == "bad-possession"
    node_record.check_bls_possession(quorum.keys[quorum.holders.node(3).name], quorum.holders.node(3).bls.prove_possession())


def test_signatures_and_possessions_are_of_different_domains(quorum):
    """Else a node could be made to prove possession by signing, or the other way round."""
    node = quorum.holders.node(1).bls
    assert bls.sign(node.export_secret(), node.public) != node.prove_possession()


def test_bls_inputs_that_are_none():
    assert refusal(bls.sign, bytes(32), b"m") == "bad-scalar"
    assert refusal(bls.sign, b"\xff" * 32, b"m") == "bad-scalar"
    assert refusal(bls.sign, bytes(31), b"m") == "bad-scalar"
    secret = random_multiplier(RANDOM)
    signature, public = bls.sign(secret, b"m"), G2.generator().mul(secret).encode()
    bls.verify([public], b"m", signature)
    assert refusal(bls.verify, [public], b"n", signature) == "bad-signature"
    assert refusal(bls.verify, [], b"m", signature) == "too-large"
    assert refusal(bls.verify, [bytes(96)], b"m", signature) == "bad-signature"
    negative = (-decode_g2(public)).encode()
    assert refusal(bls.verify, [public, negative], b"m", signature) == "bad-signature", "keys that cancel sign nothing"
    opposite = (-G1.decode(signature)).encode()
    assert refusal(bls.aggregate, [signature, opposite]) == "bad-point"
    assert refusal(bls.aggregate, []) == "too-large"
