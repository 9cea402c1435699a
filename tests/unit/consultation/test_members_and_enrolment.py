"""Registration, node records, enrolment, credentials, appointments: honest paths, bounds, stored forms."""

from __future__ import annotations

import pytest

from salus.codec import CodecError
from salus.consultation import appointments as ap
from salus.consultation import credentials as cr
from salus.consultation import enrolment as en
from salus.consultation import node_record as nr
from salus.consultation import registration as reg
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, random_scalar
from support.consultation_world import SeededRandom, altered, make_world, refusal

NETWORK = b"\x11" * 32


@pytest.fixture
def random():
    return SeededRandom("members")


@pytest.fixture
def centre(random):
    return reg.CentreKey.generate(random)


def registered(centre, random, role="doctor", name="hosp/dr") -> reg.MemberKey:
    secret = reg.SecretValue.draw(random)
    request = reg.request_key(NETWORK, role, name, secret, random)
    reg.check_key_request(NETWORK, reg.KeyRequest.decode(request.encode()))
    partial = reg.issue_partial_key(centre.w, role, name, 0, request.P, random)
    return reg.MemberKey.finish(role, name, secret, reg.PartialKey.decode(partial.encode()), centre.Pub)


@pytest.mark.parametrize("role", reg.NAMED_ROLES)
def test_a_member_registers_and_everybody_computes_its_key(centre, random, role):
    member = registered(centre, random, role)
    record = reg.MemberRecord.decode(member.record().encode())
    assert record.public_key(centre.Pub) == member.W == base_mul(member.s)
    signature = member.sign(NETWORK, "sig-slots", ("message", 1), random)
    reg.verify_member_signature(NETWORK, "sig-slots", member.name, member.W_bytes, ("message", 1), signature)
    for wrong in (("message", 2), ("message", "1"), (b"message", 1)):
        assert (
            refusal(reg.verify_member_signature, NETWORK, "sig-slots", member.name, member.W, wrong, signature) == "bad-signature"
        )


def test_the_centre_never_learns_a_members_key(centre, random):
    """s - y = x: what the centre knows of s is y alone."""
    secret = reg.SecretValue.draw(random)
    x = Scalar.decode(secret.export_secret())
    partial = reg.issue_partial_key(centre.w, "doctor", "a/b", 0, secret.P, random)
    member = reg.MemberKey.finish("doctor", "a/b", secret, partial, centre.Pub)
    assert member.s == x + Scalar.decode(partial.y)
    assert refusal(lambda: secret.x) == "erased", "x is wiped when the key is finished"


def test_a_partial_key_for_somebody_else_is_refused(centre, random):
    secret = reg.SecretValue.draw(random)
    for role, name, quarter in (("doctor", "a/c", 0), ("node", "a/b", 0), ("doctor", "a/b", 1)):
        partial = reg.issue_partial_key(centre.w, role, name, quarter, secret.P, random)
        assert refusal(reg.MemberKey.finish, "doctor", "a/b", secret, partial, centre.Pub) == "bad-partial-key"


@pytest.mark.parametrize("name", ["hosp/dr-one", "a/b", "org0/node", "a" * 48 + "/" + "b" * 63, "0/1"])
def test_names(name):
    assert reg.check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a", "a/", "/b", "A/b", "a/b/c", "a/-b", "a-/b", "a b/c", "é/a", "a/b\n", "a" * 49 + "/b", "a/" + "b" * 64],
)
def test_names_that_are_none(name):
    assert refusal(reg.check_name, name) == "bad-encoding"


@pytest.mark.parametrize(
    ("time_ms", "quarter"),
    [(0, 1970 * 4), (1_735_689_599_999, 2024 * 4 + 3), (1_735_689_600_000, 2025 * 4), (1_760_000_000_000, 2025 * 4 + 3)],
)
def test_quarters(time_ms, quarter):
    assert reg.quarter_of(time_ms) == quarter


def test_stored_forms_return_the_same_keys(centre, random):
    member = registered(centre, random)
    again = reg.MemberKey.from_secret(member.record(), member.export_secret(), centre.Pub)
    assert again.W == member.W
    other = registered(centre, random, name="hosp/other")
    assert refusal(reg.MemberKey.from_secret, member.record(), other.export_secret(), centre.Pub) == "bad-partial-key"
    assert reg.CentreKey.from_secret(centre.export_secret()).Pub == centre.Pub
    assert refusal(reg.CentreKey.from_secret, b"short") == "bad-encoding"
    secret = reg.SecretValue.draw(random)
    assert reg.SecretValue.from_secret(secret.export_secret()).P == secret.P


def test_only_named_roles_register_here(centre, random):
    secret = reg.SecretValue.draw(random)
    for role in ("patient", "centre", "king"):
        assert refusal(reg.request_key, NETWORK, role, "a/b", secret, random) == "bad-encoding"
        assert refusal(reg.check_key_request, NETWORK, reg.KeyRequest(role, "a/b", secret.P, bytes(64))) == "bad-encoding"


def test_secrets_do_not_show_in_representations():
    world = make_world("representations", patients=("alice",))
    sent = world.request("alice")
    doctor = world.doctor()
    opened = doctor.open(world.chain, sent, world.context(doctor.member.name, sent.sn))
    pending = world.pending(sent)
    epoch_secret, enrolment_key, centre = world.node.secrets[1], world.r.patients["alice"].enrolment, world.r.centre
    objects = [
        doctor.member, doctor.slot_keys[0], centre.key, centre.pids, epoch_secret, pending, pending.credential, enrolment_key,
        opened, opened.sender, opened.envelope, reg.SecretValue.draw(world.random), nr.BlsSecret.generate(world.random),
        reg.PartialKey(bytes(32), b"\x77" * 32),
    ]  # fmt: skip
    secrets = [doctor.member.s, doctor.slot_keys[0].e, centre.key.w, pending.a, pending.credential.s, epoch_secret.e]
    texts = [s.encode() for s in secrets] + [opened.pid, opened.body_key, opened.sender.g, b"\x77" * 32]
    for thing in objects:
        shown = repr(thing) + str(thing)
        for secret in texts:
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown


# --- enrolment and credentials ---


def test_identities_are_padded_and_bounded():
    assert en.pad_identity("alice") == b"alice".ljust(64, b"\0")
    assert len(en.pad_identity("é" * 32)) == 64
    for bad in ("", "a" * 65, "é" * 33, "a\0b"):
        assert refusal(en.pad_identity, bad) == "bad-encoding"


def test_pids_are_of_one_length_deterministic_and_distinct(centre):
    pids = cr.PidKeys(centre.w, NETWORK)
    made = [pids.seal(who, q, i) for who in ("alice", "x" * 64) for q in (8103, 8104) for i in (0, 1, 63)]
    assert {len(p) for p in made} == {cr.PID_BYTES} == {92}
    assert len(set(made)) == len({p[:12] for p in made}) == len(made)
    assert pids.seal("alice", 8103, 0) == made[0]
    assert pids.open(made[-1]) == "x" * 64
    assert refusal(pids.seal, "alice", 8103, 64) == "quota"
    assert refusal(pids.open, made[0][:-1]) == "bad-pseudonym"
    assert refusal(pids.open, bytes(92)) == "bad-pseudonym"
    assert len(set(pids.digests("alice", 8103))) == 64
    assert cr.pid_digest(made[1]) in pids.digests("alice", 8103)


def test_credentials_keep_their_secret_until_they_are_wiped():
    world = make_world("credentials", patients=("alice",))
    credential = world.credential("alice")
    again = cr.Credential.from_secret(credential.export_secret())
    assert (again.W, again.pid, again.quarter, again.index) == (
        credential.W,
        credential.pid,
        credential.quarter,
        credential.index,
    )
    assert world.at_node(world.request("alice", credential=again)) is None
    credential.wipe()
    for use in (lambda: credential.s, credential.export_secret, lambda: world.request("alice", credential=credential)):
        assert refusal(use) == "erased"


def test_an_answer_to_another_request_is_refused():
    world = make_world("answers", patients=("alice",))
    network, who, centre = world.domain.network, world.r.patients["alice"], world.r.centre
    secrets = [reg.SecretValue.draw(world.random) for _ in range(2)]
    requests = [cr.request_credential(network, who.enrolment, 8103, 20 + i, s, world.random) for i, s in enumerate(secrets)]
    answers = [centre.issue("alice", r) for r in requests]
    Pub = world.domain.Pub
    assert refusal(cr.finish_credential, requests[0], secrets[0], answers[1], Pub) == "wrong-quarter"
    renumbered = altered(answers[1], index=20)
    assert refusal(cr.finish_credential, requests[0], secrets[0], renumbered, Pub) == "bad-partial-key"
    assert refusal(cr.finish_credential, requests[0], secrets[1], answers[0], Pub) == "bad-partial-key"
    assert cr.finish_credential(requests[0], secrets[0], answers[0], Pub).index == 20
    assert refusal(cr.request_credential, network, who.enrolment, 8103, 64, secrets[1], world.random) == "quota"


def test_a_call_for_many_credentials_is_bounded():
    world = make_world("many", patients=("alice",))
    who = world.r.patients["alice"]
    one = cr.request_credential(world.domain.network, who.enrolment, 8103, 30, reg.SecretValue.draw(world.random), world.random)
    full = cr.IssuingRequests((one,) * 64)
    assert cr.IssuingRequests.decode(full.encode()) == full
    with pytest.raises(CodecError):
        cr.IssuingRequests((one,) * 65).encode()


# --- node records and appointments ---


def test_bls_keys(random):
    secret = nr.BlsSecret.generate(random)
    assert nr.BlsSecret(secret.export_secret()).public == secret.public
    nr.check_bls_possession(secret.public, secret.prove_possession())
    for bad in (bytes(32), nr.BLS_ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\1" * 31):
        assert refusal(nr.BlsSecret, bad) == "bad-scalar"
    assert refusal(nr.check_bls_possession, bytes(96), secret.prove_possession()) == "bad-point"
    assert refusal(nr.check_bls_possession, secret.public, bytes(48)) == "bad-point"


def test_slots_are_numbered_and_signed(centre, random):
    doctor = registered(centre, random)
    batch, keys = ap.publish_slots(NETWORK, doctor, "2026-02-28", 17, 5, random)
    ap.check_slots(NETWORK, ap.SlotBatch.decode(batch.encode()), doctor.W)
    assert [k.sn for k in keys] == [17, 18, 19, 20, 21]
    assert tuple(k.E for k in keys) == batch.keys
    assert ap.SlotKey.from_secret(17, keys[0].export_secret()).E == keys[0].E
    for count in (0, ap.SLOTS_A_BATCH_MAX + 1):
        assert refusal(ap.publish_slots, NETWORK, doctor, "2026-02-28", 0, count, random) == "too-large"


def resign(doctor, draft, random):
    return altered(draft, signature=doctor.sign(NETWORK, "sig-slots", ap.signed_part(draft), random))


@pytest.mark.parametrize("day", ["2026-02-30", "2026-2-28x", "20260228--", "2026-W01-1", "abcdefghij"])
def test_days_that_are_none(centre, random, day):
    doctor = registered(centre, random)
    batch, _ = ap.publish_slots(NETWORK, doctor, "2026-02-28", 0, 1, random)
    assert refusal(ap.check_slots, NETWORK, resign(doctor, altered(batch, day=day), random), doctor.W) == "bad-encoding"


def test_slot_keys_must_differ_and_numbers_stay_bounded(centre, random):
    doctor = registered(centre, random)
    batch, _ = ap.publish_slots(NETWORK, doctor, "2026-02-28", 0, 2, random)
    twice = resign(doctor, altered(batch, keys=(batch.keys[0],) * 2), random)
    assert refusal(ap.check_slots, NETWORK, twice, doctor.W) == "used-key"
    beyond = resign(doctor, altered(batch, first_sn=2**63 - 1), random)
    assert refusal(ap.check_slots, NETWORK, beyond, doctor.W) == "bad-encoding"


def test_cancellations_and_declines(centre, random):
    doctor = registered(centre, random)
    cancel = ap.cancel_slots(NETWORK, doctor, (1, 5, 9), "conference", random)
    ap.check_cancellation(NETWORK, ap.SlotCancellation.decode(cancel.encode()), doctor.W)
    for sns in ((5, 1), (1, 1)):
        wrong = ap.cancel_slots(NETWORK, doctor, sns, "", random)
        assert refusal(ap.check_cancellation, NETWORK, wrong, doctor.W) == "bad-encoding"
    decline = ap.decline_request(NETWORK, doctor, 4, bytes(32), "bad-seal", "cannot be opened", random)
    ap.check_decline(NETWORK, ap.Decline.decode(decline.encode()), doctor.W)


def test_domains_refuse_what_is_no_key(random):
    good = base_mul(random_scalar(random))
    assert reg.Domain(NETWORK, good.encode()).Pub == good
    with pytest.raises(Refused, match="bad-point"):
        reg.Domain(NETWORK, bytes(32))
    assert decode_point(good.encode()) == good
