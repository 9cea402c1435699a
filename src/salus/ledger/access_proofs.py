"""A scope's access log as one file that proves itself complete, offline, from signatures and Merkle proofs alone.

Steps: docs/protocol/sharing-ledger.md, "access log".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec

from salus.codec import Bytes32, Message, Size
from salus.consensus.block import ValidatorSet
from salus.errors import Refused, refuse_unless
from salus.ledger import queries as q
from salus.ledger.kinds.sharing.access_log import ENTRIES, LOGS, AccessEntry, entry_key, verify_access_log
from salus.ledger.merkle_log import LogState
from salus.ledger.proofs import verify_state

ENTRIES_MAX: Final = 1 << 16
"""Entries of one scope's log in one file: a scope is a quarter of one category."""

Ask = Callable[[str, bytes], bytes]
"""(path, question) -> answer of a node, which nobody has to believe."""


class AccessLogProof(Message, frozen=True):
    """A scope's log: its entries, and the map's word for (count, peaks) under a certified header."""

    KIND = "access.proof"

    scope: Bytes32
    log: q.StateProof
    entries: Annotated[tuple[AccessEntry, ...], Size(0, ENTRIES_MAX)]


class CompleteLog(msgspec.Struct, frozen=True):
    """A log that was proven complete.

    :ivar as_of_ms: time of the header that proves it. :ivar height: the state's.
    """

    scope: bytes
    entries: tuple[AccessEntry, ...]
    as_of_ms: int
    height: int


def fetch_access_log(ask: Ask, scope: bytes) -> AccessLogProof:
    """Fetch a scope's log from a node (access log, step 2); :func:`verify_access_proof` tells whether it is all of it.

    :raises Refused: ``not-committed`` before there is a certified header, ``too-large``, ``bad-proof``.
    """
    log = q.StateProof.decode(ask(q.STATE, q.StateQuery(LOGS.kind, (scope,)).encode()))
    value = log.values[0].value
    count = 0 if value is None else LogState.decode(value).count
    refuse_unless(count <= ENTRIES_MAX, "too-large", f"a log of {count} entries; at most {ENTRIES_MAX} go into one file")
    entries: list[AccessEntry] = []
    for start in range(0, count, q.KEYS_A_QUERY):
        raws = tuple(entry_key(scope, i) for i in range(start, min(count, start + q.KEYS_A_QUERY)))
        answer = q.StateProof.decode(ask(q.STATE, q.StateQuery(ENTRIES.kind, raws).encode()))
        entries += _entries(answer.values)
    return AccessLogProof(scope, log, tuple(entries))


def verify_access_proof(
    proof: AccessLogProof, scope: bytes, network: bytes, validators: ValidatorSet, not_before_ms: int = 0
) -> CompleteLog:
    """Whether a file holds the whole access log of a scope as of its header's time (access log, step 3).

    :param not_before_ms: a header older than this is refused: an old file is complete, but only as of then.
    :raises Refused: ``bad-proof``, ``no-quorum``, ``bad-signature``, ``unknown-party``, ``bad-time``.
    """
    refuse_unless(proof.scope == scope, "bad-proof", "the file is another scope's")
    (value,) = verify_state(proof.log, q.StateQuery(LOGS.kind, (scope,)), network, validators)
    header = proof.log.certified.header
    refuse_unless(header.time_ms >= not_before_ms, "bad-time", f"the header is of {header.time_ms}, older than is accepted")
    verify_access_log(scope, None if value is None else LogState.decode(value), proof.entries)
    return CompleteLog(scope, proof.entries, header.time_ms, header.height - 1)


def _entries(values: Sequence[q.StateValue]) -> list[AccessEntry]:
    found = []
    for value in values:
        if value.value is None:
            raise Refused("bad-proof", "the node lacks an entry of the log")
        found.append(AccessEntry.decode(value.value))
    return found
