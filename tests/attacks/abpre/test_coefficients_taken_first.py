"""Claim: who makes an object cannot take the coefficients it will be checked by first, and then move what they do not cover.

The adversary makes an honest object, computes the coefficients of its check, and moves two elements so that the weighted sum
stays. That passes wherever the coefficients leave out the elements that were moved; each run with the repair out shows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from salus.abpre import checking, hashing
from salus.abpre.capsules import Capsule, DeltaCapsule, Rows, context_of, delta_context_of, h4, h6
from salus.abpre.checking import check, check2, check_batch
from salus.abpre.encapsulation import coin_count, delta_mask, delta_secret_of, mask, secret_of
from salus.abpre.hashing import attribute_points, coins, point_a, point_g_tilde
from salus.abpre.keys import SecretKey, check_key
from salus.abpre.language import parse
from salus.abpre.rekeys import ReKey, check_parts
from salus.abpre.scalars import fr, shares
from salus.abpre.span import span_program
from salus.groups import multi_signatures as bls
from salus.groups.bls12_381 import G1, G2, Fr, decode_g1
from salus.symmetric import xor
from support.abpre_world import Sharing, outcome, own
from support.coefficients import drawn
from support.consultation_world import weaken

KEY = bytes(range(32))
E1, E2 = G1.generator(), G2.generator()
ONE = Fr.from_int(1)


def forget_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the repair out: coefficients of label and count alone, as many bits as before."""
    made = hashing.coefficient_bytes
    weaken(monkeypatch, made, lambda label, data, count: made(label, b"", count))


def sum_of(points: Sequence[G1]) -> G1:
    total = points[0]
    for point in points[1:]:
        total = total + point
    return total


def taken(run: Callable[[], object]) -> list[Fr]:
    """The coefficients of an honest object."""
    with drawn() as calls:
        run()
    return [fr(c) for c in calls[0].coefficients]


# --- keys and delegations ---


def spoilt_keys(world: Sharing) -> dict[str, SecretKey]:
    """Errors in K and one part, in two parts, and a t of K and L that is not that of the parts."""
    key = world.key("a:x", "b:y", "c:z")
    c = taken(lambda: check_key(world.parameters, key))
    a, b, _ = key.parts
    weighted = sum_of([point_a(), *(H.mul(w) for H, w in zip(attribute_points(list(key.parts)), c, strict=True))])
    return {
        "two parts": SecretKey(key.K, key.L, key.parts | {a: key.parts[a] + E1.mul(c[1]), b: key.parts[b] - E1.mul(c[0])}),
        "K and a part": SecretKey(key.K - E1.mul(c[0]), key.L, key.parts | {a: key.parts[a] + E1}),
        "K and L": SecretKey(key.K + weighted, key.L + E2, key.parts),
    }


def test_a_key_made_to_its_coefficients_is_refused() -> None:
    world = Sharing("keys")
    for name, key in spoilt_keys(world).items():
        assert outcome(lambda key=key: check_key(world.parameters, key)) == "bad-key", name


def test_where_they_leave_the_key_out_it_passes_and_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_object(monkeypatch)
    world = Sharing("keys")
    for name, key in spoilt_keys(world).items():
        check_key(world.parameters, key)
        assert world.opens(key, world.stored("a:x", KEY)) == "bad-capsule", name


def spoilt_rekeys(world: Sharing) -> dict[str, ReKey]:
    """Errors in two R_x, and in rk3 and one R_x."""
    rekey = world.delegate(world.key(own("p"), own("q")), [own("p"), own("q")], "inst:h9")
    c = taken(lambda: check_parts(rekey.rk3, rekey.parts))
    x, y = rekey.parts
    both = sum_of([H.mul(w) for H, w in zip(attribute_points([x, y]), c, strict=True)]).mul(c[0].invert())
    put = lambda rk3, parts: ReKey(rekey.rk1, rekey.rk2, rk3, rekey.parts | parts, rekey.rk4)  # noqa: E731
    return {
        "two parts": put(rekey.rk3, {x: rekey.parts[x] + E1.mul(c[1]), y: rekey.parts[y] - E1.mul(c[0])}),
        "rk3 and a part": put(rekey.rk3 + E2, {x: rekey.parts[x] + both}),
    }


def test_a_delegation_made_to_its_coefficients_is_refused() -> None:
    for name, rekey in spoilt_rekeys(Sharing("rekeys")).items():
        assert outcome(lambda rekey=rekey: check_parts(rekey.rk3, rekey.parts)) == "bad-rekey", name


def test_where_they_leave_the_delegation_out_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_object(monkeypatch)
    for rekey in spoilt_rekeys(Sharing("rekeys")).values():
        check_parts(rekey.rk3, rekey.parts)


# --- capsules: everything but D is fixed, the coefficients are taken, D is solved for ---


@dataclass(frozen=True)
class Errors:
    """What is added to a capsule's points: to s of A2 alone, to A3, to B_i, to r_i of C_i alone."""

    s: int = 0
    A3: G1 = field(default_factory=G1.identity)
    B: Mapping[int, G1] = field(default_factory=dict)
    r: Mapping[int, int] = field(default_factory=dict)


ERRORS = {
    "A2": Errors(s=5),
    "A3": Errors(A3=E1),
    "a B": Errors(B={1: E1}),
    "a C": Errors(r={2: 1}),
    "all": Errors(3, E1, {0: E1}, {1: 7}),
}
POLICY = "a:x or (b:y and c:z)"
Equations = Callable[..., list[checking._Equation]]


def solved(world: Sharing, errors: Errors, type_2: bool = False) -> Capsule | DeltaCapsule:
    """A capsule with errors whose D is what the check's equation asks for, under coefficients of the capsule without its D."""
    policy, b = parse(POLICY), bytes(32)
    context = (delta_context_of if type_2 else context_of)(policy, b"aad")
    s = (delta_secret_of if type_2 else secret_of)(KEY + b, context)
    scalars = coins("any", [KEY, b], context, coin_count(policy))
    width = span_program(policy).width
    lambdas = shares(policy, [s, *scalars[: width - 1]])
    H = attribute_points(policy.rows)
    r = scalars[width - 1 :]
    B = [point_a().mul(lam) - h.mul(blind) for lam, blind, h in zip(lambdas, r, H, strict=True)]
    B = [point + errors.B[row] if row in errors.B else point for row, point in enumerate(B)]
    r = [blind + fr(errors.r.get(row, 0)) for row, blind in enumerate(r)]
    element = world.parameters.Y.pow(s)
    A1, s = xor(KEY + b, (delta_mask if type_2 else mask)(element)), s + fr(errors.s)
    A2, A3, rows = E2.mul(s), point_g_tilde().mul(s - fr(errors.s)) + errors.A3, Rows.of(B, [E2.mul(blind) for blind in r])

    def capsule(D: G1) -> Capsule | DeltaCapsule:
        return DeltaCapsule(policy, A1, A2, rows, D) if type_2 else Capsule(policy, A1, A2, A3, rows, D)

    equation, kappa = coefficients_before_d(capsule(E1))
    encoded = (context, A1, A2.encode(), *([] if type_2 else [A3.encode()]), rows.encoded)
    left = [point_a().mul(s * fr(equation.c)), (h6 if type_2 else h4)(*encoded).mul(s * fr(equation.d))]
    left += [-(h.mul(blind) + point).mul(fr(z)) for z, blind, h, point in zip(equation.z, r, H, B, strict=True)]
    if not type_2:
        left += [point_g_tilde().mul(s * kappa * fr(equation.c)), -A3.mul(kappa * fr(equation.c))]
    return capsule(sum_of(left).mul(fr(equation.d).invert()))


def coefficients_before_d(capsule: Capsule | DeltaCapsule) -> tuple[checking._Equation, Fr]:
    """z, c and tau_2 of a capsule, and kappa."""
    found: list[checking._Equation] = []
    made: Equations = checking._equations
    with pytest.MonkeyPatch.context() as patch, drawn() as calls:
        weaken(patch, made, lambda *parts: found.extend(made(*parts)) or found)
        outcome(lambda: check2(capsule, b"aad") if isinstance(capsule, DeltaCapsule) else check(capsule, b"aad"))
    return found[0], fr(calls[0].coefficients[0])


def seed_without_d(fields: Sequence[bytes], capsules: object) -> bytes:
    return hashlib.sha512(b"".join(hashlib.sha512(field).digest() for field in fields)).digest()


def test_the_equation_of_this_workbench_is_the_honest_one() -> None:
    """Without errors the D that is solved for is that of Encapsulate, under any coefficients."""
    world = Sharing("capsules")
    assert world.opens(world.key("a:x"), check(solved(world, Errors()), b"aad")) == KEY
    check2(solved(world, Errors(), type_2=True), b"aad")


@pytest.mark.parametrize("name", ERRORS)
def test_a_capsule_made_to_its_coefficients_is_refused(name: str) -> None:
    world = Sharing("capsules")
    spoilt = solved(world, ERRORS[name])
    assert outcome(lambda: check(spoilt, b"aad")) == "bad-capsule"
    if name != "A3":
        delta = solved(world, ERRORS[name], type_2=True)
        assert outcome(lambda: check2(delta, b"aad")) == "bad-capsule"


@pytest.mark.parametrize("name", ERRORS)
def test_where_they_leave_d_out_every_node_accepts_a_record_that_nobody_reads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, checking._seed, seed_without_d)
    world = Sharing("capsules")
    stored = check(solved(world, ERRORS[name]), b"aad")
    for held in (("a:x",), ("b:y", "c:z")):
        assert world.opens(world.key(*held), stored) == "bad-capsule"
    check2(solved(world, ERRORS[name], type_2=True), b"aad")


def pair_of_spoilt(world: Sharing) -> list[tuple[Capsule, bytes]]:
    """Two capsules of a batch whose D are moved to and fro by their tau_2."""
    one, two = (world.capsule("a:x", KEY) for _ in range(2))
    found: list[checking._Equation] = []
    made: Equations = checking._equations
    with pytest.MonkeyPatch.context() as patch:
        weaken(patch, made, lambda *parts: found.extend(made(*parts)) or found)
        check_batch([(one, b"record"), (two, b"record")])
    first, second = (fr(equation.d) for equation in found)
    move = lambda c, by: (Capsule(c.policy, c.A1, c.A2, c.A3, c.rows, c.D + by), b"record")  # noqa: E731
    return [move(one, E1.mul(second)), move(two, -E1.mul(first))]


def test_two_capsules_made_to_the_coefficients_of_their_batch_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Sharing("batch")
    pair = pair_of_spoilt(world)
    assert outcome(lambda: check_batch(pair)) == "bad-capsule"
    assert checking.bad_ones(pair) == [0, 1]
    weaken(monkeypatch, checking._seed, seed_without_d)
    check_batch(pair_of_spoilt(world))


# --- signatures of many ---


def spoilt_signatures() -> list[bls.Signed]:
    """Two nodes' signatures moved to and fro by the weights of the batch with the honest ones."""
    secrets = [Fr.from_int(n).encode() for n in (11, 12)]
    keys = [E2.mul(Fr.from_int(n)).encode() for n in (11, 12)]
    honest = [((key,), b"message", bls.sign(secret, b"message")) for key, secret in zip(keys, secrets, strict=True)]
    first, second = bls.batch_weights(honest)
    errors = (E1.mul(second), -E1.mul(first))
    return [(key, message, (decode_g1(s, "s") + by).encode()) for (key, message, s), by in zip(honest, errors, strict=True)]


def test_signatures_made_to_the_weights_of_their_batch_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that says it deleted, with a signature nobody can check alone, would count."""
    assert bls.verify_batch(spoilt_signatures()) == [False, False]
    made = bls.batch_weights
    weaken(monkeypatch, made, lambda items: made([(keys, message, b"") for keys, message, _ in items]))
    assert bls.verify_batch(spoilt_signatures()) == [True, True]
