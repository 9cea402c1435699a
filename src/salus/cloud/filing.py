"""From committed transactions to filings: which pseudonym, one-time key, doctor and body each names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from salus.cloud.index import FilingRow
from salus.consultation.reply import ConsultationReply
from salus.consultation.request import ConsultationRequest, tx_hash
from salus.errors import refuse_unless


class CommittedTransaction(msgspec.Struct, frozen=True):
    """A transaction of a committed block: its kind, the ledger's hash, its bytes."""

    kind: str
    tx_hash: bytes
    data: bytes


def file_transactions(height: int, transactions: Sequence[CommittedTransaction]) -> list[FilingRow]:
    """Filings of one block, in order; kinds that name no body give none.

    :raises Refused: ``bad-encoding`` if bytes and hash disagree or the bytes are not of that kind: the caller did not follow
        the ledger.
    """
    filings = []
    for transaction in transactions:
        reader = _READERS.get(transaction.kind)
        if reader is not None:
            same = tx_hash(transaction.data) == transaction.tx_hash
            refuse_unless(same, "bad-encoding", f"transaction {transaction.tx_hash.hex()[:16]}.. has another hash")
            filings.append(reader(height, transaction))
    return filings


def _file_request(height: int, transaction: CommittedTransaction) -> FilingRow:
    t = ConsultationRequest.decode(transaction.data)
    return FilingRow(t.KIND, transaction.tx_hash, height, t.PID1, t.A, t.ID_D, t.digest, t.size_bytes, t.U.keep_until_ms)


def _file_reply(height: int, transaction: CommittedTransaction) -> FilingRow:
    t = ConsultationReply.decode(transaction.data)
    return FilingRow(t.KIND, transaction.tx_hash, height, t.PID2, t.A_D, t.ID_D, t.digest, t.size_bytes, t.U.keep_until_ms)


_READERS: Final[dict[str, Callable[[int, CommittedTransaction], FilingRow]]] = {
    ConsultationRequest.KIND: _file_request,
    ConsultationReply.KIND: _file_reply,
}
