"""Epochs of the shared value over the embedded network: rotation, grace, erasure, false dealers, revoked and sleeping nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from salus.consensus.block import Block
from salus.consultation.registration import MemberKey
from salus.consultation.request import ConsultationRequest
from salus.consultation.shared_value import Deal, EpochSecret, Seat, make_deal
from salus.errors import Refused, TransportError
from salus.groups.ristretto255 import Scalar
from salus.ledger.constants import Constants
from salus.ledger.epoch_state import STATUS, Epoch, find_epoch
from salus.ledger.kinds.misbehaviour import RECORDS
from salus.ledger.node_api import OUTCOME, SUBMIT, Submission, Submit
from salus.network.embedded import EmbeddedNetwork
from salus.symmetric import Random
from support.embedded import (
    DAY,
    Clock,
    enrolled_doctor,
    enrolled_patient,
    found_network,
    opened_doctor,
    opened_patient,
)
from support.interposed import Interposed, once

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS
CONSTANTS = Constants()


def current(network: EmbeddedNetwork) -> int:
    """The newest started epoch, as the first node has it."""
    return STATUS.need(network.nodes[0].application.view(), b"").current


def opened(network: EmbeddedNetwork, number: int) -> bool:
    """Whether a quorum has posted its keys for an epoch."""
    record = find_epoch(network.nodes[0].application.view(), number)
    return record is not None and record.quorum_ms != 0


def epoch(network: EmbeddedNetwork, number: int) -> Epoch:
    record = find_epoch(network.nodes[0].application.view(), number)
    assert record is not None
    return record


def attend(network: EmbeddedNetwork) -> None:
    """What each node does every second in a process of its own."""
    for node in network.nodes:
        node.attend()
    network.settle()


def epoch_files(network: EmbeddedNetwork) -> dict[str, set[str]]:
    return {path.name: {p.name for p in (path / "epochs").iterdir()} for path in network.home.nodes()}


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.txt"
    path.write_text("pulse 71\n")
    return path


def test_rotation_grace_and_erasure(tmp_path: Path, record: Path) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "anna", credentials=8)
        assert current(network) == 1
        first = patient.request(doctor.name, DAY, str(record))
        attend(network)
        assert current(network) == 1
        clock.advance(CONSTANTS.epoch_length_ms)
        attend(network)
        assert current(network) == 2
        assert {node.name for node in network.nodes} == set(epoch(network, 2).acks)
        assert all(files == {"1.key", "1.theta", "2.key", "2.theta"} for files in epoch_files(network).values())
        assert epoch(network, 1).pk_BC != epoch(network, 2).pk_BC
        patient.request(doctor.name, DAY, str(record))
        clock.advance(CONSTANTS.epoch_grace_ms)
        patient.request(doctor.name, DAY, str(record))
        assert all(files == {"2.key", "2.theta"} for files in epoch_files(network).values())
        assert doctor.open(first["id"])["sha256"]


@pytest.mark.parametrize("over", [False, True])
def test_a_request_sealed_to_the_previous_epoch(tmp_path: Path, record: Path, over: bool) -> None:
    """Within the grace it is accepted; afterwards all of it is done again with the new epoch and the next credential."""
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network)

        def next_epoch_starts() -> None:
            clock.advance(CONSTANTS.epoch_length_ms // 2)
            attend(network)
            assert current(network) == 2
            if over:
                clock.advance(CONSTANTS.epoch_grace_ms)

        between = Interposed(network.transport, {SUBMIT: once(next_epoch_starts)})
        patient = enrolled_patient(network, "anna", transport=network.transport)
        patient._around = network.surroundings(between)
        clock.advance(CONSTANTS.epoch_length_ms // 2)
        done = patient.request(doctor.name, DAY, str(record))
        sent = ConsultationRequest.decode(network.client().transaction(bytes.fromhex(done["request_tx"])).raw)
        assert sent.epoch == (2 if over else 1)
        states = [c["state"] for c in patient.replies()["consultations"]]
        assert states == (["failed", "stored"] if over else ["stored"])


@pytest.mark.parametrize("days", [1, 6.5, 10, 100, 400])
def test_a_home_opened_after_days(tmp_path: Path, record: Path, days: float) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "anna")
        first = patient.request(doctor.name, DAY, str(record))
    clock.advance(int(days * DAY_MS))
    with EmbeddedNetwork.open(tmp_path / "home", now_ms=clock) as network:
        assert current(network) == (1 if days < 7 else 2)
        doctor, patient = opened_doctor(network), opened_patient(network, "anna")
        second = patient.request(doctor.name, DAY, str(record))
        waiting = [w["id"] for w in doctor.queue()["waiting"]]
        assert sorted(waiting) == sorted([first["id"], second["id"]])
        for id_ in waiting:
            doctor.treat(id_, str(record))
        assert patient.read(second["id"])["accepted"]
        patient.request(doctor.name, DAY, str(record))
        if days >= 7:
            clock.advance(CONSTANTS.epoch_grace_ms)
            patient.request(doctor.name, DAY, str(record))
            assert all(files == {"2.key", "2.theta"} for files in epoch_files(network).values())


def test_a_clock_that_jumps_back(tmp_path: Path) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network, slots=1)
        clock.advance(-HOUR_MS)
        with pytest.raises(TransportError, match=r"clock: the ledger's time is \d{4}-.* but this machine's clock says \d{4}-"):
            doctor.publish(DAY, 1)
        assert len(doctor.slots()["slots"]) == 2
        clock.advance(HOUR_MS)
        doctor.resume()
        assert [s["state"] for s in doctor.slots()["slots"]] == ["open", "open"]
    clock.advance(-HOUR_MS)
    with EmbeddedNetwork.open(tmp_path / "home", now_ms=clock) as network:
        doctor = opened_doctor(network)
        assert [s["state"] for s in doctor.slots()["slots"]] == ["open", "open"]
        with pytest.raises(TransportError, match=r"clock: the ledger's time is"):
            doctor.publish(DAY, 1)


def test_a_clock_that_jumps_back_behind_an_old_chain_stops_nothing(tmp_path: Path) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network, slots=1)
        clock.advance(2 * DAY_MS)
        network.settle()
        clock.advance(-DAY_MS)
        started = time.monotonic()
        doctor.publish(DAY, 1)
        assert time.monotonic() - started < 5


def test_a_clock_that_jumps_back_while_a_block_is_due(tmp_path: Path) -> None:
    """The primary is dead, the others wait for it: they still lose patience in time."""
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network, slots=1)
        clock.advance(2 * DAY_MS)
        network.settle()
        validators = network.genesis.validators()
        network.stop_node(validators.primary(network.nodes[0].runner.height + 1, 0).name)
        going_back = Interposed(network.transport, {OUTCOME: once(lambda: clock.advance(-DAY_MS))})
        doctor._around = network.surroundings(going_back)
        started = time.monotonic()
        doctor.publish(DAY, 1)
        assert time.monotonic() - started < 15


# --- nodes that sleep, die, come back ---


def test_one_node_dead(tmp_path: Path, record: Path) -> None:
    with found_network(tmp_path / "home") as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "anna")
        dead = network.nodes[1].name
        network.stop_node(dead)
        sent = patient.request(doctor.name, DAY, str(record))
        doctor.treat(sent["id"], str(record))
        height = max(node.runner.height for node in network.nodes)
        node = network.start_node(dead)
        assert node.runner.height < height
        caught_up(network, height)
        assert patient.read(sent["id"])["accepted"]
        assert len({n.application.info().application_hash for n in network.nodes}) == 1


def test_two_nodes_dead(tmp_path: Path, record: Path) -> None:
    """Nothing commits, nothing forks; the error says why; the same bytes commit when a node is back."""
    with found_network(tmp_path / "home") as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "anna")
        dead = [node.name for node in network.nodes[2:]]
        for name in dead:
            network.stop_node(name)
        network.patience_ms = 3000
        doctor._around = network.surroundings()
        with pytest.raises(TransportError, match="2 of 4 nodes answer, 3 are needed to commit"):
            doctor.publish(DAY, 1)
        assert [n.runner.height for n in network.nodes] == [network.nodes[0].runner.height] * 2
        for name in dead:
            network.start_node(name)
        assert [t for t in doctor.resume()["finished"]] == []
        assert [s["state"] for s in doctor.slots()["slots"]] == ["open"] * 9
        patient.request(doctor.name, DAY, str(record))
        caught_up(network, max(n.runner.height for n in network.nodes))
        same_blocks(network)


def test_a_node_that_slept_through_a_deal_opens_it_later(tmp_path: Path) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        enrolled_doctor(network, slots=0)
        clock.advance(CONSTANTS.epoch_length_ms)
        for node in network.nodes:
            node.attend()
        while not ((pending := find_epoch(network.nodes[0].application.view(), 2)) and len(pending.seats) == 4):
            assert network.turn()
        assert pending.deal is None
        sleeper = network.nodes[3].name
        network.stop_node(sleeper)
        network.settle()
        until(network, lambda: current(network) == 2)
        assert sleeper not in epoch(network, 2).acks
        node = network.start_node(sleeper)
        assert not node.secrets.holds_theta(2)
        until(network, lambda: sleeper in epoch(network, 2).acks)
        assert node.secrets.holds_theta(2)


def test_a_node_without_the_shared_value_pools_none_but_votes(tmp_path: Path, record: Path) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "anna")
        sleeper = network.nodes[0].name
        network.stop_node(sleeper)
        clock.advance(CONSTANTS.epoch_length_ms)
        until(network, lambda: opened(network, 2))  # the block may be the sleeper's to propose
        clock.advance(CONSTANTS.deal_turn_ms)
        until(network, lambda: current(network) == 2)
        assert [s.name for s in epoch(network, 2).seats] == [n.name for n in network.nodes]
        node = network.start_node(sleeper)
        until(network, lambda: node.runner.height == network.nodes[1].runner.height)
        assert not node.secrets.holds_theta(2)
        between = Interposed(network.transport, {})
        patient._around = network.surroundings(between)
        # with another node dead, every block needs the vote of the one that cannot open envelopes
        network.stop_node(network.nodes[3].name)
        sent = patient.request(doctor.name, DAY, str(record))
        assert [party for party, method in between.calls if method == SUBMIT][:2] == [sleeper, network.nodes[1].name]
        request = network.client().transaction(bytes.fromhex(sent["request_tx"])).raw
        answer = Submission.decode(network.local.call(sleeper, SUBMIT, Submit((request,)).encode())).answers[0]
        assert answer.reason is not None
        clock.advance(CONSTANTS.epoch_length_ms)
        until(network, lambda: opened(network, 3))
        clock.advance(CONSTANTS.deal_turn_ms)
        until(network, lambda: current(network) == 3)
        assert node.secrets.holds_theta(3)


# --- false dealers, revoked nodes ---


@pytest.mark.parametrize("victims", ["one", "all"])
def test_a_false_dealer_is_accused_convicted_and_followed_by_the_next(
    tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch, victims: str
) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "anna", credentials=4)
        cheater = network.nodes[2]
        victim = network.nodes[0]

        def false_deal(chain: bytes, number: int, dealer: MemberKey, seats: list[Seat], random: Random) -> tuple[Deal, Scalar]:
            if dealer.name == cheater.name:
                wrong = EpochSecret.generate(number, random).E
                seats = [s if victims == "one" and s.name != victim.name else Seat(s.name, s.W, wrong) for s in seats]
            return make_deal(chain, number, dealer, seats, random)

        monkeypatch.setattr("salus.node.duties.make_deal", false_deal)
        clock.advance(CONSTANTS.epoch_length_ms)
        attend(network)
        until(network, lambda: current(network) == 2 and len(epoch(network, 2).acks) == 4)
        assert convictions(network, cheater.name) == 1
        assert all(convictions(network, n.name) == 0 for n in network.nodes if n is not cheater)
        started = epoch(network, 2)
        assert started.deal is not None
        if victims == "all":
            assert started.deal.dealer != cheater.name
        for node in network.nodes:
            assert node.secrets.theta(2, started.pk_BC or b"") is not None
        patient.request(doctor.name, DAY, str(record))


def test_a_deal_that_is_replaced_replaces_theta(tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that opened a deal which was voided must not take its theta for the next one's."""
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "anna", credentials=4)
        asleep = [n for n in network.nodes if n.name != network.nodes[2].name][:2]
        monkeypatch.setattr("salus.node.duties.EpochDuties._acknowledge", lambda *_: [])
        clock.advance(CONSTANTS.epoch_length_ms)
        attend(network)
        first = epoch(network, 2).deal
        assert first is not None
        monkeypatch.undo()
        # two nodes open the first deal and attest it; a quorum does not
        for node in network.nodes:
            if node not in asleep:
                node.attend()
        monkeypatch.setattr("salus.node.duties.EpochDuties._acknowledge", lambda *_: [])
        network.settle()
        assert len(epoch(network, 2).acks) == 2
        clock.advance(CONSTANTS.deal_turn_ms)
        attend(network)
        second = epoch(network, 2).deal
        assert second is not None
        assert second.dealer != first.dealer
        monkeypatch.undo()
        until(network, lambda: current(network) == 2 and len(epoch(network, 2).acks) == 4)
        for node in network.nodes:
            assert node.secrets.theta(2, epoch(network, 2).pk_BC or b"") is not None
        patient.request(doctor.name, DAY, str(record))


def test_a_revoked_node_is_followed_by_an_epoch_without_it(tmp_path: Path, record: Path) -> None:
    with found_network(tmp_path / "home") as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "anna")
        revoked = network.nodes[1]
        network.centre.revoke_member("node", revoked.name)
        until(network, lambda: current(network) == 2)
        assert revoked.name not in [s.name for s in epoch(network, 2).seats]
        assert not revoked.secrets.holds_theta(2)
        patient.request(doctor.name, DAY, str(record))
        with pytest.raises(Refused) as refusal:
            network.centre.revoke_member("node", network.nodes[2].name)
        assert refusal.value.reason == "not-authorised"
        with pytest.raises(Refused) as refusal:
            network.centre.revoke_member("node", revoked.name)
        assert refusal.value.reason == "revoked"


# --- helpers ---


def until(network: EmbeddedNetwork, holds: Callable[[], bool], seconds: float = 30) -> None:
    """Let time pass until something holds; nodes attend as they do in processes of their own."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, [n.status() for n in network.nodes]
        attend(network)
        time.sleep(0.02)


def caught_up(network: EmbeddedNetwork, height: int) -> None:
    until(network, lambda: all(node.runner.height >= height for node in network.nodes))


def same_blocks(network: EmbeddedNetwork) -> None:
    for height in range(1, min(n.runner.height for n in network.nodes) + 1):
        assert (
            len({Block.decode(found[0]).header.id() for n in network.nodes if (found := n.application.block_record(height))}) == 1
        )


def convictions(network: EmbeddedNetwork, name: str) -> int:
    record = RECORDS.get(network.nodes[0].application.view(), name.encode())
    return 0 if record is None else record.convictions
