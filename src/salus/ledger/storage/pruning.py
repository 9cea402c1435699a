"""What stays of a block whose body is pruned: its header, so that the chain of headers has no gap, and hashes of its evidence.

With these the hashes of its transactions, which the ledger keeps, are still seen to be those that the header commits to.
"""

from __future__ import annotations

from typing import Annotated

from salus.codec import Bytes32, Message, Size
from salus.consensus.block import MAX_MISBEHAVIOUR, Block, BlockHeader, transaction_hash
from salus.errors import CodecError


class PrunedBlock(Message, frozen=True):
    """A block without transactions, evidence and previous certificate. :ivar misbehaviour: hashes of its evidence."""

    KIND = "storage.pruned-block"
    header: BlockHeader
    misbehaviour: Annotated[tuple[Bytes32, ...], Size(0, MAX_MISBEHAVIOUR)]


def pruned_record(record: bytes) -> bytes:
    """The record to keep in place of a block's; a record of another engine is kept whole."""
    try:
        block = Block.decode(record)
    except CodecError:
        return record
    return PrunedBlock(block.header, tuple(transaction_hash(item) for item in block.misbehaviour)).encode()


def header_of(record: bytes, *, pruned: bool) -> BlockHeader:
    """The header in a record, pruned or whole.

    :raises CodecError: for a record of another engine.
    """
    return PrunedBlock.decode(record).header if pruned else Block.decode(record).header
