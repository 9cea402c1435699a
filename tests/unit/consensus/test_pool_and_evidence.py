"""Pool: admission, gossip, receipts, refusals. Evidence: who signs two things is convicted, nobody else."""

from __future__ import annotations

import msgspec

from salus.consensus.block import Equivocation
from salus.consensus.pbft.events import Answer, EvidenceFound
from salus.consensus.pbft.messages import UNSIGNED, Commit, Evidence, PoolReceipt, Prepare, PrePrepare, Transactions, hash_of
from salus.consensus.pbft.words import Words
from support.pbft_cluster import Cluster, put, without


def _answers(c: Cluster, i: int) -> list[str]:
    return [r.reason for a in c.heard(i, Answer) for r in a.results]


def test_what_the_pool_takes_and_what_it_refuses() -> None:
    c = Cluster()
    c.submit(0, put("a"), put("sealed badly", sealed=0), b"no transaction", put("a"))
    assert _answers(c, 0) == ["", "bad-seal", "bad-encoding", ""]
    assert [r.tx_hash for a in c.heard(0, Answer) for r in a.results][2] == hash_of(b"no transaction")
    assert len(c.state(0).pool) == 1
    c.pump()
    c.submit(0, put("a"))
    assert _answers(c, 0)[-1] == "used-key"


def test_a_full_pool_says_so() -> None:
    c = Cluster(max_pool_transactions=2)
    c.submit(0, put("a"), put("b"), put("c"))
    assert _answers(c, 0) == ["", "", "pool-full"]
    c = Cluster(max_pool_bytes=3000)
    c.submit(0, put("a", bytes(1400)), put("b", bytes(1400)), put("c", bytes(1400)))
    assert _answers(c, 0) == ["", "", "pool-full"]


def test_gossip_is_checked_by_each_replica_for_itself() -> None:
    c = Cluster()
    good, bad = put("good"), put("bad", sealed=0)
    c.deliver(2, c.sign(0, Transactions("node-0", 1, UNSIGNED, (good, bad))))
    assert list(c.state(2).pool) == [hash_of(good)]


def test_accepted_means_receipts_of_f_plus_1_seats() -> None:
    c = Cluster()
    words = Words(c.runner(0))
    c.submit(0, put("a"))
    tx_hash = hash_of(put("a"))
    assert words.progress(tx_hash).receipts == {"node-0"}
    assert not words.progress(tx_hash).accepted
    [(_, _, gossip)] = [x for x in c.wire if x[1] == 1 and b"pbft.transactions" in x[2]]
    c.wire.clear()
    c.deliver(1, gossip)
    [(_, target, receipt)] = [x for x in c.wire if b"pool-receipt" in x[2]]
    assert target == 0
    c.deliver(0, receipt)
    assert words.progress(tx_hash).receipts == {"node-0", "node-1"}
    assert words.progress(tx_hash).accepted
    assert not words.progress(tx_hash).committed


def test_forged_receipts_count_for_nothing() -> None:
    c = Cluster(5, seats=4)
    words = Words(c.runner(0))
    c.submit(0, put("a"))
    c.wire.clear()
    tx_hash = hash_of(put("a"))
    outsider = c.sign(4, PoolReceipt("node-4", 1, UNSIGNED, (tx_hash,)))
    forged = msgspec.structs.replace(PoolReceipt("node-1", 1, UNSIGNED, (tx_hash,)), signature=bytes(64)).encode()
    again = c.sign(0, PoolReceipt("node-0", 1, UNSIGNED, (tx_hash,)))
    c.deliver(0, outsider, forged, again)
    assert words.progress(tx_hash).receipts == {"node-0"}


def test_a_replica_that_holds_a_transaction_already_receipts_it_again() -> None:
    c = Cluster()
    c.submit(2, put("a"))
    c.wire.clear()
    c.deliver(2, c.sign(0, Transactions("node-0", 1, UNSIGNED, (put("a"),))))
    assert [m.tx_hashes for m in c.of_kind(PoolReceipt, 2)] == [(hash_of(put("a")),)]


def test_words_follow_a_transaction_to_its_proof() -> None:
    c = Cluster()
    words = Words(c.runner(0))
    c.submit(0, put("a"))
    tx_hash = hash_of(put("a"))
    c.pump(lambda a, b, m: m.height < 2 or not isinstance(m, Commit))
    progress = words.progress(tx_hash)
    assert (progress.height, words.proven(tx_hash)) == (1, False)
    c.wait(500)
    assert words.proven(tx_hash)
    assert words.progress(hash_of(b"unknown")).height == 0


def test_a_transaction_that_became_invalid_leaves_the_pool_with_its_reason() -> None:
    """Two that exclude each other: the one that comes second is refused once blocks with room have passed it by."""
    c = Cluster()
    words = Words(c.runner(3))
    first, second = put("same", b"1"), put("same", b"2")
    c.submit(1, first)
    c.wire = [x for x in c.wire if b"pbft.transactions" not in x[2]]
    c.submit(3, second)
    c.wire = [x for x in c.wire if b"pbft.transactions" not in x[2]]
    c.wait(4000, without(Transactions))
    assert not c.state(3).pool
    progress = words.progress(hash_of(second))
    assert (progress.reason, progress.height) == ("used-key", 0)


def test_late_gossip_of_a_committed_transaction_is_not_checked_again() -> None:
    c = Cluster()
    c.submit(0, put("a"))
    c.pump()
    before = c.state(2).check_count
    c.deliver(2, c.sign(0, Transactions("node-0", 1, UNSIGNED, (put("a"),))))
    assert c.state(2).check_count == before


def _conflicting(c: Cluster, kind: type[Prepare] | type[Commit], i: int = 3, height: int = 1) -> list[bytes]:
    return [c.sign(i, kind(f"node-{i}", height, UNSIGNED, 0, x * 32)) for x in (b"a", b"b")]


def test_two_votes_of_one_kind_convict() -> None:
    for kind in (Prepare, Commit):
        c = Cluster()
        c.deliver(0, *_conflicting(c, kind))
        [found] = c.heard(0, EvidenceFound)
        evidence = found.evidence
        assert (evidence.name, evidence.height, evidence.view) == ("node-3", 1, 0)
        assert evidence.first_id < evidence.second_id
        c.deliver(0, *_conflicting(c, kind))
        assert len(c.heard(0, EvidenceFound)) == 1
        c.pump()
        assert all(c.heard(i, EvidenceFound) for i in range(3)), "the finder tells the others"


def test_two_proposals_of_one_view_convict_the_primary() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    message = c.of_kind(PrePrepare, 1)[0]
    c.wire.clear()
    other = msgspec.structs.replace(message, block_id=b"o" * 32, signature=UNSIGNED)
    c.deliver(2, message.encode(), c.sign(1, other))
    assert c.heard(2, EvidenceFound)[0].evidence.name == "node-1"


def test_different_kinds_views_or_heights_convict_nobody() -> None:
    c = Cluster()
    votes = [
        Prepare("node-3", 1, UNSIGNED, 0, b"a" * 32),
        Prepare("node-3", 1, UNSIGNED, 1, b"b" * 32),
        Commit("node-3", 1, UNSIGNED, 0, b"c" * 32),
        Prepare("node-3", 2, UNSIGNED, 0, b"d" * 32),
        Prepare("node-2", 1, UNSIGNED, 0, b"e" * 32),
    ]
    c.deliver(0, *[c.sign(int(v.sender[-1]), v) for v in votes])
    assert not c.heard(0, EvidenceFound)


def test_a_late_second_vote_of_the_height_before_convicts_too() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    c.pump()
    assert c.runner(0).height == 2
    second = c.sign(3, Prepare("node-3", 2, UNSIGNED, 0, b"x" * 32))
    c.deliver(0, second)
    assert c.heard(0, EvidenceFound)[0].evidence.name == "node-3"


def test_evidence_reaches_a_block_once() -> None:
    c = Cluster()
    c.deliver(0, *_conflicting(c, Prepare))
    c.pump()
    c.submit(0, put("a"))
    c.pump()
    c.submit(0, put("b"))
    c.pump()
    found = [e for h in range(1, c.heights()[0] + 1) for e in c.block(h).misbehaviour]
    assert len(found) == 1
    assert Equivocation.decode(found[0]).name == "node-3"
    assert not any(c.state(i).evidence for i in range(4))


def test_false_evidence_is_not_taken() -> None:
    c = Cluster()
    c.deliver(0, *_conflicting(c, Prepare))
    real = c.heard(0, EvidenceFound)[0].evidence
    wrong = [
        msgspec.structs.replace(real, name="node-2"),
        msgspec.structs.replace(real, view=1),
        msgspec.structs.replace(real, height=2),
        msgspec.structs.replace(real, vote_kind="commit"),
        msgspec.structs.replace(real, vote_kind="view-change"),
        msgspec.structs.replace(real, second_id=real.first_id, second_signature=real.first_signature),
        msgspec.structs.replace(
            real, first_id=real.second_id, second_id=real.first_id,
            first_signature=real.second_signature, second_signature=real.first_signature,
        ),
    ]  # fmt: skip
    for evidence in wrong:
        c.deliver(1, c.sign(0, Evidence("node-0", 1, UNSIGNED, evidence)))
    assert not c.heard(1, EvidenceFound)
    c.deliver(1, c.sign(0, Evidence("node-0", 1, UNSIGNED, real)))
    assert c.heard(1, EvidenceFound)


def test_a_block_with_false_evidence_gets_no_vote() -> None:
    c = Cluster()
    c.deliver(0, *_conflicting(c, Prepare))
    real = c.heard(0, EvidenceFound)[0].evidence
    c.wire.clear()
    false = msgspec.structs.replace(real, name="node-2")
    c.state(1).evidence["node-2", "prepare", 1, 0] = false.encode()
    c.submit(1, put("a"))
    c.pump()
    assert c.of_kind(PrePrepare, 1)
    assert not [m for m in c.of_kind(Prepare) if m.view == 0]
