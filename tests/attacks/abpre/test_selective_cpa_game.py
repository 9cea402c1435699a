"""The selective-CPA game as a harness: adversaries that use every oracle and every equation find nothing to go by, those who
break the rules are caught, and where a repair is out the same adversaries win every game.

A game that is run proves nothing about all adversaries; the page on the scheme says what is proven, and where.
"""

from __future__ import annotations

from itertools import product

import pytest

from salus.abpre import encapsulation, hashing
from salus.abpre.capsules import take_unchecked
from salus.abpre.hashing import h5
from salus.abpre.keys import key_gen_deterministic
from salus.abpre.opening import open_delta
from salus.abpre.rekeys import check_rekey
from salus.groups.bls12_381 import Fr
from support.abpre_game import BrokenRules, Challenger, play
from support.abpre_world import combine, combine_key, guesses_at_weights
from support.consultation_world import weaken

POLICY = "role:doctor@2026 and dept:icu@2026"
HELD = (("role:doctor@2026", "dept:er@2026"), ("dept:icu@2026",), ("role:doctor@2025", "dept:icu@2025"))


def with_keys(challenger: Challenger) -> int | None:
    """Keys that each lack something, alone and their parts mixed."""
    pool = [challenger.key(*held) for held in HELD]
    capsule = challenger.challenge(b"0" * 32, b"1" * 32)
    stored = take_unchecked(capsule, b"challenge")
    for key in pool:
        for weights in guesses_at_weights(capsule.policy, [0, 1], challenger.world.random, 2):
            guess = challenger.recognise(challenger.world.matches(stored, combine_key(key, capsule, weights)))
            if guess is not None:
                return guess
    parts = [part for key in pool for part in key.parts.values()]
    for first, chosen in product(pool, product(parts, repeat=2)):
        element = combine(first.K, first.L, dict(enumerate(chosen)), capsule, {0: 1, 1: 1})
        guess = challenger.recognise(challenger.world.matches(stored, element))
        if guess is not None:
            return guess
    return None


def with_rekeys(challenger: Challenger) -> int | None:
    """A re-encryption key of the challenge to somebody else, and one's own keys and re-encryption keys."""
    mine = challenger.key("inst:mine")
    away = challenger.rekey(("role:doctor@2026", "dept:icu@2026"), "inst:else", b"away")
    to_me = challenger.rekey(("role:doctor@2026",), "inst:mine", b"to me")
    capsule = challenger.challenge(b"0" * 32, b"1" * 32)
    stored = take_unchecked(capsule, b"challenge")
    h = h5(open_delta(challenger.parameters, mine, check_rekey(to_me, b"to me")))
    rows = capsule.policy.rows
    for rekey, exponents in ((away, (Fr.from_int(1), h.invert())), (to_me, (h.invert(), Fr.from_int(1)))):
        parts = {row: rekey.parts.get(x, next(iter(rekey.parts.values()))) for row, x in enumerate(rows)}
        A4 = combine(rekey.rk1, rekey.rk3, parts, capsule, {0: 1, 1: 1}, [(-capsule.A3, rekey.rk2)])
        for exponent in exponents:
            guess = challenger.recognise(challenger.world.matches(stored, A4.pow(exponent)))
            if guess is not None:
                return guess
    return None


ADVERSARIES = {"keys": with_keys, "re-encryption keys": with_rekeys}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_adversaries_find_nothing_to_go_by(name: str) -> None:
    assert play(ADVERSARIES[name], POLICY) == [None] * 8


def same_t(monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, key_gen_deterministic, lambda master, names, t: key_gen_deterministic(master, names, Fr.from_int(7)))


def attributes_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    one = hashing.attribute_point("a:x")
    weaken(monkeypatch, hashing.attribute_points, lambda names: [one] * len(names))


def constant_b(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without b the capsule of a known key is known: deterministic encryption loses the game at once."""
    monkeypatch.setattr(
        "support.abpre_game.encapsulate",
        lambda parameters, policy, key, aad, random: encapsulation.encapsulate_deterministic(
            parameters, policy, key, bytes(32), aad
        ),
    )


def guess_and_compare(challenger: Challenger) -> int | None:
    """Make the capsules of both keys again."""
    capsule = challenger.challenge(b"0" * 32, b"1" * 32)
    for guess, key in enumerate(challenger.messages):
        made = encapsulation.encapsulate_deterministic(challenger.parameters, challenger.policy, key, bytes(32), b"challenge")
        if made.encode() == capsule.encode():
            return guess
    return None


def test_comparing_finds_nothing() -> None:
    assert play(guess_and_compare, POLICY) == [None] * 8


@pytest.mark.parametrize(
    ("repair_out", "adversary"),
    [(same_t, with_keys), (attributes_alike, with_keys), (attributes_alike, with_rekeys), (constant_b, guess_and_compare)],
)
def test_where_a_repair_is_out_the_adversary_wins_every_game(repair_out, adversary, monkeypatch: pytest.MonkeyPatch) -> None:
    repair_out(monkeypatch)
    assert play(adversary, POLICY) == [True] * 8


def test_trivial_wins_are_against_the_rules() -> None:
    for ask in (
        lambda c: c.key("role:doctor@2026", "dept:icu@2026"),
        lambda c: (c.key("inst:mine"), c.rekey(("role:doctor@2026", "dept:icu@2026"), "inst:mine", b"")),
        lambda c: (c.rekey(("role:doctor@2026", "dept:icu@2026"), "inst:mine or inst:b", b""), c.key("inst:b")),
        lambda c: (c.challenge(bytes(32), bytes(32)), c.challenge(bytes(32), bytes(32))),
    ):
        with pytest.raises(BrokenRules):
            ask(Challenger("rules", POLICY))
