"""The comparison of the primitives with the bare libraries measures all of them, and both ways measure the same work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from salus import _native
from salus.bench.model import Context
from salus.bench.primitives import LIMIT, measure_primitives, native_primitives


def test_every_primitive_both_ways(tmp_path: Path) -> None:
    part = native_primitives(Context(quick=True, work=tmp_path))
    rows = part.sections[0].records()
    assert {row["library"] for row in rows} == {"curve25519-dalek", "blst", "ed25519-zebra"}
    assert len(rows) == len(part.targets) == 18
    assert all(target.limit == LIMIT for target in part.targets)
    # How far apart the two are is for the bench to judge, on a quiet machine.
    assert all(float(row["ratio"] or 0) > 0 for row in rows)


def test_threads_are_given_back() -> None:
    before = _native.threads()
    measure_primitives(os.urandom, repeats=1)
    assert _native.threads() == before


@pytest.mark.parametrize(("name", "iterations"), [("unknown", 1), ("base_mul", 0), ("base_mul", 1 << 21)])
def test_bounds(name: str, iterations: int) -> None:
    with pytest.raises(ValueError, match=r"bench|iterations"):
        _native.bench_native(name, iterations)
