"""Claim: whatever part of a delegation or of a transformed capsule is altered, somebody notices, and the test says who.

rk3, R_x, S', rk4, policy' and the delegation's identifiers are checked by everybody before the delegation is stored; rk1, rk2
and A4 show when the delegatee opens what was transformed. Without the checks a delegatee fails late; without the match it
gets a wrong key and does not know.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from salus.abpre import checking, opening
from salus.abpre.attributes import own_attribute
from salus.abpre.capsules import Capsule, DeltaCapsule, Rows, VerifiedCapsule, binding_point, context_of, h4
from salus.abpre.checking import check
from salus.abpre.encapsulation import coin_count, mask, secret_of
from salus.abpre.hashing import coins, h5, point_g_tilde
from salus.abpre.language import parse
from salus.abpre.opening import re_decrypt
from salus.abpre.rekeys import ReKey, check_parts, check_rekey, re_encrypt
from salus.errors import refuse_unless
from salus.groups.bls12_381 import G1, G2, Fr, Gt
from salus.symmetric import xor
from support.abpre_world import Sharing, make_rows, outcome, own
from support.consultation_world import weaken

KEY = bytes(range(32))
X, Z = own("p"), own("q")
E1, E2 = G1.generator(), G2.generator()
Spoil = Callable[[ReKey], ReKey]


def delta(capsule: DeltaCapsule, **parts) -> DeltaCapsule:
    named = {"policy": capsule.policy, "A1": capsule.A1, "A2": capsule.A2, "rows": capsule.rows, "D": capsule.D} | parts
    return DeltaCapsule(**named)


def with_parts(rekey: ReKey, **parts) -> ReKey:
    named = {"rk1": rekey.rk1, "rk2": rekey.rk2, "rk3": rekey.rk3, "parts": rekey.parts, "rk4": rekey.rk4} | parts
    return ReKey(**named)


def rows_of(rekey: ReKey, at: int = 0) -> Rows:
    B, C = list(rekey.rk4.rows.B), list(rekey.rk4.rows.C)
    if at == 0:
        B[0] = B[0] + E1
    else:
        C[0] = C[0] + E2
    return Rows.of(B, C)


TAMPERED: dict[str, tuple[Spoil, str]] = {
    "rk1": (lambda k: with_parts(k, rk1=k.rk1 + E1), "delegatee"),
    "rk1 of another delegation": (lambda k: with_parts(k, rk1=-k.rk1), "delegatee"),
    "rk2": (lambda k: with_parts(k, rk2=k.rk2 + E2), "delegatee"),
    "rk3": (lambda k: with_parts(k, rk3=k.rk3 + E2), "nodes: bad-rekey"),
    "R_x": (lambda k: with_parts(k, parts=k.parts | {X: k.parts[X] + E1}), "nodes: bad-rekey"),
    "R_z": (lambda k: with_parts(k, parts=k.parts | {Z: k.parts[Z] + E1}), "nodes: bad-rekey"),
    "R_x and R_z exchanged": (lambda k: with_parts(k, parts={X: k.parts[Z], Z: k.parts[X]}), "nodes: bad-rekey"),
    "S', an attribute renamed": (
        lambda k: with_parts(k, parts={own_attribute(bytes(32)): k.parts[X], Z: k.parts[Z]}), "nodes: bad-rekey",
    ),
    "S', an attribute added": (lambda k: with_parts(k, parts=k.parts | {"a:x": k.parts[X]}), "nodes: bad-rekey"),
    "S', an attribute dropped": (lambda k: with_parts(k, parts={Z: k.parts[Z]}), "nodes: unsatisfied"),
    "rk4, A1": (lambda k: with_parts(k, rk4=delta(k.rk4, A1=xor(k.rk4.A1, b"\1" * 64))), "nodes: bad-capsule"),
    "rk4, A2": (lambda k: with_parts(k, rk4=delta(k.rk4, A2=k.rk4.A2 + E2)), "nodes: bad-capsule"),
    "rk4, B": (lambda k: with_parts(k, rk4=delta(k.rk4, rows=rows_of(k))), "nodes: bad-capsule"),
    "rk4, C": (lambda k: with_parts(k, rk4=delta(k.rk4, rows=rows_of(k, 1))), "nodes: bad-capsule"),
    "rk4, D": (lambda k: with_parts(k, rk4=delta(k.rk4, D=k.rk4.D + E1)), "nodes: bad-capsule"),
    "policy'": (lambda k: with_parts(k, rk4=delta(k.rk4, policy=parse("inst:h9 or a:x"))), "nodes: bad-capsule"),
    "policy', renamed": (lambda k: with_parts(k, rk4=delta(k.rk4, policy=parse("inst:h9 and a:y"))), "nodes: bad-capsule"),
}  # fmt: skip


class Delegated:
    def __init__(self) -> None:
        self.world = Sharing("tampering")
        self.rekey = self.world.delegate(self.world.key(X, Z), [X, Z], "inst:h9 and a:x")
        self.stored = self.world.stored(f"{X} or role:doctor", KEY)
        self.reader = self.world.key("inst:h9", "a:x")

    def who_notices(self, rekey: ReKey, aad: bytes = b"delegation") -> str:
        """The first who refuses; ``nobody`` if the delegatee gets the key."""
        rk4 = outcome(lambda: check_rekey(rekey, aad))
        A4 = rk4 if isinstance(rk4, str) else outcome(lambda: re_encrypt(rekey, self.stored))
        if isinstance(A4, str):
            return f"nodes: {A4}"
        opened = outcome(lambda: re_decrypt(self.world.parameters, self.reader, self.stored, A4, rk4))
        return "delegatee" if opened == "bad-transformation" else "nobody" if opened == KEY else str(opened)


@pytest.fixture(scope="module")
def delegated() -> Delegated:
    return Delegated()


def test_untouched_nobody_notices(delegated: Delegated) -> None:
    assert delegated.who_notices(delegated.rekey) == "nobody"


@pytest.mark.parametrize("part", TAMPERED)
def test_every_altered_part_is_noticed(delegated: Delegated, part: str) -> None:
    spoil, who = TAMPERED[part]
    assert delegated.who_notices(spoil(delegated.rekey)) == who


@pytest.mark.parametrize("aad", [b"", b"delegation 2", b"Delegation"])
def test_identifiers_of_the_delegation_are_noticed(delegated: Delegated, aad: bytes) -> None:
    """aad holds the delegation's id, scope, policy', expiry and P."""
    assert delegated.who_notices(delegated.rekey, aad) == "nodes: bad-capsule"


@pytest.mark.parametrize(
    "part", [name for name, (_, who) in TAMPERED.items() if who == "nodes: bad-rekey" and "added" not in name]
)
def test_without_the_nodes_check_the_parts_get_through_to_the_delegatee(
    delegated: Delegated, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repair out: what was refused before it was stored is now found only by who needs the record."""
    weaken(monkeypatch, check_parts, lambda rk3, parts: None)
    # This record's policy does not use R_z, and without R_x nothing is satisfied.
    late = {"R_z": "nobody", "S', an attribute renamed": "nodes: unsatisfied"}.get(part, "delegatee")
    assert delegated.who_notices(TAMPERED[part][0](delegated.rekey)) == late


@pytest.mark.parametrize("part", [name for name, (_, who) in TAMPERED.items() if who == "nodes: bad-capsule"])
def test_without_check2_a_spoilt_rk4_is_stored(delegated: Delegated, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, checking._require_one, lambda *terms: None)
    check_rekey(TAMPERED[part][0](delegated.rekey), b"delegation")


ALTERED_A4: dict[str, Callable[[Gt], Gt]] = {
    "times Y": lambda A4: A4 * A4,
    "inverse": lambda A4: A4.inverse(),
    "a power": lambda A4: A4.pow(Fr.from_int(3)),
}


@pytest.mark.parametrize("name", ALTERED_A4)
def test_an_altered_transformation_is_noticed_by_the_delegatee(delegated: Delegated, name: str) -> None:
    world = delegated.world
    A4, rk4 = world.transformed(delegated.rekey, delegated.stored)
    wrong = ALTERED_A4[name](A4)
    assert outcome(lambda: re_decrypt(world.parameters, delegated.reader, delegated.stored, wrong, rk4)) == "bad-transformation"


@pytest.mark.parametrize("name", ALTERED_A4)
def test_without_the_match_it_gets_a_wrong_key(delegated: Delegated, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(
        monkeypatch,
        opening.open_and_match,
        lambda parameters, verified, element, reason: xor(verified.capsule.A1, mask(element))[:32],
    )
    world = delegated.world
    A4, rk4 = world.transformed(delegated.rekey, delegated.stored)
    assert opening.re_decrypt(world.parameters, delegated.reader, delegated.stored, A4, rk4) == KEY
    wrong = opening.re_decrypt(world.parameters, delegated.reader, delegated.stored, ALTERED_A4[name](A4), rk4)
    assert len(wrong) == 32
    assert wrong != KEY


def masked_otherwise(world: Sharing, b: bytes = bytes(32)) -> tuple[VerifiedCapsule, Gt]:
    """A capsule by the steps of Encapsulate, but ``A1 = (k || b) xor H2(Y^s * Y)``; it passes Check. With the element that
    masks it.
    """
    policy = parse(f"{X} or role:doctor")
    context = context_of(policy, b"record")
    s = secret_of(KEY + b, context)
    element = world.parameters.Y.pow(s) * world.parameters.Y
    A1, A2, A3 = xor(KEY + b, mask(element)), E2.mul(s), point_g_tilde().mul(s)
    rows = make_rows(policy, s, coins("any", [KEY, b], context, coin_count(policy)))
    D = h4(context, A1, A2.encode(), A3.encode(), rows.encoded).mul(s)
    return check(Capsule(policy, A1, A2, A3, rows, D), b"record"), element


def match_without_y(parameters, verified, element, reason):
    """Step 3 of Decapsulate without comparing Y^s."""
    capsule = verified.capsule
    opened = xor(capsule.A1, mask(element))
    s = secret_of(opened, context_of(capsule.policy, verified.aad))
    refuse_unless(E2.mul(s) == capsule.A2 and point_g_tilde().mul(s) == capsule.A3, reason)
    refuse_unless(binding_point(capsule, verified.aad).mul(s) == capsule.D, reason)
    return opened[:32]


def test_a_capsule_masked_for_one_reader_alone_opens_for_nobody(delegated: Delegated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes a capsule may mask k by another element and hand that to a friend as A4; owner and policy would be locked out."""
    world = delegated.world
    stored, element = masked_otherwise(world)
    assert world.opens(world.key(X), stored) == "bad-capsule"
    assert world.matches(stored, element) == "bad-capsule"
    assert match_without_y(world.parameters, stored, element, "bad-capsule") == KEY
    weaken(monkeypatch, opening.open_and_match, match_without_y)
    _, rk4 = world.transformed(delegated.rekey, delegated.stored)
    h = h5(opening.open_delta(world.parameters, delegated.reader, rk4))
    assert opening.re_decrypt(world.parameters, delegated.reader, stored, element.pow(h), rk4) == KEY
    assert outcome(lambda: opening.decapsulate(world.parameters, world.key(X), stored)) == "bad-capsule"
