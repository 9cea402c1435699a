"""Words to clients: what a node may say of a transaction, and what each word rests on.

*accepted*: f + 1 seats signed pool receipts, so one honest replica holds it; it may still be refused.
*committed*: its block's commit certificate is verified and this node's copy of the block is fsynced; every commit voter
has fsynced body and prepared certificate. *proven*: a certified header carries the state after its block, so that the
ledger can prove it to anyone.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from salus.consensus.interface import CheckResult
from salus.consensus.pbft.events import Action, Answer, Committed, Complaint, Dropped, EvidenceFound, Receipt, ViewChanged
from salus.consensus.pbft.runner import ReplicaRunner

MAX_TRACKED: Final = 20_000
"""Transactions a node remembers words about, as many as its pool holds; the oldest are forgotten, the ledger knows them."""
MAX_COMPLAINTS: Final = 16
"""Complaints remembered, for the error a client sees."""


class Progress(msgspec.Struct):
    """What is known of one transaction.

    :ivar receipts: names of the seats that hold it in their pools.
    :ivar height: of its block, 0 while it is not committed.
    :ivar reason: code of the refusal, empty if it is not refused.
    """

    tx_hash: bytes
    receipts: set[str] = msgspec.field(default_factory=set)
    accepted: bool = False
    height: int = 0
    reason: str = ""
    detail: str = ""

    @property
    def committed(self) -> bool:
        """Whether its block is decided and on this node's disk."""
        return self.height > 0


class Words:
    """Listens to one replica and keeps the words about its node's transactions.

    :param runner: its listener is replaced by this object.
    """

    def __init__(self, runner: ReplicaRunner) -> None:
        self.runner = runner
        self.answers: dict[int, tuple[CheckResult, ...]] = {}
        self.complaints: list[Complaint] = []
        self.view_changes = 0
        self.evidence: list[EvidenceFound] = []
        self.committed_count = 0
        self._tracked: OrderedDict[bytes, Progress] = OrderedDict()
        runner.listener = self._hear

    def progress(self, tx_hash: bytes) -> Progress:
        """What is known of a transaction; nothing yet, for one that this node never saw."""
        return self._tracked.get(tx_hash) or Progress(tx_hash, height=self.runner.state.recent.get(tx_hash, 0))

    def proven(self, tx_hash: bytes) -> bool:
        """Whether a certified header carries the state after the transaction's block."""
        height = self.progress(tx_hash).height
        return 0 < height < self.runner.height

    def follow(self, tx_hash: bytes) -> Progress:
        """Keep words about ``tx_hash`` from now on."""
        known = self._tracked.get(tx_hash)
        if known is None:
            known = self._tracked[tx_hash] = Progress(tx_hash, height=self.runner.state.recent.get(tx_hash, 0))
            while len(self._tracked) > MAX_TRACKED:
                self._tracked.popitem(last=False)
        return known

    def _hear(self, news: Action) -> None:
        if isinstance(news, Receipt):
            self._on_receipt(news)
        elif isinstance(news, Committed):
            self.committed_count += len(news.tx_hashes)
            for tx_hash in news.tx_hashes:
                known = self._tracked.get(tx_hash)
                if known is not None:
                    known.height, known.reason, known.detail = news.height, "", ""
        elif isinstance(news, Answer):
            self.answers[news.request] = news.results
            for result in news.results:
                known = self.follow(result.tx_hash)
                if not result.accepted and not known.committed:
                    known.reason, known.detail = result.reason, result.detail
                elif result.accepted:
                    known.reason = known.detail = ""
        elif isinstance(news, Dropped):
            known = self.follow(news.tx_hash)
            known.reason, known.detail = news.reason, news.detail
        elif isinstance(news, Complaint):
            self.complaints = [*self.complaints[-MAX_COMPLAINTS + 1 :], news]
        elif isinstance(news, ViewChanged):
            self.view_changes += 1
        elif isinstance(news, EvidenceFound):
            self.evidence = [*self.evidence[-MAX_COMPLAINTS + 1 :], news]

    def _on_receipt(self, news: Receipt) -> None:
        """Receipts are checked by the replica; those of f + 1 seats make ``accepted``."""
        state = self.runner.state
        if state.seat_key(news.receipt.sender) is None:
            return
        for tx_hash in news.receipt.tx_hashes:
            known = self._tracked.get(tx_hash)
            if known is not None:
                known.receipts.add(news.receipt.sender)
                known.accepted = len(known.receipts) > state.validators.faulty
