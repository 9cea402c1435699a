"""An export of the ledger: every block with its certificate, as one stream that proves itself.

::

    frame  = length (4 bytes, big-endian), content
    export = frame(ExportHeader), { frame(block record), frame(certificate) } for heights 1, 2, .., frame(ExportEnd)

Blocks and certificates are the canonical encodings of :mod:`salus.consensus.block`. With the genesis alone, anyone checks
it all (:mod:`salus.ledger.verify`); the last frame tells a truncated file from a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from salus.codec import Bytes32, Message
from salus.consensus.block import MAX_BLOCK_BYTES
from salus.errors import CodecError, DamagedFile, Refused
from salus.files import replacing

FRAME_BYTES_MAX: Final = MAX_BLOCK_BYTES + 1024 * 1024
"""One block with its frame."""

Record = tuple[bytes, bytes]
"""(block record, certificate), as :meth:`salus.consensus.interface.Application.block_record` gives them."""


class ExportHeader(Message, frozen=True):
    """Which ledger this is, so that another network's export is told at once."""

    KIND = "export.header"
    network: Bytes32
    genesis_hash: Bytes32


class ExportEnd(Message, frozen=True):
    """Nothing follows.

    :ivar height: of the last block.
    """

    KIND = "export.end"
    height: int


def write_export_stream(network: bytes, genesis_hash: bytes, records: Iterable[Record], file: BinaryIO) -> int:
    """Write blocks 1, 2, .. in order; returns how many.

    :raises OSError: from ``file``.
    """
    height = 0
    file.write(_frame(ExportHeader(network, genesis_hash).encode()))
    for record, certificate in records:
        height += 1
        file.write(_frame(record))
        file.write(_frame(certificate))
    file.write(_frame(ExportEnd(height).encode()))
    return height


def write_export(network: bytes, genesis_hash: bytes, records: Iterable[Record], path: Path) -> int:
    """Write an export to a file, which appears when it is complete; returns the number of blocks.

    :raises StorageError: it cannot be written; nothing is left.
    """
    with replacing(path) as file:
        return write_export_stream(network, genesis_hash, records, file)


def read_export_stream(file: BinaryIO, network: bytes, genesis_hash: bytes) -> Iterator[Record]:
    """Read an export block by block, in constant memory; nothing of it is verified yet.

    :raises Refused: ``bad-evidence`` if it is another network's.
    :raises DamagedFile: truncated, or not an export.
    """
    header = _header(_read_frame(file))
    if (header.network, header.genesis_hash) != (network, genesis_hash):
        raise Refused("bad-evidence", "the export is of another network than this genesis")
    height = 0
    while True:
        content = _read_frame(file)
        try:
            end = ExportEnd.decode(content)
        except CodecError:
            end = None
        if end is not None:
            break
        height += 1
        yield content, _read_frame(file)
    if end.height != height or file.read(1):
        raise DamagedFile(f"the export ends after {height} blocks and announces {end.height}, or something follows its end")


def records_of(block_record: Callable[[int], Record | None], height: int) -> Iterator[Record]:
    """Records of heights 1 .. ``height`` from an application's ``block_record``.

    :raises Refused: ``pruned`` if one was pruned: an export needs an archive node.
    """
    for number in range(1, height + 1):
        record = block_record(number)
        if record is None:
            raise Refused("pruned", f"the body of block {number} is not kept here: an export needs an archive node")
        yield record


def _frame(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _read_frame(file: BinaryIO) -> bytes:
    size = int.from_bytes(_read(file, 4), "big")
    if size > FRAME_BYTES_MAX:
        raise DamagedFile(f"a frame of {size} bytes: this is not an export of a ledger, or it is damaged")
    return _read(file, size)


def _read(file: BinaryIO, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = file.read(count)
        if not part:
            raise DamagedFile("the export is truncated")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _header(content: bytes) -> ExportHeader:
    try:
        return ExportHeader.decode(content)
    except CodecError as error:
        raise DamagedFile(f"this is not an export of a ledger: {error.detail}") from None
