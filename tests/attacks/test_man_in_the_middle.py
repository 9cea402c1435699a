"""Man in the middle: fields swapped between messages, keys swapped on the way, directories that lie."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from salus.consultation import request as rq
from salus.consultation.envelope import open_sender
from salus.consultation.request import ConsultationRequest, RequestContext, RequestDraft, open_doctor_seal, request_statement
from salus.groups.ristretto255 import base_mul, decode_point, random_scalar
from support.consultation_world import DOCTOR, OTHER_DOCTOR, World, altered, make_world, refusal, weaken


@pytest.fixture(scope="module")
def world():
    return make_world("middle")


def differing(one, other) -> list[str]:
    return [f for f in one.__struct_fields__ if getattr(one, f) != getattr(other, f)]


def proper_subsets(fields: list[str]):
    for size in range(1, len(fields)):
        yield from itertools.combinations(fields, size)


@pytest.mark.parametrize("second", ["alice", "bob"], ids=["same patient", "two patients"])
def test_no_part_of_one_request_fits_into_another(world: World, second):
    """Every proper subset of the differing fields, moved from one request into another: refused at the node and the doctor."""
    one, other = world.request("alice"), world.request(second)
    fields = differing(one, other)
    assert set(fields) == {"PID1", "A", "digest", "M1", "M2", "sn", "S", "S_D", "cm", "nf", "U"}
    for subset in proper_subsets(fields):
        mixed = altered(one, **{f: getattr(other, f) for f in subset})
        assert world.at_node(mixed) is not None, subset
        assert world.at_doctor(mixed) is not None, subset


def test_no_part_of_one_reply_fits_into_another(world: World):
    sent = [world.request("alice") for _ in range(2)]
    for t in sent:
        world.commit(t)
    one, other = (world.answer(t) for t in sent)
    fields = differing(one, other)
    assert len(fields) >= 8
    for subset in proper_subsets(fields):
        mixed = altered(one, **{f: getattr(other, f) for f in subset})
        assert world.at_node(mixed) is not None, subset
        assert world.at_patient("alice", mixed, mixed.tx_hash()) is not None, subset


def test_what_the_printed_macs_left_open_is_signed(world: World, monkeypatch):
    """M_i1 did not cover ID_DO, sn, M_i2; here content covers the whole body: taken out of it, a field is swapped freely."""
    right = ConsultationRequest.body
    for field in ("PID1", "M2", "S_D"):
        one, other = world.request("alice"), world.request("bob")
        assert world.at_node(altered(one, **{field: getattr(other, field)})) == "bad-proof"
        with monkeypatch.context() as patch:
            patch.setattr(ConsultationRequest, "body", lambda self, f=field: right(altered(self, **{f: b""})))
            loose = _finish_with_patched_body(world)
            assert world.at_node(loose) is None
            assert world.at_node(altered(loose, **{field: getattr(other, field)})) is None, field


def _finish_with_patched_body(world: World) -> ConsultationRequest:
    """An honest request whose signature covers the (weakened) ``body()`` of the message."""
    sent = world.request("alice")
    pending = world.pending(sent)
    context = world.context(DOCTOR, sent.sn)
    statement = request_statement(world.domain, sent, context)
    draft = rq.EnvelopeDraft.begin_with(
        world.domain,
        pending.credential,
        rq.Topic(sent.KIND, sent.epoch, context.pk_BC, sent.valid_until_ms, rq.own_fields(DOCTOR, sent.sn, context)),
        pending.a,
        open_sender(statement, decode_point(sent.A).mul(world.theta)).g,
    )
    return altered(sent, M1=draft.sign(sent.body(), world.random).M1)


class Middle:
    """Hands the patient a slot key and a doctor key of its own and reads what is sealed to them."""

    def __init__(self, world: World, sn: int) -> None:
        self.d, self.e = (random_scalar(world.random) for _ in range(2))
        true = world.context(DOCTOR, sn)
        self.context = RequestContext(true.epoch, true.pk_BC, base_mul(self.d).encode(), base_mul(self.e).encode())


def sent_through(world: World, middle: Middle, sn: int) -> ConsultationRequest:
    draft = RequestDraft.begin(world.domain, world.credential(), DOCTOR, sn, middle.context, world.now_ms + 60_000, world.random)
    summary, U = world.r.cloud.upload(b"x" * 40, world.now_ms + 10_000_000)
    return draft.finish(summary.digest, summary.size_bytes, U, bytes(32), world.random)[0]


def test_a_directory_that_lies_about_the_doctors_keys(world: World, monkeypatch):
    """Nodes look W_D and E_sn up themselves, and t0 holds them: the request that was sealed to the middle is not admitted."""
    sn = world.free_slot()
    middle = Middle(world, sn)
    sent = sent_through(world, middle, sn)
    statement = request_statement(world.domain, sent, middle.context)
    A = decode_point(sent.A)
    assert open_doctor_seal(statement, sent, A.mul(middle.d), A.mul(middle.e))[1], "the middle does read the patient's pid"
    assert world.at_node(sent) == "bad-seal", "which is why wallets take keys with a proof; but it is never admitted"
    assert world.at_doctor(sent) == "bad-seal"

    weaken(monkeypatch, rq.own_fields, lambda ID_D, sn, context: (ID_D, sn))
    loose = sent_through(world, middle, sn)
    assert world.at_node(loose) is None, "with the keys out of t0 nodes admit what only the middle can read"


def test_a_directory_that_lies_about_the_epochs_key(world: World):
    """S sealed to the middle's pk_BC: the nodes cannot open it."""
    sn = world.free_slot()
    mine = random_scalar(world.random)
    false = replace(world.context(DOCTOR, sn), pk_BC=base_mul(mine).encode())
    draft = RequestDraft.begin(world.domain, world.credential(), DOCTOR, sn, false, world.now_ms + 60_000, world.random)
    summary, U = world.r.cloud.upload(b"x" * 40, world.now_ms + 10_000_000)
    sent, _ = draft.finish(summary.digest, summary.size_bytes, U, bytes(32), world.random)
    assert world.at_node(sent) == "bad-seal"


def test_the_middle_replaces_the_one_time_key(world: World):
    """A' = a'*P0 of its own, S and S_D re-sealed as well as it can: it does not know what is inside."""
    sent = world.request()
    a = random_scalar(world.random)
    assert world.at_node(altered(sent, A=base_mul(a).encode())) == "bad-seal"
    assert world.at_node(altered(sent, A=(decode_point(sent.A) + base_mul(a)).encode())) == "bad-seal"


def test_the_middle_redirects_to_another_doctor_or_slot(world: World):
    sent = world.request()
    for changes in ({"ID_D": OTHER_DOCTOR}, {"sn": world.free_slot()}):
        moved = altered(sent, **changes)
        assert world.at_node(moved) == "bad-seal"
        assert refusal(world.doctor_reads, moved, moved.ID_D) == "bad-seal"
