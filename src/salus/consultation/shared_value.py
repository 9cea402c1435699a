"""The epoch's shared value theta (phase 5): dealt by a node, opened by all, judged in public when one complains.

Roles here: the dealer is the node whose turn it is in the epoch's ranking; holders are nodes that opened theta.
Steps: docs/protocol/consultation.md, "shared value".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Name, Size
from salus.consultation.registration import NODE, SUITE, MemberKey, check_possession, prove_possession, verify_member_signature
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import dleq_prove, dleq_verify, schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import (
    Point,
    Scalar,
    base_mul,
    decode_point,
    decode_scalar,
    hash_to_scalar,
    mul_one_point,
    mul_one_scalar,
    random_scalar,
)
from salus.groups.sharing import poly_eval, poly_from_roots
from salus.symmetric import Random, h2, kdf, seal, unseal

SEATS_MAX: Final = 128
"""Nodes of one epoch: dealing is quadratic in them, a deal has one coefficient for each."""
_UNSIGNED: Final = bytes(64)
Value = tuple[Any, ...]


class EpochKey(Message, frozen=True):
    """A node's encryption key for one epoch, with a proof of possession, signed by the node."""

    KIND = "epoch.key"

    epoch: int
    node: Name
    E: Bytes32
    possession: Bytes64
    signature: Bytes64


class Deal(Message, frozen=True):
    """A dealt shared value: ``R``, the coefficients a_0 .. a_(n-1) of a monic polynomial, ``T = theta*P0``.

    :ivar possession: Schnorr proof of r over everything before it. :ivar signature: the dealer's, over everything before it.
    """

    KIND = "epoch.deal"

    epoch: int
    dealer: Name
    R: Bytes32
    coefficients: Annotated[tuple[Bytes32, ...], Size(1, SEATS_MAX)]
    T: Bytes32
    possession: Bytes64
    signature: Bytes64

    def digest(self) -> bytes:
        """What acknowledgements and accusations name: 32 bytes."""
        return h2(labels.SIG_DEAL, SUITE, self.encode())


class Ack(Message, frozen=True):
    """A node attests that it holds, fsynced, the theta of this deal and of every epoch still in grace.

    :ivar in_grace: epochs before this one whose theta it holds too, ascending.
    """

    KIND = "epoch.ack"

    epoch: int
    node: Name
    deal: Bytes32
    in_grace: Annotated[tuple[int, ...], Size(0, 16)]
    signature: Bytes64


class Accusation(Message, frozen=True):
    """A node that cannot open a deal shows ``X = s_j*R`` and ``Y = e_j*R`` with proofs, so that everyone can judge."""

    KIND = "epoch.accusation"

    epoch: int
    node: Name
    deal: Bytes32
    X: Bytes32
    Y: Bytes32
    proof_x: Bytes64
    proof_y: Bytes64
    signature: Bytes64


class ThetaBox(Message, frozen=True):
    """Theta from a holder to a node that lacks it, under a fresh exchange with the node's long-term and epoch keys."""

    KIND = "epoch.theta-box"

    epoch: int
    holder: Name
    node: Name
    R: Bytes32
    box: Annotated[bytes, Size(48, 48)]
    signature: Bytes64


class Seat(msgspec.Struct, frozen=True):
    """A node of the epoch as the ledger knows it: name, long-term key W_j, epoch key E_j (32 bytes each)."""

    name: str
    W: bytes
    E: bytes


class EpochSecret:
    """e_j of one epoch: kept in a file of its own, erased at the end of the epoch's grace.

    :ivar E: its public key, 32 bytes.
    """

    __slots__ = ("E", "_e", "epoch")

    def __init__(self, epoch: int, e: Scalar) -> None:
        self.epoch = epoch
        self._e: Scalar | None = e
        self.E = base_mul(e).encode()

    @classmethod
    def generate(cls, epoch: int, random: Random) -> EpochSecret:
        """Fresh e_j (shared value, step 1)."""
        return cls(epoch, random_scalar(random))

    @property
    def e(self) -> Scalar:
        """The secret.

        :raises Refused: ``erased``.
        """
        if self._e is None:
            raise Refused("erased", f"the epoch key of epoch {self.epoch} was erased")
        return self._e

    def wipe(self) -> None:
        """Forget e_j."""
        self._e = None

    def export_secret(self) -> bytes:
        """e_j, 32 bytes."""
        return self.e.encode()

    @classmethod
    def from_secret(cls, epoch: int, data: bytes) -> EpochSecret:
        """Inverse of :meth:`export_secret`."""
        return cls(epoch, decode_scalar(data, "e"))

    def __repr__(self) -> str:
        return f"EpochSecret(epoch={self.epoch})"


def publish_epoch_key(network: bytes, node: MemberKey, secret: EpochSecret, random: Random) -> EpochKey:
    """A node posts its key of an epoch (shared value, step 1)."""
    possession = prove_possession(network, NODE, node.name, 0, secret.epoch, secret.e, secret.E, random)
    draft = EpochKey(secret.epoch, node.name, secret.E, possession, _UNSIGNED)
    return replace(draft, signature=node.sign(network, labels.SIG_EPOCH_KEY, _signed(draft), random))


def check_epoch_key(network: bytes, message: EpochKey, W_j: bytes | Point) -> None:
    """Check an epoch key (shared value, step 2).

    :raises Refused: ``bad-possession``, ``bad-signature``, ``bad-point``.
    """
    check_possession(network, NODE, message.node, 0, message.epoch, message.E, message.possession)
    verify_member_signature(network, labels.SIG_EPOCH_KEY, message.node, W_j, _signed(message), message.signature)


def _signed(message: Message) -> Value:
    return message.to_value()[:-1]


def deal_context(network: bytes, epoch: int, dealer: str) -> Value:
    """``ctx = (network, epoch, dealer)``."""
    return (network, epoch, dealer)


def beta(context: Value, node: str, R: bytes, rW: bytes, rE: bytes) -> Scalar:
    """``beta_j = H1("beta", ctx, j, R, r*W_j, r*E_j)`` (shared value, step 4)."""
    return hash_to_scalar(labels.BETA, SUITE, context, node, R, rW, rE)


def make_deal(network: bytes, epoch: int, dealer: MemberKey, seats: Sequence[Seat], random: Random) -> tuple[Deal, Scalar]:
    """Deal a fresh theta to all seats (shared value, steps 3 to 5); returns the deal and theta."""
    return deal_with(network, epoch, dealer, seats, random_scalar(random), random_scalar(random), random)


def deal_with(
    network: bytes, epoch: int, dealer: MemberKey, seats: Sequence[Seat], r: Scalar, theta: Scalar, random: Random
) -> tuple[Deal, Scalar]:
    """:func:`make_deal` with given r and theta, for test vectors: neither may ever be used twice."""
    refuse_unless(1 <= len(seats) <= SEATS_MAX, "too-large", f"an epoch has 1 to {SEATS_MAX} nodes")
    context = deal_context(network, epoch, dealer.name)
    R = base_mul(r).encode()
    points = [decode_point(p, "W_j, E_j") for seat in seats for p in (seat.W, seat.E)]
    shared = [p.encode() for p in mul_one_scalar(r, points)]
    roots = [beta(context, seat.name, R, shared[2 * i], shared[2 * i + 1]) for i, seat in enumerate(seats)]
    coefficients = tuple(c.encode() for c in poly_from_roots(roots, theta))
    draft = Deal(epoch, dealer.name, R, coefficients, base_mul(theta).encode(), _UNSIGNED, _UNSIGNED)
    possession = schnorr_sign(labels.SIG_DEAL, SUITE, r, (network, R), draft.to_value()[:-2], random)
    draft = replace(draft, possession=possession)
    return replace(draft, signature=dealer.sign(network, labels.SIG_DEAL, _signed(draft), random)), theta


def check_deal(network: bytes, deal: Deal, seats: int, W_dealer: bytes | Point) -> None:
    """What everyone can check of a deal (shared value, step 6): its form, the proof of r, the dealer's signature.

    :param seats: number of nodes of the epoch.
    :raises Refused: ``bad-deal``, ``bad-signature``, ``bad-point``, ``bad-scalar``.
    """
    refuse_unless(len(deal.coefficients) == seats, "bad-deal", f"{len(deal.coefficients)} coefficients for {seats} nodes")
    for coefficient in deal.coefficients:
        decode_scalar(coefficient, "coefficient")
    decode_point(deal.T, "T")
    try:
        schnorr_verify(
            labels.SIG_DEAL, SUITE, decode_point(deal.R, "R"), (network, deal.R), deal.to_value()[:-2], deal.possession
        )
    except Refused as error:
        raise Refused("bad-deal", f"proof of r: {error.detail}") from None
    verify_member_signature(network, labels.SIG_DEAL, deal.dealer, W_dealer, _signed(deal), deal.signature)


def evaluate(deal: Deal, at: Scalar) -> Scalar:
    """``f(x) = x^n + a_(n-1) x^(n-1) + .. + a_0``; at a right beta it is theta."""
    coefficients = [decode_scalar(c, "coefficient") for c in deal.coefficients]
    return poly_eval([*coefficients, Scalar.from_int(1)], at)


def open_deal(network: bytes, deal: Deal, node: MemberKey, secret: EpochSecret) -> Scalar:
    """A node recovers theta (shared value, step 7).

    :raises Refused: ``bad-deal`` if ``f(beta_j)*P0 != T``: fetch theta from a holder, and accuse.
    """
    X, Y = mul_one_point([node.s, secret.e], decode_point(deal.R, "R"))
    theta = evaluate(deal, beta(deal_context(network, deal.epoch, deal.dealer), node.name, deal.R, X.encode(), Y.encode()))
    check_theta(theta, deal.T)
    return theta


def check_theta(theta: Scalar, T: bytes) -> None:
    """``theta*P0 = T`` (shared value, step 7).

    :raises Refused: ``bad-deal``.
    """
    refuse_unless(base_mul(theta) == decode_point(T, "T"), "bad-deal", "theta*P0 is not T")


def acknowledge(network: bytes, node: MemberKey, deal: Deal, in_grace: tuple[int, ...], random: Random) -> Ack:
    """Attest that theta is held durably (shared value, step 8); call it only after theta is fsynced."""
    draft = Ack(deal.epoch, node.name, deal.digest(), in_grace, _UNSIGNED)
    return replace(draft, signature=node.sign(network, labels.SIG_ACK, _signed(draft), random))


def check_ack(network: bytes, ack: Ack, W_j: bytes | Point) -> None:
    """Check an acknowledgement's form and signature.

    :raises Refused: ``bad-encoding``, ``bad-signature``.
    """
    ascending = all(a < b for a, b in zip((*ack.in_grace, ack.epoch), (*ack.in_grace, ack.epoch)[1:], strict=False))
    refuse_unless(ascending, "bad-encoding", "epochs in grace ascend and come before the new one")
    verify_member_signature(network, labels.SIG_ACK, ack.node, W_j, _signed(ack), ack.signature)


def box_theta(network: bytes, holder: MemberKey, epoch: int, theta: Scalar, seat: Seat, random: Random) -> ThetaBox:
    """A holder hands theta to a node that lacks it (shared value, step 9)."""
    r = random_scalar(random)
    R = base_mul(r).encode()
    rW, rE = mul_one_scalar(r, [decode_point(seat.W, "W_j"), decode_point(seat.E, "E_j")])
    context = (network, epoch, holder.name, seat.name, R)
    box = seal(kdf(labels.THETA_BOX, SUITE, [rW.encode(), rE.encode()], context), theta.encode(), context)
    draft = ThetaBox(epoch, holder.name, seat.name, R, box, _UNSIGNED)
    return replace(draft, signature=holder.sign(network, labels.THETA_BOX, _signed(draft), random))


def open_theta_box(
    network: bytes, box: ThetaBox, node: MemberKey, secret: EpochSecret, T: bytes, W_holder: bytes | Point
) -> Scalar:
    """Open a boxed theta and compare it with T (shared value, step 9).

    :param T: pk_BC of the epoch, from the ledger.
    :raises Refused: ``bad-signature``, ``bad-seal``, ``bad-deal``, ``bad-point``, ``bad-scalar``.
    """
    refuse_unless(box.node == node.name, "bad-seal", "the box is for another node")
    verify_member_signature(network, labels.THETA_BOX, box.holder, W_holder, _signed(box), box.signature)
    X, Y = mul_one_point([node.s, secret.e], decode_point(box.R, "R"))
    context = (network, box.epoch, box.holder, box.node, box.R)
    theta = decode_scalar(
        unseal(kdf(labels.THETA_BOX, SUITE, [X.encode(), Y.encode()], context), box.box, context, "bad-seal"), "theta"
    )
    check_theta(theta, T)
    return theta


def accuse(network: bytes, deal: Deal, node: MemberKey, secret: EpochSecret, random: Random) -> Accusation:
    """Accuse the dealer of a deal that does not open (shared value, step 10)."""
    R = decode_point(deal.R, "R")
    X, Y = mul_one_point([node.s, secret.e], R)
    fields = _accusation_fields(network, deal, node.name)
    proof_x = dleq_prove(SUITE, node.s, node.W, R, X, fields, random)
    proof_y = dleq_prove(SUITE, secret.e, base_mul(secret.e), R, Y, fields, random)
    draft = Accusation(deal.epoch, node.name, deal.digest(), X.encode(), Y.encode(), proof_x, proof_y, _UNSIGNED)
    return replace(draft, signature=node.sign(network, labels.SIG_ACCUSE, _signed(draft), random))


def _accusation_fields(network: bytes, deal: Deal, node: str) -> Value:
    return (labels.SIG_ACCUSE, *deal_context(network, deal.epoch, deal.dealer), node)


def judge(network: bytes, deal: Deal, accusation: Accusation, seat: Seat) -> str:
    """Decide an accusation in public (shared value, step 11).

    :param seat: the accuser as the ledger knew it when the deal was made.
    :return: name of the convicted: the dealer's if the deal does not open with the proven X and Y, else the accuser's.
    :raises Refused: ``bad-accusation`` if it proves nothing (wrong deal, proof, or signature).
    """
    named = accusation.deal == deal.digest() and accusation.node == seat.name and accusation.epoch == deal.epoch
    refuse_unless(named, "bad-accusation", "it names another deal or node")
    fields = _accusation_fields(network, deal, seat.name)
    try:
        verify_member_signature(network, labels.SIG_ACCUSE, seat.name, seat.W, _signed(accusation), accusation.signature)
        R = decode_point(deal.R, "R")
        X, Y = decode_point(accusation.X, "X"), decode_point(accusation.Y, "Y")
        dleq_verify(SUITE, decode_point(seat.W, "W_j"), R, X, fields, accusation.proof_x)
        dleq_verify(SUITE, decode_point(seat.E, "E_j"), R, Y, fields, accusation.proof_y)
    except Refused as error:
        raise Refused("bad-accusation", error.detail) from None
    root = beta(deal_context(network, deal.epoch, deal.dealer), seat.name, deal.R, accusation.X, accusation.Y)
    opens = base_mul(evaluate(deal, root)) == decode_point(deal.T, "T")
    return accusation.node if opens else deal.dealer
