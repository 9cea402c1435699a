"""Claim: a false partial key is found and proven, keys of different requests do not mix, and a silent node changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from salus import labels
from salus.abpre.hashing import attribute_points, table_a, table_g2
from salus.abpre.keys import SecretKey, check_key, key_gen
from salus.abpre.opening import decapsulate
from salus.abpre.parameters import MasterKey
from salus.abpre.threshold import g1_proofs
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold.box import BoxKey, seal_box
from salus.groups.bls12_381 import (
    G1,
    G2,
    Fr,
    decode_g1,
    fr_lagrange_coefficients,
    g1_interpolate,
    g1_msm_vartime,
    g2_msm_vartime,
    pairing,
    random_fr,
)
from support.consultation_world import flip, refusal, weaken
from support.threshold_world import NETWORK, Holders, World, altered, dealt, make_holders, names, resigned, sent

ATTRIBUTES = ("dept:cardiology", "role:doctor@2026")


@pytest.fixture(scope="module")
def holders() -> Holders:
    return dealt(4)


def parts_of(holders: Holders, index: int, t: Fr, attributes: tuple[str, ...]) -> list[bytes]:
    """An honest partial key with a given t_i: K, L, K_x."""
    points = [H.mul(t).encode() for H in attribute_points(attributes)]
    return [(holders.points[index].S + table_a().mul(t)).encode(), table_g2().mul(t).encode(), *points]


def moved(data: bytes) -> bytes:
    return (decode_g1(data) + G1.generator()).encode()


def swap(items: list[bytes], a: int, b: int) -> list[bytes]:
    items[a], items[b] = items[b], items[a]
    return items


def spoiled(change: Callable[[list[bytes]], list[bytes]], index: int = 1) -> Callable[[Holders, ki.KeyRequest], bytes]:
    """An encoded partial key of ``index``'s share with some of its points changed."""

    def make(holders: Holders, request: ki.KeyRequest) -> bytes:
        return b"".join(change(parts_of(holders, index, random_fr(holders.world.random), request.attributes)))

    return make


def for_attributes(choose: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Callable[[Holders, ki.KeyRequest], bytes]:
    """A sound partial key for other attributes than those asked for."""
    return lambda h, r: b"".join(parts_of(h, 1, random_fr(h.world.random), choose(r.attributes)))


def moved_back(data: bytes) -> bytes:
    return (decode_g1(data) - G1.generator()).encode()


NO_G1, NO_G2 = bytes([0xC0]) + bytes(47), bytes([0xC0]) + bytes(95)
LIES: dict[str, Callable[[Holders, ki.KeyRequest], bytes]] = {
    "K": spoiled(lambda p: [moved(p[0]), *p[1:]]),
    "K_x": spoiled(lambda p: [*p[:2], moved(p[2]), *p[3:]]),
    "two errors that cancel": spoiled(lambda p: [moved(p[0]), p[1], moved_back(p[2]), *p[3:]]),
    "K_x swapped": spoiled(lambda p: swap(p, 2, 3)),
    "another's share": spoiled(lambda p: p, index=2),
    "L of another t": spoiled(lambda p: [p[0], table_g2().mul(Fr.from_int(7)).encode(), *p[2:]]),
    "other attributes": for_attributes(lambda S: ("dept:surgery", S[1])),
    "an attribute missing": for_attributes(lambda S: S[:1]),
    "an attribute too many": for_attributes(lambda S: (*S, "site:a")),
    "L = 0": lambda h, r: h.points[1].S.encode() + NO_G2 + NO_G1 * 2,
    "no points": lambda h, r: bytes(ki.partial_bytes(r)),
}


def lying(holders: Holders, request: ki.KeyRequest, index: int, plaintext: bytes) -> ki.IssuedPartial:
    return sent(ki.seal_partial_key(NETWORK, request, plaintext, holders.node(index).member, holders.world.random))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_every_lie_is_found_proven_and_passed_over(holders, lie):
    """One lying node among t + 1 that answer: the requester gets its key, and evidence that anyone can replay."""
    request, key = holders.request(ATTRIBUTES)
    false = lying(holders, request, 1, lie(holders, request))
    issued = [false, *(holders.issue(request, i) for i in (2, 3, 4))]
    for check_each in (False, True):
        got = holders.collect(request, key, issued, check_each=check_each)
        assert got.key is not None
        check_key(holders.parameters, got.key)
        assert got.used == (2, 3, 4)
        assert len(got.evidence) == 1
        assert holders.judge_key(request, got.evidence[0]) == holders.node(1).name


def test_evidence_does_not_convict_an_honest_node(holders):
    random = holders.world.random
    request, key = holders.request(ATTRIBUTES)
    honest = holders.issue(request, 1)
    ctx = ki.partial_context(NETWORK, request, honest.node)
    opening = kc.prove_opening(key.er, honest.box, ctx, random)
    accuse = lambda partial, opening: refusal(holders.judge_key, request, kc.BadPartialKey(partial, opening))  # noqa: E731
    assert accuse(honest, opening) == "bad-evidence"
    assert accuse(honest, None) == "bad-evidence"
    assert accuse(honest, altered(opening, Z=opening.Z[::-1])) == "bad-evidence"
    # The requester cannot put other words into a signed box, nor sign for the node, nor use another request's box.
    other_box = seal_box(request.Er, ctx, bytes(ki.partial_bytes(request)), random)
    assert accuse(altered(honest, box=other_box), None) == "bad-evidence"
    stranger = World("stranger").member("x/y")[0]
    forged = resigned(stranger, altered(honest, box=other_box), labels.SIG_PARTIAL_KEY, random)
    assert accuse(forged, kc.prove_opening(key.er, other_box, ctx, random)) == "bad-evidence"
    another, other_key = holders.request(ATTRIBUTES)
    elsewhere = holders.issue(another, 1)
    elsewhere_ctx = ki.partial_context(NETWORK, another, honest.node)
    assert accuse(elsewhere, kc.prove_opening(other_key.er, elsewhere.box, elsewhere_ctx, random)) == "bad-evidence"


def test_a_signed_box_without_proof_of_rho_is_evidence_by_itself(holders):
    """The requester must not open it, and need not."""
    request, key = holders.request(ATTRIBUTES)
    honest, random = holders.issue(request, 1), holders.world.random
    node = holders.node(1).member
    short_box = seal_box(request.Er, ki.partial_context(NETWORK, request, honest.node), b"x", random)
    unproven = altered(honest.box, proof=bytes(63) + b"\1")
    lie, short = (resigned(node, altered(honest, box=box), labels.SIG_PARTIAL_KEY, random) for box in (unproven, short_box))
    for false in (lie, short):
        got = holders.collect(request, key, [false, *(holders.issue(request, i) for i in (2, 3, 4))])
        assert got.key is not None
        assert [e.opening for e in got.evidence] == [None]
        assert holders.judge_key(request, got.evidence[0]) == node.name


def test_an_unsigned_partial_is_nobodys(holders):
    """Altered on the way: it is ignored, and convicts nobody."""
    request, key = holders.request(ATTRIBUTES)
    issued = [holders.issue(request, i) for i in (1, 2, 3, 4)]
    altered_one = altered(issued[0], signature=flip(issued[0].signature, 40))
    got = holders.collect(request, key, [altered_one, *issued[1:]])
    assert (got.used, got.evidence) == ((2, 3, 4), ())
    got = holders.collect(request, key, [altered_one, *issued[1:3]])
    assert (got.key, got.evidence) == (None, ())


def test_coefficients_known_beforehand_let_a_bad_partial_pass(holders, monkeypatch):
    fixed = [Fr.from_int(3), Fr.from_int(5)]
    request, key = holders.request(ATTRIBUTES)
    K, L, *parts = parts_of(holders, 1, random_fr(holders.world.random), request.attributes)
    # K_x is moved by d, K by -c_x*d: the sum that is checked stays.
    K = (decode_g1(K) - G1.generator().mul(fixed[0])).encode()
    lie = lying(holders, request, 1, b"".join([K, L, moved(parts[0]), parts[1]]))
    opened = kc.open_partial_key(NETWORK, holders.committee, request, key, lie)
    check = lambda: refusal(kc.check_partial_key, NETWORK, request, holders.alpha, opened)  # noqa: E731
    assert check() == "bad-partial"
    weaken(monkeypatch, g1_proofs.public_weights, lambda label, whole, count: fixed[:count])
    assert check() is None
    monkeypatch.undo()
    # The check of the result against Y still notices, but then nobody could say who lied.
    others = [kc.open_partial_key(NETWORK, holders.committee, request, key, holders.issue(request, i)) for i in (2, 3)]
    assert refusal(kc.combine_partial_keys, request, holders.alpha, [opened, *others], holders.world.random) == "bad-key"


def opened_partials(holders: Holders, attributes: tuple[str, ...], indices: tuple[int, ...] = (1, 2, 3)):
    request, key = holders.request(attributes)
    return request, [kc.open_partial_key(NETWORK, holders.committee, request, key, holders.issue(request, i)) for i in indices]


def merged(first: SecretKey, second: SecretKey) -> SecretKey:
    return SecretKey(first.K, first.L, {**first.parts, **second.parts})


def test_a_t_used_twice_would_merge_two_keys(holders, monkeypatch):
    """Or one derived from the requester alone: keys for a and for c become one for both."""
    k = bytes(range(32))
    capsule = holders.capsule("role:a and role:c", k)

    def two_keys() -> SecretKey:
        keys = []
        for attribute in ("role:a", "role:c"):
            request, partials = opened_partials(holders, (attribute,))
            keys.append(kc.join_partial_keys(request, partials, holders.t))
        return merged(*keys)

    assert refusal(decapsulate, holders.parameters, two_keys(), capsule) == "bad-capsule"
    constant = {i: random_fr(holders.world.random) for i in range(1, 5)}
    index_of = {holders.points[i].export_secret(): i for i in constant}
    weaken(monkeypatch, g1_proofs.hedged_fr, lambda label, secret, statement, random: constant[index_of[secret]]
           if secret in index_of else random_fr(random))  # fmt: skip
    assert decapsulate(holders.parameters, two_keys(), capsule) == k


def test_a_repeated_random_string_does_not_repeat_t(holders, monkeypatch):
    """The nonce is hedged with everything it serves for: even a broken generator gives different t for different requests."""
    world = holders.world
    monkeypatch.setattr(world, "random", lambda count: bytes(count - 1) + b"\1")
    keys = [BoxKey.from_secret(bytes([7]) + bytes(31)), BoxKey.from_secret(bytes([9]) + bytes(31))]
    L = []
    for key, attributes in ((keys[0], ("role:a",)), (keys[0], ("role:c",)), (keys[1], ("role:a",))):
        request = ki.make_key_request(1, "st-mary", attributes, key)
        issued = ki.issue_partial_key(
            NETWORK, holders.committee, request, holders.points[1], holders.node(1).member, world.random
        )
        L.append(kc.open_partial_key(NETWORK, holders.committee, request, key, issued).L.encode())
    assert len(set(L)) == 3


def mixed(partials: list[kc.PartialKey], requests: list[ki.KeyRequest]) -> SecretKey:
    """The Lagrange combination of partials from different requests; what one does not have is left out."""
    weights = fr_lagrange_coefficients([p.index for p in partials], 0)
    K = g1_msm_vartime(weights, [p.K for p in partials])
    L = g2_msm_vartime(weights, [p.L for p in partials])
    found: dict[str, list[tuple[Fr, G1]]] = {}
    for weight, partial, request in zip(weights, partials, requests, strict=True):
        for x, point in zip(request.attributes, partial.parts, strict=True):
            found.setdefault(x, []).append((weight, point))
    return SecretKey(K, L, {x: g1_msm_vartime([w for w, _ in terms], [p for _, p in terms]) for x, terms in found.items()})


def test_mixing_requests_gives_the_intersection_only(holders):
    """Partials of a request for a, b and of one for b, c (of another user, say): only b comes out."""
    first, one = opened_partials(holders, ("role:a", "role:b"))
    second, two = opened_partials(holders, ("role:b", "role:c"))
    key = mixed([one[0], one[1], two[2]], [first, first, second])
    k = bytes(range(32))
    outcome = {x: refusal(decapsulate, holders.parameters, key, holders.capsule(f"role:{x}", k)) for x in "abc"}
    assert outcome == {"a": "bad-capsule", "b": None, "c": "bad-capsule"}
    assert refusal(decapsulate, holders.parameters, key, holders.capsule("role:a and role:c", k)) == "bad-capsule"


def test_partials_of_two_epochs_do_not_combine():
    world = World("epochs of keys")
    before = world.holders(1, names(4)).deal_all()
    after = before.hand_over_to(world.holders(2, names(4)))
    request, old = opened_partials(before, ATTRIBUTES, (1,))
    _, new = opened_partials(after, ATTRIBUTES, (2, 3))
    assert refusal(kc.combine_partial_keys, request, after.alpha, [*old, *new], world.random) == "bad-key"
    assert refusal(ki.issue_partial_key, NETWORK, after.committee, request, after.points[1], after.node(1).member, world.random
                   ) == "wrong-epoch"  # fmt: skip


def test_nothing_is_judged_against_the_values_of_another_epoch():
    """There every honest partial key looks bad."""
    world = World("judges")
    before = world.holders(1, names(4)).deal_all()
    after = before.hand_over_to(world.holders(2, names(4)))
    request, key = before.request(ATTRIBUTES)
    issued = before.issue(request, 1)
    opening = kc.prove_opening(key.er, issued.box, ki.partial_context(NETWORK, request, issued.node), world.random)
    evidence = kc.BadPartialKey(issued, opening)
    assert refusal(kc.judge_partial_key, NETWORK, before.committee, after.alpha, request, evidence) == "wrong-epoch"
    assert refusal(kc.judge_partial_key, NETWORK, after.committee, after.alpha, request, evidence) == "wrong-epoch"
    assert refusal(kc.collect_key, NETWORK, before.committee, after.alpha, request, key, [issued], world.random) == "wrong-epoch"
    assert refusal(before.judge_key, request, evidence) == "bad-evidence"
    assert refusal(before.collect, request, key, [issued] * 600) == "too-large"


def test_fewer_than_t_partials_open_nothing(holders):
    request, partials = opened_partials(holders, ATTRIBUTES)
    assert refusal(kc.combine_partial_keys, request, holders.alpha, partials[:2], holders.world.random) == "no-quorum"
    assert (
        refusal(kc.combine_partial_keys, request, holders.alpha, [*partials[:2], partials[0]], holders.world.random)
        == "no-quorum"
    )
    two = kc.join_partial_keys(request, partials[:2], 2)
    assert refusal(check_key, holders.parameters, two) == "bad-key"
    capsule = holders.capsule(" and ".join(ATTRIBUTES), bytes(32))
    assert refusal(decapsulate, holders.parameters, two, capsule) == "bad-capsule"


def test_one_node_is_silent_and_one_lies():
    """n = 7, f = 2: five others answer."""
    holders = dealt(7)
    request, key = holders.request(ATTRIBUTES)
    false = lying(holders, request, 1, b"".join(parts_of(holders, 2, random_fr(holders.world.random), request.attributes)))
    got = holders.collect(request, key, [false, *(holders.issue(request, i) for i in (2, 3, 4, 5, 7))])
    assert got.used == (2, 3, 4, 5, 7)
    assert [holders.judge_key(request, e) for e in got.evidence] == [holders.node(1).name]
    short = holders.collect(request, key, [false, *(holders.issue(request, i) for i in (2, 3, 4, 5))])
    assert short.key is None
    assert len(short.evidence) == 1


def test_a_silent_node_is_demanded_and_posts_its_box(holders):
    request, key = holders.request(ATTRIBUTES)
    random, committee = holders.world.random, holders.committee
    demand = sent(ki.demand_partial(NETWORK, request, holders.node(4).name, key, random))
    ki.check_demand(NETWORK, committee, request, demand)
    posted = holders.issue(request, 4)
    ki.check_posted_partial(NETWORK, committee, request, posted)
    assert holders.collect(request, key, [holders.issue(request, i) for i in (1, 2)] + [posted]).used == (1, 2, 4)
    # Only the requester can demand, only of a member, only for its own request.
    stranger = BoxKey.generate(random)
    other, _ = holders.request(ATTRIBUTES)
    check = lambda request, demand: refusal(ki.check_demand, NETWORK, committee, request, demand)  # noqa: E731
    assert check(request, ki.demand_partial(NETWORK, request, holders.node(4).name, stranger, random)) == "bad-signature"
    assert check(request, ki.demand_partial(NETWORK, request, "x/y", key, random)) == "not-a-member"
    assert check(other, demand) == "wrong-request"
    assert refusal(ki.check_demand, bytes(32), committee, request, demand) == "wrong-request"
    # What is posted in answer must be that node's, for that request, and a sound box.
    post = lambda issued: refusal(ki.check_posted_partial, NETWORK, committee, request, issued)  # noqa: E731
    assert post(holders.issue(other, 4)) == "wrong-request"
    assert post(altered(posted, node=holders.node(3).name)) == "bad-signature"
    unsound = altered(posted, box=altered(posted.box, ciphertext=flip(posted.box.ciphertext, 5)))
    assert post(unsound) == "bad-signature"
    assert post(resigned(holders.node(4).member, unsound, labels.SIG_PARTIAL_KEY, random)) == "bad-box"


@pytest.mark.parametrize("attributes", [(), ("role",), ("role:a", "role:a"), ("role:b", "role:a")])
def test_requests_that_are_none(holders, attributes):
    key = BoxKey.generate(holders.world.random)
    bad = ki.KeyRequest(1, "st-mary", attributes, key.Er)
    assert refusal(ki.check_key_request, bad) in ("too-large", "bad-attribute", "bad-encoding")
    assert refusal(ki.check_key_request, ki.KeyRequest(1, "st-mary", ("role:a",), bytes(32))) == "bad-point"


def test_a_node_issues_from_its_own_share_alone():
    holders = make_holders(4, "seats").deal_all()
    request, _ = holders.request(ATTRIBUTES)
    args = (NETWORK, holders.committee, request, holders.points[1], holders.node(2).member, holders.world.random)
    assert refusal(ki.issue_partial_key, *args) == "not-a-member"


@pytest.mark.parametrize("lie", ["K", "K_x", "another's share", "L of another t", "other attributes"])
def test_without_the_check_of_each_partial_one_liar_keeps_everybody_from_keys(holders, monkeypatch, lie):
    """The combined key is wrong, nobody can say whose fault it is, and the evidence of it is not believed."""
    request, key = holders.request(ATTRIBUTES)
    false = lying(holders, request, 1, LIES[lie](holders, request))
    issued = [false, *(holders.issue(request, i) for i in (2, 3, 4))]
    shown = holders.collect(request, key, issued).evidence[0]
    weaken(monkeypatch, kc.check_partial_key, lambda *parts: None)
    assert refusal(holders.collect, request, key, issued) == "bad-key"
    assert refusal(holders.judge_key, request, shown) == "bad-evidence"


def test_a_partial_without_t_satisfies_the_equation_and_t_of_them_would_be_the_master_key(holders):
    """``L = 0`` carries the bare share: what refuses it is that a point is never the identity."""
    request, key = holders.request(ATTRIBUTES)
    bare = lying(holders, request, 1, LIES["L = 0"](holders, request))
    assert refusal(kc.open_partial_key, NETWORK, holders.committee, request, key, bare) == "bad-partial"
    indices = [1, 2, 3]
    for i in indices:  # the equation with L = 0 and all K_x = 0 is e(S_i, g2) = Y_i
        assert pairing([(holders.points[i].S, G2.generator())]) == holders.alpha.share(i)
    alpha = g1_interpolate(indices, [holders.points[i].S for i in indices])
    anything = key_gen(MasterKey(alpha), ["role:nobody-has-this"], holders.world.random)
    capsule = holders.capsule("role:nobody-has-this", bytes(32))
    assert decapsulate(holders.parameters, anything, capsule) == bytes(32)
