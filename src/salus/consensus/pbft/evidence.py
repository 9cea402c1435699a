"""Equivocation: two signatures of one seat, of the same kind, height and view, over different blocks.

Steps are those of docs/protocol/consensus.md, "Evidence".
"""

from __future__ import annotations

from typing import Final

from salus.consensus.block import MAX_MISBEHAVIOUR, PRE_PREPARE, Block, Equivocation
from salus.consensus.pbft.checks import check_equivocation
from salus.consensus.pbft.events import EvidenceFound
from salus.consensus.pbft.messages import UNSIGNED, Commit, Evidence, NewView, Prepare, PrePrepare
from salus.consensus.pbft.output import Out, add_vote, broadcast
from salus.consensus.pbft.state import State
from salus.errors import Refused

MAX_EVIDENCE: Final = 1000
"""Evidence waiting for a block; a liar needs to be convicted once, not of everything."""
MAX_CONVICTED: Final = 10_000
"""Convictions remembered, so that gossip of old evidence dies out."""


def note_vote(s: State, out: Out, message: PrePrepare | NewView | Prepare | Commit) -> None:
    """Evidence, step 1: count a verified vote of the height in flight; a second one over another block is evidence."""
    if isinstance(message, NewView):
        kind, signature = PRE_PREPARE, message.pre_prepare
    else:
        kind, signature = message.statement()[0], message.signature
    add_vote(s, kind, message.view, message.sender, message.block_id, signature)
    first = s.votes[kind, message.view][message.sender]
    if first[0] != message.block_id:
        _convict(s, out, message.sender, kind, message.height, message.view, first, (message.block_id, signature))


def note_old_vote(s: State, out: Out, message: PrePrepare | Prepare | Commit) -> None:
    """Compare a vote of the height just decided with the first one of the same seat."""
    kind = message.statement()[0]
    first = s.old_votes.get((kind, message.view), {}).get(message.sender)
    if first is not None and first[0] != message.block_id:
        second = (message.block_id, message.signature)
        _convict(s, out, message.sender, kind, message.height, message.view, first, second)


def _convict(
    s: State, out: Out, name: str, kind: str, height: int, view: int, first: tuple[bytes, bytes], second: tuple[bytes, bytes]
) -> None:
    low, high = sorted((first, second))
    evidence = Equivocation(name, kind, height, view, low[0], low[1], high[0], high[1])
    if _add(s, out, evidence):
        broadcast(s, out, Evidence(s.config.name, s.height, UNSIGNED, evidence))


def on_evidence(s: State, message: Evidence, out: Out) -> None:
    """Evidence from another replica: checked like one's own, and not passed on, for its finder tells everyone."""
    try:
        check_equivocation(s, message.evidence, s.height)
    except Refused:
        return
    _add(s, out, message.evidence)


def _add(s: State, out: Out, evidence: Equivocation) -> bool:
    key = (evidence.name, evidence.vote_kind, evidence.height, evidence.view)
    if key in s.evidence or key in s.convicted or len(s.evidence) >= MAX_EVIDENCE or s.seat_key(evidence.name) is None:
        return False
    s.evidence[key] = evidence.encode()
    out.append(EvidenceFound(evidence))
    return True


def evidence_for_proposal(s: State) -> tuple[bytes, ...]:
    """Evidence, step 3: what a proposal of this replica reports: evidence against seats of this height, oldest first."""
    seats = {m.name for m in s.validators.members}
    return tuple(encoded for key, encoded in s.evidence.items() if key[0] in seats)[:MAX_MISBEHAVIOUR]


def settle_evidence(s: State, block: Block) -> None:
    """Evidence in a decided block is done with."""
    for encoded in block.misbehaviour:
        evidence = Equivocation.decode(encoded)
        key = (evidence.name, evidence.vote_kind, evidence.height, evidence.view)
        s.evidence.pop(key, None)
        s.convicted[key] = None
    while len(s.convicted) > MAX_CONVICTED:
        del s.convicted[next(iter(s.convicted))]
