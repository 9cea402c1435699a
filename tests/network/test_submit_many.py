"""Many transactions at once into an embedded network: each has its own outcome."""

from __future__ import annotations

from salus.bench.embedded_requests import open_slots, register_doctors
from salus.ledger.node_api import COMMITTED, REFUSED, SUBMIT_MAX
from support.embedded import found_network
from support.ledger_world import SeededRandom


def test_every_transaction_has_its_outcome(tmp_path):
    source = SeededRandom("many")
    with found_network(tmp_path / "home") as network:
        doctors, registrations = register_doctors(network, source)
        spoiled = registrations[0][:-1] + bytes([registrations[0][-1] ^ 1])
        outcomes = network.submit_many([*registrations, b"rubbish", spoiled])
        assert [o.state for o in outcomes] == [COMMITTED] * len(registrations) + [REFUSED, REFUSED]
        assert [o.reason for o in outcomes[-2:]] == ["bad-encoding", "bad-signature"]
        assert {o.height for o in outcomes[: len(registrations)]} == {outcomes[0].height}

        again = network.submit_many(registrations[:2])
        assert [(o.state, o.height) for o in again] == [(COMMITTED, o.height) for o in outcomes[:2]]

        slots, publications = open_slots(network.genesis.network(), doctors, 16 * 256, network.now_ms(), source)
        assert len(slots) == 16 * 256
        assert all(o.state == COMMITTED for o in network.submit_many(publications))
        assert network.client().next_sn(doctors[3].name) == 256


def test_more_than_one_call_holds(tmp_path):
    with found_network(tmp_path / "home") as network:
        outcomes = network.submit_many([b"rubbish %d" % n for n in range(SUBMIT_MAX + 3)])
        assert len(outcomes) == SUBMIT_MAX + 3
        assert {o.state for o in outcomes} == {REFUSED}
        assert network.submit_many([]) == []
