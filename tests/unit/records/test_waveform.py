"""WFDB reader: against the checksums of a published record, a slow twin of the packing, and malformed files."""

from __future__ import annotations

from array import array
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.errors import FormatError
from salus.records.waveform import INVALID_SAMPLE, Header, Signal, iterate_samples, parse_header, read_header


def record(form: int, signals: int, samples: int) -> Header:
    signal = Signal("r.dat", form, 200.0, 0, "mV", 12, None, "II")
    return Header("r", Fraction(250), samples, (signal,) * signals, ())


def pack_212(samples: list[int]) -> bytes:
    """signal(5): each pair of 12-bit samples in three bytes; an odd last one in two."""
    out = bytearray()
    for at in range(0, len(samples), 2):
        first = samples[at] & 0xFFF
        second = samples[at + 1] & 0xFFF if at + 1 < len(samples) else 0
        out += bytes([first & 0xFF, first >> 8 | (second >> 8) << 4, second & 0xFF])
    return bytes(out[:-1] if len(samples) % 2 else out)


def unpacked(header: Header, data: bytes, frames: int = 4096) -> list[int]:
    return [value for block in iterate_samples(header, BytesIO(data), frames) for value in block]


def test_published_record(samples: Path) -> None:
    """MIT-BIH 100: 650,000 samples of two leads; header(5) defines the checksum as the 16-bit sum of all samples."""
    header = read_header(samples / "waveform/mitdb_100/100.hea")
    assert (header.rate_hz, header.samples) == (360, 650_000)
    assert [signal.description for signal in header.signals] == ["MLII", "V5"]
    assert header.comments[1:] == ("69 M 1085 1629 x1", "Aldomet, Inderal")
    sums, first = [0, 0], None
    with (samples / "waveform/mitdb_100/100.dat").open("rb") as stream:
        for block in iterate_samples(header, stream):
            first = first or list(block[:4])
            for number in range(2):
                sums[number] += sum(block[number::2])
    assert first == [995, 1011, 995, 1011]
    assert [(total + 0x8000) % 0x10000 - 0x8000 for total in sums] == [signal.checksum for signal in header.signals]


@given(st.lists(st.integers(-2047, 2047), max_size=300), st.integers(1, 7))
def test_format_212(values: list[int], frames: int) -> None:
    assert unpacked(record(212, 1, len(values)), pack_212(values), frames) == values


@given(st.lists(st.integers(-32767, 32767), max_size=300), st.integers(1, 7))
def test_format_16(values: list[int], frames: int) -> None:
    data = b"".join(value.to_bytes(2, "little", signed=True) for value in values)
    assert unpacked(record(16, 1, len(values)), data, frames) == values


def test_missing_samples() -> None:
    assert unpacked(record(212, 1, 3), pack_212([5, -2048, 7])) == [5, INVALID_SAMPLE, 7]


def test_bytes_after_the_announced_samples_are_left() -> None:
    assert unpacked(record(212, 2, 2), pack_212([1, 2, 3, 4, 5, 6])) == [1, 2, 3, 4]


def test_unknown_length() -> None:
    assert unpacked(record(212, 2, 0), pack_212([1, 2, 3, 4])) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        (record(212, 2, 4), pack_212([1, 2, 3, 4]), "2 frames too early"),
        (record(212, 1, 0), pack_212([1, 2, 3]) + b"\0\0", "ends within a sample"),
        (record(16, 1, 0), b"\0\0\0", "ends within a sample"),
        (record(16, 2, 0), b"\0\0" * 3, "ends within a frame"),
        (record(80, 1, 0), b"\0", "format 80 is not read"),
        (record(212, 0, 0), b"", "one file"),
    ],
)
def test_malformed_samples(header: Header, data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        unpacked(header, data)


def test_header_defaults() -> None:
    header = parse_header(b"rec 1\nrec.dat 212\n")
    assert header.rate_hz == 250
    assert (header.signals[0].gain, header.signals[0].unit, header.signals[0].baseline) == (200.0, "mV", 0)


def test_header_with_everything() -> None:
    header = parse_header(
        b"rec 1 360/1.2(3) 10 12:30:00 01/02/2003\nrec.dat 16 100.5(-7)/uV 16 1 2 -3 0 lead with spaces\n# note\n"
    )
    signal = header.signals[0]
    assert (signal.gain, signal.baseline, signal.unit, signal.adc_bits, signal.checksum) == (100.5, -7, "uV", 16, -3)
    assert signal.description == "lead with spaces"


@pytest.mark.parametrize(
    "text",
    [
        "", "# only a comment", "rec", "rec 1 0\nr 16", "rec 1 1e9\nr 16", "rec 1 nan\nr 16",
        "rec 1 250\nr", "rec 1 250\nr 212x2",
        "rec 1 250\nr 16 -1", "rec 1 250\nr 16 1 x", "rec 1 250\nr 16 1/mV/x 1 2 3 4.5", "rec 1 250\n.r 16", "r" * 100 + " 0",
        "rec 0 250\nextra 16",
    ],
)  # fmt: skip
def test_malformed_headers(text: str) -> None:
    with pytest.raises(FormatError):
        parse_header(text.encode())


def test_oversized_header() -> None:
    with pytest.raises(FormatError, match="at most"):
        parse_header(b"#" * 70_000)


@given(st.binary(max_size=200))
def test_any_header_is_read_or_refused(data: bytes) -> None:
    try:
        header = parse_header(b"r 1 250 4\n" + data)
    except FormatError:
        return
    assert len(header.signals) == 1


@given(st.binary(max_size=64), st.sampled_from([16, 212]))
def test_any_samples_are_read_or_refused(data: bytes, form: int) -> None:
    try:
        blocks = list(iterate_samples(record(form, 2, 0), BytesIO(data)))
    except FormatError:
        return
    assert all(isinstance(block, array) and len(block) % 2 == 0 for block in blocks)
