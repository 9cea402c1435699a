"""Peak memory of a process."""

from __future__ import annotations

import atexit
import os
from pathlib import Path


def peak_kib(pid: int | str = "self") -> int:
    """Peak resident memory of a process so far, in KiB.

    From the kernel's count of this program image: the ``ru_maxrss`` of a child starts at what its parent used before ``exec``.
    """
    status = Path("/proc", str(pid), "status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0])


def print_peak_at_exit() -> None:
    """Write ``peak=KIB`` to standard error when this process ends."""
    atexit.register(lambda: os.write(2, b"peak=%d\n" % peak_kib()))
