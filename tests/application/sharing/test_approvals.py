"""Approvals of what was dealt: all of them end the window of complaints, fewer do not, and they bind to the deals that stand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.approvals import ShareApproval, approve_shares
from salus.abpre.threshold.groups import OPRF, Z
from salus.errors import Refused
from salus.ledger.kinds.sharing import committee_state as cs
from salus.ledger.kinds.sharing import committees
from salus.ledger.kinds.sharing.messages.keys import SharingFix
from support.bad_deals import bad_deal
from support.sharing_world import FAST, SharingChain, SharingWorld

FIX = SharingFix(1, Z)


@pytest.fixture
def world() -> SharingWorld:
    return SharingWorld()


@pytest.fixture
def chain(world: SharingWorld) -> SharingChain:
    chain = world.chain()
    chain.post_keys()
    return chain


def good_deals(chain: SharingChain, dealers: Sequence[int] = range(4), purpose: str = Z) -> list[sd.ScalarDeal]:
    world, committee = chain.world, chain.committee()
    return [sd.make_scalar_deal(world.network, committee, purpose, world.nodes[i].member, world.random) for i in dealers]


def approval(chain: SharingChain, seat: int, deals: Sequence[sd.ScalarDeal], purpose: str = Z) -> ShareApproval:
    world, names = chain.world, [deal.digest() for deal in deals]
    return approve_shares(world.network, chain.committee(), purpose, names, world.nodes[seat].member, world.random)


def test_the_window_is_over_when_every_member_approves(chain: SharingChain) -> None:
    deals = good_deals(chain)
    chain.commit(*deals)
    # In whatever order the deals are named.
    chain.commit(*(approval(chain, seat, deals[::-1]) for seat in range(3)))
    assert chain.reason(FIX) == "not-started"
    chain.commit(approval(chain, 3, deals))
    chain.commit(FIX)
    assert cs.find_epoch(chain.view, 1).phase(Z).fixed_ms < chain.time_ms + FAST.complaint_window_ms  # type: ignore[union-attr]
    assert chain.reason(approval(chain, 0, deals)) == "already-done"
    assert cs.scalar_public(chain.view, 1, Z).sharing.dealers == (1, 2, 3)


def test_what_is_no_approval(chain: SharingChain, world: SharingWorld) -> None:
    deals = good_deals(chain)
    chain.commit(*deals[:3])
    early = approval(chain, 0, deals[:3])
    assert chain.reason(early) == "not-started"
    chain.commit(deals[3])
    good = approval(chain, 0, deals)
    check, names = world.checks[0].member, [deal.digest() for deal in deals]
    cases = [
        (early, "bad-approval"),
        (replace(good, purpose=OPRF), "not-started"),
        (replace(good, purpose="other"), "bad-encoding"),
        (replace(good, epoch=2), "wrong-epoch"),
        (replace(good, node=world.nodes[1].member.name), "bad-approval"),
        (replace(good, signature=bytes(64)), "bad-approval"),
        (approve_shares(world.network, chain.committee(), Z, names, check, world.random), "not-a-member"),
        (approve_shares(bytes(32), chain.committee(), Z, names, world.nodes[0].member, world.random), "bad-approval"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected, expected
    chain.commit(good)
    assert chain.reason(good) == "already-done"


def test_an_upheld_complaint_makes_approvals_start_anew(chain: SharingChain, world: SharingWorld) -> None:
    committee, victim = chain.committee(), world.nodes[3]
    lie, deals = bad_deal(chain, Z, 0, 3), good_deals(chain, range(1, 4))
    chain.commit(lie, *deals)
    first = [approval(chain, seat, [lie, *deals]) for seat in range(3)]
    chain.commit(*first)
    chain.commit(sd.complain(world.network, committee, lie, victim.member, world.secret(victim, 1), world.random))
    chain.commit(approval(chain, 3, deals))
    # Three and one, of different deals, are not four.
    assert chain.reason(FIX) == "not-started"
    assert chain.reason(first[0]) == "bad-approval"
    chain.commit(*(approval(chain, seat, deals) for seat in range(3)))
    chain.commit(FIX)
    assert cs.scalar_public(chain.view, 1, Z).sharing.dealers == (2, 3, 4)


def rushed(chain: SharingChain) -> str:
    """The dealer of a false share and all but the victim approve at once; whether the epoch can then be fixed."""
    world = chain.world
    chain.commit(*(al.make_alpha_deal(world.network, chain.committee(), n.member, world.random) for n in world.nodes[:3]))
    lie, deals = bad_deal(chain, Z, 0, 3), good_deals(chain, range(1, 4))
    chain.commit(lie, *deals)
    chain.commit(*(approval(chain, seat, [lie, *deals]) for seat in range(3)))
    return chain.reason(FIX)


def test_no_quorum_of_others_takes_the_window_from_a_slow_member(chain: SharingChain, world: SharingWorld) -> None:
    assert rushed(chain) == "not-started"


def test_a_quorum_would_take_it(chain: SharingChain, world: SharingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committees, "_approvals_needed", lambda committee: committee.threshold)
    assert rushed(chain) == ""
    chain.commit(FIX)
    deals = good_deals(chain, range(3), OPRF)
    chain.commit(*deals)
    chain.commit(*(approval(chain, seat, deals, OPRF) for seat in range(3)))
    chain.commit(SharingFix(1, OPRF))
    with pytest.raises(Refused, match="bad-share"):
        chain.open_shares()
