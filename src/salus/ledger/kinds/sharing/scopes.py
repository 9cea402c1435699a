"""Scopes of owners: opened once, by an anonymous member or an institution (docs/protocol/sharing-ledger.md, "scopes")."""

from __future__ import annotations

from typing import Annotated, Any, Final

from salus.codec import Bytes32, Message, Size
from salus.consultation.registration import INSTITUTION
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.parties import live_party
from salus.ledger.kinds.sharing import limits
from salus.ledger.kinds.sharing.claims import member_claim, require_key, scope_value_claim
from salus.ledger.kinds.sharing.constants import SHARING_VERSION
from salus.ledger.kinds.sharing.envelopes import check_envelope, spend_envelope
from salus.ledger.kinds.sharing.messages.scopes import InstitutionScope, ScopeOpening
from salus.ledger.kinds.sharing.scope_keys import ScopeKey, scope_of_key
from salus.ledger.signatures import AnyClaim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.symmetric import Random


class Scope(Message, frozen=True):
    """An opened scope.

    :ivar V: its key. :ivar institution: the owner's name if it is an institution, else empty. :ivar opened_ms: block time.
    """

    KIND = "state.scope"
    V: Bytes32
    institution: Annotated[str, Size(0, 128)]
    opened_ms: int


SCOPES: Final = Table("scope", Scope)
"""Raw key: x."""


def find_scope(view: StateView, scope: bytes) -> Scope:
    """An opened scope.

    :raises Refused: ``unknown-scope``.
    """
    found = SCOPES.get(view, scope)
    if found is None:
        raise Refused("unknown-scope", scope.hex())
    return found


def possession_by_envelope(key: ScopeKey, nf: bytes, random: Random) -> bytes:
    """V's signature in an anonymous opening (scopes, step 3).

    :param nf: nullifier of the envelope that carries it: else whoever sees it could open the scope first with a credential of
        its own.
    """
    return key.sign(_opening_value(nf), random)


def possession_by_institution(key: ScopeKey, institution: str, random: Random) -> bytes:
    """V's signature in an institution's opening (scopes, step 4)."""
    return key.sign(_institution_value(institution), random)


def _opening_value(nf: bytes) -> tuple[Any, ...]:
    return (ScopeOpening.KIND, nf)


def _institution_value(institution: str) -> tuple[Any, ...]:
    return (InstitutionScope.KIND, institution)


class _Open:
    """Scopes, step 3."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[ScopeOpening]) -> list[AnyClaim]:
        message = tx.message
        point = check_envelope(view, context, message.sealed)
        _check_new(view, context, message.V)
        return [point, scope_value_claim(context, message.V, _opening_value(message.sealed.nf), message.possession)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[ScopeOpening]) -> None:
        spend_envelope(state, context, tx.message.sealed)
        _open(state, context, tx.message.V, "")


class _OpenByInstitution:
    """Scopes, step 4."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[InstitutionScope]) -> list[AnyClaim]:
        message = tx.message
        _check_new(view, context, message.V)
        party = live_party(view, INSTITUTION, message.institution)
        # A patient pays with a credential for each.
        limits.check_limit(view, context, limits.CHANGES, message.institution, 1)
        value = _institution_value(message.institution)
        return [scope_value_claim(context, message.V, value, message.possession), member_claim(context, party, message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[InstitutionScope]) -> None:
        limits.use(state, context, limits.CHANGES, tx.message.institution, 1)
        _open(state, context, tx.message.V, tx.message.institution)


def _check_new(view: StateView, context: BlockContext, V: bytes) -> None:
    require_key(V)
    known = SCOPES.get(view, scope_of_key(context.network, V))
    refuse_unless(known is None, "already-done", "the scope is open")


def _open(state: Overlay, context: BlockContext, V: bytes, institution: str) -> None:
    scope = scope_of_key(context.network, V)
    SCOPES.put(state, scope, Scope(V, institution, context.time_ms))
    context.emit("scope.opened", scope)


KINDS: Final = (
    KindSpec(ScopeOpening, _Open(), since=SHARING_VERSION, anonymous=True),
    KindSpec(InstitutionScope, _OpenByInstitution(), since=SHARING_VERSION),
)
