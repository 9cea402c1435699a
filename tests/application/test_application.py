"""The application behind the engine's interface: applied once, committed whole or not at all, opened again unharmed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.codec import decode, encode
from salus.consensus import block as b
from salus.consensus.interface import Application, BlockInput
from salus.errors import ConsensusError, DamagedFile, Refused, StorageError
from salus.ledger import application as module
from salus.ledger.application import LedgerApplication
from salus.ledger.apply import InvalidBlock, apply_block
from salus.ledger.committed import CommittedBlock
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.kinds.parties import PARTIES, party_key
from salus.ledger.signatures import VerifiedClaims
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.storage.schema import row_checksum
from salus.ledger.storage.sqlite import FILE_NAME, SqliteStore
from support.ledger_world import Chain, LedgerWorld
from unit.small_disk import fill


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld("application")


def doctors(world: LedgerWorld, count: int, start: int = 0) -> list[bytes]:
    return [world.doctor(f"hospital-0/dr-{i}")[0] for i in range(start, start + count)]


def test_it_is_an_application(world: LedgerWorld) -> None:
    application: Application = LedgerApplication(MemoryStore(), world.genesis)
    info = application.info()
    assert (info.height, info.last_time_ms) == (0, world.genesis.core.time_ms)


def test_one_application_of_a_block_for_each_replica(world: LedgerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proposer's trial is reused when it validates and finalises; a voter's when it finalises."""
    runs: list[int] = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        runs.append(1)
        return apply_block(*args, **kwargs)

    monkeypatch.setattr(module, "apply_block", counted)
    proposer, voter = world.chain(), world.chain()
    raw = doctors(world, 3)
    assert proposer.propose(raw) == raw
    proposer.decide(raw)
    assert len(runs) == 0
    voter.decide(raw)
    assert len(runs) == 1
    assert proposer.application.info() == voter.application.info()


def test_signatures_verified_in_the_pool_are_not_verified_again(world: LedgerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = world.chain()
    raw = doctors(world, 4)
    assert all(r.accepted for r in chain.application.check_transactions(raw, chain.time_ms + 1))
    monkeypatch.setattr("salus.ledger.signatures.schnorr_verify_batch", lambda *_: pytest.fail("verified twice"))
    chain.decide(raw)


def test_apply_block_is_pure(world: LedgerWorld) -> None:
    chain = world.chain()
    block = chain.input(doctors(world, 3))
    view = chain.application.view()
    once, again = (apply_block(REGISTRY, view, block) for _ in range(2))
    assert once == again == apply_block(REGISTRY, view, block, None, VerifiedClaims())
    assert chain.application.info().height == 0
    assert PARTIES.get(view, party_key("doctor", "hospital-0/dr-0")) is None
    assert [key for key, _ in once.writes] == sorted({key for key, _ in once.writes})
    assert once.results == (b"",) * 3
    assert len(once.log_leaves) == len(once.transaction_hashes) == 3


def test_a_bad_signature_is_named_with_its_transaction(world: LedgerWorld) -> None:
    chain = world.chain()
    raw = doctors(world, 5)
    spoiled = decode(raw[3])
    raw[3] = encode((*spoiled[:-1], decode(raw[2])[-1]))
    with pytest.raises(InvalidBlock, match="bad-signature: transaction 3") as caught:
        apply_block(REGISTRY, chain.application.view(), chain.input(raw))
    assert caught.value.index == 3
    assert chain.propose(raw) == [*raw[:3], raw[4]]
    verdict = chain.application.validate_proposal(chain.input(raw), secret_checks=True)
    assert (verdict.valid, verdict.reason) == (False, "bad-signature")


def test_a_dropped_signature_takes_along_what_built_on_it(world: LedgerWorld) -> None:
    """A registration with a bad signature, and slots of that doctor: the proposer drops both."""
    chain = world.chain()
    raw, doctor = world.doctor("hospital-0/dr-x")
    (other,) = doctors(world, 1)
    spoiled = encode((*decode(raw)[:-1], decode(other)[-1]))
    slots = world.slots(doctor, 0, 2)
    assert chain.propose([spoiled, slots, other]) == [other]
    assert chain.propose([raw, slots, other]) == [raw, slots, other]


def test_proposals_keep_to_their_size(world: LedgerWorld) -> None:
    chain = world.chain()
    raw = doctors(world, 6)
    size = len(raw[0])
    height, proposer = 1, world.validators.primary(1, 0).name
    prepare = chain.application.prepare_proposal
    assert prepare(height, chain.time_ms + 1, proposer, (), (), raw, 3 * size) == raw[:3]
    assert prepare(height, chain.time_ms + 1, proposer, (), (b"x" * size,), raw, 3 * size) == raw[:2]
    assert prepare(height, chain.time_ms + 1, proposer, (), (), raw, 10) == []
    assert prepare(height, chain.time_ms + 1, proposer, (), (), [b"rubbish", *raw], 10 * size) == raw


def test_blocks_must_follow(world: LedgerWorld) -> None:
    chain = world.chain()
    chain.decide([])
    good = chain.input([])
    for wrong in (replace(good, height=1), replace(good, height=3), replace(good, time_ms=chain.time_ms)):
        assert chain.application.validate_proposal(wrong, secret_checks=True).reason == "bad-time"
    with pytest.raises(ConsensusError, match="does not follow"):
        chain.application.finalise_block(replace(good, height=3))
    with pytest.raises(ConsensusError, match="without a finalised block"):
        chain.application.commit(b"", b"")
    chain.application.finalise_block(good)
    assert chain.application.finalise_block(good) == chain.application.finalise_block(good)
    with pytest.raises(ConsensusError, match="two blocks were decided"):
        chain.application.finalise_block(replace(good, time_ms=good.time_ms + 1))


def test_a_decided_block_that_fails_public_checks_stops_the_replica(world: LedgerWorld) -> None:
    chain = world.chain()
    with pytest.raises(ConsensusError, match="fails public checks"):
        chain.application.finalise_block(chain.input([b"rubbish"]))


def test_the_hash_changes_with_transactions_only(world: LedgerWorld) -> None:
    chain = world.chain()
    before = chain.application.info().application_hash
    assert not chain.decide([]).state_changed
    assert chain.application.info().application_hash == before
    assert chain.decide(doctors(world, 1)).state_changed
    assert chain.application.info().application_hash != before


def test_listeners_hear_what_was_committed(world: LedgerWorld) -> None:
    chain = world.chain()
    heard: list[CommittedBlock] = []
    chain.application.listen(heard.append)
    raw = doctors(world, 1)
    chain.decide(raw)
    (committed,) = heard
    assert committed.block.transactions == tuple(raw)
    assert [e.name for e in committed.events] == ["party.registered"]
    assert committed.application_hash == chain.application.info().application_hash
    assert chain.application.position(b.transaction_hash(raw[0])) == (1, 0)


# --- the disk ---


def test_memory_and_disk_agree_and_openings_change_nothing(world: LedgerWorld, tmp_path: Path) -> None:
    memory, disk = world.chain(), world.chain(SqliteStore.open_or_create(tmp_path))
    for step in range(12):
        raw = doctors(world, 4, 4 * step) if step % 3 else []
        for chain in (memory, disk):
            chain.decide(raw)
        assert memory.application.info() == disk.application.info()
        if step % 4 == 3:
            disk.application.close()
            disk.application = LedgerApplication.open(tmp_path, world.genesis)
            assert memory.application.info() == disk.application.info()
            assert memory.application.snapshot() == disk.application.snapshot()
    disk.application.close()


def test_a_full_disk_keeps_the_last_committed_state_and_the_commit_can_be_tried_again(
    world: LedgerWorld, small_disk: Callable[[int], Path]
) -> None:
    directory = small_disk(8 * 1024) / "ledger"
    chain = world.chain(SqliteStore.open_or_create(directory))
    chain.decide(doctors(world, 8))
    ballast = fill(directory.parent)
    heard: list[CommittedBlock] = []
    chain.application.listen(heard.append)
    number = 8
    while True:
        before = chain.application.info()
        raw = doctors(world, 200, number)
        number += 200
        block = chain.input(raw)
        whole = chain.block(block)
        certificate = world.sign_certificate(block.height, 0, whole.header.id())
        result = chain.application.finalise_block(block)
        try:
            chain.application.commit(whole.encode(), certificate.encode())
        except StorageError as error:
            message = str(error)
            break
        chain.previous_id, chain.certificate = whole.header.id(), certificate
    assert "disk is full" in message
    assert "the last committed state is kept" in message
    assert chain.application.info() == before
    assert chain.application.check_transactions(raw[:1], chain.time_ms + 1)[0].accepted
    told = len(heard)
    ballast.unlink()
    chain.application.commit(whole.encode(), certificate.encode())
    assert len(heard) == told + 1
    assert chain.application.info().application_hash == result.application_hash
    chain.application.close()
    again = LedgerApplication.open(directory, world.genesis)
    assert again.info().application_hash == result.application_hash
    again.close()


def test_a_restart_between_finalise_and_commit_applies_once(world: LedgerWorld, tmp_path: Path) -> None:
    chain = world.chain(SqliteStore.open_or_create(tmp_path))
    block = chain.input(doctors(world, 3))
    first = chain.application.finalise_block(block)
    chain.application.close()
    again = LedgerApplication.open(tmp_path, world.genesis)
    assert again.info().height == 0
    assert again.finalise_block(block) == first
    again.commit(b"record", b"certificate")
    again.close()
    third = LedgerApplication.open(tmp_path, world.genesis)
    assert third.info().height == 1
    assert third.block_record(1) == (b"record", b"certificate")
    third.close()


def test_a_directory_of_another_network_is_refused(world: LedgerWorld, tmp_path: Path) -> None:
    LedgerApplication.open(tmp_path, world.genesis).close()
    with pytest.raises(StorageError, match="another genesis"):
        LedgerApplication.open(tmp_path, LedgerWorld("another").genesis)


def test_a_genesis_that_does_not_verify_starts_nothing(world: LedgerWorld) -> None:
    with pytest.raises(Refused, match="bad-signature"):
        LedgerApplication(MemoryStore(), replace(world.genesis, cloud_signatures=world.genesis.institution_signatures[:1]))


def altered_value(directory: Path) -> None:
    """Change one state value in a page, so that the page still decodes."""
    connection = sqlite3.connect(directory / FILE_NAME)
    ((page, data),) = connection.execute("SELECT id, data FROM pages ORDER BY id LIMIT 1").fetchall()
    (first, value), *rest = decode(bytes(data))
    changed = encode(((first, value[:-1] + bytes([value[-1] ^ 1])), *rest))
    connection.execute("UPDATE pages SET data = ? WHERE id = ?", (changed, page))
    connection.commit()
    connection.close()


def altered_head(directory: Path) -> None:
    """Change the application hash of the newest row, checksum and all."""
    connection = sqlite3.connect(directory / FILE_NAME)
    query = "SELECT height, record, certificate, applied FROM blocks ORDER BY height DESC LIMIT 1"
    ((height, record, certificate, applied),) = connection.execute(query).fetchall()
    fields = list(decode(bytes(applied)))
    fields[4] = bytes(32)
    changed = encode(tuple(fields))
    values = (changed, row_checksum(bytes(record), bytes(certificate), changed), height)
    connection.execute("UPDATE blocks SET applied = ?, checksum = ? WHERE height = ?", values)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("alter", [altered_value, altered_head])
def test_a_state_that_is_not_its_hash_is_damaged(world: LedgerWorld, tmp_path: Path, alter: Callable[[Path], None]) -> None:
    chain = world.chain(SqliteStore.open_or_create(tmp_path))
    chain.decide(doctors(world, 3))
    chain.application.close()
    alter(tmp_path)
    with pytest.raises(DamagedFile, match="files were altered; restore this node"):
        LedgerApplication.open(tmp_path, world.genesis)


def test_bodies_past_the_evidence_window_can_be_pruned(world: LedgerWorld) -> None:
    chain = world.chain()
    for i in range(6):
        chain.decide(doctors(world, 1, i))
    window = world.genesis.core.constants.evidence_window_ms
    chain.decide([], chain.time_ms - 2000 + window)
    assert chain.application.prune(2) == 2
    assert chain.application.prune() == 1
    assert chain.application.prune() == 0
    assert [chain.application.block_record(h) is not None for h in range(1, 8)] == [False] * 3 + [True] * 4


# --- the state is never scanned ---


class Watched(MemoryStore):
    """A store that counts what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.scans = 0

    def value(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().value(key)

    def leaves(self) -> Any:
        self.scans += 1
        return super().leaves()

    def base(self) -> Any:
        self.scans += 1
        return super().base()


def reads_of(chain: Chain, store: Watched, calls: Sequence[Callable[[], object]]) -> int:
    store.reads = store.scans = 0
    for call in calls:
        call()
    assert store.scans == 0, "the state was scanned"
    return store.reads


def test_the_state_is_never_scanned_and_reads_do_not_grow_with_it(world: LedgerWorld) -> None:
    store = Watched()
    chain = world.chain(store)
    doctor = chain.ready(8)

    def consult(sn: int) -> Callable[[], object]:
        request, _ = world.request(doctor, sn, time_ms=chain.time_ms)
        now = chain.time_ms + 1000
        raw = [request.encode()]

        def work() -> None:
            assert chain.application.check_transactions(raw, now)[0].accepted
            assert chain.propose(raw) == raw
            chain.decide(raw)
            chain.decide([world.reply(doctor, request, chain.time_ms).encode()])

        return work

    consult(0)()
    small = reads_of(chain, store, [consult(1)])
    size = len(chain.application.tree())
    for i in range(4):
        raw, other = world.doctor(f"hospital-1/dr-{i}")
        chain.decide([raw])
        chain.decide([world.slots(other, 0, 256)])
    assert len(chain.application.tree()) > 5 * size
    large = reads_of(chain, store, [consult(2)])
    assert large == small


def test_an_empty_block_reads_a_handful(world: LedgerWorld) -> None:
    store = Watched()
    chain = world.chain(store)
    chain.ready(64)
    assert reads_of(chain, store, [lambda: chain.decide([])]) < 10


def test_the_map_keeps_at_least_its_last_sixteen_versions(world: LedgerWorld) -> None:
    chain = world.chain()
    roots = {0: chain.application.tree().root()}
    for i in range(40):
        chain.decide(doctors(world, 1, i))
        tree, height = chain.application.tree(), chain.application.info().height
        roots[height] = tree.root()
        for back in range(min(16, height + 1)):
            assert tree.root(height - back) == roots[height - back]
    assert len(chain.application.tree().versions()) < 30


def test_block_inputs_are_compared_by_content(world: LedgerWorld) -> None:
    one = BlockInput(1, 2, "x", (), (), (b"a", b"b"))
    assert one == BlockInput(1, 2, "x", (), (), (bytes([97]), b"b"))
    assert hash(one) == hash(BlockInput(1, 2, "x", (), (), (b"a", b"b")))
