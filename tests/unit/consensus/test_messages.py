"""Messages between replicas: canonical, bounded, and bound by their signatures to all that matters."""

from __future__ import annotations

import msgspec
import pytest

from salus.consensus.block import ZERO32, CommitSignature
from salus.consensus.pbft import messages as m
from salus.consensus.pbft.crypto import Ed25519Signer, Verifier
from salus.consensus.pbft.records import AcceptedRecord, PreparedRecord, SetRecord, ViewRecord, decode_record, live_records
from salus.errors import CodecError, DamagedFile
from support.pbft_cluster import NETWORK, Cluster, put

SIGNER = Ed25519Signer(b"s" * 32)
VOTE = CommitSignature("node-0", bytes(64))
PROOF = m.PreparedProof(0, b"b" * 32, (VOTE,))


def _traffic() -> list[m.Signed]:
    """Real messages of a network that did a bit of everything."""
    c = Cluster(keep_blocks=2)
    c.submit(0, put("a"))
    c.pump()
    c.stop(3)
    c.submit(0, put("b"))
    c.wait(6000)
    c.start(3)
    c.wait(4000)
    return [message for _, message in c.sent]


def test_every_message_decodes_to_itself() -> None:
    traffic = _traffic()
    kinds = {type(message) for message in traffic}
    assert kinds >= {m.PrePrepare, m.Prepare, m.Commit, m.ViewChange, m.NewView, m.Status, m.Transactions, m.PoolReceipt}
    for message in traffic:
        assert m.decode_message(message.encode()) == message


def test_unknown_kinds_and_rubbish_are_refused() -> None:
    for data in (b"", b"n", VOTE.encode(), PROOF.encode(), b"t\x00\x00\x00\x00"):
        with pytest.raises(CodecError):
            m.decode_message(data)


def test_real_signatures_verify_and_bind_every_field() -> None:
    verifier = Verifier()
    message = m.signed(m.Prepare("node-0", 3, m.UNSIGNED, 1, b"b" * 32), NETWORK, SIGNER)

    def good(x: m.Signed, network: bytes = NETWORK) -> bool:
        return verifier.verify([(SIGNER.public_key, m.vote_bytes(network, *x.statement()), x.signature)])[0]

    assert good(message)
    assert good(message), "and again, from memory"
    assert not good(message, b"o" * 32)
    for changes in ({"height": 4}, {"view": 2}, {"block_id": b"c" * 32}):
        assert not good(msgspec.structs.replace(message, **changes))
    other_kind = m.Commit("node-0", 3, message.signature, 1, b"b" * 32)
    assert not good(other_kind)


def test_the_signature_of_a_view_change_covers_the_view_of_its_certificate() -> None:
    change = m.ViewChange("node-0", 1, m.UNSIGNED, 5, PROOF, None)
    older = msgspec.structs.replace(PROOF, view=3)
    statements = {
        change.statement(),
        msgspec.structs.replace(change, proof=older).statement(),
        msgspec.structs.replace(change, proof=None).statement(),
        msgspec.structs.replace(change, view=6).statement(),
    }
    assert len(statements) == 4
    assert msgspec.structs.replace(change, proof=None).statement()[3] == ZERO32
    assert msgspec.structs.replace(change, block=b"x").statement() == change.statement(), "the block is named by the proof"


def test_statements_of_other_messages_cover_their_content() -> None:
    base = m.Transactions("node-0", 1, m.UNSIGNED, (b"a", b"b"))
    assert base.statement() != msgspec.structs.replace(base, transactions=(b"b", b"a")).statement()
    part = m.SnapshotPart("node-0", 1, m.UNSIGNED, 0, b"data")
    assert part.statement() != msgspec.structs.replace(part, data=b"date").statement()
    assert part.statement() != msgspec.structs.replace(part, offset=1).statement()
    point = m.Checkpoint("node-0", 1, m.UNSIGNED, ZERO32, ZERO32, ZERO32, ZERO32, 0)
    for field in ("block_id", "application_hash", "validators_hash", "next_validators_hash"):
        assert point.statement() != msgspec.structs.replace(point, **{field: b"x" * 32}).statement()


def test_bounds() -> None:
    for message in (
        m.Transactions("n", 1, m.UNSIGNED, ()),
        m.Transactions("n", 1, m.UNSIGNED, (b"x",) * (m.MAX_GOSSIP_TRANSACTIONS + 1)),
        m.Transactions("n", 1, m.UNSIGNED, (bytes(m.MAX_TRANSACTION_BYTES + 1),)),
        m.PrePrepare("n", 1, m.UNSIGNED, 0, ZERO32, bytes(m.MAX_BLOCK_MESSAGE_BYTES + 1)),
        m.Prepare("n" * 129, 1, m.UNSIGNED, 0, ZERO32),
        m.Prepare("n", -1, m.UNSIGNED, 0, ZERO32),
        m.Prepare("n", 1, m.UNSIGNED, 0, b"short"),
    ):
        with pytest.raises(CodecError):
            message.encode()


def test_the_memory_of_good_signatures_is_bounded_and_holds_no_bad_ones() -> None:
    calls: list[int] = []

    def check(items: object) -> list[bool]:
        calls.append(len(items))  # type: ignore[arg-type]
        return [item[1] != b"bad" for item in items]  # type: ignore[attr-defined]

    verifier = Verifier(check, remember=2)  # type: ignore[arg-type]
    item = (b"k" * 32, b"bad", bytes(64))
    assert verifier.verify([item]) == verifier.verify([item]) == [False]
    assert calls == [1, 1]
    assert verifier.verify([(b"k" * 32, b"%d" % i, bytes(64)) for i in range(3)]) == [True] * 3
    verifier.verify([(b"k" * 32, b"0", bytes(64))])
    assert calls == [1, 1, 3, 1], "the oldest was forgotten"
    verifier.verify([(b"k" * 32, b"2", bytes(64))])
    assert calls == [1, 1, 3, 1]


def test_records_round_trip_and_the_needed_ones_are_kept() -> None:
    c = Cluster()
    records = [
        SetRecord(3, c.validators),
        AcceptedRecord(1, 0, b"b" * 32, b"old"),
        ViewRecord(2, 1),
        PreparedRecord(2, PROOF),
        AcceptedRecord(3, 0, b"b" * 32, b"later"),
    ]
    assert [decode_record(r.encode()) for r in records] == records
    assert live_records(records, 2) == [records[0], *records[2:]]
    assert live_records(records, 4) == [records[0]]
    with pytest.raises(DamagedFile):
        decode_record(VOTE.encode())
