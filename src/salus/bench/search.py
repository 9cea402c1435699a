"""``salus bench search``: what keyword search costs, beside what its primitives alone would cost, in one run.

Parts as in :mod:`salus.bench.consultation`; figures are of one core unless a column says otherwise.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from salus.bench.floors import floor_primitives
from salus.bench.model import PartFunction, Progress, Result, no_progress
from salus.bench.running import run_bench
from salus.bench.search_index import index_sizes, look_ups, primitives
from salus.bench.search_tokens import questions, tokens
from salus.symmetric import Random

NAME: Final = "search"

PARTS: Final[list[tuple[str, PartFunction]]] = [
    ("primitives of the look-up", primitives),
    ("looking up one keyword", look_ups),
    ("index bytes of a record", index_sizes),
    ("primitives of the tokens", floor_primitives),
    ("tokens", tokens),
    ("questions", questions),
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
    :param quick: small indexes and few repetitions: rough figures in seconds.
    :param docs_dir: the site's bench directory (``docs/bench``): gets the page ``search.md`` and its plots as SVG.
    :param progress: called before each part with what comes, how many parts are done, and how many there are.
    :raises SalusError: the directory cannot be written, or matplotlib is missing for the plots.
    """
    return run_bench(NAME, PARTS, output_dir, quick, progress, random, docs_dir)
