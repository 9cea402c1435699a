"""Claim: nobody can be framed: not a patient by doctor, node or centre, not a dealer by a node, not the centre by a patient."""

from __future__ import annotations

import pytest

from salus import labels
from salus.consultation import credentials as cr
from salus.consultation import enrolment as en
from salus.consultation import envelope, tracing
from salus.consultation.registration import SUITE, SecretValue, finish_key, issue_partial_key
from salus.consultation.request import open_at_node
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, hash_to_point, hash_to_scalar, random_scalar
from support.consultation_world import (
    DOCTOR,
    Forgery,
    W_of,
    World,
    altered,
    honest_sigma,
    make_world,
    nullifier_point,
    refusal,
    simulated_sigma,
    weaken,
)


@pytest.fixture
def world():
    return make_world("framing")


def evidence_at_node(world: World, request):
    context = world.context(DOCTOR, request.sn)
    opened = open_at_node(world.domain, request, context, world.theta)
    return tracing.verify_sender_evidence(world.domain, tracing.evidence_of(opened, request), context)


def centre_key(world: World) -> bytes:
    return world.r.centre.key.signing_key.encode()


def check(world: World, sender, trace) -> str | None:
    return refusal(tracing.check_trace, world.domain.network, "authority/centre", centre_key(world), sender, trace)


# --- by the doctor, by nodes ---


def test_a_doctor_cannot_invent_a_request_of_a_patient_it_knows(world: World, monkeypatch):
    """Evidence holds the sender's signature of that body: the doctor, with all keys but s, cannot make one."""
    victim = world.credential("victim")
    W = decode_point(victim.W)
    forged = Forgery.of_victim(world, victim, sW=W.mul(world.doctor().member.s), sign=simulated_sigma).build()
    world.chain.commit(forged)
    context = world.context(DOCTOR, forged.sn)
    evidence = tracing.SenderEvidence(
        forged, victim.P, victim.Q, victim.hp, victim.quarter, _g_of(world, forged), _m1_of(world, forged)
    )
    assert refusal(tracing.verify_sender_evidence, world.domain, evidence, context) == "bad-evidence"
    weaken(monkeypatch, envelope.verify_opened, envelope.accept)
    sender = tracing.verify_sender_evidence(world.domain, evidence, context)
    assert sender.hp == victim.hp, "without the signature any doctor frames any patient it has met"


def _opened(world: World, request):
    return open_at_node(world.domain, request, world.context(DOCTOR, request.sn), world.theta)


def _g_of(world: World, request) -> bytes:
    return _opened(world, request).sender.g


def _m1_of(world: World, request) -> bytes:
    o = _opened(world, request)
    return o.I.encode() + o.R1.encode() + o.R2.encode() + o.z.encode()


def test_a_genuine_request_is_no_evidence_for_other_words(world: World):
    """The signature covers digest and size of the body: evidence cannot be moved onto another body or slot."""
    sent = world.request("victim", payload=b"harmless")
    opened = _opened(world, sent)
    evidence = tracing.evidence_of(opened, sent)
    context = world.context(DOCTOR, sent.sn)
    for change in ({"digest": bytes(32)}, {"size_bytes": 1}, {"sn": sent.sn + 1}, {"PID1": bytes(92)}, {"M2": bytes(32)}):
        moved = altered(evidence, request=altered(sent, **change))
        assert refusal(tracing.verify_sender_evidence, world.domain, moved, context) == "bad-evidence"


# --- by the centre ---


def minted(world: World, patient: str, index: int = 33, secret: SecretValue | None = None) -> cr.Credential:
    """The centre mints a credential under a patient's pid with an x of its own: it can, and nodes and doctor accept it."""
    centre, quarter = world.r.centre, world.chain.quarters[1]
    secret = secret or SecretValue.draw(world.random)
    pid = centre.pids.seal(patient, quarter, index)
    hp = cr.pid_digest(pid)
    partial = issue_partial_key(centre.key.w, "patient", hp, quarter, secret.P, world.random)
    s, _ = finish_key("patient", hp, quarter, secret, partial, world.domain.Pub)
    return cr.Credential(secret.P, partial.Q, pid, quarter, index, s)


def test_a_credential_minted_by_the_centre_does_not_count_in_a_trace(world: World, monkeypatch):
    sent = world.request("victim", credential=minted(world, "victim"))
    world.commit(sent)
    assert world.at_doctor(sent) is None, "the pid opens to the victim"
    sender = evidence_at_node(world, sent)
    statement = world.r.centre.enrolled["victim"]
    real = next(r for (who, _, _), r in world.r.centre.spent.items() if who == "victim")
    moved = altered(real, P=sender.P, quarter=sender.quarter)
    other_patient = next(r for (who, _, _), r in world.r.centre.spent.items() if who == "alice")
    for issuing in (real, moved, other_patient):
        assert check(world, sender, tracing.Trace(sender.tx_hash, statement, issuing)) == "bad-evidence"
    own_key = en.EnrolmentKey.generate(world.random)
    secret = SecretValue.draw(world.random)
    request = cr.request_credential(world.domain.network, own_key, sender.quarter, 33, secret, world.random)
    assert check(world, sender, tracing.Trace(sender.tx_hash, statement, altered(request, P=sender.P))) == "bad-evidence"
    weaken(monkeypatch, cr.check_issuing_request, lambda *parts: None)
    assert check(world, sender, tracing.Trace(sender.tx_hash, statement, moved)) is None, "without F the centre frames anybody"


def test_the_centre_cannot_put_one_patients_key_under_anothers_pid(world: World):
    """alice asks, the centre answers with the victim's pid: the issuing signature is alice's, so the trace counts not."""
    centre, alice = world.r.centre, world.r.patients["alice"]
    secret = SecretValue.draw(world.random)
    quarter = world.chain.quarters[1]
    request = cr.request_credential(world.domain.network, alice.enrolment, quarter, 34, secret, world.random)
    pid = centre.pids.seal("victim", quarter, 34)
    partial = issue_partial_key(centre.key.w, "patient", cr.pid_digest(pid), quarter, request.P, world.random)
    credential = cr.finish_credential(request, secret, cr.IssuedCredential(quarter, 34, pid, partial), world.domain.Pub)
    sent = world.request("alice", credential=credential)
    sender = evidence_at_node(world, sent)
    claim = tracing.Trace(sender.tx_hash, centre.enrolled["victim"], request)
    assert check(world, sender, claim) == "bad-evidence"


def test_a_second_enrolment_key_convicts_the_centre(world: World):
    """To frame without the patient's F the centre must state another F for the same identity: the patient shows its own."""
    network, random = world.domain.network, world.random
    mine = world.r.centre.enrolled["victim"]
    forged_key = en.EnrolmentKey.generate(random)
    theirs = en.state_enrolment(network, world.r.centre.key, "authority/centre", "victim", forged_key.F, 1, random)
    secret = SecretValue.draw(random)
    credential = minted(world, "victim", secret=secret)
    issuing = cr.request_credential(network, forged_key, credential.quarter, 33, secret, random)
    sent = world.request("victim", credential=credential)
    sender = evidence_at_node(world, sent)
    assert check(world, sender, tracing.Trace(sender.tx_hash, theirs, issuing)) is None
    key, revoked = centre_key(world), set()

    def convicts(one, other) -> bool:
        return tracing.convicts_centre(network, "authority/centre", key, one, other, revoked.__contains__)

    assert convicts(mine, theirs)
    assert not convicts(mine, mine)
    assert not convicts(mine, world.r.centre.enrolled["alice"]), "two patients, two keys"
    invented = altered(theirs, F=world.r.centre.enrolled["alice"].F)
    assert not convicts(mine, invented), "a patient cannot invent the centre's statement"
    revoked.add(en.enrolment_digest(network, mine.F))
    assert not convicts(mine, theirs), "after a lost wallet the old F stands revoked on the ledger, and a new one is no crime"


def test_the_centre_cannot_convert_a_signature_to_a_second_credential_on_the_same_key(world: World, monkeypatch):
    """y2 - y1 shifts s by a known delta: ``z' = z + c*delta`` would do, if c and B did not hash Q."""
    victim = world.credential("victim")
    centre = world.r.centre
    sent = world.request("victim", credential=victim)
    duplicate = issue_partial_key(centre.key.w, "patient", victim.hp, victim.quarter, victim.P, world.random)
    W2 = W_of(world, victim.P, duplicate.Q, victim.hp, victim.quarter)
    y1 = _y_of(victim)
    delta = Scalar.decode(duplicate.y) - y1
    assert decode_point(victim.W) + base_mul(delta) == W2

    def converted(genuine):
        o = _opened(world, genuine)
        forgery = Forgery(
            world, victim.P, duplicate.Q, victim.pid, victim.quarter, random_scalar(world.random),
            I=(o.I + nullifier_point(world, victim.P, victim.Q, victim.hp, victim.quarter).mul(delta)).encode(),
            sign=lambda f, content: f.I + o.R1.encode() + o.R2.encode() + (o.z + o.c * delta).encode(),
        )  # fmt: skip
        return forgery.build()

    assert world.at_node(converted(sent)) == "bad-proof"

    # The repairs out: B without Q, c over the commitment R1 alone.
    def loose_B(network, P, Q, hp, quarter):
        return hash_to_point(labels.NULLIFIER, SUITE, network, P, hp, quarter)

    weaken(monkeypatch, envelope.nullifier_base, loose_B)
    weaken(monkeypatch, envelope.challenge, lambda network, who, I, R1, R2, content: hash_to_scalar(labels.SIG, SUITE, R1))
    genuine = world.request("victim", credential=victim)
    assert world.at_node(genuine) is None
    o = _opened(world, genuine)
    I = o.I + loose_B(world.domain.network, victim.P, b"", victim.hp, victim.quarter).mul(delta)
    forgery = Forgery(
        world, victim.P, duplicate.Q, victim.pid, victim.quarter, random_scalar(world.random), I=I.encode(),
        sign=lambda f, content: f.I + o.R1.encode() + o.R2.encode() + (o.z + o.c * delta).encode(),
    )  # fmt: skip
    assert world.at_node(forgery.build()) is None


def _y_of(credential: cr.Credential) -> Scalar:
    """y of a credential: the centre made it, so it may have kept it."""
    return _partials[credential.P]


_partials: dict[bytes, Scalar] = {}


@pytest.fixture(autouse=True)
def _centre_remembers_y(monkeypatch):
    real = cr.issue_partial_key

    def remember(w, role, identity, quarter, P, random):
        partial = real(w, role, identity, quarter, P, random)
        _partials[P] = Scalar.decode(partial.y)
        return partial

    weaken(monkeypatch, real, remember)


def test_two_answers_from_one_q_would_reveal_w(world: World):
    """Why q is fresh randomness and an index is spent before its answer leaves."""
    centre = world.r.centre.key
    hp = cr.pid_digest(world.random(92))
    keys = [SecretValue.draw(world.random).P for _ in range(2)]

    def fixed(count: int) -> bytes:
        return b"\x07" * count

    answers = [issue_partial_key(centre.w, "patient", hp, 9, P, fixed) for P in keys]
    alphas = [envelope.alpha("patient", hp, 9, P, a.Q, world.domain.Pub_bytes) for P, a in zip(keys, answers, strict=True)]
    ys = [Scalar.decode(a.y) for a in answers]
    assert (ys[0] - ys[1]) * (alphas[0] - alphas[1]).invert() == centre.w
    fresh = [issue_partial_key(centre.w, "patient", hp, 9, P, world.random) for P in keys]
    assert fresh[0].Q != fresh[1].Q


def test_an_honest_sender_is_never_denied(world: World):
    """The other side of no framing: a sender cannot sign so that evidence about it fails."""
    credential = world.credential("mallory")
    sent = Forgery.with_credential(world, credential, sign=honest_sigma).build()
    assert world.at_node(sent) is None
    assert evidence_at_node(world, sent).hp == credential.hp
