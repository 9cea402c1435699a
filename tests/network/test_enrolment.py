"""Enrolment and credentials when calls are interrupted, answers lost, wallets old."""

from __future__ import annotations

from pathlib import Path

import pytest

from salus.errors import Refused
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.centre_client import CentreClient
from salus.terminal.wallet_content import SPENT
from support.embedded import enrolled_patient, found_network


class _Lost(BaseException):
    """The process dies when the answer arrives."""


def losing(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The centre carries the next call out, and the terminal never sees the answer."""
    real = getattr(CentreClient, method)

    def call(self: CentreClient, request: object) -> object:
        real(self, request)
        monkeypatch.setattr(CentreClient, method, real)
        raise _Lost

    monkeypatch.setattr(CentreClient, method, call)


@pytest.fixture
def network(tmp_path: Path) -> EmbeddedNetwork:
    with found_network(tmp_path / "home") as network:
        yield network


def test_an_interrupted_call_for_credentials_is_finished_later(network: EmbeddedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = enrolled_patient(network, "alice", credentials=2)
    losing(monkeypatch, "issue")
    with pytest.raises(_Lost):
        patient.renew(6)
    assert sum(q["unused"] for q in patient.credentials()["quarters"].values()) == 2
    assert patient.renew(6)["added"] == 4
    ((quarter, counts),) = patient.credentials()["quarters"].items()
    assert (counts["unused"], counts["used"]) == (6, 0), quarter


def test_indices_that_an_older_state_of_the_wallet_used_are_skipped(network: EmbeddedNetwork) -> None:
    patient = enrolled_patient(network, "alice", credentials=2)
    old = patient._wallet.content
    patient.renew(6)
    patient._wallet.update(lambda _: old)
    assert patient.renew(5)["added"] == 3
    entries = patient._wallet.content.credentials
    assert [e.index for e in entries if e.state == SPENT] == [2, 3, 4, 5]
    assert [e.index for e in entries if e.secret] == [0, 1, 6, 7, 8]


def test_an_index_never_has_two_credentials(network: EmbeddedNetwork) -> None:
    patient = enrolled_patient(network, "alice", credentials=1)
    old = patient._wallet.content
    patient.renew(2)
    first = patient._wallet.content.credentials[1]
    patient._wallet.update(lambda _: old)
    patient.renew(2)
    assert all(e.secret != first.secret for e in patient._wallet.content.credentials)
    assert patient._wallet.content.credential(first.quarter, first.index).state == SPENT


def test_a_doctor_whose_answer_got_lost_enrols_with_a_new_code(network: EmbeddedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    actor, _ = network.create_person("doctor", "st-anne/dr-lee", b"pw")
    losing(monkeypatch, "enrol_member")
    with pytest.raises(_Lost):
        actor.enrol(network.centre.new_code("doctor", "st-anne/dr-lee"))
    assert actor.enrol(network.centre.new_code("doctor", "st-anne/dr-lee"))["enrolled"]
    other, _ = network.create_person("doctor", "riverside/dr-lee", b"pw")
    with pytest.raises(Refused, match="bad-code"):
        other.enrol(network.centre.new_code("doctor", "st-anne/dr-lee"))
