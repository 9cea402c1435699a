"""The state transition: one block on one state, pure and from top to bottom.

No clock, randomness, network, disk or secret comes in: the inputs are the state and one recorded block.

Steps (docs/protocol/ledger.md, "a block"):

1. The protocol version of this height becomes active.
2. Turns that were missed are counted; evidence beside the transactions is recorded.
3. Transactions, in order: decoded, checked in the state that those before them left, applied.
4. All signatures that the checks collected are verified in one batch.
5. Values that became due are deleted, at most a thousand; new expiring values are queued.
6. The log grows by one leaf for each transaction; map, log and its length give the application hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from salus import labels
from salus.consensus.interface import BlockInput, ValidatorUpdate
from salus.errors import ConsensusError, Refused
from salus.ledger.expiry import clean_up, enqueue
from salus.ledger.genesis import CONSTANTS, NETWORK
from salus.ledger.kinds.misbehaviour import apply_block_evidence, record_missed
from salus.ledger.kinds.parties import CENTRE
from salus.ledger.kinds.protocol import active_version, settle_activation
from salus.ledger.log_entries import SUCCESS, log_leaves
from salus.ledger.signatures import AnyClaim, VerifiedClaims, failing_claims
from salus.ledger.state import Overlay, StateView, Write
from salus.ledger.transactions import BlockContext, Event, Registry, Transaction
from salus.symmetric import h2

Decoder = Callable[[bytes], Transaction[Any]]


class UnknownVersion(ConsensusError):
    """The chain has activated a protocol version that this software does not know: it must stop before it votes."""


class InvalidBlock(Refused):
    """A block holds a transaction that fails public checks.

    :ivar index: position of that transaction.
    """

    def __init__(self, index: int, refusal: Refused) -> None:
        self.index = index
        super().__init__(refusal.reason, f"transaction {index}: {refusal.detail}")


class AppliedBlock(msgspec.Struct, frozen=True):
    """What a block does to the state.

    :ivar writes: write set, by ascending map key.
    :ivar results: one for each transaction, all :data:`SUCCESS`.
    :ivar events: what followers act upon, in order.
    :ivar transaction_hashes: ``H2("tx", ..)`` of each transaction.
    :ivar log_leaves: leaf hashes for the log.
    :ivar validator_updates: changes of the validator set, active at H + 2; empty until there are elections.
    """

    writes: tuple[Write, ...]
    results: tuple[bytes, ...]
    events: tuple[Event, ...]
    transaction_hashes: tuple[bytes, ...]
    log_leaves: tuple[bytes, ...]
    validator_updates: tuple[ValidatorUpdate, ...] = ()


def apply_block(
    registry: Registry,
    view: StateView,
    block: BlockInput,
    decode: Decoder | None = None,
    verified: VerifiedClaims | None = None,
) -> AppliedBlock:
    """Apply one block to a state.

    :param decode: gives decoded transactions, if the caller has them already; ``registry.decode`` by default.
    :param verified: signatures that this replica has verified already.
    :raises InvalidBlock: if a transaction fails public checks.
    :raises UnknownVersion: if this software lacks the protocol version of this height.
    """
    run = BlockRun(registry, view, block)
    claims: list[AnyClaim] = []
    owners: list[int] = []
    for index, raw in enumerate(block.transactions):
        try:
            found = run.add((decode or registry.decode)(raw))
        except Refused as refusal:
            raise InvalidBlock(index, refusal) from None
        claims += found
        owners += [index] * len(found)
    failing = failing_claims(claims, verified)
    if failing:
        raise InvalidBlock(owners[failing[0]], claims[failing[0]].refusal())
    return run.finish()


def application_hash(log_count: int, log_root: bytes, state_root: bytes) -> bytes:
    """``H2("application-hash"; log count, log root, state root)`` (step 6), 32 bytes.

    The root of a log does not tell how many entries it has, so the count is covered by itself.
    """
    return h2(labels.APPLICATION_HASH, labels.SUITE_LEDGER, log_count, log_root, state_root)


class BlockRun:
    """A block being applied, transaction by transaction; a proposer tries transactions with the same steps.

    :ivar context: what the checks know of the block.
    """

    def __init__(self, registry: Registry, view: StateView, block: BlockInput) -> None:
        self._registry = registry
        self._state = Overlay(view)
        # step 1
        version = active_version(view, block.height)
        if version > registry.newest:
            raise UnknownVersion(
                f"protocol version {version} is active from height {block.height} on, and this software knows versions up to "
                f"{registry.newest}: upgrade it; nothing was voted for at this height"
            )
        settle_activation(self._state, block.height)
        self.context = begin_context(view, block, version)
        # step 2
        for node in block.missed:
            record_missed(self._state, node)
        for evidence in block.misbehaviour:
            apply_block_evidence(self._state, self.context, evidence)
        self._hashes: list[bytes] = []

    def check(self, tx: Transaction[Any]) -> Sequence[AnyClaim]:
        """Public checks of one transaction in the state as it stands (step 3); signatures are not verified yet.

        :raises Refused: with a reason code.
        """
        spec = self._registry.spec(tx.message, self.context.version)
        return spec.module.check(self._state, self.context, tx)

    def apply(self, tx: Transaction[Any]) -> None:
        """Apply a checked transaction (step 3)."""
        self._registry.spec(tx.message, self.context.version).module.apply(self._state, self.context, tx)
        self.context.looked_up = None
        self._hashes.append(tx.hash)

    def add(self, tx: Transaction[Any]) -> Sequence[AnyClaim]:
        """Check and apply one transaction; returns the signatures still to be verified.

        :raises Refused: nothing was applied.
        """
        claims = self.check(tx)
        self.apply(tx)
        return claims

    def finish(self) -> AppliedBlock:
        """Steps 5 and 6, once all signatures are verified."""
        context, hashes = self.context, tuple(self._hashes)
        clean_up(self._state, context.time_ms)
        enqueue(self._state, context.due)
        leaves = log_leaves(context.height, hashes)
        results = (SUCCESS,) * len(hashes)
        return AppliedBlock(self._state.write_set(), results, tuple(context.events), hashes, leaves)


def begin_context(view: StateView, block: BlockInput, version: int) -> BlockContext:
    """What checks may know of a block beside the state."""
    network = NETWORK.need(view, b"").network
    centre = CENTRE.need(view, b"")
    constants = CONSTANTS.need(view, b"")
    return BlockContext(network, centre.Pub, block.height, block.time_ms, block.proposer, version, constants, [], [])
