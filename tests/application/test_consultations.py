"""Slots, requests, replies, declines on the ledger: what is accepted, and the reason of every refusal."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from salus.consultation.appointments import cancel_slots, decline_request
from salus.consultation.registration import CLOUD, DOCTOR, quarter_of
from salus.consultation.request import ConsultationRequest
from salus.groups.ristretto255 import base_mul, random_scalar
from salus.ledger.kinds.consultations import ANSWERS, NULLIFIER, ONE_TIME_KEY, REQUESTS
from salus.ledger.kinds.parties import PartyRevocation, PatientRevocation, key_digest
from salus.ledger.kinds.slots import CANCELLED, SLOTS, TAKEN, slot_key
from salus.ledger.quarters import credentials_dead_ms, quarter_end_ms, spent_until_ms
from salus.node.admission import Admission
from support.ledger_world import GENESIS_MS, Chain, Doctor, LedgerWorld

DAY_MS = 24 * 3600_000
UNSIGNED = bytes(64)


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("consultations")


@pytest.fixture
def chain(world: LedgerWorld) -> Chain:
    return world.chain(secrets=Admission(world.domain, world.secrets()))


@pytest.fixture
def doctor(chain: Chain) -> Doctor:
    return chain.ready(12)


def reason(chain: Chain, raw: bytes, time_ms: int | None = None) -> str:
    """What the pool says; the proposer must agree, and so must a voter where it is a matter of public checks."""
    now = chain.time_ms + 1000 if time_ms is None else time_ms
    (result,) = chain.application.check_transactions([raw], now)
    assert (chain.propose([raw], now) == [raw]) == result.accepted
    verdict = chain.application.validate_proposal(chain.input([raw], now), secret_checks=True)
    assert verdict.valid == result.accepted or result.reason == "no-shared-value"
    assert result.accepted or result.detail or result.reason
    return result.reason


def test_a_consultation_from_slot_to_answer(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    request, _ = world.request(doctor, 3, time_ms=chain.time_ms)
    assert reason(chain, request.encode()) == ""
    chain.decide([request.encode()])
    view, h1 = chain.application.view(), request.tx_hash()
    record = REQUESTS.get(view, h1)
    assert record is not None
    assert record.context() == world.context(doctor, 3)
    assert (record.doctor, record.sn, record.height) == (doctor.key.name, 3, chain.application.info().height)
    slot = SLOTS.get(view, slot_key(doctor.key.name, 3))
    assert slot is not None
    assert (slot.status, slot.h1) == (TAKEN, h1)
    assert ANSWERS.get(view, h1) is None
    reply = world.reply(doctor, request, chain.time_ms)
    assert reason(chain, reply.encode()) == ""
    chain.decide([reply.encode()])
    answer = ANSWERS.get(chain.application.view(), h1)
    assert answer is not None
    assert (answer.tx_hash, answer.declined) == (reply.tx_hash(), None)
    assert reason(chain, world.reply(doctor, request, chain.time_ms).encode()) == "already-answered"
    assert reason(chain, world.decline(doctor, request)) == "already-answered"


def test_a_declined_request_has_its_answer(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    chain.decide([request.encode()])
    odd = decline_request(world.network, doctor.key, 0, request.tx_hash(), "no-such-reason", "", world.random)
    assert reason(chain, odd.encode()) == "bad-encoding"
    chain.decide([world.decline(doctor, request)])
    answer = ANSWERS.get(chain.application.view(), request.tx_hash())
    assert answer is not None
    assert answer.declined == "bad-seal"
    assert reason(chain, world.reply(doctor, request, chain.time_ms).encode()) == "already-answered"


def test_every_refusal_of_a_request(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    now = chain.time_ms
    constants = world.genesis.core.constants
    _, stranger = world.doctor("hospital-1/dr-unknown")
    stranger.slots = doctor.slots
    used, _ = world.request(doctor, 0, time_ms=now)
    chain.decide([used.encode()])
    good, _ = world.request(doctor, 1, time_ms=now)

    def made(**changes: Any) -> bytes:
        return replace(good, **changes).encode()

    credential = world.credential(now)
    first, _ = world.request(doctor, 4, time_ms=now, credential=credential)
    chain.decide([first.encode()])
    again, _ = world.request(doctor, 5, time_ms=now, credential=credential)
    other_cloud = replace(good.U, cloud="salus/other")

    def sent(**how: Any) -> bytes:
        return world.request(doctor, 1, time_ms=now, **how)[0].encode()

    short, quarter = good.valid_until_ms + constants.retention_ms - 1, quarter_of(now)
    cases = [
        (made(valid_until_ms=chain.time_ms), "expired"),
        (sent(valid_ms=constants.valid_until_max_ms + DAY_MS), "too-far-ahead"),
        (made(epoch=2), "wrong-epoch"),
        (made(epoch=2**63), "wrong-epoch"),
        (made(ID_D="hospital-1/dr-unknown"), "unknown-party"),
        (made(sn=99), "unknown-slot"),
        (world.request(doctor, 0, time_ms=now)[0].encode(), "slot-taken"),
        (again.encode(), "used-credential"),
        (made(A=used.A), "used-key"),
        (made(A=bytes(32)), "bad-point"),
        (made(A=b"\xff" * 32), "bad-point"),
        (sent(keep_ms=short), "bad-receipt"),
        (made(U=replace(good.U, signature=used.U.signature)), "bad-receipt"),
        (made(U=other_cloud), "unknown-party"),
        (made(digest=bytes(32)), "bad-receipt"),
        (made(size_bytes=1 << 41), "too-large"),
        # the secret checks
        (made(S=used.S), "bad-seal"),
        (made(M2=bytes(32)), "bad-proof"),
        (made(cm=bytes(32)), "bad-seal"),
        (sent(credential=world.credential(quarter=quarter + 1)), "wrong-quarter"),
        (sent(credential=world.credential(quarter=quarter - 2)), "wrong-quarter"),
        # the encoding
        (good.encode() + b"\0", "bad-encoding"),
        (b"", "bad-encoding"),
        (bytes(1 << 17), "too-large"),
    ]
    for raw, expected in cases:
        assert reason(chain, raw) == expected
    assert reason(chain, good.encode()) == ""


def test_every_refusal_of_a_reply(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    raw, other = world.doctor("hospital-1/dr-two")
    chain.decide([raw])
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    unknown, _ = world.request(doctor, 1, time_ms=chain.time_ms)
    chain.decide([request.encode()])
    good = world.reply(doctor, request, chain.time_ms)
    short = world.upload(good.digest, 1000, chain.time_ms)
    cases = [
        (world.reply(doctor, unknown, chain.time_ms).encode(), "unknown-request"),
        (world.reply(other, request, chain.time_ms).encode(), "wrong-doctor"),
        (replace(good, sn=1).encode(), "wrong-request"),
        (replace(good, A_D=request.A).encode(), "used-key"),
        (replace(good, A_D=bytes(32)).encode(), "bad-point"),
        (replace(good, PID2=bytes(92)).encode(), "bad-signature"),
        (replace(good, A_D=base_mul(random_scalar(world.random)).encode()).encode(), "bad-signature"),
        (replace(good, U=short).encode(), "bad-receipt"),
        (replace(good, digest=bytes(32)).encode(), "bad-receipt"),
    ]
    for raw, expected in cases:
        assert reason(chain, raw) == expected
    assert reason(chain, good.encode()) == ""


def test_slots(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    name = doctor.key.name
    for first, expected in ((11, "unknown-slot"), (13, "unknown-slot"), (12, "")):
        assert reason(chain, world.slots(doctor, first, 2)) == expected
    _, stranger = world.doctor("hospital-1/dr-unknown")
    assert reason(chain, world.slots(stranger, 0, 2)) == "unknown-party"

    def cancel(*sns: int, who: Doctor = doctor) -> bytes:
        return cancel_slots(world.network, who.key, sns, "ill", world.random).encode()

    request, _ = world.request(doctor, 2, time_ms=chain.time_ms)
    chain.decide([request.encode()])
    for sns, expected in (((2,), "slot-taken"), ((99,), "unknown-slot"), ((4, 3), "bad-encoding"), ((3, 3), "bad-encoding")):
        assert reason(chain, cancel(*sns)) == expected
    chain.decide([cancel(3, 4)])
    slot = SLOTS.get(chain.application.view(), slot_key(name, 4))
    assert slot is not None
    assert slot.status == CANCELLED
    assert reason(chain, cancel(4)) == "already-done"
    assert reason(chain, world.request(doctor, 4, time_ms=chain.time_ms)[0].encode()) == "slot-closed"


def revoke(world: LedgerWorld, role: str, name: str, W: bytes) -> bytes:
    return world.by_centre(PartyRevocation(role, name, key_digest(W), UNSIGNED))


def test_a_revoked_doctor_and_a_new_key(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    asked, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    chain.decide([asked.encode()])
    waiting, _ = world.request(doctor, 1, time_ms=chain.time_ms)
    chain.decide([revoke(world, DOCTOR, doctor.key.name, doctor.key.W_bytes)])
    assert reason(chain, waiting.encode()) == "revoked"
    assert reason(chain, world.reply(doctor, asked, chain.time_ms).encode()) == "revoked"
    raw, renewed = world.doctor(doctor.key.name)
    chain.decide([raw])
    # Slots and requests of the old key stay closed: its holder may be a thief.
    assert reason(chain, waiting.encode()) == "slot-closed"
    assert reason(chain, world.reply(renewed, asked, chain.time_ms).encode()) == "revoked"
    assert reason(chain, world.slots(renewed, 12, 1)) == ""


def test_a_revoked_cloud_gives_no_receipts(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    chain.decide([revoke(world, CLOUD, world.cloud.name, world.cloud.W_bytes)])
    assert reason(chain, request.encode()) == "revoked"


def test_a_revoked_patient_is_refused_from_the_next_block_on(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    credential = world.credential(chain.time_ms)
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms, credential=credential)
    assert reason(chain, request.encode()) == ""
    revocation = PatientRevocation(quarter_of(chain.time_ms), (credential.hp,), UNSIGNED)
    chain.decide([world.by_centre(revocation)])
    assert reason(chain, request.encode()) == "revoked"


def test_two_takers_of_one_thing_in_one_block(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    """One slot, one credential, one key, one request answered: a block holds the first, and a block with both is invalid."""
    now = chain.time_ms
    credential = world.credential(now)
    slot = [world.request(doctor, 0, time_ms=now)[0] for _ in range(2)]
    twice = [world.request(doctor, sn, time_ms=now, credential=credential)[0] for sn in (1, 2)]
    asked, _ = world.request(doctor, 3, time_ms=now)
    chain.decide([asked.encode()])
    replies = [world.reply(doctor, asked, now) for _ in range(2)]
    for pair, expected in ((slot, "slot-taken"), (twice, "used-credential"), (replies, "already-answered")):
        both = [x.encode() for x in pair]
        assert all(r.accepted for r in chain.application.check_transactions(both, now + 1000))
        assert chain.propose(both) == both[:1]
        assert chain.propose(both[::-1]) == both[:0:-1]
        verdict = chain.application.validate_proposal(chain.input(both), secret_checks=True)
        assert (verdict.valid, verdict.reason) == (False, expected)
        assert "transaction 1" in verdict.detail


def test_a_request_and_what_it_needs_in_one_block(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    """Later transactions of a block see the effect of earlier ones, in order."""
    raw, other = world.doctor("hospital-1/dr-two")
    slots = world.slots(other, 0, 4)
    assert chain.propose([raw, slots]) == [raw, slots]
    assert chain.propose([slots, raw]) == [raw]
    chain.decide([raw, slots])
    assert SLOTS.get(chain.application.view(), slot_key(other.key.name, 3)) is not None


def test_nullifiers_and_keys_are_kept_until_the_grace_ends_and_then_forgotten(
    world: LedgerWorld, chain: Chain, doctor: Doctor
) -> None:
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    chain.decide([request.encode()])
    constants = world.genesis.core.constants
    until = spent_until_ms(chain.time_ms, constants)
    assert until == quarter_end_ms(quarter_of(chain.time_ms)) + constants.quarter_grace_ms
    assert until == credentials_dead_ms(quarter_of(GENESIS_MS), constants)
    chain.decide([], until - 2)
    again = replace(request, sn=1, valid_until_ms=until + 1000)
    assert chain.application.check_transactions([again.encode()], until - 1)[0].reason == "used-credential"
    assert chain.application.check_transactions([again.encode()], until)[0].reason != "used-credential"
    view = chain.application.view()
    assert view.get(NULLIFIER, request.nf) is not None
    chain.decide([], until + DAY_MS)
    view = chain.application.view()
    assert view.get(NULLIFIER, request.nf) is None
    assert view.get(ONE_TIME_KEY, request.A) is None
    assert REQUESTS.get(view, request.tx_hash()) is not None


def test_a_node_without_the_shared_value_pools_nothing_and_votes_on_public_checks(
    world: LedgerWorld, chain: Chain, doctor: Doctor
) -> None:
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    rubbish = replace(request, M2=bytes(32))
    secrets = world.secrets()
    secrets.thetas, thetas = {}, secrets.thetas
    fresh = Admission(world.domain, secrets)
    chain.application._secrets = fresh
    for tx in (request, rubbish):
        assert reason(chain, tx.encode()) == "no-shared-value"
        assert chain.propose([tx.encode()]) == []
        block = chain.input([tx.encode()])
        assert chain.application.validate_proposal(block, secret_checks=True).valid
    secrets.thetas = thetas
    block = chain.input([rubbish.encode()])
    assert chain.application.validate_proposal(block, secret_checks=True).reason == "bad-proof"
    # A re-proposal with a prepared certificate skips the secret checks, and what a quorum decided stands.
    assert chain.application.validate_proposal(block, secret_checks=False).valid
    chain.decide([request.encode()])


def test_the_same_bytes_are_committed_once(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    raw = request.encode()
    assert chain.propose([raw, raw]) == [raw]
    chain.decide([raw])
    assert reason(chain, raw) in ("slot-taken", "used-credential")


def test_every_byte_of_a_request_counts(world: LedgerWorld, chain: Chain, doctor: Doctor) -> None:
    """Flip one bit of each byte: never accepted by a node that holds theta (long form: tests/attacks)."""
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    raw = request.encode()
    flipped = []
    for place in range(0, len(raw), 7):
        altered = bytearray(raw)
        altered[place] ^= 1 << place % 8
        flipped.append(bytes(altered))
    results = chain.application.check_transactions(flipped, chain.time_ms + 1000)
    assert [r.accepted for r in results] == [False] * len(flipped)
    assert isinstance(chain.application.transaction(raw).message, ConsultationRequest)
