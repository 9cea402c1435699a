"""Claim: who sends a snapshot cannot lie about how many entries the log has.

A snapshot holds the log as (count, peaks). The peaks give its root; another count with as many one bits gives the same root from
the same peaks, even after one more entry, and another one after the second. A hash over the roots alone does not tell the two
apart.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from salus import labels
from salus.consensus.pbft.events import Complaint, SnapshotRestored
from salus.consensus.pbft.messages import Signed, SnapshotOffer
from salus.ledger import answers, application, snapshots
from salus.ledger.merkle_log import LogState
from salus.ledger.storage import sqlite
from salus.symmetric import h2
from support.long_history import AWAY, FOLD_BLOCKS, History, Network, agree

LIAR = 0


@pytest.fixture(autouse=True)
def _short_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "FOLD_BLOCKS", FOLD_BLOCKS)


def another_count(log: LogState) -> LogState:
    """The same peaks under another count: the same root now, another one after two more entries."""
    entries = [bytes(32), bytes(32)]
    for count in range(1, 2 * log.count):
        other = LogState(count, log.peaks)
        if count.bit_count() == log.count.bit_count() and other.extended(entries).root() != log.extended(entries).root():
            other.check()
            assert other.root() == log.root()
            return other
    raise AssertionError("no such count")


def lying(snapshot: bytes) -> bytes:
    """The snapshot with another number of log entries, all else as it is."""
    first, *others = snapshots.frames(snapshot)
    header = snapshots.SnapshotHeader.decode(first)
    return b"".join(map(snapshots.frame, [replace(header, log=another_count(header.log)).encode(), *others]))


def attack(directory: Path) -> Network:
    """A replica comes back, and hears of the liar's snapshot alone until it has found the liar out."""
    network = Network(History(), directory)
    liar = network.applications[LIAR]
    true = liar.snapshot
    liar.snapshot = lambda: lying(true())  # type: ignore[method-assign]
    behind = network.driver.runners[network.names[AWAY]]

    def liar_first(source: str, target: str, message: Signed) -> bool:
        return not isinstance(message, SnapshotOffer) or source == network.names[LIAR] or bool(behind.state.liars)

    network.driver.passes = liar_first
    assert network.driver.run(lambda: bool(network.heard(AWAY, SnapshotRestored)), 60_000)
    assert network.together()
    liar.snapshot = true  # type: ignore[method-assign]
    return network


def go_on(network: Network) -> None:
    """Two more transactions."""
    for _ in range(2):
        network.driver.commit(network.names[1], [network.history.request().encode()])
        network.driver.settle()


def test_a_snapshot_with_another_number_of_log_entries_is_refused(tmp_path: Path) -> None:
    network = attack(tmp_path)
    behind = network.driver.runners[network.names[AWAY]]
    assert behind.state.liars == {network.names[LIAR]}
    assert "is not the state that the certified header names" in network.heard(AWAY, Complaint)[-1].detail
    go_on(network)
    assert not behind.error
    agree(network)
    network.close()


def test_it_is_believed_if_the_application_hash_does_not_cover_the_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hash over the two roots alone, the replica goes on from a false state, and stops soon after."""

    def over_the_roots(log_count: int, log_root: bytes, state_root: bytes) -> bytes:
        return h2(labels.APPLICATION_HASH, labels.SUITE_LEDGER, log_root, state_root)

    for module in (answers, application, snapshots):
        monkeypatch.setattr(module, "application_hash", over_the_roots)
    network = attack(tmp_path)
    behind = network.driver.runners[network.names[AWAY]]
    assert not behind.state.liars
    assert not behind.error
    true, false = network.applications[1].head().log, network.applications[AWAY].head().log
    assert true.root() == false.root()
    assert true.count != false.count
    go_on(network)
    assert "this node's state is wrong; restore it from its peers" in behind.error
    network.close()
