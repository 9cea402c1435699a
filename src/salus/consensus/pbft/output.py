"""How the parts of a replica sign, keep and send: votes leave only after what they rest on is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import msgspec

from salus.consensus.block import PRE_PREPARE, VIEW_CHANGE, CommitSignature, ValidatorSet
from salus.consensus.pbft.events import Action, Broadcast, Complaint, Halt, Persist, Send
from salus.consensus.pbft.messages import NewView, Signed, ViewChange, signed
from salus.consensus.pbft.records import Record
from salus.consensus.pbft.state import State

Out = list[Action]
S = TypeVar("S", bound=Signed)


class Vote(msgspec.Struct, frozen=True):
    """A signed message that waits for its record to be on disk; ``data`` is its encoding."""

    message: Signed
    data: bytes


Gated = Action | Vote


def sign(s: State, message: S) -> S:
    """``message`` with this replica's signature."""
    return signed(message, s.config.network, s.signer)


def broadcast(s: State, out: Out, message: Signed) -> None:
    """Sign and send to everyone."""
    out.append(Broadcast(sign(s, message).encode()))


def send(s: State, out: Out, to: str, message: Signed) -> None:
    """Sign and send to one peer."""
    out.append(Send(to, sign(s, message).encode()))


def keep_then(s: State, out: Out, record: Record, then: Sequence[Gated]) -> None:
    """Append ``record`` to the vote log; ``then`` happens once it is fsynced."""
    s.tokens += 1
    out.append(Persist(s.tokens, record))
    if s.rules.sends_wait_for_disk:
        s.gated[s.tokens] = list(then)
    else:
        release(s, out, then)


def on_persisted(s: State, token: int, out: Out) -> None:
    """The log is on disk up to ``token``: what waited for it happens now, in order."""
    for waiting in sorted(t for t in s.gated if t <= token):
        release(s, out, s.gated.pop(waiting))


def release(s: State, out: Out, then: Sequence[Gated]) -> None:
    """What waited happens now; votes of a height that is over are left out."""
    for item in then:
        if isinstance(item, Vote):
            _send_vote(s, out, item)
        else:
            out.append(item)


def _send_vote(s: State, out: Out, vote: Vote) -> None:
    message = vote.message
    kind, height, view, digest = message.statement()
    if height != s.height:
        return
    out.append(Broadcast(vote.data))
    me = s.config.name
    if isinstance(message, ViewChange):
        s.view_changes[me] = message
    elif isinstance(message, NewView):
        add_vote(s, PRE_PREPARE, view, me, message.block_id, message.pre_prepare)
    else:
        add_vote(s, kind, view, me, digest, message.signature)
    if view == s.view and (isinstance(message, ViewChange) or not s.changing):
        s.own[kind] = vote.data
    proposal = s.proposal
    if proposal is not None and proposal.view == view and kind != VIEW_CHANGE:
        proposal.voted = True


def add_vote(s: State, kind: str, view: int, sender: str, block_id: bytes, signature: bytes) -> None:
    """Count a verified vote of the height in flight; the first of a sender counts."""
    s.votes.setdefault((kind, view), {}).setdefault(sender, (block_id, signature))


def votes_for(s: State, kind: str, view: int, block_id: bytes) -> dict[str, bytes]:
    """Sender -> signature of the votes of seats over ``block_id``."""
    cast = s.votes.get((kind, view), {})
    return {m.name: cast[m.name][1] for m in s.validators.members if m.name in cast and cast[m.name][0] == block_id}


def as_signatures(s: State, votes: dict[str, bytes]) -> tuple[CommitSignature, ...]:
    """A quorum of ``votes`` in the order of the seats."""
    return tuple(CommitSignature(name, signature) for name, signature in list(votes.items())[: s.quorum])


def complain(s: State, out: Out, reason: str, detail: str) -> None:
    """Say once why this replica does not vote or propose."""
    if s.complained != detail:
        s.complained = detail
        out.append(Complaint(reason, detail))


def halt(s: State, out: Out, error: str) -> None:
    """Stop for good; everything that waited for the disk stays unsent."""
    s.halted = error
    s.gated.clear()
    out.append(Halt(error))


def moment(time_ms: int) -> str:
    """A time in messages: UTC, to the millisecond."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
    except (OverflowError, OSError, ValueError):
        return f"{time_ms} ms"


@lru_cache(maxsize=64)
def set_hash(validators: ValidatorSet) -> bytes:
    """:meth:`ValidatorSet.hash`, remembered."""
    return validators.hash()
