"""Claim: every byte of every message of the thresholds, flipped once, is noticed, also when a dishonest sender signs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from salus import labels
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold import epoch_keys as ek
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold import partials as pt
from salus.abpre.threshold import receipts as rc
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold import transforming as tf
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.groups import OPRF, Z
from salus.codec import Message
from support.consultation_world import flip, refusal
from support.threshold_world import HOSPITAL, NETWORK, SCOPE, altered, dealt, resigned

HOLDERS = dealt(4)
RANDOM = HOLDERS.world.random


def noticed_everywhere(message: Message, reader: Callable[[Any], object]) -> None:
    """Flip a bit of each byte and read it."""
    data = message.encode()
    kind = type(message)
    assert refusal(lambda: reader(kind.decode(data))) is None, "the honest message is accepted"
    missed = [i for i in range(len(data)) if refusal(lambda i=i: reader(kind.decode(flip(data, i, i % 8)))) is None]
    assert missed == []


@pytest.fixture(scope="module")
def share() -> tuple[pt.ShareTarget, BoxKey, bytes]:
    delegation, c, _ = HOLDERS.delegate(HOLDERS.key(SCOPE))
    key = BoxKey.generate(RANDOM)
    return HOLDERS.target(delegation, HOLDERS.capsule(SCOPE, bytes(32)), key), key, c


def test_encryption_keys():
    node = HOLDERS.node(1)
    message = ek.publish_sharing_key(NETWORK, node.member, node.secret, RANDOM)
    noticed_everywhere(message, lambda m: ek.check_sharing_key(NETWORK, m, node.member.W))


def test_a_deal_of_alpha():
    noticed_everywhere(HOLDERS.alpha_deal(1), HOLDERS.check_alpha)


@pytest.mark.parametrize("purpose", [Z, OPRF])
def test_a_deal_of_a_scalar(purpose):
    noticed_everywhere(HOLDERS.scalar_deal(purpose, 1), HOLDERS.check_scalar)


def test_a_complaint():
    node, random = HOLDERS.node(1).member, RANDOM
    deal = HOLDERS.scalar_deal(Z, 1)
    seat, place = HOLDERS.committee.seats[1], 1
    ctx = sd.share_context(NETWORK, HOLDERS.committee, Z, 0, node.name, seat.index)
    boxes = list(deal.boxes)
    boxes[place] = sd.seal_box(seat.Er, ctx, bytes(32), random)
    lie = resigned(node, altered(deal, boxes=tuple(boxes)), labels.SIG_SCALAR_DEAL, random)
    victim = HOLDERS.node(2)
    complaint = sd.complain(NETWORK, HOLDERS.committee, lie, victim.member, victim.secret, random)
    noticed_everywhere(complaint, lambda m: sd.judge_complaint(NETWORK, HOLDERS.committee, lie, m))


def test_partial_keys_demands_and_evidence():
    request, key = HOLDERS.request(("role:a", "role:b"))
    issued = HOLDERS.issue(request, 1)
    noticed_everywhere(issued, lambda m: kc.open_partial_key(NETWORK, HOLDERS.committee, request, key, m))
    noticed_everywhere(request, lambda m: kc.open_partial_key(NETWORK, HOLDERS.committee, m, key, issued))
    demand = ki.demand_partial(NETWORK, request, HOLDERS.node(1).name, key, RANDOM)
    noticed_everywhere(demand, lambda m: ki.check_demand(NETWORK, HOLDERS.committee, request, m))
    false = ki.seal_partial_key(NETWORK, request, bytes(ki.partial_bytes(request)), HOLDERS.node(1).member, RANDOM)
    evidence = kc.prove_bad_partial(NETWORK, request, key, false, RANDOM)
    noticed_everywhere(evidence, lambda m: HOLDERS.judge_key(request, m))


def test_delegations(share):
    target, _, c = share
    message = target.delegation.message
    noticed_everywhere(message, lambda m: dg.check_delegation(NETWORK, m))
    for i in range(len(c)):
        assert refusal(dg.check_attachment, NETWORK, message, flip(c, i)) == "bad-delegation"


def test_partial_transformations_claims_and_evidence(share):
    target, key, c = share
    partial = HOLDERS.partial(target, 1, c)
    noticed_everywhere(partial, lambda m: tf.open_partial(HOLDERS.committee, target, key, m))
    noticed_everywhere(partial.claim(), lambda m: pt.check_partial_claim(NETWORK, HOLDERS.committee, m))
    for parts in ((bytes(pt.PARTIAL_BYTES), c), (bytes(pt.PARTIAL_BYTES), bytes(48))):
        false = pt.seal_partial(target, *parts, HOLDERS.node(1).member, RANDOM)
        evidence = tf.prove_bad_transformation(target, key, false, RANDOM)
        noticed_everywhere(evidence, lambda m: tf.judge_transformation(HOLDERS.committee, target, HOLDERS.scalars[Z], m))


def test_deletions_and_receipts():
    keys = {n.name: n.bls.public for n in HOLDERS.nodes}
    deletions = [rc.sign_deletion(NETWORK, 1, n.name, n.bls.export_secret(), bytes(32), bytes(32)) for n in HOLDERS.nodes]
    noticed_everywhere(deletions[0], lambda m: rc.check_deletion(NETWORK, m, keys[m.node] if m.node in keys else bytes(96)))
    receipt = rc.make_receipt(NETWORK, HOLDERS.committee, keys, deletions)
    noticed_everywhere(receipt, lambda m: rc.check_receipt(NETWORK, HOLDERS.committee, keys, m))


# --- a dishonest sender signs what it changed ---


@pytest.mark.parametrize("field", ["C", "R1", "R2", "c", "possession"])
def test_a_dealer_that_signs_a_changed_deal_of_alpha(field):
    node, deal = HOLDERS.node(1).member, HOLDERS.alpha_deal(1)
    value = getattr(deal, field)
    whole = b"".join(value) if isinstance(value, tuple) else value
    for i in range(0, len(whole), 5):
        changed: Any = flip(whole, i, i % 8)
        if isinstance(value, tuple):
            width = len(value[0])
            changed = tuple(changed[k : k + width] for k in range(0, len(changed), width))
        lie = resigned(node, altered(deal, **{field: changed}), labels.SIG_ALPHA_DEAL, RANDOM)
        assert refusal(HOLDERS.check_alpha, lie) in ("bad-deal", "bad-point", "bad-scalar")


def test_a_node_that_seals_and_signs_a_changed_partial_key():
    request, key = HOLDERS.request(("role:a", "role:b"))
    honest = kc.open_partial_key(NETWORK, HOLDERS.committee, request, key, HOLDERS.issue(request, 1)).encoded
    for i in range(0, len(honest), 3):
        false = ki.seal_partial_key(NETWORK, request, flip(honest, i, i % 8), HOLDERS.node(1).member, RANDOM)
        got = HOLDERS.collect(request, key, [false], check_each=True)
        assert [HOLDERS.judge_key(request, e) for e in got.evidence] == [HOLDERS.node(1).name]


def test_a_node_that_seals_and_signs_a_changed_partial_transformation(share):
    target, key, c = share
    opened = tf.open_partial(HOLDERS.committee, target, key, HOLDERS.partial(target, 1, c))
    honest = opened.D.encode() + opened.proof + opened.c.encode()
    public, delta = HOLDERS.scalars[Z], HOLDERS.delta(HOLDERS.key(HOSPITAL), target.delegation)
    for i in range(0, len(honest), 7):
        changed = flip(honest, i, i % 8)
        parts = changed[: pt.PARTIAL_BYTES], changed[pt.PARTIAL_BYTES :]
        false = pt.seal_partial(target, *parts, HOLDERS.node(1).member, RANDOM)
        got = tf.transform_and_open(
            HOLDERS.committee, target, public, HOLDERS.parameters, delta, key, [false], RANDOM, check_each=True
        )
        assert [tf.judge_transformation(HOLDERS.committee, target, public, e) for e in got.evidence] == [HOLDERS.node(1).name]


def test_messages_of_another_network_are_refused(share):
    target, key, c = share
    other = bytes(32)
    node = HOLDERS.node(1)
    request, request_key = HOLDERS.request(("role:a",))
    foreign = [
        (ek.check_sharing_key, other, ek.publish_sharing_key(NETWORK, node.member, node.secret, RANDOM), node.member.W),
        (al.check_alpha_deal, other, HOLDERS.committee, HOLDERS.alpha_deal(1)),
        (sd.check_scalar_deal, other, HOLDERS.committee, HOLDERS.scalar_deal(Z, 1)),
        (kc.open_partial_key, other, HOLDERS.committee, request, request_key, HOLDERS.issue(request, 1)),
        (dg.check_delegation, other, target.delegation.message),
        (pt.check_partial_claim, other, HOLDERS.committee, HOLDERS.partial(target, 1, c).claim()),
    ]
    for check, *arguments in foreign:
        assert refusal(check, *arguments) is not None, check
        assert refusal(check, NETWORK, *arguments[1:]) is None, check
    assert isinstance(key, BoxKey)
