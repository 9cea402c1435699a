"""Exports and snapshots: verified from nothing but genesis, and every alteration found."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from salus.consensus import block as b
from salus.errors import DamagedFile, Refused, SalusError, StorageError
from salus.ledger import queries as q
from salus.ledger import snapshots
from salus.ledger.application import LedgerApplication
from salus.ledger.export import read_export_stream, records_of, write_export_stream
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.storage.sqlite import SqliteStore
from salus.ledger.verify import main, verify_export
from support.ledger_world import Chain, LedgerWorld

Records = list[tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return LedgerWorld("export")


@pytest.fixture(scope="module")
def chain(world: LedgerWorld) -> Chain:
    made = world.chain()
    doctor = made.ready(6)
    requests = [world.request(doctor, sn, time_ms=made.time_ms)[0] for sn in range(4)]
    made.decide([r.encode() for r in requests])
    made.decide([world.reply(doctor, requests[0], made.time_ms).encode(), world.decline(doctor, requests[1])], view=1)
    made.decide([])
    return made


def export(world: LedgerWorld, records: Records) -> io.BytesIO:
    file = io.BytesIO()
    assert write_export_stream(world.network, world.genesis.hash(), records, file) == len(records)
    file.seek(0)
    return file


def test_a_fresh_process_verifies_it(world: LedgerWorld, chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "genesis").write_bytes(world.genesis.encode())
    records = records_of(chain.application.block_record, chain.application.info().height)
    with (tmp_path / "export").open("wb") as file:
        write_export_stream(world.network, world.genesis.hash(), records, file)
    command = [sys.executable, "-m", "salus.ledger.verify", str(tmp_path / "genesis"), str(tmp_path / "export")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    report = json.loads(done.stdout)
    info = chain.application.info()
    assert report["ledger_verified"] is True
    assert (report["height"], report["application_hash"]) == (info.height, info.application_hash.hex())
    assert report["transactions"]["consultation.request"] == 4
    (tmp_path / "export").write_bytes((tmp_path / "export").read_bytes()[:-3])
    assert main([str(tmp_path / "genesis"), str(tmp_path / "export")]) == 1
    assert main([str(tmp_path / "genesis")]) == 2
    assert main([str(tmp_path / "nothing"), str(tmp_path / "export")]) == 1


def test_every_altered_byte_is_found(world: LedgerWorld, chain: Chain) -> None:
    whole = export(world, chain.records).getvalue()
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        with pytest.raises(SalusError):
            verify_export(world.genesis, io.BytesIO(bytes(altered)))
    for cut in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        with pytest.raises(DamagedFile, match="truncated"):
            verify_export(world.genesis, io.BytesIO(whole[:cut]))
    with pytest.raises(DamagedFile, match="follows its end"):
        verify_export(world.genesis, io.BytesIO(whole + b"x"))


def test_an_export_belongs_to_its_genesis(world: LedgerWorld, chain: Chain) -> None:
    with pytest.raises(Refused, match="another network"):
        verify_export(LedgerWorld("other").genesis, export(world, chain.records))


def resealed(world: LedgerWorld, block: b.Block, signers: list[int] | None = None) -> tuple[bytes, bytes]:
    """A block with a fresh certificate of these replicas: as if they had decided it."""
    header = replace(block.header, transaction_root=b.transaction_root(block.transactions, block.misbehaviour))
    certificate = world.sign_certificate(header.height, header.view, header.id(), signers)
    return replace(block, header=header).encode(), certificate.encode()


Spoil = Callable[[b.Block], b.Block]


def _header(**changes: object) -> Spoil:
    return lambda block: replace(block, header=replace(block.header, **changes))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_header(proposer="hospital-0/node"), "not-authorised"),
        (_header(application_hash=bytes(32)), "bad-proof"),
        (_header(previous_id=bytes(32)), "bad-proof"),
        (_header(time_ms=1), "bad-proof"),
        (_header(validators_hash=bytes(32)), "bad-proof"),
        (lambda block: replace(block, transactions=block.transactions[:-1]), "bad-signature"),
        (lambda block: replace(block, transactions=(*block.transactions, block.transactions[0])), "bad-evidence"),
        (lambda block: replace(block, transactions=(*block.transactions, b"rubbish")), "bad-evidence"),
        (lambda block: replace(block, previous_certificate=None), "bad-encoding"),
    ],
)
def test_even_a_quorum_cannot_make_an_invalid_block_verify(world: LedgerWorld, chain: Chain, spoil: Spoil, reason: str) -> None:
    place = 4
    block = spoil(b.Block.decode(chain.records[place][0]))
    records = [*chain.records[:place], resealed(world, block), *chain.records[place + 1 :]]
    with pytest.raises(Refused, match=rf"{reason}: (decided )?block ({place + 1}|{place + 2})"):
        verify_export(world.genesis, export(world, records))


def test_a_minority_decides_nothing(world: LedgerWorld, chain: Chain) -> None:
    last = b.Block.decode(chain.records[-1][0])
    records = [*chain.records[:-1], resealed(world, last, [0, 1])]
    with pytest.raises(Refused, match="no-quorum"):
        verify_export(world.genesis, export(world, records))
    with pytest.raises(Refused, match="bad-signature: block 3"):
        verify_export(world.genesis, export(world, [*chain.records[:2], *chain.records[3:]]))
    report = verify_export(world.genesis, export(world, chain.records[:3]))
    assert report.height == 3


def test_another_quorum_of_the_block_before_may_stand_in_a_block(world: LedgerWorld, chain: Chain) -> None:
    """Certificates differ by who signed; both the one exported and the one carried must hold."""
    place = len(chain.records) - 1
    before = b.Block.decode(chain.records[place - 1][0]).header
    other = world.sign_certificate(before.height, before.view, before.id(), [0, 2, 3])
    weak = world.sign_certificate(before.height, before.view, before.id(), [0, 2])
    last = b.Block.decode(chain.records[place][0])
    for certificate, good in ((other, True), (weak, False)):
        header = replace(last.header, previous_certificate_digest=certificate.digest())
        block = replace(last, header=header, previous_certificate=certificate)
        file = export(world, [*chain.records[:place], resealed(world, block)])
        if good:
            verify_export(world.genesis, file)
        else:
            with pytest.raises(Refused, match="no-quorum"):
                verify_export(world.genesis, file)


def test_an_export_needs_an_archive_node(world: LedgerWorld, chain: Chain) -> None:
    pruned = MemoryStore()
    replay(world, pruned, chain.records)
    assert pruned.prune(4, 100) == 3
    application = LedgerApplication(pruned, world.genesis)
    assert application.block_record(2) is None
    with pytest.raises(Refused, match="archive node"):
        list(records_of(application.block_record, application.info().height))
    with pytest.raises(Refused, match="replay needs an archive node"):
        application.query(q.BLOCK, q.BlockQuery(2).encode())
    # Headers and proofs stay.
    headers = q.Headers.decode(application.query(q.HEADERS, q.HeadersQuery(1).encode())).headers
    assert len(headers) == len(chain.records)
    status = q.Status.decode(application.query(q.STATUS, q.StatusQuery().encode()))
    assert status.kept_from == 4


def replay(world: LedgerWorld, store: MemoryStore | SqliteStore, records: Records) -> LedgerApplication:
    application = LedgerApplication(store, world.genesis)
    for record, certificate in records:
        application.finalise_block(b.block_input(b.Block.decode(record), world.validators))
        application.commit(record, certificate)
    return application


def test_reading_is_a_stream(world: LedgerWorld, chain: Chain) -> None:
    stream = read_export_stream(export(world, chain.records), world.network, world.genesis.hash())
    assert list(stream) == chain.records


# --- snapshots ---


def test_a_node_starts_from_a_snapshot_and_goes_on(world: LedgerWorld, chain: Chain, tmp_path: Path) -> None:
    cut = len(chain.records) - 2
    source = replay(world, MemoryStore(), chain.records[:cut])
    snapshot, certified = source.snapshot(), source.info().application_hash
    place = (source.info().height, source.info().last_time_ms)
    assert certified == b.Block.decode(chain.records[cut][0]).header.application_hash
    for store in (MemoryStore(), SqliteStore.open_or_create(tmp_path)):
        late = LedgerApplication(store, world.genesis)
        late.restore(snapshot, certified, *place)
        assert late.info() == source.info()
        late.restore(snapshot, certified, *place)
        for record, certificate in chain.records[cut:]:
            late.finalise_block(b.block_input(b.Block.decode(record), world.validators))
            late.commit(record, certificate)
        with pytest.raises(StorageError, match="nothing but genesis"):
            late.restore(snapshot, certified, *place)
        assert late.info() == chain.application.info()
        assert late.snapshot() == chain.application.snapshot()
        # Older log leaves are fetched from a node that has them, and verified by the peaks.
        old = b.transaction_hash(b.Block.decode(chain.records[0][0]).transactions[0])
        with pytest.raises(Refused):
            late.query(q.CONSISTENCY, q.ConsistencyQuery(1, 2).encode())
        assert late.position(old) is None
        answer = q.LogLeaves.decode(chain.application.query(q.LOG_LEAVES, q.LogLeavesQuery(0, 1 << 20).encode()))
        leaves = [answer.hashes[i : i + 32] for i in range(0, len(answer.hashes), 32)]
        with pytest.raises(Refused, match="bad-proof"):
            late.import_log([bytes(32), *leaves[1:]])
        late.import_log(leaves)
        late.query(q.CONSISTENCY, q.ConsistencyQuery(1, 2).encode())
        late.close()
    again = LedgerApplication.open(tmp_path, world.genesis)
    assert again.info() == chain.application.info()
    again.close()


def test_a_snapshot_is_exactly_the_certified_state(world: LedgerWorld, chain: Chain) -> None:
    application = chain.application
    snapshot, certified = application.snapshot(), application.info().application_hash
    head = application.head()
    named = (head.height, head.time_ms)
    assert snapshots.check(snapshot, world.network, certified, *named) == head
    fresh = LedgerApplication(MemoryStore(), world.genesis)
    start, found = fresh.info(), 0
    for place in range(0, len(snapshot), max(1, len(snapshot) // 120)):
        altered = bytearray(snapshot)
        altered[place] ^= 1 << place % 8
        found += 1
        with pytest.raises(SalusError):
            fresh.restore(bytes(altered), certified, *named)
    assert found > 100
    for wrong in (snapshot[:-1], snapshot + b"\0\0\0\0", b"", snapshot + snapshots.frame(b"t\0\0\0\0")):
        with pytest.raises(SalusError):
            fresh.restore(wrong, certified, *named)
    with pytest.raises(Refused, match="bad-proof"):
        fresh.restore(snapshot, bytes(32), *named)
    for height, time_ms in ((head.height + 1, head.time_ms), (head.height, head.time_ms + 1)):
        with pytest.raises(Refused, match=r"bad-proof.*a snapshot of height"):
            fresh.restore(snapshot, certified, height, time_ms)
    assert fresh.info() == start
    fresh.restore(snapshot, certified, *named)


def test_leaves_are_chunked(world: LedgerWorld, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 500)
    small = chain.application.snapshot()
    assert len(list(snapshots.frames(small))) > 10
    head = chain.application.head()
    snapshots.check(small, world.network, head.application_hash, head.height, head.time_ms)
