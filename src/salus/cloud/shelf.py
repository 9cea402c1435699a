"""The bodies a gateway holds: store and index together, kept in step.

The object store is the truth about what is here, the index about why. A body without a row (the index was made again, or
a crash came between the two) is hashed and adopted; a row without its body is forgotten.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from salus import labels
from salus.cloud.index import BodyRow, Index
from salus.cloud.objects import ObjectStore
from salus.cloud.settings import Clock, GatewaySettings
from salus.errors import Refused, refuse_unless
from salus.records.digest import (
    MAX_SEGMENTS,
    SEALED_SEGMENT_BYTES,
    BodyDigester,
    BodySummary,
    RangeProof,
    digest_body,
    prove_range,
    segments_of,
)
from salus.records.streams import Buffer, Discard, Source

SUITES: Final = (labels.SUITE_RECORDS, labels.SUITE_RECORDS_2)
"""Hashes of digests: of bodies of consultations, and of records."""
_STRIPES: Final = 64
_PROOF_BODY_BYTES_MAX: Final = 1 << 32
"""Proofs read the whole body again; larger ones would hold a caller for long."""
_EXPIRED_AT_A_TIME: Final = 1000


class Shelf:
    """Bodies by digest."""

    def __init__(self, store: ObjectStore, index: Index, settings: GatewaySettings, now_ms: Clock) -> None:
        self.store = store
        self._index = index
        self._settings = settings
        self._now_ms = now_ms
        self._locks = [threading.RLock() for _ in range(_STRIPES)]
        self._count_lock = threading.Lock()
        self.count, self.total_bytes, _ = index.totals()

    def lock(self, digest: bytes) -> threading.RLock:
        """Lock of a digest: no two threads put, confirm or expire one body at once."""
        return self._locks[digest[0] % _STRIPES]

    def held(self, digest: bytes) -> BodyRow | None:
        """The body's row if it is here, adopting it (after hashing) if only the store knows it.

        A body of another length than it had when it was hashed is set aside.
        """
        with self.lock(digest):
            row, size = self._index.body(digest), self.store.size(digest)
            if row is None and size is not None:
                return self._adopt(digest)
            if row is not None and size != row.size_bytes:
                self._lose(row)
                return None
            return row

    def keep(self, row: BodyRow, staged: Path, finished: tuple[bytes, int, bytes, bytes]) -> None:
        """Put a body that was hashed; durable when this returns, with the receipt of its upload.

        :param staged: complete, fsynced file. :param finished: (upload, finished_ms, facts, receipt).
        """
        with self.lock(row.digest):
            known = self.held(row.digest)
            if known is None:
                self.store.put(row.digest, staged)
                self._count(1, row.size_bytes)
            self._index.put_body(self._with_names(row, known), finished)

    def restore(self, row: BodyRow, staged: Path) -> None:
        """Put back a body that was lost here and was fetched again: a complete, fsynced, checked file."""
        with self.lock(row.digest):
            self.store.put(row.digest, staged)
            self._index.put_body(row)
            self._count(1, row.size_bytes)

    def extend(self, row: BodyRow, finished: tuple[bytes, int, bytes, bytes]) -> None:
        """A body that is here already was uploaded again: keep it as long as the later of the two."""
        with self.lock(row.digest):
            self._index.put_body(self._with_names(row, self.held(row.digest)), finished)

    def confirm(self, digest: bytes) -> BodyRow:
        """Hash a body again, if that was not done since a transaction named it.

        :raises Refused: ``missing-body`` if it is not here, ``bad-body`` if it is damaged (then it is set aside).
        """
        with self.lock(digest):
            row = self.held(digest)
            if row is None:
                raise Refused("missing-body", f"no body {digest.hex()[:16]}.. here, or it was damaged and set aside")
            if not row.confirmed:
                if self._hash(digest) != (row.digest, row.size_bytes):
                    self._lose(row)
                    raise Refused(
                        "bad-body", f"the body {digest.hex()[:16]}.. was damaged here; upload it again or ask another cloud"
                    )
                self._index.set_confirmed(digest)
            return msgspec.structs.replace(row, confirmed=True)

    def read(self, digest: bytes, offset: int, count: int) -> bytes:
        """A range, as it is in the store; the reader checks the digest.

        :raises Refused: ``missing-body``, ``bad-body`` for a range outside the body.
        """
        row = self.held(digest)
        if row is None:
            raise Refused("missing-body", f"no body {digest.hex()[:16]}.. here")
        refuse_unless(offset <= row.size_bytes, "bad-body", f"the body has {row.size_bytes} bytes; there is nothing at {offset}")
        return self.store.read(digest, offset, count)

    def prove(self, digest: bytes, first: int, count: int) -> RangeProof:
        """Proof that segments belong to the body.

        :raises Refused: ``missing-body``, ``bad-body`` (a range outside the body, or the body is damaged), ``too-large``.
        """
        row = self.held(digest)
        if row is None:
            raise Refused("missing-body", f"no body {digest.hex()[:16]}.. here")
        refuse_unless(row.size_bytes <= _PROOF_BODY_BYTES_MAX, "too-large", "read the body as a whole")
        refuse_unless(0 < count <= MAX_SEGMENTS and first + count <= segments_of(row.size_bytes), "bad-body", "no such segments")
        for suite in SUITES:
            outline = _Outline()
            with self.store.open(digest) as source:
                summary = digest_body(source, outline=outline, suite=suite)
            if summary.digest == digest:
                return prove_range(bytes(outline.hashes), row.size_bytes, first, count, suite)
        raise Refused("bad-body", "the body is damaged here")

    def expire(self, time_ms: int) -> tuple[int, int]:
        """Remove what is past its time at block time ``time_ms``; returns how many bodies and bytes went.

        The row goes first: after a crash in between the body is adopted again as unnamed and expires later.
        """
        gone = freed = 0
        while rows := self._index.expired(time_ms, time_ms - self._settings.unnamed_keep_ms, _EXPIRED_AT_A_TIME):
            for row in rows:
                with self.lock(row.digest):
                    if not self._index.forget_body(row):  # named or renewed meanwhile
                        continue
                    self.store.delete(row.digest)
                self._count(-1, -row.size_bytes)
                gone += 1
                freed += row.size_bytes
        return gone, freed

    def adopt_all(self) -> int:
        """Adopt every body that only the store knows (after the index was made again); returns how many are held."""
        return sum(1 for digest in self.store.digests() if self.held(digest) is not None)

    def _adopt(self, digest: bytes) -> BodyRow | None:
        found, size = self._hash(digest)
        if found != digest:
            self.store.set_aside(digest)
            return None
        now = self._now_ms()
        row = self._with_names(BodyRow(digest, size, now, now + self._settings.unnamed_keep_ms, False, True), None)
        self._index.put_body(row)
        self._count(1, size)
        return row

    def _with_names(self, row: BodyRow, known: BodyRow | None) -> BodyRow:
        """The row with what the ledger says of this body; a body that came after its transaction counts as named."""
        naming = [f for f in self._index.naming(row.digest) if f.size_bytes == row.size_bytes]
        keeps = [row.keep_until_ms, *(f.keep_until_ms for f in naming), *([known.keep_until_ms] if known else [])]
        since = max(row.since_ms, known.since_ms) if known else row.since_ms
        confirmed = bool(naming) and (row.confirmed or (known is not None and known.confirmed))
        return BodyRow(row.digest, row.size_bytes, since, max(keeps), bool(naming), confirmed)

    def _lose(self, row: BodyRow) -> None:
        self.store.set_aside(row.digest)
        self._index.forget_body(row)
        self._count(-1, -row.size_bytes)

    def _hash(self, digest: bytes) -> tuple[bytes, int]:
        """The digest if the body has it under one of the suites, else what the first one gives; and the size."""
        try:
            return hash_body(lambda: self.store.open(digest), digest)
        except Refused as error:
            if error.reason == "missing-body":
                return b"", 0
            raise

    def _count(self, bodies: int, size_bytes: int) -> None:
        with self._count_lock:
            self.count += bodies
            self.total_bytes += size_bytes


def hash_body(opened: Callable[[], AbstractContextManager[Source]], wanted: bytes) -> tuple[bytes, int]:
    """Digest and size of a body, under the suite whose digest is the wanted one.

    A digest does not tell its suite, and a receipt says nothing of it either: consultations' bodies come first, records' next.

    :param opened: opens the body from its start, once for each suite tried.
    """
    found = (b"", 0)
    for suite in SUITES:
        with opened() as source:
            digest, size_bytes = hash_source(source, suite)
        if digest == wanted:
            return digest, size_bytes
        found = found if found[0] else (digest, size_bytes)
    return found


def hash_source(source: Source, suite: str = labels.SUITE_RECORDS) -> tuple[bytes, int]:
    """Digest and size of what is read; an empty digest for bytes that are no encrypted body."""
    digester = BodyDigester(suite=suite)
    try:
        while part := source.read(SEALED_SEGMENT_BYTES):
            digester.update(part)
        summary: BodySummary = digester.finish()
    except Refused:
        return b"", digester.size_bytes
    return summary.digest, summary.size_bytes


class _Outline(Discard):
    """Collects leaf hashes."""

    def __init__(self) -> None:
        self.hashes = bytearray()

    def write(self, data: Buffer, /) -> int:
        self.hashes += data
        return len(data)
