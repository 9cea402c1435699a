"""Repair: what a cloud should have of records and does not, fetched from the records' other clouds and checked by its digest.

A body may be lost here, or everything: then the ledger, followed from its first block, says of which records this cloud gave a
receipt, and the other clouds give sealed metadata and body. Steps: docs/protocol/records.md, "repair".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from salus import labels
from salus.cloud.sharing_records import FOR_EVER_MS, NAMED, RecordEntry, RecordShelf
from salus.cloud.wanted import WantedRecord
from salus.errors import SalusError, TransportError, refuse_unless
from salus.ledger.client import LedgerClient
from salus.ledger.kinds.sharing.records import RECORDS, digest_tag
from salus.ledger.reading import ProvenView
from salus.records.digest import BodyDigester
from salus.records.record import metadata_hash
from salus.transport import PART_BYTES, Transport

LOOKED_AT_A_TIME: Final = 1000
"""Records whose bodies are looked for at one time: a second of work."""
READ_THROUGH_BYTES: Final = 64 * 1024 * 1024
"""Bodies that are hashed again at one time, in turn: a disk that decays is noticed, in a tenth of a second of work a round."""
_log = structlog.get_logger(__name__)


class Repair:
    """Fetches for one cloud.

    :param shelf: its records. :param staging: where a body lies until it is checked.
    :param bytes_max: of one body: what another cloud says of its size is not believed.
    """

    def __init__(self, shelf: RecordShelf, transport: Transport, ledger: LedgerClient, staging: Path, bytes_max: int) -> None:
        self._shelf = shelf
        self._transport = transport
        self._ledger = ledger
        self._staging = staging
        self._bytes_max = bytes_max

    def run(self) -> int:
        """Fetch what is missing, of up to a thousand records of either sort; returns how many bodies came back.

        One whose other clouds are all silent comes again in the next round.
        """
        repaired = 0
        for name, wanted in list(self._shelf.wanted.some(LOOKED_AT_A_TIME)):
            clouds = self._others(wanted.rid, wanted.metadata)
            if clouds is None:
                self._shelf.wanted.drop(name)
            elif any(self._fetch_all(wanted, cloud) for cloud in clouds):
                self._shelf.wanted.drop(name)
                repaired += 1
        lost = {entry.digest: entry for entry in self._shelf.without_body(LOOKED_AT_A_TIME)}
        lost |= {entry.digest: entry for entry in self._shelf.damaged(READ_THROUGH_BYTES)}
        for entry in lost.values():
            clouds = self._others(entry.rid, entry.metadata) or ()
            repaired += any(self._fetch_body(entry, cloud) for cloud in clouds)
        return repaired

    def _others(self, rid: bytes, metadata: bytes) -> tuple[str, ...] | None:
        """Other clouds that keep what a record has now; None if that is no longer this."""
        record = RECORDS.get(ProvenView(self._ledger), rid)
        if record is None or record.erased_ms or record.metadata != metadata:
            return None
        return tuple(cloud for cloud in record.clouds if cloud != self._shelf.cloud)

    def _fetch_all(self, wanted: WantedRecord, cloud: str) -> bool:
        """Sealed metadata and body: what the ledger says of either is checked before anything is kept."""
        with self._checked(cloud):
            piece = self._shelf.ask(self._transport, wanted.rid, wanted.metadata, cloud, 0, 1)
            network = self._shelf.network
            sealed = metadata_hash(network, wanted.rid, piece.sealed) == wanted.metadata
            refuse_unless(sealed, "bad-body", f"{cloud} gave other metadata than the ledger names")
            named = digest_tag(network, piece.digest) == wanted.digest_tag
            refuse_unless(named, "bad-body", f"{cloud} gave another digest than the ledger names")
            about = (wanted.rid, wanted.metadata, piece.digest, piece.size_bytes)
            entry = RecordEntry(*about, piece.sealed, FOR_EVER_MS, NAMED)
            self._fetch(entry, cloud)
            self._shelf.file_late(entry, wanted.tx_hash, wanted.height)
            return True
        return False

    def _fetch_body(self, entry: RecordEntry, cloud: str) -> bool:
        with self._checked(cloud):
            self._fetch(entry, cloud)
            return True
        return False

    @contextmanager
    def _checked(self, cloud: str) -> Iterator[None]:
        """What a cloud gives wrong, or not at all, is logged; another one is asked."""
        try:
            yield
        except (SalusError, OSError) as error:
            _log.warning("not-repaired", cloud=cloud, error=str(error))

    def _fetch(self, entry: RecordEntry, cloud: str) -> None:
        """:raises Refused: ``bad-body``, or what the other cloud refuses. :raises TransportError: it does not answer."""
        refuse_unless(
            entry.size_bytes <= self._bytes_max, "too-large", f"{cloud} says that the body has {entry.size_bytes} bytes"
        )
        part = self._staging / f"repair-{entry.digest.hex()}"
        digester = BodyDigester(suite=labels.SUITE_RECORDS_2)
        try:
            with part.open("wb") as file:
                for offset in range(0, entry.size_bytes, PART_BYTES):
                    count = min(PART_BYTES, entry.size_bytes - offset)
                    piece = self._shelf.ask(self._transport, entry.rid, entry.metadata, cloud, offset, count)
                    if len(piece.data) != count:
                        raise TransportError(f"{cloud} sent {len(piece.data)} of {count} bytes")
                    digester.update(piece.data)
                    file.write(piece.data)
                file.flush()
                os.fsync(file.fileno())
            right = digester.finish().digest == entry.digest
            refuse_unless(right, "bad-body", f"{cloud} gave a body of another digest")
            self._shelf.restore(entry, part)
        finally:
            part.unlink(missing_ok=True)
