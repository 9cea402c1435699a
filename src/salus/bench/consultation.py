"""``salus bench consultation``: everything that is measured about consultations, in one run.

To add a part, append ``(what it measures, function)`` to :data:`PARTS`; the function gets the :class:`.model.Context` and
returns a :class:`.model.Part`. Parts run in order, and later ones find the primitives' times in ``context.measured_ms``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from salus.bench.claims import table_6
from salus.bench.embedded import embedded_network
from salus.bench.floors import floor_primitives
from salus.bench.model import PartFunction, Progress, Result, no_progress
from salus.bench.phases import admission, published_phases, repaired_phases
from salus.bench.primitives import native_primitives
from salus.bench.running import run_bench
from salus.bench.sizes import message_sizes
from salus.bench.tables import figure_4a, table_2, table_5, tables_3_and_4
from salus.symmetric import Random

NAME: Final = "consultation"

PARTS: Final[list[tuple[str, PartFunction]]] = [
    # First, while the process is fresh: after a ChaCha20-Poly1305 of OpenSSL built with AVX-512 the vector registers keep a state
    # that makes a base point multiplication half as slow again (seen on AMD EPYC; vzeroupper ends it). A floor is the best.
    ("primitives of the floors", floor_primitives),
    ("primitives beside the bare libraries", native_primitives),
    ("primitives of Table 2", table_2),
    ("formulas of Tables 3 and 4", tables_3_and_4),
    ("element counts of Table 5", table_5),
    ("phases of mbpa-2019", published_phases),
    ("phases of mbpa-r1", repaired_phases),
    ("admission in batches", admission),
    ("figure 4(a)", figure_4a),
    ("message sizes", message_sizes),
    ("embedded network under load", embedded_network),
    ("claims of Table 6", table_6),
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
    :param quick: few repetitions: a minute becomes seconds, and the figures are rough.
    :param docs_dir: the site's bench directory (``docs/bench``): gets the page ``consultation.md`` and its plots as SVG.
    :param progress: called before each part with what comes, how many parts are done, and how many there are.
    :raises SalusError: the directory cannot be written, or matplotlib is missing for the plots.
    """
    return run_bench(NAME, PARTS, output_dir, quick, progress, random, docs_dir)
