"""Waveforms in WFDB form: a text header (.hea) and packed samples (.dat), as published by PhysioNet.

Read by our own small reader, streaming: formats 16 and 212, one sample per frame and signal, single segment. Source:
the WFDB manual pages header(5) and signal(5).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from salus.errors import FormatError
from salus.records.info import Peek, RecordInfo, plural
from salus.records.streams import open_source, read_up_to

MEDIA_TYPE_HEADER: Final = "text/x-wfdb-header"
MEDIA_TYPE_SAMPLES: Final = "application/x-wfdb-signal"
MEDIA_TYPE_ANNOTATIONS: Final = "application/x-wfdb-annotation"
HEADER_BYTES_MAX: Final = 64 * 1024
SIGNALS_MAX: Final = 32
"""A 12-lead ECG has 12, a polysomnogram about 20."""
INVALID_SAMPLE: Final = -32768
"""What the reader gives where the device had no sample (format 212: -2048; format 16: -32768)."""
DEFAULT_GAIN: Final = 200.0
"""ADC units per physical unit where the header gives none (header(5))."""

_RECORD_LINE: Final = re.compile(
    r"(?P<name>[\w.-]{1,80})(/(?P<segments>\d{1,6}))?\s+(?P<signals>\d{1,4})"
    r"(\s+(?P<rate>[0-9.eE+-]{1,24})(/[0-9.eE+()-]{1,40})?"
    r"(\s+(?P<samples>\d{1,15})(\s+(?P<time>\S{1,20})(\s+(?P<date>\S{1,12}))?)?)?)?\s*"
)
_GAIN: Final = re.compile(r"(?P<gain>[0-9.eE+-]{1,24})(\((?P<baseline>-?\d{1,9})\))?(/(?P<unit>\S{1,20}))?")


class Signal(msgspec.Struct, frozen=True):
    """One signal of a record: physical value = (sample - baseline) / gain, in ``unit``."""

    file_name: str
    format: int
    gain: float
    baseline: int
    unit: str
    adc_bits: int
    checksum: int | None
    description: str


class Header(msgspec.Struct, frozen=True):
    """A record's header: sampling rate in Hz, samples per signal (0: not given), signals, comments."""

    record: str
    rate_hz: Fraction
    samples: int
    signals: tuple[Signal, ...]
    comments: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Duration."""
        return float(self.samples / self.rate_hz)


def read_header(path: Path) -> Header:
    """Read a ``.hea`` file.

    :raises FormatError: malformed, or of a kind this reader does not take; :raises StorageError: unreadable.
    """
    with open_source(path) as stream:
        return parse_header(read_up_to(stream, HEADER_BYTES_MAX + 1))


def parse_header(data: bytes) -> Header:
    """Parse a header.

    :raises FormatError: malformed, multi-segment, or over the bounds.
    """
    if len(data) > HEADER_BYTES_MAX:
        raise FormatError(f"a WFDB header has at most {HEADER_BYTES_MAX} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError("a WFDB header is text") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    comments = tuple(line.lstrip("# ") for line in lines if line.startswith("#"))
    rows = [line for line in lines if not line.startswith("#")]
    match = _RECORD_LINE.fullmatch(rows[0]) if rows else None
    if match is None:
        raise FormatError("the first line of a WFDB header names record, number of signals and sampling rate")
    count = int(match["signals"])
    if match["segments"] is not None:
        raise FormatError("WFDB records of several segments are not read")
    if count > SIGNALS_MAX or len(rows) != count + 1:
        raise FormatError(
            f"the WFDB header announces {plural(count, 'signal')} and describes {len(rows) - 1} (at most {SIGNALS_MAX})"
        )
    rate = _number(match["rate"] or "250", "sampling rate")
    signals = tuple(_signal(line) for line in rows[1:])
    return Header(match["name"], Fraction(rate), int(match["samples"] or 0), signals, comments)


def _signal(line: str) -> Signal:
    fields = line.split(None, 8)
    if len(fields) < 2 or not re.fullmatch(r"\d{1,4}(x\d+)?(:\d+)?(\+\d+)?", fields[1]):
        raise FormatError("a signal line of a WFDB header names file and format")
    if not re.fullmatch(r"[\w.-]{1,80}", fields[0]) or fields[0].startswith("."):
        raise FormatError("a signal line of a WFDB header names a file beside it")
    if not fields[1].isdigit():
        raise FormatError("WFDB signals with skew, prefix or several samples per frame are not read")
    match = _GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and match is None:
        raise FormatError("the gain of a WFDB signal is malformed")
    gain = float(_number(match["gain"], "gain")) if match else 0.0
    bits, zero = (_integer(fields, 3) or 12), (_integer(fields, 4) or 0)
    baseline = int(match["baseline"]) if match and match["baseline"] else zero
    unit = match["unit"] if match and match["unit"] else "mV"
    description = fields[8] if len(fields) > 8 else ""
    return Signal(fields[0], int(fields[1]), gain or DEFAULT_GAIN, baseline, unit, bits, _integer(fields, 6), description)


def _integer(fields: list[str], index: int) -> int | None:
    if len(fields) <= index:
        return None
    if not re.fullmatch(r"-?\d{1,9}", fields[index]):
        raise FormatError("a number in a WFDB signal line is malformed")
    return int(fields[index])


def _number(text: str, what: str) -> Fraction:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6 and not (what == "gain" and value == 0):
        raise FormatError(f"the {what} of the WFDB header is not a positive number below a million")
    return Fraction(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else Fraction(value)


def iterate_samples(header: Header, stream: BinaryIO, frames: int = 4096) -> Iterator[array[int]]:
    """The samples of a record in blocks of up to ``frames`` frames, signals interleaved; constant memory.

    :param stream: the ``.dat`` file; all signals of the header lie in it.
    :raises FormatError: signals in several files, an unknown format, or a file cut within a frame.
    """
    kinds = {(signal.file_name, signal.format) for signal in header.signals}
    if len(kinds) != 1:
        raise FormatError("the signals of a WFDB record lie in one file, in one format")
    ((_, form),) = kinds
    if form not in (16, 212):
        raise FormatError(f"WFDB format {form} is not read (16 and 212 are)")
    count = len(header.signals)
    frames += frames % 2  # format 212 packs samples in pairs: an even number of frames is a whole number of pairs
    block_bytes = frames * count * 2 if form == 16 else frames * count * 3 // 2
    left = header.samples * count if header.samples else None
    while data := read_up_to(stream, block_bytes):
        samples = _unpack_16(data) if form == 16 else _unpack_212(data)
        if left is not None:
            samples = samples[:left]
            left -= len(samples)
        if len(samples) % count:
            raise FormatError("the WFDB signal file ends within a frame")
        yield samples
        if left == 0:
            return
    if left:
        raise FormatError(f"the WFDB signal file ends {plural(left // count, 'frame')} too early")


def _unpack_16(data: bytes) -> array[int]:
    if len(data) % 2:
        raise FormatError("the WFDB signal file ends within a sample")
    return array("h", [int.from_bytes(data[at : at + 2], "little", signed=True) for at in range(0, len(data), 2)])


def _unpack_212(data: bytes) -> array[int]:
    """Pairs of 12-bit two's complement samples in three bytes: low byte, both high nibbles, low byte (signal(5))."""
    if len(data) % 3 == 1:
        raise FormatError("the WFDB signal file ends within a sample")
    samples = array("h")
    padded = data + bytes(-len(data) % 3)
    for low, high, second in zip(padded[::3], padded[1::3], padded[2::3], strict=True):
        samples.append(_signed_12((high & 0x0F) << 8 | low))
        samples.append(_signed_12((high & 0xF0) << 4 | second))
    if len(data) % 3 == 2:  # an odd number of samples ends in two bytes
        samples.pop()
    return samples


def _signed_12(value: int) -> int:
    value -= (value & 0x800) << 1
    return INVALID_SAMPLE if value == -2048 else value


def looks_like(peek: Peek) -> bool:
    """Whether this is a WFDB header, or a signal or annotation file with its header beside it."""
    if peek.suffix == ".hea":
        return True
    if peek.suffix not in (".dat", ".atr") or peek.folder is None:
        return False
    return (peek.folder / peek.name).with_suffix(".hea").is_file()


def recognise(peek: Peek) -> RecordInfo:
    """Recognise a header, a signal file or an annotation file.

    :raises FormatError: the header is malformed or does not fit the signal file.
    """
    if peek.suffix == ".hea":
        peek.stream.seek(0)
        header = parse_header(peek.stream.read(HEADER_BYTES_MAX + 1))
        return RecordInfo.of(
            "waveform", MEDIA_TYPE_HEADER, f"Waveform header {header.record}: {_summary(header)}", _details(header)
        )
    assert peek.folder is not None
    header = read_header((peek.folder / peek.name).with_suffix(".hea"))
    if peek.suffix == ".atr":
        return RecordInfo.of("waveform", MEDIA_TYPE_ANNOTATIONS, f"Annotations of waveform {header.record}", _details(header))
    if peek.name not in {signal.file_name for signal in header.signals}:
        raise FormatError("the WFDB header beside it does not name this signal file")
    expected = _expected_bytes(header)
    if expected is not None and peek.size_bytes < expected:
        raise FormatError(f"the WFDB signal file has {peek.size_bytes} bytes, its header announces {expected}")
    return RecordInfo.of("waveform", MEDIA_TYPE_SAMPLES, f"Waveform {header.record}: {_summary(header)}", _details(header))


def _expected_bytes(header: Header) -> int | None:
    samples = header.samples * len(header.signals)
    forms = {signal.format for signal in header.signals}
    return {16: samples * 2, 212: -(-samples * 3 // 2)}.get(forms.pop()) if len(forms) == 1 else None


def _summary(header: Header) -> str:
    names = ", ".join(signal.description for signal in header.signals if signal.description)
    minutes, seconds = divmod(round(header.seconds), 60)
    return f"{plural(len(header.signals), 'signal')} ({names}), {float(header.rate_hz):g} Hz, {minutes} min {seconds} s"


def _details(header: Header) -> list[tuple[str, object]]:
    return [
        ("record", header.record),
        ("signals", ", ".join(signal.description for signal in header.signals)),
        ("rate", f"{float(header.rate_hz):g} Hz"),
        ("samples", header.samples or ""),
        ("comments", "; ".join(header.comments)),
    ]
