"""Slots, races, declines, cancellations, credentials and revocations as patients and doctors meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.consultation.registration import quarter_of
from salus.consultation.request import ConsultationRequest
from salus.errors import Refused, TransportError, WalletError
from salus.ledger.constants import Constants
from salus.ledger.node_api import COMMITTED, OUTCOME, REFUSED, SUBMIT
from salus.ledger.quarters import quarter_end_ms
from salus.network.actors import DoctorActor, PatientActor
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.bodies import Payload, no_progress
from salus.terminal.doctor import DoctorTerminal
from salus.terminal.wallet_content import SPENT, UNUSED
from support.embedded import DAY, PASSPHRASE, Clock, enrolled_doctor, enrolled_patient, found_network, new_patient
from support.interposed import Forward, Interposed, once

CONSTANTS = Constants()
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def network(tmp_path: Path, clock: Clock) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home", now_ms=clock) as network:
        yield network


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.txt"
    path.write_text("pulse 71\n")
    return path


def reason(call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    with pytest.raises(Refused) as refusal:
        call(*arguments, **named)
    return refusal.value.reason


def before_submitting(network: EmbeddedNetwork, patient: PatientActor, action: Callable[[], object]) -> None:
    """Do something between a patient's preparing a request and its sending."""
    patient._around = network.surroundings(Interposed(network.transport, {SUBMIT: once(action)}))


def states(patient: PatientActor) -> list[str]:
    return [c["state"] for c in patient.replies()["consultations"]]


def used(patient: PatientActor) -> int:
    return sum(c.state != UNUSED for c in patient._wallet.content.credentials)


# --- slots ---


def test_a_lost_slot_is_tried_again_with_the_next_slot_and_the_next_credential(network: EmbeddedNetwork, record: Path) -> None:
    doctor = enrolled_doctor(network, slots=1)
    slow, quick = enrolled_patient(network, "anna"), enrolled_patient(network, "berta")
    rival: list[dict[str, Any]] = []

    def overtaken() -> None:
        rival.append(quick.request(doctor.name, DAY, str(record)))
        doctor.publish(DAY, 1)

    before_submitting(network, slow, overtaken)
    sent = slow.request(doctor.name, DAY, str(record))
    assert (rival[0]["sn"], sent["sn"]) == (0, 1)
    assert states(slow) == ["failed", "stored"]
    failed, stored = slow._wallet.content.consultations
    assert (failed.index, stored.index) == (0, 1)
    assert used(slow) == 2
    assert failed.body_digest != stored.body_digest, "the body is encrypted anew"
    assert slow._wallet.content.credential(failed.quarter, failed.index).secret == b""
    assert [w["id"] for w in doctor.queue()["waiting"]] == [rival[0]["id"], sent["id"]]


def test_the_last_slot_lost(network: EmbeddedNetwork, record: Path) -> None:
    doctor = enrolled_doctor(network, slots=1)
    slow, quick = enrolled_patient(network, "anna"), enrolled_patient(network, "berta")
    before_submitting(network, slow, lambda: quick.request(doctor.name, DAY, str(record)))
    assert reason(slow.request, doctor.name, DAY, str(record)) == "no-free-slot"
    assert states(slow) == ["failed"]
    assert slow._wallet.one_time.names() == ()
    assert list((slow.directory / "outgoing").iterdir()) == []


def test_two_requests_for_one_slot_in_one_pool(network: EmbeddedNetwork, record: Path) -> None:
    """Both pass the pool; a block takes one, and the other is told so."""
    doctor = enrolled_doctor(network, slots=1)
    sent = []
    for name in ("anna", "berta"):
        terminal = enrolled_patient(network, name)._terminal()
        terminal._ledger.refresh()
        with Payload(record) as payload:
            _, request = terminal._prepare(doctor.name, DAY, payload, None, no_progress)
        sent.append(request.encode())
    outcomes = network.submit_many(sent)
    assert sorted(o.state for o in outcomes) == [COMMITTED, REFUSED]
    assert next(o.reason for o in outcomes if o.state == REFUSED) == "slot-taken"
    assert len(doctor.queue()["waiting"]) == 1


def test_slots_that_cannot_be_had(network: EmbeddedNetwork, record: Path) -> None:
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")
    assert reason(patient.request, "st-anne/dr-nobody", DAY, str(record)) == "unknown-party"
    assert reason(patient.request, doctor.name, "2031-02-03", str(record)) == "no-free-slot"
    assert reason(doctor.publish, "2031-02-30", 1) == "bad-encoding"
    assert len(doctor.slots()["slots"]) == 1
    doctor.cancel([0])
    assert reason(patient.request, doctor.name, DAY, str(record)) == "no-free-slot"
    assert used(patient) == 0, "nothing was sent, no credential was used"
    assert [s["state"] for s in doctor.slots()["slots"]] == ["cancelled"]
    assert doctor._wallet.one_time.names() == ()


def test_a_slot_cancelled_under_the_patients_hands(network: EmbeddedNetwork, record: Path) -> None:
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")

    def moved() -> None:
        doctor.cancel([0], "moved to another room")
        doctor.publish(DAY, 1)

    before_submitting(network, patient, moved)
    assert patient.request(doctor.name, DAY, str(record))["sn"] == 1


def test_cancelling(network: EmbeddedNetwork, record: Path) -> None:
    doctor = enrolled_doctor(network, slots=2)
    patient = enrolled_patient(network, "anna")
    sent = patient.request(doctor.name, DAY, str(record))
    other = 1 - sent["sn"]
    assert reason(doctor.cancel, [0, 1]) == "slot-taken"
    assert reason(doctor.cancel, [7]) == "unknown-slot"
    doctor.cancel([other])
    assert reason(doctor.cancel, [other]) == "already-done"
    assert [w["id"] for w in doctor.queue()["waiting"]] == [sent["id"]]


@pytest.mark.parametrize("what", ["cancel", "decline"])
def test_an_answer_that_got_lost_is_noticed_later(network: EmbeddedNetwork, record: Path, what: str) -> None:
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")
    network.patience_ms = 200

    def silence(_party: str, _body: bytes, forward: Forward) -> bytes:
        forward(_body)
        raise TransportError("no answer")

    if what == "decline":
        sent = patient.request(doctor.name, DAY, str(record))
    deaf = {SUBMIT: silence, OUTCOME: silence, "node.query": lambda *_: (_ for _ in ()).throw(TransportError("no answer"))}
    doctor.slots()
    terminal = doctor._terminal()
    doctor._around = network.surroundings(Interposed(network.transport, deaf))
    silent = doctor._terminal()
    silent.slots = terminal.slots  # type: ignore[method-assign]
    with pytest.raises(TransportError):
        silent.cancel((0,)) if what == "cancel" else silent.decline(sent["id"], "not-authorised", "")
    doctor._around = network.surroundings()
    assert doctor._wallet.one_time.has("slot-0")
    assert [s["state"] for s in doctor.slots()["slots"]] == ["cancelled" if what == "cancel" else "declined"]
    assert not doctor._wallet.one_time.has("slot-0")
    assert doctor.queue()["waiting"] == []


# --- answers ---


def test_declining(network: EmbeddedNetwork, record: Path) -> None:
    doctor = enrolled_doctor(network, slots=2)
    patient = enrolled_patient(network, "anna")
    first, second = (patient.request(doctor.name, DAY, str(record)) for _ in range(2))
    low, high = sorted([first, second], key=lambda c: c["sn"])
    assert reason(doctor.treat, high["id"], str(record)) == "not-your-turn"
    doctor.decline(low["id"], "not-authorised", "not my field")
    assert reason(patient.read, low["id"]) == "already-answered"
    assert {c["id"]: c["state"] for c in patient.replies()["consultations"]} == {low["id"]: "declined", high["id"]: "stored"}
    assert patient._wallet.one_time.names() == (f"consultation-{high['id']}",)
    assert reason(doctor.treat, low["id"], str(record)) == "already-answered"
    assert reason(doctor.decline, low["id"]) == "already-answered"
    doctor.treat(high["id"], str(record))
    assert reason(doctor.treat, high["id"], str(record)) == "already-answered"
    assert reason(doctor.decline, high["id"]) == "already-answered"
    assert patient.read(high["id"])["accepted"]
    assert reason(patient.read, high["id"]) == "erased"


@pytest.mark.parametrize("first", ["reply", "decline"])
def test_a_second_answer_is_refused_by_the_nodes(
    network: EmbeddedNetwork, record: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """A doctor's terminal that keeps its keys and answers again."""
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")
    sent = patient.request(doctor.name, DAY, str(record))
    monkeypatch.setattr(DoctorTerminal, "_erase_slot", lambda *_: None)
    if first == "reply":
        doctor.treat(sent["id"], str(record))
    else:
        doctor.decline(sent["id"])
    doctor._wallet.one_time.erase("reply-0")
    doctor._terminal()._set(doctor._wallet.content.slots[0].__class__(0, DAY, *_slot_rest(doctor, "taken")))
    monkeypatch.setattr(DoctorTerminal, "slots", lambda self: list(self._wallet.content.slots))
    assert reason(doctor.treat, sent["id"], str(record)) == "already-answered"
    doctor._terminal()._set(doctor._wallet.content.slots[0].__class__(0, DAY, *_slot_rest(doctor, "taken")))
    assert reason(doctor.decline, sent["id"]) == "already-answered"


def _slot_rest(doctor: DoctorActor, state: str) -> tuple[Any, ...]:
    entry = doctor._wallet.content.slots[0]
    return (entry.key, state, entry.request_tx, None)


def test_a_reply_that_comes_too_late_is_made_anew(network: EmbeddedNetwork, record: Path, clock: Clock) -> None:
    """Its upload receipt ends too early by then; the request waits again, and the next reply is accepted."""
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")
    sent = patient.request(doctor.name, DAY, str(record))
    days_later = once(lambda: clock.advance(2 * CONSTANTS.retention_ms - CONSTANTS.retention_ms // 2))
    doctor._around = network.surroundings(Interposed(network.transport, {SUBMIT: days_later}))
    assert reason(doctor.treat, sent["id"], str(record)) == "bad-receipt"
    assert [w["id"] for w in doctor.queue()["waiting"]] == [sent["id"]]
    assert doctor.treat(sent["id"], str(record))["id"] == sent["id"]


def test_an_interrupted_treatment_is_done_again(network: EmbeddedNetwork, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")
    sent = patient.request(doctor.name, DAY, str(record))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    for where in ("_set", "_finish_reply", "_submit_reply", "_check_stored"):
        monkeypatch.setattr(DoctorTerminal, where, killed)
        with pytest.raises(KeyboardInterrupt):
            doctor.treat(sent["id"], str(record))
        monkeypatch.undo()
    assert [t for t in doctor.resume()["finished"]] == [sent["id"]]
    assert doctor._wallet.one_time.names() == ()
    assert patient.read(sent["id"])["accepted"]


# --- time ---


def test_a_request_that_expires_on_its_way(network: EmbeddedNetwork, record: Path, clock: Clock) -> None:
    doctor = enrolled_doctor(network, slots=2)
    patient = enrolled_patient(network, "anna")
    before_submitting(network, patient, lambda: clock.advance(CONSTANTS.valid_until_max_ms))
    assert reason(patient.request, doctor.name, DAY, str(record)) in ("expired", "wrong-epoch")
    assert states(patient) == ["failed"]


def test_a_request_that_nobody_answers_is_given_up_and_its_keys_erased(
    network: EmbeddedNetwork, record: Path, clock: Clock
) -> None:
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")
    patient.request(doctor.name, DAY, str(record))
    clock.advance(CONSTANTS.valid_until_max_ms)
    doctor.publish(DAY, 1)
    assert states(patient) == ["stored"]
    clock.advance(CONSTANTS.answer_ms)
    doctor.publish(DAY, 1)
    assert states(patient) == ["failed"]
    assert patient._wallet.one_time.names() == ()


def test_a_record_measured_too_long_ago_is_not_believed(network: EmbeddedNetwork, record: Path, clock: Clock) -> None:
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")
    terminal = patient._terminal()
    entry = terminal.request(doctor.name, DAY, record, measured_ms=clock() - 2 * CONSTANTS.measured_tolerance_ms)
    assert reason(doctor.open, entry.id) == "bad-time"
    assert not list((doctor.directory / "received").iterdir())


# --- revocation ---


def test_a_doctor_revoked_between(network: EmbeddedNetwork, record: Path) -> None:
    doctor = enrolled_doctor(network, slots=3)
    patient = enrolled_patient(network, "anna")
    sent = patient.request(doctor.name, DAY, str(record))
    before_submitting(network, patient, lambda: network.centre.revoke_member("doctor", doctor.name))
    assert reason(patient.request, doctor.name, DAY, str(record)) == "revoked"
    assert reason(patient.request, doctor.name, DAY, str(record)) == "revoked"
    assert reason(doctor.treat, sent["id"], str(record)) == "revoked"
    assert reason(doctor.publish, DAY, 1) == "revoked"
    assert states(patient) == ["stored", "failed"]
    # the name enrols again, on another device with another key: old slots and requests stay closed
    network.dismiss(doctor)
    doctor.directory.rename(doctor.directory.with_name("lost"))
    again = enrolled_doctor(network, slots=1)
    assert reason(again.treat, sent["id"], str(record)) == "unknown-request"
    assert patient.request(doctor.name, DAY, str(record))["sn"] == 3
    assert len(again.queue()["waiting"]) == 1


def test_a_patient_revoked_between(network: EmbeddedNetwork, record: Path) -> None:
    """What was committed before is treated; what was under way is refused, and no credential is given any more."""
    doctor = enrolled_doctor(network, slots=3)
    patient = enrolled_patient(network, "anna")
    sent = patient.request(doctor.name, DAY, str(record))
    before_submitting(network, patient, lambda: network.centre.revoke_patient("anna"))
    assert reason(patient.request, doctor.name, DAY, str(record)) == "revoked"
    assert reason(patient.request, doctor.name, DAY, str(record)) == "not-authorised"
    assert reason(patient.renew) == "not-authorised"
    doctor.treat(sent["id"], str(record))
    assert patient.read(sent["id"])["accepted"]
    assert reason(network.centre.revoke_patient, "anna") == "unknown-party"


# --- credentials and quarters ---


def test_all_credentials_of_a_quarter_used(network: EmbeddedNetwork, record: Path, clock: Clock) -> None:
    doctor = enrolled_doctor(network, slots=3)
    patient = enrolled_patient(network, "anna", credentials=64)
    quarter = quarter_of(clock())
    for index in range(63):
        patient._wallet.update(lambda c, i=index: c.with_credential_state(quarter, i, SPENT))
    patient.request(doctor.name, DAY, str(record))
    assert reason(patient.request, doctor.name, DAY, str(record)) == "quota"
    assert reason(patient.renew, 1) == "quota"
    assert states(patient) == ["stored"]
    # the next quarter brings new ones
    clock.advance(quarter_end_ms(quarter) - clock())
    patient.request(doctor.name, DAY, str(record))
    assert patient.credentials()["quarters"] == {
        f"{quarter // 4}Q{quarter % 4 + 1}": {"unused": 0, "used": 64},
        f"{(quarter + 1) // 4}Q{(quarter + 1) % 4 + 1}": {"unused": 15, "used": 1},
    }


@pytest.mark.parametrize("late", [False, True])
def test_a_quarter_that_ends_on_the_way(network: EmbeddedNetwork, record: Path, clock: Clock, late: bool) -> None:
    """Credentials are accepted for a grace after their quarter; then new ones are taken."""
    quarter = quarter_of(clock())
    clock.advance(quarter_end_ms(quarter) - clock() - 60_000)
    doctor = enrolled_doctor(network, slots=3)
    patient = enrolled_patient(network, "anna", credentials=3)
    end = 61_000 + (CONSTANTS.quarter_grace_ms - CONSTANTS.valid_until_max_ms // 2 if late else 0)
    before_submitting(network, patient, lambda: clock.advance(61_000))
    first = patient.request(doctor.name, DAY, str(record))
    assert quarter_of(clock()) == quarter + 1
    clock.advance(end - 61_000)
    patient.request(doctor.name, DAY, str(record))
    assert {c.quarter for c in patient._wallet.content.consultations} == {quarter}, "the grace lasts: nothing new is needed"
    clock.advance(CONSTANTS.quarter_grace_ms)
    patient.request(doctor.name, DAY, str(record))
    assert [c.quarter for c in patient._wallet.content.consultations] == [quarter, quarter, quarter + 1]
    for item in doctor.queue()["waiting"]:
        doctor.treat(item["id"], str(record))
    assert patient.read(first["id"])["accepted"]


@pytest.mark.parametrize("which", ["next", "dead"])
def test_credentials_of_another_quarter_are_refused_by_the_nodes(
    network: EmbeddedNetwork, record: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    doctor = enrolled_doctor(network, slots=2)
    patient = enrolled_patient(network, "anna", credentials=1)
    terminal = patient._terminal()
    quarter = quarter_of(clock())
    if which == "next":
        terminal.renew(1, quarter + 1)
    else:
        clock.advance(quarter_end_ms(quarter) + CONSTANTS.quarter_grace_ms - clock())
        with pytest.raises(Refused, match="wrong-quarter"):
            terminal.renew(2, quarter)
    (entry,) = patient._wallet.content.unused_credentials(quarter + (which == "next"))
    monkeypatch.setattr("salus.terminal.patient.PatientTerminal._take_credential", lambda _: entry_credential(entry.secret))
    assert reason(patient.request, doctor.name, DAY, str(record)) == "wrong-quarter"


def entry_credential(secret: bytes) -> Any:
    from salus.consultation.credentials import Credential

    return Credential.from_secret(secret)


def test_an_interrupted_request_uses_no_credential(network: EmbeddedNetwork, record: Path, tmp_path: Path) -> None:
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")

    def no_cloud(*_: Any) -> bytes:
        raise Refused("too-large", "this cloud takes nothing")

    patient._around = network.surroundings(Interposed(network.transport, {"cloud.upload-whole": no_cloud}))
    assert reason(patient.request, doctor.name, DAY, str(record)) == "too-large"
    assert used(patient) == 0
    assert states(patient) == []
    assert not list((patient.directory / "staging").iterdir())
    patient._around = network.surroundings()
    patient.request(doctor.name, DAY, str(record))
    assert used(patient) == 1


def test_codes(network: EmbeddedNetwork, clock: Clock) -> None:
    patient = new_patient(network, "anna")
    assert reason(patient.enrol, "aaaa-bbbb") == "bad-code"
    assert reason(patient.enrol, network.centre.new_code("patient", "berta")) == "bad-code"
    late = network.centre.new_code("patient", "anna")
    clock.advance(15 * DAY_MS)
    assert reason(patient.enrol, late) == "bad-code"
    with pytest.raises((Refused, WalletError)):
        patient.renew()
    code = network.centre.new_code("patient", "anna")
    patient.enrol(code.upper())
    other, _ = network.create_person("patient", "carla", PASSPHRASE)
    assert reason(other.enrol, code) == "bad-code"  # type: ignore[attr-defined]
    patient.renew(1)


def test_what_is_sent_says_nothing_new_about_time(network: EmbeddedNetwork, record: Path) -> None:
    """valid_until is near the genesis bound for every request, so that it tells requests of one hour apart by little."""
    doctor = enrolled_doctor(network, slots=1)
    patient = enrolled_patient(network, "anna")
    sent = patient.request(doctor.name, DAY, str(record))
    tx = network.client().transaction(bytes.fromhex(sent["request_tx"]))
    request = ConsultationRequest.decode(tx.raw)
    ahead = request.valid_until_ms - network.client().request(tx.hash).time_ms
    assert 0 < CONSTANTS.valid_until_max_ms - ahead < CONSTANTS.valid_until_max_ms // 5
