"""The cloud as a party: the gateway, and its own client of the ledger that tells it what is committed."""

from __future__ import annotations

from typing import Final

import structlog

from salus.cloud import messages as m
from salus.cloud.filing import CommittedTransaction
from salus.cloud.gateway import Gateway
from salus.codec import decode
from salus.consensus.block import transaction_hash
from salus.errors import SalusError
from salus.ledger.client import LedgerClient

_log = structlog.get_logger(__name__)
CONFIRM_BYTES: Final = 256 * 1024 * 1024
"""Hashed again in one maintenance: about a second of work."""
_ABOUT_COMMITTED: Final = frozenset({m.STORAGE_RECEIPT, m.FIND})
"""Methods that are about committed transactions: the gateway looks at the ledger first."""


class CloudParty:
    """Implements :class:`salus.transport.Service`.

    :param ledger: the cloud's own client of the ledger: it files only blocks whose certificates it verified.
    """

    def __init__(self, gateway: Gateway, ledger: LedgerClient) -> None:
        self.gateway = gateway
        self._ledger = ledger

    def handle(self, method: str, body: bytes) -> bytes:
        """Answer one request of :mod:`salus.cloud.messages`."""
        if method in _ABOUT_COMMITTED:
            self.follow()
        return self.gateway.handle(method, body)

    def follow(self) -> int:
        """File every block that is decided and not yet filed; returns the height reached.

        A node that does not answer is no reason to stop serving: the next call looks again.
        """
        height, _ = self.gateway.followed()
        try:
            for verified in self._ledger.follow(height):
                block = verified.block
                transactions = [CommittedTransaction(decode(raw)[0], transaction_hash(raw), raw) for raw in block.transactions]
                self.gateway.apply_committed(block.header.height, block.header.time_ms, transactions)
                height = block.header.height
        except SalusError as error:
            _log.warning("cloud-behind", height=height, error=str(error))
        return height

    def maintain(self) -> None:
        """Call now and then: hash large bodies again that were named, and once a day of block time remove what is past its time.

        What goes wrong is logged, and tried again the next time: the gateway serves on.
        """
        self.follow()
        try:
            self.gateway.confirm_pending(CONFIRM_BYTES)
            if self.gateway.maintenance_due():
                gone = self.gateway.collect_garbage()
                _log.debug("collected", bodies=gone.bodies, body_bytes=gone.body_bytes, uploads=gone.uploads)
        except SalusError as error:
            _log.warning("maintenance-failed", error=str(error))

    def close(self) -> None:
        """Close the gateway."""
        self.gateway.close()
