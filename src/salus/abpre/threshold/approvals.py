"""A member's word that it has looked into every box dealt to it and complains about none.

When all members have given it, complaints are over before their window is: the window may then be as long as the slowest
machine needs, and a set-up in which everybody is there still takes as long as the fastest.
Steps: docs/protocol/sharing-thresholds.md, "shared scalars".
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from salus import labels
from salus.abpre.threshold.committee import SUITE, UNSIGNED, Committee, Signer, signed_part, verify_signature
from salus.codec import Bytes32, Bytes64, Label, Message, Name
from salus.errors import Refused, refuse_unless
from salus.symmetric import Random, h2


class ShareApproval(Message, frozen=True):
    """A node found a good share for itself in every one of these deals.

    :ivar purpose: which scalar, see :mod:`salus.abpre.threshold.groups`.
    :ivar deals: :func:`digest_of_deals` of the deals that are not out.
    """

    KIND = "sharing.approval"

    purpose: Label
    epoch: int
    node: Name
    deals: Bytes32
    signature: Bytes64


def digest_of_deals(committee: Committee, purpose: str, deals: Iterable[bytes]) -> bytes:
    """Name of a set of deals to a committee: 32 bytes.

    :param deals: their digests, in any order.
    """
    return h2(labels.APPROVED_DEALS, SUITE, committee.digest(), purpose, tuple(sorted(deals)))


def approve_shares(
    network: bytes, committee: Committee, purpose: str, deals: Iterable[bytes], node: Signer, random: Random
) -> ShareApproval:
    """Approve what was dealt (shared scalars, step 7): only after every box of these deals gave a good share."""
    named = digest_of_deals(committee, purpose, deals)
    draft = ShareApproval(purpose, committee.epoch, node.name, named, UNSIGNED)
    return replace(draft, signature=node.sign(network, labels.SIG_SHARE_APPROVAL, signed_part(draft), random))


def check_approval(network: bytes, committee: Committee, approval: ShareApproval, deals: Iterable[bytes]) -> None:
    """Everyone's check of an approval (shared scalars, step 7).

    :param deals: digests of the deals that are not out.
    :raises Refused: ``not-a-member``, ``bad-approval`` if it names other deals or its signature does not hold.
    """
    seat = committee.seat_of(approval.node)
    named = digest_of_deals(committee, approval.purpose, deals)
    right = approval.epoch == committee.epoch and approval.deals == named
    refuse_unless(right, "bad-approval", "it names other deals")
    try:
        signature = approval.signature
        verify_signature(network, labels.SIG_SHARE_APPROVAL, seat.name, seat.W, signed_part(approval), signature)
    except Refused as error:
        raise Refused("bad-approval", error.detail) from None
