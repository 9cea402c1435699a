"""What stays of a block whose body is pruned: its header, so that the chain of headers has no gap."""

from __future__ import annotations

from salus.codec import Message
from salus.consensus.block import Block, BlockHeader
from salus.errors import CodecError


class PrunedBlock(Message, frozen=True):
    """A block without transactions, evidence and previous certificate."""

    KIND = "storage.pruned-block"
    header: BlockHeader


def pruned_record(record: bytes) -> bytes:
    """The record to keep in place of a block's: its header alone; a record of another engine is kept whole."""
    try:
        return PrunedBlock(Block.decode(record).header).encode()
    except CodecError:
        return record


def header_of(record: bytes, *, pruned: bool) -> BlockHeader:
    """The header in a record, pruned or whole.

    :raises CodecError: for a record of another engine.
    """
    return PrunedBlock.decode(record).header if pruned else Block.decode(record).header
