"""Claim: the shared value: no dealer leaves a node out unpunished, no node frames a dealer, no outsider learns theta."""

from __future__ import annotations

import pytest

from salus import labels
from salus.consultation import shared_value as sv
from salus.consultation.registration import SUITE
from salus.groups import proofs
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, random_scalar
from salus.groups.sharing import poly_from_roots
from support.consultation_world import World, altered, flip, make_world, refusal, weaken

EPOCH = 9


class Committee:
    """The nodes of a world with fresh epoch keys, and a dealer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.network = world.domain.network
        self.nodes = [n.member for n in world.r.nodes]
        self.secrets = [sv.EpochSecret.generate(EPOCH, world.random) for _ in self.nodes]
        self.seats = [sv.Seat(n.name, n.W_bytes, e.E) for n, e in zip(self.nodes, self.secrets, strict=True)]
        self.dealer = self.nodes[0]

    def deal(self) -> tuple[sv.Deal, Scalar]:
        return sv.make_deal(self.network, EPOCH, self.dealer, self.seats, self.world.random)

    def open(self, deal: sv.Deal, j: int) -> Scalar:
        return sv.open_deal(self.network, deal, self.nodes[j], self.secrets[j])

    def deal_with_roots(self, roots_of, dealer=None) -> tuple[sv.Deal, Scalar]:
        """A deal whose root for node j is ``roots_of(j, honest beta)``: everything else by the text."""
        dealer = dealer or self.dealer
        random = self.world.random
        r, theta = random_scalar(random), random_scalar(random)
        R = base_mul(r).encode()
        context = sv.deal_context(self.network, EPOCH, dealer.name)
        roots = []
        for j, seat in enumerate(self.seats):
            rW, rE = (decode_point(p).mul(r).encode() for p in (seat.W, seat.E))
            roots.append(roots_of(j, sv.beta(context, seat.name, R, rW, rE)))
        return self.signed(dealer, R, r, poly_from_roots(roots, theta), theta), theta

    def signed(self, dealer, R: bytes, r: Scalar, coefficients, theta: Scalar) -> sv.Deal:
        random = self.world.random
        T = base_mul(theta).encode()
        draft = sv.Deal(EPOCH, dealer.name, R, tuple(c.encode() for c in coefficients), T, bytes(64), bytes(64))
        proof = proofs.schnorr_sign(labels.SIG_DEAL, SUITE, r, (self.network, R), draft.to_value()[:-2], random)
        draft = altered(draft, possession=proof)
        return altered(draft, signature=dealer.sign(self.network, labels.SIG_DEAL, draft.to_value()[:-1], random))

    def check(self, deal: sv.Deal) -> str | None:
        dealer = next(n for n in self.nodes if n.name == deal.dealer)
        return refusal(sv.check_deal, self.network, deal, len(self.seats), dealer.W)

    def accuse(self, deal: sv.Deal, j: int) -> sv.Accusation:
        return sv.accuse(self.network, deal, self.nodes[j], self.secrets[j], self.world.random)

    def judge(self, deal: sv.Deal, accusation: sv.Accusation, j: int) -> str:
        return sv.judge(self.network, deal, accusation, self.seats[j])


@pytest.fixture
def committee():
    return Committee(make_world("shared value"))


def test_every_node_opens_an_honest_deal(committee: Committee):
    deal, theta = committee.deal()
    assert committee.check(sv.Deal.decode(deal.encode())) is None
    assert all(committee.open(deal, j) == theta for j in range(4))
    assert base_mul(theta).encode() == deal.T


@pytest.mark.parametrize("count", [1, 2, 7, 13, 31])
def test_committees_of_other_sizes(committee: Committee, count):
    random = committee.world.random
    secrets = [(random_scalar(random), sv.EpochSecret.generate(EPOCH, random)) for _ in range(count)]
    seats = [sv.Seat(f"org{i}/n", base_mul(s).encode(), e.E) for i, (s, e) in enumerate(secrets)]
    deal, theta = sv.make_deal(committee.network, EPOCH, committee.dealer, seats, random)
    context = sv.deal_context(committee.network, EPOCH, committee.dealer.name)
    R = decode_point(deal.R)
    for seat, (s, e) in zip(seats, secrets, strict=True):
        assert sv.evaluate(deal, sv.beta(context, seat.name, deal.R, R.mul(s).encode(), R.mul(e.e).encode())) == theta


def test_an_outsider_and_a_node_of_another_epoch_open_nothing(committee: Committee):
    deal, _ = committee.deal()
    world = committee.world
    outsider = world.doctor().member
    strange = sv.EpochSecret.generate(EPOCH, world.random)
    assert refusal(sv.open_deal, committee.network, deal, outsider, strange) == "bad-deal"
    assert refusal(sv.open_deal, committee.network, deal, committee.nodes[1], strange) == "bad-deal"
    assert refusal(sv.open_deal, committee.network, deal, outsider, committee.secrets[1]) == "bad-deal"


def test_a_dealer_that_leaves_a_node_out_is_convicted(committee: Committee):
    deal, theta = committee.deal_with_roots(lambda j, beta: random_scalar(committee.world.random) if j == 2 else beta)
    assert committee.check(deal) is None, "nobody else can see it"
    assert [refusal(committee.open, deal, j) for j in range(4)] == [None, None, "bad-deal", None]
    accusation = sv.Accusation.decode(committee.accuse(deal, 2).encode())
    assert committee.judge(deal, accusation, 2) == committee.dealer.name
    # Meanwhile a holder hands theta over, and it fits T.
    holder, missing = committee.nodes[1], committee.nodes[2]
    box = sv.box_theta(committee.network, holder, EPOCH, theta, committee.seats[2], committee.world.random)
    got = sv.open_theta_box(committee.network, box, missing, committee.secrets[2], deal.T, holder.W)
    assert got == theta


def test_an_accuser_of_an_honest_dealer_convicts_itself(committee: Committee):
    deal, _ = committee.deal()
    assert committee.judge(deal, committee.accuse(deal, 2), 2) == committee.nodes[2].name


def test_an_accuser_cannot_show_other_secrets(committee: Committee, monkeypatch):
    """False X or Y would give a beta that does not open: only the equality proofs stop the framing of an honest dealer."""
    deal, _ = committee.deal()
    world, node = committee.world, committee.nodes[2]
    honest = committee.accuse(deal, 2)
    for field in ("X", "Y"):
        lie = altered(honest, **{field: base_mul(random_scalar(world.random)).encode()})
        signature = node.sign(committee.network, labels.SIG_ACCUSE, lie.to_value()[:-1], world.random)
        lie = altered(lie, signature=signature)
        assert refusal(committee.judge, deal, lie, 2) == "bad-accusation"
        with monkeypatch.context() as patch:
            weaken(patch, proofs.dleq_verify, lambda *parts: None)
            assert committee.judge(deal, lie, 2) == committee.dealer.name, "a node that shows beta alone frames the dealer"


def test_an_accusation_is_bound_to_its_deal_node_and_network(committee: Committee):
    deal, _ = committee.deal()
    other, _ = committee.deal()
    accusation = committee.accuse(deal, 2)
    assert refusal(committee.judge, other, accusation, 2) == "bad-accusation"
    assert refusal(committee.judge, deal, accusation, 1) == "bad-accusation"
    assert refusal(sv.judge, bytes(32), deal, accusation, committee.seats[2]) == "bad-accusation"
    for field in ("X", "Y", "proof_x", "proof_y", "signature"):
        changed = altered(accusation, **{field: flip(getattr(accusation, field), 3)})
        assert refusal(committee.judge, deal, changed, 2) == "bad-accusation"


def test_a_copied_R_is_refused_because_a_complaint_would_give_theta_away(committee: Committee, monkeypatch):
    """A malicious second dealer copies R of an honest deal in the same context and provokes an accusation.

    The accusation shows ``X = s_j*R`` and ``Y = e_j*R``: the inputs of the *honest* deal's beta_j. The proof of r forbids it.
    """
    deal, theta = committee.deal()
    world, thief = committee.world, committee.nodes[3]
    rubbish = [random_scalar(world.random) for _ in committee.seats]
    copied = committee.signed(thief, deal.R, random_scalar(world.random), rubbish, random_scalar(world.random))
    assert committee.check(copied) == "bad-deal"
    weaken(monkeypatch, proofs.schnorr_verify, lambda *parts: None)
    assert committee.check(copied) is None
    shown = committee.accuse(copied, 2)
    context = sv.deal_context(committee.network, EPOCH, deal.dealer)
    beta = sv.beta(context, committee.nodes[2].name, deal.R, shown.X, shown.Y)
    assert sv.evaluate(deal, beta) == theta, "anyone who reads the accusation has the honest deal's theta"


def test_a_proof_of_r_is_not_good_for_another_deal(committee: Committee):
    """It covers epoch, dealer, R, all coefficients and T."""
    deal, _ = committee.deal()
    other, _ = committee.deal()
    thief = committee.nodes[3]
    changes = [
        {"dealer": thief.name}, {"epoch": EPOCH + 1}, {"coefficients": other.coefficients}, {"T": other.T}, {"R": other.R},
    ]  # fmt: skip
    for change in changes:
        draft = altered(deal, **change)
        signer = thief if "dealer" in change else committee.dealer
        signature = signer.sign(committee.network, labels.SIG_DEAL, draft.to_value()[:-1], committee.world.random)
        assert committee.check(altered(draft, signature=signature)) == "bad-deal"


def test_a_deal_of_the_wrong_shape(committee: Committee):
    deal, _ = committee.deal()
    assert committee.check(altered(deal, coefficients=deal.coefficients[:-1])) == "bad-deal"
    assert committee.check(altered(deal, coefficients=(*deal.coefficients, bytes(32)))) == "bad-deal"
    assert committee.check(altered(deal, coefficients=(*deal.coefficients[:-1], b"\xff" * 32))) == "bad-scalar"
    assert committee.check(altered(deal, T=bytes(32))) == "bad-point"
    assert committee.check(altered(deal, R=bytes(32))) == "bad-deal"
    assert committee.check(altered(deal, signature=flip(deal.signature, 40))) == "bad-signature"


def test_an_identity_R_would_publish_theta(committee: Committee, monkeypatch):
    """r = 0: X and Y are the identity for everybody, so everybody computes beta from public values."""
    deal, theta = committee.deal()
    context = sv.deal_context(committee.network, EPOCH, committee.dealer.name)
    zero = Point.identity().encode()
    roots = [sv.beta(context, seat.name, zero, zero, zero) for seat in committee.seats]
    bad = committee.signed(committee.dealer, zero, Scalar.from_int(0), poly_from_roots(roots, theta), theta)
    assert committee.check(bad) == "bad-deal"
    assert sv.evaluate(bad, sv.beta(context, committee.seats[2].name, zero, zero, zero)) == theta, "an outsider's computation"
    weaken(monkeypatch, decode_point, lambda data, what="": Point.decode_with_identity(data))
    assert committee.check(bad) == "bad-deal", "the proof of r refuses it once more"
    weaken(monkeypatch, proofs.schnorr_verify, lambda *parts: None)
    assert committee.check(bad) is None
    assert deal.T == bad.T


def test_a_holder_cannot_hand_over_a_false_theta(committee: Committee, monkeypatch):
    deal, theta = committee.deal()
    world, holder, missing = committee.world, committee.nodes[1], committee.nodes[2]
    false = sv.box_theta(committee.network, holder, EPOCH, random_scalar(world.random), committee.seats[2], world.random)
    arguments = (missing, committee.secrets[2], deal.T, holder.W)
    assert refusal(sv.open_theta_box, committee.network, false, *arguments) == "bad-deal"
    weaken(monkeypatch, sv.check_theta, lambda theta, T: None)
    assert sv.open_theta_box(committee.network, false, *arguments) != theta


def test_a_boxed_theta_opens_for_its_node_alone(committee: Committee):
    deal, theta = committee.deal()
    holder = committee.nodes[1]
    box = sv.box_theta(committee.network, holder, EPOCH, theta, committee.seats[2], committee.world.random)

    def opened_by(box: sv.ThetaBox, j: int) -> str | None:
        node, secret = committee.nodes[j], committee.secrets[j]
        return refusal(sv.open_theta_box, committee.network, box, node, secret, deal.T, holder.W)

    assert [opened_by(box, j) for j in range(4)] == ["bad-seal", "bad-seal", None, "bad-seal"]
    for field in ("epoch", "holder", "R", "box", "signature"):
        value = getattr(box, field)
        changed = {"epoch": EPOCH + 1, "holder": committee.nodes[0].name}.get(field) or flip(value, 2)
        assert opened_by(altered(box, **{field: changed}), 2) in ("bad-signature", "bad-point", "bad-scalar")


def test_an_acknowledgement_names_its_deal_and_epochs(committee: Committee):
    deal, _ = committee.deal()
    other, _ = committee.deal()
    node = committee.nodes[1]
    ack = sv.acknowledge(committee.network, node, deal, (7, 8), committee.world.random)
    sv.check_ack(committee.network, ack, node.W)
    for change in ({"deal": other.digest()}, {"in_grace": (8,)}, {"epoch": 10}, {"node": committee.nodes[2].name}):
        assert refusal(sv.check_ack, committee.network, altered(ack, **change), node.W) == "bad-signature"
    assert refusal(sv.check_ack, committee.network, altered(ack, in_grace=(8, 7)), node.W) == "bad-encoding"
    assert refusal(sv.check_ack, committee.network, altered(ack, in_grace=(9,)), node.W) == "bad-encoding"


def test_every_deal_has_fresh_randomness(committee: Committee):
    """One theta for one polynomial; nothing of a former deal returns."""
    deals = [committee.deal() for _ in range(5)]
    assert len({d.R for d, _ in deals}) == len({d.T for d, _ in deals}) == len({t.encode() for _, t in deals}) == 5
    coefficients = [c for d, _ in deals for c in d.coefficients]
    assert len(set(coefficients)) == len(coefficients)
