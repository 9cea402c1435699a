"""Restart: the state of a replica from its decided blocks and its vote log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from salus.consensus.block import (
    COMMIT,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    VIEW_CHANGE,
    Block,
    Certificate,
    CertifiedHeader,
    ValidatorSet,
)
from salus.consensus.interface import ApplicationInfo
from salus.consensus.pbft.checks import decode_block
from salus.consensus.pbft.crypto import Signer, Verifier
from salus.consensus.pbft.messages import UNSIGNED, Checkpoint, Commit, NewView, Prepare
from salus.consensus.pbft.output import add_vote, set_hash, sign
from salus.consensus.pbft.records import (
    AcceptedRecord,
    AnchorRecord,
    LinkRecord,
    PreparedRecord,
    Record,
    SetRecord,
    ViewRecord,
    live_records,
)
from salus.consensus.pbft.rules import Rules
from salus.consensus.pbft.state import Config, LastBlock, Proposal, State
from salus.consensus.pbft.view_change import own_view_change
from salus.errors import CodecError, DamagedFile, Refused


def restore_state(
    config: Config,
    signer: Signer,
    verifier: Verifier,
    rules: Rules,
    now_ms: int,
    info: ApplicationInfo,
    stored: tuple[bytes, bytes] | None,
    records: Sequence[Record],
) -> State:
    """The state in which a replica (re)starts.

    :param info: what the application holds.
    :param stored: (block, certificate) of that height, None at height 0 or after a restored snapshot.
    :param records: the vote log, oldest first.
    :raises DamagedFile: if block store and vote log do not fit together.
    """
    last, sets = _last_block(config, now_ms, info, stored, records)
    state = State(config, signer, verifier, rules, now_ms, last, *sets)
    state.links = [r.link for r in records if isinstance(r, LinkRecord)]
    if last.decided is not None:
        _check_sets(last.decided, sets)
        if last.height > 0:
            state.own_checkpoints[last.height] = Checkpoint(
                config.name, last.height, UNSIGNED, last.block_id, last.application_hash, set_hash(sets[1]), set_hash(sets[2]), 0
            )
    state.kept = live_records(records, state.height)
    resume_votes(state)
    return state


def _last_block(
    config: Config, now_ms: int, info: ApplicationInfo, stored: tuple[bytes, bytes] | None, records: Sequence[Record]
) -> tuple[LastBlock, tuple[ValidatorSet, ValidatorSet, ValidatorSet]]:
    height = info.height
    if height == 0:
        first = LastBlock(0, config.genesis_id, info.last_time_ms, None, info.application_hash, None, False, now_ms)
        return first, (config.validators, _set_at(config, records, 1), _set_at(config, records, 2))
    if stored is not None:
        try:
            header, certificate = Block.decode(stored[0]).header, Certificate.decode(stored[1])
        except CodecError as error:
            raise DamagedFile(
                f"block {height} of {config.name} cannot be read ({error}); restore this node from its peers"
            ) from None
        decided = CertifiedHeader(header, certificate)
        sets = tuple(_set_at(config, records, h) for h in (height, height + 1, height + 2))
    else:
        anchor = next((r for r in reversed(records) if isinstance(r, AnchorRecord) and r.anchor.header.height == height), None)
        if anchor is None:
            raise DamagedFile(f"{config.name} holds state of height {height} but not its block; restore this node from its peers")
        decided = anchor.anchor
        sets = (anchor.validators, anchor.next_validators, anchor.later_validators)
    header = decided.header
    due = info.application_hash != header.application_hash
    last = LastBlock(
        height, decided.certificate.block_id, header.time_ms, decided.certificate, info.application_hash, decided, due, now_ms
    )
    return last, (sets[0], sets[1], sets[2])


def _set_at(config: Config, records: Iterable[Record], height: int) -> ValidatorSet:
    """The set of ``height``: of the last change that is active by then."""
    found, since = config.validators, 0
    for record in records:
        if isinstance(record, SetRecord) and since <= record.active_from <= height:
            found, since = record.validators, record.active_from
        elif isinstance(record, AnchorRecord):
            at = record.anchor.header.height
            later = ((at, record.validators), (at + 1, record.next_validators), (at + 2, record.later_validators))
            for active_from, validators in later:
                if since <= active_from <= height:
                    found, since = validators, active_from
    return found


def _check_sets(decided: CertifiedHeader, sets: tuple[ValidatorSet, ValidatorSet, ValidatorSet]) -> None:
    header = decided.header
    if (header.validators_hash, header.next_validators_hash) != (set_hash(sets[0]), set_hash(sets[1])):
        raise DamagedFile(f"the vote log lacks the validator set of height {header.height}; restore this node from its peers")


def resume_votes(s: State) -> None:
    """Take up the height in flight where it was left: never sign below a kept view, never two things where one is allowed.

    Votes of later heights stay kept: an application that was set up anew comes by them again.
    """
    if not s.kept:
        return
    records = s.kept
    s.kept = [r for r in records if isinstance(r, AcceptedRecord | PreparedRecord | ViewRecord) and r.height > s.height]
    accepted: dict[int, AcceptedRecord] = {}
    left = 0
    for record in records:
        if isinstance(record, AcceptedRecord) and record.height == s.height:
            accepted[record.view] = record
        elif isinstance(record, ViewRecord) and record.height == s.height:
            left = max(left, record.view)
        elif isinstance(record, PreparedRecord) and record.height == s.height:
            s.prepared = record.proof if s.prepared is None else max(s.prepared, record.proof, key=lambda proof: proof.view)
    for record in accepted.values():
        message = record.proposal()
        try:
            s.blocks[record.block_id] = (decode_block(message.block, record.block_id, s.height), message.block)
        except Refused as error:
            raise DamagedFile(f"an accepted proposal of {s.config.name} cannot be read ({error})") from None
    s.view = max([left, *accepted])
    current = accepted.get(s.view)
    if current is not None:
        _restore_proposal(s, current)
    elif s.view > 0:
        s.changing = True
        change = own_view_change(s)
        s.view_changes[s.config.name] = change
        s.own[VIEW_CHANGE] = change.encode()


def _restore_proposal(s: State, record: AcceptedRecord) -> None:
    message = record.proposal()
    block, encoded = s.blocks[record.block_id]
    signature = message.pre_prepare if isinstance(message, NewView) else message.signature
    reproposal = block.header.view < record.view
    s.proposal = Proposal(
        record.view, record.block_id, block, encoded, record.message, signature, reproposal, "accepted", s.is_voter
    )
    add_vote(s, PRE_PREPARE, record.view, message.sender, record.block_id, signature)
    me = s.config.name
    if not s.is_voter:
        return
    if message.sender == me:
        s.own[NEW_VIEW if isinstance(message, NewView) else PRE_PREPARE] = record.message
    else:
        prepare = sign(s, Prepare(me, s.height, UNSIGNED, record.view, record.block_id))
        s.own[PREPARE] = prepare.encode()
        add_vote(s, PREPARE, record.view, me, record.block_id, prepare.signature)
    if s.prepared is not None and s.prepared.view == record.view:
        commit = sign(s, Commit(me, s.height, UNSIGNED, record.view, record.block_id))
        s.own[COMMIT] = commit.encode()
        add_vote(s, COMMIT, record.view, me, record.block_id, commit.signature)
