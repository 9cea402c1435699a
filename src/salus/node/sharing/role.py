"""The sharing half of a node: all of its parts behind the methods of :mod:`salus.ledger.sharing_api`.

The parts do not know each other. What a committed block means to them is told from its transactions; what they owe the ledger
are transactions of this node, put into its own pool.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from salus.abpre.attributes import scope_of
from salus.abpre.threshold.delegations import check_attachment, check_delegation
from salus.codec import Message
from salus.errors import Refused, SalusError, refuse_unless
from salus.ledger import sharing_api as m
from salus.ledger.application import LedgerApplication
from salus.ledger.committed import CommittedBlock
from salus.ledger.genesis import Genesis
from salus.ledger.kinds.sharing.attachments import DELEGATION_C, METADATA, open_c, sign_attachment
from salus.ledger.kinds.sharing.claims import require_scope_signature
from salus.ledger.kinds.sharing.committee_state import committee_of, current_epoch, status
from salus.ledger.kinds.sharing.delegations import DELEGATIONS
from salus.ledger.kinds.sharing.messages.attributes import SuspensionVote
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.records import RECORDS
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.reading import check_reader
from salus.node.secrets import NodeSecrets
from salus.node.sharing.acceptance import AcceptanceDesk
from salus.node.sharing.attachments import UNNAMED_KEEP_MS, AttachmentStore
from salus.node.sharing.backlog import DEMAND, REVOCATION, SHARE, Backlog
from salus.node.sharing.committee_duties import CommitteeDuties
from salus.node.sharing.errands import Errands
from salus.node.sharing.fetching import Fetching
from salus.node.sharing.issuing import Issuing
from salus.node.sharing.pending import PendingStore
from salus.node.sharing.revoking import Revoking
from salus.node.sharing.searching import Searching
from salus.node.sharing.shares import ShareStore
from salus.node.sharing.surroundings import Surroundings
from salus.node.sharing.transforming import Transforming
from salus.records.record import SealedMetadata, metadata_hash
from salus.symmetric import Random

SHARING_DIRECTORY: Final = "sharing"
SWEEP_MS: Final = 60_000
"""How often attachments are compared with the ledger."""
SWEPT_AT_A_TIME: Final = 1024
"""Attachments of each sort that are compared at one time: a fraction of a second."""
RETRY_MS: Final = 1_000
_log = structlog.get_logger(__name__)


class SharingRole:
    """One node's sharing half.

    :param directory: the node's own; everything of this half lies in ``sharing/`` there.
    """

    def __init__(
        self,
        directory: Path,
        genesis: Genesis,
        secrets: NodeSecrets,
        application: LedgerApplication,
        errands: Errands,
        now_ms: Callable[[], int],
        random: Random,
    ) -> None:
        own = directory / SHARING_DIRECTORY
        shares = ShareStore(own / "shares")
        around = Surroundings(genesis.network(), secrets.member, secrets.bls_secret, application, shares, errands, now_ms, random)
        self.around = around
        self.delegations = AttachmentStore(own / "delegations", 48)
        self.metadata = AttachmentStore(own / "metadata", m.SEALED_METADATA_MAX)
        self.pending = PendingStore(own / "pending")
        self.backlog = Backlog(own / "open-items", application, frozenset({SHARE, DEMAND, REVOCATION}))
        self.duties = CommitteeDuties(around)
        self.acceptance = AcceptanceDesk(around, self.pending)
        self.issuing = Issuing(around)
        self.searching = Searching(around)
        self.transforming = Transforming(around, own / "partials", self.delegations, self.backlog)
        self.revoking = Revoking(around, self.delegations, self.backlog)
        self._swept_ms = 0
        self._sweep_at: dict[int, int] = {}
        self.fetching = Fetching(around, self.delegations, self.metadata)
        self._methods: dict[str, tuple[type[Message], Callable[[Any], Message]]] = {
            m.ACCEPT: (m.AcceptRequest, lambda asked: self.acceptance.accept(asked.transaction)),
            m.ACCEPTANCE: (m.AcceptanceRequest, lambda asked: self.acceptance.acceptance(asked.tx_hash)),
            m.STORE: (m.StoreRequest, lambda asked: self.acceptance.store(asked.transaction)),
            m.ATTACH_DELEGATION: (m.AttachDelegation, self._attach_delegation),
            m.ATTACH_METADATA: (m.AttachMetadata, self._attach_metadata),
            m.METADATA: (m.MetadataRequest, self._metadata),
            m.ATTACHMENT: (m.AttachmentRequest, self.fetching.answer),
            m.PARTIAL_KEY: (m.PartialKeyRequest, lambda asked: self.issuing.partial_key(asked.request)),
            m.EVALUATE: (m.EvaluateRequest, self.issuing.evaluate),
            m.SEARCH: (m.SearchRequest, self.searching.search),
            m.CLAIM: (m.ClaimRequest, lambda asked: self._with_c(asked.share, self.transforming.claim)),
            m.PARTIAL: (m.PartialRequest, lambda asked: self._with_c(asked.share, self.transforming.partial)),
            m.DELETION: (m.DeletionRequest, lambda asked: self.revoking.deletion(asked.delegation)),
            m.STATUS: (m.SharingStatusRequest, lambda _: self.status()),
        }
        application.listen(self._hear)

    # --- answering ---

    def handle(self, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Service` and :mod:`salus.ledger.sharing_api`."""
        known = self._methods.get(method)
        if known is None:
            raise Refused("not-found", f"a node has no method {method[:64]!r}")
        kind, answer = known
        return answer(kind.decode(body)).encode()

    def _attach_delegation(self, asked: m.AttachDelegation) -> m.AttachmentReceipt:
        """Delegations, step 6: all that involves c is checked before it is durable, and it is durable before it is signed."""
        around, sealed = self.around, asked.sealed
        epoch = self._seated()
        known = DELEGATIONS.get(around.view, sealed.delegation)
        refuse_unless(known is None or known.revoked_ms == 0, "delegation-revoked", sealed.delegation.hex())
        scope = scope_of(sealed.scope) or b""
        require_scope_signature(around.network, find_scope(around.view, scope).V, asked)
        secret = around.shares.secret(epoch)
        if secret is None:
            raise Refused("no-share", f"the keys of epoch {epoch} are not here")
        c = open_c(around.network, epoch, around.name, secret.er, sealed.delegation, asked.c)
        check_delegation(around.network, sealed)
        check_attachment(around.network, sealed, c)
        self.delegations.keep(sealed.delegation, sealed.c_digest, c, around.now_ms())
        return self._receipt(epoch, DELEGATION_C, sealed.delegation, sealed.c_digest)

    def _attach_metadata(self, asked: m.AttachMetadata) -> m.AttachmentReceipt:
        around = self.around
        epoch = self._seated()
        SealedMetadata.decode(asked.sealed)
        known = RECORDS.get(around.view, asked.rid)
        refuse_unless(known is None or known.erased_ms == 0, "record-erased", asked.rid.hex())
        digest = metadata_hash(around.network, asked.rid, asked.sealed)
        self.metadata.keep(asked.rid, digest, asked.sealed, around.now_ms())
        return self._receipt(epoch, METADATA, asked.rid, digest)

    def _receipt(self, epoch: int, kind: str, about: bytes, digest: bytes) -> m.AttachmentReceipt:
        around = self.around
        signature = sign_attachment(around.network, epoch, around.bls_secret, kind, about, digest)
        return m.AttachmentReceipt(epoch, around.name, about, digest, signature)

    def _seated(self) -> int:
        """The current epoch, in which this node has a seat."""
        epoch = current_epoch(self.around.view).epoch
        committee_of(self.around.view, epoch).seat_of(self.around.name)
        return epoch

    def _metadata(self, asked: m.MetadataRequest) -> m.Metadata:
        around = self.around
        record = check_reader(
            around.view, around.network, asked.proof, around.name, around.now_ms(), around.time_ms
        )  # fmt: skip
        if not self.metadata.holds(record.rid, record.metadata):
            self.fetching.metadata_of(record.rid)
        return m.Metadata(self.metadata.read(record.rid, record.metadata))

    def _with_c(self, share: bytes, answer: Callable[[bytes], Message]) -> Message:
        """Answer about a share; if c is not here, ask the others for it, and the asker comes again."""
        try:
            return answer(share)
        except Refused as refused:
            if refused.reason == "not-found":
                self.fetching.c_of(share)
            raise

    # --- duties ---

    @property
    def waits(self) -> bool:
        """Whether something is to be done now, without waiting for the next block."""
        return bool(self.around.errands) or self.acceptance.waits or bool(self.backlog.due(self.around.now_ms()))

    def due(self, now_ms: int) -> list[bytes]:
        """Encoded transactions that this node owes now, or hands on.

        :param now_ms: clock; the next block's time.
        """
        if not self.around.active:
            return []
        transactions = self.duties.due(now_ms)
        if status(self.around.view).current:
            transactions += self._open_items(now_ms)
            self.fetching.catch_up()
            self._sweep(now_ms)
        return transactions + self.acceptance.due(now_ms)

    def _open_items(self, now_ms: int) -> list[bytes]:
        looks = {SHARE: self.transforming.look, REVOCATION: self.revoking.look, DEMAND: self._look_demand}
        transactions: list[bytes] = []
        for item in self.backlog.due(now_ms):
            try:
                transactions += looks[item.kind](item, now_ms)
            except Refused as refused:
                _log.warning("open-item", kind=item.kind, subject=item.subject.hex()[:16], reason=refused.reason)
                self.backlog.again(item, now_ms + RETRY_MS)
        return transactions

    def _look_demand(self, item: Any, now_ms: int) -> list[bytes]:
        posted = self.issuing.answer_demand(item.subject)
        if posted is None:
            self.backlog.done(item)
            return []
        self.backlog.again(item, now_ms + RETRY_MS)
        return [posted]

    def _sweep(self, now_ms: int) -> None:
        """Erase attachments that nothing names (any more): revoked, expired, erased, rotated, or never committed."""
        if now_ms < self._swept_ms + SWEEP_MS:
            return
        self._swept_ms = now_ms
        view, time_ms = self.around.view, self.around.time_ms
        for delegation, digest in self._some(self.delegations):
            record = DELEGATIONS.get(view, delegation)
            live = record is not None and record.sealed.c_digest == digest and record.is_live(time_ms)
            self._keep_or_erase(self.delegations, delegation, digest, record is None, live, now_ms)
        for rid, digest in self._some(self.metadata):
            held = RECORDS.get(view, rid)
            live = held is not None and held.metadata == digest and not held.erased_ms
            self._keep_or_erase(self.metadata, rid, digest, held is None or not held.erased_ms, live, now_ms)
        self.transforming.expire()

    def _some(self, store: AttachmentStore) -> list[tuple[bytes, bytes]]:
        """The next ones of a store, in turn."""
        held = store.held()
        start = self._sweep_at.get(id(store), 0)
        start = start if start < len(held) else 0
        self._sweep_at[id(store)] = start + SWEPT_AT_A_TIME
        return held[start : start + SWEPT_AT_A_TIME]

    @staticmethod
    def _keep_or_erase(store: AttachmentStore, about: bytes, digest: bytes, may_come: bool, live: bool, now_ms: int) -> None:
        """:param may_come: whether a transaction that names it may still be on its way."""
        if live:
            store.name(about, digest)
        elif not may_come or store.since_ms(about, digest) < now_ms - UNNAMED_KEEP_MS:
            store.erase(about, digest)

    # --- following the ledger ---

    def _hear(self, committed: CommittedBlock) -> None:
        self.acceptance.committed(list(committed.applied.transaction_hashes))
        view = self.around.view
        for event in committed.events:
            if event.name == "share.asked":
                self.transforming.asked_height = committed.block.height
            elif event.name == "delegation.created":
                self.delegations.name(event.subject, DELEGATIONS.need(view, event.subject).sealed.c_digest)
            elif event.name in ("record.put", "record.rotated"):
                self.metadata.name(event.subject, RECORDS.need(view, event.subject).metadata)
                self._forget_old_metadata(event.subject)
            elif event.name == "record.erased":
                self.searching.forget(event.subject)
                self._forget_old_metadata(event.subject)

    def _forget_old_metadata(self, rid: bytes) -> None:
        """After an erasure or a rotation, what the ledger does not name any more is overwritten at once."""
        record = RECORDS.need(self.around.view, rid)
        for digest in self.metadata.digests(rid):
            if record.erased_ms or digest != record.metadata:
                self.metadata.erase(rid, digest)

    # --- for the operator ---

    def suspension_vote(self, institution: str, *, against: bool, sequence: int) -> bytes:
        """This node's transaction against an institution that misbehaves, or taking that back.

        :param sequence: one more than the node's last vote on it.
        """
        around = self.around
        draft = SuspensionVote(institution, around.name, int(against), sequence, UNSIGNED)
        return signed_by_member(around.network, draft, around.member, around.random).encode()

    def status(self) -> m.SharingStatus:
        """How this node is in the sharing half."""
        around = self.around
        held = tuple(m.EpochHeld(epoch, around.shares.holds(epoch)) for epoch in around.shares.epochs()[-m.EPOCHS_SHOWN_MAX :])
        epoch = status(around.view).current if around.active else 0
        liars = tuple(sorted(self.acceptance.liars))[: m.LIARS_SHOWN_MAX]
        return m.SharingStatus(
            around.name, epoch, held, len(self.pending), len(self.delegations), len(self.metadata), len(self.searching),
            self.issuing.issued, self.issuing.evaluated, self.transforming.transformed, self.searching.searched, liars,
            self.duties.complaint,
        )  # fmt: skip

    def close(self) -> None:
        """Write down what is open; all the rest is durable already."""
        with contextlib.suppress(SalusError):  # the blocks tell it again
            self.backlog.save()
