"""All replicas of an embedded network in one process, each with its own storage and application.

Replicas share nothing but the bytes they send. The driver is a pump: it lets every replica that has something to do
work, and carries what it sent; while a caller waits for its transaction, all replicas work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from salus.consensus.interface import CheckResult
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.words import Progress, Words
from salus.errors import ConsensusError, Refused

DEFAULT_WAIT_MS: Final = 30_000
"""How long a caller waits for its transactions: several view changes."""
MAX_SLEEP_MS: Final = 50
"""The pump looks at the clock at least this often."""


class Driver:
    """The pump.

    :param runners: the replicas by name.
    :param now_ms: the clock, UTC milliseconds.
    :param monotonic_ms: for time limits; never jumps.
    :param sleep_ms: waits when no replica has anything to do.
    """

    def __init__(
        self,
        runners: Mapping[str, ReplicaRunner],
        now_ms: Callable[[], int],
        monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
        sleep_ms: Callable[[int], None] = lambda ms: time.sleep(ms / 1000),
    ) -> None:
        self.runners = dict(runners)
        self.words = {name: Words(runner) for name, runner in self.runners.items()}
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms
        self._sleep_ms = sleep_ms
        for runner in self.runners.values():
            self._carry(runner)

    # --- for the node ---

    def submit(self, node: str, transactions: Sequence[bytes]) -> list[CheckResult]:
        """Hand transactions to ``node``; returns what its pool said of each, as soon as it did.

        :raises ConsensusError: if that node has stopped.
        """
        if not transactions:
            return []
        words = self.words[node]
        request = self.runners[node].submit(transactions)
        self.run(lambda: request in words.answers or bool(words.runner.error), DEFAULT_WAIT_MS)
        answer = words.answers.pop(request, None)
        if answer is None:
            raise ConsensusError(f"{node} has stopped: {words.runner.error or 'no answer'}")
        return list(answer)

    def wait_committed(self, node: str, tx_hashes: Iterable[bytes], timeout_ms: int = DEFAULT_WAIT_MS) -> list[Progress]:
        """Work until each transaction is committed on ``node`` or refused there.

        :raises Refused: ``clock`` if the replicas cannot go on because clock and ledger disagree.
        :raises ConsensusError: if that takes longer than ``timeout_ms``; says why, as far as the replicas know.
        """
        words = self.words[node]
        waiting = [words.follow(tx_hash) for tx_hash in tx_hashes]
        pending = list(waiting)

        def done() -> bool:
            pending[:] = [p for p in pending if not p.height and not p.reason]
            return not pending

        return self._wait(node, done, waiting, timeout_ms, "committed")

    def wait_accepted(self, node: str, tx_hashes: Iterable[bytes], timeout_ms: int = DEFAULT_WAIT_MS) -> list[Progress]:
        """Work until f + 1 seats hold each transaction in their pools, or it is committed, or refused; raises as above."""
        words = self.words[node]
        waiting = [words.follow(tx_hash) for tx_hash in tx_hashes]
        return self._wait(node, lambda: all(p.accepted or p.height or p.reason for p in waiting), waiting, timeout_ms, "accepted")

    def wait_proven(self, node: str, tx_hashes: Iterable[bytes], timeout_ms: int = DEFAULT_WAIT_MS) -> list[Progress]:
        """Work until a certified header carries the state after each transaction's block; raises as above."""
        words = self.words[node]
        waiting = [words.follow(tx_hash) for tx_hash in tx_hashes]
        return self._wait(node, lambda: all(words.proven(p.tx_hash) or p.reason for p in waiting), waiting, timeout_ms, "proven")

    def commit(self, node: str, transactions: Sequence[bytes], timeout_ms: int = DEFAULT_WAIT_MS) -> list[Progress]:
        """Submit and wait; what the pool refuses is not waited for."""
        results = self.submit(node, transactions)
        return self.wait_committed(node, [r.tx_hash for r in results], timeout_ms)

    def settle(self, timeout_ms: int = DEFAULT_WAIT_MS) -> None:
        """Work until every running replica has the same height and none has anything left to do."""

        def quiet() -> bool:
            running = [r for r in self.runners.values() if not r.error]
            same = len({r.height for r in running}) <= 1
            return same and not any(r.busy or r.state.pool or r.state.last.proof_due or r.state.deciding for r in running)

        if not self.run(quiet, timeout_ms):
            self._fail(f"the replicas did not settle within {timeout_ms} ms")

    # --- the pump ---

    def run(self, until: Callable[[], bool], timeout_ms: int) -> bool:
        """Work until ``until`` holds; returns False if it does not within ``timeout_ms``."""
        give_up = self._monotonic_ms() + timeout_ms
        while not until():
            if self.turn():
                continue
            if self._monotonic_ms() >= give_up or all(r.error for r in self.runners.values()):
                return False
            now = self._now_ms()
            due = min((r.timer_ms for r in self.runners.values() if not r.error), default=now)
            self._sleep_ms(max(1, min(due - now, MAX_SLEEP_MS)))
        return True

    def turn(self) -> bool:
        """Let every replica that has something to do work once; False if none had."""
        worked = False
        for runner in self.runners.values():
            if runner.busy or runner.due(self._now_ms()):
                runner.work()
                worked = True
                self._carry(runner)
        return worked

    def _carry(self, runner: ReplicaRunner) -> None:
        while runner.outbox:
            to, data = runner.outbox.popleft()
            if to is None:
                for other in self.runners.values():
                    if other is not runner:
                        other.deliver(data)
            elif to in self.runners:
                self.runners[to].deliver(data)

    def _wait(self, node: str, done: Callable[[], bool], waiting: list[Progress], timeout_ms: int, word: str) -> list[Progress]:
        stopped = self.runners[node]
        if not self.run(lambda: done() or bool(stopped.error), timeout_ms) or stopped.error:
            if stopped.error and done():
                return waiting
            self._fail(f"not {word} by {node} within {timeout_ms} ms")
        return waiting

    def _fail(self, what: str) -> None:
        """Raise, with what the replicas know about why."""
        clock = [c.detail for w in self.words.values() for c in w.complaints if c.reason == "clock"]
        stopped = [f"{name} has stopped: {r.error}" for name, r in self.runners.items() if r.error]
        if clock and not stopped:
            raise Refused("clock", clock[-1])
        complaints = [f"{name}: {w.complaints[-1].detail}" for name, w in self.words.items() if w.complaints]
        raise ConsensusError("; ".join([what, *stopped, *complaints[:4]]))
