"""The gateway: the cloud as its clients see it, and as it follows the ledger.

It takes anonymous uploads and signs for them, follows committed blocks, confirms that it holds and has hashed each body
they name, finds transactions by pseudonym, one-time key or doctor, and answers with sealed storage receipts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from salus.cloud import messages as m
from salus.cloud.filing import CommittedTransaction, file_transactions
from salus.cloud.index import FilingRow, Index
from salus.cloud.objects import DirectoryStore, ObjectStore
from salus.cloud.outlines import OUTLINES_DIRECTORY, Outlines
from salus.cloud.repair import Repair
from salus.cloud.settings import Clock, GatewaySettings
from salus.cloud.sharing_records import RecordShelf
from salus.cloud.shelf import Shelf
from salus.cloud.staging import Staging
from salus.cloud.uploads import Uploads
from salus.codec import Message
from salus.consultation.receipts import seal_storage_receipt
from salus.consultation.registration import MemberKey
from salus.errors import Refused, SalusError, refuse_unless
from salus.files import HomeLock
from salus.ledger.client import LedgerClient
from salus.symmetric import Random
from salus.transport import PART_BYTES, Transport

_COLUMNS: Final = {m.BY_PSEUDONYM: "pseudonym", m.BY_ONE_TIME_KEY: "one_time_key", m.BY_DOCTOR: "doctor"}
MAINTENANCE_MS: Final = 24 * 3600 * 1000
"""Block time between two collections; bodies are kept for weeks."""
_CONFIRM_AT_A_TIME: Final = 1000
"""Bodies looked up to be hashed again at one time; the bytes hashed are bounded beside that."""


class Collected(msgspec.Struct, frozen=True):
    """What garbage collection removed."""

    bodies: int
    body_bytes: int
    uploads: int


class Gateway:
    """One cloud on one network; implements :class:`salus.transport.Service`."""

    def __init__(
        self,
        network: bytes,
        key: MemberKey,
        store: ObjectStore,
        staging: Staging,
        index: Index,
        *,
        now_ms: Clock,
        random: Random = os.urandom,
        settings: GatewaySettings | None = None,
        lock: HomeLock | None = None,
        directory: Path | None = None,
    ) -> None:
        """Use :meth:`open` for the default store and index.

        :param network: id of the network. :param key: the cloud's registered key. :param now_ms: clock, UTC milliseconds.
        :param directory: for what is kept beside bodies; without one this cloud keeps no records, and proves by reading.
        """
        self.settings = settings or GatewaySettings()
        self._network = network
        self._key = key
        self._index = index
        self._random = random
        self._lock = lock
        self._staging = staging
        self._adopted = False
        outlines = Outlines(directory / OUTLINES_DIRECTORY) if directory else None
        self._shelf = Shelf(store, index, self.settings, now_ms, outlines)
        self.records = RecordShelf(directory, network, key, self._shelf, index, now_ms, random) if directory else None
        self._uploads = Uploads(network, key, staging, self._shelf, index, self.settings, now_ms, random)
        self._methods: dict[str, tuple[type[Message], Callable[[Any], Message]]] = {
            m.UPLOAD_BEGIN: (m.UploadBegin, self._uploads.begin),
            m.UPLOAD_PART: (m.UploadPart, self._uploads.part),
            m.UPLOAD_FINISH: (m.UploadFinish, self._uploads.finish),
            m.UPLOAD_WHOLE: (m.UploadWhole, self._uploads.whole),
            m.BODY_INFO: (m.BodyInfoRequest, self._body_info),
            m.BODY_RANGE: (m.BodyRangeRequest, self._body_range),
            m.BODY_PROOF: (m.BodyProofRequest, self._body_proof),
            m.FIND: (m.Find, self._find),
            m.STORAGE_RECEIPT: (m.ReceiptRequest, self._storage_receipt),
            m.STATUS: (m.StatusRequest, self._status),
        }

    @classmethod
    def open(
        cls,
        directory: Path,
        network: bytes,
        key: MemberKey,
        *,
        now_ms: Clock,
        random: Random = os.urandom,
        settings: GatewaySettings | None = None,
        index_url: str | None = None,
    ) -> Gateway:
        """Open the gateway that lives in ``directory``.

        :param index_url: SQLAlchemy URL of the index; SQLite in the directory by default.
        :raises Busy: another process has it open.
        :raises DamagedFile: the index is damaged; move it away, it is made again.
        :raises StorageError: of another network, or unusable.
        """
        lock = HomeLock(directory)
        try:
            store = DirectoryStore(directory)
            index = Index(index_url, network) if index_url else Index.in_directory(directory, network)
            staging = Staging(directory / "staging")
            return cls(
                network,
                key,
                store,
                staging,
                index,
                now_ms=now_ms,
                random=random,
                settings=settings,
                lock=lock,
                directory=directory,
            )
        except BaseException:
            lock.release()
            raise

    def handle(self, method: str, body: bytes) -> bytes:
        """Answer one request; see :mod:`salus.cloud.messages` for the methods.

        :raises Refused: with a reason code.
        """
        known = self._methods.get(method)
        if known is None:
            raise Refused("unknown-kind", f"a cloud has no method {method[:64]!r}")
        kind, answer = known
        return answer(kind.decode(body)).encode()

    # --- following the ledger ---

    def followed(self) -> tuple[int, int]:
        """Height and time (UTC milliseconds) of the last block that was filed; ask the ledger for the next one."""
        return self._index.followed()

    def apply_committed(self, height: int, time_ms: int, transactions: Sequence[CommittedTransaction]) -> None:
        """File one committed block (the caller has verified its certificate); blocks come in order, a repetition is harmless.

        Bodies up to ``confirm_inline_bytes`` are hashed again at once, others by :meth:`confirm_pending` or when their
        receipt is asked for. A missing or damaged body does not stop the following: its receipt is refused.

        :raises Refused: ``not-found`` if blocks were left out; ``bad-encoding`` for transactions that are not what they claim.
        """
        filed = self._index.followed()[0]
        if height <= filed:
            return
        refuse_unless(height == filed + 1, "not-found", f"block {height} does not follow {filed}; file {filed + 1} first")
        filings = file_transactions(height, transactions)
        if self.records is not None:
            filings += self.records.filings(height, transactions)
        if self._index.file_block(height, time_ms, filings):
            for filing in filings:
                if filing.size_bytes <= self.settings.confirm_inline_bytes:
                    self._look_at(filing.digest)
        if self.records is not None:
            self.records.forget_erased(transactions)

    def confirm_pending(self, max_bytes: int) -> int:
        """Hash again bodies that transactions name and that were not hashed since; stops after about ``max_bytes``.

        :returns: how many bodies were looked at.
        """
        done = hashed_bytes = 0
        for row in self._index.unconfirmed(_CONFIRM_AT_A_TIME):
            if hashed_bytes >= max_bytes:
                break
            self._look_at(row.digest)
            hashed_bytes += row.size_bytes
            done += 1
        return done

    def collect_garbage(self) -> Collected:
        """Remove bodies past their time (in block time, so that a clock that jumps removes nothing) and idle uploads.

        The first call after opening takes in what only the store knows (after a crash, or with an index made again).
        """
        if not self._adopted:
            self._shelf.adopt_all()
            self._adopted = True
        uploads = self._uploads.collect_garbage()
        time_ms = self._index.followed()[1]
        if self.records is not None:
            self.records.expire(time_ms)
        bodies, body_bytes = self._shelf.expire(time_ms)
        self._index.set_maintained(time_ms)
        return Collected(bodies, body_bytes, uploads)

    def maintenance_due(self) -> bool:
        """Whether a day of block time has passed since the last :meth:`collect_garbage`."""
        return self._index.followed()[1] - self._index.maintained() >= MAINTENANCE_MS

    def adopt_bodies(self) -> int:
        """After the index was made again: hash and take in every body of the store; returns how many are held."""
        return self._shelf.adopt_all()

    @property
    def name(self) -> str:
        """The cloud's name."""
        return self._key.name

    def repair_records(self, transport: Transport, ledger: LedgerClient) -> int:
        """Fetch what was lost here of records from the records' other clouds; returns how many bodies came back."""
        if self.records is None:
            return 0
        return Repair(self.records, transport, ledger, self._staging.directory, self.settings.body_bytes_max).run()

    def close(self) -> None:
        """Close the index and release the directory."""
        self._index.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- answers ---

    def _body_info(self, request: m.BodyInfoRequest) -> m.BodyInfo:
        self._require_no_record(request.digest)
        row = self._shelf.held(request.digest)
        if row is None:
            raise Refused("missing-body", f"no body {request.digest.hex()[:16]}.. here")
        return m.BodyInfo(row.digest, row.size_bytes, row.keep_until_ms)

    def _body_range(self, request: m.BodyRangeRequest) -> m.BodyRange:
        refuse_unless(0 < request.count <= PART_BYTES, "too-large", f"a range has 1 to {PART_BYTES} bytes")
        self._require_no_record(request.digest)
        return m.BodyRange(self._shelf.read(request.digest, request.offset, request.count))

    def _body_proof(self, request: m.BodyProofRequest) -> Message:
        self._require_no_record(request.digest)
        return self._shelf.prove(request.digest, request.first, request.count)

    def _require_no_record(self, digest: bytes) -> None:
        """Bodies of records are given to readers of committed grants alone (:mod:`salus.cloud.sharing_records`)."""
        refused = self.records is not None and self.records.is_record(digest)
        refuse_unless(not refused, "not-granted", "that is the body of a record; show the grant")

    def _find(self, request: m.Find) -> m.Found:
        refuse_unless(0 < request.limit <= m.FOUND_MAX, "too-large", f"ask for 1 to {m.FOUND_MAX} at a time")
        column = _COLUMNS.get(request.by)
        if column is None:
            raise Refused("unknown-kind", f"find by one of {', '.join(_COLUMNS)}")
        value: bytes | str = request.value
        if request.by == m.BY_DOCTOR:
            refuse_unless(request.value.isascii(), "bad-encoding", "a doctor's name is ASCII")
            value = request.value.decode("ascii")
        rows = self._index.find(column, value, request.after, request.limit + 1)
        filings = tuple(self._filing(row) for row in rows[: request.limit])
        return m.Found(filings, int(len(rows) > request.limit))

    def _filing(self, row: FilingRow) -> m.Filing:
        body = self._index.body(row.digest)
        held = body is not None and body.confirmed and body.size_bytes == row.size_bytes
        return m.Filing(
            row.number,
            row.kind,
            row.tx_hash,
            row.height,
            row.pseudonym,
            row.one_time_key,
            row.doctor,
            row.digest,
            row.size_bytes,
            int(held),
        )

    def _storage_receipt(self, request: m.ReceiptRequest) -> Message:
        """Receipts, steps 3 and 4: only for a committed transaction whose body is held and was hashed since."""
        filing = self._index.filing(request.tx_hash)
        if filing is None:
            height = self._index.followed()[0]
            raise Refused(
                "not-committed", f"no transaction {request.tx_hash.hex()[:16]}.. up to block {height}; try again after its block"
            )
        row = self._shelf.confirm(filing.digest)
        refuse_unless(row.size_bytes == filing.size_bytes, "bad-body", "the body has another size than the ledger names")
        return seal_storage_receipt(
            self._network,
            self._key,
            filing.pseudonym,
            filing.one_time_key,
            filing.doctor,
            filing.height,
            filing.tx_hash,
            filing.digest,
            filing.size_bytes,
            self._random,
        )

    def _status(self, _request: m.StatusRequest) -> m.CloudStatus:
        height, time_ms = self._index.followed()
        _, _, filings = self._index.totals()
        return m.CloudStatus(
            self._key.name,
            self._network,
            height,
            time_ms,
            self._shelf.count,
            self._shelf.total_bytes,
            self.settings.store_bytes_max,
            self._uploads.open_count,
            filings,
            PART_BYTES,
            0 if self.records is None else len(self.records),
            0 if self.records is None else len(self.records.wanted),
        )

    def _look_at(self, digest: bytes) -> SalusError | None:
        """Confirm a body; what is wrong with it is remembered by the index (the body is no longer held)."""
        try:
            self._shelf.confirm(digest)
        except Refused as error:
            return error
        return None
