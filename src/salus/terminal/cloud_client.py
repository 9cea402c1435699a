"""A terminal's view of a cloud: upload with resume, download into a sink, look-ups, storage receipts.

Nothing that a cloud says is believed here: upload receipts are checked against the cloud's key, bodies against the
ledger's digest by the caller (``salus.records`` does so while it decrypts), look-ups against the ledger.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

import msgspec

from salus.cloud import messages as m
from salus.codec import Message
from salus.consultation.receipts import SealedReceipt, UploadReceipt
from salus.errors import Refused, TransportError, refuse_unless
from salus.records.digest import SEALED_SEGMENT_BYTES, BodySummary, RangeProof, verify_range
from salus.records.streams import Progress, Sink, Source, read_up_to, write_all
from salus.symmetric import Random
from salus.transport import PART_BYTES, Transport

WHOLE_BYTES_MAX: Final = 1 << 20
"""Bodies up to this size go in one call."""

_WAIT: Final = frozenset({"rate-limited", "unreachable", "busy"})
"""Refusals that pass by themselves."""
_RESTARTS: Final = 3

T = TypeVar("T")
A = TypeVar("A", bound=Message)


class SeekableSource(Source, Protocol):
    """A source that can go back, so that an upload can resume: any open file."""

    def seek(self, offset: int, /) -> int:
        """Go to ``offset`` from the start."""


class Retry(msgspec.Struct, frozen=True):
    """How often and how patiently a call is repeated that got no answer or was told to wait.

    :ivar attempts: calls in all without progress, at most 32.
    :ivar first_wait_ms: before the second; each further wait doubles, up to ``wait_ms_max``.
    """

    attempts: int = 6
    first_wait_ms: int = 100
    wait_ms_max: int = 5000


class CloudClient:
    """Calls one cloud."""

    def __init__(
        self,
        transport: Transport,
        party: str,
        *,
        random: Random = os.urandom,
        sleep_ms: Callable[[int], None] = lambda wait_ms: time.sleep(wait_ms / 1000),
        retry: Retry | None = None,
    ) -> None:
        """:param party: the cloud's name on the transport and the ledger."""
        self._transport = transport
        self.party = party
        self._random = random
        self._sleep_ms = sleep_ms
        self._retry = retry or Retry()

    def new_upload(self) -> bytes:
        """A fresh upload number; keep it to resume after an interruption."""
        return self._random(16)

    def upload(
        self,
        source: SeekableSource,
        digest: bytes,
        size_bytes: int,
        keep_until_ms: int,
        *,
        upload: bytes | None = None,
        progress: Progress | None = None,
    ) -> UploadReceipt:
        """Upload an encrypted body, in parts and resuming after failures.

        The receipt is checked to be this cloud's for at least that long; its signature is the caller's to check
        (:func:`salus.consultation.receipts.check_upload`) with the key that the ledger names.

        :param source: the encrypted body, from its first byte. :param digest, size_bytes: its digest and size.
        :param upload: number of an interrupted upload to go on with (:meth:`new_upload`).
        :param progress: called with the number of bytes that have arrived.
        :raises Refused: the cloud refused, or ``bad-receipt``. :raises TransportError: no answer, repeatedly.
        """
        number = upload if upload is not None else self.new_upload()
        if size_bytes <= WHOLE_BYTES_MAX:
            source.seek(0)
            data = read_up_to(source, size_bytes + 1)
            refuse_unless(len(data) == size_bytes, "bad-body", "the file is not the body that was announced")
            receipt = self._call(m.UPLOAD_WHOLE, m.UploadWhole(number, digest, keep_until_ms, data), UploadReceipt)
        else:
            receipt = self._upload_parts(source, m.UploadBegin(number, digest, size_bytes, keep_until_ms), progress)
        if progress is not None:
            progress(size_bytes)
        refuse_unless(receipt.cloud == self.party, "bad-receipt", f"signed by {receipt.cloud}, not by {self.party}")
        refuse_unless(receipt.keep_until_ms >= keep_until_ms, "bad-receipt", "the cloud keeps the body for less than was asked")
        return receipt

    def download(self, digest: bytes, size_bytes: int, sink: Sink, *, offset: int = 0, progress: Progress | None = None) -> int:
        """Write the body from ``offset`` on into ``sink``; returns how many bytes were written.

        The bytes are *not* verified here: check the digest (or decrypt, which does) before believing them.

        :param size_bytes: bytes of the body, as the ledger names them. :param progress: called with the bytes that are there.
        :raises Refused: ``missing-body``, or ``bad-body`` if the cloud sends more or less than it was asked for.
        """
        at = offset
        for data in self._ranges(digest, size_bytes, offset):
            write_all(sink, data)
            at += len(data)
            if progress is not None:
                progress(at)
        return at - offset

    def open(self, digest: bytes, size_bytes: int) -> RemoteBody:
        """The body as a source (for :func:`salus.records.body.decrypt_body`, which verifies while it reads)."""
        return RemoteBody(self._ranges(digest, size_bytes, 0))

    def info(self, digest: bytes) -> m.BodyInfo:
        """Whether the cloud says it holds a body.

        :raises Refused: ``missing-body``.
        """
        return self._call(m.BODY_INFO, m.BodyInfoRequest(digest), m.BodyInfo)

    def segments(self, body: BodySummary, first: int, count: int) -> list[bytes]:
        """A run of sealed segments, verified against the digest (:func:`salus.records.digest.verify_range`).

        :param count: as many as fit into one part.
        :raises Refused: ``missing-body``, ``bad-body``, ``too-large``.
        """
        offset = first * SEALED_SEGMENT_BYTES
        length = min(count * SEALED_SEGMENT_BYTES, body.size_bytes - offset)
        refuse_unless(
            0 < length <= PART_BYTES, "too-large", f"ask for 1 to {PART_BYTES // SEALED_SEGMENT_BYTES} segments of the body"
        )
        proof = self._call(m.BODY_PROOF, m.BodyProofRequest(body.digest, first, count), RangeProof)
        answer = self._call(m.BODY_RANGE, m.BodyRangeRequest(body.digest, offset, length), m.BodyRange)
        same = (proof.first, proof.count) == (first, count)
        refuse_unless(same, "bad-body", "the cloud proved another range than it was asked for")
        return verify_range(body, proof, answer.data)

    def find(self, by: str, value: bytes) -> Iterator[m.Filing]:
        """All filings under a pseudonym, a one-time key or a doctor's name (``messages.BY_..``), page by page."""
        after, more = 0, True
        while more:
            found = self._call(m.FIND, m.Find(by, value, after, m.FOUND_MAX), m.Found)
            for filing in found.filings:
                refuse_unless(filing.number > after, "bad-encoding", "the cloud's answers go in circles")
                after = filing.number
                yield filing
            more = bool(found.more) and bool(found.filings)

    def storage_receipt(self, tx_hash: bytes) -> SealedReceipt:
        """The sealed storage receipt of a committed transaction; open it with its one-time secret.

        :raises Refused: ``not-committed`` (also while the cloud lags behind), ``missing-body``, ``bad-body``.
        """
        return self._call(m.STORAGE_RECEIPT, m.ReceiptRequest(tx_hash), SealedReceipt)

    def await_storage_receipt(self, tx_hash: bytes) -> SealedReceipt:
        """:meth:`storage_receipt` for a transaction that the caller has seen committed: the cloud may be a few blocks behind."""
        request = m.ReceiptRequest(tx_hash)
        return self._patiently(lambda _: SealedReceipt.decode(self._once(m.STORAGE_RECEIPT, request)), _WAIT | {"not-committed"})

    def status(self) -> m.CloudStatus:
        """What the cloud says of itself."""
        return self._call(m.STATUS, m.StatusRequest(), m.CloudStatus)

    def _upload_parts(self, source: SeekableSource, begin: m.UploadBegin, progress: Progress | None) -> UploadReceipt:
        """Begin (or go on), parts, finish; after a failure the cloud is asked how far the upload has come."""

        reached = 0

        def attempt(progressed: Callable[[], None]) -> UploadReceipt:
            nonlocal reached
            state = m.UploadState.decode(self._once(m.UPLOAD_BEGIN, begin))
            while state.received_bytes < begin.size_bytes:
                before = state.received_bytes
                if before > reached:  # what arrived although its answer was lost is progress too
                    reached = before
                    progressed()
                source.seek(before)
                data = read_up_to(source, min(PART_BYTES, begin.size_bytes - before))
                refuse_unless(bool(data), "bad-body", "the file is shorter than the body that was announced")
                state = m.UploadState.decode(self._once(m.UPLOAD_PART, m.UploadPart(begin.upload, before, data)))
                refuse_unless(state.received_bytes > before, "bad-encoding", "the cloud's answers go in circles")
                if progress is not None:
                    progress(state.received_bytes)
            return UploadReceipt.decode(self._once(m.UPLOAD_FINISH, m.UploadFinish(begin.upload)))

        for _ in range(_RESTARTS):
            try:
                return self._patiently(attempt)
            except Refused as error:
                if error.reason != "not-found":  # the cloud forgot the upload: it was idle too long
                    raise
        raise TransportError(f"{self.party} keeps forgetting the upload; try again later or another cloud")

    def _ranges(self, digest: bytes, size_bytes: int, offset: int) -> Iterator[bytes]:
        while offset < size_bytes:
            count = min(PART_BYTES, size_bytes - offset)
            data = self._call(m.BODY_RANGE, m.BodyRangeRequest(digest, offset, count), m.BodyRange).data
            refuse_unless(0 < len(data) <= count, "bad-body", f"the cloud sent {len(data)} of {count} bytes at {offset}")
            offset += len(data)
            yield data

    def _call(self, method: str, request: Message, answer: type[A]) -> A:
        return self._patiently(lambda _: answer.decode(self._once(method, request)))

    def _once(self, method: str, request: Message) -> bytes:
        return self._transport.call(self.party, method, request.encode())

    def _patiently(self, attempt: Callable[[Callable[[], None]], T], wait: frozenset[str] = _WAIT) -> T:
        """Repeat what got no answer or was told to wait (every call is idempotent), while there is progress."""
        failures = 0

        def progressed() -> None:
            nonlocal failures
            failures = 0

        while True:
            try:
                return attempt(progressed)
            except (TransportError, Refused) as error:
                failures += 1
                final = isinstance(error, Refused) and error.reason not in wait
                if final or failures >= self._retry.attempts:
                    raise
            self._sleep_ms(min(self._retry.first_wait_ms << (failures - 1), self._retry.wait_ms_max))


class RemoteBody:
    """A body in the cloud as a byte source; not verified."""

    def __init__(self, ranges: Iterator[bytes]) -> None:
        self._ranges = ranges
        self._buffer = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; empty at the end."""
        if not self._buffer:
            self._buffer = memoryview(next(self._ranges, b""))
        data = self._buffer[:size]
        self._buffer = self._buffer[size:]
        return bytes(data)
