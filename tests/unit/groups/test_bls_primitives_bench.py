"""The comparison of the pairing groups' primitives with bare blst measures all of them, and the floors' prices make sense."""

from __future__ import annotations

import os
from pathlib import Path

from salus import _native
from salus.bench.bls_primitives import Prices, bls_primitives, measure_bls_primitives, prices
from salus.bench.model import Context
from salus.bench.primitives import LIMIT


def test_every_primitive_both_ways(tmp_path: Path) -> None:
    part = bls_primitives(Context(quick=True, work=tmp_path))
    rows, listed = part.sections[0].records(), part.sections[1].records()
    assert len(rows) == len(part.targets) == 17
    assert all(target.limit == LIMIT for target in part.targets)
    # How far apart the two are is for the bench to judge, on a quiet machine.
    assert all(float(row["ratio"] or 0) > 0 for row in rows)
    assert [row["operation"] for row in listed] == list(Prices.__struct_fields__)


def test_prices_and_threads() -> None:
    before = _native.threads()
    rows = measure_bls_primitives(os.urandom, repeats=1)
    assert _native.threads() == before
    found = prices(rows, repeats=1)
    by_name = {row.name: row for row in rows}
    assert found.g1_mul == min(by_name["g1_mul"].native_us, by_name["g1_mul"].python_us)
    assert all(getattr(found, name) > 0 for name in Prices.__struct_fields__)
