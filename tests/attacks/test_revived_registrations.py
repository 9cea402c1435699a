"""Claim: what was revoked stays revoked, and the centre gets no seat among the nodes.

Registrations and revocations are public and signed once; anyone can submit them again. And the centre signs registrations
alone, so what it may register must not give it a place that only an election gives.
"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salus.consultation.node_record import BlsSecret, make_node_record
from salus.consultation.registration import (
    CLOUD,
    DOCTOR,
    INSTITUTION,
    NO_QUARTER,
    NODE,
    SecretValue,
    prove_possession,
    quarter_of,
)
from salus.consultation.shared_value import EpochSecret, open_theta_box, publish_epoch_key
from salus.errors import Refused
from salus.groups.ristretto255 import base_mul
from salus.ledger.kinds import parties
from salus.ledger.kinds.parties import (
    InstitutionRegistration,
    NodeRegistration,
    PartyRevocation,
    PatientRevocation,
    credential_revoked,
    key_digest,
    live_party,
)
from salus.ledger.quarters import credentials_dead_ms
from salus.node.duties import EpochDuties
from support.ledger_world import Chain, LedgerWorld

UNSIGNED = bytes(64)


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("revived")


@pytest.fixture
def chain(world: LedgerWorld) -> Chain:
    return world.chain()


def reason(chain: Chain, raw: bytes) -> str:
    verdict = chain.application.validate_proposal(chain.input([raw]), secret_checks=True)
    (result,) = chain.application.check_transactions([raw], chain.time_ms + 1000)
    assert result.reason == verdict.reason
    return verdict.reason


def revoke(world: LedgerWorld, role: str, name: str, W: bytes) -> bytes:
    return world.by_centre(PartyRevocation(role, name, key_digest(W), UNSIGNED))


def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the repair out: nobody remembers which keys were revoked."""
    monkeypatch.setattr(parties, "_check_never_revoked", lambda view, W: None)


# --- an old registration, submitted again by the thief of the key ---


@pytest.mark.parametrize("role", [DOCTOR, CLOUD])
def test_an_old_registration_does_not_bring_a_revoked_key_back(world: LedgerWorld, chain: Chain, role: str) -> None:
    name = "hospital-2/someone"
    registration, key = world.register(role, name)
    chain.decide([registration])
    chain.decide([revoke(world, role, name, key.W_bytes)])
    assert reason(chain, registration) == "revoked"
    # Nor after another key had its time under that name.
    second, other = world.register(role, name)
    chain.decide([second])
    chain.decide([revoke(world, role, name, other.W_bytes)])
    assert [reason(chain, raw) for raw in (registration, second)] == ["revoked", "revoked"]
    # Nor does the centre's fresh signature on the old key.
    third, live = world.register(role, name)
    chain.decide([third])
    assert live.W_bytes == live_party(chain.application.view(), role, name).W


def test_without_a_memory_of_revoked_keys_the_thief_lives_on(
    world: LedgerWorld, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_memory(monkeypatch)
    registration, key = world.register(DOCTOR, "hospital-2/dr")
    chain.decide([registration])
    chain.decide([revoke(world, DOCTOR, "hospital-2/dr", key.W_bytes)])
    chain.decide([registration])
    assert key.W_bytes == live_party(chain.application.view(), DOCTOR, "hospital-2/dr").W


def test_an_institution_and_a_node_neither(world: LedgerWorld, chain: Chain) -> None:
    secret = SecretValue.draw(world.random)
    name = "hospital-9/board"
    possession = prove_possession(world.network, INSTITUTION, name, NO_QUARTER, 0, secret.x, secret.P, world.random)
    Q = world.member(INSTITUTION, name).Q
    record = parties.MemberRecord(INSTITUTION, name, secret.P, Q)
    W = record.public_key(world.centre.Pub).encode()
    registration = world.by_centre(InstitutionRegistration(record, "Ninth", possession, "HL2", 1, UNSIGNED))
    chain.decide([registration])
    node, _ = node_registration(world, "hospital-9/node")
    chain.decide([node])
    W_node = live_party(chain.application.view(), NODE, "hospital-9/node").W
    chain.decide([revoke(world, INSTITUTION, name, W), revoke(world, NODE, "hospital-9/node", W_node)])
    assert [reason(chain, raw) for raw in (registration, node)] == ["revoked", "revoked"]


# --- the centre takes a seat ---


def node_registration(world: LedgerWorld, name: str) -> tuple[bytes, Any]:
    """A node of the centre's own making, under any name."""
    key = world.member(NODE, name)
    consensus = Ed25519PrivateKey.from_private_bytes(world.random(32))
    epoch = EpochSecret.generate(2, world.random)
    record = make_node_record(world.network, key, consensus, BlsSecret.generate(world.random), epoch, world.random)
    registration = NodeRegistration(record, "hospital-1/board", "A node", UNSIGNED)
    return world.by_centre(registration), (key, epoch)


def take_a_seat(world: LedgerWorld, chain: Chain) -> str:
    """The centre revokes the node of a seat, registers one of its own in its place and posts a key for the next epoch."""
    chain.start_epoch()
    victim = world.nodes[0].member
    chain.decide([revoke(world, NODE, victim.name, victim.W_bytes)])
    registration, (key, epoch) = node_registration(world, victim.name)
    try:
        chain.decide([registration])
    except AssertionError:
        return reason(chain, registration)
    return reason(chain, publish_epoch_key(world.network, key, epoch, world.random).encode())


def test_the_centre_does_not_take_the_seat_of_a_revoked_node(world: LedgerWorld, chain: Chain) -> None:
    assert take_a_seat(world, chain) == "not-authorised"
    # So f seats stay the bound: a second one is not revoked because the first seems filled again.
    second = world.nodes[1].member
    assert reason(chain, revoke(world, NODE, second.name, second.W_bytes)) == "not-authorised"


def test_a_seat_that_registration_fills_lets_the_centre_into_the_next_epoch(
    world: LedgerWorld, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = parties.refuse_unless

    def lenient(condition: bool, why: str, detail: str = "") -> None:
        if "waits for an election" not in detail:
            check(condition, why, detail)

    monkeypatch.setattr(parties, "refuse_unless", lenient)
    assert take_a_seat(world, chain) == "", "the centre's own node is dealt the next shared value"


# --- a patient's revocation, submitted again ---


def test_a_patients_revocation_is_recorded_once_and_never_shortened(world: LedgerWorld, chain: Chain) -> None:
    quarter = quarter_of(chain.time_ms)
    hp, other = sorted(world.random(32) for _ in range(2))
    short = world.by_centre(PatientRevocation(quarter, (hp,), UNSIGNED))
    long = world.by_centre(PatientRevocation(quarter + 1, (hp, other), UNSIGNED))
    chain.decide([short])
    assert reason(chain, short) == "already-done", "else anyone makes the ledger grow by what the centre once signed"
    chain.decide([long])
    assert [reason(chain, raw) for raw in (short, long)] == ["already-done", "already-done"]
    dead = credentials_dead_ms(quarter, world.genesis.core.constants)
    assert credential_revoked(chain.application.view(), hp, dead)
    both = world.by_centre(PatientRevocation(quarter, tuple(sorted((hp, world.random(32)))), UNSIGNED))
    chain.decide([both])
    assert credential_revoked(chain.application.view(), hp, dead), "a later, shorter revocation shortens nothing"


# --- a revoked node asks the others for the shared value ---


class Held:
    """A node's secrets, as far as handing the shared value over needs them."""

    def __init__(self, world: LedgerWorld, index: int) -> None:
        self.member = world.nodes[index].member
        self._thetas = world.thetas

    def theta(self, epoch: int, T: bytes) -> Any:
        return self._thetas.get(epoch)


def test_a_revoked_node_gets_no_shared_value_from_the_others(
    world: LedgerWorld, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.start_epoch()
    constants, thief = world.genesis.core.constants, world.nodes[3]
    holder: Any = Held(world, 0)
    ask: Any = None
    duties = EpochDuties(holder, world.network, world.domain.Pub_bytes, constants, ask, world.random)
    chain.decide([revoke(world, NODE, thief.member.name, thief.member.W_bytes)])
    with pytest.raises(Refused, match="revoked"):
        duties.box_for(chain.application.view(), 1, thief.member.name)
    # Its place in the list of keys alone would be enough for whoever stole its keys.
    monkeypatch.setattr("salus.node.duties.live_party", lambda view, role, name: None)
    box = duties.box_for(chain.application.view(), 1, thief.member.name)
    T = base_mul(world.thetas[1]).encode()
    opened = open_theta_box(world.network, box, thief.member, thief.epoch, T, holder.member.W)
    assert opened == world.thetas[1]
