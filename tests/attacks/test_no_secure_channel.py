"""Claim: after the enrolment code is handed over in person, no secure channel is needed for anything."""

from __future__ import annotations

import pytest

from salus.consultation import credentials as cr
from salus.consultation import enrolment as en
from salus.consultation.registration import CentreKey, SecretValue, alpha, finish_key
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, decode_scalar, random_scalar
from support.consultation_world import World, altered, flip, make_world, refusal, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("open channel")


class Exchange:
    """One renewal of a credential over an open channel, with everything the wire carried."""

    def __init__(self, world: World, patient: str = "alice") -> None:
        self.world = world
        self.network = world.domain.network
        self.centre: CentreKey = world.r.centre.key
        self.who = world.r.patients[patient]
        self.secret = SecretValue.draw(world.random)
        self.x = Scalar.decode(self.secret.export_secret())
        index = next(i for i in range(64) if (patient, world.chain.quarters[1], i) not in world.r.centre.spent)
        self.request = cr.request_credential(
            self.network, self.who.enrolment, world.chain.quarters[1], index, self.secret, world.random
        )
        self.call, self.answer_key = en.seal_to_centre(
            self.network, self.centre.sealing_key.encode(), self.request.encode(), world.random
        )
        inner, self.centre_answer_key = en.open_at_centre(self.network, self.centre, self.call)
        self.issued = world.r.centre.issue(patient, cr.IssuingRequest.decode(inner))
        self.box = self.centre_answer_key.seal(self.issued.encode())

    def wire(self) -> bytes:
        return self.call.encode() + self.box


def test_the_exchange_works_and_shows_nothing(world: World):
    exchange = Exchange(world)
    answer = cr.IssuedCredential.decode(exchange.answer_key.open(exchange.box))
    credential = cr.finish_credential(exchange.request, exchange.secret, answer, world.domain.Pub)
    assert world.at_node(world.request(credential=credential)) is None
    wire = exchange.wire()
    shown = (exchange.request.P, exchange.request.F, answer.pid[:12], answer.pid[12:], answer.partial.y, answer.partial.Q)
    assert not any(secret in wire for secret in shown)


def test_an_unsealed_answer_would_link_the_patient(world: World, monkeypatch):
    """The repair out: pid and P on the wire name the patient's later transactions to whoever listened."""
    weaken(monkeypatch, en.seal, lambda key, plaintext, aad: plaintext + bytes(16))
    monkeypatch.setattr(en, "unseal", lambda key, box, aad, reason: box[:-16])
    exchange = Exchange(world)
    assert exchange.request.P in exchange.wire()
    assert exchange.issued.pid in exchange.wire()


def test_a_listener_cannot_finish_the_credential(world: World):
    """Even y in clear is worth nothing without x: s = x + y."""
    exchange = Exchange(world)
    y = decode_scalar(exchange.issued.partial.y)
    for guess in (y, random_scalar(world.random), Scalar.from_int(1)):
        thief = SecretValue(guess)
        hp = cr.pid_digest(exchange.issued.pid)
        assert refusal(finish_key, "patient", hp, exchange.request.quarter, thief, exchange.issued.partial, world.domain.Pub) == (
            "bad-partial-key"
        )
    s = exchange.x + y
    W = world.domain.Pub.mul(_alpha(world, exchange)) + decode_point(exchange.request.P)
    assert base_mul(s) == W + decode_point(exchange.issued.partial.Q), "control: with x it is s"


def _alpha(world: World, exchange: Exchange) -> Scalar:
    hp = cr.pid_digest(exchange.issued.pid)
    return alpha("patient", hp, exchange.request.quarter, exchange.request.P, exchange.issued.partial.Q, world.domain.Pub_bytes)


def test_nobody_on_the_wire_can_alter_the_call_or_the_answer(world: World):
    exchange = Exchange(world)
    for i in range(0, len(exchange.call.box), 7):
        changed = altered(exchange.call, box=flip(exchange.call.box, i))
        assert refusal(en.open_at_centre, exchange.network, exchange.centre, changed) == "bad-seal"
    for i in range(0, len(exchange.box), 7):
        assert refusal(exchange.answer_key.open, flip(exchange.box, i)) == "bad-seal"
    other = altered(exchange.call, R=base_mul(random_scalar(world.random)).encode())
    assert refusal(en.open_at_centre, exchange.network, exchange.centre, other) == "bad-seal"


def test_a_false_centre_on_the_wire_cannot_answer(world: World):
    """A man in the middle with a sealing key of his own cannot open the call, nor seal an answer the patient accepts."""
    exchange = Exchange(world)
    false_centre = CentreKey.generate(world.random)
    assert refusal(en.open_at_centre, exchange.network, false_centre, exchange.call) == "bad-seal"
    _, other_key = en.seal_to_centre(exchange.network, exchange.centre.sealing_key.encode(), b"probe", world.random)
    assert refusal(exchange.answer_key.open, other_key.seal(exchange.issued.encode())) == "bad-seal"
    # Its partial key, were it delivered, does not verify under the Pub of genesis.
    partial = cr.issue_partial_key(
        false_centre.w, "patient", cr.pid_digest(exchange.issued.pid), exchange.request.quarter, exchange.request.P, world.random
    )
    forged = altered(exchange.issued, partial=partial)
    assert refusal(cr.finish_credential, exchange.request, exchange.secret, forged, world.domain.Pub) == "bad-partial-key"


def test_a_stranger_cannot_ask_in_a_patients_name(world: World, monkeypatch):
    """The issuing request is signed under F; without that check the stranger spends the patient's index and holds the pid."""
    stranger = en.EnrolmentKey.generate(world.random)
    secret = SecretValue.draw(world.random)
    request = cr.request_credential(world.domain.network, stranger, world.chain.quarters[1], 50, secret, world.random)
    assert refusal(world.r.centre.issue, "alice", request) == "not-authorised"
    claimed = altered(request, F=world.r.patients["alice"].enrolment.F)
    assert refusal(world.r.centre.issue, "alice", claimed) == "bad-signature"
    weaken(monkeypatch, cr.check_issuing_request, lambda *parts: None)
    assert refusal(world.r.centre.issue, "alice", request) is None


def test_one_answer_key_seals_once(world: World):
    """A second answer under the same key would repeat a keystream."""
    exchange = Exchange(world)
    assert refusal(exchange.centre_answer_key.seal, b"another answer") == "erased"


def test_enrolment_of_a_patient_over_an_open_channel(world: World):
    network, random, centre = world.domain.network, world.random, world.r.centre.key
    key = en.EnrolmentKey.generate(random)
    request = en.enrol_patient(network, "one-time code", "carol", key, random)
    call, answer_key = en.seal_to_centre(network, centre.sealing_key.encode(), request.encode(), random)
    inner, centre_key = en.open_at_centre(network, centre, call)
    assert b"carol" not in call.encode()
    got = en.PatientEnrolment.decode(inner)
    en.check_patient_enrolment(network, got)
    statement = en.state_enrolment(network, centre, "authority/centre", got.identity, got.F, 0, random)
    received = en.EnrolmentStatement.decode(answer_key.open(centre_key.seal(statement.encode())))
    en.check_statement(network, "authority/centre", centre.signing_key.encode(), received)
    assert (received.identity, received.F) == ("carol", key.F)
    stolen_F = altered(got, F=world.r.patients["alice"].enrolment.F)
    assert refusal(en.check_patient_enrolment, network, stolen_F) == "bad-possession"
    other_code = altered(got, code="another code")
    assert refusal(en.check_patient_enrolment, network, other_code) == "bad-possession"
