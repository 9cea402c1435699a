"""A follower: the ledger as a node without a seat has it, every block verified and replayed by public checks alone."""

from __future__ import annotations

from pathlib import Path

import structlog

from salus.consensus.block import block_input
from salus.errors import SalusError
from salus.ledger.application import LedgerApplication
from salus.ledger.client import LedgerClient
from salus.ledger.genesis import Genesis

_log = structlog.get_logger(__name__)


class Follower:
    """Keeps a ledger up to date from nodes that it does not believe.

    Blocks are not fsynced one by one: a loss of power may take the newest, and the next call reads them again from any node.
    Nobody was promised that they are here, they are decided for good, and what is signed about a height is a function of the
    state after it, which comes out the same again (docs/adr/0261-followers.md).

    :param directory: of the ledger. :param ledger: asks the nodes; it verifies the certificates of the blocks it gives.
    """

    def __init__(self, directory: Path, genesis: Genesis, ledger: LedgerClient) -> None:
        self.application = LedgerApplication.open(directory, genesis, every_commit_durable=False)
        self._ledger = ledger
        self._validators = genesis.validators()  # seats are fixed by genesis until there are elections

    @property
    def height(self) -> int:
        """Of the last block applied."""
        return self.application.info().height

    def follow(self) -> int:
        """Apply every block that is decided; returns the height reached.

        A node that does not answer is no reason to stop: the next call looks again.
        """
        try:
            for verified in self._ledger.follow(self.height):
                self.application.finalise_block(block_input(verified.block, self._validators))
                self.application.commit(verified.block.encode(), verified.certificate.encode())
        except SalusError as error:
            _log.warning("follower-behind", height=self.height, error=str(error))
        return self.height

    def close(self) -> None:
        """Close the ledger."""
        self.application.close()
