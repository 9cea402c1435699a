"""Claim: requesters who pool their keys, and the cloud with all it keeps, read what one of them might read, and no more.

The cloud brings bodies, sealed metadata, receipts and pages of the index, and with them the means to test every guess: whether a
key opens something it sees at once. The requesters bring attribute keys that satisfy the policy only together, everything of
another record of the same owner and scope that they may read, index keys of other scopes, and any word's token.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import pytest

from salus.abpre import hashing
from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.encapsulation import mask
from salus.errors import Refused
from salus.ledger.kinds.sharing.messages.records import RecordUpload
from salus.ledger.kinds.sharing.records import digest_tag, record_aad, sign_record_upload
from salus.records.body import body_keys
from salus.records.digest import BodySummary
from salus.records.record import (
    RecordMetadata,
    RecordPlace,
    decrypt_record,
    encrypt_record,
    metadata_hash,
    open_metadata,
    record_id,
    seal_metadata,
)
from salus.search.index import IndexPage, PageEntry
from salus.search.tags import discoverable_key, make_tags, reader_key, tag_of
from salus.symmetric import xor
from support.abpre_world import Sharing, pooled_elements
from support.consultation_world import weaken
from support.threshold_world import World

NETWORK = bytes(range(32))
SCOPE, OTHER_SCOPE = bytes([1]) * 32, bytes([2]) * 32
POLICY = "role:doctor and dept:icu and site:a"
HELD = (("role:doctor", "dept:er"), ("dept:icu", "role:nurse"), ("site:a",))
TEXT, WORD = b"hepatitis B, since 2019; told nobody at home", "icd10|B18.1"


@dataclass(frozen=True)
class Kept:
    """What a cloud keeps of one record, and the capsule, which everybody has."""

    place: RecordPlace
    body: bytes
    summary: BodySummary
    sealed: bytes
    receipt: RecordUpload
    page: IndexPage
    stored: VerifiedCapsule

    @property
    def hashed(self) -> bytes:
        return metadata_hash(NETWORK, self.place.rid, self.sealed)


class Owner:
    """Puts records of one scope. ``same_key`` takes a repair out: one k for all of them."""

    def __init__(self, world: Sharing, index_key: bytes, same_key: bool = False) -> None:
        self.world, self.index_key = world, index_key
        self._same = world.random(32) if same_key else None
        self.cloud = World("cloud").member("a/cloud")[0]
        self.tokens = {WORD: world.random(64)}

    def put(self, policy: str, text: bytes) -> tuple[Kept, bytes]:
        """What the cloud keeps, and k."""
        random = self.world.random
        k = self._same or random(32)
        place = RecordPlace(NETWORK, record_id(NETWORK, SCOPE, random(16)), SCOPE)
        sink = io.BytesIO()
        summary = encrypt_record(io.BytesIO(text), k, place, sink, random=random)
        about = ((self.cloud.name,), summary.digest, summary.size_bytes, summary.suite, 1_760_000_000_000)
        metadata = RecordMetadata(*about, "lab", "2025Q3", "text/plain", "letter.txt")
        sealed = seal_metadata(metadata, k, place, random)
        hashed = metadata_hash(NETWORK, place.rid, sealed)
        receipt = sign_record_upload(NETWORK, self.cloud, place.rid, digest_tag(NETWORK, summary.digest), hashed, 1, random)
        tags = make_tags(NETWORK, SCOPE, place.rid, self.index_key, list(self.tokens.values()), False, random)
        page = IndexPage(SCOPE, (PageEntry(place.rid, tags),))
        stored = self.world.stored(policy, k, record_aad(NETWORK, place.rid, SCOPE))
        return Kept(place, sink.getvalue(), summary, sealed, receipt, page, stored), k


def opened(kept: Kept, k: bytes) -> bytes:
    """The record's plaintext, if k is its key; else nothing. Every guess at k can be tested so."""
    try:
        metadata = open_metadata(kept.sealed, kept.hashed, k, kept.place)
        out = io.BytesIO()
        decrypt_record(io.BytesIO(kept.body), k, kept.place, metadata, out)
    except Refused:
        return b""
    return out.getvalue()


def by_the_keys_together(world: Sharing, target: Kept) -> set[bytes]:
    """Each element that the pool can form, taken for Y^s: the first half of what it unmasks is tried on body and metadata.

    The capsule's own check of what was opened (A2, A3 and D) is left out: the cloud's ciphertext tells as well.
    """
    keys = [world.key(*held) for held in HELD]
    unmasked = [xor(target.stored.capsule.A1, mask(element)) for element in pooled_elements(keys, target.stored)]
    return {opened(target, half) for both in unmasked for half in (both[:32], both[32:])}


def by_what_is_known(target: Kept, readable: Kept, k: bytes, more: list[bytes]) -> set[bytes]:
    """Every 32 bytes at hand in the place of k: of the record they may read, of receipts and pages; keys derived from them."""
    known = [k, readable.summary.digest, target.summary.digest, readable.hashed, target.hashed, readable.stored.capsule.A1[:32]]
    known += [target.stored.capsule.A1[:32], xor(readable.stored.capsule.A1[:32], xor(k, target.stored.capsule.A1[:32]))]
    for receipt in (readable.receipt, target.receipt):
        known += [receipt.signature[:32], receipt.signature[32:]]
    known += [target.page.entries[0].tags[:32], readable.page.entries[0].tags[:32], *more]
    for key in [*known]:
        for place in (target.place, readable.place):
            both = body_keys(key, place.context)
            known += [both.body, both.meta]
    return {opened(target, key) for key in known}


def by_the_index(target: Kept, token: bytes, index_keys: list[bytes]) -> bool:
    """Does the record have the word? Its page, the word's token, every index key that somebody in the pool was given."""
    entry = target.page.entries[0]
    tags = {entry.tags[i : i + 16] for i in range(0, len(entry.tags), 16)}
    keys = [reader_key(NETWORK, scope, ik, token) for scope in (SCOPE, OTHER_SCOPE) for ik in index_keys]
    return any(tag_of(key, entry.rid) in tags for key in [*keys, discoverable_key(NETWORK, token)])


@pytest.fixture
def world() -> Sharing:
    return Sharing("cloud and requesters")


def test_who_may_read_reads(world: Sharing) -> None:
    """The workbench: the whole key opens the record from what the cloud keeps, and the scope's index key finds the word."""
    owner = Owner(world, world.random(32))
    target, k = owner.put(POLICY, TEXT)
    assert world.opens(world.key("role:doctor", "dept:icu", "site:a"), target.stored) == k
    assert opened(target, k) == TEXT
    assert by_the_index(target, owner.tokens[WORD], [owner.index_key])


def test_the_keys_together_with_the_clouds_ciphertext_open_nothing(world: Sharing) -> None:
    target, _ = Owner(world, world.random(32)).put(POLICY, TEXT)
    assert by_the_keys_together(world, target) == {b""}


def test_where_attributes_hash_alike_they_read_the_body(world: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    one = hashing.attribute_point("a:x")
    weaken(monkeypatch, hashing.attribute_points, lambda names: [one] * len(names))
    target, _ = Owner(world, world.random(32)).put(POLICY, TEXT)
    assert TEXT in by_the_keys_together(world, target)


def read_by_what_is_known(world: Sharing, **options: Any) -> set[bytes]:
    owner, more = Owner(world, world.random(32), **options), [world.random(32) for _ in range(2)]
    target, (readable, k) = owner.put(POLICY, TEXT)[0], owner.put("role:nurse", b"a letter for nurses")
    assert opened(readable, k) == b"a letter for nurses"
    return by_what_is_known(target, readable, k, more)


def test_a_record_of_the_same_scope_that_they_may_read_opens_no_other(world: Sharing) -> None:
    assert read_by_what_is_known(world) == {b""}


def test_with_one_key_for_an_owners_records_it_opens_all(world: Sharing) -> None:
    assert TEXT in read_by_what_is_known(world, same_key=True)


def test_pages_of_the_index_and_tokens_tell_no_word(world: Sharing) -> None:
    owner, theirs = Owner(world, world.random(32)), [world.random(32), bytes(32), NETWORK, SCOPE]
    target, _ = owner.put(POLICY, TEXT)
    assert not by_the_index(target, owner.tokens[WORD], theirs)


def test_with_one_index_key_for_all_they_tell_every_word(world: Sharing) -> None:
    """An index key that is the network's, not the scope's: who was given it for one scope reads every page."""
    networks = world.random(32)
    owner = Owner(world, networks)
    target, _ = owner.put(POLICY, TEXT)
    assert by_the_index(target, owner.tokens[WORD], [networks])


def seen(target: Kept, k: bytes) -> list[bytes]:
    """Words of the record and its metadata that stand in what the cloud keeps."""
    everything = target.body + target.sealed + target.page.encode() + target.receipt.encode() + target.stored.capsule.encode()
    return [word for word in (TEXT[:9], b"letter", b"2025Q3", b"text/plain", WORD.encode(), k) if word in everything]


def test_nothing_that_the_cloud_keeps_shows_the_text_or_its_name(world: Sharing) -> None:
    target, k = Owner(world, world.random(32)).put(POLICY, TEXT)
    assert seen(target, k) == []
    assert seen(replace(target, body=TEXT, sealed=k), k) == [TEXT[:9], k]
