"""Claim: the centre alone makes no quorum of institutions, neither by registering some nor by revoking others.

The quorum approves every opening of a sender and every protocol version. The centre registers and revokes institutions alone, so
an institution has a say only by genesis, or because more than 2/3 of those with a say admitted it.
"""

from __future__ import annotations

import pytest

from salus.consensus import block as b
from salus.consultation.registration import (
    INSTITUTION,
    NO_QUARTER,
    MemberKey,
    SecretValue,
    issue_partial_key,
    prove_possession,
)
from salus.consultation.tracing import approve_trace, ask_trace, record_opening
from salus.ledger.kinds import voters
from salus.ledger.kinds.parties import (
    DIRECTORY,
    DIRECTORY_COUNT,
    InstitutionRegistration,
    PartyRevocation,
    directory_key,
    key_digest,
)
from salus.ledger.kinds.protocol import Activation, approve_activation
from salus.ledger.kinds.voters import Admission, Approval, approve_admission
from salus.ledger.state import StateView
from support.ledger_world import Chain, LedgerWorld

UNSIGNED = bytes(64)
SYBILS = 9


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("sybils")


@pytest.fixture
def chain(world: LedgerWorld) -> Chain:
    return world.chain()


def reason(chain: Chain, raw: bytes) -> str:
    return chain.application.validate_proposal(chain.input([raw]), secret_checks=True).reason


def register(world: LedgerWorld, name: str) -> tuple[bytes, MemberKey]:
    """An institution of the centre's making: it knows the key."""
    secret = SecretValue.draw(world.random)
    possession = prove_possession(world.network, INSTITUTION, name, NO_QUARTER, 0, secret.x, secret.P, world.random)
    partial = issue_partial_key(world.centre.w, INSTITUTION, name, NO_QUARTER, secret.P, world.random)
    key = MemberKey.finish(INSTITUTION, name, secret, partial, world.centre.Pub)
    return world.by_centre(InstitutionRegistration(key.record(), name, possession, "HL2", 1, UNSIGNED)), key


def revoke(world: LedgerWorld, key: MemberKey) -> bytes:
    return world.by_centre(PartyRevocation(INSTITUTION, key.name, key_digest(key.W_bytes), UNSIGNED))


def open_case(world: LedgerWorld, chain: Chain) -> bytes:
    doctor = chain.ready(1)
    request, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    ask = ask_trace(world.network, doctor.key, request.tx_hash(), bytes(32), "curiosity", world.random).encode()
    chain.decide([request.encode()])
    chain.decide([ask])
    return b.transaction_hash(ask)


def approval(world: LedgerWorld, key: MemberKey, case: bytes) -> bytes:
    return approve_trace(world.network, key, case, world.random).encode()


def opening(world: LedgerWorld, case: bytes) -> bytes:
    return record_opening(world.network, world.centre, "salus/centre", case, world.random).encode()


def activation(world: LedgerWorld, chain: Chain, keys: list[MemberKey]) -> bytes:
    height = chain.application.info().height + 1 + world.genesis.core.constants.activation_notice_blocks
    by_name = sorted(keys, key=lambda key: key.name)
    return Activation(2, height, tuple(approve_activation(world.network, k, 2, height, world.random) for k in by_name)).encode()


def admission(world: LedgerWorld, keys: list[MemberKey], admitted: MemberKey) -> bytes:
    by_name = sorted(keys, key=lambda key: key.name)
    approvals = tuple(approve_admission(world.network, k, admitted.name, admitted.W_bytes, world.random) for k in by_name)
    return Admission(admitted.name, key_digest(admitted.W_bytes), approvals).encode()


def sybils(world: LedgerWorld, chain: Chain) -> list[MemberKey]:
    made = [register(world, f"sybil-{i}/board") for i in range(SYBILS)]
    chain.decide([raw for raw, _ in made])
    return [key for _, key in made]


def test_institutions_of_the_centres_making_have_no_say(world: LedgerWorld, chain: Chain) -> None:
    case, own = open_case(world, chain), sybils(world, chain)
    assert reason(chain, approval(world, own[0], case)) == "not-authorised"
    assert reason(chain, activation(world, chain, own)) == "not-authorised"
    assert reason(chain, admission(world, own[1:], own[0])) == "not-authorised"
    # And they do not make the quorum of the others larger.
    chain.decide([approval(world, m, case) for m in world.institutions[:3]])
    assert reason(chain, opening(world, case)) == ""


def test_where_every_registration_has_a_say_the_centre_opens_what_it_likes(
    world: LedgerWorld, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def registered(view: StateView) -> list[str]:
        count = DIRECTORY_COUNT.need(view, INSTITUTION.encode()).count
        return [DIRECTORY.need(view, directory_key(INSTITUTION, i)).name for i in range(count)]

    monkeypatch.setattr(voters, "has_say", lambda view, party: not party.revoked_ms)
    monkeypatch.setattr(voters, "voters", registered)
    case, own = open_case(world, chain), sybils(world, chain)
    chain.decide([approval(world, key, case) for key in own])
    chain.decide([opening(world, case)])
    assert reason(chain, activation(world, chain, own)) == "", "and stops every node at a version that none knows"


def test_revoking_institutions_lowers_no_bar(world: LedgerWorld, chain: Chain) -> None:
    case = open_case(world, chain)
    chain.decide([revoke(world, m) for m in world.institutions[1:]])
    accomplice = world.institutions[0]
    chain.decide([approval(world, accomplice, case)])
    assert reason(chain, opening(world, case)) == "no-quorum"
    assert reason(chain, activation(world, chain, [accomplice])) == "no-quorum"


def test_a_founder_whose_name_the_centre_registers_anew_has_no_say(world: LedgerWorld, chain: Chain) -> None:
    case, founder = open_case(world, chain), world.institutions[0]
    chain.decide([revoke(world, founder)])
    raw, own = register(world, founder.name)
    chain.decide([raw])
    assert reason(chain, approval(world, own, case)) == "not-authorised"
    # A founder who really lost its key gets its say back from the others, and counts once.
    assert reason(chain, admission(world, world.institutions[1:3], own)) == "no-quorum"
    chain.decide([admission(world, world.institutions[1:4], own)])
    assert reason(chain, approval(world, own, case)) == ""
    assert voters.voters(chain.application.view()) == [m.name for m in world.institutions]


def test_admitted_institutions_are_counted(world: LedgerWorld, chain: Chain) -> None:
    case = open_case(world, chain)
    raw, fifth = register(world, "sybil-0/board")
    chain.decide([raw])
    good = Admission.decode(admission(world, world.institutions[:3], fifth))
    assert reason(chain, Admission(good.institution, bytes(32), good.approvals).encode()) == "not-found"
    assert reason(chain, Admission(good.institution, good.key_digest, good.approvals[::-1]).encode()) == "bad-encoding"
    unsigned = Approval(good.approvals[2].institution, bytes(64))
    forged = Admission(good.institution, good.key_digest, (*good.approvals[:2], unsigned))
    assert reason(chain, forged.encode()) == "bad-signature"
    chain.decide([good.encode()])
    assert reason(chain, good.encode()) == "already-done"
    chain.decide([approval(world, m, case) for m in world.institutions[:3]])
    assert reason(chain, opening(world, case)) == "no-quorum", "three of five are not more than two thirds"
    chain.decide([approval(world, fifth, case)])
    assert reason(chain, opening(world, case)) == ""
