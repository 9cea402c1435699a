"""What goes into a replica and what comes out of it. Both are plain data; nothing here does anything."""

from __future__ import annotations

import msgspec

from salus.consensus.block import Equivocation
from salus.consensus.interface import BlockInput, BlockVerdict, CheckResult, FinalisedBlock
from salus.consensus.pbft.messages import PoolReceipt
from salus.consensus.pbft.records import Record


class _Data(msgspec.Struct, frozen=True):
    pass


# --- events ---


class Tick(_Data, frozen=True):
    """The clock shows ``now_ms`` (UTC milliseconds). Every batch of other events comes after one."""

    now_ms: int


class Received(_Data, frozen=True):
    """Encoded messages from other replicas, in order of arrival."""

    data: tuple[bytes, ...]


class Submitted(_Data, frozen=True):
    """Transactions from this node's own clients. ``request`` names the :class:`Answer`."""

    request: int
    transactions: tuple[bytes, ...]


class Persisted(_Data, frozen=True):
    """Everything up to and with the record of ``token`` is on disk."""

    token: int


class Checked(_Data, frozen=True):
    """Answer to :class:`CheckTransactions`."""

    check: int
    results: tuple[CheckResult, ...]


class ProposalPrepared(_Data, frozen=True):
    """Answer to :class:`PrepareProposal`."""

    height: int
    view: int
    transactions: tuple[bytes, ...]


class Validated(_Data, frozen=True):
    """Answer to :class:`ValidateProposal`."""

    height: int
    view: int
    block_id: bytes
    verdict: BlockVerdict


class Finalised(_Data, frozen=True):
    """Answer to :class:`FinaliseBlock`."""

    height: int
    result: FinalisedBlock


class Stored(_Data, frozen=True):
    """Answer to :class:`CommitBlock`: block and certificate are on disk."""

    height: int


class BlocksRead(_Data, frozen=True):
    """Answer to :class:`ReadBlocks`: (block, certificate) from ``height`` on; empty if the first is pruned."""

    peer: str
    height: int
    blocks: tuple[tuple[bytes, bytes], ...]


class SnapshotTaken(_Data, frozen=True):
    """Answer to :class:`TakeSnapshot`: the state after ``height``."""

    height: int
    data: bytes


class Restored(_Data, frozen=True):
    """Answer to :class:`RestoreSnapshot`; ``error`` is empty if the state is now the snapshot's."""

    height: int
    error: str = ""


Event = (
    Tick
    | Received
    | Submitted
    | Persisted
    | Checked
    | ProposalPrepared
    | Validated
    | Finalised
    | Stored
    | BlocksRead
    | SnapshotTaken
    | Restored
)

# --- actions: disk and network ---


class Persist(_Data, frozen=True):
    """Append ``record`` to the vote log; once it is fsynced, answer :class:`Persisted`."""

    token: int
    record: Record


class Send(_Data, frozen=True):
    """Send an encoded message to one peer."""

    to: str
    data: bytes


class Broadcast(_Data, frozen=True):
    """Send an encoded message to every other replica."""

    data: bytes


class SetTimer(_Data, frozen=True):
    """Send a :class:`Tick` at ``at_ms`` or soon after; replaces the timer set before."""

    at_ms: int


# --- actions: calls of the application, each answered by one event ---


class CheckTransactions(_Data, frozen=True):
    """Pool admission of a batch, against the last committed state."""

    check: int
    transactions: tuple[bytes, ...]
    time_ms: int


class PrepareProposal(_Data, frozen=True):
    """Choose transactions for a fresh block of this replica's turn."""

    height: int
    view: int
    time_ms: int
    proposer: str
    missed: tuple[str, ...]
    misbehaviour: tuple[bytes, ...]
    transactions: tuple[bytes, ...]
    max_bytes: int


class ValidateProposal(_Data, frozen=True):
    """Whether this replica may vote for a block."""

    view: int
    block_id: bytes
    block: BlockInput
    secret_checks: bool


class FinaliseBlock(_Data, frozen=True):
    """Apply a decided block to a working copy."""

    block: BlockInput


class CommitBlock(_Data, frozen=True):
    """Make the finalised block durable, with its encoded block and certificate."""

    height: int
    record: bytes
    certificate: bytes


class ReadBlocks(_Data, frozen=True):
    """Read up to ``count`` decided blocks, at most ``max_bytes`` in all (but at least one)."""

    peer: str
    height: int
    count: int
    max_bytes: int


class TakeSnapshot(_Data, frozen=True):
    """Take a snapshot of the state after ``height``, which is the last."""

    height: int


class RestoreSnapshot(_Data, frozen=True):
    """Replace the state by a snapshot, checked against a certified application hash, height and time."""

    height: int
    time_ms: int
    data: bytes
    application_hash: bytes


# --- actions: news for the node ---


class Answer(_Data, frozen=True):
    """To :class:`Submitted`: what the pool said, in the order of the transactions."""

    request: int
    results: tuple[CheckResult, ...]


class Receipt(_Data, frozen=True):
    """A verified pool receipt, this replica's own or another's."""

    receipt: PoolReceipt


class Committed(_Data, frozen=True):
    """A block is decided, proven by its certificate, and on this node's disk.

    :ivar imported: it came decided from another replica, not by votes counted here.
    """

    height: int
    view: int
    block_id: bytes
    time_ms: int
    tx_hashes: tuple[bytes, ...]
    imported: bool


class SnapshotRestored(_Data, frozen=True):
    """This replica took over the state after ``height`` from a snapshot: the blocks before it are not here."""

    height: int


class Dropped(_Data, frozen=True):
    """A transaction left the pool without being committed."""

    tx_hash: bytes
    reason: str
    detail: str


class ViewChanged(_Data, frozen=True):
    """This replica left the views below ``view``."""

    height: int
    view: int


class EvidenceFound(_Data, frozen=True):
    """A replica signed two different things where it may sign one."""

    evidence: Equivocation


class Complaint(_Data, frozen=True):
    """Why this replica does not vote or propose just now (a code of ``salus.errors.REASONS`` and what exactly)."""

    reason: str
    detail: str


class Halt(_Data, frozen=True):
    """This replica cannot go on: it voted for nothing further. ``error`` says why and what to do."""

    error: str


Action = (
    Persist
    | Send
    | Broadcast
    | SetTimer
    | CheckTransactions
    | PrepareProposal
    | ValidateProposal
    | FinaliseBlock
    | CommitBlock
    | ReadBlocks
    | TakeSnapshot
    | RestoreSnapshot
    | Answer
    | Receipt
    | Committed
    | SnapshotRestored
    | Dropped
    | ViewChanged
    | EvidenceFound
    | Complaint
    | Halt
)
