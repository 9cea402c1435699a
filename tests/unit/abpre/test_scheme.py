"""The scheme does what it should: over random policies, and beside its slow twin."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus import _native, labels
from salus.abpre import capsules as cp
from salus.abpre import checking, hashing
from salus.abpre.checking import BATCH_MAX, BATCH_ROWS_MAX, bad_ones, check, check2, check2_batch, check_batch
from salus.abpre.encapsulation import encapsulate_delta, encapsulate_deterministic
from salus.abpre.keys import SecretKey, check_key, key_gen, restrict
from salus.abpre.language import parse
from salus.abpre.opening import blinding, decapsulate, open_delta, re_decrypt, re_decrypt_with, require_weights
from salus.abpre.parameters import MAX_ATTRIBUTES, MasterKey, PublicParameters, setup
from salus.abpre.policy import Policy
from salus.abpre.rekeys import Coins, ReKey, check_rekey, re_encrypt, rekey_gen
from salus.abpre.span import span_program
from salus.errors import Refused
from salus.groups.bls12_381 import G1, G2, pairing
from support import abpre_twin as twin
from support.abpre_policies import held, policies
from support.abpre_world import Seeded, Sharing, outcome, own

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def world() -> Sharing:
    return Sharing("scheme")


@given(policy=policies(), attributes=held(), to=policies(leaves=4), reader=held())
@settings(max_examples=30)
def test_who_satisfies_opens_and_nobody_else(
    policy: Policy, attributes: frozenset[str], to: Policy, reader: frozenset[str]
) -> None:
    world = Sharing("correctness")
    capsule = cp.Capsule.decode(world.capsule(policy.text, KEY).encode())
    stored = check(capsule, b"record")
    key = world.key(*attributes)
    if not twin.satisfied(policy.root, attributes):
        assert world.opens(key, stored) == "unsatisfied"
        assert outcome(lambda: re_encrypt(world.delegate(key, attributes, to.text), stored)) == "unsatisfied"
        return
    assert world.opens(key, stored) == KEY
    rekey = ReKey.decode(world.delegate(key, attributes, to.text).encode())
    A4, rk4 = world.transformed(rekey, stored)
    given_to = world.key(*reader)
    expected = KEY if twin.satisfied(to.root, reader) else "unsatisfied"
    assert outcome(lambda: re_decrypt(world.parameters, given_to, stored, A4, rk4)) == expected


@given(policy=policies(leaves=7, depth=3), attributes=held(), seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_the_twin_computes_the_same(policy: Policy, attributes: frozenset[str], seed: int) -> None:
    world = Sharing(f"twin {seed}")
    program = span_program(policy)
    matrix = twin.dense(program.width, program.rows)
    b = world.random(32)
    capsule = encapsulate_deterministic(world.parameters, policy, KEY, b, b"aad")
    assert twin.encapsulate(world.parameters, policy, matrix, KEY, b, b"aad").encode() == capsule.encode()
    assert twin.is_well_made(capsule, b"aad", matrix, lambda: int.from_bytes(world.random(16), "big"))
    key = world.key(*attributes)
    element = twin.blinding(key, capsule, matrix)
    if element is not None:
        assert element == blinding(key, capsule, require_weights(policy, key.parts))


def spoilt(capsule: cp.Capsule, what: str, row: int) -> cp.Capsule:
    """The capsule with one point moved."""
    B, C = list(capsule.rows.B), list(capsule.rows.C)
    A2, A3, D = capsule.A2, capsule.A3, capsule.D
    if what == "B":
        B[row] = B[row] + G1.generator()
    elif what == "C":
        C[row] = C[row] + G2.generator()
    elif what == "A2":
        A2 = A2 + G2.generator()
    elif what == "A3":
        A3 = A3 + G1.generator()
    elif what == "D":
        D = D + G1.generator()
    return cp.Capsule(capsule.policy, capsule.A1, A2, A3, cp.Rows.of(B, C), D)


@given(policy=policies(leaves=7, depth=3), what=st.sampled_from(["", "B", "C", "A2", "A3", "D"]), data=st.data())
@settings(max_examples=30)
def test_check_accepts_what_its_twin_accepts(policy: Policy, what: str, data: st.DataObject) -> None:
    world = Sharing("twin of check")
    program = span_program(policy)
    matrix = twin.dense(program.width, program.rows)
    capsule = spoilt(world.capsule(policy.text, KEY, b"aad"), what, data.draw(st.integers(0, len(policy.rows) - 1)))
    means = twin.is_well_made(capsule, b"aad", matrix, lambda: int.from_bytes(world.random(16), "big"))
    assert means == (what == "")
    assert (outcome(lambda: check(capsule, b"aad")) != "bad-capsule") == means


def test_threads_change_nothing(world: Sharing) -> None:
    policy = parse(" and ".join(f"a:x{i}" for i in range(20)))
    wanted = _native.threads()
    made = []
    try:
        for count in (1, 2, 5):
            _native.set_threads(count)
            capsule = encapsulate_deterministic(world.parameters, policy, KEY, bytes(32), b"aad")
            stored = check(capsule, b"aad")
            made.append((capsule.encode(), blinding(world.key(*policy.rows), capsule, dict.fromkeys(range(20), 1)).encode()))
            assert stored.capsule is capsule
    finally:
        _native.set_threads(wanted)
    assert len(set(made)) == 1


def test_any_span_program_of_the_policy_will_do(world: Sharing) -> None:
    """The twin's own matrix, in powers: a capsule made by it does not pass for one of ours, but opens by its equations."""
    policy = parse("a:x and (2 of (b:y, c:z, d:u) or e:v)")
    matrix = twin.shamir_matrix(policy)
    capsule = twin.encapsulate(world.parameters, policy, matrix, KEY, bytes(32), b"aad")
    element = twin.blinding(world.key("a:x", "c:z", "d:u"), capsule, matrix)
    assert world.matches(cp.take_unchecked(capsule, b"aad"), element) == KEY
    assert outcome(lambda: check(capsule, b"aad")) == "bad-capsule"


def test_both_types_open_only_as_what_they_are(world: Sharing) -> None:
    policy = parse("a:x and b:y")
    key = world.key("a:x", "b:y")
    delta = encapsulate_delta(world.parameters, policy, KEY, b"aad", world.random)
    assert open_delta(world.parameters, key, check2(cp.DeltaCapsule.decode(delta.encode()), b"aad")) == KEY
    capsule = world.capsule(policy.text, KEY, b"aad")
    assert outcome(lambda: cp.Capsule.decode(delta.encode())) == "bad-encoding"
    assert outcome(lambda: cp.DeltaCapsule.decode(capsule.encode())) == "bad-encoding"
    as_delta = cp.DeltaCapsule(policy, capsule.A1, capsule.A2, capsule.rows, capsule.D)
    assert outcome(lambda: check2(as_delta, b"aad")) == "bad-capsule"


def test_additional_data_belong_to_the_capsule(world: Sharing) -> None:
    capsule = world.capsule("a:x", KEY, b"record 1")
    assert outcome(lambda: check(capsule, b"record 2")) == "bad-capsule"
    moved = cp.take_unchecked(capsule, b"record 2")
    assert world.opens(world.key("a:x"), moved) == "bad-capsule"
    world.capsule("a:x", KEY, bytes(cp.AAD_BYTES_MAX))
    for run in (
        lambda: world.capsule("a:x", KEY, bytes(cp.AAD_BYTES_MAX + 1)),
        lambda: check(capsule, bytes(cp.AAD_BYTES_MAX + 1)),
        lambda: encapsulate_delta(world.parameters, parse("a:x"), KEY, bytes(cp.AAD_BYTES_MAX + 1), world.random),
    ):
        assert outcome(run) == "too-large"
    for key in (b"", KEY[:31], KEY + b"x"):
        assert outcome(lambda key=key: world.capsule("a:x", key)) == "bad-encoding"


def test_batches_accept_what_single_checks_accept(world: Sharing) -> None:
    texts = ["a:x", "a:x and b:y", "a:x or b:y", "2 of (a:x, b:y, c:z)", "a:x and (b:y or 2 of (c:z, d:u, a:x))"]
    items = [(world.capsule(text, KEY, text.encode()), text.encode()) for text in texts * 3]
    assert [verified.aad for verified in check_batch(items)] == [aad for _, aad in items]
    assert bad_ones(items) == bad_ones([]) == []
    for at in (0, 7, 14):
        spoilt = list(items)
        spoilt[at] = (items[at][0], b"another record")
        assert outcome(lambda spoilt=spoilt: check_batch(spoilt)) == "bad-capsule"
        assert bad_ones(spoilt) == [at]
    spoilt = [(capsule, b"other") if i % 4 == 1 else (capsule, aad) for i, (capsule, aad) in enumerate(items)]
    assert bad_ones(spoilt) == [1, 5, 9, 13]
    assert outcome(lambda: check_batch([])) == "too-large"
    assert outcome(lambda: check_batch([items[0]] * (BATCH_MAX + 1))) == "too-large"


def test_batches_of_type_2(world: Sharing) -> None:
    items = [
        (encapsulate_delta(world.parameters, parse(text), KEY, text.encode(), world.random), text.encode())
        for text in ("a:x", "a:x and b:y", "2 of (a:x, b:y, c:z)") * 2
    ]
    assert len(check2_batch(items)) == 6
    assert outcome(lambda: check2_batch([*items[:-1], (items[-1][0], b"")])) == "bad-capsule"


@pytest.mark.parametrize("rows_max", [3, 4, 6, 7])
def test_a_batch_of_many_rows_is_checked_in_parts(world: Sharing, monkeypatch: pytest.MonkeyPatch, rows_max: int) -> None:
    """Each part has its own coefficients, and a bad capsule is found wherever the batch is divided."""
    texts = ["a:x and b:y and c:z", "a:x", "d:u or e:v", "a:x and b:y and c:z", "a:x"]
    items = [(world.capsule(text, KEY, b"aad"), b"aad") for text in texts]
    deltas = [(encapsulate_delta(world.parameters, parse(text), KEY, b"aad", world.random), b"aad") for text in texts]
    monkeypatch.setattr(checking, "BATCH_ROWS_MAX", rows_max)
    assert [verified.capsule for verified in check_batch(items)] == [capsule for capsule, _ in items]
    assert [verified.capsule for verified in check2_batch(deltas)] == [capsule for capsule, _ in deltas]
    for at in range(len(items)):
        assert bad_ones([*items[:at], (items[at][0], b"other"), *items[at + 1 :]]) == [at]
        spoilt = [*deltas[:at], (deltas[at][0], b"other"), *deltas[at + 1 :]]
        assert outcome(lambda spoilt=spoilt: check2_batch(spoilt)) == "bad-capsule"


@pytest.mark.parametrize("rows", [[1], [128] * BATCH_MAX, [1, 128] * (BATCH_MAX // 2), [BATCH_ROWS_MAX, 1]])
def test_no_part_has_more_pairings_than_the_extension_takes(rows: list[int]) -> None:
    """All attributes different: one pairing for each, one for each capsule's A2, one for g2."""
    parts = checking._parts(rows)
    assert [count for part in parts for count in rows[part]] == rows
    assert all(0 < sum(rows[part]) <= BATCH_ROWS_MAX for part in parts)
    assert BATCH_ROWS_MAX + BATCH_MAX + 1 <= 65_536


@pytest.mark.long
def test_a_batch_of_more_attributes_than_one_product_of_pairings_takes(world: Sharing) -> None:
    """Each capsule with 128 attributes that no other has: over 65,536 in all."""
    texts = [" or ".join(f"a:x{n}-{row}" for row in range(128)) for n in range(65_536 // 128 + 1)]
    items = [(world.capsule(text, KEY), b"record") for text in texts]
    assert len(check_batch(items)) == len(items)
    assert outcome(lambda: check_batch([*items[:-1], (items[-1][0], b"other")])) == "bad-capsule"


def test_the_largest_policy(world: Sharing) -> None:
    names = [f"a:x{i}" for i in range(128)]
    for text, attributes in ((" and ".join(names), names), (f"64 of ({', '.join(names)})", names[40:104])):
        stored = check(cp.Capsule.decode(world.capsule(text, KEY).encode()), b"record")
        assert world.opens(world.key(*attributes), stored) == KEY
        assert world.opens(world.key(*attributes[1:]), stored) == "unsatisfied"


def test_keys(world: Sharing) -> None:
    key = world.key("role:doctor@2026", "dept:icu", "role:doctor@2026")
    assert key.attributes == {"role:doctor@2026", "dept:icu"}
    again = SecretKey.decode(key.encode())
    assert again.encode() == key.encode()
    check_key(world.parameters, again)
    sub = restrict(key, ["dept:icu"], world.random)
    check_key(world.parameters, sub)
    assert sub.attributes == {"dept:icu"}
    assert sub.L != key.L
    assert outcome(lambda: restrict(key, ["dept:icu", "site:a"], world.random)) == "unsatisfied"
    for names in ([], ["Role:x"], ["role"], [f"a:x{i}" for i in range(MAX_ATTRIBUTES + 1)]):
        assert outcome(lambda names=names: key_gen(world.master, names, world.random)) == "bad-attribute"
        assert outcome(lambda names=names: restrict(key, names, world.random)) == "bad-attribute"


def test_a_key_of_another_network_does_not_verify(world: Sharing) -> None:
    other = Sharing("another network")
    key = other.key("a:x")
    check_key(other.parameters, key)
    assert outcome(lambda: check_key(world.parameters, key)) == "bad-key"
    stored = world.stored("a:x", KEY)
    assert world.opens(key, stored) == "bad-capsule"


def test_refusals_name_what_is_missing(world: Sharing) -> None:
    stored = world.stored("role:doctor and dept:icu and site:a", KEY)
    with pytest.raises(Refused, match=r"would also need role:doctor, site:a$"):
        decapsulate(world.parameters, world.key("dept:icu"), stored)


def test_parameters(world: Sharing) -> None:
    again = PublicParameters.decode(world.parameters.encode())
    assert again.Y == world.parameters.Y
    parameters, master = setup(Seeded("one"))
    assert pairing([(master.alpha_g1, G2.generator())]) == parameters.Y
    stored = world.stored("a:x", KEY)
    assert decapsulate(again, world.key("a:x"), stored) == KEY


def test_one_delegation_serves_many_records(world: Sharing) -> None:
    owner = world.key(own("p"))
    rekey = world.delegate(owner, [own("p")], "inst:h9 and role:researcher")
    rk4 = check_rekey(rekey, b"delegation")
    delta = open_delta(world.parameters, world.key("inst:h9", "role:researcher"), rk4)
    for number in range(3):
        k = bytes([number]) * 32
        stored = world.stored(f"{own('p')} or (role:doctor and dept:icu)", k, b"record %d" % number)
        assert re_decrypt_with(world.parameters, stored, re_encrypt(rekey, stored), delta) == k


def test_delegations_of_one_key_share_no_point(world: Sharing) -> None:
    owner = world.key(own("p"))
    first, second = (world.delegate(owner, [own("p")], "a:x") for _ in range(2))
    for one, other in ((first.rk3, second.rk3), (first.rk2, second.rk2), (first.rk1, second.rk1)):
        assert one.encode() != other.encode()
    assert first.parts[own("p")] != second.parts[own("p")]


def test_nothing_shows_a_secret(world: Sharing) -> None:
    coins = Coins.draw(world.random)
    key = world.key("a:x")
    for shown in (repr(coins), repr(key), repr(key.message()), repr(world.master)):
        assert coins.delta.hex() not in shown
        assert repr(coins.delta) not in shown
        assert key.K.encode().hex() not in shown
    assert not dataclasses.is_dataclass(MasterKey)


def test_rekey_gen_is_deterministic_in_its_coins(world: Sharing) -> None:
    key = restrict(world.key("a:x", "b:y"), ["a:x"], world.random)
    coins = Coins.draw(world.random)
    made = [rekey_gen(world.parameters, key, parse("c:z"), b"aad", coins).encode() for _ in range(2)]
    assert made[0] == made[1]


def test_points_of_attributes_are_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "ATTRIBUTES_KEPT", 8)
    names = [f"kept:x{i}" for i in range(30)]
    first = hashing.attribute_points(names)
    assert len(hashing._kept) == 8
    assert hashing.attribute_points(names) == first
    threads = [threading.Thread(target=hashing.attribute_points, args=(names[i:],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hashing._kept) == 8
    assert hashing.attribute_points(["kept:x3", "kept:x3"]) == [first[3]] * 2


def test_every_hash_to_the_curve_has_its_own_domain() -> None:
    points: list[G1] = [hashing.point_a(), hashing.point_g_tilde(), hashing.attribute_point("a:x")]
    assert len({p.encode() for p in points}) == 3
    assert len({hashing.domain(label) for label in (labels.ABPRE_H, labels.ABPRE_H4, labels.ABPRE_H6, labels.ABPRE_A)}) == 4
