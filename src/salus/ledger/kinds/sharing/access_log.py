"""The access log of a scope: an RFC 6962 log whose (count, peaks) sits in the state map, so that nobody can drop an entry.

A map proof at a certified header together with the entries proves the log complete as of that header's time.
Steps: docs/protocol/sharing-ledger.md, "access log".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from salus.codec import Bytes16, Bytes32, Label, Message, Size
from salus.errors import Refused, refuse_unless
from salus.ledger.merkle_log import EMPTY_LOG, LogState
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext
from salus.merkle import leaf_hash, tree_root

PUT: Final = "put"
SUPERSEDED: Final = "superseded"
REPOLICIED: Final = "repolicied"
ROTATED: Final = "rotated"
ERASED: Final = "erased"
ASKED: Final = "asked"
GRANTED: Final = "granted"
DENIED: Final = "denied"
WAITING: Final = "waiting"
CONSENTED: Final = "consented"
REFUSED: Final = "refused"
DELEGATED: Final = "delegated"
REVOKED: Final = "revoked"
OF_RECORDS: Final = (PUT, SUPERSEDED, REPOLICIED, ROTATED, ERASED)
OF_SHARES: Final = (ASKED, WAITING, GRANTED, DENIED, CONSENTED, REFUSED)
OF_DELEGATIONS: Final = (DELEGATED, REVOKED)
ACTS: Final = (*OF_RECORDS, *OF_SHARES, *OF_DELEGATIONS)


class AccessEntry(Message, frozen=True):
    """One act about a scope.

    :ivar number: place in the scope's log, from 0. :ivar act: one of :data:`ACTS`.
    :ivar share, rid, delegation: what it is about, None where it does not apply.
    :ivar reader: the institution, empty for the owner's own acts. :ivar purpose: of use; ``emergency`` marks emergencies.
    :ivar via: ``policy``, ``delegation`` or ``emergency``, else empty. :ivar reason: reason code of a denial, else empty.
    :ivar tx_hash, height, time_ms: the transaction that did it.
    """

    KIND = "access.entry"

    scope: Bytes32
    number: int
    act: Label
    share: Bytes32 | None
    rid: Bytes16 | None
    delegation: Bytes32 | None
    reader: Annotated[str, Size(0, 128)]
    purpose: Annotated[str, Size(0, 64)]
    via: Annotated[str, Size(0, 64)]
    reason: Annotated[str, Size(0, 64)]
    tx_hash: Bytes32
    height: int
    time_ms: int

    def leaf(self) -> bytes:
        """Leaf hash in the scope's log, 32 bytes."""
        return leaf_hash(self.encode())


LOGS: Final = Table("access-log", LogState)
"""Raw key: x."""
ENTRIES: Final = Table("access-entry", AccessEntry, shared=False)
"""Raw key: x and the entry's number (8 bytes)."""


def entry_key(scope: bytes, number: int) -> bytes:
    """Raw key in :data:`ENTRIES`."""
    return scope + number.to_bytes(8, "big")


def log_state(view: StateView, scope: bytes) -> LogState:
    """(count, peaks) of a scope's log."""
    return LOGS.get(view, scope) or EMPTY_LOG


def read_entries(view: StateView, scope: bytes) -> list[AccessEntry]:
    """All entries of a scope, for readers."""
    return [ENTRIES.need(view, entry_key(scope, number)) for number in range(log_state(view, scope).count)]


def log(
    state: Overlay,
    context: BlockContext,
    tx_hash: bytes,
    scope: bytes,
    act: str,
    *,
    share: bytes | None = None,
    rid: bytes | None = None,
    delegation: bytes | None = None,
    reader: str = "",
    purpose: str = "",
    via: str = "",
    reason: str = "",
) -> None:
    """Append an entry to a scope's log (access log, step 1)."""
    before = log_state(state, scope)
    entry = AccessEntry(
        scope, before.count, act, share, rid, delegation, reader, purpose, via, reason, tx_hash, context.height, context.time_ms
    )
    ENTRIES.put(state, entry_key(scope, before.count), entry)
    LOGS.put(state, scope, before.extended([entry.leaf()]))


def verify_access_log(scope: bytes, proven: LogState | None, entries: Sequence[AccessEntry]) -> None:
    """Whether these are all entries of a scope's log, unaltered and in order (access log, step 3).

    :param proven: (count, peaks) as a map proof under a certified header gave it; None if the map proves that there is no log.
    :raises Refused: ``bad-proof``: an entry was dropped, added, altered or moved; the detail names it as far as they can tell.
    """
    expected = EMPTY_LOG if proven is None else proven
    expected.check()
    for number, entry in enumerate(entries):
        refuse_unless(entry.scope == scope, "bad-proof", f"entry {number} is another scope's")
        refuse_unless(entry.number == number, "bad-proof", f"entry {number} is missing: entry {entry.number} stands in its place")
    count = len(entries)
    refuse_unless(count >= expected.count, "bad-proof", f"an entry is missing: there are {count}; the log has {expected.count}")
    refuse_unless(count <= expected.count, "bad-proof", f"an entry is added: there are {count}; the log has {expected.count}")
    if (false := first_false(expected, [entry.leaf() for entry in entries])) is not None:
        raise Refused(
            "bad-proof", f"of entries {false.start} to {false.stop - 1} one is not the log's: altered, moved or replaced"
        )


def first_false(expected: LogState, leaves: Sequence[bytes]) -> range | None:
    """The first stretch of leaf hashes that does not give its peak; None if all do.

    :param leaves: as many as ``expected`` counts.
    """
    start, peaks = 0, iter(expected.peaks)
    for bit in reversed(range(expected.count.bit_length())):
        if expected.count >> bit & 1:
            stop = start + (1 << bit)
            if tree_root(leaves[start:stop]) != next(peaks):
                return range(start, stop)
            start = stop
    return None
