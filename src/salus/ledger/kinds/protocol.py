"""Protocol versions: more than 2/3 of the institutions sign a version and the height from which it is active."""

from __future__ import annotations

from typing import Final

from salus import labels
from salus.codec import Message
from salus.consultation.registration import MemberKey
from salus.errors import refuse_unless
from salus.ledger.kinds.voters import Approval, Approvals, approval_claims
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.symmetric import Random


class Activation(Message, frozen=True):
    """Make protocol ``version`` active from ``height`` on.

    :ivar approvals: of distinct institutions with a say, by ascending name.
    """

    KIND = "protocol.activate"
    version: int
    height: int
    approvals: Approvals


class Protocol(Message, frozen=True):
    """Which protocol version is active, and which comes next.

    :ivar version: active now (at heights below ``next_height``). :ivar next_version, next_height: 0 if none is planned.
    """

    KIND = "state.protocol"
    version: int
    next_version: int
    next_height: int


PROTOCOL: Final = Table("protocol", Protocol)


def active_version(view: StateView, height: int) -> int:
    """Protocol version active at ``height``, seen from the state in front of that block."""
    protocol = PROTOCOL.need(view, b"")
    return protocol.next_version if protocol.next_height and height >= protocol.next_height else protocol.version


def settle_activation(state: Overlay, height: int) -> None:
    """Make a planned version the active one at its height."""
    protocol = PROTOCOL.need(state, b"")
    if protocol.next_height and height >= protocol.next_height:
        PROTOCOL.put(state, b"", Protocol(protocol.next_version, 0, 0))


def approve_activation(network: bytes, institution: MemberKey, version: int, height: int, random: Random) -> Approval:
    """An institution approves an activation; more than 2/3 of these make an :class:`Activation`."""
    signature = institution.sign(network, labels.SIG_ACTIVATE, (version, height), random)
    return Approval(institution.name, signature)


class _Activate:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[Activation]) -> list[Claim]:
        message = tx.message
        protocol = PROTOCOL.need(view, b"")
        refuse_unless(protocol.next_height == 0, "already-done", f"version {protocol.next_version} is planned already")
        refuse_unless(message.version == protocol.version + 1, "inactive-version", f"version {protocol.version + 1} comes next")
        earliest = context.height + context.constants.activation_notice_blocks
        refuse_unless(message.height >= earliest, "notice-too-short", f"height {earliest} at the earliest")
        refuse_unless(message.height < 1 << 63, "bad-encoding", "heights are below 2^63")
        return approval_claims(view, context, labels.SIG_ACTIVATE, (message.version, message.height), message.approvals)

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Activation]) -> None:
        version = PROTOCOL.need(state, b"").version
        PROTOCOL.put(state, b"", Protocol(version, tx.message.version, tx.message.height))
        context.emit("protocol.planned", tx.message.height.to_bytes(8, "big"))


KINDS: Final = (KindSpec(Activation, _Activate()),)
