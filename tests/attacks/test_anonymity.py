"""Claim: two visits of one patient share no field and no linkable value for an outsider, the centre alone, or a node."""

from __future__ import annotations

import itertools

import pytest

from salus import labels
from salus.consultation import envelope
from salus.consultation.request import open_at_node
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, decode_scalar, hash_to_scalar
from salus.symmetric import h2
from support.consultation_world import DOCTOR, World, make_world, nullifier_point, weaken

PUBLIC = {"ID_D", "epoch", "size_bytes", "valid_until_ms", "sn", "U"}
"""What a request shows on purpose: doctor, slot, epoch, size, expiry, and which cloud holds the body."""


@pytest.fixture(scope="module")
def world():
    return make_world("anonymity")


def windows(data: bytes, width: int = 6) -> set[bytes]:
    return {data[i : i + width] for i in range(len(data) - width + 1)}


def hidden_fields(transaction) -> dict[str, bytes]:
    return {f: getattr(transaction, f) for f in transaction.__struct_fields__ if f not in PUBLIC}


def visits(world: World, patient: str = "alice", count: int = 2):
    """The same patient, the same payload, the same doctor."""
    return [world.consult(patient, b"the same payload", b"the same diagnosis") for _ in range(count)]


def test_an_outsider_finds_nothing_in_common(world: World):
    (request_1, reply_1), (request_2, reply_2) = visits(world)
    for one, other in ((request_1, request_2), (reply_1, reply_2)):
        for a, b in itertools.product(hidden_fields(one).items(), hidden_fields(other).items()):
            assert not windows(a[1]) & windows(b[1]), f"{a[0]} and {b[0]} share bytes"
    assert request_1.U.signature != request_2.U.signature


def test_bodies_in_the_cloud_have_nothing_in_common(world: World):
    bodies = [world.r.cloud.fetch(t.digest) for visit in visits(world) for t in visit]
    for one, other in itertools.combinations(bodies, 2):
        assert not windows(one) & windows(other)


def node_values(world: World, transaction) -> dict[str, bytes]:
    """All that a node that opens a request sees."""
    context = world.context(DOCTOR, transaction.sn, transaction.epoch)
    o = open_at_node(world.domain, transaction, context, world.theta)
    points = {name: getattr(o, name).encode() for name in ("P", "Q", "B", "I", "R1", "R2", "z", "c", "alpha")}
    W = (o.P + world.domain.Pub.mul(o.alpha) + o.Q).encode()
    return {**points, "W": W, "hp": o.sender.hp, "g": o.sender.g}


def test_a_node_finds_nothing_in_common(world: World):
    """A node sees P, Q, hp, W of a credential; two credentials of one patient share none, nor sums and differences."""
    (one, _), (other, _) = visits(world)
    a, b = node_values(world, one), node_values(world, other)
    assert not set(a.values()) & set(b.values())
    names = ("P", "Q", "B", "I", "R1", "R2", "W")
    for x, y in itertools.combinations(names, 2):
        for sign in (1, -1):
            in_one = [decode_point(v[x]) + (decode_point(v[y]) if sign > 0 else -decode_point(v[y])) for v in (a, b)]
            assert in_one[0] != in_one[1], f"{x} and {y} give a common value"


def test_a_doctor_sees_another_pid_each_time(world: World):
    (one, _), (other, _) = visits(world)
    opened = [world.doctor().open(world.chain, t, world.context(DOCTOR, t.sn)) for t in (one, other)]
    assert not windows(opened[0].pid) & windows(opened[1].pid)
    assert opened[0].W != opened[1].W


def centre_scalars(world: World, credential) -> list[Scalar]:
    """Every scalar the centre knows about a credential, and simple combinations (y is sealed to the patient, but TC made it)."""
    alpha = envelope.alpha("patient", credential.hp, credential.quarter, credential.P, credential.Q, world.domain.Pub_bytes)
    w = world.r.centre.key.w
    s_minus_x = credential.s - _x_of[credential.P]
    q = s_minus_x - alpha * w
    one = Scalar.from_int(1)
    basic = [s_minus_x, w, q, alpha, alpha * w, one]
    return [a + b for a, b in itertools.combinations(basic, 2)] + [a - b for a, b in itertools.permutations(basic, 2)] + basic


_x_of: dict[bytes, Scalar] = {}


@pytest.fixture
def with_known_x(monkeypatch):
    """Lets the test, not the protocol, remember each x: for the control."""
    from salus.consultation.registration import SecretValue

    original = SecretValue.__init__

    def remember(self, x):
        original(self, x)
        _x_of[self.P] = decode_scalar(x.encode())

    monkeypatch.setattr(SecretValue, "__init__", remember)


def centre_finds(world: World, credential, transaction, B) -> bool:
    known = centre_scalars(world, credential)
    guesses = [h2(labels.NULLIFIER_HASH, labels.SUITE_R1, B.mul(k).encode()) for k in known if not k.is_zero()]
    return transaction.nf in guesses


def test_the_centre_alone_cannot_find_its_patients(world: World, with_known_x, monkeypatch):
    """It knows P, Q, y, pid of every credential, but I = (x + y)*B needs x: the search that finds nf with x fails without."""
    credential = world.credential()
    sent = world.request(credential=credential)
    B = nullifier_point(world, credential.P, credential.Q, credential.hp, credential.quarter)
    assert not centre_finds(world, credential, sent, B)
    own_search = [x + k for x in [_x_of[credential.P]] for k in centre_scalars(world, credential)]
    found = [h2(labels.NULLIFIER_HASH, labels.SUITE_R1, B.mul(k).encode()) == sent.nf for k in own_search]
    assert any(found), "control: with x the same search succeeds"

    # The repair out: B = h*P0 instead of the one-way map. Then I = s*h*P0 = h*W, and the centre knows W.
    def naive(network, P, Q, hp, quarter):
        return base_mul(hash_to_scalar(labels.NULLIFIER, labels.SUITE_R1, network, P, Q, hp, quarter))

    weaken(monkeypatch, envelope.nullifier_base, naive)
    credential = world.credential()
    weak = world.request(credential=credential)
    assert world.at_node(weak) is None
    fields = (world.domain.network, credential.P, credential.Q, credential.hp, credential.quarter)
    h = hash_to_scalar(labels.NULLIFIER, labels.SUITE_R1, *fields)
    I = decode_point(credential.W).mul(h).encode()
    assert h2(labels.NULLIFIER_HASH, labels.SUITE_R1, I) == weak.nf, "the centre names its patient"


def test_the_centre_cannot_test_a_candidate_against_the_commitment(world: World, monkeypatch):
    """cm holds 32 random bytes g: without them a candidate (P, Q, hp, quarter) cannot be tried; without g it can."""
    credential = world.credential()
    sent = world.request(credential=credential)

    def fits(transaction, g: bytes) -> bool:
        fields = (credential.P, credential.Q, credential.hp, credential.quarter, g)
        return h2(labels.COMMITMENT, labels.SUITE_R1, *fields) == transaction.cm

    assert not any(fits(sent, g) for g in (b"", bytes(32), sent.A, sent.nf, credential.W, world.pk_BC))
    right = envelope.commitment
    weaken(monkeypatch, right, lambda P, Q, hp, quarter, g: right(P, Q, hp, quarter, b""))
    assert fits(world.request(credential=credential), b""), "an unblinded commitment names the sender to whoever issued it"


def test_only_the_nodes_open_the_sender(world: World, monkeypatch):
    """The centre has w, the cloud s_C, a doctor s_D: none of them computes a*pk_BC."""
    sent = world.request()
    context = world.context(DOCTOR, sent.sn)
    statement = envelope.make_statement(
        world.domain, sent.envelope(), sent.KIND, context.pk_BC, (sent.ID_D, context.W_D, context.E_sn, sent.sn), sent.body()
    )
    A = decode_point(sent.A)
    outsiders = [world.r.centre.key.w, world.r.cloud.member.s, world.doctor().member.s, world.doctor().slot_keys[sent.sn].e]
    for scalar in outsiders:
        for point in (A, decode_point(world.pk_BC), decode_point(context.W_D)):
            with pytest.raises(Refused, match="bad-seal"):
                envelope.open_sender(statement, point.mul(scalar))
    assert envelope.open_sender(statement, A.mul(world.theta)).hp

    # The repair out: the sender beside the transaction in clear, as the printed protocol has it (a seal with a known key).
    weaken(monkeypatch, envelope.seal, lambda key, plaintext, aad: plaintext + bytes(16))
    clear = world.request()
    assert envelope.unpack_sender(clear.S[:-16]).hp == world.pending(clear).credential.hp


def test_dynamic_pseudonyms_do_not_repeat_between_request_and_reply(world: World):
    sent, answer = world.consult()
    assert not windows(sent.PID1) & windows(answer.PID2)
