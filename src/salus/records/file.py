"""Recognise what a file is, to show it to a person; anything unknown is a file like any other and carried as bytes."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

from salus.errors import FormatError, StorageError
from salus.records import ccda, dicom, fhir, hl7v2, tables, waveform
from salus.records.info import OCTET_STREAM, Peek, RecordInfo, human_size, printable
from salus.records.streams import open_source

__all__ = ["RecordInfo", "recognise", "recognise_bytes"]

_Recogniser = tuple[str, Callable[[Peek], bool], Callable[[Peek], RecordInfo]]

_RECOGNISERS: Final[tuple[_Recogniser, ...]] = (
    ("DICOM", dicom.looks_like, dicom.recognise),
    ("HL7 v2", hl7v2.looks_like, hl7v2.recognise),
    ("VCF", tables.looks_like_vcf, tables.recognise_vcf),
    ("C-CDA", ccda.looks_like, ccda.recognise),
    ("FHIR", fhir.looks_like, fhir.recognise),
    ("WFDB", waveform.looks_like, waveform.recognise),
    ("CSV", tables.looks_like_csv, tables.recognise_csv),
)
"""Formats with a signature first, those told by their name last."""

_SIGNATURES: Final = (
    (b"%PDF-", "application/pdf", "PDF document"),
    (b"\x89PNG\r\n\x1a\n", "image/png", "PNG image"),
    (b"\xff\xd8\xff", "image/jpeg", "JPEG image"),
    (b"GIF8", "image/gif", "GIF image"),
    (b"II*\x00", "image/tiff", "TIFF image"),
    (b"MM\x00*", "image/tiff", "TIFF image"),
    (b"PK\x03\x04", "application/zip", "ZIP archive"),
    (b"\x1f\x8b", "application/gzip", "gzip-compressed file"),
    (b"crypt4gh", OCTET_STREAM, "Crypt4GH-encrypted file"),
)


def recognise(path: Path) -> RecordInfo:
    """Recognise the file at ``path``.

    Never fails for what is inside the file: a malformed file of a known type is plain bytes, ``problem`` says why.

    :raises StorageError: if it is no regular file or cannot be read.
    """
    with open_source(path) as stream:
        return recognise_peek(Peek(stream, path.name, path.parent))


def recognise_bytes(data: bytes, file_name: str = "") -> RecordInfo:
    """Recognise a whole file held in memory; ``file_name`` helps with formats that are told by their name."""
    return recognise_peek(Peek(io.BytesIO(data), file_name, None))


def recognise_peek(peek: Peek) -> RecordInfo:
    """Recognise an opened file.

    :raises StorageError: if it cannot be read.
    """
    if peek.size_bytes == 0:
        return RecordInfo.of("file", OCTET_STREAM, "Empty file")
    for name, looks_like, read in _RECOGNISERS:
        try:
            if looks_like(peek):
                return read(peek)
        except FormatError as error:
            return _plain(peek, f"looks like {name}, but {error}")
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"cannot read {peek.name}: {error.strerror or error}") from error
        except Exception as error:  # noqa: BLE001 - libraries parse hostile files here; whatever fails, the bytes are carried
            return _plain(peek, f"looks like {name}, but could not be read ({type(error).__name__})")
    return _plain(peek, "")


def _plain(peek: Peek, problem: str) -> RecordInfo:
    media_type, what = _by_signature(peek)
    if problem:
        media_type, what = OCTET_STREAM, "File"
    shown = printable(peek.name, 80)
    title = f"{what} {shown}".strip()
    return RecordInfo.of("file", media_type, title, [("size", human_size(peek.size_bytes))], problem)


def _by_signature(peek: Peek) -> tuple[str, str]:
    for signature, media_type, what in _SIGNATURES:
        if peek.head.startswith(signature):
            return media_type, what
    text = _as_text(peek.head, whole=peek.size_bytes <= len(peek.head))
    if text is None:
        return OCTET_STREAM, "File"
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith(("{", "[")) and peek.suffix in (".json", ".ndjson"):
        return "application/json", "JSON file"
    if start.startswith("<?xml"):
        return "application/xml", "XML file"
    return "text/plain", "Text file"


def _as_text(head: bytes, whole: bool) -> str | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(head, final=whole)  # a head may end within a character
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
