"""A record: a body and its sealed metadata, both bound to (network, rid, x) (protocol page "records", section "Records").

What a reader of the capsule gets is k, from which everything else follows; what everyone sees of a record is its rid, the body's
size, and a hash of sealed metadata.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import msgspec

from salus import labels
from salus.codec import Bytes16, Bytes32, Label, Message, Name, Size
from salus.errors import CodecError, Refused, refuse_unless
from salus.records.body import Fetch, body_keys, decrypt_body, decrypt_bytes, decrypt_file, encrypt_body
from salus.records.digest import BodySummary
from salus.records.payload import FILE_NAME_BYTES_MAX, safe_file_name
from salus.records.scope import check_category, check_period
from salus.records.streams import Progress, Sink, Source
from salus.symmetric import KEY_BYTES, Random, h2, kdf, seal, unseal

RID_BYTES: Final = 16
SCOPE_BYTES: Final = 32
CLOUDS_MAX: Final = 8
"""Clouds that keep one body: two or three in practice."""
VERSIONS_MAX: Final = 1 << 16
"""Versions of one record: a chain of corrections, never a log."""
PADDED_BYTES: Final = 512
"""Sealed metadata is padded to a multiple of this, so that its size tells nothing of names and types."""
METADATA_BYTES_MAX: Final = 8 * PADDED_BYTES

_SALT_BYTES: Final = 16


class RecordPlace(msgspec.Struct, frozen=True):
    """Where a record belongs; everything of it opens only there.

    :ivar network: 32 bytes. :ivar rid: of :func:`record_id`, 16 bytes.
    :ivar scope: x of the scope's attribute ``own:<x>``, 32 bytes.
    """

    network: bytes
    rid: bytes
    scope: bytes

    def __post_init__(self) -> None:
        sizes = (len(self.network), len(self.rid), len(self.scope))
        if sizes != (32, RID_BYTES, SCOPE_BYTES):
            raise ValueError(f"network, rid and scope have {sizes} bytes, not (32, {RID_BYTES}, {SCOPE_BYTES})")

    @property
    def context(self) -> tuple[bytes, bytes, bytes]:
        """(network, rid, x), the context of the record's keys and the associated data of its metadata."""
        return (self.network, self.rid, self.scope)


class RecordMetadata(Message, frozen=True):
    """What only a reader of the record learns: (LM, digest, time, category, content type, size), and which version it is.

    :ivar clouds: LM, the names of the clouds that keep the body; there it is found by its digest.
    :ivar digest: of the encrypted body. :ivar size_bytes: of the encrypted body. :ivar suite: hashes of the digest.
    :ivar time_ms: when it was put, by the terminal's clock, UTC.
    :ivar category, period: of its scope; the quarter of the clinical date even where the scope is a whole category.
    :ivar media_type: content type. :ivar file_name: may be empty.
    :ivar version: 1, or one more than that of the record it supersedes. :ivar supersedes: rid of that record.
    """

    KIND = "records.metadata"

    clouds: Annotated[tuple[Name, ...], Size(1, CLOUDS_MAX)]
    digest: Bytes32
    size_bytes: int
    suite: Label
    time_ms: int
    category: Label
    period: Label
    media_type: Name
    file_name: Annotated[str, Size(0, FILE_NAME_BYTES_MAX)]
    version: int = 1
    supersedes: Bytes16 | None = None

    @property
    def body(self) -> BodySummary:
        """The body's summary.

        :raises Refused: ``bad-body``, ``too-large`` or ``bad-encoding`` for a size or suite that no body has.
        """
        return BodySummary.of(self.digest, self.size_bytes, self.suite)

    def check(self) -> RecordMetadata:
        """The metadata, if everything in it can be true; an owner's mistakes must not become a reader's crash.

        :raises Refused: ``bad-metadata``, or what the parts say (``bad-category``, ``bad-period``, ``bad-body``, ..).
        """
        check_category(self.category)
        check_period(self.period)
        refuse_unless(self.body.size_bytes == self.size_bytes, "bad-metadata", "no body has that size")
        refuse_unless(len(set(self.clouds)) == len(self.clouds), "bad-metadata", "a cloud is named twice")
        harmless = not self.file_name or safe_file_name(self.file_name) == self.file_name
        refuse_unless(harmless, "bad-metadata", "the file name is not a plain one")
        first = self.supersedes is None
        refuse_unless(
            1 <= self.version <= VERSIONS_MAX and first == (self.version == 1),
            "bad-metadata",
            f"version {self.version} {'supersedes nothing' if first else 'supersedes a record'}",
        )
        return self


def check_supersedes(newer: RecordMetadata, older: RecordMetadata, older_rid: bytes) -> None:
    """Check that one record may take another's place: names it, follows it by one version, is of its category, is not older.

    That both have one owner is the ledger's to check (one scope, or one owner's signature).

    :raises Refused: ``bad-metadata``.
    """
    refuse_unless(newer.supersedes == older_rid, "bad-metadata", "it names another record as the one it supersedes")
    refuse_unless(newer.version == older.version + 1, "bad-metadata", f"version {newer.version} after {older.version}")
    refuse_unless(newer.category == older.category, "bad-metadata", f"{newer.category} supersedes {older.category}")
    refuse_unless(newer.time_ms >= older.time_ms, "bad-metadata", "it is older than the record it supersedes")


class SealedMetadata(Message, frozen=True):
    """Metadata under a key of its own: ``KDF("record-metadata-key", k_meta; salt)``.

    The salt makes every key one for a single message, also when an interrupted put is repeated with other clouds.
    """

    KIND = "records.sealed-metadata"

    salt: Bytes16
    ciphertext: Annotated[bytes, Size(PADDED_BYTES + 16, METADATA_BYTES_MAX + 16)]


def record_id(network: bytes, scope: bytes, salt: bytes) -> bytes:
    """A record's rid: ``H2("record-id"; network, x, salt)``, its first 16 bytes (records, step 1).

    It is of one scope by its name, so that nobody claims it, and what was signed for it, for a scope of their own.

    :param scope: x, 32 bytes. :param salt: 16 fresh random bytes, which keep the name apart from x until the record is put.
    """
    return h2(labels.RECORD_ID, labels.SUITE_RECORDS_2, network, scope, salt)[:RID_BYTES]


def draw_salt(random: Random = os.urandom) -> bytes:
    """The salt of a record's name: 16 random bytes."""
    return random(_SALT_BYTES)


def draw_key(random: Random = os.urandom) -> bytes:
    """A record's key k: 32 random bytes, secret, for one record and one body only."""
    return random(KEY_BYTES)


def encrypt_record(
    source: Source, key: bytes, place: RecordPlace, sink: Sink, progress: Progress | None = None, *, random: Random = os.urandom
) -> BodySummary:
    """Encrypt a record's body (records, step 2; bodies, steps 1 to 4); constant memory.

    :param key: k, 32 secret bytes. :raises StorageError: if source or sink fail. :raises Refused: ``too-large``.
    """
    return encrypt_body(source, key, place.context, sink, progress, random=random, suite=labels.SUITE_RECORDS_2)


def seal_metadata(metadata: RecordMetadata, key: bytes, place: RecordPlace, random: Random = os.urandom) -> bytes:
    """Seal a record's metadata (records, step 3); returns the attachment's bytes, whose hash goes on the ledger.

    :raises Refused: ``bad-metadata`` and the like, see :meth:`RecordMetadata.check`; ``too-large``.
    """
    encoded = metadata.check().encode()
    size_bytes = -(-(4 + len(encoded)) // PADDED_BYTES) * PADDED_BYTES
    refuse_unless(size_bytes <= METADATA_BYTES_MAX, "too-large", f"metadata of {len(encoded)} bytes; shorten the names")
    salt = random(_SALT_BYTES)
    plain = (len(encoded).to_bytes(4, "big") + encoded).ljust(size_bytes, b"\0")
    return SealedMetadata(salt, seal(_metadata_key(key, place, salt), plain, place.context)).encode()


def metadata_hash(network: bytes, rid: bytes, sealed: bytes) -> bytes:
    """What the ledger names of sealed metadata: ``H2("record-metadata"; network, rid, sealed)``, 32 bytes.

    :param sealed: as :func:`seal_metadata` returned it.
    """
    return h2(labels.RECORD_METADATA, labels.SUITE_RECORDS_2, network, rid, sealed)


def open_metadata(sealed: bytes, expected_hash: bytes, key: bytes, place: RecordPlace) -> RecordMetadata:
    """Open sealed metadata (reading, step 2).

    :param sealed: from a cloud. :param expected_hash: from the ledger.
    :raises Refused: ``bad-metadata`` if it is not what the ledger names, does not open, or cannot be true;
        ``bad-encoding`` or ``too-large`` for malformed bytes.
    """
    same = metadata_hash(place.network, place.rid, sealed) == expected_hash
    refuse_unless(same, "bad-metadata", "the sealed metadata is not what the ledger names; ask another cloud")
    message = SealedMetadata.decode(sealed)
    plain = unseal(_metadata_key(key, place, message.salt), message.ciphertext, place.context, "bad-metadata")
    length = int.from_bytes(plain[:4], "big")
    encoded, padding = plain[4 : 4 + length], plain[4 + length :]
    if len(encoded) != length or any(padding) or len(plain) != -(-(4 + length) // PADDED_BYTES) * PADDED_BYTES:
        raise Refused("bad-metadata", "the metadata is not padded as it should be")
    try:
        return RecordMetadata.decode(encoded).check()
    except CodecError as error:
        raise Refused("bad-metadata", f"whoever put the record sealed something else: {error}") from None


def decrypt_record(
    source: Source, key: bytes, place: RecordPlace, metadata: RecordMetadata, sink: Sink, progress: Progress | None = None
) -> None:
    """Decrypt a record's body (reading, step 3); see :func:`salus.records.body.decrypt_body`.

    :raises Refused: ``bad-body``. :raises StorageError: if source or sink fail.
    """
    decrypt_body(source, key, place.context, metadata.body, sink, progress)


def decrypt_record_file(
    encrypted: Path, key: bytes, place: RecordPlace, metadata: RecordMetadata, out: Path, progress: Progress | None = None
) -> None:
    """Decrypt a record's body to a file, which appears only when all of it is verified.

    :raises Refused: ``bad-body``. :raises StorageError: if a file cannot be read or written.
    """
    decrypt_file(encrypted, key, place.context, metadata.body, out, progress)


def decrypt_record_bytes(
    fetch: Fetch, key: bytes, place: RecordPlace, metadata: RecordMetadata, start: int, stop: int, sink: Sink
) -> None:
    """Decrypt plaintext bytes ``start`` up to ``stop`` alone, in time independent of the record's size (ranges).

    :param fetch: gets proven segments from a cloud. :raises Refused: ``bad-body``.
    """
    decrypt_bytes(fetch, key, place.context, metadata.body, start, stop, sink)


def _metadata_key(key: bytes, place: RecordPlace, salt: bytes) -> bytes:
    k_meta = body_keys(key, place.context).meta
    return kdf(labels.RECORD_METADATA_KEY, labels.SUITE_RECORDS_2, [k_meta], salt)
