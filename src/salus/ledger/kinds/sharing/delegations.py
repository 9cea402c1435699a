"""Delegations on the ledger: created and revoked by the scope's key, ended by expiry, and the receipt of a revocation.

Steps: docs/protocol/sharing-ledger.md, "delegations".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final

from msgspec.structs import replace

from salus import labels
from salus.abpre.attributes import own_attribute, scope_of
from salus.abpre.language import parse_canonical
from salus.abpre.policy import Policy
from salus.abpre.threshold.delegations import CheckedDelegation, SealedDelegation, check_delegation, take_delegation_unchecked
from salus.abpre.threshold.receipts import RevocationReceipt, check_receipt, signers_of
from salus.codec import Bytes32, Message, Size, encode
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.parties import NODES
from salus.ledger.kinds.sharing import limits, lists
from salus.ledger.kinds.sharing.access_log import DELEGATED, REVOKED, log
from salus.ledger.kinds.sharing.attachments import DELEGATION_C, receipts_claim, require_quorum
from salus.ledger.kinds.sharing.claims import require_scope_signature, scope_claim
from salus.ledger.kinds.sharing.committee_state import accepted_epoch, committee_of
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, sharing_constants
from salus.ledger.kinds.sharing.messages.delegations import DelegationCreation, DelegationRevocation
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.signatures import AnyClaim, LateClaim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.search.index_keys import SealedIndexKey

EMERGENCY_ROLE: Final = "role:emergency"
"""An attribute of this name, of any year, marks a policy as one for emergencies (break-glass)."""


class Delegation(Message, frozen=True):
    """A delegation.

    :ivar scope: x. :ivar sealed: the public part. :ivar created_ms: block time. :ivar revoked_ms: 0 while it is not.
    :ivar receipt: that nodes have deleted c, once it is there.
    """

    KIND = "state.delegation"
    scope: Bytes32
    sealed: SealedDelegation
    index_key: SealedIndexKey | None
    tx_hash: Bytes32
    created_ms: int
    revoked_ms: int
    revoked_tx: Annotated[bytes, Size(0, 32)]
    receipt: RevocationReceipt | None

    def policy(self) -> Policy:
        """Whom it is for."""
        return _policy(self.sealed.rk4.policy)

    def is_emergency(self) -> bool:
        """Whether it is for emergencies."""
        return any(x.partition("@")[0] == EMERGENCY_ROLE for x in self.policy().attributes)

    def is_live(self, time_ms: int) -> bool:
        """Whether it is neither revoked nor expired at block time ``time_ms``."""
        return self.revoked_ms == 0 and time_ms < self.sealed.expires_ms


DELEGATIONS: Final = Table("delegation", Delegation)
"""Raw key: its id."""


def find_delegation(view: StateView, delegation: bytes) -> Delegation:
    """A delegation, live or not.

    :raises Refused: ``unknown-delegation``.
    """
    found = DELEGATIONS.get(view, delegation)
    if found is None:
        raise Refused("unknown-delegation", delegation.hex())
    return found


def live_delegation(view: StateView, delegation: bytes, time_ms: int) -> Delegation:
    """A delegation that is live at block time ``time_ms``.

    :raises Refused: ``unknown-delegation``, ``delegation-revoked``, ``delegation-expired``.
    """
    found = find_delegation(view, delegation)
    refuse_unless(found.revoked_ms == 0, "delegation-revoked", delegation.hex())
    refuse_unless(time_ms < found.sealed.expires_ms, "delegation-expired", f"it ended at {found.sealed.expires_ms}")
    return found


@lru_cache(maxsize=256)
def delegation_points(network: bytes, sealed: SealedDelegation) -> CheckedDelegation:
    """The points of a delegation that the chain has checked."""
    return take_delegation_unchecked(network, sealed)


class _Create:
    """Delegations, step 2."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[DelegationCreation]) -> list[AnyClaim]:
        message, sealed = tx.message, tx.message.sealed
        scope = scope_of(sealed.scope)
        if scope is None or own_attribute(scope) != sealed.scope:
            raise Refused("bad-attribute", "a delegation is for one scope, an own: attribute")
        opened = find_scope(view, scope)
        refuse_unless(DELEGATIONS.get(view, sealed.delegation) is None, "duplicate-delegation", sealed.delegation.hex())
        accepted_epoch(view, sealed.epoch, context.time_ms)
        refuse_unless(sealed.expires_ms > context.time_ms, "delegation-expired", "it ends before this block")
        latest = context.time_ms + sharing_constants(view).delegation_max_ms
        refuse_unless(sealed.expires_ms <= latest, "too-far-ahead", f"a delegation expires at {latest} at the latest")
        limits.check_limit(view, context, limits.CHANGES, scope.hex(), 1)
        require_scope_signature(context.network, opened.V, message)
        # Else a delegation to own:<victim> would look like one that the victim may pass on.
        _policy(sealed.rk4.policy).require_no_owner()
        if message.index_key is not None:
            refuse_unless(message.index_key.scope == scope, "wrong-scope", "the sealed index key is another scope's")
        network = context.network
        delegation_points(network, sealed)
        checked = LateClaim(sealed.KIND, (network, sealed.to_value()), lambda: check_delegation(network, sealed))
        kept = receipts_claim(view, context, message.c_kept, DELEGATION_C, sealed.delegation, sealed.c_digest)
        return [checked, kept]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[DelegationCreation]) -> None:
        message, sealed = tx.message, tx.message.sealed
        scope = scope_of(sealed.scope)
        assert scope is not None
        limits.use(state, context, limits.CHANGES, scope.hex(), 1)
        record = Delegation(scope, sealed, message.index_key, tx.hash, context.time_ms, 0, b"", None)
        DELEGATIONS.put(state, sealed.delegation, record)
        lists.append(state, lists.SCOPE_DELEGATIONS, scope, sealed.delegation)
        lists.append(state, lists.DELEGATIONS, b"", sealed.delegation)
        via = "emergency" if record.is_emergency() else "delegation"
        log(state, context, tx.hash, scope, DELEGATED, delegation=sealed.delegation, via=via)
        context.emit("delegation.created", sealed.delegation)


class _Revoke:
    """Delegations, step 3: nodes stop with the next block; here shares through it stop in this one."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[DelegationRevocation]) -> list[AnyClaim]:
        record = find_delegation(view, tx.message.delegation)
        refuse_unless(record.revoked_ms == 0, "already-done", "the delegation is revoked")
        return [scope_claim(context, find_scope(view, record.scope).V, tx.message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[DelegationRevocation]) -> None:
        delegation = tx.message.delegation
        record = DELEGATIONS.need(state, delegation)
        DELEGATIONS.put(state, delegation, replace(record, revoked_ms=context.time_ms, revoked_tx=tx.hash))
        log(state, context, tx.hash, record.scope, REVOKED, delegation=delegation)
        context.emit("delegation.revoked", delegation)


class _Receipt:
    """Delegations, step 4: t nodes have deleted c."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[RevocationReceipt]) -> list[AnyClaim]:
        receipt = tx.message
        record = find_delegation(view, receipt.delegation)
        refuse_unless(record.revoked_ms != 0, "not-started", "the delegation is not revoked")
        refuse_unless(record.receipt is None, "already-done", "there is a receipt")
        same = receipt.c_digest == record.sealed.c_digest
        refuse_unless(same, "bad-delegation", "the receipt is for another attachment")
        accepted_epoch(view, receipt.epoch, context.time_ms)
        committee, network = committee_of(view, receipt.epoch), context.network
        require_quorum(view, committee, signers_of(committee, receipt), "no-quorum")
        nodes = {seat.name: NODES.get(view, seat.name.encode()) for seat in committee.seats}
        keys = {name: node.record.bls_key for name, node in nodes.items() if node is not None}
        about = (network, receipt.to_value(), committee.digest(), tuple(sorted(keys.items())))
        return [LateClaim(labels.DELETED, about, lambda: check_receipt(network, committee, keys, receipt))]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[RevocationReceipt]) -> None:
        record = DELEGATIONS.need(state, tx.message.delegation)
        DELEGATIONS.put(state, tx.message.delegation, replace(record, receipt=tx.message))
        context.emit("delegation.deleted", tx.message.delegation)


@lru_cache(maxsize=256)
def _policy(text: str) -> Policy:
    return parse_canonical(text)


KINDS: Final = (
    KindSpec(DelegationCreation, _Create(), since=SHARING_VERSION, spends=lambda m: encode((m.KIND, m.sealed.delegation))),
    KindSpec(DelegationRevocation, _Revoke(), since=SHARING_VERSION, spends=lambda m: encode((m.KIND, m.delegation))),
    KindSpec(RevocationReceipt, _Receipt(), since=SHARING_VERSION),
)
