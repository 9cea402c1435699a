"""Records: bodies and sealed metadata bound to network, rid and scope; single ranges; versions."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.bench.records_streams import Bench, PlainStream, SealedStream
from salus.codec import encode
from salus.errors import Refused, SalusError
from salus.records.body import BodySummary, body_keys, digest_body, prove_range
from salus.records.digest import SEALED_SEGMENT_BYTES as SEALED
from salus.records.digest import SEGMENT_BYTES, RangeProof
from salus.records.record import (
    PADDED_BYTES,
    RecordMetadata,
    RecordPlace,
    SealedMetadata,
    check_supersedes,
    decrypt_record,
    decrypt_record_bytes,
    decrypt_record_file,
    draw_key,
    draw_salt,
    encrypt_record,
    metadata_hash,
    open_metadata,
    record_id,
    seal_metadata,
)
from salus.records.streams import Discard
from salus.symmetric import h2, kdf, seal

from .conftest import GOLDEN, seeded

KEY = bytes(range(32))
PLACE = RecordPlace(b"N" * 32, b"rid-of-a-record!", b"x" * 32)
ELSEWHERE = {
    "network": RecordPlace(b"M" * 32, PLACE.rid, PLACE.scope),
    "rid": RecordPlace(PLACE.network, b"rid-of-another-1", PLACE.scope),
    "scope": RecordPlace(PLACE.network, PLACE.rid, b"y" * 32),
}


def put(plaintext: bytes, key: bytes = KEY, place: RecordPlace = PLACE, seed: str = "record") -> tuple[bytes, RecordMetadata]:
    sink = io.BytesIO()
    summary = encrypt_record(io.BytesIO(plaintext), key, place, sink, random=seeded(seed))
    return sink.getvalue(), metadata_of(summary)


def metadata_of(summary: BodySummary, **changes: Any) -> RecordMetadata:
    fields: dict[str, Any] = {"category": "lab", "period": "2025Q3", "media_type": "application/dicom", "file_name": "scan.dcm"}
    fields |= {"time_ms": 1_758_000_000_000, "suite": summary.suite} | changes
    return RecordMetadata(clouds=("store/a", "store/b"), digest=summary.digest, size_bytes=summary.size_bytes, **fields)


def sealed_metadata(**changes: Any) -> tuple[RecordMetadata, bytes, bytes]:
    """(metadata, sealed, hash)."""
    metadata = msgspec.structs.replace(put(b"words")[1], **changes)
    sealed = seal_metadata(metadata, KEY, PLACE, seeded("metadata"))
    return metadata, sealed, metadata_hash(PLACE.network, PLACE.rid, sealed)


def fetcher(body: bytes, suite: str = "records-2") -> Any:
    outline = io.BytesIO()
    digest_body(io.BytesIO(body), outline=outline, suite=suite)

    def fetch(first: int, count: int) -> tuple[RangeProof, bytes]:
        proof = prove_range(outline.getvalue(), len(body), first, count, suite)
        return proof, body[first * SEALED : (first + count) * SEALED]

    return fetch


def read_bytes(body: bytes, metadata: RecordMetadata, start: int, stop: int, fetch: Any = None) -> bytes:
    sink = io.BytesIO()
    decrypt_record_bytes(fetch or fetcher(body), KEY, PLACE, metadata, start, stop, sink)
    return sink.getvalue()


# --- bodies ---


@given(st.binary(max_size=2 * SEGMENT_BYTES + 10), st.binary(min_size=32, max_size=32))
@settings(max_examples=20, deadline=None)
def test_round_trip(plaintext: bytes, key: bytes) -> None:
    body, metadata = put(plaintext, key)
    assert metadata.body.suite == "records-2"
    sink = io.BytesIO()
    decrypt_record(io.BytesIO(body), key, PLACE, metadata, sink)
    assert sink.getvalue() == plaintext


def test_keys_are_bound_to_the_place() -> None:
    keys = body_keys(KEY, PLACE.context)
    assert keys.body + keys.meta == kdf("body", "records-1", [KEY], (PLACE.network, PLACE.rid, PLACE.scope), 64)


@pytest.mark.parametrize("changed", list(ELSEWHERE))
def test_a_body_opens_in_its_place_only(changed: str, tmp_path: Any) -> None:
    body, metadata = put(b"words")
    (tmp_path / "body").write_bytes(body)
    with pytest.raises(Refused, match="another key or context"):
        decrypt_record_file(tmp_path / "body", KEY, ELSEWHERE[changed], metadata, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    decrypt_record_file(tmp_path / "body", KEY, PLACE, metadata, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"words"


def test_places_have_their_sizes() -> None:
    for parts in ((b"", PLACE.rid, PLACE.scope), (PLACE.network, b"short", PLACE.scope), (PLACE.network, PLACE.rid, b"")):
        with pytest.raises(ValueError, match="bytes, not"):
            RecordPlace(*parts)
    assert (len(draw_salt()), len(draw_key())) == (16, 32)
    assert draw_salt() != draw_salt()
    rids = {record_id(*place) for place in ((b"n", b"x", b"s"), (b"m", b"x", b"s"), (b"n", b"y", b"s"), (b"n", b"x", b"t"))}
    assert len(rids) == 4
    assert {len(rid) for rid in rids} == {16}


# --- sealed metadata ---


def test_sealed_metadata_by_the_steps() -> None:
    """Records, step 3, by hand."""
    metadata, sealed, expected = sealed_metadata()
    salt = seeded("metadata")(16)
    key = kdf("record-metadata-key", "records-2", [body_keys(KEY, PLACE.context).meta], salt)
    encoded = metadata.encode()
    plain = (len(encoded).to_bytes(4, "big") + encoded).ljust(PADDED_BYTES, b"\0")
    assert sealed == encode(("records.sealed-metadata", 1, salt, seal(key, plain, PLACE.context)))
    assert expected == h2("record-metadata", "records-2", PLACE.network, PLACE.rid, sealed)
    assert open_metadata(sealed, expected, KEY, PLACE) == metadata


def test_nothing_of_metadata_shows() -> None:
    metadata, sealed, _ = sealed_metadata(file_name="anna-hiv-test.pdf", media_type="application/pdf")
    assert b"anna" not in sealed
    assert b"pdf" not in sealed
    assert metadata.digest not in sealed
    assert "anna" not in repr(metadata)
    sizes = {len(sealed_metadata(file_name="n" * count)[1]) for count in range(0, 150, 10)}
    assert len(sizes) == 1


def test_repeating_a_put_uses_another_key() -> None:
    metadata, _, _ = sealed_metadata()
    one, two = (SealedMetadata.decode(seal_metadata(metadata, KEY, PLACE, seeded(name))) for name in ("one", "two"))
    assert one.salt != two.salt
    assert one.ciphertext[:64] != two.ciphertext[:64]


def test_every_byte_of_sealed_metadata_counts() -> None:
    """Flipped on the way: the ledger's hash refuses it. Sealed so by the owner: the tag does, or the encoding."""
    _, sealed, expected = sealed_metadata()
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1 << position % 8
        with pytest.raises(Refused, match="bad-metadata"):
            open_metadata(bytes(altered), expected, KEY, PLACE)
        with pytest.raises(SalusError):
            open_metadata(bytes(altered), metadata_hash(PLACE.network, PLACE.rid, bytes(altered)), KEY, PLACE)


@pytest.mark.parametrize("changed", list(ELSEWHERE))
def test_metadata_opens_in_its_place_only(changed: str) -> None:
    _, sealed, expected = sealed_metadata()
    with pytest.raises(Refused, match="bad-metadata"):
        open_metadata(sealed, expected, KEY, ELSEWHERE[changed])
    place = ELSEWHERE[changed]
    with pytest.raises(Refused, match="bad-metadata"):
        open_metadata(sealed, metadata_hash(place.network, place.rid, sealed), KEY, place)
    with pytest.raises(Refused, match="bad-metadata"):
        open_metadata(sealed, expected, bytes(32), PLACE)


@pytest.mark.parametrize(
    "changes",
    [
        {"category": "blood"},
        {"period": "2025Q5"},
        {"period": "2025q3"},
        {"period": "all"},
        {"suite": "records-9"},
        {"size_bytes": 27},
        {"size_bytes": SEALED + 1},
        {"clouds": ("store/a", "store/a")},
        {"file_name": "../../etc/passwd"},
        {"file_name": "a\nb"},
        {"version": 0},
        {"version": 2},
        {"supersedes": b"o" * 16},
        {"version": 1 << 20, "supersedes": b"o" * 16},
    ],
)
def test_metadata_that_cannot_be_true(changes: dict[str, Any]) -> None:
    """Refused where it is made, and by the reader if a hostile owner sealed it all the same."""
    metadata = msgspec.structs.replace(put(b"words")[1], **changes)
    with pytest.raises(Refused):
        seal_metadata(metadata, KEY, PLACE)
    with pytest.raises(Refused):
        open_raw(metadata.encode())


def open_raw(encoded: bytes, length: int | None = None, padding: bytes = b"\0", size: int = PADDED_BYTES) -> RecordMetadata:
    """Open metadata that an owner sealed without looking at it."""
    key = kdf("record-metadata-key", "records-2", [body_keys(KEY, PLACE.context).meta], bytes(16))
    head = (len(encoded) if length is None else length).to_bytes(4, "big")
    sealed = SealedMetadata(bytes(16), seal(key, (head + encoded).ljust(size, padding), PLACE.context)).encode()
    return open_metadata(sealed, metadata_hash(PLACE.network, PLACE.rid, sealed), KEY, PLACE)


def test_metadata_sealed_by_a_hostile_owner() -> None:
    metadata = put(b"words")[1]
    encoded = metadata.encode()
    assert open_raw(encoded) == metadata
    for attempt in (
        lambda: open_raw(encoded, padding=b"\1"),
        lambda: open_raw(encoded, length=len(encoded) + 1),
        lambda: open_raw(encoded, length=1 << 31),
        lambda: open_raw(encoded, size=2 * PADDED_BYTES),
        lambda: open_raw(b"not a message"),
        lambda: open_raw(b""),
    ):
        with pytest.raises(Refused, match="bad-metadata"):
            attempt()


def test_metadata_with_the_longest_names_fits() -> None:
    metadata, sealed, expected = sealed_metadata(clouds=tuple(f"{i:128}" for i in range(8)), file_name="f" * 200)
    assert open_metadata(sealed, expected, KEY, PLACE) == metadata


# --- versions ---


def test_a_correction_names_what_it_supersedes() -> None:
    older, newer = put(b"old words")[1], put(b"new words")[1]
    rid = record_id(PLACE.network, PLACE.scope, draw_salt(seeded("rid")))
    newer = msgspec.structs.replace(newer, version=2, supersedes=rid).check()
    check_supersedes(newer, older, rid)
    for wrong in (
        msgspec.structs.replace(newer, supersedes=bytes(16)),
        msgspec.structs.replace(newer, version=3),
        msgspec.structs.replace(newer, category="note"),
        msgspec.structs.replace(newer, time_ms=older.time_ms - 1),
    ):
        with pytest.raises(Refused, match="bad-metadata"):
            check_supersedes(wrong, older, rid)


# --- ranges ---

BOUNDARIES = [
    0,
    1,
    1023,
    SEGMENT_BYTES - 1,
    SEGMENT_BYTES,
    SEGMENT_BYTES + 1,
    2 * SEGMENT_BYTES,
    3 * SEGMENT_BYTES,
    3 * SEGMENT_BYTES + 77,
]


def test_ranges_at_every_boundary() -> None:
    plaintext = seeded("ranges")(BOUNDARIES[-1])
    body, metadata = put(plaintext)
    fetch = fetcher(body)
    for i, start in enumerate(BOUNDARIES):
        for stop in BOUNDARIES[i + 1 :]:
            assert read_bytes(body, metadata, start, stop, fetch) == plaintext[start:stop]


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (5, 5), (6, 5), (-1, 3), (0, 101), (100, 101)])
def test_ranges_that_are_not_there(start: int, stop: int) -> None:
    body, metadata = put(bytes(100))
    with pytest.raises(Refused, match="bad-body"):
        read_bytes(body, metadata, start, stop)
    with pytest.raises(Refused, match="bad-body"):
        read_bytes(*put(b""), 0, 1)


def test_a_long_range_is_fetched_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salus.records.body.RUN_SEGMENTS", 2)
    plaintext = seeded("runs")(5 * SEGMENT_BYTES)
    body, metadata = put(plaintext)
    fetch, asked = fetcher(body), []

    def noting(first: int, count: int) -> Any:
        asked.append((first, count))
        return fetch(first, count)

    assert read_bytes(body, metadata, 10, len(plaintext) - 10, noting) == plaintext[10:-10]
    assert asked == [(0, 2), (2, 2), (4, 1)]


def test_clouds_that_lie_about_ranges() -> None:
    body, metadata = put(seeded("lies")(4 * SEGMENT_BYTES))
    other, _ = put(seeded("other")(4 * SEGMENT_BYTES), seed="other")
    fetch, foreign = fetcher(body), fetcher(other)
    lies = {
        "another segment": lambda first, count: fetch(first + 1, count),
        "more than was asked": lambda first, count: fetch(first, count + 1),
        "another record's": foreign,
        "another record's bytes": lambda first, count: (fetch(first, count)[0], foreign(first, count)[1]),
        "cut": lambda first, count: (fetch(first, count)[0], fetch(first, count)[1][:-1]),
        "flipped": lambda first, count: (fetch(first, count)[0], b"\xff" + fetch(first, count)[1][1:]),
        "swapped": lambda first, count: (fetch(0, 2)[0], fetch(0, 2)[1][SEALED:] + fetch(0, 2)[1][:SEALED]),
    }
    for name, lie in lies.items():
        stop = 2 * SEGMENT_BYTES if name == "swapped" else 100
        with pytest.raises(Refused, match="bad-body"):
            read_bytes(body, metadata, 0, stop, lie)


@pytest.mark.long
def test_four_gibibytes() -> None:
    """Streamed both ways, nothing kept; single ranges at the ends, in the middle and across borders, from the outline alone."""
    size = 4 << 30
    made = Bench(seeded("four gibibytes"))
    sealed = encrypt_record(PlainStream(made, size), made.key, made.place, Discard(), random=made.fixed_prefix)
    outline = io.BytesIO()
    assert digest_body(SealedStream(made, size), outline=outline, suite="records-2") == sealed
    decrypt_record(SealedStream(made, size), made.key, made.place, made.metadata(sealed), Discard())
    segments = size // SEGMENT_BYTES

    def fetch(first: int, count: int) -> tuple[RangeProof, bytes]:
        proof = prove_range(outline.getvalue(), sealed.size_bytes, first, count, "records-2")
        return proof, b"".join(made.segment(number, segments) for number in range(first, first + count))

    block = made.block * 2
    for start in (0, SEGMENT_BYTES - 500, size // 2 - 1, size // 3, size - 1024):
        sink = io.BytesIO()
        decrypt_record_bytes(fetch, made.key, made.place, made.metadata(sealed), start, start + 1024, sink)
        at = start % len(made.block)
        assert sink.getvalue() == block[at : at + 1024]


# --- golden ---


def test_golden() -> None:
    """A record written by an earlier version is read, and the same input gives the same bytes."""
    body, metadata = put(b"Salus golden record. " * 4000, seed="golden record")
    sealed = seal_metadata(metadata, KEY, PLACE, seeded("golden metadata"))
    assert body == (GOLDEN / "record-body.bin").read_bytes()
    assert sealed == (GOLDEN / "record-metadata.bin").read_bytes()
    digest, named = (GOLDEN / "record.hashes").read_text().split()
    assert (metadata.digest.hex(), metadata_hash(PLACE.network, PLACE.rid, sealed).hex()) == (digest, named)
    opened = open_metadata(sealed, bytes.fromhex(named), KEY, PLACE)
    sink = io.BytesIO()
    decrypt_record(io.BytesIO(body), KEY, PLACE, opened, sink)
    assert sink.getvalue() == b"Salus golden record. " * 4000
