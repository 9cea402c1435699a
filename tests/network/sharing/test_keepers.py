"""What nodes and clouds keep of records: given to owner and granted readers alone, erased when it must be, never in clear."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus import labels
from salus.cloud import messages as cm
from salus.cloud import sharing_messages as sm
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing.messages import records as mr
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.reading import prove_reader
from salus.network.demonstration.destruction import destroy_cloud
from salus.network.embedded import EmbeddedNetwork
from salus.records.record import metadata_hash
from salus.transport import Transport
from support.embedded import CHEAP, PASSPHRASE
from support.sharing_network import Sharing
from support.stored_record import CANARY, Stored

READER = "st-anne/board"


@pytest.fixture
def stored(world: Sharing) -> Stored:
    made = Stored(world, world.owner())
    made.put("role:doctor@2025")
    return made


def reason(call: Any, *arguments: Any) -> str:
    with pytest.raises(Refused) as refusal:
        call(*arguments)
    return refusal.value.reason


def test_a_body_is_served_to_its_owner_and_against_a_committed_grant_to_that_reader_only(world: Sharing, stored: Stored) -> None:
    assert stored.read(stored.by_owner()) == stored.body
    world.grant(READER, "role:doctor")
    reader, other = world.institution(READER), world.institution("riverside/board")
    (share,), _ = world.request(reader, [(stored.rid, None)])
    world.granted(share)
    now = world.network.now_ms
    proof = prove_reader(world.id, reader, stored.rid, share, stored.cloud, now(), world.random)
    assert stored.read(proof) == stored.body
    info = world.call(stored.cloud, sm.RECORD_INFO, sm.RecordInfoRequest(proof))
    assert sm.RecordInfo.decode(info).sealed == stored.sealed
    stranger = prove_reader(world.id, other, stored.rid, share, stored.cloud, now(), world.random)
    assert reason(stored.read, stranger) == "not-granted"
    borrowed = prove_reader(world.id, reader, stored.rid, share, "another/cloud", now(), world.random)
    assert reason(stored.read, borrowed) == "wrong-request"
    old = prove_reader(world.id, reader, stored.rid, share, stored.cloud, now() - 600_000, world.random)
    assert reason(stored.read, old) == "wrong-request"
    unknown = prove_reader(world.id, reader, stored.rid, bytes(32), stored.cloud, now(), world.random)
    assert reason(stored.read, unknown) == "unknown-share"


def test_nobody_reads_a_record_by_its_digest_alone(world: Sharing, stored: Stored) -> None:
    digest = stored.summary.digest
    for method, message in (
        (cm.BODY_INFO, cm.BodyInfoRequest(digest)),
        (cm.BODY_RANGE, cm.BodyRangeRequest(digest, 0, 100)),
        (cm.BODY_PROOF, cm.BodyProofRequest(digest, 0, 1)),
    ):
        assert reason(world.call, stored.cloud, method, message) == "not-granted"


def test_a_waiting_request_opens_nothing(world: Sharing, stored: Stored) -> None:
    reader = world.institution("riverside/board")
    (share,), _ = world.request(reader, [(stored.rid, None)])
    proof = prove_reader(world.id, reader, stored.rid, share, stored.cloud, world.network.now_ms(), world.random)
    assert reason(stored.read, proof) == "not-granted"


def test_nodes_give_sealed_metadata_to_the_same_readers(world: Sharing, stored: Stored) -> None:
    name = world.node(1).name
    answer = world.call(name, m.METADATA, m.MetadataRequest(stored.by_owner(name)))
    assert m.Metadata.decode(answer).data == stored.sealed
    reader = world.institution("riverside/board")
    proof = prove_reader(world.id, reader, stored.rid, bytes(32), name, world.network.now_ms(), world.random)
    assert reason(world.call, name, m.METADATA, m.MetadataRequest(proof)) == "unknown-share"


def test_an_erased_record_leaves_no_body_and_no_metadata(world: Sharing, stored: Stored) -> None:
    erase = signed_by_scope(mr.RecordErase(stored.rid, 2, UNSIGNED), stored.owner, world.random)
    world.commit(erase)
    world.network.cloud.follow()
    assert not any(node.sharing.metadata.digests(stored.rid) for node in world.network.nodes)
    home = world.network.home
    assert not any(stored.sealed[40:80] in path.read_bytes() for path in home.cloud.rglob("*") if path.is_file())
    assert not any(stored.body[100:160] in path.read_bytes() for path in home.cloud.rglob("*") if path.is_file())
    assert reason(stored.read, stored.by_owner()) == "record-erased"


def test_a_body_of_another_record_is_not_taken_over(world: Sharing, stored: Stored) -> None:
    assert reason(stored.keep, world.random(16)) == "duplicate-record"


def test_no_file_of_nodes_and_clouds_holds_a_canary(world: Sharing, stored: Stored) -> None:
    home = world.network.home
    forms = [CANARY.encode(), CANARY.encode("utf-16-le"), CANARY.encode().hex().encode(), base64.b64encode(CANARY.encode())[:-4]]
    files = [p for d in (*home.nodes(), *home.checks(), home.cloud) for p in d.rglob("*") if p.is_file()]
    assert len(files) > 50
    assert [path for path in files if any(form in path.read_bytes() for form in forms)] == []
    assert _kept_secret(files, stored.k) == []


def _kept_secret(files: list[Path], secret: bytes) -> list[Path]:
    return [path for path in files if secret in path.read_bytes()]


def test_a_body_lost_at_one_cloud_is_fetched_from_the_other_and_nothing_is_lost(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with EmbeddedNetwork.create(home, PASSPHRASE, cost=CHEAP, clouds=2) as network:
        world = Sharing(network)
        stored = Stored(world, world.owner(), clouds=2)
        stored.put()
        for cloud in network.clouds:
            cloud.follow()
        first, second = network.clouds
        assert stored.read(stored.by_owner(second.name), second.name) == stored.body
        # one cloud loses the body
        row = first.gateway._index.body(stored.summary.digest)
        assert row is not None
        first.gateway._shelf.store.delete(stored.summary.digest)
        assert reason(stored.read, stored.by_owner()) == "missing-body"
        assert first.repair() == 1
        assert stored.read(stored.by_owner()) == stored.body
        # a stranger gets nothing by the way that clouds use among themselves
        about = (stored.rid, metadata_hash(world.id, stored.rid, stored.sealed), 0, 10, first.name, second.name, network.now_ms())
        draft = sm.RecordRepair(*about, bytes(64))
        stranger = world.institution(READER).sign(world.id, labels.SIG_FETCH, draft.signed(), world.random)
        assert reason(world.call, second.name, sm.RECORD_REPAIR, sm.RecordRepair(*about, stranger)) == "bad-signature"
    with EmbeddedNetwork.open(home) as again:
        assert [cloud.name for cloud in again.clouds] == ["salus/cloud", "salus/cloud-1"]


class _Lying:
    """Another cloud's answers, altered on the way."""

    def __init__(self, inner: Transport, alter: Callable[[sm.RecordPiece], sm.RecordPiece]) -> None:
        self._inner, self._alter = inner, alter

    def call(self, party: str, method: str, body: bytes) -> bytes:
        return self._alter(sm.RecordPiece.decode(self._inner.call(party, method, body))).encode()


def test_a_cloud_that_lost_everything_has_it_again_and_serves_alone(tmp_path: Path) -> None:
    """Either cloud in turn: records put, rotated and erased; every file of it removed but its key."""
    with EmbeddedNetwork.create(tmp_path / "home", PASSPHRASE, cost=CHEAP, clouds=2) as network:
        world = Sharing(network)
        owner = world.owner()
        kept, erased = (Stored(world, owner, clouds=2) for _ in range(2))
        for one in (kept, erased):
            one.put("role:doctor@2025")
        world.commit(signed_by_scope(mr.RecordErase(erased.rid, 2, UNSIGNED), erased.owner, world.random))
        for lost, other in (kept.clouds, reversed(kept.clouds)):
            for cloud in network.clouds:
                cloud.follow()
            network.cloud_parties.stop(lost)
            assert destroy_cloud(network.cloud_parties.directory(lost)) > 3
            assert kept.read(kept.by_owner(other), other) == kept.body
            rebuilt = network.cloud_parties.start(lost)
            rebuilt.follow()
            assert reason(kept.read, kept.by_owner(lost), lost) == "missing-body"
            assert rebuilt.missing == 1
            assert (rebuilt.repair(), rebuilt.missing, rebuilt.repair()) == (1, 0, 0)
            network.cloud_parties.stop(other)
            assert kept.read(kept.by_owner(lost), lost) == kept.body
            assert reason(world.call, lost, cm.BODY_INFO, cm.BodyInfoRequest(kept.summary.digest)) == "not-granted"
            info = world.call(lost, sm.RECORD_INFO, sm.RecordInfoRequest(kept.by_owner(lost)))
            assert sm.RecordInfo.decode(info).sealed == kept.sealed
            assert reason(erased.read, erased.by_owner(lost), lost) == "record-erased"
            network.cloud_parties.start(other)


@pytest.mark.parametrize("what", ["sealed", "digest", "size_bytes", "data"])
def test_what_another_cloud_gives_wrong_is_not_kept(tmp_path: Path, what: str) -> None:
    def alter(piece: sm.RecordPiece) -> sm.RecordPiece:
        value = getattr(piece, what)
        if isinstance(value, int):
            return replace(piece, size_bytes=value + 1)
        return replace(piece, **{what: value[:-1] + bytes([value[-1] ^ 1])})

    with EmbeddedNetwork.create(tmp_path / "home", PASSPHRASE, cost=CHEAP, clouds=2) as network:
        stored = Stored(Sharing(network), Sharing(network).owner(), clouds=2)
        stored.put()
        lost = network.cloud_parties.names[0]
        network.cloud_parties.stop(lost)
        destroy_cloud(network.cloud_parties.directory(lost))
        rebuilt = network.cloud_parties.start(lost)
        rebuilt.follow()
        honest, rebuilt._transport = rebuilt._transport, _Lying(network.local, alter)
        assert (rebuilt.repair(), rebuilt.missing) == (0, 1)
        assert not list(network.cloud_parties.directory(lost).glob("records/*"))
        rebuilt._transport = honest
        assert (rebuilt.repair(), rebuilt.missing) == (1, 0)
