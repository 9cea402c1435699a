"""Merkle digest of bodies: against an obvious recursive twin, and ranges that verify alone."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.errors import Refused
from salus.records.body import decrypt_range, encrypt_body
from salus.records.digest import (
    SEALED_SEGMENT_BYTES,
    SEGMENT_BYTES,
    BodySummary,
    RangeProof,
    digest_body,
    prove_range,
    segment_range,
    verify_range,
)
from salus.symmetric import h2

from .conftest import seeded

KEY = bytes(range(32))


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return h2("body-node", "records-1", slow_root(leaves[:k]), slow_root(leaves[k:]))


def body_of(segments: int, last_bytes: int = 100) -> tuple[bytes, bytes, bytes, BodySummary]:
    """(plaintext, body, leaf hashes, summary)."""
    plaintext = seeded(f"range {segments}")((segments - 1) * SEGMENT_BYTES + last_bytes)
    sink, outline = io.BytesIO(), io.BytesIO()
    encrypt_body(io.BytesIO(plaintext), KEY, "range", sink, random=seeded("range"))
    summary = digest_body(io.BytesIO(sink.getvalue()), outline=outline)
    return plaintext, sink.getvalue(), outline.getvalue(), summary


@pytest.mark.parametrize("segments", range(1, 14))
def test_digest_against_the_slow_twin(segments: int) -> None:
    _, body, outline, summary = body_of(segments)
    leaves = [
        h2("body-segment", "records-1", body[i : i + SEALED_SEGMENT_BYTES]) for i in range(0, len(body), SEALED_SEGMENT_BYTES)
    ]
    assert outline == b"".join(leaves)
    assert summary.digest == h2("body-digest", "records-1", len(body), slow_root(leaves))


@pytest.mark.parametrize("segments", [1, 2, 3, 5, 8])
def test_every_range_verifies_alone(segments: int) -> None:
    plaintext, body, outline, summary = body_of(segments)
    for first in range(segments):
        for count in range(1, segments - first + 1):
            proof = RangeProof.decode(prove_range(outline, len(body), first, count).encode())
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
    outline = seeded("outline")(32 * segments)
    first = data.draw(st.integers(0, segments - 1))
    count = data.draw(st.integers(1, segments - first))
    proof = prove_range(outline, size, first, count)
    assert len(proof.hashes) <= 2 * max(1, (segments - 1).bit_length())


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (0, 4), (3, 1)])
def test_ranges_outside(first: int, count: int) -> None:
    with pytest.raises(Refused, match="bad-body"):
        prove_range(bytes(96), 3 * SEALED_SEGMENT_BYTES, first, count)


def test_outline_of_another_body() -> None:
    with pytest.raises(Refused, match="bad-body"):
        prove_range(bytes(64), 3 * SEALED_SEGMENT_BYTES, 0, 1)
