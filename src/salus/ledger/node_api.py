"""What travels between a node and those who ask it.

====================  ========================  =====================================================
method                request                   answer
====================  ========================  =====================================================
``node.submit``       :class:`Submit`           :class:`Submission`
``node.outcome``      :class:`OutcomeRequest`   :class:`Outcome`
``node.query``        :class:`Query`            encoded answer of the application's query
``node.blocks``       :class:`BlocksRequest`    :class:`Blocks`
``node.status``       :class:`StatusRequest`    :class:`NodeStatus`
``node.newest``       :class:`NewestRequest`    :class:`Newest`
``node.theta``        :class:`ThetaRequest`     encoded ``ThetaBox`` (for nodes of the epoch only)
``node.sender``       encoded ``SealEvidence``  encoded ``SenderEvidence`` (if the doctor's seal is rubbish)
``node.consensus``    :class:`ConsensusBatch`   empty
====================  ========================  =====================================================
"""

from __future__ import annotations

from typing import Annotated, Final

from salus.codec import Bytes32, Bytes64, Label, Message, Name, Size, Text
from salus.consensus.block import MAX_BLOCK_BYTES, CertifiedHeader
from salus.ledger.transactions import MAX_TRANSACTION_BYTES

SUBMIT: Final = "node.submit"
OUTCOME: Final = "node.outcome"
QUERY: Final = "node.query"
BLOCKS: Final = "node.blocks"
STATUS: Final = "node.status"
NEWEST: Final = "node.newest"
THETA: Final = "node.theta"
SENDER: Final = "node.sender"
CONSENSUS: Final = "node.consensus"

SUBMIT_MAX: Final = 1024
"""Transactions of one call."""
BLOCKS_MAX: Final = 256
BLOCKS_BYTES_MAX: Final = MAX_BLOCK_BYTES + 1024 * 1024
CONSENSUS_MAX: Final = 64

UNKNOWN: Final = "unknown"
PENDING: Final = "pending"
COMMITTED: Final = "committed"
REFUSED: Final = "refused"


class Submit(Message, frozen=True):
    """Encoded transactions for the pool."""

    KIND = "node.submit"
    transactions: Annotated[tuple[Annotated[bytes, Size(1, MAX_TRANSACTION_BYTES)], ...], Size(1, SUBMIT_MAX)]


class PoolAnswer(Message, frozen=True):
    """What the pool said of one transaction; ``reason`` None if it was taken."""

    KIND = "node.pool-answer"
    tx_hash: Bytes32
    reason: Label | None
    detail: Text


class Submission(Message, frozen=True):
    """Answers in the order of the transactions."""

    KIND = "node.submission"
    answers: Annotated[tuple[PoolAnswer, ...], Size(1, SUBMIT_MAX)]


class OutcomeRequest(Message, frozen=True):
    """What became of a transaction?"""

    KIND = "node.outcome-request"
    tx_hash: Bytes32


class Outcome(Message, frozen=True):
    """``state``: unknown, pending, committed (at ``height``) or refused (with ``reason``).

    :ivar receipts: nodes whose signed pool receipt this node has seen; f + 1 of them mean ``accepted``.
    """

    KIND = "node.outcome"
    state: Label
    height: int
    reason: Label | None
    detail: Text
    receipts: int


class Query(Message, frozen=True):
    """A read-only query of the ledger."""

    KIND = "node.query"
    path: Label
    data: Annotated[bytes, Size(0, 1 << 20)]


class BlocksRequest(Message, frozen=True):
    """Decided blocks from ``height`` on, at most ``count``."""

    KIND = "node.blocks-request"
    height: int
    count: int


class BlockWithCertificate(Message, frozen=True):
    """An encoded decided block and its encoded certificate."""

    KIND = "node.block"
    block: Annotated[bytes, Size(1, BLOCKS_BYTES_MAX)]
    certificate: Annotated[bytes, Size(1, 64 * 1024)]


class Blocks(Message, frozen=True):
    """Blocks in order; none if the first is not decided yet. A first that is pruned is refused: ``pruned``."""

    KIND = "node.blocks"
    blocks: Annotated[tuple[BlockWithCertificate, ...], Size(0, BLOCKS_MAX)]


class StatusRequest(Message, frozen=True):
    """Ask how the node is."""

    KIND = "node.status-request"


class NodeStatus(Message, frozen=True):
    """How a node is.

    :ivar epochs: epochs whose theta it holds. :ivar complaint: why it does not vote or propose just now, else empty.
    """

    KIND = "node.status"
    name: Name
    network: Bytes32
    height: int
    time_ms: int
    application_hash: Bytes32
    pool: int
    epochs: Annotated[tuple[int, ...], Size(0, 64)]
    complaint: Text


class NewestRequest(Message, frozen=True):
    """What is the newest certified header that the node knows, now? :ivar nonce: fresh, so that no old answer fits."""

    KIND = "node.newest-request"
    nonce: Bytes32


class Newest(Message, frozen=True):
    """The newest certified header.

    :ivar signature: by the node's registered key over (nonce, header's id), label ``sig-newest``: it is this node that says so,
        and it says so now. Certificates alone are as good years later, and connections are not authenticated.
    """

    KIND = "node.newest"
    node: Name
    certified: CertifiedHeader
    signature: Bytes64


class ThetaRequest(Message, frozen=True):
    """A node asks for the theta of an epoch, boxed to its own keys."""

    KIND = "node.theta-request"
    node: Name
    epoch: int


class ConsensusBatch(Message, frozen=True):
    """Encoded messages between replicas, each signed."""

    KIND = "node.consensus"
    messages: Annotated[tuple[Annotated[bytes, Size(1, BLOCKS_BYTES_MAX)], ...], Size(1, CONSENSUS_MAX)]
