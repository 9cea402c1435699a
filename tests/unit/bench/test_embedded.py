"""The bench of the embedded network: its figures from a run's measurements, and a small real run."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from salus.bench import embedded
from salus.bench.embedded_load import Lone, Measured, Offered, Pair, Plan, Window
from salus.bench.model import Context
from salus.errors import SalusError

PLAN = Plan("home", 2, 1000, 3000, 1000, 3, (100, 200), 1.0)


def window(history: int, wall_us: float) -> Window:
    return Window(history, wall_us, 2 * wall_us, 2, 200.0)


MEASURED = Measured(
    base_mb=60.0,
    history_mb=460.0,
    peak_mb=500.0,
    disk_mb=10.0,
    build_us=400.0,
    lone=(Lone(0, (4.0, 5.0, 6.0), (9.0, 10.0, 11.0)), Lone(3000, (7.0, 8.0, 30.0), (9.0, 10.0, 11.0))),
    windows=(window(2000, 500.0), window(3000, 800.0), window(4000, 900.0)),
    pairs=tuple(Pair(window(1000, short), window(4000, long)) for short, long in ((500, 550), (1000, 1300), (700, 770))),
    offered=(Offered(100, 99.0, (1.0, 2.0, 3.0)), Offered(200, 150.0, (5.0, 500.0))),
)


def verdicts(measured: Measured) -> dict[str, tuple[float, bool]]:
    return {t.name.partition(": ")[2].split()[0]: (t.value, t.met) for t in embedded.targets(PLAN, measured)}


def test_targets_are_medians_of_what_was_measured():
    found = verdicts(MEASURED)
    assert found["consultation"] == (1e6 / 800.0, True)
    assert found["a"] == (8.0, True)
    assert found["cost"] == (pytest.approx(1.1), True)
    assert found["memory"] == (160.0, True)


def test_each_target_can_be_missed():
    slow = replace(MEASURED, windows=tuple(replace(w, wall_us=1001.0) for w in MEASURED.windows))
    assert verdicts(slow)["consultation"][1] is False
    late = replace(MEASURED, lone=(MEASURED.lone[0], Lone(3000, (15.1, 15.1, 1.0), (1.0,))))
    assert verdicts(late)["a"] == (15.1, False)
    rising = replace(
        MEASURED, pairs=tuple(replace(p, long=replace(p.short, wall_us=1.21 * p.short.wall_us)) for p in MEASURED.pairs)
    )
    assert verdicts(rising)["cost"][1] is False
    fat = replace(MEASURED, history_mb=1100.0)
    assert verdicts(fat)["memory"] == (320.0, False)


def test_tables_and_plots_hold_the_run():
    part = embedded.part_of(PLAN, MEASURED, 0.2)
    sections = {section.key: section for section in part.sections}
    assert [row[0] for row in sections["embedded-load"].rows] == [100, 200]
    assert sections["embedded-load"].rows[1][2:] == (500.0, 500.0, 500.0)
    assert [row[0] for row in sections["embedded-history"].rows] == [2000, 3000, 4000]
    assert len(sections["embedded-flat"].rows) == 3
    assert ("transactions of one block, kept busy", 500.0, "mean") in sections["embedded"].rows
    for plot in part.plots:
        assert all(len(values) == len(plot.x) for _, values in plot.series)


def test_a_small_run_in_a_process_of_its_own(tmp_path):
    context = Context(quick=True, random=os.urandom, work=tmp_path)
    part = embedded.embedded_network(context)
    assert len(part.targets) == 4
    assert all(target.value > 0 for target in part.targets)
    history = next(section for section in part.sections if section.key == "embedded-history")
    assert history.rows[-1][0] == embedded.QUICK_PLAN.history
    assert not (tmp_path / "sync").exists()


def test_a_run_that_fails_says_why(tmp_path):
    (tmp_path / "taken").write_text("a file where the home should be")
    plan = replace(embedded.QUICK_PLAN, home=str(tmp_path / "taken"))
    with pytest.raises(SalusError, match=r"the bench of the embedded network failed: .*taken"):
        embedded.run_plan(plan, tmp_path)
