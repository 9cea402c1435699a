"""Tracing cases and evidence of misbehaviour on the ledger."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.consensus import block as b
from salus.consultation.registration import INSTITUTION, MemberKey
from salus.consultation.tracing import approve_trace, ask_trace, record_opening
from salus.ledger.apply import apply_block
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.kinds.misbehaviour import CONVICTIONS, EQUIVOCATION, RECORDS, Evidence, conviction_key
from salus.ledger.kinds.parties import PartyRevocation, key_digest
from salus.ledger.kinds.tracing import CASES, find_case
from salus.ledger.kinds.voters import voters
from salus.symmetric import h2
from support.ledger_world import Chain, LedgerWorld


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("governance")


@pytest.fixture
def chain(world: LedgerWorld) -> Chain:
    return world.chain()


def reason(chain: Chain, raw: bytes) -> str:
    (result,) = chain.application.check_transactions([raw], chain.time_ms + 1000)
    assert chain.application.validate_proposal(chain.input([raw]), secret_checks=True).valid == result.accepted
    return result.reason


# --- tracing ---


def opening(world: LedgerWorld, case: bytes) -> bytes:
    return record_opening(world.network, world.centre, "salus/centre", case, world.random).encode()


def approval(world: LedgerWorld, member: MemberKey, case: bytes) -> bytes:
    return approve_trace(world.network, member, case, world.random).encode()


def test_a_case_is_opened_only_with_more_than_two_thirds(world: LedgerWorld, chain: Chain) -> None:
    doctor = chain.ready(2)
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    h1 = request.tx_hash()
    ask = ask_trace(world.network, doctor.key, h1, h2("tx", "test"), "a false request", world.random)
    assert reason(chain, ask.encode()) == "unknown-request"
    chain.decide([request.encode()])
    stranger = world.member(INSTITUTION, "hospital-9/board")
    assert reason(chain, ask_trace(world.network, stranger, h1, bytes(32), "x", world.random).encode()) == "unknown-party"
    assert reason(chain, replace(ask, grounds="other words").encode()) == "bad-signature"
    chain.decide([ask.encode()])
    case = b.transaction_hash(ask.encode())
    assert reason(chain, ask.encode()) == "already-done"
    assert reason(chain, approval(world, world.institutions[0], bytes(32))) == "unknown-case"
    assert reason(chain, approval(world, stranger, case)) == "unknown-party"
    assert reason(chain, approval(world, doctor.key, case)) == "unknown-party"
    chain.decide([approval(world, world.institutions[i], case) for i in (0, 1)])
    assert reason(chain, approval(world, world.institutions[1], case)) == "already-done"
    assert reason(chain, opening(world, case)) == "no-quorum"
    chain.decide([approval(world, world.institutions[2], case)])
    forged = replace(record_opening(world.network, world.centre, "salus/centre", case, world.random), centre="other/centre")
    assert reason(chain, forged.encode()) == "not-authorised"
    chain.decide([opening(world, case)])
    record = find_case(chain.application.view(), case)
    assert record.opened_ms == chain.time_ms
    assert record.approved_by == tuple(m.name for m in world.institutions[:3])
    assert reason(chain, opening(world, case)) == "already-done"


def test_approvals_of_revoked_institutions_do_not_count(world: LedgerWorld, chain: Chain) -> None:
    doctor = chain.ready(1)
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    chain.decide([request.encode()])
    ask = ask_trace(world.network, doctor.key, request.tx_hash(), bytes(32), "x", world.random)
    chain.decide([ask.encode()])
    case = b.transaction_hash(ask.encode())
    chain.decide([approval(world, m, case) for m in world.institutions[:3]])
    gone = world.institutions[0]
    chain.decide([world.by_centre(PartyRevocation(INSTITUTION, gone.name, key_digest(gone.W_bytes), bytes(64)))])
    # Two of the four who were given a say approve: not more than two thirds.
    assert len(voters(chain.application.view())) == 4
    assert reason(chain, opening(world, case)) == "no-quorum"
    chain.decide([approval(world, world.institutions[3], case)])
    assert reason(chain, opening(world, case)) == ""
    assert CASES.need(chain.application.view(), case).opened_ms == 0


# --- misbehaviour ---


def equivocation(world: LedgerWorld, node: int, height: int, view: int = 0, kind: str = b.PREPARE) -> b.Equivocation:
    first, second = sorted((world.random(32), world.random(32)))
    keys = world.nodes[node]
    signed = [keys.consensus.sign(b.vote_bytes(world.network, kind, height, view, x)) for x in (first, second)]
    return b.Equivocation(keys.member.name, kind, height, view, first, signed[0], second, signed[1])


def test_evidence_is_recorded_once(world: LedgerWorld, chain: Chain) -> None:
    chain.decide([])
    good = equivocation(world, 2, 1)
    wrong = [
        (replace(good, name=world.nodes[1].member.name), "bad-signature"),
        (replace(good, name="no/body"), "unknown-party"),
        (replace(good, first_signature=bytes(64)), "bad-signature"),
        (equivocation(world, 2, 3), "bad-evidence"),
        (equivocation(world, 2, 1, kind=b.NEW_VIEW), "bad-encoding"),
    ]
    for evidence, expected in wrong:
        assert reason(chain, Evidence(evidence).encode()) == expected
    chain.decide([Evidence(good).encode()])
    view, name = chain.application.view(), good.name
    assert RECORDS.need(view, name.encode()).convictions == 1
    # Another pair of ids of the same vote is the same offence; another view is another.
    assert reason(chain, Evidence(equivocation(world, 2, 1)).encode()) == "already-done"
    assert reason(chain, Evidence(equivocation(world, 2, 1, view=1)).encode()) == ""


def test_evidence_beside_the_transactions(world: LedgerWorld, chain: Chain) -> None:
    good = equivocation(world, 1, 1)
    bad = replace(good, view=9)
    block = replace(chain.input(()), misbehaviour=(b"rubbish", bad.encode(), good.encode(), good.encode()))
    assert chain.application.validate_proposal(block, secret_checks=True).valid
    applied = apply_block(REGISTRY, chain.application.view(), block)
    assert [e.name for e in applied.events] == ["misbehaviour.recorded"]
    chain.application.finalise_block(block)
    chain.application.commit(b"record", b"certificate")
    view = chain.application.view()
    assert RECORDS.need(view, good.name.encode()).convictions == 1
    subject = conviction_key(good.name, EQUIVOCATION, b.encode((good.vote_kind, 1, 0)))
    assert CONVICTIONS.get(view, subject) is not None


def test_missed_turns_are_counted(world: LedgerWorld, chain: Chain) -> None:
    result = chain.decide([], view=2)
    assert result.state_changed
    missed = world.validators.missed(1, 2)
    view = chain.application.view()
    assert [RECORDS.need(view, name.encode()).missed for name in missed] == [1, 1]
    assert not chain.decide([]).state_changed
