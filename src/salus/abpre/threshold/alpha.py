"""The publicly checked deal of alpha: nobody holds the master key, and nobody needs to complain.

Nodes need only the point ``S_i = alpha_i*g1``, so a dealer can publish it encrypted and everyone can check it. The first t valid
deals in chain order fix the key; nobody is disqualified later, and a node that slept reads its share from the chain. The
commitments are in GT: in G1 the sum of the C_0 would be the master key itself.
Steps: docs/protocol/sharing-thresholds.md, "deal of alpha".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Final

from msgspec.structs import replace

from salus import labels
from salus.abpre.hashing import table_g1, table_g2
from salus.abpre.threshold.committee import (
    SEATS_MAX,
    SUITE,
    THRESHOLD_MAX,
    UNSIGNED,
    Committee,
    G1Point,
    G2Point,
    GtElement,
    Proof,
    Signer,
    Value,
    context,
    signed_part,
    verify_signature,
)
from salus.abpre.threshold.epoch_keys import SharingSecret
from salus.abpre.threshold.g1_proofs import prove_logarithm, public_weights, verify_logarithm
from salus.abpre.threshold.groups import BLS_G1
from salus.codec import Bytes64, Message, Name, Size
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import (
    G1,
    G2,
    Fr,
    Gt,
    GtComb,
    decode_g1,
    decode_g1_batch,
    decode_g2,
    fr_inner_product,
    fr_shamir_share,
    g1_msm_vartime,
    g1_mul_one_scalar,
    gt_decode_batch,
    gt_multi_pow_vartime,
    multi_pairing,
    pairing,
    random_fr,
)
from salus.groups.ristretto255 import Point
from salus.symmetric import Random, h2

FRESH: Final = 0
"""``previous`` of a deal that hands nothing over; epochs count from 1."""


class AlphaDeal(Message, frozen=True):
    """A dealt alpha, or an old share of it dealt to the next committee.

    :ivar epoch: of the committee that receives. :ivar previous: epoch of the sharing handed over, :data:`FRESH` if none.
    :ivar C: ``gt^(a_k)``, k < t. :ivar R1, R2: ``r*g1``, ``r*g2``. :ivar c: ``f(i)*g1 + r*E_i`` for each seat, in their order.
    :ivar possession: proof of r over (ctx, C, all E, R1, R2, c); without it a rushing dealer subtracts the others' deals.
    """

    KIND = "dkg.deal"

    epoch: int
    previous: int
    dealer: Name
    C: Annotated[tuple[GtElement, ...], Size(1, THRESHOLD_MAX)]
    R1: G1Point
    R2: G2Point
    c: Annotated[tuple[G1Point, ...], Size(1, SEATS_MAX)]
    possession: Proof
    signature: Bytes64

    def digest(self) -> bytes:
        """What names this deal: 32 bytes."""
        return h2(labels.ALPHA_DEAL, SUITE, self.to_value())


class CheckedAlphaDeal:
    """A deal whose equation holds, decoded.

    :ivar deal: the message. :ivar C, R1, c: its elements.
    """

    __slots__ = ("C", "R1", "c", "deal")

    def __init__(self, deal: AlphaDeal, C: Sequence[Gt], R1: G1, c: Sequence[G1]) -> None:
        self.deal = deal
        self.C = list(C)
        self.R1 = R1
        self.c = list(c)

    @classmethod
    def decode_unchecked(cls, deal: AlphaDeal) -> CheckedAlphaDeal:
        """A deal that :func:`check_alpha_deal` passed before, from a committed block or the state.

        :raises Refused: ``bad-point``.
        """
        return cls(deal, _decode_gt(deal.C), decode_g1(deal.R1, "R1"), decode_g1_batch(deal.c, "c"))


class AlphaSharing(Message, frozen=True):
    """The sharing of alpha that a committee holds: everything public about it.

    :ivar previous: epoch it was handed over from, :data:`FRESH` if none. :ivar dealers: their indices, in chain order.
    :ivar C: combined commitments; ``Y = C[0]``, ``Y_i = prod C_k^(i^k)``.
    :ivar c, R1: combined ciphertexts, in the order of the seats.
    """

    KIND = "sharing.alpha"

    epoch: int
    previous: int
    dealers: Annotated[tuple[int, ...], Size(1, THRESHOLD_MAX)]
    C: Annotated[tuple[GtElement, ...], Size(1, THRESHOLD_MAX)]
    R1: G1Point
    c: Annotated[tuple[G1Point, ...], Size(1, SEATS_MAX)]

    def Y(self) -> bytes:
        """The public key of the authority, 576 bytes."""
        return self.C[0]


class AlphaPublic:
    """The public values of a sharing, decoded once.

    :ivar sharing: the message. :ivar Y: ``e(g1, g2)^alpha``.
    """

    __slots__ = ("_C", "_shares", "sharing")

    def __init__(self, sharing: AlphaSharing) -> None:
        self.sharing = sharing
        self._C = _decode_gt(sharing.C)
        self._shares: dict[int, Gt] = {}

    @property
    def Y(self) -> Gt:
        """``e(g1, g2)^alpha``."""
        return self._C[0]

    def share(self, index: int) -> Gt:
        """``Y_i = prod C_k^(i^k) = e(g1, g2)^alpha_i``."""
        if index not in self._shares:
            self._shares[index] = gt_multi_pow_vartime(self._C, _powers(index, len(self._C)))
        return self._shares[index]


class PointShare:
    """A node's share ``S_i = alpha_i*g1`` of the master key.

    :ivar epoch: of the sharing. :ivar index: the node's seat.
    """

    __slots__ = ("_S", "epoch", "index")

    def __init__(self, epoch: int, index: int, S: G1) -> None:
        self.epoch = epoch
        self.index = index
        self._S: G1 | None = S

    @property
    def S(self) -> G1:
        """The point; secret.

        :raises Refused: ``erased``.
        """
        if self._S is None:
            raise Refused("erased", f"the share of alpha of epoch {self.epoch} was erased")
        return self._S

    def wipe(self) -> None:
        """Forget the share (hand-over, step 6); the extension wipes its memory."""
        self._S = None

    def export_secret(self) -> bytes:
        """The point, 48 bytes, for the node's file of this epoch."""
        return self.S.encode()

    @classmethod
    def from_secret(cls, public: AlphaPublic, index: int, data: bytes) -> PointShare:
        """Inverse of :meth:`export_secret`.

        :raises Refused: ``bad-share`` if it is not the share of that seat, ``bad-point``.
        """
        return _checked_share(public, index, decode_g1(data, "S_i"))

    def __repr__(self) -> str:
        return f"PointShare(epoch={self.epoch}, index={self.index})"


def make_alpha_deal(network: bytes, committee: Committee, dealer: Signer, random: Random) -> AlphaDeal:
    """Deal a fresh contribution to alpha (deal of alpha, steps 1 to 3)."""
    a = random_fr(random)
    return deal_point(network, committee, dealer, FRESH, table_g1().mul(a), gt_comb().pow(a), random)


def reshare_alpha(
    network: bytes, committee: Committee, dealer: Signer, share: PointShare, public: AlphaPublic, random: Random
) -> AlphaDeal:
    """Deal one's own share to the next committee (hand-over, step 2): the constant point is S_i, C_0 is Y_i.

    :param public: the sharing that ``share`` belongs to.
    """
    return deal_point(network, committee, dealer, share.epoch, share.S, public.share(share.index), random)


def deal_point(
    network: bytes, committee: Committee, dealer: Signer, previous: int, point: G1, constant: Gt, random: Random
) -> AlphaDeal:
    """A deal of ``point = f(0)*g1`` with ``constant = gt^f(0)``; whoever deals need not know f(0) itself."""
    indices = committee.indices()
    # Steps 1 and 2: f(0) stays in the point; the other coefficients are scalars.
    coefficients = [random_fr(random) for _ in range(committee.threshold - 1)]
    r = random_fr(random)
    C = [constant, *gt_comb().pow_batch(coefficients)]
    values = fr_shamir_share([Fr.from_int(0), *coefficients], indices)
    masks = g1_mul_one_scalar(r, [decode_g1(seat.E, "E_i") for seat in committee.seats])
    shares = table_g1().mul_batch(values)
    c = [point + share + mask for share, mask in zip(shares, masks, strict=True)]
    draft = AlphaDeal(
        committee.epoch,
        previous,
        dealer.name,
        tuple(element.encode() for element in C),
        table_g1().mul(r).encode(),
        table_g2().mul(r).encode(),
        tuple(element.encode() for element in c),
        UNSIGNED,
        UNSIGNED,
    )
    return finish_alpha_deal(network, committee, draft, r, dealer, random)


def finish_alpha_deal(network: bytes, committee: Committee, draft: AlphaDeal, r: Fr, dealer: Signer, random: Random) -> AlphaDeal:
    """Prove knowledge of r over the whole deal and sign it (deal of alpha, step 3)."""
    fields = statement(network, committee, draft)
    draft = replace(draft, possession=prove_logarithm(labels.ALPHA_DEAL_POSSESSION, r, draft.R1, fields, random))
    return replace(draft, signature=dealer.sign(network, labels.SIG_ALPHA_DEAL, signed_part(draft), random))


def check_alpha_deal(network: bytes, committee: Committee, deal: AlphaDeal) -> CheckedAlphaDeal:
    """Everyone's check of a fresh deal by a member (deal of alpha, step 4).

    :raises Refused: ``not-a-member``, ``bad-deal``, ``bad-point``, ``bad-signature``.
    """
    refuse_unless(deal.previous == FRESH, "bad-deal", "the deal hands something over")
    return check_dealt_point(network, committee, deal, committee.seat_of(deal.dealer).W, None)


def check_dealt_point(
    network: bytes, committee: Committee, deal: AlphaDeal, W: bytes | Point, constant: Gt | None
) -> CheckedAlphaDeal:
    """What fresh deals and those of a hand-over have in common (see :mod:`salus.abpre.threshold.hand_over`).

    :param committee: that receives. :param W: the dealer's long-term key.
    :param constant: what C_0 must be: the dealer's old Y_i in a hand-over, None for a fresh deal.
    :raises Refused: ``bad-deal``, ``bad-point``, ``bad-signature``.
    """
    shape = deal.epoch == committee.epoch and len(deal.C) == committee.threshold and len(deal.c) == len(committee.seats)
    refuse_unless(shape, "bad-deal", f"{len(deal.C)} commitments and {len(deal.c)} shares for {len(committee.seats)} seats")
    verify_signature(network, labels.SIG_ALPHA_DEAL, deal.dealer, W, signed_part(deal), deal.signature)
    checked = CheckedAlphaDeal.decode_unchecked(deal)
    # Without this one liar moves the master key.
    refuse_unless(constant is None or checked.C[0] == constant, "bad-deal", "C_0 is not the dealer's old public share")
    try:
        verify_logarithm(labels.ALPHA_DEAL_POSSESSION, checked.R1, statement(network, committee, deal), deal.possession)
    except Refused as error:
        raise Refused("bad-deal", f"proof of r: {error.detail}") from None
    refuse_unless(equation_holds(network, committee, checked), "bad-deal", "the shares are not those of the commitments")
    return checked


def fix_alpha(committee: Committee, deals: Sequence[CheckedAlphaDeal]) -> AlphaSharing:
    """The sharing that the first t valid deals fix (deal of alpha, step 5): C multiplied, c and R1 added.

    :param deals: exactly t, by different members, in chain order.
    :raises Refused: ``bad-deal``.
    """
    dealers = [committee.seat_of(d.deal.dealer).index for d in deals]
    fresh = all(d.deal.previous == FRESH for d in deals)
    refuse_unless(fresh and len(deals) == committee.threshold, "bad-deal", f"{committee.threshold} fresh deals fix the key")
    return combine_alpha(committee, FRESH, dealers, deals, [Fr.from_int(1)] * len(deals))


def combine_alpha(
    committee: Committee, previous: int, dealers: Sequence[int], deals: Sequence[CheckedAlphaDeal], weights: Sequence[Fr]
) -> AlphaSharing:
    """``prod C^w``, ``sum w*c`` and ``sum w*R1`` of checked deals to one committee.

    :raises Refused: ``bad-deal`` if a dealer is there twice or a deal is for another committee.
    """
    refuse_unless(len(set(dealers)) == len(dealers) > 0, "bad-deal", "a dealer counts once")
    same = all(d.deal.epoch == committee.epoch and d.deal.previous == previous for d in deals)
    refuse_unless(same, "bad-deal", "the deals belong to different sharings")
    C = [gt_multi_pow_vartime([d.C[k] for d in deals], weights) for k in range(committee.threshold)]
    c = [g1_msm_vartime(weights, [d.c[j] for d in deals]) for j in range(len(committee.seats))]
    R1 = g1_msm_vartime(weights, [d.R1 for d in deals])
    return AlphaSharing(
        committee.epoch,
        previous,
        tuple(dealers),
        tuple(element.encode() for element in C),
        R1.encode(),
        tuple(element.encode() for element in c),
    )


def open_point_share(committee: Committee, public: AlphaPublic, name: str, secret: SharingSecret) -> PointShare:
    """A node reads its share from the chain (deal of alpha, step 6): ``S_i = c_i - e_i*R1``.

    :raises Refused: ``not-a-member``, ``bad-share`` if ``e(S_i, g2) != Y_i``: the encryption key is not the seat's.
    """
    index = committee.seat_of(name).index
    sharing = public.sharing
    refuse_unless(sharing.epoch == committee.epoch, "wrong-epoch", "the sharing is another committee's")
    c = decode_g1(sharing.c[committee.indices().index(index)], "c_i")
    return _checked_share(public, index, c - decode_g1(sharing.R1, "R1").mul(secret.e))


def _checked_share(public: AlphaPublic, index: int, S: G1) -> PointShare:
    right = not S.is_identity() and pairing([(S, G2.generator())]) == public.share(index)
    refuse_unless(right, "bad-share", f"this is not the share of seat {index} in epoch {public.sharing.epoch}")
    return PointShare(public.sharing.epoch, index, S)


def statement(network: bytes, committee: Committee, deal: AlphaDeal) -> Value:
    """(ctx, all E, C, R1, R2, c): what the proof of r covers."""
    about = (deal.previous, committee.digest(), tuple(seat.E for seat in committee.seats))
    return (context(network, deal.epoch, AlphaDeal.KIND, deal.dealer, about), deal.C, deal.R1, deal.R2, deal.c)


def equation_holds(network: bytes, committee: Committee, checked: CheckedAlphaDeal) -> bool:
    """``e(z_0*R1 + sum z_i*c_i, g2) * e(-z_0*g1 - sum z_i*E_i, R2) = prod C_k^(sum z_i*i^k)``, sums over i >= 1.

    z_0 .. z_n, 128 bits each, are hashed from the whole deal: all nodes agree on them and nobody chooses them.
    """
    deal, indices = checked.deal, committee.indices()
    z = public_weights(labels.ALPHA_DEAL_WEIGHTS, statement(network, committee, deal), len(indices) + 1)
    E = decode_g1_batch([seat.E for seat in committee.seats], "E_i")
    left = multi_pairing(
        [
            (g1_msm_vartime(z, [checked.R1, *checked.c]), G2.generator()),
            (-g1_msm_vartime(z, [G1.generator(), *E]), decode_g2(deal.R2, "R2")),
        ]
    )
    powers = [_powers(index, len(checked.C)) for index in indices]
    exponents = [fr_inner_product(z[1:], [row[k] for row in powers]) for k in range(len(checked.C))]
    return left == gt_multi_pow_vartime(checked.C, exponents)


def _powers(index: int, count: int) -> list[Fr]:
    return BLS_G1.powers(index, count)


def _decode_gt(data: Sequence[bytes]) -> list[Gt]:
    """Elements of GT, each proven to be in the subgroup: a factor -1 once framed an honest node.

    :raises Refused: ``bad-point``.
    """
    try:
        return gt_decode_batch(data)
    except ValueError as error:
        raise Refused("bad-point", f"C: {error}") from None


@lru_cache(maxsize=1)
def gt_comb() -> GtComb:
    """Multiples of ``gt = e(g1, g2)``, computed once."""
    return GtComb(pairing([(G1.generator(), G2.generator())]))
