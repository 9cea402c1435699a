"""The gateway follows the ledger: committed blocks, certificates verified, are filed in order."""

from __future__ import annotations

from salus.cloud.filing import CommittedTransaction
from salus.cloud.gateway import Gateway
from salus.codec import decode
from salus.consensus.block import transaction_hash
from salus.ledger.client import LedgerClient


class Follower:
    """Keeps one gateway up to date.

    :param ledger: the cloud's own client of the ledger.
    """

    def __init__(self, gateway: Gateway, ledger: LedgerClient) -> None:
        self._gateway = gateway
        self._ledger = ledger

    def catch_up(self) -> int:
        """File every block that is decided and not yet filed; returns the height reached.

        :raises TransportError: no node answers; what was filed stays.
        """
        height, _ = self._gateway.followed()
        for verified in self._ledger.follow(height):
            block = verified.block
            transactions = [CommittedTransaction(decode(raw)[0], transaction_hash(raw), raw) for raw in block.transactions]
            self._gateway.apply_committed(block.header.height, block.header.time_ms, transactions)
            height = block.header.height
        return height
