"""Which institutions have a say: those of genesis, and those whom more than 2/3 of the institutions with a say admit.

The centre registers and revokes institutions alone. If every registration had a say, the centre could register as many as it
takes to approve an opening or a protocol version by itself; if a revocation lowered the number needed, it could do so too. So
a say belongs to one key, and the number needed counts everyone who was ever given one, revoked or not.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Annotated, Final

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Name, Size
from salus.consultation.registration import INSTITUTION, SUITE, MemberKey
from salus.consultation.tracing import enough_approvals
from salus.errors import refuse_unless
from salus.ledger.kinds.parties import (
    DIRECTORY,
    DIRECTORY_COUNT,
    PARTIES,
    Count,
    Entry,
    Party,
    directory_key,
    key_digest,
    live_party,
    party_key,
)
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.symmetric import Random

MAX_INSTITUTIONS: Final = 256
"""Institutions with a say: their approvals are counted one by one."""
VOTERS_LIST: Final = "voter"
"""Kind of the list of their names, kept like the lists of a role's parties."""


class Voter(Message, frozen=True):
    """The key that an institution's say belongs to."""

    KIND = "state.voter"
    key_digest: Bytes32


VOTERS: Final = Table("voter", Voter)


class Approval(Message, frozen=True):
    """One institution's signature of what it approves."""

    KIND = "protocol.approval"
    institution: Name
    signature: Bytes64


Approvals = Annotated[tuple[Approval, ...], Size(1, MAX_INSTITUTIONS)]


class Admission(Message, frozen=True):
    """Give a registered institution a say, or move its say to the key that is registered for it now.

    :ivar key_digest: of its live key. :ivar approvals: of distinct institutions with a say, by ascending name.
    """

    KIND = "institution.admit"
    institution: Name
    key_digest: Bytes32
    approvals: Approvals


def give_say(state: Overlay, name: str, digest: bytes) -> None:
    """Write an institution's say."""
    if VOTERS.get(state, name.encode()) is None:
        count = _count(state)
        DIRECTORY.put(state, directory_key(VOTERS_LIST, count), Entry(name))
        DIRECTORY_COUNT.put(state, VOTERS_LIST.encode(), Count(count + 1))
    VOTERS.put(state, name.encode(), Voter(digest))


def voters(view: StateView) -> list[str]:
    """Names of all institutions that were given a say, whatever became of them: as many are counted."""
    return [DIRECTORY.need(view, directory_key(VOTERS_LIST, i)).name for i in range(_count(view))]


def has_say(view: StateView, party: Party) -> bool:
    """Whether a party's present key has a say."""
    voter = VOTERS.get(view, party.name.encode())
    return voter is not None and not party.revoked_ms and voter.key_digest == key_digest(party.W)


def voting_institution(view: StateView, name: str) -> Party:
    """The live registration of an institution with a say.

    :raises Refused: ``unknown-party``, ``revoked``, ``not-authorised``.
    """
    party = live_party(view, INSTITUTION, name)
    refuse_unless(has_say(view, party), "not-authorised", f"{name} has no say yet: more than 2/3 of the institutions admit it")
    return party


def enough(view: StateView, approvers: Collection[str]) -> bool:
    """Whether more than 2/3 of all institutions that were given a say are among ``approvers`` and still have it."""
    parties = ((name, PARTIES.get(view, party_key(INSTITUTION, name))) for name in approvers)
    return enough_approvals([name for name, party in parties if party is not None and has_say(view, party)], voters(view))


def approval_claims(
    view: StateView, context: BlockContext, label: str, signed: tuple[object, ...], approvals: tuple[Approval, ...]
) -> list[Claim]:
    """The signatures of a quorum's approvals, to be verified.

    :raises Refused: ``bad-encoding``, ``no-quorum``, and as :func:`voting_institution`.
    """
    names = [a.institution for a in approvals]
    refuse_unless(all(a < b for a, b in pairwise(names)), "bad-encoding", "approvals are by ascending name")
    claims = []
    for approval in approvals:
        party = voting_institution(view, approval.institution)
        fields = (context.network, party.name, party.W)
        claims.append(Claim(label, SUITE, party.W, fields, signed, approval.signature, what=party.name))
    refuse_unless(enough(view, names), "no-quorum", f"{len(names)} of {_count(view)} institutions approve")
    return claims


def approve_admission(network: bytes, institution: MemberKey, name: str, W: bytes, random: Random) -> Approval:
    """An institution approves that ``name`` has a say under the key W; more than 2/3 of these make an :class:`Admission`."""
    return Approval(institution.name, institution.sign(network, labels.SIG_ADMIT, (name, key_digest(W)), random))


class _Admit:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[Admission]) -> list[Claim]:
        message = tx.message
        party = live_party(view, INSTITUTION, message.institution)
        refuse_unless(key_digest(party.W) == message.key_digest, "not-found", f"another key is live for {party.name}")
        refuse_unless(not has_say(view, party), "already-done", f"{party.name} has a say")
        known = VOTERS.get(view, party.name.encode()) is not None
        refuse_unless(known or _count(view) < MAX_INSTITUTIONS, "too-large", f"{MAX_INSTITUTIONS} institutions have a say")
        signed = (message.institution, message.key_digest)
        return approval_claims(view, context, labels.SIG_ADMIT, signed, message.approvals)

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Admission]) -> None:
        give_say(state, tx.message.institution, tx.message.key_digest)
        context.emit("institution.admitted", tx.message.institution.encode())


def _count(view: StateView) -> int:
    found = DIRECTORY_COUNT.get(view, VOTERS_LIST.encode())
    return 0 if found is None else found.count


KINDS: Final = (KindSpec(Admission, _Admit()),)
