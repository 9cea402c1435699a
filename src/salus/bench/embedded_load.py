"""An embedded network under load, in a process of its own: ``python -m salus.bench.embedded_load PLAN RESULT``.

The process holds four replicas, cloud and centre as any embedded network does, and nothing else: requests are read from
files as they are sent. It writes one :class:`Measured` as JSON; logs go to where they go.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from salus.bench.embedded_requests import build_requests, open_slots, read_requests, register_doctors
from salus.consensus.block import transaction_hash
from salus.errors import ConsensusError
from salus.ledger.committed import CommittedBlock
from salus.ledger.node_api import COMMITTED, SUBMIT, SUBMIT_MAX, Submission, Submit
from salus.network.embedded import EmbeddedNetwork
from salus.network.memory import collect_rarely
from salus.terminal.sealed import Argon2Cost

CHEAP: Final = Argon2Cost(memory_kib=8 * 1024, iterations=1, lanes=1)
"""The institutions' wallets are thrown away with the network."""
BATCH: Final = 256
"""Transactions of one call while the network is kept busy."""
OUTSTANDING: Final = 1024
"""Transactions on their way while the network is kept busy: the block in flight, and the next."""

IDLE_S: Final = 0.0002
MB: Final = 1_000_000


class Plan(msgspec.Struct, frozen=True):
    """What to measure.

    :ivar home: directory of the networks. :ivar lone: lone transactions, at the start and after the history.
    :ivar start: transactions before anything is measured. :ivar history: transactions of history to reach.
    :ivar window: transactions of one window. :ivar pairs: windows compared between a short and the long history.
    :ivar rates: offered loads, transactions a second. :ivar seconds: of each.
    """

    home: str
    lone: int
    start: int
    history: int
    window: int
    pairs: int
    rates: tuple[int, ...]
    seconds: float

    @property
    def long_requests(self) -> int:
        """Requests for the network of the long history."""
        offered = sum(int(rate * self.seconds) for rate in self.rates)
        return self.history + 2 * self.lone + self.pairs * self.window + offered

    @property
    def short_requests(self) -> int:
        """Requests for the network of the short history."""
        return self.start + self.pairs * self.window


class Window(msgspec.Struct, frozen=True):
    """A stretch of history, the network kept busy.

    :ivar history: transactions committed at its end. :ivar wall_us, cpu_us: of one transaction; CPU of all threads and replicas.
    :ivar blocks: decided meanwhile. :ivar resident_mb: memory of the whole process at its end.
    """

    history: int
    wall_us: float
    cpu_us: float
    blocks: int
    resident_mb: float


class Offered(msgspec.Struct, frozen=True):
    """One offered load.

    :ivar rate: transactions offered a second. :ivar reached: committed a second, from the first arrival to the last commit.
    :ivar latencies_ms: from each arrival to its commit on the node it was given to.
    """

    rate: int
    reached: float
    latencies_ms: tuple[float, ...]


class Lone(msgspec.Struct, frozen=True):
    """Lone transactions, each alone in the network.

    :ivar history: transactions in front of the first. :ivar committed_ms: until the own node's commit is durable.
    :ivar proven_ms: until the client has verified the proof of inclusion under a certified header.
    """

    history: int
    committed_ms: tuple[float, ...]
    proven_ms: tuple[float, ...]


class Pair(msgspec.Struct, frozen=True):
    """Two windows, one right after the other: in a network with a short history, and in the one with the long history."""

    short: Window
    long: Window


class Measured(msgspec.Struct, frozen=True):
    """Everything that one run measured. Memory in megabytes of 10^6 bytes.

    :ivar base_mb: memory of the process before it opened a network: Python and the libraries.
    :ivar history_mb: at the end of the history, with all parties. :ivar peak_mb: the most until then.
    :ivar disk_mb: of one node, at the end of the history.
    :ivar build_us: of making one request beforehand, on all cores.
    """

    base_mb: float
    history_mb: float
    peak_mb: float
    disk_mb: float
    build_us: float
    lone: tuple[Lone, ...]
    windows: tuple[Window, ...]
    pairs: tuple[Pair, ...]
    offered: tuple[Offered, ...]


class Load:
    """Sends requests into a network and notes when they are committed.

    :ivar committed: requests committed on the nodes they were given to.
    """

    def __init__(self, network: EmbeddedNetwork, requests: Iterator[bytes]) -> None:
        self._network = network
        self._requests = requests
        self._waiting: list[dict[bytes, float]] = [{} for _ in network.nodes]
        self._latencies_ms: list[float] = []
        self._turns = 0
        self.committed = 0
        for number, node in enumerate(network.nodes):
            node.application.listen(partial(self._note, number))

    def _note(self, node: int, block: CommittedBlock) -> None:
        """A node has committed a block, durably: what it was asked to carry has its latency now."""
        now, waiting = time.perf_counter(), self._waiting[node]
        for tx_hash in block.applied.transaction_hashes:
            since = waiting.pop(tx_hash, None)
            if since is not None:
                self._latencies_ms.append((now - since) * 1000)
                self.committed += 1

    @property
    def _outstanding(self) -> int:
        return sum(map(len, self._waiting))

    def _send(self, batch: Sequence[bytes], since: float, spread: float = 0.0) -> None:
        """Give the next requests to the next node in turn; ``since`` the first arrived, and one each ``spread`` seconds."""
        place = self._turns % len(self._waiting)
        self._turns += 1
        for number, request in enumerate(batch):
            self._waiting[place][transaction_hash(request)] = since + number * spread
        call = Submit(tuple(batch)).encode()
        for answer in Submission.decode(self._network.local.call(self._network.nodes[place].name, SUBMIT, call)).answers:
            if answer.reason is not None:
                raise ConsensusError(f"a request of the bench was refused: {answer.reason} {answer.detail}")

    def _ready(self, count: int) -> list[bytes]:
        """The next requests, in memory: reading them is not the network's work."""
        return list(islice(self._requests, count))

    def carry(self, count: int) -> None:
        """Carry ``count`` requests to their commit on all nodes, keeping the network busy."""
        self._carry(self._ready(count))

    def _carry(self, requests: Sequence[bytes]) -> None:
        sent = 0
        while sent < len(requests) or self._outstanding:
            if sent < len(requests) and self._outstanding < OUTSTANDING:
                self._send(requests[sent : sent + BATCH], time.perf_counter())
                sent += BATCH
            self._network.turn()
        self._network.settle()

    def window(self, count: int) -> Window:
        """Carry ``count`` requests and say what one cost."""
        batch = self._ready(count)
        wall, cpu, height = time.perf_counter(), time.process_time(), self._height
        self._carry(batch)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return Window(self.committed, wall / count * 1e6, cpu / count * 1e6, self._height - height, resident_mb())

    @property
    def _height(self) -> int:
        return self._network.nodes[0].runner.height

    def offer(self, rate: int, seconds: float) -> Offered:
        """Let requests arrive evenly at ``rate``, whatever becomes of those before; wait for the last commit."""
        self._latencies_ms.clear()
        requests = self._ready(int(rate * seconds))
        start, sent, count = time.perf_counter(), 0, len(requests)
        while sent < count or self._outstanding:
            due = min(count, int((time.perf_counter() - start) * rate) + 1, sent + SUBMIT_MAX)
            if due > sent:
                self._send(requests[sent:due], start + sent / rate, 1 / rate)
                sent = due
            if not self._network.turn():
                time.sleep(IDLE_S)
        elapsed = time.perf_counter() - start
        self._network.settle()
        return Offered(rate, count / elapsed, tuple(self._latencies_ms))

    def lone(self, count: int) -> Lone:
        """Send single requests through a client, each when the one before is proven and the network rests."""
        history, client = self.committed, self._network.client()
        self._latencies_ms.clear()
        proven: list[float] = []
        for request in islice(self._requests, count):
            start = time.perf_counter()
            self._waiting[0][transaction_hash(request)] = start
            client.submit(request)
            proven.append((time.perf_counter() - start) * 1000)
        return Lone(history, tuple(self._latencies_ms), tuple(proven))


def resident_mb() -> float:
    """Resident memory of this process, as the system counts it."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def peak_resident_mb() -> float:
    """Peak resident memory of this program so far; ``ru_maxrss`` would count what its parent used before ``exec``."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MB


@contextmanager
def loaded(directory: Path, count: int) -> Iterator[tuple[EmbeddedNetwork, Load, float]]:
    """A new network with doctors and open slots, ``count`` requests to carry, and how long one took to make (microseconds)."""
    with EmbeddedNetwork.create(directory / "network", b"bench", cost=CHEAP) as network:
        doctors, registrations = register_doctors(network, os.urandom)
        _committed(network, registrations)
        slots, publications = open_slots(network.genesis.network(), doctors, count, network.client().time_ms, os.urandom)
        for first in range(0, len(publications), len(doctors)):
            # A doctor's next slots are accepted when those before them are committed.
            _committed(network, publications[first : first + len(doctors)])
        start = time.perf_counter()
        files = build_requests(network, doctors, slots, directory / "requests")
        build_us = (time.perf_counter() - start) / count * 1e6
        del slots, publications
        yield network, Load(network, read_requests(files)), build_us


def measure(plan: Plan) -> Measured:
    """Found the networks, make the requests, and measure."""
    home, base_mb = Path(plan.home), resident_mb()
    with loaded(home / "long", plan.long_requests) as (network, load, build_us):
        lone = [load.lone(plan.lone)]
        load.carry(max(0, plan.start - load.committed))
        windows = []
        while load.committed < plan.history:
            windows.append(load.window(min(plan.window, plan.history - load.committed)))
        history_mb = resident_mb()
        peak_mb = peak_resident_mb()
        disk_mb = sum(f.stat().st_size for f in network.home.nodes()[0].rglob("*") if f.is_file()) / MB
        lone.append(load.lone(plan.lone))
        pairs = []
        with loaded(home / "short", plan.short_requests) as (_, short, _):
            short.carry(plan.start)
            for number in range(plan.pairs):
                # In turns, and either goes first: whatever else the machine does slows both alike.
                first, second = (short, load) if number % 2 else (load, short)
                found = {id(which): which.window(plan.window) for which in (first, second)}
                pairs.append(Pair(found[id(short)], found[id(load)]))
        offered = [load.offer(rate, plan.seconds) for rate in plan.rates]
    return Measured(base_mb, history_mb, peak_mb, disk_mb, build_us, tuple(lone), tuple(windows), tuple(pairs), tuple(offered))


def _committed(network: EmbeddedNetwork, transactions: list[bytes]) -> None:
    for outcome in network.submit_many(transactions):
        if outcome.state != COMMITTED:
            raise ConsensusError(f"the bench's own set-up was refused: {outcome.reason} {outcome.detail}")


def main() -> None:
    """Carry out the plan in the first file named on the command line, and write what was measured to the second."""
    collect_rarely()
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(measure(plan)))


if __name__ == "__main__":
    main()
