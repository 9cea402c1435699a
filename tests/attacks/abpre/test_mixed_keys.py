"""Claim: keys of different users, of different periods, and sub-keys of one user do not combine into one of more attributes.

What ties the parts of a key together is its own t. Where keys share t, or sub-keys are not randomised afresh, the attacks
succeed.
"""

from __future__ import annotations

from itertools import product

import pytest

from salus.abpre import keys
from salus.abpre.capsules import take_unchecked
from salus.abpre.encapsulation import encapsulate
from salus.abpre.keys import SecretKey, key_gen_deterministic, restrict
from salus.abpre.language import parse
from salus.groups.bls12_381 import Fr
from support.abpre_world import Sharing, combine, own
from support.consultation_world import weaken

KEY = bytes(range(32))
T = Fr.from_int(123456789)


def pooled(world: Sharing, policy: str, pool: list[SecretKey]) -> set[bytes | str]:
    """What opens when K, L and the parts may each come from any key of the pool."""
    parsed = parse(policy)
    capsule = encapsulate(world.parameters, parsed, KEY, b"record", world.random)
    stored = take_unchecked(capsule, b"record")
    choices = [[key.parts[x] for key in pool if x in key.parts] for x in parsed.rows]
    found: set[bytes | str] = set()
    ones = dict.fromkeys(range(len(parsed.rows)), 1)
    for first, second in product(pool, repeat=2):
        for parts in product(*choices):
            found.add(world.matches(stored, combine(first.K, second.L, dict(enumerate(parts)), capsule, ones)))
            # Sums of keys are keys for alpha + alpha; the adversary may halve the result's logarithm.
            both = combine(first.K + second.K, first.L + second.L, dict(enumerate(parts)), capsule, ones)
            found.add(world.matches(stored, both))
            found.add(world.matches(stored, both.pow(Fr.from_int(2).invert())))
    return found


USERS = [("role:doctor@2026 and dept:icu@2026", ["role:doctor@2026"], ["dept:icu@2026"])]
YEARS = [
    ("role:doctor@2026 and cert:icu@2026", ["role:doctor@2026", "cert:icu@2025"], ["role:doctor@2025", "cert:icu@2026"]),
    ("role:doctor@2026 and cert:icu@2025", ["role:doctor@2026", "cert:icu@2026"], ["role:doctor@2025", "cert:icu@2025"]),
]


@pytest.mark.parametrize(("policy", "one", "other"), USERS + YEARS)
def test_keys_of_two_users_or_periods_do_not_combine(policy: str, one: list[str], other: list[str]) -> None:
    world = Sharing("mixed")
    assert pooled(world, policy, [world.key(*one), world.key(*other)]) == {"bad-capsule"}
    assert KEY in pooled(world, policy, [world.key(*one, *other)])


@pytest.mark.parametrize(("policy", "one", "other"), USERS + YEARS)
def test_where_two_keys_share_their_t_they_do(policy: str, one: list[str], other: list[str]) -> None:
    world = Sharing("shared t")
    pool = [key_gen_deterministic(world.master, attributes, T) for attributes in (one, other)]
    assert KEY in pooled(world, policy, pool)


SCOPES = f"{own('lab')} and {own('genomics')}"


def test_sub_keys_of_one_user_do_not_combine() -> None:
    world = Sharing("sub-keys")
    owner = world.key(own("lab"), own("genomics"))
    subs = [restrict(owner, [own(scope)], world.random) for scope in ("lab", "genomics")]
    assert pooled(world, SCOPES, subs) == {"bad-capsule"}


def test_where_sub_keys_are_not_randomised_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(
        monkeypatch,
        keys.restrict_deterministic,
        lambda key, attributes, t: SecretKey(key.K, key.L, {x: key.parts[x] for x in attributes}),
    )
    world = Sharing("sub-keys")
    owner = world.key(own("lab"), own("genomics"))
    subs = [keys.restrict(owner, [own(scope)], world.random) for scope in ("lab", "genomics")]
    assert KEY in pooled(world, SCOPES, subs)


def test_a_sub_key_opens_nothing_outside_it() -> None:
    world = Sharing("outside")
    owner = world.key(own("lab"), own("genomics"))
    sub = restrict(owner, [own("lab")], world.random)
    stored = world.stored(own("genomics"), KEY)
    assert world.opens(sub, stored) == "unsatisfied"
    element = combine(sub.K, sub.L, {0: sub.parts[own("lab")]}, stored.capsule, {0: 1})
    assert world.matches(stored, element) == "bad-capsule"
    assert world.opens(sub, world.stored(own("lab"), KEY)) == KEY
