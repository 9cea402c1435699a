"""Shares: asked for, judged by check nodes, consented to or refused by owners, granted by t nodes. ``share.evidence`` is the
threshold protocol's :class:`salus.abpre.threshold.transforming.BadPartial`."""

from __future__ import annotations

from typing import Annotated, Final

from salus.abpre.threshold.box import Box
from salus.abpre.threshold.committee import SEATS_MAX
from salus.abpre.threshold.partials import PartialClaim
from salus.codec import Bytes16, Bytes32, Bytes64, Label, Message, Name, Size

ITEMS_MAX: Final = 32
"""Records of one request: each becomes a share of its own."""
PURPOSES: Final = ("treatment", "emergency", "payment", "operations", "research", "public-health", "patient-request")
"""Purposes of use, after HL7 v3 PurposeOfUse (TREAT, ETREAT, HPAYMT, HOPERAT, HRESCH, PUBHLTH, PATRQT)."""
EMERGENCY: Final = "emergency"

# outcomes of a share, and what became of it
VIA_POLICY: Final = "policy"
VIA_DELEGATION: Final = "delegation"
VIA_EMERGENCY: Final = "emergency"
WAITING: Final = "waiting"
VALID: Final = "valid"
"""Verdict on a transaction that passes; else a reason code."""


class QuestionSummary(Message, frozen=True):
    """What the chain carries of a question to the value node.

    :ivar node: whom it is boxed to. :ivar count: keys in it. :ivar digest: :meth:`salus.search.question.QuestionBox.digest`.
    """

    KIND = "share.question"

    node: Name
    count: int
    digest: Bytes32


class ShareItem(Message, frozen=True):
    """One record that is asked for.

    :ivar delegation: through which; None: by policy, or else the request waits in the owner's inbox.
    :ivar reason: of an emergency, boxed to V of the record's scope (:func:`..shares.seal_reason`); None otherwise.
    """

    KIND = "share.item"

    rid: Bytes16
    delegation: Bytes32 | None
    reason: Box | None


class ShareRequest(Message, frozen=True):
    """An institution asks a question, or for records; signed by its own key.

    Share i of a committed request has the id :func:`..shares.share_id` (transaction's hash, i).

    :ivar question: keys of tags put to the value node; then there are no items.
    :ivar purpose: one of :data:`PURPOSES`; ``emergency`` if and only if every item has a reason.
    :ivar Er: one-time key that partials are boxed to (:class:`salus.abpre.threshold.box.BoxKey`); fresh for every request.
    """

    KIND = "share.request"

    institution: Name
    question: QuestionSummary | None
    items: Annotated[tuple[ShareItem, ...], Size(0, ITEMS_MAX)]
    purpose: Label
    Er: Bytes32
    signature: Bytes64


class CheckVerdict(Message, frozen=True):
    """A check node's verdict on a transaction; deterministic over (transaction, height), label ``sig-verdict``.

    On a committed share request it is itself a transaction: ``height`` is the request's and ``outcomes`` has one for each item
    (``policy``, ``delegation``, ``emergency``, ``waiting`` or a reason code), for a question one, ``valid``. On others, it is
    part of the answer to a client: the state height it was made at, and ``("valid",)`` or a reason code.
    """

    KIND = "check.verdict"

    tx_hash: Bytes32
    height: int
    outcomes: Annotated[tuple[Label, ...], Size(1, ITEMS_MAX)]
    node: Name
    signature: Bytes64


class FalseVerdict(Message, frozen=True):
    """Evidence against a check node: a verdict that differs from the one on the ledger, or two that differ from each other.

    :ivar other: another verdict of the node on the same transaction at the same height, or None.
    """

    KIND = "check.evidence"

    verdict: CheckVerdict
    other: CheckVerdict | None


class ShareGrant(Message, frozen=True):
    """At least t nodes have sealed their partials for a share. Anyone may submit it; the grant's id is its own hash.

    :ivar claims: by ascending name of the node.
    """

    KIND = "share.grant"

    share: Bytes32
    claims: Annotated[tuple[PartialClaim, ...], Size(1, SEATS_MAX)]


class ShareDenial(Message, frozen=True):
    """A share that was let through is not any more (revoked, expired, erased, suspended): closed with its reason.

    :ivar node: a seat's node that says so and signs. :ivar reason: must be the one that holds in the block.
    """

    KIND = "share.denial"

    share: Bytes32
    node: Name
    reason: Label
    signature: Bytes64


class ShareConsent(Message, frozen=True):
    """The owner lets a waiting request through, by a delegation that is live. Signed by V."""

    KIND = "share.consent"

    share: Bytes32
    delegation: Bytes32
    signature: Bytes64


class ShareRefusal(Message, frozen=True):
    """The owner refuses a waiting request. Signed by V."""

    KIND = "share.refuse"

    share: Bytes32
    signature: Bytes64
