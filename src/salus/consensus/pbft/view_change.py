"""View change: replacing a primary that does not get its block decided (Castro and Liskov, section 4.4).

1. A replica whose timer expires leaves its view: it keeps the new view on disk, then sends a view-change with its prepared
   certificate of the highest view. From then on it signs nothing below that view.
2. f + 1 view-changes for higher views pull a replica along to the lowest of them, without waiting for its timer.
3. With a quorum of view-changes for its view, the timer starts again, twice as long.
4. The primary of the new view, with that quorum, proposes the block of the highest prepared certificate among them, unchanged;
   without any, a fresh block. It keeps the new-view on disk and sends it.
5. A replica checks the new-view the same way, and goes on as after a pre-prepare. A re-proposal skips clock and secret checks.
"""

from __future__ import annotations

from collections.abc import Iterable

from salus.consensus.block import PRE_PREPARE, Block, vote_bytes
from salus.consensus.pbft.checks import check_view_change
from salus.consensus.pbft.events import ProposalPrepared, ViewChanged
from salus.consensus.pbft.evidence import note_vote
from salus.consensus.pbft.messages import UNSIGNED, NewView, PreparedProof, ViewChange, signed
from salus.consensus.pbft.normal import build_block, remember_block, start_proposal, take_proposal
from salus.consensus.pbft.output import Out, Vote, complain, keep_then, sign
from salus.consensus.pbft.records import AcceptedRecord, ViewRecord
from salus.consensus.pbft.state import MAX_TIMEOUT_DOUBLINGS, Proposal, State
from salus.errors import Refused, refuse_unless


def timeout_ms(s: State) -> int:
    """How long the current view may take: doubled for every view at this height."""
    return s.config.timeout_ms << min(s.view, MAX_TIMEOUT_DOUBLINGS)


def start_view_change(s: State, view: int, out: Out) -> None:
    """View change, step 1."""
    s.view, s.changing = view, True
    s.proposal = None
    s.deadline_ms = None
    s.own = {}
    message = own_view_change(s)
    keep_then(s, out, ViewRecord(s.height, view), [Vote(message, message.encode())])
    out.append(ViewChanged(s.height, view))


def own_view_change(s: State) -> ViewChange:
    """The signed view-change of the current view, with the prepared certificate and its block."""
    proof = s.rules.carried(s.prepared)
    block = None if proof is None else s.blocks[proof.block_id][1]
    return sign(s, ViewChange(s.config.name, s.height, UNSIGNED, s.view, proof, block))


def on_view_change(s: State, message: ViewChange, out: Out) -> None:
    """Keep the view-change of the highest view of each seat; step 2."""
    known = s.view_changes.get(message.sender)
    if known is not None and known.view >= message.view:
        return
    try:
        block = check_view_change(s, message, with_block=True)
    except Refused as refusal:
        complain(s, out, refusal.reason, f"the view-change of {message.sender}: {refusal.detail}")
        return
    if block is not None and message.proof is not None and message.block is not None:
        remember_block(s, message.proof.block_id, block, message.block)
    s.view_changes[message.sender] = message
    follow(s, out)


def follow(s: State, out: Out) -> None:
    """View change, step 2: f + 1 others are beyond this view, so one honest replica is."""
    higher = sorted(c.view for name, c in s.view_changes.items() if c.view > s.view and name != s.config.name)
    if len(higher) > s.validators.faulty and s.is_voter and s.deciding is None:
        start_view_change(s, higher[0], out)


def in_view(s: State) -> list[ViewChange]:
    """The view-changes for exactly this view, in seat order."""
    found = (s.view_changes.get(m.name) for m in s.validators.members)
    return [c for c in found if c is not None and c.view == s.view]


def quorum_left(s: State) -> bool:
    """View change, step 3: a quorum has reached this view or one beyond, so its primary can be expected to act."""
    return sum(c.view >= s.view for c in s.view_changes.values()) >= s.quorum


def highest_proof(changes: Iterable[ViewChange]) -> PreparedProof | None:
    """The prepared certificate of the highest view; two of one view are of the same block, for quorums intersect."""
    proofs = [c.proof for c in changes if c.proof is not None]
    return max(proofs, key=lambda proof: (proof.view, proof.block_id), default=None)


def maybe_new_view(s: State, out: Out) -> None:
    """View change, step 4: propose the block that may be decided already, or ask the application for a fresh one."""
    if not s.changing or not s.is_primary or not s.is_voter or s.deciding is not None or s.proposal is not None:
        return
    changes = in_view(s)
    if len(changes) < s.quorum:
        return
    proof = highest_proof(changes[: s.quorum])
    if proof is None:
        start_proposal(s, out)
    elif proof.block_id in s.blocks:
        block, encoded = s.blocks[proof.block_id]
        _send_new_view(s, out, block, encoded, proof.block_id, reproposal=True)


def propose_fresh(s: State, event: ProposalPrepared, out: Out) -> None:
    """View change, step 4, without a prepared certificate."""
    changes = in_view(s)
    if not s.changing or len(changes) < s.quorum or highest_proof(changes[: s.quorum]) is not None:
        return
    block, encoded, block_id = build_block(s, event, s.next_time_ms)
    remember_block(s, block_id, block, encoded)
    _send_new_view(s, out, block, encoded, block_id, reproposal=False)


def _send_new_view(s: State, out: Out, block: Block, encoded: bytes, block_id: bytes, *, reproposal: bool) -> None:
    changes = tuple(_without_block(c) for c in in_view(s)[: s.quorum])
    pre_prepare = s.signer.sign(vote_bytes(s.config.network, PRE_PREPARE, s.height, s.view, block_id))
    message = signed(
        NewView(s.config.name, s.height, UNSIGNED, s.view, changes, block_id, encoded, pre_prepare), s.config.network, s.signer
    )
    data = message.encode()
    s.changing = False
    s.proposal = Proposal(s.view, block_id, block, encoded, data, pre_prepare, reproposal, "accepted")
    s.own = {}
    keep_then(s, out, AcceptedRecord(s.height, s.view, block_id, data), [Vote(message, data)])


def _without_block(change: ViewChange) -> ViewChange:
    return ViewChange(change.sender, change.height, change.signature, change.view, change.proof, None)


def on_new_view(s: State, message: NewView, data: bytes, out: Out) -> None:
    """View change, step 5: a new-view of this view or a later one takes effect if its view-changes bear it out."""
    if message.view < s.view or message.view == 0 or s.deciding is not None:
        return
    if message.view == s.view and not s.changing and s.proposal is not None and s.proposal.stage != "refused":
        note_vote(s, out, message)
        return
    try:
        proof = _check_new_view(s, message)
    except Refused as refusal:
        complain(s, out, refusal.reason, f"the new-view of {message.sender}: {refusal.detail}")
        return
    note_vote(s, out, message)
    if message.view > s.view or s.changing:
        s.proposal = None
        s.deadline_ms = None
        s.own = {}
    s.view, s.changing = message.view, False
    take_proposal(s, message, data, out, reproposal=proof is not None, signature=message.pre_prepare)


def _check_new_view(s: State, message: NewView) -> PreparedProof | None:
    primary = s.validators.primary(s.height, message.view).name
    refuse_unless(message.sender == primary, "not-authorised", f"view {message.view} is started by {primary}")
    refuse_unless(len({c.sender for c in message.view_changes}) >= s.quorum, "no-quorum", "too few view-changes")
    refuse_unless(len({c.sender for c in message.view_changes}) == len(message.view_changes), "no-quorum", "a seat twice")
    key = s.seat_key(message.sender) or b""
    items = [(key, vote_bytes(s.config.network, PRE_PREPARE, s.height, message.view, message.block_id), message.pre_prepare)]
    for change in message.view_changes:
        refuse_unless((change.height, change.view) == (s.height, message.view), "bad-encoding", "a view-change of another view")
        check_view_change(s, change, with_block=False)
        items.append((s.seat_key(change.sender) or b"", vote_bytes(s.config.network, *change.statement()), change.signature))
    refuse_unless(all(s.verifier.verify(items)), "bad-signature", "a signature in the new-view")
    proof = highest_proof(message.view_changes)
    if proof is not None:
        refuse_unless(proof.block_id == message.block_id, "not-authorised", "another block than the highest certificate's")
    return proof
