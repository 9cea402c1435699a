"""A client of the ledger that believes no node: every answer is proven under a certified header, or refused.

It knows the genesis and reaches nodes by name; a node that does not answer, lags behind or proves nothing is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from salus.consensus.block import Block, Certificate, CertifiedHeader, check_body, transaction_hash, verify_decided
from salus.consultation.registration import INSTITUTION
from salus.consultation.tracing import SealEvidence, SenderEvidence, TraceRequest, verify_sender_evidence
from salus.errors import REASONS, Refused, TransportError
from salus.ledger import queries as q
from salus.ledger.asking import Asking
from salus.ledger.epoch_state import EPOCHS, STATUS, epoch_key
from salus.ledger.expiry import due_ms_of
from salus.ledger.kinds.consultations import ANSWERS, REQUESTS, Request
from salus.ledger.kinds.parties import (
    DIRECTORY,
    DIRECTORY_COUNT,
    PARTIES,
    REVOKED_CREDENTIAL,
    Party,
    directory_key,
    key_digest,
    party_key,
)
from salus.ledger.kinds.slots import NEXT_SN, OPEN, SLOTS, Slot, slot_key
from salus.ledger.kinds.tracing import ASKERS, CASES, Case
from salus.ledger.kinds.voters import VOTERS, VOTERS_LIST
from salus.ledger.node_api import (
    BLOCKS,
    COMMITTED,
    OUTCOME,
    REFUSED,
    SENDER,
    SUBMIT,
    UNKNOWN,
    Blocks,
    BlocksRequest,
    Outcome,
    OutcomeRequest,
    Submission,
    Submit,
)
from salus.ledger.proofs import verify_certified, verify_transaction

SLOTS_LOOKED_AT: Final = 4096
"""Newest slots of a doctor in which free ones of a day are looked for."""


class CommittedTransaction(msgspec.Struct, frozen=True):
    """A transaction whose inclusion was proven under a certified header.

    :ivar raw: its encoding. :ivar hash: 32 bytes. :ivar height, index: its block, and its place there.
    """

    raw: bytes
    hash: bytes
    height: int
    index: int


class LiveEpoch(msgspec.Struct, frozen=True):
    """The epoch that envelopes are sealed to now."""

    number: int
    pk_BC: bytes  # noqa: N815 - the name in the protocol


class FreeSlot(msgspec.Struct, frozen=True):
    """An open slot: its number and one-time key."""

    sn: int
    E: bytes


class AnswerOnLedger(msgspec.Struct, frozen=True):
    """What became of a request: ``reply_tx``, or ``declined`` with the doctor's reason."""

    reply_tx: bytes | None
    declined: str


class VerifiedBlock(msgspec.Struct, frozen=True):
    """A decided block whose certificate was verified."""

    block: Block
    certificate: Certificate
    certified: CertifiedHeader


class LedgerClient(Asking):
    """One party's view of the ledger; see :class:`salus.ledger.asking.Asking` for its parameters."""

    # --- parties ---

    def party(self, role: str, name: str) -> Party | None:
        """The registration under a name, live or revoked."""
        return self._state(PARTIES, [party_key(role, name)])[0]

    def member_key(self, role: str, name: str) -> bytes:
        """W of a live member, 32 bytes.

        :raises Refused: ``unknown-party``, ``revoked``.
        """
        party = self.party(role, name)
        if party is None:
            raise Refused("unknown-party", f"no {role} {name} on the ledger; list them with: salus party list")
        if party.revoked_ms:
            raise Refused("revoked", f"{role} {name}")
        return party.W

    def parties(self, role: str) -> list[Party]:
        """All parties of a role, in the order of their registration."""
        counted = self._state(DIRECTORY_COUNT, [role.encode()])[0]
        keys = [directory_key(role, i) for i in range(0 if counted is None else counted.count)]
        names = [entry.name for entry in self._states(DIRECTORY, keys) if entry is not None]
        return [p for p in self._states(PARTIES, [party_key(role, name) for name in names]) if p is not None]

    def await_member(self, role: str, name: str) -> bytes:
        """Wait until a registration is on the ledger.

        :raises TransportError: it does not come.
        """
        return self._wait(lambda: self._member_or_none(role, name), f"the registration of {role} {name}")

    def _member_or_none(self, role: str, name: str) -> bytes | None:
        party = self.party(role, name)
        return None if party is None or party.revoked_ms else party.W

    # --- appointments ---

    def next_sn(self, doctor: str) -> int:
        """Number of the doctor's next slot."""
        counted = self._state(NEXT_SN, [doctor.encode()])[0]
        return 0 if counted is None else counted.count

    def slot(self, doctor: str, sn: int) -> Slot | None:
        """One slot."""
        return self._state(SLOTS, [slot_key(doctor, sn)])[0]

    def slots(self, doctor: str, sns: Sequence[int]) -> list[Slot | None]:
        """Some slots of a doctor."""
        return self._states(SLOTS, [slot_key(doctor, sn) for sn in sns])

    def free_slots(self, doctor: str, day: str) -> list[FreeSlot]:
        """Open slots of a day, among the newest :data:`SLOTS_LOOKED_AT`."""
        after = self.next_sn(doctor)
        keys = [slot_key(doctor, sn) for sn in range(max(0, after - SLOTS_LOOKED_AT), after)]
        slots = self._states(SLOTS, keys)
        return [FreeSlot(s.sn, s.E) for s in slots if s is not None and s.day == day and s.status == OPEN]

    def slot_days(self, doctor: str) -> dict[str, int]:
        """Open slots by day."""
        after = self.next_sn(doctor)
        days: dict[str, int] = {}
        for s in self._states(SLOTS, [slot_key(doctor, sn) for sn in range(max(0, after - SLOTS_LOOKED_AT), after)]):
            if s is not None and s.status == OPEN:
                days[s.day] = days.get(s.day, 0) + 1
        return days

    # --- consultations and cases ---

    def epoch(self) -> LiveEpoch:
        """The current epoch.

        :raises Refused: ``not-started``.
        """
        status = self._state(STATUS, [b""])[0]
        if status is None or not status.current:
            raise Refused("not-started", "the nodes have not shared their first value yet; try again in a moment")
        record = self._state(EPOCHS, [epoch_key(status.current)])[0]
        if record is None or record.pk_BC is None:
            raise Refused("not-started", f"epoch {status.current}")
        return LiveEpoch(record.epoch, record.pk_BC)

    def request(self, h1: bytes) -> Request:
        """What the ledger stored with a committed request.

        :raises Refused: ``unknown-request``.
        """
        found = self.find_request(h1)
        if found is None:
            raise Refused("unknown-request", h1.hex())
        return found

    def find_request(self, h1: bytes) -> Request | None:
        """What the ledger stored with a request; None proves that it was not committed as of :attr:`time_ms`."""
        return self._state(REQUESTS, [h1])[0]

    def answer(self, h1: bytes) -> AnswerOnLedger | None:
        """What became of a request, None while nothing has."""
        return self.answers([h1])[0]

    def answers(self, h1s: Sequence[bytes]) -> list[AnswerOnLedger | None]:
        """What became of some requests."""
        found = self._states(ANSWERS, h1s)
        return [None if a is None else AnswerOnLedger(None if a.declined else a.tx_hash, a.declined or "") for a in found]

    def case(self, case: bytes) -> Case:
        """A tracing case.

        :raises Refused: ``unknown-case``.
        """
        found = self._state(CASES, [case])[0]
        if found is None:
            raise Refused("unknown-case", case.hex())
        return found

    def asker_key(self, name: str) -> bytes:
        """W of a live doctor, institution or node, as one of whom the asker of a case signs.

        :raises Refused: ``unknown-party``.
        """
        for role in ASKERS:
            party = self.party(role, name)
            if party is not None and not party.revoked_ms:
                return party.W
        raise Refused("unknown-party", f"{name} is no doctor, institution or node")

    def show_sender(self, evidence: SealEvidence) -> SenderEvidence:
        """Let a node open the sender of a request whose seal to the doctor is rubbish; what it shows proves itself.

        :raises Refused: ``bad-evidence``, ``no-shared-value`` (the epoch's grace is over).
        """
        context = self.request(evidence.request.tx_hash()).context()

        def open_answer(data: bytes) -> SenderEvidence:
            shown = SenderEvidence.decode(data)
            if shown.request != evidence.request:
                raise TransportError("the node shows the sender of another request")
            verify_sender_evidence(self.domain, shown, context)
            return shown

        return self._each(SENDER, evidence.encode(), open_answer)

    def is_revoked(self, digest: bytes) -> bool:
        """Whether a credential's hp, or the digest of an enrolment key, stands revoked."""
        value = self._raw_states(REVOKED_CREDENTIAL, [digest])[0]
        return value is not None and due_ms_of(value) > self.time_ms

    def quorum(self, approvers: Sequence[str]) -> tuple[int, int]:
        """How many of ``approvers`` have a say now, and how many institutions were ever given one; more than 2/3 decide."""
        found = self._state(PARTIES, [party_key(INSTITUTION, name) for name in approvers])
        says = self._state(VOTERS, [name.encode() for name in approvers])
        live = sum(
            party is not None and voter is not None and not party.revoked_ms and voter.key_digest == key_digest(party.W)
            for party, voter in zip(found, says, strict=True)
        )
        counted = self._state(DIRECTORY_COUNT, [VOTERS_LIST.encode()])[0]
        return live, 0 if counted is None else counted.count

    def trace_request(self, case: bytes) -> TraceRequest:
        """The transaction that opened a case."""
        return TraceRequest.decode(self.transaction(case).raw)

    # --- transactions ---

    def submit(self, transaction: bytes) -> CommittedTransaction:
        """Submit a transaction and wait until its inclusion is proven.

        :raises Refused: the nodes refuse it.
        :raises TransportError: the outcome is open after :data:`PATIENCE_MS`; submitting the same bytes again is safe.
        """
        tx_hash = transaction_hash(transaction)
        self._offer_unless_committed(transaction, tx_hash)
        return self._wait(lambda: self._committed(tx_hash, transaction), f"the commit of {tx_hash.hex()[:16]}")

    def find(self, tx_hash: bytes) -> CommittedTransaction | None:
        """A committed transaction, or None if it is not (yet) on the ledger, as more nodes say than may lie."""
        return self._find(tx_hash, 0)

    def _find(self, tx_hash: bytes, needed: int) -> CommittedTransaction | None:
        asked = q.TransactionQuery(tx_hash, 1)

        def open_answer(data: bytes) -> CommittedTransaction:
            proof = q.TransactionProof.decode(data)
            verify_transaction(proof, tx_hash, self.network, self._validators)
            if proof.transaction is None or transaction_hash(proof.transaction) != tx_hash:
                raise TransportError("the node no longer has that transaction's body")
            self._note(proof.certified)
            return CommittedTransaction(proof.transaction, tx_hash, proof.height, proof.index)

        try:
            return self._ask(q.TRANSACTION, asked, open_answer, needed)
        except Refused as refused:
            if refused.reason in ("not-found", "not-committed"):
                return None
            raise

    def transaction(self, tx_hash: bytes) -> CommittedTransaction:
        """A committed transaction.

        :raises Refused: ``not-committed``.
        """
        found = self.find(tx_hash)
        if found is None:
            raise Refused("not-committed", tx_hash.hex())
        return found

    def follow(self, after: int, count: int = 64) -> Iterator[VerifiedBlock]:
        """Decided blocks after a height, certificates verified, until more nodes than may lie know of no further one."""
        height, ends = after + 1, 0
        while ends <= self._validators.faulty:
            got = self._each(BLOCKS, BlocksRequest(height, count).encode(), lambda data, at=height: self._blocks(data, at))  # type: ignore[misc]
            yield from got
            height += len(got)
            if got:
                ends = 0
            else:
                ends += 1
                self._pass_over(self._nodes[0])

    def height_before(self, time_ms: int) -> int:
        """Height of the last block before a time, 0 if there is none, among those seen so far."""
        low, high = 0, self.height
        while low < high:
            middle = (low + high + 1) // 2
            if self._time_of(middle) < time_ms:
                low = middle
            else:
                high = middle - 1
        return low

    def _time_of(self, height: int) -> int:
        def open_answer(data: bytes) -> int:
            found = q.Headers.decode(data).headers
            if not found or found[0].header.height != height:
                raise TransportError(f"the node does not show header {height}")
            verify_certified(found[0], self.network, self._validators)
            return found[0].header.time_ms

        return self._ask(q.HEADERS, q.HeadersQuery(height), open_answer)

    def encoded_blocks(self) -> Iterator[tuple[bytes, bytes]]:
        """Every block with its certificate, for :func:`salus.ledger.export.write_export`."""
        return ((v.block.encode(), v.certificate.encode()) for v in self.follow(0))

    def _blocks(self, data: bytes, height: int) -> list[VerifiedBlock]:
        items = Blocks.decode(data).blocks
        return [self._verified_block(item.block, item.certificate, height + i) for i, item in enumerate(items)]

    def _verified_block(self, block_bytes: bytes, certificate_bytes: bytes, height: int) -> VerifiedBlock:
        block, certificate = Block.decode(block_bytes), Certificate.decode(certificate_bytes)
        if block.header.height != height:
            raise TransportError(f"a node sent block {block.header.height} in place of {height}")
        check_body(block)
        verify_decided(block.header, certificate, self.network, self._validators)
        return VerifiedBlock(block, certificate, CertifiedHeader(block.header, certificate))

    def offer(self, transaction: bytes) -> None:
        """Hand a transaction to the first node that takes it, without waiting for its commit.

        :raises Refused: more pools than may lie refuse it. :raises TransportError: no node answers.
        """
        call = Submit((transaction,)).encode()

        def ask(node: str) -> None:
            data = self._transport.call(node, SUBMIT, call)
            try:
                answer = Submission.decode(data).answers[0]
            except Refused as error:
                raise TransportError(f"{node}: {error}") from None
            if answer.reason is not None:
                reason = answer.reason if answer.reason in REASONS else "internal"
                raise Refused(reason, answer.detail)

        self._poll(ask)

    def _committed(self, tx_hash: bytes, transaction: bytes) -> CommittedTransaction | None:
        found = self._find(tx_hash, 1)
        if found is not None:
            return found
        outcome = self._each(OUTCOME, OutcomeRequest(tx_hash).encode(), Outcome.decode, 1)
        if outcome.state in (UNKNOWN, REFUSED):
            # one node's word: the others say whether they refuse it too
            self._offer_unless_committed(transaction, tx_hash)
        return None

    def _offer_unless_committed(self, transaction: bytes, tx_hash: bytes) -> None:
        """A refusal counts only if it is not a copy of this very transaction that is in the way."""
        try:
            self.offer(transaction)
        except Refused:
            if self.find(tx_hash) is None and not self._awaits_proof(tx_hash):
                raise

    def _awaits_proof(self, tx_hash: bytes) -> bool:
        """Whether a node says that it is committed, and the next block will prove it; one that lies makes us wait in vain."""
        try:
            return self._each(OUTCOME, OutcomeRequest(tx_hash).encode(), Outcome.decode).state == COMMITTED
        except (Refused, TransportError):
            return False  # nobody knows of it: the refusal stands
