"""``salus demo --suite mbpa-2019``: the printed protocol's demonstration, in a home or in a temporary directory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run_printed(roots: tuple[Path, ...], home: Path | None, tell: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Run it over the records below ``roots``, or over records made on the spot.

    :param home: where every party writes; None: a temporary directory that is removed afterwards.
    :raises SalusError: something that must succeed did not.
    """
    from salus.network.demonstration.run import SEED
    from salus.network.printed import run_printed_demo
    from salus.records.collection import find_records
    from salus.records.generate import generate_records

    with tempfile.TemporaryDirectory(prefix="salus-demo-") as scratch:
        if not roots:
            roots = (Path(scratch) / "records",)
            generate_records(roots[0], SEED)
        return run_printed_demo(find_records(*roots), home or Path(scratch) / "home", tell)
