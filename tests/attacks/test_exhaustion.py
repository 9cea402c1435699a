"""Claim: what a stranger sends takes a bounded part of a node's memory.

Anyone may submit transactions and send messages that claim to come from a replica; a node knows that they are false only
after it has taken them in.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from salus.consensus.pbft import runner
from salus.ledger import decoded
from salus.ledger.kinds.protocol import Activation
from salus.ledger.kinds.voters import Approval
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from salus.network.embedded import EmbeddedNetwork
from support.embedded import CHEAP, PASSPHRASE
from support.ledger_world import LedgerWorld
from support.pbft_cluster import Cluster


def large_transaction(number: int) -> bytes:
    """A false one, near the largest size, that decodes."""
    approvals = tuple(Approval(f"{i:03}".ljust(128, "x"), bytes(64)) for i in range(256))
    raw = Activation(number, 1, approvals).encode()
    assert MAX_TRANSACTION_BYTES // 2 < len(raw) <= MAX_TRANSACTION_BYTES
    return raw


def test_false_transactions_are_forgotten_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "DECODED_BYTES_KEPT", 1024 * 1024)
    chain = LedgerWorld("exhaustion").chain()
    for start in range(0, 64, 16):
        chain.application.check_transactions([large_transaction(start + i) for i in range(16)], chain.time_ms + 1)
    kept = chain.application._decoded
    assert 0 < len(kept) < 64
    assert kept.size_bytes == sum(map(len, kept._kept)) <= 1024 * 1024


def test_without_the_bound_every_false_transaction_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "DECODED_BYTES_KEPT", 1 << 62)
    chain = LedgerWorld("exhaustion").chain()
    chain.application.check_transactions([large_transaction(i) for i in range(64)], chain.time_ms + 1)
    assert chain.application._decoded.size_bytes > 2 * 1024 * 1024


def test_messages_of_strangers_fill_the_inbox_up_to_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MAX_INBOX_BYTES", 1024 * 1024)
    replica = Cluster().runners[0]
    for _ in range(64):
        replica.deliver(bytes(100_000))
    assert sum(map(len, replica._inbox)) == 1_000_000
    replica.work()
    assert (len(replica._inbox), replica._inbox_bytes) == (0, 0)
    replica.deliver(bytes(100_000))
    assert len(replica._inbox) == 1


def test_a_node_keeps_no_answer_that_nobody_waits_for(tmp_path: Path) -> None:
    with EmbeddedNetwork.create(tmp_path / "home", PASSPHRASE, cost=CHEAP) as network:  # its nodes deal and acknowledge
        assert [len(node._answers) for node in network.nodes] == [0] * 4
