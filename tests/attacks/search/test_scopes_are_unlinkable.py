"""Claim: an index key opens the search of its scope and of no other, and questions about two scopes do not show a common word."""

from __future__ import annotations

import pytest

from salus.search.index import SearchIndex
from salus.search.tags import IndexEntry, TagKeys, discoverable_keys, make_tags, reader_key, reader_keys, tag_of
from support.search_world import NETWORK, Scope, SearchWorld, index_of


@pytest.fixture(scope="module")
def world() -> SearchWorld:
    return SearchWorld(seed="scopes")


def foreign_search(world: SearchWorld, index: SearchIndex, target: Scope, key_held: bytes) -> list[bytes]:
    """Search a scope with whatever index key one has."""
    return index.search(reader_keys(NETWORK, {target.x: key_held}, world.tokens(["hypertension"]))).rids()


def test_the_key_of_one_scope_finds_nothing_in_another(world: SearchWorld) -> None:
    mine, theirs = world.scope(), world.scope()
    entries = [world.entry(scope, ["hypertension"]) for scope in (mine, theirs) for _ in range(3)]
    index = index_of(*entries)
    assert foreign_search(world, index, mine, mine.index_key) == [entry.rid for entry in entries[:3]]
    assert foreign_search(world, index, theirs, mine.index_key) == []
    # Nor by naming one's own scope: candidates are the records that carry it.
    assert index.search(reader_keys(NETWORK, {mine.x: theirs.index_key}, world.tokens(["hypertension"]))).rids() == []


def test_with_one_index_key_for_all_every_reader_searches_everyone(world: SearchWorld) -> None:
    """The repair out: ik is the network's, not the scope's."""
    everybodys = world.random(32)
    mine, theirs = (Scope(world.random(32), everybodys) for _ in range(2))
    entry = world.entry(theirs, ["hypertension"])
    assert foreign_search(world, index_of(entry), theirs, mine.index_key) == [entry.rid]


def test_a_scope_is_in_its_keys_even_where_an_owner_repeats_ik(world: SearchWorld) -> None:
    """A careless owner who uses one ik twice: what R is given for one scope still finds nothing in the other."""
    ik = world.random(32)
    one, other = Scope(world.random(32), ik), Scope(world.random(32), ik)
    entry = world.entry(other, ["hypertension"])
    given = reader_key(NETWORK, one.x, ik, *world.tokens(["hypertension"]))
    assert tag_of(given, entry.rid) not in [entry.tags[i : i + 16] for i in range(0, len(entry.tags), 16)]


def what_r_sees(keys: TagKeys, rid: bytes) -> set[bytes]:
    """The value node compares keys by what they do to one block: equal keys do the same."""
    return set(keys.tags(rid))


def test_r_does_not_see_that_two_scopes_are_asked_for_one_word(world: SearchWorld) -> None:
    one, other, rid = world.scope(), world.scope(), world.random(16)
    first, second = world.question([one], ["hypertension"]), world.question([other], ["hypertension"])
    assert not what_r_sees(first, rid) & what_r_sees(second, rid)
    # The same question again is the same key: repeated questions are seen, as the docs say.
    assert what_r_sees(first, rid) == what_r_sees(world.question([one], ["hypertension"]), rid)
    # The repair out: without ik in them (as for discoverable records), the keys of a word are the same for every scope.
    bare = [discoverable_keys(NETWORK, world.tokens(["hypertension"])) for _ in (one, other)]
    assert what_r_sees(bare[0], rid) == what_r_sees(bare[1], rid)


def test_what_r_was_given_once_finds_later_records_of_that_scope(world: SearchWorld) -> None:
    """Said in the docs: R could keep T' and test what comes later in the same scope; in no other, and for no other word."""
    scope, other = world.scope(), world.scope()
    kept = world.question([scope], ["hypertension"])
    later = [world.entry(scope, ["hypertension"]), world.entry(scope, ["asthma"]), world.entry(other, ["hypertension"])]
    assert index_of(*later).search(kept).rids() == [later[0].rid]


def test_tags_of_two_scopes_share_nothing(world: SearchWorld) -> None:
    tokens = world.tokens(f"word{i}" for i in range(30))
    rid = world.random(16)
    entries = [
        IndexEntry(rid, x, make_tags(NETWORK, x, rid, world.random(32), tokens, False, world.random))
        for x in (world.random(32), world.random(32))
    ]
    held = [{e.tags[i : i + 16] for i in range(0, len(e.tags), 16)} for e in entries]
    assert not held[0] & held[1]
