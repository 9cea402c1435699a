"""The requester's side of a transformation: open the partials, combine t of them, and tell who lied if it does not open.

Steps: docs/protocol/sharing-thresholds.md, "partial transformations".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from salus.abpre.capsules import CapsuleMessage
from salus.abpre.opening import re_decrypt_with
from salus.abpre.parameters import PublicParameters
from salus.abpre.rekeys import transform
from salus.abpre.threshold.box import BoxKey, BoxOpening, judge_opening, open_box, prove_opening
from salus.abpre.threshold.committee import ANSWERS_MAX, Committee
from salus.abpre.threshold.delegations import check_attachment
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.partials import (
    PartialTransformation,
    ShareTarget,
    attachment_context,
    check_partial_target,
    check_transformation_boxes,
    target_context,
    verify_partial,
)
from salus.abpre.threshold.scalar_deals import ScalarPublic
from salus.codec import Message
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import G1, GT_BYTES, Gt, decode_gt, gt_interpolate
from salus.symmetric import Random


class BadPartial(Message, frozen=True):
    """Evidence that a node signed a bad partial transformation.

    It holds the capsule, so that it can be judged after the ledger has another one for the record, or none.

    :ivar opening: what the box with D_i holds, proven. :ivar attachment: what the box with c holds, proven: only if that is
        not c. Neither is there if the boxes themselves show that they are bad.
    """

    KIND = "share.evidence"

    partial: PartialTransformation
    capsule: CapsuleMessage
    opening: BoxOpening | None
    attachment: BoxOpening | None


class OpenedPartial:
    """A partial transformation, opened: D_i in GT, its proof (not checked), and c (of the right digest)."""

    __slots__ = ("D", "c", "index", "partial", "proof")

    def __init__(self, target: ShareTarget, partial: PartialTransformation, index: int, plaintext: bytes, c: bytes) -> None:
        """Decode what was in the boxes.

        :raises Refused: ``bad-point``, ``bad-delegation`` for another c.
        """
        self.partial = partial
        self.index = index
        self.D, self.proof = _decode(plaintext)
        self.c: G1 = check_attachment(target.network, target.delegation.message, c)

    def __repr__(self) -> str:
        return f"OpenedPartial(index={self.index})"


class Transformed(msgspec.Struct, frozen=True):
    """What the partials at hand gave.

    :ivar key: k of the capsule, 32 bytes, or None if fewer than t partials are good.
    :ivar used: seats whose partials are in it. :ivar evidence: one for each node that signed a bad partial.
    """

    key: bytes | None
    used: tuple[int, ...]
    evidence: tuple[BadPartial, ...]

    def __repr__(self) -> str:
        return f"Transformed(used={self.used}, evidence={len(self.evidence)})"


def open_partial(committee: Committee, target: ShareTarget, key: BoxKey, partial: PartialTransformation) -> OpenedPartial:
    """The requester opens a partial (partial transformations, step 5).

    :raises Refused: ``wrong-request``, ``wrong-epoch``, ``not-a-member``, ``bad-signature``: it proves nothing against anyone.
        ``bad-partial``: :func:`prove_bad_transformation` makes evidence of it.
    """
    seat = check_partial_target(committee, target, partial)
    try:
        check_transformation_boxes(target, partial)
        plaintext = open_box(key.er, partial.box, target_context(target, partial.node))
        c = open_box(key.er, partial.attachment, attachment_context(target, partial.node))
        return OpenedPartial(target, partial, seat.index, plaintext, c)
    except Refused as error:
        raise Refused("bad-partial", error.detail) from None


def check_opened(target: ShareTarget, public: ScalarPublic, opened: OpenedPartial) -> None:
    """Check the proof of one opened partial (partial transformations, step 7).

    :raises Refused: ``bad-partial``.
    """
    try:
        verify_partial(target, public, opened.index, opened.partial.node, opened.D, opened.proof)
    except Refused as error:
        raise Refused("bad-partial", error.detail) from None


def combine_partials(target: ShareTarget, threshold: int, opened: Sequence[OpenedPartial]) -> Gt:
    """A4 from t partials (partial transformations, step 6).

    ``e(c, A2) * e(-A3, rk2) * e(-sum w_i*B_i, rk3) * e(-R_x, sum w_i*C_i) / prod D_i^(lambda_i)``: one multi-pairing, one product
    of powers.

    :raises Refused: ``no-quorum``, ``unsatisfied`` if the capsule is not of the delegation's scope.
    """
    indices = [o.index for o in opened]
    refuse_unless(len(set(indices)) == len(indices) == threshold, "no-quorum", f"{threshold} partials of different nodes")
    delegation = target.delegation
    hidden = transform(opened[0].c, delegation.rk2, delegation.rk3, {delegation.message.scope: delegation.R}, target.capsule)
    return hidden / gt_interpolate(indices, [o.D for o in opened])


def transform_and_open(
    committee: Committee,
    target: ShareTarget,
    public: ScalarPublic,
    parameters: PublicParameters,
    delta: bytes,
    key: BoxKey,
    partials: Sequence[PartialTransformation],
    random: Random,
    *,
    check_each: bool = False,
) -> Transformed:
    """Open, combine and match what nodes have sent (partial transformations, steps 5 to 8); liars are found and shown.

    The match test tells right from wrong. Only if it says wrong, or with ``check_each``, are the proofs checked.

    :param delta: opened from the delegation's rk4.
    :param partials: of each node at most a few.
    :raises Refused: ``bad-delegation`` if all proofs hold and the result is wrong: the owner's delegation is bad;
        ``too-large``, ``wrong-epoch``.
    """
    refuse_unless(len(partials) <= ANSWERS_MAX, "too-large", f"at most {ANSWERS_MAX} partials")
    _require_epoch(committee, target, public)
    good: dict[int, OpenedPartial] = {}
    bad: list[PartialTransformation] = []
    for partial in partials:
        try:
            opened = open_partial(committee, target, key, partial)
        except Refused as error:
            if error.reason == "bad-partial":
                bad.append(partial)
            continue
        good.setdefault(opened.index, opened)
    threshold = committee.threshold
    checked = check_each or len(good) < threshold
    if checked:
        good = _keep_good(target, public, good, bad)
    result: bytes | None = None
    chosen: list[OpenedPartial] = []
    while result is None and len(good) >= threshold:
        chosen = list(good.values())[:threshold]
        try:
            result = re_decrypt_with(parameters, target.capsule, combine_partials(target, threshold, chosen), delta)
        except Refused as error:
            if error.reason != "bad-transformation":
                raise
            if checked:
                raise Refused("bad-delegation", "every partial is proven, and the result does not open the capsule") from None
            good, checked = _keep_good(target, public, good, bad), True
    evidence = tuple(prove_bad_transformation(target, key, one, random) for one in bad)
    return Transformed(result, tuple(o.index for o in chosen) if result is not None else (), evidence)


def _keep_good(
    target: ShareTarget, public: ScalarPublic, opened: dict[int, OpenedPartial], bad: list[PartialTransformation]
) -> dict[int, OpenedPartial]:
    """Those whose proofs hold; the others go to ``bad``."""
    good = {}
    for index, one in opened.items():
        try:
            check_opened(target, public, one)
        except Refused:
            bad.append(one.partial)
        else:
            good[index] = one
    return good


def prove_bad_transformation(target: ShareTarget, key: BoxKey, partial: PartialTransformation, random: Random) -> BadPartial:
    """Evidence against the node of a bad partial (partial transformations, step 9): of its boxes only the false one is opened."""
    capsule = target.capsule.capsule.message()
    try:
        check_transformation_boxes(target, partial)
    except Refused:
        return BadPartial(partial, capsule, None, None)
    about = attachment_context(target, partial.node)
    try:
        check_attachment(target.network, target.delegation.message, open_box(key.er, partial.attachment, about))
    except Refused:
        return BadPartial(partial, capsule, None, prove_opening(key.er, partial.attachment, about, random))
    opening = prove_opening(key.er, partial.box, target_context(target, partial.node), random)
    return BadPartial(partial, capsule, opening, None)


def judge_transformation(committee: Committee, target: ShareTarget, public: ScalarPublic, evidence: BadPartial) -> str:
    """Decide evidence in public (partial transformations, step 10); anyone can replay it.

    :return: name of the convicted node.
    :raises Refused: ``bad-evidence`` if it proves nothing, or the partial it shows is good; ``wrong-epoch`` if committee,
        sharing and target are not of one epoch, when nothing can be judged.
    """
    _require_epoch(committee, target, public)
    partial = evidence.partial
    refuse_unless(evidence.capsule == target.capsule.capsule.message(), "bad-evidence", "the capsule is another one")
    try:
        seat = check_partial_target(committee, target, partial)
    except Refused as error:
        raise Refused("bad-evidence", error.detail) from None
    try:
        check_transformation_boxes(target, partial)
    except Refused:
        return partial.node
    about, about_c = target_context(target, partial.node), attachment_context(target, partial.node)
    try:
        shown = None if evidence.opening is None else (judge_opening(partial.box, target.Er, about, evidence.opening),)
        c = None if evidence.attachment is None else (judge_opening(partial.attachment, target.Er, about_c, evidence.attachment),)
    except Refused as error:
        raise Refused("bad-evidence", error.detail) from None
    # Only one box is opened: whoever shows c beside a false D_i, or c alone, is not heard.
    refuse_unless((shown is None) != (c is None), "bad-evidence", "evidence opens one of the two boxes")
    try:
        if shown is not None:
            _judge_element(target, public, seat.index, partial.node, shown[0])
        elif c is not None:
            check_attachment(target.network, target.delegation.message, c[0] or b"")
    except Refused:
        return partial.node
    raise Refused("bad-evidence", f"the partial of {partial.node} is good")


def _judge_element(target: ShareTarget, public: ScalarPublic, index: int, node: str, plaintext: bytes | None) -> None:
    if plaintext is None:
        raise Refused("bad-box", "it does not open")
    D, proof = _decode(plaintext)
    verify_partial(target, public, index, node, D, proof)


def _decode(plaintext: bytes) -> tuple[Gt, bytes]:
    return decode_gt(plaintext[:GT_BYTES], "D_i"), plaintext[GT_BYTES:]


def _require_epoch(committee: Committee, target: ShareTarget, public: ScalarPublic) -> None:
    """Against another epoch's public shares, or another scalar's, every honest partial looks bad."""
    same = committee.epoch == public.sharing.epoch == target.epoch and public.sharing.purpose == Z
    refuse_unless(same, "wrong-epoch", "committee, sharing of z and share are of different epochs")
