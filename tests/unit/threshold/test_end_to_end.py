"""Committees of 4, 7, 13 and 31: keys, transformations and hand-overs come out as one authority would make them."""

from __future__ import annotations

from itertools import combinations

import pytest

from salus.abpre.keys import check_key
from salus.abpre.opening import decapsulate
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.transforming import check_opened, combine_partials, open_partial, transform_and_open
from salus.groups.bls12_381 import G2, fr_interpolate, g1_interpolate, pairing
from support.threshold_world import HOSPITAL, SCOPE, World, dealt, names

SIZES = [4, 7, 13, 31]


@pytest.mark.parametrize("n", SIZES)
def test_any_t_shares_are_the_key_of_one_authority(n):
    holders = dealt(n)
    indices = holders.committee.indices()
    for chosen in (indices[: holders.t], indices[-holders.t :]):
        whole = g1_interpolate(chosen, [holders.points[i].S for i in chosen])
        assert pairing([(whole, G2.generator())]) == holders.alpha.Y
        z = fr_interpolate(chosen, [holders.shares[Z][i].value for i in chosen])
        assert holders.scalars[Z].group.base_mul(z) == holders.scalars[Z].key


@pytest.mark.parametrize("n", SIZES)
def test_a_key_a_record_and_a_delegation(n):
    holders = dealt(n)
    owner, reader = holders.key(SCOPE), holders.key(HOSPITAL, "dept:icu")
    check_key(holders.parameters, owner)
    k = bytes(range(32))
    capsule = holders.capsule(f"{SCOPE} or (role:doctor and dept:lab)", k)
    assert decapsulate(holders.parameters, owner, capsule) == k
    delegation, c, _ = holders.delegate(owner)
    key = BoxKey.generate(holders.world.random)
    target = holders.target(delegation, capsule, key)
    partials = [holders.partial(target, i, c) for i in holders.committee.indices()[-holders.t :]]
    delta = holders.delta(reader, delegation)
    for check_each in (False, True):
        done = transform_and_open(
            holders.committee, target, holders.scalars[Z], holders.parameters, delta, key, partials, holders.world.random,
            check_each=check_each,
        )  # fmt: skip
        assert (done.key, len(done.used), done.evidence) == (k, holders.t, ())


def test_every_set_of_t_members_gives_the_same():
    """All 21 sets of five among seven: one A4, and keys that open the same capsule."""
    holders = dealt(7)
    committee, public = holders.committee, holders.scalars[Z]
    owner = holders.key(SCOPE)
    capsule = holders.capsule(SCOPE, bytes(32))
    delegation, c, _ = holders.delegate(owner)
    key = BoxKey.generate(holders.world.random)
    target = holders.target(delegation, capsule, key)
    opened = {i: open_partial(committee, target, key, holders.partial(target, i, c)) for i in committee.indices()}
    request, request_key = holders.request([SCOPE])
    issued = {i: holders.issue(request, i) for i in committee.indices()}
    results = set()
    for chosen in combinations(committee.indices(), holders.t):
        for i in chosen:
            check_opened(target, public, opened[i])
        results.add(combine_partials(target, holders.t, [opened[i] for i in chosen]).encode())
        made = holders.collect(request, request_key, [issued[i] for i in chosen])
        assert made.used == chosen
        assert decapsulate(holders.parameters, made.key, capsule) == bytes(32)
    assert len(results) == 1


@pytest.mark.parametrize(("old", "new", "first"), [(4, 7, 2), (7, 4, 0), (4, 4, 0)])
def test_a_hand_over_changes_the_committee_and_nothing_else(old, new, first):
    world = World(f"hand-over/{old}/{new}")
    before = world.holders(1, names(old)).deal_all()
    owner, reader = before.key(SCOPE), before.key(HOSPITAL)
    k = bytes(32)
    capsule = before.capsule(SCOPE, k)
    delegation, c, _ = before.delegate(owner)
    after = before.hand_over_to(world.holders(2, names(new, first)), before.committee.indices()[-before.t :])
    assert after.alpha.Y == before.alpha.Y
    assert {p: s.key for p, s in after.scalars.items()} == {p: s.key for p, s in before.scalars.items()}
    # A delegation sealed once, before, is transformed after; keys issued before and after open the same capsules.
    key = BoxKey.generate(world.random)
    target = after.target(delegation, capsule, key)
    partials = [after.partial(target, i, c) for i in after.committee.indices()[: after.t]]
    done = transform_and_open(
        after.committee, target, after.scalars[Z], after.parameters, after.delta(reader, delegation), key, partials, world.random
    )
    assert done.key == k
    assert decapsulate(after.parameters, after.key(SCOPE), capsule) == k
