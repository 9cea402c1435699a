"""Searching: an institution in every scope whose index key it was given and in discoverable records, an owner among its own.

The value node sees boxed keys of tags and record ids, no word. Steps: docs/protocol/search.md, "questions".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from salus import labels
from salus.abpre.capsules import take_unchecked
from salus.abpre.explain import is_satisfied
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse_canonical
from salus.abpre.opening import decapsulate, open_delta
from salus.abpre.threshold.delegations import take_delegation_unchecked
from salus.codec import decode
from salus.consultation.registration import MemberKey
from salus.errors import Refused, refuse_unless
from salus.ledger.kinds.sharing.index_keys import index_aad, index_about
from salus.ledger.kinds.sharing.messages.delegations import DelegationCreation
from salus.ledger.kinds.sharing.messages.records import IndexKeyPublication
from salus.ledger.kinds.sharing.records import TAGS
from salus.ledger.signatures import decoded_capsule
from salus.ledger.state import StateView
from salus.records.scope import check_category
from salus.search import keyword
from salus.search.answer import Parts, keywords_of, matches
from salus.search.index_keys import BY_DELEGATION, BY_POLICY, open_index_key
from salus.search.question import KEYS_MAX
from salus.search.tags import TAG_BYTES, discoverable_keys, reader_key, reader_keys, tag_of
from salus.symmetric import Random, h2
from salus.terminal.sharing.entries import FOUND_MAX, Followed, FoundRecords, KnownIndexKey, RecordEntry
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.owner import CATEGORY_CODE
from salus.terminal.sharing.scopes import Scopes
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.sharing.value_nodes import DiscoverableTags, ReaderTags, ValueNodes
from salus.terminal.sharing.words import Words

WORDS_MAX: Final = 64
"""Words of one question."""
FOLLOWED: Final = "followed"
FOUND: Final = "found"
_Found = tuple[bytes, bytes]
"""A scope and its index key."""


class SearchResult(msgspec.Struct, frozen=True):
    """What a search gave.

    :ivar readable: rids found in scopes whose index keys this institution has. :ivar discoverable: found by the word alone: ask.
    :ivar scopes: how many were searched. :ivar more: whether a node had more than one answer holds.
    :ivar nodes: value nodes whose answers were taken. :ivar liars: value nodes that named records without the word, or, where
        several were asked, held one back; and which.
    """

    readable: tuple[bytes, ...]
    discoverable: tuple[bytes, ...]
    scopes: int
    more: bool
    nodes: tuple[str, ...]
    liars: dict[str, str]


def question_of(words: Sequence[str], category: str = "") -> Parts:
    """All of the words, and the category if one is given.

    :raises Refused: ``bad-keyword``, ``bad-category``, ``too-large``.
    """
    refuse_unless(1 <= len(words) <= WORDS_MAX, "too-large", f"a search has 1 to {WORDS_MAX} words")
    parts = [part for text in words for part in keyword.question(text)]
    if category:
        parts.append((keyword.code(CATEGORY_CODE, check_category(category)),))
    return tuple(dict.fromkeys(parts))


class OwnSearch:
    """An owner's search among its own records: no node is asked anything but the words' tokens."""

    def __init__(self, shelf: Shelf, nodes: Nodes, scopes: Scopes, words: Words, now_ms: Callable[[], int]) -> None:
        self._shelf = shelf
        self._nodes = nodes
        self._scopes = scopes
        self._words = words
        self._now_ms = now_ms

    def search(self, words: Sequence[str], category: str = "") -> list[RecordEntry]:
        """This owner's records that hold all of the words."""
        parts = question_of(words, category)
        tokens = self._words.tokens(keywords_of(parts), self._now_ms())
        view, found = self._nodes.view(), []
        for entry in self._shelf.all("record-", RecordEntry):
            tags = TAGS.get(view, entry.rid)
            if tags is None:
                continue
            present = {tags.tags[i : i + TAG_BYTES] for i in range(0, len(tags.tags), TAG_BYTES)}
            x = self._scopes.signer(entry.category, entry.period).scope
            ik = self._scopes.index_key(entry.category, entry.period)

            keys = {word: reader_key(self._nodes.network, x, ik, token) for word, token in tokens.items()}
            held = {word for word, key in keys.items() if tag_of(key, entry.rid) in present}
            if all(not held.isdisjoint(part) for part in parts):
                found.append(entry)
        return found


class Searching:
    """An institution's search.

    :param keys: keys of attributes at hand, newest first. :param now_ms: clock, UTC milliseconds.
    """

    def __init__(
        self, shelf: Shelf, nodes: Nodes, words: Words, member: MemberKey, keys: Callable[[], list[SecretKey]],
        now_ms: Callable[[], int], random: Random,
    ) -> None:  # fmt: skip
        self._shelf = shelf
        self._nodes = nodes
        self._words = words
        self._member = member
        self._keys = keys
        self._now_ms = now_ms
        self._random = random

    # --- index keys ---

    def follow(self) -> dict[bytes, bytes]:
        """Read the ledger on from where it was left for index keys that this institution can open; all that are known."""
        keys = self._keys()
        attributes = sorted({x for key in keys for x in key.attributes})
        digest = h2(labels.FOLLOWED_KEYS, labels.SUITE_SEARCH, tuple(attributes))
        before = self._shelf.get(FOLLOWED, Followed)
        height = before.height if before is not None and before.keys == digest else 0
        view, start = self._nodes.view(), height
        for verified in self._nodes.ledger.follow(height):
            for raw in verified.block.transactions:
                self._look(view, keys, raw)
            height = verified.block.header.height
        if height != start or before is None or before.keys != digest:
            self._shelf.put(FOLLOWED, Followed(height, digest))
        return {known.scope: known.index_key for known in self._shelf.all("index-", KnownIndexKey)}

    def _look(self, view: StateView, keys: Sequence[SecretKey], raw: bytes) -> None:
        kind = decode(raw)[0]
        found: _Found | None = None
        try:
            if kind == DelegationCreation.KIND:
                found = self._by_delegation(view, keys, DelegationCreation.decode(raw))
            elif kind == IndexKeyPublication.KIND:
                found = self._by_policy(view, keys, IndexKeyPublication.decode(raw))
        except Refused:
            return  # an owner's mistake: its scope cannot be searched
        if found is not None:
            self._shelf.put(f"index-{found[0].hex()}", KnownIndexKey(*found))

    def _by_delegation(self, view: StateView, keys: Sequence[SecretKey], message: DelegationCreation) -> _Found | None:
        key = _satisfying(keys, message.sealed.rk4.policy)
        if key is None or message.index_key is None:
            return None
        checked = take_delegation_unchecked(self._nodes.network, message.sealed)
        delta = open_delta(self._nodes.parameters(view), key, checked.rk4)
        sealed = message.index_key
        return sealed.scope, open_index_key(self._nodes.network, sealed, BY_DELEGATION, message.sealed.delegation, delta)

    def _by_policy(self, view: StateView, keys: Sequence[SecretKey], message: IndexKeyPublication) -> _Found | None:
        key = _satisfying(keys, message.capsule.policy)
        if key is None:
            return None
        network = self._nodes.network
        verified = take_unchecked(decoded_capsule(message.capsule), index_aad(network, message.scope))
        secret = decapsulate(self._nodes.parameters(view), key, verified)
        about = index_about(network, message.scope, message.capsule)
        return message.scope, open_index_key(network, message.sealed, BY_POLICY, about, secret)

    # --- questions ---

    def search(
        self, words: Sequence[str], category: str = "", purpose: str = "treatment", *, thorough: bool = False
    ) -> SearchResult:
        """Find records that hold all of the words, in every scope that this institution may search and among discoverable ones.

        Every record that a node names is checked against the record's own tags, which the ledger proves.

        :param thorough: ask one more value node than may lie, each by a request of its own: one of them holds nothing back.
        :raises Refused: ``bad-keyword``, ``limit``, ``suspended``, ``too-few-answers``.
        :raises TransportError: no value node gives a right answer.
        """
        parts = question_of(words, category)
        wanted = keywords_of(parts)
        tokens = self._words.tokens(wanted, self._now_ms())
        scopes, network = self.follow(), self._nodes.network
        ordered = [tokens[word] for word in wanted]
        asking = ValueNodes(self._nodes, self._member, purpose, self._random)
        names, at_once = sorted(scopes), max(1, KEYS_MAX // len(ordered))
        readable: list[bytes] = []
        for start in range(0, len(names), at_once):
            chunk = {x: scopes[x] for x in names[start : start + at_once]}
            hits = asking.ask(reader_keys(network, chunk, ordered), ReaderTags(network, chunk, ordered), thorough=thorough)
            readable += matches(parts, len(chunk), hits)
        hits = asking.ask(discoverable_keys(network, ordered), DiscoverableTags(network, ordered), thorough=thorough)
        known = set(readable)
        open_to_all = [rid for rid in matches(parts, 1, hits) if rid not in known]
        living = asking.living([*readable, *open_to_all])
        self._remember([rid for rid in (*readable, *open_to_all) if rid in living])
        return SearchResult(
            tuple(rid for rid in dict.fromkeys(readable) if rid in living),
            tuple(rid for rid in dict.fromkeys(open_to_all) if rid in living),
            len(names),
            asking.more,
            tuple(asking.answered),
            dict(asking.liars),
        )

    def found_before(self) -> tuple[bytes, ...]:
        """Rids that earlier searches found, the latest first; at most :data:`FOUND_MAX`."""
        kept = self._shelf.get(FOUND, FoundRecords)
        return kept.rids if kept is not None else ()

    def _remember(self, found: Sequence[bytes]) -> None:
        before = self.found_before()
        rids = tuple(dict.fromkeys([*found, *before]))[:FOUND_MAX]
        if rids != before:
            self._shelf.put(FOUND, FoundRecords(rids))


def _satisfying(keys: Sequence[SecretKey], policy: str) -> SecretKey | None:
    wanted = parse_canonical(policy)
    return next((key for key in keys if is_satisfied(wanted, key.attributes)), None)
