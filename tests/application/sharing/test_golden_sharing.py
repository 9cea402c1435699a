"""Stored formats of the sharing half: what a release wrote opens in the next, and is still written the same."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from golden.ledger.sharing.make import build
from salus.ledger.access_export import AccessExport, verify_access_export
from salus.ledger.access_proofs import AccessLogProof, fetch_access_log, verify_access_proof
from salus.ledger.application import LedgerApplication
from salus.ledger.export import write_export_stream
from salus.ledger.genesis import Genesis
from salus.ledger.kinds.sharing.committee_state import current_epoch
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.verify import verify_export
from support.audit_world import audit_file

ACTS = [
    "put", "delegated", "asked", "granted", "asked", "waiting", "rotated", "revoked", "put", "superseded", "erased",
]  # fmt: skip
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "ledger" / "sharing"


@pytest.fixture(scope="module")
def genesis() -> Genesis:
    return Genesis.decode((GOLDEN / "genesis.bin").read_bytes())


@pytest.fixture(scope="module")
def head() -> tuple[int, int, bytes]:
    height, time_ms, application_hash = (GOLDEN / "head.txt").read_text().split()
    return int(height), int(time_ms), bytes.fromhex(application_hash)


def test_the_same_script_still_writes_the_same_bytes(genesis: Genesis, head: tuple[int, int, bytes]) -> None:
    chain, owner = build()
    assert chain.world.genesis == genesis
    info = chain.application.info()
    assert (info.height, info.last_time_ms, info.application_hash) == head
    file = io.BytesIO()
    write_export_stream(chain.world.network, chain.world.genesis.hash(), chain.records, file)
    assert file.getvalue() == (GOLDEN / "export.bin").read_bytes()
    assert chain.application.snapshot() == (GOLDEN / "snapshot.bin").read_bytes()
    assert fetch_access_log(chain.application.query, owner.scope).encode() == (GOLDEN / "access-log.bin").read_bytes()
    assert audit_file(chain, owner.scope).encode() == (GOLDEN / "access-export.bin").read_bytes()


def test_the_golden_export_verifies(genesis: Genesis, head: tuple[int, int, bytes]) -> None:
    with (GOLDEN / "export.bin").open("rb") as file:
        report = verify_export(genesis, file)
    assert (report.height, report.time_ms, report.application_hash) == head


def test_the_golden_snapshot_restores(genesis: Genesis, head: tuple[int, int, bytes]) -> None:
    application = LedgerApplication(MemoryStore(), genesis)
    application.restore((GOLDEN / "snapshot.bin").read_bytes(), head[2], head[0], head[1])
    assert current_epoch(application.view()).epoch == 1


def test_the_golden_access_log_is_still_complete(genesis: Genesis) -> None:
    proof = AccessLogProof.decode((GOLDEN / "access-log.bin").read_bytes())
    whole = verify_access_proof(proof, proof.scope, genesis.network(), genesis.validators())
    assert [e.act for e in whole.entries] == ACTS


def test_the_golden_file_for_auditors_still_verifies(genesis: Genesis) -> None:
    export = AccessExport.decode((GOLDEN / "access-export.bin").read_bytes())
    audited = verify_access_export(export, genesis.network())
    assert [[e.act for e in scope.entries] for scope in audited.scopes] == [ACTS]
    assert len(audited.transactions) == 4
