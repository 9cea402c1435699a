"""How the bench takes times. The garbage collector rests while a clock runs: how much it finds depends on what else ran."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

RUNS: Final = tuple(range(10, 101, 10))
"""Table 2 of the paper runs each operation 10, 20, .. and 100 times."""
QUICK_RUNS: Final = (2, 4)
_REPEATS: Final = 3

T = TypeVar("T")


def average_ms(operation: Callable[[], object], *, quick: bool = False) -> float:
    """Time of one operation by Table 2's averaging: ``t_avg = (t_10 + t_20 + .. + t_100) / (10 + 20 + .. + 100)``.

    The whole series is run three times and the smallest average kept, because a shared machine only ever adds time.

    :param quick: a series of 2 and 4 runs, once.
    :returns: milliseconds.
    """
    runs = QUICK_RUNS if quick else RUNS
    operation()
    averages = []
    with _no_collection():
        for _ in range(1 if quick else _REPEATS):
            total_ns = 0
            for count in runs:
                start = time.perf_counter_ns()
                for _ in range(count):
                    operation()
                total_ns += time.perf_counter_ns() - start
            averages.append(total_ns / sum(runs) / 1e6)
    return min(averages)


def median_ms(operation: Callable[[], object], repeats: int) -> float:
    """Median time of single runs, in milliseconds; the first run warms up and is not counted."""
    operation()
    times = []
    with _no_collection():
        for _ in range(repeats):
            start = time.perf_counter_ns()
            operation()
            times.append((time.perf_counter_ns() - start) / 1e6)
    return statistics.median(times)


def best_ms(operation: Callable[[], object], repeats: int) -> float:
    """Smallest time of ``repeats`` single runs, in milliseconds; the first run warms up and is not counted."""
    return best_of_fresh_ms(lambda: None, lambda _: operation(), repeats)


def best_of_fresh_ms(prepare: Callable[[], T], operation: Callable[[T], object], repeats: int) -> float:
    """As :func:`best_ms`, on an argument made anew, outside the time taken, for each run."""
    operation(prepare())
    best = float("inf")
    with _no_collection():
        for _ in range(repeats):
            argument = prepare()
            start = time.perf_counter_ns()
            operation(argument)
            best = min(best, time.perf_counter_ns() - start)
    return best / 1e6


@contextmanager
def _no_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
