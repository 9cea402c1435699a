"""An owner's delegations: one re-encryption key for one scope and one policy, handed to the committee; revoked with a receipt.

A range of quarters is a loop here, one transaction each, so that nothing on the ledger links them. Steps: docs/protocol/
sharing-ledger.md, "delegations"; docs/protocol/sharing-thresholds.md, "delegations" and "revocation".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from salus.abpre.language import parse
from salus.abpre.policy import Policy
from salus.abpre.rekeys import Coins
from salus.abpre.threshold.delegations import seal_delegation
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.receipts import check_receipt
from salus.errors import Refused, TransportError, refuse_unless
from salus.files import make_private_directory, read_bounded, write_atomic
from salus.ledger.handing_out import attach_delegation
from salus.ledger.kinds.parties import NODES
from salus.ledger.kinds.sharing.attachments import DELEGATION_C
from salus.ledger.kinds.sharing.committee_state import committee_of, scalar_public
from salus.ledger.kinds.sharing.delegations import DELEGATIONS, Delegation, find_delegation
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.messages.delegations import DelegationCreation, DelegationRevocation
from salus.ledger.sharing_api import ATTACH_DELEGATION
from salus.ledger.state import StateView
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from salus.records.scope import WHOLE_CATEGORY, periods_between, year_of
from salus.search.index_keys import BY_DELEGATION, seal_index_key
from salus.symmetric import Random
from salus.terminal.bodies import OUTGOING
from salus.terminal.sharing.entries import REVOKED, SENT, STORED, DelegationEntry
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.scopes import OpenScope, Scopes
from salus.terminal.sharing.shelf import Shelf

QUARTERS_MAX: Final = 40
"""Of one command: ten years, each quarter a credential at its first use."""


class Revoked(msgspec.Struct, frozen=True):
    """A revoked delegation.

    :ivar deleted_by: nodes that signed to have deleted c, checked; empty while the receipt is not there.
    """

    entry: DelegationEntry
    deleted_by: tuple[str, ...]


class Delegating:
    """Delegations of one owner.

    :param now_ms: clock, UTC milliseconds.
    """

    def __init__(
        self, directory: Path, shelf: Shelf, nodes: Nodes, scopes: Scopes, now_ms: Callable[[], int], random: Random
    ) -> None:
        self._shelf = shelf
        self._nodes = nodes
        self._scopes = scopes
        self._now_ms = now_ms
        self._random = random
        self._outgoing = directory / OUTGOING

    def create(self, policy: str, category: str, first: str, last: str, expires_ms: int) -> list[DelegationEntry]:
        """Delegate every quarter from ``first`` to ``last`` to a policy; attributes without a year get that of the quarter.

        :param expires_ms: block time at which they end.
        :raises Refused: of policy and periods; ``too-far-ahead``, ``quota``. Quarters before the refused one are delegated: the
            message names them.
        """
        wanted = parse(policy).require_no_owner()
        periods = list(periods_between(first, last))
        refuse_unless(len(periods) <= QUARTERS_MAX, "too-large", f"at most {QUARTERS_MAX} quarters at a time")
        made: list[DelegationEntry] = []
        for period in periods:
            try:
                made.append(self.create_one(wanted.in_year(year_of(period)), category, period, expires_ms))
            except Refused as refused:
                if not made:
                    raise
                done = ", ".join(entry.period for entry in made)
                raise Refused(refused.reason, f"{period}: {refused.detail}; delegated before it: {done}") from None
        return made

    def create_whole(self, policy: str, category: str, year: int, expires_ms: int) -> DelegationEntry:
        """Delegate the scope for all quarters of a category, which holds the records that were put into it.

        :param year: of attributes without one: there is no quarter to take it from.
        """
        wanted = parse(policy).require_no_owner().in_year(year)
        return self.create_one(wanted, category, WHOLE_CATEGORY, expires_ms)

    def create_one(self, policy: Policy, category: str, period: str, expires_ms: int) -> DelegationEntry:
        """Delegate one scope to a policy."""
        scope = self._scopes.open(category, period, self._now_ms())
        creation = self._sealed(scope, policy, expires_ms)
        raw = creation.encode()
        name = creation.sealed.delegation
        entry = DelegationEntry(name, SENT, category, period, policy.text, expires_ms, self._now_ms(), bytes(32))
        make_private_directory(self._outgoing)
        write_atomic(self._outgoing / _name(name), raw)
        self._shelf.put(_name(name), entry)
        return self._submit(entry, raw)

    def _sealed(self, scope: OpenScope, policy: Policy, expires_ms: int) -> DelegationCreation:
        """Delegations, steps 1 to 4 and 6: the key is made, c handed to the nodes, their receipts put together."""
        nodes, view = self._nodes, self._nodes.view()
        epoch, coins = nodes.epoch(view), Coins.draw(self._random)
        z = scalar_public(view, epoch, Z)
        signer = scope.signer
        sealed, c = seal_delegation(
            nodes.network, epoch, nodes.parameters(view), z.key, scope.key, signer.attribute, policy, expires_ms, coins,
            self._random,
        )  # fmt: skip
        attach = lambda seat: attach_delegation(nodes.network, epoch, seat, sealed, c, signer, self._random)  # noqa: E731
        name = sealed.delegation
        kept = nodes.attach(view, DELEGATION_C, name, sealed.c_digest, ATTACH_DELEGATION, attach)
        index = seal_index_key(nodes.network, signer.scope, scope.index_key, BY_DELEGATION, name, coins.delta)
        return signed_by_scope(DelegationCreation(sealed, index, kept, UNSIGNED), signer, self._random)

    def _submit(self, entry: DelegationEntry, raw: bytes) -> DelegationEntry:
        path = self._outgoing / _name(entry.delegation)
        try:
            accepted = self._nodes.submit_raw(raw)
        except Refused:
            self._shelf.remove(_name(entry.delegation))
            path.unlink(missing_ok=True)
            raise
        return self._stored(entry, accepted.committed.hash)

    def _stored(self, entry: DelegationEntry, tx_hash: bytes) -> DelegationEntry:
        stored = replace(entry, state=STORED, tx_hash=tx_hash)
        self._shelf.put(_name(entry.delegation), stored)
        (self._outgoing / _name(entry.delegation)).unlink(missing_ok=True)
        return stored

    def delegations(self) -> list[DelegationEntry]:
        """Every delegation of this wallet, oldest first."""
        return sorted(self._shelf.all("delegation-", DelegationEntry), key=lambda e: (e.made_ms, e.delegation))

    def entry(self, delegation: bytes) -> DelegationEntry:
        """One delegation of this wallet.

        :raises Refused: ``unknown-delegation``.
        """
        found = self._shelf.get(_name(delegation), DelegationEntry)
        if found is None:
            raise Refused("unknown-delegation", f"{delegation.hex()} is none of this wallet's; see: salus delegation list")
        return found

    def find(self, delegation: bytes) -> Delegation | None:
        """What the ledger has of a delegation."""
        return DELEGATIONS.get(self._nodes.view(), delegation)

    def revoke(self, delegation: bytes) -> Revoked:
        """Revoke: partials stop with the next block; waits for the nodes' receipt that they deleted c, and checks it.

        A delegation that is revoked already only gets its receipt checked: an interrupted command is simply run again.

        :raises Refused: ``unknown-delegation``.
        """
        entry = self.entry(delegation)
        record = find_delegation(self._nodes.view(), delegation)
        if not record.revoked_ms:
            signer = self._scopes.signer(entry.category, entry.period)
            draft = DelegationRevocation(delegation, UNSIGNED)
            self._nodes.submit(signed_by_scope(draft, signer, self._random))
        entry = replace(entry, state=REVOKED)
        self._shelf.put(_name(delegation), entry)
        deleted_by: tuple[str, ...] = ()
        with contextlib.suppress(TransportError):  # too few nodes are up: the receipt comes later
            deleted_by = self._nodes.ledger.wait(lambda: self.deleted_by(delegation), "the receipt of the revocation")
        return Revoked(entry, deleted_by)

    def deleted_by(self, delegation: bytes) -> tuple[str, ...] | None:
        """Nodes that signed to have deleted c, by a receipt that holds; None while there is none."""
        view = self._nodes.view()
        record = find_delegation(view, delegation)
        return None if record.receipt is None else self._checked(view, record)

    def _checked(self, view: StateView, record: Delegation) -> tuple[str, ...]:
        receipt = record.receipt
        assert receipt is not None
        same = (receipt.delegation, receipt.c_digest) == (record.sealed.delegation, record.sealed.c_digest)
        refuse_unless(same, "bad-certificate", "the receipt is for another delegation")
        committee = committee_of(view, receipt.epoch)
        keys = {seat.name: node.record.bls_key for seat in committee.seats if (node := NODES.get(view, seat.name.encode()))}
        return check_receipt(self._nodes.network, committee, keys, receipt)

    def resume(self) -> list[DelegationEntry]:
        """Finish delegations whose outcome was not known: the same bytes again."""
        done = []
        for entry in self.delegations():
            if entry.state != SENT:
                continue
            placed, path = self.find(entry.delegation), self._outgoing / _name(entry.delegation)
            if placed is not None:
                done.append(self._stored(entry, placed.tx_hash))
            elif path.exists():
                raw = read_bounded(path, MAX_TRANSACTION_BYTES, "an outgoing delegation")
                with contextlib.suppress(Refused):  # it is forgotten then
                    done.append(self._submit(entry, raw))
            else:
                self._shelf.remove(_name(entry.delegation))
        self._drop_orphans()
        return done

    def _drop_orphans(self) -> None:
        """Transactions that were interrupted before their entry was written: they never left."""
        if self._outgoing.is_dir():
            known = {_name(entry.delegation) for entry in self.delegations() if entry.state == SENT}
            for path in self._outgoing.glob("delegation-*"):
                if path.name not in known:
                    path.unlink(missing_ok=True)


def _name(delegation: bytes) -> str:
    return f"delegation-{delegation.hex()}"
