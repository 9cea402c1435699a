"""What nobody honest does in the sharing half: to name a delegation that lets another through, to answer with a false share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.scalar_deals import ScalarPublic, ScalarShare
from salus.errors import SalusError
from salus.groups.bls12_381 import random_fr
from salus.ledger.kinds.misbehaviour import RECORDS
from salus.ledger.kinds.sharing.committee_state import current_epoch
from salus.ledger.state import StateView
from salus.network.actors import InstitutionActor, Result
from salus.node.node import Node
from salus.symmetric import Random
from salus.terminal.sharing.institution import InstitutionTerminal


class _Insisting(InstitutionTerminal):
    """A terminal that asks through the delegation it was told to, whomever that lets through."""

    through: Callable[[], bytes]

    def _way(self, view: StateView, rid: bytes, emergency: bool) -> bytes | None:
        return self.through()


class InsistingInstitution(InstitutionActor):
    """An institution that asks through any delegation it has seen on the ledger."""

    def ask_through(self, rid: str, delegation: str, purpose: str = "treatment") -> Result:
        """Ask for a record through a delegation, and say what became of it."""
        own = self._desk.institution
        asking = _Insisting.__new__(_Insisting)
        asking.__dict__.update(own.__dict__)
        asking.through = lambda: bytes.fromhex(delegation)
        (asked,) = asking.request([bytes.fromhex(rid)], purpose)
        share = own.decided(asked.share)
        return {"rid": rid, "reader": self.name, "status": share.status, "reason": share.reason}

    def convictions(self, node: str) -> Result:
        """How often the ledger has convicted a node."""
        record = RECORDS.get(self._desk.nodes.view(), node.encode())
        return {"node": node, "convictions": 0 if record is None else record.convictions}


@contextmanager
def lying(node: Node, random: Random) -> Iterator[None]:
    """Inside, the node answers with partials of a share that was never dealt to it.

    :raises SalusError: the node holds no share of Z.
    """
    around = node.sharing.around
    if Z not in around.shares.holds(current_epoch(around.view).epoch):
        raise SalusError(f"{node.name} holds no share of Z")
    honest = tamper(node, random)
    try:
        yield
    finally:
        around.shares.scalar = honest  # type: ignore[assignment, method-assign]


def tamper(node: Node, random: Random) -> Callable[[ScalarPublic, int], ScalarShare | None]:
    """Have a node take another share of Z for its own from now on; returns what gave the right one."""
    shares = node.sharing.around.shares
    honest = shares.scalar

    def lie(public: ScalarPublic, index: int) -> ScalarShare | None:
        share = honest(public, index)
        if share is None or share.purpose != Z:
            return share
        return ScalarShare(Z, share.epoch, share.index, random_fr(random))

    shares.scalar = lie  # type: ignore[method-assign]
    return honest
