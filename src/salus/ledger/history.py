"""Blocks in front of a snapshot: who started from one fetches them from others, the newest first, and believes nobody.

Steps (docs/protocol/ledger.md, "older blocks"), for each block h below one that is known with its header, hashes and log:

1. The log said to be in front of the known block, extended by its leaves, is the known log: counts and peaks alike.
2. The header said to be of block h is the one that the known header names.
3. The certificate is the one that the known header names, or a quorum of a known validator set signed it.
4. A whole record has that header, and the body it commits to; its hashes are those given. If the body is pruned, the hashes of
   its evidence and those given have the header's transaction root.
5. The log said to be in front of block h, extended by the leaves of the hashes given, is the log of step 1.

So every answer is judged at once, its giver known, and each block is as certain as the newest. In front of block 1 the log is
empty and the header names genesis; then the leaves of all hashes are those of the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

import msgspec

from salus.consensus.block import (
    Block,
    BlockHeader,
    Certificate,
    check_body,
    root_of_hashes,
    transaction_hash,
    verify_decided,
)
from salus.errors import CodecError, Refused, refuse_unless
from salus.ledger import queries as q
from salus.ledger.log_entries import log_leaves
from salus.ledger.merkle_log import EMPTY_LOG, HASH_BYTES, LogState
from salus.ledger.storage.interface import Head, LedgerStore, StoredBlock
from salus.ledger.storage.pruning import PrunedBlock, header_of, pruned_record

if TYPE_CHECKING:
    from salus.ledger.application import LedgerApplication

ANSWER_BYTES: Final = 1 << 20
"""An answer stops behind this size; one block more fits any message."""

LEAVES_AT_A_TIME: Final = 65_536
"""Log leaves in memory while a log is filled in: two megabytes."""


class _Known(msgspec.Struct, frozen=True):
    """A block that is known. :ivar log: after it. :ivar pruned: then nothing below is kept whole: what is whole is a suffix."""

    header: BlockHeader
    hashes: tuple[bytes, ...]
    log: LogState
    pruned: bool


def oldest(application: LedgerApplication) -> int:
    """Lowest height whose block is known here, whole or not; one above the head if there is none."""
    low, high = 1, application.head().height + 1
    while low < high:
        middle = (low + high) // 2
        if application.store.block(middle) is None:
            low = middle + 1
        else:
            high = middle
    return low


def give(application: LedgerApplication, query: q.HistoryQuery) -> q.History:
    """Blocks below a height, the newest first, as far as they are known here.

    :raises Refused: ``not-found`` if the block of that height, or what is in front of it, is not known here.
    """
    store = application.store
    before = store.block(query.height - 1) if 0 < query.height <= application.head().height else None
    if before is None:
        raise Refused("not-found", f"nothing is known here of what is in front of block {query.height}")
    log, found, size = before.head.log, [], 0
    for height in range(query.height - 1, max(0, query.height - 1 - min(query.count, q.HISTORY_AN_ANSWER)), -1):
        stored, before = store.block(height), store.block(height - 1)
        if stored is None or before is None or size > ANSWER_BYTES:
            break
        block = q.HistoryBlock(
            stored.record, int(stored.pruned), stored.certificate, b"".join(stored.hashes), before.head.log
        )  # fmt: skip
        size += len(block.record) + len(block.hashes) + len(block.certificate)
        found.append(block)
    return q.History(log, tuple(found))


def take(application: LedgerApplication, height: int, answer: q.History, *, pruned_too: bool = True) -> int:
    """Check what a node gave of the blocks below ``height``, the oldest that is known here, and keep it durably.

    :param pruned_too: False: blocks are kept only down to the first whose body is pruned, for another node may have it whole.
    :return: how many blocks were new.
    :raises Refused: ``bad-proof`` and others: the giver is wrong; nothing of its answer is kept.
    """
    stored = application.store.block(height)
    if stored is None:
        return 0
    known = _Known(header_of(stored.record, pruned=stored.pruned), stored.hashes, stored.head.log, stored.pruned)
    # step 1
    _extends(answer.log, height, known.hashes, known.log)
    log, fresh = answer.log, []
    for place, given in enumerate(answer.blocks):
        at = height - 1 - place
        refuse_unless(at > 0, "bad-proof", "there is nothing in front of block 1")
        block, known, log = _checked(application, at, known, log, given)
        fresh.append(block)
    if not pruned_too and not stored.pruned:
        fresh = list(takewhile(lambda block: not block.pruned, fresh))
    application.store.import_blocks(fresh)
    return len(fresh)


def _checked(
    application: LedgerApplication, height: int, above: _Known, log: LogState, given: q.HistoryBlock
) -> tuple[StoredBlock, _Known, LogState]:
    """Steps 2 to 5 for one block; ``log`` is the one after it."""
    try:
        header = header_of(given.record, pruned=bool(given.pruned))
        certificate = Certificate.decode(given.certificate)
    except CodecError as error:
        raise Refused("bad-proof", f"block {height}: {error.detail}") from None
    # step 2
    same = header.height == height and header.id() == above.header.previous_id
    refuse_unless(same, "bad-proof", f"not the header of block {height}")
    # step 3
    if certificate.digest() != above.header.previous_certificate_digest:
        verify_decided(header, certificate, application.network, application.genesis.validators())
    # step 4
    sized = len(given.hashes) % HASH_BYTES == 0 and given.pruned in (0, 1)
    refuse_unless(sized, "bad-proof", f"hashes of block {height}")
    hashes = tuple(given.hashes[i : i + HASH_BYTES] for i in range(0, len(given.hashes), HASH_BYTES))
    _check_hashes(given, header, hashes)
    # step 5
    _extends(given.before, height, hashes, log)
    if height == 1:
        first = given.before == EMPTY_LOG and header.previous_id == application.genesis.hash()
        refuse_unless(first, "bad-proof", "block 1 does not follow this network's genesis")
    pruned = above.pruned or bool(given.pruned)
    record = pruned_record(given.record) if pruned and not given.pruned else given.record
    head = Head(height, header.time_ms, above.header.application_hash, log)
    block = StoredBlock(head, record, given.certificate, hashes, pruned)
    return block, _Known(header, hashes, log, pruned), given.before


def _check_hashes(given: q.HistoryBlock, header: BlockHeader, hashes: tuple[bytes, ...]) -> None:
    """Step 4. The log alone does not tell a pruned block from one without transactions, in front of which it is the same."""
    if given.pruned:
        named = root_of_hashes(hashes, PrunedBlock.decode(given.record).misbehaviour) == header.transaction_root
    else:
        body = Block.decode(given.record)
        check_body(body)
        named = tuple(transaction_hash(raw) for raw in body.transactions) == hashes
    refuse_unless(named, "bad-proof", f"not the transactions of block {header.height}")


def leaves_below(application: LedgerApplication, count: int) -> Iterator[bytes]:
    """The first ``count`` leaves of the log, from the hashes of the blocks that are known here."""
    left, height = count, 1
    while left > 0:
        stored = application.store.block(height)
        if stored is None:
            raise Refused("not-found", f"block {height} is not known here")
        found = log_leaves(height, stored.hashes)[:left]
        yield from found
        left -= len(found)
        height += 1


def fill_log(store: LedgerStore, log: LogState, leaf_hashes: Iterable[bytes]) -> None:
    """Fill in the leaves in front of the first that is kept here; nothing changes if they are not those of the log.

    :param log: the whole log. :param leaf_hashes: from its first entry on.
    :raises Refused: ``bad-proof``.
    """
    first = store.log_first()
    later = [store.subtree(0, index) for index in range(first, log.count)]

    def checked() -> Iterator[bytes]:
        found, leaves = EMPTY_LOG, islice(leaf_hashes, first)
        while chunk := list(islice(leaves, LEAVES_AT_A_TIME)):
            found = found.extended(chunk)
            yield from chunk
        refuse_unless(found.extended(later) == log, "bad-proof", "these are not the leaves of this log")

    if first:
        store.import_log(checked())


def _extends(before: LogState, height: int, hashes: tuple[bytes, ...], after: LogState) -> None:
    before.check()
    same = before.count + len(hashes) == after.count and before.extended(log_leaves(height, hashes)) == after
    refuse_unless(same, "bad-proof", f"not the log in front of block {height}")
