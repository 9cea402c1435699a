"""Claim: a batch accepts exactly what one-by-one verification accepts, and names every bad item.

The attacks predict, relate or leave out weights. Each is run against such weights first (it succeeds), then against fresh ones.
"""

from __future__ import annotations

import os

import pytest

from salus.consultation import batch
from salus.consultation.envelope import OpenedEnvelope, VerifiedEnvelope, challenge, read_signature
from salus.consultation.reply import OpenedReply, VerifiedReply, open_reply
from salus.consultation.request import open_at_node
from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, random_scalar
from salus.symmetric import h2
from support.consultation_world import (
    DOCTOR,
    Forgery,
    SeededRandom,
    W_of,
    World,
    altered,
    make_world,
    nullifier_point,
)


@pytest.fixture(scope="module")
def world():
    return make_world("batch", patients=("alice", "bob", "victim", "mallory"))


def opened(world: World, request) -> OpenedEnvelope:
    return open_at_node(world.domain, request, world.context(DOCTOR, request.sn), world.theta)


def honest(world: World, count: int) -> list[OpenedEnvelope]:
    return [opened(world, Forgery.with_credential(world, _credential(world), sn=i).build()) for i in range(count)]


def _credential(world: World):
    for name in ("alice", "bob"):
        if len([1 for (who, _, _) in world.r.centre.spent if who == name]) < 60:
            return world.credential(name)
    raise AssertionError("the fixture's patients have no credentials left")


def replies(world: World, count: int) -> list[OpenedReply]:
    out = []
    for _ in range(count):
        sent = world.request("bob", credential=_credential(world))
        world.commit(sent)
        out.append(open_reply(world.domain.network, world.answer(sent), world.doctor().member.W))
    return out


def reasons(results) -> list[str | None]:
    return [r.reason if isinstance(r, Refused) else None for r in results]


# --- completeness and naming ---


def test_requests_replies_and_mixed_batches(world: World):
    envelopes, answers = honest(world, 5), replies(world, 3)
    for items in (envelopes, answers, [*envelopes, *answers], [*answers, *envelopes], [], envelopes[:1], answers[:1]):
        results = batch.verify_batch(items)
        assert reasons(results) == [None] * len(items)
        for item, result in zip(items, results, strict=True):
            assert type(result) is (VerifiedReply if isinstance(item, OpenedReply) else VerifiedEnvelope)


@pytest.mark.parametrize("field", ["z", "c", "alpha", "R1", "R2", "I", "B", "P", "Q"])
def test_every_bad_item_is_named(world: World, field):
    items = [*honest(world, 4), *replies(world, 2)]
    for places in ((0,), (3,), (1, 2), (0, 1, 2, 3)):
        changed = list(items)
        for i in places:
            value = getattr(items[i], field)
            shift = Scalar.from_int(5) if isinstance(value, Scalar) else base_mul(Scalar.from_int(5))
            changed[i] = altered(items[i], **{field: value + shift})
        assert reasons(batch.verify_batch(changed)) == ["bad-proof" if i in places else None for i in range(6)]


def test_a_bad_reply_is_named_among_requests(world: World):
    items = [*honest(world, 3), *replies(world, 2)]
    items[4] = altered(items[4], z=items[4].z + Scalar.from_int(1))
    assert reasons(batch.verify_batch(items)) == [None, None, None, None, "bad-signature"]


def test_two_errors_that_cancel_in_a_plain_sum_do_not_cancel_here(world: World, monkeypatch):
    """z_1 + d and z_2 - d: the sums of all equations with weight 1 hold."""
    one, two = honest(world, 2)
    d = random_scalar(world.random)
    pair = [altered(one, z=one.z + d, R2=one.R2 + one.B.mul(d)), altered(two, z=two.z - d, R2=two.R2 - two.B.mul(d))]
    assert reasons(batch.verify_batch(pair)) == ["bad-proof", "bad-proof"]
    monkeypatch.setattr(batch, "draw_weight", lambda random: Scalar.from_int(1))
    assert batch.holds(pair)


def test_the_bound_of_a_batch(world: World):
    (item,) = honest(world, 1)
    with pytest.raises(Refused, match="too-large"):
        batch.verify_batch([item] * (batch.BATCH_MAX + 1))


def test_weights_are_nonzero_128_bits_and_fresh():
    assert len({batch.draw_weight(os.urandom).encode() for _ in range(200)}) == 200
    for _ in range(50):
        weight = batch.draw_weight(os.urandom).encode()
        assert any(weight[:16])
        assert not any(weight[16:])
    zeros = iter([bytes(16), bytes(16), b"\1" + bytes(15)])
    assert batch.draw_weight(lambda count: next(zeros)) == Scalar.from_int(1)
    with pytest.raises(Refused, match="internal"):
        batch.draw_weight(lambda count: bytes(count))


def test_repeats_inside_a_batch_are_found(world: World):
    assert batch.first_repeats([b"a", b"b", b"a", b"a", b"c"]) == [False, False, True, True, False]
    credential = world.credential("mallory")
    pair = [opened(world, Forgery.with_credential(world, credential, sn=50 + i).build()) for i in range(2)]
    assert reasons(batch.verify_batch(pair)) == [None, None], "each alone is good"
    assert batch.first_repeats(o.statement.envelope.nf for o in pair) == [False, True]


def test_a_patient_checks_several_replies_at_once(world: World):
    """One bad signature, one that is not committed and one that is somebody else's are named; the rest are read."""
    items = []
    for i in range(5):
        sent = world.request("bob", credential=_credential(world))
        world.commit(sent)
        answer = world.answer(sent, b"diagnosis %d" % i)
        items.append([world.pending(sent), answer, answer.tx_hash()])
    forged = altered(items[1][1], M_k1=items[1][1].M_k1[:32] + random_scalar(world.random).encode())
    items[1][1:] = [forged, forged.tx_hash()]
    items[2][2] = bytes(32)
    items[3][0] = items[4][0]
    results = batch.check_replies(world.domain.network, [tuple(item) for item in items])
    assert reasons(results) == [None, "bad-signature", "not-committed", "wrong-request", None]
    assert results[0].payload_digest == items[0][0].payload_digest
    assert batch.check_replies(world.domain.network, []) == []


# --- predicted weights: the adversary's equations ---


def raw(template: OpenedEnvelope, I: Point, R1: Point, R2: Point, z: Scalar) -> OpenedEnvelope:
    """An opened envelope with chosen I, R1, R2, z and the challenge that belongs to them (nf set to fit)."""
    parts = [p.encode() for p in (I, R1, R2)]
    statement = template.statement
    envelope = altered(statement.envelope, nf=h2("nf", "mbpa-r1", parts[0]))
    return read_signature(altered(statement, envelope=envelope), template.sender, b"".join(parts) + z.encode())


def weights_from(*parts: bytes):
    """Weights hashed from something that the sender knows, as a batch of this module would draw them: u, v, u, v, .."""
    return SeededRandom(h2("tx", "mbpa-r1", *parts).hex())


def drawn(random, count: int) -> list[Scalar]:
    return [batch.draw_weight(random) for _ in range(count)]


def fields_of(items, names) -> list[bytes]:
    return [getattr(i, n).encode() for i in items for n in names]


def test_weights_known_before_R_frame_a_victim(world: World):
    """The forger's own, otherwise honest item absorbs the error of the victim's: accepted with such weights, not with fresh."""
    victim, own = world.credential("victim"), world.credential("mallory")
    t_victim = opened(world, Forgery.with_credential(world, victim, sn=52).build())
    t_own = opened(world, Forgery.with_credential(world, own, sn=53).build())
    W_victim = W_of(world, victim.P, victim.Q, victim.hp, victim.quarter)
    random = world.random
    I1, R11, R21 = (base_mul(random_scalar(random)) for _ in range(3))
    forged = raw(t_victim, I1, R11, R21, random_scalar(random))
    predicted = [victim.P, own.P, I1.encode(), t_own.I.encode()]  # everything but the R and z
    u1, v1, u2, _ = drawn(weights_from(*predicted), 4)
    error = (base_mul(forged.z) - R11 - W_victim.mul(forged.c)).mul(u1)
    error = error + (forged.B.mul(forged.z) - R21 - I1.mul(forged.c)).mul(v1)
    k = random_scalar(random)
    R12, R22 = base_mul(k) + error.mul(u2.invert()), t_own.B.mul(k)
    c = challenge(world.domain.network, t_own.sender, t_own.I.encode(), R12.encode(), R22.encode(), t_own.statement.content)
    absorbing = raw(t_own, t_own.I, R12, R22, k + c * own.s)
    pair = [forged, absorbing]
    assert batch.holds(pair, weights_from(*predicted)), "weights that do not cover R forge"
    everything = fields_of(pair, ("P", "Q", "I", "R1", "R2", "z"))
    assert not batch.holds(pair, weights_from(*everything)), "hashed from the whole batch they do not"
    assert not batch.holds(pair)
    assert reasons(batch.verify_batch(pair)) == ["bad-proof", "bad-proof"]


def test_weights_known_before_z_give_one_credential_two_false_nullifiers(world: World):
    """Two unknown z, two equations: solvable if the weights do not depend on z."""
    own = world.credential("mallory")
    templates = [opened(world, Forgery.with_credential(world, own, sn=54 + i).build()) for i in range(2)]
    B = nullifier_point(world, own.P, own.Q, own.hp, own.quarter)
    T, K, R = ([random_scalar(world.random) for _ in range(2)] for _ in range(3))
    zero = Scalar.from_int(0)
    items = [raw(t, B.mul(T[i]), base_mul(K[i]), B.mul(R[i]), zero) for i, t in enumerate(templates)]
    predicted = fields_of(items, ("P", "Q", "I", "R1", "R2"))
    u1, v1, u2, v2 = drawn(weights_from(*predicted), 4)
    c = [item.c for item in items]
    right_1 = u1 * (K[0] + c[0] * own.s) + u2 * (K[1] + c[1] * own.s)
    right_2 = v1 * (R[0] + c[0] * T[0]) + v2 * (R[1] + c[1] * T[1])
    inverse = (u1 * v2 - u2 * v1).invert()
    z = [(right_1 * v2 - u2 * right_2) * inverse, (u1 * right_2 - v1 * right_1) * inverse]
    forged = [altered(item, z=z[i]) for i, item in enumerate(items)]
    assert batch.holds(forged, weights_from(*predicted)), "weights over all but z forge"
    assert not batch.holds(forged, weights_from(*predicted, *fields_of(forged, ("z",))))
    assert reasons(batch.verify_batch(forged)) == ["bad-proof", "bad-proof"]


def test_equal_weights_for_both_equations_hide_a_false_nullifier(world: World, monkeypatch):
    """With v_i = u_i only the sum of both equations is checked: ``I' = I + d*(P0 + B)`` passes for any d."""
    own = world.credential("mallory")
    template = opened(world, Forgery.with_credential(world, own, sn=56).build())
    B, d, k = template.B, random_scalar(world.random), random_scalar(world.random)
    I = template.I + (base_mul(d) + B.mul(d))
    R1, R2 = base_mul(k), B.mul(k)
    item = raw(template, I, R1, R2, Scalar.from_int(0))
    item = altered(item, z=k + item.c * (own.s + d))
    assert not batch.holds([item])
    assert reasons(batch.verify_batch([item])) == ["bad-proof"]
    real, last = batch.draw_weight, []

    def same_twice(random):
        if last:
            return last.pop()
        last.append(real(random))
        return last[0]

    monkeypatch.setattr(batch, "draw_weight", same_twice)
    assert batch.holds([item])
    assert base_mul(item.z) != item.R1 + decode_point(own.W).mul(item.c)


def test_a_zero_weight_would_let_anything_through(world: World, monkeypatch):
    (item,) = honest(world, 1)
    bad = altered(item, z=item.z + Scalar.from_int(1))
    assert not batch.holds([bad])
    monkeypatch.setattr(batch, "draw_weight", lambda random: Scalar.from_int(0))
    assert batch.holds([bad])


def test_batch_agrees_with_single_verification_on_random_mixtures(world: World):
    """Good and bad items at random places: the same verdict as one by one."""
    items = [*honest(world, 6), *replies(world, 3)]
    random = SeededRandom("mixtures")
    for _ in range(30):
        mixture, expected = [], []
        for item in items:
            bad = random(1)[0] % 4 == 0
            mixture.append(altered(item, z=item.z + random_scalar(random)) if bad else item)
            wrong = "bad-signature" if isinstance(item, OpenedReply) else "bad-proof"
            expected.append(wrong if bad else None)
        assert reasons(batch.verify_batch(mixture)) == expected
