"""Outlines beside bodies: a range is proven by reads of 32 bytes, whatever the size; missing or damaged ones are made again."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from salus import labels
from salus.cloud import messages as m
from salus.cloud import outlines as outlines_module
from salus.cloud.gateway import Gateway
from salus.cloud.objects import DirectoryStore
from salus.cloud.outlines import SEGMENTS_MIN, Outlines, OutlineWriter
from salus.consultation.receipts import UploadReceipt
from salus.errors import Refused
from salus.records.digest import (
    SEALED_SEGMENT_BYTES,
    SEGMENT_BYTES,
    BodyDigester,
    BodySummary,
    RangeProof,
    digest_body,
    outline_digest,
    prove_range,
    verify_range,
)
from salus.records.trees import outline_bytes
from unit.cloud.clouds import KEEP_MS, ask, body, number, open_gateway

LARGE = 40 * SEGMENT_BYTES


class Counting:
    """A store that counts what is read of bodies."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self.opened = self.read_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, digest: bytes, offset: int, count: int) -> bytes:
        found = self._store.read(digest, offset, count)
        self.read_bytes += len(found)
        return found

    @contextlib.contextmanager
    def open(self, digest: bytes) -> Iterator[Any]:
        self.opened += 1
        with self._store.open(digest) as file:
            yield file


def of_records(plain_bytes: int) -> tuple[bytes, BodySummary]:
    """A body with the digest that records have."""
    data, _ = body(plain_bytes)
    return data, digest_body(io.BytesIO(data), suite=labels.SUITE_RECORDS_2)


def upload(gateway: Gateway, data: bytes, digest: bytes, upload_number: int = 1) -> None:
    name = number(upload_number)
    ask(gateway, m.UPLOAD_BEGIN, m.UploadBegin(name, digest, len(data), KEEP_MS), m.UploadState)
    for offset in range(0, len(data), 1 << 20):
        ask(gateway, m.UPLOAD_PART, m.UploadPart(name, offset, data[offset : offset + (1 << 20)]), m.UploadState)
    ask(gateway, m.UPLOAD_FINISH, m.UploadFinish(name), UploadReceipt)


def counted(gateway: Gateway) -> Counting:
    counting = Counting(gateway._shelf.store)  # type: ignore[arg-type]
    gateway._shelf.store = counting  # type: ignore[assignment]
    return counting


def proven(gateway: Gateway, data: bytes, summary: BodySummary, first: int, count: int = 1) -> RangeProof:
    proof: RangeProof = ask(gateway, m.BODY_PROOF, m.BodyProofRequest(summary.digest, first, count), RangeProof)
    verify_range(summary, proof, data[first * SEALED_SEGMENT_BYTES : (first + count) * SEALED_SEGMENT_BYTES])
    return proof


def outline_of(directory: Path, digest: bytes) -> Path:
    return directory / "cloud" / "outlines" / digest.hex()[:2] / digest.hex()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with open_gateway(tmp_path / "cloud") as opened:
        yield opened


@pytest.mark.parametrize("made", [body, of_records])
def test_a_range_is_proven_without_reading_the_body(gateway: Gateway, tmp_path: Path, made: Any) -> None:
    data, summary = made(LARGE)
    upload(gateway, data, summary.digest)
    assert outline_of(tmp_path, summary.digest).stat().st_size == outline_bytes(summary.segments)
    counting = counted(gateway)
    for first, count in ((0, 1), (17, 3), (summary.segments - 1, 1), (0, summary.segments)):
        proven(gateway, data, summary, first, count)
    assert (counting.opened, counting.read_bytes) == (0, 0)


def test_what_is_read_of_an_outline_grows_by_the_trees_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    pread = os.pread
    monkeypatch.setattr(outlines_module.os, "pread", lambda *asked: reads.append(asked[1]) or pread(*asked))
    outlines = Outlines(tmp_path)
    counts = []
    for doubled in range(10):
        segments = 32 << doubled
        size_bytes = segments * SEALED_SEGMENT_BYTES
        leaves = os.urandom(32 * segments)  # of a body that nobody has to make: 32 segments to 1 GiB
        with outlines.write(bytes([doubled]) * 32) as writer:
            digester = BodyDigester(writer, labels.SUITE_RECORDS_2)
            digester.update_hashed(size_bytes, leaves)
            digest = digester.finish().digest
            assert writer.keep()
        os.makedirs(tmp_path / digest.hex()[:2], exist_ok=True)
        os.rename(tmp_path / f"{doubled:02x}" / (f"{doubled:02x}" * 32), tmp_path / digest.hex()[:2] / digest.hex())
        reads.clear()
        proof = outlines.prove(digest, size_bytes, segments // 2 + 1, 1)
        assert proof is not None
        assert set(reads) == {32}
        counts.append(len(reads))
    assert all(0 <= more - fewer <= 4 for fewer, more in pairwise(counts))
    assert counts[-1] < 64


def test_small_bodies_have_none(gateway: Gateway, tmp_path: Path) -> None:
    data, summary = body((SEGMENTS_MIN - 1) * SEGMENT_BYTES)
    upload(gateway, data, summary.digest)
    assert [p for p in (tmp_path / "cloud" / "outlines").rglob("*") if p.is_file()] == []
    proven(gateway, data, summary, 5)


def test_a_body_from_before_gets_its_outline_on_first_use(gateway: Gateway, tmp_path: Path) -> None:
    data, summary = of_records(LARGE)
    upload(gateway, data, summary.digest)
    path = outline_of(tmp_path, summary.digest)
    path.unlink()
    counting = counted(gateway)
    proven(gateway, data, summary, 3)
    assert counting.opened == 2  # once for each suite tried, and never again
    assert path.exists()
    proven(gateway, data, summary, 30)
    assert counting.opened == 2


@pytest.mark.parametrize("damage", ["shorter", "longer", "flipped", "empty"])
def test_a_damaged_outline_is_made_again_and_never_served(gateway: Gateway, tmp_path: Path, damage: str) -> None:
    data, summary = of_records(LARGE)
    upload(gateway, data, summary.digest)
    path = outline_of(tmp_path, summary.digest)
    good = path.read_bytes()
    for at in range(0, len(good), 32) if damage == "flipped" else (0,):
        flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        path.write_bytes({"shorter": good[:-32], "longer": good + bytes(32), "flipped": flipped, "empty": b""}[damage])
        proven(gateway, data, summary, 7, 2)
    proven(gateway, data, summary, 7, 2)
    if damage != "flipped":
        assert path.read_bytes() == good


def test_an_outline_does_not_hide_a_damaged_body(gateway: Gateway, tmp_path: Path) -> None:
    data, summary = of_records(LARGE)
    upload(gateway, data, summary.digest)
    (stored,) = [p for p in (tmp_path / "cloud" / "objects").rglob("*") if p.is_file()]
    stored.write_bytes(data[:100_000] + bytes([data[100_000] ^ 1]) + data[100_001:])
    asked = m.BodyRangeRequest(summary.digest, SEALED_SEGMENT_BYTES, SEALED_SEGMENT_BYTES)
    served = ask(gateway, m.BODY_RANGE, asked, m.BodyRange)
    proof = ask(gateway, m.BODY_PROOF, m.BodyProofRequest(summary.digest, 1, 1), RangeProof)
    with pytest.raises(Refused, match="bad-body"):
        verify_range(summary, proof, served.data)
    outline_of(tmp_path, summary.digest).unlink()
    with pytest.raises(Refused, match="bad-body"):
        ask(gateway, m.BODY_PROOF, m.BodyProofRequest(summary.digest, 1, 1), RangeProof)


def test_a_body_takes_its_outline_with_it(tmp_path: Path) -> None:
    with open_gateway(tmp_path / "cloud") as gateway:
        data, summary = of_records(LARGE)
        upload(gateway, data, summary.digest)
        row = gateway._index.body(summary.digest)
        assert row is not None
        before = gateway._shelf.total_bytes
        assert gateway._shelf.erase(row)
        assert not outline_of(tmp_path, summary.digest).exists()
        assert before - gateway._shelf.total_bytes == len(data)
        assert not gateway._shelf.erase(row)  # it is gone


def test_what_a_crash_leaves_is_removed(tmp_path: Path) -> None:
    data, summary = of_records(LARGE)
    with open_gateway(tmp_path / "cloud") as gateway:
        upload(gateway, data, summary.digest)
        place = outline_of(tmp_path, summary.digest).parent
        half = place / f".{summary.digest.hex()}.1-{'0' * 16}.tmp"
        half.write_bytes(b"half")
        stray = place / (summary.digest.hex()[:2] + "00" * 31)
        stray.write_bytes(b"of a body that was never stored")
        proven(gateway, data, summary, 3)
    with open_gateway(tmp_path / "cloud") as again:
        again.collect_garbage()
        assert not half.exists()
        assert not stray.exists()
        assert outline_of(tmp_path, summary.digest).exists()
        proven(again, data, summary, 3)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_on_either_side_of_the_outline_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    class Killed(BaseException):
        pass

    keep = OutlineWriter.keep

    def killed(writer: OutlineWriter) -> bool:
        if when == "after":
            keep(writer)
        raise Killed

    data, summary = of_records(LARGE)
    with open_gateway(tmp_path / "cloud") as gateway, monkeypatch.context() as patched:
        patched.setattr(OutlineWriter, "keep", killed)
        with pytest.raises(Killed):
            upload(gateway, data, summary.digest)
        assert outline_of(tmp_path, summary.digest).exists() == (when == "after")
    with open_gateway(tmp_path / "cloud") as again:
        ask(again, m.UPLOAD_FINISH, m.UploadFinish(number(1)), UploadReceipt)
        counting = counted(again)
        proven(again, data, summary, 11)
        assert counting.opened == 0


def test_a_full_disk_costs_time_and_no_answer(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, summary = of_records(LARGE)
    upload(gateway, data, summary.digest)
    path = outline_of(tmp_path, summary.digest)
    path.unlink()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outlines_module.os, "fsync", full)
    proven(gateway, data, summary, 3)
    assert not path.exists()
    assert list(path.parent.iterdir()) == []


def test_the_digest_from_an_outline_is_the_bodys(gateway: Gateway) -> None:
    for plain in (1, SEGMENT_BYTES, 3 * SEGMENT_BYTES + 5, 9 * SEGMENT_BYTES):
        data, _ = body(plain)
        for suite in (labels.SUITE_RECORDS, labels.SUITE_RECORDS_2):
            kept = io.BytesIO()
            summary = digest_body(io.BytesIO(data), outline=kept, suite=suite)
            for first in range(summary.segments):
                for count in range(1, summary.segments - first + 1):
                    proof = prove_range(kept.getvalue(), summary.size_bytes, first, count, suite)
                    assert outline_digest(kept.getvalue(), proof, suite) == summary.digest
