"""What replicas send each other: canonical, bounded, each signed by its sender.

Every signature is over ``(label, network, kind, height, view, digest)`` (:func:`salus.consensus.block.vote_bytes`). The
digest is the block id for votes, and a hash of the content for everything else.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any, Final, TypeVar

import msgspec

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Name, Size, decode
from salus.consensus.block import (
    CHECKPOINT,
    COMMIT,
    MAX_BLOCK_BYTES,
    MAX_VALIDATORS,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    VIEW_CHANGE,
    ZERO32,
    Certificate,
    CertifiedHeader,
    CommitSignature,
    Equivocation,
    ValidatorSet,
    transaction_hash,
    vote_bytes,
)
from salus.consensus.pbft.crypto import Signer
from salus.errors import CodecError
from salus.symmetric import h2

MAX_BLOCK_MESSAGE_BYTES: Final = MAX_BLOCK_BYTES + 512 * 1024
"""An encoded block: its body, eight bytes a transaction, header, and the certificate of the largest validator set."""
MAX_GOSSIP_TRANSACTIONS: Final = 2048
MAX_GOSSIP_BYTES: Final = 2 * 1024 * 1024
"""Transactions of one gossip message; more go in several, so that none delays votes for long."""
MAX_TRANSACTION_BYTES: Final = 1024 * 1024
"""One transaction; the largest kind (a share request's table) stays below half of it."""
PART_BYTES: Final = 4 * 1024 * 1024
"""One part of a snapshot: fits one call of the transport with room for its frame."""
MAX_SET_LINKS: Final = 256
"""Validator set changes proven in one snapshot offer: five years of weekly epochs. Who slept longer is set up from a copy."""
UNSIGNED: Final = bytes(64)
"""Placeholder until :func:`signed` puts the signature in."""

BlockBytes = Annotated[bytes, Size(1, MAX_BLOCK_MESSAGE_BYTES)]
Votes = Annotated[tuple[CommitSignature, ...], Size(1, MAX_VALIDATORS)]

STATUS: Final = "status"
BLOCK_REQUEST: Final = "block-request"
DECIDED: Final = "decided"
TRANSACTIONS: Final = "transactions"
POOL_RECEIPT: Final = "pool-receipt"
EVIDENCE: Final = "evidence"
SNAPSHOT_OFFER: Final = "snapshot-offer"
SNAPSHOT_REQUEST: Final = "snapshot-request"
SNAPSHOT_PART: Final = "snapshot-part"


class Signed(Message, frozen=True):
    """Base of all messages between replicas.

    :ivar sender: the node's name.
    :ivar height: what the message is about; for pool and catch-up messages the sender's height.
    :ivar signature: Ed25519 under the sender's consensus key, over :meth:`statement`.
    """

    sender: Name
    height: int
    signature: Bytes64

    def statement(self) -> tuple[str, int, int, bytes]:
        """``(kind, height, view, digest)``: what the sender signs."""
        raise TypeError(f"{type(self).__name__} does not say what its signature covers")


class PrePrepare(Signed, frozen=True):
    """The primary of view 0 proposes a block (in later views :class:`NewView` does)."""

    KIND = "pbft.pre-prepare"
    view: int
    block_id: Bytes32
    block: BlockBytes

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return PRE_PREPARE, self.height, self.view, self.block_id


class Prepare(Signed, frozen=True):
    """A backup has checked the primary's proposal and keeps it on disk."""

    KIND = "pbft.prepare"
    view: int
    block_id: Bytes32

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return PREPARE, self.height, self.view, self.block_id


class Commit(Signed, frozen=True):
    """A replica keeps a prepared certificate of the block on disk."""

    KIND = "pbft.commit"
    view: int
    block_id: Bytes32

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return COMMIT, self.height, self.view, self.block_id


class PreparedProof(Message, frozen=True):
    """Prepared certificate without the block: a quorum of prepares of one view, the pre-prepare being the primary's."""

    KIND = "pbft.prepared"
    view: int
    block_id: Bytes32
    votes: Votes

    def digest(self) -> bytes:
        """View and block together, so that nobody can put an older certificate of the same block in its place."""
        return h2(labels.VOTE, labels.SUITE_LEDGER, "prepared", self.view, self.block_id)


class ViewChange(Signed, frozen=True):
    """A replica left all views below ``view`` at this height.

    :ivar proof: its prepared certificate of the highest view, None if it never prepared at this height.
    :ivar block: the encoded block of the proof; None without one, and inside a new-view, which carries the block once.
    """

    KIND = "pbft.view-change"
    view: int
    proof: PreparedProof | None
    block: BlockBytes | None

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return VIEW_CHANGE, self.height, self.view, ZERO32 if self.proof is None else self.proof.digest()


class NewView(Signed, frozen=True):
    """The primary of ``view`` starts it with a quorum of view-changes and a proposal.

    :ivar pre_prepare: the primary's signature over the proposal, as of a :class:`PrePrepare` in this view.
    """

    KIND = "pbft.new-view"
    view: int
    view_changes: Annotated[tuple[ViewChange, ...], Size(1, MAX_VALIDATORS)]
    block_id: Bytes32
    block: BlockBytes
    pre_prepare: Bytes64

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        signatures = tuple((v.sender, v.signature) for v in self.view_changes)
        return NEW_VIEW, self.height, self.view, h2(labels.VOTE, labels.SUITE_LEDGER, "new-view", self.block_id, signatures)


class Checkpoint(Signed, frozen=True):
    """A replica's state after ``height``.

    :ivar validators_hash: of the set of ``height + 1``.
    :ivar next_validators_hash: of the set of ``height + 2``.
    :ivar wanted: the sender needs a stable checkpoint here: answer with your own.
    """

    KIND = "pbft.checkpoint"
    block_id: Bytes32
    application_hash: Bytes32
    validators_hash: Bytes32
    next_validators_hash: Bytes32
    wanted: Annotated[int, "0 or 1"]

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return CHECKPOINT, self.height, 0, checkpoint_digest(self)


class StableCheckpoint(Message, frozen=True):
    """Proof of the state after ``height``: a quorum of that height's set signed the same checkpoint."""

    KIND = "pbft.stable-checkpoint"
    height: int
    block_id: Bytes32
    application_hash: Bytes32
    validators_hash: Bytes32
    next_validators_hash: Bytes32
    votes: Votes


def checkpoint_digest(point: Checkpoint | StableCheckpoint) -> bytes:
    """What checkpoint signatures cover, 32 bytes."""
    hashes = (point.block_id, point.application_hash, point.validators_hash, point.next_validators_hash)
    return h2(labels.CHECKPOINT, labels.SUITE_LEDGER, hashes)


class Status(Signed, frozen=True):
    """Where a replica stands: sent now and then, and with every repetition. ``height`` is the one it works on."""

    KIND = "pbft.status"
    view: int
    last_id: Bytes32

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return STATUS, self.height, self.view, self.last_id


class BlockRequest(Signed, frozen=True):
    """Asks for decided blocks from ``height`` on."""

    KIND = "pbft.block-request"

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return BLOCK_REQUEST, self.height, 0, ZERO32


class Decided(Signed, frozen=True):
    """A decided block: proven by its certificate, whoever sends it."""

    KIND = "pbft.decided"
    block: BlockBytes
    certificate: Certificate

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        # All of it: who sends what does not verify is not believed again, so nobody on the way may alter it.
        inside = h2(labels.VOTE, labels.SUITE_LEDGER, "decided", sha256(self.block).digest(), self.certificate.digest())
        return DECIDED, self.height, 0, inside


class Transactions(Signed, frozen=True):
    """Pool gossip."""

    KIND = "pbft.transactions"
    transactions: Annotated[tuple[Annotated[bytes, Size(1, MAX_TRANSACTION_BYTES)], ...], Size(1, MAX_GOSSIP_TRANSACTIONS)]

    def hashes(self) -> tuple[bytes, ...]:
        """Transaction hashes, in order."""
        return tuple(map(hash_of, self.transactions))

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return TRANSACTIONS, self.height, 0, hashes_digest(self.hashes())


class PoolReceipt(Signed, frozen=True):
    """The sender holds these transactions in its pool: f + 1 such receipts mean ``accepted``."""

    KIND = "pbft.pool-receipt"
    tx_hashes: Annotated[tuple[Bytes32, ...], Size(1, MAX_GOSSIP_TRANSACTIONS)]

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return POOL_RECEIPT, self.height, 0, hashes_digest(self.tx_hashes)


class Evidence(Signed, frozen=True):
    """Gossip of an equivocation, which proves itself."""

    KIND = "pbft.evidence"
    evidence: Equivocation

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return EVIDENCE, self.height, 0, h2(labels.VOTE, labels.SUITE_LEDGER, "evidence", self.evidence.to_value())


class SetLink(Message, frozen=True):
    """A change of the validator set: a decided header whose next set differs, and that set."""

    KIND = "pbft.set-link"
    decided: CertifiedHeader
    next_validators: ValidatorSet


class SnapshotOffer(Signed, frozen=True):
    """The answer to who asks for pruned blocks: the state after ``height``, proven.

    :ivar size: bytes of the snapshot.
    :ivar digest: SHA-256 of it.
    :ivar links: set changes from the asker's height on.
    :ivar validators: set of ``height + 1``; ``next_validators`` of ``height + 2``.
    """

    KIND = "pbft.snapshot-offer"
    size: int
    digest: Bytes32
    anchor: CertifiedHeader
    checkpoint: StableCheckpoint
    links: Annotated[tuple[SetLink, ...], Size(0, MAX_SET_LINKS)]
    validators: ValidatorSet
    next_validators: ValidatorSet

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return SNAPSHOT_OFFER, self.height, 0, self.digest


class SnapshotRequest(Signed, frozen=True):
    """Asks for the part of the snapshot of ``height`` that starts at ``offset`` (bytes)."""

    KIND = "pbft.snapshot-request"
    offset: int

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return SNAPSHOT_REQUEST, self.height, self.offset, ZERO32


class SnapshotPart(Signed, frozen=True):
    """One part of a snapshot."""

    KIND = "pbft.snapshot-part"
    offset: int
    data: Annotated[bytes, Size(1, PART_BYTES)]

    def statement(self) -> tuple[str, int, int, bytes]:
        """See :meth:`Signed.statement`."""
        return SNAPSHOT_PART, self.height, self.offset, h2(labels.VOTE, labels.SUITE_LEDGER, "part", self.data)


MESSAGES: Final[dict[str, type[Signed]]] = {
    c.KIND: c
    for c in (
        PrePrepare,
        Prepare,
        Commit,
        ViewChange,
        NewView,
        Checkpoint,
        Status,
        BlockRequest,
        Decided,
        Transactions,
        PoolReceipt,
        Evidence,
        SnapshotOffer,
        SnapshotRequest,
        SnapshotPart,
    )
}
"""Kind -> class of everything a replica may receive."""

S = TypeVar("S", bound=Signed)


def signed(message: S, network: bytes, signer: Signer) -> S:
    """``message`` with the sender's signature put in."""
    return msgspec.structs.replace(message, signature=signer.sign(vote_bytes(network, *message.statement())))


def decode_message(data: bytes) -> Signed:
    """Decode any message between replicas; its signature is not checked here.

    :raises CodecError: if it is none.
    """
    value: Any = decode(data)
    if type(value) is not tuple or not value or type(value[0]) is not str:
        raise CodecError("a message between replicas is a tuple that starts with its kind")
    kind = MESSAGES.get(value[0])
    if kind is None:
        raise CodecError(f"replicas know no message of kind {value[0][:64]!r}", "unknown-kind")
    return kind.from_value(value)


@lru_cache(maxsize=8192)
def hash_of(transaction: bytes) -> bytes:
    """:func:`salus.consensus.block.transaction_hash`, remembered: pool, proposal and commit each ask for it."""
    return transaction_hash(transaction)


def hashes_digest(hashes: tuple[bytes, ...]) -> bytes:
    """What signatures over a list of transactions cover, 32 bytes."""
    return h2(labels.POOL_RECEIPT, labels.SUITE_LEDGER, hashes)
