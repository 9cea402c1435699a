"""The pool: transactions that the application has checked and that wait for a block; gossip and pool receipts.

Steps are those of docs/protocol/consensus.md, "Pool, receipts and words".
"""

from __future__ import annotations

from typing import Final

from salus.consensus.block import Block
from salus.consensus.interface import CheckResult
from salus.consensus.pbft.events import Answer, Checked, CheckTransactions, Dropped, Receipt, Submitted
from salus.consensus.pbft.messages import (
    MAX_GOSSIP_BYTES,
    MAX_GOSSIP_TRANSACTIONS,
    MAX_TRANSACTION_BYTES,
    UNSIGNED,
    PoolReceipt,
    Transactions,
    hash_of,
)
from salus.consensus.pbft.output import Out, broadcast, send, sign
from salus.consensus.pbft.state import Pooled, State

MAX_RECENT: Final = 32_768
"""Hashes of committed transactions remembered, so that late gossip is not checked again."""
MAX_CHECKS: Final = 1024
"""Batches with the application at once; gossip beyond that is dropped and comes again."""
RECHECK_AFTER: Final = 2
"""Blocks with room that may pass a transaction by before the application is asked about it again."""
RECHECK_COUNT: Final = 256
"""Transactions asked about again after one block."""
MAX_SKIPPED: Final = 64
"""Blocks with room that may pass a transaction by before it is given up: several rounds of any ranking."""

LOCAL, GOSSIP, RECHECK = "local", "gossip", "recheck"


def on_submitted(s: State, event: Submitted, out: Out) -> None:
    """Pool, step 1: transactions of an own client go to the application for their checks."""
    _check(s, out, LOCAL, "", event.request, event.transactions)


def on_transactions(s: State, message: Transactions, out: Out) -> None:
    """Pool, step 1, at the other replicas: what is known already gets its receipt at once, the rest is checked first."""
    hashes = message.hashes()
    known = [h for h in hashes if h in s.pool]
    if known and message.sender != s.config.name:
        send(s, out, message.sender, PoolReceipt(s.config.name, s.height, UNSIGNED, tuple(known)))
    unknown = tuple(
        t
        for h, t in zip(hashes, message.transactions, strict=True)
        if h not in s.pool and h not in s.recent and h not in s.in_check
    )
    if unknown and len(s.checks) < MAX_CHECKS:
        _check(s, out, GOSSIP, message.sender, 0, unknown)


def _check(s: State, out: Out, origin: str, peer: str, request: int, transactions: tuple[bytes, ...]) -> None:
    s.check_count += 1
    s.checks[s.check_count] = (origin, peer, request, transactions)
    if origin == GOSSIP:
        s.in_check.update(map(hash_of, transactions))
    out.append(CheckTransactions(s.check_count, transactions, s.next_time_ms))


def on_checked(s: State, event: Checked, out: Out) -> None:
    """Pool, steps 1 and 2: what passed goes to the pool, to the other replicas, and is receipted."""
    origin, peer, request, transactions = s.checks.pop(event.check)
    if origin == RECHECK:
        for result, transaction in zip(event.results, transactions, strict=True):
            if not result.accepted:
                _drop(s, out, hash_of(transaction), result.reason, result.detail)
        return
    if origin == GOSSIP:
        s.in_check.difference_update(map(hash_of, transactions))
    results = []
    fresh: list[bytes] = []
    for result, transaction in zip(event.results, transactions, strict=True):
        checked = _admit(s, result, transaction)
        results.append(checked)
        if checked.accepted:
            fresh.append(transaction)
    if origin == LOCAL:
        out.append(Answer(request, tuple(results)))
        gossip(s, out, fresh)
    hashes = tuple(r.tx_hash for r in results if r.accepted)
    for start in range(0, len(hashes), MAX_GOSSIP_TRANSACTIONS):
        receipt = PoolReceipt(s.config.name, s.height, UNSIGNED, hashes[start : start + MAX_GOSSIP_TRANSACTIONS])
        if origin == LOCAL:
            out.append(Receipt(sign(s, receipt)))
        else:
            send(s, out, peer, receipt)


def _admit(s: State, result: CheckResult, transaction: bytes) -> CheckResult:
    if not result.tx_hash:  # what does not even decode has no name for the application
        result = CheckResult(hash_of(transaction), result.reason, result.detail)
    if not result.accepted or result.tx_hash in s.pool:
        return result
    if len(transaction) > MAX_TRANSACTION_BYTES:
        return CheckResult(result.tx_hash, "too-large", f"{len(transaction)} bytes, at most {MAX_TRANSACTION_BYTES}")
    if result.spends in s.pool_spends:
        # else one member fills the pool with transactions of which all but one are refused after it is committed
        return CheckResult(result.tx_hash, "used-credential", "another transaction that spends the same waits already")
    config = s.config
    if len(s.pool) >= config.max_pool_transactions or s.pool_bytes + len(transaction) > config.max_pool_bytes:
        return CheckResult(result.tx_hash, "pool-full", f"{len(s.pool)} transactions wait")
    s.pool[result.tx_hash] = Pooled(transaction, s.now_ms, spends=result.spends)
    s.pool_bytes += len(transaction)
    if result.spends:
        s.pool_spends.add(result.spends)
    return result


def _take_out(s: State, tx_hash: bytes) -> bool:
    pooled = s.pool.pop(tx_hash, None)
    if pooled is None:
        return False
    s.pool_bytes -= len(pooled.transaction)
    s.pool_spends.discard(pooled.spends)
    return True


def gossip(s: State, out: Out, transactions: list[bytes]) -> None:
    """Send transactions to everyone, in messages of bounded size."""
    batch: list[bytes] = []
    size = 0
    for transaction in transactions:
        if batch and (size + len(transaction) > MAX_GOSSIP_BYTES or len(batch) == MAX_GOSSIP_TRANSACTIONS):
            broadcast(s, out, Transactions(s.config.name, s.height, UNSIGNED, tuple(batch)))
            batch, size = [], 0
        batch.append(transaction)
        size += len(transaction)
    if batch:
        broadcast(s, out, Transactions(s.config.name, s.height, UNSIGNED, tuple(batch)))


def gossip_again(s: State, out: Out) -> None:
    """Repeat the oldest transactions of the pool, one message: somebody may have missed them."""
    batch: list[bytes] = []
    size = 0
    for pooled in s.pool.values():
        size += len(pooled.transaction)
        late = s.now_ms - pooled.since_ms >= s.config.resend_ms
        if not late or len(batch) >= 256 or (batch and size > MAX_GOSSIP_BYTES // 4):
            break
        batch.append(pooled.transaction)
    gossip(s, out, batch)


def on_pool_receipt(s: State, message: PoolReceipt, out: Out) -> None:
    """Another replica holds transactions: news for the client's ``accepted``."""
    out.append(Receipt(message))


def candidates(s: State) -> tuple[bytes, ...]:
    """The oldest transactions that fit a block."""
    chosen: list[bytes] = []
    size = 0
    for pooled in s.pool.values():
        size += len(pooled.transaction)
        if len(chosen) == s.config.max_block_transactions or size > s.config.max_block_bytes:
            break
        chosen.append(pooled.transaction)
    return tuple(chosen)


def remove_committed(s: State, out: Out, tx_hashes: tuple[bytes, ...], block: Block) -> None:
    """Pool, step 3: take a decided block's transactions out; ask again about those that blocks with room passed by."""
    for tx_hash in tx_hashes:
        _take_out(s, tx_hash)
        s.recent[tx_hash] = block.header.height
    while len(s.recent) > MAX_RECENT:
        s.recent.popitem(last=False)
    size = sum(map(len, block.transactions))
    if not s.pool or 2 * len(tx_hashes) > s.config.max_block_transactions or 2 * size > s.config.max_block_bytes:
        return
    doubtful: list[bytes] = []
    for tx_hash in list(s.pool)[: s.config.max_block_transactions]:
        pooled = s.pool[tx_hash]
        pooled.skipped += 1
        if pooled.skipped >= MAX_SKIPPED:
            _drop(s, out, tx_hash, "expired", f"{MAX_SKIPPED} blocks with room did not take it")
        elif pooled.skipped % RECHECK_AFTER == 0 and len(doubtful) < RECHECK_COUNT:
            doubtful.append(pooled.transaction)
    if doubtful and len(s.checks) < MAX_CHECKS:
        _check(s, out, RECHECK, "", 0, tuple(doubtful))


def _drop(s: State, out: Out, tx_hash: bytes, reason: str, detail: str) -> None:
    if _take_out(s, tx_hash):
        out.append(Dropped(tx_hash, reason, detail))
