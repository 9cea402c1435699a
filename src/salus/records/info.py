"""What is shown of a record before it is sent and after it is received: recognised data, safe to print.

Files come from other people: whatever a format module extracts is cut to a bounded length and stripped of control and
formatting characters (a name must not move a terminal's cursor or reverse a line).
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from salus.errors import FormatError, StorageError

HEAD_BYTES: Final = 4096
"""Enough for every format's signature: DICOM's is at 128, XML declarations and comments come before a root element."""
PARSE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of JSON, XML or HL7 text that is read to summarise it; a larger file is recognised from its head alone."""
SHOWN_CHARACTERS_MAX: Final = 200
DETAILS_MAX: Final = 24
OCTET_STREAM: Final = "application/octet-stream"


class RecordInfo(msgspec.Struct, frozen=True):
    """What a record is.

    :ivar format: ``fhir``, ``dicom``, ``hl7v2``, ``ccda``, ``waveform``, ``csv``, ``vcf`` or ``file``.
    :ivar media_type: IANA media type, for the payload's header.
    :ivar title: one line for a person, e.g. "Patient Ada Lovelace, female, born 1815-12-10".
    :ivar details: (name, value) pairs for a person.
    :ivar problem: why a file that looks like a known format is carried as plain bytes; empty if nothing is wrong.
    """

    format: str
    media_type: str
    title: str
    details: tuple[tuple[str, str], ...] = ()
    problem: str = ""

    @classmethod
    def of(
        cls, kind: str, media_type: str, title: str, details: Iterable[tuple[str, object]] = (), problem: str = ""
    ) -> RecordInfo:
        """Build one from untrusted text: everything made printable and cut, empty details left out."""
        shown = [(name, printable(str(value))) for name, value in details if value not in (None, "")]
        kept = tuple((name, value) for name, value in shown if value)[:DETAILS_MAX]
        return cls(kind, media_type, printable(title) or kind, kept, printable(problem))


class Peek:
    """A record's file, opened to be recognised: its stream, size, first bytes, name, and the folder it lies in, if any."""

    def __init__(self, stream: BinaryIO, name: str, folder: Path | None) -> None:
        self.stream = stream
        self.name = name
        self.folder = folder
        try:
            self.size_bytes = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            self.head = stream.read(HEAD_BYTES)
            stream.seek(0)
        except OSError as error:
            raise StorageError(f"cannot read {name}: {error.strerror or error}") from error

    @property
    def suffix(self) -> str:
        """Ending of the name, lower case, with its dot."""
        return Path(self.name).suffix.lower()

    def read_all(self, what: str) -> bytes:
        """The whole file, if it is small enough to be parsed.

        :raises FormatError: over :data:`PARSE_BYTES_MAX`.
        """
        if self.size_bytes > PARSE_BYTES_MAX:
            raise FormatError(f"{what} of {self.size_bytes} bytes is too large to be summarised (over {PARSE_BYTES_MAX})")
        self.stream.seek(0)
        return self.stream.read(PARSE_BYTES_MAX)


def printable(text: str, length_max: int = SHOWN_CHARACTERS_MAX) -> str:
    """Text in one line without control, format or private characters, cut to ``length_max`` characters."""
    text = text[: 4 * length_max]
    kept = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    words = " ".join(kept.split())
    return words if len(words) <= length_max else words[: length_max - 2].rstrip() + " …"


def plural(count: int, noun: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def human_size(size_bytes: int) -> str:
    """Size for a person: ``512 bytes``, ``1.5 MiB``."""
    if size_bytes < 1024:
        return plural(size_bytes, "byte")
    power = min((size_bytes.bit_length() - 1) // 10, 4)
    return f"{size_bytes / (1 << 10 * power):.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def compact_date(stamp: str) -> str:
    """``19610615173619`` (HL7, DICOM) as ``1961-06-15``; anything else as it is."""
    digits = stamp[:8]
    if len(digits) == 8 and digits.isascii() and digits.isdigit():
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return stamp[:32]
