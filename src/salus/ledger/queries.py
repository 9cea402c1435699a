"""Questions to a node about the ledger, and the proofs in its answers.

A proof is against the newest state whose application hash a certified header carries: the hash after block h stands in
header h + 1. Verification is in :mod:`salus.ledger.proofs`.

========================  ===========================  ===========================
path                      question                     answer
========================  ===========================  ===========================
``status``                :class:`StatusQuery`         :class:`Status`
``state``                 :class:`StateQuery`          :class:`StateProof`
``transaction``           :class:`TransactionQuery`    :class:`TransactionProof`
``block``                 :class:`BlockQuery`          :class:`BlockAnswer`
``headers``               :class:`HeadersQuery`        :class:`Headers`
``consistency``           :class:`ConsistencyQuery`    :class:`ConsistencyAnswer`
``log-leaves``            :class:`LogLeavesQuery`      :class:`LogLeaves`
``history``               :class:`HistoryQuery`        :class:`History`
========================  ===========================  ===========================
"""

from __future__ import annotations

from typing import Annotated, Final

from salus.codec import Bytes32, Label, Message, Size
from salus.consensus.block import MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, CertifiedHeader
from salus.ledger.expiry import RawKey
from salus.ledger.merkle_log import ConsistencyProof, InclusionProof, LogState
from salus.ledger.merkle_map import MapProof
from salus.ledger.transactions import MAX_TRANSACTION_BYTES

STATUS: Final = "status"
STATE: Final = "state"
TRANSACTION: Final = "transaction"
BLOCK: Final = "block"
HEADERS: Final = "headers"
CONSISTENCY: Final = "consistency"
LOG_LEAVES: Final = "log-leaves"
HISTORY: Final = "history"

KEYS_A_QUERY: Final = 256
"""State keys of one question: a doctor's day of slots."""
HEADERS_AN_ANSWER: Final = 64
LEAVES_AN_ANSWER: Final = 65536
"""Log leaves of one answer: two megabytes."""
HISTORY_AN_ANSWER: Final = 64
"""Blocks of one answer about history; most are small, and the answer stops behind a megabyte."""
MAX_RECORD_BYTES: Final = MAX_BLOCK_BYTES + 512 * 1024
MAX_VALUE_BYTES: Final = 64 * 1024
"""One state value: the largest is a queue of 499 due keys."""

Value = Annotated[bytes, Size(0, MAX_VALUE_BYTES)]


class StatusQuery(Message, frozen=True):
    """Where does the node stand?"""

    KIND = "query.status"


class Status(Message, frozen=True):
    """The node's last committed block (without proof).

    :ivar kept_from: lowest height whose block it can give whole.
    """

    KIND = "query.status-answer"
    network: Bytes32
    height: int
    time_ms: int
    application_hash: Bytes32
    log_count: int
    protocol_version: int
    software_version: int
    kept_from: int


class StateQuery(Message, frozen=True):
    """What stands under these keys of one kind?"""

    KIND = "query.state"
    kind: Label
    raw_keys: Annotated[tuple[RawKey, ...], Size(1, KEYS_A_QUERY)]


class StateValue(Message, frozen=True):
    """Value (None: absent) and proof for one key."""

    KIND = "query.state-value"
    value: Value | None
    proof: MapProof


class StateProof(Message, frozen=True):
    """Values and proofs, in the order of the keys, under a certified header.

    :ivar certified: header h + 1, whose application hash covers the state after block h.
    :ivar log_count, log_root, state_root: of that state; hashed together they give the header's application hash.
    """

    KIND = "query.state-answer"
    certified: CertifiedHeader
    log_count: int
    log_root: Bytes32
    state_root: Bytes32
    values: Annotated[tuple[StateValue, ...], Size(1, KEYS_A_QUERY)]


class TransactionQuery(Message, frozen=True):
    """Is a transaction of this hash committed?

    :ivar with_body: 1 to get the transaction itself too.
    """

    KIND = "query.transaction"
    tx_hash: Bytes32
    with_body: int


class TransactionProof(Message, frozen=True):
    """A transaction's place in the log, proven under a certified header.

    :ivar log_count: entries of the log with this root; the inclusion proof is for that many.
    :ivar height, index: its block, and its place there. :ivar result: as the log holds it.
    :ivar block_time_ms: its block's time, as the node says (the header of its block proves it).
    :ivar transaction: its encoding, None if it was not asked for or is pruned here.
    """

    KIND = "query.transaction-answer"
    certified: CertifiedHeader
    log_count: int
    log_root: Bytes32
    state_root: Bytes32
    height: int
    index: int
    result: Annotated[bytes, Size(0, 64)]
    block_time_ms: int
    inclusion: InclusionProof
    transaction: Annotated[bytes, Size(0, MAX_TRANSACTION_BYTES)] | None


class BlockQuery(Message, frozen=True):
    """The block of a height."""

    KIND = "query.block"
    height: int


class BlockAnswer(Message, frozen=True):
    """The engine's record and certificate of a block."""

    KIND = "query.block-answer"
    record: Annotated[bytes, Size(0, MAX_RECORD_BYTES)]
    certificate: Annotated[bytes, Size(0, MAX_VALUE_BYTES)]


class HeadersQuery(Message, frozen=True):
    """Certified headers from a height on, at most :data:`HEADERS_AN_ANSWER`."""

    KIND = "query.headers"
    start: int


class Headers(Message, frozen=True):
    """Consecutive certified headers; fewer than asked for if there are no more."""

    KIND = "query.headers-answer"
    headers: Annotated[tuple[CertifiedHeader, ...], Size(0, HEADERS_AN_ANSWER)]


class ConsistencyQuery(Message, frozen=True):
    """Is the log of ``first`` entries a prefix of the log of ``second``?"""

    KIND = "query.consistency"
    first: int
    second: int


class ConsistencyAnswer(Message, frozen=True):
    """The proof."""

    KIND = "query.consistency-answer"
    proof: ConsistencyProof


class LogLeavesQuery(Message, frozen=True):
    """Leaf hashes ``start .. start + count - 1`` of the log, at most :data:`LEAVES_AN_ANSWER`."""

    KIND = "query.log-leaves"
    start: int
    count: int


class LogLeaves(Message, frozen=True):
    """Leaf hashes side by side; a node that started from a snapshot fetches the older ones so, and checks them."""

    KIND = "query.log-leaves-answer"
    log: LogState
    hashes: Annotated[bytes, Size(0, 32 * LEAVES_AN_ANSWER)]


class HistoryQuery(Message, frozen=True):
    """Blocks below ``height``, the newest first, at most ``count`` and :data:`HISTORY_AN_ANSWER`."""

    KIND = "query.history"
    height: int
    count: int


class HistoryBlock(Message, frozen=True):
    """What a node knows of an older block.

    :ivar record: the block, or what stays of one whose body is ``pruned`` (1). :ivar hashes: of its transactions, side by side.
    :ivar before: the log in front of it.
    """

    KIND = "query.history-block"
    record: Annotated[bytes, Size(1, MAX_RECORD_BYTES)]
    pruned: int
    certificate: Annotated[bytes, Size(1, 64 * 1024)]
    hashes: Annotated[bytes, Size(0, 32 * MAX_BLOCK_TRANSACTIONS)]
    before: LogState


class History(Message, frozen=True):
    """Older blocks, for a node that started from a snapshot; it checks each (:mod:`salus.ledger.history`).

    :ivar log: the log in front of the block that was asked about.
    """

    KIND = "query.history-answer"
    log: LogState
    blocks: Annotated[tuple[HistoryBlock, ...], Size(0, HISTORY_AN_ANSWER)]
