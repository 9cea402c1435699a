"""Claim: nobody claims the name of somebody else's record, and what nodes and clouds signed for it, for a scope of their own.

Who sees a put before it is committed (a node, a check node) and owns a scope could: receipts name a record's id and its body, and
an id was free for whoever came first. The claimed record opened nothing; its owner had to upload and put again, as often as
somebody wanted. Now an id is of one scope by its name.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.ledger.kinds.sharing import records
from salus.ledger.kinds.sharing.messages.records import RecordPut
from support.sharing_world import SharingChain


def claimed(chain: SharingChain, put: RecordPut) -> RecordPut:
    """The victim's put as a thief's: its id, body and receipts, a capsule and a signature of the thief's own."""
    thief = chain.owner("thief")
    moved = replace(put.content, capsule=chain.capsule(thief, put.rid, k=b"t" * 32))
    return chain.record(thief, rid=put.rid, salt=put.salt, content=moved)


@pytest.mark.parametrize("repaired", [True, False])
def test_nobody_claims_a_record_first(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    victim = chain.owner("victim")
    put = chain.record(victim)
    theft = claimed(chain, put)
    if repaired:
        assert chain.reason(theft) == "wrong-scope"
        assert chain.reason(put) == ""
        return
    monkeypatch.setattr(records, "record_id", lambda network, scope, salt: put.rid)
    chain.commit(theft)
    assert chain.reason(put) == "duplicate-record"


def test_nor_does_another_salt_give_the_name(chain: SharingChain) -> None:
    victim, thief = chain.owner("victim"), chain.owner("thief")
    put = chain.record(victim)
    for salt in (put.salt, bytes(16), chain.world.random(16)):
        content = chain.content(thief, put.rid)  # nodes and clouds sign for any id, before they know whose it is
        assert chain.reason(chain.record(thief, rid=put.rid, salt=salt, content=content)) == "wrong-scope"
    chain.commit(put)
    assert records.RECORDS.need(chain.view, put.rid).scope == victim.scope
