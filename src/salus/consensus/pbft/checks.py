"""Pure checks of what arrives. Each raises :class:`Refused`; none changes anything."""

from __future__ import annotations

from salus.consensus.block import (
    CHECKPOINT,
    COMMIT,
    EVIDENCE_KINDS,
    PRE_PREPARE,
    PREPARE,
    ZERO32,
    Block,
    BlockHeader,
    Certificate,
    CommitSignature,
    Equivocation,
    ValidatorSet,
    check_body,
    vote_bytes,
)
from salus.consensus.pbft.crypto import Item
from salus.consensus.pbft.messages import PreparedProof, StableCheckpoint, ViewChange, checkpoint_digest
from salus.consensus.pbft.output import moment, set_hash
from salus.consensus.pbft.state import State
from salus.errors import Refused, refuse_unless

EVIDENCE_WINDOW: int = 100_000
"""Heights back that evidence may convict: what unbonding outlasts."""


def decode_block(encoded: bytes, block_id: bytes, height: int) -> Block:
    """Decode a block and check that it is ``block_id``, of ``height``, with the body its header names."""
    block = Block.decode(encoded)
    refuse_unless(block.header.height == height, "bad-encoding", f"a block of height {block.header.height}, not {height}")
    refuse_unless(block.header.id() == block_id, "bad-encoding", "the block is not the one that was named")
    check_body(block)
    return block


def quorum_items(
    s: State,
    validators: ValidatorSet,
    kinds: tuple[str, ...],
    height: int,
    view: int,
    digest: bytes,
    votes: tuple[CommitSignature, ...],
    primary: str = "",
) -> list[Item]:
    """Signature items of a quorum of distinct seats in seat order; ``kinds`` is (kind,) or (primary's kind, others' kind)."""
    refuse_unless(len(votes) >= s.rules.quorum(validators), "no-quorum", f"{len(votes)} votes at height {height}")
    seats = {m.name: (i, m.public_key) for i, m in enumerate(validators.members)}
    messages = {kind: vote_bytes(s.config.network, kind, height, view, digest) for kind in kinds}
    items: list[Item] = []
    last = -1
    for vote in votes:
        refuse_unless(vote.name in seats, "unknown-party", f"{vote.name} has no seat at height {height}")
        index, key = seats[vote.name]
        refuse_unless(index > last, "no-quorum", "votes repeat a seat or are out of order")
        last = index
        kind = kinds[0] if vote.name == primary else kinds[-1]
        items.append((key, messages[kind], vote.signature))
    return items


def _verify(s: State, items: list[Item], what: str) -> None:
    refuse_unless(all(s.verifier.verify(items)), "bad-signature", what)


def check_certificate(s: State, certificate: Certificate, validators: ValidatorSet, height: int, block_id: bytes) -> None:
    """A quorum of commits of one view decided ``block_id``."""
    same = certificate.height == height and certificate.block_id == block_id
    refuse_unless(same, "bad-signature", f"the certificate is not of block {height}")
    items = quorum_items(s, validators, (COMMIT,), height, certificate.view, block_id, certificate.signatures)
    _verify(s, items, f"certificate of height {height}")


def check_prepared(s: State, proof: PreparedProof) -> None:
    """A quorum of prepares of one view at the height in flight, the primary's being its pre-prepare."""
    primary = s.validators.primary(s.height, proof.view).name
    refuse_unless(any(v.name == primary for v in proof.votes), "no-quorum", "prepared certificate without its pre-prepare")
    items = quorum_items(s, s.validators, (PRE_PREPARE, PREPARE), s.height, proof.view, proof.block_id, proof.votes, primary)
    _verify(s, items, f"prepared certificate of height {s.height}, view {proof.view}")


def check_stable(s: State, point: StableCheckpoint, validators: ValidatorSet) -> None:
    """A quorum of the set of the checkpoint's height signed it."""
    items = quorum_items(s, validators, (CHECKPOINT,), point.height, 0, checkpoint_digest(point), point.votes)
    _verify(s, items, f"checkpoint of height {point.height}")


def check_view_change(s: State, change: ViewChange, *, with_block: bool) -> Block | None:
    """A view-change of the height in flight whose own signature is good: its proof, and its block if it comes with one."""
    refuse_unless(s.seat_key(change.sender) is not None, "unknown-party", f"{change.sender} has no seat at height {s.height}")
    if change.proof is None:
        refuse_unless(change.block is None, "bad-encoding", "a block without a prepared certificate")
        return None
    refuse_unless(change.proof.view < change.view, "bad-encoding", "prepared in a view that had not begun")
    refuse_unless((change.block is not None) == with_block, "bad-encoding", "the block of the certificate is misplaced")
    check_prepared(s, change.proof)
    return None if change.block is None else decode_block(change.block, change.proof.block_id, s.height)


def check_proposal(s: State, block: Block, view: int, *, reproposal: bool) -> None:
    """Everything about a proposal that the engine knows; the application checks the rest.

    A re-proposal with a prepared certificate skips the clock: a quorum checked it when it was fresh.
    """
    header = block.header
    refuse_unless(header.previous_id == s.last.block_id, "bad-encoding", f"block {header.height} follows another block")
    refuse_unless(
        header.application_hash == s.last.application_hash,
        "bad-encoding",
        f"block {header.height} carries application hash {header.application_hash.hex()[:16]}, "
        f"here it is {s.last.application_hash.hex()[:16]}",
    )
    refuse_unless(header.validators_hash == set_hash(s.validators), "bad-encoding", "another validator set")
    refuse_unless(header.next_validators_hash == set_hash(s.next_validators), "bad-encoding", "another next validator set")
    refuse_unless(header.view <= view and (reproposal or header.view == view), "bad-encoding", "first proposed in another view")
    primary = s.validators.primary(header.height, header.view).name
    refuse_unless(header.proposer == primary, "not-authorised", f"{header.proposer} proposes in the turn of {primary}")
    _check_previous_certificate(s, block)
    check_evidence(s, block)
    refuse_unless(header.time_ms > s.last.time_ms, "bad-time", "a block is later than the one before")
    if not reproposal:
        check_clock(s, header)


def _check_previous_certificate(s: State, block: Block) -> None:
    certificate = block.previous_certificate
    if block.header.height == 1:
        refuse_unless(certificate is None, "bad-encoding", "block 1 has no certificate before it")
        return
    if certificate is None:
        raise Refused("bad-encoding", "the block lacks the certificate of the one before")
    check_certificate(s, certificate, s.previous_validators, s.last.height, s.last.block_id)


def check_evidence(s: State, block: Block) -> None:
    """Each piece of evidence is another one, not too old, and convicts a seat of this height."""
    known: set[tuple[str, str, int, int]] = set()
    for encoded in block.misbehaviour:
        evidence = Equivocation.decode(encoded)
        key = (evidence.name, evidence.vote_kind, evidence.height, evidence.view)
        refuse_unless(key not in known, "already-done", f"evidence against {evidence.name} repeats")
        known.add(key)
        check_equivocation(s, evidence, block.header.height)


def check_equivocation(s: State, evidence: Equivocation, height: int) -> None:
    """The evidence is of the last :data:`EVIDENCE_WINDOW` heights and convicts a seat of the height in flight."""
    recent = height - EVIDENCE_WINDOW <= evidence.height <= height
    refuse_unless(recent, "expired", f"evidence of height {evidence.height} at height {height}")
    key = s.seat_key(evidence.name)
    if key is None:
        raise Refused("unknown-party", f"{evidence.name} has no seat at height {s.height}")
    refuse_unless(evidence.vote_kind in EVIDENCE_KINDS, "bad-encoding", f"votes of kind {evidence.vote_kind} convict nobody")
    refuse_unless(evidence.first_id < evidence.second_id, "bad-encoding", "evidence needs two different ids, the smaller first")
    where = (s.config.network, evidence.vote_kind, evidence.height, evidence.view)
    items = [
        (key, vote_bytes(*where, evidence.first_id), evidence.first_signature),
        (key, vote_bytes(*where, evidence.second_id), evidence.second_signature),
    ]
    _verify(s, items, f"evidence against {evidence.name}")


def check_clock(s: State, header: BlockHeader) -> None:
    """The time of a fresh proposal is within :data:`CLOCK_TOLERANCE_MS` of this replica's clock."""
    if abs(header.time_ms - s.now_ms) > s.config.clock_tolerance_ms:
        raise Refused(
            "clock",
            f"block {header.height} is stamped {moment(header.time_ms)}, but this machine's clock says "
            f"{moment(s.now_ms)}; more than {s.config.clock_tolerance_ms / 1000:g} s apart: set the clock right",
        )


def clock_error(s: State) -> str:
    """The chain is ahead of the clock: both times, and what to do."""
    return (
        f"the ledger's time is {moment(s.last.time_ms)} (block {s.last.height}), but this machine's clock says "
        f"{moment(s.now_ms)}, more than {s.config.clock_tolerance_ms / 1000:g} s behind; set the clock right"
    )


def previous_digest(certificate: Certificate | None) -> bytes:
    """What the next header says of ``certificate``."""
    return ZERO32 if certificate is None else certificate.digest()
