"""Misbehaviour of nodes: evidence that convicts, and turns that were missed.

A later election weighs what is recorded here; nothing here changes the validator set by itself.
"""

from __future__ import annotations

from typing import Final

from salus.codec import Label, Message, Name, encode
from salus.consensus.block import Equivocation
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.parties import VALIDATORS
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction

EQUIVOCATION: Final = "equivocation"


class Evidence(Message, frozen=True):
    """Anybody brings evidence that a seat signed two votes of one kind, height and view."""

    KIND = "misbehaviour.evidence"
    evidence: Equivocation


class Conviction(Message, frozen=True):
    """What a node was convicted of.

    :ivar offence: ``equivocation`` or ``false-deal``. :ivar height, time_ms: of the block that records it.
    """

    KIND = "state.conviction"
    node: Name
    offence: Label
    height: int
    time_ms: int


class Record(Message, frozen=True):
    """A node's count of convictions and of turns missed."""

    KIND = "state.misbehaviour"
    convictions: int
    missed: int


CONVICTIONS: Final = Table("conviction", Conviction)
RECORDS: Final = Table("misbehaviour", Record)


def conviction_key(node: str, offence: str, subject: bytes) -> bytes:
    """Raw state key of one conviction; ``subject`` tells apart what the node did."""
    return encode((node, offence, subject))


def check_new(view: StateView, node: str, offence: str, subject: bytes) -> None:
    """Whether this is not recorded yet.

    :raises Refused: ``already-done``.
    """
    known = CONVICTIONS.get(view, conviction_key(node, offence, subject))
    refuse_unless(known is None, "already-done", f"{offence} of {node}")


def record_conviction(state: Overlay, context: BlockContext, node: str, offence: str, subject: bytes) -> None:
    """Write a conviction and count it."""
    CONVICTIONS.put(state, conviction_key(node, offence, subject), Conviction(node, offence, context.height, context.time_ms))
    record = RECORDS.get(state, node.encode()) or Record(0, 0)
    RECORDS.put(state, node.encode(), Record(record.convictions + 1, record.missed))
    context.emit("misbehaviour.recorded", node.encode())


def record_missed(state: Overlay, node: str) -> None:
    """Count a turn that ``node`` let pass."""
    record = RECORDS.get(state, node.encode()) or Record(0, 0)
    RECORDS.put(state, node.encode(), Record(record.convictions, record.missed + 1))


def check_equivocation(view: StateView, context: BlockContext, evidence: Equivocation) -> None:
    """Check evidence against the seats of this height.

    :raises Refused: ``bad-evidence``, ``already-done``, ``unknown-party``, ``bad-signature``, ``bad-encoding``.
    """
    refuse_unless(evidence.height <= context.height, "bad-evidence", f"evidence of height {evidence.height}, which is to come")
    validators = VALIDATORS.need(view, b"")
    member = validators.members[validators.index(evidence.name)]
    check_new(view, evidence.name, EQUIVOCATION, equivocation_subject(evidence))
    evidence.verify(context.network, member.public_key)


def equivocation_subject(evidence: Equivocation) -> bytes:
    """What tells two equivocations of a node apart: kind, height and view, but not which of many ids are shown."""
    return encode((evidence.vote_kind, evidence.height, evidence.view))


def apply_equivocation(state: Overlay, context: BlockContext, evidence: Equivocation) -> None:
    """Record checked evidence."""
    record_conviction(state, context, evidence.name, EQUIVOCATION, equivocation_subject(evidence))


def apply_block_evidence(state: Overlay, context: BlockContext, encoded: bytes) -> None:
    """Evidence that the engine put beside the transactions: recorded if it holds and is new, else without effect."""
    try:
        evidence = Equivocation.decode(encoded)
        check_equivocation(state, context, evidence)
    except Refused:
        return  # a proposer's bad or repeated evidence convicts nobody, and a block is not refused for it
    apply_equivocation(state, context, evidence)


class _Evidence:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[Evidence]) -> list[Claim]:
        check_equivocation(view, context, tx.message.evidence)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Evidence]) -> None:
        apply_equivocation(state, context, tx.message.evidence)


KINDS: Final = (KindSpec(Evidence, _Evidence()),)
