"""The native admission of a batch against the readable form, one request at a time: same verdicts, same reasons."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from salus import _native
from salus.codec import decode, encode
from salus.consultation.admission import admit_envelopes, admit_requests
from salus.consultation.batch import BATCH_MAX
from salus.consultation.credentials import Credential
from salus.consultation.envelope import VerifiedEnvelope, verify_opened
from salus.consultation.receipts import UploadReceipt
from salus.consultation.registration import Domain
from salus.consultation.request import ConsultationRequest, RequestContext, RequestDraft, open_at_node, request_statement
from salus.errors import CodecError, Refused
from salus.groups.ristretto255 import ORDER, Point, Scalar, base_mul, decode_point, random_scalar
from support.consultation_world import DOCTOR, Forgery, World, altered, flip, make_world, sigma_challenge, simulated_sigma

Row = tuple[bytes, RequestContext, Scalar]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world("admission")


@pytest.fixture(params=[1, 2, 3], ids=lambda n: f"{n}-threads")
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    _native.set_threads(request.param)
    yield
    _native.set_threads(0)


def row(world: World, request: ConsultationRequest) -> Row:
    return request.encode(), world.context(request.ID_D, request.sn, request.epoch), world.theta


def readable(world: World, item: Row) -> VerifiedEnvelope | str:
    """The definition: decode, open, verify one request; the reason if it is refused."""
    transaction, context, theta = item
    try:
        request = ConsultationRequest.decode(transaction)
    except CodecError:
        return "bad-encoding"
    try:
        return verify_opened(open_at_node(world.domain, request, context, theta))
    except Refused as refusal:
        return refusal.reason


def compare(world: World, items: list[Row]) -> list[VerifiedEnvelope | str]:
    """Both forms agree on every item of the batch; returns the verdicts."""
    native = [r.reason if isinstance(r, Refused) else r for r in admit_requests(world.domain, items)]
    assert native == [readable(world, item) for item in items]
    return native


def quick_requests(world: World, count: int) -> list[ConsultationRequest]:
    """Honest requests of one doctor, without bodies: only the envelope is of interest here."""
    sn = world.free_slot()
    context = world.context(DOCTOR, sn)
    credentials: list[Credential] = []
    for patient in world.patients:
        while len(credentials) < count and _issued(world, patient) < 60:
            credentials.append(world.credential(patient))
    requests = []
    for credential in credentials[:count]:
        draft = RequestDraft.begin(world.domain, credential, DOCTOR, sn, context, world.now_ms + 1000, world.random)
        receipt = UploadReceipt("org/cloud", world.now_ms + 10**9, world.random(64))
        requests.append(draft.finish(world.random(32), 1000, receipt, world.random(32), world.random)[0])
    return requests


def _issued(world: World, patient: str) -> int:
    return len([1 for name, _, _ in world.r.centre.spent if name == patient])


@pytest.fixture(scope="module")
def honest(world: World) -> list[ConsultationRequest]:
    return quick_requests(world, 70)


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 33, 70])
def test_honest_batches(world: World, honest: list[ConsultationRequest], count: int, threads: None) -> None:
    verdicts = compare(world, [row(world, r) for r in honest[:count]])
    assert all(isinstance(v, VerifiedEnvelope) for v in verdicts)
    assert [(v.nf, v.A) for v in verdicts if isinstance(v, VerifiedEnvelope)] == [(r.nf, r.A) for r in honest[:count]]


def test_every_byte_of_a_request_flipped(world: World, honest: list[ConsultationRequest]) -> None:
    """Nothing of a transaction is left out of the signature: every flipped byte is refused, for the same reason by both."""
    transaction, context, theta = row(world, honest[0])
    batch = [(flip(transaction, i), context, theta) for i in range(len(transaction))]
    verdicts = compare(world, batch)
    assert all(isinstance(v, str) for v in verdicts)
    assert {"bad-encoding", "bad-seal", "bad-point", "bad-proof", "wrong-epoch"} <= set(verdicts)


FIELDS: list[tuple[str, Any]] = [
    ("PID1", bytes(92)),
    ("ID_D", "hosp/dr-two"),
    ("A", base_mul(Scalar.from_int(5)).encode()),
    ("A", bytes(32)),
    ("digest", bytes(32)),
    ("size_bytes", 999),
    ("M1", bytes(144)),
    ("M2", bytes(32)),
    ("sn", 2**64 - 1),
    ("S", bytes(152)),
    ("S_D", bytes(212)),
    ("cm", bytes(32)),
    ("nf", bytes(32)),
    ("epoch", 0),
    ("valid_until_ms", 1),
    ("U", UploadReceipt("org/other", 5, bytes(64))),
]


def test_each_field_replaced(world: World, honest: list[ConsultationRequest], threads: None) -> None:
    """Each field changed alone, between honest requests: only it is refused."""
    assert {name for name, _ in FIELDS} == set(ConsultationRequest.__struct_fields__)
    context = row(world, honest[0])[1]
    items, expected = [], []
    for i, (name, value) in enumerate(FIELDS):
        changed = replace(honest[i], **{name: value})
        items += [(changed.encode(), context, world.theta), row(world, honest[i + 20])]
        expected += [False, True]
    verdicts = compare(world, items)
    assert [isinstance(v, VerifiedEnvelope) for v in verdicts] == expected


def test_each_looked_up_value_replaced(world: World, honest: list[ConsultationRequest]) -> None:
    transaction, context, theta = row(world, honest[0])
    other = base_mul(Scalar.from_int(77)).encode()
    contexts = [replace(context, **{name: other}) for name in ("pk_BC", "W_D", "E_sn")] + [
        replace(context, epoch=context.epoch + 1)
    ]
    items: list[Row] = [(transaction, c, theta) for c in contexts]
    items.append((transaction, context, theta + Scalar.from_int(1)))
    verdicts = compare(world, items)
    assert verdicts == ["bad-seal", "bad-seal", "bad-seal", "wrong-epoch", "bad-seal"]


def _malformed(transaction: bytes) -> list[bytes]:
    """Encodings that are not the canonical one of a request, most of them canonical encodings of something else."""
    value = decode(transaction)

    def changed(index: int, new: Any) -> bytes:
        return encode((*value[:index], new, *value[index + 1 :]))

    return [
        b"",
        transaction[:-1],
        transaction + b"\0",
        encode(None),
        encode(value[:-1]),
        encode((*value, None)),
        encode(list(reversed(value))),
        changed(0, "consultation.reply"),
        changed(1, 2),
        changed(2, value[2] + b"\0"),
        changed(2, value[2].decode("latin-1")),
        changed(3, ""),
        changed(3, "d" * 129),
        changed(3, "\u00e9" * 128),
        changed(3, b"hosp/dr-one"),
        changed(6, None),
        changed(16, None),
        changed(16, ("receipt.upload", 2, *value[16][2:])),
        changed(16, (*value[16], 1)),
        changed(16, ("receipt.upload", 1, "", *value[16][3:])),
        changed(16, (*value[16][:-1], bytes(63))),
        transaction.replace(b"hosp/dr-one", b"hosp/dr-\xff\xfee"),
    ]


def test_malformed_transactions(world: World, honest: list[ConsultationRequest]) -> None:
    transaction, context, theta = row(world, honest[0])
    verdicts = compare(world, [(data, context, theta) for data in _malformed(transaction)])
    accented = verdicts.pop(13)
    assert accented == "bad-seal"  # 128 characters in 256 bytes are a name by its bound; the ledger knows no such doctor
    assert set(verdicts) == {"bad-encoding"}


def shifted_sigma(d1: Point, d2: Point) -> Any:
    """A signature whose commitments are off by d1 and d2; the challenge and the response are made for the shifted ones."""

    def sign(f: Forgery, content: Any) -> bytes:
        k = random_scalar(f.world.random)
        R1, R2 = (base_mul(k) + d1).encode(), (f.B.mul(k) + d2).encode()
        return f.I + R1 + R2 + (k + sigma_challenge(f.world, f, f.I, R1, R2, content) * f.s).encode()

    return sign


def test_errors_that_cancel_in_an_unweighted_sum(world: World, honest: list[ConsultationRequest], threads: None) -> None:
    """Errors D and -D inside one request (equal u and v hide them) and across two (known weights hide them) are both named."""
    D, zero = base_mul(Scalar.from_int(99)), Point.identity()
    within = Forgery.with_credential(world, world.credential("mallory"), sign=shifted_sigma(D, -D)).build()
    plus = Forgery.with_credential(world, world.credential("mallory"), sign=shifted_sigma(D, zero)).build()
    minus = Forgery.with_credential(world, world.credential("mallory"), sign=shifted_sigma(-D, zero)).build()
    alone = [compare(world, [row(world, r)]) for r in (within, plus, minus)]
    assert alone == [["bad-proof"]] * 3
    batch = [*honest[:9], within, *honest[9:30], plus, minus]
    verdicts = compare(world, [row(world, r) for r in batch])
    assert [i for i, v in enumerate(verdicts) if v == "bad-proof"] == [9, 31, 32]
    assert sum(isinstance(v, VerifiedEnvelope) for v in verdicts) == 30


def test_a_false_nullifier_is_named(world: World, honest: list[ConsultationRequest]) -> None:
    """A second nullifier for one credential: I off by D, with nf made for it."""
    credential = world.credential("mallory")
    f = Forgery.with_credential(world, credential)
    f.complete()
    false = (decode_point(f.I) + base_mul(Scalar.from_int(3))).encode()
    forged = Forgery.with_credential(world, credential, I=false).build()
    verdicts = compare(world, [row(world, r) for r in (*honest[:20], forged)])
    assert verdicts[-1] == "bad-proof"
    assert "bad-proof" not in verdicts[:-1]
    mismatched = Forgery.with_credential(world, credential, nf=bytes(32)).build()
    assert compare(world, [row(world, mismatched)]) == ["bad-nullifier"]


def _sealed_parts() -> list[tuple[dict[str, Any], str]]:
    """Parts that only an insider who builds the whole message can get past the seals, with the reason for each."""
    zero, bit255 = bytes(32), flip(base_mul(Scalar.from_int(3)).encode(), 31, 7)
    return [
        ({"P": zero}, "bad-point"),
        ({"Q": bit255}, "bad-point"),
        ({"I": zero}, "bad-point"),
        ({"I": bit255}, "bad-point"),
        ({"hp": b"\1" * 32}, "bad-proof"),
        ({"quarter": 2**64 - 1}, "bad-proof"),
        ({"cm": b"\1" * 32}, "bad-commitment"),
    ]


@pytest.mark.parametrize(("parts", "reason"), _sealed_parts(), ids=lambda v: v if isinstance(v, str) else next(iter(v)))
def test_parts_behind_the_seals(world: World, parts: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    credential = world.credential("bob")
    # The bench of the adversary decodes P and Q itself for the doctor's part, which is not what is tested here.
    monkeypatch.setattr("support.consultation_world.W_of", lambda *_: base_mul(credential.s))
    values = {"P": credential.P, "Q": credential.Q, "pid": credential.pid, "quarter": credential.quarter, "s": credential.s}
    for name, value in parts.items():
        values[name] = value
    forged = Forgery(world, **values).build()
    assert compare(world, [row(world, forged)]) == [reason]


@pytest.mark.parametrize("spoil", ["R1", "R2", "z"])
def test_commitments_and_responses_that_do_not_decode(world: World, spoil: str) -> None:
    def sign(f: Forgery, content: Any) -> bytes:
        plain = bytearray(simulated_sigma(f, content))
        if spoil == "z":
            plain[96:] = ORDER.to_bytes(32, "little")
        else:
            start = 32 if spoil == "R1" else 64
            plain[start : start + 32] = bytes(32)
        return bytes(plain)

    forged = Forgery.with_credential(world, world.credential("bob"), sign=sign).build()
    assert compare(world, [row(world, forged)]) == ["bad-scalar" if spoil == "z" else "bad-point"]


def test_forgeries_without_the_secret(world: World, honest: list[ConsultationRequest]) -> None:
    """Simulated proofs, wrong secrets and the key-cancelling A = c*P0 - W: none passes, in either form, in any company."""
    victim = world.credential("victim")
    simulated = Forgery.of_victim(world, victim, sign=simulated_sigma).build()
    guessed = Forgery.of_victim(world, victim).build()
    cancelling = (base_mul(Scalar.from_int(7)) - decode_point(victim.W)).encode()
    cancelled = Forgery.of_victim(
        world, victim, A=cancelling, seal_secret=decode_point(world.pk_BC).mul(Scalar.from_int(7))
    ).build()
    verdicts = compare(world, [row(world, r) for r in (simulated, *honest[:5], guessed, cancelled)])
    assert [verdicts[0], *verdicts[6:]] == ["bad-proof", "bad-proof", "bad-seal"]


def test_all_bad(world: World, honest: list[ConsultationRequest]) -> None:
    forged = [Forgery.of_victim(world, world.credential("victim")).build() for _ in range(11)]
    assert set(compare(world, [row(world, r) for r in forged])) == {"bad-proof"}


def test_epochs_mix_in_one_batch(world: World, honest: list[ConsultationRequest]) -> None:
    """The old epoch's requests in its grace, with their own theta, beside the new one's."""
    theta = random_scalar(world.random)
    context = replace(world.context(DOCTOR, honest[0].sn), epoch=9, pk_BC=base_mul(theta).encode())
    draft = RequestDraft.begin(world.domain, world.credential("bob"), DOCTOR, honest[0].sn, context, world.now_ms, world.random)
    receipt = UploadReceipt("org/cloud", 1, bytes(64))
    other = draft.finish(bytes(32), 1, receipt, bytes(32), world.random)[0]
    items: list[Row] = [row(world, honest[0]), (other.encode(), context, theta), row(world, honest[1])]
    assert all(isinstance(v, VerifiedEnvelope) for v in compare(world, items))
    items[1] = (other.encode(), context, world.theta)
    assert [isinstance(v, str) for v in compare(world, items)] == [False, True, False]


def test_envelopes_of_any_kind(world: World, honest: list[ConsultationRequest]) -> None:
    bad = altered(honest[3], nf=bytes(32))
    requests = [*honest[:3], bad, *honest[4:20]]
    statements = [request_statement(world.domain, r, row(world, r)[1]) for r in requests]
    results = admit_envelopes(world.domain, [(s, world.theta) for s in statements])
    assert [r.reason if isinstance(r, Refused) else r for r in results] == compare(world, [row(world, r) for r in requests])


def test_other_domains_are_refused(world: World, honest: list[ConsultationRequest]) -> None:
    item = row(world, honest[0])
    other_network = Domain(os.urandom(32), world.domain.Pub_bytes)
    other_centre = Domain(world.domain.network, base_mul(Scalar.from_int(3)).encode())
    for domain, reason in ((other_network, "bad-seal"), (other_centre, "bad-proof")):
        (result,) = admit_requests(domain, [item])
        assert isinstance(result, Refused)
        assert result.reason == reason


def test_bounds_and_misuse(world: World, honest: list[ConsultationRequest]) -> None:
    item = row(world, honest[0])
    with pytest.raises(Refused, match="too-large"):
        admit_requests(world.domain, [item] * (BATCH_MAX + 1))
    raw = (item[0], 1, item[1].pk_BC, world.theta, item[1].W_D, item[1].E_sn)
    with pytest.raises(ValueError, match="4096"):
        _native.admit_requests([raw] * (BATCH_MAX + 1), world.domain.network, world.domain.Pub)
    with pytest.raises(ValueError, match="32 bytes"):
        _native.admit_requests([(*raw[:2], b"short", *raw[3:])], world.domain.network, world.domain.Pub)
    with pytest.raises(ValueError, match="length"):
        _native.admit_requests([raw[:-1]], world.domain.network, world.domain.Pub)  # type: ignore[list-item]


def test_schnorr_batch_names_the_bad_ones() -> None:
    secrets = [random_scalar(os.urandom) for _ in range(40)]
    publics = [base_mul(s) for s in secrets]
    challenges, signatures = [], []
    for s in secrets:
        k, c = random_scalar(os.urandom), random_scalar(os.urandom)
        challenges.append(c)
        signatures.append(base_mul(k).encode() + (k + c * s).encode())
    assert _native.schnorr_verify_batch(publics, challenges, signatures) == [True] * 40
    signatures[4] = flip(signatures[4], 50)
    signatures[5] = bytes(32) + signatures[5][32:]
    signatures[6] = signatures[6][:32] + ORDER.to_bytes(32, "little")
    publics[7] = Point.identity()
    signatures[7] = base_mul(Scalar.from_int(4)).encode() + Scalar.from_int(4).encode()
    signatures[30], signatures[31] = signatures[31], signatures[30]
    bad = {4, 5, 6, 7, 30, 31}
    assert _native.schnorr_verify_batch(publics, challenges, signatures) == [i not in bad for i in range(40)]
    assert _native.schnorr_verify_batch([], [], []) == []
    with pytest.raises(ValueError, match="length"):
        _native.schnorr_verify_batch(publics, challenges[1:], signatures)
