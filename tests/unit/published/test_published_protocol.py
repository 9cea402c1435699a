"""The printed suite, phase by phase: every algorithm does what the paper says it does."""

from __future__ import annotations

import msgspec
import pytest

from salus.consultation.published import WARNING
from salus.consultation.published import functions as fn
from salus.consultation.published.messages import PID_BYTES, HealthData, Request, Transaction2
from salus.consultation.published.parties import key_of, parameters_of
from salus.consultation.published.registration import (
    PartialKey,
    alpha,
    choose_secret_value,
    doctor_registration,
    generate_keys,
    verification_point,
)
from salus.consultation.published.setup import MasterSecret, PublicParameters, global_setup
from salus.consultation.published.shared_value import recover_shared_value, set_shared_value
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, random_scalar
from support.published_world import T0_MS, make_world, seeded


@pytest.fixture(scope="module")
def world():
    return make_world("unit")


def test_algorithm_1_sets_the_public_key():
    parameters, master = global_setup(seeded("setup"))
    assert parameters.Pub == base_mul(master.w)
    assert "w=" not in repr(master)


def test_algorithms_2_to_5_give_a_key_of_the_verification_point(world):
    for member in (*world.patients, *world.doctors, *world.nodes):
        assert base_mul(member.keys.s) == verification_point(world.parameters, member.keys.public)
        assert member.keys.s == member.keys.x + member.keys.y


def test_algorithm_3_outputs_bottom_for_a_wrong_partial_key():
    random = seeded("bottom")
    parameters, master = global_setup(random)
    secret = choose_secret_value(random)
    partial = doctor_registration(parameters, master, secret.P, random)
    wrong = PartialKey(partial.y + Scalar.from_int(1), partial.Q)
    with pytest.raises(Refused, match="bad-signature"):
        generate_keys(parameters, secret, wrong)
    assert partial.Q.encode() == generate_keys(parameters, secret, partial).public.Q


def test_alpha_depends_on_every_argument():
    random = seeded("alpha")
    P, Q, Pub = (base_mul(random_scalar(random)) for _ in range(3))
    parameters = PublicParameters(Pub)
    reference = alpha(parameters, P.encode(), Q.encode())
    assert reference != alpha(parameters, Q.encode(), P.encode())
    assert reference != alpha(PublicParameters(Q), P.encode(), Q.encode())


@pytest.mark.parametrize("count", [1, 2, 4, 7, 31])
def test_algorithm_6_opens_for_every_named_node_and_nobody_else(count):
    world = make_world(f"shared-{count}", nodes=count, doctors=1, patients=1)
    thetas = [recover_shared_value(world.directory.shared, node.keys) for node in world.nodes]
    assert all(base_mul(theta).encode() == world.directory.shared.pk_BC for theta in thetas)
    assert len(world.directory.shared.coefficients) == count
    with pytest.raises(Refused, match="bad-deal"):
        recover_shared_value(world.directory.shared, world.doctors[0].keys)


def test_algorithm_6_is_fresh_at_every_change_of_membership(world):
    keys = [node.keys.public for node in world.nodes]
    one = set_shared_value(world.parameters, keys, seeded("first"))
    two = set_shared_value(world.parameters, keys[:-1], seeded("second"))
    assert one.pk_BC != two.pk_BC
    assert one.R != two.R
    with pytest.raises(Refused, match="bad-deal"):
        recover_shared_value(two, world.nodes[-1].keys)


@pytest.mark.parametrize("count", [0, 1025])
def test_algorithm_6_bounds_the_number_of_nodes(world, count):
    with pytest.raises(Refused, match="too-large"):
        set_shared_value(world.parameters, [world.nodes[0].keys.public] * count, seeded("bound"))


def test_a_whole_consultation(world):
    data, diagnosis = bytes(range(256)) * 20, b"rest and water"
    request, reply = world.run(world.patients[0], world.doctors[0], 11, data, diagnosis)
    assert len(request.transaction.PID1) == len(reply.PID2) == PID_BYTES
    assert request.transaction.sn == reply.sn == 11


def test_the_whole_flow_with_a_record_of_four_mebibytes(world):
    data = bytes(4 * 1024 * 1024)
    request, _ = world.run(world.patients[1], world.doctors[1], 12, data, b"seen")
    assert len(request.transaction.C) > len(data)
    with pytest.raises(Refused, match="too-large"):
        world.patients[1].request(world.directory, world.doctors[1].identity, 13, data + b"x")


def test_transactions_encode_canonically(world):
    request, reply = world.run(world.patients[0], world.doctors[1], 14, b"x", b"y")
    assert Request.decode(request.encode()) == request
    assert Transaction2.decode(reply.encode()) == reply
    for message in (request, reply):
        with pytest.raises(Refused, match="bad-encoding"):
            type(message).decode(message.encode() + b"\0")


@pytest.mark.parametrize("field", ["PID1", "A", "C", "M_i1"])
def test_algorithm_8_refuses_a_change_of_what_m_i1_covers(world, field):
    request = Request.decode(world.patients[0].request(world.directory, world.doctors[0].identity, 21, b"data"))
    value = bytearray(getattr(request.transaction, field))
    value[3] ^= 4
    changed = Request(msgspec.structs.replace(request.transaction, **{field: bytes(value)}), request.pk_PA)
    with pytest.raises(Refused, match=r"forged-key|bad-point"):
        world.nodes[0].verify(world.directory, changed.encode())


@pytest.mark.parametrize("field", ["PID1", "A", "C", "M_i2", "sn", "ID_DO"])
def test_algorithm_9_refuses_a_change_of_what_m_i2_covers(world, field):
    request = Request.decode(world.patients[0].request(world.directory, world.doctors[0].identity, 22, b"data"))
    t = request.transaction
    new = {"sn": 23, "ID_DO": "clinic/doctor-1"}.get(field)
    if new is None:
        value = bytearray(getattr(t, field))
        value[3] ^= 4
        new = bytes(value)
    if field == "ID_DO":
        # As printed the doctor uses its own name when it recomputes M_i2; the changed one is simply not his.
        changed = Request(msgspec.structs.replace(t, ID_DO=new), request.pk_PA)
        with pytest.raises(Refused):
            world.doctors[1].open(changed.encode())
        return
    changed = Request(msgspec.structs.replace(t, **{field: new}), request.pk_PA)
    with pytest.raises(Refused):
        world.doctors[0].open(changed.encode())


@pytest.mark.parametrize("field", ["PID2", "A", "C", "M_k2"])
def test_algorithm_11_refuses_a_change_of_what_m_k2_covers(world, field):
    _, reply = world.run(world.patients[0], world.doctors[0], 24, b"data", b"diagnosis")
    value = bytearray(getattr(reply, field))
    value[3] ^= 4
    changed = msgspec.structs.replace(reply, **{field: bytes(value)})
    with pytest.raises(Refused):
        world.patients[0].check(world.directory, changed.encode())


def test_the_right_people_only(world):
    data = world.patients[0].request(world.directory, world.doctors[0].identity, 31, b"data")
    with pytest.raises(Refused, match="bad-seal"):
        world.doctors[1].open(data)
    reply = world.doctors[0].treat(world.directory, world.doctors[0].open(data), b"diagnosis")
    with pytest.raises(Refused, match="unknown-request"):
        world.patients[1].check(world.directory, reply)


def test_the_cloud_finds_a_transaction_under_each_of_its_three_names(world):
    data = world.patients[0].request(world.directory, world.doctors[0].identity, 41, b"data")
    world.cloud.store(data)
    t = Request.decode(data).transaction
    assert world.cloud.by_pseudonym(t.PID1) == [data]
    assert world.cloud.by_key(t.A) == [data]
    assert data in world.cloud.by_doctor(t.ID_DO)
    assert not world.cloud.by_pseudonym(bytes(PID_BYTES))


def test_a_response_to_another_transaction_is_refused(world):
    patient, doctor = world.patients[0], world.doctors[0]
    one = patient.request(world.directory, doctor.identity, 42, b"one")
    patient.request(world.directory, doctor.identity, 43, b"two")
    response = world.cloud.store(one)
    patient.stored(world.directory, doctor.identity, 42, response)
    with pytest.raises(Refused, match="bad-receipt"):
        patient.stored(world.directory, doctor.identity, 43, response)


def test_trace_recovers_the_identity_and_only_at_this_centre(world):
    assert world.centre.trace(world.patients[0].pid) == world.patients[0].identity
    with pytest.raises(Refused, match="bad-pseudonym"):
        make_world("another", nodes=1).centre.trace(world.patients[0].pid)
    with pytest.raises(Refused, match="bad-pseudonym"):
        world.centre.trace(b"short")


def test_the_account_of_contribution_1_differs_in_each_run_and_is_known_to_both(world):
    patient, doctor = world.patients[0], world.doctors[0]
    accounts = []
    for sn in (51, 52):
        opened = doctor.open(patient.request(world.directory, doctor.identity, sn, b"data"))
        reply = doctor.treat(world.directory, opened, b"diagnosis")
        accounts.append(patient.check(world.directory, reply).account)
        assert doctor._treated[sn].account == accounts[-1]
    assert accounts[0] != accounts[1]


def test_h2_is_extended_to_the_anonyms_length():
    mask = fn.h2_extended("printed-PID1", PID_BYTES, b"k", b"A")
    assert len(mask) == PID_BYTES
    assert mask != fn.h2_extended("printed-PID1", PID_BYTES, b"k", b"B")
    assert mask[:64] != mask[64:].ljust(64, b"\0")


def test_e_key_is_salted_and_authenticated():
    key, random = base_mul(Scalar.from_int(7)), seeded("E")
    one, two = fn.encrypt(key, b"message", random), fn.encrypt(key, b"message", random)
    assert one != two
    assert fn.decrypt(key, one) == fn.decrypt(key, two) == b"message"
    with pytest.raises(Refused, match="bad-seal"):
        fn.decrypt(key, one[:-1] + bytes([one[-1] ^ 1]))
    with pytest.raises(Refused, match="bad-seal"):
        fn.decrypt(base_mul(Scalar.from_int(8)), one)


def test_nothing_secret_is_shown(world):
    patient = world.patients[0]
    shown = repr(HealthData(patient.pid, b"canary-77", T0_MS)) + repr(patient.keys) + repr(MasterSecret(Scalar.from_int(5)))
    assert "canary" not in shown
    assert patient.keys.x.encode().hex() not in shown


def test_unregistered_members_and_unknown_doctors_are_named(world):
    from salus.consultation.published.parties import Patient

    fresh = Patient("ward/new", world.parameters, seeded("fresh"), lambda: T0_MS)
    with pytest.raises(Refused, match="unknown-party"):
        fresh.keys  # noqa: B018
    with pytest.raises(Refused, match="unknown-party"):
        key_of(world.directory, "doctor", "clinic/nobody")
    assert parameters_of(world.directory).Pub == world.parameters.Pub


def test_the_centre_registers_a_name_once(world):
    with pytest.raises(Refused, match="already-registered"):
        world.centre.register(world.doctors[0].registration())


def test_the_warning_says_what_it_must():
    assert "forgeable" in WARNING
    assert "mbpa-r1" in WARNING


def test_points_on_the_wire_are_never_the_identity(world):
    request = Request.decode(world.patients[0].request(world.directory, world.doctors[0].identity, 61, b"data"))
    identity = Request(msgspec.structs.replace(request.transaction, A=bytes(32)), request.pk_PA)
    with pytest.raises(Refused, match="bad-point"):
        world.nodes[0].verify(world.directory, identity.encode())
    assert decode_point(request.transaction.A).encode() == request.transaction.A
