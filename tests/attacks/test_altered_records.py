"""Claim: whoever alters a record's body, its sealed metadata, its tags or its index key is noticed, and by whom.

The cloud alters what it keeps; a reader who was let in knows the record's key and makes a body and metadata of its own; whoever
passes a put on exchanges its tags; an owner shows other records' tags as its own. Each also runs where the repair is out: where
bodies are Crypt4GH's as it is, digest or hash are taken from the cloud, the owner's signature does not count, the record's name
is not in its tags, index keys are sealed by a stream alone.
"""

from __future__ import annotations

import io
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec.structs import replace

from salus.ledger.kinds.sharing.claims import require_scope_signature
from salus.records.body import digest_body
from salus.records.digest import SEALED_SEGMENT_BYTES as SEALED
from salus.records.digest import SEGMENT_BYTES
from salus.records.record import (
    RecordMetadata,
    RecordPlace,
    decrypt_record,
    encrypt_record,
    metadata_hash,
    open_metadata,
    seal_metadata,
)
from salus.search.index_keys import BY_POLICY, new_index_key, open_index_key, seal_index_key
from salus.search.tags import discoverable_key, discoverable_keys, tag_of
from salus.symmetric import xor
from support.consultation_world import SeededRandom, flip, refusal, weaken
from support.search_world import NETWORK, Scope, SearchWorld, index_of
from support.sharing_world import POLICY, SharingWorld, granted_world

K = bytes(range(32))
PLACE = RecordPlace(NETWORK, b"rid-of-a-record!", b"x" * 32)
TRUE = bytes(2 * SEGMENT_BYTES + 100)
FALSE = b"no findings"


class Kept:
    """A record as a cloud keeps it, and the hash of its metadata, which the ledger names."""

    def __init__(self, plaintext: bytes, place: RecordPlace = PLACE, seed: str = "kept") -> None:
        random = SeededRandom(seed)
        sink = io.BytesIO()
        summary = encrypt_record(io.BytesIO(plaintext), K, place, sink, random=random)
        self.body = sink.getvalue()
        self.metadata = RecordMetadata(
            ("salus/cloud",),
            summary.digest,
            summary.size_bytes,
            summary.suite,
            1_758_000_000_000,
            "lab",
            "2025Q3",
            "text/plain",
            "a.txt",
        )
        self.sealed = seal_metadata(self.metadata, K, place, random)
        self.on_ledger = metadata_hash(place.network, place.rid, self.sealed)


def read(body: bytes, sealed: bytes, on_ledger: bytes, place: RecordPlace = PLACE) -> bytes:
    """What a reader with the key makes of a body and metadata from the cloud."""
    metadata = open_metadata(sealed, on_ledger, K, place)
    sink = io.BytesIO()
    decrypt_record(io.BytesIO(body), K, place, metadata, sink)
    return sink.getvalue()


def segments(body: bytes) -> list[bytes]:
    return [body[at : at + SEALED] for at in range(0, len(body), SEALED)]


def altered_bodies(body: bytes) -> dict[str, bytes]:
    one, two, last = segments(body)
    return {
        "a byte": flip(body, 100),
        "a byte of the last tag": flip(body, len(body) - 1),
        "two segments change places": two + one + last,
        "one is repeated": one + one + last,
        "one is left out": one + last,
        "the end is cut": one + two,
        "cut within a segment": body[:-50],
        "something follows": body + b"x",
        "another record's": Kept(TRUE, RecordPlace(NETWORK, b"rid-of-another-1", b"x" * 32)).body,
        "an older body under the same key": Kept(TRUE, seed="older").body,
        "nothing": b"",
    }


# --- body and metadata ---


def test_the_reader_notices_every_altered_body() -> None:
    kept = Kept(TRUE)
    assert read(kept.body, kept.sealed, kept.on_ledger) == TRUE
    for name, body in altered_bodies(kept.body).items():
        assert refusal(read, body, kept.sealed, kept.on_ledger) == "bad-body", name


def crypt4gh(plaintext: bytes) -> list[bytes]:
    """Segments of a Crypt4GH file: the same cipher, each nonce drawn at random."""
    cut = [plaintext[at : at + SEGMENT_BYTES] for at in range(0, len(plaintext), SEGMENT_BYTES)]
    nonces = [os.urandom(12) for _ in cut]
    return [nonce + ChaCha20Poly1305(K).encrypt(nonce, part, None) for nonce, part in zip(nonces, cut, strict=True)]


def test_where_bodies_are_crypt4gh_as_it_is_segments_move_and_the_end_is_cut() -> None:
    plaintext = b"a" * SEGMENT_BYTES + b"b" * SEGMENT_BYTES + b"c"
    one, two, last = crypt4gh(plaintext)

    def opened(*given: bytes) -> bytes:
        return b"".join(ChaCha20Poly1305(K).decrypt(part[:12], part[12:], None) for part in given)

    assert opened(one, two, last) == plaintext
    assert opened(two, one, last) != plaintext
    assert opened(one) == b"a" * SEGMENT_BYTES


def test_a_reader_with_the_key_makes_a_body_that_nobody_takes() -> None:
    """Encryption alone tells readers apart from nobody: a former reader and the cloud make a body that opens."""
    kept, made = Kept(TRUE), Kept(FALSE, seed="forger")
    assert refusal(read, made.body, kept.sealed, kept.on_ledger) == "bad-body"
    assert refusal(read, made.body, made.sealed, kept.on_ledger) == "bad-metadata"
    assert refusal(read, kept.body, flip(kept.sealed, 90), kept.on_ledger) == "bad-metadata"


def test_where_digest_or_hash_are_the_clouds_the_readers_body_is_taken() -> None:
    kept, made = Kept(TRUE), Kept(FALSE, seed="forger")
    digested = digest_body(io.BytesIO(made.body), suite=kept.metadata.suite)
    believed = replace(
        open_metadata(kept.sealed, kept.on_ledger, K, PLACE), digest=digested.digest, size_bytes=digested.size_bytes
    )
    sink = io.BytesIO()
    decrypt_record(io.BytesIO(made.body), K, PLACE, believed, sink)
    assert sink.getvalue() == FALSE
    assert read(made.body, made.sealed, metadata_hash(NETWORK, PLACE.rid, made.sealed)) == FALSE


# --- tags and index keys ---


def test_tags_exchanged_on_the_way_are_noticed_by_every_node() -> None:
    chain = SharingWorld("altered-tags").chain().set_up()
    granted_world(chain)
    owner, attacker = chain.owner("alice"), chain.owner("mallory")
    put, others = chain.record(owner, POLICY), chain.record(attacker, POLICY)
    assert chain.reason(put) == ""
    assert chain.reason(replace(put, tags=others.tags)) == "bad-signature"
    with pytest.MonkeyPatch.context() as patch:
        weaken(patch, require_scope_signature, lambda _context, _V, _message: None)
        assert chain.reason(replace(put, tags=others.tags)) == ""


def test_tags_of_another_record_advertise_nothing() -> None:
    """An attacker copies the tags of a discoverable record onto its own, to be found in its place."""
    world = SearchWorld()
    theirs = world.entry(world.scope(), ["hypertension"], discoverable=True)
    copied = replace(world.entry(world.scope(), ["lorem"]), tags=theirs.tags)
    tokens = world.tokens(["hypertension"])
    assert index_of(theirs, copied).search(discoverable_keys(NETWORK, tokens)).rids() == [theirs.rid]
    # Where the record's name is not in the tag, who copies it is found.
    key = discoverable_key(NETWORK, *tokens)
    listed = {theirs.rid: {tag_of(key, bytes(16))}, copied.rid: {tag_of(key, bytes(16))}}
    assert {rid for rid, tags in listed.items() if tag_of(key, bytes(16)) in tags} == {theirs.rid, copied.rid}


def test_tags_left_out_by_the_searching_node_are_found_by_another() -> None:
    """R cannot alter tags, which every node has from the ledger: the next one's index answers."""
    world = SearchWorld()
    scope = world.scope()
    entry = world.entry(scope, ["hypertension"])
    question = world.question([scope], ["hypertension"])
    dishonest = index_of(replace(entry, tags=world.entry(scope, ["lorem"]).tags))
    assert dishonest.search(question).rids() == []
    assert index_of(entry).search(question).rids() == [entry.rid]


@pytest.mark.parametrize("place", [0, 10, 31, 32, 40])
def test_an_altered_index_key_is_noticed_by_who_opens_it(place: int) -> None:
    random = SeededRandom("index-key")
    key, secret, about = new_index_key(random), random(32), random(32)
    sealed = seal_index_key(NETWORK, b"x" * 32, key, BY_POLICY, about, secret)
    assert open_index_key(NETWORK, sealed, BY_POLICY, about, secret) == key
    ciphertext = flip(sealed.ciphertext, place)
    assert refusal(open_index_key, NETWORK, replace(sealed, ciphertext=ciphertext), BY_POLICY, about, secret) is not None
    elsewhere = replace(sealed, scope=b"y" * 32)
    assert refusal(open_index_key, NETWORK, elsewhere, BY_POLICY, about, secret) is not None
    # A stream cipher alone: every reader gets a key that finds nothing, and nobody notices.
    world, scope = SearchWorld(), SearchWorld().scope()
    entry = world.entry(scope, ["hypertension"])
    spoilt = Scope(scope.x, xor(flip(xor(scope.index_key, secret), place % 32), secret))
    assert index_of(entry).search(world.question([spoilt], ["hypertension"])).rids() == []
