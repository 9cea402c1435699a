"""A seeded network for tests of keyword search: nodes with shares of the key of tokens, an owner with scopes, records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from salus import labels
from salus.errors import SalusError
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import Scalar, base_mul, base_mul_batch, random_scalar
from salus.groups.sharing import share_secret
from salus.search.committee import KeyShare, TokenKey, token_key
from salus.search.index import SearchIndex
from salus.search.index_keys import new_index_key
from salus.search.keyword import Keyword
from salus.search.tags import IndexEntry, TagKeys, make_tags, reader_keys
from salus.search.tokens import Asked, Evaluation, ask, check_order, evaluate, gather
from salus.symmetric import Random

NETWORK = bytes(range(32))
EPOCH = 7


class SeededRandom:
    """Reproducible random bytes."""

    def __init__(self, seed: str) -> None:
        self._key = hashlib.sha256(seed.encode()).digest()
        self._drawn = 0

    def __call__(self, count: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(self._key + self._drawn.to_bytes(8, "big")).digest(count)


class NodeKey:
    """A node's long-term key; it signs as ``salus.consultation.registration.MemberKey`` does."""

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self.s = random_scalar(random)
        self.W = base_mul(self.s)

    def sign(self, network: bytes, label: str, message: Any, random: Random) -> bytes:
        return schnorr_sign(label, labels.SUITE_R1, self.s, (network, self.name, self.W.encode()), message, random)


@dataclass
class Scope:
    """A scope of an owner: x and ik."""

    x: bytes
    index_key: bytes


@dataclass
class SearchWorld:
    """``nodes`` nodes, any ``threshold`` of which make tokens."""

    nodes: int = 4
    threshold: int = 3
    seed: str = "search"
    secret: Scalar | None = None
    random: SeededRandom = field(init=False)

    def __post_init__(self) -> None:
        self.random = SeededRandom(self.seed)
        self.k = random_scalar(self.random) if self.secret is None else self.secret
        indices = list(range(1, self.nodes + 1))
        shares, _ = share_secret(self.k, self.threshold, indices, self.random)
        self.shares = {i: KeyShare(EPOCH, i, share) for i, share in zip(indices, shares, strict=True)}
        self.keys = {i: NodeKey(f"hospital-{i}/node", self.random) for i in indices}
        publics = dict(zip(indices, base_mul_batch(shares), strict=True))
        named = {i: (key.name, key.W.encode()) for i, key in self.keys.items()}
        self.key: TokenKey = token_key(EPOCH, self.threshold, base_mul(self.k), publics, named)
        self._tokens: dict[Keyword, bytes] = {}

    def answer(self, index: int, asked: Asked, tx_hash: bytes) -> Evaluation:
        order = check_order(tx_hash, asked.order, asked.blinded)
        return evaluate(NETWORK, self.keys[index], self.shares[index], order, self.random)

    def tokens(self, keywords: Iterable[str]) -> list[bytes]:
        """Tokens by the whole protocol, remembered as a terminal does."""
        words = [Keyword(word) for word in keywords]
        new = [word for word in dict.fromkeys(words) if word not in self._tokens]
        for start in range(0, len(new), 1024):
            asked, tx_hash = ask(new[start : start + 1024], self.random), self.random(32)
            answers = (self.answer(i, asked, tx_hash) for i in self.shares)
            self._tokens.update(gather(NETWORK, self.key, asked, tx_hash, answers).tokens)
        return [self._tokens[word] for word in words]

    def scope(self) -> Scope:
        return Scope(self.random(32), new_index_key(self.random))

    def entry(self, scope: Scope, keywords: Iterable[str], discoverable: bool = False) -> IndexEntry:
        rid = self.random(16)
        tags = make_tags(NETWORK, scope.x, rid, scope.index_key, self.tokens(keywords), discoverable, self.random)
        return IndexEntry(rid, scope.x, tags)

    def question(self, scopes: Iterable[Scope], keywords: Iterable[str]) -> TagKeys:
        return reader_keys(NETWORK, {s.x: s.index_key for s in scopes}, self.tokens(keywords))


def index_of(*entries: IndexEntry) -> SearchIndex:
    index = SearchIndex()
    for entry in entries:
        index.add(entry)
    return index


def flipped(data: bytes, step: int = 1) -> Iterator[bytes]:
    """``data`` with one bit of one byte flipped, for every ``step``-th byte."""
    for i in range(0, len(data), step):
        yield data[:i] + bytes([data[i] ^ (1 << (i % 8))]) + data[i + 1 :]


def accepted_flips(data: bytes, read: Callable[[bytes], object], step: int = 1) -> list[int]:
    """Places whose flip the reader did not refuse; the unspoilt message must be accepted."""
    read(data)
    accepted = []
    for place, spoilt in zip(range(0, len(data), step), flipped(data, step), strict=True):
        try:
            read(spoilt)
        except SalusError:
            continue
        accepted.append(place)
    return accepted
