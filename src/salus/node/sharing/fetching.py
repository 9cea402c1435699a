"""Attachments that the ledger names and this node lacks: it was down when they were handed in, or its seat is new.

c of a live delegation and a record's sealed metadata are in no block, so a member of a new committee has them from the nodes
of the committee before it. It goes through the ledger's lists once it has a seat, a few at a time; and asks at once for what
somebody needs. Who answers is not believed: the ledger holds the digest. Steps: docs/protocol/sharing-nodes.md, "attachments".
"""

from __future__ import annotations

from typing import Final

import structlog
from msgspec.structs import replace

from salus import labels
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.delegations import check_attachment
from salus.consultation.registration import NODE, verify_member_signature
from salus.errors import Refused, SalusError, refuse_unless
from salus.ledger import sharing_api as m
from salus.ledger.kinds.parties import VALIDATORS, is_live_node, live_party
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.attachments import DELEGATION_C, METADATA, open_c, seal_c
from salus.ledger.kinds.sharing.committee_state import serving_epochs
from salus.ledger.kinds.sharing.delegations import DELEGATIONS, live_delegation
from salus.ledger.kinds.sharing.messages.common import UNSIGNED
from salus.ledger.kinds.sharing.records import RECORDS, find_record
from salus.ledger.kinds.sharing.share_state import SHARES
from salus.ledger.reading import PROOF_AGE_MS
from salus.ledger.state import StateView
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.errands import Failure
from salus.node.sharing.surroundings import Surroundings
from salus.records.record import metadata_hash

LOOKED_AT_A_TIME: Final = 256
"""Entries of the ledger's lists that are compared with the store at one time: some milliseconds."""
UNDER_WAY_MAX: Final = 64
"""Attachments asked for at one time on the way through the lists; each is an errand to every keeper."""
ASKED_FOR_MAX: Final = 4 * UNDER_WAY_MAX
"""With those that readers' questions bring up; whoever asks for more comes again."""
_WALKS: Final = ((lists.DELEGATIONS, DELEGATION_C), (lists.RECORDS, METADATA))
_log = structlog.get_logger(__name__)


class Fetching:
    """What one node lacks, and what it gives to others that lack it.

    :param delegations, metadata: the node's stores.
    """

    def __init__(self, around: Surroundings, delegations: AttachmentStore, metadata: AttachmentStore) -> None:
        self._around = around
        self._stores = {DELEGATION_C: delegations, METADATA: metadata}
        self._under_way: dict[tuple[str, bytes], int] = {}
        """Answers that are awaited, by sort and object."""
        self._walked: dict[str, int] = {}
        """Entries of each list that were compared since this node got its seat."""
        self._seat = 0
        """Newest epoch whose committee this node was in when it looked last."""

    # --- for others ---

    def answer(self, asked: m.AttachmentRequest) -> m.Attachment:
        """Another keeper lacks what the ledger names.

        :raises Refused: ``wrong-request``, ``not-a-member``, ``bad-signature``, ``not-found``, and as :func:`live_party`.
        """
        around = self._around
        refuse_unless(asked.party == around.name, "wrong-request", f"the question is for {asked.party}")
        refuse_unless(abs(around.now_ms() - asked.time_ms) <= PROOF_AGE_MS, "wrong-request", "the question is too old")
        seated = asked.node in keepers(around.view, around.time_ms)
        refuse_unless(seated, "not-a-member", f"{asked.node} has no seat")
        W = live_party(around.view, NODE, asked.node).W
        verify_member_signature(around.network, labels.SIG_FETCH, asked.node, W, asked.signed(), asked.signature)
        found = self._store(asked.sort).read(asked.about, asked.digest)
        if asked.sort != DELEGATION_C:
            return m.Attachment(found, None)
        return m.Attachment(None, seal_c(around.network, 0, asked.node, asked.Er, asked.about, found, around.random))

    # --- for this node ---

    def c_of(self, share: bytes) -> None:
        """Ask for c of a share's delegation, if it is not here."""
        found = SHARES.get(self._around.view, share)
        if found is not None and found.delegation is not None:
            self._look(DELEGATION_C, found.delegation)

    def metadata_of(self, rid: bytes) -> None:
        """Ask for a record's sealed metadata, if it is not here."""
        self._look(METADATA, rid)

    def catch_up(self) -> None:
        """Go on through the ledger's lists, from their start for a seat that is new (hand-over, step 5)."""
        around = self._around
        view = around.view
        seats = [record.epoch for record in serving_epochs(view, around.time_ms) if around.name in record.members]
        if not seats:
            return
        if max(seats) > self._seat:
            self._seat, self._walked = max(seats), {}
        for name, sort in _WALKS:
            start, end = self._walked.get(name, 0), lists.length(view, name, b"")
            stop = min(end, start + LOOKED_AT_A_TIME)
            for about in lists.items(view, name, b"", start, stop):
                if len(self._under_way) >= UNDER_WAY_MAX:
                    break
                self._look(sort, about)
                start += 1
            self._walked[name] = start

    def _look(self, sort: str, about: bytes) -> None:
        digest = _named(self._around, sort, about)
        if digest is not None and not self._store(sort).holds(about, digest):
            self._fetch(sort, about, digest)

    def _fetch(self, sort: str, about: bytes, digest: bytes) -> None:
        if (sort, about) in self._under_way or len(self._under_way) >= ASKED_FOR_MAX:
            return
        around = self._around
        others = [name for name in keepers(around.view, around.time_ms) if name != around.name]
        if others:
            self._under_way[(sort, about)] = len(others)
        key = BoxKey.generate(around.random)
        for name in others:
            draft = m.AttachmentRequest(around.name, name, sort, about, digest, key.Er, around.now_ms(), UNSIGNED)
            signature = around.member.sign(around.network, labels.SIG_FETCH, draft.signed(), around.random)
            asked = replace(draft, signature=signature)
            done = lambda data, failure, node=name: self.fetched(sort, about, digest, key, node, data, failure)  # noqa: E731
            around.errands.leave(name, m.ATTACHMENT, asked.encode(), done)

    def fetched(
        self, sort: str, about: bytes, digest: bytes, key: BoxKey, node: str, data: bytes | None, failure: Failure | None
    ) -> None:
        """Take an answer, which is compared with what the ledger names; a bad one is no reason to believe the next less."""
        left = self._under_way.pop((sort, about), 0) - 1
        if left > 0:
            self._under_way[(sort, about)] = left
        store = self._store(sort)
        if data is None or store.holds(about, digest):
            _log.debug("not-fetched", node=node, failure=str(failure))
            return
        around = self._around
        try:
            answer = m.Attachment.decode(data)
            if sort == METADATA:
                found = answer.metadata or b""
                same = metadata_hash(around.network, about, found) == digest
                refuse_unless(same, "bad-metadata", "not what the ledger names")
                same = find_record(around.view, about).metadata == digest
                refuse_unless(same, "bad-metadata", "the record has other metadata by now")
            else:
                if answer.c is None:
                    raise Refused("bad-delegation", "the answer is empty")
                found = open_c(around.network, 0, around.name, key.er, about, answer.c)
                # An answer that comes late would bring c back after this node signed that it is gone.
                live = live_delegation(around.view, about, around.time_ms)
                check_attachment(around.network, live.sealed, found)
            store.keep(about, digest, found, around.now_ms())
            store.name(about, digest)
        except SalusError as error:
            _log.warning("bad-attachment", node=node, error=str(error))

    def _store(self, sort: str) -> AttachmentStore:
        return self._stores[DELEGATION_C if sort == DELEGATION_C else METADATA]


def keepers(view: StateView, time_ms: int) -> list[str]:
    """Live nodes that keep attachments: those with a seat, and every committee that has something to do."""
    names = [member.name for member in VALIDATORS.need(view, b"").members]
    for record in serving_epochs(view, time_ms):
        names += record.members
    return [name for name in dict.fromkeys(names) if is_live_node(view, name)]


def _named(around: Surroundings, sort: str, about: bytes) -> bytes | None:
    """Digest of what the ledger wants kept of an object; None if nothing (any more)."""
    view = around.view
    if sort == DELEGATION_C:
        delegation = DELEGATIONS.get(view, about)
        live = delegation is not None and delegation.is_live(around.time_ms)
        return delegation.sealed.c_digest if delegation is not None and live else None
    record = RECORDS.get(view, about)
    return None if record is None or record.erased_ms else record.metadata
