"""Batches of segments, worked on by all cores and delivered in order; memory for a few batches, however many there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from salus import _native

THREADS_MAX: Final = 4
"""Cipher and hash do some 3 GB/s on one core: four outrun any disk or network, and bound the batches in flight."""
ALONE: Final = 8
"""Batches that the calling thread does before it asks others for help: starting a thread costs as much as two of them."""

T = TypeVar("T")
R = TypeVar("R")


def in_order(jobs: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """``work`` of every job, in the order of jobs. The calling thread draws them, a few ahead of what it delivers, and works too.

    It works alone on the first :data:`ALONE`, and on all if the extension was told to use one thread (``_native.set_threads``).
    ``work`` is worth a thread if it spends its time without the interpreter's lock.

    :raises Exception: what ``work`` or the drawing of jobs raises; nothing is left running.
    """
    source = iter(jobs)
    for job in islice(source, ALONE):
        yield work(job)
    helpers = min(_native.threads(), THREADS_MAX) - 1
    if helpers < 1:
        for job in source:
            yield work(job)
        return
    for job in source:  # at least one more: now help is worth its start
        with ThreadPoolExecutor(helpers, "salus-segments") as pool:
            yield from _helped(pool, helpers, job, source, work)


def _helped(pool: ThreadPoolExecutor, helpers: int, job: T | None, source: Iterator[T], work: Callable[[T], R]) -> Iterator[R]:
    """Two jobs wait for each helper, so that none idles while this thread works; what is done in front is delivered at once."""
    running: deque[Future[R]] = deque()
    try:
        while job is not None or running:
            while running and (job is None or running[0].done() or len(running) > 3 * helpers):
                yield running.popleft().result()
            if job is None:
                continue
            if sum(not future.done() for future in running) < 2 * helpers:
                running.append(pool.submit(work, job))
            else:
                running.append(_done(work, job))
            job = next(source, None)
    finally:
        for future in running:
            future.cancel()


def _done(work: Callable[[T], R], job: T) -> Future[R]:
    future: Future[R] = Future()
    try:
        future.set_result(work(job))
    except Exception as error:  # noqa: BLE001 - delivered in its turn
        future.set_exception(error)
    return future
