"""Claim: the coefficients by which keys and delegations are checked cannot be foreseen, so errors in two parts do not cancel.

Where they are known beforehand, an issuer passes off a key that opens less than it says, and an owner a delegation that turns
nothing.
"""

from __future__ import annotations

import pytest

from salus.abpre.hashing import coefficient_bytes
from salus.abpre.keys import SecretKey, check_key
from salus.abpre.rekeys import ReKey, check_parts
from salus.groups.bls12_381 import G1
from support.abpre_world import Sharing, outcome, own
from support.consultation_world import weaken

E = G1.generator()
X, Y = own("p"), own("q")


def spoilt_key(world: Sharing) -> SecretKey:
    key = world.key("a:x", "b:y", "c:z")
    return SecretKey(key.K, key.L, key.parts | {"a:x": key.parts["a:x"] + E, "b:y": key.parts["b:y"] - E})


def spoilt_into_k(world: Sharing) -> SecretKey:
    """An error of K taken back by one part, where its coefficient is 7."""
    key = world.key("a:x", "b:y")
    return SecretKey(key.K + E + E + E + E + E + E + E, key.L, key.parts | {"a:x": key.parts["a:x"] - E})


def spoilt_rekey(world: Sharing) -> ReKey:
    rekey = world.delegate(world.key(X, Y), [X, Y], "inst:h9")
    return ReKey(rekey.rk1, rekey.rk2, rekey.rk3, {X: rekey.parts[X] + E, Y: rekey.parts[Y] - E}, rekey.rk4)


def test_errors_do_not_cancel() -> None:
    world = Sharing("foreseen")
    for make in (spoilt_key, spoilt_into_k):
        assert outcome(lambda make=make: check_key(world.parameters, make(world))) == "bad-key"
    rekey = spoilt_rekey(world)
    assert outcome(lambda: check_parts(rekey.rk3, rekey.parts)) == "bad-rekey"


def test_where_they_are_foreseen_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, coefficient_bytes, lambda label, data, count: (b"\0" * 15 + b"\7") * count)
    world = Sharing("foreseen")
    for make in (spoilt_key, spoilt_into_k):
        key = make(world)
        check_key(world.parameters, key)
        assert world.opens(key, world.stored("a:x", bytes(32))) == "bad-capsule"
    rekey = spoilt_rekey(world)
    check_parts(rekey.rk3, rekey.parts)
