"""``salus bench abpre``: what sharing under attribute policies costs, beside its floors and beside a peer, in one run.

To add a part, append ``(what it measures, function)`` to :data:`PARTS`, as in :mod:`salus.bench.consultation`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from salus.bench.abpre_peers import peers
from salus.bench.abpre_scheme import scheme, sizes
from salus.bench.bls_primitives import bls_primitives
from salus.bench.model import PartFunction, Progress, Result, no_progress
from salus.bench.properties import properties
from salus.bench.running import run_bench
from salus.bench.threshold import thresholds
from salus.symmetric import Random

NAME: Final = "abpre"

PARTS: Final[list[tuple[str, PartFunction]]] = [
    ("primitives beside bare blst", bls_primitives),
    ("operations of the scheme beside their floors", scheme),
    ("the scheme beside tkn20", peers),
    ("sizes", sizes),
    ("thresholds by committee size", thresholds),
    ("properties of Table 1", properties),
]
"""What is measured, in order."""


def run(
    output_dir: Path | None,
    quick: bool = False,
    progress: Progress = no_progress,
    random: Random = os.urandom,
    docs_dir: Path | None = None,
) -> Result:
    """Run the bench, as :func:`salus.bench.running.run_bench` does; one core unless a row says otherwise.

    :raises SalusError: the directory cannot be written, or matplotlib is missing for the plots.
    """
    return run_bench(NAME, PARTS, output_dir, quick, progress, random, docs_dir)
