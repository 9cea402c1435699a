"""Claim: every byte of every message, flipped once, is noticed by each of its readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salus.codec import decode, encode
from salus.consultation import appointments as ap
from salus.consultation import credentials as cr
from salus.consultation import enrolment as en
from salus.consultation import envelope, tracing
from salus.consultation import node_record as nr
from salus.consultation import receipts as rc
from salus.consultation import registration as reg
from salus.consultation import shared_value as sv
from salus.consultation.reply import ConsultationReply
from salus.consultation.request import ConsultationRequest
from support.consultation_world import DOCTOR, World, flip, make_world, refusal, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("flips")


def accepted_flips(data: bytes, reader: Callable[[bytes], object], bits: int = 1) -> list[int]:
    """Indexes of bytes whose flip the reader does not notice."""
    assert refusal(reader, data) is None, "the honest message is accepted"
    out = []
    for i in range(len(data)):
        for bit in range(8) if bits == 8 else [i % 8]:
            if refusal(reader, flip(data, i, bit)) is None:
                out.append(i)
    return out


def test_transaction_1_at_every_node(world: World):
    sent = world.request().encode()
    for n in range(4):
        assert accepted_flips(sent, lambda data, n=n: world.r.nodes[n].check(world.chain, data), 8 if n == 0 else 1) == []


def test_transaction_1_at_the_doctor(world: World):
    sent = world.request().encode()
    assert accepted_flips(sent, lambda data: world.doctor_reads(ConsultationRequest.decode(data))) == []


def test_the_body_of_transaction_1_at_the_doctor(world: World):
    sent = world.request(payload=b"x" * 300)
    bodies = world.r.cloud.bodies

    def read(body: bytes) -> None:
        bodies[sent.digest] = body
        world.doctor_reads(sent)

    assert accepted_flips(bodies[sent.digest], read) == []


@pytest.fixture
def visit(world: World):
    sent = world.request("bob")
    world.commit(sent)
    return sent, world.answer(sent, b"a diagnosis of some length")


def test_transaction_2_at_every_node(world: World, visit):
    data = visit[1].encode()
    for n in range(4):
        assert accepted_flips(data, lambda d, n=n: world.r.nodes[n].check(world.chain, d), 8 if n == 0 else 1) == []


def test_transaction_2_at_the_patient(world: World, visit):
    """Also when a lying ledger "proves" the altered one: the patient's own checks notice every byte."""

    def read(data: bytes) -> None:
        answer = ConsultationReply.decode(data)
        world.patient_reads("bob", answer, answer.tx_hash())

    assert accepted_flips(visit[1].encode(), read) == []
    world.commit(visit[1])
    assert accepted_flips(visit[1].encode(), lambda d: world.patient_reads("bob", ConsultationReply.decode(d))) == []


def test_the_body_of_transaction_2_at_the_patient(world: World, visit):
    answer, bodies = visit[1], world.r.cloud.bodies

    def read(body: bytes) -> None:
        bodies[answer.digest] = body
        world.patient_reads("bob", answer, answer.tx_hash())

    assert accepted_flips(bodies[answer.digest], read) == []


def field_of(data: bytes, index: int) -> str:
    """Which field of Transaction 1 a byte of its encoding belongs to."""
    names = ("kind", "version", *ConsultationRequest.__struct_fields__)
    position = 5
    for name, value in zip(names, decode(data), strict=True):
        position += len(encode(value))
        if index < position:
            return name
    raise AssertionError(index)


def test_with_the_body_out_of_the_signature_flips_go_unnoticed(world: World, monkeypatch):
    """The repair out (M_i1 of the printed protocol covers neither M2 nor the doctor's parts): exactly those bytes are free."""
    right = envelope.make_content
    weaken(monkeypatch, right, lambda t0, cm, nf, S, body: right(t0, cm, nf, S, ()))
    sent = world.request().encode()
    free = Counter(field_of(sent, i) for i in accepted_flips(sent, lambda data: world.node.check(world.chain, data)))
    assert set(free) == {"PID1", "M2", "S_D"}
    assert free["M2"] == 32
    assert free["PID1"] == 92
    assert free["S_D"] == 212


# --- every other message ---


def messages(world: World) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Each message of the protocol with what its reader does."""
    return {
        **receipts(world), **registrations(world), **credentials(world), **appointments(world), **epochs(world), **traces(world),
    }  # fmt: skip


def receipts(world: World):
    network, cloud, W = world.domain.network, world.r.cloud.member, world.r.cloud.member.W
    sent = world.request()
    a, tx = world.pending(sent).a, sent.tx_hash()
    sealed = rc.seal_storage_receipt(network, cloud, sent.PID1, sent.A, DOCTOR, 3, tx, sent.digest, sent.size_bytes, world.random)
    expected = rc.StorageReceipt(sent.PID1, sent.A, DOCTOR, 0, tx, sent.digest, sent.size_bytes, cloud.name, bytes(64))

    def check_upload(data: bytes) -> None:
        receipt = rc.UploadReceipt.decode(data)
        rc.check_upload(network, receipt, sent.digest, sent.size_bytes, W)

    def open_storage(data: bytes) -> None:
        rc.open_storage_receipt(network, rc.SealedReceipt.decode(data), a, cloud.W_bytes, tx, expected)

    return {"upload receipt": (sent.U.encode(), check_upload), "storage receipt": (sealed.encode(), open_storage)}


def registrations(world: World):
    network, random, centre = world.domain.network, world.random, world.r.centre.key
    secret = reg.SecretValue.draw(random)
    x = secret.export_secret()
    request = reg.request_key(network, "doctor", "new/doctor", secret, random)
    partial = world.r.centre.register(request)

    def finish(data: bytes) -> None:
        mine = reg.SecretValue.from_secret(x)
        reg.MemberKey.finish("doctor", "new/doctor", mine, reg.PartialKey.decode(data), world.domain.Pub)

    record = nr.make_node_record(
        network, world.node.member, Ed25519PrivateKey.generate(), nr.BlsSecret.generate(random),
        sv.EpochSecret.generate(3, random), random,
    )  # fmt: skip
    call, answer_key = en.seal_to_centre(network, centre.sealing_key.encode(), request.encode(), random)
    _, centre_side = en.open_at_centre(network, centre, call)
    return {
        "key request": (request.encode(), lambda d: reg.check_key_request(network, reg.KeyRequest.decode(d))),
        "partial key": (partial.encode(), finish),
        "node record": (record.encode(), lambda d: nr.check_node_record(network, nr.NodeRecord.decode(d), world.domain.Pub)),
        "sealed call": (call.encode(), lambda d: en.open_at_centre(network, centre, en.SealedCall.decode(d))),
        "sealed answer": (centre_side.seal(partial.encode()), answer_key.open),
    }


def credentials(world: World):
    network, random, centre = world.domain.network, world.random, world.r.centre
    key = en.EnrolmentKey.generate(random)
    enrolment = en.enrol_patient(network, "code", "carol", key, random)
    statement = centre.enrol("carol", key.F)
    secret = reg.SecretValue.draw(random)
    x = secret.export_secret()
    request = cr.request_credential(network, key, world.chain.quarters[1], 5, secret, random)
    answer = centre.issue("carol", request)
    signing_key = centre.key.signing_key.encode()

    def finish(data: bytes) -> None:
        cr.finish_credential(request, reg.SecretValue.from_secret(x), cr.IssuedCredential.decode(data), world.domain.Pub)

    return {
        "patient enrolment": (
            enrolment.encode(), lambda d: en.check_patient_enrolment(network, en.PatientEnrolment.decode(d)),
        ),
        "enrolment statement": (
            statement.encode(),
            lambda d: en.check_statement(network, "authority/centre", signing_key, en.EnrolmentStatement.decode(d)),
        ),
        "issuing request": (
            request.encode(), lambda d: cr.check_issuing_request(network, key.F, cr.IssuingRequest.decode(d)),
        ),
        "issued credential": (answer.encode(), finish),
    }  # fmt: skip


def appointments(world: World):
    network, random, doctor = world.domain.network, world.random, world.doctor().member
    batch, _ = ap.publish_slots(network, doctor, "2025-10-09", 100, 3, random)
    cancel = ap.cancel_slots(network, doctor, (3, 4), "ill", random)
    decline = ap.decline_request(network, doctor, 3, bytes(32), "bad-seal", "unreadable", random)
    return {
        "slots": (batch.encode(), lambda d: ap.check_slots(network, ap.SlotBatch.decode(d), doctor.W)),
        "cancellation": (cancel.encode(), lambda d: ap.check_cancellation(network, ap.SlotCancellation.decode(d), doctor.W)),
        "decline": (decline.encode(), lambda d: ap.check_decline(network, ap.Decline.decode(d), doctor.W)),
    }


def epochs(world: World):
    network, random = world.domain.network, world.random
    nodes = [n.member for n in world.r.nodes]
    secrets = [sv.EpochSecret.generate(9, random) for _ in nodes]
    seats = [sv.Seat(n.name, n.W_bytes, e.E) for n, e in zip(nodes, secrets, strict=True)]
    key = sv.publish_epoch_key(network, nodes[0], secrets[0], random)
    deal, theta = sv.make_deal(network, 9, nodes[0], seats, random)
    ack = sv.acknowledge(network, nodes[1], deal, (8,), random)
    accusation = sv.accuse(network, deal, nodes[1], secrets[1], random)
    box = sv.box_theta(network, nodes[0], 9, theta, seats[1], random)

    def open_box(data: bytes) -> None:
        sv.open_theta_box(network, sv.ThetaBox.decode(data), nodes[1], secrets[1], deal.T, nodes[0].W)

    return {
        "epoch key": (key.encode(), lambda d: sv.check_epoch_key(network, sv.EpochKey.decode(d), nodes[0].W)),
        "deal": (deal.encode(), lambda d: sv.check_deal(network, sv.Deal.decode(d), 4, nodes[0].W)),
        "acknowledgement": (ack.encode(), lambda d: sv.check_ack(network, sv.Ack.decode(d), nodes[1].W)),
        "accusation": (accusation.encode(), lambda d: sv.judge(network, deal, sv.Accusation.decode(d), seats[1])),
        "boxed theta": (box.encode(), open_box),
    }


def traces(world: World):
    network, random = world.domain.network, world.random
    sent = world.request("mallory")
    world.commit(sent)
    doctor = world.doctor()
    opened = doctor.open(world.chain, sent, world.context(DOCTOR, sent.sn))
    slot = doctor.slot_keys[sent.sn]
    evidence = tracing.doctor_evidence(opened)
    words = tracing.words_evidence(world.domain, opened, doctor.member, slot, random)
    sender = tracing.verify_doctor_evidence(world.domain, evidence, world.context(DOCTOR, sent.sn))
    result = world.r.centre.trace(world.domain, evidence, world.context(DOCTOR, sent.sn))
    case = tracing.ask_trace(network, doctor.member, sent.tx_hash(), bytes(32), "grounds", random)
    approval = tracing.approve_trace(network, doctor.member, bytes(32), random)
    opening = tracing.record_opening(network, world.r.centre.key, "authority/centre", bytes(32), random)
    signing_key = world.r.centre.key.signing_key

    def looked_up(request: ConsultationRequest):
        return world.context(request.ID_D, request.sn, request.epoch)

    def read_evidence(data: bytes) -> None:
        e = tracing.DoctorEvidence.decode(data)
        tracing.verify_doctor_evidence(world.domain, e, looked_up(e.sender.request))

    def read_seal(data: bytes) -> None:
        e = tracing.SealEvidence.decode(data)
        assert tracing.seal_is_rubbish(world.domain, e, looked_up(e.request)) is False

    def read_words(data: bytes) -> None:
        e = tracing.WordsEvidence.decode(data)
        tracing.read_words(world.domain, e, looked_up(e.seal.request))

    def read_trace(data: bytes) -> None:
        tracing.check_trace(network, "authority/centre", signing_key.encode(), sender, tracing.Trace.decode(data))

    W = doctor.member.W
    return {
        "doctor's evidence": (evidence.encode(), read_evidence),
        "seal evidence": (words.seal.encode(), read_seal),
        "words evidence": (words.encode(), read_words),
        "trace": (result.encode(), read_trace),
        "trace request": (case.encode(), lambda d: tracing.check_trace_request(network, tracing.TraceRequest.decode(d), W)),
        "trace approval": (approval.encode(), lambda d: tracing.check_approval(network, tracing.TraceApproval.decode(d), W)),
        "trace opening": (
            opening.encode(), lambda d: tracing.check_opening(network, tracing.TraceOpening.decode(d), signing_key),
        ),
    }  # fmt: skip


NAMES = (
    "upload receipt", "storage receipt", "key request", "partial key", "node record", "sealed call", "sealed answer",
    "patient enrolment", "enrolment statement", "issuing request", "issued credential", "slots", "cancellation", "decline",
    "epoch key", "deal", "acknowledgement", "accusation", "boxed theta", "doctor's evidence", "seal evidence",
    "words evidence", "trace", "trace request", "trace approval", "trace opening",
)  # fmt: skip


@pytest.fixture(scope="module")
def all_messages(world):
    found = messages(world)
    assert set(found) == set(NAMES)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_other_message_at_its_reader(all_messages, name):
    data, reader = all_messages[name]
    assert accepted_flips(data, reader) == []


@pytest.mark.parametrize("name", ["slots", "decline", "epoch key", "trace approval", "enrolment statement"])
def test_without_its_signature_a_message_can_be_altered(all_messages, name, monkeypatch):
    """The repair out, for a sample: some flip goes unnoticed."""
    data, reader = all_messages[name]
    weaken(monkeypatch, reg.verify_member_signature, lambda *parts: None)
    assert accepted_flips(data, reader)


@pytest.mark.parametrize("name", NAMES)
def test_truncated_and_prolonged_messages_are_refused(all_messages, name):
    data, reader = all_messages[name]
    for changed in (data[:-1], data + b"\0", data[1:], b"", data[: len(data) // 2], data + data):
        assert refusal(reader, changed) is not None


def test_transactions_truncated_and_prolonged(world: World):
    sent = world.request().encode()
    for changed in (*(sent[:n] for n in range(0, len(sent), 13)), sent + b"\0", sent + sent):
        assert refusal(world.node.check, world.chain, changed) is not None
