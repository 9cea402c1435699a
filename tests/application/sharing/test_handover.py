"""Hand-over to a changed committee on the ledger: the nodes do it by their own duties once other seats are named.

Growing, shrinking, exchanging members and exchanging all of them; what was sealed, issued and delegated before goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from salus.abpre.keys import SecretKey
from salus.abpre.opening import decapsulate
from salus.abpre.threshold.groups import OPRF, Z
from salus.abpre.threshold.transforming import transform_and_open
from salus.errors import Refused
from salus.groups.ristretto255 import Point, base_mul, random_scalar
from salus.groups.sharing import lagrange_coefficients
from salus.ledger.kinds.sharing import committee_state as cs
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.ledger.kinds.sharing.succession import next_sharing_epoch
from support.handing_over import Seats, electing_chain, named, public_values
from support.sharing_world import HOSPITAL, POLICY, SharingChain, SharingWorld, granted_world

OLD = (0, 1, 2, 3)
GROWN = (0, 1, 2, 3, 4, 5, 6)
SHRUNK = (1, 4, 5, 6)
EXCHANGED = (2, 3, 7, 8)
ALL = ("keys", "alpha", "z", "oprf")


class Before:
    """A committee of four that has dealt, an owner with a record and a delegation, a reader with a key."""

    def __init__(self, directory: Path) -> None:
        self.world = SharingWorld("changed committees", checks=7)
        self.chain: SharingChain = electing_chain(self.world)
        self.seats = Seats(self.chain, directory)
        self.seats.until(1)
        granted_world(self.chain)
        self.owner: ScopeKey = self.chain.owner()
        self.own_key: SecretKey = self.chain.key(self.owner)
        self.rid, self.k = self.chain.rid(self.owner), self.world.random(32)
        self.chain.put(self.owner, rid=self.rid, content=self.chain.content(self.owner, self.rid, POLICY, k=self.k))
        self.delegation = self.chain.delegate(self.owner, self.own_key, days=300)
        self.reader: SecretKey = self.chain.key(self.world.institution(HOSPITAL), *POLICY.split(" and "))
        self.public = public_values(self.chain.view, 1)
        self.word: Point = base_mul(random_scalar(self.world.random))
        self.token = self.evaluated([1, 2, 3])

    @property
    def current(self) -> int:
        return self.seats.standing.current

    def evaluated(self, indices: Sequence[int]) -> bytes:
        """The keyword function of one word, from these seats' shares."""
        committee = self.chain.committee(self.current)
        shares = [self.chain.shares[OPRF, committee.seat(i).name, committee.epoch].value for i in indices]
        parts = [self.word.mul(weight * k) for weight, k in zip(lagrange_coefficients(list(indices)), shares, strict=True)]
        return sum(parts[1:], parts[0]).encode()

    def opened_through_the_delegation(self) -> bytes | None:
        """Ask, judge, transform, grant, open: by whichever committee serves."""
        chain, world = self.chain, self.world
        (share,), box = chain.judged(HOSPITAL, {self.rid: self.delegation})
        partials = chain.partials(share)
        chain.commit(chain.grant_of(share, partials))
        target = ss.transformable(chain.view, world.network, share, self.current, chain.time_ms)
        public = cs.scalar_public(chain.view, self.current, Z)
        delta = chain.coins[self.delegation].delta
        committee = chain.committee(self.current)
        return transform_and_open(committee, target, public, chain.parameters, delta, box, partials, world.random).key


@pytest.fixture
def before(tmp_path: Path) -> Before:
    return Before(tmp_path)


def test_committees_of_other_sizes_and_members_one_after_the_other(before: Before) -> None:
    """4 to 7, 7 to 4, two of four exchanged, and then all of them."""
    chain, seats = before.chain, before.seats
    for epoch, members in enumerate((GROWN, SHRUNK, (1, 6, 7, 8), (2, 3, 9, 10)), 2):
        old = chain.committee(epoch - 1)
        seats.elect(named(members))
        seats.step()
        # The old committee serves until the new one holds everything.
        assert (seats.standing.current, seats.standing.pending) == (epoch - 1, epoch)
        seats.until(epoch)
        record = cs.current_epoch(chain.view)
        assert (record.previous, record.key_version) == (epoch - 1, 1)
        assert record.members == tuple(named(members))
        assert chain.committee(epoch).threshold == 2 * ((len(members) - 1) // 3) + 1
        assert public_values(chain.view, epoch) == before.public
        assert seats.held(epoch) == dict.fromkeys(sorted(named(members), key=seats.names.index), ALL)
        # For the grace the old ones keep theirs, then nothing.
        assert set(seats.held(epoch - 1)) == {seat.name for seat in old.seats}
        seats.over(epoch - 1)
        assert seats.held(epoch - 1) == {}
        assert before.evaluated(chain.committee(epoch).indices()[-chain.committee(epoch).threshold :]) == before.token
        with pytest.raises(Refused, match="not-found"):
            cs.scalar_deals(chain.view, epoch - 1, Z)
    with pytest.raises(Refused, match="not-started"):
        next_sharing_epoch(chain.view, chain.time_ms)


def test_what_was_made_before_goes_on(before: Before) -> None:
    chain, seats = before.chain, before.seats
    assert before.opened_through_the_delegation() == before.k
    for epoch, members in enumerate((GROWN, EXCHANGED), 2):
        seats.elect(named(members))
        seats.until(epoch)
        seats.over(epoch - 1)
        # The owner's delegation of epoch 1, transformed by shares of this one.
        assert before.opened_through_the_delegation() == before.k
        # The reader's key of epoch 1 opens the old record, and one that is sealed now.
        assert decapsulate(chain.parameters, before.reader, chain.verified_capsule(before.rid)) == before.k
        rid, k = chain.rid(before.owner), before.world.random(32)
        chain.put(before.owner, rid=rid, content=chain.content(before.owner, rid, POLICY, k=k))
        assert decapsulate(chain.parameters, before.reader, chain.verified_capsule(rid)) == k
        # A key issued now opens the old record, and makes delegations.
        fresh = chain.key(before.world.institution(HOSPITAL), *POLICY.split(" and "))
        assert decapsulate(chain.parameters, fresh, chain.verified_capsule(before.rid)) == before.k
        before.delegation = chain.delegate(before.owner, chain.key(before.owner), days=300)
        assert before.opened_through_the_delegation() == before.k


def test_a_share_that_is_asked_for_during_a_hand_over(before: Before) -> None:
    """The old committee transforms it until the new one is active; then that one does, and old signatures count for the grace."""
    chain, seats, world = before.chain, before.seats, before.world
    seats.elect(named(EXCHANGED))
    seats.step()
    assert before.opened_through_the_delegation() == before.k
    (share,), _ = chain.judged(HOSPITAL, {before.rid: before.delegation})
    (other,), _ = chain.judged(HOSPITAL, {before.rid: before.delegation})
    old = chain.partials(share)
    denial = ms.ShareDenial(share, named(OLD)[0], "expired", UNSIGNED)
    assert chain.reason(signed_by_member(world.network, denial, world.nodes[0].member, world.random)) == "bad-verdict"
    new = world.node(named(EXCHANGED)[3]).member
    denial = ms.ShareDenial(share, new.name, "expired", UNSIGNED)
    assert chain.reason(signed_by_member(world.network, denial, new, world.random)) == "not-a-member"
    seats.until(2)
    assert chain.reason(chain.grant_of(share, old)) == ""
    assert chain.reason(chain.grant_of(share, [*old[:2], *chain.partials(other)[-1:]])) == "wrong-request"
    seats.over(1)
    assert chain.reason(chain.grant_of(share, old)) == "wrong-epoch"
    assert chain.reason(chain.grant_of(other)) == ""


@pytest.mark.parametrize("sleeper", OLD)
def test_any_t_old_members_are_enough(tmp_path: Path, sleeper: int) -> None:
    before = Before(tmp_path)
    before.seats.silent.add(named([sleeper])[0])
    before.seats.elect(named((4, 5, 6, 7)))
    before.seats.until(2)
    assert public_values(before.chain.view, 2) == before.public
    assert sorted(cs.alpha_public(before.chain.view, 2).sharing.dealers) == [i + 1 for i in OLD if i != sleeper]
    assert before.evaluated([1, 2, 4]) == before.token


def test_fewer_than_t_old_members_hand_nothing_over_and_go_on_serving(before: Before) -> None:
    chain, seats = before.chain, before.seats
    seats.silent |= set(named([0, 3]))
    seats.elect(named((4, 5, 6, 7)))
    for _ in range(30):
        seats.step()
    record = cs.find_epoch(chain.view, 2)
    assert record is not None
    assert (len(record.alpha_dealers), record.alpha_ms) == (2, 0)
    assert all(len(phase.deals) == 2 and not phase.fixed_ms for phase in record.scalars)
    assert (seats.standing.current, seats.standing.pending) == (1, 2)
    assert before.opened_through_the_delegation() == before.k
    assert seats.held(1) == dict.fromkeys(named(OLD), ALL)  # nothing is erased before it is handed over
    # One of them comes back, however late.
    seats.silent.remove(named([3])[0])
    seats.until(2)
    assert public_values(chain.view, 2) == before.public


def test_an_elected_committee_that_never_comes_gives_way_to_the_next(before: Before) -> None:
    chain, seats = before.chain, before.seats
    seats.silent |= set(named([8, 9]))
    seats.elect(named((4, 5, 8, 9)))
    for _ in range(5):
        seats.step()
    assert (seats.standing.current, seats.standing.pending) == (1, 2)
    assert set(seats.held(2)) == set(named([4, 5]))
    seats.elect(named((4, 5, 6, 7)))
    seats.until(3)
    assert public_values(chain.view, 3) == before.public
    record = cs.current_epoch(chain.view)
    assert (record.previous, record.key_version) == (1, 1)
    assert seats.held(2) == {}  # keys of the epoch that was given up
    assert before.opened_through_the_delegation() == before.k
    seats.over(1)
    assert set(seats.held(1)) == set()


def test_once_its_list_is_closed_an_epoch_is_not_given_up(before: Before) -> None:
    chain, seats = before.chain, before.seats
    seats.elect(named((4, 5, 6, 7)))
    seats.step()
    seats.elect(named((6, 7, 8, 9)))
    assert next_sharing_epoch(chain.view, chain.time_ms) == 2
    seats.until(2)
    assert public_values(chain.view, 2) == before.public
    seats.until(3)
    assert cs.current_epoch(chain.view).members == tuple(named((6, 7, 8, 9)))
    assert public_values(chain.view, 3) == before.public
