"""Claim: a capsule that passes Check opens for every satisfying key, or for none that is honest to its maker; no capsule opens
for one branch of its policy only. Weights of a batch cannot be foreseen, so bad capsules do not cancel out.

Where Check covers A3 and D alone, the maker spoils a row and the owner is locked out of a record that a doctor reads. Where
weights are known beforehand, two bad capsules pass together.
"""

from __future__ import annotations

import pytest

from salus.abpre import checking
from salus.abpre.capsules import (
    Capsule,
    DeltaCapsule,
    Rows,
    binding_point,
    context_of,
    delta_context_of,
    h4,
    h6,
    take_unchecked,
)
from salus.abpre.checking import check, check2, check_batch
from salus.abpre.encapsulation import coin_count, delta_mask, delta_secret_of, mask, secret_of
from salus.abpre.hashing import attribute_points, coefficient_bytes, coins, domain, point_a, point_g_tilde
from salus.abpre.language import parse
from salus.abpre.policy import Policy
from salus.errors import refuse_unless
from salus.groups.bls12_381 import G1, G2, Fr, pairing
from salus.symmetric import xor
from support.abpre_world import Sharing, make_rows, outcome, own
from support.consultation_world import weaken

KEY = bytes(range(32))
ONE = Fr.from_int(1)


def make(world: Sharing, policy: Policy, spoil, aad: bytes = b"record") -> Capsule:
    """A capsule by the steps of Encapsulate, its rows spoilt before D binds them."""
    b = world.random(32)
    context = context_of(policy, aad)
    s = secret_of(KEY + b, context)
    A1 = xor(KEY + b, mask(world.parameters.Y.pow(s)))
    A2, A3 = G2.generator().mul(s), point_g_tilde().mul(s)
    rows = make_rows(policy, s, coins("any", [KEY, b], context, coin_count(policy)))
    B, C = spoil(list(rows.B), list(rows.C))
    rows = Rows.of(B, C)
    D = h4(context, A1, A2.encode(), A3.encode(), rows.encoded).mul(s)
    return Capsule(policy, A1, A2, A3, rows, D)


def shift(row: int, by: G1):
    """B of one row moved."""

    def spoil(B, C):
        B[row] = B[row] + by
        return B, C

    return spoil


def check_without_rows(equations, label, bases, A3) -> None:
    """A3 and D alone."""
    for equation in equations:
        capsule = equation.capsule
        bound = [(capsule.D, G1.hash(equation.bound, domain(label)))] + (
            [(capsule.A3, point_g_tilde())] if isinstance(capsule, Capsule) else []
        )
        for ours, theirs in bound:
            refuse_unless(pairing([(ours, G2.generator()), (-theirs, capsule.A2)]).is_one(), "bad-capsule")


POLICIES = {
    "the owner's row": (f"{own('p')} or (role:doctor and dept:icu)", 0),
    "a row of and": (f"{own('p')} or (role:doctor and dept:icu)", 2),
    "a row of a threshold": ("2 of (a:x, b:y, c:z)", 1),
    "a repeated attribute": (f"{own('p')} or 2 of (a:x, b:y, a:x, c:z)", 3),
    "the last of many": (" or ".join(f"a:x{i}" for i in range(20)), 19),
}


@pytest.mark.parametrize("name", POLICIES)
def test_every_spoilt_row_is_noticed(name: str) -> None:
    text, row = POLICIES[name]
    world = Sharing("rows")
    policy = parse(text)
    check(make(world, policy, lambda B, C: (B, C)), b"record")
    for by in (G1.generator(), point_a(), attribute_points([policy.rows[row]])[0]):
        assert outcome(lambda by=by: check(make(world, policy, shift(row, by)), b"record")) == "bad-capsule"

    def other_c(B, C):
        C[row] = C[row] + G2.generator()
        return B, C

    assert outcome(lambda: check(make(world, policy, other_c), b"record")) == "bad-capsule"

    def swapped(B, C):
        B[row], B[row - 1], C[row], C[row - 1] = B[row - 1], B[row], C[row - 1], C[row]
        return B, C

    assert outcome(lambda: check(make(world, policy, swapped), b"record")) == "bad-capsule"


def test_without_the_rows_a_record_opens_for_the_doctor_and_not_for_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Sharing("branches")
    policy = parse(f"{own('p')} or (role:doctor and dept:icu)")
    owner, doctor = world.key(own("p")), world.key("role:doctor", "dept:icu")
    spoilt = make(world, policy, shift(0, point_a()))
    weaken(monkeypatch, checking._require_one, check_without_rows)
    stored = check(spoilt, b"record")
    assert world.opens(doctor, stored) == KEY
    assert world.opens(owner, stored) == "bad-capsule"
    monkeypatch.undo()
    assert outcome(lambda: check(spoilt, b"record")) == "bad-capsule"


def test_a_spoilt_delta_locks_a_delegatee_out_unless_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for type 2, whose check is Check2."""
    world = Sharing("delta rows")
    policy, b = parse("a:x or b:y"), bytes(32)
    context = delta_context_of(policy, b"aad")
    s = delta_secret_of(KEY + b, context)
    A1, A2 = xor(KEY + b, delta_mask(world.parameters.Y.pow(s))), G2.generator().mul(s)
    rows = make_rows(policy, s, coins("any", [KEY, b], context, coin_count(policy)))
    rows = Rows.of([rows.B[0] + point_a(), rows.B[1]], rows.C)
    spoilt = DeltaCapsule(policy, A1, A2, rows, h6(context, A1, A2.encode(), rows.encoded).mul(s))
    assert outcome(lambda: check2(spoilt, b"aad")) == "bad-capsule"
    weaken(monkeypatch, checking._require_one, check_without_rows)
    check2(spoilt, b"aad")


def test_parts_of_two_capsules_do_not_make_one() -> None:
    world = Sharing("parts")
    one, two = (world.capsule("a:x and b:y", KEY) for _ in range(2))
    for A1, A2, A3, rows, D in (
        (two.A1, one.A2, one.A3, one.rows, one.D),
        (one.A1, two.A2, one.A3, one.rows, one.D),
        (one.A1, one.A2, two.A3, one.rows, one.D),
        (one.A1, one.A2, one.A3, two.rows, one.D),
        (one.A1, one.A2, one.A3, one.rows, two.D),
        (one.A1, two.A2, two.A3, one.rows, two.D),
    ):
        mixed = Capsule(one.policy, A1, A2, A3, rows, D)
        assert outcome(lambda mixed=mixed: check(mixed, b"record")) == "bad-capsule"
    other_policy = Capsule(parse("a:x or b:y"), one.A1, one.A2, one.A3, one.rows, one.D)
    assert outcome(lambda: check(other_policy, b"record")) == "bad-capsule"


def spoil_d(capsule: Capsule, by: G1) -> Capsule:
    return Capsule(capsule.policy, capsule.A1, capsule.A2, capsule.A3, capsule.rows, capsule.D + by)


def test_bad_capsules_do_not_cancel_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of +E and -E, and multiples made for weights that were foreseen."""
    world = Sharing("batch")
    E = G1.generator()
    one, two = (world.capsule("a:x", KEY) for _ in range(2))
    pair = [(spoil_d(one, E), b"record"), (spoil_d(two, -E), b"record")]
    assert outcome(lambda: check_batch(pair)) == "bad-capsule"
    assert checking.bad_ones(pair) == [0, 1]
    weaken(monkeypatch, coefficient_bytes, lambda label, data, count: (b"\0" * 15 + b"\7") * count)
    assert len(check_batch(pair)) == 2


def test_errors_of_a3_and_d_do_not_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A3 + E and D - E pass together where tau_1 and tau_2 are foreseen. H4 covers A3, so D is made for the spoilt one."""
    world = Sharing("taus")
    policy, b, E = parse("a:x"), bytes(32), G1.generator()
    context = context_of(policy, b"record")
    s = secret_of(KEY + b, context)
    A1, A2, A3 = xor(KEY + b, mask(world.parameters.Y.pow(s))), G2.generator().mul(s), point_g_tilde().mul(s) + E
    rows = make_rows(policy, s, coins("any", [KEY, b], context, coin_count(policy)))
    D = h4(context, A1, A2.encode(), A3.encode(), rows.encoded).mul(s) - E
    spoilt = Capsule(policy, A1, A2, A3, rows, D)
    assert outcome(lambda: check(spoilt, b"record")) == "bad-capsule"
    weaken(monkeypatch, coefficient_bytes, lambda label, data, count: (b"\0" * 15 + b"\7") * count)
    check(spoilt, b"record")
    assert pairing([(spoilt.D, G2.generator()), (-binding_point(spoilt, b"record"), A2)]) != pairing([(G1.identity(), A2)])
    assert take_unchecked(spoilt, b"record").capsule is spoilt
