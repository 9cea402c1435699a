"""Restart from disk: a replica knows everything it ever signed, and signs nothing that contradicts it."""

from __future__ import annotations

import msgspec
import pytest

from salus.consensus.block import Block
from salus.consensus.pbft.durable import VoteLog
from salus.consensus.pbft.events import Broadcast, Persist, Persisted, Received, Tick, Validated
from salus.consensus.pbft.messages import UNSIGNED, Commit, NewView, Prepare, PrePrepare, ViewChange
from salus.consensus.pbft.records import AcceptedRecord, PreparedRecord, ViewRecord, decode_record
from salus.consensus.pbft.replica import step
from salus.errors import DamagedFile
from salus.sim.disk import PowerLoss
from salus.sim.toy import ToyApplication, ToyTransaction, ToyUpdate
from support.pbft_cluster import START_MS, Cluster, put, without


def _sends(actions: list[object]) -> list[Broadcast]:
    return [a for a in actions if isinstance(a, Broadcast)]


def test_no_vote_leaves_before_its_record_is_on_disk() -> None:
    """Event by event: persist first, and only the answer of the disk releases the vote."""
    c = Cluster()
    c.submit(1, put("a"))
    proposal = [data for _, target, data in c.wire if target == 2 and b"pre-prepare" in data]
    state, _ = step(c.state(2), Tick(START_MS))
    state, actions = step(state, Received(tuple(proposal)))
    [asked] = [a for a in actions if type(a).__name__ == "ValidateProposal"]
    verdict = c.applications[2].validate_proposal(asked.block, secret_checks=True)
    state, actions = step(state, Validated(1, 0, asked.block_id, verdict))
    [persist] = [a for a in actions if isinstance(a, Persist)]
    assert isinstance(persist.record, AcceptedRecord)
    assert not _sends(actions)
    state, actions = step(state, Persisted(persist.token))
    assert len(_sends(actions)) == 1, "the prepare"
    votes = [c.sign(i, Prepare(f"node-{i}", 1, UNSIGNED, 0, asked.block_id)) for i in (0, 3)]
    state, actions = step(state, Received(tuple(votes)))
    [persist] = [a for a in actions if isinstance(a, Persist)]
    assert isinstance(persist.record, PreparedRecord)
    assert not _sends(actions)
    state, actions = step(state, Persisted(persist.token))
    assert len(_sends(actions)) == 1, "the commit"
    state, actions = step(state, Tick(START_MS + 1001))
    [persist] = [a for a in actions if isinstance(a, Persist)]
    assert persist.record == ViewRecord(1, 1)
    assert not [a for a in _sends(actions) if b"view-change" in a.data]
    state, actions = step(state, Persisted(persist.token))
    assert b"view-change" in _sends(actions)[0].data


def test_a_primary_sends_its_proposal_after_keeping_it() -> None:
    c = Cluster()
    c.disks[1].crash_after = 0
    c.runner(1).submit([put("a")])
    with pytest.raises(PowerLoss):
        c.runner(1).work()
    assert not [data for _, data in c.runner(1).outbox if b"pre-prepare" in data]


def _other_proposal(c: Cluster) -> bytes:
    message = c.of_kind(PrePrepare, 1)[0]
    block = Block.decode(message.block)
    header = msgspec.structs.replace(block.header, time_ms=block.header.time_ms + 1)
    other = msgspec.structs.replace(block, header=header)
    return c.sign(1, msgspec.structs.replace(message, block=other.encode(), block_id=header.id(), signature=UNSIGNED))


def test_a_replica_does_not_vote_twice_after_losing_power() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    c.pump(without(Commit, Prepare))
    first = c.of_kind(Prepare, 2)[0]
    c.stop(2, power=True)
    c.start(2)
    c.deliver(2, _other_proposal(c))
    c.wire.clear()
    assert {m.block_id for m in c.of_kind(Prepare, 2)} == {first.block_id}
    c.wait(400)
    assert min(c.heights()) >= 2, "it repeats its vote, and the block is decided"


def test_a_replica_signs_nothing_below_a_view_it_left() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    c.wire.clear()
    one = c.sign(0, ViewChange("node-0", 1, UNSIGNED, 2, None, None))
    two = c.sign(3, ViewChange("node-3", 1, UNSIGNED, 2, None, None))
    c.deliver(2, one, two)
    assert c.state(2).view == 2
    c.stop(2, power=True)
    c.start(2)
    assert (c.state(2).view, c.state(2).changing) == (2, True)
    c.deliver(2, c.of_kind(PrePrepare, 1)[0].encode())
    assert not c.of_kind(Prepare, 2)
    assert c.of_kind(ViewChange, 2)[-1].view == 2, "it repeats its view-change"


def test_a_prepared_certificate_survives_and_is_carried() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    c.pump(without(Commit))
    for i in range(4):
        c.stop(i, power=True)
    for i in range(4):
        c.start(i)
    c.wire.clear()
    assert c.state(3).prepared is not None
    c.wait(1200, without(Commit, NewView))
    assert all(m.proof is not None and m.block is not None for m in c.of_kind(ViewChange) if m.view == 1)
    c.wait(4000)
    assert c.block(1).header.view == 0
    assert c.block(1).transactions == (put("a"),)


def test_everyone_loses_power_at_once_and_goes_on() -> None:
    c = Cluster()
    for round_number in range(6):
        c.submit(round_number % 4, put(f"k{round_number}"))
        c.pump(limit=10_000) if round_number % 2 else [c.work(i) for i in range(4)]
        for i in range(4):
            c.stop(i, power=True)
        c.wire.clear()
        for i in range(4):
            c.start(i)
    c.submit(0, *[put(f"k{i}") for i in range(6)])
    c.wait(5000)
    assert len(set(c.heights())) == 1
    assert set(c.applications[0].written()) >= {b"k0", b"k1", b"k2", b"k3", b"k4", b"k5"}


def test_a_new_view_is_kept_and_repeated_by_its_primary() -> None:
    c = Cluster()
    c.stop(1)
    c.submit(0, put("a"))
    c.wait(1100, without(NewView))
    c.wait(200, without(NewView))
    [sent] = {m.signature for m in c.of_kind(NewView, 2)}
    c.stop(2, power=True)
    c.wire.clear()
    c.start(2)
    assert c.state(2).proposal is not None
    assert {m.signature for m in c.of_kind(NewView, 2)} == {sent}
    c.wait(3000)
    assert c.block(1).header.view == 1


def test_the_vote_log_is_cut_and_what_counts_is_kept() -> None:
    c = Cluster()
    log = c.runner(0)._log
    for i in range(4):
        c.submit(0, put(f"k{i}"))
        c.pump()
    before = log.size_bytes
    c.runner(0)._log.rewrite([])
    assert log.size_bytes < before
    c.stop(0)
    c.start(0)
    c.submit(0, put("later"))
    c.pump()
    assert len(set(c.heights())) == 1


def test_a_store_without_its_last_block_is_refused() -> None:
    c = Cluster()
    c.submit(0, put("a"))
    c.pump()
    c.stop(0)

    class Forgetful(ToyApplication):
        def block_record(self, height: int) -> None:  # type: ignore[override]
            return None

    c._application = lambda i: Forgetful(c.disks[i], None, None, START_MS - 1)  # type: ignore[method-assign]
    with pytest.raises(DamagedFile, match="holds state of height 2 but not its block"):
        c.start(0)


def test_a_record_that_is_none_is_refused() -> None:
    with pytest.raises(DamagedFile, match="a record that is none"):
        decode_record(b"rubbish")


def test_a_block_store_set_up_anew_does_not_make_a_replica_forget_its_votes() -> None:
    """The application starts from nothing again, the vote log is kept: at the height it voted at, the vote still binds."""
    c = Cluster()
    c.submit(0, put("a"))
    c.pump()
    c.submit(3, put("b"))
    c.pump(without(Commit, Prepare))
    assert c.state(2).height == 3
    voted = [m for m in c.of_kind(Prepare, 2) if m.height == 3]
    assert voted
    c.stop(2)
    del c.disks[2]._files["blocks.log"]
    c.start(2)
    assert c.runner(2).height == 0
    # Blocks 1 and 2 come back, and with them the vote of height 3.
    c.wait(700, without(PrePrepare, Prepare, Commit, NewView, ViewChange))
    assert c.runner(2).height == 2
    state = c.state(2)
    assert state.proposal is not None
    assert state.proposal.block_id == voted[0].block_id
    assert not state.kept


def test_validator_sets_survive_a_restart() -> None:
    c = Cluster(5, seats=4)
    update = ToyUpdate("node-4", c.signers[4].public_key, 1)
    c.submit(0, ToyTransaction(b"seat", b"", 1, (update,)).encode())
    c.pump()
    assert len(c.state(0).validators.members) == 5
    for i in range(5):
        c.stop(i, power=True)
        c.start(i)
    assert [len(c.state(i).validators.members) for i in range(5)] == [5] * 5
    c.submit(0, put("later"))
    c.wait(1000)
    assert b"later" in c.applications[4].written()


def test_an_empty_vote_log_starts_a_new_replica() -> None:
    c = Cluster(1)
    assert VoteLog(c.disks[0]).records == []
    c.submit(0, put("a"))
    c.pump()
    assert c.heights() == [2], "one seat alone is its own quorum"
