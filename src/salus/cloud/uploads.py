"""Uploads: begin, parts in order, finish; anonymous, resumable, bounded. Steps: docs/protocol/consultation.md, "receipts"."""

from __future__ import annotations

import threading
from typing import Final

from salus.cloud.index import BodyRow, Index
from salus.cloud.messages import UploadBegin, UploadFinish, UploadPart, UploadState, UploadWhole
from salus.cloud.settings import Clock, GatewaySettings, RateLimit
from salus.cloud.shelf import Shelf, hash_body
from salus.cloud.staging import Staging
from salus.consultation.receipts import UploadReceipt, sign_upload
from salus.consultation.registration import MemberKey
from salus.errors import Refused, refuse_unless
from salus.records.digest import segments_of
from salus.symmetric import Random

_STRIPES: Final = 64
_REMEMBERED_MS: Final = 24 * 3600 * 1000
"""A finished upload is answered again with the same receipt for a day."""


class Uploads:
    """All uploads of a gateway."""

    def __init__(
        self,
        network: bytes,
        key: MemberKey,
        staging: Staging,
        shelf: Shelf,
        index: Index,
        settings: GatewaySettings,
        now_ms: Clock,
        random: Random,
    ) -> None:
        self._network = network
        self._key = key
        self._staging = staging
        self._shelf = shelf
        self._index = index
        self._settings = settings
        self._now_ms = now_ms
        self._random = random
        self._locks = [threading.Lock() for _ in range(_STRIPES)]
        self._open_lock = threading.Lock()
        self._open = {facts.upload: facts.size_bytes for facts in staging.open_uploads()}
        self._begins = RateLimit(settings.begins_per_s, settings.begins_burst, now_ms)
        self._bytes = RateLimit(settings.bytes_per_s, settings.bytes_burst, now_ms)

    @property
    def open_count(self) -> int:
        """Uploads under way."""
        return len(self._open)

    def begin(self, request: UploadBegin) -> UploadState:
        """Start or resume an upload.

        :raises Refused: ``rate-limited``, ``no-room``, ``too-large``, ``bad-body`` (a size no body has), ``bad-part`` (the
            number is in use for another body), ``expired`` or ``too-far-ahead`` (keep-until).
        """
        with self._lock(request.upload):
            finished = self._finished(request)
            if finished is not None:
                return UploadState(request.upload, request.size_bytes)
            if request.upload not in self._open:
                self._admit(request)
                self._reserve(request)
            try:
                self._staging.begin(request)
            except BaseException:
                if self._staging.facts(request.upload) is None:
                    self._drop(request.upload)
                raise
            return self._state(request)

    def part(self, request: UploadPart) -> UploadState:
        """Take the next bytes.

        :raises Refused: ``not-found`` (no such upload: begin again), ``bad-part``, ``rate-limited``, ``no-room``.
        """
        with self._lock(request.upload):
            if self._index.finished_upload(request.upload) is not None and self._staging.facts(request.upload) is None:
                return UploadState(request.upload, request.offset + len(request.data))
            facts = self._facts(request.upload)
            self._bytes.take(len(request.data), "bytes")
            if self._shelf.held(facts.digest) is not None:
                return UploadState(request.upload, facts.size_bytes)
            return UploadState(request.upload, self._staging.append(facts, request.offset, request.data))

    def finish(self, request: UploadFinish) -> UploadReceipt:
        """Hash the whole, keep it, sign for it.

        :raises Refused: ``not-found``, ``bad-part`` (bytes are missing), ``bad-body`` (another digest: the upload is dropped).
        """
        with self._lock(request.upload):
            finished = self._index.finished_upload(request.upload)
            if finished is not None:
                self._drop(request.upload)
                return UploadReceipt.decode(finished[1])
            facts = self._facts(request.upload)
            receipt = self._keep(facts)
            self._drop(request.upload)
            return receipt

    def whole(self, request: UploadWhole) -> UploadReceipt:
        """Begin, the only part, finish, in one call."""
        begin = UploadBegin(request.upload, request.digest, len(request.data), request.keep_until_ms)
        self.begin(begin)
        self.part(UploadPart(request.upload, 0, request.data))
        return self.finish(UploadFinish(request.upload))

    def collect_garbage(self) -> int:
        """Drop idle uploads and forget old receipts; returns how many uploads are no longer open."""
        with self._open_lock:
            self._index.forget_uploads(self._now_ms() - _REMEMBERED_MS)
            return self._discard_idle(self._settings.upload_idle_ms)

    def _discard_idle(self, idle_ms: int) -> int:
        before = {facts.upload for facts in self._staging.open_uploads()}
        self._staging.discard_idle(self._now_ms() - idle_ms)
        dropped = before - {facts.upload for facts in self._staging.open_uploads()}
        for upload in dropped:
            self._open.pop(upload, None)
        return len(dropped)

    def _keep(self, facts: UploadBegin) -> UploadReceipt:
        with self._shelf.lock(facts.digest):
            held = self._shelf.held(facts.digest)
            if held is None:
                self._check_staged(facts)
            elif held.size_bytes != facts.size_bytes:
                raise Refused("bad-body", f"the body of that digest has {held.size_bytes} bytes")
            now = self._now_ms()
            receipt = sign_upload(self._network, self._key, facts.digest, facts.size_bytes, facts.keep_until_ms, self._random)
            # since: the later of clock and block time, so that a follower that lags never expires what it is about to see named
            since = max(now, self._index.followed()[1])
            row = BodyRow(facts.digest, facts.size_bytes, since, facts.keep_until_ms, named=False, confirmed=held is None)
            finished = (facts.upload, now, facts.encode(), receipt.encode())
            if held is None:
                self._shelf.keep(row, self._staging.sync(facts.upload), finished)
            else:
                self._shelf.extend(row, finished)
            return receipt

    def _check_staged(self, facts: UploadBegin) -> None:
        received = self._staging.received(facts.upload)
        refuse_unless(
            received == facts.size_bytes, "bad-part", f"{received} of {facts.size_bytes} bytes have arrived; send the rest"
        )
        staged = self._staging.bytes_path(facts.upload)
        digest, _ = hash_body(lambda: staged.open("rb"), facts.digest, self._shelf.outlines)
        if digest != facts.digest:
            self._drop(facts.upload)
            raise Refused("bad-body", "what arrived has another digest than announced; the upload was dropped: begin again")

    def _admit(self, request: UploadBegin) -> None:
        now = self._now_ms()
        s = self._settings
        refuse_unless(
            request.size_bytes <= s.body_bytes_max, "too-large", f"this cloud takes bodies up to {s.body_bytes_max} bytes"
        )
        segments_of(request.size_bytes)
        refuse_unless(request.keep_until_ms > now, "expired", "keep-until is past")
        refuse_unless(
            request.keep_until_ms <= now + s.keep_ms_max, "too-far-ahead", f"keep-until is over {s.keep_ms_max} ms ahead"
        )
        self._begins.take(1, "uploads")

    def _reserve(self, request: UploadBegin) -> None:
        with self._open_lock:
            if not self._fits(request.size_bytes):
                self._discard_idle(self._settings.crowded_idle_ms)
            if self._fits(request.size_bytes):
                self._open[request.upload] = request.size_bytes
                return
        raise Refused("no-room", f"{len(self._open)} uploads are open, room is for {max(self._room(), 0)} bytes; try again later")

    def _fits(self, size_bytes: int) -> bool:
        return len(self._open) < self._settings.uploads_open_max and size_bytes <= self._room()

    def _room(self) -> int:
        """Bytes that may still be announced."""
        s = self._settings
        allowed = s.store_bytes_max - self._shelf.total_bytes - sum(self._open.values())
        return min(allowed, self._shelf.store.free_bytes() - s.reserve_bytes)

    def _finished(self, request: UploadBegin) -> UploadBegin | None:
        found = self._index.finished_upload(request.upload)
        if found is None:
            return None
        facts = UploadBegin.decode(found[0])
        refuse_unless(facts == request, "bad-part", "an upload of that number was finished for another body")
        return facts

    def _facts(self, upload: bytes) -> UploadBegin:
        facts = self._staging.facts(upload)
        if facts is None:
            raise Refused("not-found", "no upload of that number is open; begin it (again)")
        return facts

    def _state(self, facts: UploadBegin) -> UploadState:
        held = self._shelf.held(facts.digest)
        if held is not None and held.size_bytes == facts.size_bytes:
            return UploadState(facts.upload, facts.size_bytes)
        return UploadState(facts.upload, self._staging.received(facts.upload))

    def _drop(self, upload: bytes) -> None:
        self._staging.discard(upload)
        with self._open_lock:
            self._open.pop(upload, None)

    def _lock(self, upload: bytes) -> threading.Lock:
        return self._locks[upload[0] % _STRIPES]
