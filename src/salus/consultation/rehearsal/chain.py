"""The rehearsal's ledger: a handful of sets, and the public rules of admission that :mod:`salus.ledger` keeps for real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from salus.codec import decode
from salus.consultation.envelope import VerifiedEnvelope
from salus.consultation.receipts import (
    UploadReceipt,
    check_upload,
)
from salus.consultation.registration import (
    CLOUD,
    DOCTOR,
    Domain,
    MemberRecord,
    quarter_of,
)
from salus.consultation.reply import ConsultationReply, check_reply_matches, verify_reply
from salus.consultation.request import (
    ConsultationRequest,
    RequestContext,
)
from salus.errors import Refused, refuse_unless

VALID_MS: Final = 60_000
"""How long a rehearsed request stays valid."""
RETENTION_MS: Final = 3_600_000
TIME_TOLERANCE_MS: Final = 600_000
CENTRE_NAME: Final = "authority/centre"
CLOUD_NAME: Final = "store/cloud"


def decode_transaction(data: bytes) -> ConsultationRequest | ConsultationReply:
    """The two kinds of transaction of this suite.

    :raises Refused: ``bad-encoding``, ``unknown-kind``.
    """
    value = decode(data)
    kind = value[0] if type(value) is tuple and value else None
    for known in (ConsultationRequest, ConsultationReply):
        if kind == known.KIND:
            return known.from_value(value)
    raise Refused("unknown-kind", "neither Transaction 1 nor Transaction 2")


class Committed(msgspec.Struct, frozen=True):
    """A chained request with what was looked up at its admission."""

    request: ConsultationRequest
    context: RequestContext
    time_ms: int


class Chain:
    """Public state, the same for everybody, and the public rules of admission."""

    def __init__(self, domain: Domain, now_ms: Callable[[], int]) -> None:
        self.domain = domain
        self.now_ms = now_ms
        self.members: dict[str, MemberRecord] = {}
        self.slots: dict[tuple[str, int], bytes] = {}
        self.epochs: dict[int, bytes] = {}
        self.nullifiers: set[bytes] = set()
        self.one_time_keys: set[bytes] = set()
        self.revoked: set[bytes] = set()
        self.taken: set[tuple[str, int]] = set()
        self.requests: dict[bytes, Committed] = {}
        self.replies: dict[bytes, ConsultationReply] = {}

    @property
    def network(self) -> bytes:
        """The network's identifier."""
        return self.domain.network

    @property
    def quarters(self) -> tuple[int, int]:
        """Quarters accepted now: the running one and the one before it (in grace)."""
        running = quarter_of(self.now_ms())
        return running - 1, running

    def W(self, role: str, name: str) -> bytes:
        """Public key of a member.

        :raises Refused: ``unknown-party``.
        """
        record = self.members.get(name)
        if record is None or record.role != role:
            raise Refused("unknown-party", f"{role} {name}")
        return record.public_key(self.domain.Pub).encode()

    def context(self, ID_D: str, sn: int, epoch: int) -> RequestContext:
        """What a request is checked against.

        :raises Refused: ``wrong-epoch``, ``unknown-slot``, ``unknown-party``.
        """
        refuse_unless(epoch in self.epochs, "wrong-epoch")
        W_D = self.W(DOCTOR, ID_D)
        refuse_unless((ID_D, sn) in self.slots, "unknown-slot")
        return RequestContext(epoch, self.epochs[epoch], W_D, self.slots[ID_D, sn])

    def check_receipt(self, receipt: UploadReceipt, digest: bytes, size_bytes: int, needed_until_ms: int) -> None:
        """The upload receipt is the cloud's and lasts long enough.

        :raises Refused: ``bad-receipt``, ``unknown-party``.
        """
        check_upload(self.network, receipt, digest, size_bytes, self.W(CLOUD, receipt.cloud))
        refuse_unless(receipt.keep_until_ms >= needed_until_ms, "bad-receipt", "it ends too early")

    def check_request(self, request: ConsultationRequest) -> RequestContext:
        """Public checks of Transaction 1 (chaining, step 2)."""
        context = self.context(request.ID_D, request.sn, request.epoch)
        refuse_unless(request.valid_until_ms >= self.now_ms(), "expired")
        refuse_unless(request.nf not in self.nullifiers, "used-credential")
        refuse_unless(request.A not in self.one_time_keys, "used-key")
        refuse_unless((request.ID_D, request.sn) not in self.taken, "slot-taken")
        self.check_receipt(request.U, request.digest, request.size_bytes, request.valid_until_ms + RETENTION_MS)
        return context

    def check_sender(self, sender: VerifiedEnvelope) -> None:
        """Quarter and revocation of an opened sender (chaining, step 1)."""
        refuse_unless(sender.quarter in self.quarters, "wrong-quarter")
        refuse_unless(sender.hp not in self.revoked, "revoked")

    def check_reply(self, reply: ConsultationReply) -> None:
        """All checks of Transaction 2 (chaining, step 3)."""
        committed = self.requests.get(reply.h1)
        if committed is None:
            raise Refused("unknown-request")
        check_reply_matches(reply, committed.request, reply.h1)
        refuse_unless(reply.h1 not in self.replies, "already-answered")
        refuse_unless(reply.A_D not in self.one_time_keys, "used-key")
        self.check_receipt(reply.U, reply.digest, reply.size_bytes, self.now_ms() + RETENTION_MS)
        verify_reply(self.network, reply, self.W(DOCTOR, reply.ID_D))

    def commit(self, transaction: ConsultationRequest | ConsultationReply) -> None:
        """Chain a transaction that every node has checked."""
        if isinstance(transaction, ConsultationReply):
            self.replies[transaction.h1] = transaction
            self.one_time_keys.add(transaction.A_D)
            return
        context = self.context(transaction.ID_D, transaction.sn, transaction.epoch)
        self.nullifiers.add(transaction.nf)
        self.one_time_keys.add(transaction.A)
        self.taken.add((transaction.ID_D, transaction.sn))
        self.requests[transaction.tx_hash()] = Committed(transaction, context, self.now_ms())
