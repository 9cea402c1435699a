"""Nodes that drop bodies of old blocks go on, say so when asked for one, and bring back who was away for longer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from salus.consensus.block import transaction_hash
from salus.errors import ConfigError, Refused, StorageError, TransportError
from salus.ledger import queries as q
from salus.ledger.constants import Constants
from salus.ledger.node_api import BLOCKS, BlocksRequest
from salus.ledger.storage import sqlite
from salus.network.actors import DoctorActor
from salus.network.embedded import EmbeddedNetwork, Keeping
from salus.node import pruning
from support.embedded import CHEAP, PASSPHRASE, Clock, enrolled_doctor, opened_doctor

HOUR_MS = 3600_000
WINDOW_MS = 2 * HOUR_MS
NOBODY_KEEPS_ALL = Keeping(WINDOW_MS, archives=0)
AWAY = 3


@pytest.fixture(autouse=True)
def _short_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies can go once their writes are in a run, every 256 blocks, and go by sixties; here there are few."""
    monkeypatch.setattr(sqlite, "FOLD_BLOCKS", 3)
    monkeypatch.setattr(pruning, "BLOCKS_BETWEEN", 2)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home(tmp_path: Path, clock: Clock) -> Path:
    """A network with a short evidence window and a doctor."""
    constants = Constants(evidence_window_ms=WINDOW_MS)
    with EmbeddedNetwork.create(tmp_path / "home", PASSPHRASE, constants=constants, now_ms=clock, cost=CHEAP) as network:
        enrolled_doctor(network)
    return tmp_path / "home"


def publish(network: EmbeddedNetwork, clock: Clock, doctor: DoctorActor, times: int = 8) -> None:
    """Blocks, over a time that is longer than bodies are kept."""
    for _ in range(times):
        clock.advance(HOUR_MS)
        doctor.publish(datetime.fromtimestamp(clock() / 1000, UTC).date().isoformat(), 1)


def opened(home: Path, clock: Clock, keeping: Keeping) -> EmbeddedNetwork:
    return EmbeddedNetwork.open(home, now_ms=clock, keeping=keeping)


def until(network: EmbeddedNetwork, reached: Callable[[], object]) -> None:
    for _ in range(2000):
        if reached():
            return
        network._wait_ms(5)
    raise AssertionError([node.status() for node in network.nodes])


def test_a_pruned_network_goes_on_and_says_what_it_lacks(home: Path, clock: Clock) -> None:
    with opened(home, clock, Keeping()) as network:
        registered = next(raw for v in network.client().follow(0) for raw in v.block.transactions)
        publish(network, clock, opened_doctor(network))
        assert all(node.application.kept_from() == 1 for node in network.nodes), "the default keeps everything"
    with opened(home, clock, NOBODY_KEEPS_ALL) as network:
        publish(network, clock, opened_doctor(network), 3)
        node, client = network.nodes[1], network.client()
        first = node.application.kept_from()
        assert 3 < first < node.runner.height
        status = q.Status.decode(node.application.query(q.STATUS, q.StatusQuery().encode()))
        assert status.kept_from == first
        assert [v.block.header.height for v in client.follow(first - 1, 2)][:2] == [first, first + 1]
        for call in (
            lambda: node.handle(BLOCKS, BlocksRequest(first - 1, 8).encode()),
            lambda: node.application.query(q.BLOCK, q.BlockQuery(first - 1).encode()),
        ):
            with pytest.raises(Refused, match=r"pruned: .* replay needs an archive node"):
                call()
        with pytest.raises(TransportError, match="replay needs an archive node"):
            list(client.follow(0))
        with pytest.raises(TransportError, match="replay needs an archive node"):
            network.export(home.parent / "export")
        assert not (home.parent / "export").exists()
        # Headers and proofs stay: what was committed is still proven, only its body is gone.
        headers = q.Headers.decode(node.application.query(q.HEADERS, q.HeadersQuery(1).encode())).headers
        assert headers[0].header.height == 1
        tx_hash = transaction_hash(registered)
        proof = q.TransactionProof.decode(node.application.query(q.TRANSACTION, q.TransactionQuery(tx_hash, 1).encode()))
        assert proof.transaction is None
        with pytest.raises(TransportError, match="no longer has that transaction's body"):
            client.find(tx_hash)
    with opened(home, clock, NOBODY_KEEPS_ALL) as network:
        publish(network, clock, opened_doctor(network), 1)


def test_an_archive_has_what_the_others_dropped(home: Path, clock: Clock) -> None:
    with opened(home, clock, Keeping(WINDOW_MS, archives=1)) as network:
        publish(network, clock, opened_doctor(network))
        assert [node.application.kept_from() == 1 for node in network.nodes] == [True, False, False, False]
        height = network.nodes[0].runner.height
        assert len(list(network.client().follow(0))) == height
        assert network.export(home.parent / "export") == height


def test_who_was_away_for_longer_than_bodies_are_kept_comes_back_by_a_snapshot(home: Path, clock: Clock) -> None:
    with opened(home, clock, NOBODY_KEEPS_ALL) as network:
        away = network.nodes[AWAY].name
        directory = network.home.nodes()[AWAY]
        behind = network.nodes[AWAY].runner.height
        network.stop_node(away)
        doctor = opened_doctor(network)
        publish(network, clock, doctor)
        assert network.nodes[0].application.kept_from() > behind + 1

        # It has blocks of its own, which a snapshot does not replace by itself: it stops, and says what to do.
        again = network.start_node(away)
        until(network, lambda: again.runner.error)
        assert "remove its ledger, keep its votes" in again.status().complaint
        network.stop_node(away)
        shutil.rmtree(directory / "ledger")
        again = network.start_node(away)
        until(network, lambda: again.runner.height == network.nodes[0].runner.height)
        assert not again.runner.error
        # It counts again: with another one away, nothing is decided without it.
        network.stop_node(network.nodes[0].name)
        publish(network, clock, doctor, 2)
        assert len({node.application.info() for node in network.nodes}) == 1
        # It has asked the others for what is in front of the snapshot, and proves and denies what they do.
        assert again.history.complete
        for node in network.nodes:
            assert node.application.store.block(1) is not None
            with pytest.raises(Refused, match=r"not-found: .* is not on the ledger"):
                node.application.query(q.TRANSACTION, q.TransactionQuery(bytes(32), 0).encode())
        (tx_hash,) = network.nodes[1].application.store.block(1).hashes[:1]
        proof = q.TransactionProof.decode(again.application.query(q.TRANSACTION, q.TransactionQuery(tx_hash, 0).encode()))
        assert proof.height == 1


def test_bodies_are_kept_for_the_evidence_window_at_least(home: Path, clock: Clock) -> None:
    for _ in range(2):  # the home is free again
        with pytest.raises(ConfigError, match="evidence of misbehaviour counts for"):
            opened(home, clock, Keeping(WINDOW_MS - 1, archives=0))
    opened(home, clock, Keeping()).close()


def test_a_full_disk_keeps_bodies_and_the_node_goes_on(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageError("no space left on the disk")

    with opened(home, clock, NOBODY_KEEPS_ALL) as network:
        monkeypatch.setattr(network.nodes[1].application.store, "prune", full)
        publish(network, clock, opened_doctor(network))
        assert [node.application.kept_from() == 1 for node in network.nodes] == [False, True, False, False]
        assert not any(node.runner.error for node in network.nodes)
