"""What BLS12-381 refuses, what it never shows, and what it counts."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest

from salus import _native
from salus.errors import Refused
from salus.groups import bls12_381 as bls
from salus.groups import reference_bls as twin
from salus.groups.bls12_381 import G1, G2, Fr, G1Comb, G2Comb, G2Prepared, Gt, GtComb

ONE, TWO = Fr.from_int(1), Fr.from_int(2)
P, Q = G1.generator(), G2.generator()
E = bls.pairing([(P, Q)])
VALUES: list[Any] = [Fr.from_int(123456789), E, G1Comb(P), G2Comb(Q), GtComb(E), G2Prepared(Q)]
FIELD = twin.FIELD


def _coefficients(*values: int) -> bytes:
    return b"".join(v.to_bytes(48, "big") for v in values).ljust(576, b"\0")


def _negated(element: Gt) -> bytes:
    """-a: on the torus of norm one, where a missing check once took a factor -1 for an honest node's."""
    data = element.encode()
    return _coefficients(*(-int.from_bytes(data[i : i + 48], "big") % FIELD for i in range(0, 576, 48)))


def _cyclotomic() -> bytes:
    """An element of the cyclotomic subgroup, a^(p^4)*a = a^(p^2), that is not of order r."""
    rng = random.Random(12)
    unit = twin.pow12(tuple(rng.randrange(FIELD) for _ in range(12)), (FIELD**6 - 1) * (FIELD**2 + 1))
    powers = [twin.pow12(unit, FIELD**k) for k in (2, 4)]
    assert twin.mul12(powers[1], unit) == powers[0]
    assert twin.pow12(unit, twin.ORDER) != twin.ONE
    return twin.encode_target(unit)


BAD_TARGETS: dict[str, Callable[[], bytes]] = {
    "one": lambda: Gt.one().encode(),
    "zero": lambda: bytes(576),
    "minus one": lambda: _coefficients(FIELD - 1),
    "a factor -1": lambda: _negated(E),
    "cyclotomic, of another order": _cyclotomic,
    "of the prime field": lambda: _coefficients(2),
    "a coefficient plus the modulus": lambda: _coefficients(1 + FIELD),
    "a zero as the modulus": lambda: _coefficients(1, FIELD),
    "all bits": lambda: b"\xff" * 576,
    "one byte short": lambda: E.encode()[:-1],
    "one byte more": lambda: E.encode() + b"\0",
    "nothing": lambda: b"",
    "a changed bit": lambda: E.encode()[:-1] + bytes([E.encode()[-1] ^ 1]),
    "conjugate in part": lambda: E.encode()[:48] + bytes(48) + E.encode()[96:],
}


@pytest.mark.parametrize("why", BAD_TARGETS)
def test_refused_elements_of_the_target_group(why: str) -> None:
    data = BAD_TARGETS[why]()
    with pytest.raises(Refused, match="bad-point"):
        bls.decode_gt(data, "Y")
    with pytest.raises(ValueError, match="target group"):
        bls.gt_decode_batch([E.encode(), data])
    if why == "one":
        assert Gt.decode_with_one(data).is_one()
        return
    with pytest.raises(ValueError, match="target group"):
        Gt.decode_with_one(data)
    with pytest.raises(ValueError, match=r"modulus|subgroup"):
        twin.decode_target(data)


def test_random_elements_of_the_field_are_refused() -> None:
    rng = random.Random(7)
    for _ in range(20):
        with pytest.raises(Refused):
            bls.decode_gt(_coefficients(*(rng.randrange(FIELD) for _ in range(12))))


def _outside(parts: int) -> bytes:
    """A point on the curve, not in the subgroup."""
    rng = random.Random(parts)
    while True:
        data = bytearray(rng.randbytes(48 * parts))
        data[0] = 0x80 | data[0] & 0x0F
        try:
            twin.decode(bytes(data), parts)
        except ValueError as error:
            if "subgroup" in str(error):
                return bytes(data)


@pytest.mark.parametrize("parts", [1, 2])
def test_refused_points(parts: int) -> None:
    group, decode, batch = ((G1, bls.decode_g1, bls.decode_g1_batch), (G2, bls.decode_g2, bls.decode_g2_batch))[parts - 1]
    good = group.generator().encode()
    size = len(good)
    bad = {
        "the identity": group.identity().encode(),
        "outside the subgroup": _outside(parts),
        "no compression flag": bytes([good[0] & 0x7F]) + good[1:],
        "identity with a coordinate": bytes([0xC0]) + good[1:],
        "identity with a sign": bytes([0xE0]) + bytes(size - 1),
        "coordinate at the modulus": (FIELD | 1 << 383).to_bytes(48, "big") + good[48:],
        "coordinate above the modulus": ((FIELD + 1) | 1 << 383).to_bytes(48, "big") + good[48:],
        "too short": good[:-1],
        "too long": good + b"\0",
        "nothing": b"",
        "uncompressed": group.generator().encode_uncompressed(),
    }
    for why, data in bad.items():
        with pytest.raises(Refused, match="bad-point"):
            decode(data, why)
        with pytest.raises(Refused, match="bad-point"):
            batch([good, data], why)
        if why != "the identity":
            with pytest.raises(ValueError, match="element"):
                group.decode_with_identity(data)
            if len(data) == size:
                with pytest.raises(ValueError, match=r"."):
                    twin.decode(data, parts)
    assert group.decode_with_identity(bad["the identity"]).is_identity()
    assert batch([good, good]) == [group.generator()] * 2


def test_refused_scalars() -> None:
    for data in (bls.ORDER.to_bytes(32, "big"), b"\xff" * 32, bytes(31), bytes(33), b""):
        with pytest.raises(Refused, match="bad-scalar"):
            bls.decode_fr(data, "s")
    assert bls.decode_fr(bytes(32)).is_zero()
    with pytest.raises(ValueError, match="order") as error:
        Fr.decode((bls.ORDER + 5).to_bytes(32, "big"))
    assert str(bls.ORDER + 5) not in str(error.value)
    assert "5" not in str(error.value)


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_nothing_is_shown_pickled_or_changed(value: Any) -> None:
    for text in (repr(value), str(value), f"{value}", repr([value])):
        assert f"{type(value).__name__}(..)" in text
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(value)
    with pytest.raises(AttributeError):
        value.raw = 1


def test_scalars_are_not_hashable_and_equal_only_to_scalars() -> None:
    with pytest.raises(TypeError, match="hashable"):
        hash(ONE)
    for other in (1, 0, None, b"", P, E, ONE.encode()):
        assert other != ONE
        assert ONE.__eq__(other) is False
    assert E != P


MISUSES: list[Callable[[], object]] = [
    lambda: Fr.from_int(2**128),
    lambda: Fr.from_int(-(2**127) - 1),
    lambda: Fr.reduce(bytes(63)),
    lambda: Fr.from_int(0).invert(),
    lambda: bls.g1_msm([ONE], []),
    lambda: bls.g2_msm_vartime([], [Q]),
    lambda: bls.g1_mul_batch([ONE, TWO], [P]),
    lambda: bls.g2_add_batch([Q], []),
    lambda: bls.g1_msm_groups_vartime([([ONE], [P, P])]),
    lambda: bls.g1_hash_batch([b"x"], b""),
    lambda: bls.gt_multi_pow([E], []),
    lambda: bls.gt_multi_pow_vartime([E], [ONE, ONE]),
    lambda: bls.fr_shamir_share([], [1]),
    lambda: bls.fr_shamir_share([ONE], [0]),
    lambda: bls.fr_shamir_share([ONE], [1, 1]),
    lambda: bls.fr_shamir_share([ONE] * (bls.MAX_SHARES + 1), [1]),
    lambda: bls.fr_lagrange_coefficients([]),
    lambda: bls.fr_lagrange_coefficients([2, 3, 2]),
    lambda: bls.fr_interpolate([1, 2], [ONE]),
    lambda: bls.fr_inner_product([ONE], []),
    lambda: bls.fr_poly_eval([ONE] * ((1 << 20) + 1), ONE),
    lambda: bls.g1_interpolate([0, 2], [P, P]),
    lambda: bls.g2_interpolate([1], [Q, Q]),
    lambda: bls.gt_interpolate([1], [E, E]),
    lambda: bls.multi_pairing([]),
    lambda: bls.multi_pairing([(P, Q)] * ((1 << 16) + 1)),
]


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_is_an_error(misuse: Callable[[], object]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        misuse()


@pytest.mark.parametrize("wrong", [[1], [None], [b"x"], [ONE, P], 5, [[ONE]]])
def test_wrong_types_are_errors(wrong: Any) -> None:
    for function in (
        bls.g1_sum,
        bls.g2_sum,
        G1Comb(P).mul_batch,
        bls.g1_decode_batch,
        bls.multi_pairing,
        bls.g1_msm_groups_vartime,
    ):
        if wrong != [b"x"] or function is not bls.g1_decode_batch:
            with pytest.raises(TypeError):
                function(wrong)
    with pytest.raises(TypeError):
        P.mul(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        bls.multi_pairing([(Q, P)])  # type: ignore[list-item]


def test_random_scalars_and_hashes() -> None:
    answers = iter([bytes(64), bls.ORDER.to_bytes(64, "big"), bytes(63) + b"\x07"])
    assert bls.random_fr(lambda _: next(answers)) == Fr.from_int(7)
    with pytest.raises(Refused, match="internal"):
        bls.random_fr(bytes)
    inputs: list[tuple[Any, ...]] = [("a", "s", b"x"), ("b", "s", b"x"), ("a", "t", b"x"), ("a", "s", "x"), ("a", "s", b"x", b"")]
    assert len({bls.hash_to_fr(*i).encode() for i in inputs}) == len(inputs)


def test_thresholds() -> None:
    secret = bls.random_fr(os.urandom)
    shares, coefficients = bls.share_fr(secret, 3, [1, 2, 3, 4], os.urandom)
    assert coefficients[0] == secret
    assert bls.fr_interpolate([1, 2, 4], [shares[0], shares[1], shares[3]]) == secret
    assert bls.fr_interpolate([1, 4], [shares[0], shares[3]]) != secret
    for threshold in (0, 5):
        with pytest.raises(Refused, match="threshold"):
            bls.share_fr(secret, threshold, [1, 2, 3, 4], os.urandom)


def _in_child(queue: multiprocessing.Queue[bytes]) -> None:
    queue.put(G1Comb(P).mul_batch([Fr.from_int(i) for i in range(200)])[-1].encode())


def test_batches_work_after_a_fork() -> None:
    expected = G1Comb(P).mul_batch([Fr.from_int(i) for i in range(200)])[-1].encode()
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[bytes] = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == expected
    child.join(timeout=30)
    assert child.exitcode == 0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same(threads: int) -> None:
    scalars = [Fr.from_int(3**k) for k in range(60)]
    points = G1Comb(P).mul_batch(scalars)
    total = sum(9**k for k in range(60))
    before = _native.threads()
    _native.set_threads(threads)
    try:
        assert bls.g1_msm_vartime(scalars, points) == bls.g1_msm(scalars, points)
        assert bls.multi_pairing([(p, Q) for p in points]) == E.pow(Fr.decode((sum(3**k for k in range(60))).to_bytes(32, "big")))
        powers = GtComb(E).pow_batch(scalars)
        assert bls.gt_multi_pow(powers, scalars) == bls.gt_multi_pow_vartime(powers, scalars)
        assert bls.g1_sum(bls.g1_mul_batch(scalars, points)) == P.mul((total % bls.ORDER).to_bytes(32, "big"))
    finally:
        _native.set_threads(before)


def test_operations_are_counted() -> None:
    first, second, third = G1Comb(P), G2Comb(Q), GtComb(E)
    encoded = E.encode()
    _native.reset_operation_counts()
    P.mul(ONE)
    bls.g1_mul_batch([ONE] * 2, [P] * 2)
    bls.g1_mul_one_scalar(ONE, [P] * 3)
    bls.g2_mul_batch([ONE] * 2, [Q] * 2)
    first.mul_batch([ONE] * 4)
    second.mul(ONE)
    third.pow_batch([ONE] * 3)
    bls.g1_msm([ONE] * 5, [P] * 5)
    bls.g2_msm_groups_vartime([([ONE] * 2, [Q] * 2)] * 3)
    E.pow(ONE)
    bls.gt_multi_pow([E] * 2, [ONE] * 2)
    bls.g1_hash_batch([b"a", b"b"], b"dst")
    bls.g1_decode_batch([P.encode()] * 3)
    G2.decode(Q.encode())
    Gt.decode(encoded)
    bls.multi_pairing([(P, G2Prepared(Q)), (P, Q)])
    counts = _native.operation_counts()
    expected = {
        "g1_mul": 6,
        "g2_mul": 2,
        "g1_comb": 4,
        "g2_comb": 1,
        "gt_comb": 3,
        "g1_msm_term": 5,
        "g2_msm_term": 6,
        "gt_pow": 1,
        "gt_pow_term": 2,
        "g1_hash": 2,
        "g1_decode": 3,
        "g2_decode": 1,
        "gt_decode": 1,
        "g2_prepare": 1,
        "miller_loop": 2,
        "final_exp": 1,
        "pairing": 1,
    }
    assert {name: count for name, count in counts.items() if count} == expected
    _native.reset_operation_counts()
    assert not any(_native.operation_counts().values())
