"""Bodies: what comes out is what went in, and every other stream of bytes is refused before its plaintext is released."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.errors import Refused, StorageError
from salus.records.body import BodySummary, body_keys, decrypt_body, decrypt_file, digest_body, encrypt_body
from salus.records.digest import SEALED_SEGMENT_BYTES as SEALED
from salus.records.digest import SEGMENT_BYTES, BodyDigester, encrypted_size, segments_of
from salus.records.streams import Discard
from salus.symmetric import kdf

from .conftest import GOLDEN, seeded

BATCHES_BYTES = 24 << 20
"""Plain and sealed, a batch for each thread and a few in between."""
KEY = bytes(range(32))
CONTEXT = ("network", b"rid", 7)


def encrypt(plaintext: bytes, key: bytes = KEY, context: object = CONTEXT, seed: str = "body") -> tuple[bytes, BodySummary]:
    sink = io.BytesIO()
    summary = encrypt_body(io.BytesIO(plaintext), key, context, sink, random=seeded(seed))
    return sink.getvalue(), summary


def decrypt(body: bytes, expected: BodySummary, key: bytes = KEY, context: object = CONTEXT) -> bytes:
    sink = io.BytesIO()
    decrypt_body(io.BytesIO(body), key, context, expected, sink)
    return sink.getvalue()


def plain(size: int) -> bytes:
    return seeded(f"plain {size}")(size)


def cut(body: bytes) -> list[bytes]:
    return [body[at : at + SEALED] for at in range(0, len(body), SEALED)]


class Zeros:
    """A source of ``size`` zero bytes that holds none of them."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int, /) -> bytes:
        taken = min(size, self.left)
        self.left -= taken
        return bytes(taken)


class Trickle:
    """A source that gives a few bytes at a time, as a socket may."""

    def __init__(self, data: bytes) -> None:
        self.stream = io.BytesIO(data)
        self.turn = 0

    def read(self, size: int, /) -> bytes:
        self.turn += 1
        return self.stream.read(min(size, 1 + self.turn * 997 % 30_000))


class Failing:
    """A source or sink that fails as a disk does."""

    name = "/mnt/scan.dcm"

    def read(self, size: int, /) -> bytes:
        raise OSError(5, "Input/output error")

    def write(self, data: bytes, /) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "size", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES, 3 * SEGMENT_BYTES + 5]
)
def test_round_trip(size: int) -> None:
    plaintext = plain(size)
    body, summary = encrypt(plaintext)
    assert len(body) == summary.size_bytes == encrypted_size(size)
    assert summary == digest_body(io.BytesIO(body)) == BodySummary.of(summary.digest, len(body))
    assert summary.plain_bytes == size
    assert decrypt(body, summary) == plaintext


@given(st.binary(max_size=3 * SEGMENT_BYTES), st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1))
@settings(max_examples=25, deadline=None)
def test_round_trip_of_anything(plaintext: bytes, key: bytes, context: int) -> None:
    body, summary = encrypt(plaintext, key, context)
    assert decrypt(body, summary, key, context) == plaintext


def test_short_reads_change_nothing() -> None:
    plaintext = plain(3 * SEGMENT_BYTES + 17)
    body, summary = encrypt(plaintext)
    slow = io.BytesIO()
    assert encrypt_body(Trickle(plaintext), KEY, CONTEXT, slow, random=seeded("body")) == summary
    assert slow.getvalue() == body
    opened = io.BytesIO()
    decrypt_body(Trickle(body), KEY, CONTEXT, summary, opened)
    assert opened.getvalue() == plaintext


@given(st.lists(st.integers(1, 2 * SEALED), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_digest_does_not_depend_on_the_parts(sizes: list[int]) -> None:
    body, summary = encrypt(plain(4 * SEGMENT_BYTES + 99))
    digester = BodyDigester()
    at = 0
    for size in sizes:
        digester.update(body[at : at + size])
        at += size
    digester.update(body[at:])
    assert digester.finish() == summary


def test_segments_are_those_of_crypt4gh() -> None:
    """GA4GH Crypt4GH 1.0, section 3: any reader that has the data key opens each segment by itself, without associated data."""
    plaintext = plain(2 * SEGMENT_BYTES + 10)
    body, _ = encrypt(plaintext)
    cipher = ChaCha20Poly1305(body_keys(KEY, CONTEXT).body)
    assert b"".join(cipher.decrypt(segment[:12], segment[12:], None) for segment in cut(body)) == plaintext


def test_without_places_a_swap_succeeds() -> None:
    """What the nonces repair: a reader that opens segments one by one, as those of Crypt4GH do, takes any order and number."""
    body, summary = encrypt(plain(4 * SEGMENT_BYTES))
    cipher = ChaCha20Poly1305(body_keys(KEY, CONTEXT).body)
    s = cut(body)
    swapped = [s[1], s[0], s[0]]
    opened = b"".join(cipher.decrypt(segment[:12], segment[12:], None) for segment in swapped)
    assert opened == plain(4 * SEGMENT_BYTES)[SEGMENT_BYTES : 2 * SEGMENT_BYTES] + 2 * plain(4 * SEGMENT_BYTES)[:SEGMENT_BYTES]
    with pytest.raises(Refused, match="bad-body"):
        decrypt(b"".join(swapped), summary)


def test_keys_are_derived_by_the_convention() -> None:
    keys = body_keys(KEY, CONTEXT)
    assert keys.body + keys.meta == kdf("body", "records-1", [KEY], CONTEXT, 64)
    assert KEY.hex() not in repr(keys)
    assert keys.body.hex() not in repr(keys)


def test_same_key_twice_uses_other_nonces() -> None:
    first, _ = encrypt(plain(100), seed="one")
    second, _ = encrypt(plain(100), seed="two")
    assert first[:12] != second[:12]


@pytest.mark.parametrize("size", [0, 40, SEGMENT_BYTES + 1])
def test_every_byte_counts(size: int) -> None:
    """Every byte of a small body, and every tenth of a larger one's frame, flipped once: refused by opening and by the digest."""
    body, summary = encrypt(plain(size))
    positions = range(len(body)) if size < 100 else [*range(0, 64), *range(64, len(body), 4001), *range(SEALED - 20, len(body))]
    for position in positions:
        altered = bytearray(body)
        altered[position] ^= 1 << position % 8
        with pytest.raises(Refused, match="bad-body"):
            decrypt(bytes(altered), summary)
        assert digest_body(io.BytesIO(bytes(altered))) != summary


def adversarial_streams() -> dict[str, bytes]:
    body, _ = encrypt(plain(4 * SEGMENT_BYTES))
    other, _ = encrypt(plain(4 * SEGMENT_BYTES), seed="another body under the same key")
    s, o = cut(body), cut(other)
    return {
        "swapped": b"".join([s[1], s[0], s[2], s[3]]),
        "last two swapped": b"".join([s[0], s[1], s[3], s[2]]),
        "one dropped": b"".join([s[0], s[2], s[3]]),
        "first dropped": b"".join(s[1:]),
        "last dropped": b"".join(s[:3]),
        "one repeated": b"".join([s[0], s[1], s[1], s[2], s[3]]),
        "one repeated in another's place": b"".join([s[0], s[1], s[1], s[3]]),
        "end cut": body[:-1],
        "cut within a segment": body[: SEALED + 100],
        "cut to nothing": b"",
        "byte appended": body + b"\0",
        "segment appended": body + s[3],
        "segment of another body of this key": b"".join([s[0], o[1], s[2], s[3]]),
        "another body of this key": other,
    }


@pytest.mark.parametrize("name", list(adversarial_streams()))
def test_adversarial_stream(name: str) -> None:
    """Refused; and what was released before holds only segments in their own places, from the front."""
    plaintext = plain(4 * SEGMENT_BYTES)
    _, summary = encrypt(plaintext)
    sink = io.BytesIO()
    with pytest.raises(Refused, match="bad-body"):
        decrypt_body(io.BytesIO(adversarial_streams()[name]), KEY, CONTEXT, summary, sink)
    if name != "another body of this key":  # the key's holder wrote that one too; only the digest tells, at the end
        assert plaintext.startswith(sink.getvalue())


@pytest.mark.parametrize("name", [n for n in adversarial_streams() if n != "another body of this key"])
def test_places_are_verified_without_the_digest(name: str) -> None:
    """The single-pass guarantee: an altered stream whose own digest is expected (nothing to compare with) fails all the same."""
    stream = adversarial_streams()[name]
    try:
        expected = digest_body(io.BytesIO(stream))
    except Refused:
        return  # no body has that size
    with pytest.raises(Refused, match="bad-body"):
        decrypt(stream, expected)


def test_wrong_key_context_and_digest() -> None:
    body, summary = encrypt(plain(1000))
    with pytest.raises(Refused, match="another key or context"):
        decrypt(body, summary, key=bytes(32))
    with pytest.raises(Refused, match="another key or context"):
        decrypt(body, summary, context=("network", b"rid", 8))
    with pytest.raises(Refused, match="not the one the ledger names"):
        decrypt(body, BodySummary.of(bytes(32), len(body)))


@pytest.mark.parametrize("size", [-1, 0, 27, SEALED + 1, SEALED + 28, 2 * SEALED + 28])
def test_sizes_no_body_has(size: int) -> None:
    with pytest.raises(Refused, match="bad-body"):
        segments_of(size)


def test_size_over_the_bound() -> None:
    with pytest.raises(Refused, match="too-large"):
        segments_of((1 << 24) * SEALED + 29)


def test_nothing_arrives_unless_all_is_verified(tmp_path: Path) -> None:
    body, summary = encrypt(plain(3 * SEGMENT_BYTES))
    encrypted, destination = tmp_path / "body", tmp_path / "record.dcm"
    encrypted.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    destination.write_bytes(b"what was there before")
    with pytest.raises(Refused, match="bad-body"):
        decrypt_file(encrypted, KEY, CONTEXT, summary, destination)
    assert destination.read_bytes() == b"what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["body", "record.dcm"]
    encrypted.write_bytes(body)
    decrypt_file(encrypted, KEY, CONTEXT, summary, destination)
    assert destination.read_bytes() == plain(3 * SEGMENT_BYTES)


def test_interrupted_by_ctrl_c(tmp_path: Path) -> None:
    body, summary = encrypt(plain(3 * SEGMENT_BYTES))
    (tmp_path / "body").write_bytes(body)

    def press(done: int) -> None:
        if done > SEGMENT_BYTES:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decrypt_file(tmp_path / "body", KEY, CONTEXT, summary, tmp_path / "out", press)
    assert [p.name for p in tmp_path.iterdir()] == ["body"]


def test_failing_disks(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read /mnt/scan.dcm: Input/output error"):
        encrypt_body(Failing(), KEY, CONTEXT, Discard())
    with pytest.raises(StorageError, match=r"cannot write /mnt/scan.dcm: No space left"):
        encrypt_body(io.BytesIO(b"x"), KEY, CONTEXT, Failing())
    body, summary = encrypt(b"x")
    (tmp_path / "body").write_bytes(body)
    with pytest.raises(StorageError):
        decrypt_file(tmp_path / "body", KEY, CONTEXT, summary, tmp_path / "no such directory" / "out")
    with pytest.raises(StorageError, match="is a directory"):
        decrypt_file(tmp_path, KEY, CONTEXT, summary, tmp_path / "out")
    with pytest.raises(StorageError, match="is not there"):
        decrypt_file(tmp_path / "nothing", KEY, CONTEXT, summary, tmp_path / "out")


def test_progress_reaches_the_size() -> None:
    seen: list[int] = []
    sink = io.BytesIO()
    summary = encrypt_body(io.BytesIO(plain(150_000)), KEY, CONTEXT, sink, seen.append)
    decrypt_body(io.BytesIO(sink.getvalue()), KEY, CONTEXT, summary, Discard(), seen.append)
    assert seen == [65_536, 131_072, 150_000] * 2


def _stream(tmp_path: Path, size: int) -> int:
    """Encrypt, digest and decrypt ``size`` bytes through a file; returns the peak of allocated memory."""
    path = tmp_path / "body"
    tracemalloc.start()
    try:
        with path.open("wb") as sink:
            summary = encrypt_body(Zeros(size), KEY, CONTEXT, sink)
        with path.open("rb") as source:
            assert digest_body(source) == summary
        with path.open("rb") as source:
            decrypt_body(source, KEY, CONTEXT, summary, Discard())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        path.unlink()


def test_constant_memory(tmp_path: Path) -> None:
    small, large = _stream(tmp_path, 16 << 20), _stream(tmp_path, 64 << 20)
    assert large < BATCHES_BYTES
    assert large < small + 2 * (1 << 20)


@pytest.mark.long
def test_constant_memory_of_a_gibibyte(tmp_path: Path) -> None:
    assert _stream(tmp_path, 1 << 30) < BATCHES_BYTES


@pytest.mark.parametrize("name", ["empty", "one-segment", "three-segments"])
def test_golden(name: str) -> None:
    """Bodies written by an earlier version are read, and the same input gives the same bytes."""
    size = {"empty": 0, "one-segment": 300, "three-segments": 2 * SEGMENT_BYTES + 1000}[name]
    golden = (GOLDEN / f"body-{name}.bin").read_bytes()
    digest = (GOLDEN / f"body-{name}.digest").read_text().strip()
    plaintext = (b"Salus golden body. " * (size // 19 + 1))[:size]
    body, summary = encrypt(plaintext, seed=f"golden {name}")
    assert body == golden
    assert summary.digest.hex() == digest
    assert decrypt(golden, BodySummary.of(bytes.fromhex(digest), len(golden))) == plaintext
