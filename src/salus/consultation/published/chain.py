"""The MediBchain's state: what phases 7 and 10 chain, and the public rules of chaining.

The paper leaves the rules open. These are kept: the doctor is registered; A was never seen ("the freshness of these random
numbers can be determined by the transaction details on the MediBchain", section V.A.9); an appointment (ID_DO, sn) takes one
request, and a reply only follows a request. A plain state machine without clock, keys or disk, so that any consensus
engine can drive it.
"""

from __future__ import annotations

from typing import Final

from salus import labels
from salus.consultation.published.functions import h2
from salus.consultation.published.messages import Directory, Request, Transaction2
from salus.consultation.published.parties import decode_transaction, key_of
from salus.errors import Refused

GENESIS: Final = bytes(32)


class MediBchain:
    """Chained transactions in order, and the digest over them.

    :ivar height: number of transactions.
    :ivar digest: ``h_2(previous digest, height, transaction)``, 32 bytes; :data:`GENESIS` at height 0.
    """

    def __init__(self) -> None:
        self.transactions: list[bytes] = []
        self.digest = GENESIS
        self._one_time_keys: set[bytes] = set()
        self._requests: dict[tuple[str, int], Request] = {}
        self._replies: dict[tuple[str, int], Transaction2] = {}

    @property
    def height(self) -> int:
        """Number of chained transactions."""
        return len(self.transactions)

    def check(self, directory: Directory, transaction: bytes) -> Request | Transaction2:
        """The public rules, without any node's secret.

        :raises Refused: ``unknown-party``, ``used-key``, ``slot-taken``, ``unknown-request``, ``already-answered``.
        """
        t = decode_transaction(transaction)
        A = t.transaction.A if isinstance(t, Request) else t.A
        doctor, sn = slot = _slot(t)
        key_of(directory, "doctor", doctor)
        if A in self._one_time_keys:
            raise Refused("used-key")
        if isinstance(t, Request):
            if slot in self._requests:
                raise Refused("slot-taken", f"{doctor}, number {sn}")
        elif slot not in self._requests:
            raise Refused("unknown-request", f"{doctor}, number {sn}")
        elif slot in self._replies:
            raise Refused("already-answered", f"{doctor}, number {sn}")
        return t

    def append(self, directory: Directory, transaction: bytes, recorded: bytes | None = None) -> None:
        """Chain a transaction that the validation nodes have verified.

        :param recorded: what is recorded in place of the transaction, for a chain that keeps ciphertexts elsewhere.
        :raises Refused: see :meth:`check`.
        """
        t = self.check(directory, transaction)
        entry = transaction if recorded is None else recorded
        self.digest = h2(labels.LOG_ENTRY, self.digest, self.height, entry)
        self.transactions.append(entry)
        if isinstance(t, Request):
            self._requests[_slot(t)] = t
            self._one_time_keys.add(t.transaction.A)
        else:
            self._replies[_slot(t)] = t
            self._one_time_keys.add(t.A)

    def copy(self) -> MediBchain:
        """A chain with the same content that grows without this one."""
        other = MediBchain()
        other.transactions, other.digest = list(self.transactions), self.digest
        other._one_time_keys = set(self._one_time_keys)
        other._requests, other._replies = dict(self._requests), dict(self._replies)
        return other

    def reply_to(self, doctor: str, sn: int) -> Transaction2 | None:
        """The chained reply for an appointment, if there is one."""
        return self._replies.get((doctor, sn))

    def next_number(self, doctor: str) -> int:
        """The appointment sequence number after the last one taken."""
        return max((sn for name, sn in self._requests if name == doctor), default=0) + 1


def _slot(t: Request | Transaction2) -> tuple[str, int]:
    return (t.transaction.ID_DO, t.transaction.sn) if isinstance(t, Request) else (t.ID_DO, t.sn)
