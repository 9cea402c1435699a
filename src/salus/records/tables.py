"""Tables: comma-separated values (RFC 4180) and variant calls (VCF 4.x)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Final

from salus.errors import FormatError
from salus.records.info import Peek, RecordInfo, plural

MEDIA_TYPE_CSV: Final = "text/csv"
MEDIA_TYPE_VCF: Final = "text/x-vcf"
LINE_BYTES_MAX: Final = 1024 * 1024
"""A VCF line grows with the number of samples; a thousand genomes fit."""
LINES_MAX: Final = 200_000
"""Lines that are counted; of a longer table "at least" is said."""
COLUMNS_MAX: Final = 2_000

_VCF_VERSION: Final = re.compile(rb"##fileformat=VCFv(\d+\.\d+)\r?\n")
_VCF_COLUMNS: Final = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


def looks_like_vcf(peek: Peek) -> bool:
    """Whether the first line is VCF's."""
    return peek.head.startswith(b"##fileformat=VCF")


def recognise_vcf(peek: Peek) -> RecordInfo:
    """Recognise variant calls.

    :raises FormatError: malformed.
    """
    version = _VCF_VERSION.match(peek.head)
    if version is None:
        raise FormatError("the version in the first line of the VCF is malformed")
    peek.stream.seek(0)
    samples: list[str] | None = None
    variants = number = 0
    while number < LINES_MAX and (line := peek.stream.readline(LINE_BYTES_MAX + 1)):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise FormatError(f"line {number} of the VCF is over {LINE_BYTES_MAX} bytes")
        if line.startswith(b"##") or not line.strip():
            continue
        if samples is None:
            if not line.startswith(_VCF_COLUMNS):
                raise FormatError(f"line {number} of the VCF should name its columns (#CHROM, POS, ..)")
            samples = line.decode("utf-8", "replace").rstrip("\r\n").split("\t")[9:]
        elif line.count(b"\t") < 7:
            raise FormatError(f"line {number} of the VCF has fewer than eight columns")
        else:
            variants += 1
    if samples is None:
        raise FormatError("the VCF has no line that names its columns")
    at_least = "at least " if number == LINES_MAX else ""
    title = f"Variant calls: {at_least}{plural(variants, 'variant')} in {plural(len(samples), 'sample')}"
    details = [("version", version[1].decode()), ("samples", ", ".join(samples[:10]))]
    return RecordInfo.of("vcf", MEDIA_TYPE_VCF, title, details)


def looks_like_csv(peek: Peek) -> bool:
    """Whether it is named as a table; text that merely holds commas is no table."""
    return peek.suffix == ".csv"


def recognise_csv(peek: Peek) -> RecordInfo:
    """Recognise a table with a header line.

    :raises FormatError: not text, no header, or rows of another width.
    """
    rows = number = 0
    header: list[str] | None = None
    reader = csv.reader(lines(peek), strict=True)
    try:
        for row in reader:
            number += 1
            if header is None:
                header = row
                if not 2 <= len(header) <= COLUMNS_MAX:
                    raise FormatError(f"a table has 2 to {COLUMNS_MAX} columns, this has {len(header)}")
            elif row:
                rows += 1
                if len(row) != len(header):
                    raise FormatError(f"row {number} of the table has {len(row)} columns, its header {len(header)}")
    except csv.Error as error:
        raise FormatError(f"the table is malformed in line {reader.line_num}: {error}") from None
    except UnicodeDecodeError:
        raise FormatError("the table is not UTF-8 text") from None
    if header is None:
        raise FormatError("the table is empty")
    at_least = "at least " if reader.line_num >= LINES_MAX else ""
    title = f"Table: {at_least}{plural(rows, 'row')} of {plural(len(header), 'column')}"
    return RecordInfo.of("csv", MEDIA_TYPE_CSV, title, [("columns", ", ".join(header[:20]))])


def lines(peek: Peek, errors: str = "strict") -> Iterator[str]:
    """The lines of a text file, at most :data:`LINES_MAX`, decoded from UTF-8.

    :param errors: what becomes of bytes that are not UTF-8, as in :meth:`bytes.decode`.
    :raises FormatError: a line is over :data:`LINE_BYTES_MAX`. :raises UnicodeDecodeError: not UTF-8, if ``errors`` is strict.
    """
    peek.stream.seek(0)
    for number in range(LINES_MAX):
        line = peek.stream.readline(LINE_BYTES_MAX + 1)
        if not line:
            return
        if len(line) > LINE_BYTES_MAX:
            raise FormatError(f"line {number + 1} of the table is over {LINE_BYTES_MAX} bytes")
        yield line.decode("utf-8-sig" if number == 0 else "utf-8", errors)
