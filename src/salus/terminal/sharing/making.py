"""What an owner makes of a file: body with clouds, sealed metadata with nodes, capsule; and a scope's published index key.

Steps: docs/protocol/sharing-ledger.md, "records", steps 2, 3 and 8.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from salus.abpre.encapsulation import encapsulate
from salus.abpre.policy import Policy, record_policy
from salus.errors import Refused, StorageError, TransportError
from salus.ledger.kinds.sharing.attachments import METADATA
from salus.ledger.kinds.sharing.constants import sharing_constants
from salus.ledger.kinds.sharing.index_keys import INDEX_KEYS, index_aad, index_about, policy_digest
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.messages.records import (
    IndexKeyPublication,
    RecordContent,
    RecordUpload,
)
from salus.ledger.kinds.sharing.records import digest_tag, record_aad
from salus.ledger.sharing_api import ATTACH_METADATA, AttachMetadata
from salus.ledger.state import StateView
from salus.records.digest import BodySummary
from salus.records.payload import safe_file_name
from salus.records.record import RecordMetadata, RecordPlace, encrypt_record, metadata_hash, seal_metadata
from salus.search.index_keys import BY_POLICY, seal_index_key
from salus.symmetric import Random
from salus.terminal.bodies import Progress
from salus.terminal.sharing.bodies import RecordBodies
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.plaintexts import Plaintext
from salus.terminal.sharing.scopes import OpenScope

_MARGIN_MS: Final = 10 * 60 * 1000
"""Of clocks, and of an upload that takes its time."""


class Making:
    """Makes the content of records for one owner."""

    def __init__(self, nodes: Nodes, bodies: RecordBodies, now_ms: Callable[[], int], random: Random) -> None:
        self._nodes = nodes
        self._bodies = bodies
        self._now_ms = now_ms
        self._random = random

    def content(
        self, view: StateView, scope: OpenScope, rid: bytes, key: bytes, sharing: Policy | None, plain: Plaintext, quarter: str,
        version: int, supersedes: bytes | None, progress: Progress,
    ) -> RecordContent:  # fmt: skip
        """Encrypt, upload, seal the metadata, hand it in, encapsulate (records, steps 2 and 3)."""
        network = self._nodes.network
        place = RecordPlace(network, rid, scope.signer.scope)
        keep_until_ms = max(self._now_ms(), self._nodes.ledger.time_ms) + 2 * sharing_constants(view).upload_kept_ms + _MARGIN_MS
        with self._bodies.staged() as path:
            with path.open("wb") as sink:
                body = encrypt_record(
                    plain.file, key, place, sink, lambda done: progress("encrypting", done, plain.size_bytes),
                    random=self._random,
                )  # fmt: skip
            if body.plain_bytes != plain.size_bytes:
                raise StorageError(f"{plain.file_name} changed while it was read; nothing was put, repeat the command")
            clouds = self._upload(path, body, keep_until_ms, progress)
        metadata = RecordMetadata(
            tuple(clouds), body.digest, body.size_bytes, body.suite, self._now_ms(), scope.category, quarter, plain.media_type,
            safe_file_name(plain.file_name), version, supersedes,
        )  # fmt: skip
        sealed = seal_metadata(metadata, key, place, self._random)
        hashed = metadata_hash(network, rid, sealed)
        kept = self._nodes.attach(view, METADATA, rid, hashed, ATTACH_METADATA, AttachMetadata(rid, sealed))
        uploads: list[RecordUpload] = [self._bodies.keep(cloud, rid, body, sealed, keep_until_ms) for cloud in clouds]
        aad = record_aad(network, rid, scope.signer.scope)
        policy = record_policy(scope.signer.scope, sharing)
        capsule = encapsulate(self._nodes.parameters(view), policy, key, aad, self._random).message()
        return RecordContent(capsule, hashed, kept, digest_tag(network, body.digest), tuple(uploads))

    def _upload(self, path: Path, body: BodySummary, keep_until_ms: int, progress: Progress) -> list[str]:
        """Upload to every cloud that is wanted; one that fails is done without, as long as another keeps the body."""
        kept, failure, clouds = [], None, self._bodies.clouds()
        for cloud in clouds:
            try:
                self._bodies.upload(cloud, path, body, keep_until_ms, progress, alone=len(clouds) == 1)
                kept.append(cloud)
            except (Refused, TransportError) as error:
                failure = error
        if not kept and failure is not None:
            raise failure
        return kept

    def publish_index_key(self, scope: OpenScope, sharing: Policy | None) -> None:
        """Publish the scope's index key for everyone whom the sharing policy lets in, once (records, step 8)."""
        if sharing is None:
            return
        network, x = self._nodes.network, scope.signer.scope
        policy = record_policy(x, sharing)
        view = self._nodes.view()
        if INDEX_KEYS.get(view, x + policy_digest(policy.text)) is not None:
            return
        secret = self._random(32)
        capsule = encapsulate(self._nodes.parameters(view), policy, secret, index_aad(network, x), self._random).message()
        sealed = seal_index_key(network, x, scope.index_key, BY_POLICY, index_about(network, x, capsule), secret)
        draft = IndexKeyPublication(x, capsule, sealed, UNSIGNED)
        try:
            self._nodes.submit(signed_by_scope(draft, scope.signer, self._random))
        except Refused as refused:
            if refused.reason != "already-done":
                raise
