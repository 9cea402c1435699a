"""What a simulated network, or a whole run of them, exercised."""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct):
    """What was exercised."""

    commits: int = 0
    messages: int = 0
    dropped: int = 0
    duplicated: int = 0
    partitions: int = 0
    crashes: int = 0
    power_losses: int = 0
    lost_writes: int = 0
    torn_logs: int = 0
    disk_errors: int = 0
    clock_jumps: int = 0
    clock_refusals: int = 0
    view_changes: int = 0
    byzantine_replicas: int = 0
    equivocations_caught: int = 0
    catch_ups: int = 0
    snapshots_restored: int = 0
    set_changes: int = 0
    virtual_ms: int = 0
