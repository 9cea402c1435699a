"""Whoever is behind gets blocks with certificates, or a snapshot where blocks are pruned; nothing is taken on faith."""

from __future__ import annotations

import msgspec
import pytest

from salus.codec import decode, encode
from salus.consensus.block import Certificate
from salus.consensus.pbft import snapshots
from salus.consensus.pbft.events import Committed, Complaint, SnapshotRestored
from salus.consensus.pbft.messages import (
    UNSIGNED,
    BlockRequest,
    Checkpoint,
    Commit,
    Decided,
    Prepare,
    Signed,
    SnapshotOffer,
    SnapshotPart,
    Status,
)
from salus.sim.toy import ToyTransaction, ToyUpdate
from support.pbft_cluster import Cluster, only, put


def _behind(blocks: int = 6, **config: object) -> Cluster:
    """node-3 slept while the others committed."""
    c = Cluster(**config)  # type: ignore[arg-type]
    c.stop(3)
    for i in range(blocks):
        c.submit(0, put(f"k{i}"))
        c.pump()
        c.wait(1000)
    return c


def test_a_lagging_replica_imports_the_blocks_it_missed() -> None:
    c = _behind()
    top = c.runner(0).height
    c.start(3)
    c.wait(3000)
    assert c.runner(3).height == top
    assert c.committed(3) == list(range(1, top + 1)), "in order, each once"
    assert all(n.imported for n in c.heard(3, Committed))
    assert c.applications[3].info() == c.applications[0].info()


def test_a_replica_far_behind_asks_again_until_it_has_everything() -> None:
    c = Cluster()
    c.stop(3)
    for i in range(25):
        c.submit(0, put(f"k{i}"))
        c.wait(1100)
    c.wait(4000)
    top = c.runner(0).height
    assert top > 32
    c.start(3)
    c.wait(8000)
    assert c.runner(3).height == top


def test_a_replica_cut_off_in_the_middle_of_a_height_is_answered() -> None:
    c = Cluster()
    c.submit(1, put("a"))
    c.pump(only(0, 1, 2))
    assert c.runner(3).height == 0
    c.wait(3000)
    assert set(c.heights()) == {2}


def test_a_forged_decision_is_refused() -> None:
    c = _behind(2)
    record = c.applications[0].block_record(1)
    assert record is not None
    certificate = Certificate.decode(record[1])
    few = msgspec.structs.replace(certificate, signatures=certificate.signatures[:2])
    forged = msgspec.structs.replace(
        certificate, signatures=tuple(msgspec.structs.replace(x, signature=bytes(64)) for x in certificate.signatures)
    )
    twice = msgspec.structs.replace(certificate, signatures=(*certificate.signatures[:2], certificate.signatures[1]))
    other_view = msgspec.structs.replace(certificate, view=certificate.view + 1)
    c.wire.clear()
    c.start(3)
    for bad in (few, forged, twice, other_view):
        c.deliver(3, c.sign(0, Decided("node-0", 1, UNSIGNED, record[0], bad)))
        assert c.runner(3).height == 0
    c.deliver(3, c.sign(0, Decided("node-0", 1, UNSIGNED, record[0], certificate)))
    assert c.runner(3).height == 0, "who lied is not believed again"
    c.deliver(3, c.sign(1, Decided("node-1", 1, UNSIGNED, record[0], certificate)))
    assert c.runner(3).height == 1


def test_another_body_under_a_good_certificate_is_refused() -> None:
    c = _behind(2)
    first, second = c.applications[0].block_record(1), c.applications[0].block_record(2)
    assert first is not None
    assert second is not None
    c.wire.clear()
    c.start(3)
    c.deliver(3, c.sign(0, Decided("node-0", 1, UNSIGNED, second[0], Certificate.decode(first[1]))))
    assert c.runner(3).height == 0


def test_questions_are_not_answered_faster_than_they_make_sense() -> None:
    c = _behind(2)
    c.wire.clear()
    before = len(c.of_kind(Decided))
    ask = c.sign(3, BlockRequest("node-3", 1, UNSIGNED))
    for _ in range(50):
        c.deliver(0, ask)
    assert 0 < len(c.of_kind(Decided)) - before <= 16


def test_a_replica_that_needs_pruned_blocks_gets_a_snapshot() -> None:
    c = _behind(6, keep_blocks=4)
    assert c.applications[0].block_record(1) is None
    top = c.runner(0).height
    c.start(3)
    c.wait(5000)
    assert c.heard(3, SnapshotRestored)
    assert c.runner(3).height >= top
    assert c.applications[3].written() == c.applications[0].written()
    c.submit(3, put("after"))
    c.pump()
    c.wait(1000)
    assert len(set(c.heights())) == 1
    assert c.of_kind(Prepare, 3), "it votes again"
    c.stop(3)
    c.start(3)
    c.submit(3, put("after a restart"))
    c.wait(1000)
    assert b"after a restart" in c.applications[3].written()


def test_a_snapshot_survives_a_restart_right_after_it() -> None:
    """The anchor is on disk before the snapshot, so the replica finds its last block without having it."""
    c = _behind(6, keep_blocks=4)
    c.start(3)
    for _ in range(100):
        c.now += 50
        c.pump(lambda a, b, m: not isinstance(m, Decided))
        if c.heard(3, SnapshotRestored):
            break
    height = c.runner(3).height
    assert height > 0
    c.stop(3, power=True)
    c.start(3)
    assert c.runner(3).height == height


def test_a_bad_snapshot_offer_is_refused() -> None:
    c = _behind(6, keep_blocks=4)
    c.start(3)
    c.wait(3000, lambda a, b, m: not (isinstance(m, SnapshotOffer | Decided) and b == 3))
    [offer, *_] = c.of_kind(SnapshotOffer)
    point = offer.checkpoint
    wrong = [
        msgspec.structs.replace(offer, checkpoint=msgspec.structs.replace(point, application_hash=b"x" * 32)),
        msgspec.structs.replace(offer, checkpoint=msgspec.structs.replace(point, votes=point.votes[:2])),
        msgspec.structs.replace(offer, size=1 << 40),
        msgspec.structs.replace(
            offer, next_validators=msgspec.structs.replace(offer.validators, members=offer.validators.members[:3])
        ),
        msgspec.structs.replace(
            offer,
            anchor=msgspec.structs.replace(offer.anchor, header=msgspec.structs.replace(offer.anchor.header, time_ms=1)),
        ),
    ]
    sender = int(offer.sender.removeprefix("node-"))
    for bad in wrong:
        c.deliver(3, c.sign(sender, msgspec.structs.replace(bad, signature=UNSIGNED)))
        assert c.state(3).fetching is None
    c.deliver(3, offer.encode())
    assert c.state(3).fetching is not None


def test_altered_parts_of_a_snapshot_change_nothing() -> None:
    """Who sends other parts than it offered is found out, and another replica is asked."""
    c = _behind(6, keep_blocks=4)
    c.start(3)
    liars: set[int] = set()

    def spoiled(source: int, target: int, message: Signed) -> bool:
        if isinstance(message, SnapshotPart) and any(message.data) and (not liars or source in liars):
            liars.add(source)
            other = msgspec.structs.replace(message, data=bytes(len(message.data)), signature=UNSIGNED)
            c.wire.append((source, target, c.sign(source, other)))
            return False
        return not isinstance(message, Decided)

    for _ in range(80):
        c.wait(50, spoiled)
        if c.state(3).liars:
            break
    assert c.state(3).liars == {c.names[i] for i in liars}
    assert c.runner(3).height == 0
    assert "is not the one it offered" in c.heard(3, Complaint)[-1].detail
    c.wait(4000, spoiled)
    assert c.heard(3, SnapshotRestored)
    assert len(set(c.heights())) == 1


@pytest.mark.parametrize("repaired", [True, False])
def test_who_offers_a_snapshot_and_falls_silent_holds_nobody_up_twice(repaired: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not repaired:
        monkeypatch.setattr(snapshots, "STALLED_MS", 0)
    c = _behind(6, keep_blocks=4)
    c.start(3)
    offers: dict[int, bytes] = {}

    def passes(source: int, target: int, message: Signed) -> bool:
        """node-0's offer is always the first to arrive, and nothing comes after it."""
        if isinstance(message, SnapshotOffer):
            offers[source] = message.encode()
            return False
        return not isinstance(message, Decided) and not (isinstance(message, SnapshotPart) and source == 0)

    for _ in range(600):
        c.wait(50, passes)
        if 0 in offers:
            c.deliver(3, offers[0], *[data for source, data in sorted(offers.items()) if source != 0])
    assert bool(c.heard(3, SnapshotRestored)) == repaired


def test_a_silent_replica_gets_its_turn_again() -> None:
    """With nobody else to ask, the one that was silent is asked again."""
    c = _behind(6, keep_blocks=4)
    c.start(3)

    def silent(source: int, target: int, message: Signed) -> bool:
        other_offer = isinstance(message, SnapshotOffer) and source != 0
        return not (other_offer or isinstance(message, Decided | SnapshotPart))

    c.wait(12_000, silent)
    assert set(c.state(3).stalled) == {"node-0"}
    c.wait(snapshots.STALLED_MS + 5000, lambda a, b, m: silent(a, b, m) or isinstance(m, SnapshotPart), step_ms=200)
    assert c.heard(3, SnapshotRestored)


@pytest.mark.parametrize("what", ["height", "time", "state"])
def test_a_snapshot_of_something_else_is_its_senders_lie(what: str) -> None:
    """Certified are the application hash, the height and the time; a snapshot that says otherwise stops nobody."""
    c = _behind(6, keep_blocks=4)
    c.start(3)
    true = c.applications[0].snapshot

    def lie() -> bytes:
        height, time_ms, state_hash, keys = decode(true())
        wrong = {"height": height + 7 if what == "height" else height, "time": time_ms + 7 if what == "time" else time_ms}
        return encode((wrong["height"], wrong["time"], b"x" * 32 if what == "state" else state_hash, keys))

    c.applications[0].snapshot = lie  # type: ignore[method-assign]

    def liar_alone(source: int, target: int, message: Signed) -> bool:
        return not (isinstance(message, Decided) or (isinstance(message, SnapshotOffer) and source != 0))

    for _ in range(80):
        c.wait(50, liar_alone)
        if c.state(3).liars:
            break
    assert c.state(3).liars == {"node-0"}
    assert (c.runner(3).height, c.runner(3).error) == (0, "")
    assert "the snapshot that node-0 sent" in c.heard(3, Complaint)[-1].detail
    c.stop(3, power=True)
    c.start(3)
    assert c.runner(3).height == 0, "nothing of it was kept"
    c.wait(4000, lambda a, b, m: not isinstance(m, Decided))
    assert c.heard(3, SnapshotRestored)
    c.wait(2000)
    assert len(set(c.heights())) == 1
    assert c.applications[3].written() == c.applications[1].written()


def test_validator_changes_are_active_two_heights_later() -> None:
    c = Cluster(5, seats=4)
    gone = ToyUpdate("node-0", c.signers[0].public_key, 0)
    new = ToyUpdate("node-4", c.signers[4].public_key, 1)
    c.submit(1, ToyTransaction(b"seats", b"", 1, (gone, new)).encode())
    c.pump()
    assert set(c.heights()) == {2}
    old, fresh = c.validators.hash(), c.state(0).validators.hash()
    assert c.block(1).header.next_validators_hash == old
    assert (c.block(2).header.validators_hash, c.block(2).header.next_validators_hash) == (old, fresh)
    assert [m.name for m in c.state(2).validators.members] == ["node-1", "node-2", "node-3", "node-4"]
    for i in range(4):
        c.submit(2, put(f"k{i}"))
        c.pump()
        c.wait(100)
    assert not [m for m in c.of_kind(Prepare, 0) if m.height > 2], "no seat, no vote"
    assert [m for m in c.of_kind(Prepare, 4) if m.height > 2]
    assert len(set(c.heights())) == 1, "who lost its seat still follows"


def test_a_replica_behind_a_set_change_verifies_its_way_through() -> None:
    for keep in (None, 4):
        c = Cluster(5, seats=4, keep_blocks=keep)
        c.stop(3)
        gone = ToyUpdate("node-0", c.signers[0].public_key, 0)
        new = ToyUpdate("node-4", c.signers[4].public_key, 1)
        c.submit(1, ToyTransaction(b"seats", b"", 1, (gone, new)).encode())
        c.wait(3000)
        for i in range(6):
            c.submit(2, put(f"k{i}"))
            c.wait(1500)
        top = c.runner(2).height
        assert top > 8
        c.start(3)
        c.wait(6000)
        assert c.runner(3).height >= top
        assert bool(c.heard(3, SnapshotRestored)) == (keep is not None)
        assert "node-0" not in [m.name for m in c.state(3).validators.members]


def test_checkpoints_become_stable_and_a_wrong_state_stops() -> None:
    c = Cluster(checkpoint_interval=2)
    c.submit(0, put("a"))
    c.pump()
    assert [c.state(i).stable.height for i in range(4) if c.state(i).stable is not None] == [2, 2, 2, 2]
    c = Cluster(checkpoint_interval=1)
    c.submit(0, put("a"))
    c.pump(lambda a, b, m: not (b == 3 and isinstance(m, Checkpoint)))
    [own] = [p for p in c.state(3).own_checkpoints.values() if p.height == 1]
    other = msgspec.structs.replace(own, application_hash=b"x" * 32, signature=UNSIGNED)
    for i in range(3):
        c.deliver(3, c.sign(i, msgspec.structs.replace(other, sender=f"node-{i}")))
    assert "this node's state is wrong" in c.runner(3).error


def test_a_decided_block_on_another_state_stops_the_replica() -> None:
    c = Cluster()
    c.submit(0, put("a"))
    c.pump(lambda a, b, m: b != 3)
    state = c.state(3)
    state.last = msgspec.structs.replace(state.last, application_hash=b"x" * 32)
    c.wait(2000)
    assert "restore it from its peers" in c.runner(3).error


def test_status_tells_where_a_replica_stands() -> None:
    c = Cluster()
    c.wait(1200)
    statuses = c.of_kind(Status, 0)
    assert statuses
    assert {s.height for s in statuses} == {1}


def test_an_early_vote_under_a_key_that_is_replaced_by_then_does_not_count() -> None:
    c = Cluster(5, seats=4)
    fresh_key = ToyUpdate("node-3", c.signers[4].public_key, 1)
    c.submit(1, ToyTransaction(b"key", b"", 1, (fresh_key,)).encode())
    early = c.sign(3, Commit("node-3", 3, UNSIGNED, 0, b"x" * 32))
    c.deliver(0, early)
    assert len(c.state(0).early) == 1
    c.pump(lambda a, b, m: a != 3)
    assert c.state(0).height == 3
    assert c.state(0).seat_key("node-3") == c.signers[4].public_key
    assert not c.state(0).early
    assert "node-3" not in c.state(0).votes.get(("commit", 0), {})
