"""The normal case: pre-prepare, prepare, commit, decide (Castro and Liskov, section 4.2; one height in flight).

Steps are those of docs/protocol/consensus.md, "Normal case".
"""

from __future__ import annotations

from salus.consensus.block import (
    COMMIT,
    PREPARE,
    Block,
    BlockHeader,
    Certificate,
    CertifiedHeader,
    block_input,
    transaction_root,
)
from salus.consensus.pbft.checks import check_proposal, clock_error, decode_block, previous_digest
from salus.consensus.pbft.events import (
    CommitBlock,
    Committed,
    FinaliseBlock,
    Finalised,
    PrepareProposal,
    ProposalPrepared,
    Validated,
    ValidateProposal,
)
from salus.consensus.pbft.evidence import evidence_for_proposal, note_vote, settle_evidence
from salus.consensus.pbft.messages import (
    MAX_SET_LINKS,
    UNSIGNED,
    Commit,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    SetLink,
    hash_of,
)
from salus.consensus.pbft.output import (
    Out,
    Vote,
    as_signatures,
    complain,
    halt,
    keep_then,
    set_hash,
    sign,
    votes_for,
)
from salus.consensus.pbft.pool import candidates, remove_committed
from salus.consensus.pbft.records import AcceptedRecord, LinkRecord, PreparedRecord, SetRecord
from salus.consensus.pbft.state import MAX_BLOCKS_KEPT, VIEW_WINDOW, Deciding, LastBlock, Proposal, State
from salus.errors import Refused

# --- pre-prepare ---


def has_reason(s: State) -> bool:
    """Normal case, step 1: whether a block is due: transactions wait, or a changed application hash needs its proof block."""
    return bool(s.pool) or s.last.proof_due


def maybe_propose(s: State, out: Out) -> None:
    """The primary of view 0 proposes when there is a reason; in later views :mod:`.view_change` does."""
    if s.view == 0 and not s.changing and s.proposal is None and has_reason(s):
        start_proposal(s, out)


def start_proposal(s: State, out: Out) -> None:
    """Normal case, step 2: ask the application for a fresh block of this view, once."""
    where = (s.height, s.view)
    if s.preparing == where or s.deciding is not None or not (s.is_primary and s.is_voter):
        return
    if s.ahead_of_clock:
        complain(s, out, "clock", clock_error(s))
        return
    s.preparing = where
    missed = s.validators.missed(s.height, s.view)
    out.append(
        PrepareProposal(
            s.height,
            s.view,
            s.next_time_ms,
            s.config.name,
            missed,
            evidence_for_proposal(s),
            candidates(s),
            s.config.max_block_bytes,
        )
    )


def build_block(s: State, event: ProposalPrepared, time_ms: int) -> tuple[Block, bytes, bytes]:
    """A fresh block of this replica's turn: (block, its encoding, its id)."""
    misbehaviour = evidence_for_proposal(s)
    header = BlockHeader(
        s.height,
        s.view,
        s.last.block_id,
        time_ms,
        transaction_root(event.transactions, misbehaviour),
        s.config.name,
        set_hash(s.validators),
        set_hash(s.next_validators),
        previous_digest(s.last.certificate),
        s.last.application_hash,
    )
    block = Block(header, event.transactions, misbehaviour, s.last.certificate)
    return block, block.encode(), header.id()


def propose_first(s: State, event: ProposalPrepared, out: Out) -> None:
    """Normal case, step 2, in view 0: the pre-prepare is kept on disk, then sent."""
    block, encoded, block_id = build_block(s, event, s.next_time_ms)
    message = sign(s, PrePrepare(s.config.name, s.height, UNSIGNED, 0, block_id, encoded))
    data = message.encode()
    s.proposal = Proposal(0, block_id, block, encoded, data, message.signature, False, "accepted")
    remember_block(s, block_id, block, encoded)
    keep_then(s, out, AcceptedRecord(s.height, 0, block_id, data), [Vote(message, data)])


def on_pre_prepare(s: State, message: PrePrepare, data: bytes, out: Out) -> None:
    """Normal case, step 3: a backup takes the proposal of view 0 from its primary."""
    if message.view != 0 or message.sender != s.validators.primary(s.height, 0).name:
        return
    note_vote(s, out, message)
    if s.view == 0 and not s.changing:
        take_proposal(s, message, data, out, reproposal=False, signature=message.signature)


def take_proposal(s: State, message: PrePrepare | NewView, data: bytes, out: Out, *, reproposal: bool, signature: bytes) -> None:
    """Normal case, step 3: check a proposal of the current view and hand it to the application; a refused one may come again."""
    if s.deciding is not None or (s.proposal is not None and s.proposal.stage != "refused"):
        return
    try:
        block = decode_block(message.block, message.block_id, s.height)
        s.proposal = Proposal(message.view, message.block_id, block, message.block, data, signature, reproposal, "refused")
        remember_block(s, message.block_id, block, message.block)  # the others may decide it all the same
        check_proposal(s, block, message.view, reproposal=reproposal)
    except Refused as refusal:
        complain(s, out, refusal.reason, f"the proposal of {message.sender} at height {s.height}: {refusal.detail}")
        return
    s.proposal.stage = "checking"
    out.append(ValidateProposal(message.view, message.block_id, block_input(block, s.validators), secret_checks=not reproposal))


# --- prepare ---


def on_validated(s: State, event: Validated, out: Out) -> None:
    """Normal case, step 4: the application passed it; keep the proposal on disk, then send the prepare."""
    proposal = s.proposal
    current = proposal is not None and (event.height, event.view, event.block_id) == (s.height, s.view, proposal.block_id)
    if proposal is None or not current or s.changing or proposal.stage != "checking":
        return
    if not event.verdict.valid:
        proposal.stage = "refused"
        complain(s, out, event.verdict.reason or "bad-encoding", f"block {s.height} of {s.primary}: {event.verdict.detail}")
        return
    proposal.stage = "accepted"
    if not s.is_voter:
        return
    message = sign(s, Prepare(s.config.name, s.height, UNSIGNED, proposal.view, proposal.block_id))
    record = AcceptedRecord(s.height, proposal.view, proposal.block_id, proposal.message)
    keep_then(s, out, record, [Vote(message, message.encode())])


def on_vote(s: State, message: Prepare | Commit, out: Out) -> None:
    """Count a prepare or commit of the height in flight, of any view near the current one."""
    if message.view > s.view + VIEW_WINDOW or s.seat_key(message.sender) is None:
        return
    if isinstance(message, Prepare) and message.sender == s.validators.primary(s.height, message.view).name:
        return
    note_vote(s, out, message)


# --- commit ---


def maybe_prepared(s: State, out: Out) -> None:
    """Normal case, step 5: prepared by the block and a quorum of prepares. Kept on disk, then the commit is sent."""
    proposal = s.proposal
    if proposal is None or proposal.stage != "accepted" or s.changing or not s.is_voter:
        return
    if not proposal.voted or (s.prepared is not None and s.prepared.view == proposal.view):
        return
    primary = s.primary
    votes = votes_for(s, PREPARE, proposal.view, proposal.block_id)
    votes[primary] = proposal.signature
    if len(votes) < s.quorum:
        return
    others = [name for name in votes if name != primary][: s.quorum - 1]
    chosen = {m.name: votes[m.name] for m in s.validators.members if m.name == primary or m.name in others}
    s.prepared = PreparedProof(proposal.view, proposal.block_id, as_signatures(s, chosen))
    message = sign(s, Commit(s.config.name, s.height, UNSIGNED, proposal.view, proposal.block_id))
    keep_then(s, out, PreparedRecord(s.height, s.prepared), [Vote(message, message.encode())])


# --- decide ---


def maybe_decide(s: State, out: Out) -> None:
    """Normal case, step 6: decided by a quorum of commits of one view, whichever view this replica is in."""
    if s.deciding is not None:
        return
    for (kind, view), cast in s.votes.items():
        if kind != COMMIT or len(cast) < s.quorum:
            continue
        for block_id in sorted({b for b, _signature in cast.values()}):
            votes = votes_for(s, COMMIT, view, block_id)
            if len(votes) >= s.quorum and block_id in s.blocks:
                block, encoded = s.blocks[block_id]
                decide(s, out, block, encoded, Certificate(s.height, view, block_id, as_signatures(s, votes)))
                return


def decide(s: State, out: Out, block: Block, encoded: bytes, certificate: Certificate, *, imported: bool = False) -> None:
    """Hand a decided block to the application; its certificate has been checked."""
    if block.header.application_hash != s.last.application_hash:
        halt(
            s,
            out,
            f"the network decided that block {s.last.height} led to application hash "
            f"{block.header.application_hash.hex()}, but here it led to {s.last.application_hash.hex()}: this node's "
            "state is wrong; restore it from its peers",
        )
        return
    s.deciding = Deciding(block, encoded, certificate, imported)
    out.append(FinaliseBlock(block_input(block, s.validators)))


def on_finalised(s: State, event: Finalised, out: Out) -> None:
    """Normal case, step 7: the block is applied; make block, certificate and state durable; a set change is on disk before."""
    deciding = s.deciding
    if deciding is None or event.height != s.height or deciding.result is not None:
        return
    deciding.result = event.result
    try:
        later = s.next_validators.changed(event.result.validator_updates) if event.result.validator_updates else s.next_validators
    except Refused as refusal:
        halt(s, out, f"block {s.height} changes the validator set in a way that leaves none: {refusal.detail}")
        return
    deciding.later_validators = later
    commit = CommitBlock(s.height, deciding.encoded, deciding.certificate.encode())
    if later == s.next_validators:
        out.append(commit)
    else:
        keep_then(s, out, SetRecord(s.height + 2, later), [commit])


def on_stored(s: State, height: int, out: Out) -> None:
    """Normal case, step 7: the block is on disk, so it is committed, and the next height begins."""
    deciding = s.deciding
    if deciding is None or height != s.height or deciding.result is None or deciding.later_validators is None:
        return
    block, header, certificate = deciding.block, deciding.block.header, deciding.certificate
    decided = CertifiedHeader(header, certificate)
    tx_hashes = tuple(map(hash_of, block.transactions))
    if s.next_validators != s.validators:
        link = SetLink(decided, s.next_validators)
        s.links = [*s.links[1 - MAX_SET_LINKS :], link]
        keep_then(s, out, LinkRecord(link), [])
    hash_after = deciding.result.application_hash
    s.last = LastBlock(
        height,
        certificate.block_id,
        header.time_ms,
        certificate,
        hash_after,
        decided,
        hash_after != header.application_hash,
        s.now_ms,
    )
    s.previous_validators, s.validators, s.next_validators = s.validators, s.next_validators, deciding.later_validators
    settle_evidence(s, block)
    begin_height(s)
    remove_committed(s, out, tx_hashes, block)
    out.append(Committed(height, certificate.view, certificate.block_id, header.time_ms, tx_hashes, deciding.imported))


def begin_height(s: State) -> None:
    """Forget the votes of the height that is decided."""
    s.view, s.changing = 0, False
    s.proposal = s.prepared = s.preparing = s.deciding = None
    s.blocks = {}
    s.old_votes, s.votes = s.votes, {}
    s.view_changes = {}
    s.own = {}
    s.deadline_ms = s.resend_at_ms = None
    s.complained = ""
    s.gated = {token: then for token, then in s.gated.items() if any(not isinstance(item, Vote) for item in then)}


def remember_block(s: State, block_id: bytes, block: Block, encoded: bytes) -> None:
    """Keep a body of this height; the oldest goes, except those of the proposal and of the prepared certificate."""
    s.blocks[block_id] = (block, encoded)
    needed = {block_id}
    if s.proposal is not None:
        needed.add(s.proposal.block_id)
    if s.prepared is not None:
        needed.add(s.prepared.block_id)
    for old in list(s.blocks):
        if len(s.blocks) <= MAX_BLOCKS_KEPT:
            break
        if old not in needed:
            del s.blocks[old]
