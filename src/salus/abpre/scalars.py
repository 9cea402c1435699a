"""Between the integers of span programs and scalars of the group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from salus.abpre.policy import Policy
from salus.abpre.span import PROGRAMS_KEPT, span_program
from salus.groups.bls12_381 import FR_BYTES, ORDER, Fr, fr_inner_product

ONE: Final = Fr.from_int(1)


def fr(value: int) -> Fr:
    """A public integer of any size as a scalar."""
    return Fr.from_int(value) if -(1 << 127) <= value < 1 << 128 else Fr.decode((value % ORDER).to_bytes(FR_BYTES, "big"))


@lru_cache(maxsize=PROGRAMS_KEPT)
def _matrix(policy: Policy) -> tuple[tuple[tuple[int, ...], list[Fr]], ...]:
    """For each row its columns and entries."""
    return tuple((tuple(column for column, _ in row), [fr(entry) for _, entry in row]) for row in span_program(policy).rows)


def shares(policy: Policy, vector: Sequence[Fr]) -> list[Fr]:
    """``lambda_i = M_i * v``: constant time in v.

    :param vector: the secret, then one scalar for each further column.
    """
    return [fr_inner_product(entries, [vector[column] for column in columns]) for columns, entries in _matrix(policy)]
