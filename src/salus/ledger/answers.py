"""How a node answers the questions of :mod:`salus.ledger.queries`, and how it loads its map."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from salus._native import MerkleMap
from salus.consensus.block import Block, Certificate, CertifiedHeader
from salus.errors import CodecError, DamagedFile, Refused, refuse_unless
from salus.ledger import history
from salus.ledger import queries as q
from salus.ledger.apply import application_hash
from salus.ledger.kinds.protocol import PROTOCOL
from salus.ledger.log_entries import SUCCESS
from salus.ledger.merkle_log import LogState, prove_consistency, prove_inclusion
from salus.ledger.merkle_map import prove, value_digest
from salus.ledger.state import state_key
from salus.ledger.storage.interface import Head, LedgerStore, StoredBlock
from salus.ledger.storage.pruning import header_of

if TYPE_CHECKING:
    from salus.ledger.application import LedgerApplication


class Provable(msgspec.Struct, frozen=True):
    """The newest state that a certified header covers."""

    head: Head
    certified: CertifiedHeader
    state_root: bytes


def load_tree(store: LedgerStore, head: Head, versions_kept: int) -> MerkleMap:
    """Build the map from the store, with the versions of the blocks since its base.

    :raises DamagedFile: the state is not the one that the head's application hash names.
    """
    tree = MerkleMap(versions_kept)
    height, chunks = store.base()
    leaves = [(key, value_digest(value)) for chunk in chunks for key, value in chunk]
    root = tree.update(height, leaves)
    log: LogState | None = head.log if height == head.height else None
    for later, writes in store.tail():
        changes = [(key, None if value is None else value_digest(value)) for key, value in writes]
        root = tree.update(later.height, changes)
        log = later.log
    if log is None or application_hash(log.count, log.root(), root) != head.application_hash:
        raise DamagedFile(
            f"the state on disk is not the one of height {head.height}: files were altered; restore this node from a "
            "snapshot or let it replay from its peers in a fresh directory"
        )
    return tree


def answer(application: LedgerApplication, path: str, data: bytes) -> bytes:
    """Answer one question.

    :raises Refused: ``not-found``, ``not-committed``, ``pruned``, ``bad-encoding``.
    """
    handler = _HANDLERS.get(path)
    if handler is None:
        raise Refused("not-found", f"no such query: {path[:64]!r}")
    return handler(application, data)


def provable(application: LedgerApplication) -> Provable:
    """The newest state whose application hash a certified header carries: that of the block before the last.

    :raises Refused: ``not-committed`` before block 1, and after a snapshot until the next block.
    """
    head = application.head()
    stored = application.store.block(head.height) if head.height else None
    before = application.store.block(head.height - 1) if head.height else None
    if stored is None or before is None:
        raise Refused("not-committed", "no certified header covers a state of this node yet; ask again after the next block")
    try:
        root = application.tree().root(head.height - 1)
    except ValueError:
        raise Refused("not-committed", "ask again after the next block") from None
    return Provable(before.head, certified_header(stored), root)


def certified_header(stored: StoredBlock) -> CertifiedHeader:
    """Header and certificate of a stored block.

    :raises Refused: ``not-found`` for a block of another engine.
    """
    try:
        return CertifiedHeader(header_of(stored.record, pruned=stored.pruned), Certificate.decode(stored.certificate))
    except CodecError:
        raise Refused("not-found", f"block {stored.head.height} has no header of the embedded engine") from None


def _status(application: LedgerApplication, data: bytes) -> bytes:
    q.StatusQuery.decode(data)
    head = application.head()
    version = PROTOCOL.need(application.view(), b"").version
    return q.Status(
        application.network,
        head.height,
        head.time_ms,
        head.application_hash,
        head.log.count,
        version,
        application.registry.newest,
        application.kept_from(),
    ).encode()


def kept_from(store: LedgerStore, height: int) -> int:
    """Lowest height whose block is whole: pruning and snapshots drop a prefix, so halving finds it."""
    low, high = 1, height + 1
    while low < high:
        middle = (low + high) // 2
        stored = store.block(middle)
        if stored is None or stored.pruned:
            low = middle + 1
        else:
            high = middle
    return low


def _state(application: LedgerApplication, data: bytes) -> bytes:
    query = q.StateQuery.decode(data)
    found = provable(application)
    version = found.head.height
    tree, values = application.tree(), []
    for raw in query.raw_keys:
        key = state_key(query.kind, raw)
        proof = prove(tree, key, version)
        value = _value_at(application.store, key, proof.leaf_digest) if proof.leaf_key == key else None
        values.append(q.StateValue(value, proof))
    log = found.head.log
    return q.StateProof(found.certified, log.count, log.root(), found.state_root, tuple(values)).encode()


def _value_at(store: LedgerStore, key: bytes, digest: bytes | None) -> bytes:
    """The value of this digest: the newest, or the one in front of the last block."""
    for value in (store.value(key), store.value_before(key)):
        if value is not None and value_digest(value) == digest:
            return value
    raise DamagedFile("a value in the store is not the one that the map names; restore this node from its peers")


def _transaction(application: LedgerApplication, data: bytes) -> bytes:
    query = q.TransactionQuery.decode(data)
    place = application.position(query.tx_hash)
    if place is None and application.head().height and application.store.block(1) is None:
        # It must not deny what it cannot know: enough such nodes would have a client believe that it was never committed.
        raise Refused("pruned", f"{query.tx_hash.hex()} is not in the blocks since the snapshot that this node started from")
    if place is None:
        raise Refused("not-found", f"{query.tx_hash.hex()} is not on the ledger")
    height, index = place
    found = provable(application)
    refuse_unless(height <= found.head.height, "not-found", "it is committed, and the next block will prove it; ask again")
    stored, before = application.store.block(height), application.store.block(height - 1)
    if stored is None or before is None:
        raise Refused("pruned", f"block {height} is not kept here; ask another node")
    if application.store.log_first():
        raise Refused("pruned", "this node started from a snapshot, without the log in front of it; ask another node")
    inclusion = prove_inclusion(before.head.log.count + index, found.head.log.count, application.store.subtree)
    body = None
    if query.with_body and not stored.pruned:
        body = Block.decode(stored.record).transactions[index]
    return q.TransactionProof(
        found.certified,
        found.head.log.count,
        found.head.log.root(),
        found.state_root,
        height,
        index,
        SUCCESS,
        stored.head.time_ms,
        inclusion,
        body,
    ).encode()


def _block(application: LedgerApplication, data: bytes) -> bytes:
    height = q.BlockQuery.decode(data).height
    stored = application.store.block(height) if height else None
    if stored is None and not 0 < height <= application.head().height:
        raise Refused("not-found", f"there is no block {height} here")
    if stored is None or stored.pruned:
        raise pruned(height)
    return q.BlockAnswer(stored.record, stored.certificate).encode()


def _headers(application: LedgerApplication, data: bytes) -> bytes:
    start = q.HeadersQuery.decode(data).start
    found = []
    for height in range(max(start, 1), min(application.head().height, start + q.HEADERS_AN_ANSWER - 1) + 1):
        stored = application.store.block(height)
        if stored is None:
            break
        found.append(certified_header(stored))
    return q.Headers(tuple(found)).encode()


def pruned(height: int) -> Refused:
    """The refusal of who is asked for a block that it had."""
    return Refused("pruned", f"the body of block {height} was pruned here: replay needs an archive node")


def _consistency(application: LedgerApplication, data: bytes) -> bytes:
    query = q.ConsistencyQuery.decode(data)
    refuse_unless(query.second <= application.head().log.count, "not-found", "the log is not that long")
    proof = prove_consistency(query.first, query.second, application.store.subtree)
    return q.ConsistencyAnswer(proof).encode()


def _log_leaves(application: LedgerApplication, data: bytes) -> bytes:
    query = q.LogLeavesQuery.decode(data)
    log = application.head().log
    end = min(query.start + query.count, query.start + q.LEAVES_AN_ANSWER, log.count)
    hashes = [application.store.subtree(0, i) for i in range(query.start, end)]
    return q.LogLeaves(log, b"".join(hashes)).encode()


def _history(application: LedgerApplication, data: bytes) -> bytes:
    return history.give(application, q.HistoryQuery.decode(data)).encode()


_HANDLERS: Final[dict[str, Callable[[LedgerApplication, bytes], bytes]]] = {
    q.STATUS: _status,
    q.STATE: _state,
    q.TRANSACTION: _transaction,
    q.BLOCK: _block,
    q.HEADERS: _headers,
    q.CONSISTENCY: _consistency,
    q.LOG_LEAVES: _log_leaves,
    q.HISTORY: _history,
}
