"""Header and file as one encrypted stream; the m_PA digest on both sides; harmless file names."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.errors import Refused, StorageError
from salus.records.body import BodySummary, encrypt_body
from salus.records.payload import (
    MAX_HEADER_BYTES,
    FramedSink,
    FramedSource,
    PayloadHeader,
    ReplyHeader,
    SealedPayload,
    decrypt_payload,
    encrypt_payload,
    safe_file_name,
)
from salus.symmetric import h2

from .conftest import seeded

KEY = bytes(range(32))


def header_of(payload: bytes, **changed: object) -> PayloadHeader:
    fields = {
        "pid": b"p" * 44,
        "time_ms": 5,
        "media_type": "application/dicom",
        "file_name": "scan.dcm",
        "payload_bytes": len(payload),
    }
    return PayloadHeader(**{**fields, **changed})  # type: ignore[arg-type]


def sealed(payload: bytes) -> tuple[bytes, SealedPayload]:
    sink = io.BytesIO()
    summary = encrypt_payload(header_of(payload), io.BytesIO(payload), KEY, "t0", sink, random=seeded("payload"))
    return sink.getvalue(), summary


def accept(_header: object) -> None:
    pass


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_536, 200_000])
def test_round_trip(tmp_path: Path, size: int) -> None:
    payload = seeded(f"payload {size}")(size)
    body, summary = sealed(payload)
    opened = decrypt_payload(io.BytesIO(body), KEY, "t0", summary.body, PayloadHeader, accept, tmp_path / "scan.dcm")
    assert (tmp_path / "scan.dcm").read_bytes() == payload
    assert opened.header == header_of(payload)
    expected = h2("m_PA", "mbpa-r1", header_of(payload).encode(), hashlib.sha512(payload).digest(), size)
    assert opened.m_pa_digest == summary.m_pa_digest == expected


def test_reply_round_trip(tmp_path: Path) -> None:
    reply = b"Rest and fluids."
    header = ReplyHeader(b"d" * 32, 9, "text/plain", "reply.txt", len(reply))
    sink = io.BytesIO()
    summary = encrypt_payload(header, io.BytesIO(reply), KEY, "t0'", sink)
    opened = decrypt_payload(io.BytesIO(sink.getvalue()), KEY, "t0'", summary.body, ReplyHeader, accept, tmp_path / "r")
    assert (opened.header, (tmp_path / "r").read_bytes()) == (header, reply)


def test_request_is_no_reply(tmp_path: Path) -> None:
    body, summary = sealed(b"x")
    with pytest.raises(Refused, match="bad-encoding"):
        decrypt_payload(io.BytesIO(body), KEY, "t0", summary.body, ReplyHeader, accept, tmp_path / "r")
    assert not list(tmp_path.iterdir())


def test_refused_header_leaves_nothing(tmp_path: Path) -> None:
    body, summary = sealed(b"x" * 100_000)

    def compare(header: PayloadHeader) -> None:
        raise Refused("bad-pseudonym", "the pid in m_PA is not the sender's")

    with pytest.raises(Refused, match="bad-pseudonym"):
        decrypt_payload(io.BytesIO(body), KEY, "t0", summary.body, PayloadHeader, compare, tmp_path / "scan.dcm")
    assert not list(tmp_path.iterdir())


def test_every_byte_of_a_small_payload_counts(tmp_path: Path) -> None:
    body, summary = sealed(b"an ECG")
    for position in range(len(body)):
        altered = bytearray(body)
        altered[position] ^= 0x20
        with pytest.raises(Refused, match="bad-body"):
            decrypt_payload(io.BytesIO(bytes(altered)), KEY, "t0", summary.body, PayloadHeader, accept, tmp_path / "f")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("announced", "message"), [(4, "grew"), (6, "shrank")])
def test_file_that_changes_while_it_is_read(announced: int, message: str) -> None:
    header = header_of(b"", payload_bytes=announced)
    with pytest.raises(StorageError, match=message):
        encrypt_payload(header, io.BytesIO(b"12345"), KEY, "t0", io.BytesIO())


@given(st.binary(max_size=2000), st.lists(st.integers(1, 300), max_size=30))
@settings(max_examples=50, deadline=None)
def test_framing_does_not_depend_on_the_parts(payload: bytes, sizes: list[int]) -> None:
    source = FramedSource(header_of(payload), io.BytesIO(payload))
    out = io.BytesIO()
    sink = FramedSink(PayloadHeader, accept, out)
    for size in [*sizes, *[7] * 1000]:
        sink.write(source.read(size))
    assert out.getvalue() == payload
    assert sink.finish() == header_of(payload)
    assert sink.digest("mbpa-r1") == source.digest("mbpa-r1")


def malicious(stream: bytes) -> tuple[bytes, BodySummary]:
    """What a sender who holds the key may encrypt instead of a well-formed stream."""
    sink = io.BytesIO()
    summary = encrypt_body(io.BytesIO(stream), KEY, "t0", sink)
    return sink.getvalue(), summary


def frame(header: bytes, payload: bytes) -> bytes:
    return len(header).to_bytes(4, "big") + header + payload


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"", "bad-body"),
        (b"\0\0", "bad-body"),
        ((MAX_HEADER_BYTES + 1).to_bytes(4, "big"), "too-large"),
        (b"\xff\xff\xff\xff" + b"x" * 70_000, "too-large"),
        (frame(b"", b"x"), "bad-encoding"),
        (frame(b"not a message", b"x"), "bad-encoding"),
        (frame(header_of(b"xyz").encode() + b"\0", b"xyz"), "bad-encoding"),
        (frame(header_of(b"xyz").encode(), b"xy"), "bad-body"),
        (frame(header_of(b"xyz").encode(), b"xyz!"), "bad-body"),
        (frame(header_of(b"xyz").encode()[:-4], b"xyz"), "bad-encoding"),
    ],
)
def test_malformed_streams(tmp_path: Path, stream: bytes, reason: str) -> None:
    body, summary = malicious(stream)
    with pytest.raises(Refused) as refused:
        decrypt_payload(io.BytesIO(body), KEY, "t0", summary, PayloadHeader, accept, tmp_path / "f")
    assert refused.value.reason == reason
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("scan.dcm", "scan.dcm"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\system32\\x.dll", "x.dll"),
        ("/", "payload"),
        ("..", "payload"),
        ("", "payload"),
        (" . ", "payload"),
        ("NUL.txt", "payload"),
        (".bashrc", "bashrc"),
        ("a\x1b[2Jb\n.txt", "a[2Jb.txt"),
        ("gepj\u202egnp.exe", "gepjgnp.exe"),
        ("tele\u0301.json", "tel\u00e9.json"),
    ],
)
def test_safe_file_names(name: str, safe: str) -> None:
    assert safe_file_name(name) == safe


@given(st.text(max_size=400))
def test_any_name_becomes_one_component(name: str) -> None:
    safe = safe_file_name(name)
    assert safe
    assert len(safe.encode()) <= 200
    assert "/" not in safe
    assert safe not in (".", "..")
    assert safe_file_name(safe) == safe
