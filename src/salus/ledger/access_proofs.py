"""A scope's access log as one message that proves itself complete, offline, from signatures and Merkle proofs alone.

Steps: docs/protocol/sharing-ledger.md, "access log". Files for auditors are made of these: :mod:`salus.ledger.access_export`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec.structs import replace

from salus.codec import Bytes32, Message, Size
from salus.consensus.block import ValidatorSet
from salus.errors import Refused, refuse_unless
from salus.ledger import queries as q
from salus.ledger.kinds.sharing.access_log import ENTRIES, LOGS, AccessEntry, entry_key, first_false, verify_access_log
from salus.ledger.merkle_log import EMPTY_LOG, HASH_BYTES, LogState
from salus.ledger.proofs import verify_state

ENTRIES_MAX: Final = 1 << 16
"""Entries of one scope's log in one file: a scope is a quarter of one category."""

Ask = Callable[[str, bytes], bytes]
"""(path, question) -> answer of a node, which nobody has to believe."""


class AccessLogProof(Message, frozen=True):
    """A scope's log: its entries, and the map's word for (count, peaks) under a certified header.

    :ivar leaves: the entries' leaf hashes side by side. They prove nothing beyond the peaks; with them the verifier can name
        the entry that is wrong.
    """

    KIND = "access.proof"

    scope: Bytes32
    log: q.StateProof
    entries: Annotated[tuple[AccessEntry, ...], Size(0, ENTRIES_MAX)]
    leaves: Annotated[bytes, Size(0, HASH_BYTES * ENTRIES_MAX)]


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
    return AccessLogProof(scope, log, tuple(entries), b"".join(entry.leaf() for entry in entries))


def verify_access_proof(
    proof: AccessLogProof, scope: bytes, network: bytes, validators: ValidatorSet, not_before_ms: int = 0
) -> CompleteLog:
    """Whether a file holds the whole access log of a scope as of its header's time (access log, step 3).

    :param not_before_ms: a header older than this is refused: an old file is complete, but only as of then.
    :raises Refused: ``bad-proof`` (the detail names the entry), ``no-quorum``, ``bad-signature``, ``unknown-party``,
        ``bad-time``.
    """
    refuse_unless(proof.scope == scope, "bad-proof", "the file is another scope's")
    (value,) = verify_state(proof.log, q.StateQuery(LOGS.kind, (scope,)), network, validators)
    header = proof.log.certified.header
    refuse_unless(header.time_ms >= not_before_ms, "bad-time", f"the header is of {header.time_ms}, older than is accepted")
    log = EMPTY_LOG if value is None else LogState.decode(value)
    leaves = [proof.leaves[i : i + HASH_BYTES] for i in range(0, len(proof.leaves), HASH_BYTES)]
    listed = len(leaves) == log.count and first_false(log, leaves) is None
    # The list of leaf hashes only helps to name the entry; what decides are count and peaks.
    fault = name_fault(leaves, proof.entries) if listed else ""
    refuse_unless(not fault, "bad-proof", fault)
    verify_access_log(scope, log, proof.entries)
    refuse_unless(listed, "bad-proof", "the entries are the log's, but the list of their hashes in the file is not")
    return CompleteLog(scope, proof.entries, header.time_ms, header.height - 1)


def name_fault(leaves: Sequence[bytes], entries: Sequence[AccessEntry]) -> str:
    """What is wrong with the entries, and with which; empty if nothing is.

    :param leaves: the log's true leaf hashes. An entry that was moved is known by its hash at its true place.
    """
    for place, leaf in enumerate(leaves):
        if place >= len(entries):
            return _missing(range(place, len(leaves)))
        if entries[place].leaf() != leaf:
            return _fault_at(place, leaves, entries)
    return f"entry {len(leaves)} is added: the log has {len(leaves)}" if len(entries) > len(leaves) else ""


def _fault_at(place: int, leaves: Sequence[bytes], entries: Sequence[AccessEntry]) -> str:
    """Where the entry at ``place`` comes from, and where the one that belongs there is, tell what was done."""
    true = _true_place(entries[place], leaves)
    more = len(entries) > len(leaves)
    if true is None:
        return f"entry {place} is added: it is none of the log's" if more else f"entry {place} is altered, or another one's"
    if more:
        return f"entry {place} is added: it is entry {true} again, or moved"
    there = (at for at in range(place + 1, len(entries)) if replace(entries[at], number=place).leaf() == leaves[place])
    found = next(there, None)
    if found is None and true > place:
        return _missing(range(place, true))
    if found == true:
        return f"entries {place} and {true} are swapped"
    return f"entry {place} is not in its place: entry {true} stands there"


def _true_place(entry: AccessEntry, leaves: Sequence[bytes]) -> int | None:
    """Where an entry stands in the log, whatever number it was given."""
    return next((place for place, leaf in enumerate(leaves) if replace(entry, number=place).leaf() == leaf), None)


def _missing(places: range) -> str:
    if len(places) == 1:
        return f"entry {places.start} is missing"
    return f"entries {places.start} to {places.stop - 1} are missing"


def _entries(values: Sequence[q.StateValue]) -> list[AccessEntry]:
    found = []
    for value in values:
        if value.value is None:
            raise Refused("bad-proof", "the node lacks an entry of the log")
        found.append(AccessEntry.decode(value.value))
    return found
