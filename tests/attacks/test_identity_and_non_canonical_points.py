"""Claim: the identity and non-canonical encodings are refused wherever a point or scalar is read or computed."""

from __future__ import annotations

import pytest

from salus import labels
from salus.consultation import appointments as ap
from salus.consultation import credentials as cr
from salus.consultation import enrolment as en
from salus.consultation import envelope, reply
from salus.consultation import receipts as rc
from salus.consultation import registration as reg
from salus.consultation import shared_value as sv
from salus.consultation.registration import SUITE
from salus.consultation.request import request_statement
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import ORDER, Point, Scalar, base_mul, decode_point, random_scalar, require_point
from support import consultation_world as cw
from support.consultation_world import DOCTOR, Forgery, World, altered, make_world, refusal, weaken

FIELD = 2**255 - 19


def bad_points() -> dict[str, bytes]:
    """Encodings that a careless decoder may take for a point."""
    good = int.from_bytes(base_mul(Scalar.from_int(7)).encode(), "little")
    return {
        "identity": bytes(32),
        "field prime, a second zero": FIELD.to_bytes(32, "little"),
        "identity with bit 255": (1 << 255).to_bytes(32, "little"),
        "bit 255 set": (good | 1 << 255).to_bytes(32, "little"),
        "negative field element": (FIELD - good).to_bytes(32, "little"),
        "above the field prime": (FIELD + 2).to_bytes(32, "little"),
        "minus one": (FIELD - 1).to_bytes(32, "little"),
        "all ones": b"\xff" * 32,
        "no square": (2).to_bytes(32, "little"),
    }


POINTS = bad_points()


@pytest.fixture(scope="module")
def world():
    return make_world("encodings")


@pytest.mark.parametrize("form", POINTS)
def test_the_one_time_key_of_a_request(world: World, form):
    sent = world.request()
    assert world.at_node(altered(sent, A=POINTS[form])) == "bad-point"
    assert world.at_doctor(altered(sent, A=POINTS[form])) == "bad-point"


@pytest.mark.parametrize("form", POINTS)
@pytest.mark.parametrize("field", ["P", "Q", "I"])
def test_sealed_points_of_a_request(world: World, field, form):
    forgery = Forgery.with_credential(world, world_credential(world))
    setattr(forgery, field, POINTS[form])
    forged = _build_with(world, forgery)
    assert world.at_node(forged) == "bad-point"


@pytest.mark.parametrize("form", POINTS)
@pytest.mark.parametrize("place", [1, 2], ids=["R1", "R2"])
def test_commitments_of_the_signature(world: World, place, form):
    def sign(f, content):
        parts = [f.I, base_mul(random_scalar(world.random)).encode(), base_mul(random_scalar(world.random)).encode()]
        parts[place] = POINTS[form]
        return b"".join(parts) + random_scalar(world.random).encode()

    forged = Forgery.with_credential(world, world_credential(world), sign=sign).build()
    assert world.at_node(forged) == "bad-point"


@pytest.mark.parametrize("value", [ORDER, ORDER + 5, 2**256 - 1, 2**255])
def test_scalars_of_signatures(world: World, value):
    z = value.to_bytes(32, "little")

    def sign(f, content):
        return f.I + base_mul(random_scalar(world.random)).encode() * 2 + z

    assert world.at_node(Forgery.with_credential(world, world_credential(world), sign=sign).build()) == "bad-scalar"
    sent = world.request("bob")
    world.commit(sent)
    answer = world.answer(sent)
    assert world.at_node(altered(answer, M_k1=answer.M_k1[:32] + z)) == "bad-scalar"
    assert refusal(reg.decode_scalar, z) == "bad-scalar"


_credentials: list[cr.Credential] = []


def world_credential(world: World) -> cr.Credential:
    """One credential serves all refused requests here."""
    if not _credentials:
        _credentials.append(world.credential("mallory"))
    return _credentials[0]


def _build_with(world: World, forgery: Forgery):
    """Builds also where a part is no point: W and B enter the hashes by their encodings only."""
    real = cw.W_of
    cw.W_of = lambda *parts: base_mul(Scalar.from_int(1))
    try:
        return forgery.build()
    finally:
        cw.W_of = real


@pytest.mark.parametrize("form", POINTS)
def test_points_of_a_reply(world: World, form):
    """Signed by the doctor itself, so that only decoding can refuse it."""
    sent = world.request("bob")
    world.commit(sent)
    answer, doctor = world.answer(sent), world.doctor().member
    draft = altered(answer, A_D=POINTS[form])
    t0 = reply.make_t0_reply(world.domain.network, DOCTOR, doctor.W_bytes, sent.sn, sent.tx_hash(), POINTS[form])
    fields = (world.domain.network, DOCTOR, doctor.W_bytes)
    signature = schnorr_sign(labels.SIG_REPLY, SUITE, doctor.s, fields, reply.reply_body(t0, draft), world.random)
    signed = altered(draft, M_k1=signature)
    assert world.at_node(signed) == "bad-point"
    assert world.at_patient("bob", signed, signed.tx_hash()) == "bad-point"
    assert world.at_node(altered(answer, M_k1=POINTS[form] + answer.M_k1[32:])) == "bad-point"


@pytest.mark.parametrize("form", POINTS)
def test_points_of_members_and_epochs(world: World, form):
    bad, network, random, node = POINTS[form], world.domain.network, world.random, world.node.member
    doctor = world.doctor().member
    batch, _ = ap.publish_slots(network, doctor, "2025-10-09", 300, 2, random)
    draft = altered(batch, keys=(bad, batch.keys[1]))
    signed = altered(draft, signature=doctor.sign(network, labels.SIG_SLOTS, ap.signed_part(draft), random))
    assert refusal(ap.check_slots, network, signed, doctor.W) == "bad-point"

    key = sv.publish_epoch_key(network, node, sv.EpochSecret.generate(5, random), random)
    assert refusal(sv.check_epoch_key, network, altered(key, E=bad), node.W) == "bad-point"

    secret = reg.SecretValue.draw(random)
    request = reg.request_key(network, "doctor", "x/y", secret, random)
    assert refusal(reg.check_key_request, network, altered(request, P=bad)) == "bad-point"
    partial = world.r.centre.register(request)
    assert refusal(reg.MemberKey.finish, "doctor", "x/y", secret, altered(partial, Q=bad), world.domain.Pub) == "bad-point"
    for field in ("P", "Q"):
        assert refusal(altered(doctor.record(), **{field: bad}).public_key, world.domain.Pub) == "bad-point"
    assert refusal(reg.Domain, network, bad) == "bad-point"


@pytest.mark.parametrize("form", POINTS)
def test_points_of_enrolment_and_receipts(world: World, form):
    bad, network, random = POINTS[form], world.domain.network, world.random
    centre = world.r.centre.key
    call, _ = en.seal_to_centre(network, centre.sealing_key.encode(), b"request", random)
    assert refusal(en.open_at_centre, network, centre, altered(call, R=bad)) == "bad-point"
    assert refusal(en.seal_to_centre, network, bad, b"request", random) == "bad-point"
    key = en.EnrolmentKey.generate(random)
    assert refusal(en.verify_enrolment_signature, network, labels.SIG_ISSUE, bad, (), bytes(64)) == "bad-point"
    statement = en.state_enrolment(network, centre, "authority/centre", "carol", bad, 0, random)
    assert refusal(en.check_statement, network, "authority/centre", centre.signing_key.encode(), statement) == "bad-point"
    assert bad != key.F
    cloud = world.r.cloud.member
    arguments = (network, cloud, bytes(92), bad, DOCTOR, 1, bytes(32), bytes(32), 5, random)
    assert refusal(rc.seal_storage_receipt, *arguments) == "bad-point"
    holder, seat = world.node.member, sv.Seat("org1/node", bad, base_mul(random_scalar(random)).encode())
    assert refusal(sv.box_theta, network, holder, 1, world.theta, seat, random) == "bad-point"


# --- what the identity would allow ---


def test_an_identity_one_time_key_would_show_the_sender_to_everybody(world: World, monkeypatch):
    """A = 0: theta*A = 0, so the key of S is known. Only decoding stands in the way."""
    victim_like = Forgery.with_credential(world, world.credential("bob"), A=bytes(32), seal_secret=Point.identity())
    victim_like.doctor_secrets = (Point.identity(), Point.identity())
    sent = victim_like.build()
    assert world.at_node(sent) == "bad-point"
    weaken(monkeypatch, decode_point, lambda data, what="": Point.decode_with_identity(data))
    assert world.at_node(sent) is None
    statement = request_statement(world.domain, sent, world.context(DOCTOR, sent.sn))
    assert envelope.open_sender(statement, Point.identity()).hp == victim_like.hp, "an outsider, with no key at all"


def test_a_W_that_is_the_identity_would_be_nobodys_and_everybodys(world: World, monkeypatch):
    """s = 0 needs no secret. alpha hashes P and Q, so W = 0 is out of reach; even so, I = 0 and W = 0 are both refused."""
    fixed = random_scalar(world.random)
    right = envelope.alpha
    weaken(monkeypatch, right, lambda role, *rest: fixed if role == "patient" else right(role, *rest))
    Q = base_mul(random_scalar(world.random))
    P = -(world.domain.Pub.mul(fixed) + Q)

    def sign(f, content):
        k = random_scalar(world.random)
        return f.I + base_mul(k).encode() + f.B.mul(k).encode() + k.encode()  # z = k + c*0

    pid = world.random(92)
    quarter = world.chain.quarters[1]
    forgery = Forgery(world, P.encode(), Q.encode(), pid, quarter, Scalar.from_int(0), I=bytes(32), sign=sign)
    forged = _build_with(world, forgery)
    assert world.at_node(forged) == "bad-point", "I is the identity"
    weaken(monkeypatch, decode_point, lambda data, what="": Point.decode_with_identity(data))
    assert world.at_node(forged) == "bad-point", "W is the identity"
    weaken(monkeypatch, require_point, lambda point, what="": point)
    assert world.at_node(forged) is None, "with both out, a sender without any secret is admitted"


def test_every_other_ristretto_encoding_has_prime_order(world: World):
    """No cofactor: whatever decodes has order l, so small-subgroup tricks have nothing to work with."""
    found = 0
    while found < 200:
        data = bytearray(world.random(32))
        data[0] &= 254
        data[31] &= 127
        try:
            point = Point.decode(bytes(data))
        except ValueError:
            continue
        found += 1
        minus_one = Scalar.from_int(0) - Scalar.from_int(1)
        assert (point.mul(minus_one) + point).is_identity()
