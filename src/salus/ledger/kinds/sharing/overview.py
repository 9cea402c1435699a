"""What nodes and terminals ask of the state, put together: committee, records, delegations, inbox, shares, attributes.

Over any :class:`~salus.ledger.state.StateView`: a node's own, or values proven to a client. No check of a transaction comes
here.
"""

from __future__ import annotations

import msgspec

from salus.abpre.explain import is_satisfied
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import Policy
from salus.abpre.threshold.alpha import AlphaPublic
from salus.abpre.threshold.committee import Committee
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.scalar_deals import ScalarPublic
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.attributes import holds, is_suspended
from salus.ledger.kinds.sharing.committee_state import (
    alpha_public,
    committee_of,
    current_epoch,
    scalar_public,
    search_key,
)
from salus.ledger.kinds.sharing.delegations import Delegation, find_delegation
from salus.ledger.kinds.sharing.index_keys import INDEX_KEYS, IndexKey
from salus.ledger.kinds.sharing.messages.shares import WAITING
from salus.ledger.kinds.sharing.records import CAPSULES, RECORDS, Record, sharing_policy
from salus.ledger.kinds.sharing.share_state import APPROVED, Share, find_share
from salus.ledger.state import StateView
from salus.search.committee import TokenKey


class PublicValues(msgspec.Struct, frozen=True):
    """Everything public that keys, records, delegations and searches are made with now.

    :ivar epoch: of sharing. :ivar key_version: of Y, Z and the key of tokens, which hand-overs do not change.
    """

    epoch: int
    key_version: int
    committee: Committee
    alpha: AlphaPublic
    z: ScalarPublic
    tokens: TokenKey

    @property
    def parameters(self) -> PublicParameters:
        """Y, as the scheme takes it."""
        return PublicParameters(self.alpha.Y)


def public_values(view: StateView) -> PublicValues:
    """The current committee and its public values.

    :raises Refused: ``not-started``.
    """
    record = current_epoch(view)
    number = record.epoch
    return PublicValues(
        number,
        record.key_version,
        committee_of(view, number),
        alpha_public(view, number),
        scalar_public(view, number, Z),
        search_key(view, number),
    )


def records_of(view: StateView, scope: bytes) -> list[Record]:
    """Every record of a scope, tombstones too, in the order they were put."""
    return [RECORDS.need(view, rid) for rid in lists.items(view, lists.SCOPE_RECORDS, scope)]


def delegations_of(view: StateView, scope: bytes) -> list[Delegation]:
    """Every delegation of a scope, dead ones too, in the order they were made."""
    return [find_delegation(view, name) for name in lists.items(view, lists.SCOPE_DELEGATIONS, scope)]


def index_keys_of(view: StateView, scope: bytes) -> list[IndexKey]:
    """Published index keys of a scope."""
    return [INDEX_KEYS.need(view, scope + digest) for digest in lists.items(view, lists.SCOPE_INDEX_KEYS, scope)]


def inbox_of(view: StateView, scope: bytes, start: int = 0) -> list[tuple[bytes, Share]]:
    """Every share asked of a scope, with its id; those that wait for the owner have the status ``waiting``.

    :param start: number of the first one.
    """
    return [(raw, find_share(view, raw)) for raw in lists.items(view, lists.INBOX, scope, start)]


def waiting_of(view: StateView, scope: bytes) -> list[tuple[bytes, Share]]:
    """Shares that wait for the owner of a scope."""
    return [(raw, share) for raw, share in inbox_of(view, scope) if share.status == WAITING]


def shares_of(view: StateView, institution: str, start: int = 0) -> list[tuple[bytes, Share]]:
    """Every share that an institution asked for, with its id."""
    return [(raw, find_share(view, raw)) for raw in lists.items(view, lists.READER_SHARES, institution.encode(), start)]


def is_open(share: Share) -> bool:
    """Whether a share awaits somebody: the owner, or the nodes."""
    return share.status in (WAITING, APPROVED)


class Access(msgspec.Struct, frozen=True):
    """What stands between an institution and a record (``access explain``).

    :ivar policy: the record's sharing policy, None if the owner alone reads by policy. :ivar held: attributes of it held live.
    :ivar by_policy: whether they satisfy it. :ivar through: live delegations whose policy the institution satisfies.
    :ivar others: live delegations that it does not satisfy. :ivar suspended: then nothing is shared.
    """

    policy: Policy | None
    held: frozenset[str]
    by_policy: bool
    through: tuple[Delegation, ...]
    others: tuple[Delegation, ...]
    suspended: bool


def explain_access(view: StateView, record: Record, institution: str, time_ms: int) -> Access:
    """Who may open this, through what, or what is missing: for a record that is not erased."""
    policy = sharing_policy(CAPSULES.need(view, record.rid))
    held = frozenset(() if policy is None else holds(view, institution, policy.attributes, time_ms))
    through: list[Delegation] = []
    others: list[Delegation] = []
    for delegation in delegations_of(view, record.scope):
        if delegation.is_live(time_ms):
            wanted = delegation.policy()
            fits = is_satisfied(wanted, holds(view, institution, wanted.attributes, time_ms))
            (through if fits else others).append(delegation)
    satisfied = policy is not None and is_satisfied(policy, held)
    return Access(policy, held, satisfied, tuple(through), tuple(others), is_suspended(view, institution))
