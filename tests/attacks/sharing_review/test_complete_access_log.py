"""Claim: an access log that verifies is complete. Whoever hands it out drops, swaps, alters and adds every single entry in turn.

Each lie is told to the auditor twice: as a careless liar, who cuts an entry out, and as one who renumbers the rest and lists leaf
hashes to match, so that the entries look whole in themselves. Against a verifier that takes count and peaks from the file, and
not from the ledger's state, the second passes: the proof is what notices it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from salus.codec import Bytes32
from salus.errors import Refused
from salus.ledger import queries as q
from salus.ledger.access_export import AccessExport, AuditedAccess, verify_access_export
from salus.ledger.kinds.sharing.access_log import ACTS, AccessEntry, verify_access_log
from salus.ledger.merkle_log import EMPTY_LOG, LogState
from support.audit_world import audit_file, eventful
from support.sharing_world import CLINIC, HOSPITAL, SharingChain, SharingWorld, granted_world

Entries = tuple[AccessEntry, ...]
Lie = Callable[[Entries, int], Entries]


@pytest.fixture(scope="module")
def chain() -> SharingChain:
    chain = SharingWorld().chain().set_up()
    granted_world(chain)
    return chain


@pytest.fixture(scope="module")
def whole(chain: SharingChain) -> AccessExport:
    """The true file, of a scope where everything happened, and of one that was only opened."""
    scopes = (eventful(chain).scope, chain.owner("another").scope)
    chain.later(1000)
    return audit_file(chain, *scopes)


def lied(export: AccessExport, entries: Sequence[AccessEntry], leaves: bytes | None = None) -> AccessExport:
    """The file with other entries in its first scope."""
    scope = export.scopes[0]
    log = replace(scope.log, entries=tuple(entries), leaves=scope.log.leaves if leaves is None else leaves)
    return replace(export, scopes=(replace(scope, log=log), *export.scopes[1:]))


def verify(chain: SharingChain, export: AccessExport) -> AuditedAccess:
    """What an auditor runs, on the bytes."""
    return verify_access_export(AccessExport.decode(export.encode()), chain.world.network)


def refusal(chain: SharingChain, export: AccessExport) -> str:
    with pytest.raises(Refused) as refused:
        verify(chain, export)
    assert refused.value.reason == "bad-proof"
    return refused.value.detail


def renumbered(entries: Sequence[AccessEntry]) -> Entries:
    return tuple(replace(entry, number=number) for number, entry in enumerate(entries))


def dropped(entries: Entries, place: int) -> Entries:
    return entries[:place] + entries[place + 1 :]


def repeated(entries: Entries, place: int) -> Entries:
    return (*entries[: place + 1], *entries[place:])


def swapped(entries: Entries, place: int) -> Entries:
    other = (place + 1) % len(entries)
    order = list(entries)
    order[place], order[other] = order[other], order[place]
    return tuple(order)


def altered(entries: Entries, place: int) -> Entries:
    entry = entries[place]
    return (*entries[:place], replace(entry, reader=CLINIC if entry.reader == HOSPITAL else HOSPITAL), *entries[place + 1 :])


def invented(entries: Entries, place: int) -> Entries:
    made = replace(entries[place], time_ms=entries[place].time_ms + 1)
    return (*entries[:place], made, *entries[place:])


LIES: tuple[Lie, ...] = (dropped, repeated, swapped, altered, invented)


def leaves_of(entries: Sequence[AccessEntry]) -> bytes:
    return b"".join(entry.leaf() for entry in entries)


def test_the_true_file_verifies_and_holds_every_kind_of_act(chain: SharingChain, whole: AccessExport) -> None:
    audited = verify(chain, whole)
    assert {entry.act for entry in audited.scopes[0].entries} == set(ACTS)
    assert audited.scopes[1].entries == ()
    assert all(scope.opened_ms for scope in audited.scopes)


def told(whole: AccessExport) -> Iterator[tuple[Lie, int]]:
    return ((lie, place) for lie in LIES for place in range(len(whole.scopes[0].log.entries)))


def test_every_lie_about_any_one_entry_is_noticed(chain: SharingChain, whole: AccessExport) -> None:
    entries = whole.scopes[0].log.entries
    for lie, place in told(whole):
        cut = lie(entries, place)
        refusal(chain, lied(whole, cut))
        refusal(chain, lied(whole, renumbered(cut)))
        refusal(chain, lied(whole, renumbered(cut), leaves_of(renumbered(cut))))


def test_the_same_lies_pass_where_count_and_peaks_are_the_files_own(whole: AccessExport) -> None:
    """The version without the check: (count, peaks) as the file's entries give them."""
    scope = whole.scopes[0].log
    for lie, place in told(whole):
        made = renumbered(lie(scope.entries, place))
        verify_access_log(scope.scope, EMPTY_LOG.extended([entry.leaf() for entry in made]), made)


def test_peaks_alone_or_the_count_alone_do_not_do(whole: AccessExport) -> None:
    """A verifier that compares only the number of entries takes an altered one; one that compares only hashes, a shorter log."""
    scope = whole.scopes[0].log
    value = scope.log.values[0].value
    assert value is not None
    true = LogState.decode(value)
    changed = altered(scope.entries, 3)
    only_count = EMPTY_LOG.extended([entry.leaf() for entry in changed])
    assert only_count.count == true.count
    verify_access_log(scope.scope, only_count, changed)
    shorter = scope.entries[: 1 << (true.count.bit_length() - 1)]
    only_peaks = EMPTY_LOG.extended([entry.leaf() for entry in shorter])
    assert only_peaks.peaks == true.peaks[:1]
    verify_access_log(scope.scope, only_peaks, shorter)
    with pytest.raises(Refused, match="missing"):
        verify_access_log(scope.scope, true, shorter)


@pytest.mark.parametrize("careful", [False, True], ids=["numbers left", "renumbered"])
def test_the_entry_is_named(chain: SharingChain, whole: AccessExport, careful: bool) -> None:
    entries = whole.scopes[0].log.entries
    for place in range(len(entries)):
        for lie, said in (
            (dropped, f"entry {place} is missing"),
            (altered, f"entry {place} is altered"),
            (invented, f"entry {place} is added"),
            (repeated, f"entry {place + 1} is added"),
        ):
            cut = lie(entries, place)
            assert said in refusal(chain, lied(whole, renumbered(cut) if careful else cut)), (lie.__name__, place)
        other = (place + 1) % len(entries)
        said = f"entries {min(place, other)} and {max(place, other)} are swapped"
        cut = swapped(entries, place)
        assert said in refusal(chain, lied(whole, renumbered(cut) if careful else cut))


def test_a_liar_who_rewrites_the_list_of_hashes_too_is_noticed_by_the_peaks(chain: SharingChain, whole: AccessExport) -> None:
    """What is gone from the file altogether can be named only as far as the peaks tell."""
    entries = whole.scopes[0].log.entries
    made = renumbered(altered(entries, 2))
    assert "of entries 0 to 15 one is not the log's" in refusal(chain, lied(whole, made, leaves_of(made)))
    made = renumbered(dropped(entries, 2))
    assert f"there are {len(entries) - 1}; the log has {len(entries)}" in refusal(chain, lied(whole, made, leaves_of(made)))
    assert "list of their hashes" in refusal(chain, lied(whole, entries, b""))


def test_a_hidden_log_and_a_log_of_the_liars_own_are_noticed(chain: SharingChain, whole: AccessExport) -> None:
    scope = whole.scopes[0]
    proof = scope.log.log
    hidden = replace(proof, values=(q.StateValue(None, proof.values[0].proof),))
    refusal(chain, replace(whole, scopes=(replace(scope, log=replace(scope.log, log=hidden, entries=(), leaves=b"")),)))
    shorter = renumbered(dropped(scope.log.entries, 4))
    own = EMPTY_LOG.extended([entry.leaf() for entry in shorter]).encode()
    forged = replace(proof, values=(q.StateValue(own, proof.values[0].proof),))
    log = replace(scope.log, log=forged, entries=shorter, leaves=leaves_of(shorter))
    refusal(chain, replace(whole, scopes=(replace(scope, log=log),)))


def test_another_scopes_log_does_not_stand_in(chain: SharingChain, whole: AccessExport) -> None:
    """The empty log of the scope that was only opened, under the name of the one where something happened; and the other way."""
    eventful_scope, opened = whole.scopes
    for one, other in ((eventful_scope, opened), (opened, eventful_scope)):
        x: Bytes32 = one.log.scope
        refusal(chain, replace(whole, scopes=(replace(one, log=replace(other.log, scope=x)),)))
