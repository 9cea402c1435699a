"""A replica that was away for so long that its peers have pruned what it missed: the real ledger, by snapshot."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from salus.consensus.pbft.events import Committed, Complaint, SnapshotRestored
from salus.consensus.pbft.messages import Signed, SnapshotOffer
from salus.ledger import snapshots
from salus.ledger.storage import sqlite
from support.long_history import AWAY, FOLD_BLOCKS, History, Network, agree


@pytest.fixture(autouse=True)
def _short_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "FOLD_BLOCKS", FOLD_BLOCKS)


def test_a_replica_whose_blocks_are_pruned_everywhere_comes_back_by_a_snapshot(tmp_path: Path) -> None:
    network = Network(History(), tmp_path)
    assert network.applications[AWAY].info().height == 0
    assert network.together()
    [restored] = network.heard(AWAY, SnapshotRestored)
    assert restored.height >= network.history.chain.application.info().height
    assert [c.height for c in network.heard(AWAY, Committed)][:1] in ([], [restored.height + 1])
    network.driver.settle()
    agree(network)

    # It takes requests, checks them for itself and votes: with one of the others silent, nothing is decided without it.
    network.driver.passes = lambda source, target, message: network.names[0] not in (source, target)
    raw = network.history.request().encode()
    [progress] = network.driver.commit(network.names[AWAY], [raw])
    assert progress.height > restored.height
    used = network.applications[AWAY].check_transactions([raw], network.now_ms)
    assert used[0].reason
    network.driver.passes = lambda source, target, message: True
    assert network.together()

    # And it is found again after a restart.
    height = network.applications[AWAY].info().height
    network.start()
    assert network.applications[AWAY].info().height == height
    network.driver.commit(network.names[AWAY], [network.history.request().encode()])
    network.driver.settle()
    agree(network)
    network.close()


def altered(snapshot: bytes, what: str) -> bytes:
    """What a lying replica sends: whole, well-formed, and of another state."""
    frames = list(snapshots.frames(snapshot))
    header = snapshots.SnapshotHeader.decode(frames[0])
    if what == "height":
        header = replace(header, height=header.height + 1)
    elif what == "time":
        header = replace(header, time_ms=header.time_ms - 1)
    elif what == "hash":
        header = replace(header, application_hash=bytes(32))
    elif what == "network":
        header = replace(header, network=bytes(32))
    elif what == "log":
        header = replace(header, log=replace(header.log, peaks=(bytes(32), *header.log.peaks[1:])))
    body = b"".join(map(snapshots.frame, frames[1:]))
    if what == "leaf":
        body = body[:-1] + bytes([body[-1] ^ 1])
    if what == "less":
        body = b"".join(map(snapshots.frame, frames[1:-1]))
    return snapshots.frame(header.encode()) + body


@pytest.fixture(scope="module")
def history() -> History:
    return History()


@pytest.mark.parametrize("what", ["height", "time", "hash", "network", "log", "leaf", "less"])
def test_a_lying_snapshot_is_refused_and_the_next_replica_asked(history: History, tmp_path: Path, what: str) -> None:
    network = Network(history, tmp_path)
    liar = network.applications[0]
    true = liar.snapshot
    liar.snapshot = lambda: altered(true(), what)  # type: ignore[method-assign]
    behind = network.driver.runners[network.names[AWAY]]

    def liar_first(source: str, target: str, message: Signed) -> bool:
        """The others' offers come after the liar's."""
        return not isinstance(message, SnapshotOffer) or source == network.names[0] or bool(behind.state.liars)

    network.driver.passes = liar_first
    start = network.applications[AWAY].info()
    assert network.driver.run(lambda: bool(behind.state.liars), 30_000)
    assert behind.state.liars == {network.names[0]}
    assert network.applications[AWAY].info() == start, "nothing of it was taken"
    assert f"the snapshot that {network.names[0]} sent" in network.heard(AWAY, Complaint)[-1].detail
    assert network.together()
    assert not behind.error
    assert len(network.heard(AWAY, SnapshotRestored)) == 1
    network.driver.settle()
    liar.snapshot = true  # type: ignore[method-assign]
    agree(network)
    network.close()
