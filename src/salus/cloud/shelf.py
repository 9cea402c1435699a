"""The bodies a gateway holds: store and index together, kept in step.

The object store is the truth about what is here, the index about why. A body without a row (the index was made again, or
a crash came between the two) is hashed and adopted; a row without its body is forgotten.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import msgspec

from salus import labels
from salus.cloud.index import BodyRow, Index
from salus.cloud.objects import ObjectStore
from salus.cloud.outlines import SEGMENTS_MIN, SUITES, Outlines
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
from salus.records.streams import Buffer, Discard, Sink, Source

_STRIPES: Final = 64
_EXPIRED_AT_A_TIME: Final = 1000
"""Rows of one look into the index; there are more looks until nothing is left."""


class Shelf:
    """Bodies by digest."""

    def __init__(
        self, store: ObjectStore, index: Index, settings: GatewaySettings, now_ms: Clock, outlines: Outlines | None = None
    ) -> None:
        """:param outlines: beside the bodies; without them every proof reads its body."""
        self.store = store
        self.outlines = outlines
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

    def sound(self, digest: bytes) -> bool:
        """Hash a body again; one that is damaged is set aside. False if it is not here, or was damaged."""
        with self.lock(digest):
            row = self.held(digest)
            if row is None:
                return False
            if self._hash(digest) == (row.digest, row.size_bytes):
                return True
            self._lose(row)
            return False

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
        """Proof that segments belong to the body, from its outline: some reads of 32 bytes, whatever the body's size.

        A body that has no outline yet, or a damaged one, is read once as a whole to make it.

        :raises Refused: ``missing-body``, ``bad-body`` (a range outside the body, or the body is damaged).
        """
        row = self.held(digest)
        if row is None:
            raise Refused("missing-body", f"no body {digest.hex()[:16]}.. here")
        segments = segments_of(row.size_bytes)
        inside = 0 < count <= MAX_SEGMENTS and first + count <= segments
        refuse_unless(inside, "bad-body", "no such segments")
        if self.outlines is None or segments < SEGMENTS_MIN:
            return self._prove_by_reading(row, first, count)
        with self.lock(digest):
            proof = self.outlines.prove(digest, row.size_bytes, first, count)
            if proof is None:
                refuse_unless(self._hash(digest) == (digest, row.size_bytes), "bad-body", "the body is damaged here")
                proof = self.outlines.prove(digest, row.size_bytes, first, count)
        return proof or self._prove_by_reading(row, first, count)  # no room for the outline

    def _prove_by_reading(self, row: BodyRow, first: int, count: int) -> RangeProof:
        for suite in SUITES:
            outline = _Outline()
            with self.store.open(row.digest) as source:
                summary = digest_body(source, outline=outline, suite=suite)
            if summary.digest == row.digest:
                return prove_range(bytes(outline.hashes), row.size_bytes, first, count, suite)
        raise Refused("bad-body", "the body is damaged here")

    def erase(self, row: BodyRow) -> bool:
        """Remove a body whatever it is kept for, its row first; False if it changed meanwhile."""
        with self.lock(row.digest):
            if not self._index.forget_body(row):
                return False
            self._remove(row.digest)
        self._count(-1, -row.size_bytes)
        return True

    def expire(self, time_ms: int) -> tuple[int, int]:
        """Remove what is past its time at block time ``time_ms``; returns how many bodies and bytes went.

        The row goes first: after a crash in between the body is adopted again as unnamed and expires later.
        """
        gone = freed = 0
        while rows := self._index.expired(time_ms, time_ms - self._settings.unnamed_keep_ms, _EXPIRED_AT_A_TIME):
            for row in rows:
                if self.erase(row):  # else named or renewed meanwhile
                    gone += 1
                    freed += row.size_bytes
        return gone, freed

    def adopt_all(self) -> int:
        """Adopt every body that only the store knows (after the index was made again); returns how many are held."""
        held = {digest for digest in self.store.digests() if self.held(digest) is not None}
        if self.outlines is not None:
            self.outlines.forget_strays(held)
        return len(held)

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

    def _remove(self, digest: bytes) -> None:
        self.store.delete(digest)
        if self.outlines is not None:
            self.outlines.forget(digest)

    def _lose(self, row: BodyRow) -> None:
        self.store.set_aside(row.digest)
        self._index.forget_body(row)
        self._count(-1, -row.size_bytes)

    def _hash(self, digest: bytes) -> tuple[bytes, int]:
        """The digest if the body has it under one of the suites, else what the first one gives; and the size."""
        try:
            return hash_body(lambda: self.store.open(digest), digest, self.outlines)
        except Refused as error:
            if error.reason == "missing-body":
                return b"", 0
            raise

    def _count(self, bodies: int, size_bytes: int) -> None:
        with self._count_lock:
            self.count += bodies
            self.total_bytes += size_bytes


def hash_body(
    opened: Callable[[], AbstractContextManager[Source]], wanted: bytes, outlines: Outlines | None = None
) -> tuple[bytes, int]:
    """Digest and size of a body, under the suite whose digest is the wanted one.

    A digest does not tell its suite, and a receipt says nothing of it either: consultations' bodies come first, records' next.

    :param opened: opens the body from its start, once for each suite tried.
    :param outlines: where the outline of a body with the wanted digest is kept, unless it is small.
    """
    found = (b"", 0)
    for suite in SUITES:
        with opened() as source, outlines.write(wanted) if outlines is not None else nullcontext() as outline:
            digest, size_bytes = hash_source(source, suite, outline)
            if digest == wanted:
                if outline is not None and segments_of(size_bytes) >= SEGMENTS_MIN:
                    outline.keep()
                return digest, size_bytes
        found = found if found[0] else (digest, size_bytes)
    return found


def hash_source(source: Source, suite: str = labels.SUITE_RECORDS, outline: Sink | None = None) -> tuple[bytes, int]:
    """Digest and size of what is read; an empty digest for bytes that are no encrypted body."""
    digester = BodyDigester(outline, suite)
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
