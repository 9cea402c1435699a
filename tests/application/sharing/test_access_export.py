"""The file for auditors: what it must hold, whom it is believed from, and what is said of one that does not verify.

Lies about entries: tests/attacks/sharing_review/test_complete_access_log.py.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from salus.errors import Refused
from salus.ledger.access_export import (
    AccessExport,
    AuditedAccess,
    carried_transactions,
    encode_access_export,
    is_access_export,
    verify_access_export,
)
from salus.ledger.access_proofs import name_fault
from salus.ledger.kinds.sharing.access_log import CONSENTED, DELEGATED, PUT, REPOLICIED, ROTATED, AccessEntry
from support.audit_world import audit_file, eventful
from support.sharing_world import HOSPITAL, SharingChain, SharingWorld, granted_world

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "ledger" / "sharing" / "access-export.bin"


@pytest.fixture(scope="module")
def chain() -> SharingChain:
    chain = SharingWorld().chain().set_up()
    granted_world(chain)
    return chain


@pytest.fixture(scope="module")
def export(chain: SharingChain) -> AccessExport:
    patient, own = eventful(chain), chain.world.scope_key("hospital", "note", "all")
    chain.commit(chain.world.open_by_institution(own, HOSPITAL))
    chain.later(1000)
    return audit_file(chain, patient.scope, own.scope)


def refusal(chain: SharingChain, export: AccessExport, network: bytes = b"", not_before_ms: int = 0) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        verify_access_export(export, network or chain.world.network, not_before_ms)
    return refused.value.reason, refused.value.detail


def test_what_a_file_says(chain: SharingChain, export: AccessExport) -> None:
    audited = verify_access_export(AccessExport.decode(encode_access_export(export)), chain.world.network)
    assert isinstance(audited, AuditedAccess)
    patient, own = audited.scopes
    assert (patient.institution, own.institution) == ("", HOSPITAL)
    assert (len(patient.entries), len(own.entries)) == (25, 0)
    assert patient.opened_ms < own.opened_ms <= own.as_of_ms
    assert own.height + 1 == chain.application.head().height
    carried = {e.act for e in patient.entries if e.tx_hash in audited.transactions}
    assert carried >= {PUT, REPOLICIED, ROTATED, DELEGATED}
    assert CONSENTED not in carried
    assert carried_transactions(export.scopes) == list(audited.transactions)


def test_a_file_is_told_from_a_ledger(export: AccessExport) -> None:
    assert is_access_export(encode_access_export(export))
    assert not is_access_export(b"\x00\x00\x00\x35t\x00\x00\x00\x04s\x00\x00\x00\x0dexport.header")
    assert not is_access_export(b"")


def test_only_the_networks_id_is_believed(chain: SharingChain, export: AccessExport) -> None:
    other = SharingWorld("another network")
    assert refusal(chain, export, other.network)[0] == "bad-evidence"
    # their genesis with our proofs, for who trusts them; and ours with another's signature
    swapped = replace(export, genesis=other.genesis)
    assert refusal(chain, swapped, other.network)[0] in ("bad-signature", "no-quorum", "unknown-party")
    assert refusal(chain, swapped)[0] == "bad-evidence"
    signatures = export.genesis.cloud_signatures
    unsigned = replace(export, genesis=replace(export.genesis, centre_signature=signatures[0]))
    assert refusal(chain, unsigned)[0] == "bad-signature"


def test_an_old_file_is_refused_by_who_wants_a_newer_one(chain: SharingChain, export: AccessExport) -> None:
    as_of_ms = verify_access_export(export, chain.world.network, 0).scopes[0].as_of_ms
    verify_access_export(export, chain.world.network, as_of_ms)
    assert refusal(chain, export, not_before_ms=as_of_ms + 1)[0] == "bad-time"


def test_each_scope_once_and_open(chain: SharingChain, export: AccessExport) -> None:
    patient, own = export.scopes
    assert refusal(chain, replace(export, scopes=(patient, own, patient)))[0] == "bad-evidence"
    reason, detail = refusal(chain, replace(export, scopes=(replace(own, opened=patient.opened),)))
    assert reason == "bad-proof"
    assert "lab 2025Q3" in detail
    unopened = audit_file(chain, bytes(32))
    assert refusal(chain, unopened)[0] == "unknown-scope"


def test_transactions_are_those_that_entries_name(chain: SharingChain, export: AccessExport) -> None:
    fewer = verify_access_export(replace(export, transactions=export.transactions[1:]), chain.world.network)
    assert len(fewer.transactions) == len(export.transactions) - 1
    assert fewer.scopes[0].entries
    raw = export.transactions[0]
    for added in (raw, raw[:-1] + bytes([raw[-1] ^ 1]), b"no transaction"):
        assert refusal(chain, replace(export, transactions=(*export.transactions, added)))[0] == "bad-evidence"
    changed = (raw[:-1] + bytes([raw[-1] ^ 1]), *export.transactions[1:])
    assert refusal(chain, replace(export, transactions=changed))[0] == "bad-evidence"


def test_a_file_that_would_be_too_large_says_what_to_do(export: AccessExport) -> None:
    huge = replace(export, transactions=(bytes(1024 * 1024),) * 64)
    with pytest.raises(Refused, match="one category or quarter"):
        encode_access_export(huge)


def moved(entries: tuple[AccessEntry, ...], old: int, new: int) -> list[AccessEntry]:
    order = list(entries)
    order.insert(new, order.pop(old))
    return [replace(entry, number=number) for number, entry in enumerate(order)]


def test_names_of_faults(export: AccessExport) -> None:
    entries = export.scopes[0].log.entries
    leaves = [entry.leaf() for entry in entries]
    assert name_fault(leaves, entries) == ""
    assert name_fault(leaves, ()) == "entries 0 to 24 are missing"
    assert name_fault(leaves, entries[:-1]) == "entry 24 is missing"
    assert name_fault(leaves, entries[:3] + entries[6:]) == "entries 3 to 5 are missing"
    assert name_fault(leaves, moved(entries, 2, 9)) == "entry 2 is not in its place: entry 3 stands there"
    assert name_fault(leaves, moved(entries, 9, 2)) == "entry 2 is not in its place: entry 9 stands there"
    assert name_fault(leaves, moved(entries, 2, 3)) == "entries 2 and 3 are swapped"
    again = (*entries[:4], replace(entries[1], number=4), *entries[5:])
    assert name_fault(leaves, again) == "entry 4 is not in its place: entry 1 stands there"
    assert name_fault([], entries[:1]) == "entry 0 is added: the log has 0"


def the_owners_word(export: AccessExport) -> set[int]:
    """Places of category and period, which the ledger does not know."""
    data, places = encode_access_export(export), set()
    for word in (export.scopes[0].category.encode(), export.scopes[0].period.encode()):
        start = data.index(b"s" + len(word).to_bytes(4, "big") + word) + 5
        places |= set(range(start, start + len(word)))
    return places


@pytest.mark.parametrize("stride", [83, pytest.param(1, marks=pytest.mark.long)])
def test_every_byte_but_the_owners_word_is_proven(stride: int) -> None:
    """One bit of each byte is flipped: refused, unless it changes what nobody can prove."""
    data = bytearray(GOLDEN.read_bytes())
    export = AccessExport.decode(bytes(data))
    network, unproven = export.genesis.network(), the_owners_word(export)
    places = sorted({*range(0, len(data), stride), *unproven})
    unnoticed = set()
    for place in places:
        data[place] ^= 1 << place % 8
        with contextlib.suppress(Refused):
            verify_access_export(AccessExport.decode(bytes(data)), network)
            unnoticed.add(place)
        data[place] ^= 1 << place % 8
    assert unnoticed <= unproven
    assert unnoticed, "the words can be changed: the test sees what passes"
