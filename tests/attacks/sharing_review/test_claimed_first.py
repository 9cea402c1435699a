"""Claim: nobody claims the name of a record, or of its body, that somebody else is about to put, and what was signed for it.

Who sees a put before it is committed (a node, a check node) and owns a scope could: receipts name a record's id and its body,
and both were free for whoever came first. What was claimed opened nothing; its owner had to encrypt, upload and put again, as
often as somebody wanted. Now an id is of one scope by its name.
"""

from __future__ import annotations

from types import SimpleNamespace

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


@pytest.mark.parametrize("repaired", [True, False])
def test_nobody_takes_the_name_of_anothers_body(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    """Who hears the upload has the ciphertext, and brings it to another cloud: the owner had to encrypt and upload again."""
    victim, thief, world = chain.owner("victim"), chain.owner("thief"), chain.world
    if not repaired:
        held = records.BY_DIGEST
        anywhere = SimpleNamespace(
            get=lambda view, raw: held.get(view, raw[32:]), put=lambda state, raw, value: held.put(state, raw[32:], value)
        )
        monkeypatch.setattr(records, "BY_DIGEST", anywhere)
    put = chain.record(victim)
    rid = chain.rid(thief)
    content = chain.content(thief, rid)
    tag, until = put.content.digest_tag, put.content.uploads[0].keep_until_ms
    upload = records.sign_record_upload(world.network, world.cloud, rid, tag, content.metadata, until, world.random)
    chain.commit(chain.record(thief, rid=rid, content=replace(content, digest_tag=tag, uploads=(upload,))))
    assert chain.reason(put) == ("" if repaired else "duplicate-record")
