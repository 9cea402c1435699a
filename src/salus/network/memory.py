"""Settings of the interpreter and of the allocator for processes that run nodes: what is large and visited at random."""

from __future__ import annotations

import gc
import os
from typing import Final

THRESHOLDS: Final = (20_000, 20, 50)
"""Objects made before the youngest are looked through, and how many of these passes before an older generation is.

Messages and states are trees, which reference counts free at once. With the interpreter's own thresholds the thousands of
transactions on their way count as survivors, and every other second all objects of all replicas are looked through.
"""
TUNABLES: Final = "GLIBC_TUNABLES"
HUGE_PAGES: Final = "glibc.malloc.hugetlb=1"
"""Ask for huge pages (glibc 2.35 and later; others ignore it). A node with a long history is some hundred megabytes that
are visited at random, and with ordinary pages most visits wait for the page tables too."""
ONE_ARENA: Final = "glibc.malloc.arena_max=1"
"""Replicas of one process have a thread each, and an arena for each thread would keep what all of them once needed at a time.
The interpreter runs one at a time anyway, so they seldom wait for each other here."""


def collect_rarely() -> None:
    """Leave what is loaded out of collections, and collect less often; for a process that will run nodes."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def node_environment() -> dict[str, str]:
    """The environment for a process that will run nodes: this one's, with huge pages and one arena unless it says otherwise."""
    return {TUNABLES: f"{HUGE_PAGES}:{ONE_ARENA}", **os.environ}
