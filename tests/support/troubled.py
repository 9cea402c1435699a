"""Terminals whose calls a test stands in front of, and nodes that lie with what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from salus.abpre.threshold.alpha import PointShare
from salus.abpre.threshold.scalar_deals import ScalarShare
from salus.errors import Refused, TransportError
from salus.groups.bls12_381 import random_fr
from salus.groups.ristretto255 import random_scalar
from salus.ledger.kinds.misbehaviour import RECORDS
from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.node.node import Node
from salus.terminal.sharing.desk import SharingDesk
from support.interposed import Forward, Interposed, Stand

LOOKS = 3


def interposed_desk(actor: Actor, stands: dict[str, Stand]) -> SharingDesk:
    """The sharing half of a person's terminal, with the test between it and everybody else."""
    around = actor._around
    transport = Interposed(around.transport, stands)
    return SharingDesk(actor._wallet, around.ledger, transport, around.centre(), around.now_ms, around.random)


@contextmanager
def impatient(terminal: SharingDesk) -> Iterator[None]:
    """Inside, a terminal looks a few times for what it waits for, however long that takes, and gives up."""
    ledger: Any = terminal.nodes.ledger

    def wait(look: Callable[[], Any], what: str) -> Any:
        for _ in range(LOOKS):
            if (found := look()) is not None:
                return found
        raise TransportError(f"{what} was not seen in time")

    ledger.wait = wait
    try:
        yield
    finally:
        del ledger.wait


def of(names: Iterable[str], stand: Stand) -> Stand:
    """``stand`` in front of some parties; the others answer for themselves."""
    chosen = frozenset(names)

    def choose(party: str, body: bytes, forward: Forward) -> bytes:
        return stand(party, body, forward) if party in chosen else forward(body)

    return choose


def silent(party: str, _body: bytes, _forward: Forward) -> bytes:
    """Nobody answers."""
    raise TransportError(f"{party} does not answer")


def refusing(reason: str) -> Stand:
    """A refusal in place of every answer."""

    def refuse(party: str, _body: bytes, _forward: Forward) -> bytes:
        raise Refused(reason, f"{party} will not")

    return refuse


def late(looks: int) -> Stand:
    """No answer to the first calls, then the right one."""
    left = [looks]

    def wait(party: str, body: bytes, forward: Forward) -> bytes:
        left[0] -= 1
        if left[0] >= 0:
            return silent(party, body, forward)
        return forward(body)

    return wait


def changed(change: Callable[[bytes], bytes]) -> Stand:
    """The party's own answer, changed on its way."""

    def answer(_party: str, body: bytes, forward: Forward) -> bytes:
        return change(forward(body))

    return answer


def convictions(network: EmbeddedNetwork, node: str) -> int:
    """How often the ledger has convicted a node."""
    record = RECORDS.get(network.nodes[0].application.view(), node.encode())
    return 0 if record is None else record.convictions


@contextmanager
def false_alpha(network: EmbeddedNetwork, node: Node) -> Iterator[None]:
    """Inside, a node issues partial keys of another node's share."""
    held: dict[int, Any] = node.sharing.around.shares._alpha
    epoch = max(held)
    honest, other = held[epoch], next(n for n in network.nodes if n is not node)
    held[epoch] = PointShare(epoch, honest.index, other.sharing.around.shares._alpha[epoch].S)
    try:
        yield
    finally:
        held[epoch] = honest


@contextmanager
def false_scalar(network: EmbeddedNetwork, node: Node, purpose: str) -> Iterator[None]:
    """Inside, a node answers with a share of ``z`` or ``oprf`` that was never dealt to it."""
    held: dict[tuple[str, int], ScalarShare] = node.sharing.around.shares._scalars
    place = max(key for key in held if key[0] == purpose)
    honest = held[place]
    value = random_fr(network.random) if purpose == "z" else random_scalar(network.random)
    held[place] = ScalarShare(honest.purpose, honest.epoch, honest.index, value)
    try:
        yield
    finally:
        held[place] = honest
