"""Span programs: the rows of satisfying sets, and no others, span (1, 0, .., 0); coefficients are small."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.abpre.language import parse
from salus.abpre.policy import ROWS_MAX, Policy
from salus.abpre.scalars import fr, shares
from salus.abpre.span import kernel, lagrange_at_zero, reconstruct, span_program
from salus.groups.bls12_381 import ORDER, Fr
from support.abpre_policies import NAMES, held, policies
from support.abpre_twin import dense, left_product, satisfied, scalar, solve
from support.abpre_world import Seeded, rows_with


def matrix(policy: Policy) -> list[list[int]]:
    program = span_program(policy)
    return dense(program.width, program.rows)


@given(policy=policies(), attributes=held())
def test_exactly_the_satisfying_sets_span(policy: Policy, attributes: frozenset[str]) -> None:
    M = matrix(policy)
    means = satisfied(policy.root, attributes)
    assert (solve(M, rows_with(policy, attributes)) is not None) == means
    weights = reconstruct(policy, attributes)
    assert (weights is not None) == means
    if weights is not None:
        assert set(weights) <= set(rows_with(policy, attributes))
        assert all(weights.values())
        z = [weights.get(row, 0) for row in range(len(M))]
        assert left_product(z, M) == [1] + [0] * (len(M[0]) - 1)


@given(policy=policies(), c=st.integers(0, 2**128 - 1), seed=st.integers(0, 2**32))
def test_the_kernel_has_only_the_first_column(policy: Policy, c: int, seed: int) -> None:
    M = matrix(policy)
    random = Seeded(f"kernel {seed}")
    z = kernel(policy, c, lambda: int.from_bytes(random(16), "big"))
    assert left_product(z, M) == [c] + [0] * (len(M[0]) - 1)


@given(policy=policies(leaves=9, depth=3))
def test_the_kernel_is_all_of_it(policy: Policy) -> None:
    """As many independent vectors as the matrix has: an error of the rows has nowhere to hide."""
    M = matrix(policy)
    drawn: list[int] = []
    kernel(policy, 1, lambda: drawn.append(0) or 0)
    vectors = []
    for unit in range(len(drawn)):
        count = iter(range(len(drawn)))
        vectors.append(kernel(policy, 0, lambda count=count, unit=unit: int(next(count) == unit)))
    vectors.append(kernel(policy, 1, lambda: 0))
    columns = [[row[column] for row in M] for column in range(1, len(M[0]))]
    assert rank(vectors) == len(M) - rank(columns)


def rank(rows: list[list[int]]) -> int:
    rows = [[value % ORDER for value in row] for row in rows]
    found = 0
    for column in range(len(rows[0]) if rows else 0):
        at = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if at is None:
            continue
        rows[found], rows[at] = rows[at], rows[found]
        inverse = pow(rows[found][column], -1, ORDER)
        for i in range(found + 1, len(rows)):
            factor = rows[i][column] * inverse % ORDER
            rows[i] = [(a - factor * b) % ORDER for a, b in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


@given(policy=policies(), seed=st.integers(0, 2**32))
def test_shares_are_the_matrix_times_the_vector(policy: Policy, seed: int) -> None:
    random = Seeded(f"shares {seed}")
    M = matrix(policy)
    vector = [Fr.reduce(random(64)) for _ in M[0]]
    numbers = [int.from_bytes(v.encode(), "big") for v in vector]
    expected = [scalar(sum(a * v for a, v in zip(row, numbers, strict=True))) for row in M]
    assert shares(policy, vector) == expected


def test_and_or_need_no_multiplication() -> None:
    for text in ("a:x0 and a:x1 and (a:x2 or (a:x3 and a:x4))", " and ".join(f"a:x{i}" for i in range(128))):
        policy = parse(text)
        assert set(reconstruct(policy, policy.attributes).values()) == {1}
        assert {entry for row in span_program(policy).rows for _, entry in row} <= {1, -1}
        z = kernel(policy, 1, lambda: 7)
        assert max(map(abs, z)) <= 7 * len(z)


def test_coefficients_are_small() -> None:
    policy = parse("25 of (" + ", ".join(f"a:x{i}" for i in range(50)) + ")")
    weights = reconstruct(policy, policy.attributes)
    assert len(weights) == 25
    assert max(abs(w) for w in weights.values()) < 2**23
    assert max(abs(entry) for row in span_program(policy).rows for _, entry in row) < 2**47
    # Neighbours are found anywhere; gaps make fractions, which fill the field.
    later = reconstruct(policy, policy.attributes[20:])
    assert max(abs(w) for w in later.values()) < 2**64
    assert max(abs(w) for w in reconstruct(policy, policy.attributes[::2]).values()) > 2**200


def test_fewest_rows_are_used() -> None:
    policy = parse("(a:x0 and a:x1 and a:x2) or (a:x3 and a:x4) or 2 of (a:x5 and a:x6, a:x7, a:x0)")
    assert set(reconstruct(policy, NAMES)) == {3, 4}
    assert set(reconstruct(policy, ("a:x0", "a:x5", "a:x6", "a:x7"))) == {7, 8}


def test_lagrange_coefficients_of_neighbours_are_integers() -> None:
    for start in range(1, 20):
        points = range(start, start + 7)
        values = [lagrange_at_zero(i, points) for i in points]
        assert all(value.denominator == 1 for value in values)
        assert sum(value * (3 * i**6 - i + 5) for value, i in zip(values, points, strict=True)) == 5
    assert lagrange_at_zero(2, (1, 2, 4)) == -2


@pytest.mark.parametrize("need", [1, 2, 5, 6])
def test_every_subset_of_a_threshold(need: int) -> None:
    policy = parse(f"{need} of (" + ", ".join(f"a:x{i}" for i in range(6)) + ")")
    M = matrix(policy)
    for size in range(7):
        for chosen in combinations(policy.rows, size):
            weights = reconstruct(policy, chosen)
            assert (weights is not None) == (size >= need)
            if weights is not None:
                assert left_product([weights.get(row, 0) for row in range(6)], M)[0] == 1


def test_the_largest_policies() -> None:
    names = [f"a:x{i}" for i in range(ROWS_MAX)]
    for need in (1, 64, ROWS_MAX):
        policy = parse(f"{need} of ({', '.join(names)})")
        assert span_program(policy).width == need
        weights = reconstruct(policy, names)
        assert len(weights) == need
        assert left_product([weights.get(row, 0) for row in range(ROWS_MAX)], matrix(policy))[0] == 1


@given(value=st.integers(-(2**400), 2**400))
def test_integers_as_scalars(value: int) -> None:
    assert int.from_bytes(fr(value).encode(), "big") == value % ORDER
