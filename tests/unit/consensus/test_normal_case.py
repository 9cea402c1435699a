"""The normal case: one height in flight, blocks when there is a reason, votes by those who checked."""

from __future__ import annotations

import copy

import msgspec
import pytest

from salus.consensus.block import Block, transaction_root
from salus.consensus.pbft.events import Complaint, Received, Submitted, Tick
from salus.consensus.pbft.messages import UNSIGNED, Commit, Prepare, PrePrepare
from salus.consensus.pbft.replica import step
from support.pbft_cluster import START_MS, Cluster, only, put, without


def test_a_transaction_is_committed_by_all_and_its_state_is_proven_by_an_empty_block() -> None:
    c = Cluster()
    c.submit(0, put("a"))
    c.pump()
    assert c.heights() == [2, 2, 2, 2]
    assert c.block(1).transactions == (put("a"),)
    assert c.block(2).transactions == ()
    assert c.block(2).header.application_hash == c.applications[0].info().application_hash
    c.wait(5000)
    assert c.heights() == [2, 2, 2, 2], "an empty block that changes nothing needs no proof block"
    assert len(c.of_kind(PrePrepare)) == 2


def test_no_block_without_a_reason() -> None:
    c = Cluster()
    c.wait(10_000)
    assert c.heights() == [0, 0, 0, 0]
    assert not c.of_kind(PrePrepare)


def test_the_turn_to_propose_goes_round() -> None:
    c = Cluster()
    for i in range(4):
        c.submit(0, put(f"k{i}"))
        c.pump()
        c.wait(100)
    proposers = [c.block(h).header.proposer for h in range(1, 9)]
    assert proposers == [f"node-{h % 4}" for h in range(1, 9)]
    times = [c.block(h).header.time_ms for h in range(1, 9)]
    assert times == sorted(set(times)), "block times grow strictly"


def test_batches_fill_while_a_block_is_in_flight() -> None:
    c = Cluster()
    for i in range(5):
        c.submit(i % 4, put(f"k{i}"))
    c.submit(1, *[put(f"m{i}") for i in range(20)])
    c.pump()
    sizes = [len(c.block(h).transactions) for h in range(1, c.heights()[0] + 1)]
    assert sum(sizes) == 25
    assert max(sizes) >= 20
    assert sizes[-1] == 0, "the last block proves the state"
    assert sum(1 for s in sizes if s == 0) == 1, "no proof block while transactions wait"


def test_a_block_holds_no_more_than_its_bounds() -> None:
    c = Cluster(max_block_transactions=3)
    c.submit(1, *[put(f"k{i}") for i in range(10)])
    c.pump()
    assert max(len(c.block(h).transactions) for h in range(1, c.heights()[0])) == 3
    c = Cluster(max_block_bytes=4000)
    c.submit(1, *[put(f"k{i}", bytes(1500)) for i in range(10)])
    c.pump()
    assert max(sum(map(len, c.block(h).transactions)) for h in range(1, c.heights()[0])) <= 4000


def test_two_replicas_of_four_decide_nothing() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    c.pump(only(0, 1))
    c.wait(20_000, only(0, 1))
    assert c.heights() == [0, 0, 0, 0]


def test_three_replicas_of_four_go_on() -> None:
    c = Cluster()
    c.stop(3)
    c.submit(1, put("a"))
    c.pump()
    assert c.heights() == [2, 2, 2]


def _tampered(c: Cluster, **changes: object) -> tuple[bytes, str]:
    """The proposal of height 1 with a header field changed, signed by its primary."""
    message = c.of_kind(PrePrepare)[-1]
    block = Block.decode(message.block)
    if "transactions" in changes:
        transactions = changes["transactions"]
        block = msgspec.structs.replace(block, transactions=transactions)
        changes = {"transaction_root": transaction_root(block.transactions, ())}
    header = msgspec.structs.replace(block.header, **changes)
    encoded = msgspec.structs.replace(block, header=header).encode()
    other = msgspec.structs.replace(message, block=encoded, block_id=header.id(), signature=UNSIGNED)
    return c.sign(1, other), header.id().hex()


@pytest.mark.parametrize(
    "changes",
    [
        {"previous_id": b"x" * 32},
        {"application_hash": b"x" * 32},
        {"validators_hash": b"x" * 32},
        {"next_validators_hash": b"x" * 32},
        {"previous_certificate_digest": b"x" * 32},
        {"transaction_root": b"x" * 32},
        {"view": 1},
        {"height": 2},
        {"proposer": "node-2"},
        {"time_ms": START_MS - 1},
        {"time_ms": START_MS + 5_001},
        {"time_ms": START_MS - 5_001},
        {"transactions": (put("a"), put("a"))},
        {"transactions": (put("sealed badly", sealed=0),)},
        {"transactions": (b"no transaction",)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_wrong_proposal_gets_no_prepare(changes: dict[str, object]) -> None:
    c = Cluster()
    c.submit(1, put("a"))
    proposal, _ = _tampered(c, **changes)
    c.wire.clear()
    for i in (0, 2, 3):
        c.deliver(i, proposal)
    c.pump(only(0, 2, 3))
    assert not c.of_kind(Prepare)
    assert all(c.complaints(i) for i in (0, 2, 3))


def test_the_right_proposal_gets_prepares() -> None:
    """The counterpart of the test above: the same path without a change."""
    c = Cluster()
    c.submit(1, put("a"))
    proposal, _ = _tampered(c)
    c.wire.clear()
    for i in (0, 2, 3):
        c.deliver(i, proposal)
    assert len(c.of_kind(Prepare)) == 3


def test_a_proposal_out_of_turn_is_ignored() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    message = c.of_kind(PrePrepare)[-1]
    c.wire.clear()
    c.deliver(3, c.sign(0, msgspec.structs.replace(message, sender="node-0", signature=UNSIGNED)))
    assert not c.of_kind(Prepare)


def test_a_message_with_a_bad_signature_is_ignored() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    message = c.of_kind(PrePrepare)[-1]
    c.wire.clear()
    c.deliver(3, msgspec.structs.replace(message, signature=bytes(64)).encode(), b"rubbish", b"")
    assert not c.of_kind(Prepare)


def test_a_clock_that_is_wrong_names_both_times_and_recovers() -> None:
    c = Cluster()
    c.skew[3] = 60_000
    c.submit(0, put("a"))
    c.pump()
    assert c.heights() == [2, 2, 2, 2], "the others decide, and the one with the wrong clock imports"
    refusals = [x for x in c.heard(3, Complaint) if x.reason == "clock"]
    assert "2023-11-14 22:13:20.000 UTC" in refusals[0].detail
    assert "2023-11-14 22:14:20.000 UTC" in refusals[0].detail
    assert not [m for m in c.of_kind(Prepare, 3)]
    c.skew[3] = 0
    c.submit(0, put("b"))
    c.pump()
    assert c.of_kind(Prepare, 3)


def test_a_chain_ahead_of_every_clock_stops_with_both_times_and_goes_on_later() -> None:
    c = Cluster()
    c.submit(0, put("a"))
    c.pump()
    c.now -= 3_600_000
    for i in range(4):
        c.stop(i)
        c.start(i)
    c.submit(0, put("b"))
    c.pump()
    c.wait(10_000)
    assert c.heights() == [2, 2, 2, 2]
    texts = [x.detail for i in range(4) for x in c.heard(i, Complaint) if "the ledger's time is" in x.detail]
    assert "2023-11-14 22:13:20" in texts[0]
    assert "2023-11-14 21:13" in texts[0]
    c.now += 3_600_000
    c.wait(3000)
    assert set(c.heights()) == {4}


def test_a_replica_stops_before_voting_where_it_lacks_the_protocol_version() -> None:
    c = Cluster()
    c.upgrade_at[2] = 3
    c.stop(2)
    c.start(2)
    c.submit(0, put("a"))
    c.pump()
    c.submit(0, put("b"))
    c.pump()
    assert "height 3 needs a protocol version that this node lacks" in c.runner(2).error
    assert not [m for m in c.of_kind(Prepare, 2) + c.of_kind(Commit, 2) if m.height >= 3]
    assert [c.runner(i).height for i in (0, 1, 3)] == [4, 4, 4]


def test_votes_of_the_next_height_wait_for_their_turn() -> None:
    """One replica is a block behind for a moment: what arrives early is used later, not lost."""
    c = Cluster()
    c.submit(1, put("a"))
    c.pump(lambda a, b, m: not (b == 3 and isinstance(m, Commit) and m.height == 1))
    assert c.runner(3).height == 0
    assert c.state(3).early
    c.wait(400)
    assert c.heights() == [2, 2, 2, 2]


def test_commits_alone_decide_for_a_replica_that_left_the_view() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    c.pump(lambda a, b, m: b != 0)  # node-0 sees nothing, but holds no transaction either
    assert c.runner(0).height == 0
    c.wait(1000)
    assert c.heights() == [2, 2, 2, 2]


def test_the_step_is_a_function_of_state_and_event() -> None:
    """The same state and events give the same actions, whatever happened in between elsewhere."""
    c = Cluster()
    c.submit(1, put("a"))
    messages = [data for _, target, data in c.wire if target == 2]
    first = c.state(2)
    second = copy.deepcopy(first)
    events = [Tick(START_MS + 7), Submitted(9, (put("z"),)), Received(tuple(messages)), Tick(START_MS + 5000)]
    ran = []
    for state in (first, second):
        actions = []
        for event in events:
            state, out = step(state, event)
            actions.append(out)
        ran.append(actions)
    assert ran[0] == ran[1]
    assert any(ran[0])


def test_votes_for_two_blocks_do_not_add_up() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    message = c.of_kind(PrePrepare)[-1]
    c.wire.clear()
    c.deliver(0, message.encode())
    good, other = message.block_id, b"o" * 32
    c.deliver(0, c.sign(2, Prepare("node-2", 1, UNSIGNED, 0, other)), c.sign(3, Prepare("node-3", 1, UNSIGNED, 0, other)))
    assert not c.of_kind(Commit, 0)
    c.deliver(0, c.sign(1, Prepare("node-1", 1, UNSIGNED, 0, good)))
    assert not c.of_kind(Commit, 0), "a prepare of the primary counts for nothing: its pre-prepare has been counted"


def test_missed_messages_are_repeated() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    c.pump(without(Commit))
    assert c.heights() == [0, 0, 0, 0]
    c.wait(400)
    assert c.heights() == [2, 2, 2, 2]
