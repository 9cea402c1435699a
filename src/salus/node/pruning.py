"""Dropping bodies of old blocks while a node runs, a few at a time."""

from __future__ import annotations

from typing import Final

import structlog

from salus.errors import ConfigError, DamagedFile, StorageError
from salus.ledger.application import LedgerApplication
from salus.ledger.committed import CommittedBlock

DAY_MS: Final = 24 * 3600_000
BLOCKS_BETWEEN: Final = 16
"""A slice is one more transaction of the database, which is fsynced: done with every block it would make each cost twice."""
BODIES_A_SLICE: Final = 4 * BLOCKS_BETWEEN
"""Four bodies for each new block: what has gathered goes in time, and no slice holds the node up for long."""
_log = structlog.get_logger(__name__)


class BodyPruner:
    """Hears of every commit, and drops bodies of blocks that are older than ``keep_ms`` of block time.

    :param keep_ms: how long bodies are kept, at least the evidence window of the genesis.
    :raises ConfigError: it is shorter.
    """

    def __init__(self, application: LedgerApplication, keep_ms: int) -> None:
        window_ms = application.genesis.core.constants.evidence_window_ms
        if keep_ms < window_ms:
            raise ConfigError(
                f"bodies of blocks are to be kept for {keep_ms / DAY_MS:g} days, but evidence of misbehaviour counts for "
                f"{window_ms / DAY_MS:g} in this network: keep them at least that long, or all of them (0 days)"
            )
        self._application = application
        self._keep_ms = keep_ms

    def after_commit(self, committed: CommittedBlock) -> None:
        """Drop a slice, every few blocks. On a full disk nothing is dropped, and the node goes on.

        :raises DamagedFile: a block was altered on disk.
        """
        if committed.block.height % BLOCKS_BETWEEN:
            return
        try:
            dropped = self._application.prune(BODIES_A_SLICE, self._keep_ms)
        except DamagedFile:
            raise
        except StorageError as error:
            _log.warning("not-pruned", height=committed.block.height, error=str(error))
            return
        if dropped:
            _log.info("pruned", bodies=dropped, height=committed.block.height)
