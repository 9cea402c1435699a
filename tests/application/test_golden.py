"""Stored formats of earlier releases open in this one, and this release writes what it wrote before."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from golden.ledger.make import build
from salus.consensus import block as b
from salus.errors import StorageError
from salus.ledger import snapshots
from salus.ledger.application import LedgerApplication
from salus.ledger.export import write_export_stream
from salus.ledger.genesis import Genesis
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.storage.sqlite import FILE_NAME
from salus.ledger.verify import verify_export
from support.ledger_world import LedgerWorld

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "ledger"


@pytest.fixture(scope="module")
def genesis() -> Genesis:
    return Genesis.decode((GOLDEN / "genesis.bin").read_bytes())


@pytest.fixture(scope="module")
def head() -> tuple[int, int, bytes]:
    height, time_ms, application_hash = (GOLDEN / "head.txt").read_text().split()
    return int(height), int(time_ms), bytes.fromhex(application_hash)


def test_the_same_script_still_writes_the_same_bytes(genesis: Genesis, head: tuple[int, int, bytes]) -> None:
    chain = build()
    assert chain.world.genesis == genesis
    info = chain.application.info()
    assert (info.height, info.last_time_ms, info.application_hash) == head
    file = io.BytesIO()
    write_export_stream(chain.world.network, chain.world.genesis.hash(), chain.records, file)
    assert file.getvalue() == (GOLDEN / "export.bin").read_bytes()
    assert chain.application.snapshot() == (GOLDEN / "snapshot.bin").read_bytes()


def test_the_golden_export_verifies(genesis: Genesis, head: tuple[int, int, bytes]) -> None:
    with (GOLDEN / "export.bin").open("rb") as file:
        report = verify_export(genesis, file)
    assert (report.height, report.time_ms, report.application_hash) == head


def test_the_golden_snapshot_restores(genesis: Genesis, head: tuple[int, int, bytes]) -> None:
    snapshot = (GOLDEN / "snapshot.bin").read_bytes()
    assert snapshots.check(snapshot, genesis.network(), head[2], head[0], head[1]).height == head[0]
    application = LedgerApplication(MemoryStore(), genesis)
    application.restore(snapshot, head[2], head[0], head[1])
    assert application.info().application_hash == head[2]


def test_the_golden_directory_opens_and_goes_on(genesis: Genesis, head: tuple[int, int, bytes], tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "ledger-1.sqlite", tmp_path / FILE_NAME)
    application = LedgerApplication.open(tmp_path, genesis)
    info = application.info()
    assert (info.height, info.last_time_ms, info.application_hash) == head
    records = [application.block_record(height) for height in range(1, head[0] + 1)]
    blocks = [b.Block.decode(record[0]) for record in records if record is not None]
    assert [block.header.height for block in blocks] == list(range(1, head[0] + 1))
    assert application.snapshot() == (GOLDEN / "snapshot.bin").read_bytes()
    validators = genesis.validators()
    block = b.block_input(replace(blocks[-1], transactions=()), validators)
    application.finalise_block(replace(block, height=head[0] + 1, time_ms=head[1] + 1))
    application.commit(b"record", b"certificate")
    application.close()
    again = LedgerApplication.open(tmp_path, genesis)
    assert again.info().height == head[0] + 1
    again.close()


def test_the_golden_directory_is_of_its_own_network(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "ledger-1.sqlite", tmp_path / FILE_NAME)
    other = LedgerWorld("another").genesis
    with pytest.raises(StorageError, match="another genesis"):
        LedgerApplication.open(tmp_path, other)
