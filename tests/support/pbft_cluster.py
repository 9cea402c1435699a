"""A handful of replicas over the toy application whose clock, disks and messages a test holds in its hands."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from salus.consensus.block import Block, Validator, ValidatorSet
from salus.consensus.pbft.crypto import Verifier
from salus.consensus.pbft.durable import VoteLog
from salus.consensus.pbft.events import Action, Committed, Complaint
from salus.consensus.pbft.messages import Signed, decode_message, signed
from salus.consensus.pbft.rules import Rules
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.state import Config, State
from salus.sim.disk import SimDisk
from salus.sim.signing import FastScheme
from salus.sim.toy import ToyApplication, ToyTransaction

NETWORK = b"n" * 32
GENESIS_ID = b"g" * 32
START_MS = 1_700_000_000_000


def put(key: str, value: bytes = b"", sealed: int = 1) -> bytes:
    """A toy transaction."""
    return ToyTransaction(key.encode(), value, sealed, ()).encode()


class Cluster:
    """Replicas ``node-0`` .. and the messages between them.

    :param count: how many run. :param seats: how many of them have a seat at the start (all by default).
    :ivar wire: messages on their way: (from, to, bytes).
    :ivar news: what each replica reported.
    """

    def __init__(
        self, count: int = 4, seats: int | None = None, keep_blocks: int | None = None, rules: Rules | None = None, **config: Any
    ) -> None:
        scheme = FastScheme()
        self.signers = [scheme.signer(bytes([i]) * 32) for i in range(count)]
        self.names = [f"node-{i}" for i in range(count)]
        everyone = tuple(Validator(name, s.public_key) for name, s in zip(self.names, self.signers, strict=True))
        self.validators = ValidatorSet(everyone[: seats or count])
        self.config = {"peers": everyone, "timeout_ms": 1000, "resend_ms": 200, "status_ms": 500, **config}
        self.verifier = Verifier(scheme.check)
        self.rules = rules or Rules()
        self.now = START_MS
        self.skew = [0] * count
        self.disks = [SimDisk(Random(i)) for i in range(count)]
        self.keep_blocks = keep_blocks
        self.upgrade_at: list[int | None] = [None] * count
        self.news: list[list[Action]] = [[] for _ in range(count)]
        self.wire: list[tuple[int, int, bytes]] = []
        self.sent: list[tuple[int, Signed]] = []
        self.runners: list[ReplicaRunner | None] = [None] * count
        self.applications: list[ToyApplication] = []
        for i in range(count):
            self.applications.append(self._application(i))
            self.start(i)

    # --- replicas ---

    def _application(self, i: int) -> ToyApplication:
        return ToyApplication(self.disks[i], self.keep_blocks, self.upgrade_at[i], START_MS - 1)

    def start(self, i: int) -> ReplicaRunner:
        """(Re)start a replica from its disk."""
        self.applications[i] = self._application(i)
        config = Config(NETWORK, self.names[i], GENESIS_ID, self.validators, **self.config)
        runner = ReplicaRunner(
            config, self.signers[i], self.applications[i], VoteLog(self.disks[i]), lambda: self.now + self.skew[i],
            self.verifier, self.rules, self.news[i].append,
        )  # fmt: skip
        self.runners[i] = runner
        self.collect(i)
        return runner

    def stop(self, i: int, *, power: bool = False) -> None:
        """Kill a replica; with ``power`` what it did not sync is lost."""
        self.runners[i] = None
        if power:
            self.disks[i].lose_power()

    def runner(self, i: int) -> ReplicaRunner:
        """A running replica."""
        runner = self.runners[i]
        assert runner is not None
        return runner

    def state(self, i: int) -> State:
        """Its state."""
        return self.runner(i).state

    # --- messages ---

    def collect(self, i: int) -> None:
        """Put what a replica sent on the wire."""
        runner = self.runners[i]
        while runner is not None and runner.outbox:
            to, data = runner.outbox.popleft()
            self.sent.append((i, decode_message(data)))
            targets = [self.names.index(to)] if to is not None else [j for j in range(len(self.runners)) if j != i]
            self.wire += [(i, j, data) for j in targets]

    def work(self, i: int) -> None:
        """Let one replica work."""
        runner = self.runners[i]
        if runner is not None:
            runner.work()
            self.collect(i)

    def deliver(self, i: int, *messages: bytes) -> None:
        """Hand messages to a replica and let it work."""
        for data in messages:
            self.runner(i).deliver(data)
        self.work(i)

    def pump(self, passes: Callable[[int, int, Signed], bool] = lambda a, b, m: True, limit: int = 5000) -> None:
        """Carry messages that ``passes(from, to, message)`` lets through, drop the others, until none are left."""
        for i in range(len(self.runners)):
            self.work(i)
        for _ in range(limit):
            if not self.wire:
                return
            source, target, data = self.wire.pop(0)
            if self.runners[target] is not None and passes(source, target, decode_message(data)):
                self.deliver(target, data)
        raise AssertionError("the replicas never come to rest")

    def wait(self, ms: int, passes: Callable[[int, int, Signed], bool] = lambda a, b, m: True, step_ms: int = 50) -> None:
        """Let time pass in steps."""
        for _ in range(max(1, ms // step_ms)):
            self.now += step_ms
            self.pump(passes)

    def submit(self, i: int, *transactions: bytes) -> None:
        """A client's transactions, with nothing carried yet."""
        self.runner(i).submit(transactions)
        self.work(i)

    def sign(self, i: int, message: Signed) -> bytes:
        """A message with the signature of replica ``i``: what a liar could send."""
        return signed(message, NETWORK, self.signers[i]).encode()

    # --- what happened ---

    def heights(self) -> list[int]:
        """Committed heights of the running replicas."""
        return [r.height for r in self.runners if r is not None]

    def block(self, height: int, i: int = 0) -> Block:
        """A committed block."""
        record = self.applications[i].block_record(height)
        assert record is not None
        return Block.decode(record[0])

    def heard(self, i: int, kind: type) -> list[Any]:
        """News of one kind."""
        return [n for n in self.news[i] if isinstance(n, kind)]

    def complaints(self, i: int) -> list[str]:
        """Reasons of complaints."""
        return [c.reason for c in self.heard(i, Complaint)]

    def committed(self, i: int) -> list[int]:
        """Heights in the order they were reported."""
        return [c.height for c in self.heard(i, Committed)]

    def of_kind(self, kind: type, source: int | None = None) -> list[Any]:
        """Messages sent so far."""
        return [m for s, m in self.sent if isinstance(m, kind) and source in (None, s)]


def only(*nodes: int) -> Callable[[int, int, Signed], bool]:
    """A filter for :meth:`Cluster.pump`: messages between these replicas."""
    return lambda a, b, m: a in nodes and b in nodes


def without(*kinds: type) -> Callable[[int, int, Signed], bool]:
    """A filter: no messages of these kinds."""
    return lambda a, b, m: not isinstance(m, kinds)
