"""The requester's side of issuing: open, check, combine; and evidence against a node whose partial key is bad.

Steps: docs/protocol/sharing-thresholds.md, "issuing".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from salus import labels
from salus.abpre.hashing import attribute_points, point_a
from salus.abpre.keys import SecretKey, check_key, restrict
from salus.abpre.parameters import PublicParameters
from salus.abpre.threshold.alpha import AlphaPublic
from salus.abpre.threshold.box import BoxKey, BoxOpening, judge_opening, open_box, prove_opening
from salus.abpre.threshold.committee import ANSWERS_MAX, Committee, Value
from salus.abpre.threshold.g1_proofs import public_weights
from salus.abpre.threshold.key_issuing import (
    IssuedPartial,
    KeyRequest,
    check_partial_box,
    check_signed_partial,
    partial_bytes,
    partial_context,
)
from salus.codec import Message
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    Fr,
    Gt,
    decode_g1_batch,
    decode_g2,
    fr_lagrange_coefficients,
    g1_msm_groups_vartime,
    g1_msm_vartime,
    g2_msm_vartime,
    pairing,
)
from salus.symmetric import Random


class BadPartialKey(Message, frozen=True):
    """Evidence that a node issued a bad partial key.

    :ivar opening: what the box holds, proven; None if the box itself shows that it is bad.
    """

    KIND = "key.evidence"

    partial: IssuedPartial
    opening: BoxOpening | None


class PartialKey:
    """A partial key, decoded and signed by its node, not checked: ``(S_i + t_i*A, t_i*g2, t_i*H(x))``.

    :ivar index: the node's seat. :ivar K, L, parts: its points; ``parts`` in the request's order. Secret.
    """

    __slots__ = ("K", "L", "encoded", "index", "issued", "parts")

    def __init__(self, issued: IssuedPartial, index: int, encoded: bytes) -> None:
        first, L, rest = encoded[:G1_BYTES], encoded[G1_BYTES : G1_BYTES + G2_BYTES], encoded[G1_BYTES + G2_BYTES :]
        self.K: G1
        self.K, *self.parts = decode_g1_batch(
            [first, *(rest[i : i + G1_BYTES] for i in range(0, len(rest), G1_BYTES))], "partial key"
        )
        # An identity L is refused here: it would carry the bare share, and open nothing.
        self.L: G2 = decode_g2(L, "L")
        self.index = index
        self.issued = issued
        self.encoded = encoded

    def __repr__(self) -> str:
        return f"PartialKey(index={self.index})"


class CollectedKey(msgspec.Struct, frozen=True):
    """What the partial keys at hand gave.

    :ivar key: the key, or None if fewer than t of them are good: ask more nodes, demand, or wait.
    :ivar used: seats whose partial keys are in it.
    :ivar evidence: one for each node that signed a bad partial key.
    """

    key: SecretKey | None
    used: tuple[int, ...]
    evidence: tuple[BadPartialKey, ...]

    def __repr__(self) -> str:
        return f"CollectedKey(used={self.used}, evidence={len(self.evidence)})"


def open_partial_key(network: bytes, committee: Committee, request: KeyRequest, key: BoxKey, issued: IssuedPartial) -> PartialKey:
    """The requester opens a partial key (issuing, step 5).

    :raises Refused: ``bad-signature``, ``wrong-request``, ``not-a-member``: it proves nothing against anyone.
        ``bad-partial``: :func:`prove_bad_partial` makes evidence of it.
    """
    seat = check_signed_partial(network, committee, request, issued)
    try:
        check_partial_box(network, request, issued)
        return PartialKey(issued, seat.index, open_box(key.er, issued.box, partial_context(network, request, issued.node)))
    except Refused as error:
        raise Refused("bad-partial", error.detail) from None


def check_partial_key(network: bytes, request: KeyRequest, public: AlphaPublic, partial: PartialKey) -> None:
    """Check a partial key against the node's public share (issuing, step 6).

    ``e(K_i + sum c_x*K_x,i, g2) * e(-A - sum c_x*H(x), L_i) = Y_i``, c_x hashed from (ctx, i, S, K, L, all K_x): known
    beforehand, they let a bad partial pass.

    :raises Refused: ``bad-partial``.
    """
    ctx = partial_context(network, request, partial.issued.node)
    c = partial_weights(ctx, partial.index, request, partial.encoded)
    refuse_unless(
        partial_equation(request, c, partial, public.share(partial.index)), "bad-partial", "it is not of the node's share"
    )


def partial_weights(ctx: Value, index: int, request: KeyRequest, encoded: bytes) -> list[Fr]:
    """c_x of a partial key, 128 bits each."""
    return public_weights(labels.PARTIAL_KEY_WEIGHTS, (ctx, index, request.attributes, encoded), len(request.attributes))


def partial_equation(request: KeyRequest, c: Sequence[Fr], partial: PartialKey, share: Gt) -> bool:
    """``e(K + sum c_x*K_x, g2) * e(-A - sum c_x*H(x), L) = Y_i`` for given coefficients."""
    left = partial.K + g1_msm_vartime(c, partial.parts)
    right = point_a() + g1_msm_vartime(c, attribute_points(request.attributes))
    return pairing([(left, G2.generator()), (-right, partial.L)]) == share


def combine_partial_keys(request: KeyRequest, public: AlphaPublic, partials: Sequence[PartialKey], random: Random) -> SecretKey:
    """Combine t partial keys by Lagrange, check the result against Y, re-randomise (issuing, step 7).

    :raises Refused: ``bad-key`` if one of them was bad, ``no-quorum`` for fewer than t or a seat twice.
    """
    key = join_partial_keys(request, partials, len(public.sharing.C))
    check_key(PublicParameters(public.Y), key)
    # Every node knows its own t_i; the requester's fresh t' makes the key nobody else's.
    return restrict(key, request.attributes, random)


def join_partial_keys(request: KeyRequest, partials: Sequence[PartialKey], threshold: int) -> SecretKey:
    """The Lagrange combination alone: not checked, not re-randomised.

    :raises Refused: ``no-quorum``.
    """
    indices = [p.index for p in partials]
    refuse_unless(len(set(indices)) == len(indices) == threshold, "no-quorum", f"{threshold} partial keys of different nodes")
    weights = fr_lagrange_coefficients(indices, 0)
    columns = [[p.K for p in partials], *([p.parts[k] for p in partials] for k in range(len(request.attributes)))]
    K, *parts = g1_msm_groups_vartime([(weights, column) for column in columns])
    L = g2_msm_vartime(weights, [p.L for p in partials])
    return SecretKey(K, L, dict(zip(request.attributes, parts, strict=True)))


def collect_key(
    network: bytes,
    committee: Committee,
    public: AlphaPublic,
    request: KeyRequest,
    key: BoxKey,
    issued: Sequence[IssuedPartial],
    random: Random,
    *,
    check_each: bool = False,
) -> CollectedKey:
    """Open, combine and check what nodes have sent (issuing, steps 5 to 7); liars are found and shown.

    The combination is tried first: its check against Y tells right from wrong. Only if it is wrong, or with
    ``check_each``, is every partial key checked by itself.

    :param issued: of each node at most a few.
    :raises Refused: ``too-large``, ``wrong-epoch``.
    """
    refuse_unless(len(issued) <= ANSWERS_MAX, "too-large", f"at most {ANSWERS_MAX} partial keys")
    _require_epoch(committee, public, request)
    good: dict[int, PartialKey] = {}
    bad: list[IssuedPartial] = []
    for one in issued:
        try:
            partial = open_partial_key(network, committee, request, key, one)
        except Refused as error:
            if error.reason == "bad-partial":
                bad.append(one)
            continue
        good.setdefault(partial.index, partial)
    threshold = committee.threshold
    made: SecretKey | None = None
    chosen: list[PartialKey] = []
    if check_each or len(good) < threshold:
        good = _keep_good(network, request, public, good, bad)
    while made is None and len(good) >= threshold:
        chosen = list(good.values())[:threshold]
        try:
            made = combine_partial_keys(request, public, chosen, random)
        except Refused:
            before, good = len(good), _keep_good(network, request, public, good, bad)
            if len(good) == before:
                raise
    evidence = tuple(prove_bad_partial(network, request, key, one, random) for one in bad)
    return CollectedKey(made, tuple(p.index for p in chosen) if made else (), evidence)


def _keep_good(
    network: bytes, request: KeyRequest, public: AlphaPublic, partials: dict[int, PartialKey], bad: list[IssuedPartial]
) -> dict[int, PartialKey]:
    """Those whose own check holds; the others go to ``bad``."""
    good = {}
    for index, partial in partials.items():
        try:
            check_partial_key(network, request, public, partial)
        except Refused:
            bad.append(partial.issued)
        else:
            good[index] = partial
    return good


def prove_bad_partial(network: bytes, request: KeyRequest, key: BoxKey, issued: IssuedPartial, random: Random) -> BadPartialKey:
    """Evidence against the node of a bad partial key (issuing, step 10)."""
    try:
        check_partial_box(network, request, issued)
    except Refused:
        return BadPartialKey(issued, None)
    return BadPartialKey(issued, prove_opening(key.er, issued.box, partial_context(network, request, issued.node), random))


def judge_partial_key(
    network: bytes, committee: Committee, public: AlphaPublic, request: KeyRequest, evidence: BadPartialKey
) -> str:
    """Decide evidence in public (issuing, step 11); anyone can replay it.

    :return: name of the convicted node.
    :raises Refused: ``bad-evidence`` if it proves nothing, or the partial key it shows is good; ``wrong-epoch`` if committee,
        sharing and request are not of one epoch, when nothing can be judged.
    """
    _require_epoch(committee, public, request)
    issued = evidence.partial
    try:
        seat = check_signed_partial(network, committee, request, issued)
    except Refused as error:
        raise Refused("bad-evidence", error.detail) from None
    try:
        check_partial_box(network, request, issued)
    except Refused:
        return issued.node
    if evidence.opening is None:
        raise Refused("bad-evidence", "the box is sound, and nothing shows what it holds")
    try:
        plaintext = judge_opening(issued.box, request.Er, partial_context(network, request, issued.node), evidence.opening)
    except Refused as error:
        raise Refused("bad-evidence", error.detail) from None
    if plaintext is None or len(plaintext) != partial_bytes(request):
        return issued.node
    try:
        check_partial_key(network, request, public, PartialKey(issued, seat.index, plaintext))
    except Refused:
        return issued.node
    raise Refused("bad-evidence", f"the partial key of {issued.node} is good")


def _require_epoch(committee: Committee, public: AlphaPublic, request: KeyRequest) -> None:
    """Against another epoch's public shares every honest partial key looks bad."""
    same = committee.epoch == public.sharing.epoch == request.epoch
    refuse_unless(same, "wrong-epoch", "committee, sharing and request are of different epochs")
