"""Many seeds, one after the other or in several processes, and what they exercised."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import msgspec

from salus.consensus.pbft.rules import Rules
from salus.sim.checks import Broken
from salus.sim.counts import Counts
from salus.sim.scenario import Scenario, draw
from salus.sim.workload import ToyWorkload, Workload
from salus.sim.world import World

MAX_SEEDS: Final = 10_000_000
CHUNK: Final = 25
"""Seeds handed to a worker at once."""
APPLICATIONS: Final = ("toy", "ledger", "sharing")


class Failure(msgspec.Struct, frozen=True):
    """A seed whose network broke an invariant.

    :ivar replay: the command that runs exactly this again.
    """

    seed: int
    what: str
    replay: str


class Report(msgspec.Struct):
    """What a run of many seeds did.

    :ivar exercised: sums over all seeds of :class:`salus.sim.counts.Counts`.
    """

    first: int
    count: int
    application: str
    seeds_run: int = 0
    seconds: float = 0.0
    exercised: dict[str, int] = msgspec.field(default_factory=dict)
    failures: list[Failure] = msgspec.field(default_factory=list)

    @property
    def seeds_per_second(self) -> float:
        """Speed of the run."""
        return self.seeds_run / self.seconds if self.seconds > 0 else 0.0


class Outcome(msgspec.Struct, frozen=True):
    """One seed: what it exercised, hash of its trace, and what was broken (empty if nothing)."""

    seed: int
    counts: Counts
    trace_hash: str
    broken: str


def make_workload(scenario: Scenario, application: str) -> Workload:
    """The application under simulation, by name."""
    if application == "toy":
        return ToyWorkload(scenario)
    if application == "ledger":
        from salus.sim.ledger_workload import LedgerWorkload

        return LedgerWorkload(scenario)
    if application == "sharing":
        from salus.sim.ledger_workload import SharingWorkload

        return SharingWorkload(scenario)
    raise ValueError(f"there is no application {application!r} to simulate, only {', '.join(APPLICATIONS)}")


def run_seed(seed: int, application: str = "toy", rules: Rules | None = None, trace: list[str] | None = None) -> Outcome:
    """Run one network.

    :param trace: filled with the readable trace.
    """
    scenario = draw(seed)
    workload = make_workload(scenario, application)
    world = World(scenario, workload, rules, keep_trace=trace is not None)
    broken = ""
    try:
        world.run()
    except Broken as found:
        broken = str(found)
    finally:
        workload.close()
    if trace is not None and world.trace is not None:
        trace.extend(world.trace)
    return Outcome(seed, world.counts, world.digest(), broken)


def replay_command(seed: int, application: str) -> str:
    """The one command that runs a seed again."""
    return f"salus sim --seeds 1 --from {seed}" + ("" if application == "toy" else f" --application {application}")


def run_seeds(
    first: int, count: int, jobs: int = 1, application: str = "toy", progress: Callable[[int, int], None] | None = None
) -> Report:
    """Run ``count`` seeds from ``first`` on; stops starting new ones after a failure.

    :param jobs: processes.
    :param progress: called with (seeds done, seeds in all).
    """
    if not 0 < count <= MAX_SEEDS or first < 0 or jobs < 1:
        raise ValueError("a run needs at least one seed, a first seed from 0 on, and one job")
    report = Report(first, count, application)
    began = time.monotonic()
    for outcome in _outcomes(first, count, jobs, application):
        report.seeds_run += 1
        if progress is not None:
            progress(report.seeds_run, count)
        for name, value in msgspec.structs.asdict(outcome.counts).items():
            report.exercised[name] = report.exercised.get(name, 0) + value
        if outcome.broken:
            report.failures.append(Failure(outcome.seed, outcome.broken, replay_command(outcome.seed, application)))
    report.seconds = time.monotonic() - began
    return report


def _outcomes(first: int, count: int, jobs: int, application: str) -> Iterator[Outcome]:
    if jobs == 1:
        for seed in range(first, first + count):
            outcome = run_seed(seed, application)
            yield outcome
            if outcome.broken:
                return
        return
    chunks = [(s, min(CHUNK, first + count - s), application) for s in range(first, first + count, CHUNK)]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for outcomes in pool.map(_run_chunk, chunks):
            yield from outcomes
            if any(o.broken for o in outcomes):
                pool.shutdown(cancel_futures=True)
                return


def _run_chunk(chunk: tuple[int, int, str]) -> list[Outcome]:
    first, count, application = chunk
    outcomes = []
    for seed in range(first, first + count):
        outcomes.append(run_seed(seed, application))
        if outcomes[-1].broken:
            break
    return outcomes
