"""Batch verification of requests, replies and mixed batches: one multi-scalar multiplication, the bad ones named.

Equation (docs/protocol/consultation.md, "batch"), over envelopes i and replies j::

    (sum u_i z_i + sum u_j z_j) P0 + sum v_i z_i B_i
      = sum u_i R1_i + sum u_i c_i (P_i + Q_i) + (sum u_i c_i alpha_i) Pub + sum v_i R2_i + sum v_i c_i I_i
      + sum u_j R_j + sum u_j c_j W_j

The weights u, v are 128-bit, nonzero, independent, and drawn after the batch is fixed. Weights that a sender can know
forge a signature; v_i = u_i hides a false nullifier (tests/attacks/test_batch_weights.py).
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from salus.consultation.envelope import (
    OpenedEnvelope,
    Statement,
    VerifiedEnvelope,
    accept,
    open_sender,
    open_signature,
    verify_opened,
)
from salus.consultation.reply import (
    CheckedReply,
    ConsultationReply,
    OpenedReply,
    VerifiedReply,
    match_reply,
    verify_opened_reply,
)
from salus.consultation.request import PendingRequest
from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, decode_point, msm_vartime, mul_one_scalar
from salus.symmetric import Random

WEIGHT_BYTES: Final = 16
BATCH_MAX: Final = 4096
"""Items of one batch: twice the transactions of the largest block."""
_GENERATOR: Final = Point.generator()
_ZERO: Final = Scalar.from_int(0)

Opened = OpenedEnvelope | OpenedReply
Verified = VerifiedEnvelope | VerifiedReply


def draw_weight(random: Random) -> Scalar:
    """A uniform nonzero weight of 128 bits.

    :raises Refused: ``internal`` if the source gives zeros only.
    """
    for _ in range(8):
        data = random(WEIGHT_BYTES)
        if any(data):
            return Scalar.decode(data + bytes(32 - WEIGHT_BYTES))
    raise Refused("internal", "the source of randomness gives zeros only")


def holds(items: Sequence[Opened], random: Random = os.urandom) -> bool:
    """Whether every signature of the batch holds; wrong with probability 2^-128 at most (batch, steps 1 to 3).

    :param items: all envelopes of one domain; the batch must be complete before this is called.
    :param random: source of the weights; the operating system's, because whoever predicts it can forge.
    """
    scalars: list[Scalar] = []
    points: list[Point] = []
    generator_sum, Pub_sum = _ZERO, _ZERO
    Pub: Point | None = None
    for item in items:
        u = draw_weight(random)
        uc = u * item.c
        generator_sum = generator_sum + u * item.z
        if isinstance(item, OpenedReply):
            scalars += [-u, -uc]
            points += [item.R, item.W]
            continue
        v = draw_weight(random)
        Pub = item.statement.domain.Pub
        Pub_sum = Pub_sum + uc * item.alpha
        scalars += [v * item.z, -u, -uc, -v, -(v * item.c)]
        points += [item.B, item.R1, item.P + item.Q, item.R2, item.I]
    scalars.append(generator_sum)
    points.append(_GENERATOR)
    if Pub is not None:
        scalars.append(-Pub_sum)
        points.append(Pub)
    return msm_vartime(scalars, points).is_identity()


def verify_batch(items: Sequence[Opened], random: Random = os.urandom) -> list[Verified | Refused]:
    """Verify a batch; a failing one is split until each bad item is named (batch, step 4).

    :return: for each item its verified form, or the refusal (``bad-proof``, ``bad-signature``, ``bad-point``).
    :raises Refused: ``too-large`` for more than :data:`BATCH_MAX` items.
    """
    if len(items) > BATCH_MAX:
        raise Refused("too-large", f"a batch has at most {BATCH_MAX} items")
    results: list[Verified | Refused] = [Refused("bad-proof")] * len(items)
    pending = [range(len(items))] if items else []
    while pending:
        part = pending.pop()
        if len(part) == 1:
            results[part[0]] = _verify_one(items[part[0]])
        elif holds([items[i] for i in part], random):
            for i in part:
                results[i] = _accept(items[i])
        else:
            middle = len(part) // 2
            pending += [part[:middle], part[middle:]]
    return results


def _verify_one(item: Opened) -> Verified | Refused:
    try:
        return verify_opened_reply(item) if isinstance(item, OpenedReply) else verify_opened(item)
    except Refused as refusal:
        return refusal


def _accept(item: Opened) -> Verified:
    return VerifiedReply(item.reply) if isinstance(item, OpenedReply) else accept(item)


def check_replies(
    network: bytes, items: Sequence[tuple[PendingRequest, ConsultationReply, bytes]], random: Random = os.urandom
) -> list[CheckedReply | Refused]:
    """A patient checks several replies, all signatures in one batch (check-up, steps 1 to 4).

    :param items: (what was kept of the request, the reply, hash of the transaction proven on the ledger).
    :return: for each the checked reply, or its refusal; see :func:`salus.consultation.reply.check_reply`.
    :raises Refused: ``too-large`` for more than :data:`BATCH_MAX` items.
    """
    matched = [_match(network, *item) for item in items]
    verdicts = iter(verify_batch([m[1] for m in matched if not isinstance(m, Refused)], random))
    results: list[CheckedReply | Refused] = []
    for match in matched:
        if isinstance(match, Refused):
            results.append(match)
            continue
        verdict = next(verdicts)
        results.append(verdict if isinstance(verdict, Refused) else match[0])
    return results


def _match(
    network: bytes, pending: PendingRequest, reply: ConsultationReply, proven_tx_hash: bytes
) -> tuple[CheckedReply, OpenedReply] | Refused:
    try:
        return match_reply(network, pending, reply, proven_tx_hash)
    except Refused as refusal:
        return refusal


def open_envelopes(statements: Sequence[Statement], theta: Scalar) -> list[OpenedEnvelope | Refused]:
    """Open a batch of envelopes of one epoch; all ``theta*A_i`` in one native call (envelope, steps 6 to 9).

    :param theta: the epoch's shared value.
    :return: for each its opened form, or the refusal.
    """
    keys = [_decode_key(statement) for statement in statements]
    shared = iter(mul_one_scalar(theta, [key for key in keys if isinstance(key, Point)]))
    return [
        key if isinstance(key, Refused) else _open_with(statement, next(shared))
        for statement, key in zip(statements, keys, strict=True)
    ]


def _decode_key(statement: Statement) -> Point | Refused:
    try:
        return decode_point(statement.envelope.A, "A")
    except Refused as refusal:
        return refusal


def _open_with(statement: Statement, shared: Point) -> OpenedEnvelope | Refused:
    try:
        return open_signature(statement, open_sender(statement, shared))
    except Refused as refusal:
        return refusal


def first_repeats(keys: Iterable[Hashable]) -> list[bool]:
    """For each key whether it occurred before it in the batch: for nf, for A and for (ID_D, sn) (batch, step 5)."""
    seen: set[Hashable] = set()
    out = []
    for key in keys:
        out.append(key in seen)
        seen.add(key)
    return out
