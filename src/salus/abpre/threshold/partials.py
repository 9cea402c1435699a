"""Partial transformations: each member's ``D_i = e(z_i*P, A2)`` with its proof, signed, boxed to the requester.

One multiplication and two pairings, whatever the policy. Steps: docs/protocol/sharing-thresholds.md, "partial transformations".
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from salus import labels
from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.hashing import table_g1
from salus.abpre.opening import require_weights
from salus.abpre.threshold.box import Box, check_box, require_box_size, seal_box
from salus.abpre.threshold.committee import (
    SUITE,
    UNSIGNED,
    Committee,
    Seat,
    Signer,
    Value,
    context,
    verify_signature,
)
from salus.abpre.threshold.delegations import CheckedDelegation, check_attachment
from salus.abpre.threshold.g1_proofs import PROOF_BYTES, prove_pairing, verify_pairing
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.scalar_deals import ScalarPublic, ScalarShare
from salus.codec import Bytes32, Bytes64, Message, Name
from salus.errors import refuse_unless
from salus.groups.bls12_381 import G1_BYTES, GT_BYTES, Gt, pairing
from salus.symmetric import Random, h2

PARTIAL_BYTES: Final = GT_BYTES + PROOF_BYTES
"""D_i and its proof."""


class ShareTarget(msgspec.Struct, frozen=True):
    """What a granted share is about: the same for every node and for the requester.

    :ivar network: 32 bytes. :ivar epoch: of the committee that transforms. :ivar share: id of the share, 32 bytes.
    :ivar capsule: of the record, checked. :ivar capsule_digest: see :func:`digest_of_capsule`.
    :ivar Er: one-time key that the requester's partials are boxed to.
    """

    network: bytes
    epoch: int
    share: bytes
    delegation: CheckedDelegation
    capsule: VerifiedCapsule
    capsule_digest: bytes
    Er: bytes


class PartialTransformation(Message, frozen=True):
    """A node's partial transformation: D_i || proof, and c, each boxed to the requester; signed.

    Two boxes, so that evidence of a false D_i does not show c, which is to be erased one day.

    :ivar share: id of the share. :ivar delegation: its id. :ivar capsule: digest of the capsule with its additional data.
    :ivar box: D_i || proof. :ivar attachment: c.
    :ivar signature: over everything before it, the boxes by their digest: the grant on the ledger holds no more.
    """

    KIND = "share.partial"

    epoch: int
    node: Name
    share: Bytes32
    delegation: Bytes32
    capsule: Bytes32
    box: Box
    attachment: Box
    signature: Bytes64

    def claim(self) -> PartialClaim:
        """What the ledger holds of it."""
        boxes = digest_of_boxes(self.box, self.attachment)
        return PartialClaim(self.epoch, self.node, self.share, self.delegation, self.capsule, boxes, self.signature)


class PartialClaim(Message, frozen=True):
    """A node's signature for a partial transformation that it has sealed: what a grant holds of each.

    :ivar boxes: digest of the two boxes.
    """

    KIND = "share.partial-claim"

    epoch: int
    node: Name
    share: Bytes32
    delegation: Bytes32
    capsule: Bytes32
    boxes: Bytes32
    signature: Bytes64

    def signed(self) -> Value:
        """What the signature covers, under label ``sig-partial``."""
        return self.to_value()[:-1]


def make_target(
    network: bytes, epoch: int, share: bytes, delegation: CheckedDelegation, capsule: VerifiedCapsule, Er: bytes
) -> ShareTarget:
    """Put together what a share is about."""
    return ShareTarget(network, epoch, share, delegation, capsule, digest_of_capsule(network, capsule), Er)


def digest_of_capsule(network: bytes, verified: VerifiedCapsule) -> bytes:
    """Digest of a capsule with its additional data: 32 bytes."""
    return h2(labels.PARTIAL_CAPSULE, SUITE, network, verified.capsule.encode(), verified.aad)


def digest_of_boxes(box: Box, attachment: Box) -> bytes:
    """Digest of a partial's boxes: 32 bytes."""
    return h2(labels.PARTIAL_BOX, SUITE, box.to_value(), attachment.to_value())


def target_context(target: ShareTarget, node: str) -> Value:
    """What a node's partial is bound to."""
    return _context(target, PartialTransformation.KIND, node)


def attachment_context(target: ShareTarget, node: str) -> Value:
    """What the box with c in a node's partial is bound to: so that neither box stands in the other's place."""
    return _context(target, labels.PARTIAL_C, node)


def _context(target: ShareTarget, kind: str, node: str) -> Value:
    about = (target.share, target.delegation.message.delegation, target.delegation.message.P, target.capsule_digest)
    return context(target.network, target.epoch, kind, node, about)


def make_partial(
    committee: Committee, target: ShareTarget, share: ScalarShare, c: bytes, node: Signer, random: Random
) -> PartialTransformation:
    """A node transforms its part (partial transformations, steps 1 to 3); only for a share that the ledger grants.

    :param c: the delegation's attachment.
    :raises Refused: ``wrong-epoch``, ``not-a-member``, ``bad-delegation``; ``unsatisfied`` if the capsule is not of the
        delegation's scope.
    """
    refuse_unless(share.purpose == Z, "wrong-epoch", "the share is not one of the committee key")
    refuse_unless(share.epoch == target.epoch == committee.epoch, "wrong-epoch", "the share is of another epoch than the request")
    seat = committee.seat_of(node.name)
    refuse_unless(seat.index == share.index, "not-a-member", "the share is another seat's")
    check_attachment(target.network, target.delegation.message, c)
    require_weights(target.capsule.capsule.policy, {target.delegation.message.scope})
    P, A2 = target.delegation.P, target.capsule.capsule.A2
    # Step 1.
    D = pairing([(P.mul(share.value), A2)]).encode()
    # Step 2.
    fields = (target_context(target, node.name), seat.index)
    public = table_g1().mul(share.value).encode()
    proof = prove_pairing(labels.PARTIAL, share.value, public, P, A2, D, fields, random)
    return seal_partial(target, D + proof, c, node, random)


def seal_partial(target: ShareTarget, plaintext: bytes, c: bytes, node: Signer, random: Random) -> PartialTransformation:
    """Box a partial (D_i || proof) and c to the requester and sign them (partial transformations, step 3)."""
    box = seal_box(target.Er, target_context(target, node.name), plaintext, random)
    attachment = seal_box(target.Er, attachment_context(target, node.name), c, random)
    about = (target.epoch, node.name, target.share, target.delegation.message.delegation, target.capsule_digest)
    draft = PartialTransformation(*about, box, attachment, UNSIGNED)
    return replace(draft, signature=node.sign(target.network, labels.SIG_PARTIAL, draft.claim().signed(), random))


def check_partial_claim(network: bytes, committee: Committee, claim: PartialClaim) -> Seat:
    """Everyone's check of a signature in a grant (partial transformations, step 4).

    :return: the node's seat.
    :raises Refused: ``wrong-epoch``, ``not-a-member``, ``bad-signature``.
    """
    refuse_unless(claim.epoch == committee.epoch, "wrong-epoch", "the partial is of another committee")
    seat = committee.seat_of(claim.node)
    verify_signature(network, labels.SIG_PARTIAL, claim.node, seat.W, claim.signed(), claim.signature)
    return seat


def check_partial_target(committee: Committee, target: ShareTarget, partial: PartialTransformation) -> Seat:
    """Whether a partial is for a share and its node signed it; the signature makes it evidence.

    :raises Refused: ``wrong-request``, ``wrong-epoch``, ``not-a-member``, ``bad-signature``.
    """
    about = (target.epoch, target.share, target.delegation.message.delegation, target.capsule_digest)
    same = (partial.epoch, partial.share, partial.delegation, partial.capsule) == about
    refuse_unless(same, "wrong-request", "the partial is for another share")
    return check_partial_claim(target.network, committee, partial.claim())


def check_transformation_boxes(target: ShareTarget, partial: PartialTransformation) -> None:
    """The form of the boxes, which everyone can see: their sizes, and their proofs of rho.

    :raises Refused: ``bad-box``.
    """
    require_box_size(partial.box, PARTIAL_BYTES, "a partial transformation")
    require_box_size(partial.attachment, G1_BYTES, "c of a partial transformation")
    check_box(partial.box, target.Er, target_context(target, partial.node))
    check_box(partial.attachment, target.Er, attachment_context(target, partial.node))


def verify_partial(target: ShareTarget, public: ScalarPublic, index: int, node: str, D: Gt, proof: bytes) -> None:
    """Check the proof of a partial (partial transformations, step 7).

    :param public: the sharing of z in the target's epoch.
    :raises Refused: ``bad-proof``, ``bad-scalar``.
    """
    fields = (target_context(target, node), index)
    verify_pairing(labels.PARTIAL, public.share(index), target.delegation.P, target.capsule.capsule.A2, D, fields, proof)
