"""Exports of the ledger: every block with its certificate, so that genesis and export prove everything by themselves.

Format: the line ``salus ledger export 1\\n``, then for each block two frames, each a length (4 bytes, big-endian) and that
many bytes: the encoded block, the encoded certificate. Written and read as a stream; blocks come in order from height 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from salus.consensus.block import MAX_BLOCK_BYTES, Block, Certificate, CertifiedHeader, block_input, check_body
from salus.errors import ConsensusError, DamagedFile, Refused, StorageError
from salus.files import replacing
from salus.ledger.application import replayed
from salus.ledger.genesis import Genesis
from salus.ledger.proofs import HeaderChain

MAGIC: Final = b"salus ledger export 1\n"
FRAME_BYTES_MAX: Final = MAX_BLOCK_BYTES + 1024 * 1024
EncodedBlock = tuple[bytes, bytes]
"""An encoded block and its encoded certificate."""
Progress = Callable[[int], None]
"""Told the height that is done."""


class Verified(msgspec.Struct, frozen=True):
    """What an export proves.

    :ivar height, time_ms: of its last block. :ivar application_hash: after that block, by replay.
    :ivar certified: a certified header of the export carries this very hash (an empty proof block ends the export).
    :ivar transactions: how many there are in all.
    """

    network: bytes
    height: int
    time_ms: int
    application_hash: bytes
    certified: bool
    transactions: int


def write_export(blocks: Iterable[EncodedBlock], path: Path) -> int:
    """Write an export; the file appears when it is complete. Returns the number of blocks.

    :raises StorageError: it cannot be written; nothing is left.
    """
    count = 0
    with replacing(path) as sink:
        sink.write(MAGIC)
        for block, certificate in blocks:
            for data in (block, certificate):
                sink.write(len(data).to_bytes(4, "big") + data)
            count += 1
    return count


def read_export(path: Path) -> Iterator[EncodedBlock]:
    """Blocks of an export, not yet verified.

    :raises StorageError: it cannot be read. :raises DamagedFile: it is no export, or cut short.
    """
    try:
        with path.open("rb") as source:
            if source.read(len(MAGIC)) != MAGIC:
                raise DamagedFile(f"{path} is not a ledger export; make one with: salus audit export")
            while (block := _frame(source, path)) is not None:
                certificate = _frame(source, path)
                if certificate is None:
                    raise DamagedFile(f"{path} ends inside a block; export it again")
                yield block, certificate
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from None


def verify_export(genesis: Genesis, blocks: Iterable[EncodedBlock], progress: Progress = lambda _height: None) -> Verified:
    """Verify a whole ledger by signatures, proofs and replay, from its genesis and an export alone.

    1. The genesis verifies. 2. Each header follows the one before it and carries a quorum's certificate under its set.
    3. Each body is the one its header names. 4. Replay by public checks gives the application hash of the next header.

    :raises Refused: with the reason of the first thing that is wrong.
    """
    genesis.verify()
    application = replayed(genesis)
    chain = HeaderChain(genesis.network(), genesis.hash(), genesis.validators())
    count, certified = 0, False
    for block_bytes, certificate_bytes in blocks:
        block, certificate = Block.decode(block_bytes), Certificate.decode(certificate_bytes)
        header = block.header
        validators = chain.validators
        before = application.info().application_hash
        if header.application_hash != before:
            raise Refused("bad-proof", f"block {header.height} names another state than replay gives")
        check_body(block)
        chain.follow(CertifiedHeader(header, certificate))
        try:
            done = application.finalise_block(block_input(block, validators))
        except ConsensusError as error:
            raise Refused("bad-proof", f"block {header.height}: {error}") from None
        application.commit(block_bytes, certificate_bytes)
        count += len(block.transactions)
        certified = done.application_hash == header.application_hash
        progress(header.height)
    info = application.info()
    return Verified(genesis.network(), info.height, info.last_time_ms, info.application_hash, certified, count)


def verify_export_file(genesis: Genesis, path: Path, progress: Progress = lambda _height: None) -> Verified:
    """:func:`verify_export` of a file."""
    return verify_export(genesis, read_export(path), progress)


def _frame(source: BinaryIO, path: Path) -> bytes | None:
    head = source.read(4)
    if not head:
        return None
    size = int.from_bytes(head, "big")
    data = source.read(size) if len(head) == 4 and size <= FRAME_BYTES_MAX else b""
    if len(head) != 4 or len(data) != size:
        raise DamagedFile(f"{path} ends inside a block, or was altered; export it again")
    return data

