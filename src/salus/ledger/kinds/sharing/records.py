"""Records on the ledger: put, re-policy, rotate, supersede, erase.

A record here is a capsule, hashes, tags and signatures: nothing opens. Steps: docs/protocol/sharing-ledger.md, "records".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Final

from msgspec.structs import replace

from salus import labels
from salus.abpre.capsules import CapsuleMessage, take_unchecked
from salus.abpre.language import parse_canonical
from salus.abpre.policy import Policy, split_record_policy
from salus.abpre.threshold.partials import digest_of_capsule
from salus.codec import Bytes16, Bytes32, Message, Name, Size, encode
from salus.consultation.registration import CLOUD, MemberKey
from salus.consultation.registration import SUITE as MEMBER_SUITE
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing import access_log, limits, lists
from salus.ledger.kinds.sharing.attachments import METADATA, receipts_claim
from salus.ledger.kinds.sharing.claims import require_scope_signature, scope_claim
from salus.ledger.kinds.sharing.committee_state import accepted_epoch
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, sharing_constants
from salus.ledger.kinds.sharing.messages.records import (
    RecordContent,
    RecordErase,
    RecordPut,
    RecordRepolicy,
    RecordRotate,
    RecordUpload,
)
from salus.ledger.kinds.sharing.scope_keys import SUITE
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.signatures import AnyClaim, CapsuleClaim, Claim, decoded_capsule
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.records.record import CLOUDS_MAX, record_id
from salus.search.tags import Tags, check_tags_form
from salus.symmetric import Random, h2


class Record(Message, frozen=True):
    """A record. Its capsule and tags stand under the same rid in :data:`CAPSULES` and :data:`TAGS` until it is erased.

    :ivar scope: x. :ivar version: 1, and one more with every re-policy, rotation and erasure; older capsules are dead.
    :ivar capsule: digest of the capsule with its additional data, as partials name it.
    :ivar metadata: hash of the sealed metadata. :ivar digest_tag: of the body's digest. :ivar clouds: that keep the body.
    :ivar supersedes, superseded_by: rid of the older and of the newer version, or None.
    :ivar epoch, key_version: as put. :ivar tx_hash: of the put; :ivar content_tx: of the put or the last rotation.
    :ivar put_ms, changed_ms: block times. :ivar erased_ms: of the tombstone, 0 while it lives.
    """

    KIND = "state.record"
    rid: Bytes16
    scope: Bytes32
    version: int
    capsule: Bytes32
    metadata: Bytes32
    digest_tag: Bytes32
    clouds: Annotated[tuple[Name, ...], Size(1, CLOUDS_MAX)]
    supersedes: Bytes16 | None
    superseded_by: Bytes16 | None
    epoch: int
    key_version: int
    tx_hash: Bytes32
    content_tx: Bytes32
    put_ms: int
    changed_ms: int
    erased_ms: int


class RecordTags(Message, frozen=True):
    """Keyword tags of a record."""

    KIND = "state.record-tags"
    tags: Tags


class RecordName(Message, frozen=True):
    """The record that a digest tag belongs to."""

    KIND = "state.record-name"
    rid: Bytes16


RECORDS: Final = Table("record", Record)
CAPSULES: Final = Table("record.capsule", CapsuleMessage)
TAGS: Final = Table("record.tags", RecordTags, shared=False)
BY_DIGEST: Final = Table("record.digest", RecordName, shared=False)
"""Raw key: x and the digest tag. By scope, so that nobody takes the name of a body that others are about to put."""


def record_aad(network: bytes, rid: bytes, scope: bytes) -> bytes:
    """Additional data of a record's capsule: bound to network, rid and x (records, step 2)."""
    return encode((labels.RECORD_CAPSULE, SUITE, network, rid, scope))


def digest_tag(network: bytes, digest: bytes) -> bytes:
    """The tag that finds a record by the digest of its encrypted body: 32 bytes."""
    return h2(labels.DIGEST_TAG, SUITE, network, digest)


def sign_record_upload(
    network: bytes, cloud: MemberKey, rid: bytes, tag: bytes, metadata: bytes, keep_until_ms: int, random: Random
) -> RecordUpload:
    """The cloud's receipt for a record's body and sealed metadata that it has hashed and holds durably (records, step 3).

    :param tag: :func:`digest_tag` of the body's digest. :param metadata: hash of the sealed metadata.
    """
    signature = cloud.sign(network, labels.SIG_RECORD_UPLOAD, _upload_value(rid, tag, metadata, keep_until_ms), random)
    return RecordUpload(cloud.name, keep_until_ms, signature)


def find_record(view: StateView, rid: bytes) -> Record:
    """A record that is not erased.

    :raises Refused: ``unknown-record``, ``record-erased``.
    """
    record = RECORDS.get(view, rid)
    if record is None:
        raise Refused("unknown-record", rid.hex())
    refuse_unless(record.erased_ms == 0, "record-erased", rid.hex())
    return record


def capsule_of(view: StateView, rid: bytes) -> CapsuleMessage:
    """The capsule of a record that is not erased.

    :raises Refused: ``unknown-record``, ``record-erased``.
    """
    find_record(view, rid)
    return CAPSULES.need(view, rid)


def sharing_policy(capsule: CapsuleMessage) -> Policy | None:
    """The sharing policy beside ``own:<x>``, None if the owner alone reads by policy.

    Read from the text alone: a request names 32 records, and the points of 32 capsules take a second to decode.
    """
    return _sharing_policy(capsule.policy)


@lru_cache(maxsize=1024)
def _sharing_policy(text: str) -> Policy | None:
    return split_record_policy(parse_canonical(text))[1]


def require_policy_of(capsule: CapsuleMessage, scope: bytes) -> None:
    """The policy is ``own:<x>``, alone or with a sharing policy in which no ``own:`` stands (records, step 1).

    :raises Refused: ``wrong-scope``, ``bad-policy``, ``bad-point``.
    """
    named, _ = split_record_policy(decoded_capsule(capsule).policy)
    refuse_unless(named == scope, "wrong-scope", "the policy names another scope than the one that signs")


class _Put:
    """Records, step 4."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[RecordPut]) -> list[AnyClaim]:
        put = tx.message
        refuse_unless(RECORDS.get(view, put.rid) is None, "duplicate-record", put.rid.hex())
        # Else who sees it before it is committed claims rid and receipts for a scope of its own.
        named = record_id(context.network, put.scope, put.salt) == put.rid
        refuse_unless(named, "wrong-scope", "the record's name is of another scope")
        scope = find_scope(view, put.scope)
        epoch = accepted_epoch(view, put.epoch, context.time_ms)
        refuse_unless(put.key_version == epoch.key_version, "wrong-epoch", f"the public values have version {epoch.key_version}")
        check_tags_form(put.tags)
        if put.supersedes is not None:
            older = find_record(view, put.supersedes)
            refuse_unless(older.scope == put.scope, "wrong-scope", "a record supersedes one of its own scope")
            refuse_unless(older.superseded_by is None, "record-superseded", put.supersedes.hex())
        limits.check_limit(view, context, limits.CHANGES, put.scope.hex(), 1)
        require_scope_signature(context.network, scope.V, put)
        return _content_claims(view, context, put.rid, put.scope, put.content)

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[RecordPut]) -> None:
        put, content = tx.message, tx.message.content
        limits.use(state, context, limits.CHANGES, put.scope.hex(), 1)
        if put.supersedes is not None:
            older = RECORDS.need(state, put.supersedes)
            RECORDS.put(state, put.supersedes, replace(older, superseded_by=put.rid))
        record = Record(
            rid=put.rid,
            scope=put.scope,
            version=1,
            capsule=_capsule_digest(context, put.rid, put.scope, content.capsule),
            metadata=content.metadata,
            digest_tag=content.digest_tag,
            clouds=tuple(upload.cloud for upload in content.uploads),
            supersedes=put.supersedes,
            superseded_by=None,
            epoch=put.epoch,
            key_version=put.key_version,
            tx_hash=tx.hash,
            content_tx=tx.hash,
            put_ms=context.time_ms,
            changed_ms=context.time_ms,
            erased_ms=0,
        )
        RECORDS.put(state, put.rid, record)
        CAPSULES.put(state, put.rid, content.capsule)
        TAGS.put(state, put.rid, RecordTags(put.tags))
        BY_DIGEST.put(state, put.scope + content.digest_tag, RecordName(put.rid))
        lists.append(state, lists.RECORDS, b"", put.rid)
        lists.append(state, lists.SCOPE_RECORDS, put.scope, put.rid)
        access_log.log(state, context, tx.hash, put.scope, access_log.PUT, rid=put.rid)
        if put.supersedes is not None:
            access_log.log(state, context, tx.hash, put.scope, access_log.SUPERSEDED, rid=put.supersedes)
        context.emit("record.put", put.rid)


class _Repolicy:
    """Records, step 5."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[RecordRepolicy]) -> list[AnyClaim]:
        message = tx.message
        record = _next_version(view, message.rid, message.version)
        same = CAPSULES.need(view, message.rid) == message.capsule
        refuse_unless(not same, "already-done", "that is the record's capsule")
        limits.check_limit(view, context, limits.CHANGES, record.scope.hex(), 1)
        require_scope_signature(context.network, find_scope(view, record.scope).V, message)
        return [_capsule_claim(context, message.rid, record.scope, message.capsule)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[RecordRepolicy]) -> None:
        message = tx.message
        record = RECORDS.need(state, message.rid)
        limits.use(state, context, limits.CHANGES, record.scope.hex(), 1)
        digest = _capsule_digest(context, message.rid, record.scope, message.capsule)
        changed = replace(record, version=message.version, capsule=digest, changed_ms=context.time_ms)
        RECORDS.put(state, message.rid, changed)
        CAPSULES.put(state, message.rid, message.capsule)
        access_log.log(state, context, tx.hash, record.scope, access_log.REPOLICIED, rid=message.rid)
        context.emit("record.repolicied", message.rid)


class _Rotate:
    """Records, step 6."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[RecordRotate]) -> list[AnyClaim]:
        message = tx.message
        record = _next_version(view, message.rid, message.version)
        fresh = message.content.digest_tag != record.digest_tag and message.content.metadata != record.metadata
        refuse_unless(fresh, "already-done", "a rotation brings a new body under a new key")
        limits.check_limit(view, context, limits.CHANGES, record.scope.hex(), 1)
        require_scope_signature(context.network, find_scope(view, record.scope).V, message)
        return _content_claims(view, context, message.rid, record.scope, message.content)

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[RecordRotate]) -> None:
        message, content = tx.message, tx.message.content
        record = RECORDS.need(state, message.rid)
        limits.use(state, context, limits.CHANGES, record.scope.hex(), 1)
        changed = replace(
            record,
            version=message.version,
            capsule=_capsule_digest(context, message.rid, record.scope, content.capsule),
            metadata=content.metadata,
            digest_tag=content.digest_tag,
            clouds=tuple(upload.cloud for upload in content.uploads),
            content_tx=tx.hash,
            changed_ms=context.time_ms,
        )
        RECORDS.put(state, message.rid, changed)
        CAPSULES.put(state, message.rid, content.capsule)
        BY_DIGEST.delete(state, record.scope + record.digest_tag)
        BY_DIGEST.put(state, record.scope + content.digest_tag, RecordName(message.rid))
        access_log.log(state, context, tx.hash, record.scope, access_log.ROTATED, rid=message.rid)
        context.emit("record.rotated", message.rid)


class _Erase:
    """Records, step 7: a tombstone is left; what stays in old blocks opens nothing."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[RecordErase]) -> list[AnyClaim]:
        record = _next_version(view, tx.message.rid, tx.message.version)
        return [scope_claim(context, find_scope(view, record.scope).V, tx.message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[RecordErase]) -> None:
        message = tx.message
        record = RECORDS.need(state, message.rid)
        tombstone = replace(record, version=message.version, changed_ms=context.time_ms, erased_ms=context.time_ms)
        RECORDS.put(state, message.rid, tombstone)
        CAPSULES.delete(state, message.rid)
        TAGS.delete(state, message.rid)
        BY_DIGEST.delete(state, record.scope + record.digest_tag)
        access_log.log(state, context, tx.hash, record.scope, access_log.ERASED, rid=message.rid)
        context.emit("record.erased", message.rid)


def _content_claims(view: StateView, context: BlockContext, rid: bytes, scope: bytes, content: RecordContent) -> list[AnyClaim]:
    """Everything that is checked of a body's content: policy, capsule, digest, receipts of nodes and clouds."""
    known = BY_DIGEST.get(view, scope + content.digest_tag)
    refuse_unless(known is None, "duplicate-record", "another record of the scope has that body")
    capsule = _capsule_claim(context, rid, scope, content.capsule)
    kept = receipts_claim(view, context, content.metadata_kept, METADATA, rid, content.metadata)
    names = [upload.cloud for upload in content.uploads]
    refuse_unless(len(set(names)) == len(names), "bad-receipt", "two receipts of one cloud")
    return [capsule, kept, *(_upload_claim(view, context, rid, content, upload) for upload in content.uploads)]


def _capsule_claim(context: BlockContext, rid: bytes, scope: bytes, capsule: CapsuleMessage) -> CapsuleClaim:
    require_policy_of(capsule, scope)
    return CapsuleClaim(capsule, record_aad(context.network, rid, scope), "the record's capsule")


def _upload_claim(view: StateView, context: BlockContext, rid: bytes, content: RecordContent, upload: RecordUpload) -> Claim:
    cloud = live_party(view, CLOUD, upload.cloud)
    keep_until_ms = context.time_ms + sharing_constants(view).upload_kept_ms
    refuse_unless(upload.keep_until_ms >= keep_until_ms, "bad-receipt", f"the body must be kept until {keep_until_ms}")
    message = _upload_value(rid, content.digest_tag, content.metadata, upload.keep_until_ms)
    fields = (context.network, cloud.name, cloud.W)
    return Claim(labels.SIG_RECORD_UPLOAD, MEMBER_SUITE, cloud.W, fields, message, upload.signature, "bad-receipt", cloud.name)


def _upload_value(rid: bytes, tag: bytes, metadata: bytes, keep_until_ms: int) -> tuple[Any, ...]:
    return (rid, tag, metadata, keep_until_ms)


def _next_version(view: StateView, rid: bytes, version: int) -> Record:
    """The record that a change is made to; an old change, submitted again by anyone, is refused by its version."""
    record = find_record(view, rid)
    refuse_unless(version == record.version + 1, "already-done", f"version {record.version + 1} of the record comes next")
    return record


def _capsule_digest(context: BlockContext, rid: bytes, scope: bytes, capsule: CapsuleMessage) -> bytes:
    aad = record_aad(context.network, rid, scope)
    return digest_of_capsule(context.network, take_unchecked(decoded_capsule(capsule), aad))


def _version(rid: bytes, version: int) -> bytes:
    """A version of a record: else one receipt, shown in a thousand puts, fills what nodes keep until it is committed."""
    return encode((RecordPut.KIND, rid, version))


KINDS: Final = (
    KindSpec(RecordPut, _Put(), since=SHARING_VERSION, spends=lambda m: _version(m.rid, 1)),
    KindSpec(RecordRepolicy, _Repolicy(), since=SHARING_VERSION, spends=lambda m: _version(m.rid, m.version)),
    KindSpec(RecordRotate, _Rotate(), since=SHARING_VERSION, spends=lambda m: _version(m.rid, m.version)),
    KindSpec(RecordErase, _Erase(), since=SHARING_VERSION, spends=lambda m: _version(m.rid, m.version)),
)
