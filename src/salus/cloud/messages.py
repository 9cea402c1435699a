"""What travels between the gateway and its clients. Everything here is public or sealed; nobody signs in.

========================  ==========================  ==================================================
method                    request                     answer
========================  ==========================  ==================================================
``cloud.upload-begin``    :class:`UploadBegin`        :class:`UploadState`
``cloud.upload-part``     :class:`UploadPart`         :class:`UploadState`
``cloud.upload-finish``   :class:`UploadFinish`       encoded upload receipt (:mod:`salus.consultation.receipts`)
``cloud.upload-whole``    :class:`UploadWhole`        encoded upload receipt: begin, one part and finish in one call
``cloud.body-info``       :class:`BodyInfoRequest`    :class:`BodyInfo`
``cloud.body-range``      :class:`BodyRangeRequest`   :class:`BodyRange`
``cloud.body-proof``      :class:`BodyProofRequest`   encoded :class:`salus.records.digest.RangeProof`
``cloud.find``            :class:`Find`               :class:`Found`
``cloud.storage-receipt`` :class:`ReceiptRequest`     :class:`ReceiptAnswer`
``cloud.status``          :class:`StatusRequest`      :class:`CloudStatus`
========================  ==========================  ==================================================
"""

from __future__ import annotations

from typing import Annotated, Final

from salus.codec import Bytes16, Bytes32, Label, Message, Name, Size
from salus.transport import PART_BYTES

UPLOAD_BEGIN: Final = "cloud.upload-begin"
UPLOAD_PART: Final = "cloud.upload-part"
UPLOAD_FINISH: Final = "cloud.upload-finish"
UPLOAD_WHOLE: Final = "cloud.upload-whole"
BODY_INFO: Final = "cloud.body-info"
BODY_RANGE: Final = "cloud.body-range"
BODY_PROOF: Final = "cloud.body-proof"
FIND: Final = "cloud.find"
STORAGE_RECEIPT: Final = "cloud.storage-receipt"
STATUS: Final = "cloud.status"

FOUND_MAX: Final = 256
"""Filings in one answer; a caller pages on with ``after``."""

BY_PSEUDONYM: Final = "pid"
BY_ONE_TIME_KEY: Final = "key"
BY_DOCTOR: Final = "doctor"


class UploadBegin(Message, frozen=True):
    """Announce an upload; the same message again tells how far it has come.

    :ivar upload: 16 random bytes drawn by the uploader: whoever knows them may go on with the upload.
    :ivar digest: digest of the encrypted body.
    :ivar size_bytes: bytes of the encrypted body.
    :ivar keep_until_ms: until when the body is to be kept, UTC milliseconds.
    """

    KIND = "cloud.upload-begin"

    upload: Bytes16
    digest: Bytes32
    size_bytes: int
    keep_until_ms: int


class UploadPart(Message, frozen=True):
    """The next bytes. A part that arrived before is acknowledged again if it is the same."""

    KIND = "cloud.upload-part"

    upload: Bytes16
    offset: int
    data: Annotated[bytes, Size(1, PART_BYTES)]


class UploadFinish(Message, frozen=True):
    """All parts are sent: check the digest, keep the body, sign the receipt. Again: the same receipt."""

    KIND = "cloud.upload-finish"

    upload: Bytes16


class UploadWhole(Message, frozen=True):
    """A small body in one call; the number makes a repetition harmless."""

    KIND = "cloud.upload-whole"

    upload: Bytes16
    digest: Bytes32
    keep_until_ms: int
    data: Annotated[bytes, Size(1, PART_BYTES)]


class UploadState(Message, frozen=True):
    """How far an upload has come: the next part starts at ``received_bytes``; all are there when that is the size."""

    KIND = "cloud.upload-state"

    upload: Bytes16
    received_bytes: int


class BodyInfoRequest(Message, frozen=True):
    """Is the body of this digest held?"""

    KIND = "cloud.body-info-request"

    digest: Bytes32


class BodyInfo(Message, frozen=True):
    """A body that is held, of ``size_bytes``, at least until ``keep_until_ms``."""

    KIND = "cloud.body-info"

    digest: Bytes32
    size_bytes: int
    keep_until_ms: int


class BodyRangeRequest(Message, frozen=True):
    """Bytes of a body. ``count`` is bounded by one part; the answer is shorter only at the body's end."""

    KIND = "cloud.body-range-request"

    digest: Bytes32
    offset: int
    count: int


class BodyRange(Message, frozen=True):
    """Bytes of a body from the offset asked for. Not to be believed before the digest is checked."""

    KIND = "cloud.body-range"

    data: Annotated[bytes, Size(0, PART_BYTES)]


class BodyProofRequest(Message, frozen=True):
    """Ask for the proof that segments ``first .. first + count - 1`` belong to the body."""

    KIND = "cloud.body-proof-request"

    digest: Bytes32
    first: int
    count: int


class Find(Message, frozen=True):
    """Find committed transactions by one of :data:`BY_PSEUDONYM` (PID1 or PID2), :data:`BY_ONE_TIME_KEY` (A or A_D),
    :data:`BY_DOCTOR` (ID_D as ASCII).

    :ivar after: number of the last filing seen, 0 at first.
    :ivar limit: at most so many, up to :data:`FOUND_MAX`.
    """

    KIND = "cloud.find"

    by: Label
    value: Annotated[bytes, Size(1, 1024)]
    after: int
    limit: int


class Filing(Message, frozen=True):
    """One committed transaction as the gateway filed it.

    :ivar number: position in the gateway's files, increasing; not part of the ledger.
    :ivar kind: transaction kind.
    :ivar held: 1 if the body was there and had the digest when it was last looked at, else 0.
    """

    KIND = "cloud.filing"

    number: int
    kind: Label
    tx_hash: Bytes32
    height: int
    pseudonym: Annotated[bytes, Size(1, 1024)]
    one_time_key: Bytes32
    doctor: Name
    digest: Bytes32
    size_bytes: int
    held: int


class Found(Message, frozen=True):
    """Filings in order of their number; ``more`` is 1 if others follow."""

    KIND = "cloud.found"

    filings: Annotated[tuple[Filing, ...], Size(0, FOUND_MAX)]
    more: int


class ReceiptRequest(Message, frozen=True):
    """Ask for the storage receipt of a committed transaction; only the holder of its one-time key can read the answer."""

    KIND = "cloud.receipt-request"

    tx_hash: Bytes32


class ReceiptAnswer(Message, frozen=True):
    """The encoded sealed storage receipt of :mod:`salus.consultation.receipts`."""

    KIND = "cloud.receipt-answer"

    sealed: Annotated[bytes, Size(1, 8192)]


class StatusRequest(Message, frozen=True):
    """Ask how the gateway is."""

    KIND = "cloud.status-request"


class CloudStatus(Message, frozen=True):
    """What the gateway holds, and how far it has followed the ledger.

    :ivar records: records whose bodies it keeps. :ivar records_missing: records that the ledger names it for, and of which it has
        nothing: it fetches them from other clouds.
    """

    KIND = "cloud.status"

    name: Name
    network: Bytes32
    height: int
    time_ms: int
    bodies: int
    body_bytes: int
    body_bytes_max: int
    uploads_open: int
    filings: int
    part_bytes_max: int
    records: int
    records_missing: int
