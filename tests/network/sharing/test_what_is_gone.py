"""Claim: what was rotated, revoked or has expired is gone from every file, and a node says so only after it is.

Who takes a disk later, or makes a node talk, finds what the ledger says is there and nothing older.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from salus.cloud.sharing_records import RecordShelf
from salus.errors import Refused, StorageError
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.node.sharing import revoking, role
from salus.node.sharing.attachments import UNNAMED_KEEP_MS, AttachmentStore
from salus.node.sharing.role import SWEEP_MS, SharingRole
from support.consultation_world import weaken
from support.embedded import Clock, found_network
from support.sharing_network import DAY_MS, Sharing, wait
from support.stored_record import Stored

YEARS = count(2001)


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Sharing]:
    with found_network(tmp_path_factory.mktemp("gone") / "home", now_ms=clock) as network:
        yield Sharing(network)


def owner_of(world: Sharing) -> ScopeKey:
    """An open scope that no other test uses."""
    return world.owner(period=f"{next(YEARS)}Q1")


def files_with(directories: list[Path], data: bytes) -> list[Path]:
    return [path for d in directories for path in d.rglob("*") if path.is_file() and data in path.read_bytes()]


def rotated(world: Sharing) -> tuple[list[Path], list[Path]]:
    """Rotate a record: where its old body is at the cloud afterwards, and where its old sealed metadata is at nodes and cloud."""
    stored = Stored(world, owner_of(world))
    stored.put()
    world.network.cloud.follow()
    old_body, old_sealed, home = stored.body[100:160], stored.sealed[40:80], world.network.home
    nodes = home.nodes()
    assert files_with([home.cloud], old_body)
    assert files_with([home.cloud], old_sealed)
    assert len(files_with(nodes, old_sealed)) == 4
    stored.rotate()
    world.network.cloud.follow()
    assert stored.read(stored.by_owner()) == stored.body
    assert len(files_with(nodes, stored.sealed[40:80])) == 4
    return files_with([home.cloud], old_body), files_with([home.cloud, *nodes], old_sealed)


def test_a_rotated_records_old_body_and_metadata_are_in_no_file(world: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old key may be known: that is what one rotates for."""
    assert rotated(world) == ([], [])
    for node in world.network.nodes:
        monkeypatch.setattr(node.sharing, "_forget_old_metadata", lambda rid: None)
    monkeypatch.setattr(RecordShelf, "forget_erased", lambda self, transactions: None)
    bodies, sealed = rotated(world)
    assert bodies
    assert len(sealed) == 5


def holders(world: Sharing, delegation: bytes) -> int:
    """Nodes that have c of a delegation, in memory and as a file."""
    digest = world.delegation(delegation).sealed.c_digest
    held = [node.sharing.delegations.holds(delegation, digest) for node in world.network.nodes]
    on_disk = [path for d in world.network.home.nodes() for path in (d / "sharing" / "delegations").glob(f"{delegation.hex()}.*")]
    assert len(on_disk) == sum(held)
    return sum(held)


def test_c_of_an_expired_delegation_and_what_was_never_named_are_swept(
    world: Sharing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody revokes what has ended by itself: without a sweep c lies there for whoever takes the node."""
    owner = owner_of(world)
    key = world.key(owner)
    sweep = SharingRole._sweep
    monkeypatch.setattr(SharingRole, "_sweep", lambda self, now_ms: None)
    ends, lasts = world.delegate(owner, key, days=1), world.delegate(owner, key, days=30)
    never = Stored(world, owner)
    world.everyone(m.ATTACH_METADATA, m.AttachMetadata(never.rid, never.sealed))
    clock.advance(DAY_MS + UNNAMED_KEEP_MS + SWEEP_MS)
    world.put(owner)  # a block of that time
    assert (holders(world, ends), holders(world, lasts)) == (4, 4)
    assert all(node.sharing.metadata.digests(never.rid) for node in world.network.nodes)
    monkeypatch.setattr(SharingRole, "_sweep", sweep)
    clock.advance(SWEEP_MS)
    world.put(owner)
    wait(world.network, lambda: holders(world, ends) == 0)
    assert holders(world, lasts) == 4
    wait(world.network, lambda: not any(node.sharing.metadata.digests(never.rid) for node in world.network.nodes))


def test_the_sweep_goes_through_more_than_it_looks_at_in_one_turn(
    world: Sharing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "SWEPT_AT_A_TIME", 2)
    owner = owner_of(world)
    key = world.key(owner)
    ending = [world.delegate(owner, key, days=1) for _ in range(5)]
    clock.advance(DAY_MS + SWEEP_MS)
    for _ in range(8):
        clock.advance(SWEEP_MS + 1)
        world.put(owner)
    assert [holders(world, delegation) for delegation in ending] == [0] * 5


# --- first gone, then signed ---


def unrevoked(world: Sharing) -> tuple[Any, bytes]:
    """A delegation of an owner, whose c every node has."""
    owner = owner_of(world)
    delegation = world.delegate(owner, world.key(owner))
    assert holders(world, delegation) == 4
    return owner, delegation


def test_a_node_signs_that_c_is_gone_when_it_is(world: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment of signing, c is in no file of that node."""
    owner, delegation = unrevoked(world)
    honest, seen = revoking.sign_deletion, []

    def sign(network: bytes, epoch: int, name: str, secret: bytes, about: bytes, digest: bytes) -> Any:
        place = [node.name for node in world.network.nodes].index(name)
        left = list((world.network.home.nodes()[place] / "sharing" / "delegations").glob(f"{about.hex()}.*"))
        seen.append((left, world.node(place).sharing.delegations.holds(about, digest)))
        return honest(network, epoch, name, secret, about, digest)

    weaken(monkeypatch, honest, sign)
    world.revoke(owner, delegation)
    wait(world.network, lambda: world.delegation(delegation).receipt is not None)
    assert len(seen) >= 3
    assert set(map(repr, seen)) == {"([], False)"}


def test_a_node_that_cannot_erase_does_not_sign(world: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails: the others make the receipt, and this node is not among those that signed."""
    owner, delegation = unrevoked(world)
    broken = world.node(2)
    honest = AttachmentStore.erase

    def erase(self: AttachmentStore, about: bytes, digest: bytes) -> None:
        if self is broken.sharing.delegations:
            raise StorageError("the disk is read-only")
        honest(self, about, digest)

    def later(item: Any, now_ms: int) -> list[bytes]:
        broken.sharing.backlog.again(item, now_ms + DAY_MS)
        return []

    monkeypatch.setattr(AttachmentStore, "erase", erase)
    monkeypatch.setattr(broken.sharing.revoking, "look", later)
    world.revoke(owner, delegation)
    with pytest.raises(Refused, match="read-only"):
        world.call(broken.name, m.DELETION, m.DeletionRequest(delegation))
    wait(world.network, lambda: world.delegation(delegation).receipt is not None)
    receipt = world.delegation(delegation).receipt
    assert receipt is not None
    signed = [seat.name for seat in world.committee.seats if receipt.signers[0] >> (8 - seat.index) & 1]
    assert broken.name not in signed
    assert len(signed) == 3
