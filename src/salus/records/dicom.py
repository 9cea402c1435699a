"""DICOM files: modality, body part, study, patient (DICOM PS3.10, PS3.6). Read by pydicom, header only, within bounds."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final, TypeVar, cast

from salus.errors import FormatError, StorageError
from salus.records.info import Peek, RecordInfo, compact_date

MEDIA_TYPE: Final = "application/dicom"
READ_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes read of one file: headers and the values shown; pixel data, the bulk of every large file, is not read."""
READS_MAX: Final = 2_000_000
"""Reads of one file: an element costs two or three, a multi-frame header has some ten thousand elements."""

T = TypeVar("T")
_META_START: Final = 132

_TAGS: Final = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "Modality",
    "BodyPartExamined",
    "StudyDescription",
    "SeriesDescription",
    "StudyDate",
    "Manufacturer",
    "Rows",
    "Columns",
    "NumberOfFrames",
)
_MODALITIES: Final = {
    "CT": "computed tomography",
    "MR": "magnetic resonance",
    "US": "ultrasound",
    "CR": "computed radiography",
    "DX": "digital radiography",
    "MG": "mammography",
    "NM": "nuclear medicine",
    "PT": "positron emission tomography",
    "XA": "angiography",
    "OT": "other",
    "SC": "secondary capture",
    "SR": "structured report",
    "ECG": "electrocardiogram",
    "SEG": "segmentation",
    "RTDOSE": "radiotherapy dose",
    "RTPLAN": "radiotherapy plan",
    "RTSTRUCT": "radiotherapy structures",
}


def looks_like(peek: Peek) -> bool:
    """Whether the file has DICOM's preamble and prefix (PS3.10, section 7.1)."""
    return peek.head[128:132] == b"DICM"


def recognise(peek: Peek) -> RecordInfo:
    """Recognise a DICOM file.

    :raises FormatError: malformed, or its header is too large to be summarised.
    """
    syntax, read = read_header(peek, _TAGS, lambda dataset: ({tag: _text(dataset, tag) for tag in _TAGS}, _kind(dataset)))
    if read is None:
        # Inflating has no bound in the library; such files are rare and are carried without a summary.
        return RecordInfo.of("dicom", MEDIA_TYPE, "DICOM (deflated)", [("transfer syntax", syntax)])
    values, kind = read
    if not kind and not any(values.values()):
        raise FormatError("the DICOM header is empty")
    return _describe(values, kind, syntax)


def read_header(peek: Peek, tags: Sequence[str], take: Callable[[Any], T]) -> tuple[str, T | None]:
    """Read the named elements of a header, within bounds, without pixel data.

    :param tags: keywords of the elements. :param take: gets pydicom's dataset, which reads values when they are asked for.
    :return: name of the transfer syntax, and what ``take`` made; None for a deflated file, which is not read.
    :raises FormatError: malformed, or too large.
    """
    # The library takes half a second to import, which only DICOM files should cost.
    from pydicom import config, dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_dataset
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

    # Odd values in a header are the sender's business: they are shown as they are, never repaired, never an error.
    config.settings.reading_validation_mode = config.IGNORE
    peek.stream.seek(0)
    stream = _Bounded(peek.stream, peek.size_bytes)
    malformed = (InvalidDicomError, OSError, EOFError, struct.error, ValueError, KeyError, NotImplementedError, RecursionError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is told; the rest would go to the terminal
            stream.seek(_META_START)
            meta = read_dataset(cast(BinaryIO, stream), False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
            syntax = UID(str(meta.get("TransferSyntaxUID", "")))
            if syntax == DeflatedExplicitVRLittleEndian:
                return syntax.name, None
            stream.seek(0)
            return syntax.name, take(dcmread(stream, stop_before_pixels=True, specific_tags=list(tags)))
    except malformed as error:
        raise FormatError(f"the DICOM header is malformed: {error}") from None


def _kind(dataset: Any) -> str:
    from pydicom.uid import UID

    return UID(str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))).name


def _describe(values: dict[str, str], kind: str, syntax: str) -> RecordInfo:
    modality = values["Modality"]
    what = _MODALITIES.get(modality, "")
    named = f"{modality} ({what})" if what else modality or kind
    study = values["StudyDescription"] or values["SeriesDescription"]
    title = "DICOM " + ", ".join(part for part in (named, values["BodyPartExamined"], study) if part)
    born = compact_date(values["PatientBirthDate"])
    patient = [values["PatientName"].replace("^", " ").strip(), values["PatientSex"], f"born {born}" if born else ""]
    size = f"{values['Columns']} x {values['Rows']}" if values["Rows"] and values["Columns"] else ""
    details = [
        ("modality", modality),
        ("body part", values["BodyPartExamined"]),
        ("study", values["StudyDescription"]),
        ("series", values["SeriesDescription"]),
        ("date", compact_date(values["StudyDate"])),
        ("patient", ", ".join(part for part in patient if part)),
        ("image", size),
        ("frames", values["NumberOfFrames"]),
        ("kind", kind),
        ("transfer syntax", syntax),
    ]
    return RecordInfo.of("dicom", MEDIA_TYPE, title, details)


def _text(dataset: Any, tag: str) -> str:
    value = dataset.get(tag, "")
    return "" if value is None else str(value)


class _Bounded(io.RawIOBase):
    """A view of the file that refuses hostile lengths: one value of gigabytes, or millions of tiny elements."""

    def __init__(self, stream: BinaryIO, size_bytes: int) -> None:
        self._stream = stream
        self._size_bytes = size_bytes
        self._left_bytes = READ_BYTES_MAX
        self._left_reads = READS_MAX

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        at = self._stream.seek(offset, whence)
        if at > self._size_bytes:
            raise FormatError("the DICOM header names a value that ends after the file: truncated")
        return at

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._size_bytes - self._stream.tell() if size is None or size < 0 else size
        self._left_reads -= 1
        if wanted > self._left_bytes or self._left_reads < 0:
            raise FormatError("the DICOM header is too large to be summarised")
        try:
            data = self._stream.read(wanted)
        except OSError as error:  # told apart from the library's own OSError for a value that is cut short
            raise StorageError(f"cannot read the DICOM file: {error.strerror or error}") from error
        self._left_bytes -= len(data)
        return data
