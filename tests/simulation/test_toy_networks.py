"""Networks over the toy application: a few hundred seeds each time, thousands on demand."""

from __future__ import annotations

import os

import pytest

from salus.sim.command import MUST_HAPPEN, command
from salus.sim.run import Report, run_seeds

SEEDS = 240


def _check(report: Report) -> None:
    assert not report.failures, "\n".join(f"{f.what}\nreplay: {f.replay}" for f in report.failures)
    assert report.seeds_run == report.count


@pytest.fixture(scope="module")
def report() -> Report:
    return run_seeds(0, SEEDS, jobs=2)


def test_every_invariant_holds(report: Report) -> None:
    _check(report)


@pytest.mark.parametrize("what", MUST_HAPPEN)
def test_what_must_be_exercised_was(report: Report, what: str) -> None:
    assert report.exercised[what] > 0


@pytest.mark.parametrize("what", ["snapshots_restored", "catch_ups", "set_changes", "torn_logs", "disk_errors", "clock_refusals"])
def test_rarer_things_were_exercised_too(report: Report, what: str) -> None:
    assert report.exercised[what] > 0


@pytest.mark.long
def test_thousands_of_seeds() -> None:
    _check(run_seeds(10_000, int(os.environ.get("SIM_SEEDS", "5000")), jobs=2))


def test_the_command_says_what_was_exercised() -> None:
    seen: list[tuple[int, int]] = []
    status, value, text = command(6, first=3, progress=lambda done, total: seen.append((done, total)))
    assert status == 0
    assert seen == [(i, 6) for i in range(1, 7)]
    assert (value["first_seed"], value["seeds_run"], value["failures"]) == (3, 6, [])
    assert "6 networks over the toy application (seeds 3 to 8)" in text
    assert "every invariant held after every step" in text
    assert value["exercised"]["view_changes"] > 0


def test_senseless_arguments_are_refused() -> None:
    for arguments in ({"seeds": 0}, {"seeds": 1, "first": -1}, {"seeds": 1, "jobs": 0}):
        with pytest.raises(ValueError, match="at least one seed"):
            command(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no application"):
        command(1, application="other")
