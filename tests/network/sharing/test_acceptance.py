"""The general node: a verdict, a certificate of pending receipts; what was promised is committed though it falls silent."""

from __future__ import annotations

import pytest

from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.messages.shares import VALID
from salus.ledger.kinds.sharing.records import RECORDS
from salus.network.embedded import EmbeddedNetwork
from salus.node.sharing.acceptance import seats_of
from support.sharing_network import Sharing, altered, wait


def test_accepted_means_a_verdict_and_receipts_of_more_than_a_third(network: EmbeddedNetwork, world: Sharing) -> None:
    draft = world.record(world.owner())
    node = network.nodes[1]
    tx_hash = m.Acceptance.decode(world.call(node.name, m.ACCEPT, m.AcceptRequest(draft.encode()))).tx_hash
    accepted = m.Acceptance.decode(world.call(node.name, m.ACCEPTANCE, m.AcceptanceRequest(tx_hash)))
    assert accepted.verdict is not None
    assert accepted.verdict.outcomes == (VALID,)
    assert accepted.certificate is not None
    seats = seats_of(world.view)
    assert len(m.check_pending_certificate(world.id, seats, accepted.certificate)) >= 2
    wait(network, lambda: RECORDS.get(world.view, draft.rid))
    assert all(not len(n.sharing.pending) for n in network.nodes)
    # the same bytes again: nothing happens
    assert m.Acceptance.decode(world.call(node.name, m.ACCEPT, m.AcceptRequest(draft.encode()))).tx_hash == tx_hash


def test_a_certificate_says_nothing_of_others_transactions(network: EmbeddedNetwork, world: Sharing) -> None:
    draft = world.record(world.owner())
    node = network.nodes[1]
    tx_hash = m.Acceptance.decode(world.call(node.name, m.ACCEPT, m.AcceptRequest(draft.encode()))).tx_hash
    certificate = m.Acceptance.decode(world.call(node.name, m.ACCEPTANCE, m.AcceptanceRequest(tx_hash))).certificate
    assert certificate is not None
    seats = seats_of(world.view)
    for wrong, reason in (
        (altered(certificate, tx_hash=bytes(32)), "bad-signature"),
        (altered(certificate, signers=b"\x80"), "no-quorum"),
        (altered(certificate, signers=b"\xf1"), "bad-encoding"),
        (altered(certificate, signers=b"\xf0\x00"), "bad-encoding"),
    ):
        with pytest.raises(Refused) as refusal:
            m.check_pending_certificate(world.id, seats, wrong)
        assert refusal.value.reason == reason


def test_what_cannot_be_committed_is_refused_at_once(network: EmbeddedNetwork, world: Sharing) -> None:
    draft = altered(world.record(world.owner()), signature=bytes(64))
    with pytest.raises(Refused) as refusal:
        world.call(network.nodes[0].name, m.ACCEPT, m.AcceptRequest(draft.encode()))
    assert refusal.value.reason == "bad-signature"
    assert all(not len(n.sharing.pending) for n in network.nodes)


def test_a_general_node_that_falls_silent_after_its_promise_holds_up_nothing(network: EmbeddedNetwork, world: Sharing) -> None:
    draft = world.record(world.owner())
    silent = network.nodes[0]
    silent.sharing.acceptance._advance = lambda _hash, _entry: None  # type: ignore[method-assign]
    world.call(silent.name, m.ACCEPT, m.AcceptRequest(draft.encode()))
    assert [len(node.sharing.pending) for node in network.nodes] == [1, 1, 1, 1]
    network.stop_node(silent.name)
    wait(network, lambda: RECORDS.get(network.nodes[0].application.view(), draft.rid))


def test_pending_transactions_survive_a_restart(network: EmbeddedNetwork, world: Sharing) -> None:
    draft = world.record(world.owner())
    first = network.nodes[0]
    for node in network.nodes:
        node.sharing.acceptance._advance = lambda _hash, _entry: None  # type: ignore[method-assign]
    world.call(first.name, m.ACCEPT, m.AcceptRequest(draft.encode()))
    for name in [node.name for node in network.nodes]:
        network.stop_node(name)
        network.start_node(name)
    wait(network, lambda: RECORDS.get(world.view, draft.rid))
