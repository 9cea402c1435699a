"""Claim: requesters who pool their keys read what one of them might read, and nothing more.

With the cloud: test_collusion_with_the_cloud.py. Requesters with nodes: fewer than a threshold have no
re-encryption key (tests of the threshold); here the other end is shown, all of rk and a delegatee, who read the delegated
scope and nothing else.
"""

from __future__ import annotations

import pytest

from salus.abpre import hashing
from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.hashing import h5
from salus.abpre.opening import open_delta
from salus.abpre.rekeys import check_rekey
from support.abpre_world import Sharing, combine, own, pooled_elements
from support.consultation_world import weaken

KEY = bytes(range(32))
POLICY = "role:doctor and dept:icu and site:a"
HELD = (("role:doctor", "dept:er"), ("dept:icu", "role:nurse"), ("site:a",))


def pooled(world: Sharing, stored: VerifiedCapsule) -> set[bytes | str]:
    """What the elements that the pool can form open."""
    return {world.matches(stored, element) for element in pooled_elements([world.key(*held) for held in HELD], stored)}


def test_pooled_keys_open_nothing_new() -> None:
    world = Sharing("collusion")
    stored = world.stored(POLICY, KEY)
    assert pooled(world, stored) == {"bad-capsule"}
    assert world.opens(world.key("role:doctor", "dept:icu", "site:a"), stored) == KEY


def test_where_attributes_hash_alike_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    one = hashing.attribute_point("a:x")
    weaken(monkeypatch, hashing.attribute_points, lambda names: [one] * len(names))
    world = Sharing("collusion")
    assert KEY in pooled(world, world.stored(POLICY, KEY))


def test_a_whole_re_encryption_key_and_its_delegatee_read_the_scope_and_nothing_else() -> None:
    """t nodes and a delegatee, all of them dishonest: what the docs say cannot be prevented, and where it ends."""
    world = Sharing("everybody")
    owner = world.key(own("lab"), own("genomics"))
    rekey = world.delegate(owner, [own("lab")], "inst:h9")
    delta = open_delta(world.parameters, world.key("inst:h9"), check_rekey(rekey, b"delegation"))
    inverse = h5(delta).invert()
    K, L, part = rekey.rk1.mul(inverse), rekey.rk3.mul(inverse), rekey.parts[own("lab")].mul(inverse)

    def opened(policy: str) -> bytes | str:
        stored = world.stored(policy, KEY)
        rows = dict.fromkeys(range(len(stored.capsule.policy.rows)), part)
        extra = [(-stored.capsule.A3, rekey.rk2.mul(inverse))]
        return world.matches(stored, combine(K, L, rows, stored.capsule, {0: 1}, extra))

    assert opened(own("lab")) == KEY
    assert opened(f"{own('lab')} or role:doctor") == KEY
    assert opened(own("genomics")) == "bad-capsule"
    assert opened(f"{own('other')} or role:doctor") == "bad-capsule"


def test_two_delegations_to_one_reader_do_not_merge() -> None:
    """Two re-encryption keys and both deltas do not open what asks for both scopes."""
    world = Sharing("two")
    owner = world.key(own("lab"), own("genomics"))
    reader = world.key("inst:h9")
    rekeys = [world.delegate(owner, [own(scope)], "inst:h9") for scope in ("lab", "genomics")]
    inverses = [h5(open_delta(world.parameters, reader, check_rekey(rekey, b"delegation"))).invert() for rekey in rekeys]
    stored = world.stored(f"{own('lab')} and {own('genomics')}", KEY)
    rows = zip(rekeys, inverses, stored.capsule.policy.rows, strict=True)
    parts = {row: rekey.parts[x].mul(inverse) for row, (rekey, inverse, x) in enumerate(rows)}
    for rekey, inverse in zip(rekeys, inverses, strict=True):
        extra = [(-stored.capsule.A3, rekey.rk2.mul(inverse))]
        element = combine(rekey.rk1.mul(inverse), rekey.rk3.mul(inverse), parts, stored.capsule, {0: 1, 1: 1}, extra)
        assert world.matches(stored, element) == "bad-capsule"
