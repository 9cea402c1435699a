"""Boxes: sealed messages whose opening can be proven to everyone, and that nobody can be made to open for another.

A complaint about a bad box shows ``Z = er*R``. If R could be copied from someone else's box, an honest complaint about the copy
would open the original; so every box proves knowledge of its rho, bound to this very box, and a box whose proof fails is
refused before anyone opens it. Steps: docs/protocol/sharing-thresholds.md, "boxes".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from salus import labels
from salus._native import schnorr_verify_batch
from salus.abpre.threshold.committee import SUITE, Proof, Value
from salus.codec import Bytes32, Message, Size
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import dleq_prove, dleq_verify, schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import (
    POINT_BYTES,
    Point,
    Scalar,
    base_mul,
    decode_point,
    decode_scalar,
    hash_to_scalar,
    mul_one_scalar,
    random_scalar,
)
from salus.symmetric import TAG_BYTES, Random, kdf, seal, unseal

BOX_BYTES_MAX: Final = 16 * 1024
"""Largest ciphertext: a partial key of 256 attributes takes 13 KiB."""


class Box(Message, frozen=True):
    """``R = rho*P0``, the ciphertext under KDF(rho*E, R, E, ctx), and a proof of rho over (ctx, E, R, ciphertext)."""

    KIND = "sharing.box"

    R: Bytes32
    ciphertext: Annotated[bytes, Size(TAG_BYTES, BOX_BYTES_MAX)]
    proof: Proof


class BoxOpening(Message, frozen=True):
    """``Z = er*R`` with a proof that it is to R as the recipient's key is to the base point."""

    KIND = "sharing.box-opening"

    Z: Bytes32
    proof: Proof


class BoxKey:
    """A one-time key that boxes are sealed to: of a key request, or of a request to share.

    :ivar Er: the public key, 32 bytes.
    """

    __slots__ = ("Er", "_er")

    def __init__(self, er: Scalar) -> None:
        self._er: Scalar | None = er
        self.Er = base_mul(er).encode()

    @classmethod
    def generate(cls, random: Random) -> BoxKey:
        """A fresh key; use it for one request."""
        return cls(random_scalar(random))

    @property
    def er(self) -> Scalar:
        """The secret.

        :raises Refused: ``erased``.
        """
        if self._er is None:
            raise Refused("erased", "the one-time key was erased")
        return self._er

    def wipe(self) -> None:
        """Forget the secret, once its boxes are opened."""
        self._er = None

    def export_secret(self) -> bytes:
        """er, 32 bytes, for sealed storage while boxes are awaited."""
        return self.er.encode()

    @classmethod
    def from_secret(cls, data: bytes) -> BoxKey:
        """Inverse of :meth:`export_secret`.

        :raises Refused: ``bad-scalar``.
        """
        return cls(decode_scalar(data, "er"))

    def __repr__(self) -> str:
        return f"BoxKey(Er={self.Er.hex()[:8]}..)"


def seal_box(recipient: bytes, ctx: Value, message: bytes, random: Random) -> Box:
    """Seal ``message`` to a ristretto255 key (boxes, steps 1 and 2).

    :param recipient: encryption key Er, 32 bytes.
    :param ctx: what the box belongs to, see :func:`salus.abpre.threshold.committee.context`.
    """
    return seal_box_with(recipient, ctx, message, random_scalar(random), random)


def seal_box_with(recipient: bytes, ctx: Value, message: bytes, rho: Scalar, random: Random) -> Box:
    """:func:`seal_box` with a given rho, for test vectors: it may never be used twice.

    :param random: hedges the proof's nonce.
    """
    R = base_mul(rho).encode()
    (shared,) = mul_one_scalar(rho, [decode_point(recipient, "Er")])
    fields = (R, recipient, ctx)
    ciphertext = seal(_key(shared, fields), message, fields)
    proof = schnorr_sign(labels.BOX_POSSESSION, SUITE, rho, (ctx, recipient, R), ciphertext, random)
    return Box(R, ciphertext, proof)


def check_box(box: Box, recipient: bytes, ctx: Value) -> None:
    """Everyone's check of a box: the proof of rho (boxes, step 3).

    :raises Refused: ``bad-box``.
    """
    try:
        schnorr_verify(labels.BOX_POSSESSION, SUITE, decode_point(box.R, "R"), (ctx, recipient, box.R), box.ciphertext, box.proof)
    except Refused as error:
        raise Refused("bad-box", f"proof of rho: {error.detail}") from None


def check_boxes(items: Sequence[tuple[Box, bytes, Value]]) -> None:
    """:func:`check_box` of many (box, recipient, ctx), in one native batch.

    :raises Refused: ``bad-box``, naming the first that fails.
    """
    publics: list[Point] = []
    challenges: list[Scalar] = []
    for place, (box, recipient, ctx) in enumerate(items):
        try:
            publics.append(decode_point(box.R, "R"))
        except Refused as error:
            raise Refused("bad-box", f"box {place}: {error.detail}") from None
        fields = (ctx, recipient, box.R, box.proof[:POINT_BYTES], box.ciphertext)
        challenges.append(hash_to_scalar(labels.BOX_POSSESSION, SUITE, *fields))
    good = schnorr_verify_batch(publics, challenges, [box.proof for box, _, _ in items])
    if not all(good):
        raise Refused("bad-box", f"box {good.index(False)}: the proof of rho does not verify")


def open_box(er: Scalar, box: Box, ctx: Value) -> bytes:
    """Open a box (boxes, step 4); the proof of rho is checked first.

    :param er: the recipient's secret.
    :raises Refused: ``bad-box`` (everyone can see it), ``bad-seal`` (only a provable opening shows it).
    """
    recipient = base_mul(er).encode()
    check_box(box, recipient, ctx)
    return _open(decode_point(box.R, "R").mul(er), box, recipient, ctx)


def prove_opening(er: Scalar, box: Box, ctx: Value, random: Random) -> BoxOpening:
    """Show what is in a box, so that everyone can judge it (boxes, step 5).

    :raises Refused: ``bad-box``: such a box is never opened, not even to complain.
    """
    public = base_mul(er)
    check_box(box, public.encode(), ctx)
    R = decode_point(box.R, "R")
    Z = R.mul(er)
    return BoxOpening(Z.encode(), dleq_prove(SUITE, er, public, R, Z, _opening_fields(box, ctx), random))


def judge_opening(box: Box, recipient: bytes, ctx: Value, opening: BoxOpening) -> bytes | None:
    """What a box holds, by a proven opening (boxes, step 6); anyone can replay it.

    :return: the message, or None if the box does not open at all: then its sender is guilty.
    :raises Refused: ``bad-box`` if the box should never have been opened, ``bad-opening`` if the opening proves nothing.
    """
    check_box(box, recipient, ctx)
    try:
        Z, R = decode_point(opening.Z, "Z"), decode_point(box.R, "R")
        dleq_verify(SUITE, decode_point(recipient, "Er"), R, Z, _opening_fields(box, ctx), opening.proof)
    except Refused as error:
        raise Refused("bad-opening", error.detail) from None
    try:
        return _open(Z, box, recipient, ctx)
    except Refused:
        return None


def box_holds(box: Box, size_bytes: int) -> bool:
    """Whether the plaintext of a box has that many bytes, as everyone can see."""
    return len(box.ciphertext) == size_bytes + TAG_BYTES


def _key(shared: Point, fields: tuple[Any, ...]) -> bytes:
    return kdf(labels.BOX, SUITE, [shared.encode()], fields)


def _open(shared: Point, box: Box, recipient: bytes, ctx: Value) -> bytes:
    fields = (box.R, recipient, ctx)
    return unseal(_key(shared, fields), box.ciphertext, fields, "bad-seal")


def _opening_fields(box: Box, ctx: Value) -> tuple[Any, ...]:
    return (labels.BOX_OPENING, ctx, box.to_value())


def require_box_size(box: Box, size_bytes: int, what: str) -> None:
    """Refuse a box of another size than its content must have.

    :raises Refused: ``bad-box``.
    """
    refuse_unless(box_holds(box, size_bytes), "bad-box", f"{what} has {size_bytes} bytes")
