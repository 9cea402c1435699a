"""Claim: keys are not lost with a committee that came to nothing, and it does not stop the next one.

An epoch of sharing opens with the first key posted. If its members then lost their seats, or one of exactly t dealers died, it
waited for them for ever, and no other could open; and if it was dealt in full while a node was revoked, it started with fewer
than t seats, which neither serve nor hand over: alpha, z and the keyword key were gone with the old committee's grace.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from salus.consultation.registration import NODE
from salus.ledger.kinds.parties import PartyRevocation, key_digest
from salus.ledger.kinds.sharing import committee_state as cs
from salus.ledger.kinds.sharing import committees, succession
from salus.ledger.kinds.sharing.attributes import counts
from salus.ledger.kinds.sharing.messages.common import UNSIGNED
from support.handing_over import Seats, electing_chain, named, public_values
from support.sharing_world import SharingChain, SharingWorld

NEW = (4, 5, 6, 7)


class Network:
    """A world of four seats and ten other nodes, whose nodes do what they owe."""

    def __init__(self, directory: Path) -> None:
        self.world = SharingWorld("came to nothing", checks=7)
        self.chain: SharingChain = electing_chain(self.world)
        self.seats = Seats(self.chain, directory)

    def revoke(self, name: str) -> None:
        node = self.world.node(name).member
        self.chain.decide([self.world.by_centre(PartyRevocation(NODE, name, key_digest(node.W_bytes), UNSIGNED))])
        self.seats.silent.add(name)

    def steps(self, blocks: int) -> None:
        for _ in range(blocks):
            self.seats.step()


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


@pytest.mark.parametrize("repaired", [True, False])
def test_a_committee_that_cannot_hand_over_does_not_start(
    network: Network, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    chain, seats = network.chain, network.seats
    seats.until(1)
    public = public_values(chain.view, 1)
    if not repaired:
        for module in (committees, succession):
            monkeypatch.setattr(module, "can_serve", lambda view, record: True)
    absent, thief = named([NEW[0]])[0], named([NEW[1]])[0]
    seats.silent.add(absent)
    seats.elect(named(NEW))
    network.steps(3)  # three of four post their keys, and the list is closed
    assert len(chain.committee(2).seats) == 3
    network.revoke(thief)
    network.steps(20)
    left = sum(counts(chain.view, seat) for seat in chain.committee(2).seats)
    assert left == 2
    if not repaired:
        assert seats.standing.current == 2  # with two of the three that any use of the keys needs
        return
    assert seats.standing.current == 1
    seats.silent.discard(absent)
    seats.until(3)
    assert public_values(chain.view, 3) == public
    assert sum(counts(chain.view, seat) for seat in chain.committee(3).seats) == 3
    assert set(seats.held(2)) == {thief}  # the others have erased what was dealt to them in vain


@pytest.mark.parametrize("repaired", [True, False])
def test_a_dealer_that_dies_does_not_stop_the_others_for_good(
    network: Network, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    """One of four is late for the list of keys, and one of the three on it never deals."""
    chain, seats = network.chain, network.seats
    late, dead = named([0, 1])
    seats.silent.add(late)
    while not (seats.standing.pending and len(chain.committee(1).seats) == 3):
        seats.step()
    seats.silent = {dead}
    network.steps(10)
    assert cs.find_epoch(chain.view, 1).alpha_ms == 0  # type: ignore[union-attr]
    if not repaired:
        monkeypatch.setattr(succession, "STUCK_MS", 1 << 60)
    chain.later(2 * 3600 * 1000)
    network.steps(25)
    assert seats.standing.current == (2 if repaired else 0)
    if repaired:
        assert {seat.name for seat in chain.committee(2).seats} == set(named([0, 2, 3]))
        deals = [cs.ALPHA_DEALS.get(chain.view, cs.deal_key(1, "alpha", name)) for name in named(range(4))]
        assert deals == [None] * 4  # nothing is left of the first attempt


@pytest.mark.parametrize("repaired", [True, False])
def test_members_that_lose_their_seats_before_they_come_are_not_waited_for(
    network: Network, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    seats = network.seats
    seats.until(1)
    seats.silent |= set(named(NEW[1:]))
    if not repaired:
        monkeypatch.setattr(succession, "_is_given_up", lambda *_: False)
    seats.elect(named(NEW))
    network.steps(3)
    seats.elect(named((4, 8, 9, 10)))
    network.steps(25)
    assert seats.standing.current == (3 if repaired else 1)


@pytest.mark.parametrize("repaired", [True, False])
def test_deals_of_what_was_given_up_are_not_heard(network: Network, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    """Else who keeps them finishes an old epoch behind the back of the new one, with members that have no seats."""
    chain, seats = network.chain, network.seats
    late, dead = named([0, 1])
    if not repaired:
        heard = lambda view, epoch, *_: (cs.find_epoch(view, epoch), chain.committee(epoch))  # noqa: E731
        monkeypatch.setattr(committees, "pending_epoch", heard)
        monkeypatch.setattr(committees, "_forget_deals", lambda *_: None)
    seats.silent.add(late)
    while not (seats.standing.pending and len(chain.committee(1).seats) == 3):
        seats.step()
    seats.silent = {dead, late}
    network.steps(4)
    seats.silent = {late}
    now_ms = chain.time_ms + 1000
    kept = [raw for raw in seats._duties[dead].due(now_ms) if chain.reason(raw, now_ms) == ""]
    assert kept
    seats.silent = {dead}
    chain.later(2 * 3600 * 1000)
    network.steps(3)
    assert seats.standing.pending == 2
    assert {chain.reason(raw) for raw in kept} == ({"wrong-epoch"} if repaired else {""})
