"""What a transaction costs does not depend on how many came before it, and a node's memory is bounded."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from support import ledger_scale


def test_cost_is_flat_over_a_short_history(tmp_path: Path) -> None:
    report = ledger_scale.run(tmp_path, 6000)
    relative = report["relative"]
    early, late = statistics.median(relative[1:4]), statistics.median(relative[-3:])
    # Room for the noise of a shared machine.
    assert late < 1.6 * early


@pytest.mark.long
@pytest.mark.timeout(900)
def test_cost_is_flat_and_memory_bounded_to_a_hundred_thousand(tmp_path: Path) -> None:
    program = Path(ledger_scale.__file__)
    done = subprocess.run([sys.executable, str(program), str(tmp_path), "100000"], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    costs = report["costs_us"]
    early, late = statistics.median(costs[2:12]), statistics.median(costs[-10:])
    print(f"us a transaction: {early:.0f} early, {late:.0f} late")
    print(f"{report['resident_bytes'] >> 20} MB resident; {report['open_s']:.2f} s to open")
    relative = report["relative"]
    growth = statistics.median(relative[-20:]) / statistics.median(relative[2:22])
    print(f"{growth:.2f} times the cost at the beginning, measured by a yardstick of the same work")
    # The map's paths grow with the logarithm of the state. The 20 % that are promised are of a whole network, where voting
    # and storage of blocks come on top and do not grow; `salus bench consultation` measures that.
    assert growth < 1.35
    assert report["resident_bytes"] < 300 << 20
    assert report["open_s"] < 10
