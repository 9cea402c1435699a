"""What travels between a cloud and owners, readers and other clouds about bodies of records.

A record's body is uploaded like any other (:mod:`salus.cloud.messages`); what is named here binds it to its record, and gives it
to nobody but the owner and the readers of committed grants.

=======================  ==========================  ==================================================================
method                   request                     answer
=======================  ==========================  ==================================================================
``cloud.record-keep``    :class:`RecordKeep`         encoded ``RecordUpload``, the receipt that a transaction carries
``cloud.record-info``    :class:`RecordInfoRequest`  :class:`RecordInfo`
``cloud.record-range``   :class:`RecordRange`        :class:`salus.cloud.messages.BodyRange`
``cloud.record-proof``   :class:`RecordProof`        encoded :class:`salus.records.digest.RangeProof`
``cloud.record-repair``  :class:`RecordRepair`       :class:`RecordPiece`, to other clouds of the record
=======================  ==========================  ==================================================================
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from salus.codec import Bytes16, Bytes32, Bytes64, Message, Name, Size
from salus.ledger.sharing_api import SEALED_METADATA_MAX, ReadProof
from salus.transport import PART_BYTES

RECORD_KEEP: Final = "cloud.record-keep"
RECORD_INFO: Final = "cloud.record-info"
RECORD_RANGE: Final = "cloud.record-range"
RECORD_PROOF: Final = "cloud.record-proof"
RECORD_REPAIR: Final = "cloud.record-repair"


class RecordKeep(Message, frozen=True):
    """The body of this digest, uploaded before, is a record's; keep its sealed metadata beside it.

    :ivar keep_until_ms: block time until which it is kept even if no transaction names it; not beyond the upload's.
    """

    KIND = "cloud.record-keep"

    rid: Bytes16
    digest: Bytes32
    sealed: Annotated[bytes, Size(1, SEALED_METADATA_MAX)]
    keep_until_ms: int


class RecordInfoRequest(Message, frozen=True):
    """A reader asks what is here of a record."""

    KIND = "cloud.record-info-request"

    proof: ReadProof


class RecordInfo(Message, frozen=True):
    """A record's sealed metadata, and the size of its body as it is here."""

    KIND = "cloud.record-info"

    sealed: Annotated[bytes, Size(1, SEALED_METADATA_MAX)]
    size_bytes: int


class RecordRange(Message, frozen=True):
    """Bytes of a record's encrypted body; see :class:`salus.cloud.messages.BodyRangeRequest`."""

    KIND = "cloud.record-range"

    proof: ReadProof
    offset: int
    count: int


class RecordProof(Message, frozen=True):
    """Ask for the proof that segments ``first .. first + count - 1`` belong to a record's body."""

    KIND = "cloud.record-proof"

    proof: ReadProof
    first: int
    count: int


class RecordRepair(Message, frozen=True):
    """Another cloud of a record has lost its body, or all that it had of it, and asks for a range.

    :ivar metadata: hash of the sealed metadata, which tells bodies of one record apart.
    :ivar cloud: who asks. :ivar party: who is asked. :ivar time_ms: asker's clock.
    :ivar signature: by the asking cloud's key, label ``sig-fetch``, over everything before it.
    """

    KIND = "cloud.record-repair"

    rid: Bytes16
    metadata: Bytes32
    offset: int
    count: int
    cloud: Name
    party: Name
    time_ms: int
    signature: Bytes64

    def signed(self) -> tuple[Any, ...]:
        """What the signature covers."""
        return self.to_value()[:-1]


class RecordPiece(Message, frozen=True):
    """A range of a record's body, and what the other cloud needs to check and keep the whole.

    :ivar size_bytes: of the body; ``data`` is shorter than asked only at its end.
    """

    KIND = "cloud.record-piece"

    sealed: Annotated[bytes, Size(1, SEALED_METADATA_MAX)]
    digest: Bytes32
    size_bytes: int
    data: Annotated[bytes, Size(0, PART_BYTES)]
