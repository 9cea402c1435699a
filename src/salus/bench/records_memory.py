"""A process that streams a record and prints its peak memory, for the bench: ``python -m salus.bench.records_memory BYTES``."""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from pathlib import Path

from salus.bench.records_streams import Bench, stream_both_ways
from salus.records.digest import SEGMENT_BYTES


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells on Linux may be the peak of the process that started this one
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii", errors="replace"))
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Stream something small, then ``BYTES``, and print both peaks as JSON."""
    bench = Bench(os.urandom)
    stream_both_ways(bench, SEGMENT_BYTES)
    idle = _peak_bytes()
    stream_both_ways(bench, int(sys.argv[1]))
    print(json.dumps({"idle_bytes": idle, "peak_bytes": _peak_bytes()}))


if __name__ == "__main__":
    main()
