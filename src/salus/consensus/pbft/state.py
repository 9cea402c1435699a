"""Everything a replica remembers while it runs; what must survive a restart is in :mod:`.records`."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import msgspec

from salus.consensus.block import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_TRANSACTIONS,
    Block,
    Certificate,
    CertifiedHeader,
    Validator,
    ValidatorSet,
)
from salus.consensus.interface import FinalisedBlock
from salus.consensus.pbft.crypto import Signer, Verifier
from salus.consensus.pbft.messages import (
    Checkpoint,
    PreparedProof,
    SetLink,
    Signed,
    SnapshotOffer,
    StableCheckpoint,
    ViewChange,
)
from salus.consensus.pbft.records import Record
from salus.consensus.pbft.rules import Rules

CLOCK_TOLERANCE_MS: Final = 5_000
"""How far a proposal's time may be from a voter's clock, unless genesis says otherwise."""
MAX_TIMEOUT_DOUBLINGS: Final = 10
"""Timeouts stop doubling here: half an hour with the default timeout."""
VIEW_WINDOW: Final = 64
"""Votes of views further ahead than this are ignored; f + 1 view-changes lead there."""
EARLY_HEIGHTS: Final = 4
"""Messages of this many heights after the one in flight are kept: three fast replicas go on while a fourth writes to its disk."""
EARLY_PER_SENDER: Final = 16
"""Early messages kept for each sender: an honest one sends four a height."""
EARLY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of early messages kept from all senders; what is dropped is sent again."""
BLOCKS_AHEAD: Final = 32
"""Decided blocks that a lagging replica keeps until it can apply them."""
MAX_BLOCKS_KEPT: Final = 16
"""Bodies kept at one height: each accepted proposal, and bodies of prepared certificates."""
CHECKPOINTS_KEPT: Final = 64
"""Own checkpoints that can still be signed when another replica wants one."""


class Config(msgspec.Struct, frozen=True):
    """What a replica is told.

    :ivar network: network id, 32 bytes.
    :ivar name: this node.
    :ivar genesis_id: hash of the whole genesis: block 1's previous id.
    :ivar validators: the first validator set.
    :ivar peers: nodes without a seat that may take part in gossip and catch-up.
    :ivar timeout_ms: of view 0; doubled for every further view.
    :ivar resend_ms: messages of a height in flight are repeated after this long.
    :ivar status_ms: a status is sent this often.
    :ivar max_block_transactions: and ``max_block_bytes`` bound a proposal.
    :ivar checkpoint_interval: heights between checkpoints.
    :ivar clock_tolerance_ms: how far a proposal's time may be from this replica's clock.
    """

    network: bytes
    name: str
    genesis_id: bytes
    validators: ValidatorSet
    peers: tuple[Validator, ...] = ()
    timeout_ms: int = 2_000
    resend_ms: int = 1_000
    status_ms: int = 2_000
    max_block_transactions: int = 512
    max_block_bytes: int = 2 * 1024 * 1024
    checkpoint_interval: int = 64
    clock_tolerance_ms: int = CLOCK_TOLERANCE_MS
    max_pool_transactions: int = 20_000
    max_pool_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if not 0 < self.max_block_bytes <= MAX_BLOCK_BYTES or not 0 < self.max_block_transactions <= MAX_BLOCK_TRANSACTIONS:
            raise ValueError("a block's bounds are outside those of salus.consensus.block")


class LastBlock(msgspec.Struct, frozen=True):
    """The last decided block and the state after it.

    :ivar proof_due: the block changed the application hash, which no certified header carries yet.
    """

    height: int
    block_id: bytes
    time_ms: int
    certificate: Certificate | None
    application_hash: bytes
    decided: CertifiedHeader | None
    proof_due: bool
    stored_at_ms: int


class Proposal(msgspec.Struct):
    """The block of the current view.

    :ivar message: encoded pre-prepare or new-view; ``signature`` is the primary's pre-prepare.
    :ivar stage: ``checking`` (with the application), ``refused`` (may be tried again), ``accepted``.
    :ivar voted: the own prepare (or pre-prepare) is on disk and sent.
    """

    view: int
    block_id: bytes
    block: Block
    encoded: bytes
    message: bytes
    signature: bytes
    reproposal: bool
    stage: str = "checking"
    voted: bool = False


class Deciding(msgspec.Struct):
    """A decided block on its way through the application to the disk."""

    block: Block
    encoded: bytes
    certificate: Certificate
    imported: bool
    result: FinalisedBlock | None = None
    later_validators: ValidatorSet | None = None


class Pooled(msgspec.Struct):
    """A checked transaction that waits for a block.

    :ivar skipped: blocks with room that did not take it. :ivar spends: what no other waiting transaction spends.
    """

    transaction: bytes
    since_ms: int
    skipped: int = 0
    spends: bytes = b""


class Served(msgspec.Struct):
    """A snapshot kept for replicas that need pruned blocks."""

    height: int
    data: bytes
    digest: bytes
    last: LastBlock
    validators: ValidatorSet
    next_validators: ValidatorSet
    used_ms: int
    checkpoint: StableCheckpoint | None = None
    asked_by: set[tuple[str, int]] = msgspec.field(default_factory=set)


class Fetching(msgspec.Struct):
    """A snapshot on its way here."""

    offer: SnapshotOffer
    own_set: ValidatorSet
    parts: list[bytes]
    received: int
    heard_ms: int
    restoring: bool = False


class State(msgspec.Struct):
    """State of one replica between two events.

    :ivar kept: votes in the log for heights beyond the one in flight, if the application lost blocks (it was set up anew).
    """

    config: Config
    signer: Signer
    verifier: Verifier
    rules: Rules
    now_ms: int
    last: LastBlock
    previous_validators: ValidatorSet
    validators: ValidatorSet
    next_validators: ValidatorSet

    # --- the height in flight ---
    view: int = 0
    changing: bool = False
    proposal: Proposal | None = None
    preparing: tuple[int, int] | None = None
    prepared: PreparedProof | None = None
    blocks: dict[bytes, tuple[Block, bytes]] = msgspec.field(default_factory=dict)
    votes: dict[tuple[str, int], dict[str, tuple[bytes, bytes]]] = msgspec.field(default_factory=dict)
    old_votes: dict[tuple[str, int], dict[str, tuple[bytes, bytes]]] = msgspec.field(default_factory=dict)
    view_changes: dict[str, ViewChange] = msgspec.field(default_factory=dict)
    deciding: Deciding | None = None
    own: dict[str, bytes] = msgspec.field(default_factory=dict)
    early: list[tuple[Signed, bytes]] = msgspec.field(default_factory=list)

    # --- disk and timers ---
    tokens: int = 0
    kept: list[Record] = msgspec.field(default_factory=list)
    gated: dict[int, list[Any]] = msgspec.field(default_factory=dict)
    deadline_ms: int | None = None
    resend_at_ms: int | None = None
    status_at_ms: int = 0
    timer_ms: int | None = None
    complained: str = ""
    halted: str = ""

    # --- pool and evidence ---
    pool: dict[bytes, Pooled] = msgspec.field(default_factory=dict)
    pool_bytes: int = 0
    pool_spends: set[bytes] = msgspec.field(default_factory=set)
    recent: OrderedDict[bytes, int] = msgspec.field(default_factory=OrderedDict)
    checks: dict[int, tuple[str, str, int, tuple[bytes, ...]]] = msgspec.field(default_factory=dict)
    check_count: int = 0
    in_check: set[bytes] = msgspec.field(default_factory=set)
    evidence: dict[tuple[str, str, int, int], bytes] = msgspec.field(default_factory=dict)
    convicted: dict[tuple[str, str, int, int], None] = msgspec.field(default_factory=dict)

    # --- catch-up and checkpoints ---
    ahead: dict[str, int] = msgspec.field(default_factory=dict)
    requested_at_ms: int = -(1 << 60)
    future: dict[int, tuple[bytes, Certificate, str]] = msgspec.field(default_factory=dict)
    liars: set[str] = msgspec.field(default_factory=set)
    stalled: dict[str, int] = msgspec.field(default_factory=dict)
    answered: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    own_checkpoints: dict[int, Checkpoint] = msgspec.field(default_factory=dict)
    checkpoint_votes: dict[int, dict[str, Checkpoint]] = msgspec.field(default_factory=dict)
    stable: StableCheckpoint | None = None
    served: Served | None = None
    fetching: Fetching | None = None
    links: list[SetLink] = msgspec.field(default_factory=list)

    @property
    def height(self) -> int:
        """The height in flight."""
        return self.last.height + 1

    @property
    def quorum(self) -> int:
        """Votes that prepare or decide a block at this height."""
        return self.rules.quorum(self.validators)

    @property
    def is_voter(self) -> bool:
        """Whether this replica has a seat at this height."""
        return any(m.name == self.config.name for m in self.validators.members)

    @property
    def primary(self) -> str:
        """Whose turn it is."""
        return self.validators.primary(self.height, self.view).name

    @property
    def is_primary(self) -> bool:
        """Whether it is this replica's turn."""
        return self.primary == self.config.name

    @property
    def next_time_ms(self) -> int:
        """Time of a block proposed now: the clock, but after the block before."""
        return max(self.now_ms, self.last.time_ms + 1)

    @property
    def ahead_of_clock(self) -> bool:
        """Whether the chain's time is further ahead of this clock than any voter would accept."""
        return self.last.time_ms + 1 > self.now_ms + self.config.clock_tolerance_ms

    def key_of(self, name: str, height: int) -> bytes | None:
        """The consensus key under which ``name`` signs at ``height``, None if it is not known."""
        if height <= self.last.height:
            order = (self.previous_validators, self.validators, self.next_validators)
        elif height == self.height:
            order = (self.validators, self.next_validators, self.previous_validators)
        else:
            order = (self.next_validators, self.validators, self.previous_validators)
        for validators in order:
            for member in validators.members:
                if member.name == name:
                    return member.public_key
        return next((p.public_key for p in self.config.peers if p.name == name), None)

    def seat_key(self, name: str) -> bytes | None:
        """The key of ``name``'s seat at the height in flight, None if it has none."""
        return next((m.public_key for m in self.validators.members if m.name == name), None)
