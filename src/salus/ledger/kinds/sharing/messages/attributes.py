"""Attributes of institutions: granted and revoked by the centre."""

from __future__ import annotations

from typing import Annotated, Final

from salus.codec import Bytes64, Message, Name, Size
from salus.ledger.kinds.sharing.messages.common import Attribute

ATOMS_MAX: Final = 64
"""Attributes of one grant."""


class AttributeGrant(Message, frozen=True):
    """The centre grants an institution attributes, for a range of years; signed by :func:`..attributes.grant_attributes`.

    :ivar atoms: without a year (``role:doctor``), ascending; none of them ``own:``.
    :ivar first_year, last_year: years that the grant covers, both included (``role:doctor@2026``); 0, 0: without a year.
    :ivar expires_ms: block time at which the grant ends.
    :ivar sequence: one more than that of the last grant or revocation for this institution, from 1: an old grant, submitted
        again by anyone, must not undo a revocation.
    """

    KIND = "attribute.grant"

    institution: Name
    atoms: Annotated[tuple[Attribute, ...], Size(1, ATOMS_MAX)]
    first_year: int
    last_year: int
    expires_ms: int
    sequence: int
    signature: Bytes64


class AttributeRevocation(Message, frozen=True):
    """The centre ends every grant of these attributes to an institution.

    :ivar atoms: without a year, ascending. :ivar sequence: as in a grant.
    """

    KIND = "attribute.revoke"

    institution: Name
    atoms: Annotated[tuple[Attribute, ...], Size(1, ATOMS_MAX)]
    sequence: int
    signature: Bytes64


class SuspensionVote(Message, frozen=True):
    """A seat's node signs against an institution, or takes that back; more than a third of the seats suspend it.

    :ivar against: 1 to suspend, 0 to take the vote back. :ivar sequence: one more than the node's last vote on it, from 1.
    """

    KIND = "institution.suspend"

    institution: Name
    node: Name
    against: int
    sequence: int
    signature: Bytes64
