"""A node that started from a snapshot fills in what is in front of it, and no peer can tell it anything false."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.consensus import block as b
from salus.errors import Refused, StorageError
from salus.ledger import history
from salus.ledger import node_api as m
from salus.ledger import queries as q
from salus.ledger.application import LedgerApplication
from salus.ledger.history import ANSWER_BYTES, give, oldest, take
from salus.ledger.merkle_log import LogState
from salus.ledger.proofs import verify_transaction
from salus.ledger.storage.interface import LedgerStore
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.storage.pruning import PrunedBlock, pruned_record
from salus.ledger.storage.sqlite import SqliteStore
from salus.node import history as node_history
from salus.node.history import RETRY_MS, History
from salus.node.sharing.errands import Errands
from support.ledger_world import Chain, LedgerWorld

Lies = dict[str, Callable[[q.History], q.History]]
CUT = 5
"""The snapshot is of this height; two more blocks follow."""


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return LedgerWorld("history")


@pytest.fixture(scope="module")
def chain(world: LedgerWorld) -> Chain:
    made = world.chain()
    doctor = made.ready(4)
    requests = [world.request(doctor, sn, time_ms=made.time_ms)[0] for sn in range(3)]
    made.decide([r.encode() for r in requests])
    made.decide([])
    made.decide([world.slots(doctor, 4, 2)])
    assert made.application.info().height == CUT + 2
    return made


def replayed(world: LedgerWorld, records: list[tuple[bytes, bytes]], store: LedgerStore | None = None) -> LedgerApplication:
    application = LedgerApplication(store or MemoryStore(), world.genesis)
    go_on(world, application, records)
    return application


def go_on(world: LedgerWorld, application: LedgerApplication, records: list[tuple[bytes, bytes]]) -> None:
    for record, certificate in records:
        application.finalise_block(b.block_input(b.Block.decode(record), world.validators))
        application.commit(record, certificate)


def restored(world: LedgerWorld, chain: Chain, store: LedgerStore | None = None) -> LedgerApplication:
    """A node that came back by a snapshot and has followed since."""
    source = replayed(world, chain.records[:CUT])
    info = source.info()
    late = LedgerApplication(store or MemoryStore(), world.genesis)
    late.restore(source.snapshot(), info.application_hash, info.height, info.last_time_ms)
    go_on(world, late, chain.records[CUT:])
    return late


def asked(source: LedgerApplication, height: int, count: int = 64) -> q.History:
    return q.History.decode(source.query(q.HISTORY, q.HistoryQuery(height, count).encode()))


class Node:
    """The fetching of one node, its errands carried by hand. ``peers`` answer by name, or raise."""

    def __init__(self, world: LedgerWorld, late: LedgerApplication, honest: LedgerApplication) -> None:
        self.late = late
        self.errands = Errands()
        self.names = [node.member.name for node in world.nodes]
        self.history = History(late, self.errands, self.names[0])
        self.peers: dict[str, Callable[[bytes], bytes]] = {
            name: lambda data: honest.query(q.HISTORY, data) for name in self.names
        }
        self.asked: list[str] = []

    def run(self, now_ms: int = 1, steps: int = 100) -> None:
        self.history.attend(now_ms)
        while steps and (errand := self.errands.take()) is not None:
            steps -= 1
            self.asked.append(errand.to)
            query = m.Query.decode(errand.body)
            assert (errand.method, query.path) == (m.QUERY, q.HISTORY)
            try:
                errand.done(self.peers[errand.to](query.data), None)
            except Refused as refused:
                errand.done(None, refused)


def everything_is_there(world: LedgerWorld, chain: Chain, late: LedgerApplication) -> None:
    assert late.store.log_first() == 0
    for record, certificate in chain.records:
        block = b.Block.decode(record)
        height = block.header.height
        assert late.block_record(height) == (record, certificate)
        for raw in block.transactions:
            tx_hash = b.transaction_hash(raw)
            asked_for = q.TransactionQuery(tx_hash, 1).encode()
            if height < late.head().height:
                proof = q.TransactionProof.decode(late.query(q.TRANSACTION, asked_for))
                assert proof.transaction == raw
                verify_transaction(proof, tx_hash, world.network, world.validators)
    with pytest.raises(Refused, match="not-found"):
        late.query(q.TRANSACTION, q.TransactionQuery(bytes(32), 0).encode())
    assert late.kept_from() == 1


@pytest.mark.parametrize("durable", [False, True])
def test_it_fills_in_what_others_have_and_says_pruned_no_more(
    world: LedgerWorld, chain: Chain, tmp_path: Path, durable: bool
) -> None:
    late = restored(world, chain, SqliteStore.open_or_create(tmp_path) if durable else None)
    old = b.transaction_hash(b.Block.decode(chain.records[0][0]).transactions[0])
    with pytest.raises(Refused, match="pruned"):
        late.query(q.TRANSACTION, q.TransactionQuery(old, 0).encode())
    assert oldest(late) == CUT + 1
    node = Node(world, late, chain.application)
    node.run()
    everything_is_there(world, chain, late)
    assert late.info() == chain.application.info()
    if durable:
        late.close()
        again = LedgerApplication.open(tmp_path, world.genesis)
        everything_is_there(world, chain, again)
        assert again.prune(64, 0) == 0  # nothing is old enough yet
        again.close()


def test_it_waits_for_the_first_block_after_the_snapshot(world: LedgerWorld, chain: Chain) -> None:
    source = replayed(world, chain.records[:CUT])
    info = source.info()
    late = LedgerApplication(MemoryStore(), world.genesis)
    late.restore(source.snapshot(), info.application_hash, info.height, info.last_time_ms)
    node = Node(world, late, chain.application)
    node.run()
    assert node.asked == []
    go_on(world, late, chain.records[CUT:])
    node.run()
    everything_is_there(world, chain, late)


def test_what_is_pruned_everywhere_is_still_proven(world: LedgerWorld, chain: Chain) -> None:
    store = MemoryStore()
    others = replayed(world, chain.records, store)
    assert store.prune(4, 100) == 3
    late = restored(world, chain)
    Node(world, late, others).run()
    assert (late.kept_from(), oldest(late), late.store.log_first()) == (4, 1, 0)
    raw = b.Block.decode(chain.records[0][0]).transactions[0]
    proof = q.TransactionProof.decode(late.query(q.TRANSACTION, q.TransactionQuery(b.transaction_hash(raw), 1).encode()))
    assert proof.transaction is None
    verify_transaction(proof, b.transaction_hash(raw), world.network, world.validators)
    # An archive's bodies under blocks that are pruned here are not kept: what is whole is always the newest part.
    stored = late.store.block(4)
    assert stored is not None
    late.store.prune(5, 100)
    assert late.kept_from() == 5


def test_one_node_does_not_decide_that_bodies_are_gone(world: LedgerWorld, chain: Chain) -> None:
    """Who is asked first says that everything is pruned; another node has it whole."""

    def bare(data: bytes) -> bytes:
        answer = asked(chain.application, q.HistoryQuery.decode(data).height)
        blocks = tuple(replace(given, record=pruned_record(given.record), pruned=1) for given in answer.blocks)
        return replace(answer, blocks=blocks).encode()

    late = restored(world, chain)
    assert take(late, CUT + 1, q.History.decode(bare(q.HistoryQuery(CUT + 1, 64).encode())), pruned_too=False) == 0
    node = Node(world, late, chain.application)
    first = node.names[1 + (CUT + 1) % 3]
    node.peers[first] = bare
    node.run()
    assert node.asked[0] == first
    assert node.history.liars == {}
    everything_is_there(world, chain, late)


def test_a_node_that_was_killed_goes_on_where_it_was(world: LedgerWorld, chain: Chain, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(q, "HISTORY_AN_ANSWER", 2)
    monkeypatch.setattr(node_history.q, "HISTORY_AN_ANSWER", 2)
    for steps in (1, 2, 100):
        if steps == 1:
            late = restored(world, chain, SqliteStore.open_or_create(tmp_path))
        else:
            late = LedgerApplication.open(tmp_path, world.genesis)
        node = Node(world, late, chain.application)
        node.run(steps=1 if steps < 100 else 100)
        if steps == 100:
            everything_is_there(world, chain, late)
        else:
            assert oldest(late) == CUT + 1 - 2 * steps
            with pytest.raises(Refused, match="pruned"):
                late.query(q.TRANSACTION, q.TransactionQuery(bytes(32), 0).encode())
        late.close()


def test_killed_between_the_last_block_and_the_leaves(world: LedgerWorld, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    late = restored(world, chain)
    node = Node(world, late, chain.application)

    def full(_: object) -> None:
        raise StorageError("no space left on the disk")

    with monkeypatch.context() as patched:
        patched.setattr(late.store, "import_log", full)
        node.run()
    assert (oldest(late), late.store.log_first() > 0) == (1, True)
    node.run()
    everything_is_there(world, chain, late)


# --- lies ---


def liars(world: LedgerWorld, chain: Chain) -> Lies:
    """Each alters the answer about what is in front of block ``CUT + 1``."""
    other = LedgerWorld("another network").chain()
    other.ready(4)
    other.decide([])
    other.decide([])

    def block(place: int, **parts: Any) -> Callable[[q.History], q.History]:
        def lie(answer: q.History) -> q.History:
            blocks = list(answer.blocks)
            changed = {name: make(blocks[place]) if callable(make) else make for name, make in parts.items()}
            blocks[place] = replace(blocks[place], **changed)
            return replace(answer, blocks=tuple(blocks))

        return lie

    def flipped(log: LogState) -> LogState:
        return LogState(log.count, (bytes(32), *log.peaks[1:]))

    def forged(given: q.HistoryBlock) -> bytes:
        certificate = b.Certificate.decode(given.certificate)
        message = b.vote_bytes(world.network, b.COMMIT, certificate.height, 9, certificate.block_id)
        node = world.nodes[0]
        signature = b.CommitSignature(node.member.name, node.consensus.sign(message))
        return b.Certificate(certificate.height, 9, certificate.block_id, (signature,)).encode()

    def other_body(given: q.HistoryBlock) -> bytes:
        whole = b.Block.decode(given.record)
        return replace(whole, transactions=(*whole.transactions, b"more")).encode()

    return {
        "a wrong leaf": block(1, hashes=lambda given: bytes(32) + given.hashes[32:]),
        "a wrong leaf of a pruned block": block(
            1, hashes=lambda g: bytes(32) + g.hashes[32:], record=lambda g: pruned_record(g.record), pruned=1
        ),
        "a pruned block without leaves, and nothing below": lambda answer: without_leaves(answer, 1),
        "a leaf too few": block(1, hashes=lambda given: given.hashes[:-32]),
        "half a leaf": block(1, hashes=lambda given: given.hashes[:-1]),
        "another log in front": lambda answer: replace(answer, log=flipped(answer.log)),
        "another log further back": block(2, before=lambda given: flipped(given.before)),
        "a log that cannot be": block(2, before=LogState(3, ())),
        "a block left out": lambda answer: replace(answer, blocks=answer.blocks[1:]),
        "a block twice": lambda answer: replace(answer, blocks=(answer.blocks[0], *answer.blocks)),
        "more than there is": lambda answer: replace(answer, blocks=(*answer.blocks, answer.blocks[-1])),
        "another body": block(1, record=other_body),
        "another block's record": lambda answer: replace(
            answer, blocks=(replace(answer.blocks[0], record=answer.blocks[1].record), *answer.blocks[1:])
        ),
        "no record": block(0, record=b"\1"),
        "a certificate of too few": block(1, certificate=forged),
        "another block's certificate": lambda answer: replace(
            answer, blocks=(replace(answer.blocks[0], certificate=answer.blocks[1].certificate), *answer.blocks[1:])
        ),
        "another network": lambda _: give(other.application, q.HistoryQuery(CUT + 1, 64)),
    }


LIES = (
    "a wrong leaf",
    "a wrong leaf of a pruned block",
    "a pruned block without leaves, and nothing below",
    "a leaf too few",
    "half a leaf",
    "another log in front",
    "another log further back",
    "a log that cannot be",
    "a block left out",
    "a block twice",
    "more than there is",
    "another body",
    "another block's record",
    "no record",
    "a certificate of too few",
    "another block's certificate",
    "another network",
)


def without_leaves(answer: q.History, place: int) -> q.History:
    """The answer up to one block that is said to have no transactions, so that the log in front of it is the one after it."""
    after = answer.blocks[place - 1].before if place else answer.log
    given = answer.blocks[place]
    assert given.hashes
    empty = replace(given, record=pruned_record(given.record), pruned=1, hashes=b"", before=after)
    return replace(answer, blocks=(*answer.blocks[:place], empty))


def test_a_pruned_block_said_to_be_empty_would_shut_history_and_blame_the_honest(
    world: LedgerWorld, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adversary's run, with the check of the header's transaction root taken out."""
    late = restored(world, chain)
    with monkeypatch.context() as patched:
        patched.setattr(history, "_check_hashes", lambda *_: None)
        assert take(late, CUT + 1, without_leaves(asked(chain.application, CUT + 1), 1)) == 2
    with pytest.raises(Refused, match="not the log in front of"):
        take(late, CUT - 1, asked(chain.application, CUT - 1))


def test_evidence_of_a_pruned_block_is_named_by_its_hashes(world: LedgerWorld, chain: Chain) -> None:
    block = b.Block.decode(chain.records[1][0])
    assert block.transactions
    header = replace(block.header, transaction_root=b.transaction_root(block.transactions, (b"evidence",)))
    pruned = PrunedBlock.decode(pruned_record(replace(block, header=header, misbehaviour=(b"evidence",)).encode()))
    hashes = tuple(b.transaction_hash(raw) for raw in block.transactions)
    assert pruned.misbehaviour == (b.transaction_hash(b"evidence"),)
    assert b.root_of_hashes(hashes, pruned.misbehaviour) == header.transaction_root
    assert b.root_of_hashes((), pruned.misbehaviour) != header.transaction_root


@pytest.fixture(scope="module")
def lies(world: LedgerWorld, chain: Chain) -> Lies:
    made = liars(world, chain)
    assert tuple(made) == LIES
    return made


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_as_a_whole_its_teller_named_and_the_next_one_asked(
    world: LedgerWorld, chain: Chain, lies: Lies, lie: str
) -> None:
    tell = lies[lie]
    late = restored(world, chain)
    before = asked(chain.application, CUT + 1)
    assert len(before.blocks) == CUT
    with pytest.raises(Refused):
        take(late, CUT + 1, tell(before))
    assert oldest(late) == CUT + 1
    node = Node(world, late, chain.application)
    liar = node.names[1 + (CUT + 1) % 3]
    node.peers[liar] = lambda data: tell(asked(chain.application, q.HistoryQuery.decode(data).height)).encode()
    node.run()
    assert node.asked[0] == liar
    assert set(node.history.liars) == {liar}
    everything_is_there(world, chain, late)


@pytest.mark.parametrize("how", ["silent", "nothing", "rubbish", "one at a time"])
def test_who_gives_little_or_nothing_is_passed_over(world: LedgerWorld, chain: Chain, how: str) -> None:
    def silent(_: bytes) -> bytes:
        raise Refused("unreachable", "silent")

    def nothing(data: bytes) -> bytes:
        return replace(asked(chain.application, q.HistoryQuery.decode(data).height), blocks=()).encode()

    def few(data: bytes) -> bytes:
        return asked(chain.application, q.HistoryQuery.decode(data).height, 1).encode()

    late = restored(world, chain)
    node = Node(world, late, chain.application)
    bad = {"silent": silent, "nothing": nothing, "rubbish": lambda _: b"\xff", "one at a time": few}[how]
    for name in node.names[1:3]:
        node.peers[name] = bad
    node.run()
    everything_is_there(world, chain, late)
    assert set(node.history.liars) <= set(node.names[1:3])


def test_if_nobody_has_it_the_node_rests_and_asks_again(world: LedgerWorld, chain: Chain) -> None:
    late = restored(world, chain)
    nobody = restored(world, chain)
    node = Node(world, late, nobody)
    node.run(now_ms=1)
    assert len(node.asked) == 3
    with pytest.raises(Refused, match="pruned"):
        late.query(q.TRANSACTION, q.TransactionQuery(bytes(32), 0).encode())
    node.run(now_ms=2)
    assert len(node.asked) == 3
    node.peers = dict.fromkeys(node.names, lambda data: chain.application.query(q.HISTORY, data))
    node.run(now_ms=2 + RETRY_MS)
    everything_is_there(world, chain, late)


def test_what_may_be_asked_for(chain: Chain) -> None:
    application = chain.application
    for height in (0, CUT + 3, 1 << 60):
        with pytest.raises(Refused, match="not-found"):
            asked(application, height)
    assert asked(application, 1).blocks == ()
    assert len(asked(application, CUT + 2, 1 << 40).blocks) == CUT + 1
    assert asked(application, CUT + 2, 0).blocks == ()
    assert ANSWER_BYTES < 1 << 24
