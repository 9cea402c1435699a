"""Claim: nobody can be made to open somebody else's box, and no complaint frames an honest sender."""

from __future__ import annotations

import pytest

from salus import labels
from salus.abpre.threshold import box as bx
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.committee import SUITE, context
from salus.abpre.threshold.groups import OPRF, Z, group_of
from salus.errors import Refused
from salus.groups import proofs
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, random_scalar
from salus.groups.sharing import interpolate_scalar
from salus.symmetric import kdf, unseal
from support.consultation_world import SeededRandom, flip, refusal, weaken
from support.threshold_world import NETWORK, Holders, altered, make_holders, resigned, sent

RANDOM = SeededRandom("boxes")
CTX = context(NETWORK, 1, "test", "org0/node", b"about")


@pytest.fixture
def holders() -> Holders:
    return make_holders(4, "boxes")


def unproven(R: bytes, ciphertext: bytes) -> bx.Box:
    """A box as whoever does not know its rho can make it: some proof of something else stands in it."""
    other = bx.seal_box(base_mul(random_scalar(RANDOM)).encode(), CTX, b"", RANDOM)
    return bx.Box(R, ciphertext, other.proof)


def take_the_proof_of_rho_out(monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, bx.check_box, lambda *parts: None)
    weaken(monkeypatch, bx.check_boxes, lambda items: None)


def open_with(Z_: bytes, box: bx.Box, recipient: bytes, ctx) -> bytes:
    """What everyone computes who sees Z of a box's R."""
    fields = (box.R, recipient, ctx)
    return unseal(kdf(labels.BOX, SUITE, [Z_], fields), box.ciphertext, fields, "bad-seal")


def junk_deal(holders: Holders, thief: int, victim: sd.ScalarDeal, scale: Scalar | None) -> sd.ScalarDeal:
    """A deal whose boxes hold rubbish under the R of somebody else's boxes (times a scalar)."""
    node = holders.node(thief).member
    own = holders.scalar_deal(victim.purpose, thief)
    R = [decode_point(b.R).mul(scale).encode() if scale else b.R for b in victim.boxes]
    draft = altered(own, boxes=tuple(unproven(r, RANDOM(48)) for r in R))
    return resigned(node, draft, labels.SIG_SCALAR_DEAL, RANDOM)


@pytest.mark.parametrize("scaled", [False, True], ids=["copied", "scaled"])
@pytest.mark.parametrize("purpose", [Z, OPRF])
def test_honest_complaints_about_boxes_with_a_copied_R_would_open_the_deal_they_came_from(holders, purpose, scaled, monkeypatch):
    """A rule that R be unique does not help: R' = c*R gives the same."""
    victim = holders.scalar_deal(purpose, 1)
    scale = random_scalar(RANDOM) if scaled else None
    copy = junk_deal(holders, 4, victim, scale)
    assert refusal(holders.check_scalar, copy) == "bad-box"
    committee = holders.committee
    complaint = (NETWORK, committee, copy, holders.node(2).member, holders.node(2).secret, RANDOM)
    assert refusal(sd.complain, *complaint) == "bad-box", "a node does not open such a box even to complain"

    take_the_proof_of_rho_out(monkeypatch)
    holders.check_scalar(copy)
    group, shares = group_of(purpose), {}
    for seat, box in zip(committee.seats, victim.boxes, strict=True):
        node = holders.node(seat.index)
        assert refusal(sd.open_dealt_share, NETWORK, committee, copy, node.name, node.secret) == "bad-share"
        shown = sd.complain(NETWORK, committee, copy, node.member, node.secret, RANDOM)
        assert sd.judge_complaint(NETWORK, committee, copy, shown) == copy.dealer, "the complaint is right"
        shared = decode_point(shown.opening.Z)
        Z_ = (shared.mul(scale.invert()) if scale else shared).encode()
        ctx = sd.share_context(NETWORK, committee, purpose, 0, victim.dealer, seat.index)
        shares[seat.index] = group.decode_scalar(open_with(Z_, box, seat.Er, ctx), "stolen")
    chosen = sorted(shares)[: holders.t]
    secret = group.weighted(group.lagrange(chosen), [shares[i] for i in chosen])
    assert group.base_mul(secret).encode() == victim.commitments[0], "an outsider reads the dealt secret off the complaints"


def test_a_proof_of_rho_is_good_for_one_box_only():
    er = random_scalar(RANDOM)
    recipient = base_mul(er).encode()
    box = bx.seal_box(recipient, CTX, b"message", RANDOM)
    assert bx.open_box(er, box, CTX) == b"message"
    others = [
        (box, recipient, context(NETWORK, 2, "test", "org0/node", b"about")),
        (box, recipient, context(bytes(32), 1, "test", "org0/node", b"about")),
        (box, recipient, context(NETWORK, 1, "other", "org0/node", b"about")),
        (box, recipient, context(NETWORK, 1, "test", "org1/node", b"about")),
        (box, recipient, context(NETWORK, 1, "test", "org0/node", b"else")),
        (box, base_mul(random_scalar(RANDOM)).encode(), CTX),
        (altered(box, ciphertext=flip(box.ciphertext, 3)), recipient, CTX),
        (altered(box, R=base_mul(random_scalar(RANDOM)).encode()), recipient, CTX),
        (altered(box, R=bytes(32)), recipient, CTX),
        *((altered(box, proof=flip(box.proof, i)), recipient, CTX) for i in range(64)),
    ]
    for one in others:
        assert refusal(bx.check_box, *one) == "bad-box"
        assert refusal(bx.check_boxes, [(box, recipient, CTX), one]) == "bad-box"
    bx.check_boxes([(box, recipient, CTX)] * 3)


def test_a_box_opens_for_its_recipient_alone():
    er, other = random_scalar(RANDOM), random_scalar(RANDOM)
    box = bx.seal_box(base_mul(er).encode(), CTX, b"message", RANDOM)
    assert refusal(bx.open_box, other, box, CTX) == "bad-box", "the proof names the recipient"
    with pytest.raises(Refused):
        open_with(decode_point(box.R).mul(other).encode(), box, base_mul(er).encode(), CTX)


def test_an_opening_can_be_replayed_by_anyone_and_says_only_what_is_there(holders, monkeypatch):
    er = random_scalar(RANDOM)
    recipient = base_mul(er).encode()
    box = bx.seal_box(recipient, CTX, b"message", RANDOM)
    opening = sent(bx.prove_opening(er, box, CTX, RANDOM))
    assert bx.judge_opening(box, recipient, CTX, opening) == b"message"
    lie = altered(opening, Z=base_mul(random_scalar(RANDOM)).encode())
    for bad in (lie, altered(opening, proof=flip(opening.proof, 7)), altered(opening, Z=bytes(32))):
        assert refusal(bx.judge_opening, box, recipient, CTX, bad) == "bad-opening"
    other = bx.seal_box(recipient, CTX, b"another", RANDOM)
    assert refusal(bx.judge_opening, other, recipient, CTX, opening) == "bad-opening"
    weaken(monkeypatch, proofs.dleq_verify, lambda *parts: None)
    assert bx.judge_opening(box, recipient, CTX, lie) is None, "without the proof any Z shows that an honest box does not open"


def test_a_complainer_cannot_show_a_false_Z(holders, monkeypatch):
    """Else one node throws any honest deal out."""
    deal = holders.scalar_deal(Z, 1)
    node = holders.node(2)
    honest = sd.complain(NETWORK, holders.committee, deal, node.member, node.secret, RANDOM)
    assert refusal(sd.judge_complaint, NETWORK, holders.committee, deal, honest) == "bad-complaint", "the share is good"
    false = altered(honest, opening=altered(honest.opening, Z=base_mul(random_scalar(RANDOM)).encode()))
    false = resigned(node.member, false, labels.SIG_COMPLAINT, RANDOM)
    assert refusal(sd.judge_complaint, NETWORK, holders.committee, deal, false) == "bad-complaint"
    weaken(monkeypatch, proofs.dleq_verify, lambda *parts: None)
    assert sd.judge_complaint(NETWORK, holders.committee, deal, false) == deal.dealer, "an honest dealer is framed"


def test_junk_sealed_to_nodes_from_outside_teaches_nothing(holders, monkeypatch):
    """Any message that makes a node open a box would do as an oracle; all of them go through the same check."""
    victim = holders.scalar_deal(OPRF, 1)
    seat, node = holders.committee.seats[1], holders.node(2)
    junk = unproven(victim.boxes[1].R, RANDOM(48))
    assert refusal(bx.open_box, node.secret.er, junk, CTX) == "bad-box"
    assert refusal(bx.prove_opening, node.secret.er, junk, CTX, RANDOM) == "bad-box"
    take_the_proof_of_rho_out(monkeypatch)
    shown = bx.prove_opening(node.secret.er, junk, CTX, RANDOM)
    ctx = sd.share_context(NETWORK, holders.committee, OPRF, 0, victim.dealer, seat.index)
    stolen = group_of(OPRF).decode_scalar(open_with(shown.Z, victim.boxes[1], seat.Er, ctx), "stolen")
    assert stolen == sd.open_dealt_share(NETWORK, holders.committee, victim, node.name, node.secret)
    others = [
        sd.open_dealt_share(NETWORK, holders.committee, victim, holders.node(i).name, holders.node(i).secret) for i in (1, 3)
    ]
    whole = interpolate_scalar([1, 2, 3], [others[0], stolen, others[1]])
    assert base_mul(whole).encode() == victim.commitments[0]


@pytest.mark.parametrize("purpose", [Z, OPRF])
def test_whole_boxes_copied_with_their_proofs_are_nothing_in_another_deal(holders, purpose, monkeypatch):
    """The proof of rho is good, for the victim made it. That it names the deal keeps honest complaints from opening the box."""

    def copy_of(victim: sd.ScalarDeal) -> sd.ScalarDeal:
        draft = altered(holders.scalar_deal(purpose, 4), boxes=victim.boxes)
        return resigned(holders.node(4).member, draft, labels.SIG_SCALAR_DEAL, RANDOM)

    assert refusal(holders.check_scalar, copy_of(holders.scalar_deal(purpose, 1))) == "bad-box"

    # Without the context: the proof is over recipient, R and ciphertext alone.
    sign, verify = bx.schnorr_sign, bx.schnorr_verify
    monkeypatch.setattr(bx, "schnorr_sign", lambda label, suite, rho, fields, *rest: sign(label, suite, rho, fields[1:], *rest))
    monkeypatch.setattr(bx, "schnorr_verify", lambda label, suite, R, fields, *rest: verify(label, suite, R, fields[1:], *rest))
    weaken(monkeypatch, bx.check_boxes, lambda items: [bx.check_box(*item) for item in items] and None)
    victim, committee = holders.scalar_deal(purpose, 1), holders.committee
    copy = copy_of(victim)
    holders.check_scalar(copy)
    group, shares = group_of(purpose), {}
    for seat, box in zip(committee.seats, victim.boxes, strict=True):
        node = holders.node(seat.index)
        assert refusal(sd.open_dealt_share, NETWORK, committee, copy, node.name, node.secret) == "bad-share"
        shown = sd.complain(NETWORK, committee, copy, node.member, node.secret, RANDOM)
        ctx = sd.share_context(NETWORK, committee, purpose, 0, victim.dealer, seat.index)
        shares[seat.index] = group.decode_scalar(open_with(shown.opening.Z, box, seat.Er, ctx), "stolen")
    chosen = sorted(shares)[: holders.t]
    secret = group.weighted(group.lagrange(chosen), [shares[i] for i in chosen])
    assert group.base_mul(secret).encode() == victim.commitments[0], "an outsider reads the dealt secret off the complaints"
