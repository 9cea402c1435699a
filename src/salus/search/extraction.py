"""Keywords of a record's file, whatever its format.

Which format it is, records' own recognisers say (a file that is carried as plain bytes because it is malformed has no keywords
either); the readers here go over the same bytes once more, with the same bounds. That is why search stands above records in
the order of imports, as the consultation does: another parser of hostile files would have bounds of its own to get wrong.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from salus.errors import FormatError, StorageError
from salus.records.file import recognise_peek
from salus.records.info import Peek
from salus.records.streams import open_source
from salus.search import ccda, dicom, fhir, hl7v2, tables, waveform
from salus.search.collecting import Collector
from salus.search.keyword import Keyword
from salus.search.tags import WORDS_MAX

_READERS: Final[dict[str, Callable[[Peek, Collector], None]]] = {
    "fhir": fhir.collect,
    "dicom": dicom.collect,
    "hl7v2": hl7v2.collect,
    "ccda": ccda.collect,
    "csv": tables.collect_csv,
    "vcf": tables.collect_vcf,
    "waveform": waveform.collect,
}


class Extraction(msgspec.Struct, frozen=True):
    """Keywords of one record.

    :ivar keywords: at most 1,024, the owner's own first, then codes, then words.
    :ivar left_out: how many more there were; of a kind with over 16,384, that many.
    :ivar problem: why the file gave none although its format has some, or not all; empty if nothing is wrong.
    """

    keywords: tuple[Keyword, ...]
    left_out: int = 0
    problem: str = ""

    def __repr__(self) -> str:
        return f"Extraction({len(self.keywords)} keywords, left_out={self.left_out})"


def extract(path: Path, own: Iterable[Keyword] = (), words_max: int = WORDS_MAX) -> Extraction:
    """The keywords of the file at ``path``, and the owner's own.

    :param own: what the owner adds, see :func:`salus.search.keyword.own_keywords`.
    :param words_max: at most 1,024; less leaves room, for instance for the digest's.
    :raises StorageError: if it is no regular file or cannot be read.
    """
    with open_source(path) as stream:
        return _extract(Peek(stream, path.name, path.parent), own, words_max)


def extract_bytes(data: bytes, file_name: str = "", own: Iterable[Keyword] = (), words_max: int = WORDS_MAX) -> Extraction:
    """:func:`extract` of a whole file held in memory."""
    return _extract(Peek(io.BytesIO(data), file_name, None), own, words_max)


def _extract(peek: Peek, own: Iterable[Keyword], words_max: int) -> Extraction:
    found = Collector()
    recognised = recognise_peek(peek)
    problem = recognised.problem
    read = _READERS.get(recognised.format)
    if read is not None:
        try:
            read(peek, found)
        except FormatError as error:
            problem = str(error)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"cannot read {peek.name}: {error.strerror or error}") from error
        except Exception as error:  # noqa: BLE001 - libraries parse hostile files here; whatever fails, the record is stored without
            problem = f"its keywords could not be read ({type(error).__name__})"
    keywords = list(dict.fromkeys([*own, *found.keywords()]))
    kept = max(0, min(words_max, WORDS_MAX))
    return Extraction(tuple(keywords[:kept]), max(0, len(keywords) - kept), problem or found.note)
