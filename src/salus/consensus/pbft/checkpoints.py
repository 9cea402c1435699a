"""Checkpoints: replicas sign the state they reached (Castro and Liskov, section 4.3).

Every header already certifies the state after the block before it. Checkpoints do the rest: at fixed heights a quorum
proves that it reached the same state, so that a replica whose state went wrong stops at once and the vote log is cut;
and on demand they prove a snapshot without waiting for another block.
"""

from __future__ import annotations

from salus.consensus.block import CommitSignature
from salus.consensus.pbft.messages import UNSIGNED, Checkpoint, StableCheckpoint, checkpoint_digest
from salus.consensus.pbft.output import Out, broadcast, halt, send, set_hash, sign
from salus.consensus.pbft.state import CHECKPOINTS_KEPT, State


def note_checkpoint(s: State, out: Out) -> None:
    """Checkpoints, step 1: sign the state after the block just stored; send it at the interval's heights."""
    last = s.last
    point = Checkpoint(
        s.config.name,
        last.height,
        UNSIGNED,
        last.block_id,
        last.application_hash,
        set_hash(s.validators),
        set_hash(s.next_validators),
        0,
    )
    s.own_checkpoints[last.height] = point
    while len(s.own_checkpoints) > CHECKPOINTS_KEPT:
        del s.own_checkpoints[min(s.own_checkpoints)]
    if last.height % s.config.checkpoint_interval == 0:
        broadcast(s, out, point)
        _count(s, out, sign(s, point))
    for height in [h for h in s.checkpoint_votes if h <= last.height - CHECKPOINTS_KEPT]:
        del s.checkpoint_votes[height]
    for vote in list(s.checkpoint_votes.get(last.height, {}).values()):
        _count(s, out, vote)


def want_checkpoint(s: State, out: Out, height: int) -> None:
    """Ask everyone to sign the state after ``height``."""
    own = s.own_checkpoints.get(height)
    if own is not None:
        message = Checkpoint(
            own.sender, own.height, UNSIGNED, own.block_id, own.application_hash, own.validators_hash, own.next_validators_hash, 1
        )
        broadcast(s, out, message)
        _count(s, out, sign(s, message))


def on_checkpoint(s: State, message: Checkpoint, out: Out) -> None:
    """Count another replica's checkpoint of a recent height; answer with one's own if it is wanted."""
    if not s.last.height - CHECKPOINTS_KEPT < message.height <= s.height:
        return
    own = s.own_checkpoints.get(message.height)
    if message.wanted and own is not None:
        send(s, out, message.sender, own)
    _count(s, out, message)


def _count(s: State, out: Out, message: Checkpoint) -> None:
    votes = s.checkpoint_votes.setdefault(message.height, {})
    votes.setdefault(message.sender, message)
    if s.stable is not None and s.stable.height >= message.height and not _served_needs(s, message.height):
        return
    # Votes are of the set of the checkpoint's height, which is the one before the set in flight if that just changed.
    validators = s.previous_validators if message.height == s.last.height else s.validators
    digest = checkpoint_digest(message)
    same = {m.name: votes[m.name] for m in validators.members if m.name in votes and checkpoint_digest(votes[m.name]) == digest}
    if len(same) < s.rules.quorum(validators):
        return
    own = s.own_checkpoints.get(message.height)
    if own is not None and checkpoint_digest(own) != digest:
        halt(
            s,
            out,
            f"a quorum signed that height {message.height} led to application hash {message.application_hash.hex()}, here "
            f"it led to {own.application_hash.hex()}: this node's state is wrong; restore it from its peers",
        )
        return
    if own is None:
        return
    signatures = tuple(CommitSignature(name, vote.signature) for name, vote in list(same.items())[: s.rules.quorum(validators)])
    s.stable = StableCheckpoint(
        message.height,
        message.block_id,
        message.application_hash,
        message.validators_hash,
        message.next_validators_hash,
        signatures,
    )


def _served_needs(s: State, height: int) -> bool:
    return s.served is not None and s.served.checkpoint is None and s.served.height == height
