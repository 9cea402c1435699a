"""Batches: in order, on one thread and on several, few ahead, nothing left running; and the tree beside its twin."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus import _native, labels
from salus.errors import Refused, StorageError
from salus.records.batches import ALONE, THREADS_MAX, in_order
from salus.records.body import BodySummary, decrypt_body, encrypt_body
from salus.records.digest import BATCH_SEGMENTS, SEGMENT_BYTES
from salus.records.digest import SEALED_SEGMENT_BYTES as SEALED
from salus.records.streams import Buffer
from salus.records.trees import FoldedTree, tree_suite
from support import twin_blake3

from .conftest import seeded

KEY, CONTEXT = bytes(range(32)), "batches"
MANY = (ALONE + 4) * BATCH_SEGMENTS
"""Segments of a body that helpers take part in."""


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    wanted = _native.threads()
    _native.set_threads(request.param)
    yield request.param
    _native.set_threads(wanted)


@pytest.mark.parametrize("count", [0, 1, 2, ALONE, ALONE + 1, 60])
def test_results_come_in_order(threads: int, count: int) -> None:
    drawn, delivered, ahead = 0, 0, 0

    def jobs() -> Iterator[int]:
        nonlocal drawn
        for job in range(count):
            drawn += 1
            yield job

    for result in in_order(jobs(), lambda job: job * job):
        assert result == delivered * delivered
        delivered += 1
        ahead = max(ahead, drawn - delivered)
    assert delivered == count
    assert ahead <= 3 * THREADS_MAX + 2


@pytest.mark.parametrize("bad", [0, ALONE, 20])
def test_errors_of_the_work(threads: int, bad: int) -> None:
    def work(job: int) -> int:
        if job == bad:
            raise Refused("bad-body", "this one")
        return job

    got: list[int] = []
    with pytest.raises(Refused, match="this one"):
        got.extend(in_order(iter(range(60)), work))
    assert got == list(range(len(got)))
    assert len(got) <= bad
    assert not [t for t in threading.enumerate() if t.name.startswith("salus-segments")]


@pytest.mark.parametrize("bad", [0, ALONE, 20])
def test_errors_of_the_source(threads: int, bad: int) -> None:
    def jobs() -> Iterator[int]:
        yield from range(bad)
        raise StorageError("cannot read")

    with pytest.raises(StorageError):
        list(in_order(jobs(), lambda job: job))
    assert not [t for t in threading.enumerate() if t.name.startswith("salus-segments")]


def test_a_reader_that_leaves_early(threads: int) -> None:
    results = in_order(iter(range(100)), lambda job: job)
    assert [next(results) for _ in range(ALONE + 3)] == list(range(ALONE + 3))
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("salus-segments")]


# --- bodies of many batches ---


@pytest.fixture(scope="module")
def large() -> tuple[bytes, bytes, BodySummary]:
    plaintext = seeded("many batches")(MANY * SEGMENT_BYTES - 5)
    sink = io.BytesIO()
    summary = encrypt_body(io.BytesIO(plaintext), KEY, CONTEXT, sink, random=seeded("large"), suite="records-2")
    return plaintext, sink.getvalue(), summary


def test_threads_change_nothing(threads: int, large: tuple[bytes, bytes, BodySummary]) -> None:
    plaintext, body, summary = large
    sink, opened = io.BytesIO(), io.BytesIO()
    again = encrypt_body(io.BytesIO(plaintext), KEY, CONTEXT, sink, random=seeded("large"), suite="records-2")
    assert again == summary
    assert sink.getvalue() == body
    decrypt_body(io.BytesIO(body), KEY, CONTEXT, summary, opened)
    assert opened.getvalue() == plaintext


def swapped(body: bytes, one: int, other: int) -> bytes:
    parts = [body[at : at + SEALED] for at in range(0, len(body), SEALED)]
    parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


@pytest.mark.parametrize("place", [0, 1, BATCH_SEGMENTS - 1, BATCH_SEGMENTS, ALONE * BATCH_SEGMENTS, MANY - 2])
def test_segments_out_of_place(threads: int, place: int, large: tuple[bytes, bytes, BodySummary]) -> None:
    """Across batches and within one: swapped, repeated, dropped, cut, flipped; what was released is the front of the record."""
    plaintext, body, summary = large
    at = place * SEALED
    bad = {
        "swapped with the next": swapped(body, place, place + 1) if place < MANY - 2 else swapped(body, place, 0),
        "swapped with one of another batch": swapped(body, place, (place + BATCH_SEGMENTS) % (MANY - 1)),
        "repeated": body[: at + SEALED] + body[at : at + SEALED] + body[at + SEALED :],
        "dropped": body[:at] + body[at + SEALED :],
        "cut here": body[:at],
        "cut within": body[: at + 1000],
        "flipped": body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :],
        "tag flipped": body[: at + SEALED - 1] + bytes([body[at + SEALED - 1] ^ 1]) + body[at + SEALED :],
    }
    for name, data in bad.items():
        sink = io.BytesIO()
        with pytest.raises(Refused, match="bad-body"):
            decrypt_body(io.BytesIO(data), KEY, CONTEXT, summary, sink)
        assert plaintext.startswith(sink.getvalue()), name
        assert len(sink.getvalue()) <= (place // BATCH_SEGMENTS + 1) * BATCH_SEGMENTS * SEGMENT_BYTES, name


class Keeping:
    """A sink that keeps what it is given, which it may not."""

    def __init__(self) -> None:
        self.kept: list[Buffer] = []

    def write(self, data: Buffer, /) -> int:
        self.kept.append(data)
        return len(data)


def test_a_sink_that_keeps_a_buffer_notices(large: tuple[bytes, bytes, BodySummary]) -> None:
    """Buffers are used again: what a sink kept would change under its hands, so it is closed."""
    sink = Keeping()
    decrypt_body(io.BytesIO(large[1]), KEY, CONTEXT, large[2], sink)
    with pytest.raises(ValueError, match="released"):
        bytes(sink.kept[0])
    with pytest.raises((TypeError, ValueError)):
        sink.kept[0][0] = 1  # type: ignore[index]


# --- BLAKE3 ---


VECTORS = {
    0: (
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d",
    ),
    1: (
        "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
        "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c",
    ),
    1025: (
        "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
        "effaa245f065fbf82ac186839a249707c3bddf6d3fdda22d1b95a3c970379bcb",
    ),
}
"""Of the reference's test_vectors.json, cut to 32 bytes: input 0, 1, .., 250, 0, 1, ..; hash and derive_key."""
VECTOR_CONTEXT = "BLAKE3 2019-12-27 16:29:52 test vectors context"


@pytest.mark.parametrize("size", list(VECTORS))
def test_twin_against_the_published_vectors(size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    assert (twin_blake3.blake3(data).hex(), twin_blake3.derive_key(VECTOR_CONTEXT, data).hex()) == VECTORS[size]


@given(st.integers(0, 5000), st.integers(1, 2000))
@settings(max_examples=15, deadline=None)
def test_leaves_against_the_twin(size: int, segment_bytes: int) -> None:
    data = seeded(f"leaves {size}")(size)
    context = f"salus {labels.SUITE_RECORDS_2} {labels.BODY_SEGMENT}"
    expected = [twin_blake3.derive_key(context, data[at : at + segment_bytes]) for at in range(0, size, segment_bytes)]
    for form in (data, bytearray(data), memoryview(data)):
        assert _native.body_leaves(form, segment_bytes) == b"".join(expected)


def test_a_whole_segment_and_a_node_against_the_twin() -> None:
    data = seeded("segment")(SEALED)
    assert _native.body_leaves(data, SEALED) == twin_blake3.derive_key("salus records-2 body-segment", data)
    left, right = data[:32], data[32:64]
    assert _native.body_node(left, right) == twin_blake3.derive_key("salus records-2 body-node", left + right)


@given(st.lists(st.integers(0, 9), max_size=12))
@settings(max_examples=60, deadline=None)
def test_tree_against_its_twin(parts: list[int]) -> None:
    fast, twin = _native.BodyTree(), FoldedTree(tree_suite("records-2").node)
    for number, count in enumerate(parts):
        leaves = seeded(f"leaves {number}")(32 * count)
        assert fast.extend(leaves) == twin.extend(leaves)
    if sum(parts):
        assert fast.root() == twin.root()


def test_native_refusals() -> None:
    tree = _native.BodyTree()
    for attempt in (
        tree.root,
        lambda: tree.extend(bytes(31)),
        lambda: _native.body_node(bytes(31), bytes(32)),
        lambda: _native.body_leaves(b"x", 0),
        lambda: _native.body_leaves(memoryview(bytes(10))[::2], 2),
    ):
        with pytest.raises((ValueError, BufferError)):
            attempt()
    assert _native.body_leaves(b"", 5) == b""
