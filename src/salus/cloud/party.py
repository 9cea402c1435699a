"""The cloud as a party: the gateway, and its own client of the ledger that tells it what is committed."""

from __future__ import annotations

from typing import Final

import structlog

from salus.cloud import messages as m
from salus.cloud import sharing_messages as sm
from salus.cloud.filing import CommittedTransaction
from salus.cloud.gateway import Gateway
from salus.codec import Message, decode
from salus.consensus.block import transaction_hash
from salus.errors import Refused, SalusError
from salus.ledger.client import LedgerClient
from salus.transport import Transport

_log = structlog.get_logger(__name__)
CONFIRM_BYTES: Final = 256 * 1024 * 1024
"""Hashed again in one maintenance: about a second of work."""
_ABOUT_COMMITTED: Final = frozenset({m.STORAGE_RECEIPT, m.FIND, sm.RECORD_INFO, sm.RECORD_RANGE, sm.RECORD_PROOF})
"""Methods that are about committed transactions: the gateway looks at the ledger first."""
_RECORDS: Final = frozenset({sm.RECORD_KEEP, sm.RECORD_INFO, sm.RECORD_RANGE, sm.RECORD_PROOF, sm.RECORD_REPAIR})


class CloudParty:
    """Implements :class:`salus.transport.Service`.

    :param ledger: the cloud's own client of the ledger: it files only blocks whose certificates it verified.
    :param transport: reaches other clouds, which may have a record's body that was lost here.
    """

    def __init__(self, gateway: Gateway, ledger: LedgerClient, transport: Transport | None = None) -> None:
        self.gateway = gateway
        self._ledger = ledger
        self._transport = transport

    @property
    def name(self) -> str:
        """The cloud's name."""
        return self.gateway.name

    def handle(self, method: str, body: bytes) -> bytes:
        """Answer one request of :mod:`salus.cloud.messages`."""
        if method in _ABOUT_COMMITTED:
            self.follow()
        if method in _RECORDS:
            return self._record(method, body).encode()
        return self.gateway.handle(method, body)

    def _record(self, method: str, body: bytes) -> Message:
        """Answer one request of :mod:`salus.cloud.sharing_messages`."""
        records = self.gateway.records
        if records is None:
            raise Refused("unknown-kind", "this cloud keeps no records")
        if method == sm.RECORD_KEEP:
            return records.keep(sm.RecordKeep.decode(body))
        if method == sm.RECORD_INFO:
            return records.info(sm.RecordInfoRequest.decode(body), self._ledger)
        if method == sm.RECORD_RANGE:
            return records.range(sm.RecordRange.decode(body), self._ledger)
        if method == sm.RECORD_PROOF:
            return records.prove(sm.RecordProof.decode(body), self._ledger)
        return records.give(sm.RecordRepair.decode(body), self._ledger)

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

    def repair(self) -> int:
        """Fetch what was lost here of records from other clouds; returns how many bodies came back.

        Not to be called while this party answers nobody: two clouds may repair each other at the same time.
        """
        if self._transport is None or len(self._ledger.genesis.core.clouds) < 2:
            return 0
        try:
            return self.gateway.repair_records(self._transport, self._ledger)
        except SalusError as error:
            _log.warning("repair-failed", error=str(error))
            return 0

    @property
    def missing(self) -> int:
        """Records that the ledger names this cloud for, and of which nothing is here."""
        return len(self.gateway.records.wanted) if self.gateway.records is not None else 0

    def close(self) -> None:
        """Close the gateway."""
        self.gateway.close()
