"""Claim: a dealer or a node cannot take the weights of its deal or partial key first, and then move what they do not cover.

As with the coefficients of keys and capsules: an honest object is made, its weights are taken, and two elements are moved so
that the weighted sum stays. The runs with the repair out show what that would do.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from salus.abpre.hashing import attribute_points, point_a
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import g1_proofs
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.consultation.registration import MemberKey
from salus.errors import Refused
from salus.groups.bls12_381 import G1, G2, Fr, decode_g1, decode_g2, decode_gt, fr_shamir_share, random_fr
from support.coefficients import drawn
from support.consultation_world import refusal, weaken
from support.threshold_world import NETWORK, Holders, altered, dealt, make_holders, resigned, sent

E1, E2 = G1.generator(), G2.generator()
ATTRIBUTES = ("dept:cardiology", "role:doctor@2026", "site:a")


def forget_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the repair out: weights of label and count alone, 128 bits as before."""
    made = g1_proofs.public_weights
    weaken(monkeypatch, made, lambda label, whole, count: made(label, "anything", count))


def taken(run: Callable[[], object]) -> list[Fr]:
    """The weights of an honest object."""
    with drawn() as calls:
        run()
    return [Fr.from_int(c) for c in calls[0].coefficients]


def put(items: tuple[bytes, ...], at: int, value: bytes) -> tuple[bytes, ...]:
    return (*items[:at], value, *items[at + 1 :])


def moved(data: bytes, by: G1) -> bytes:
    return (decode_g1(data, "point") + by).encode()


def sum_of(points: list[G1]) -> G1:
    total = points[0]
    for point in points[1:]:
        total = total + point
    return total


# --- deals of alpha ---


class Dealer:
    """Node 1, which deals honestly but for errors in elements, and proves its r over the result."""

    def __init__(self, holders: Holders) -> None:
        self.holders, random, committee = holders, holders.world.random, holders.committee
        self.r = random_fr(random)
        coefficients = [random_fr(random) for _ in range(holders.t)]
        values = fr_shamir_share(coefficients, committee.indices())
        c = [E1.mul(v) + decode_g1(s.E, "E").mul(self.r) for s, v in zip(committee.seats, values, strict=True)]
        self.draft = al.AlphaDeal(
            committee.epoch, al.FRESH, self.node.name, tuple(al.gt_comb().pow(f).encode() for f in coefficients),
            E1.mul(self.r).encode(), E2.mul(self.r).encode(), tuple(p.encode() for p in c), bytes(64), bytes(64),
        )  # fmt: skip
        self.honest = self.finish()
        self.z = taken(lambda: holders.check_alpha(self.honest))

    @property
    def node(self) -> MemberKey:
        return self.holders.node(1).member

    def finish(self, **parts: object) -> al.AlphaDeal:
        draft = altered(self.draft, **parts)
        return al.finish_alpha_deal(NETWORK, self.holders.committee, draft, self.r, self.node, self.holders.world.random)

    def lies(self) -> dict[str, al.AlphaDeal]:
        """Each of c, C and R2 moved, and the share of seat 1 moved so that the sum of all stays."""
        z, draft, seats = self.z, self.draft, self.holders.committee.seats
        unit = z[1].invert()
        # R2 = (r + 1)*g2 asks for one more of z_0*g1 + sum z_i*E_i on the left.
        masks = sum_of([E1.mul(z[0]), *(decode_g1(s.E, "E").mul(w) for s, w in zip(seats, z[1:], strict=True))])
        # C_1 * gt asks for one more of sum z_i*i.
        total = Fr.from_int(0)
        for seat, weight in zip(seats, z[1:], strict=True):
            total = total + weight * Fr.from_int(seat.index)
        degrees = E1.mul(total)
        one = al.gt_comb().pow(Fr.from_int(1))
        return {
            "two shares": self.finish(
                c=put(put(draft.c, 0, moved(draft.c[0], E1.mul(z[2]))), 1, moved(draft.c[1], -E1.mul(z[1])))
            ),
            "R2 and a share": self.finish(
                R2=(decode_g2(draft.R2, "R2") + E2).encode(), c=put(draft.c, 0, moved(draft.c[0], masks.mul(unit)))
            ),
            "C and a share": self.finish(
                C=put(draft.C, 1, (decode_gt(draft.C[1]) * one).encode()),
                c=put(draft.c, 0, moved(draft.c[0], degrees.mul(unit))),
            ),
        }


def victims(holders: Holders, lie: al.AlphaDeal) -> list[str | None]:
    """What each node finds when it reads its share of a sharing with that deal in it."""
    checked = [holders.check_alpha(deal) for deal in (lie, holders.alpha_deal(2), holders.alpha_deal(3))]
    public = al.AlphaPublic(al.fix_alpha(holders.committee, checked))
    seats = holders.committee.seats
    return [refusal(al.open_point_share, holders.committee, public, s.name, holders.node(s.index).secret) for s in seats]


def test_a_deal_made_to_its_weights_is_refused() -> None:
    holders = make_holders(4, "weights")
    dealer = Dealer(holders)
    for name, lie in dealer.lies().items():
        assert refusal(holders.check_alpha, lie) == "bad-deal", name


def test_where_they_leave_the_deal_out_nodes_stand_without_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """The liar chooses who has a share of the master key: its victims find out when nobody can be thrown out any more."""
    forget_the_object(monkeypatch)
    holders = make_holders(4, "weights")
    found = {name: victims(holders, lie) for name, lie in Dealer(holders).lies().items()}
    assert found["two shares"] == ["bad-share", "bad-share", None, None]
    assert found["R2 and a share"] == ["bad-share", None, None, None]
    assert found["C and a share"] == ["bad-share"] * 4


def test_the_proof_of_r_covers_every_element_of_the_deal() -> None:
    """A deal with one element exchanged, signed again: the proof of r, and not only the equation, is of another deal.

    Without it a rushing dealer takes what others prove, and changes around it what suits.
    """
    holders = make_holders(4, "elements")
    deal, node = holders.alpha_deal(1), holders.node(1).member
    other = holders.alpha_deal(1)
    changes = [{"R2": other.R2}, {"previous": 1}]
    changes += [{"C": put(deal.C, at, other.C[at])} for at in range(len(deal.C))]
    changes += [{"c": put(deal.c, at, other.c[at])} for at in range(len(deal.c))]
    for change in changes:
        lie = resigned(node, altered(deal, **change), "sig-alpha-deal", holders.world.random)
        with pytest.raises(Refused, match="proof of r"):
            al.check_dealt_point(NETWORK, holders.committee, lie, node.W, None)


# --- partial keys ---


def lies_of(holders: Holders, request: ki.KeyRequest, honest: kc.PartialKey, c: list[Fr]) -> dict[str, bytes]:
    """Encoded partial keys with errors in two places that cancel under c."""
    K, parts = honest.K, honest.parts
    weighted = sum_of([point_a(), *(H.mul(w) for H, w in zip(attribute_points(request.attributes), c, strict=True))])
    join = lambda K, L, parts: K.encode() + L.encode() + b"".join(p.encode() for p in parts)  # noqa: E731
    return {
        "two parts": join(K, honest.L, [parts[0] + E1.mul(c[1]), parts[1] - E1.mul(c[0]), parts[2]]),
        "K and a part": join(K - E1.mul(c[0]), honest.L, [parts[0] + E1, *parts[1:]]),
        "K and L": join(K + weighted, honest.L + E2, parts),
    }


def outcomes() -> dict[str, tuple[str | None, list[str] | str]]:
    """For each lie: what the check of node 1's partial key says, and whom the requester can convict, or why it has no key."""
    holders = dealt(4)
    request, key = holders.request(ATTRIBUTES)
    issued = [holders.issue(request, i) for i in (1, 2, 3)]
    honest = kc.open_partial_key(NETWORK, holders.committee, request, key, issued[0])
    c = taken(lambda: kc.check_partial_key(NETWORK, request, holders.alpha, honest))
    found: dict[str, tuple[str | None, list[str] | str]] = {}
    for name, encoded in lies_of(holders, request, honest, c).items():
        lie = sent(ki.seal_partial_key(NETWORK, request, encoded, holders.node(1).member, holders.world.random))
        opened = kc.open_partial_key(NETWORK, holders.committee, request, key, lie)
        said = refusal(kc.check_partial_key, NETWORK, request, holders.alpha, opened)
        try:
            evidence = holders.collect(request, key, [lie, *issued[1:]]).evidence
            found[name] = (said, [holders.judge_key(request, one) for one in evidence])
        except Refused as error:
            found[name] = (said, error.reason)
    return found


def test_a_partial_key_made_to_its_weights_is_refused_and_its_node_convicted() -> None:
    liar = dealt(4).node(1).name
    assert list(outcomes().values()) == [("bad-partial", [liar])] * 3


def test_where_they_leave_the_partial_key_out_nobody_can_say_whose_fault_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The requester has no key, and no evidence either."""
    forget_the_object(monkeypatch)
    assert list(outcomes().values()) == [(None, "bad-key")] * 3
