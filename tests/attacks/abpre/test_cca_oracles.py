"""The CCA game as a harness: with oracles that open anything but the challenge, altered challenges are refused.

Adversaries alter the challenge capsule, have it opened, and read the answer. Where opening does not match what it opened
against the capsule, and Check is out, each of them wins.
"""

from __future__ import annotations

import pytest

from salus.abpre import checking, opening
from salus.abpre.capsules import Capsule, Rows, take_unchecked
from salus.abpre.encapsulation import mask
from salus.abpre.hashing import attribute_points, point_g_tilde
from salus.abpre.language import parse
from salus.errors import Refused
from salus.groups.bls12_381 import G1, G2
from salus.symmetric import xor
from support.abpre_game import BrokenRules, Challenger, play
from support.consultation_world import weaken

POLICY = "a:x and b:y"
ALL = ("a:x", "b:y")
MASK = b"\5" * 32


def altered(challenge: Capsule, **parts) -> Capsule:
    named = {"policy": challenge.policy, "A1": challenge.A1, "A2": challenge.A2, "A3": challenge.A3} | {
        "rows": challenge.rows, "D": challenge.D,
    } | parts  # fmt: skip
    return Capsule(**named)


def flip_a1(c: Capsule) -> Capsule:
    return altered(c, A1=xor(c.A1, MASK + bytes(32)))


def move_d(c: Capsule) -> Capsule:
    return altered(c, D=c.D + G1.generator())


def other_a3(c: Capsule) -> Capsule:
    return altered(c, A3=c.A3 + point_g_tilde())


def reordered(c: Capsule) -> Capsule:
    """The same rows under the policy written the other way round."""
    return altered(c, policy=parse("b:y and a:x"), rows=Rows.of(list(reversed(c.rows.B)), list(reversed(c.rows.C))))


def rerandomised(c: Capsule) -> Capsule:
    """Rows blinded afresh: B - r*H(x), C + r*g2 opens to the same."""
    H = attribute_points(c.policy.rows)[0]
    B, C = list(c.rows.B), list(c.rows.C)
    return altered(c, rows=Rows.of([B[0] - H, *B[1:]], [C[0] + G2.generator(), *C[1:]]))


ALTERATIONS = {f.__name__: f for f in (flip_a1, move_d, other_a3, reordered, rerandomised)}


def adversary(alter):
    def play_once(challenger: Challenger) -> int | None:
        challenge = challenger.challenge(b"0" * 32, b"1" * 32)
        changed = alter(challenge)
        for aad in (b"challenge", b"other"):
            try:
                opened = challenger.decapsulate(ALL, changed.encode(), aad)
            except Refused:
                continue
            for candidate in (opened, xor(opened, MASK)):
                if (guess := challenger.recognise(candidate)) is not None:
                    return guess
        return None

    return play_once


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_challenges_tell_nothing(name: str) -> None:
    assert play(adversary(ALTERATIONS[name]), POLICY, 4) == [None] * 4


def without_match(parameters, verified, element, reason):
    return xor(verified.capsule.A1, mask(element))[:32]


@pytest.mark.parametrize("name", ALTERATIONS)
def test_without_check_and_match_each_wins(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, checking._require_one, lambda *terms: None)
    weaken(monkeypatch, opening.open_and_match, without_match)
    assert play(adversary(ALTERATIONS[name]), POLICY, 4) == [True] * 4


@pytest.mark.parametrize("name", ALTERATIONS)
def test_either_alone_refuses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check and match guard each other: the owner's terminal is safe from a node that let a bad capsule through."""
    weaken(monkeypatch, checking._require_one, lambda *terms: None)
    assert play(adversary(ALTERATIONS[name]), POLICY, 2) == [None] * 2
    monkeypatch.undo()
    weaken(monkeypatch, opening.open_and_match, without_match)
    assert play(adversary(ALTERATIONS[name]), POLICY, 2) == [None] * 2


def transform_elsewhere(challenger: Challenger) -> int | None:
    """Have the challenge transformed for somebody, then an altered challenge opened with that transformation."""
    challenge = challenger.challenge(b"0" * 32, b"1" * 32)
    A4, rekey = challenger.re_encrypt(ALL, "inst:else", challenge.encode(), b"challenge", b"name")
    stored = take_unchecked(challenge, b"challenge")
    if (guess := challenger.recognise(challenger.world.matches(stored, A4))) is not None:
        return guess
    for alter in ALTERATIONS.values():
        try:
            opened = challenger.re_decapsulate(("inst:else",), alter(challenge).encode(), b"challenge", A4, rekey, b"name")
        except Refused:
            continue
        for candidate in (opened, xor(opened, MASK)):
            if (guess := challenger.recognise(candidate)) is not None:
                return guess
    return None


def test_re_encryption_and_re_decapsulation_oracles_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert play(transform_elsewhere, POLICY, 4) == [None] * 4
    weaken(monkeypatch, checking._require_one, lambda *terms: None)
    weaken(monkeypatch, opening.open_and_match, without_match)
    monkeypatch.setattr("support.abpre_world.open_and_match", opening.open_and_match)
    assert play(transform_elsewhere, POLICY, 4) == [True] * 4


def test_the_challenge_and_what_is_made_of_it_are_not_opened() -> None:
    challenger = Challenger("rules", POLICY)
    challenge = challenger.challenge(bytes(32), b"1" * 32).encode()
    with pytest.raises(BrokenRules):
        challenger.decapsulate(ALL, challenge, b"challenge")
    A4, rekey = challenger.re_encrypt(ALL, "inst:else", challenge, b"challenge", b"name")
    with pytest.raises(BrokenRules):
        challenger.re_decapsulate(("inst:else",), challenge, b"challenge", A4, rekey, b"name")
    with pytest.raises(BrokenRules):
        challenger.key("inst:else")
    other = challenger.world.capsule(POLICY, b"7" * 32, b"mine")
    assert challenger.decapsulate(ALL, other.encode(), b"mine") == b"7" * 32
    challenger.key("inst:held")
    with pytest.raises(BrokenRules):
        challenger.re_encrypt(ALL, "inst:held", challenge, b"challenge", b"name")
