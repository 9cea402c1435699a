"""Records: put, supersede, re-policy, rotate, erase; whose they are, and what cannot be put."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.encapsulation import encapsulate
from salus.abpre.language import parse
from salus.abpre.policy import any_of, attribute, record_policy
from salus.errors import Refused
from salus.ledger.kinds.sharing import attachments, index_keys, lists, records
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.messages.records import (
    IndexKeyPublication,
    RecordErase,
    RecordPut,
    RecordRepolicy,
    RecordRotate,
)
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from salus.search.index_keys import BY_POLICY, seal_index_key
from support.sharing_world import DAY_MS, FAST, POLICY, SharingChain


@pytest.fixture
def owner(chain: SharingChain) -> ScopeKey:
    return chain.owner()


def resigned(chain: SharingChain, key: ScopeKey, message: RecordPut, **parts: object) -> RecordPut:
    return signed_by_scope(replace(message, **parts), key, chain.world.random)


def test_a_record_is_there_with_everything_that_finds_it(chain: SharingChain, owner: ScopeKey) -> None:
    put = chain.record(owner, POLICY)
    tx = chain.commit(put)
    record = records.find_record(chain.view, put.rid)
    assert (record.scope, record.version, record.tx_hash, record.clouds) == (owner.scope, 1, tx, ("salus/cloud",))
    assert records.capsule_of(chain.view, put.rid) == put.content.capsule
    assert records.TAGS.need(chain.view, put.rid).tags == put.tags
    assert records.BY_DIGEST.need(chain.view, owner.scope + put.content.digest_tag).rid == put.rid
    assert list(lists.items(chain.view, lists.SCOPE_RECORDS, owner.scope)) == [put.rid]
    assert list(lists.items(chain.view, lists.RECORDS, b"")) == [put.rid]
    assert str(records.sharing_policy(put.content.capsule)) == POLICY
    own = chain.record(owner)
    assert records.sharing_policy(own.content.capsule) is None
    assert chain.reason(own) == ""
    assert chain.reason(put) == "duplicate-record"


def test_what_a_record_needs(chain: SharingChain, owner: ScopeKey) -> None:
    world = chain.world
    good = chain.record(owner, POLICY)
    content, other = good.content, chain.record(owner, POLICY)
    upload = content.uploads[0]
    few = chain.kept(attachments.METADATA, good.rid, content.metadata)
    thin = replace(few, signers=bytes([few.signers[0] & 0b1100_0000]))
    old = records.sign_record_upload(
        world.network, world.cloud, good.rid, content.digest_tag, content.metadata, chain.time_ms, world.random
    )

    def with_content(**parts: object) -> RecordPut:
        return resigned(chain, owner, good, content=replace(content, **parts))

    cases = [
        (replace(good, salt=bytes(16)), "wrong-scope"),
        (resigned(chain, owner, good, rid=bytes(16)), "wrong-scope"),
        (resigned(chain, owner, good, salt=bytes(16)), "wrong-scope"),
        (resigned(chain, owner, good, rid=other.rid, salt=other.salt), "bad-capsule"),
        (replace(good, tags=other.tags), "bad-signature"),
        (resigned(chain, owner, good, tags=bytes(128)), "bad-tags"),
        (resigned(chain, owner, good, epoch=2), "wrong-epoch"),
        (resigned(chain, owner, good, key_version=2), "wrong-epoch"),
        (resigned(chain, owner, good, supersedes=bytes(16)), "unknown-record"),
        (with_content(capsule=other.content.capsule), "bad-capsule"),
        (with_content(capsule=replace(content.capsule, A1=bytes(64))), "bad-capsule"),
        (with_content(capsule=replace(content.capsule, policy="a:x or")), "bad-policy"),
        (with_content(capsule=replace(content.capsule, D=bytes(48))), "bad-point"),
        (with_content(metadata=bytes(32)), "bad-certificate"),
        (with_content(metadata_kept=other.content.metadata_kept), "bad-certificate"),
        (with_content(metadata_kept=thin), "bad-certificate"),
        (with_content(metadata_kept=replace(few, signers=b"\xff")), "bad-certificate"),
        (with_content(metadata_kept=replace(few, epoch=3)), "wrong-epoch"),
        (with_content(digest_tag=bytes(32)), "bad-receipt"),
        (with_content(uploads=(old,)), "bad-receipt"),
        (with_content(uploads=(upload, upload)), "bad-receipt"),
        (with_content(uploads=(replace(upload, cloud="nobody/cloud"),)), "unknown-party"),
        (with_content(uploads=other.content.uploads), "bad-receipt"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    assert chain.reason(good) == ""
    assert chain.reason(good, chain.time_ms + DAY_MS - FAST.upload_kept_ms + 1) == "bad-receipt"


def escaping(chain: SharingChain, attacker: ScopeKey, victim: ScopeKey, shape: str) -> RecordPut:
    """A record of the attacker's whose policy pulls the victim's delegation onto it."""
    world, rid = chain.world, chain.rid(attacker)
    own, theirs = attribute(attacker.attribute), attribute(victim.attribute)
    policy = {
        "beside": any_of(own, theirs),
        "alone": theirs,
        "inside": any_of(own, parse(f"a:x and {victim.attribute}")),
        "first": any_of(theirs, own),
    }[shape]
    aad = records.record_aad(world.network, rid, attacker.scope)
    capsule = encapsulate(chain.parameters, policy, b"k" * 32, aad, world.random).message()
    content = replace(chain.content(attacker, rid), capsule=capsule)
    return chain.record(attacker, rid=rid, content=content)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("beside", "own-in-policy"), ("alone", "wrong-scope"), ("inside", "own-in-policy"), ("first", "own-in-policy")],
)
def test_no_record_pulls_anothers_scope_onto_itself(
    chain: SharingChain, owner: ScopeKey, shape: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacker = chain.owner("attacker")
    attack = escaping(chain, attacker, owner, shape)
    assert chain.reason(attack) == expected
    monkeypatch.setattr(records, "require_policy_of", lambda *_: None)
    assert chain.reason(attack) == "", "the attack has to work where the repair is out"


def test_nobody_signs_for_anothers_scope(chain: SharingChain, owner: ScopeKey, monkeypatch: pytest.MonkeyPatch) -> None:
    attacker = chain.owner("attacker")
    rid = chain.rid(owner)
    content = chain.content(owner, rid)
    forged = signed_by_scope(
        replace(chain.record(owner, rid=rid, content=content), signature=UNSIGNED), attacker, chain.world.random
    )
    assert chain.reason(forged) == "bad-signature"
    # A scope is bound to its key by its name: the attacker's own key cannot be opened under the victim's name.
    assert attacker.scope != owner.scope
    require = records.require_scope_signature
    monkeypatch.setattr(records, "require_scope_signature", lambda context, _, message: require(context, attacker.V, message))
    assert chain.reason(forged) == ""


def test_a_newer_version_supersedes_one_of_its_own_scope_once(chain: SharingChain, owner: ScopeKey) -> None:
    other = chain.owner("other")
    first = chain.put(owner)
    assert chain.reason(chain.record(other, supersedes=first)) == "wrong-scope"
    second = chain.put(owner, supersedes=first)
    assert records.find_record(chain.view, first).superseded_by == second
    assert records.find_record(chain.view, second).supersedes == first
    assert chain.reason(chain.record(owner, supersedes=first)) == "record-superseded"


def test_repolicy_changes_the_capsule_and_nothing_else(chain: SharingChain, owner: ScopeKey) -> None:
    world = chain.world
    rid = chain.put(owner, POLICY)
    before = records.find_record(chain.view, rid)

    def repolicy(version: int, policy: str = "", key: ScopeKey = owner, about: bytes = rid) -> RecordRepolicy:
        capsule = chain.capsule(owner, about, policy)
        return signed_by_scope(RecordRepolicy(rid, version, capsule, UNSIGNED), key, world.random)

    first = repolicy(2)
    cases = [
        (repolicy(1), "already-done"),
        (repolicy(3), "already-done"),
        (repolicy(2, key=chain.owner("other")), "bad-signature"),
        (repolicy(2, about=bytes(16)), "bad-capsule"),
        (replace(first, rid=bytes(16)), "unknown-record"),
        (replace(first, capsule=records.capsule_of(chain.view, rid)), "already-done"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(first)
    after = records.find_record(chain.view, rid)
    assert (after.version, after.metadata, after.digest_tag) == (2, before.metadata, before.digest_tag)
    assert after.capsule != before.capsule
    # The owner's old word, submitted again by anyone, does not bring the old policy back.
    chain.commit(repolicy(3, POLICY))
    assert chain.reason(first) == "already-done"


def test_rotation_brings_a_new_body(chain: SharingChain, owner: ScopeKey) -> None:
    world = chain.world
    rid = chain.put(owner, POLICY)
    before = records.find_record(chain.view, rid)
    content = chain.content(owner, rid)
    rotation = signed_by_scope(RecordRotate(rid, 2, content, UNSIGNED), owner, world.random)
    half = signed_by_scope(RecordRotate(rid, 2, replace(content, metadata=before.metadata), UNSIGNED), owner, world.random)
    assert chain.reason(half) == "already-done"
    tx = chain.commit(rotation)
    after = records.find_record(chain.view, rid)
    assert (after.digest_tag, after.metadata, after.content_tx) == (content.digest_tag, content.metadata, tx)
    assert after.tx_hash == before.tx_hash
    assert records.BY_DIGEST.get(chain.view, owner.scope + before.digest_tag) is None
    assert chain.reason(rotation) == "already-done"


def test_erasure_leaves_a_tombstone(chain: SharingChain, owner: ScopeKey) -> None:
    world = chain.world
    put = chain.record(owner, POLICY)
    chain.commit(put)
    erase = signed_by_scope(RecordErase(put.rid, 2, UNSIGNED), owner, world.random)
    assert chain.reason(replace(erase, signature=put.signature)) == "bad-signature"
    chain.commit(erase)
    tombstone = records.RECORDS.need(chain.view, put.rid)
    assert tombstone.erased_ms == chain.time_ms
    with pytest.raises(Refused, match="record-erased"):
        records.capsule_of(chain.view, put.rid)
    assert records.CAPSULES.get(chain.view, put.rid) is None
    assert records.TAGS.get(chain.view, put.rid) is None
    assert records.BY_DIGEST.get(chain.view, owner.scope + put.content.digest_tag) is None
    for message in (
        signed_by_scope(RecordErase(put.rid, 3, UNSIGNED), owner, world.random),
        signed_by_scope(RecordRepolicy(put.rid, 3, put.content.capsule, UNSIGNED), owner, world.random),
        chain.record(owner, supersedes=put.rid),
    ):
        assert chain.reason(message) == "record-erased"
    # The put, submitted again by anyone, does not bring it back.
    assert chain.reason(put) == "duplicate-record"


def test_an_index_key_is_published_once_for_a_policy(chain: SharingChain, owner: ScopeKey) -> None:
    world = chain.world
    policy = record_policy(owner.scope, parse(POLICY))
    k = world.random(32)

    def publish(key: ScopeKey, aad: bytes) -> IndexKeyPublication:
        capsule = encapsulate(chain.parameters, policy, k, aad, world.random).message()
        about = index_keys.index_about(world.network, owner.scope, capsule)
        sealed = seal_index_key(world.network, key.scope, world.random(32), BY_POLICY, about, k)
        return signed_by_scope(IndexKeyPublication(owner.scope, capsule, sealed, UNSIGNED), owner, world.random)

    good = publish(owner, index_keys.index_aad(world.network, owner.scope))
    assert chain.reason(publish(chain.owner("other"), index_keys.index_aad(world.network, owner.scope))) == "wrong-scope"
    rid = world.random(16)
    # A record's capsule in the place of an index key's.
    assert chain.reason(publish(owner, records.record_aad(world.network, rid, owner.scope))) == "bad-capsule"
    chain.commit(good)
    assert chain.reason(good) == "already-done"
    found = index_keys.INDEX_KEYS.need(chain.view, owner.scope + index_keys.policy_digest(policy.text))
    assert found.sealed == good.sealed


def test_one_bad_capsule_among_many_is_named_and_the_others_go_through(chain: SharingChain, owner: ScopeKey) -> None:
    made = [chain.record(owner, POLICY) for _ in range(8)]
    content = replace(made[3].content, capsule=replace(made[3].content.capsule, A1=bytes(64)))
    made[3] = resigned(chain, owner, made[3], content=content)
    raws = [m.encode() for m in made]
    results = chain.application.check_transactions(raws, chain.time_ms + 1000)
    assert [r.reason for r in results] == ["", "", "", "bad-capsule", "", "", "", ""]
    assert chain.propose(raws) == raws[:3] + raws[4:]
    verdict = chain.application.validate_proposal(chain.input(raws), secret_checks=True)
    assert (verdict.valid, verdict.reason) == (False, "bad-capsule")
    assert "transaction 3" in verdict.detail
    chain.decide(raws[:3] + raws[4:])


def test_two_records_of_one_body_or_one_rid_in_a_block(chain: SharingChain, owner: ScopeKey) -> None:
    rid = chain.rid(owner)
    one, two = chain.record(owner, rid=rid), chain.record(owner, rid=rid)
    assert chain.propose([one.encode(), two.encode()]) == [one.encode()]
    copy = chain.record(owner)
    copy = resigned(chain, owner, copy, content=replace(copy.content, digest_tag=one.content.digest_tag))
    chain.commit(one)
    assert chain.reason(copy) == "duplicate-record"


def test_the_largest_record_fits_into_a_transaction(chain: SharingChain, owner: ScopeKey) -> None:
    """128 attributes with long names and 2,048 tags; and what costs nodes most is looked at only once the owner has signed."""
    policy = " and ".join(f"site:{number:03}".ljust(64, "x") + "@2025" for number in range(127))
    rid = chain.rid(owner)
    tags = b"".join(sorted(chain.world.random(16) for _ in range(2048)))
    put = chain.record(owner, policy, rid=rid, tags=tags)
    assert 60 * 1024 < len(put.encode()) <= MAX_TRANSACTION_BYTES
    assert chain.reason(put) == ""
    spoiled = replace(put, content=replace(put.content, capsule=replace(put.content.capsule, D=bytes(48))))
    assert chain.reason(spoiled) == "bad-signature"
    assert chain.reason(signed_by_scope(spoiled, owner, chain.world.random)) == "bad-point"
