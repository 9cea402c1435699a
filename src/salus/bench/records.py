"""``salus bench records``: bodies of records beside the cipher and the hash run raw over the same segments, in one run.

Plaintext and ciphertext come from generators, so that neither a disk nor a file in memory is measured; what a generator takes is
taken off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from salus.bench.model import Cell, Context, Part, PartFunction, Plot, Progress, Result, Section, Target, no_progress
from salus.bench.records_streams import (
    Bench,
    all_cores,
    hash_rates,
    one_core,
    range_times,
)
from salus.bench.running import run_bench
from salus.errors import SalusError
from salus.symmetric import Random

NAME: Final = "records"
MIB: Final = 1 << 20
SIZES_MIB: Final = (1, 4, 16, 64, 256, 1024, 4096)
QUICK_SIZES_MIB: Final = (1, 4)
RATIO: Final = 0.8
"""Of the raw rate, which encrypting and decrypting must reach."""
MEMORY_BYTES_MAX: Final = 100 * 10**6
"""Over idle, for any size."""
RANGE_RATIO_MAX: Final = 1.5
"""A range of the largest record over one of a record of four segments: the proof grows by a dozen hashes, nothing else does."""
PROOF_RATIO_MAX: Final = 5.0
"""The cloud's proof of it: four nodes of the outline are read for four segments, some thirty for 65,536."""
_CHILD_SECONDS_MAX: Final = 600


def hashes(context: Context) -> Part:
    """The choice of the digest's hash: cipher and hashes over sealed segments, alone and on all cores."""
    rates = hash_rates(Bench(context.random), 2000 if not context.quick else 100)
    rows = tuple((r.name, r.alone_us, r.alone_gb_s, r.together_gb_s, r.with_cipher_gb_s) for r in rates)
    columns = ("operation", "one_core_us", "one_core_gb_per_s", "all_cores_gb_per_s", "after_the_cipher_gb_per_s")
    notes = (
        "A segment of 65,564 bytes at a time. SHA-256, SHA-512 and the cipher by OpenSSL, BLAKE3 by the extension.",
        "After the cipher: both in turn on one core, which bounds encrypting under a digest of that hash.",
    )
    return Part((Section("hashes", "Cipher and hashes over segments", columns, rows, notes),))


def streams(context: Context) -> Part:
    """Encrypt-and-digest and verify-and-decrypt over sizes, on one core beside raw on one core, and on all beside raw on all."""
    bench = Bench(context.random)
    rows: list[tuple[Cell, ...]] = []
    every: list[tuple[Cell, ...]] = []
    targets: list[Target] = []
    sizes = QUICK_SIZES_MIB if context.quick else SIZES_MIB
    for mib in sizes:
        repeats = 2 if context.quick else 9 if mib <= 16 else 5 if mib <= 256 else 2
        single = one_core(bench, mib * MIB, repeats)
        rows.append((mib, single.raw_seal, single.seal, single.seal_ratio, single.raw_open, single.open, single.open_ratio))
        targets.append(Target(f"{mib} MiB: encrypt and digest over raw", single.seal_ratio, RATIO, at_least=True))
        targets.append(Target(f"{mib} MiB: verify and decrypt over raw", single.open_ratio, RATIO, at_least=True))
        together = all_cores(bench, mib * MIB, repeats)
        every.append((mib, together.raw_seal, together.seal, together.seal_ratio, together.seal / single.seal))
    raw, ours = tuple(_float(row[1]) for row in rows), tuple(_float(row[2]) for row in rows)
    opened, parallel = tuple(_float(row[5]) for row in rows), tuple(_float(row[2]) for row in every)
    one = Section(
        "streams",
        "Bodies over sizes, one core",
        (
            *("size_mib", "raw_encrypt_gb_per_s", "encrypt_gb_per_s", "ratio"),
            *("raw_decrypt_gb_per_s", "decrypt_gb_per_s", "decrypt_ratio"),
        ),
        tuple(rows),
        ("Raw: ChaCha20-Poly1305 and the digest's hash, called for each of as many segments, and nothing else.",),
    )
    both = Section(
        "streams-all-cores",
        "Bodies over sizes, all cores",
        ("size_mib", "raw_encrypt_gb_per_s", "encrypt_gb_per_s", "ratio", "times_one_core"),
        tuple(every),
        ("Raw: a thread a core, each with its share of the segments and nothing to order; ours keeps the order and one stream.",),
    )
    plot = Plot(
        "records-rates",
        "Records: rate over size",
        "GB/s",
        (("raw, one core", raw), ("encrypt", ours), ("decrypt", opened), ("encrypt, all cores", parallel)),
        labels=tuple(f"{mib:,} MiB" for mib in sizes),
    )
    return Part((one, both), tuple(targets), (plot,))


def memory(context: Context) -> Part:
    """Peak memory over idle of a fresh process that encrypts, digests and decrypts."""
    rows: list[tuple[Cell, ...]] = []
    targets = []
    for mib in QUICK_SIZES_MIB[-1:] if context.quick else (16, 4096):
        over = _peak_over_idle(mib * MIB)
        rows.append((mib, over / 1e6))
        targets.append(Target(f"{mib} MiB: peak memory over idle, MB", over / 1e6, MEMORY_BYTES_MAX / 1e6))
    notes = ("A process of its own each; idle is its peak after a record of one segment.",)
    return Part(
        (Section("memory", "Memory of streaming", ("size_mib", "peak_over_idle_mb"), tuple(rows), notes),), tuple(targets)
    )


def ranges(context: Context) -> Part:
    """A range of 1 KiB out of records of growing size: the cloud's proof, and the reader's verifying and decrypting."""
    bench = Bench(context.random)
    sizes = (1, 4) if context.quick else (1, 16, 256, 4096)
    times = [range_times(bench, mib * MIB, 20 if context.quick else 300) for mib in (0.25, *sizes)]
    rows = tuple((t.size_bytes / MIB, t.hashes, t.prove_us, t.read_us) for t in times)
    notes = (
        "The range crosses no segment's border; reading verifies 64 KiB against the digest and opens them.",
        "The cloud makes the proof from the outline's file (1/1024 of the body): it reads a few nodes and compares the digest.",
    )
    columns = ("size_mib", "hashes_of_the_proof", "prove_us", "verify_and_decrypt_us")
    targets = (
        Target("1 KiB of the largest record over 1 KiB of four segments", times[-1].read_us / times[0].read_us, RANGE_RATIO_MAX),
        Target("the cloud's proof for the largest over four segments", times[-1].prove_us / times[0].prove_us, PROOF_RATIO_MAX),
    )
    return Part((Section("ranges", "1 KiB of a record", columns, rows, notes),), targets)


PARTS: Final[list[tuple[str, PartFunction]]] = [
    ("cipher and hashes over segments", hashes),
    ("bodies over sizes", streams),
    ("memory of streaming", memory),
    ("single ranges", ranges),
]
"""What is measured, in order."""


def run(
    output_dir: Path | None,
    quick: bool = False,
    progress: Progress = no_progress,
    random: Random = os.urandom,
    docs_dir: Path | None = None,
) -> Result:
    """Run the bench; with ``output_dir`` also write JSON, CSV, Markdown and the plots (PNG and SVG) there.

    :param output_dir: created if missing; ``None`` writes nothing.
    :param quick: small sizes and few repetitions: two minutes become seconds, and the figures are rough.
    :param docs_dir: the site's bench directory (``docs/bench``): gets the page ``records.md`` and its plots as SVG.
    :param progress: called before each part with what comes, how many parts are done, and how many there are.
    :raises SalusError: the directory cannot be written, or matplotlib is missing for the plots.
    """
    return run_bench(NAME, PARTS, output_dir, quick, progress, random, docs_dir)


def _peak_over_idle(size_bytes: int) -> int:
    command = [sys.executable, "-m", "salus.bench.records_memory", str(size_bytes)]
    done = subprocess.run(command, capture_output=True, timeout=_CHILD_SECONDS_MAX, check=False, text=True)  # noqa: S603
    if done.returncode:
        raise SalusError(f"the process whose memory is measured failed: {done.stderr.strip()[-500:]}")
    figures: dict[str, int] = json.loads(done.stdout)
    return figures["peak_bytes"] - figures["idle_bytes"]


def _float(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0
