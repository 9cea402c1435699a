"""Claim: attributes that do not satisfy a policy open nothing, whatever coefficients are tried.

No policy is asked: the adversary pairs the points it has with any w. Each attack also runs where the repair is out:
attributes that all hash alike (a key then opens any policy), rows that carry the secret itself instead of a share, rows that
are not tied to their attribute.
"""

from __future__ import annotations

import pytest

from salus.abpre import encapsulation, hashing
from salus.abpre.capsules import Rows, take_unchecked
from salus.abpre.encapsulation import encapsulate
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse
from salus.abpre.scalars import shares
from salus.groups.bls12_381 import G1, Gt
from support.abpre_world import Sharing, combine, combine_key, guesses_at_weights, rows_with
from support.consultation_world import weaken

KEY = bytes(range(32))
CASES = [
    ("a:x and b:y", ("a:x",)),
    ("a:x and b:y", ("c:z",)),
    ("2 of (a:x, b:y, c:z)", ("b:y",)),
    ("2 of (a:x, b:y, c:z)", ("d:u",)),
    ("a:x or (b:y and c:z)", ("c:z", "d:u")),
    ("(a:x and b:y) or (c:z and d:u)", ("a:x", "c:z")),
    ("a:x and a:x and b:y", ("a:x",)),
    ("3 of (a:x, b:y, c:z, d:u)", ("a:x", "d:u")),
]


def opened_by_any_means(world: Sharing, key: SecretKey, policy: str) -> list[bytes]:
    """Every key that some pairing of the adversary's points with the capsule's opens."""
    capsule = encapsulate(world.parameters, parse(policy), KEY, b"record", world.random)
    stored = take_unchecked(capsule, b"record")
    found = []
    own_rows = rows_with(capsule.policy, key.parts)
    for weights in guesses_at_weights(capsule.policy, own_rows, world.random):
        found.append(world.matches(stored, combine_key(key, capsule, weights)))
    # A part of the key may be used for any row, also for one of another attribute.
    every_row = list(range(len(capsule.policy.rows)))
    for weights in guesses_at_weights(capsule.policy, every_row, world.random, 3):
        for part in key.parts.values():
            found.append(world.matches(stored, combine(key.K, key.L, dict.fromkeys(weights, part), capsule, weights)))
    return [opened for opened in found if opened != "bad-capsule"]


@pytest.mark.parametrize(("policy", "held"), CASES)
def test_no_coefficients_open_without_the_attributes(policy: str, held: tuple[str, ...]) -> None:
    world = Sharing(f"unsatisfying {policy} {held}")
    assert opened_by_any_means(world, world.key(*held), policy) == []


@pytest.mark.parametrize(("policy", "held"), CASES)
def test_the_means_suffice_for_who_satisfies(policy: str, held: tuple[str, ...]) -> None:
    """The adversary's equations are the right ones: with all attributes they open."""
    world = Sharing("satisfying")
    assert KEY in opened_by_any_means(world, world.key(*parse(policy).attributes), policy)


@pytest.mark.parametrize(("policy", "held"), CASES)
def test_where_attributes_hash_alike_any_key_opens(policy: str, held: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    one = hashing.attribute_point("a:x")
    weaken(monkeypatch, hashing.attribute_points, lambda names: [one] * len(names))
    world = Sharing("alike")
    assert KEY in opened_by_any_means(world, world.key(*held), policy)


def points_with(rows):
    """The points of a capsule whose rows are made by ``rows``."""

    def make_points(parameters, policy, s, scalars, g_tilde):
        return parameters.Y.pow(s), hashing.table_g2().mul(s), g_tilde.mul(s), rows(policy, s, scalars)

    return make_points


def rows_without_shares(policy, s, scalars) -> Rows:
    """Every row carries s."""
    blinds = list(scalars[-len(policy.rows) :])
    points = hashing.attribute_points(policy.rows)
    B = [hashing.point_a().mul(s) - point.mul(r) for point, r in zip(points, blinds, strict=True)]
    return Rows.of(B, [hashing.table_g2().mul(r) for r in blinds])


@pytest.mark.parametrize(("policy", "held"), [case for case in CASES if set(case[1]) & set(parse(case[0]).rows)])
def test_where_rows_carry_no_shares_one_attribute_opens(
    policy: str, held: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    weaken(monkeypatch, encapsulation.make_points, points_with(rows_without_shares))
    world = Sharing("no shares")
    assert KEY in opened_by_any_means(world, world.key(*held), policy)


def rows_without_attributes(policy, s, scalars) -> Rows:
    """Shares, tied to no attribute: B_i = lambda_i*A - r_i*A."""
    width = len(scalars) - len(policy.rows) + 1
    blinds = list(scalars[width - 1 :])
    lambdas = shares(policy, [s, *scalars[: width - 1]])
    return Rows.of(
        [hashing.point_a().mul(lam - r) for lam, r in zip(lambdas, blinds, strict=True)],
        [hashing.table_g2().mul(r) for r in blinds],
    )


def test_where_rows_are_tied_to_no_attribute_a_key_for_nothing_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``t*A`` in the place of every K_x, which any key for A gives, all rows combine."""
    weaken(monkeypatch, encapsulation.make_points, points_with(rows_without_attributes))
    world = Sharing("untied")
    capsule = world.capsule("a:x and b:y and c:z", KEY)
    t = encapsulation.secret_of(b"t", bytes(32))
    K, L = world.master.alpha_g1 + hashing.point_a().mul(t), hashing.table_g2().mul(t)
    weights = dict.fromkeys(range(3), 1)
    element = combine(K, L, dict.fromkeys(range(3), hashing.point_a().mul(t)), capsule, weights)
    assert world.matches(take_unchecked(capsule, b"record"), element) == KEY
    monkeypatch.undo()
    capsule = world.capsule("a:x and b:y and c:z", KEY)
    element = combine(K, L, dict.fromkeys(range(3), hashing.point_a().mul(t)), capsule, weights)
    assert world.matches(take_unchecked(capsule, b"record"), element) == "bad-capsule"


def test_neutral_elements_open_nothing() -> None:
    world = Sharing("neutral")
    capsule = world.capsule("a:x", KEY)
    stored = take_unchecked(capsule, b"record")
    nothing = dict.fromkeys(range(1), G1.identity())
    for K in (G1.identity(), hashing.point_a(), G1.generator()):
        assert world.matches(
            stored, combine(K, hashing.table_g2().mul(encapsulation.secret_of(b"", b"")), nothing, capsule, {0: 1})
        ) == ("bad-capsule")
    assert world.matches(stored, Gt.one()) == "bad-capsule"
    assert world.matches(stored, world.parameters.Y) == "bad-capsule"
