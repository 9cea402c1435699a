"""A record with a body at clouds, put by hand: each step is the test's own, so that it may leave one out or do it wrong."""

from __future__ import annotations

import io
from typing import Any

from salus.cloud import messages as cm
from salus.cloud import sharing_messages as sm
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing import attachments, records
from salus.ledger.kinds.sharing.messages import records as mr
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.ledger.reading import prove_owner
from salus.records.record import RecordPlace, encrypt_record, metadata_hash, record_id
from support.sharing_network import DAY_MS, Sharing

CANARY = "Zahnarztbesuch-Canary-7183"


class Stored:
    """A record of an owner.

    :ivar body, summary: what was uploaded last. :ivar sealed: metadata. :ivar clouds: those that keep it; ``cloud`` is the first.
    """

    def __init__(self, world: Sharing, owner: ScopeKey, clouds: int = 1) -> None:
        self.world, self.owner, self.salt, self.version = world, owner, world.random(16), 1
        self.rid = record_id(world.id, owner.scope, self.salt)
        self.clouds = [cloud.name for cloud in world.network.clouds[:clouds]]
        self.cloud = self.clouds[0]
        self.until = world.network.now_ms() + DAY_MS
        self.upload()

    def upload(self) -> None:
        """A body under a new key, at every cloud."""
        world, sink = self.world, io.BytesIO()
        self.k = world.random(32)
        place = RecordPlace(world.id, self.rid, self.owner.scope)
        self.summary = encrypt_record(io.BytesIO(CANARY.encode() * 40), self.k, place, sink, random=world.random)
        self.body = sink.getvalue()
        for cloud in self.clouds:
            whole = cm.UploadWhole(world.random(16), self.summary.digest, self.until, self.body)
            world.call(cloud, cm.UPLOAD_WHOLE, whole)
        self.sealed = world.metadata(self.owner, self.rid, self.k, self.summary.digest, len(self.body), CANARY + ".txt")

    @property
    def hashed(self) -> bytes:
        """What the ledger names the sealed metadata by."""
        return metadata_hash(self.world.id, self.rid, self.sealed)

    def keep(self, rid: bytes = b"", cloud: str = "") -> mr.RecordUpload:
        asked = sm.RecordKeep(rid or self.rid, self.summary.digest, self.sealed, self.until)
        return mr.RecordUpload.decode(self.world.call(cloud or self.cloud, sm.RECORD_KEEP, asked))

    def content(self, policy: str = "") -> mr.RecordContent:
        world, about = self.world, self.rid
        kept = world.attach(attachments.METADATA, about, self.hashed, m.ATTACH_METADATA, m.AttachMetadata(about, self.sealed))
        made = world.content(self.owner, about, policy, self.k)
        tag = records.digest_tag(world.id, self.summary.digest)
        return mr.RecordContent(made.capsule, self.hashed, kept, tag, tuple(self.keep(cloud=cloud) for cloud in self.clouds))

    def put(self, policy: str = "") -> None:
        world, owner = self.world, self.owner
        draft = world.record(owner, policy, self.k)
        put = mr.RecordPut(
            self.rid, self.salt, owner.scope, self.content(policy), draft.tags, None, draft.epoch, draft.key_version, UNSIGNED
        )  # fmt: skip
        world.commit(signed_by_scope(put, owner, world.random))

    def rotate(self, policy: str = "") -> None:
        """A new key and a new body in the record's place."""
        self.upload()
        self.version += 1
        rotated = mr.RecordRotate(self.rid, self.version, self.content(policy), UNSIGNED)
        self.world.commit(signed_by_scope(rotated, self.owner, self.world.random))

    def read(self, proof: Any, cloud: str = "") -> bytes:
        answer = self.world.call(cloud or self.cloud, sm.RECORD_RANGE, sm.RecordRange(proof, 0, len(self.body)))
        return cm.BodyRange.decode(answer).data

    def by_owner(self, party: str = "", key: ScopeKey | None = None) -> Any:
        """A proof of the owner, or of another scope's key."""
        return prove_owner(key or self.owner, self.rid, party or self.cloud, self.world.network.now_ms(), self.world.random)
