"""The printed suite is forgeable: the adversary's own equations, run, succeed at node, doctor and patient."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from salus.consultation.published.forgery import cancelling_key, forge_reply, forge_request
from salus.consultation.published.functions import decrypt, encrypt, h2, h2_extended
from salus.consultation.published.messages import (
    HealthData,
    RegistrationAnswer,
    RegistrationRequest,
    ReplyPlaintext,
    Request,
    RequestPlaintext,
    StorageResponse,
    Transaction1,
)
from salus.consultation.published.parties import Cloud, Doctor, TrustedCentre, storage_key
from salus.consultation.published.registration import verification_point
from salus.consultation.published.request import mac_i1, mac_i2, patient_request, request_from_keys
from salus.consultation.published.storage import open_storage_response
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, random_scalar
from salus.labels import PRINTED_CHECK_PA, PRINTED_PID1, PRINTED_PID2
from salus.symmetric import xor
from support.published_world import T0_MS, make_world, seeded


@pytest.fixture
def world():
    return make_world()


def test_anyone_impersonates_a_patient_to_nodes_and_doctor(world):
    victim, doctor = world.patients[0], world.doctors[0]
    seen, _ = world.run(victim, doctor, 1, b"pulse 71", b"healthy")
    # The outsider: public directory, one transaction off the wire, no secret.
    random = seeded("outsider")
    c, A = cancelling_key(verification_point(world.parameters, seen.pk_PA), random)
    theta = world.nodes[0]._shared(world.directory)
    W_PA = verification_point(world.parameters, seen.pk_PA)
    assert (W_PA + A).mul(theta) == world.pk_BC.mul(c), "key_PB is c * pk_BC"
    m_PA = HealthData(bytes(92), b"pulse 200", T0_MS)
    pk_DO = world.pk_DO(doctor)
    forged = forge_request(world.parameters, seen.pk_PA, m_PA, world.pk_BC, doctor.identity, pk_DO, 2, random)
    for node in world.nodes:
        node.verify(world.directory, forged.request.encode())
    opened = doctor.open(forged.request.encode())
    assert opened.m_PA.data == b"pulse 200"
    assert opened.request.pk_PA == victim.keys.public


def test_anyone_impersonates_a_doctor_to_nodes_and_patient(world):
    patient, doctor = world.patients[0], world.doctors[0]
    request = Request.decode(patient.request(world.directory, doctor.identity, 1, b"pulse 71"))
    other = HealthData(bytes(92), b"not the patient's data", 0)
    pk_DO = world.pk_DO(doctor)
    forged = forge_reply(
        world.parameters, request, bytes(92), other, b"stop all drugs", doctor.identity, pk_DO, world.pk_BC, seeded("outsider")
    )
    for node in world.nodes:
        node.verify(world.directory, forged.encode())
    assert patient.check(world.directory, forged.encode()).m_DO == b"stop all drugs"


def test_the_identity_as_key_forges_too(world):
    """c = 0: A = -W_PA, every key is the identity element, which no printed algorithm refuses."""
    victim, doctor = world.patients[0].keys.public, world.doctors[0]
    zero = Scalar.from_int(0)
    A = -verification_point(world.parameters, victim)
    m_PA = HealthData(bytes(92), b"x", T0_MS)
    pk_DO = world.pk_DO(doctor)
    forged = request_from_keys(
        world.parameters, m_PA, victim, A, zero, zero, world.pk_BC, doctor.identity, pk_DO, 3, seeded("outsider")
    )
    world.nodes[0].verify(world.directory, forged.request.encode())
    assert doctor.open(forged.request.encode()).m_PA.data == b"x"


def test_guessing_without_the_cancelling_key_is_refused(world):
    """The control: the same sender with A = c*P and no W cancelled is caught at the node and at the doctor."""
    victim, doctor = world.patients[0].keys.public, world.doctors[0]
    random = seeded("outsider")
    c = random_scalar(random)
    m_PA = HealthData(bytes(92), b"x", T0_MS)
    sent = request_from_keys(
        world.parameters, m_PA, victim, base_mul(c), c, c, world.pk_BC, doctor.identity, world.pk_DO(doctor), 3, random
    )
    with pytest.raises(Refused, match="forged-key"):
        world.nodes[0].verify(world.directory, sent.request.encode())
    with pytest.raises(Refused, match="bad-seal"):
        doctor.open(sent.request.encode())


def test_a_single_node_forges_m_i1_of_any_terminal(world):
    """theta is one MAC key for all: one node alters a pooled transaction and every other node accepts it."""
    request = Request.decode(world.patients[0].request(world.directory, world.doctors[0].identity, 1, b"pulse 71"))
    traitor = world.nodes[2]
    theta = traitor._shared(world.directory)
    t = request.transaction
    C = bytes(len(t.C))
    key_PB = (verification_point(world.parameters, request.pk_PA) + decode_point(t.A)).mul(theta)
    M_i1 = mac_i1(t.PID1, C, key_PB, t.A, request.pk_PA, world.pk_BC)
    altered = Request(msgspec.structs.replace(t, C=C, M_i1=M_i1), request.pk_PA)
    for node in (n for n in world.nodes if n is not traitor):
        node.verify(world.directory, altered.encode())
    with pytest.raises(Refused, match="forged-key"):  # the same alteration without theta
        world.nodes[0].verify(world.directory, Request(msgspec.structs.replace(t, C=C), request.pk_PA).encode())


@pytest.mark.parametrize(
    "change", [{"ID_DO": "clinic/doctor-1"}, {"sn": 999}, {"M_i2": bytes(32)}], ids=["doctor", "appointment", "M_i2"]
)
def test_unbound_fields_are_swapped_in_transit(world, change):
    """M_i1 covers neither ID_DO nor sn nor M_i2: whoever carries Transaction 1 changes them, and every node accepts."""
    request = Request.decode(world.patients[0].request(world.directory, world.doctors[0].identity, 1, b"pulse 71"))
    swapped = Request(msgspec.structs.replace(request.transaction, **change), request.pk_PA)
    for node in world.nodes:
        node.verify(world.directory, swapped.encode())


def test_unbound_fields_of_the_reply_are_swapped_in_transit(world):
    _, reply = world.run(world.patients[0], world.doctors[0], 1, b"pulse 71", b"healthy")
    for change in ({"sn": 999}, {"M_k2": bytes(32)}):
        world.nodes[0].verify(world.directory, msgspec.structs.replace(reply, **change).encode())
    # ID_DO selects pk_DO at the node, so only a second name with the same key pair passes: alpha does not bind the name.


def test_one_key_pair_serves_under_any_name(world):
    """alpha = h1(P, Q, Pub) without the identity: a registered key pair verifies under a name it never had."""
    entries = tuple(
        msgspec.structs.replace(e, identity="clinic/impostor") if e.identity == world.doctors[0].identity else e
        for e in world.directory.entries
    )
    directory = msgspec.structs.replace(world.directory, entries=entries)
    _, reply = world.run(world.patients[0], world.doctors[0], 1, b"pulse 71", b"healthy")
    world.nodes[0].verify(directory, msgspec.structs.replace(reply, ID_DO="clinic/impostor").encode())


def test_all_visits_of_a_patient_are_linked_by_its_public_key(world):
    """PID1, A, C and the MACs differ in each run, but pk_PA, which nodes need, is the same."""
    one, two = (world.run(world.patients[0], world.doctors[k], 5 + k, b"pulse 71", b"healthy")[0] for k in range(2))
    other, _ = world.run(world.patients[1], world.doctors[0], 9, b"pulse 71", b"healthy")
    fields = ("PID1", "A", "C", "M_i1", "M_i2")
    assert all(getattr(one.transaction, f) != getattr(two.transaction, f) for f in fields)
    assert one.pk_PA == two.pk_PA != other.pk_PA


def test_no_forward_secrecy(world):
    """Section V.A.4 claims it; the doctor's long-term key alone opens every past request, the patient's every past reply."""
    patient, doctor = world.patients[0], world.doctors[0]
    runs = [world.run(patient, doctor, sn, b"pulse %d" % sn, b"answer %d" % sn) for sn in range(3)]
    stolen_DO, stolen_PA = doctor.keys.s, patient.keys.s  # all one-time keys are gone; only the wire was recorded
    for sn, (request, reply) in enumerate(runs):
        t = request.transaction
        key1 = (verification_point(world.parameters, request.pk_PA) + decode_point(t.A)).mul(stolen_DO)
        assert RequestPlaintext.decode(decrypt(key1, t.C)).m_PA.data == b"pulse %d" % sn
        assert xor(t.PID1, h2_extended(PRINTED_PID1, 92, key1.encode(), t.A)) == patient.pid
        key2 = (verification_point(world.parameters, world.pk_DO(doctor)) + decode_point(reply.A)).mul(stolen_PA)
        assert ReplyPlaintext.decode(decrypt(key2, reply.C)).m_DO == b"answer %d" % sn
        assert xor(reply.PID2, h2_extended(PRINTED_PID2, 92, key2.encode(), reply.A)) == patient.pid


def test_key_compromise_impersonation(world):
    """A thief of the doctor's key plays any patient to that doctor without even cancelling: the keys are symmetric."""
    doctor, victim = world.doctors[0], world.patients[0]
    A = base_mul(random_scalar(seeded("thief")))
    shared = (verification_point(world.parameters, victim.keys.public) + A).mul(doctor.keys.s)
    request = Request.decode(victim.request(world.directory, doctor.identity, 1, b"pulse"))
    honest = (verification_point(world.parameters, victim.keys.public) + decode_point(request.transaction.A)).mul(doctor.keys.s)
    # The doctor derives this very key for that A, so the thief can encrypt and MAC under it.
    forged = _request_under(world, victim.keys.public, A, shared, doctor)
    assert doctor.open(forged.encode()).m_PA.data == b"from the thief"
    assert shared != honest


def _request_under(world, pk_PA, A, key1, doctor):
    m_PA = HealthData(bytes(92), b"from the thief", T0_MS)
    k1, a = key1.encode(), A.encode()
    plaintext = RequestPlaintext(m_PA, h2(PRINTED_CHECK_PA, m_PA.to_value(), k1), doctor.identity, 4)
    C = encrypt(key1, plaintext.encode(), seeded("thief/C"))
    PID1 = xor(h2_extended(PRINTED_PID1, 92, k1, a), m_PA.pid)
    M_i2 = mac_i2(m_PA.pid, doctor.identity, C, m_PA, key1, a, pk_PA, world.pk_DO(doctor), 4)
    return Request(Transaction1(PID1, doctor.identity, a, C, bytes(32), M_i2, 4), pk_PA)


def test_the_patient_accepts_a_reply_about_somebody_else(world):
    """Algorithm 11 compares neither pid_PA nor m_PA with the patient's own: an honest doctor's mix-up is not noticed."""
    alice, bob, doctor = world.patients[0], world.patients[1], world.doctors[0]
    from_alice = doctor.open(alice.request(world.directory, doctor.identity, 1, b"alice's data"))
    from_bob = doctor.open(bob.request(world.directory, doctor.identity, 2, b"bob's data"))
    mixed = replace(from_alice, pid=from_bob.pid, m_PA=from_bob.m_PA)
    checked = alice.check(world.directory, doctor.treat(world.directory, mixed, b"bob's diagnosis"))
    assert checked.m_DO == b"bob's diagnosis"
    assert checked.pid == bob.pid != alice.pid
    assert checked.plaintext.m_PA.data == b"bob's data"


def test_the_trace_names_the_wrong_person(world):
    """Nothing binds pid_PA to pk_PA: a sender frames another patient by putting that patient's anonym into its own request."""
    framed, liar, doctor = world.patients[0], world.patients[1], world.doctors[0]
    m_PA = HealthData(framed.pid, b"false data", T0_MS)
    sent = patient_request(
        world.parameters, m_PA, liar.keys, world.pk_BC, doctor.identity, world.pk_DO(doctor), 1, seeded("liar")
    )
    world.nodes[0].verify(world.directory, sent.request.encode())
    assert world.centre.trace(doctor.open(sent.request.encode()).pid) == framed.identity


def test_the_storage_response_authenticates_nobody_as_printed(world):
    """pk_C arrives inside the response, so any key pair answers; comparing it with the cloud's own key is the repair."""
    patient, doctor = world.patients[0], world.doctors[0]
    data = patient.request(world.directory, doctor.identity, 1, b"pulse")
    a = patient._sent_to(doctor.identity, 1).a
    impostor = Cloud(seeded("impostor"))
    response = StorageResponse.decode(impostor.store(data))
    sent = storage_key(Request.decode(data))
    open_storage_response(response, a, sent, None)
    with pytest.raises(Refused, match="bad-receipt"):
        open_storage_response(response, a, sent, world.cloud.pk)


def test_a_stranger_registers_a_key_whose_secret_it_does_not_know():
    """No proof of possession is printed: the same P_U registers under a second name; with the proof asked for it is refused."""
    centre = TrustedCentre(seeded("centre"), require_possession=False)
    honest = Doctor("clinic/honest", centre.parameters, seeded("honest"))
    P = RegistrationRequest.decode(honest.registration()).P
    stranger = RegistrationRequest("doctor", "clinic/stranger", P, b"")
    assert RegistrationAnswer.decode(centre.register(stranger.encode())).Q
    strict = TrustedCentre(seeded("centre"))
    with pytest.raises(Refused, match="bad-possession"):
        strict.register(stranger.encode())


def test_no_table_of_patients_is_kept(world):
    """What the paper claims and keeps: nodes verify without any list of patients; so nobody checks that pk_PA is one."""
    assert {entry.role for entry in world.directory.entries} == {"doctor", "node"}
    request, _ = world.run(world.patients[0], world.doctors[0], 1, b"pulse 71", b"healthy")
    fresh = world.nodes[0].__class__("hospital-0/node", world.parameters, seeded("reinstalled"))
    fresh._keys = world.nodes[0].keys
    fresh.verify(world.directory, request.encode())
