"""Claim: a false request can be traced to its sender, by evidence anyone verifies and only with the institutions' approval."""

from __future__ import annotations

import io

import pytest

from salus import labels
from salus.consultation import tracing
from salus.consultation.request import open_at_node
from salus.groups import proofs
from salus.groups.ristretto255 import decode_point, random_scalar
from salus.records.body import decrypt_body
from salus.records.digest import BodySummary
from salus.records.payload import FramedSink, PayloadHeader
from salus.symmetric import h2
from support.consultation_world import DOCTOR, Forgery, World, altered, flip, make_world, refusal, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("traceability")


def opened(world: World, request):
    return world.doctor().open(world.chain, request, world.context(DOCTOR, request.sn))


def trace(world: World, evidence, request) -> str:
    context = world.context(DOCTOR, request.sn)
    sender = tracing.verify_doctor_evidence(world.domain, evidence, context)
    result = world.r.centre.trace(world.domain, evidence, context)
    key = world.r.centre.key.signing_key.encode()
    return tracing.check_trace(world.domain.network, "authority/centre", key, sender, result)


def test_a_committed_request_is_traced_to_its_sender(world: World):
    for patient in ("alice", "bob", "mallory"):
        sent = world.request(patient)
        world.commit(sent)
        assert trace(world, tracing.doctor_evidence(opened(world, sent)), sent) == patient


def test_evidence_survives_its_own_encoding(world: World):
    sent = world.request("alice")
    evidence = tracing.doctor_evidence(opened(world, sent))
    assert trace(world, tracing.DoctorEvidence.decode(evidence.encode()), sent) == "alice"


@pytest.mark.parametrize("part", ["P", "Q", "hp", "quarter", "g", "signature"])
def test_altered_evidence_is_refused(world: World, part):
    sent = world.request("alice")
    evidence = tracing.evidence_of(opened(world, sent).envelope, sent)
    value = getattr(evidence, part)
    wrong = altered(evidence, **{part: value + 1 if part == "quarter" else flip(value, 5)})
    context = world.context(DOCTOR, sent.sn)
    assert refusal(tracing.verify_sender_evidence, world.domain, wrong, context) == "bad-evidence"
    assert refusal(tracing.verify_sender_evidence, world.domain, evidence, context) is None


def test_evidence_cannot_be_pointed_at_another_patient_or_transaction(world: World):
    mine, other = world.request("mallory"), world.request("victim")
    context = world.context(DOCTOR, mine.sn)
    a, b = (tracing.doctor_evidence(opened(world, t)) for t in (mine, other))
    for name in ("P", "Q", "hp", "g"):
        swapped = altered(a.sender, **{name: getattr(b.sender, name)})
        assert refusal(tracing.verify_sender_evidence, world.domain, swapped, context) == "bad-evidence"
    assert refusal(tracing.verify_doctor_evidence, world.domain, altered(a, pid=b.pid), context) == "bad-evidence"
    onto_other = altered(b.sender, request=mine)
    assert refusal(tracing.verify_sender_evidence, world.domain, onto_other, context) == "bad-evidence"


@pytest.mark.parametrize("rubbish", ["random bytes", "another pid"])
def test_rubbish_in_the_doctors_seal_is_traced_all_the_same(world: World, rubbish):
    """The sender hides from the doctor, not from the nodes: seal evidence lets nodes show the sender, the centre finds hp."""
    credential = world.credential("mallory")
    forgery = Forgery.with_credential(world, credential)
    if rubbish == "random bytes":
        forgery.S_D = world.random(212)
    else:
        forgery.pid, forgery.hp = world.credential("victim").pid, credential.hp
    sent = forgery.build()
    assert world.at_node(sent) is None, "nodes cannot look into S_D"
    world.commit(sent)
    assert world.at_doctor(sent) in ("bad-seal", "bad-commitment")
    context = world.context(DOCTOR, sent.sn)
    doctor = world.doctor()
    shown = tracing.seal_evidence(world.domain, sent, doctor.member, doctor.slot_keys[sent.sn], world.random)
    assert tracing.seal_is_rubbish(world.domain, tracing.SealEvidence.decode(shown.encode()), context)
    at_node = open_at_node(world.domain, sent, context, world.theta)
    sender = tracing.verify_sender_evidence(world.domain, tracing.evidence_of(at_node, sent), context)
    pids = world.r.centre.pids
    assert tracing.find_identity(pids, world.patients, sender.quarter, sender.hp) == ("mallory", credential.index)


def test_a_doctor_cannot_call_a_good_seal_rubbish(world: World, monkeypatch):
    """Honest secrets open it before everyone; false ones fail their equality proofs; without the proofs it would work."""
    sent = world.request("alice")
    doctor, context = world.doctor(), world.context(DOCTOR, sent.sn)
    honest = tracing.seal_evidence(world.domain, sent, doctor.member, doctor.slot_keys[sent.sn], world.random)
    assert not tracing.seal_is_rubbish(world.domain, honest, context)
    false_X = decode_point(sent.A).mul(random_scalar(world.random)).encode()
    lie = altered(honest, X=false_X)
    assert refusal(tracing.seal_is_rubbish, world.domain, lie, context) == "bad-evidence"
    weaken(monkeypatch, proofs.dleq_verify, lambda *parts: None)
    assert tracing.seal_is_rubbish(world.domain, lie, context), "without equality proofs the doctor unmasks whom it likes"


def test_the_words_themselves_can_be_proven(world: World, monkeypatch):
    sent = world.request("mallory", payload=b"the words that were sent")
    doctor, context = world.doctor(), world.context(DOCTOR, sent.sn)
    slot = doctor.slot_keys[sent.sn]
    shown = tracing.words_evidence(world.domain, opened(world, sent), doctor.member, slot, world.random)
    words = tracing.read_words(world.domain, tracing.WordsEvidence.decode(shown.encode()), context)
    payload = io.BytesIO()
    sink = FramedSink(PayloadHeader, lambda header: None, payload)
    body = io.BytesIO(world.r.cloud.fetch(sent.digest))
    decrypt_body(body, words.body_key, words.body_context, BodySummary.of(sent.digest, sent.size_bytes), sink)
    assert payload.getvalue() == b"the words that were sent"
    assert words.sender.P == world.pending(sent).credential.P

    # A false Z would give another key; its equality proof fails.
    false = altered(shown, Z=(decode_point(shown.Z) + decode_point(sent.A)).encode())
    assert refusal(tracing.read_words, world.domain, false, context) == "bad-evidence"
    # Also without the proof, the signed M2 notices.
    weaken(monkeypatch, proofs.dleq_verify, lambda *parts: None)
    assert refusal(tracing.read_words, world.domain, false, context) == "bad-evidence"


def test_approvals_need_more_than_two_thirds_of_the_institutions():
    institutions = [f"org{i}/board" for i in range(4)]
    assert not tracing.enough_approvals(institutions[:2], institutions)
    assert tracing.enough_approvals(institutions[:3], institutions)
    assert not tracing.enough_approvals([institutions[0]] * 9, institutions), "one institution counts once"
    assert not tracing.enough_approvals(["stranger/a", "stranger/b", institutions[0], institutions[1]], institutions)
    for n in range(4, 40):
        names = [str(i) for i in range(n)]
        least = next(k for k in range(n + 1) if tracing.enough_approvals(names[:k], names))
        assert least * 3 > 2 * n >= (least - 1) * 3


def test_case_approval_and_opening_are_signed(world: World):
    """On the ledger: who asked, who approved, that it was opened. Each signature is bound to its case and network."""
    network, random = world.domain.network, world.random
    sent = world.request("alice")
    world.commit(sent)
    digest = h2(labels.TX, labels.SUITE_R1, b"evidence")
    doctor = world.doctor().member
    board = world.r.member("institution", "org0/board")
    case = tracing.ask_trace(network, doctor, sent.tx_hash(), digest, "a false emergency", random)
    number = h2(labels.TX, labels.SUITE_LEDGER, case.encode())
    approval = tracing.approve_trace(network, board, number, random)
    opening = tracing.record_opening(network, world.r.centre.key, "authority/centre", number, random)
    key = world.r.centre.key.signing_key
    tracing.check_trace_request(network, case, doctor.W)
    tracing.check_approval(network, approval, board.W)
    tracing.check_opening(network, opening, key)
    other = bytes(32)
    assert refusal(tracing.check_trace_request, other, case, doctor.W) == "bad-signature"
    assert refusal(tracing.check_approval, network, altered(approval, case=other), board.W) == "bad-signature"
    assert refusal(tracing.check_approval, network, approval, doctor.W) == "bad-signature"
    assert refusal(tracing.check_opening, network, altered(opening, case=other), key) == "bad-signature"


def test_nobody_but_the_centre_opens_a_pid(world: World):
    """pid is under the centre's key: nodes' and doctors' secrets in its place open nothing."""
    from salus.consultation.credentials import PidKeys

    credential = world.credential("alice")
    assert world.r.centre.pids.open(credential.pid) == "alice"
    for secret in (world.theta, world.doctor().member.s, world.r.cloud.member.s):
        assert refusal(PidKeys(secret, world.domain.network).open, credential.pid) == "bad-pseudonym"
    elsewhere = PidKeys(world.r.centre.key.w, bytes(32))
    assert refusal(elsewhere.open, credential.pid) == "bad-pseudonym", "the network is in both keys"
