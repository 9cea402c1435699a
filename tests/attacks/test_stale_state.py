"""Claim: nobody can hold a client back in the past, neither a node nor the network between.

A node proves what it says, under a header that a quorum signed; but an old header is signed as well. Whoever works with the thief
of a doctor's revoked key shows a patient the state from before the revocation: the patient would encrypt to the thief.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.errors import Refused, TransportError
from salus.ledger import asking
from salus.ledger.client import LedgerClient
from salus.ledger.kinds.parties import PARTIES
from salus.ledger.node_api import BLOCKS, NEWEST, QUERY
from salus.network.embedded import EmbeddedNetwork
from salus.transport import Transport
from support.embedded import DOCTOR, enrolled_doctor, found_network


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        enrolled_doctor(network, slots=1)
        yield network


class Past:
    """Nodes that answer as they did when it was recorded: one that lies, or all, if somebody on the way answers for them."""

    def __init__(self, inner: Transport, *liars: str) -> None:
        self._inner = inner
        self._liars = liars
        self._then: dict[tuple[str, str, bytes], bytes] = {}
        self.recording = True

    def call(self, party: str, method: str, body: bytes) -> bytes:
        if party not in self._liars or method not in (QUERY, BLOCKS, NEWEST):
            return self._inner.call(party, method, body)
        question = (party, method, b"" if method == NEWEST else body)
        if self.recording or question not in self._then:
            self._then[question] = self._inner.call(party, method, body)
        return self._then[question]


def client_of(network: EmbeddedNetwork, transport: Transport) -> LedgerClient:
    return LedgerClient(transport, network._node_names, network.genesis, network.now_ms, lambda _: None)


def ready(network: EmbeddedNetwork, liars: int = 1) -> tuple[Past, bytes]:
    """Liars who recorded the doctor's key; then the key is revoked."""
    past = Past(network.transport, *network._node_names[:liars])
    before = client_of(network, past)
    for name in network._node_names:
        before._newest(name)
    W = before.member_key("doctor", DOCTOR)
    past.recording = False
    network.centre.revoke_member("doctor", DOCTOR)
    network.settle()
    return past, W


def test_a_fresh_client_learns_of_the_revocation(network: EmbeddedNetwork) -> None:
    past, _ = ready(network)
    fresh = client_of(network, past)
    fresh.refresh()
    with pytest.raises(Refused, match="revoked"):
        fresh.member_key("doctor", DOCTOR)


def test_a_client_that_asks_one_node_encrypts_to_the_thief(network: EmbeddedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    past, W = ready(network)

    def one_node(self: asking.Asking) -> None:
        self._state(PARTIES, [b""])

    monkeypatch.setattr(asking.Asking, "refresh", one_node)
    fresh = client_of(network, past)
    assert fresh.member_key("doctor", DOCTOR) == W


def test_one_node_alone_is_not_enough_to_know_the_newest_state(network: EmbeddedNetwork) -> None:
    _, *others = network._node_names

    class Alone:
        """The network lets only the liar's answers through."""

        def call(self, party: str, method: str, body: bytes) -> bytes:
            if party in others:
                raise TransportError("lost")
            return network.transport.call(party, method, body)

    with pytest.raises(TransportError, match="2 are needed"):
        client_of(network, Alone()).refresh()


def test_the_network_between_cannot_answer_for_the_nodes_from_memory(network: EmbeddedNetwork) -> None:
    past, _ = ready(network, liars=4)
    with pytest.raises(TransportError, match="does not verify"):
        client_of(network, past).refresh()


def test_without_the_nodes_own_word_it_can(network: EmbeddedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    past, W = ready(network, liars=4)
    monkeypatch.setattr(asking, "verify_member_signature", lambda *_: None)
    fresh = client_of(network, past)
    fresh.refresh()
    assert fresh.member_key("doctor", DOCTOR) == W
