"""Bodies of records at a cloud: bound to their records, kept until they are erased, given to owner and granted readers alone.

Who may read is told by the ledger's state, proven under a certified header at every question (:mod:`salus.ledger.reading`): the
cloud believes neither the reader nor a node. Steps: docs/protocol/sharing-ledger.md, "records", step 3, and "shares", step 9.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec.structs import replace

from salus import labels
from salus.cloud import messages as m
from salus.cloud import sharing_messages as sm
from salus.cloud.filing import CommittedTransaction
from salus.cloud.index import BodyRow, FilingRow, Index
from salus.cloud.settings import Clock
from salus.cloud.shelf import Shelf
from salus.cloud.wanted import WantedRecords
from salus.codec import Bytes16, Bytes32, Message, Size
from salus.consultation.registration import CLOUD, MemberKey, verify_member_signature
from salus.errors import Refused, TransportError, refuse_unless
from salus.files import erase, make_private_directory, read_bounded, remove_leftovers, write_atomic
from salus.ledger.client import LedgerClient
from salus.ledger.kinds.sharing.messages.records import RecordContent, RecordErase, RecordPut, RecordRotate
from salus.ledger.kinds.sharing.records import Record, digest_tag, find_record, sign_record_upload
from salus.ledger.reading import PROOF_AGE_MS, ProvenView, check_reader
from salus.ledger.sharing_api import SEALED_METADATA_MAX, ReadProof
from salus.records.record import SealedMetadata, metadata_hash
from salus.symmetric import Random
from salus.transport import PART_BYTES, Transport

RECORDS_DIRECTORY: Final = "records"
FOR_EVER_MS: Final = 1 << 61
"""A record's body has no date of expiry: it is kept until the owner erases it."""
ENTRY_BYTES_MAX: Final = SEALED_METADATA_MAX + 1024
"""A record's entry: its sealed metadata, and some two hundred bytes of names and digests."""
SEEN_MAX: Final = 1024
"""Accepted proofs remembered: all that are shown in :data:`SEEN_MS`; a megabyte."""
SEEN_MS: Final = 2_000
"""How long an accepted proof needs no look at the ledger: a body comes in many ranges, and a revocation counts within seconds."""
UNNAMED: Final = 0
NAMED: Final = 1


class RecordEntry(Message, frozen=True):
    """What a cloud keeps of a record beside its body.

    :ivar metadata: hash of ``sealed``. :ivar named: 1 once a committed transaction names it.
    """

    KIND = "cloud.record-entry"

    rid: Bytes16
    metadata: Bytes32
    digest: Bytes32
    size_bytes: int
    sealed: Annotated[bytes, Size(1, SEALED_METADATA_MAX)]
    keep_until_ms: int
    named: int


class RecordShelf:
    """Records of one cloud, in a directory of their own beside its bodies.

    :param shelf, index: of the gateway's bodies. :param now_ms: clock, UTC milliseconds.
    """

    def __init__(
        self, directory: Path, network: bytes, key: MemberKey, shelf: Shelf, index: Index, now_ms: Clock, random: Random
    ) -> None:
        self._directory = directory / RECORDS_DIRECTORY
        self.network = network
        self._key = key
        self._shelf = shelf
        self._index = index
        self._now_ms = now_ms
        self._random = random
        self.wanted = WantedRecords(directory)
        make_private_directory(self._directory)
        remove_leftovers(self._directory)
        self._bound: dict[bytes, tuple[bytes, bytes]] = {}
        """digest -> (rid, metadata hash) of bodies that are a record's, named by the ledger or not yet."""
        self._seen: dict[bytes, tuple[int, Record]] = {}
        self._looked_at = 0
        self._read_through = -1
        for path in self._directory.iterdir():
            entry = _read_entry(path)
            self._bound[entry.digest] = (entry.rid, entry.metadata)

    @property
    def cloud(self) -> str:
        """Name of the cloud."""
        return self._key.name

    def __len__(self) -> int:
        return len(self._bound)

    # --- taking in ---

    def keep(self, asked: sm.RecordKeep) -> Message:
        """Bind an uploaded body to a record, and sign the receipt (records, step 3); again: another receipt of the same.

        :raises Refused: ``missing-body``, ``bad-receipt`` (kept for a shorter time than asked), ``duplicate-record`` (the body is
            another transaction's), ``bad-encoding``.
        """
        SealedMetadata.decode(asked.sealed)
        row = self._shelf.held(asked.digest)
        if row is None:
            raise Refused("missing-body", f"no body {asked.digest.hex()[:16]}.. here; upload it first")
        long = asked.keep_until_ms <= row.keep_until_ms
        refuse_unless(long, "bad-receipt", f"the upload is kept until {row.keep_until_ms}; upload it again for longer")
        metadata = metadata_hash(self.network, asked.rid, asked.sealed)
        known = self._bound.get(asked.digest)
        # Else a record named after another one's body, or after a consultation's, would shut out its readers.
        free = known == (asked.rid, metadata) or (known is None and not self._index.naming(asked.digest))
        refuse_unless(free, "duplicate-record", "that body belongs to something else")
        if known is None:
            entry = RecordEntry(asked.rid, metadata, asked.digest, row.size_bytes, asked.sealed, asked.keep_until_ms, UNNAMED)
            self._write(entry)
            self._bound[entry.digest] = (entry.rid, entry.metadata)
        tag = digest_tag(self.network, asked.digest)
        return sign_record_upload(self.network, self._key, asked.rid, tag, metadata, asked.keep_until_ms, self._random)

    def is_record(self, digest: bytes) -> bool:
        """Whether a body is a record's: then nobody gets it by its digest alone."""
        return digest in self._bound

    # --- following the ledger ---

    def filings(self, height: int, transactions: Sequence[CommittedTransaction]) -> list[FilingRow]:
        """What one block says of records: bodies that are named now stay; a repetition is harmless."""
        rows = []
        for transaction in transactions:
            if transaction.kind in (RecordPut.KIND, RecordRotate.KIND):
                decoded: Any = (RecordPut if transaction.kind == RecordPut.KIND else RecordRotate).decode(transaction.data)
                row = self._name(height, transaction.tx_hash, decoded.rid, decoded.content)
                rows += [row] if row is not None else []
        return rows

    def forget_erased(self, transactions: Sequence[CommittedTransaction]) -> None:
        """Erase what a block erases or replaces: bodies and sealed metadata. Called after the block's filings are durable."""
        for transaction in transactions:
            if transaction.kind == RecordErase.KIND:
                self._erase_others(RecordErase.decode(transaction.data).rid, b"")
            elif transaction.kind == RecordRotate.KIND:
                rotated = RecordRotate.decode(transaction.data)
                self._erase_others(rotated.rid, rotated.content.metadata)

    def _name(self, height: int, tx_hash: bytes, rid: bytes, content: RecordContent) -> FilingRow | None:
        entry = self._read(rid, content.metadata)
        if entry is None or digest_tag(self.network, entry.digest) != content.digest_tag:
            if any(upload.cloud == self.cloud for upload in content.uploads):
                self.wanted.add(height, tx_hash, rid, content)  # this cloud signed that it has it: it was lost since
            return None
        self._write(replace(entry, named=NAMED))
        return _filing(entry, tx_hash, height)

    def _erase_others(self, rid: bytes, kept: bytes) -> None:
        self.wanted.forget(rid, kept)
        for path in sorted(self._directory.glob(f"{rid.hex()}.*")):
            entry = _read_entry(path)
            if entry.metadata == kept or (kept and not entry.named):
                continue
            with self._shelf.lock(entry.digest):
                row = self._index.body(entry.digest)
                if row is not None and entry.named:
                    self._shelf.erase(row)
            self._bound.pop(entry.digest, None)
            erase(path)
        self._seen.clear()

    def expire(self, time_ms: int) -> int:
        """Drop what no transaction named in time, at block time ``time_ms``; its body expires like any other."""
        over = [entry for entry in self.entries() if not entry.named and entry.keep_until_ms < time_ms]
        for entry in over:
            self._bound.pop(entry.digest, None)
            erase(self._path(entry.rid, entry.metadata))
        return len(over)

    # --- reading ---

    def info(self, asked: sm.RecordInfoRequest, ledger: LedgerClient) -> sm.RecordInfo:
        """Sealed metadata, for who may read."""
        entry = self._readable(asked.proof, ledger)
        return sm.RecordInfo(entry.sealed, entry.size_bytes)

    def range(self, asked: sm.RecordRange, ledger: LedgerClient) -> m.BodyRange:
        """A range of the body, for who may read."""
        refuse_unless(0 < asked.count <= PART_BYTES, "too-large", f"a range has 1 to {PART_BYTES} bytes")
        entry = self._readable(asked.proof, ledger)
        return m.BodyRange(self._shelf.read(entry.digest, asked.offset, asked.count))

    def prove(self, asked: sm.RecordProof, ledger: LedgerClient) -> Message:
        """Proof that segments belong to the body, for who may read."""
        entry = self._readable(asked.proof, ledger)
        return self._shelf.prove(entry.digest, asked.first, asked.count)

    # --- repair ---

    def give(self, asked: sm.RecordRepair, ledger: LedgerClient) -> sm.RecordPiece:
        """Sealed metadata and a range of the body, to another cloud that the ledger names: ciphertext that it should have.

        :raises Refused: ``not-authorised``, ``bad-signature``, ``wrong-request``, ``missing-body``, ``unreachable``.
        """
        refuse_unless(0 < asked.count <= PART_BYTES, "too-large", f"a range has 1 to {PART_BYTES} bytes")
        fresh = abs(self._now_ms() - asked.time_ms) <= PROOF_AGE_MS and asked.party == self._key.name
        refuse_unless(fresh, "wrong-request", "the question is old, or for another cloud")
        try:
            W = ledger.member_key(CLOUD, asked.cloud)
            record = find_record(ProvenView(ledger), asked.rid)
        except TransportError as error:
            raise Refused("unreachable", f"the ledger cannot be asked: {error}"[:4096]) from None
        verify_member_signature(self.network, labels.SIG_FETCH, asked.cloud, W, asked.signed(), asked.signature)
        named = asked.cloud in record.clouds and asked.metadata == record.metadata
        refuse_unless(named, "not-authorised", f"the ledger does not name {asked.cloud} for that record")
        entry = self._read(asked.rid, asked.metadata)
        if entry is None:
            raise Refused("missing-body", "that body is not here")
        data = self._shelf.read(entry.digest, asked.offset, asked.count)
        return sm.RecordPiece(entry.sealed, entry.digest, entry.size_bytes, data)

    def ask(self, transport: Transport, rid: bytes, metadata: bytes, cloud: str, offset: int, count: int) -> sm.RecordPiece:
        """Ask another cloud for a range of a record's body; nothing of the answer is checked yet.

        :raises Refused: it refuses. :raises TransportError: it does not answer.
        """
        about = (rid, metadata, offset, count, self.cloud, cloud, self._now_ms())
        draft = sm.RecordRepair(*about, bytes(64))
        signature = self._key.sign(self.network, labels.SIG_FETCH, draft.signed(), self._random)
        return sm.RecordPiece.decode(transport.call(cloud, sm.RECORD_REPAIR, sm.RecordRepair(*about, signature).encode()))

    def without_body(self, count: int) -> list[RecordEntry]:
        """Records that are named by the ledger and whose bodies are lost, among the next so many, in turn."""
        paths = sorted(self._directory.iterdir())
        start = self._looked_at if self._looked_at < len(paths) else 0
        self._looked_at = start + count
        entries = [_read_entry(path) for path in paths[start : self._looked_at]]
        return [entry for entry in entries if entry.named and self._shelf.held(entry.digest) is None]

    def damaged(self, bytes_max: int) -> list[RecordEntry]:
        """Records whose bodies, read again in turn, are not what they were when they came; they are set aside.

        :param bytes_max: how much is read, but for the last body.
        """
        paths = sorted(self._directory.iterdir())
        found: list[RecordEntry] = []
        for _ in range(len(paths)):
            self._read_through = self._read_through + 1 if self._read_through + 1 < len(paths) else 0
            entry = _read_entry(paths[self._read_through])
            if entry.named:
                bytes_max -= entry.size_bytes
                if not self._shelf.sound(entry.digest):
                    found.append(entry)
            if bytes_max <= 0:
                break
        return found

    def restore(self, entry: RecordEntry, staged: Path) -> None:
        """Put back a body: a complete, fsynced, checked file. From now on it is given to nobody by its digest alone."""
        self._write(entry)
        self._bound[entry.digest] = (entry.rid, entry.metadata)
        self._shelf.restore(BodyRow(entry.digest, entry.size_bytes, self._now_ms(), FOR_EVER_MS, True, True), staged)

    def file_late(self, entry: RecordEntry, tx_hash: bytes, height: int) -> None:
        """File the transaction that names a body which came after it."""
        self._index.file_late(_filing(entry, tx_hash, height))

    def _readable(self, proof: ReadProof, ledger: LedgerClient) -> RecordEntry:
        record = self._allowed(proof, ledger)
        entry = self._read(record.rid, record.metadata)
        if entry is None:
            raise Refused("missing-body", f"the body of record {record.rid.hex()} is not here; ask another cloud of it")
        return entry

    def _allowed(self, proof: ReadProof, ledger: LedgerClient) -> Record:
        now_ms = self._now_ms()
        seen = self._seen.get(proof.encode())
        if seen is not None and 0 <= now_ms - seen[0] <= SEEN_MS:
            return seen[1]
        try:
            ledger.refresh()
            record = check_reader(ProvenView(ledger), self.network, proof, self._key.name, now_ms, ledger.time_ms)
        except TransportError as error:
            raise Refused("unreachable", f"the ledger cannot be asked who may read: {error}"[:4096]) from None
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen[proof.encode()] = (now_ms, record)
        return record

    # --- files ---

    def entries(self) -> list[RecordEntry]:
        """Every record that is here."""
        return [_read_entry(path) for path in sorted(self._directory.iterdir())]

    def _read(self, rid: bytes, metadata: bytes) -> RecordEntry | None:
        path = self._path(rid, metadata)
        return _read_entry(path) if path.exists() else None

    def _write(self, entry: RecordEntry) -> None:
        write_atomic(self._path(entry.rid, entry.metadata), entry.encode())

    def _path(self, rid: bytes, metadata: bytes) -> Path:
        return self._directory / f"{rid.hex()}.{metadata.hex()}"


def _read_entry(path: Path) -> RecordEntry:
    return RecordEntry.decode(read_bounded(path, ENTRY_BYTES_MAX, "a record's entry"))


def _filing(entry: RecordEntry, tx_hash: bytes, height: int) -> FilingRow:
    """Nothing finds this filing but its body's digest: pseudonym and one-time key are random."""
    hidden = (os.urandom(32), os.urandom(32))
    return FilingRow(RecordPut.KIND, tx_hash, height, *hidden, "", entry.digest, entry.size_bytes, FOR_EVER_MS)
