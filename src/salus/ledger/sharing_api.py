"""What travels between clients, nodes and check nodes in the sharing half.

============================= =============================== ==========================================================
method                        request                         answer
============================= =============================== ==========================================================
``sharing.accept``            :class:`AcceptRequest`          :class:`Acceptance`: general node O takes a transaction
``sharing.acceptance``        :class:`AcceptanceRequest`      :class:`Acceptance`: how far it has come since
``sharing.store``             :class:`StoreRequest`           :class:`PendingReceipt` (between nodes)
``sharing.verdict``           :class:`VerdictRequest`         encoded ``CheckVerdict`` of a check node
``sharing.attach-delegation`` :class:`AttachDelegation`       :class:`AttachmentReceipt`
``sharing.attach-metadata``   :class:`AttachMetadata`         :class:`AttachmentReceipt`
``sharing.metadata``          :class:`MetadataRequest`        :class:`Metadata`
``sharing.attachment``        :class:`AttachmentRequest`      :class:`Attachment` (between nodes: a new member fetches)
``sharing.partial-key``       :class:`PartialKeyRequest`      encoded ``IssuedPartial``
``sharing.evaluate``          :class:`EvaluateRequest`        encoded ``Evaluation``
``sharing.search``            :class:`SearchRequest`          an ``AnswerBox`` with a :class:`SearchAnswer`
``sharing.claim``             :class:`ClaimRequest`           encoded ``PartialClaim`` (between nodes)
``sharing.partial``           :class:`PartialRequest`         encoded ``PartialTransformation``, once the grant is committed
``sharing.deletion``          :class:`DeletionRequest`        encoded ``Deletion`` of a revoked delegation
``sharing.status``            :class:`SharingStatusRequest`   :class:`SharingStatus`
============================= =============================== ==========================================================

A check node answers ``sharing.verdict``, ``node.query`` and ``node.status`` alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from salus import labels
from salus.abpre.threshold.box import Box
from salus.abpre.threshold.committee import SEATS_MAX
from salus.abpre.threshold.delegations import SealedDelegation
from salus.codec import Bytes16, Bytes32, Bytes64, Label, Message, Name, Size, Text, encode
from salus.errors import Refused, refuse_unless
from salus.groups import multi_signatures
from salus.ledger.kinds.sharing.messages.shares import CheckVerdict
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from salus.records.record import METADATA_BYTES_MAX
from salus.search.index import FOUND_MAX
from salus.search.question import QuestionBox
from salus.search.tokens import BlindedWords

ACCEPT: Final = "sharing.accept"
ACCEPTANCE: Final = "sharing.acceptance"
STORE: Final = "sharing.store"
VERDICT: Final = "sharing.verdict"
ATTACH_DELEGATION: Final = "sharing.attach-delegation"
ATTACH_METADATA: Final = "sharing.attach-metadata"
METADATA: Final = "sharing.metadata"
ATTACHMENT: Final = "sharing.attachment"
PARTIAL_KEY: Final = "sharing.partial-key"
EVALUATE: Final = "sharing.evaluate"
SEARCH: Final = "sharing.search"
CLAIM: Final = "sharing.claim"
PARTIAL: Final = "sharing.partial"
DELETION: Final = "sharing.deletion"
STATUS: Final = "sharing.status"

SEALED_METADATA_MAX: Final = METADATA_BYTES_MAX + 256
"""Sealed metadata with its frame."""
CHECK_NODES_MAX: Final = 128
EPOCHS_SHOWN_MAX: Final = 16
LIARS_SHOWN_MAX: Final = 64

Raw = Annotated[bytes, Size(1, MAX_TRANSACTION_BYTES)]
BlsSignature = Annotated[bytes, Size(48, 48)]
About = Annotated[bytes, Size(16, 32)]
"""Id of an attachment's object: rid of a record, id of a delegation."""
Bitmap = Annotated[bytes, Size(1, (SEATS_MAX + 7) // 8)]


# --- general node O: verdict and pending receipts ---


class AcceptRequest(Message, frozen=True):
    """A client hands a transaction to a general node; the same bytes again tell how far it has come."""

    KIND = "sharing.accept-request"

    transaction: Raw


class AcceptanceRequest(Message, frozen=True):
    """How far has the acceptance of a transaction come?"""

    KIND = "sharing.acceptance-request"

    tx_hash: Bytes32


class StoreRequest(Message, frozen=True):
    """A general node asks another node to keep a transaction durably until it is committed."""

    KIND = "sharing.store-request"

    transaction: Raw


class PendingReceipt(Message, frozen=True):
    """A node has stored a transaction durably in its pending store.

    :ivar signature: BLS, of :func:`pending_message`.
    """

    KIND = "sharing.pending-receipt"

    tx_hash: Bytes32
    node: Name
    signature: BlsSignature


class PendingCertificate(Message, frozen=True):
    """At least f + 1 pending receipts in one signature: ``accepted``, may still be refused by consensus.

    :ivar signers: one bit for each seat of the validator set in its order, the first the most significant; unused bits zero.
    """

    KIND = "sharing.pending-certificate"

    tx_hash: Bytes32
    signers: Bitmap
    signature: BlsSignature


class Acceptance(Message, frozen=True):
    """How far the acceptance of a transaction has come.

    :ivar verdict: of the check node whose turn it was, or None so far.
    :ivar certificate: of at least f + 1 nodes' pending stores, or None so far.
    """

    KIND = "sharing.acceptance"

    tx_hash: Bytes32
    verdict: CheckVerdict | None
    certificate: PendingCertificate | None


class VerdictRequest(Message, frozen=True):
    """A check node is asked to judge a transaction.

    :ivar height: judge in the state after this block or a later one.
    """

    KIND = "sharing.verdict-request"

    transaction: Raw
    height: int


def pending_message(network: bytes, tx_hash: bytes) -> bytes:
    """What every node signs that has stored a transaction: the same bytes for all."""
    return encode((labels.PENDING, labels.SUITE_LEDGER, network, tx_hash))


def make_pending_certificate(
    network: bytes, seats: list[tuple[str, bytes]], receipts: list[PendingReceipt]
) -> PendingCertificate:
    """Add receipts up; those that do not verify are left out.

    :param seats: name and BLS key of every seat, in the order of the validator set. :param receipts: of one transaction.
    :raises Refused: ``no-quorum`` for fewer than f + 1 good ones.
    """
    needed = (len(seats) - 1) // 3 + 1
    refuse_unless(bool(receipts), "no-quorum", "no node has stored it")
    message = pending_message(network, receipts[0].tx_hash)
    places = {name: (index, key) for index, (name, key) in enumerate(seats)}
    good: dict[int, bytes] = {}
    for receipt in receipts:
        place = places.get(receipt.node)
        if place is not None and receipt.tx_hash == receipts[0].tx_hash and _signed(place[1], message, receipt.signature):
            good[place[0]] = receipt.signature
    refuse_unless(len(good) >= needed, "no-quorum", f"{len(good)} nodes have stored it, {needed} are needed")
    marks = sum(1 << (len(seats) - 1 - index) for index in good) << (-len(seats) % 8)
    signers = marks.to_bytes((len(seats) + 7) // 8, "big")
    return PendingCertificate(receipts[0].tx_hash, signers, multi_signatures.aggregate(list(good.values())))


def check_pending_certificate(network: bytes, seats: list[tuple[str, bytes]], certificate: PendingCertificate) -> tuple[str, ...]:
    """A client's check of a certificate: one aggregate, one bitmap, one check.

    :return: names of the nodes that have stored the transaction, at least f + 1.
    :raises Refused: ``bad-encoding`` for the bitmap, ``no-quorum``, ``bad-signature``.
    """
    unused, count = -len(seats) % 8, len(seats)
    marks = int.from_bytes(certificate.signers, "big")
    sized = len(certificate.signers) == (count + 7) // 8 and marks & ((1 << unused) - 1) == 0
    refuse_unless(sized, "bad-encoding", "the bitmap has one bit for each seat")
    signers = [seat for i, seat in enumerate(seats) if marks >> (count - 1 - i + unused) & 1]
    refuse_unless(len(signers) >= (count - 1) // 3 + 1, "no-quorum", f"{len(signers)} pending receipts")
    message = pending_message(network, certificate.tx_hash)
    multi_signatures.verify([key for _, key in signers], message, certificate.signature)
    return tuple(name for name, _ in signers)


def _signed(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        multi_signatures.verify([key], message, signature)
    except Refused:
        return False
    return True


# --- attachments ---


class AttachDelegation(Message, frozen=True):
    """An owner hands c of a delegation to a node, with the part that the ledger will hold (:mod:`salus.ledger.handing_out`).

    :ivar c: 48 bytes, boxed to the node's seat.
    :ivar signature: by V: else a stranger keeps nodes checking what looks like delegations.
    """

    KIND = "sharing.attach-delegation"

    sealed: SealedDelegation
    c: Box
    signature: Bytes64


class AttachMetadata(Message, frozen=True):
    """An owner hands a record's sealed metadata to a node."""

    KIND = "sharing.attach-metadata"

    rid: Bytes16
    sealed: Annotated[bytes, Size(1, SEALED_METADATA_MAX)]


class AttachmentReceipt(Message, frozen=True):
    """A node holds an attachment, checked and durable; 2f + 1 of them add up to ``AttachmentReceipts``.

    :ivar epoch: of the committee. :ivar about: object id. :ivar digest: of the attachment.
    :ivar signature: BLS, of :func:`salus.ledger.kinds.sharing.attachments.attachment_message`.
    """

    KIND = "sharing.attachment-receipt"

    epoch: int
    node: Name
    about: About
    digest: Bytes32
    signature: BlsSignature


class ReadProof(Message, frozen=True):
    """A reader shows that it is the one to whom a share was granted, or the record's owner.

    :ivar share: the granted share; None for the owner. :ivar reader: institution's name; empty for the owner.
    :ivar V: the scope's public key, for the owner; None otherwise.
    :ivar party: who is asked: a cloud's or a node's name, so that it cannot read elsewhere with it.
    :ivar time_ms: reader's clock, UTC milliseconds.
    """

    KIND = "sharing.read-proof"

    rid: Bytes16
    share: Bytes32 | None
    reader: Annotated[str, Size(0, 128)]
    V: Bytes32 | None
    party: Name
    time_ms: int
    signature: Bytes64

    def signed(self) -> tuple[Any, ...]:
        """What the signature covers: an institution's under label ``sig-read``, V's as everything that V signs."""
        return self.to_value()[:-1]


class MetadataRequest(Message, frozen=True):
    """A reader asks for a record's sealed metadata."""

    KIND = "sharing.metadata-request"

    proof: ReadProof


class Metadata(Message, frozen=True):
    """Sealed metadata; the asker compares it with the ledger's hash."""

    KIND = "sharing.metadata"

    data: Annotated[bytes, Size(1, SEALED_METADATA_MAX)]


class AttachmentRequest(Message, frozen=True):
    """A node lacks an attachment that the ledger names, and asks another one.

    :ivar sort: ``metadata`` or ``delegation-c``. :ivar Er: one-time key that c is boxed to. :ivar time_ms: asker's clock.
    :ivar signature: by the node's key, label ``sig-fetch``, over everything before it.
    """

    KIND = "sharing.attachment-request"

    node: Name
    party: Name
    sort: Label
    about: About
    digest: Bytes32
    Er: Bytes32
    time_ms: int
    signature: Bytes64

    def signed(self) -> tuple[Any, ...]:
        """What the signature covers."""
        return self.to_value()[:-1]


class Attachment(Message, frozen=True):
    """Between nodes: sealed metadata as it is, or c boxed to the asker. One of the two is there."""

    KIND = "sharing.attachment"

    metadata: Annotated[bytes, Size(1, SEALED_METADATA_MAX)] | None
    c: Box | None


# --- partial results ---


class PartialKeyRequest(Message, frozen=True):
    """A requester asks for a node's partial key of a committed request.

    :ivar request: digest of the key request.
    """

    KIND = "sharing.partial-key-request"

    request: Bytes32


class EvaluateRequest(Message, frozen=True):
    """Blinded words of a committed order, to be evaluated under the node's share.

    :ivar order: hash of the committed transaction.
    """

    KIND = "sharing.evaluate-request"

    order: Bytes32
    blinded: BlindedWords


class SearchRequest(Message, frozen=True):
    """A question to the value node that a committed share request names.

    :ivar request: hash of that transaction.
    """

    KIND = "sharing.search-request"

    request: Bytes32
    box: QuestionBox


class SearchHit(Message, frozen=True):
    """A record found. :ivar key: place of the key in the question."""

    KIND = "sharing.search-hit"

    key: int
    rid: Bytes16


class SearchAnswer(Message, frozen=True):
    """What the index gave, sealed to the asker (:mod:`salus.search.answer_box`).

    :ivar more: 1 if there are more records than one answer holds.
    """

    KIND = "sharing.search-answer"

    height: int
    found: Annotated[tuple[SearchHit, ...], Size(0, FOUND_MAX)]
    more: int


class ClaimRequest(Message, frozen=True):
    """The value node asks another node for its signature of a sealed partial.

    :ivar share: id of the share.
    """

    KIND = "sharing.claim-request"

    share: Bytes32


class PartialRequest(Message, frozen=True):
    """A requester asks for a node's partial of a granted share; it is sealed to the request's one-time key."""

    KIND = "sharing.partial-request"

    share: Bytes32


class DeletionRequest(Message, frozen=True):
    """Has the node deleted c of a revoked delegation?"""

    KIND = "sharing.deletion-request"

    delegation: Bytes32


# --- how a node is ---


class SharingStatusRequest(Message, frozen=True):
    """Ask how a node is in the sharing half."""

    KIND = "sharing.status-request"


class EpochHeld(Message, frozen=True):
    """What secrets a node keeps of an epoch: ``keys``, ``alpha``, ``z``, ``oprf``."""

    KIND = "sharing.epoch-held"

    epoch: int
    kinds: Annotated[tuple[Label, ...], Size(0, 8)]


class SharingStatus(Message, frozen=True):
    """How a node is in the sharing half.

    :ivar epoch: of the committee that serves, 0 before the first. :ivar held: secrets it keeps.
    :ivar pending: transactions in its pending store. :ivar delegations, metadata: attachments held.
    :ivar records: in its index. :ivar issued, evaluated, transformed, searched: what it has done since it was opened.
    :ivar liars: nodes that it caught in a false verdict. :ivar complaint: what it lacks, else empty.
    """

    KIND = "sharing.status"

    name: Name
    epoch: int
    held: Annotated[tuple[EpochHeld, ...], Size(0, EPOCHS_SHOWN_MAX)]
    pending: int
    delegations: int
    metadata: int
    records: int
    issued: int
    evaluated: int
    transformed: int
    searched: int
    liars: Annotated[tuple[Name, ...], Size(0, LIARS_SHOWN_MAX)]
    complaint: Text
