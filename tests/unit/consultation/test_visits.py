"""Envelope, request, receipts, reply, check-up, rehearsal: honest paths, stored forms, stages and sizes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.consultation import envelope as ev
from salus.consultation.rehearsal import Rehearsal
from salus.consultation.reply import ConsultationReply, ReplyDraft
from salus.consultation.request import ConsultationRequest, PendingRequest, RequestContext, RequestDraft, tx_hash
from salus.consultation.suite import Suite
from salus.groups.ristretto255 import base_mul, decode_point, random_scalar
from support.consultation_world import DOCTOR, OTHER_DOCTOR, make_world, refusal


@pytest.fixture(scope="module")
def world():
    return make_world("visits")


def test_the_rehearsal_runs_all_phases():
    suite: Suite = Rehearsal()
    for i in range(4):
        suite.register("node", f"org{i}/node")
    suite.register("doctor", DOCTOR)
    suite.register("patient", "alice")
    assert refusal(suite.register, "patient", "alice") == "already-registered"
    assert refusal(suite.register, "doctor", DOCTOR) == "already-registered"
    suite.share_value()
    sent = suite.request("alice", DOCTOR, b"payload")
    suite.commit(sent)
    suite.store(sent)
    payload, answer = suite.treat(DOCTOR, sent, b"diagnosis")
    assert payload == b"payload"
    suite.commit(answer)
    suite.store(answer)
    assert suite.trace(DOCTOR, sent) == "alice"
    assert suite.check_up("alice", answer) == b"diagnosis"
    assert refusal(suite.check_up, "alice", answer) == "wrong-request", "read once, then erased"


def test_an_envelope_carries_any_kind(world):
    """The same envelope around another transaction: its kind, own fields and body are in what is signed."""
    credential = world.credential()
    topic = ev.Topic("owner.key", world.r.epoch, world.pk_BC, world.now_ms + 1000, ("own field", 7))
    draft = ev.EnvelopeDraft.begin(world.domain, credential, topic, world.random)
    body = (b"a body of any shape", ("nested", 3))
    wire = ev.Envelope.decode(draft.sign(body, world.random).encode())
    own = ("own field", 7)

    def verify(kind="owner.key", own=own, body=body, pk=world.pk_BC):
        statement = ev.make_statement(world.domain, wire, kind, pk, own, body)
        return ev.verify_opened(ev.open_envelope(statement, world.theta))

    verified = verify()
    assert (verified.hp, verified.quarter, verified.nf, verified.A) == (credential.hp, credential.quarter, draft.nf, draft.A)
    assert refusal(verify, kind="consultation.request") == "bad-seal"
    assert refusal(verify, own=("own field", 8)) == "bad-seal"
    assert refusal(verify, body=(b"another body",)) == "bad-proof"
    assert refusal(verify, pk=base_mul(random_scalar(world.random)).encode()) == "bad-seal"


def test_one_credential_has_one_nullifier_across_kinds(world):
    credential = world.credential()
    nullifiers = {
        ev.EnvelopeDraft.begin(world.domain, credential, ev.Topic(kind, world.r.epoch, world.pk_BC, 5, ()), world.random).nf
        for kind in ("consultation.request", "owner.key", "search.token")
    }
    assert len(nullifiers) == 1


def test_given_randomness_gives_the_same_envelope(world):
    credential = world.credential()
    topic = ev.Topic("k", world.r.epoch, world.pk_BC, 5, ())
    a, g = random_scalar(world.random), b"g" * 32
    one, two = (ev.EnvelopeDraft.begin_with(world.domain, credential, topic, a, g) for _ in range(2))
    assert (one.A, one.cm, one.nf, one.S) == (two.A, two.cm, two.nf, two.S)
    fresh = ev.EnvelopeDraft.begin(world.domain, credential, topic, world.random)
    assert len({one.A, fresh.A, one.cm, fresh.cm, one.S, fresh.S}) == 6
    assert fresh.nf == one.nf


def test_sizes_on_the_wire(world):
    """Fixed plaintext widths: every request has the same size but for names and integers, whatever the patient and payload."""
    sizes = {len(world.request(p, payload=b"x" * n).encode()) for p, n in (("alice", 1), ("bob", 5000), ("mallory", 0))}
    assert len(sizes) == 1
    sent, answer = world.consult("alice")
    assert (len(sent.S), len(sent.M1), len(sent.S_D), len(sent.PID1)) == (152, 144, 212, 92)
    assert len(answer.PID2) == 92


def test_messages_round_trip(world):
    sent, answer = world.consult("alice")
    assert ConsultationRequest.decode(sent.encode()) == sent
    assert ConsultationReply.decode(answer.encode()) == answer
    assert sent.tx_hash() == tx_hash(sent.encode()) == answer.h1


def test_a_pending_request_survives_storage(world):
    sent = world.request("bob")
    world.commit(sent)
    answer = world.answer(sent, b"read later")
    world.commit(answer)
    patient = world.r.patients["bob"]
    stored = patient.pending[sent.tx_hash()].export_secret()
    patient.pending[sent.tx_hash()] = PendingRequest.from_secret(stored)
    assert world.patient_reads("bob", answer) == b"read later"


def test_a_slot_race_is_retried_with_everything_fresh(world):
    """The loser makes the request again with the next slot and credential; nothing of the first attempt is reused."""
    winner = world.request("alice")
    loser = world.request("bob", sn=winner.sn)
    world.commit(winner)
    assert world.at_node(loser) == "slot-taken"
    again = world.request("bob")
    assert world.at_node(again) is None
    shared = [f for f in loser.__struct_fields__ if getattr(loser, f) == getattr(again, f)]
    assert set(shared) <= {"ID_D", "size_bytes", "epoch", "valid_until_ms"}


def test_a_request_for_another_epochs_context_is_refused(world):
    sent = world.request()
    context = world.context(DOCTOR, sent.sn)
    wrong = replace(context, epoch=context.epoch + 1)
    doctor = world.doctor()
    assert refusal(doctor.open, world.chain, sent, wrong) == "wrong-epoch"


def test_a_doctor_opens_only_with_its_own_slot_and_key(world):
    sent = world.request()
    doctor, context = world.doctor(), world.context(DOCTOR, sent.sn)
    for wrong in (replace(context, W_D=context.E_sn), replace(context, E_sn=context.W_D)):
        assert refusal(doctor.open, world.chain, sent, wrong) == "not-your-request"
    other = world.doctor(OTHER_DOCTOR)
    opened = doctor.open(world.chain, sent, context)
    assert refusal(ReplyDraft.begin, world.domain.network, other.member, opened, world.random) == "not-your-request"


def test_time_and_pid_of_the_payload_are_compared(world):
    sent = world.request()
    opened = world.doctor().open(world.chain, sent, world.context(DOCTOR, sent.sn))
    opened.check_payload(opened.pid, world.now_ms + 600_000, world.now_ms, 600_000)
    assert refusal(opened.check_payload, opened.pid, world.now_ms + 600_001, world.now_ms, 600_000) == "bad-time"
    assert refusal(opened.check_payload, opened.pid, world.now_ms - 600_001, world.now_ms, 600_000) == "bad-time"
    assert refusal(opened.check_payload, bytes(92), world.now_ms, world.now_ms, 600_000) == "bad-pseudonym"


def test_a_node_without_the_epochs_value_says_so(world):
    sent = world.request()
    theta = world.node.theta.pop(world.r.epoch)
    assert world.at_node(sent) == "no-shared-value"
    world.node.theta[world.r.epoch] = theta
    assert world.at_node(sent) is None


def test_a_draft_needs_points_to_seal_to(world):
    context = world.context(DOCTOR, world.free_slot())
    for field in ("pk_BC", "W_D", "E_sn"):
        bad: RequestContext = replace(context, **{field: bytes(32)})
        arguments = (world.domain, world.credential(), DOCTOR, 0, bad, world.now_ms, world.random)
        assert refusal(RequestDraft.begin, *arguments) == "bad-point"


def test_keys_of_request_and_reply_are_all_different(world):
    sent = world.request()
    world.commit(sent)
    opened = world.doctor().open(world.chain, sent, world.context(DOCTOR, sent.sn))
    draft = ReplyDraft.begin(world.domain.network, world.doctor().member, opened, world.random)
    keys = [opened.body_key, draft.keys.k_enc, draft.keys.k_mac, draft.keys.k_pid[:32]]
    assert len(set(keys)) == 4
    assert decode_point(draft.A_D) == base_mul(draft.a_D)
