"""What several messages of sharing carry: attributes' texts, nodes' receipts for attachments, signing by scopes and members."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

from msgspec.structs import replace

from salus import labels
from salus.abpre.attributes import ATTRIBUTE_CHARACTERS_MAX
from salus.abpre.threshold.committee import SEATS_MAX
from salus.codec import Message, Size
from salus.consultation.registration import MemberKey
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.symmetric import Random

Attribute = Annotated[str, Size(1, ATTRIBUTE_CHARACTERS_MAX)]
BlsSignature = Annotated[bytes, Size(48, 48)]
UNSIGNED: Final = bytes(64)
"""Stands where the signature will be, while what is signed is put together."""
M = TypeVar("M", bound=Message)


class AttachmentReceipts(Message, frozen=True):
    """At least 2f + 1 nodes say that they hold an attachment, checked and durable: one signature and a bitmap of seats.

    :ivar epoch: of the committee whose seats the bitmap counts.
    :ivar signers: one bit for each seat by index, the first the most significant; unused bits zero.
    :ivar signature: the sum of their BLS signatures of :func:`.attachments.attachment_message`.
    """

    KIND = "attachment.receipts"

    epoch: int
    signers: Annotated[bytes, Size(1, (SEATS_MAX + 7) // 8)]
    signature: BlsSignature


def signed_part(message: Message) -> tuple[Any, ...]:
    """What a message's last field, its signature, covers: everything before it."""
    return message.to_value()[:-1]


def signed_by_scope(draft: M, key: ScopeKey, random: Random) -> M:
    """The draft with the scope's signature in its last field ``signature``."""
    return replace(draft, signature=key.sign(signed_part(draft), random))


def signed_by_member(network: bytes, draft: M, member: MemberKey, random: Random) -> M:
    """The draft with the signature of an institution, node or cloud in its last field ``signature``."""
    return replace(draft, signature=member.sign(network, labels.SIG_SHARING, signed_part(draft), random))
