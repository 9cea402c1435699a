"""A long history for one application on disk: what a transaction costs as it grows, and what memory the process takes.

``python tests/support/ledger_scale.py DIRECTORY TRANSACTIONS`` prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from salus.ledger.application import LedgerApplication
from salus.ledger.apply import apply_block
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.storage.sqlite import SqliteStore
from salus.node.admission import Admission
from support.ledger_world import Chain, Doctor, LedgerWorld

BATCH = 250


class Forgetful(list[tuple[bytes, bytes]]):
    """Records that nobody needs."""

    def append(self, _record: tuple[bytes, bytes]) -> None:
        return


class Yardstick:
    """The same work every time, of the same sort as the application's: what a busy machine slows down, it slows down too."""

    def __init__(self) -> None:
        world = LedgerWorld("yardstick")
        self._chain = world.chain()
        self._block = self._chain.input([world.doctor(f"hospital-0/dr-{i}")[0] for i in range(20)])

    def measure(self) -> float:
        """Processor microseconds of one round."""
        start = time.process_time()
        for _ in range(3):
            apply_block(REGISTRY, self._chain.application.view(), self._block)
        return (time.process_time() - start) * 1e6


class History:
    """Consultations, batch after batch; only the application's own work is timed."""

    def __init__(self, directory: Path) -> None:
        self.world = LedgerWorld("history")
        self.directory = directory
        secrets = Admission(self.world.domain, self.world.secrets())
        self.chain: Chain = self.world.chain(SqliteStore.open_or_create(directory), secrets=secrets)
        self.chain.records = Forgetful()
        self.doctor: Doctor = self.chain.ready(0)
        self.transactions = 0

    def grow(self) -> tuple[float, float]:
        """One batch of requests and their replies; (processor microseconds a transaction, longest block in ms)."""
        world, chain, doctor = self.world, self.chain, self.doctor
        chain.decide([world.slots(doctor, self.transactions // 2, BATCH)])
        requests = [world.request(doctor, sn, time_ms=chain.time_ms)[0] for sn in list(doctor.slots)]
        replies = [world.reply(doctor, request, chain.time_ms).encode() for request in requests]
        doctor.slots.clear()
        spent, longest = 0.0, 0.0
        for batch in ([r.encode() for r in requests], replies):
            processor, clock = time.process_time(), time.perf_counter()
            results = chain.application.check_transactions(batch, chain.time_ms + 1000)
            assert all(r.accepted for r in results)
            chain.decide(batch)
            spent += time.process_time() - processor
            longest = max(longest, time.perf_counter() - clock)
        self.transactions += 2 * BATCH
        return spent / (2 * BATCH) * 1e6, longest * 1e3

    def reopen(self) -> float:
        """Close and open; seconds."""
        self.chain.application.close()
        start = time.perf_counter()
        self.chain.application = LedgerApplication.open(self.directory, self.world.genesis)
        return time.perf_counter() - start


def run(directory: Path, transactions: int) -> dict[str, Any]:
    """Grow a history to so many transactions."""
    history = History(directory)
    yardstick = Yardstick()
    costs, relative, longest = [], [], 0.0
    while history.transactions < transactions:
        before = yardstick.measure()
        cost, block_ms = history.grow()
        costs.append(cost)
        relative.append(2 * cost / (before + yardstick.measure()))
        longest = max(longest, block_ms)
    resident = psutil.Process().memory_info().rss
    return {
        "costs_us": costs,
        "relative": relative,
        "longest_block_ms": longest,
        "resident_bytes": resident,
        "open_s": history.reopen(),
    }


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))
