"""``salus bench flows``: storing a record and sharing it, end to end over one embedded network; and what of it is on the chain.

Nodes, check nodes, cloud and terminals work in this process one after the other, so that a run is the sum of everybody's work:
real messages, real consensus, every commit on disk. On machines of their own the nodes work side by side; delays come on top.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from salus.bench.embedded import sync_median_ms
from salus.bench.flows_world import FlowWorld, Stages, Stored, names_of
from salus.bench.model import Cell, Context, Part, PartFunction, Plot, Progress, Result, Section, no_progress
from salus.bench.running import run_bench
from salus.symmetric import Random

NAME: Final = "flows"
KIB: Final = 1024
MIB: Final = 1024 * 1024
SIZES: Final = (KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB, 256 * MIB)
QUICK_SIZES: Final = (KIB, MIB)
ATTRIBUTES: Final = (1, 10, 50, 100)
QUICK_ATTRIBUTES: Final = (1, 10)
COMMITTEES: Final = (4, 7, 13, 31)
QUICK_COMMITTEES: Final = (4,)
USUAL_SIZE: Final = 64 * KIB
USUAL_ATTRIBUTES: Final = 10
LARGE: Final = 64 * MIB
"""From here on a run is not repeated."""
REPEATS: Final = 3
VIAS: Final = ("delegation", "policy")
_BLOCK: Final = 64 * KIB


@dataclass(frozen=True)
class Run:
    """One record, stored and read back in one setting; the quickest of several, as a shared machine only ever adds time.

    :ivar put_bytes, share_bytes: encoded transactions by kind. :ivar frames: what a block adds to its transactions.
    """

    stored: Stored
    storing: Stages
    sharing: dict[str, Stages]
    put_bytes: dict[str, int]
    share_bytes: dict[str, dict[str, int]]
    frames: list[int]


def measure(world: FlowWorld, source: Path, attributes: int, repeats: int) -> Run:
    """Store a file under an and of so many attributes, and read it both ways.

    :param repeats: of everything; each by its quickest run.
    """
    policy = " and ".join(names_of(attributes))
    delegation = world.delegate(policy, Stages())
    storing: Stages | None = None
    sharing: dict[str, Stages] = {}
    put_bytes: dict[str, int] = {}
    share_bytes: dict[str, dict[str, int]] = {}
    frames = []
    for _ in range(repeats):
        stages, height = Stages(), world.height
        stored = world.store(source, policy, stages)
        put_bytes, frame = world.bytes_since(height)
        frames.append(frame)
        storing = stages if storing is None or stages.total_ms < storing.total_ms else storing
        for via in VIAS:
            stages, height = Stages(), world.height
            world.share(stored, delegation if via == "delegation" else None, stages)
            share_bytes[via], frame = world.bytes_since(height)
            frames.append(frame)
            if via not in sharing or stages.total_ms < sharing[via].total_ms:
                sharing[via] = stages
    assert storing is not None
    return Run(stored, storing, sharing, put_bytes, share_bytes, frames)


def flows(context: Context) -> Part:
    """Over record size, over attributes, over committee size: time, each stage's share, and bytes on the chain."""
    sizes = QUICK_SIZES if context.quick else SIZES
    counts = QUICK_ATTRIBUTES if context.quick else ATTRIBUTES
    committees = QUICK_COMMITTEES if context.quick else COMMITTEES
    repeats = 1 if context.quick else REPEATS
    source = context.work / "record"
    by_committee: dict[int, Run] = {}
    by_size: dict[int, Run] = {}
    by_attributes: dict[int, Run] = {}
    for nodes in committees:
        first = nodes == committees[0]
        most = max(counts) if first else USUAL_ATTRIBUTES
        with closing(FlowWorld(context.work / f"network-{nodes}", nodes, most, context.random)) as world:
            _write(source, USUAL_SIZE)
            measure(world, source, USUAL_ATTRIBUTES, 1)  # fills what parties keep: points of attributes, lines, tables
            by_committee[nodes] = measure(world, source, USUAL_ATTRIBUTES, repeats)
            if not first:
                continue
            by_attributes = {count: measure(world, source, count, repeats) for count in counts}
            for size in sizes:
                _write(source, size)
                by_size[size] = measure(world, source, USUAL_ATTRIBUTES, 1 if size >= LARGE else repeats)
    axes: list[tuple[str, str, dict[int, Run]]] = [
        ("size", "record_bytes", by_size),
        ("attributes", "attributes", by_attributes),
        ("committee", "nodes", by_committee),
    ]
    sections = [_times(axes, sync_median_ms(context.work)), *(_stages(*axis) for axis in axes), _chain(by_size), _kinds(axes)]
    return Part(tuple(sections), (), tuple(plot for axis in axes for plot in _plots(*axis)))


PARTS: Final[list[tuple[str, PartFunction]]] = [("both flows by size, attributes and committee", flows)]


def run(
    output_dir: Path | None,
    quick: bool = False,
    progress: Progress = no_progress,
    random: Random = os.urandom,
    docs_dir: Path | None = None,
) -> Result:
    """Run the bench, as :func:`salus.bench.running.run_bench` does.

    :raises SalusError: the directory cannot be written, or matplotlib is missing for the plots.
    """
    return run_bench(NAME, PARTS, output_dir, quick, progress, random, docs_dir)


def _write(path: Path, size: int) -> None:
    """A record of random bytes."""
    with path.open("wb") as sink:
        for start in range(0, size, _BLOCK):
            sink.write(os.urandom(min(_BLOCK, size - start)))


def _of(one: Run) -> list[tuple[str, Stages]]:
    return [("storing", one.storing), *((f"sharing by {via}", one.sharing[via]) for via in VIAS)]


def _times(axes: Sequence[tuple[str, str, dict[int, Run]]], sync_ms: float) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for axis, _, runs in axes:
        for x, one in runs.items():
            rows.append((axis, x, *(stages.total_ms for _, stages in _of(one))))
    notes = (
        f"Unless it is the axis: {USUAL_SIZE // KIB} KiB, an and of {USUAL_ATTRIBUTES} attributes, {COMMITTEES[0]} nodes, 3 check"
        " nodes, one cloud. The owner's branch own:<x> is in every policy beside it.",
        "Everybody's work one after the other in one process on this machine, to disk (an fsync of 4 KiB takes"
        f" {sync_ms:.2f} ms here): on machines of their own the nodes' parts run side by side.",
        "Keys of owner and reader, the open scope and the delegation are there before; tokens of keywords too (bench search).",
    )
    columns = ("axis", "value", "storing_ms", "sharing_by_delegation_ms", "sharing_by_policy_ms")
    return Section("flow-times", "Both flows end to end", columns, tuple(rows), notes)


def _stages(axis: str, column: str, runs: dict[int, Run]) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for x, one in runs.items():
        for flow, stages in _of(one):
            rows += [(flow, x, name, ms, 100 * ms / stages.total_ms) for name, ms in stages.ms.items()]
    columns = ("flow", column, "stage", "ms", "percent")
    return Section(f"flow-stages-{axis}", f"Stages by {axis}", columns, tuple(rows))


def _chain(runs: dict[int, Run]) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for size, one in runs.items():
        put = sum(one.put_bytes.values())
        shares = [sum(one.share_bytes[via].values()) for via in VIAS]
        body = one.stored.body_bytes
        rows.append((size, put, *shares, body, (put + body) / put, (shares[0] + body) / shares[0]))
    frame = statistics.median(f for one in runs.values() for f in one.frames)
    notes = (
        "Transactions only. Whole ciphertexts on the chain: the body beside the record's transaction, and for a share once more,"
        " transformed. The chain of each node holds them.",
        f"A lone transaction has blocks of its own, whose headers and certificates are {frame:,.0f} bytes a record or share here;"
        " under load many share one block.",
        "A grant holds the claims of t to n nodes, whichever were there.",
        f"A record has {USUAL_ATTRIBUTES} attributes and 20 keywords (32 tags of 16 bytes).",
    )
    columns = (
        *("record_bytes", "on_chain_a_record", "on_chain_a_share_by_delegation", "on_chain_a_share_by_policy"),
        *("ciphertext_bytes", "ciphertext_on_chain_over_record", "ciphertext_on_chain_over_share"),
    )
    return Section("flow-chain", "Bytes on the chain against whole ciphertexts there", columns, tuple(rows), notes)


def _kinds(axes: Sequence[tuple[str, str, dict[int, Run]]]) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for axis, _, runs in axes[1:]:
        for x, one in runs.items():
            rows += [(axis, x, "a record", kind, size) for kind, size in one.put_bytes.items()]
            for via in VIAS:
                rows += [(axis, x, f"a share by {via}", kind, size) for kind, size in one.share_bytes[via].items()]
    columns = ("axis", "value", "of", "transaction", "bytes")
    return Section("flow-kinds", "Bytes on the chain by transaction", columns, tuple(rows))


def _plots(axis: str, label: str, runs: dict[int, Run]) -> list[Plot]:
    series = tuple((flow, tuple(pick(one).total_ms for one in runs.values())) for flow, pick in _FLOWS)
    title, x_label = f"Both flows by {label.replace('_', ' ')}", label.replace("_", " ")
    labels = tuple(_size(value) if axis == "size" else str(value) for value in runs)
    if axis == "size":  # from a KiB to 256 MiB: bars stand apart where lines would crowd
        whole = Plot(f"flow-{axis}", title, "ms", series, labels=labels, x_label=x_label, logarithmic=True)
    else:
        x = tuple(float(value) for value in runs)
        whole = Plot(f"flow-{axis}", title, "ms", series, "lines", x=x, x_label=x_label)
    plots = [whole]
    for flow, pick in _FLOWS[:2]:
        names = list(pick(next(iter(runs.values()))).ms)
        shares = tuple((n, tuple(100 * pick(r).ms[n] / pick(r).total_ms for r in runs.values())) for n in names)
        key = f"flow-{axis}-{flow.split()[0]}"
        plots.append(Plot(key, f"Stages of {flow}, by {x_label}", "percent", shares, labels=labels, x_label=x_label))
    return plots


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count // KIB} KiB"


_FLOWS: Final[tuple[tuple[str, Callable[[Run], Stages]], ...]] = (
    ("storing", lambda run: run.storing),
    ("sharing by delegation", lambda run: run.sharing["delegation"]),
    ("sharing by policy", lambda run: run.sharing["policy"]),
)
