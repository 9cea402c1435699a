"""The requester's side of a transformation: open the partials, combine t of them, and tell who lied if it does not open.

Steps: docs/protocol/sharing-thresholds.md, "partial transformations".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from salus.abpre.opening import re_decrypt_with
from salus.abpre.parameters import PublicParameters
from salus.abpre.rekeys import transform
from salus.abpre.threshold.box import BoxKey, BoxOpening, judge_opening, open_box, prove_opening
from salus.abpre.threshold.committee import ANSWERS_MAX, Committee
from salus.abpre.threshold.delegations import check_attachment
from salus.abpre.threshold.g1_proofs import PROOF_BYTES
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.partials import (
    PartialTransformation,
    ShareTarget,
    check_partial_target,
    check_transformation_box,
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

    :ivar opening: what the box holds, proven; None if the box itself shows that it is bad.
    """

    KIND = "share.evidence"

    partial: PartialTransformation
    opening: BoxOpening | None


class OpenedPartial:
    """A partial transformation, opened: D_i in GT, its proof (not checked), and c (of the right digest)."""

    __slots__ = ("D", "c", "index", "partial", "proof")

    def __init__(self, target: ShareTarget, partial: PartialTransformation, index: int, plaintext: bytes) -> None:
        """Decode a plaintext.

        :raises Refused: ``bad-point``, ``bad-delegation`` for another c.
        """
        self.partial = partial
        self.index = index
        self.D: Gt = decode_gt(plaintext[:GT_BYTES], "D_i")
        self.proof = plaintext[GT_BYTES : GT_BYTES + PROOF_BYTES]
        self.c: G1 = check_attachment(target.network, target.delegation.message, plaintext[GT_BYTES + PROOF_BYTES :])

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
        check_transformation_box(target, partial)
        return OpenedPartial(target, partial, seat.index, open_box(key.er, partial.box, target_context(target, partial.node)))
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
    """Evidence against the node of a bad partial (partial transformations, step 9)."""
    try:
        check_transformation_box(target, partial)
    except Refused:
        return BadPartial(partial, None)
    return BadPartial(partial, prove_opening(key.er, partial.box, target_context(target, partial.node), random))


def judge_transformation(committee: Committee, target: ShareTarget, public: ScalarPublic, evidence: BadPartial) -> str:
    """Decide evidence in public (partial transformations, step 10); anyone can replay it.

    :return: name of the convicted node.
    :raises Refused: ``bad-evidence`` if it proves nothing, or the partial it shows is good; ``wrong-epoch`` if committee,
        sharing and target are not of one epoch, when nothing can be judged.
    """
    _require_epoch(committee, target, public)
    partial = evidence.partial
    try:
        seat = check_partial_target(committee, target, partial)
    except Refused as error:
        raise Refused("bad-evidence", error.detail) from None
    try:
        check_transformation_box(target, partial)
    except Refused:
        return partial.node
    if evidence.opening is None:
        raise Refused("bad-evidence", "the box is sound, and nothing shows what it holds")
    try:
        plaintext = judge_opening(partial.box, target.Er, target_context(target, partial.node), evidence.opening)
    except Refused as error:
        raise Refused("bad-evidence", error.detail) from None
    if plaintext is None:
        return partial.node
    try:
        check_opened(target, public, OpenedPartial(target, partial, seat.index, plaintext))
    except Refused:
        return partial.node
    raise Refused("bad-evidence", f"the partial of {partial.node} is good")


def _require_epoch(committee: Committee, target: ShareTarget, public: ScalarPublic) -> None:
    """Against another epoch's public shares, or another scalar's, every honest partial looks bad."""
    same = committee.epoch == public.sharing.epoch == target.epoch and public.sharing.purpose == Z
    refuse_unless(same, "wrong-epoch", "committee, sharing of z and share are of different epochs")
