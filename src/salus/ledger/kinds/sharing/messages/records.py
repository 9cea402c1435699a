"""Records: put, re-policy, rotate, erase; and the index keys of scopes."""

from __future__ import annotations

from typing import Annotated

from salus.abpre.capsules import CapsuleMessage
from salus.codec import Bytes16, Bytes32, Bytes64, Message, Name, Size
from salus.ledger.kinds.sharing.messages.common import AttachmentReceipts
from salus.records.record import CLOUDS_MAX
from salus.search.index_keys import SealedIndexKey
from salus.search.tags import Tags


class RecordUpload(Message, frozen=True):
    """A cloud's receipt for the body of a record: it names neither digest nor size, which stay sealed in the metadata.

    :ivar keep_until_ms: block time until which the body is kept even if no transaction names it.
    :ivar signature: over (rid, digest tag, metadata hash, keep-until), label ``sig-record-upload``.
    """

    KIND = "record.upload"

    cloud: Name
    keep_until_ms: int
    signature: Bytes64


class RecordContent(Message, frozen=True):
    """What a body brings with it.

    :ivar capsule: under ``own:<x> or (sharing policy)``, its aad :func:`..records.record_aad`.
    :ivar metadata: :func:`salus.records.record.metadata_hash` of the sealed metadata.
    :ivar metadata_kept: nodes' receipts for it; kind ``metadata``, object id = rid.
    :ivar digest_tag: :func:`..records.digest_tag` of the body's digest. :ivar uploads: of each cloud that keeps the body.
    """

    KIND = "record.content"

    capsule: CapsuleMessage
    metadata: Bytes32
    metadata_kept: AttachmentReceipts
    digest_tag: Bytes32
    uploads: Annotated[tuple[RecordUpload, ...], Size(1, CLOUDS_MAX)]


class RecordPut(Message, frozen=True):
    """The TX block of a record, signed by V.

    :ivar rid: :func:`salus.records.record.record_id` of (x, salt): no other scope can put a record of that name.
    :ivar scope: x, 32 bytes; opened before. :ivar tags: as :func:`salus.search.tags.make_tags` gives them.
    :ivar supersedes: rid of the older version, of the same scope, or None.
    :ivar epoch: of the committee when it was made, current or in grace. :ivar key_version: of the public values (Y, Z, OPRF).
    """

    KIND = "record.put"

    rid: Bytes16
    salt: Bytes16
    scope: Bytes32
    content: RecordContent
    tags: Tags
    supersedes: Bytes16 | None
    epoch: int
    key_version: int
    signature: Bytes64


class RecordRepolicy(Message, frozen=True):
    """A new capsule for the same key under another policy; nodes stop transforming the old one. Signed by V.

    :ivar version: one more than the record's, see :class:`..records.Record`.
    """

    KIND = "record.repolicy"

    rid: Bytes16
    version: int
    capsule: CapsuleMessage
    signature: Bytes64


class RecordRotate(Message, frozen=True):
    """A new key and a new body in the record's place; the clouds erase the old one. Signed by V."""

    KIND = "record.rotate"

    rid: Bytes16
    version: int
    content: RecordContent
    signature: Bytes64


class RecordErase(Message, frozen=True):
    """Erase a record: bodies and sealed metadata go, a tombstone stays. Signed by V."""

    KIND = "record.erase"

    rid: Bytes16
    version: int
    signature: Bytes64


class IndexKeyPublication(Message, frozen=True):
    """The scope's index key for everyone whom a sharing policy lets in. Signed by V.

    :ivar capsule: under the policy of the scope's records; its key seals ``sealed``; aad :func:`..records.index_aad`.
    :ivar sealed: way ``policy``, about = :func:`..records.index_about` of the capsule.
    """

    KIND = "index.publish"

    scope: Bytes32
    capsule: CapsuleMessage
    sealed: SealedIndexKey
    signature: Bytes64
