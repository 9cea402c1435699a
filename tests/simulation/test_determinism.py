"""The same seed gives the same trace, byte for byte, in every process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from salus.sim.run import run_seed

PROGRAM = """
from salus.sim.run import run_seed
for seed in ({seeds}):
    trace = []
    outcome = run_seed(seed, {application!r}, trace=trace)
    print("\\n".join(trace))
    print(outcome)
"""


def _run(application: str, seeds: str, hash_seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    program = PROGRAM.format(seeds=seeds, application=application)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment).stdout


@pytest.mark.parametrize(("application", "seeds"), [("toy", "0, 5, 11, 12"), ("ledger", "3, 4,")])
def test_the_same_seed_gives_the_same_trace(application: str, seeds: str) -> None:
    first = _run(application, seeds, "1")
    second = _run(application, seeds, "2")
    assert first == second
    assert first.count(b"\n") > 1000
    assert b"commit" in first


def test_other_seeds_give_other_traces() -> None:
    assert len({run_seed(seed).trace_hash for seed in range(5)}) == 5


def test_the_hash_stands_for_the_trace() -> None:
    trace: list[str] = []
    assert run_seed(7, trace=trace).trace_hash == run_seed(7).trace_hash
    assert trace
