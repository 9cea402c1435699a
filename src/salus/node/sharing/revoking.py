"""What nodes do when a delegation is revoked: erase c, sign that they did, and put the receipt of a quorum on the ledger.

Steps: docs/protocol/sharing-thresholds.md, "revocation".
"""

from __future__ import annotations

from typing import Final

import structlog

from salus.abpre.threshold.receipts import Deletion, make_receipt, sign_deletion
from salus.errors import Refused, refuse_unless
from salus.ledger import sharing_api as m
from salus.ledger.kinds.parties import NODES
from salus.ledger.kinds.sharing.attributes import counts
from salus.ledger.kinds.sharing.committee_state import committee_of, current_epoch
from salus.ledger.kinds.sharing.delegations import DELEGATIONS, find_delegation
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.backlog import Backlog, OpenItem
from salus.node.sharing.errands import Failure
from salus.node.sharing.surroundings import Surroundings

TURN_MS: Final = 2_000
"""A node's turn to gather the deletions; then the next one does it too."""
RETRY_MS: Final = 500
_log = structlog.get_logger(__name__)


class Revoking:
    """Deletions and receipts of one node."""

    def __init__(self, around: Surroundings, delegations: AttachmentStore, backlog: Backlog) -> None:
        self._around = around
        self._delegations = delegations
        self._backlog = backlog
        self._signed: dict[bytes, dict[str, Deletion]] = {}

    def deletion(self, delegation: bytes) -> Deletion:
        """This node's word that c of a revoked delegation is gone (step 2): erased now, if it was not.

        :raises Refused: ``unknown-delegation``, ``not-started`` if it is not revoked.
        """
        around = self._around
        record = find_delegation(around.view, delegation)
        refuse_unless(record.revoked_ms != 0, "not-started", "the delegation is not revoked")
        self._delegations.erase(delegation, record.sealed.c_digest)
        epoch = current_epoch(around.view).epoch
        return sign_deletion(around.network, epoch, around.name, around.bls_secret, delegation, record.sealed.c_digest)

    def look(self, item: OpenItem, now_ms: int) -> list[bytes]:
        """Erase c at once; gather the others' deletions when it is this node's turn (steps 1 to 3)."""
        around, delegation = self._around, item.subject
        record = DELEGATIONS.get(around.view, delegation)
        if record is None or record.revoked_ms == 0 or record.receipt is not None:
            self._signed.pop(delegation, None)
            self._backlog.done(item)
            if record is not None and record.revoked_ms:
                self._delegations.erase(delegation, record.sealed.c_digest)
            return []
        own = self.deletion(delegation)
        members = current_epoch(around.view).members
        place = (members.index(around.name) - delegation[0]) % len(members) if around.name in members else len(members)
        turn_ms = record.revoked_ms + place * TURN_MS
        self._backlog.again(item, max(turn_ms, now_ms + RETRY_MS))
        return self._gather(delegation, own) if now_ms >= turn_ms else []

    def _gather(self, delegation: bytes, own: Deletion) -> list[bytes]:
        around = self._around
        view = around.view
        committee = committee_of(view, own.epoch)
        signed = self._signed.setdefault(delegation, {})
        for name in [name for name, deletion in signed.items() if deletion.epoch != own.epoch]:
            del signed[name]
        signed[around.name] = own
        if len(signed) >= committee.threshold:
            nodes = {seat.name: NODES.get(view, seat.name.encode()) for seat in committee.seats if counts(view, seat)}
            keys = {name: node.record.bls_key for name, node in nodes.items() if node is not None}
            try:
                return [make_receipt(around.network, committee, keys, list(signed.values())).encode()]
            except Refused as refused:
                _log.warning("deletions", reason=refused.reason, detail=refused.detail)
        for seat in committee.seats:
            if seat.name not in signed:
                done = lambda data, failure, name=seat.name: self._told(delegation, name, data, failure)  # noqa: E731
                around.errands.leave(seat.name, m.DELETION, m.DeletionRequest(delegation).encode(), done)
        return []

    def _told(self, delegation: bytes, node: str, data: bytes | None, failure: Failure | None) -> None:
        if data is None:
            _log.debug("no-deletion", node=node, failure=str(failure))
            return
        try:
            deletion = Deletion.decode(data)
        except Refused as refused:
            _log.warning("bad-deletion", node=node, reason=refused.reason)
            return
        if (deletion.node, deletion.delegation, deletion.epoch) == (node, delegation, current_epoch(self._around.view).epoch):
            signed = self._signed.setdefault(delegation, {})
            signed[node] = deletion
            if len(signed) >= committee_of(self._around.view, deletion.epoch).threshold:
                for item in self._backlog.of(delegation):
                    self._backlog.again(item, 0)
