"""A malicious cloud: forged receipts, a wrong cloud, altered, missing, stale and swapped bodies."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from salus.consultation import receipts as rc
from salus.consultation.registration import MemberKey
from salus.groups.ristretto255 import random_scalar
from salus.records import body as body_module
from salus.records import digest as digest_module
from support.consultation_world import DOCTOR, World, altered, flip, make_world, refusal, weaken


@pytest.fixture
def world():
    return make_world("malicious cloud")


# --- upload receipts ---


def stranger(world: World) -> MemberKey:
    """A key that calls itself the cloud."""
    cloud = world.r.cloud.member
    return MemberKey("cloud", cloud.name, cloud.P, cloud.Q, random_scalar(world.random))


def test_a_forged_upload_receipt_is_refused(world: World, monkeypatch):
    sent = world.request()
    forged = rc.sign_upload(world.domain.network, stranger(world), sent.digest, sent.size_bytes, 2**60, world.random)
    assert refusal(_receipt, world, forged, sent) == "bad-receipt"
    weaken(monkeypatch, rc.check_upload, lambda *parts: None)
    assert refusal(_receipt, world, forged, sent) is None


def _receipt(world: World, receipt: rc.UploadReceipt, sent) -> None:
    world.chain.check_receipt(receipt, sent.digest, sent.size_bytes, world.now_ms)


def test_a_receipt_is_for_one_body_one_time_one_cloud_one_network(world: World):
    sent, network, W = world.request(), world.domain.network, world.r.cloud.member.W
    receipt = sent.U
    rc.check_upload(network, receipt, sent.digest, sent.size_bytes, W)
    other_cloud = world.r.member("cloud", "other/cloud")
    wrong = [
        (network, receipt, flip(sent.digest, 3), sent.size_bytes, W),
        (network, receipt, sent.digest, sent.size_bytes + 1, W),
        (network, altered(receipt, keep_until_ms=receipt.keep_until_ms + 1), sent.digest, sent.size_bytes, W),
        (network, altered(receipt, cloud="other/cloud"), sent.digest, sent.size_bytes, other_cloud.W),
        (network, receipt, sent.digest, sent.size_bytes, other_cloud.W),
        (bytes(32), receipt, sent.digest, sent.size_bytes, W),
    ]
    for arguments in wrong:
        assert refusal(rc.check_upload, *arguments) == "bad-receipt"


def test_a_receipt_that_ends_too_early_is_refused(world: World):
    sent = world.request()
    short = rc.sign_upload(
        world.domain.network, world.r.cloud.member, sent.digest, sent.size_bytes, sent.valid_until_ms, world.random
    )
    assert (
        refusal(world.chain.check_receipt, short, sent.digest, sent.size_bytes, sent.valid_until_ms + 3_600_000) == "bad-receipt"
    )


def test_a_member_that_is_no_cloud_gives_no_receipt(world: World):
    sent = world.request()
    by_doctor = rc.sign_upload(world.domain.network, world.doctor().member, sent.digest, sent.size_bytes, 2**60, world.random)
    assert refusal(_receipt, world, by_doctor, sent) == "unknown-party"


# --- bodies ---


def test_an_altered_missing_stale_or_swapped_body_is_refused(world: World):
    one, other = world.request(payload=b"first"), world.request(payload=b"other")
    bodies = world.r.cloud.bodies
    honest = bodies[one.digest]
    for i in range(len(honest)):
        bodies[one.digest] = flip(honest, i)
        assert world.at_doctor(one) == "bad-body"
    for wrong in (bodies[other.digest], honest[:-1], honest + b"\0", b"", honest[:20]):
        bodies[one.digest] = wrong
        assert world.at_doctor(one) == "bad-body"
    del bodies[one.digest]
    assert world.at_doctor(one) == "missing-body"
    bodies[one.digest] = honest
    assert world.at_doctor(one) is None


def test_an_altered_reply_is_refused_by_the_patient(world: World):
    sent = world.request("alice")
    world.commit(sent)
    answer = world.answer(sent, b"take one a day")
    world.commit(answer)
    bodies = world.r.cloud.bodies
    honest = bodies[answer.digest]
    for wrong in (flip(honest, len(honest) - 20), bodies[sent.digest], honest[:-1], b""):
        bodies[answer.digest] = wrong
        assert world.at_patient("alice", answer) == "bad-body"
    del bodies[answer.digest]
    assert world.at_patient("alice", answer) == "missing-body"
    bodies[answer.digest] = honest
    assert world.patient_reads("alice", answer) == b"take one a day"


class _Unauthenticated:
    """ChaCha20 without its tag: the repair of altered bodies taken out."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def decrypt(self, nonce: bytes, sealed: bytes, aad: object) -> bytes:
        return Cipher(ChaCha20(self._key, (1).to_bytes(4, "little") + nonce), None).decryptor().update(sealed[:-16])

    def decrypt_into(self, nonce: bytes, sealed: bytes, aad: object, into: memoryview) -> int:
        into[:] = self.decrypt(nonce, sealed, aad)
        return len(into)


def test_without_digest_and_tags_the_cloud_alters_a_diagnosis(world: World, monkeypatch):
    """A stream cipher alone: the cloud flips bits of the words it cannot read."""
    sent = world.request("alice")
    world.commit(sent)
    answer = world.answer(sent, b"dose: 1 mg")
    world.commit(answer)
    bodies = world.r.cloud.bodies
    honest = bodies[answer.digest]
    place = len(honest) - 16 - len(b"1 mg")
    bodies[answer.digest] = flip(honest, place, 3)  # "1" becomes "9"
    assert world.at_patient("alice", answer) == "bad-body"
    monkeypatch.setattr(body_module, "ChaCha20Poly1305", _Unauthenticated)
    assert world.at_patient("alice", answer) == "bad-body", "the digest on the ledger still refuses it"
    expected = digest_module.BodySummary.of(answer.digest, answer.size_bytes)
    monkeypatch.setattr(body_module.BodyDigester, "finish", lambda self: expected)
    assert world.patient_reads("alice", answer) == b"dose: 9 mg"


# --- storage receipts ---


def storage(world: World, sent, member: MemberKey | None = None, **changes) -> rc.SealedReceipt:
    cloud = member or world.r.cloud.member
    parts = {"PID": sent.PID1, "A": sent.A, "ID_D": sent.ID_D, "height": 7, "tx_hash": sent.tx_hash(), "digest": sent.digest}
    parts |= {"size_bytes": sent.size_bytes} | changes
    return rc.seal_storage_receipt(world.domain.network, cloud, random=world.random, **parts)


def opens(world: World, sent, sealed: rc.SealedReceipt) -> str | None:
    expected = rc.StorageReceipt(
        sent.PID1, sent.A, sent.ID_D, 0, sent.tx_hash(), sent.digest, sent.size_bytes, "store/cloud", bytes(64)
    )
    W_C = world.r.cloud.member.W_bytes
    return refusal(rc.open_storage_receipt, world.domain.network, sealed, world.pending(sent).a, W_C, sent.tx_hash(), expected)


@pytest.mark.parametrize("lie", ["PID", "A", "ID_D", "tx_hash", "digest", "size_bytes"])
def test_a_storage_receipt_says_exactly_what_the_transaction_says(world: World, lie):
    sent, other = world.request(), world.request("bob")
    world.commit(sent)
    world.commit(other)
    values = {"PID": other.PID1, "ID_D": "hosp/dr-two", "tx_hash": other.tx_hash(), "digest": other.digest, "size_bytes": 5}
    assert opens(world, sent, storage(world, sent)) is None
    assert opens(world, sent, storage(world, sent, **{lie: values.get(lie, other.A)})) == "bad-receipt"


def test_a_storage_receipt_of_another_or_by_another_is_refused(world: World, monkeypatch):
    sent, other = world.request(), world.request("bob")
    assert opens(world, sent, storage(world, other)) == "bad-receipt"
    assert opens(world, sent, storage(world, sent, member=stranger(world))) == "bad-receipt"
    good = storage(world, sent)
    assert opens(world, sent, altered(good, nonce=flip(good.nonce, 1))) == "bad-receipt"
    assert opens(world, sent, altered(good, box=flip(good.box, 40))) == "bad-receipt"


def test_without_the_signature_whoever_knows_a_could_write_the_receipt(world: World, monkeypatch):
    """The seal proves only knowledge of a*W_C, which the sender has too: a thief of a would call a lost body stored."""
    sent = world.request()
    a, W_C = world.pending(sent).a, rc.decode_point(world.r.cloud.member.W_bytes)
    forger = stranger(world)
    receipt = rc.StorageReceipt(
        sent.PID1, sent.A, sent.ID_D, 7, sent.tx_hash(), sent.digest, sent.size_bytes, "store/cloud",
        forger.sign(world.domain.network, "sig-receipt", (), world.random),
    )  # fmt: skip
    nonce = world.random(32)
    key, context = rc._receipt_key(W_C.mul(a), world.domain.network, sent.tx_hash(), nonce)
    forged = rc.SealedReceipt(nonce, rc.seal(key, receipt.encode(), context))
    assert opens(world, sent, forged) == "bad-receipt"
    weaken(monkeypatch, rc.verify_member_signature, lambda *parts: None)
    assert opens(world, sent, forged) is None


def test_the_cloud_learns_nothing_from_what_it_files(world: World):
    """It sees ciphertext and the transaction's public fields; the payload is in neither."""
    sent = world.request(payload=b"a very recognisable payload")
    seen = world.r.cloud.fetch(sent.digest) + sent.encode()
    credential = world.pending(sent).credential
    for secret in (b"recognisable", credential.pid[12:], credential.P, credential.W, credential.hp, b"alice"):
        assert secret not in seen
    assert DOCTOR.encode() in seen
