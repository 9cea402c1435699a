"""Merkle digest of bodies: against an obvious recursive twin, and ranges that verify alone."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.errors import Refused
from salus.records.body import decrypt_body, decrypt_range, encrypt_body
from salus.records.digest import (
    SEALED_SEGMENT_BYTES,
    SEGMENT_BYTES,
    BodyDigester,
    BodySummary,
    RangeProof,
    digest_body,
    prove_range,
    segment_range,
    verify_range,
)
from salus.records.trees import FoldedTree, outline_bytes, outline_offset, tree_suite
from salus.symmetric import h2
from support.twin_blake3 import derive_key

from .conftest import seeded

KEY = bytes(range(32))
SUITES = ("records-1", "records-2")


def slow_leaf(suite: str, segment: bytes) -> bytes:
    return h2("body-segment", suite, segment) if suite == "records-1" else derive_key("salus records-2 body-segment", segment)


def slow_node(suite: str, left: bytes, right: bytes) -> bytes:
    return h2("body-node", suite, left, right) if suite == "records-1" else derive_key("salus records-2 body-node", left + right)


def slow_nodes(suite: str, leaves: list[bytes]) -> list[bytes]:
    """Roots of all subtrees of RFC 6962, section 2.1, children before parents: the root is the last."""
    if len(leaves) == 1:
        return leaves
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    left, right = slow_nodes(suite, leaves[:k]), slow_nodes(suite, leaves[k:])
    return [*left, *right, slow_node(suite, left[-1], right[-1])]


def body_of(segments: int, last_bytes: int = 100, suite: str = "records-1") -> tuple[bytes, bytes, bytes, BodySummary]:
    """(plaintext, body, outline, summary)."""
    plaintext = seeded(f"range {segments}")((segments - 1) * SEGMENT_BYTES + last_bytes)
    sink, outline = io.BytesIO(), io.BytesIO()
    encrypt_body(io.BytesIO(plaintext), KEY, "range", sink, random=seeded("range"), suite=suite)
    summary = digest_body(io.BytesIO(sink.getvalue()), outline=outline, suite=suite)
    return plaintext, sink.getvalue(), outline.getvalue(), summary


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("segments", [*range(1, 7), 11])
def test_digest_against_the_slow_twin(segments: int, suite: str) -> None:
    _, body, outline, summary = body_of(segments, suite=suite)
    leaves = [slow_leaf(suite, body[i : i + SEALED_SEGMENT_BYTES]) for i in range(0, len(body), SEALED_SEGMENT_BYTES)]
    nodes = slow_nodes(suite, leaves)
    assert set(leaves) <= {outline[i : i + 32] for i in range(0, len(outline), 32)} <= set(nodes)
    assert summary.digest == h2("body-digest", suite, len(body), nodes[-1])


def test_suites_differ_and_are_named() -> None:
    _, body, _, one = body_of(3)
    two = digest_body(io.BytesIO(body), suite="records-2")
    assert one.digest != two.digest
    assert (one.suite, two.suite) == SUITES
    assert one == BodySummary.of(one.digest, len(body))
    assert two == BodySummary.of(two.digest, len(body), "records-2")
    for make in (lambda: BodySummary.of(two.digest, len(body), "records-3"), lambda: BodyDigester(suite="sha-1")):
        with pytest.raises(Refused, match="bad-encoding"):
            make()


def test_a_body_under_the_other_suite_is_refused() -> None:
    plaintext, body, outline, summary = body_of(3, suite="records-2")
    other = BodySummary.of(summary.digest, len(body), "records-1")
    with pytest.raises(Refused, match="not the one the ledger names"):
        decrypt_body(io.BytesIO(body), KEY, "range", other, io.BytesIO())
    with pytest.raises(Refused, match="not of this body"):
        verify_range(other, prove_range(outline, len(body), 0, 3, "records-2"), body)
    opened = io.BytesIO()
    decrypt_body(io.BytesIO(body), KEY, "range", summary, opened)
    assert opened.getvalue() == plaintext


@pytest.mark.parametrize("leaves", [1, 2, 3, 4, 7, 8, 21, 64])
def test_every_full_subtree_stands_where_the_outline_says(leaves: int) -> None:
    for suite in SUITES:
        tree = tree_suite(suite)
        hashes = [seeded(f"leaf {i}")(32) for i in range(leaves)]
        outline = tree.tree().extend(b"".join(hashes))
        assert outline == FoldedTree(tree.node).extend(b"".join(hashes))
        assert len(outline) == outline_bytes(leaves)
        seen = set()
        for height in range(7):
            for low in range(0, leaves - (1 << height) + 1, 1 << height):
                offset = outline_offset(low, low + (1 << height))
                assert offset is not None
                assert outline[offset : offset + 32] == slow_nodes(suite, hashes[low : low + (1 << height)])[-1]
                seen.add(offset)
        assert seen == set(range(0, len(outline), 32))
    assert outline_offset(1, 3) is None
    assert outline_offset(0, 3) is None


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("segments", [1, 2, 3, 5, 8])
def test_every_range_verifies_alone(segments: int, suite: str) -> None:
    plaintext, body, outline, summary = body_of(segments, suite=suite)
    for first in range(segments):
        for count in range(1, segments - first + 1):
            proof = RangeProof.decode(prove_range(outline, len(body), first, count, suite).encode())
            piece = body[first * SEALED_SEGMENT_BYTES : (first + count) * SEALED_SEGMENT_BYTES]
            opened = decrypt_range(KEY, "range", summary, proof, piece)
            assert opened == plaintext[first * SEGMENT_BYTES : (first + count) * SEGMENT_BYTES]


def test_byte_range() -> None:
    plaintext, body, outline, summary = body_of(5)
    start, stop = SEGMENT_BYTES - 3, 2 * SEGMENT_BYTES + 9
    first, count = segment_range(start, stop)
    assert (first, count) == (0, 3)
    proof = prove_range(outline, len(body), first, count)
    opened = decrypt_range(KEY, "range", summary, proof, body[: 3 * SEALED_SEGMENT_BYTES])
    assert opened[start:stop] == plaintext[start:stop]


def test_altered_ranges_are_refused() -> None:
    _, body, outline, summary = body_of(7)
    proof = prove_range(outline, len(body), 2, 2)
    piece = body[2 * SEALED_SEGMENT_BYTES : 4 * SEALED_SEGMENT_BYTES]
    verify_range(summary, proof, piece)
    one = SEALED_SEGMENT_BYTES
    h = proof.hashes
    refused = [
        (proof, piece[:-1] + bytes([piece[-1] ^ 1])),  # altered
        (proof, piece[one:] + piece[:one]),  # swapped
        (proof, piece[:-1]),  # short
        (proof, piece + b"\0"),  # long
        (RangeProof(proof.size_bytes, 3, 2, h), piece),  # another place
        (RangeProof(proof.size_bytes, 2, 1, h), piece[:one]),  # another count
        (RangeProof(proof.size_bytes, 6, 2, h), piece),  # outside
        (RangeProof(proof.size_bytes, 2, 0, h), b""),  # nothing
        (RangeProof(proof.size_bytes - 1, 2, 2, h), piece),  # another size
        (RangeProof(proof.size_bytes, 2, 2, h[:-1]), piece),  # hash missing
        (RangeProof(proof.size_bytes, 2, 2, (*h, bytes(32))), piece),  # hash too many
        (RangeProof(proof.size_bytes, 2, 2, h[::-1]), piece),  # hashes swapped
    ]
    for bad, data in refused:
        with pytest.raises(Refused, match="bad-body"):
            verify_range(summary, bad, data)


def test_a_range_proves_its_place_by_the_size() -> None:
    """A tree of another number of segments never verifies, although its inner hashes may coincide."""
    _, body, outline, summary = body_of(4)
    proof = prove_range(outline, len(body), 0, 2)
    forged = BodySummary.of(summary.digest, 3 * SEALED_SEGMENT_BYTES)
    with pytest.raises(Refused, match="bad-body"):
        verify_range(forged, RangeProof(forged.size_bytes, 0, 2, proof.hashes), body[: 2 * SEALED_SEGMENT_BYTES])


@given(st.integers(1, 40), st.data())
@settings(max_examples=60, deadline=None)
def test_proofs_are_short(segments: int, data: st.DataObject) -> None:
    size = segments * SEALED_SEGMENT_BYTES
    outline = seeded("outline")(outline_bytes(segments))
    first = data.draw(st.integers(0, segments - 1))
    count = data.draw(st.integers(1, segments - first))
    proof = prove_range(outline, size, first, count)
    assert len(proof.hashes) <= 2 * max(1, (segments - 1).bit_length())


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (0, 4), (3, 1)])
def test_ranges_outside(first: int, count: int) -> None:
    with pytest.raises(Refused, match="bad-body"):
        prove_range(bytes(outline_bytes(3)), 3 * SEALED_SEGMENT_BYTES, first, count)


def test_outline_of_another_body() -> None:
    with pytest.raises(Refused, match="bad-body"):
        prove_range(bytes(64), 3 * SEALED_SEGMENT_BYTES, 0, 1)
    with pytest.raises(Refused, match="bad-body"):
        prove_range(lambda offset, count: bytes(96)[offset : offset + count], 3 * SEALED_SEGMENT_BYTES, 0, 1)


@pytest.mark.parametrize("suite", SUITES)
def test_a_proof_reads_few_nodes_whatever_the_size(suite: str) -> None:
    """The largest body, a tebibyte: its outline is made up where it is read, and the hashes that matter are counted."""
    segments = 1 << 24
    reads: list[int] = []

    def read(offset: int, count: int) -> bytes:
        reads.append(offset)
        return seeded(f"node {offset}")(count)

    proof = prove_range(read, segments * SEALED_SEGMENT_BYTES - 1000, 12_345_678, 1, suite)
    assert len(proof.hashes) == len(reads) == 24
    assert max(reads) < outline_bytes(segments)
    reads.clear()
    segments -= 1
    assert len(prove_range(read, segments * SEALED_SEGMENT_BYTES, 3, segments - 5, suite).hashes) <= 48
    assert len(reads) <= 48


@given(st.lists(st.integers(1, 3 * SEALED_SEGMENT_BYTES), min_size=1, max_size=8), st.sampled_from(SUITES))
@settings(max_examples=20, deadline=None)
def test_outline_does_not_depend_on_the_parts(sizes: list[int], suite: str) -> None:
    _, body, outline, summary = body_of(6, suite=suite)
    nodes = io.BytesIO()
    digester = BodyDigester(nodes, suite)
    at = 0
    for size in sizes:
        digester.update(body[at : at + size])
        at += size
    digester.update(body[at:])
    assert (digester.finish(), nodes.getvalue()) == (summary, outline)
