"""The distinguishing game of keyword search: is this the tag of that word in that record, or random?

The challenger keeps the index keys. Each round it draws a record and shows a tag: by a coin, the real one of a word that the
adversary named, or random bytes. The adversary has everything public, every token it likes (institutions may ask for any word),
and tags of other records that it may have chosen itself. Its advantage is ``|2*P(right) - 1|``, counted over seeded rounds.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from salus.search.tags import discoverable_key, reader_key, tag_of
from salus.symmetric import xor
from support.search_world import NETWORK, SearchWorld

ROUNDS = 400
NO_ADVANTAGE = 0.15
"""Three standard deviations of the advantage of pure guessing over 400 rounds."""


class Tagging(Protocol):
    """A way of making the tag of a word in a record, with the secrets of its owner inside."""

    def __call__(self, world: SearchWorld, owner: Owner, word: str, rid: bytes) -> bytes: ...


@dataclass
class Owner:
    """Scope and index key of one owner."""

    x: bytes
    index_key: bytes


def ours(world: SearchWorld, owner: Owner, word: str, rid: bytes) -> bytes:
    """The tag of this project."""
    return tag_of(reader_key(NETWORK, owner.x, owner.index_key, *world.tokens([word])), rid)


def seeds_mac(_world: SearchWorld, _owner: Owner, word: str, _rid: bytes) -> bytes:
    """IndexGen of the seed: a MAC under global parameters, which everyone has."""
    return hmac.digest(NETWORK, word.encode(), "sha256")[:16]


def without_index_key(world: SearchWorld, _owner: Owner, word: str, rid: bytes) -> bytes:
    """The repair out: no ik in T' (what owners choose for discoverable records)."""
    return tag_of(discoverable_key(NETWORK, *world.tokens([word])), rid)


def without_record(world: SearchWorld, owner: Owner, word: str, _rid: bytes) -> bytes:
    """The repair out: the record's id does not enter the tag."""
    return tag_of(reader_key(NETWORK, owner.x, owner.index_key, *world.tokens([word])), bytes(16))


@dataclass
class View:
    """What the adversary of one round sees.

    :ivar known: tags of words of its own choice in other records of the same scope, as (word, rid, tag).
    """

    word: str
    rid: bytes
    x: bytes
    challenge: bytes
    token: bytes
    known: list[tuple[str, bytes, bytes]]
    other_scope: Owner = field(repr=False)


Adversary = Callable[[View], bool]
"""Says whether the challenge is the word's tag."""


def advantage(world: SearchWorld, tagging: Tagging, adversary: Adversary, rounds: int = ROUNDS) -> float:
    """Play the game."""
    right = 0
    owner, other = (Owner(world.random(32), world.random(32)) for _ in range(2))
    words = ["hypertension", "loinc|8867-4", "asthma"]
    earlier = [(word, rid := world.random(16), tagging(world, owner, word, rid)) for word in words for _ in range(3)]
    for number in range(rounds):
        word, rid, coin = words[number % 3], world.random(16), world.random(1)[0] % 2 == 1
        tag = tagging(world, owner, word, rid) if coin else world.random(16)
        view = View(word, rid, owner.x, tag, *world.tokens([word]), earlier, other)
        right += adversary(view) == coin
    return abs(2 * right / rounds - 1)


# --- adversaries: everything that someone without the index key can compute about a tag ---


def recomputes_the_mac(view: View) -> bool:
    """Against the seed: a MAC under parameters that everyone knows can be computed by everyone."""
    return view.challenge == hmac.digest(NETWORK, view.word.encode(), "sha256")[:16]


def uses_the_token_alone(view: View) -> bool:
    """It has asked for the word's token, and tries it without ik."""
    return view.challenge == tag_of(discoverable_key(NETWORK, view.token), view.rid)


def guesses_the_index_key(view: View) -> bool:
    """It tries every public or own value in the place of ik."""
    guesses = [bytes(32), NETWORK, view.x, view.token[:32], view.token[32:], view.rid * 2, view.other_scope.index_key]
    return any(view.challenge == tag_of(reader_key(NETWORK, view.x, ik, view.token), view.rid) for ik in guesses)


def compares_with_other_records(view: View) -> bool:
    """The same word's tag in another record would show the word."""
    return any(view.challenge == tag for word, _, tag in view.known if word == view.word)


def combines_known_tags(view: View) -> bool:
    """Linear relations: the difference of tags against the difference of record ids, for every known tag of the word."""
    known = [(rid, tag) for word, rid, tag in view.known if word == view.word]
    return any(xor(view.challenge, tag) in (xor(view.rid, rid), view.rid, rid) for rid, tag in known)


def looks_at_the_bits(view: View) -> bool:
    """Some bias of the tag itself: the parity of its bits."""
    return int.from_bytes(view.challenge, "big").bit_count() % 2 == 1


ADVERSARIES: dict[str, Adversary] = {
    a.__name__: a
    for a in (
        recomputes_the_mac,
        uses_the_token_alone,
        guesses_the_index_key,
        compares_with_other_records,
        combines_known_tags,
        looks_at_the_bits,
    )
}
