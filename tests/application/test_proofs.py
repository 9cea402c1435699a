"""Queries and their proofs: presence, absence, inclusion, growth; and that a tampered answer is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.codec import Message, decode, encode
from salus.consensus import block as b
from salus.consensus.block import ValidatorSet
from salus.consensus.interface import ValidatorUpdate
from salus.consultation.request import ConsultationRequest
from salus.errors import CodecError, Refused
from salus.ledger import queries as q
from salus.ledger.application import LedgerApplication
from salus.ledger.kinds.consultations import REQUESTS
from salus.ledger.log_entries import log_entry
from salus.ledger.merkle_log import LogState, verify_inclusion
from salus.ledger.proofs import HeaderChain, verify_growth, verify_state, verify_transaction
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.storage.sqlite import SqliteStore
from salus.merkle import leaf_hash
from support.ledger_world import Chain, Doctor, LedgerWorld


class Scene:
    """A chain with a consultation under way, and the questions about it."""

    def __init__(self, store: Any = None) -> None:
        self.world = LedgerWorld("proofs")
        self.chain: Chain = self.world.chain(store)
        self.doctor: Doctor = self.chain.ready(8)
        self.requests: list[ConsultationRequest] = []
        for sn in range(3):
            request, _ = self.world.request(self.doctor, sn, time_ms=self.chain.time_ms)
            self.requests.append(request)
        self.chain.decide([r.encode() for r in self.requests])
        self.chain.decide([])

    def ask(self, path: str, question: Message) -> bytes:
        return self.chain.application.query(path, question.encode())

    def state(self, kind: str, *raw_keys: bytes) -> tuple[q.StateQuery, q.StateProof]:
        query = q.StateQuery(kind, raw_keys)
        return query, q.StateProof.decode(self.ask(q.STATE, query))

    def transaction(self, tx_hash: bytes, *, body: bool = True) -> q.TransactionProof:
        return q.TransactionProof.decode(self.ask(q.TRANSACTION, q.TransactionQuery(tx_hash, int(body))))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def parts(value: Any) -> Iterator[Any]:
    """Every way to alter one leaf of a decoded value."""
    if type(value) is tuple:
        for i, item in enumerate(value):
            if i < 2 and type(value[0]) is str:
                continue  # kind and version
            for other in parts(item):
                yield (*value[:i], other, *value[i + 1 :])
    elif type(value) is int:
        yield value + 1
    elif type(value) is bytes:
        yield bytes([value[0] ^ 1]) + value[1:] if value else b"x"
    elif type(value) is str:
        yield value + "x"


def alterations(message: Message) -> list[Any]:
    """All altered messages that still decode."""
    found = []
    for value in parts(decode(message.encode())):
        try:
            found.append(type(message).decode(encode(value)))
        except CodecError:
            continue
    return found


def test_presence_and_absence(scene: Scene) -> None:
    h1 = scene.requests[0].tx_hash()
    query, proof = scene.state("request", h1, bytes(32), scene.requests[2].tx_hash())
    values = verify_state(proof, query, scene.world.network, scene.world.validators)
    assert [v is not None for v in values] == [True, False, True]
    assert values[0] is not None
    assert REQUESTS.decode(values[0]).sn == 0


def test_every_tampered_state_proof_is_refused(scene: Scene) -> None:
    query, proof = scene.state("request", scene.requests[0].tx_hash(), bytes(32))
    tampered = alterations(proof)
    assert len(tampered) > 40
    for other in tampered:
        with pytest.raises(Refused):
            verify_state(other, query, scene.world.network, scene.world.validators)
    wrong = [
        replace(query, kind="answer"),
        replace(query, raw_keys=query.raw_keys[::-1]),
        replace(query, raw_keys=query.raw_keys[:1]),
    ]
    for question in wrong:
        with pytest.raises(Refused, match="bad-proof"):
            verify_state(proof, question, scene.world.network, scene.world.validators)
    there, absent = proof.values
    for values in ((replace(there, value=None), absent), (there, replace(absent, value=b"x")), (absent, there)):
        with pytest.raises(Refused, match="bad-proof"):
            verify_state(replace(proof, values=values), query, scene.world.network, scene.world.validators)


def test_inclusion(scene: Scene) -> None:
    for index, request in enumerate(scene.requests):
        proof = scene.transaction(request.tx_hash())
        verify_transaction(proof, request.tx_hash(), scene.world.network, scene.world.validators)
        assert proof.transaction == request.encode()
        assert (proof.height, proof.index) == (scene.chain.application.info().height - 1, index)
    assert scene.transaction(scene.requests[0].tx_hash(), body=False).transaction is None
    with pytest.raises(Refused, match="not-found"):
        scene.transaction(bytes(32))


def test_every_tampered_inclusion_proof_is_refused(scene: Scene) -> None:
    tx_hash = scene.requests[1].tx_hash()
    proof = replace(scene.transaction(tx_hash, body=False), block_time_ms=0)
    tampered = [a for a in alterations(proof) if a.block_time_ms == 0]
    assert len(tampered) > 25
    for other in tampered:
        with pytest.raises(Refused):
            verify_transaction(other, tx_hash, scene.world.network, scene.world.validators)
    with pytest.raises(Refused, match="bad-proof"):
        verify_transaction(proof, bytes(32), scene.world.network, scene.world.validators)


def test_a_minority_of_signatures_proves_nothing(scene: Scene) -> None:
    query, proof = scene.state("request", bytes(32))
    header = proof.certified.header
    for signers in ([0, 1], [0]):
        weak = scene.world.sign_certificate(header.height, 0, header.id(), signers)
        forged = replace(proof, certified=replace(proof.certified, certificate=weak))
        with pytest.raises(Refused, match="no-quorum"):
            verify_state(forged, query, scene.world.network, scene.world.validators)
    others = LedgerWorld("another network")
    with pytest.raises(Refused):
        verify_state(proof, query, others.network, scene.world.validators)
    with pytest.raises(Refused, match="bad-signature"):
        verify_state(proof, query, scene.world.network, others.validators)


def test_answers_are_about_the_newest_certified_state() -> None:
    scene = Scene()
    request, _ = scene.world.request(scene.doctor, 4, time_ms=scene.chain.time_ms)
    h1 = request.tx_hash()
    scene.chain.decide([request.encode()])
    query, before = scene.state("request", h1)
    assert verify_state(before, query, scene.world.network, scene.world.validators) == (None,)
    with pytest.raises(Refused, match="not-found"):
        scene.transaction(h1)
    # The slot has changed with the last block: the answer is still what the certified header covers.
    slots, changed = scene.state("slot", encode((scene.doctor.key.name, 4)), encode((scene.doctor.key.name, 0)))
    assert None not in verify_state(changed, slots, scene.world.network, scene.world.validators)
    scene.chain.decide([])
    query, after = scene.state("request", h1)
    assert verify_state(after, query, scene.world.network, scene.world.validators) != (None,)
    growth = q.ConsistencyQuery(before.log_count, after.log_count)
    proof = q.ConsistencyAnswer.decode(scene.ask(q.CONSISTENCY, growth)).proof
    verify_growth(proof, before, after)
    with pytest.raises(Refused, match="bad-proof"):
        verify_growth(proof, after, before)
    for other in (replace(proof, second=proof.second + 1), replace(proof, first=proof.first - 1)):
        with pytest.raises(Refused, match="other lengths"):
            verify_growth(other, before, after)


def test_an_inclusion_proof_is_for_the_length_that_the_header_covers(scene: Scene) -> None:
    """Logs of several lengths have the same path to an entry, and the same root."""
    tx_hash = scene.requests[0].tx_hash()
    proof = scene.transaction(tx_hash)
    true = proof.inclusion.count
    passing = []
    for count in range(true + 1, 8 * true):
        other = replace(proof.inclusion, count=count)
        entry = leaf_hash(log_entry(proof.height, proof.index, tx_hash, proof.result))
        with contextlib.suppress(Refused):
            verify_inclusion(other, entry, proof.log_root)
            passing.append(other)
    assert passing, "a root does not tell the length"
    for other in passing:
        for count in (true, other.count):
            with pytest.raises(Refused, match="bad-proof"):
                verify_transaction(
                    replace(proof, log_count=count, inclusion=other), tx_hash, scene.world.network, scene.world.validators
                )


def test_nothing_is_provable_before_the_first_block() -> None:
    world = LedgerWorld("nothing")
    application = LedgerApplication(MemoryStore(), world.genesis)
    with pytest.raises(Refused, match="not-committed"):
        application.query(q.STATE, q.StateQuery("request", (bytes(32),)).encode())
    assert q.Headers.decode(application.query(q.HEADERS, q.HeadersQuery(1).encode())).headers == ()
    with pytest.raises(Refused, match="not-found"):
        application.query("nonsense", b"")
    with pytest.raises(Refused, match="bad-encoding"):
        application.query(q.STATE, b"rubbish")


def test_proofs_after_opening_again(tmp_path: Path) -> None:
    """Right after an opening too, also for keys that the last block changed."""
    scene = Scene(SqliteStore.open_or_create(tmp_path))
    request, _ = scene.world.request(scene.doctor, 4, time_ms=scene.chain.time_ms)
    scene.chain.decide([request.encode()])
    asked = ("slot", encode((scene.doctor.key.name, 4)))
    _, before = scene.state(*asked)
    scene.chain.application.close()
    scene.chain.application = LedgerApplication.open(tmp_path, scene.world.genesis)
    query, after = scene.state(*asked)
    assert after == before
    verify_state(after, query, scene.world.network, scene.world.validators)
    verify_transaction(
        scene.transaction(scene.requests[1].tx_hash()),
        scene.requests[1].tx_hash(),
        scene.world.network,
        scene.world.validators,
    )
    scene.chain.application.close()


def test_blocks_headers_status_and_leaves(scene: Scene) -> None:
    application = scene.chain.application
    height = application.info().height
    for number in (1, height):
        answer = q.BlockAnswer.decode(scene.ask(q.BLOCK, q.BlockQuery(number)))
        assert (answer.record, answer.certificate) == scene.chain.records[number - 1] == application.block_record(number)
    for number in (0, height + 1):
        with pytest.raises(Refused, match="not-found"):
            scene.ask(q.BLOCK, q.BlockQuery(number))
        assert application.block_record(number) is None
    headers = q.Headers.decode(scene.ask(q.HEADERS, q.HeadersQuery(1))).headers
    assert [c.header.height for c in headers] == list(range(1, height + 1))
    chain = HeaderChain(scene.world.network, scene.world.genesis.hash(), scene.world.validators)
    chain.follow_all(headers)
    assert chain.last == headers[-1]
    status = q.Status.decode(scene.ask(q.STATUS, q.StatusQuery()))
    assert (status.network, status.height, status.kept_from) == (scene.world.network, height, 1)
    leaves = q.LogLeaves.decode(scene.ask(q.LOG_LEAVES, q.LogLeavesQuery(0, 1 << 30)))
    hashes = [leaves.hashes[i : i + 32] for i in range(0, len(leaves.hashes), 32)]
    assert LogState(0, ()).extended(hashes) == leaves.log == application.head().log


def test_a_header_chain_refuses_what_does_not_follow(scene: Scene) -> None:
    headers = q.Headers.decode(scene.ask(q.HEADERS, q.HeadersQuery(1))).headers
    world = scene.world

    def chain(upto: int) -> HeaderChain:
        made = HeaderChain(world.network, world.genesis.hash(), world.validators)
        made.follow_all(headers[:upto])
        return made

    def resigned(**changes: Any) -> b.CertifiedHeader:
        header = replace(headers[2].header, **changes)
        return b.CertifiedHeader(header, world.sign_certificate(header.height, 0, header.id()))

    chain(2).follow(resigned(view=0))
    before = headers[1].header
    for changes in (
        {"height": 4},
        {"previous_id": bytes(32)},
        {"time_ms": before.time_ms},
        {"validators_hash": bytes(32)},
        {"next_validators_hash": bytes(32)},
    ):
        with pytest.raises(Refused, match="bad-proof"):
            chain(2).follow(resigned(**changes))
    with pytest.raises(Refused, match="bad-proof"):
        chain(1).follow(headers[2])
    with pytest.raises(Refused, match="bad-proof"):
        HeaderChain(world.network, bytes(32), world.validators).follow(headers[0])


def test_a_header_chain_follows_changes_of_the_set(scene: Scene) -> None:
    world = scene.world
    first = q.Headers.decode(scene.ask(q.HEADERS, q.HeadersQuery(1))).headers[0]
    smaller = world.validators.changed([ValidatorUpdate(world.nodes[3].member.name, b"", 0)])

    def certified(header: b.BlockHeader, signers: list[int]) -> b.CertifiedHeader:
        return b.CertifiedHeader(header, world.sign_certificate(header.height, 0, header.id(), signers))

    leaving = certified(replace(first.header, next_validators_hash=smaller.hash()), [0, 1, 3])
    later = replace(
        first.header,
        height=2,
        previous_id=leaving.header.id(),
        time_ms=first.header.time_ms + 1,
        validators_hash=smaller.hash(),
        next_validators_hash=smaller.hash(),
    )

    def chain(following: ValidatorSet | None) -> HeaderChain:
        made = HeaderChain(world.network, world.genesis.hash(), world.validators)
        made.follow(leaving, following)
        return made

    chain(smaller).follow(certified(later, [0, 1, 2]))
    with pytest.raises(Refused, match="bad-proof"):
        chain(None)
    with pytest.raises(Refused, match="unknown-party"):
        chain(smaller).follow(certified(later, [0, 1, 3]))
