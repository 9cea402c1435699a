"""Claim: clouds and nodes give a record to the owner of its scope and to the reader of a grant that holds now; nobody else's key,
and no proof that was good a moment ago, opens it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from salus import labels
from salus.cloud import sharing_messages as sm
from salus.cloud import sharing_records
from salus.errors import Refused
from salus.groups.proofs import schnorr_verify
from salus.groups.ristretto255 import decode_point
from salus.ledger import reading
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.scope_keys import SUITE
from salus.ledger.reading import PROOF_AGE_MS, prove_reader
from support.consultation_world import weaken
from support.embedded import Clock, found_network
from support.sharing_network import Sharing
from support.stored_record import Stored

READER = "st-anne/board"


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Sharing]:
    with found_network(tmp_path_factory.mktemp("readers") / "home", now_ms=clock) as network:
        yield Sharing(network)


@pytest.fixture(scope="module")
def stored(world: Sharing) -> Stored:
    made = Stored(world, world.owner())
    made.put()
    return made


def said(call: Any, *arguments: Any) -> str:
    """The reason of a refusal; empty if what was asked for was given."""
    try:
        call(*arguments)
    except Refused as refused:
        return refused.reason
    return ""


def ways_to_read(stored: Stored, proof_for: Any) -> list[str]:
    """What cloud and node say to a proof, at each method that gives something of a record."""
    world, node = stored.world, stored.world.node(1).name
    cloud = stored.cloud
    return [
        said(world.call, cloud, sm.RECORD_INFO, sm.RecordInfoRequest(proof_for(cloud))),
        said(world.call, cloud, sm.RECORD_RANGE, sm.RecordRange(proof_for(cloud), 0, 100)),
        said(world.call, cloud, sm.RECORD_PROOF, sm.RecordProof(proof_for(cloud), 0, 1)),
        said(world.call, node, m.METADATA, m.MetadataRequest(proof_for(node))),
    ]


def any_scope_reads(view: Any, network: bytes, proof: Any, record: Any) -> None:
    """The check of an owner without the question whose record it is."""
    schnorr_verify(labels.SIG_SCOPE, SUITE, decode_point(proof.V, "V"), (network, proof.V), proof.signed(), proof.signature)


def test_another_owners_key_reads_nothing(world: Sharing, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner is one of thousands, and has a key and an open scope like every other."""
    other = world.owner("riverside/board", "imaging")
    assert other.V != stored.owner.V
    assert ways_to_read(stored, stored.by_owner) == [""] * 4
    assert ways_to_read(stored, lambda party: stored.by_owner(party, other)) == ["not-granted"] * 4
    # Named as the owner's, it does not verify.
    renamed = lambda party: replace(stored.by_owner(party, other), V=stored.owner.V)  # noqa: E731
    assert [reason in ("bad-signature", "bad-proof") for reason in ways_to_read(stored, renamed)] == [True] * 4
    weaken(monkeypatch, reading._check_owner, any_scope_reads)
    assert ways_to_read(stored, lambda party: stored.by_owner(party, other)) == [""] * 4


def test_an_owners_proof_is_for_one_record_one_party_and_some_minutes(world: Sharing, stored: Stored, clock: Clock) -> None:
    """Overheard, it opens no other record of the scope, nothing elsewhere, and nothing later."""
    second = Stored(world, stored.owner)
    second.put()
    moved = lambda party: replace(stored.by_owner(party), rid=second.rid)  # noqa: E731
    assert [reason in ("bad-signature", "bad-proof") for reason in ways_to_read(second, moved)] == [True] * 4
    assert ways_to_read(stored, lambda party: stored.by_owner("another/party")) == ["wrong-request"] * 4
    early = {party: stored.by_owner(party) for party in (stored.cloud, world.node(1).name)}
    clock.advance(PROOF_AGE_MS + 1000)
    assert ways_to_read(stored, early.__getitem__) == ["wrong-request"] * 4


def revoked_while_reading(world: Sharing, stored: Stored, clock: Clock) -> list[str]:
    """A reader fetches a body range by range; between two of them the owner's revocation is committed. What it is told then:

    at once, and when as much time has passed as a proof is remembered for.
    """
    owner, reader = stored.owner, world.institution(READER)
    delegation = world.delegate(owner, world.key(owner))
    (share,), _ = world.request(reader, [(stored.rid, delegation)])
    world.granted(share)
    proof = prove_reader(world.id, reader, stored.rid, share, stored.cloud, world.network.now_ms(), world.random)
    piece = lambda at: world.call(stored.cloud, sm.RECORD_RANGE, sm.RecordRange(proof, at, 100))  # noqa: E731
    piece(0)
    world.revoke(owner, delegation)
    clock.advance(sharing_records.SEEN_MS + 1 if sharing_records.SEEN_MS < 10_000 else 10_000)
    return [said(piece, at) for at in (100, 200)]


def test_reading_ends_when_a_revocation_commits(world: Sharing, stored: Stored, clock: Clock, monkeypatch: Any) -> None:
    world.grant(READER, "role:doctor")
    first, second = revoked_while_reading(world, stored, clock)
    assert first == second != ""
    monkeypatch.setattr(sharing_records, "SEEN_MS", 1 << 60)
    assert revoked_while_reading(world, stored, clock) == ["", ""], "a cloud that remembers for ever reads the whole body out"
