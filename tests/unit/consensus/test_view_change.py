"""View change: a primary that does not get its block decided is replaced, and nothing decided is lost."""

from __future__ import annotations

import msgspec
import pytest

from salus.consensus.block import PRE_PREPARE, Block, vote_bytes
from salus.consensus.pbft.events import ViewChanged
from salus.consensus.pbft.messages import UNSIGNED, Commit, Decided, NewView, Prepare, PreparedProof, PrePrepare, ViewChange
from salus.consensus.pbft.view_change import timeout_ms
from support.pbft_cluster import Cluster, only, put, without


def test_a_silent_primary_is_replaced_and_its_missed_turn_is_in_the_block() -> None:
    c = Cluster()
    c.stop(1)
    c.submit(0, put("a"))
    c.wait(3000)
    assert set(c.heights()) == {2}
    block = c.block(1)
    assert (block.header.view, block.header.proposer) == (1, "node-2")
    assert c.validators.missed(1, block.header.view) == ("node-1",)
    assert block.transactions == (put("a"),)


def test_a_backup_without_transactions_starts_no_timer() -> None:
    c = Cluster()
    c.wait(20_000)
    assert not any(c.heard(i, ViewChanged) for i in range(4))


def test_a_transaction_that_only_one_backup_holds_reaches_the_others_and_is_committed() -> None:
    c = Cluster()
    c.submit(0, put("a"))
    c.wire.clear()  # the gossip is lost
    c.wait(1500)
    assert set(c.heights()) == {2}


def _prepared_at_3(c: Cluster) -> bytes:
    """Only node-3 collects prepares of height 1, view 0; returns the block id."""
    c.submit(1, put("a"))
    c.pump(lambda a, b, m: (not isinstance(m, Prepare) or b == 3) and not isinstance(m, Commit))
    assert c.state(3).prepared is not None
    assert all(c.state(i).prepared is None for i in (0, 1, 2))
    proof = c.state(3).prepared
    assert proof is not None
    return proof.block_id


def test_a_block_that_one_replica_prepared_is_proposed_again_unchanged() -> None:
    c = Cluster()
    block_id = _prepared_at_3(c)
    c.submit(2, put("b"))
    c.wait(4000, lambda a, b, m: a != 1 and b != 1)
    assert c.runner(3).height >= 2
    block = c.block(1, 3)
    assert block.header.id() == block_id
    assert block.header.view == 0, "a re-proposal keeps the view of the first proposal"
    record = c.applications[3].block_record(1)
    assert record is not None
    assert b"pbft" not in record[0]
    assert c.block(2, 3).transactions == (put("b"),)


def test_a_re_proposal_skips_the_clock_and_secret_checks() -> None:
    """Days later, with a transaction whose secret check fails by now: what a quorum prepared goes through."""
    c = Cluster()
    block_id = _prepared_at_3(c)
    c.now += 3 * 24 * 3600 * 1000
    for application in c.applications:
        application.secrets_fail = True
    c.wait(4000, lambda a, b, m: a != 1 and b != 1)
    assert c.runner(3).height >= 1
    assert c.block(1, 3).header.id() == block_id


def test_a_fresh_proposal_after_a_view_change_does_not_skip_the_clock() -> None:
    c = Cluster(7)
    c.stop(1)
    c.skew[2] = 60_000  # the primary of view 1
    c.submit(0, put("a"))
    c.wait(9000)
    assert c.runner(0).height >= 2
    assert c.block(1).header.view == 2, "view 1 was skewed, view 2 is node-3's"


def test_f_plus_1_view_changes_pull_a_replica_along() -> None:
    c = Cluster()
    one = c.sign(0, ViewChange("node-0", 1, UNSIGNED, 5, None, None))
    two = c.sign(1, ViewChange("node-1", 1, UNSIGNED, 3, None, None))
    c.deliver(2, one)
    assert c.state(2).view == 0, "one may be a liar"
    c.deliver(2, two)
    assert (c.state(2).view, c.state(2).changing) == (3, True), "to the lowest of them"
    assert [m.view for m in c.of_kind(ViewChange, 2)] == [3]


def test_timeouts_double_and_start_when_a_quorum_has_left() -> None:
    c = Cluster()
    c.stop(1)
    c.submit(0, put("a"))
    c.pump()
    c.wait(1100, without(NewView))
    times = [timeout_ms(c.state(0))]
    assert c.state(0).view == 1
    c.wait(2100, without(NewView))
    assert c.state(0).view == 2
    times.append(timeout_ms(c.state(0)))
    assert times == [2000, 4000]


def test_a_replica_alone_does_not_run_away_through_the_views() -> None:
    c = Cluster()
    c.submit(0, put("a"))
    c.wire.clear()
    c.wait(60_000, only(0))
    assert c.state(0).view == 1, "without a quorum there is no new timer"
    c.wait(3000)
    assert set(c.heights()) == {2}


def _new_view(c: Cluster, view: int = 1) -> NewView:
    """The genuine new-view of ``view`` at height 1, not delivered to anyone."""
    c.stop(1)
    c.submit(0, put("a"))
    c.wait(1000 * 2**view, without(NewView))
    c.wire.clear()
    found: list[NewView] = [m for m in c.of_kind(NewView) if m.view == view]
    assert found
    return found[0]


def _resigned(c: Cluster, message: NewView, signer: int = 2) -> bytes:
    vote = vote_bytes(b"n" * 32, PRE_PREPARE, message.height, message.view, message.block_id)
    message = msgspec.structs.replace(message, pre_prepare=c.signers[signer].sign(vote), signature=UNSIGNED)
    return c.sign(signer, message)


def test_the_genuine_new_view_is_taken() -> None:
    c = Cluster()
    message = _new_view(c)
    before = len(c.of_kind(Prepare, 3))
    c.deliver(3, message.encode())
    assert len(c.of_kind(Prepare, 3)) == before + 1


def _few(c: Cluster, m: NewView) -> bytes:
    return _resigned(c, msgspec.structs.replace(m, view_changes=m.view_changes[:2]))


def _same_seat_twice(c: Cluster, m: NewView) -> bytes:
    return _resigned(c, msgspec.structs.replace(m, view_changes=(*m.view_changes[:2], m.view_changes[0])))


def _forged_view_change(c: Cluster, m: NewView) -> bytes:
    forged = msgspec.structs.replace(m.view_changes[0], signature=bytes(64))
    return _resigned(c, msgspec.structs.replace(m, view_changes=(forged, *m.view_changes[1:])))


def _out_of_turn(c: Cluster, m: NewView) -> bytes:
    return _resigned(c, msgspec.structs.replace(m, sender="node-0"), 0)


def _other_height(c: Cluster, m: NewView) -> bytes:
    changed = tuple(msgspec.structs.replace(v, view=2) for v in m.view_changes)
    return _resigned(c, msgspec.structs.replace(m, view_changes=changed))


def _bad_pre_prepare(c: Cluster, m: NewView) -> bytes:
    return c.sign(2, msgspec.structs.replace(m, pre_prepare=bytes(64), signature=UNSIGNED))


@pytest.mark.parametrize("alter", [_few, _same_seat_twice, _forged_view_change, _out_of_turn, _other_height, _bad_pre_prepare])
def test_a_wrong_new_view_gets_no_prepare(alter: object) -> None:
    c = Cluster()
    message = _new_view(c)
    before = len(c.of_kind(Prepare, 3))
    c.deliver(3, alter(c, message))  # type: ignore[operator]
    assert len(c.of_kind(Prepare, 3)) == before


def _view_changes_with_proof(c: Cluster) -> tuple[bytes, dict[str, ViewChange]]:
    """Everyone leaves view 0 of height 1, which node-3 has prepared in."""
    block_id = _prepared_at_3(c)
    c.wire.clear()
    c.wait(1100, without(NewView, Commit, Prepare, Decided))
    c.wire.clear()
    return block_id, {m.sender: m for m in c.of_kind(ViewChange) if m.view == 1}


def _without_body(change: ViewChange) -> ViewChange:
    return msgspec.structs.replace(change, block=None)


def test_a_new_primary_cannot_leave_out_the_block_of_the_highest_certificate() -> None:
    c = Cluster()
    _, changes = _view_changes_with_proof(c)
    assert changes["node-3"].proof is not None
    fresh = Block.decode(c.of_kind(PrePrepare)[0].block)
    header = msgspec.structs.replace(fresh.header, view=1, proposer="node-2")
    encoded = msgspec.structs.replace(fresh, header=header).encode()
    votes = tuple(_without_body(changes[f"node-{i}"]) for i in (0, 2, 3))
    message = NewView("node-2", 1, UNSIGNED, 1, votes, header.id(), encoded, UNSIGNED)
    c.deliver(0, _resigned(c, message))
    assert not [m for m in c.of_kind(Prepare, 0) if m.view == 1]
    assert any("another block than the highest" in x.detail for x in c.news[0] if hasattr(x, "detail"))


def test_a_new_primary_cannot_strip_a_certificate_from_a_view_change() -> None:
    c = Cluster()
    _, changes = _view_changes_with_proof(c)
    fresh = Block.decode(c.of_kind(PrePrepare)[0].block)
    header = msgspec.structs.replace(fresh.header, view=1, proposer="node-2")
    encoded = msgspec.structs.replace(fresh, header=header).encode()
    stripped = msgspec.structs.replace(changes["node-3"], proof=None, block=None)
    votes = (_without_body(changes["node-0"]), _without_body(changes["node-2"]), stripped)
    message = NewView("node-2", 1, UNSIGNED, 1, votes, header.id(), encoded, UNSIGNED)
    c.deliver(0, _resigned(c, message))
    assert not [m for m in c.of_kind(Prepare, 0) if m.view == 1]


def test_a_certificate_of_another_view_does_not_fit_the_signature() -> None:
    """The signature covers view and block: an older certificate of the same block cannot take its place."""
    c = Cluster()
    _, changes = _view_changes_with_proof(c)
    proof = changes["node-3"].proof
    assert proof is not None
    assert proof.digest() != PreparedProof(proof.view + 1, proof.block_id, proof.votes).digest()


def test_a_view_change_with_a_forged_certificate_is_ignored() -> None:
    c = Cluster()
    _, changes = _view_changes_with_proof(c)
    real = changes["node-3"]
    assert real.proof is not None
    few = PreparedProof(0, real.proof.block_id, real.proof.votes[:2])
    fake = PreparedProof(0, real.proof.block_id, tuple(msgspec.structs.replace(v, signature=bytes(64)) for v in real.proof.votes))
    late = PreparedProof(1, real.proof.block_id, real.proof.votes)
    for proof in (few, fake, late):
        message = msgspec.structs.replace(real, view=7, proof=proof, signature=UNSIGNED)
        c.deliver(0, c.sign(3, message))
        assert c.state(0).view_changes["node-3"].view == 1


def test_a_prepared_certificate_needs_the_primary() -> None:
    c = Cluster()
    _, changes = _view_changes_with_proof(c)
    real = changes["node-3"]
    assert real.proof is not None
    assert any(v.name == "node-1" for v in real.proof.votes)
    others = tuple(v for v in real.proof.votes if v.name != "node-1")
    message = msgspec.structs.replace(real, view=7, proof=PreparedProof(0, real.proof.block_id, others), signature=UNSIGNED)
    c.deliver(0, c.sign(3, message))
    assert c.state(0).view_changes["node-3"].view == 1


def test_seven_replicas_survive_two_silent_primaries() -> None:
    c = Cluster(7)
    c.stop(1)
    c.stop(2)
    c.submit(0, put("a"))
    c.wait(6000)
    assert c.block(1).header.view == 2
    assert c.validators.missed(1, 2) == ("node-1", "node-2")
