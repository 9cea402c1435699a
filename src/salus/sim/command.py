"""What ``salus sim`` does: run seeds, show progress, say what was exercised and how to replay a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from salus.sim.run import Report, run_seed, run_seeds

TRACE_LINES: Final = 60
"""Last lines of the trace shown when one failing seed is replayed."""
MUST_HAPPEN: Final = ("view_changes", "crashes", "power_losses", "lost_writes", "partitions", "equivocations_caught")
"""What a run of a few hundred seeds must have exercised to mean anything."""
ENOUGH_SEEDS: Final = 200
"""From this many seeds on, a count of :data:`MUST_HAPPEN` that is zero is a failure of the run."""

Progress = Callable[[int, int], None]


def command(
    seeds: int, first: int = 0, jobs: int = 1, application: str = "toy", progress: Progress | None = None
) -> tuple[int, dict[str, Any], str]:
    """Run the simulator.

    :param seeds: how many.
    :param first: the first seed.
    :param jobs: processes.
    :param application: ``toy``, ``ledger`` or ``sharing``.
    :param progress: called with (seeds done, seeds in all).
    :return: exit status (0, or 1 if an invariant was broken), the object for ``--json``, the text otherwise.
    :raises ValueError: if an argument makes no sense.
    """
    report = run_seeds(first, seeds, jobs, application, progress)
    missing = [name for name in MUST_HAPPEN if not report.exercised.get(name)] if report.seeds_run >= ENOUGH_SEEDS else []
    status = 1 if report.failures or missing else 0
    return status, as_object(report, missing), as_text(report, missing)


def as_object(report: Report, missing: list[str]) -> dict[str, Any]:
    """The report for programs."""
    return {
        "schema": 1,
        "application": report.application,
        "first_seed": report.first,
        "seeds": report.count,
        "seeds_run": report.seeds_run,
        "seconds": round(report.seconds, 3),
        "seeds_per_second": round(report.seeds_per_second, 2),
        "exercised": dict(sorted(report.exercised.items())),
        "not_exercised": missing,
        "failures": [msgspec.structs.asdict(failure) for failure in report.failures],
    }


def as_text(report: Report, missing: list[str]) -> str:
    """The report for people."""
    last = report.first + report.seeds_run - 1
    lines = [
        f"{report.seeds_run} networks over the {report.application} application (seeds {report.first} to {last}), "
        f"{report.seconds:.1f} s, {report.seeds_per_second:.1f} seeds/s"
    ]
    lines += [f"  {name.replace('_', ' '):<22}{value:>12,}" for name, value in report.exercised.items()]
    if missing:
        lines.append(f"never happened, though it should in so many networks: {', '.join(missing).replace('_', ' ')}")
    for failure in report.failures:
        lines += [f"seed {failure.seed} FAILED: {failure.what}", f"  replay it with: {failure.replay}"]
        if report.count == 1:
            lines += last_lines(failure.seed, report.application)
    if not report.failures:
        lines.append("every invariant held after every step")
    return "\n".join(lines)


def last_lines(seed: int, application: str) -> list[str]:
    """The end of a seed's trace."""
    trace: list[str] = []
    run_seed(seed, application, trace=trace)
    return [f"  last {min(len(trace), TRACE_LINES)} of {len(trace)} trace lines:", *(f"  {x}" for x in trace[-TRACE_LINES:])]
