"""The embedded network under load: throughput, latency, cost as history grows, memory.

Four replicas in one process, each with its own storage (synchronous=FULL) and each verifying for itself, carry requests of
suite mbpa-r1 that were made beforehand. :mod:`.embedded_load` measures, in a process of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from salus.bench.embedded_load import Lone, Measured, Offered, Pair, Plan, Window
from salus.bench.model import Cell, Context, Part, Plot, Section, Target
from salus.errors import SalusError
from salus.network.memory import node_environment

THROUGHPUT: Final = 1000.0
"""Transactions a second to reach."""
LONE_MS: Final = 15.0
"""A lone transaction is committed within this, at the median."""
FLAT: Final = 1.2
"""The long history may cost this much of the short one."""
MEMORY_MB: Final = 300.0
"""Memory of a node after the history."""
REPLICAS: Final = 4
PLAN: Final = Plan("", 200, 1000, 100_000, 1000, 15, (50, 100, 200, 400, 600, 800, 1000, 1200, 1400, 1600, 2000), 3.0)
QUICK_PLAN: Final = Plan("", 8, 100, 500, 200, 2, (100, 400), 0.5)
CHILD_S: Final = 3600.0
"""Longest run of the measuring process: several times what a slow machine needs."""
_SYNCS: Final = 101


def embedded_network(context: Context) -> Part:
    """Run the plan in a process of its own, and put what it measured into tables, targets and plots.

    :raises SalusError: the measuring process failed.
    """
    plan = msgspec.structs.replace(QUICK_PLAN if context.quick else PLAN, home=str(context.work / "embedded"))
    sync_ms = sync_median_ms(context.work)
    return part_of(plan, run_plan(plan, context.work), sync_ms)


def run_plan(plan: Plan, work: Path) -> Measured:
    """Carry out a plan in a fresh process.

    :param work: directory for the plan's file and the result's.
    :raises SalusError: with the last line that the process wrote.
    """
    path, result = work / "embedded-plan.json", work / "embedded-result.json"
    path.write_bytes(msgspec.json.encode(plan))
    command = [sys.executable, "-m", "salus.bench.embedded_load", str(path), str(result)]
    try:
        done = subprocess.run(  # noqa: S603 - own module, own file
            command, capture_output=True, timeout=CHILD_S, check=False, env=node_environment()
        )
    except subprocess.TimeoutExpired:
        raise SalusError(f"the bench of the embedded network did not end within {CHILD_S:.0f} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise SalusError(f"the bench of the embedded network failed: {lines[-1]}")
    return msgspec.json.decode(result.read_bytes(), type=Measured)


def sync_median_ms(directory: Path) -> float:
    """What one fsync of 4 KiB takes where the networks will be: every commit waits for several."""
    path, times = directory / "sync", []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        for _ in range(_SYNCS):
            start = time.perf_counter()
            os.write(descriptor, bytes(4096))
            os.fdatasync(descriptor)
            times.append((time.perf_counter() - start) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times)


def part_of(plan: Plan, measured: Measured, sync_ms: float) -> Part:
    """Tables, targets and plots of one run."""
    sections = (
        _summary(plan, measured, sync_ms),
        _load_section(measured.offered),
        _history_section(measured.windows),
        _pairs_section(plan, measured.pairs),
    )
    return Part(sections, targets(plan, measured), (*_load_plots(measured.offered), *_history_plots(measured.windows)))


def targets(plan: Plan, measured: Measured) -> tuple[Target, ...]:
    """The figures to reach, as this run has them."""
    last = measured.windows[-1].history
    slowest = max(statistics.median(lone.committed_ms) for lone in measured.lone)
    flat = f"embedded network: cost of a transaction after {last:,} over the cost after {plan.start:,}"
    return (
        Target("embedded network: consultation transactions a second", throughput(measured.windows), THROUGHPUT, at_least=True),
        Target("embedded network: a lone transaction committed, median ms", slowest, LONE_MS),
        Target(flat, cost_ratio(measured.pairs), FLAT),
        Target(f"embedded network: memory of a node after {last:,} transactions, MB", node_mb(measured), MEMORY_MB),
    )


def throughput(windows: Sequence[Window]) -> float:
    """Transactions a second while the network is kept busy: the median window of the whole history."""
    return 1e6 / statistics.median(w.wall_us for w in windows)


def cost_ratio(pairs: Sequence[Pair]) -> float:
    """What a transaction costs with the long history, over what it costs with the short one: the median pair."""
    return statistics.median(pair.long.wall_us / pair.short.wall_us for pair in pairs)


def node_mb(measured: Measured) -> float:
    """Memory of one node: the process without a network, and its share of what the network added to it.

    Centre, cloud and client are in that share too, so it is rather too much.
    """
    return measured.base_mb + (measured.history_mb - measured.base_mb) / REPLICAS


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _summary(plan: Plan, measured: Measured, sync_ms: float) -> Section:
    def lone(found: Lone) -> list[tuple[Cell, ...]]:
        where = f"after {found.history:,} transactions"
        return [
            (f"lone transaction {where}: durable on its own node", statistics.median(found.committed_ms), "ms, median"),
            (f"lone transaction {where}: the same", percentile(found.committed_ms, 0.99), "ms, 99th percentile"),
            (f"lone transaction {where}: proven to its client", statistics.median(found.proven_ms), "ms, median"),
        ]

    windows, pairs = measured.windows, measured.pairs
    cpu_ratio = statistics.median(pair.long.cpu_us / pair.short.cpu_us for pair in pairs)
    rows: list[tuple[Cell, ...]] = [
        ("throughput, kept busy", throughput(windows), "transactions/s, median window"),
        ("throughput, slowest window", 1e6 / max(w.wall_us for w in windows), "transactions/s"),
        ("CPU of one transaction, all replicas and cores", statistics.median(w.cpu_us for w in windows), "us, median window"),
        ("transactions of one block, kept busy", (windows[-1].history - plan.start) / sum(w.blocks for w in windows), "mean"),
        *[row for found in measured.lone for row in lone(found)],
        ("long history over short history: time", cost_ratio(pairs), "median pair"),
        ("long history over short history: CPU", cpu_ratio, "median pair"),
        ("memory of the process without a network", measured.base_mb, "MB"),
        ("memory of the process after the history, all parties", measured.history_mb, "MB"),
        ("memory of one node after the history", node_mb(measured), "MB"),
        ("files of one node after the history", measured.disk_mb, "MB"),
        ("fsync of 4 KiB on this disk", sync_ms, "ms, median"),
        ("making one request beforehand, on all cores", measured.build_us, "us"),
    ]
    notes = (
        f"{REPLICAS} replicas in one process, each with its own SQLite ledger (WAL, synchronous=FULL) and its own vote log,"
        " each verifying every request, upload receipt and certificate for itself.",
        "Memory of one node: the process without a network, and a quarter of what four replicas, cloud and centre add to it.",
        "Proven: the client has verified the proof of inclusion under a header with its certificate, one block later.",
    )
    return Section("embedded", "Embedded network", ("figure", "value", "unit"), tuple(rows), notes)


def _load_section(offered: Sequence[Offered]) -> Section:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (o.rate, o.reached, *(percentile(o.latencies_ms, share) for share in (0.5, 0.9, 0.99))) for o in offered
    )
    columns = ("offered_per_s", "committed_per_s", "latency_median_ms", "latency_p90_ms", "latency_p99_ms")
    notes = (
        "Arrivals are even and do not wait for anything; latency runs from the arrival to the durable commit on the node"
        " that got the transaction. Beyond what the network can carry, the queue and so the latency grow with time.",
    )
    return Section("embedded-load", "Embedded network as load rises", columns, rows, notes)


def _history_section(windows: Sequence[Window]) -> Section:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (w.history, 1e6 / w.wall_us, w.wall_us, w.cpu_us, w.blocks, w.resident_mb) for w in windows
    )
    columns = ("history", "committed_per_s", "time_us", "cpu_us", "blocks", "process_mb")
    return Section(
        "embedded-history", "Embedded network as history grows", columns, rows, ("The network is kept busy throughout.",)
    )


def _pairs_section(plan: Plan, pairs: Sequence[Pair]) -> Section:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (p.short.history, p.long.history, p.short.wall_us, p.long.wall_us, p.long.wall_us / p.short.wall_us) for p in pairs
    )
    columns = ("short_history", "long_history", "short_us", "long_us", "ratio")
    notes = (
        f"Two networks, {plan.window:,} transactions each in turn, so that whatever else the machine does slows both alike.",
    )
    return Section("embedded-flat", "Cost of a transaction: short history and long history", columns, rows, notes)


def _load_plots(offered: Sequence[Offered]) -> tuple[Plot, Plot]:
    x = tuple(float(o.rate) for o in offered)
    reached = (("committed", tuple(o.reached for o in offered)), ("offered", x))
    shares = (("median", 0.5), ("90th percentile", 0.9), ("99th percentile", 0.99))
    latency = tuple((name, tuple(percentile(o.latencies_ms, share) for o in offered)) for name, share in shares)
    where = "offered, transactions a second"
    title = "of the embedded network as load rises"
    return (
        Plot("embedded-throughput", f"Throughput {title}", "committed a second", reached, "lines", x=x, x_label=where),
        Plot("embedded-latency", f"Latency {title}", "ms", latency, "lines", x=x, x_label=where, logarithmic=True),
    )


def _history_plots(windows: Sequence[Window]) -> tuple[Plot, Plot]:
    x = tuple(float(w.history) for w in windows)
    cost = (("time", tuple(w.wall_us for w in windows)), ("CPU, all cores", tuple(w.cpu_us for w in windows)))
    memory = (("process with all parties", tuple(w.resident_mb for w in windows)),)
    where = "transactions of history"
    return (
        Plot("embedded-cost", "Cost of a transaction as history grows", "us", cost, "lines", x=x, x_label=where),
        Plot("embedded-memory", "Memory as history grows", "MB", memory, "lines", x=x, x_label=where),
    )
