"""A terminal's calls to nodes: acceptance and commit of transactions, attachments, partial answers. No node is believed.

Steps: docs/protocol/sharing-ledger.md, "acceptance" and "attachments".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from salus import labels
from salus.abpre.parameters import PublicParameters
from salus.abpre.threshold.committee import Committee, Seat
from salus.codec import Message
from salus.consensus.block import transaction_hash
from salus.consultation.registration import NODE, verify_member_signature
from salus.errors import Refused, TransportError
from salus.ledger import sharing_api as m
from salus.ledger.client import CommittedTransaction, LedgerClient
from salus.ledger.kinds.parties import NODES, VALIDATORS, is_live_node, live_party
from salus.ledger.kinds.sharing import committee_state
from salus.ledger.kinds.sharing.attachments import gather_receipts
from salus.ledger.kinds.sharing.attributes import counts
from salus.ledger.kinds.sharing.check_nodes import check_nodes
from salus.ledger.kinds.sharing.messages.common import AttachmentReceipts, signed_part
from salus.ledger.kinds.sharing.messages.shares import VALID, CheckVerdict
from salus.ledger.reading import ProvenView
from salus.ledger.state import StateView
from salus.symmetric import Random
from salus.transport import Transport

ACCEPTANCE_LOOKS: Final = 40
"""Looks at an acceptance before the transaction goes to the pools directly: about two seconds."""
_MAY_COME: Final = frozenset({"unknown-share", "unknown-request", "not-granted", "no-share", "unreachable", "internal"})
"""Refusals of nodes that lag, or cannot do it now."""
T = TypeVar("T")
ToSeats = Message | Callable[[Seat], Message]
"""A call to every node of the committee."""


class Accepted(msgspec.Struct, frozen=True):
    """What became of a transaction: committed, and how it got there.

    :ivar judged_by: the check node whose verdict was signed valid, empty if none was heard in time.
    :ivar kept_by: nodes that signed to keep it before it was committed; empty if none were heard in time.
    """

    committed: CommittedTransaction
    judged_by: str
    kept_by: tuple[str, ...]


class Nodes:
    """The nodes as one terminal sees them.

    :param ledger: this terminal's client: everything read of the state is proven to it.
    """

    def __init__(self, ledger: LedgerClient, transport: Transport, random: Random) -> None:
        self.ledger = ledger
        self.network = ledger.network
        self._transport = transport
        self._random = random

    def view(self) -> ProvenView:
        """The state as of now: what is read is proven, and read once."""
        self.ledger.refresh()
        return ProvenView(self.ledger)

    def epoch(self, view: StateView) -> int:
        """The epoch of the committee that serves.

        :raises Refused: ``not-started``.
        """
        return committee_state.current_epoch(view).epoch

    def committee(self, view: StateView) -> Committee:
        """The committee that serves."""
        return committee_state.committee_of(view, self.epoch(view))

    def parameters(self, view: StateView) -> PublicParameters:
        """The public parameters of the scheme."""
        return PublicParameters(committee_state.alpha_public(view, self.epoch(view)).Y)

    # --- calls ---

    def call(self, party: str, method: str, message: Message) -> bytes:
        """Call one party.

        :raises Refused: it refuses. :raises TransportError: it does not answer.
        """
        return self._transport.call(party, method, message.encode())

    def answers(
        self, view: StateView, method: str, message: ToSeats, kind: Callable[[bytes], T], refusals: list[Refused] | None = None
    ) -> Iterator[tuple[str, T]]:
        """Answers of the committee's nodes, one after the other; who refuses, is silent or answers rubbish is left out.

        :param message: the same for all, or made for each seat. :param refusals: takes what nodes refuse.
        """
        for seat in self.committee(view).seats:
            try:
                asked = message if isinstance(message, Message) else message(seat)
                yield seat.name, kind(self.call(seat.name, method, asked))
            except Refused as refused:
                if refusals is not None:
                    refusals.append(refused)
            except TransportError:
                continue

    def attach(
        self, view: StateView, sort: str, about: bytes, digest: bytes, method: str, message: ToSeats
    ) -> AttachmentReceipts:
        """Hand an attachment to all nodes; the receipts of a quorum (attachments, steps 1 to 3).

        :raises Refused: ``no-quorum`` if too few keep it.
        """
        committee = self.committee(view)
        got = dict(self.answers(view, method, message, m.AttachmentReceipt.decode))
        signatures = {name: receipt.signature for name, receipt in got.items() if receipt.node == name}
        counted = [seat.name for seat in committee.seats if counts(view, seat)]
        keys = {name: node.record.bls_key for name in counted if (node := NODES.get(view, name.encode()))}
        return gather_receipts(self.network, committee, keys, sort, about, digest, signatures)

    # --- transactions ---

    def submit(self, message: Message) -> Accepted:
        """Have a transaction judged, kept and committed (acceptance, steps 1 to 6), and wait until its inclusion is proven.

        :raises Refused: nodes refuse it. :raises TransportError: the outcome is open; the same bytes again are safe.
        """
        return self.submit_raw(message.encode())

    def submit_raw(self, raw: bytes) -> Accepted:
        """:meth:`submit` of an encoded transaction."""
        judged_by, kept_by = self._accept(raw)
        return Accepted(self.ledger.submit(raw), judged_by, kept_by)

    def _accept(self, raw: bytes) -> tuple[str, tuple[str, ...]]:
        """Ask one node after the other to take it as general node O; without any, the pools are asked directly."""
        view = ProvenView(self.ledger)
        for member in VALIDATORS.need(view, b"").members:
            try:
                answer = m.Acceptance.decode(self.call(member.name, m.ACCEPT, m.AcceptRequest(raw)))
                return self._heard(view, member.name, answer, transaction_hash(raw))
            except (Refused, TransportError):
                continue
        return "", ()

    def _heard(self, view: StateView, node: str, answer: m.Acceptance, tx_hash: bytes) -> tuple[str, tuple[str, ...]]:
        judged = bool(check_nodes(view))
        for _ in range(ACCEPTANCE_LOOKS):
            if answer.certificate is not None and (answer.verdict is not None or not judged):
                break
            self.ledger.pause(50)
            answer = m.Acceptance.decode(self.call(node, m.ACCEPTANCE, m.AcceptanceRequest(tx_hash)))
        seats = []
        for member in VALIDATORS.need(view, b"").members:
            record = NODES.get(view, member.name.encode())
            if record is not None:
                seats.append((member.name, record.record.bls_key))
        kept: tuple[str, ...] = ()
        if answer.certificate is not None and answer.certificate.tx_hash == tx_hash:
            signed = m.check_pending_certificate(self.network, seats, answer.certificate)
            live = tuple(name for name in signed if is_live_node(view, name))
            kept = live if len(live) > (len(seats) - 1) // 3 else ()
        return self._judge(view, answer.verdict, tx_hash), kept

    def _judge(self, view: StateView, verdict: CheckVerdict | None, tx_hash: bytes) -> str:
        if verdict is None or verdict.tx_hash != tx_hash or verdict.outcomes != (VALID,):
            return ""
        W = live_party(view, NODE, verdict.node).W
        signed = signed_part(verdict)
        verify_member_signature(self.network, labels.SIG_VERDICT, verdict.node, W, signed, verdict.signature)
        return verdict.node


def raise_if_agreed(refusals: Sequence[Refused], committee: Committee) -> None:
    """More nodes than may lie refuse for one reason, and it is not that they lag: waiting does not help.

    :raises Refused: what they say.
    """
    for refused in refusals:
        alike = sum(other.reason == refused.reason for other in refusals)
        if refused.reason not in _MAY_COME and alike > len(committee.seats) - committee.threshold:
            raise refused
