"""Streams that are made while they are read, and what is timed over them."""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from salus import _native, labels
from salus.bench.timing import best_ms
from salus.cloud.outlines import Outlines
from salus.records.body import body_keys
from salus.records.digest import (
    BATCH_SEGMENTS,
    NONCE_BYTES,
    SEALED_SEGMENT_BYTES,
    SEGMENT_BYTES,
    BodySummary,
    RangeProof,
    digest_body,
    prove_range,
)
from salus.records.record import RecordMetadata, RecordPlace, decrypt_record, decrypt_record_bytes, encrypt_record
from salus.records.streams import Discard
from salus.symmetric import Random

_PREFIX_BYTES: Final = 7
_RANGE_BYTES: Final = 1024


class Bench:
    """A record's key and place, and a block of plaintext that every batch repeats."""

    def __init__(self, random: Random) -> None:
        self.key = random(32)
        self.place = RecordPlace(random(32), random(16), random(32))
        self.prefix = random(_PREFIX_BYTES)
        self.block = random(BATCH_SEGMENTS * SEGMENT_BYTES)
        self.cipher = ChaCha20Poly1305(body_keys(self.key, self.place.context).body)

    def metadata(self, summary: BodySummary) -> RecordMetadata:
        """What a reader of the record would have."""
        return RecordMetadata(
            ("bench/cloud",),
            summary.digest,
            summary.size_bytes,
            summary.suite,
            0,
            "other",
            "2026Q1",
            "application/octet-stream",
            "",
        )

    def fixed_prefix(self, _count: int, /) -> bytes:
        """The nonce prefix, so that a sealed stream can be made again."""
        return self.prefix

    def segment(self, number: int, segments: int) -> bytes:
        """A sealed segment of the stream; every segment is full."""
        at = number % BATCH_SEGMENTS * SEGMENT_BYTES
        nonce = self.prefix + number.to_bytes(4, "big") + (b"\x01" if number == segments - 1 else b"\x00")
        return nonce + self.cipher.encrypt(nonce, self.block[at : at + SEGMENT_BYTES], None)


class PlainStream:
    """``size_bytes`` of plaintext: the block again and again, without copying where a whole one is asked for."""

    def __init__(self, bench: Bench, size_bytes: int) -> None:
        self._block = bench.block
        self._left = size_bytes

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, at most a block."""
        taken = min(size, self._left, len(self._block))
        self._left -= taken
        return self._block if taken == len(self._block) else self._block[:taken]


class SealedStream:
    """The encrypted body of :class:`PlainStream`, sealed while it is read; ``spent_ns`` is what that took."""

    def __init__(self, bench: Bench, size_bytes: int) -> None:
        self._bench = bench
        self._segments = size_bytes // SEGMENT_BYTES
        self._number = 0
        self.spent_ns = 0

    def read(self, size: int, /) -> bytes:
        """Whole segments, at most a batch; what is asked for in smaller pieces is the end."""
        start = time.perf_counter_ns()
        count = min(size // SEALED_SEGMENT_BYTES, BATCH_SEGMENTS, self._segments - self._number)
        numbers = range(self._number, self._number + count)
        data = b"".join([self._bench.segment(number, self._segments) for number in numbers])
        self._number += count
        self.spent_ns += time.perf_counter_ns() - start
        return data


class Rate(msgspec.Struct, frozen=True):
    """GB/s of plaintext: raw, and a record's."""

    raw_seal: float
    seal: float
    raw_open: float = 0.0
    open: float = 0.0

    @property
    def seal_ratio(self) -> float:
        """Encrypt-and-digest over raw."""
        return self.seal / self.raw_seal

    @property
    def open_ratio(self) -> float:
        """Verify-and-decrypt over raw."""
        return self.open / self.raw_open


class HashRate(msgspec.Struct, frozen=True):
    """One operation over sealed segments."""

    name: str
    alone_us: float
    alone_gb_s: float
    together_gb_s: float
    with_cipher_gb_s: float


class RangeTimes(msgspec.Struct, frozen=True):
    """A small range of a record of ``size_bytes``."""

    size_bytes: int
    hashes: int
    prove_us: float
    read_us: float


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Batch calls and streams on ``count`` threads; 0: one a core."""
    wanted = _native.threads()
    _native.set_threads(count)
    try:
        yield
    finally:
        _native.set_threads(wanted)


def raw_seal(bench: Bench, segments: int) -> None:
    """The cipher, then the hash, over as many segments: the floor of encrypting."""
    sealed = bytearray(SEALED_SEGMENT_BYTES)
    whole = memoryview(sealed)
    into, plain, nonce = whole[NONCE_BYTES:], memoryview(bench.block)[:SEGMENT_BYTES], bytes(NONCE_BYTES)
    encrypt_into, leaves = bench.cipher.encrypt_into, _native.body_leaves
    for _ in range(segments):
        encrypt_into(nonce, plain, None, into)
        leaves(whole, SEALED_SEGMENT_BYTES)


def raw_open(bench: Bench, segments: int) -> None:
    """The hash, then the cipher: the floor of decrypting."""
    whole = memoryview(bench.segment(0, 2))
    nonce, sealed, into = bytes(whole[:NONCE_BYTES]), whole[NONCE_BYTES:], bytearray(SEGMENT_BYTES)
    decrypt_into, leaves = bench.cipher.decrypt_into, _native.body_leaves
    for _ in range(segments):
        leaves(whole, SEALED_SEGMENT_BYTES)
        decrypt_into(nonce, sealed, None, into)


def one_core(bench: Bench, size_bytes: int, repeats: int) -> Rate:
    """Both directions on one core; raw and ours take turns, and the best of each counts."""
    segments = size_bytes // SEGMENT_BYTES
    best = dict.fromkeys(("raw_seal", "seal", "raw_open", "open"), float("inf"))
    with threads(1):
        summary = _seal(bench, size_bytes)
        for _ in range(repeats):
            best["raw_seal"] = min(best["raw_seal"], _time(lambda: raw_seal(bench, segments)))
            best["seal"] = min(best["seal"], _time(lambda: _seal(bench, size_bytes)))
            best["raw_open"] = min(best["raw_open"], _time(lambda: raw_open(bench, segments)))
            best["open"] = min(best["open"], _open_time(bench, size_bytes, summary))
    return Rate(**{name: size_bytes / seconds / 1e9 for name, seconds in best.items()})


def all_cores(bench: Bench, size_bytes: int, repeats: int) -> Rate:
    """Encrypting on all cores; raw with a thread a core."""
    segments = size_bytes // SEGMENT_BYTES
    best_raw = best = float("inf")
    with threads(0):
        for _ in range(repeats):
            best_raw = min(best_raw, _time(lambda: _in_threads(lambda n: raw_seal(bench, n), segments)))
            best = min(best, _time(lambda: _seal(bench, size_bytes)))
    return Rate(size_bytes / best_raw / 1e9, size_bytes / best / 1e9)


def hash_rates(bench: Bench, segments: int) -> list[HashRate]:
    """Cipher and hashes over sealed segments."""
    sealed = bench.segment(0, 2)
    into, plain, nonce = (
        bytearray(SEALED_SEGMENT_BYTES - NONCE_BYTES),
        memoryview(bench.block)[:SEGMENT_BYTES],
        bytes(NONCE_BYTES),
    )
    operations: list[tuple[str, Callable[[], object]]] = [
        ("ChaCha20-Poly1305", lambda: bench.cipher.encrypt_into(nonce, plain, None, into)),
        ("SHA-256", lambda: hashlib.sha256(sealed).digest()),
        ("SHA-512", lambda: hashlib.sha512(sealed).digest()),
        ("BLAKE3", lambda: _native.body_leaves(sealed, SEALED_SEGMENT_BYTES)),
    ]
    rates: list[HashRate] = []
    cipher_s = 0.0
    for name, operation in operations:

        def loop(count: int, operation: Callable[[], object] = operation) -> None:
            for _ in range(count):
                operation()

        alone = min(_time(lambda: loop(segments)) for _ in range(5)) / segments
        together = min(_time(lambda: _in_threads(loop, segments)) for _ in range(5)) / segments
        cipher_s = cipher_s or alone
        both = alone if not rates else alone + cipher_s
        rates.append(
            HashRate(name, alone * 1e6, SEGMENT_BYTES / alone / 1e9, SEGMENT_BYTES / together / 1e9, SEGMENT_BYTES / both / 1e9)
        )
    return rates


def range_times(bench: Bench, size_bytes: float, repeats: int) -> RangeTimes:
    """1 KiB out of the middle of a record: proving by the cloud, from its file; verifying and decrypting by the reader."""
    size = int(size_bytes)
    segments = size // SEGMENT_BYTES
    kept = io.BytesIO()
    summary = digest_body(SealedStream(bench, size), outline=kept, suite=labels.SUITE_RECORDS_2)
    outline = kept.getvalue()
    start = size // 2 + SEGMENT_BYTES // 2
    number = start // SEGMENT_BYTES
    proof = prove_range(outline, summary.size_bytes, number, 1, labels.SUITE_RECORDS_2)
    sealed = bench.segment(number, segments)
    metadata = bench.metadata(summary)

    def fetch(_first: int, _count: int) -> tuple[RangeProof, bytes]:
        return proof, sealed

    def read() -> bytes:
        sink = io.BytesIO()
        decrypt_record_bytes(fetch, bench.key, bench.place, metadata, start, start + _RANGE_BYTES, sink)
        return sink.getvalue()

    at = start % (BATCH_SEGMENTS * SEGMENT_BYTES)
    if read() != bench.block[at : at + _RANGE_BYTES]:
        raise AssertionError("a range gave other bytes")
    with tempfile.TemporaryDirectory() as directory:
        outlines = Outlines(Path(directory))
        with outlines.write(summary.digest) as writer:
            writer.write(outline)
            writer.keep()
        if outlines.prove(summary.digest, summary.size_bytes, number, 1) != proof:
            raise AssertionError("the cloud proves something else")
        prove_ms = best_ms(lambda: outlines.prove(summary.digest, summary.size_bytes, number, 1), repeats)
    return RangeTimes(size, len(proof.hashes), prove_ms * 1000, best_ms(read, repeats) * 1000)


def stream_both_ways(bench: Bench, size_bytes: int) -> None:
    """Encrypt, digest and decrypt a record of ``size_bytes``, keeping nothing."""
    summary = _seal(bench, size_bytes)
    if digest_body(SealedStream(bench, size_bytes), suite=labels.SUITE_RECORDS_2) != summary:
        raise AssertionError("the stream has another digest")
    _open_time(bench, size_bytes, summary)


def _seal(bench: Bench, size_bytes: int) -> BodySummary:
    return encrypt_record(PlainStream(bench, size_bytes), bench.key, bench.place, Discard(), random=bench.fixed_prefix)


def _open_time(bench: Bench, size_bytes: int, summary: BodySummary) -> float:
    """Seconds of decrypting, without those of making the stream."""
    source = SealedStream(bench, size_bytes)
    spent = _time(lambda: decrypt_record(source, bench.key, bench.place, bench.metadata(summary), Discard()))
    return spent - source.spent_ns / 1e9


def _time(operation: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    operation()
    return (time.perf_counter_ns() - start) / 1e9


def _in_threads(loop: Callable[[int], None], count: int) -> None:
    """``loop`` over ``count`` items shared out to a thread a core."""
    workers = _native.threads()
    shares = [count * (i + 1) // workers - count * i // workers for i in range(workers)]
    started = [threading.Thread(target=loop, args=(share,)) for share in shares]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
