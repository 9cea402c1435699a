"""Claim: a patient gets nothing from an honest centre that convicts it or fills its disk.

The centre never has two live enrolment keys of one patient.

The proof against a framing centre is two statements on one patient, on different keys, neither revoked. A patient who could
get a second statement while the first still counts would hold that proof against a centre that did nothing wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from salus.centre.service import ENROL_PATIENT, ISSUE, CentreService
from salus.centre.store import CentreStore
from salus.consultation.credentials import IssuingRequests, request_credential
from salus.consultation.enrolment import EnrolmentKey, EnrolmentStatement, enrol_patient, seal_to_centre
from salus.consultation.registration import CentreKey, SecretValue, quarter_of
from salus.consultation.tracing import convicts_centre
from salus.errors import Refused
from support.ledger_world import GENESIS_MS, SeededRandom

NETWORK = bytes(range(32))
NAME = "salus/centre"


class Desk:
    """A centre, and people who come to it with codes."""

    def __init__(self, path: Path) -> None:
        self.random = SeededRandom("desk")
        self.key = CentreKey.generate(self.random)
        self.store = CentreStore(path)
        self.service = CentreService(self.key, NAME, NETWORK, self.store, lambda *_: b"", lambda: GENESIS_MS, self.random)

    def enrol(self, identity: str, key: EnrolmentKey) -> EnrolmentStatement:
        code = self.service.new_code("patient", identity, identity)
        request = enrol_patient(NETWORK, code, identity, key, self.random)
        call, answer = seal_to_centre(NETWORK, self.key.sealing_key.encode(), request.encode(), self.random)
        return EnrolmentStatement.decode(answer.open(self.service.handle(ENROL_PATIENT, call.encode())))

    def convicted(self, one: EnrolmentStatement, other: EnrolmentStatement) -> bool:
        return convicts_centre(NETWORK, NAME, self.key.signing_key.encode(), one, other, lambda digest: False)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "centre.sqlite")
    yield desk
    desk.store.close()


def test_a_second_key_waits_for_the_revocation_of_the_first(desk: Desk) -> None:
    first = EnrolmentKey.generate(desk.random)
    desk.enrol("alice", first)
    with pytest.raises(Refused, match="already-registered"):
        desk.enrol("alice", EnrolmentKey.generate(desk.random))
    desk.store.retire_patient("alice")  # after the revocation stands on the ledger
    again = desk.enrol("alice", EnrolmentKey.generate(desk.random))
    assert again.serial == 1
    desk.store.retire_patient("alice")
    with pytest.raises(Refused, match="revoked"):
        desk.enrol("alice", first)


def test_a_lost_answer_is_given_again_for_the_same_key(desk: Desk) -> None:
    key = EnrolmentKey.generate(desk.random)
    one, other = desk.enrol("alice", key), desk.enrol("alice", key)
    assert one == other
    assert not desk.convicted(one, other)


def test_a_centre_that_replaces_keys_silently_is_convicted_by_any_patient(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack succeeds where the check is taken out."""
    real = CentreStore.patient_by_identity

    def forgetful(self: CentreStore, identity: str) -> None:
        found = real(self, identity)
        if found is not None:
            self._db.execute("UPDATE patients SET live = 0 WHERE identity = ?", (identity,))

    monkeypatch.setattr(CentreStore, "patient_by_identity", forgetful)
    one = desk.enrol("alice", EnrolmentKey.generate(desk.random))
    other = desk.enrol("alice", EnrolmentKey.generate(desk.random))
    assert desk.convicted(one, other)


# --- the centre's disk ---


def test_repeated_calls_for_credentials_take_no_room(desk: Desk) -> None:
    """The same requests, sealed anew each time, and the same call again: the same answers, and nothing more is kept."""
    key = EnrolmentKey.generate(desk.random)
    desk.enrol("alice", key)
    quarter = quarter_of(GENESIS_MS)
    request = request_credential(NETWORK, key, quarter, 0, SecretValue.draw(desk.random), desk.random)
    asked = IssuingRequests((request,)).encode()

    def rows() -> int:
        return sum(desk.store._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("answers", "issued"))

    answers, counts = set(), set()
    for _ in range(5):
        call, answer_key = seal_to_centre(NETWORK, desk.key.sealing_key.encode(), asked, desk.random)
        boxes = {desk.service.handle(ISSUE, call.encode()) for _ in range(2)}
        assert len(boxes) == 1, "one key never seals two answers"
        answers.add(answer_key.open(boxes.pop()))
        counts.add(rows())
    assert len(answers) == 1
    assert len(counts) == 1
