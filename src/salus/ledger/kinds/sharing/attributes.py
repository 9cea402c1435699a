"""Attributes of institutions, granted by the centre through the chain; and their suspension by the seats.

Steps: docs/protocol/sharing-ledger.md, "attributes".
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Final

from msgspec.structs import replace

from salus import labels
from salus.abpre.attributes import OWN, YEAR_MAX, YEAR_MIN, canonical_attribute, with_year, year_of
from salus.abpre.explain import is_satisfied
from salus.abpre.policy import Policy
from salus.abpre.threshold.committee import Seat
from salus.codec import Message, Name, Size
from salus.consensus.block import MAX_VALIDATORS
from salus.consultation.registration import INSTITUTION, NODE, CentreKey
from salus.consultation.registration import SUITE as MEMBER_SUITE
from salus.errors import refuse_unless
from salus.ledger.kinds.parties import CENTRE, NODES, PARTIES, VALIDATORS, live_party, party_key
from salus.ledger.kinds.sharing.claims import member_claim, seated_node
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, sharing_constants
from salus.ledger.kinds.sharing.messages.attributes import AttributeGrant, AttributeRevocation, SuspensionVote
from salus.ledger.kinds.sharing.messages.common import Attribute, signed_part
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.symmetric import Random

GRANTS_MAX: Final = 256
"""Live grants of one institution: 64 attributes for four ranges of years; one state value of 25 KiB."""
YEARS_MAX: Final = 100
"""Years of one grant."""


class HeldAttribute(Message, frozen=True):
    """One granted attribute.

    :ivar atom: without a year. :ivar first_year, last_year: both included; 0, 0: without a year.
    :ivar granted_ms, expires_ms: block times.
    """

    KIND = "state.held-attribute"
    atom: Attribute
    first_year: int
    last_year: int
    granted_ms: int
    expires_ms: int

    def covers(self, attribute: str, time_ms: int) -> bool:
        """Whether this grant gives an attribute (with its year) at block time ``time_ms``."""
        if time_ms >= self.expires_ms:
            return False
        year = year_of(attribute)
        if year is None:
            return self.first_year == 0 and self.atom == attribute
        return self.first_year <= year <= self.last_year and with_year(self.atom, year) == attribute


class Holding(Message, frozen=True):
    """All grants of an institution, by (atom, first year).

    :ivar sequence: of the last grant or revocation.
    """

    KIND = "state.holding"
    sequence: int
    held: Annotated[tuple[HeldAttribute, ...], Size(0, GRANTS_MAX)]


class Suspension(Message, frozen=True):
    """Nodes that signed against an institution, and the sequence of each node's last vote."""

    KIND = "state.suspension"
    against: Annotated[tuple[Name, ...], Size(0, MAX_VALIDATORS)]


class LastVote(Message, frozen=True):
    """A node's last vote on an institution."""

    KIND = "state.suspension-vote"
    sequence: int


HOLDINGS: Final = Table("attributes", Holding)
"""Raw key: the institution's name."""
SUSPENSIONS: Final = Table("suspension", Suspension)
"""Raw key: the institution's name."""
LAST_VOTES: Final = Table("suspension.vote", LastVote)
"""Raw key: institution, a zero byte, node."""


def grant_attributes(
    network: bytes, centre_name: str, centre: CentreKey, draft: AttributeGrant, random: Random
) -> AttributeGrant:
    """The centre's signature in a grant (attributes, step 1)."""
    return replace(draft, signature=centre.sign(network, centre_name, labels.SIG_CENTRE, signed_part(draft), random))


def revoke_attributes(
    network: bytes, centre_name: str, centre: CentreKey, draft: AttributeRevocation, random: Random
) -> AttributeRevocation:
    """The centre's signature in a revocation (attributes, step 4)."""
    return replace(draft, signature=centre.sign(network, centre_name, labels.SIG_CENTRE, signed_part(draft), random))


def next_sequence(view: StateView, institution: str) -> int:
    """Sequence number of the centre's next grant or revocation for an institution."""
    holding = HOLDINGS.get(view, institution.encode())
    return 1 if holding is None else holding.sequence + 1


def held_attributes(view: StateView, institution: str, time_ms: int) -> tuple[HeldAttribute, ...]:
    """Live grants of an institution at block time ``time_ms``; none if it is revoked."""
    party = PARTIES.get(view, party_key(INSTITUTION, institution))
    return () if party is None or party.revoked_ms else _live(view, institution, time_ms)


def holds(view: StateView, institution: str, attributes: Iterable[str], time_ms: int) -> set[str]:
    """Which of some attributes (with years) an institution holds live."""
    held = held_attributes(view, institution, time_ms)
    return {x for x in attributes if any(h.covers(x, time_ms) for h in held)}


def satisfies(view: StateView, institution: str, policy: Policy, time_ms: int) -> bool:
    """Whether an institution's live attributes satisfy a policy (attributes, step 3)."""
    return is_satisfied(policy, holds(view, institution, policy.attributes, time_ms))


def is_suspended(view: StateView, institution: str) -> bool:
    """Whether more than a third of the seats has signed against an institution (attributes, step 6)."""
    against = signed_against(view, institution)
    return bool(against) and 3 * len(against) > len(VALIDATORS.need(view, b"").members)


def counts(view: StateView, seat: Seat) -> bool:
    """Whether a seat of a committee counts in a quorum (attributes, step 7): its node is live under the key that it had when the
    epoch was opened, and the institution that operates it is not suspended.

    An institution that the centre alone has revoked is not looked at: else the centre ends quorums by revoking institutions.
    """
    party, node = PARTIES.get(view, party_key(NODE, seat.name)), NODES.get(view, seat.name.encode())
    live = party is not None and not party.revoked_ms and party.W == seat.W
    return live and node is not None and not is_suspended(view, node.institution)


def signed_against(view: StateView, institution: str) -> tuple[str, ...]:
    """Nodes with a seat that have signed against an institution."""
    found = SUSPENSIONS.get(view, institution.encode())
    seats = {member.name for member in VALIDATORS.need(view, b"").members}
    return () if found is None else tuple(name for name in found.against if name in seats)


def next_vote(view: StateView, institution: str, node: str) -> int:
    """Sequence number of a node's next vote on an institution."""
    last = LAST_VOTES.get(view, _vote_key(institution, node))
    return 1 if last is None else last.sequence + 1


class _Grant:
    """Attributes, step 2."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[AttributeGrant]) -> list[Claim]:
        message = tx.message
        live_party(view, INSTITUTION, message.institution)
        _check_atoms(message.atoms)
        if (message.first_year, message.last_year) != (0, 0):
            years = YEAR_MIN <= message.first_year <= message.last_year <= YEAR_MAX
            few = message.last_year - message.first_year < YEARS_MAX
            refuse_unless(years and few, "bad-attribute", f"years {message.first_year} to {message.last_year}")
        refuse_unless(message.expires_ms > context.time_ms, "expired", "the grant ends before this block")
        latest = context.time_ms + sharing_constants(view).attribute_max_ms
        refuse_unless(message.expires_ms <= latest, "too-far-ahead", f"a grant expires at {latest} at the latest")
        _check_sequence(view, message.institution, message.sequence)
        fresh = _merged(view, context, message)
        refuse_unless(len(fresh.held) <= GRANTS_MAX, "too-large", f"an institution has at most {GRANTS_MAX} grants")
        return [_by_centre(view, context, message, message.signature)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[AttributeGrant]) -> None:
        HOLDINGS.put(state, tx.message.institution.encode(), _merged(state, context, tx.message))
        context.emit("attributes.changed", tx.message.institution.encode())


class _Revoke:
    """Attributes, step 4."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[AttributeRevocation]) -> list[Claim]:
        message = tx.message
        _check_atoms(message.atoms)
        _check_sequence(view, message.institution, message.sequence)
        kept = _without(view, context, message)
        refuse_unless(
            len(kept.held) < len(_live(view, message.institution, context.time_ms)), "not-found", "none of these is granted"
        )
        return [_by_centre(view, context, message, message.signature)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[AttributeRevocation]) -> None:
        HOLDINGS.put(state, tx.message.institution.encode(), _without(state, context, tx.message))
        context.emit("attributes.changed", tx.message.institution.encode())


class _Vote:
    """Attributes, step 5."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[SuspensionVote]) -> list[Claim]:
        message = tx.message
        refuse_unless(message.against in (0, 1), "bad-encoding", "a vote is 0 or 1")
        known = PARTIES.get(view, party_key(INSTITUTION, message.institution))
        refuse_unless(known is not None, "unknown-party", f"institution {message.institution}")
        node = seated_node(view, message.node)
        expected = next_vote(view, message.institution, message.node)
        # An old vote, submitted again by anyone, must not take a newer one's place.
        refuse_unless(message.sequence == expected, "already-done", f"vote {expected} of {message.node} comes next")
        return [member_claim(context, node, message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[SuspensionVote]) -> None:
        message = tx.message
        raw = message.institution.encode()
        before = SUSPENSIONS.get(state, raw) or Suspension(())
        names = {name for name in before.against if name != message.node} | ({message.node} if message.against else set())
        seats = {member.name for member in VALIDATORS.need(state, b"").members}
        SUSPENSIONS.put(state, raw, Suspension(tuple(sorted(names & seats))))
        LAST_VOTES.put(state, _vote_key(message.institution, message.node), LastVote(message.sequence))
        context.emit("institution.suspended" if is_suspended(state, message.institution) else "institution.voted", raw)


def _vote_key(institution: str, node: str) -> bytes:
    return institution.encode() + b"\0" + node.encode()


def _check_atoms(atoms: tuple[str, ...]) -> None:
    refuse_unless(all(a < b for a, b in pairwise(atoms)), "bad-encoding", "attributes ascend and differ")
    for atom in atoms:
        canonical_attribute(atom)
        granted = not atom.startswith(OWN) and year_of(atom) is None
        refuse_unless(granted, "bad-attribute", "the centre grants attributes without a year, and none of owners' scopes")


def _check_sequence(view: StateView, institution: str, sequence: int) -> None:
    expected = next_sequence(view, institution)
    refuse_unless(sequence == expected, "already-done", f"grant or revocation {expected} for {institution} comes next")


def _live(view: StateView, institution: str, time_ms: int) -> tuple[HeldAttribute, ...]:
    holding = HOLDINGS.get(view, institution.encode())
    return () if holding is None else tuple(h for h in holding.held if time_ms < h.expires_ms)


def _merged(view: StateView, context: BlockContext, message: AttributeGrant) -> Holding:
    """The live grants with the new ones; one of the same attribute and years takes the later expiry."""
    held = {(h.atom, h.first_year, h.last_year): h for h in _live(view, message.institution, context.time_ms)}
    for atom in message.atoms:
        place = (atom, message.first_year, message.last_year)
        before = held.get(place)
        if before is None or before.expires_ms < message.expires_ms:
            held[place] = HeldAttribute(atom, message.first_year, message.last_year, context.time_ms, message.expires_ms)
    return Holding(message.sequence, tuple(held[place] for place in sorted(held)))


def _without(view: StateView, context: BlockContext, message: AttributeRevocation) -> Holding:
    live = _live(view, message.institution, context.time_ms)
    return Holding(message.sequence, tuple(h for h in live if h.atom not in message.atoms))


def _by_centre(view: StateView, context: BlockContext, message: Message, signature: bytes) -> Claim:
    centre = CENTRE.need(view, b"")
    fields = (context.network, centre.name, centre.signing_key)
    return Claim(labels.SIG_CENTRE, MEMBER_SUITE, centre.signing_key, fields, signed_part(message), signature, what="the centre")


KINDS: Final = (
    KindSpec(AttributeGrant, _Grant(), since=SHARING_VERSION),
    KindSpec(AttributeRevocation, _Revoke(), since=SHARING_VERSION),
    KindSpec(SuspensionVote, _Vote(), since=SHARING_VERSION),
)
