"""A cloud that lies to terminals: each lie is refused by name, nothing half-done is left, and an honest answer then serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.cloud import messages as m
from salus.codec import Message
from salus.consultation.receipts import SealedReceipt, UploadReceipt
from salus.errors import Refused, TransportError
from salus.network.actors import Actor, DoctorActor, PatientActor
from salus.network.embedded import EmbeddedNetwork
from support.embedded import DAY, enrolled_doctor, enrolled_patient, found_network
from support.interposed import Forward, Interposed, Stand


@pytest.fixture
def network(tmp_path: Path) -> Iterator[EmbeddedNetwork]:
    with found_network(tmp_path / "home") as network:
        yield network


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.txt"
    path.write_text("pulse 71\n" * 20_000)  # three segments
    return path


@pytest.fixture
def doctor(network: EmbeddedNetwork) -> DoctorActor:
    return enrolled_doctor(network)


@pytest.fixture
def patient(network: EmbeddedNetwork) -> PatientActor:
    return enrolled_patient(network, "anna", credentials=4)


def lying(network: EmbeddedNetwork, actor: Actor, method: str, stand: Stand) -> None:
    actor._around = network.surroundings(Interposed(network.transport, {method: stand}))


def honest(network: EmbeddedNetwork, actor: Actor) -> None:
    actor._around = network.surroundings()


def altered(kind: type[Message], change: Callable[[Any], Any]) -> Stand:
    return lambda _party, body, forward: change(kind.decode(forward(body))).encode()


def refusing(reason: str) -> Stand:
    def stand(_party: str, _body: bytes, _forward: Forward) -> bytes:
        raise Refused(reason, "so says the cloud")

    return stand


def reason(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Refused) as refusal:
        call(*arguments)
    return refusal.value.reason


def flip(data: bytes, at: int = 0) -> bytes:
    flipped = bytearray(data)
    flipped[at] ^= 1
    return bytes(flipped)


def leftovers(actor: Actor) -> list[str]:
    """Files of work under way."""
    return [p.name for d in ("staging", "outgoing") if (actor.directory / d).is_dir() for p in (actor.directory / d).iterdir()]


UPLOADS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "signed by nobody": (lambda r: replace(r, signature=bytes(64)), "bad-receipt"),
    "signature altered": (lambda r: replace(r, signature=flip(r.signature)), "bad-receipt"),
    "kept for longer than was signed": (lambda r: replace(r, keep_until_ms=r.keep_until_ms + 1), "bad-receipt"),
    "kept for less than was asked": (lambda r: replace(r, keep_until_ms=r.keep_until_ms - 1), "bad-receipt"),
    "in another cloud's name": (lambda r: replace(r, cloud="riverside/cloud"), "bad-receipt"),
    "in a node's name": (lambda r: replace(r, cloud="st-anne/node-0"), "bad-receipt"),
    "no receipt": (lambda _: m.StatusRequest(), "bad-encoding"),
}


@pytest.mark.parametrize("lie", UPLOADS)
def test_forged_upload_receipts(
    network: EmbeddedNetwork, doctor: DoctorActor, patient: PatientActor, record: Path, lie: str
) -> None:
    """Nothing is sent, no credential is used."""
    change, expected = UPLOADS[lie]
    lying(network, patient, m.UPLOAD_WHOLE, altered(UploadReceipt, change))
    assert reason(patient.request, doctor.name, DAY, str(record)) == expected
    assert leftovers(patient) == []
    assert patient._wallet.content.consultations == ()
    assert len(patient._wallet.content.unused_credentials()) == 4
    honest(network, patient)
    sent = patient.request(doctor.name, DAY, str(record))
    lying(network, doctor, m.UPLOAD_WHOLE, altered(UploadReceipt, change))
    assert reason(doctor.treat, sent["id"], str(record)) == expected
    assert leftovers(doctor) == []
    assert [w["id"] for w in doctor.queue()["waiting"]] == [sent["id"]]
    honest(network, doctor)
    doctor.treat(sent["id"], str(record))
    assert patient.read(sent["id"])["accepted"]


def test_a_receipt_for_another_body(network: EmbeddedNetwork, doctor: DoctorActor, patient: PatientActor, record: Path) -> None:
    """A genuine receipt of the same cloud, for what somebody else uploaded."""
    other: list[bytes] = []

    def keep(_party: str, body: bytes, forward: Forward) -> bytes:
        other.append(forward(body))
        return other[0]

    lying(network, patient, m.UPLOAD_WHOLE, keep)
    patient.request(doctor.name, DAY, str(record))
    assert reason(patient.request, doctor.name, DAY, str(record)) == "bad-receipt"


STORED: dict[str, Callable[[SealedReceipt], SealedReceipt]] = {
    "altered": lambda r: replace(r, box=flip(r.box)),
    "another nonce": lambda r: replace(r, nonce=flip(r.nonce)),
    "cut": lambda r: replace(r, box=r.box[:16]),
}


@pytest.mark.parametrize("lie", [*STORED, "of another transaction", "never"])
def test_forged_storage_receipts(
    network: EmbeddedNetwork, doctor: DoctorActor, patient: PatientActor, record: Path, lie: str
) -> None:
    """The request is on the ledger, but it is not called stored before the cloud has answered truly."""
    first = patient.request(doctor.name, DAY, str(record))
    if lie == "of another transaction":
        other = network.local.call(
            network.cloud_name, m.STORAGE_RECEIPT, m.ReceiptRequest(bytes.fromhex(first["request_tx"])).encode()
        )
        stand: Stand = lambda _party, _body, _forward: other  # noqa: E731
    elif lie == "never":
        stand = refusing("missing-body")
    else:
        stand = altered(SealedReceipt, STORED[lie])
    lying(network, patient, m.STORAGE_RECEIPT, stand)
    expected = "missing-body" if lie == "never" else "bad-receipt"
    assert reason(patient.request, doctor.name, DAY, str(record)) == expected
    assert [c["state"] for c in patient.replies()["consultations"]] == ["stored", "sent"]
    assert patient.resume() == {"finished": []}
    honest(network, patient)
    assert [c["state"] for c in patient.resume()["finished"]] == ["stored"]
    # and the doctor keeps a_D and e_sn until the reply is truly stored
    (waiting, _) = doctor.queue()["waiting"]
    lying(network, doctor, m.STORAGE_RECEIPT, stand)
    assert reason(doctor.treat, waiting["id"], str(record)) == expected
    assert f"reply-{waiting['sn']}" in doctor._wallet.one_time.names()
    honest(network, doctor)
    assert doctor.resume() == {"finished": [waiting["id"]]}
    assert f"reply-{waiting['sn']}" not in doctor._wallet.one_time.names()
    assert patient.read(waiting["id"])["accepted"]


def swapped(stored: bytes) -> Callable[[m.BodyRange], m.BodyRange]:
    return lambda r: replace(r, data=(stored * (len(r.data) // len(stored) + 1))[: len(r.data)])


BODIES: dict[str, Callable[[m.BodyRange], m.BodyRange]] = {
    "first byte": lambda r: replace(r, data=flip(r.data)),
    "last byte": lambda r: replace(r, data=flip(r.data, -1)),
    "a byte of the second segment": lambda r: replace(r, data=flip(r.data, 70_000)),
    "cut": lambda r: replace(r, data=r.data[:-1]),
    "longer": lambda r: replace(r, data=r.data + b"x"),
    "nothing": lambda r: replace(r, data=b""),
    "other bytes": swapped(b"another body "),
    "segments swapped": lambda r: replace(r, data=r.data[65564:131128] + r.data[:65564] + r.data[131128:]),
}


@pytest.mark.parametrize("lie", [*BODIES, "stale"])
def test_bodies_that_are_not_those_of_the_ledger(
    network: EmbeddedNetwork, doctor: DoctorActor, patient: PatientActor, record: Path, lie: str
) -> None:
    stale: list[bytes] = []

    def first_answer(_party: str, body: bytes, forward: Forward) -> bytes:
        stale.append(forward(body))
        return stale[0]

    sent = [patient.request(doctor.name, DAY, str(record)) for _ in range(2)]
    first, second = sorted(sent, key=lambda c: c["sn"])
    lying(network, doctor, m.BODY_RANGE, first_answer if lie == "stale" else altered(m.BodyRange, BODIES[lie]))
    if lie == "stale":  # the first is what it should be, the second is answered with the first one's body
        doctor.open(first["id"])
        assert reason(doctor.open, second["id"]) == "bad-body"
    else:
        assert reason(doctor.open, first["id"]) == "bad-body"
        assert reason(doctor.treat, first["id"], str(record)) == "bad-body"
        assert not list((doctor.directory / "received").iterdir()), "nothing unverified is shown"
    assert leftovers(doctor) == []
    honest(network, doctor)
    assert doctor.treat(first["id"], str(record))
    # the reply likewise: refused, the keys kept, and read when an honest answer comes
    lying(network, patient, m.BODY_RANGE, altered(m.BodyRange, BODIES.get(lie, BODIES["first byte"])))
    assert reason(patient.read, first["id"]) == "bad-body"
    assert not list((patient.directory / "received").iterdir())
    assert leftovers(patient) == []
    honest(network, patient)
    assert patient.read(first["id"])["accepted"]


def test_a_body_that_is_gone(network: EmbeddedNetwork, doctor: DoctorActor, patient: PatientActor, record: Path) -> None:
    sent = patient.request(doctor.name, DAY, str(record))
    lying(network, doctor, m.BODY_RANGE, refusing("missing-body"))
    assert reason(doctor.treat, sent["id"], str(record)) == "missing-body"
    doctor.decline(sent["id"], "missing-body")
    assert patient.replies()["consultations"][0]["state"] == "declined"


def test_a_cloud_that_is_silent_for_a_while(
    network: EmbeddedNetwork, doctor: DoctorActor, patient: PatientActor, record: Path
) -> None:
    left = [3]

    def hesitant(_party: str, body: bytes, forward: Forward) -> bytes:
        if left[0]:
            left[0] -= 1
            raise TransportError("no answer")
        return forward(body)

    lying(network, patient, m.UPLOAD_WHOLE, hesitant)
    assert patient.request(doctor.name, DAY, str(record))["state"] == "stored"
    assert left == [0]


def test_a_cloud_that_is_a_few_blocks_behind(
    network: EmbeddedNetwork, doctor: DoctorActor, patient: PatientActor, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage receipt is waited for; the terminal does not call a request lost because the cloud is slower than it."""
    follow, left = network.cloud.follow, [2]

    def late() -> int:
        left[0] -= 1
        return follow() if left[0] < 0 else 0

    monkeypatch.setattr(network.cloud, "follow", late)
    assert patient.request(doctor.name, DAY, str(record))["state"] == "stored"
