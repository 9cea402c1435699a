"""Registration and revocation on the ledger: issued by the centre, one live key a name, at most f seats revoked."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from salus.consultation.node_record import BlsSecret, NodeRecord, make_node_record
from salus.consultation.registration import (
    CLOUD,
    DOCTOR,
    INSTITUTION,
    NO_QUARTER,
    NODE,
    MemberKey,
    SecretValue,
    issue_partial_key,
    prove_possession,
    quarter_of,
)
from salus.consultation.shared_value import EpochSecret
from salus.ledger.epoch_state import STATUS
from salus.ledger.kinds.parties import (
    DIRECTORY,
    DIRECTORY_COUNT,
    INSTITUTIONS,
    NODES,
    PARTIES,
    InstitutionRegistration,
    NodeRegistration,
    PartyRegistration,
    PartyRevocation,
    PatientRevocation,
    credential_revoked,
    directory_key,
    key_digest,
    party_key,
)
from salus.ledger.quarters import credentials_dead_ms
from support.ledger_world import Chain, LedgerWorld

UNSIGNED = bytes(64)


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("parties")


@pytest.fixture
def chain(world: LedgerWorld) -> Chain:
    return world.chain()


def reason(chain: Chain, raw: bytes) -> str:
    (result,) = chain.application.check_transactions([raw], chain.time_ms + 1000)
    verdict = chain.application.validate_proposal(chain.input([raw]), secret_checks=True)
    assert verdict.valid == result.accepted
    return result.reason


def member(world: LedgerWorld, role: str, name: str) -> tuple[MemberKey, bytes]:
    secret = SecretValue.draw(world.random)
    possession = prove_possession(world.network, role, name, NO_QUARTER, 0, secret.x, secret.P, world.random)
    partial = issue_partial_key(world.centre.w, role, name, NO_QUARTER, secret.P, world.random)
    return MemberKey.finish(role, name, secret, partial, world.centre.Pub), possession


def node(world: LedgerWorld, name: str = "hospital-9/node") -> tuple[MemberKey, NodeRecord]:
    key, _ = member(world, NODE, name)
    consensus = Ed25519PrivateKey.from_private_bytes(world.random(32))
    bls, epoch = BlsSecret.generate(world.random), EpochSecret.generate(2, world.random)
    return key, make_node_record(world.network, key, consensus, bls, epoch, world.random)


def register_node(world: LedgerWorld, record: NodeRecord, institution: str = "hospital-1/board") -> bytes:
    return world.by_centre(NodeRegistration(record, institution, "A node", UNSIGNED))


def revoke(world: LedgerWorld, role: str, name: str, W: bytes) -> bytes:
    return world.by_centre(PartyRevocation(role, name, key_digest(W), UNSIGNED))


@pytest.mark.parametrize("role", [DOCTOR, CLOUD])
def test_register_revoke_and_register_anew(world: LedgerWorld, chain: Chain, role: str) -> None:
    name = "hospital-2/someone"
    raw, key = world.register(role, name)
    chain.decide([raw])
    party = PARTIES.get(chain.application.view(), party_key(role, name))
    assert party is not None
    assert (party.W, party.display_name, party.revoked_ms) == (key.W_bytes, name.upper(), 0)
    second, new_key = world.register(role, name)
    assert reason(chain, second) == "already-registered"
    assert reason(chain, revoke(world, role, name, new_key.W_bytes)) == "not-found"
    chain.decide([revoke(world, role, name, key.W_bytes)])
    revoked = PARTIES.get(chain.application.view(), party_key(role, name))
    assert revoked is not None
    assert revoked.revoked_ms == chain.time_ms
    assert reason(chain, revoke(world, role, name, key.W_bytes)) == "revoked"
    chain.decide([second])
    view = chain.application.view()
    again = PARTIES.get(view, party_key(role, name))
    assert again is not None
    assert (again.W, again.revoked_ms) == (new_key.W_bytes, 0)
    # The name stands once in the list of its role.
    count = DIRECTORY_COUNT.need(view, role.encode()).count
    names = [DIRECTORY.need(view, directory_key(role, i)).name for i in range(count)]
    assert names.count(name) == 1
    # An old revocation cannot end the new key.
    assert reason(chain, revoke(world, role, name, key.W_bytes)) == "not-found"


def test_every_refusal_of_a_registration(world: LedgerWorld, chain: Chain) -> None:
    key, possession = member(world, DOCTOR, "hospital-2/dr")
    record = key.record()
    other, _ = member(world, DOCTOR, "hospital-2/dr")

    def signed(**changes: Any) -> bytes:
        return world.by_centre(replace(PartyRegistration(record, "Dr", possession, UNSIGNED), **changes))

    unsigned = PartyRegistration(record, "Dr", possession, UNSIGNED)
    forged = replace(unsigned, signature=key.sign(world.network, "sig-centre", unsigned.to_value()[:-1], world.random))
    institution, proof = member(world, INSTITUTION, "hospital-9/board")
    cases = [
        (unsigned.encode(), "bad-signature"),
        (forged.encode(), "bad-signature"),
        (signed(member=replace(record, role=NODE)), "bad-encoding"),
        (signed(member=institution.record(), possession=proof), "bad-encoding"),
        (signed(member=replace(record, name="Hospital/dr")), "bad-encoding"),
        (signed(member=replace(record, name="hospital-2/other")), "bad-possession"),
        (signed(member=replace(record, P=other.P)), "bad-possession"),
        (signed(member=replace(record, P=bytes(32))), "bad-point"),
        (signed(member=replace(record, Q=bytes(32))), "bad-point"),
        (signed(possession=bytes(64)), "bad-possession"),
    ]
    for raw, expected in cases:
        assert reason(chain, raw) == expected
    assert reason(chain, signed()) == ""


def test_institutions(world: LedgerWorld, chain: Chain) -> None:
    key, possession = member(world, INSTITUTION, "hospital-9/board")

    def signed(**changes: Any) -> bytes:
        draft = InstitutionRegistration(key.record(), "Ninth", possession, "HL2", 5, UNSIGNED)
        return world.by_centre(replace(draft, **changes))

    assert reason(chain, signed(level="HL3")) == "bad-encoding"
    assert reason(chain, signed(weight=1 << 32)) == "bad-encoding"
    assert reason(chain, signed(member=replace(key.record(), role=DOCTOR))) == "bad-encoding"
    chain.decide([signed()])
    found = INSTITUTIONS.get(chain.application.view(), b"hospital-9/board")
    assert found is not None
    assert (found.level, found.weight) == ("HL2", 5)


def test_nodes(world: LedgerWorld, chain: Chain) -> None:
    _, record = node(world)
    assert reason(chain, register_node(world, record, "no/board")) == "unknown-party"
    assert reason(chain, register_node(world, replace(record, bls_key=world.nodes[0].bls.public))) == "bad-possession"
    assert reason(chain, register_node(world, replace(record, signature=bytes(64)))) == "bad-point"
    chain.decide([register_node(world, record)])
    found = NODES.get(chain.application.view(), b"hospital-9/node")
    assert found is not None
    assert found.record == record
    # A consensus key that has a seat is not taken a second time.
    thief, _ = member(world, NODE, "hospital-8/node")
    bls, epoch = BlsSecret.generate(world.random), EpochSecret.generate(2, world.random)
    stolen = make_node_record(world.network, thief, world.nodes[0].consensus, bls, epoch, world.random)
    assert reason(chain, register_node(world, stolen)) == "used-key"


def test_the_centre_can_have_f_seats_revoked_and_no_more(world: LedgerWorld, chain: Chain) -> None:
    chain.start_epoch()
    first, second = world.nodes[0].member, world.nodes[1].member
    _, spare = node(world)
    chain.decide([register_node(world, spare)])
    assert STATUS.need(chain.application.view(), b"").renew == 0
    chain.decide([revoke(world, NODE, first.name, first.W_bytes)])
    # A fresh shared value is due at once.
    assert STATUS.need(chain.application.view(), b"").renew == 1
    assert reason(chain, revoke(world, NODE, second.name, second.W_bytes)) == "not-authorised"
    both = [revoke(world, NODE, second.name, second.W_bytes)]
    assert chain.propose(both) == []
    # A node without a seat is another matter.
    W = spare.member.public_key(world.centre.Pub).encode()
    assert reason(chain, revoke(world, NODE, spare.member.name, W)) == ""


def test_patients_credentials(world: LedgerWorld, chain: Chain) -> None:
    quarter = quarter_of(chain.time_ms)
    digests = tuple(sorted(world.random(32) for _ in range(256)))

    def signed(**changes: Any) -> bytes:
        return world.by_centre(replace(PatientRevocation(quarter, digests, UNSIGNED), **changes))

    assert reason(chain, signed(digests=digests[::-1])) == "bad-encoding"
    assert reason(chain, signed(digests=(digests[0], digests[0]))) == "bad-encoding"
    assert reason(chain, signed(quarter=quarter - 2)) == "wrong-quarter"
    assert reason(chain, signed(quarter=1)) == "wrong-quarter"
    assert reason(chain, signed(quarter=2**40)) == "wrong-quarter"
    chain.decide([signed()])
    view, now = chain.application.view(), chain.time_ms
    assert all(credential_revoked(view, digest, now) for digest in digests)
    assert not credential_revoked(view, bytes(32), now)
    dead = credentials_dead_ms(quarter, world.genesis.core.constants)
    assert credential_revoked(view, digests[0], dead - 1)
    assert not credential_revoked(view, digests[0], dead)
    chain.decide([], dead + 24 * 3600_000)
    assert chain.application.view().get("revoked-credential", digests[0]) is None


def test_only_the_centre_revokes(world: LedgerWorld, chain: Chain) -> None:
    raw, key = world.register(DOCTOR, "hospital-2/dr")
    chain.decide([raw])
    draft = PartyRevocation(DOCTOR, "hospital-2/dr", key_digest(key.W_bytes), UNSIGNED)
    forged = replace(draft, signature=key.sign(world.network, "sig-centre", draft.to_value()[:-1], world.random))
    assert reason(chain, forged.encode()) == "bad-signature"
    for role, name in ((DOCTOR, "no/body"), ("centre", "salus/centre"), ("patient", "x/y")):
        assert reason(chain, world.by_centre(PartyRevocation(role, name, bytes(32), UNSIGNED))) == "unknown-party"
