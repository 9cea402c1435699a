"""Committees that change, without elections: a transaction of the tests names the new seats, and the nodes do all the rest.

``Seats`` runs the duties of every node of a :class:`SharingWorld`, each with files of its own, against one application. What an
election will have to do is what :class:`Election` does here: write the new validator set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from salus.codec import Message, Name, Size
from salus.consensus.block import MAX_VALIDATORS, Validator, ValidatorSet
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.kinds.parties import NODES, VALIDATORS
from salus.ledger.kinds.sharing import committee_state as cs
from salus.ledger.signatures import AnyClaim
from salus.ledger.state import Overlay, StateView
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.node.sharing.committee_duties import CommitteeDuties
from salus.node.sharing.errands import Errands
from salus.node.sharing.shares import ShareStore
from salus.node.sharing.surroundings import Surroundings
from support.sharing_world import SharingChain, SharingWorld, check_name

STEP_MS = 1000


class Election(Message, frozen=True):
    """Who has a seat from now on; nobody signs it, as it stands for a decision that tests do not make."""

    KIND = "test.election"
    seats: Annotated[tuple[Name, ...], Size(1, MAX_VALIDATORS)]


class _Elect:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[Election]) -> list[AnyClaim]:
        for name in tx.message.seats:
            NODES.need(view, name.encode())
        return []

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Election]) -> None:
        seats = ((name, NODES.need(state, name.encode()).record.consensus_key) for name in tx.message.seats)
        VALIDATORS.put(state, b"", ValidatorSet(tuple(Validator(*seat) for seat in seats)))


WITH_ELECTIONS = REGISTRY.extended([KindSpec(Election, _Elect(), since=2)], REGISTRY.newest)


class Seats:
    """Every node of a world, as keeper of shares.

    :ivar stores: by name of the node. :ivar silent: names of nodes that do nothing.
    """

    def __init__(self, chain: SharingChain, directory: Path) -> None:
        self.chain = chain
        self.world: SharingWorld = chain.world
        self.names = [n.member.name for n in (*self.world.nodes, *self.world.checks)]
        self.stores = {name: ShareStore(directory / name.replace("/", ".")) for name in self.names}
        self.silent: set[str] = set()
        self._duties = {name: CommitteeDuties(self.around(name)) for name in self.names}

    def around(self, name: str) -> Surroundings:
        chain, node = self.chain, self.world.node(name)
        now_ms = lambda: chain.time_ms  # noqa: E731
        secret = node.bls.export_secret()
        return Surroundings(
            self.world.network, node.member, secret, chain.application, self.stores[name], Errands(), now_ms, self.world.random
        )

    @property
    def standing(self) -> cs.SharingStatus:
        return cs.status(self.chain.view)

    def due(self) -> list[bytes]:
        """What all nodes owe the next block."""
        now_ms = self.chain.time_ms + STEP_MS
        return [raw for name in self.names if name not in self.silent for raw in self._duties[name].due(now_ms)]

    def step(self) -> None:
        """One block of what the nodes owe."""
        now_ms = self.chain.time_ms + STEP_MS
        self.chain.decide(self.chain.propose(dict.fromkeys(self.due()), now_ms), now_ms)

    def until(self, epoch: int, blocks: int = 40) -> None:
        """Blocks until an epoch is current; each node has read its shares then."""
        for _ in range(blocks):
            if self.standing.current == epoch:
                break
            self.step()
        assert self.standing.current == epoch, self.standing
        self.due()
        self._show(epoch)

    def elect(self, seats: Sequence[str]) -> None:
        """New seats; nothing else changes in that block."""
        self.chain.commit(Election(tuple(seats)))

    def over(self, epoch: int) -> None:
        """The grace of an epoch ends, and the nodes notice."""
        record = cs.find_epoch(self.chain.view, epoch)
        assert record is not None
        assert record.ends_ms
        self.chain.later(record.ends_ms - self.chain.time_ms)
        self.due()

    def held(self, epoch: int) -> dict[str, tuple[str, ...]]:
        """What each node keeps of an epoch; nodes that keep nothing are left out."""
        return {name: kinds for name, store in self.stores.items() if (kinds := store.holds(epoch))}

    def _show(self, epoch: int) -> None:
        """Give the tests' helpers what the nodes hold."""
        chain, committee = self.chain, self.chain.committee(epoch)
        for seat in committee.seats:
            store = self.stores[seat.name]
            public = cs.alpha_public(chain.view, epoch)
            share = store.alpha(public, seat.index)
            secret = store.secret(epoch)
            if share is None or secret is None:
                continue  # it slept, or left
            self.world.secrets_of[seat.name, epoch] = secret
            chain.points[seat.name, epoch] = share
            for purpose in cs.SCALAR_PURPOSES:
                scalar = store.scalar(cs.scalar_public(chain.view, epoch, purpose), seat.index)
                assert scalar is not None
                chain.shares[purpose, seat.name, epoch] = scalar


def public_values(view: Any, epoch: int) -> tuple[Any, Any, Any]:
    """Y, Z and the key of tokens."""
    return (cs.alpha_public(view, epoch).Y, *(cs.scalar_public(view, epoch, purpose).key for purpose in cs.SCALAR_PURPOSES))


def electing_chain(world: SharingWorld) -> SharingChain:
    """A chain on which seats can be changed."""
    return world.chain(registry=WITH_ELECTIONS)


def named(seats: Iterable[int]) -> list[str]:
    """Names of nodes by number: 0 .. 3 have the seats of genesis, the others are check nodes."""
    return [f"hospital-{i}/node" if i < 4 else check_name(i - 4) for i in seats]
