"""Claim: a false partial transformation is found and proven, a bad delegation told from a bad node; fewer than t give nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from salus import labels
from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.hashing import attribute_point, h5, point_a, point_g_tilde
from salus.abpre.keys import SecretKey, restrict
from salus.abpre.language import parse
from salus.abpre.opening import re_decrypt_with
from salus.abpre.rekeys import Coins, rekey_gen, transform
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold import g1_proofs
from salus.abpre.threshold import partials as pt
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold import transforming as tf
from salus.abpre.threshold.box import BoxKey, BoxOpening, judge_opening, prove_opening, seal_box
from salus.abpre.threshold.groups import OPRF, Z
from salus.groups.bls12_381 import G1, G2, decode_g1, decode_g2, decode_gt, fr_interpolate, gt_interpolate, pairing, random_fr
from support.consultation_world import flip, refusal, weaken
from support.threshold_world import EXPIRES_MS, HOSPITAL, NETWORK, SCOPE, Holders, altered, dealt, resigned, sent

K = bytes(range(32))


@dataclass
class Case:
    """A record, a delegation of its scope to a hospital, and a share of it that the ledger grants."""

    holders: Holders
    owner: SecretKey
    reader: SecretKey
    capsule: VerifiedCapsule
    delegation: dg.CheckedDelegation
    c: bytes
    coins: Coins
    key: BoxKey
    target: pt.ShareTarget

    @classmethod
    def make(cls, holders: Holders) -> Case:
        owner, reader = holders.key(SCOPE), holders.key(HOSPITAL)
        capsule = holders.capsule(f"{SCOPE} or role:doctor", K)
        delegation, c, coins = holders.delegate(owner)
        key = BoxKey.generate(holders.world.random)
        return cls(holders, owner, reader, capsule, delegation, c, coins, key, holders.target(delegation, capsule, key))

    def partials(self, *indices: int) -> list[pt.PartialTransformation]:
        return [self.holders.partial(self.target, i, self.c) for i in indices]

    def open(self, partials: list[pt.PartialTransformation], target: pt.ShareTarget | None = None, **options) -> tf.Transformed:
        h = self.holders
        delta = h.delta(self.reader, (target or self.target).delegation)
        return tf.transform_and_open(
            h.committee, target or self.target, h.scalars[Z], h.parameters, delta, self.key, partials, h.world.random, **options
        )

    def judge(self, evidence: tf.BadPartial, target: pt.ShareTarget | None = None) -> str:
        return tf.judge_transformation(self.holders.committee, target or self.target, self.holders.scalars[Z], sent(evidence))

    def plaintext(self, index: int) -> list[bytes]:
        """D_i, proof and c, as an honest node makes them."""
        opened = tf.open_partial(self.holders.committee, self.target, self.key, self.holders.partial(self.target, index, self.c))
        return [opened.D.encode(), opened.proof, opened.c.encode()]

    def lie(self, index: int, parts: list[bytes]) -> pt.PartialTransformation:
        node, random = self.holders.node(index).member, self.holders.world.random
        return sent(pt.seal_partial(self.target, b"".join(parts[:2]), parts[2], node, random))

    def shown(self, partial: pt.PartialTransformation, opening: BoxOpening | None, c: BoxOpening | None = None) -> tf.BadPartial:
        return tf.BadPartial(partial, self.capsule.capsule.message(), opening, c)


@pytest.fixture(scope="module")
def case() -> Case:
    return Case.make(dealt(4))


def other_element(case: Case, parts: list[bytes]) -> list[bytes]:
    moved = decode_gt(parts[0]) * pairing([(G1.generator(), G2.generator())])
    return [moved.encode(), *parts[1:]]


def proven_for_another_scalar(case: Case, parts: list[bytes]) -> list[bytes]:
    """A sound proof, for a scalar that is not the node's share."""
    z, P, A2 = random_fr(case.holders.world.random), case.delegation.P, case.capsule.capsule.A2
    D = pairing([(P.mul(z), A2)]).encode()
    fields = (pt.target_context(case.target, case.holders.node(1).name), 1)
    public = G1.generator().mul(z).encode()
    proof = g1_proofs.prove_pairing(labels.PARTIAL, z, public, P, A2, D, fields, case.holders.world.random)
    return [D, proof, parts[2]]


LIES: dict[str, Callable[[Case, list[bytes]], list[bytes]]] = {
    "another element": other_element,
    "another scalar": proven_for_another_scalar,
    "another node's": lambda case, parts: case.plaintext(2),
    "the proof": lambda case, parts: [parts[0], flip(parts[1], 40), parts[2]],
    "no element": lambda case, parts: [bytes(576), *parts[1:]],
    "one": lambda case, parts: [(1).to_bytes(48, "big") + bytes(528), *parts[1:]],
    "another c": lambda case, parts: [*parts[:2], (decode_g1(parts[2]) + G1.generator()).encode()],
    "no c": lambda case, parts: [*parts[:2], bytes(48)],
}
SOUND_BUT_FOR_THE_PROOF = {"the proof"}


@pytest.mark.parametrize("name", LIES)
def test_every_lie_is_found_proven_and_passed_over(case, name):
    false = case.lie(1, LIES[name](case, case.plaintext(1)))
    partials = [false, *case.partials(2, 3, 4)]
    checked = case.open(partials, check_each=True)
    assert (checked.key, checked.used) == (K, (2, 3, 4))
    assert [case.judge(e) for e in checked.evidence] == [case.holders.node(1).name]
    fast = case.open(partials)
    assert fast.key == K
    if name in SOUND_BUT_FOR_THE_PROOF:
        assert fast.used == (1, 2, 3), "what it sent is right; without a look at the proof nobody needs to know"
    else:
        assert fast.used == (2, 3, 4)
        assert [case.judge(e) for e in fast.evidence] == [case.holders.node(1).name]


def test_without_the_proofs_nobody_could_say_who_lied(case, monkeypatch):
    false = case.lie(1, other_element(case, case.plaintext(1)))
    weaken(monkeypatch, pt.verify_partial, lambda *parts: None)
    assert refusal(case.open, [false, *case.partials(2, 3)]) == "bad-delegation", "the owner is blamed for the node's lie"
    evidence = tf.prove_bad_transformation(case.target, case.key, false, case.holders.world.random)
    assert refusal(case.judge, evidence) == "bad-evidence"


def opened_by(case: Case, evidence: tf.BadPartial) -> bytes:
    """All that anybody reads out of evidence."""
    partial, found = evidence.partial, []
    for box, about, opening in (
        (partial.box, pt.target_context(case.target, partial.node), evidence.opening),
        (partial.attachment, pt.attachment_context(case.target, partial.node), evidence.attachment),
    ):
        if opening is not None:
            found.append(judge_opening(box, case.key.Er, about, opening) or b"")
    return b"".join(found)


@pytest.mark.parametrize("name", LIES)
def test_evidence_does_not_show_c(case, name):
    """Blocks cannot forget, and c is to be erased: whoever pools t shares of any later time opens the scope with it."""
    false = case.lie(1, LIES[name](case, case.plaintext(1)))
    evidence = sent(tf.prove_bad_transformation(case.target, case.key, false, case.holders.world.random))
    assert case.judge(evidence) == case.holders.node(1).name
    assert case.c not in opened_by(case, evidence)


def test_evidence_that_opens_both_boxes_would_show_c_and_is_not_heard(case):
    """As evidence was while D_i, its proof and c lay in one box."""
    false = case.lie(1, other_element(case, case.plaintext(1)))
    evidence = tf.prove_bad_transformation(case.target, case.key, false, case.holders.world.random)
    about = pt.attachment_context(case.target, false.node)
    whole = altered(evidence, attachment=prove_opening(case.key.er, false.attachment, about, case.holders.world.random))
    assert case.c in opened_by(case, whole)
    assert refusal(case.judge, whole) == "bad-evidence"
    assert refusal(case.judge, altered(whole, opening=None)) == "bad-evidence"


def test_evidence_does_not_convict_an_honest_node(case):
    random, committee = case.holders.world.random, case.holders.committee
    (honest,) = case.partials(1)
    opening = prove_opening(case.key.er, honest.box, pt.target_context(case.target, honest.node), random)
    c = prove_opening(case.key.er, honest.attachment, pt.attachment_context(case.target, honest.node), random)
    accuse = lambda partial, opening, target=None, c=None: refusal(case.judge, case.shown(partial, opening, c), target)  # noqa: E731
    assert accuse(honest, opening) == "bad-evidence"
    assert accuse(honest, None) == "bad-evidence"
    assert accuse(honest, None, c=c) == "bad-evidence"
    assert accuse(honest, c) == "bad-evidence"
    assert accuse(honest, None, c=opening) == "bad-evidence"
    assert accuse(altered(honest, box=honest.attachment, attachment=honest.box), opening) == "bad-evidence"
    box = seal_box(case.key.Er, pt.target_context(case.target, honest.node), bytes(pt.PARTIAL_BYTES), random)
    assert accuse(altered(honest, box=box), None) == "bad-evidence"
    # Nor is it convicted by the same words held against another share, capsule or delegation.
    other_capsule = case.holders.capsule(SCOPE, K)
    again, _, _ = case.holders.delegate(case.owner)
    for target in (
        case.holders.target(case.delegation, case.capsule, case.key),
        case.holders.target(case.delegation, other_capsule, case.key, case.target.share),
        case.holders.target(again, case.capsule, case.key, case.target.share),
    ):
        assert accuse(honest, opening, target) == "bad-evidence"
        assert refusal(tf.open_partial, committee, target, case.key, honest) == "wrong-request"


def test_a_proof_is_bound_to_node_share_capsule_and_delegation(case):
    h = case.holders
    opened = tf.open_partial(h.committee, case.target, case.key, case.partials(2)[0])
    verify = lambda target, index, node, D=opened.D: refusal(  # noqa: E731
        pt.verify_partial, target, h.scalars[Z], index, h.node(node).name, D, opened.proof
    )
    assert verify(case.target, 2, 2) is None
    assert verify(case.target, 3, 2) == "bad-proof"
    assert verify(case.target, 2, 3) == "bad-proof"
    assert verify(case.target, 2, 2, opened.D * opened.D) == "bad-proof"
    other_capsule, (again, _, _) = h.capsule(SCOPE, K), h.delegate(case.owner)
    for target in (
        h.target(case.delegation, case.capsule, case.key),
        h.target(case.delegation, other_capsule, case.key, case.target.share),
        h.target(again, case.capsule, case.key, case.target.share),
        pt.ShareTarget(NETWORK, 2, case.target.share, case.delegation, case.capsule, case.target.capsule_digest, case.key.Er),
    ):
        assert verify(target, 2, 2) == "bad-proof"


def test_a_bad_delegation_is_told_from_a_bad_node(case):
    """The owner hides another point than rk1: all nodes are honest, all proofs hold, and the reader learns whose fault it is."""
    h, random = case.holders, case.holders.world.random
    r = random_fr(random)
    rubbish = (G1.generator().mul(random_fr(random))).encode()
    message = case.delegation.message
    P = G1.generator().mul(r).encode()
    delegation = dg.delegation_id(NETWORK, SCOPE, P)
    coins = Coins.draw(random)
    rk4 = dg.rekey_gen(
        h.parameters, dg.restrict(case.owner, [SCOPE], random), parse(HOSPITAL),
        dg.delegation_aad(NETWORK, delegation, SCOPE, HOSPITAL, EXPIRES_MS, P), coins,
    ).rk4.message()  # fmt: skip
    draft = altered(message, delegation=delegation, P=P, c_digest=dg.digest_of_c(NETWORK, delegation, rubbish), rk4=rk4)
    proof = g1_proofs.prove_logarithm(labels.DELEGATION_POSSESSION, r, P, dg.statement(NETWORK, draft), random)
    bad = dg.check_delegation(NETWORK, altered(draft, proof=proof))
    target = h.target(bad, case.capsule, case.key)
    partials = [h.partial(target, i, rubbish) for i in (1, 2, 3)]
    assert refusal(case.open, partials, target) == "bad-delegation"
    assert refusal(case.open, partials, target, check_each=True) == "bad-delegation"


def with_P_of(case: Case) -> tuple[dg.SealedDelegation, bytes]:
    """A thief's delegation with the victim's P; it knows no r."""
    random = case.holders.world.random
    sealed, c = dg.seal_delegation(
        NETWORK, 1, case.holders.parameters, case.holders.scalars[Z].key, case.owner, SCOPE, parse(HOSPITAL),
        EXPIRES_MS, Coins.draw(random), random,
    )  # fmt: skip
    P = case.delegation.message.P
    name = dg.delegation_id(NETWORK, SCOPE, P)
    return altered(sealed, P=P, delegation=name, c_digest=dg.digest_of_c(NETWORK, name, c)), c


def test_P_copied_from_another_delegation_is_refused(case, monkeypatch):
    """Partials depend on P and the capsule alone: those asked for under the copy are those of the original.

    So a revoked delegation would go on under another name for whoever kept its c.
    """
    h = case.holders
    copied, c = with_P_of(case)
    assert refusal(dg.check_delegation, NETWORK, copied) == "bad-delegation"
    weaken(monkeypatch, g1_proofs.verify_logarithm, lambda *parts: None)
    weaken(monkeypatch, dg.check2, lambda capsule, aad: None)
    accepted = dg.check_delegation(NETWORK, copied)
    monkeypatch.undo()
    target = h.target(accepted, case.capsule, case.key)
    opened = [tf.open_partial(h.committee, target, case.key, h.partial(target, i, c)) for i in (1, 2, 3)]
    taken = gt_interpolate([1, 2, 3], [o.D for o in opened])
    victim = case.delegation
    A4 = transform(decode_g1(case.c), victim.rk2, victim.rk3, {SCOPE: victim.R}, case.capsule) / taken
    delta = h.delta(case.reader, victim)
    assert re_decrypt_with(h.parameters, case.capsule, A4, delta) == K


def test_a_delegation_is_noticed_when_any_part_of_it_is_changed(case):
    """Who notices: P, c's digest, rk2, rk3, R_x, policy, expiry, id: everyone at once; c itself: every node that gets it."""
    h, random = case.holders, case.holders.world.random
    other, _, _ = h.delegate(case.owner)
    message, theirs = case.delegation.message, other.message
    for field in ("epoch", "delegation", "scope", "expires_ms", "P", "c_digest", "rk2", "rk3", "R", "rk4", "proof"):
        value = {"epoch": 2, "expires_ms": EXPIRES_MS + 1, "scope": "own:" + "11" * 32}.get(field, getattr(theirs, field))
        assert refusal(dg.check_delegation, NETWORK, altered(message, **{field: value})) == "bad-delegation", field
    assert refusal(dg.check_delegation, bytes(32), message) == "bad-delegation"
    assert refusal(dg.check_attachment, NETWORK, message, G1.generator().mul(random_fr(random)).encode()) == "bad-delegation"
    assert refusal(dg.check_delegation, NETWORK, altered(message, scope="role:doctor")) == "bad-attribute"


def lying_delegation(case: Case, lie: Callable[[dg.SealedDelegation], dict[str, Any]]) -> tuple[dg.SealedDelegation, bytes]:
    """A delegation with its own r, P, c and rk4 to it; some parts false, and the proof of r made over the lie. With its c."""
    h, random = case.holders, case.holders.world.random
    r = random_fr(random)
    P = G1.generator().mul(r).encode()
    delegation = dg.delegation_id(NETWORK, SCOPE, P)
    aad = dg.delegation_aad(NETWORK, delegation, SCOPE, HOSPITAL, EXPIRES_MS, P)
    rekey = rekey_gen(h.parameters, restrict(case.owner, [SCOPE], random), parse(HOSPITAL), aad, Coins.draw(random))
    c = (rekey.rk1 + h.scalars[Z].key.mul(r)).encode()
    honest = dg.SealedDelegation(
        1, delegation, SCOPE, EXPIRES_MS, P, dg.digest_of_c(NETWORK, delegation, c), rekey.rk2.encode(), rekey.rk3.encode(),
        rekey.parts[SCOPE].encode(), rekey.rk4.message(), bytes(64),
    )  # fmt: skip
    draft = altered(honest, **lie(honest))
    proof = g1_proofs.prove_logarithm(labels.DELEGATION_POSSESSION, r, P, dg.statement(NETWORK, draft), random)
    return altered(draft, proof=proof), c


def moved(data: bytes) -> bytes:
    return (decode_g1(data) + G1.generator()).encode()


FALSE_PARTS: dict[str, Callable[[dg.SealedDelegation], dict[str, Any]]] = {
    "R": lambda d: {"R": moved(d.R)},
    "rk3": lambda d: {"rk3": (decode_g2(d.rk3) + G2.generator()).encode()},
    "R and rk3 of different attributes": lambda d: {"R": (decode_g1(d.R) + attribute_point(HOSPITAL)).encode(),
                                                    "rk3": (decode_g2(d.rk3) + G2.generator()).encode()},
}  # fmt: skip
FALSE_RK4: dict[str, Callable[[dg.SealedDelegation], dict[str, Any]]] = {
    "its D": lambda d: {"rk4": altered(d.rk4, D=moved(d.rk4.D))},
    "its row": lambda d: {"rk4": altered(d.rk4, rows=moved(d.rk4.rows[:48]) + d.rk4.rows[48:])},
}


def test_the_honest_delegation_of_this_workbench_is_accepted(case):
    sealed, c = lying_delegation(case, lambda honest: {})
    checked = dg.check_delegation(NETWORK, sealed)
    target = case.holders.target(checked, case.capsule, case.key)
    assert case.open([case.holders.partial(target, i, c) for i in (1, 2, 3)], target).key == K


@pytest.mark.parametrize("lie", [*FALSE_PARTS.values(), *FALSE_RK4.values()], ids=[*FALSE_PARTS, *FALSE_RK4])
def test_an_owner_that_proves_its_r_over_a_false_part_is_refused(case, lie):
    """The proof of r holds; the pairings notice."""
    sealed, _ = lying_delegation(case, lie)
    assert refusal(dg.check_delegation, NETWORK, sealed) == "bad-delegation"


@pytest.mark.parametrize("lie", FALSE_PARTS.values(), ids=FALSE_PARTS)
def test_without_a_look_at_R_and_rk3_a_delegation_that_turns_nothing_is_registered(case, lie, monkeypatch):
    """Nodes store it, its reader is granted what it asks for, and only then finds that nothing opens."""
    sealed, c = lying_delegation(case, lie)
    weaken(monkeypatch, dg.check_parts, lambda rk3, parts: None)
    accepted = dg.check_delegation(NETWORK, sealed)
    monkeypatch.undo()
    dg.check_attachment(NETWORK, sealed, c)
    target = case.holders.target(accepted, case.capsule, case.key)
    partials = [case.holders.partial(target, i, c) for i in (1, 2, 3)]
    assert refusal(case.open, partials, target, check_each=True) == "bad-delegation"


@pytest.mark.parametrize("lie", FALSE_RK4.values(), ids=FALSE_RK4)
def test_without_check2_a_delegation_that_its_reader_cannot_open_is_registered(case, lie, monkeypatch):
    sealed, _ = lying_delegation(case, lie)
    weaken(monkeypatch, dg.check2, lambda capsule, aad: None)
    accepted = dg.check_delegation(NETWORK, sealed)
    assert refusal(case.holders.delta, case.reader, accepted) == "bad-capsule"


def test_asking_for_partials_on_ones_own_delegation_teaches_nothing(case):
    """They are computable without z from the public shares: ``e(r*Z_i, A2)``."""
    h, random = case.holders, case.holders.world.random
    r = random_fr(random)
    for i in (1, 2, 3):
        D = pairing([(G1.generator().mul(r).mul(h.shares[Z][i].value), case.capsule.capsule.A2)])
        assert pairing([(h.scalars[Z].share(i).mul(r), case.capsule.capsule.A2)]) == D


def test_the_public_parts_of_a_delegation_say_nothing_of_alpha(case):
    """rk2, rk3 and R_x are multiples of g2, g2 and H(x) by fresh scalars; anyone can make such a triple."""
    tau = random_fr(case.holders.world.random)
    dg.check_parts(G2.generator().mul(tau), {SCOPE: attribute_point(SCOPE).mul(tau)})
    # Two delegations of one scope share none of them: each is made from a freshly restricted key.
    messages = [case.holders.delegate(case.owner)[0].message for _ in range(3)]
    for field in ("P", "c_digest", "rk2", "rk3", "R"):
        assert len({getattr(m, field) for m in messages}) == 3


def test_a_key_that_is_not_restricted_afresh_would_link_its_delegations(case, monkeypatch):
    """A delegatee knows delta, so h, so ``rk3/h = L`` and ``R_x/h = K_x``: of a fresh sub-key they are nobody else's."""

    def seen() -> tuple[bytes, bytes]:
        delegation, _, coins = case.holders.delegate(case.owner)
        inverse = h5(coins.delta).invert()
        return delegation.rk3.mul(inverse).encode(), delegation.R.mul(inverse).encode()

    assert len({seen() for _ in range(3)}) == 3
    assert seen() != (case.owner.L.encode(), case.owner.parts[SCOPE].encode())
    monkeypatch.setattr(
        dg, "restrict", lambda key, attributes, random: SecretKey(key.K, key.L, {x: key.parts[x] for x in attributes})
    )
    assert {seen() for _ in range(3)} == {(case.owner.L.encode(), case.owner.parts[SCOPE].encode())}, "the owner's own key points"


def test_z_times_g2_in_public_would_strip_rk1_of_its_cover(case):
    """With ``z*g2`` anyone computes ``Y^h`` of a delegation, which alpha and delta alone should give."""
    h = case.holders
    z = fr_interpolate([1, 2, 3], [h.shares[Z][i].value for i in (1, 2, 3)])
    forbidden = G2.generator().mul(z)
    d = case.delegation
    c = decode_g1(case.c)
    # e(rk1, g2) = e(c, g2) / e(P, z*g2); rk1 = h*K + theta*g~, and K = alpha*g1 + t*A with h*t*g2 = rk3.
    stripped = pairing([(c, G2.generator()), (-d.P, forbidden), (-point_g_tilde(), d.rk2), (-point_a(), d.rk3)])
    assert stripped == h.alpha.Y.pow(h5(case.coins.delta))


def test_fewer_than_t_partials_give_nothing(case):
    h = case.holders
    two = case.open(case.partials(1, 2))
    assert (two.key, two.evidence) == (None, ())
    opened = [tf.open_partial(h.committee, case.target, case.key, p) for p in case.partials(1, 2)]
    assert refusal(tf.combine_partials, case.target, h.t, opened) == "no-quorum"
    assert refusal(tf.combine_partials, case.target, h.t, [*opened, opened[0]]) == "no-quorum"
    A4 = tf.combine_partials(case.target, 2, opened)
    assert refusal(re_decrypt_with, h.parameters, case.capsule, A4, h.delta(case.reader, case.delegation)) == "bad-transformation"


def test_t_partials_give_nothing_without_delta(case):
    """The delegatee alone opens; an outsider that has everything else (c and the partials too) has ``Y^(s*h)``."""
    h = case.holders
    opened = [tf.open_partial(h.committee, case.target, case.key, p) for p in case.partials(1, 2, 3)]
    A4 = tf.combine_partials(case.target, h.t, opened)
    for guess in (bytes(32), h.world.random(32)):
        assert refusal(re_decrypt_with, h.parameters, case.capsule, A4, guess) == "bad-transformation"
    outsider = h.key("inst:other")
    assert refusal(h.delta, outsider, case.delegation) == "unsatisfied"


def test_a_node_transforms_for_the_scope_of_the_delegation_alone(case):
    h = case.holders
    foreign = h.capsule("own:" + "77" * 32, K)
    target = h.target(case.delegation, foreign, case.key)
    assert refusal(h.partial, target, 1, case.c) == "unsatisfied"
    assert refusal(h.partial, case.target, 1, G1.generator().encode()) == "bad-delegation"
    share = h.shares[OPRF][1]
    random = h.world.random
    assert refusal(pt.make_partial, h.committee, case.target, share, case.c, h.node(1).member, random) == "wrong-epoch"
    assert refusal(pt.make_partial, h.committee, case.target, h.shares[Z][1], case.c, h.node(2).member, random) == "not-a-member"


def test_one_node_is_silent_and_one_lies():
    case = Case.make(dealt(7))
    false = case.lie(1, other_element(case, case.plaintext(1)))
    done = case.open([false, *case.partials(2, 3, 4, 6, 7)])
    assert (done.key, done.used) == (K, (2, 3, 4, 6, 7))
    assert [case.judge(e) for e in done.evidence] == [case.holders.node(1).name]
    short = case.open([false, *case.partials(2, 3, 4, 6)])
    assert (short.key, len(short.evidence)) == (None, 1)


def test_signed_claims_stand_for_the_boxes_on_the_ledger(case):
    """The grant holds hashes; a claim is bound to its box, share, capsule, delegation, node and network."""
    committee = case.holders.committee
    first, second = case.partials(1, 2)
    claim = sent(first.claim())
    assert pt.check_partial_claim(NETWORK, committee, claim).index == 1
    check = lambda network, claim: refusal(pt.check_partial_claim, network, committee, claim)  # noqa: E731
    assert check(bytes(32), claim) == "bad-signature"
    for field in ("share", "delegation", "capsule", "boxes"):
        assert check(NETWORK, altered(claim, **{field: bytes(32)})) == "bad-signature"
    assert check(NETWORK, altered(claim, node=second.node)) == "bad-signature"
    assert check(NETWORK, altered(claim, node="x/y")) == "not-a-member"
    assert check(NETWORK, altered(claim, epoch=2)) == "wrong-epoch"
    # Another box of the same node is not the one it signed for.
    for field in ("box", "attachment"):
        swapped = altered(first, **{field: getattr(case.partials(1)[0], field)})
        assert refusal(tf.open_partial, committee, case.target, case.key, swapped) == "bad-signature"
    resealed = resigned(case.holders.node(2).member, swapped, labels.SIG_PARTIAL, case.holders.world.random)
    assert refusal(tf.open_partial, committee, case.target, case.key, resealed) == "bad-signature"


@pytest.mark.parametrize("which", ["box", "attachment"])
def test_a_signed_box_without_proof_of_rho_is_evidence_by_itself(case, which):
    (honest,) = case.partials(1)
    node = case.holders.node(1).member
    unsound = altered(honest, **{which: altered(getattr(honest, which), proof=bytes(63) + b"\1")})
    false = altered(
        unsound, signature=node.sign(NETWORK, labels.SIG_PARTIAL, unsound.claim().signed(), case.holders.world.random)
    )
    done = case.open([false, *case.partials(2, 3, 4)])
    assert done.key == K
    assert [(e.opening, e.attachment) for e in done.evidence] == [(None, None)]
    assert case.judge(done.evidence[0]) == node.name


def test_nothing_is_judged_against_the_values_of_another_sharing(case):
    """There every honest partial looks bad."""
    h = case.holders
    (honest,) = case.partials(1)
    opening = prove_opening(case.key.er, honest.box, pt.target_context(case.target, honest.node), h.world.random)
    evidence = case.shown(honest, opening)
    later = sd.ScalarPublic(altered(h.scalars[Z].sharing, epoch=2))
    for public in (h.scalars[OPRF], later):
        assert refusal(tf.judge_transformation, h.committee, case.target, public, evidence) == "wrong-epoch"
    assert refusal(tf.judge_transformation, h.committee, case.target, h.scalars[Z], evidence) == "bad-evidence"
    assert refusal(case.open, [honest] * 600) == "too-large"


def test_wrong_interpolation_places_do_not_combine(case):
    """A partial counts at its own seat: the same elements at other indices give another A4."""
    h = case.holders
    opened = [tf.open_partial(h.committee, case.target, case.key, p) for p in case.partials(1, 2, 3)]
    right = gt_interpolate([1, 2, 3], [o.D for o in opened])
    assert right != gt_interpolate([2, 1, 3], [o.D for o in opened])
    assert right == pairing([(case.delegation.P.mul(fr_interpolate([1, 2, 3], [h.shares[Z][i].value for i in (1, 2, 3)])),
                              case.capsule.capsule.A2)])  # fmt: skip
