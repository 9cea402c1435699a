"""The general node O: it takes a transaction, gets a check node's verdict and other nodes' receipts, and answers with both.

``accepted`` means: a check node found it valid, and more than a third of the nodes keep it durably until it is committed. It may
still be refused, if another transaction comes first. Steps: docs/protocol/sharing-nodes.md, "acceptance".
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import structlog

from salus import labels
from salus.consultation.registration import NODE, verify_member_signature
from salus.errors import Refused, refuse_unless
from salus.groups import multi_signatures
from salus.ledger import sharing_api as m
from salus.ledger.kinds.parties import NODES, VALIDATORS, is_live_node, live_party
from salus.ledger.kinds.sharing.check_nodes import check_nodes, check_order
from salus.ledger.kinds.sharing.committee_state import status
from salus.ledger.kinds.sharing.messages.common import signed_part
from salus.ledger.kinds.sharing.messages.shares import VALID, CheckVerdict, FalseVerdict
from salus.ledger.state import StateView
from salus.node.sharing.errands import Failure
from salus.node.sharing.pending import PendingStore
from salus.node.sharing.surroundings import Surroundings

REMEMBERED_MAX: Final = 8192
"""Acceptances that clients can still ask for; 1 KiB each, once they are through."""
OPEN_MAX: Final = 1024
"""Acceptances under way, each with its transaction: 64 MiB at the very most."""
RESUBMIT_MS: Final = 2_000
"""A pending transaction that was not committed in this time is put into the pool again, whoever took it."""
_log = structlog.get_logger(__name__)


class _Open:
    """One acceptance under way."""

    def __init__(self, raw: bytes, order: list[str]) -> None:
        self.raw = raw
        self.order = order
        """Check nodes that have not been asked yet, in the order of their turns."""
        self.verdict: CheckVerdict | None = None
        self.receipts: dict[str, m.PendingReceipt] = {}
        self.certificate: m.PendingCertificate | None = None
        self.offered = False


class AcceptanceDesk:
    """Acceptances and the pending store of one node.

    :ivar liars: check nodes that signed a false verdict, and what shows it.
    """

    def __init__(self, around: Surroundings, pending: PendingStore) -> None:
        self._around = around
        self._pending = pending
        self._open: OrderedDict[bytes, _Open] = OrderedDict()
        self._seen: OrderedDict[tuple[bytes, int, str], CheckVerdict] = OrderedDict()
        self.liars: dict[str, str] = {}
        self._due: list[bytes] = []

    # --- for clients ---

    def accept(self, raw: bytes) -> m.Acceptance:
        """Take a transaction; the same again tells how far it has come.

        :raises Refused: why it can not be committed now.
        """
        around = self._around
        tx = around.application.transaction(raw)
        if tx.hash in self._open:
            return self.acceptance(tx.hash)
        if around.application.position(tx.hash) is None:
            receipt = self.store(raw)
            view = around.view
            epoch = status(view).current
            order = check_order(view, around.network, epoch, tx.hash) if epoch else check_nodes(view)
            entry = self._open[tx.hash] = _Open(raw, order)
            entry.receipts[around.name] = receipt
            while len(self._open) > REMEMBERED_MAX:
                self._open.popitem(last=False)
            self._forget_oldest()
            self._ask_stores(tx.hash, entry)
            self._ask_verdict(tx.hash, entry)
            self._advance(tx.hash, entry)
        return self.acceptance(tx.hash)

    def _forget_oldest(self) -> None:
        """Of too many under way the oldest end: the pending stores have their transactions, and put them into the pool."""
        under_way = [tx_hash for tx_hash, entry in self._open.items() if entry.raw]
        for tx_hash in under_way[: max(0, len(under_way) - OPEN_MAX)]:
            del self._open[tx_hash]

    def acceptance(self, tx_hash: bytes) -> m.Acceptance:
        """How far an acceptance has come.

        :raises Refused: ``not-found``: this node did not take it, or it is long ago.
        """
        entry = self._open.get(tx_hash)
        if entry is None:
            refuse_unless(self._around.application.position(tx_hash) is not None, "not-found", tx_hash.hex())
            return m.Acceptance(tx_hash, None, None)
        return m.Acceptance(tx_hash, entry.verdict, entry.certificate)

    def store(self, raw: bytes) -> m.PendingReceipt:
        """Check a transaction, make it durable, and sign that it is.

        :raises Refused: why it can not be committed now; ``pool-full``.
        """
        around = self._around
        result = around.application.check_transactions([raw], around.now_ms())[0]
        refuse_unless(not result.reason, result.reason or "internal", result.detail)
        self._pending.keep(result.tx_hash, raw, around.now_ms(), result.spends)
        signature = multi_signatures.sign(around.bls_secret, m.pending_message(around.network, result.tx_hash))
        return m.PendingReceipt(result.tx_hash, around.name, signature)

    # --- for the node ---

    def due(self, now_ms: int) -> list[bytes]:
        """Transactions for the pool: accepted ones, and pending ones whose general node is silent."""
        transactions, self._due = self._due, []
        application = self._around.application
        for tx_hash, raw in self._pending.waiting(now_ms - RESUBMIT_MS):
            if application.position(tx_hash) is not None:
                self._pending.drop(tx_hash)
                continue
            result = application.check_transactions([raw], now_ms)[0]
            if not result.reason:
                self._pending.touch(tx_hash, now_ms)
                transactions.append(raw)
            else:
                self._pending.drop(tx_hash)
        return transactions

    def committed(self, tx_hashes: list[bytes]) -> None:
        """Transactions were committed: they need not be kept any more."""
        for tx_hash in tx_hashes:
            self._pending.drop(tx_hash)

    # --- errands ---

    def _ask_stores(self, tx_hash: bytes, entry: _Open) -> None:
        body = m.StoreRequest(entry.raw).encode()
        for member in VALIDATORS.need(self._around.view, b"").members:
            if member.name != self._around.name:
                done = lambda data, failure, node=member.name: self._stored(tx_hash, node, data, failure)  # noqa: E731
                self._around.errands.leave(member.name, m.STORE, body, done)

    def _stored(self, tx_hash: bytes, node: str, data: bytes | None, failure: Failure | None) -> None:
        entry = self._open.get(tx_hash)
        if entry is None or data is None:
            _log.debug("not-stored", node=node, failure=str(failure))
            return
        try:
            receipt = m.PendingReceipt.decode(data)
        except Refused as refused:
            _log.warning("bad-receipt", node=node, reason=refused.reason)
            return
        if receipt.node == node and receipt.tx_hash == tx_hash and is_live_node(self._around.view, node):
            entry.receipts[node] = receipt
            self._advance(tx_hash, entry)

    def _ask_verdict(self, tx_hash: bytes, entry: _Open) -> None:
        if entry.order:
            node = entry.order.pop(0)
            body = m.VerdictRequest(entry.raw, self._around.application.info().height).encode()
            done = lambda data, failure: self._judged(tx_hash, node, data, failure)  # noqa: E731
            self._around.errands.leave(node, m.VERDICT, body, done)

    def _judged(self, tx_hash: bytes, node: str, data: bytes | None, failure: Failure | None) -> None:
        """A check node has answered, or the next one in the order takes its place."""
        entry = self._open.get(tx_hash)
        if entry is None or entry.verdict is not None:
            return
        verdict = self._read_verdict(tx_hash, node, data) if data is not None else None
        if verdict is None:
            _log.warning("no-verdict", check=node, failure=str(failure))
            self._ask_verdict(tx_hash, entry)
        elif verdict.outcomes != (VALID,) and self._contradicts(entry.raw, verdict):
            self._ask_verdict(tx_hash, entry)
        else:
            entry.verdict = verdict
            self._advance(tx_hash, entry)

    def _read_verdict(self, tx_hash: bytes, node: str, data: bytes) -> CheckVerdict | None:
        try:
            verdict = CheckVerdict.decode(data)
            W = live_party(self._around.view, NODE, node).W
            refuse_unless((verdict.node, verdict.tx_hash) == (node, tx_hash), "wrong-request", "a verdict on something else")
            verify_verdict(self._around.network, verdict, W)
        except Refused as refused:
            _log.warning("bad-verdict", check=node, reason=refused.reason)
            return None
        self._compare(verdict)
        return verdict

    def _compare(self, verdict: CheckVerdict) -> None:
        """Two verdicts of one node on one transaction at one height that differ convict it on the ledger."""
        key = (verdict.tx_hash, verdict.height, verdict.node)
        other = self._seen.setdefault(key, verdict)
        if other.outcomes != verdict.outcomes:
            self.liars[verdict.node] = f"two verdicts on {verdict.tx_hash.hex()[:16]}"
            self._due.append(FalseVerdict(verdict, other).encode())
        while len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)

    def _contradicts(self, raw: bytes, verdict: CheckVerdict) -> bool:
        """Whether this node, in the state of the same height, finds that a refusal is false."""
        application = self._around.application
        info = application.info()
        if verdict.height != info.height:
            return True  # made in another state than this node has by now: the next check node is asked
        result = application.check_transactions([raw], info.last_time_ms + 1)[0]
        if not result.reason:
            self.liars[verdict.node] = f"refused {verdict.tx_hash.hex()[:16]} as {verdict.outcomes[0]} at height {verdict.height}"
            _log.warning("false-verdict", check=verdict.node, outcome=verdict.outcomes[0])
            return True
        return False

    def _advance(self, tx_hash: bytes, entry: _Open) -> None:
        """Put the certificate together; once verdict and certificate are there, the transaction goes into the pool."""
        view, around = self._around.view, self._around
        seats = seats_of(view)
        needed = (len(seats) - 1) // 3 + 1
        if entry.certificate is None and len(entry.receipts) >= needed:
            try:
                entry.certificate = m.make_pending_certificate(around.network, seats, list(entry.receipts.values()))
            except Refused as refused:
                _log.warning("pending-receipts", detail=refused.detail)
        judged = entry.verdict is not None and entry.verdict.outcomes == (VALID,)
        unjudged = entry.verdict is None and not check_nodes(view)
        if entry.certificate is not None and (judged or unjudged) and not entry.offered:
            entry.offered = True
            self._due.append(entry.raw)
            entry.raw = b""  # the pending store has it: of what clients may still ask about, verdict and certificate stay

    @property
    def waits(self) -> bool:
        """Whether something is ready for the pool."""
        return bool(self._due)


def seats_of(view: StateView) -> list[tuple[str, bytes]]:
    """Name and BLS key of every seat, in the order of the validator set."""
    found = []
    for member in VALIDATORS.need(view, b"").members:
        node = NODES.get(view, member.name.encode())
        if node is not None:
            found.append((member.name, node.record.bls_key))
    return found


def verify_verdict(network: bytes, verdict: CheckVerdict, W: bytes) -> None:
    """Check a check node's signature.

    :raises Refused: ``bad-signature``.
    """
    verify_member_signature(network, labels.SIG_VERDICT, verdict.node, W, signed_part(verdict), verdict.signature)
