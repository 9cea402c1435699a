"""A centre that gives wrong keys, wrong credentials, wrong statements: each is refused by name and nothing of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.consultation.credentials import IssuedCredentials
from salus.consultation.enrolment import EnrolmentStatement
from salus.consultation.registration import PartialKey
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul
from salus.network.embedded import EmbeddedNetwork
from support.embedded import CHEAP, DAY, PASSPHRASE, enrolled_doctor, enrolled_patient, found_network, new_patient


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


def reason(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Refused) as refusal:
        call(*arguments)
    return refusal.value.reason


OTHER_POINT = base_mul(Scalar.from_int(7)).encode()
OTHER_SCALAR = Scalar.from_int(7).encode()
WRONG_KEYS: dict[str, Callable[[PartialKey], PartialKey]] = {
    "Q": lambda p: replace(p, Q=OTHER_POINT),
    "y": lambda p: replace(p, y=OTHER_SCALAR),
    "Q is the identity": lambda p: replace(p, Q=bytes(32)),
    "y is not canonical": lambda p: replace(p, y=b"\xff" * 32),
}


@pytest.mark.parametrize("lie", WRONG_KEYS)
def test_a_wrong_partial_key(network: EmbeddedNetwork, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    from salus.centre import service

    honest = service.issue_partial_key
    monkeypatch.setattr(service, "issue_partial_key", lambda *parts: WRONG_KEYS[lie](honest(*parts)))
    monkeypatch.setattr(network.centre, "flush", lambda: None)
    actor, _ = network.create_person("doctor", "st-anne/dr-lee", PASSPHRASE, cost=CHEAP)
    code = network.centre.new_code("doctor", "st-anne/dr-lee")
    assert reason(actor.enrol, code) in ("bad-partial-key", "bad-point", "bad-scalar")  # type: ignore[attr-defined]
    assert actor._wallet.content.member is None
    assert not actor.show()["enrolled"]


STATEMENTS: dict[str, Callable[[EnrolmentStatement], EnrolmentStatement]] = {
    "of another identity": lambda s: replace(s, identity="berta"),
    "of another key": lambda s: replace(s, F=OTHER_POINT),
    "with an altered signature": lambda s: replace(s, signature=s.signature[:63] + bytes([s.signature[63] ^ 1])),
}


@pytest.mark.parametrize("lie", STATEMENTS)
def test_a_wrong_statement(network: EmbeddedNetwork, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    from salus.centre import service

    honest = service.state_enrolment
    monkeypatch.setattr(service, "state_enrolment", lambda *parts: STATEMENTS[lie](honest(*parts)))
    patient = new_patient(network, "anna")
    assert reason(patient.enrol, network.centre.new_code("patient", "anna")) == "bad-signature"
    assert not patient.show()["enrolled"]


def swap(answers: IssuedCredentials) -> IssuedCredentials:
    return IssuedCredentials(answers.answers[::-1])


def of_first(answers: IssuedCredentials, **changes: Any) -> IssuedCredentials:
    return IssuedCredentials((replace(answers.answers[0], **changes), *answers.answers[1:]))


def wrong_partial(answers: IssuedCredentials, **changes: Any) -> IssuedCredentials:
    return of_first(answers, partial=replace(answers.answers[0].partial, **changes))


CREDENTIALS: dict[str, Callable[[IssuedCredentials], IssuedCredentials]] = {
    "wrong Q": lambda a: wrong_partial(a, Q=OTHER_POINT),
    "wrong y": lambda a: wrong_partial(a, y=OTHER_SCALAR),
    "swapped answers": swap,
    "another pid": lambda a: of_first(a, pid=a.answers[1].pid),
    "another quarter": lambda a: of_first(a, quarter=a.answers[0].quarter + 1),
    "another index": lambda a: of_first(a, index=9),
    "two partial keys swapped": lambda a: of_first(a, partial=a.answers[1].partial),
    "fewer answers": lambda a: IssuedCredentials(a.answers[:1]),
    "an answer too many": lambda a: IssuedCredentials((*a.answers, a.answers[0])),
}


@pytest.mark.parametrize("lie", CREDENTIALS)
def test_wrong_credentials(network: EmbeddedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    """None is kept; the indices are lost, and when the centre is honest again the patient goes on with others."""
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna", credentials=1)
    honest = network.centre.service._issue

    def lying(body: bytes) -> bytes:
        return CREDENTIALS[lie](IssuedCredentials.decode(honest(body))).encode()

    monkeypatch.setattr(network.centre.service, "_issue", lying)
    assert reason(patient.renew, 3) in ("bad-partial-key", "wrong-quarter")
    assert [c.index for c in patient._wallet.content.unused_credentials()] == [0]
    monkeypatch.undo()
    patient.renew(3)
    unused = patient._wallet.content.unused_credentials()
    assert len(unused) == 3
    assert len({c.index for c in unused}) == 3
    record = tmp_path / "record.txt"
    record.write_text("pulse 71\n")
    patient.request(doctor.name, DAY, str(record))


def test_a_centre_that_answers_with_rubbish(network: EmbeddedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = enrolled_patient(network, "anna", credentials=1)
    monkeypatch.setattr(network.centre.service, "handle", lambda _method, _body: b"rubbish that is long enough")
    assert reason(patient.renew, 2) == "bad-seal"
    monkeypatch.undo()
    patient.renew(2)
