"""Transactions: one message each, dispatched by (kind, version) to the module that knows it.

A :class:`Registry` says which kinds exist and from which protocol version on they are active; ``protocol.activate``
moves the chain from one protocol version to the next at a height that everybody knows beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from salus.codec import Message, decode
from salus.consensus.block import transaction_hash
from salus.errors import CodecError, Refused, refuse_unless
from salus.ledger.constants import Constants
from salus.ledger.signatures import AnyClaim
from salus.ledger.state import Overlay, StateView

MAX_TRANSACTION_BYTES: Final = 80 * 1024
"""One transaction: a registration or 256 slots take 10 KiB, a record with 128 attributes and 2,048 tags 70, evidence against an
answer to 1,024 words 65; bodies and attachments never enter a block."""

M = TypeVar("M", bound=Message)


class Transaction(msgspec.Struct, Generic[M], frozen=True):
    """A decoded transaction.

    :ivar raw: its encoding. :ivar hash: ``H2("tx", raw)``. :ivar message: the message.
    """

    raw: bytes
    hash: bytes
    message: M


class Event(msgspec.Struct, frozen=True):
    """Something that followers of the chain act upon.

    :ivar name: e.g. ``"epoch.started"``.
    :ivar subject: what it is about: an encoded key of the state.
    """

    name: str
    subject: bytes


class BlockContext(msgspec.Struct):
    """What checks and effects may know of the block beside the state.

    :ivar network: network id, 32 bytes. :ivar Pub: the centre's public key, 32 bytes.
    :ivar version: protocol version active at this height.
    :ivar missed: names whose turn was missed before this block.
    :ivar due: (due time, kind, raw key) of expiring values written in this block.
    :ivar looked_up: a transaction's hash and what its check looked up, for its effect; void once anything is applied.
    """

    network: bytes
    Pub: bytes
    height: int
    time_ms: int
    proposer: str
    version: int
    constants: Constants
    due: list[tuple[int, str, bytes]]
    events: list[Event]
    looked_up: tuple[bytes, Any] | None = None

    def expire(self, due_ms: int, kind: str, raw: bytes) -> None:
        """Queue an expiring value for the clean-up."""
        self.due.append((due_ms, kind, raw))

    def emit(self, name: str, subject: bytes) -> None:
        """Tell followers."""
        self.events.append(Event(name, subject))


class Kind(Protocol):
    """One transaction kind: its public checks and its effect."""

    def check(self, view: StateView, context: BlockContext, tx: Transaction[Any]) -> Sequence[AnyClaim]:
        """Public checks, in the state in front of this transaction; signatures are returned, not verified.

        :raises Refused: with a reason code.
        """

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[Any]) -> None:
        """Write the effect of a checked transaction; never refuses."""


class KindSpec(msgspec.Struct, frozen=True):
    """A registered kind.

    :ivar message: message type; its KIND and VERSION are what transactions carry.
    :ivar module: checks and effect.
    :ivar anonymous: its message has an ``envelope()``, which the nodes' secret checks open.
    :ivar spends: what only one committed message of it can spend, empty for nothing: of those that spend the same, one waits.
    :ivar since: first protocol version in which it is active. :ivar until: first in which it is not any more (0: none).
    """

    message: type[Message]
    module: Kind
    since: int = 1
    until: int = 0
    anonymous: bool = False
    spends: Callable[[Any], bytes] | None = None


class Registry:
    """All kinds that this software knows.

    :ivar newest: the newest protocol version this software can apply.
    """

    def __init__(self, kinds: Iterable[KindSpec], newest: int = 1) -> None:
        self._kinds: dict[tuple[str, int], KindSpec] = {}
        for spec in kinds:
            name = (spec.message.KIND, spec.message.VERSION)
            if name in self._kinds:
                raise ValueError(f"two transaction kinds {name}")
            self._kinds[name] = spec
        self.newest = newest

    def extended(self, kinds: Iterable[KindSpec], newest: int) -> Registry:
        """This registry with more kinds, for a newer protocol version."""
        return Registry([*self._kinds.values(), *kinds], newest)

    def decode(self, raw: bytes) -> Transaction[Any]:
        """Decode a transaction of any kind known here, active or not.

        :raises Refused: ``too-large``, ``bad-encoding``, ``unknown-kind``.
        """
        refuse_unless(len(raw) <= MAX_TRANSACTION_BYTES, "too-large", f"a transaction of {len(raw)} bytes")
        value = decode(raw)
        if type(value) is not tuple or len(value) < 2 or type(value[0]) is not str or type(value[1]) is not int:
            raise CodecError("a transaction is the encoding of one message")
        spec = self._kinds.get((value[0], value[1]))
        if spec is None:
            raise Refused("unknown-kind", f"{value[0][:64]!r} version {value[1]}")
        return Transaction(raw, transaction_hash(raw), spec.message.from_value(value))

    def spec(self, message: Message, version: int) -> KindSpec:
        """The kind of a message, if it is active in protocol ``version``.

        :raises Refused: ``inactive-version``.
        """
        spec = self._kinds[(message.KIND, message.VERSION)]
        if spec.since <= version and (spec.until == 0 or version < spec.until):
            return spec
        raise Refused("inactive-version", f"{message.KIND} version {message.VERSION} in protocol version {version}")

    def is_anonymous(self, message: Message) -> bool:
        """Whether a message travels in an anonymous envelope."""
        return self._kinds[(message.KIND, message.VERSION)].anonymous

    def spends(self, message: Message) -> bytes:
        """What only one committed message can spend: the nullifier of an anonymous envelope, or what its kind says."""
        spec = self._kinds[(message.KIND, message.VERSION)]
        if spec.anonymous:
            nf: bytes = message.envelope().nf  # type: ignore[attr-defined]
            return nf
        return b"" if spec.spends is None else spec.spends(message)

    def kinds(self) -> list[KindSpec]:
        """All registered kinds, by name and version."""
        return [self._kinds[name] for name in sorted(self._kinds)]
