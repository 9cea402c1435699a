"""Claim: what a node remembers of an envelope spares it arithmetic, and never a look at revocation and quarter.

A node opens and verifies an envelope once, and remembers that it passed. Somebody who sends many others makes it forget the
oldest; a sender who was revoked in between must not slip through where that happens in the middle of a proposal's check.
"""

from __future__ import annotations

import pytest

from salus.ledger.kinds.parties import PatientRevocation
from salus.node import admission
from salus.node.admission import Admission
from support.ledger_world import GENESIS_MS, Chain, Doctor, LedgerWorld

UNSIGNED = bytes(64)


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("passes")


def started(world: LedgerWorld) -> tuple[Chain, Doctor, Admission]:
    checker = Admission(world.domain, world.secrets())
    chain = world.chain(secrets=checker)
    chain.start_epoch()
    raw, doctor = world.doctor()
    chain.decide([raw])
    chain.decide([world.slots(doctor, 0, 4)])
    return chain, doctor, checker


def revoke(world: LedgerWorld, hp: bytes, quarter: int) -> bytes:
    return world.by_centre(PatientRevocation(quarter, (hp,), UNSIGNED))


def test_a_revoked_sender_stays_refused_while_passes_are_forgotten(world: LedgerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "REMEMBERED_MAX", 2)
    chain, doctor, _ = started(world)
    credential = world.credential(GENESIS_MS)
    mine, _ = world.request(doctor, 0, time_ms=chain.time_ms, credential=credential)
    assert chain.application.check_transactions([mine.encode()], chain.time_ms + 1)[0].accepted
    chain.decide([revoke(world, credential.hp, credential.quarter)])
    others = [world.request(doctor, sn, time_ms=chain.time_ms)[0].encode() for sn in (1, 2, 3)]
    # The others are new to the node, so that checking them makes it forget mine, in this very call.
    verdict = chain.application.validate_proposal(chain.input([mine.encode(), *others]), secret_checks=True)
    assert (verdict.valid, verdict.reason) == (False, "revoked")
    assert chain.propose([mine.encode(), *others]) == others


def test_a_pass_that_is_remembered_is_checked_again(world: LedgerWorld) -> None:
    chain, doctor, _ = started(world)
    credential = world.credential(GENESIS_MS)
    mine, _ = world.request(doctor, 0, time_ms=chain.time_ms, credential=credential)
    assert chain.propose([mine.encode()]) == [mine.encode()]
    chain.decide([revoke(world, credential.hp, credential.quarter)])
    assert chain.propose([mine.encode()]) == []
