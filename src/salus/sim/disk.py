"""A virtual disk. What was not synced may be lost, torn or kept when the power goes; the moment can be any operation."""

from __future__ import annotations

from random import Random
from typing import Final

from salus.errors import StorageError

SECTOR_BYTES: Final = 512
"""What a disk writes at once: a torn write keeps some sectors of it and not others."""


class PowerLoss(Exception):
    """The simulated machine stops in the middle of whatever it was doing."""


class _File:
    def __init__(self, durable: bytes) -> None:
        self.durable = durable
        self.pending: list[bytes] = []


class SimDisk:
    """Implements :class:`salus.consensus.pbft.durable.Disk`; content outlives crashes of the replica that uses it.

    :ivar crash_after: operations until the machine stops; None for never.
    :ivar fail_after: operations until one fails with an I/O error; None for never.
    :ivar lost_writes: un-synced writes that a power failure took.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._files: dict[str, _File] = {}
        self.crash_after: int | None = None
        self.fail_after: int | None = None
        self.lost_writes = 0
        self.failures = 0

    # --- the disk ---

    def read(self, name: str) -> bytes | None:
        """Content as the running system sees it: with what is not synced yet."""
        file = self._files.get(name)
        return None if file is None else file.durable + b"".join(file.pending)

    def append(self, name: str, data: bytes) -> None:
        """Write at the end."""
        self._operation()
        self._files.setdefault(name, _File(b"")).pending.append(data)

    def sync(self, name: str) -> None:
        """Make everything appended durable."""
        self._operation()
        file = self._files.get(name)
        if file is not None and file.pending:
            file.durable += b"".join(file.pending)
            file.pending.clear()

    def replace(self, name: str, data: bytes) -> None:
        """New content, durable, or the old one."""
        self._operation()
        self._files[name] = _File(data)

    # --- faults ---

    def _operation(self) -> None:
        if self.crash_after is not None:
            if self.crash_after == 0:
                raise PowerLoss
            self.crash_after -= 1
        if self.fail_after is not None:
            if self.fail_after == 0:
                self.fail_after = None
                self.failures += 1
                raise StorageError("simulated I/O error")
            self.fail_after -= 1

    def lose_power(self) -> None:
        """Everything not synced is gone, or torn: some of its sectors are on the disk, the others are zeros."""
        for file in self._files.values():
            if not file.pending:
                continue
            self.lost_writes += len(file.pending)
            data = b"".join(file.pending)
            file.pending.clear()
            if self._random.random() < 0.5:
                continue
            kept = data[: self._random.randrange(len(data) + 1)]
            sectors = [kept[i : i + SECTOR_BYTES] for i in range(0, len(kept), SECTOR_BYTES)]
            torn = self._random.random() < 0.5
            file.durable += b"".join(bytes(len(p)) if torn and self._random.random() < 0.3 else p for p in sectors)
        self.restart()

    def restart(self) -> None:
        """The machine is up again; planned faults are over."""
        self.crash_after = self.fail_after = None
