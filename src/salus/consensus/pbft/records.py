"""What a replica keeps on disk besides decided blocks: its votes, set changes, and the anchor of a restored snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

from salus.codec import Bytes32, Message, Size, decode
from salus.consensus.block import CertifiedHeader, ValidatorSet
from salus.consensus.pbft.messages import MAX_SET_LINKS, NewView, PreparedProof, PrePrepare, SetLink, decode_message
from salus.errors import CodecError, DamagedFile

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""The largest proposal: a block, and a quorum of view-changes of the largest validator set."""
MAX_SET_RECORDS: Final = MAX_SET_LINKS
"""Validator set changes kept with their proofs: as many as an offer can hold."""


class AcceptedRecord(Message, frozen=True):
    """Kept before the prepare (or pre-prepare, or new-view) of a view is sent.

    :ivar message: the encoded pre-prepare or new-view, which holds the block.
    """

    KIND = "pbft.record.accepted"
    height: int
    view: int
    block_id: Bytes32
    message: Annotated[bytes, Size(1, MAX_MESSAGE_BYTES)]

    def proposal(self) -> PrePrepare | NewView:
        """The message accepted.

        :raises DamagedFile: if it is another one.
        """
        message = decode_message(self.message)
        if not isinstance(message, PrePrepare | NewView):
            raise DamagedFile(f"the vote log holds a {message.KIND} where a proposal belongs")
        return message


class PreparedRecord(Message, frozen=True):
    """Kept before the commit of a view is sent; the block is in the accepted record."""

    KIND = "pbft.record.prepared"
    height: int
    proof: PreparedProof


class ViewRecord(Message, frozen=True):
    """Kept before the view-change is sent: nothing is signed below ``view`` at this height again."""

    KIND = "pbft.record.view"
    height: int
    view: int


class SetRecord(Message, frozen=True):
    """Validator set from height ``active_from`` on; kept before the block that changes it is."""

    KIND = "pbft.record.set"
    active_from: int
    validators: ValidatorSet


class LinkRecord(Message, frozen=True):
    """Proof of a set change, for replicas far behind."""

    KIND = "pbft.record.link"
    link: SetLink


class AnchorRecord(Message, frozen=True):
    """Kept before a snapshot replaces the state: the block after which it was taken, and the sets then.

    :ivar validators: the sets of ``height``, ``height + 1`` and ``height + 2``.
    """

    KIND = "pbft.record.anchor"
    anchor: CertifiedHeader
    validators: ValidatorSet
    next_validators: ValidatorSet
    later_validators: ValidatorSet


Record = AcceptedRecord | PreparedRecord | ViewRecord | SetRecord | LinkRecord | AnchorRecord
_KINDS: Final[dict[str, Any]] = {
    c.KIND: c for c in (AcceptedRecord, PreparedRecord, ViewRecord, SetRecord, LinkRecord, AnchorRecord)
}


def decode_record(data: bytes) -> Record:
    """Decode one record of the vote log.

    :raises DamagedFile: if the bytes are none.
    """
    try:
        value = decode(data)
        record: Record = _KINDS[value[0]].from_value(value)
    except (CodecError, KeyError, TypeError, IndexError) as error:
        raise DamagedFile(f"the vote log holds a record that is none ({error}); restore this node from its peers") from None
    return record


def live_records(records: Iterable[Record], height: int) -> list[Record]:
    """The records still needed by a replica that works on ``height``: its votes there, sets, links, and the last anchor."""
    kept: list[Record] = []
    sets: list[Record] = []
    anchor: AnchorRecord | None = None
    for record in records:
        if isinstance(record, AnchorRecord):
            anchor = record
        elif isinstance(record, SetRecord | LinkRecord):
            sets.append(record)
        elif record.height >= height:
            kept.append(record)
    return [*sets[-2 * MAX_SET_RECORDS :], *([anchor] if anchor else []), *kept]
