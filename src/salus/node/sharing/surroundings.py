"""What every part of a node's sharing half works with."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from salus.consultation.registration import MemberKey
from salus.ledger.application import LedgerApplication
from salus.ledger.kinds.protocol import active_version
from salus.ledger.kinds.sharing.constants import SHARING_VERSION
from salus.ledger.state import StateView
from salus.node.sharing.errands import Errands
from salus.node.sharing.shares import ShareStore
from salus.symmetric import Random


class Surroundings(msgspec.Struct, frozen=True):
    """One node's ledger, keys and ways to others.

    :ivar network: 32 bytes. :ivar member: signs under the node's long-term key. :ivar bls_secret: 32 bytes.
    :ivar now_ms: clock, UTC milliseconds.
    """

    network: bytes
    member: MemberKey
    bls_secret: bytes
    application: LedgerApplication
    shares: ShareStore
    errands: Errands
    now_ms: Callable[[], int]
    random: Random

    @property
    def name(self) -> str:
        """The node's name."""
        return self.member.name

    @property
    def view(self) -> StateView:
        """The committed state."""
        return self.application.view()

    @property
    def time_ms(self) -> int:
        """Block time of the last committed block."""
        return self.application.info().last_time_ms

    @property
    def active(self) -> bool:
        """Whether the kinds of sharing are active in the next block."""
        return active_version(self.view, self.application.info().height + 1) >= SHARING_VERSION

    def __repr__(self) -> str:
        return f"Surroundings({self.name})"
