"""The access log of a scope: a proof at a certified header shows that nothing was dropped."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from salus.consensus.block import Block, Certificate
from salus.errors import Refused
from salus.ledger import queries as q
from salus.ledger.kinds.sharing.access_log import ENTRIES, LOGS, AccessEntry, entry_key, log_state, verify_access_log
from salus.ledger.merkle_log import EMPTY_LOG, LogState
from salus.ledger.proofs import verify_state
from support.sharing_world import CLINIC, HOSPITAL, POLICY, SharingChain

Entries = list[AccessEntry]


@pytest.fixture
def scope(granted: SharingChain) -> bytes:
    """A scope with a history of nine acts."""
    owner = granted.owner()
    own_key = granted.key(owner)
    rid = granted.put(owner, POLICY)
    delegation = granted.delegate(owner, own_key)
    (share,), _ = granted.judged(HOSPITAL, {rid: delegation})
    granted.commit(granted.grant_of(share))
    granted.judged(HOSPITAL, {rid: None})
    granted.judged(CLINIC, {rid: None})
    granted.commit(granted.revocation(owner, delegation))
    granted.later(1000)
    return owner.scope


def proven(chain: SharingChain, kind: str, *raws: bytes) -> tuple[bytes | None, ...]:
    """What a light client believes: values under a certified header, or their absence."""
    query = q.StateQuery(kind, raws)
    proof = q.StateProof.decode(chain.application.query(q.STATE, query.encode()))
    return verify_state(proof, query, chain.world.network, chain.world.validators)


def fetched(chain: SharingChain, scope: bytes) -> tuple[LogState | None, Entries]:
    """The log and its entries as a node hands them to anyone."""
    (value,) = proven(chain, LOGS.kind, scope)
    log = None if value is None else LogState.decode(value)
    entries = [] if log is None else [ENTRIES.need(chain.view, entry_key(scope, i)) for i in range(log.count)]
    return log, entries


def test_every_act_is_in_the_log_in_order(granted: SharingChain, scope: bytes) -> None:
    log, entries = fetched(granted, scope)
    assert [(e.act, e.reader) for e in entries] == [
        ("put", ""),
        ("delegated", ""),
        ("asked", HOSPITAL),
        ("granted", HOSPITAL),
        ("asked", HOSPITAL),
        ("granted", HOSPITAL),
        ("asked", CLINIC),
        ("waiting", CLINIC),
        ("revoked", ""),
    ]
    assert [e.via for e in entries] == ["", "delegation", "", "delegation", "", "policy", "", "", ""]
    verify_access_log(scope, log, entries)
    for entry in entries:
        assert granted.application.position(entry.tx_hash) is not None


def dropped_last(entries: Entries) -> Entries:
    return entries[:-1]


def dropped_first(entries: Entries) -> Entries:
    return [replace(e, number=i) for i, e in enumerate(entries[1:])]


def altered(entries: Entries) -> Entries:
    return [*entries[:2], replace(entries[2], reader=CLINIC), *entries[3:]]


def swapped(entries: Entries) -> Entries:
    one, two = replace(entries[1], number=2), replace(entries[2], number=1)
    return [entries[0], two, one, *entries[3:]]


def repeated(entries: Entries) -> Entries:
    return [*entries, replace(entries[-1], number=len(entries))]


@pytest.mark.parametrize("lie", [dropped_last, dropped_first, altered, swapped, repeated])
def test_an_altered_log_is_noticed(granted: SharingChain, scope: bytes, lie: Callable[[Entries], Entries]) -> None:
    log, entries = fetched(granted, scope)
    with pytest.raises(Refused, match="bad-proof"):
        verify_access_log(scope, log, lie(entries))


def test_any_one_dropped_entry_is_noticed_even_with_a_log_of_the_liars_own(granted: SharingChain, scope: bytes) -> None:
    log, entries = fetched(granted, scope)
    for place in range(len(entries)):
        kept = [replace(e, number=i) for i, e in enumerate(entries[:place] + entries[place + 1 :])]
        with pytest.raises(Refused, match="bad-proof"):
            verify_access_log(scope, log, kept)
        # Where the (count, peaks) is the node's word, and not the map's, the lie passes: the proof is what notices it.
        verify_access_log(scope, EMPTY_LOG.extended([e.leaf() for e in kept]), kept)


def test_a_log_that_is_said_not_to_be_there_is_noticed(granted: SharingChain, scope: bytes) -> None:
    assert proven(granted, LOGS.kind, bytes(32)) == (None,)
    verify_access_log(bytes(32), None, [])
    query = q.StateQuery(LOGS.kind, (scope,))
    proof = q.StateProof.decode(granted.application.query(q.STATE, query.encode()))
    hidden = replace(proof, values=(replace(proof.values[0], value=None),))
    with pytest.raises(Refused, match="bad-proof"):
        verify_state(hidden, query, granted.world.network, granted.world.validators)


def test_entries_prove_themselves_too(granted: SharingChain, scope: bytes) -> None:
    count = log_state(granted.view, scope).count
    values = proven(granted, ENTRIES.kind, *(entry_key(scope, i) for i in range(count)))
    assert [AccessEntry.decode(v) for v in values if v is not None] == fetched(granted, scope)[1]
    assert proven(granted, ENTRIES.kind, entry_key(scope, count)) == (None,)


def test_an_older_header_proves_an_older_log(granted: SharingChain, scope: bytes) -> None:
    """Complete as of the header's time: verifiers refuse headers older than they accept."""
    log, entries = fetched(granted, scope)
    block, certificate = granted.records[-1]
    assert Block.decode(block).header.height == Certificate.decode(certificate).height
    assert log is not None
    older = EMPTY_LOG.extended([e.leaf() for e in entries[:-1]])
    verify_access_log(scope, older, entries[:-1])
    assert older.count < log.count
