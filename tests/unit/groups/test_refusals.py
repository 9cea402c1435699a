"""What the groups refuse, and what they never show."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from salus import _native
from salus.errors import Refused
from salus.groups import bls12_381 as bls
from salus.groups.ristretto255 import (
    ORDER,
    FixedBase,
    Point,
    Scalar,
    base_mul,
    base_mul_batch,
    decode_batch,
    from_uniform_batch,
    hash_to_point,
    hash_to_scalar,
    msm,
    msm_vartime,
    mul_batch,
    random_scalar,
    require_point,
)
from salus.groups.sharing import (
    MAX_SHARES,
    interpolate_point,
    interpolate_scalar,
    lagrange_coefficients,
    poly_eval,
    poly_from_roots,
    shamir_share,
    share_secret,
)

ONE, TWO = Scalar.from_int(1), Scalar.from_int(2)
G = Point.generator()
VALUES: list[Any] = [Scalar.from_int(123456789), G, FixedBase(G), bls.G1.generator(), bls.G2.generator()]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_nothing_is_shown(value: Any) -> None:
    for text in (repr(value), str(value), f"{value}", repr([value])):
        assert f"{type(value).__name__}(..)" in text
        assert not any(c.isdigit() for c in text.replace(type(value).__name__, ""))


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_nothing_is_pickled_or_changed(value: Any) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(value)
    with pytest.raises(TypeError):
        copy.deepcopy(value)
    with pytest.raises(AttributeError):
        value.raw = 1


def test_scalars_are_not_hashable() -> None:
    with pytest.raises(TypeError, match="hashable"):
        hash(ONE)
    with pytest.raises(TypeError):
        _ = {ONE: 1}


def test_errors_do_not_repeat_the_input() -> None:
    secret = (ORDER + 5).to_bytes(32, "little")
    with pytest.raises(ValueError, match="canonical") as error:
        Scalar.decode(secret)
    assert secret.hex() not in str(error.value)
    assert str(ORDER + 5) not in str(error.value)


@pytest.mark.parametrize("other", [1, 0, None, b"", G, "1"])
def test_equality_with_other_types(other: Any) -> None:
    assert other != ONE
    assert other is G or other != G
    assert ONE.__eq__(other) is False
    assert bls.G1.generator() != other
    assert bls.G2.generator() != other


MISUSES: list[Callable[[], object]] = [
    lambda: Scalar.from_int(-1),
    lambda: Scalar.from_int(2**64),
    lambda: Scalar.reduce(bytes(63)),
    lambda: Point.from_uniform(bytes(65)),
    lambda: msm([ONE], []),
    lambda: msm_vartime([], [G]),
    lambda: mul_batch([ONE, TWO], [G]),
    lambda: decode_batch([G.encode(), bytes(32)]),
    lambda: decode_batch([G.encode()[:31]]),
    lambda: from_uniform_batch([bytes(32)]),
    lambda: shamir_share([], [1]),
    lambda: shamir_share([ONE], [0]),
    lambda: shamir_share([ONE], [1, 1]),
    lambda: shamir_share([ONE] * (MAX_SHARES + 1), [1]),
    lambda: shamir_share([ONE], range(1, MAX_SHARES + 2)),
    lambda: lagrange_coefficients([]),
    lambda: lagrange_coefficients([2, 3, 2]),
    lambda: interpolate_scalar([1, 2], [ONE]),
    lambda: interpolate_scalar([0, 2], [ONE, ONE]),
    lambda: interpolate_point([1], [G, G]),
    lambda: poly_from_roots([], ONE),
    lambda: poly_from_roots([ONE] * (MAX_SHARES + 1), ONE),
    lambda: poly_eval([ONE] * ((1 << 20) + 1), ONE),
    lambda: bls.G1.generator().mul(bytes(31)),
    lambda: bls.G1.generator().mul(bls.ORDER.to_bytes(32, "big")),
    lambda: bls.G2.generator().mul(b"\xff" * 32),
    lambda: bls.G1.hash(b"message", b""),
    lambda: _native.MerkleMap(0),
]


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_is_an_error(misuse: Callable[[], object]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        misuse()


@pytest.mark.parametrize("wrong", [[1], [None], [b"x"], [ONE, G], 5])
def test_wrong_types_are_errors(wrong: Any) -> None:
    with pytest.raises(TypeError):
        base_mul_batch(wrong)


def test_the_identity_is_refused_where_points_are_read_or_computed() -> None:
    with pytest.raises(Refused, match="bad-point"):
        require_point(G - G, "W")
    assert require_point(G) is G
    with pytest.raises(Refused, match="bad-point"):
        bls.decode_g1((bls.G1.generator() - bls.G1.generator()).encode())
    with pytest.raises(Refused, match="bad-point"):
        bls.decode_g2((bls.G2.generator() - bls.G2.generator()).encode())


def test_randomness_is_injected_and_never_zero() -> None:
    assert random_scalar(lambda n: b"\x05" + bytes(n - 1)) == Scalar.from_int(5)
    answers = iter([bytes(64), ORDER.to_bytes(64, "little"), b"\x07" + bytes(63)])
    assert random_scalar(lambda n: next(answers)) == Scalar.from_int(7)
    with pytest.raises(Refused, match="internal"):
        random_scalar(bytes)
    multipliers = {bls.random_multiplier(os.urandom) for _ in range(20)}
    assert len(multipliers) == 20
    assert all(0 < int.from_bytes(m, "big") < bls.ORDER for m in multipliers)
    with pytest.raises(Refused, match="internal"):
        bls.random_multiplier(bytes)
    with pytest.raises(Refused, match="internal"):
        bls.random_multiplier(lambda n: b"\xff" * n)


def test_hashes_are_separated_by_label_suite_and_fields() -> None:
    inputs: list[tuple[Any, ...]] = [
        ("a", "s", b"x"),
        ("b", "s", b"x"),
        ("a", "t", b"x"),
        ("a", "s", b"x", b""),
        ("a", "s", "x"),
        ("a", "s", (b"x",)),
    ]
    assert len({hash_to_scalar(*i).encode() for i in inputs}) == len(inputs)
    assert len({hash_to_point(*i).encode() for i in inputs}) == len(inputs)


def test_thresholds() -> None:
    secret = random_scalar(os.urandom)
    shares, coefficients = share_secret(secret, 3, [1, 2, 3, 4], os.urandom)
    assert coefficients[0] == secret
    assert interpolate_scalar([1, 2, 4], [shares[0], shares[1], shares[3]]) == secret
    assert interpolate_scalar([1, 4], [shares[0], shares[3]]) != secret
    for threshold in (0, 5):
        with pytest.raises(Refused, match="threshold"):
            share_secret(secret, threshold, [1, 2, 3, 4], os.urandom)


def _in_child(queue: multiprocessing.Queue[bytes]) -> None:
    points = base_mul_batch([Scalar.from_int(i) for i in range(200)])
    queue.put(points[-1].encode())


def test_batches_work_after_a_fork() -> None:
    """Worker threads do not survive a fork; the child starts its own."""
    expected = base_mul_batch([Scalar.from_int(i) for i in range(200)])[-1].encode()
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[bytes] = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == expected
    child.join(timeout=30)
    assert child.exitcode == 0


def test_operations_are_counted() -> None:
    _native.reset_operation_counts()
    base_mul(ONE)
    base_mul_batch([ONE] * 3)
    mul_batch([ONE] * 2, [G] * 2)
    msm_vartime([ONE] * 5, [G] * 5)
    Point.decode(base_mul(TWO).encode())
    hash_to_point("a", "s")
    bls.pairing([(bls.G1.generator(), bls.G2.generator())] * 2)
    counts = _native.operation_counts()
    expected = {
        "base_mul": 5,
        "var_mul": 2,
        "msm_term": 5,
        "decode": 1,
        "encode": 1,
        "hash_to_group": 1,
        "pairing": 1,
        "miller_loop": 2,
    }
    assert {name: counts[name] for name in expected} == expected
    _native.reset_operation_counts()
    assert not any(_native.operation_counts().values())
