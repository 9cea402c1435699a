"""What a ledger client refuses of the nodes it asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from salus.errors import TransportError
from salus.ledger.client import LedgerClient
from support.embedded import enrolled_doctor, found_network


def test_headers_older_than_the_bound_are_refused(tmp_path: Path) -> None:
    with found_network(tmp_path / "home") as network:
        enrolled_doctor(network, slots=0)
        names = [node.name for node in network.nodes]

        def client(max_age_ms: int, later_ms: int) -> LedgerClient:
            clock = lambda: network.now_ms() + later_ms  # noqa: E731
            return LedgerClient(network.transport, names, network.genesis, clock, lambda _: None, max_age_ms=max_age_ms)

        client(60_000, 0).refresh()
        client(0, 10**9).refresh()
        with pytest.raises(TransportError, match="s old"):
            client(60_000, 61_000).refresh()
