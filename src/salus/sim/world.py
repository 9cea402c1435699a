"""One simulated network: virtual time, messages, crashes; every step deterministic.

Everything that happens is an entry of one queue, ordered by virtual time and then by the order of planning. All chance
comes from the scenario's seed.
"""

from __future__ import annotations

import hashlib
import heapq
import zlib
from random import Random
from typing import Any, Final

import msgspec

from salus.consensus.block import Validator
from salus.consensus.pbft.durable import VoteLog
from salus.consensus.pbft.events import Action, Committed, Complaint, EvidenceFound, Halt, SnapshotRestored, ViewChanged
from salus.consensus.pbft.messages import MAX_TRANSACTION_BYTES, hash_of
from salus.consensus.pbft.rules import Rules
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.state import Config
from salus.errors import SalusError
from salus.sim.byzantine import Liar
from salus.sim.checks import Broken, Checker
from salus.sim.counts import Counts
from salus.sim.disk import PowerLoss, SimDisk
from salus.sim.scenario import FAULTS_MS, PATIENCE_MS, START_MS, Fault, Scenario
from salus.sim.wire import Wire
from salus.sim.workload import Workload, validator_set

MAX_EVENTS: Final = 400_000
"""Events of one simulation; a healthy one needs a few thousand."""
RETRY_MS: Final = 2_000
"""A client that sees nothing committed asks another replica after this long."""


class Node(msgspec.Struct):
    """A machine: its disk outlives its replica."""

    index: int
    disk: SimDisk
    liar: Liar | None
    runner: ReplicaRunner | None = None
    clock_off_ms: int = 0
    work_planned: bool = False
    wake_ms: int = 0


class World:
    """A network under a scenario.

    :param rules: the replicas' rules; broken ones in tests of the checkers.
    :param keep_trace: keep every line of the trace, not only its hash.
    """

    def __init__(self, scenario: Scenario, workload: Workload, rules: Rules | None = None, *, keep_trace: bool = False) -> None:
        self.scenario = scenario
        self.counts = Counts()
        self.trace: list[str] | None = [] if keep_trace else None
        self._hash = hashlib.sha256()
        self._workload = workload
        self._rules = rules or Rules()
        self._random = Random(f"world {scenario.seed}")
        self._now = 0
        self._queue: list[tuple[int, int, str, Any]] = []
        self._planned = 0
        self._wire = Wire(scenario, self._random, self.counts, self._note, self._later)
        self._checker = Checker(forbidden=frozenset(map(hash_of, workload.forbidden)))
        self._validators = validator_set(workload, scenario.seats)
        self._nodes = [self._make_node(i) for i in range(scenario.nodes)]
        self._open = dict(enumerate(workload.wishes))

    # --- running ---

    def run(self) -> None:
        """Run to the end.

        :raises Broken: if an invariant does not hold.
        """
        for node in self._nodes:
            self._start(node)
        for fault in self.scenario.faults:
            self._plan(fault.at_ms, "fault", fault)
        for number in self._open:
            self._plan(self._random.randrange(FAULTS_MS), "wish", number)
        for transaction in self._workload.forbidden:
            self._plan(self._random.randrange(FAULTS_MS), "nuisance", transaction)
        self._plan(FAULTS_MS, "heal", None)
        events = 0
        while self._queue:
            self._now, _order, kind, data = heapq.heappop(self._queue)
            events += 1
            getattr(self, f"_on_{kind}")(data)
            if self._wire.healed and self._finished():
                self._close()
                return
            if self._now > FAULTS_MS + PATIENCE_MS or events > MAX_EVENTS:
                raise Broken(
                    f"progress: {len(self._open)} wishes are not committed {self._now - FAULTS_MS} ms after the healing "
                    f"({events} events); {self._where()}"
                )
        raise Broken("progress: nothing is left to happen")

    def digest(self) -> str:
        """Hash of the trace so far."""
        return self._hash.hexdigest()

    def _close(self) -> None:
        self.counts.virtual_ms = self._now
        self.counts.lost_writes = sum(n.disk.lost_writes for n in self._nodes)
        self.counts.disk_errors = sum(n.disk.failures for n in self._nodes)
        self.counts.byzantine_replicas = len(self.scenario.byzantine)

    def _plan(self, at_ms: int, kind: str, data: Any) -> None:
        self._planned += 1
        heapq.heappush(self._queue, (max(at_ms, self._now), self._planned, kind, data))

    def _later(self, delay_ms: int, message: tuple[int, int, bytes]) -> None:
        self._plan(self._now + delay_ms, "message", message)

    def _note(self, what: str) -> None:
        line = f"{self._now:>7} {what}"
        self._hash.update(line.encode() + b"\n")
        if self.trace is not None:
            self.trace.append(line)

    def _finished(self) -> bool:
        if self._open:
            return False
        honest = [n for n in self._nodes if n.liar is None]
        if any(n.runner is None for n in honest):
            return False
        heights = {n.runner.height for n in honest if n.runner is not None}
        return len(heights) == 1 and len(self._checker.decided) >= max(heights)

    def _where(self) -> str:
        return ", ".join(
            f"node-{n.index} " + ("down" if n.runner is None else f"height {n.runner.height} view {n.runner.state.view}")
            for n in self._nodes
        )

    # --- machines ---

    def _make_node(self, index: int) -> Node:
        scenario = self.scenario
        liar = None
        if index in scenario.byzantine:
            peers = [i for i in range(scenario.nodes) if i != index]
            random = Random(f"liar {scenario.seed} {index}")
            bad = self._workload.forbidden[index % len(self._workload.forbidden)] if self._workload.forbidden else b"nothing"
            liar = Liar(self._workload.network, self._workload.signers[index], scenario.byzantine[index], peers, random, bad)
        return Node(index, SimDisk(Random(f"disk {scenario.seed} {index}")), liar)

    def _clock(self, node: Node) -> int:
        return START_MS + self._now + self.scenario.skew_ms[node.index] + node.clock_off_ms

    def _config(self, index: int) -> Config:
        peers = tuple(
            Validator(self._workload.names[i], self._workload.signers[i].public_key)
            for i in range(self.scenario.nodes)
            if i != index
        )
        return Config(
            self._workload.network,
            self._workload.names[index],
            self._workload.genesis_id,
            self._validators,
            peers,
            timeout_ms=1_000,
            resend_ms=400,
            status_ms=1_500,
            max_block_transactions=4,
            checkpoint_interval=4,
        )

    def _start(self, node: Node) -> None:
        """Start a replica from what is on its disk."""
        node.disk.restart()
        log = VoteLog(node.disk)
        self.counts.torn_logs += bool(log.cut_bytes)
        application = self._workload.application(node.index, node.disk)
        info = application.info()
        self._note(f"start {node.index} height {info.height}")
        if node.liar is None:
            self._checker.on_start(node.index, info.height, info.application_hash)
        node.runner = ReplicaRunner(
            self._config(node.index),
            self._workload.signers[node.index],
            application,
            log,
            lambda: self._clock(node),
            self._workload.verifier,
            self._rules,
            lambda news: self._hear(node, news),
        )
        self._carry(node)
        self._plan_wake(node)

    def _work(self, node: Node) -> None:
        runner = node.runner
        if runner is None:
            return
        try:
            runner.work()
        except PowerLoss:
            self._stop(node, power=True)
            return
        if runner.error:
            if node.liar is None and "simulated I/O error" not in runner.error:
                raise Broken(f"node-{node.index} stopped: {runner.error}")
            self._stop(node, power=False)
            self._plan(self._now + 500, "restart", node.index)
            return
        self._carry(node)
        self._plan_wake(node)

    def _stop(self, node: Node, *, power: bool) -> None:
        """The replica is gone; of what it was just sending, some is out already."""
        runner = node.runner
        if runner is None:
            return
        self._note(f"stop {node.index} power {power}")
        for _ in range(self._random.randrange(len(runner.outbox) + 1)):
            self._send(node, *runner.outbox.popleft())
        node.runner = None
        if power:
            self.counts.power_losses += 1
            node.disk.lose_power()
        else:
            self.counts.crashes += 1
            node.disk.restart()

    def _hear(self, node: Node, news: Action) -> None:
        """News of a replica: here the invariants are checked."""
        honest = node.liar is None
        if isinstance(news, Committed):
            self.counts.commits += 1
            self.counts.catch_ups += news.imported
            runner = node.runner
            if runner is None:
                raise Broken(f"node-{node.index} commits while it is down")
            self._note(f"commit {node.index} {news.height} {news.block_id.hex()[:16]}")
            if honest:
                self._checker.on_commit(
                    node.index, news.height, news.block_id, runner.state.last.application_hash, news.tx_hashes
                )
        elif isinstance(news, SnapshotRestored):
            self.counts.snapshots_restored += 1
            self._note(f"snapshot {node.index} {news.height}")
            if honest:
                self._checker.on_restored(node.index, news.height)
        elif isinstance(news, ViewChanged):
            self.counts.view_changes += 1
            self._note(f"view {node.index} {news.height} {news.view}")
        elif isinstance(news, EvidenceFound) and honest:
            self.counts.equivocations_caught += 1
            guilty = self._workload.names.index(news.evidence.name)
            self._note(f"evidence {node.index} against {guilty}")
            if guilty not in self.scenario.byzantine:
                raise Broken(
                    f"justice: {news.evidence.name} signed two {news.evidence.vote_kind}s at height "
                    f"{news.evidence.height}, view {news.evidence.view}, though it is honest"
                )
        elif isinstance(news, Complaint):
            self.counts.clock_refusals += news.reason == "clock"
        elif isinstance(news, Halt):
            self._note(f"halt {node.index}")

    # --- network ---

    def _carry(self, node: Node) -> None:
        runner = node.runner
        while runner is not None and runner.outbox:
            self._send(node, *runner.outbox.popleft())

    def _send(self, node: Node, to: str | None, data: bytes) -> None:
        targets = [n.index for n in self._nodes if n is not node] if to is None else [self._workload.names.index(to)]
        pairs = [(t, data) for t in targets] if node.liar is None else node.liar.speak(targets, data)
        for target, version in pairs:
            self._wire.transmit(node.index, target, version)

    def _on_message(self, message: tuple[int, int, bytes]) -> None:
        source, target, data = message
        node = self._nodes[target]
        if node.runner is None:
            return
        self._note(f"deliver {source}>{target} {zlib.crc32(data):08x}")
        if node.liar is not None:
            node.liar.hear(data)
        node.runner.deliver(data)
        if not node.work_planned:
            node.work_planned = True
            self._plan(self._now + self._random.randrange(3), "work", target)

    def _on_work(self, index: int) -> None:
        node = self._nodes[index]
        node.work_planned = False
        self._observe_work(node)
        if node.runner is not None and node.runner.busy:
            node.work_planned = True
            self._plan(self._now + 1, "work", index)

    def _observe_work(self, node: Node) -> None:
        """Work, and notice changes of the validator set from outside."""
        runner = node.runner
        if runner is None:
            return
        links = len(runner.state.links)
        self._work(node)
        if node.runner is runner:
            self.counts.set_changes += len(runner.state.links) > links

    def _plan_wake(self, node: Node) -> None:
        runner = node.runner
        if runner is None:
            return
        at_ms = runner.timer_ms - START_MS - self.scenario.skew_ms[node.index] - node.clock_off_ms
        if not self._now < node.wake_ms <= at_ms:
            node.wake_ms = max(at_ms, self._now + 1)
            self._plan(node.wake_ms, "wake", (node.index, node.wake_ms))

    def _on_wake(self, wake: tuple[int, int]) -> None:
        node = self._nodes[wake[0]]
        if node.wake_ms != wake[1] or node.runner is None:
            return
        node.wake_ms = 0
        self._observe_work(node)

    # --- faults ---

    def _on_fault(self, fault: Fault) -> None:
        self._note(f"fault {fault.kind} node {fault.node} amount {fault.amount} side {fault.side}")
        node = self._nodes[fault.node]
        if fault.kind == "partition":
            self.counts.partitions += 1
            side = frozenset(fault.side)
            self._wire.cut.append(side)
            self._plan(fault.until_ms, "join", side)
        elif fault.kind == "clock":
            self.counts.clock_jumps += 1
            node.clock_off_ms += fault.amount
            self._plan(fault.until_ms, "clock", (fault.node, -fault.amount))
            self._plan_wake(node)
        elif node.runner is not None:
            if fault.kind == "disk-error":
                node.disk.fail_after = fault.amount
            elif fault.kind == "crash":
                self._stop(node, power=False)
                self._plan(fault.until_ms, "restart", fault.node)
            else:
                node.disk.crash_after = fault.amount
                self._plan(self._now + 400, "power", (fault.node, fault.until_ms))

    def _on_power(self, planned: tuple[int, int]) -> None:
        """If no disk operation triggered the power failure, it comes now."""
        node = self._nodes[planned[0]]
        if node.disk.crash_after is not None:
            self._stop(node, power=True)
        self._plan(planned[1], "restart", planned[0])

    def _on_restart(self, index: int) -> None:
        node = self._nodes[index]
        if node.runner is not None:
            return
        try:
            self._start(node)
        except PowerLoss:
            node.runner = None
            self._plan(self._now + 500, "restart", index)
        except SalusError as error:
            raise Broken(f"durability: node-{index} cannot restart: {error}") from error

    def _on_join(self, side: frozenset[int]) -> None:
        if side in self._wire.cut:
            self._wire.cut.remove(side)

    def _on_clock(self, change: tuple[int, int]) -> None:
        node = self._nodes[change[0]]
        node.clock_off_ms += change[1]
        self._plan_wake(node)

    def _on_heal(self, _nothing: None) -> None:
        """The network is good, every machine runs, every clock is right; liars go on lying."""
        self._note("heal")
        self._wire.heal()
        for node in self._nodes:
            node.disk.restart()
            if node.runner is None:
                self._plan(self._now, "restart", node.index)

    # --- clients ---

    def _on_nuisance(self, transaction: bytes) -> None:
        """Somebody tries what is forbidden on every replica."""
        for node in self._nodes:
            if node.runner is not None:
                self._note(f"nuisance to {node.index}")
                node.runner.submit([transaction])
                self._observe_work(node)

    def _on_wish(self, number: int) -> None:
        """A client hands its transactions to some replica, and to another until one is committed."""
        wish = self._open.get(number)
        if wish is None:
            return
        if any(hash_of(t) in self._checker.committed for t in wish.transactions):
            del self._open[number]
            return
        for transaction in wish.transactions:
            node = self._random.choice(self._nodes)
            if node.runner is not None and len(transaction) <= MAX_TRANSACTION_BYTES:
                self._note(f"submit {number} to {node.index}")
                node.runner.submit([transaction])
                self._observe_work(node)
        self._plan(self._now + RETRY_MS, "wish", number)
