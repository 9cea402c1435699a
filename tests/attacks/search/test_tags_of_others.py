"""Claim: tags that were copied from another record, another scope or a discoverable record find nothing where they are put.

The ledger checks the form of tags alone; whose words they are nobody can tell. An owner could copy another record's tags to be
found by everyone who looks for that one: ``tag = AES(T', rid)`` binds rid,
and T' the scope. Where the tag leaves the record out, whoever copies is found, without knowing a single word.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from salus.errors import Refused
from salus.search.tags import IndexEntry, discoverable_key, discoverable_keys, make_tags, reader_key, reader_keys, tag_of
from support.search_world import NETWORK, Scope, SearchWorld, index_of

WORDS = ["hypertension", "loinc|8867-4", "asthma"]


@pytest.fixture(scope="module")
def world() -> SearchWorld:
    return SearchWorld(seed="tags of others")


def put_on(world: SearchWorld, tags: bytes, scope: Scope) -> IndexEntry:
    """A record of a scope with tags from elsewhere."""
    return IndexEntry(world.random(16), scope.x, tags)


def found(world: SearchWorld, entries: Sequence[IndexEntry], scopes: Sequence[Scope]) -> set[bytes]:
    """What any word finds, for readers of the scopes and by the words alone."""
    tokens, index = world.tokens(WORDS), index_of(*entries)
    keys = reader_keys(NETWORK, {scope.x: scope.index_key for scope in scopes}, tokens)
    return {*index.search(keys).rids(), *index.search(discoverable_keys(NETWORK, tokens)).rids()}


@pytest.mark.parametrize("discoverable", [False, True])
def test_tags_of_another_record_find_that_record_only(world: SearchWorld, discoverable: bool) -> None:
    mine, theirs = world.scope(), world.scope()
    original = world.entry(theirs, WORDS, discoverable)
    copies = [put_on(world, original.tags, scope) for scope in (theirs, mine)]
    assert found(world, [original, *copies], [mine, theirs]) == {original.rid}
    assert found(world, copies, [mine, theirs]) == set()


def test_tags_made_for_ones_own_rid_are_found_under_ones_own_scope_only(world: SearchWorld) -> None:
    """An owner that knows the words makes them with another scope's name in the keys: it has no ik of that scope."""
    mine, theirs = world.scope(), world.scope()
    rid, tokens = world.random(16), world.tokens(WORDS)
    honest = make_tags(NETWORK, mine.x, rid, mine.index_key, tokens, False, world.random)
    renamed = make_tags(NETWORK, theirs.x, rid, mine.index_key, tokens, False, world.random)
    for tags, scope, expected in (
        (honest, mine, {rid}),
        (honest, theirs, set()),
        (renamed, theirs, set()),
        (renamed, mine, set()),
    ):
        assert found(world, [IndexEntry(rid, scope.x, tags)], [mine, theirs]) == expected


def test_tags_cut_out_and_mixed_find_each_in_its_own_record(world: SearchWorld) -> None:
    """One record's real tags and some of another's: a record is found by those of its own, whatever else is on it."""
    scope = world.scope()
    one, two = (world.entry(scope, WORDS) for _ in range(2))
    real = [tag_of(reader_key(NETWORK, scope.x, scope.index_key, token), one.rid) for token in world.tokens(WORDS)]
    others = [two.tags[i : i + 16] for i in range(0, 80, 16)]
    mixed = b"".join(sorted([*real, *others]))
    assert found(world, [IndexEntry(one.rid, scope.x, mixed)], [scope]) == {one.rid}
    assert found(world, [put_on(world, mixed, scope)], [scope]) == set()


def by_copying(world: SearchWorld, binds_rid: bool) -> set[str]:
    """The index written out: a record is found if the tag of the key is among its own. Who is found, the original or the copy?

    ``binds_rid``: False takes the repair out, both where tags are made and where they are looked up.
    """
    scope, (token,) = world.scope(), world.tokens(WORDS[:1])
    rids = {"original": world.random(16), "copy": world.random(16)}
    about = lambda rid: rid if binds_rid else bytes(16)  # noqa: E731
    tags = {tag_of(key, about(rids["original"])) for key in _keys(scope, token)}
    return {name for name, rid in rids.items() if any(tag_of(key, about(rid)) in tags for key in _keys(scope, token))}


def _keys(scope: Scope, token: bytes) -> list[bytes]:
    return [reader_key(NETWORK, scope.x, scope.index_key, token), discoverable_key(NETWORK, token)]


def test_where_the_record_is_not_in_them_copied_tags_are_found(world: SearchWorld) -> None:
    assert by_copying(world, binds_rid=True) == {"original"}
    assert by_copying(world, binds_rid=False) == {"original", "copy"}


def test_what_is_not_even_in_the_form_of_tags_is_refused(world: SearchWorld) -> None:
    tags = world.entry(world.scope(), WORDS).tags
    for false in (tags[:-1], tags[16:], tags[16:] + tags[:16], tags[:112] + tags[96:112]):
        with pytest.raises(Refused, match="bad-tags"):
            index_of(put_on(world, false, world.scope()))
