"""Tracing over the embedded network: evidence, approvals, the opening, and a centre that frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.centre.centre import load_key
from salus.consultation import tracing
from salus.consultation.credentials import request_credential
from salus.consultation.enrolment import EnrolmentKey, EnrolmentStatement, state_enrolment
from salus.consultation.registration import SecretValue
from salus.consultation.request import RequestDraft
from salus.consultation.tracing import DoctorEvidence, SenderEvidence, Trace, convicts_centre
from salus.errors import Refused, TransportError
from salus.ledger.evidence import decode_evidence, verify_evidence
from salus.network.actors import DoctorActor, InstitutionActor
from salus.network.embedded import EmbeddedNetwork
from salus.node.senders import show_sender
from support.embedded import DAY, PASSPHRASE, enrolled_doctor, enrolled_patient, found_network
from support.interposed import Interposed

PATIENT = "Anna-Maria Canary-Patient"
OTHER = "Berta Canary-Other"
BOARDS = ("st-anne", "riverside", "northfield", "lakeside")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.txt"
    path.write_text("a false record\n")
    return path


def institution(network: EmbeddedNetwork, short: str) -> InstitutionActor:
    actor = network.person(f"institution-{short}.board", PASSPHRASE)
    assert isinstance(actor, InstitutionActor)
    return actor


def ask(network: EmbeddedNetwork, record: Path, slots: int = 4) -> tuple[DoctorActor, dict[str, Any]]:
    """A doctor asks for the sender of a request of PATIENT's."""
    doctor = enrolled_doctor(network, slots=slots)
    sent = enrolled_patient(network, PATIENT).request(doctor.name, DAY, str(record))
    return doctor, doctor.ask_trace(sent["id"], "the record is false")


def reason(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(Refused) as refusal:
        call(*arguments, **named)
    return refusal.value.reason


def chain_bytes(network: EmbeddedNetwork) -> bytes:
    return b"".join(block + certificate for block, certificate in network.client().encoded_blocks())


def test_a_sender_is_named_only_with_a_quorum_and_after_the_ledger_says_so(network: EmbeddedNetwork, record: Path) -> None:
    doctor, asked = ask(network, record)
    case = {"case": asked["case"], "evidence": asked["evidence"]}
    for count, short in enumerate(BOARDS[:3], 1):
        assert reason(doctor.open_trace, **case) == "no-quorum"
        assert doctor.case(asked["case"])["opened_ms"] == 0
        institution(network, short).approve(**case)
        assert len(doctor.case(asked["case"])["approved_by"]) == count
    opened = doctor.open_trace(**case)
    assert opened["identity"] == PATIENT
    shown = doctor.case(asked["case"])
    assert shown["opened_ms"] == opened["opened_ms"] > 0
    assert shown["asker"] == doctor.name
    assert shown["approved_by"] == [f"{short}/board" for short in BOARDS[:3]]
    # again gives the same, and is recorded once
    assert doctor.open_trace(**case) == opened
    chain = chain_bytes(network)
    assert chain.count(tracing.TraceOpening.KIND.encode()) == 1
    # neither the name nor the static pseudonym is on the ledger or in any node's files
    evidence = decode_evidence(Path(asked["evidence"]).read_bytes())
    assert isinstance(evidence, DoctorEvidence)
    network.settle()
    for secret in (PATIENT.encode(), evidence.pid):
        assert secret not in chain
        for directory in network.home.nodes():
            assert all(secret not in p.read_bytes() for p in directory.rglob("*") if p.is_file())


def test_the_asker_alone_is_told(network: EmbeddedNetwork, record: Path) -> None:
    _, asked = ask(network, record)
    case = {"case": asked["case"], "evidence": asked["evidence"]}
    boards = [institution(network, short) for short in BOARDS[:3]]
    for board in boards:
        board.approve(**case)
    assert reason(boards[0].open_trace, **case) == "not-authorised"
    assert reason(enrolled_doctor(network, "lakeside/dr-nosy", slots=0).open_trace, **case) == "not-authorised"


def test_the_operator_opens_only_what_was_approved(network: EmbeddedNetwork, record: Path) -> None:
    doctor, asked = ask(network, record)
    case, evidence = bytes.fromhex(asked["case"]), decode_evidence(Path(asked["evidence"]).read_bytes())
    assert isinstance(evidence, DoctorEvidence)
    assert reason(network.centre.open_trace, bytes(32), evidence) == "unknown-case"
    assert reason(network.centre.open_trace, case, evidence) == "no-quorum"
    for short in BOARDS[:3]:
        institution(network, short).approve(case.hex(), asked["evidence"])
    # another request's evidence, or altered evidence, does not open this case
    other = enrolled_patient(network, OTHER).request(doctor.name, DAY, str(record))
    elsewhere = doctor._terminal().evidence(other["id"])
    assert reason(network.centre.open_trace, case, elsewhere) == "bad-evidence"
    assert isinstance(elsewhere, DoctorEvidence)
    assert reason(network.centre.open_trace, case, replace(evidence, pid=elsewhere.pid)) == "bad-evidence"
    trace = network.centre.open_trace(case, evidence)
    assert trace.statement.identity == PATIENT
    assert trace == network.centre.open_trace(case, evidence)


def test_approvals(network: EmbeddedNetwork, record: Path) -> None:
    _, asked = ask(network, record)
    board = institution(network, "riverside")
    data = Path(asked["evidence"]).read_bytes()
    altered = Path(asked["evidence"]).with_name("altered")
    altered.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert reason(board.approve, asked["case"], str(altered)) == "bad-evidence"
    altered.write_bytes(data[:-1])
    assert reason(board.approve, asked["case"], str(altered)) == "bad-encoding"
    assert reason(board.approve, bytes(32).hex(), asked["evidence"]) == "unknown-case"
    board.approve(asked["case"], asked["evidence"])
    assert reason(board.approve, asked["case"], asked["evidence"]) == "already-done"
    # a revoked institution's approval counts no more, and the three that are left must all approve
    institution(network, "st-anne").approve(asked["case"], asked["evidence"])
    institution(network, "lakeside").approve(asked["case"], asked["evidence"])
    network.centre.revoke_member("institution", "riverside/board")
    evidence = decode_evidence(Path(asked["evidence"]).read_bytes())
    assert reason(network.centre.open_trace, bytes.fromhex(asked["case"]), evidence) == "no-quorum"
    institution(network, "northfield").approve(asked["case"], asked["evidence"])
    assert network.centre.open_trace(bytes.fromhex(asked["case"]), evidence).statement.identity == PATIENT


def test_an_opening_whose_commit_was_not_seen(network: EmbeddedNetwork, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doctor, asked = ask(network, record)
    for short in BOARDS[:3]:
        institution(network, short).approve(asked["case"], asked["evidence"])
    ledger = network.centre._traces._ledger
    submit = ledger.submit

    def lost(transaction: bytes) -> Any:
        submit(transaction)
        raise TransportError("no answer")

    monkeypatch.setattr(ledger, "submit", lost)
    evidence = decode_evidence(Path(asked["evidence"]).read_bytes())
    with pytest.raises(TransportError):
        network.centre.open_trace(bytes.fromhex(asked["case"]), evidence)
    monkeypatch.undo()
    assert doctor.open_trace(asked["case"], asked["evidence"])["identity"] == PATIENT
    assert chain_bytes(network).count(tracing.TraceOpening.KIND.encode()) == 1


# --- senders who hide from the doctor ---


class RubbishSeal(RequestDraft):
    """The doctor gets random bytes in place of S_D."""

    __slots__ = ()

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.S_D = bytes(len(self.S_D))


class RubbishPseudonym(RequestDraft):
    """S_D is right, PID1 is rubbish: the doctor can open the sender and nothing else."""

    __slots__ = ()

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.PID1 = bytes(len(self.PID1))


@pytest.mark.parametrize(("draft", "shown"), [(RubbishSeal, SenderEvidence), (RubbishPseudonym, DoctorEvidence)])
def test_a_sender_who_hides_from_the_doctor_is_traced(
    network: EmbeddedNetwork, record: Path, monkeypatch: pytest.MonkeyPatch, draft: type[RequestDraft], shown: type
) -> None:
    enrolled_patient(network, OTHER)
    monkeypatch.setattr("salus.terminal.patient.RequestDraft", draft)
    doctor, asked = ask(network, record)
    monkeypatch.undo()
    (waiting,) = doctor.queue()["waiting"]
    assert reason(doctor.open, waiting["id"]) in ("bad-seal", "bad-pseudonym")
    assert type(decode_evidence(Path(asked["evidence"]).read_bytes())) is shown
    for short in BOARDS[:3]:
        institution(network, short).approve(asked["case"], asked["evidence"])
    assert doctor.open_trace(asked["case"], asked["evidence"])["identity"] == PATIENT
    doctor.decline(waiting["id"], "bad-seal")
    assert reason(doctor.ask_trace, waiting["id"], "again") == "erased"


def test_a_node_shows_no_sender_while_the_seal_opens(network: EmbeddedNetwork, record: Path) -> None:
    """A doctor's complaint about a good seal is no reason for a node to open S, and a stranger cannot complain at all."""
    doctor = enrolled_doctor(network)
    sent = enrolled_patient(network, PATIENT).request(doctor.name, DAY, str(record))
    terminal = doctor._terminal()
    _, request, slot = terminal._placed(sent["id"])
    ledger = network.client()
    honest = tracing.seal_evidence(ledger.domain, request, terminal._key, slot, network.random)
    assert reason(ledger.show_sender, honest) == "bad-evidence"
    node = network.nodes[0]
    false = replace(honest, X=request.A)
    assert reason(show_sender, ledger.domain, node.secrets, node.application.view(), false) == "bad-evidence"


def test_a_node_that_lies_about_a_sender_is_passed_over(
    network: EmbeddedNetwork, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salus.terminal.patient.RequestDraft", RubbishSeal)
    doctor = enrolled_doctor(network)
    sent = enrolled_patient(network, PATIENT).request(doctor.name, DAY, str(record))
    monkeypatch.undo()
    liar = network.nodes[0].name

    def lie(party: str, body: bytes, forward: Any) -> bytes:
        shown = SenderEvidence.decode(forward(body))
        return (replace(shown, hp=bytes(32)) if party == liar else shown).encode()

    between = Interposed(network.transport, {"node.sender": lie})
    doctor._around = network.surroundings(between)
    evidence = doctor._terminal().evidence(sent["id"])
    assert verify_evidence(network.client(), evidence).tx_hash.hex() == sent["request_tx"]
    assert [party for party, method in between.calls if method == "node.sender"] == [liar, network.nodes[1].name]


# --- a centre that frames ---


def approved(network: EmbeddedNetwork, record: Path) -> tuple[DoctorActor, dict[str, Any], Trace]:
    doctor, asked = ask(network, record)
    for short in BOARDS[:3]:
        institution(network, short).approve(asked["case"], asked["evidence"])
    evidence = decode_evidence(Path(asked["evidence"]).read_bytes())
    return doctor, asked, network.centre.open_trace(bytes.fromhex(asked["case"]), evidence)


def statement_of(patient: Any) -> EnrolmentStatement:
    statement = patient._wallet.content.patient.statement
    assert isinstance(statement, EnrolmentStatement)
    return statement


def test_a_centre_cannot_name_another_patient(network: EmbeddedNetwork, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doctor, asked, trace = approved(network, record)
    victim = enrolled_patient(network, OTHER)
    theirs = network.centre._store.issuing_requests(OTHER)
    request = type(trace.issuing).decode(theirs[0])
    signing = load_key(network.home.centre)
    invented = state_enrolment(
        network.genesis.network(), signing, network.centre.name, OTHER, trace.statement.F, 0, network.random
    )
    false = {
        "the victim's statement beside the sender's request": replace(trace, statement=statement_of(victim)),
        "the victim's statement and request": replace(trace, statement=statement_of(victim), issuing=request),
        "the victim's request with the sender's P": replace(
            trace, statement=statement_of(victim), issuing=replace(request, P=trace.issuing.P, quarter=trace.issuing.quarter)
        ),
        "a statement that the centre did not sign": replace(trace, statement=replace(trace.statement, identity=OTHER)),
        "another transaction": replace(trace, tx_hash=bytes(32)),
    }
    for what, answer in false.items():
        monkeypatch.setattr(network.centre._traces, "answer", lambda _, answer=answer: answer)
        assert reason(doctor.open_trace, asked["case"], asked["evidence"]) == "bad-evidence", what
    # what it can do: sign that the sender's own key is the victim's; two live keys of one name convict it
    monkeypatch.setattr(network.centre._traces, "answer", lambda _: replace(trace, statement=invented))
    assert doctor.open_trace(asked["case"], asked["evidence"])["identity"] == OTHER
    assert convicts(network, invented, statement_of(victim))


def convicts(network: EmbeddedNetwork, one: EnrolmentStatement, other: EnrolmentStatement) -> bool:
    ledger = network.client()
    ledger.refresh()
    centre = ledger.centre
    return convicts_centre(ledger.network, centre.name, centre.signing_key, one, other, ledger.is_revoked)


def test_a_centre_that_makes_up_a_patient_of_that_name_is_convicted_by_the_real_one(network: EmbeddedNetwork) -> None:
    """It knows w: it can make a credential under the victim's name and send with it. The victim's own statement convicts it."""
    victim = enrolled_patient(network, PATIENT)
    key, chain = load_key(network.home.centre), network.genesis.network()
    F = EnrolmentKey.generate(network.random)
    made_up = state_enrolment(chain, key, network.centre.name, PATIENT, F.F, 1, network.random)
    request_credential(chain, F, 0, 0, SecretValue.draw(network.random), network.random)
    assert convicts(network, made_up, statement_of(victim))
    assert not convicts(network, statement_of(victim), statement_of(victim))
    # after an open revocation of the first key a second one is no offence
    network.centre.revoke_patient(PATIENT)
    assert not convicts(network, made_up, statement_of(victim))


def test_a_centre_that_opens_without_recording_is_not_believed(
    network: EmbeddedNetwork, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor, asked = ask(network, record)
    office = network.centre._traces
    monkeypatch.setattr(office, "_record", lambda _: None)
    assert reason(doctor.open_trace, asked["case"], asked["evidence"]) == "bad-evidence"
