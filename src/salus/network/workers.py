"""Replicas of one process work at the same time: while one waits for its disk, the others go on, and the disk sees them together.

Every replica waits for an fsync before each of its votes. One after the other they would wait four times for what a file
system does at once. Nothing is shared between them: a replica has its own ledger, votes and outbox, and one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from salus.consensus.pbft.runner import ReplicaRunner

THREADS_MAX: Final = 8
"""More find no more cores, and the file system joins no more of them."""


class Workers:
    """Threads for the replicas of one network; started when they are first needed."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    def work(self, replicas: Sequence[ReplicaRunner]) -> None:
        """Let each do everything that it has to do now; back when all have.

        :raises SalusError: of the first that failed; the others have finished all the same.
        """
        if len(replicas) < 2:
            for replica in replicas:
                replica.work()
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS_MAX, "replica")
        started: list[Future[None]] = []
        try:
            for replica in replicas:
                started.append(self._threads.submit(replica.work))
        finally:
            wait(started)  # after Ctrl-C too: nobody closes a ledger under a replica that writes to it
        for future in started:
            future.result()

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()
