"""Tracing: who asked, who approved, when it was opened; never whom it named (docs/protocol/consultation.md, "tracing")."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec.structs import replace

from salus.codec import Bytes32, Message, Name, Size
from salus.consultation.registration import DOCTOR, INSTITUTION, NODE
from salus.consultation.tracing import (
    TraceApproval,
    TraceOpening,
    TraceRequest,
    check_approval,
    check_opening,
    check_trace_request,
)
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.consultations import REQUESTS
from salus.ledger.kinds.parties import CENTRE, PARTIES, Party, party_key
from salus.ledger.kinds.voters import MAX_INSTITUTIONS, enough, voting_institution
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction

ASKERS: Final = (DOCTOR, INSTITUTION, NODE)
"""Roles that may ask for a sender."""


class Case(Message, frozen=True):
    """A tracing case; its raw key is the hash of the request that opened it.

    :ivar tx_hash: the transaction whose sender is sought. :ivar opened_ms: when the centre opened it, 0 before.
    """

    KIND = "state.case"
    asker: Name
    tx_hash: Bytes32
    asked_ms: int
    approved_by: Annotated[tuple[Name, ...], Size(0, MAX_INSTITUTIONS)]
    opened_ms: int


CASES: Final = Table("case", Case)


def find_case(view: StateView, case: bytes) -> Case:
    """A case.

    :raises Refused: ``unknown-case``.
    """
    record = CASES.get(view, case)
    if record is None:
        raise Refused("unknown-case", case.hex())
    return record


class _Request:
    """Tracing, step 6."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[TraceRequest]) -> list[Claim]:
        message = tx.message
        asker = _asker(view, message.asker)
        refuse_unless(REQUESTS.get(view, message.tx_hash) is not None, "unknown-request", message.tx_hash.hex())
        refuse_unless(CASES.get(view, tx.hash) is None, "already-done")
        check_trace_request(context.network, message, asker.W)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[TraceRequest]) -> None:
        CASES.put(state, tx.hash, Case(tx.message.asker, tx.message.tx_hash, context.time_ms, (), 0))
        context.emit("trace.requested", tx.hash)


class _Approve:
    """Tracing, step 7."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[TraceApproval]) -> list[Claim]:
        message = tx.message
        case = find_case(view, message.case)
        institution = voting_institution(view, message.institution)
        refuse_unless(message.institution not in case.approved_by, "already-done", f"{message.institution} has approved")
        refuse_unless(len(case.approved_by) < MAX_INSTITUTIONS, "already-done", "the case has all approvals that count")
        check_approval(context.network, message, institution.W)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[TraceApproval]) -> None:
        case = find_case(state, tx.message.case)
        CASES.put(state, tx.message.case, replace(case, approved_by=(*case.approved_by, tx.message.institution)))
        context.emit("trace.approved", tx.message.case)


class _Opening:
    """Tracing, step 8: only with approval by more than 2/3 of the institutions with a say."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[TraceOpening]) -> list[Claim]:
        message = tx.message
        case = find_case(view, message.case)
        refuse_unless(case.opened_ms == 0, "already-done", "the case is open")
        refuse_unless(enough(view, case.approved_by), "no-quorum", f"{len(case.approved_by)} institutions approve")
        centre = CENTRE.need(view, b"")
        refuse_unless(message.centre == centre.name, "not-authorised", f"{message.centre} is not the centre")
        check_opening(context.network, message, centre.signing_key)
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[TraceOpening]) -> None:
        case = find_case(state, tx.message.case)
        CASES.put(state, tx.message.case, replace(case, opened_ms=context.time_ms))
        context.emit("trace.opened", tx.message.case)


def _asker(view: StateView, name: str) -> Party:
    """A live party that may ask."""
    for role in ASKERS:
        party = PARTIES.get(view, party_key(role, name))
        if party is not None and not party.revoked_ms:
            return party
    raise Refused("unknown-party", f"{name} is no doctor, institution or node")


KINDS: Final = (
    KindSpec(TraceRequest, _Request()),
    KindSpec(TraceApproval, _Approve()),
    KindSpec(TraceOpening, _Opening()),
)
